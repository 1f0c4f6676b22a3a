"""What AWS bills for calls that were counted: request units by the sizes of items, and list prices.

Units: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html. A
transaction costs twice as much, an index one write more for each item that has its keys, and two where
those change.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

READ_BYTES: Final = 4_096
WRITE_BYTES: Final = 1_024
# Each index's keys (template.yaml); all of them hold whole items.
INDEXES: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "findings": (("day", "at"),),
    "sessions": (("parent", "at"), ("source_identity", "at"), ("session_name", "at")),
}

# What a million costs in dollars in US East (N. Virginia), without the free tier. The figures are those that
# third parties reported in 2025 and 2026 (DynamoDB on demand, EventBridge's custom events, where those of
# AWS's services are free, and SNS) or that have long been commonly known (SQS, Lambda on arm64, a GB of
# logs). They were not compared with AWS's pages, which decide: https://aws.amazon.com/<service>/pricing/.
PRICES_OF: Final = "us-east-1, as reported by third parties in 2025 and 2026"
DOLLARS_PER_MILLION: Final = {
    "read units": 0.125,
    "write units": 0.625,
    "SQS requests": 0.40,
    "custom events": 1.00,
    "invocations": 0.20,
    "alerts": 0.50,
}
DOLLARS_PER_GB_SECOND: Final = 0.0000133334
DOLLARS_PER_LOG_GB: Final = 0.50
# How much memory buys one core, and what the function has (template.yaml).
GB_PER_CORE: Final = 1_769 / 1_024
FUNCTION_GB: Final = 0.5
# How long one call to a table or a queue takes within a Region: a round number, not a measurement of ours.
CALL_SECONDS: Final = 0.005
# START, END and REPORT, which Lambda writes for each invocation.
INVOCATION_LOG_BYTES: Final = 350


@dataclass
class Bill:
    """Calls and what they count for. Totals over ``messages`` that came in batches."""

    messages: int = 0
    invocations: int = 0
    cpu_seconds: float = 0.0
    log_bytes: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    read_units: int = 0
    write_units: int = 0

    def add_call(self, name: str) -> None:
        """Count a call."""
        self.calls[name] += 1

    def dollars(self, *, is_custom_event: bool = False) -> dict[str, float]:
        """Return what a million messages cost, by what is billed."""
        each = 1 / self.messages
        of_queue = self.calls["sqs SendMessage"] * each
        # Sent by the rule; received and deleted in batches; and what the function sends comes back to it.
        requests = 1 + 2 * self.invocations * each + of_queue * 1.2
        waiting = sum(self.calls.values()) * each * CALL_SECONDS * FUNCTION_GB
        gb_seconds = self.cpu_seconds * each * GB_PER_CORE + waiting
        logs = (self.log_bytes + self.invocations * INVOCATION_LOG_BYTES) * each
        price = DOLLARS_PER_MILLION
        return {
            "tables": self.read_units * each * price["read units"]
            + self.write_units * each * price["write units"],
            "queues": requests * price["SQS requests"],
            "Lambda": gb_seconds * 1_000_000 * DOLLARS_PER_GB_SECOND
            + self.invocations * each * price["invocations"],
            "logs": logs * 1_000_000 / 1e9 * DOLLARS_PER_LOG_GB,
            "alerts": self.calls["sns"] * each * price["alerts"],
            "bus": price["custom events"] if is_custom_event else 0.0,
        }


def size(item: Mapping[str, Any] | None) -> int:
    """Return about how many bytes DynamoDB counts for an item: names and values."""
    if item is None:
        return 0
    return sum(len(name) + _length(next(iter(value.values()))) for name, value in item.items())


def read_units(item: Mapping[str, Any] | None) -> int:
    """Return the units of one consistent read; what is not there costs one."""
    return max(1, -(-size(item) // READ_BYTES))


def write_units(
    table: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, *, is_transaction: bool
) -> int:
    """Return the units of one write with its indexes; one that a condition stops costs as much."""
    units = max(1, -(-max(size(before), size(after)) // WRITE_BYTES))
    total = units * (2 if is_transaction else 1)
    if before == after:
        return total
    for keys in INDEXES.get(table, ()):
        old, new = _keys(before, keys), _keys(after, keys)
        total += units * ((old is not None) + (new is not None) if old != new else old is not None)
    return total


def _keys(item: Mapping[str, Any] | None, keys: tuple[str, ...]) -> str | None:
    if item is None or any(key not in item for key in keys):
        return None
    return json.dumps([item[key] for key in keys])


def _length(value: object) -> int:
    return len(value.encode() if isinstance(value, str) else json.dumps(value).encode())
