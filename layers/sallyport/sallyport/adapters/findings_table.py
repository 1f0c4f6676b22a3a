"""Findings, kept: one item for each, and a mark for each event that a finding has counted.

Queues deliver twice and in any order, and several instances write at once. What a finding counts is
therefore decided by DynamoDB: its item and the event's mark are written together or not at all.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sallyport.adapters.aws import AwsError, JsonService
from sallyport.adapters.tables import ask
from sallyport.audit.finding import Finding, Severity, from_json, merge, to_json
from sallyport.errors import UnavailableError

# Writers that meet on one finding: as many as the function has instances, with room.
ATTEMPTS: Final = 8
INDEX: Final = "by_day"
"""Findings by the day of their last event, sorted by its time."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A finding as it is kept, and what was done about it so far.

    ``alerted`` is the severity that somebody was told of; ``imported`` the ``state`` that was imported.
    """

    finding: Finding
    alerted: Severity | None = None
    imported: str | None = None
    revision: int = 0


def state(finding: Finding) -> str:
    """Return what changes whenever an import would say something new."""
    return f"{_iso(finding.last_event)} {finding.count} {finding.severity.name}"


class FindingsTable:
    """The findings table. ``keep`` is how long a finding stays after it was last written."""

    def __init__(
        self, dynamodb: JsonService, table: str, keep: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._keep = keep
        self._clock = clock

    def observe(self, seen: Finding) -> Kept:
        """Put an observation to its finding, unless its event was counted there before.

        Raises:
            UnavailableError: it is not known to be kept.
        """
        for _ in range(ATTEMPTS):
            kept = self.read(seen.id)
            if kept is not None and self._was_counted(seen):
                return kept
            merged = (
                Kept(seen) if kept is None else Kept(merge(kept.finding, seen), kept.alerted, kept.imported)
            )
            if self._put(merged, seen, None if kept is None else kept.revision):
                return merged
        raise UnavailableError("finding-contended", "too many write the same finding at once")

    def read(self, finding_id: str) -> Kept | None:
        """Return a finding, or ``None``."""
        item = self._get(f"finding#{finding_id}")
        return None if item is None else from_item(item)

    def alerted(self, finding: Finding) -> None:
        """Note that somebody was told of a finding, with its severity."""
        self._note(finding.id, "alerted", {"S": finding.severity.name})

    def imported(self, finding: Finding) -> None:
        """Note that a finding was imported as it is."""
        self._note(finding.id, "imported", {"S": state(finding)})

    def _was_counted(self, seen: Finding) -> bool:
        return self._get(_mark(seen)) is not None

    def _put(self, merged: Kept, seen: Finding, revision: int | None) -> bool:
        expires_at = {"N": str(int((self._clock() + self._keep).timestamp()))}
        finding = merged.finding
        item: dict[str, Any] = {
            "pk": {"S": f"finding#{finding.id}"},
            "day": {"S": f"{finding.last_event.astimezone(UTC):%Y-%m-%d}"},
            "at": {"S": _iso(finding.last_event)},
            "finding": {"S": json.dumps(to_json(finding), separators=(",", ":"), ensure_ascii=True)},
            "revision": {"N": str((revision or 0) + 1)},
            "expires_at": expires_at,
        }
        if merged.alerted is not None:
            item["alerted"] = {"S": merged.alerted.name}
        if merged.imported is not None:
            item["imported"] = {"S": merged.imported}
        put: dict[str, Any] = {"TableName": self._table, "Item": item}
        if revision is None:
            put["ConditionExpression"] = "attribute_not_exists(pk)"
        else:
            put["ConditionExpression"] = "revision = :seen"
            put["ExpressionAttributeValues"] = {":seen": {"N": str(revision)}}
        mark = {
            "TableName": self._table,
            "Item": {"pk": {"S": _mark(seen)}, "expires_at": expires_at},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        return transact(self._dynamodb, [{"Put": put}, {"Put": mark}])

    def _get(self, key: str) -> Mapping[str, Any] | None:
        arguments = {"TableName": self._table, "Key": {"pk": {"S": key}}, "ConsistentRead": True}
        found: Mapping[str, Any] | None = ask(self._dynamodb, "GetItem", arguments).get("Item")
        return found

    def _note(self, finding_id: str, name: str, value: Mapping[str, str]) -> None:
        ask(
            self._dynamodb,
            "UpdateItem",
            {
                "TableName": self._table,
                "Key": {"pk": {"S": f"finding#{finding_id}"}},
                "UpdateExpression": f"SET {name} = :value ADD revision :one",
                "ExpressionAttributeValues": {":value": value, ":one": {"N": "1"}},
            },
        )


def from_item(item: Mapping[str, Any]) -> Kept:
    """Return the finding in an item.

    Raises:
        UnavailableError: the item is no finding.
    """
    try:
        alerted = item.get("alerted")
        imported = item.get("imported")
        return Kept(
            from_json(json.loads(item["finding"]["S"])),
            None if alerted is None else Severity[alerted["S"]],
            None if imported is None else str(imported["S"]),
            int(item["revision"]["N"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise UnavailableError("finding-malformed", "an item of the findings table is no finding") from None


def transact(dynamodb: JsonService, writes: list[dict[str, Any]]) -> bool:
    """Write all or nothing; ``False`` if a condition did not hold, or somebody else was writing.

    Raises:
        UnavailableError: it is not known to have happened.
    """
    try:
        dynamodb.call("TransactWriteItems", {"TransactItems": writes})
    except AwsError as error:
        if error.reason in {"TransactionCanceledException", "TransactionInProgressException"}:
            return False
        raise UnavailableError("table-refused", f"TransactWriteItems: {error.reason}") from None
    return True


def _mark(seen: Finding) -> str:
    # An evaluation makes one finding of one event; several ids are several observations put together.
    return f"event#{seen.id}#{' '.join(seen.event_ids)}"


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
