"""CloudTrail events through all rules: how many a second on one core, in how much memory, at what cost.

Each event goes the whole way that the function takes without its tables: JSON text, ``read_event``,
``evaluate``. The look-ups answer at once and keep nothing; what tables cost is theirs.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from bench.audit_cost import DOLLARS_PER_GB_SECOND, GB_PER_CORE
from bench.table import Row
from sallyport.audit.evaluate import evaluate
from sallyport.audit.events import Observed, RecordEvent, read_event, read_record
from sallyport.audit.finding import Finding
from sallyport.audit.rules.context import Context
from tests.support.audit_world import ESTATE, MANAGED_ROLE, NOON
from tests.support.rule_samples import load
from tests.support.rule_samples.sample import assume, denied, event, exchange, record, role, service, user

BUDGET = 5_000
ROUNDS = 7
# So many ordinary events for one of the samples.
EVERY = 19
BATCH = 5_000
MEMORY_EVENTS = 1_000_000
QUICK_EVENTS = 100_000
# Beyond what Python's allocator moves by itself; a thousandth of what keeping the events would take.
FLAT_MB = 4.0

# In a hundred: what an account's management events to STS, IAM and sign-in are mostly made of, and the
# rules' own samples, so that every rule looks.
_SHARES = (
    (30, assume(service(), "arn:aws:iam::111122223333:role/service-role/worker", tlsDetails=None)),
    (20, assume(role(source_identity="person-7"), "arn:aws:iam::111122223333:role/reader")),
    (15, event("sts", "GetCallerIdentity", role(), readOnly=True)),
    (15, assume(exchange(), MANAGED_ROLE, source_identity="entra-b0c1")),
    (5, denied("sts", "AssumeRole")),
    (5, event("iam", "ListRoles", user(), readOnly=True)),
    (
        5,
        event(
            "s3",
            "PutObjectAcl",
            role(MANAGED_ROLE, "b0c1", "ASIAISSUED0000000001", source_identity="entra-b0c1"),
        ),
    ),
)
_MARK = "00000000-0000-4000-8000-"


class _Answers:
    """All look-ups: everything was seen before, nothing is counted up, the exchange issued the session."""

    def __init__(self) -> None:
        found = read_record(record())
        assert isinstance(found, RecordEvent)
        self._record = found

    def first_seen(self, _topic: str, _key: str, _occurrence: str, _when: datetime) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def places(self, _topic: str, _key: str, place: str, _when: datetime) -> frozenset[str]:
        return frozenset({place})

    def add(self, _topic: str, _key: str, _start: datetime, _occurrence: str, weight: int = 1) -> int:
        return weight

    def by_access_key(self, _access_key: str) -> RecordEvent | None:
        return self._record

    def knows_source_identity(self, _source_identity: str) -> bool:
        return True

    def was_made(self, _access_key: str) -> bool:
        return True

    def authorized(self, _key: str, _where: str, _when: datetime) -> None:
        return

    def last_authorized(self, _key: str, _when: datetime) -> tuple[str, datetime] | None:
        return None

    def redeemed(self, _key: str, _when: datetime) -> None:
        return

    def was_redeemed(self, _key: str, _when: datetime) -> bool:
        return True

    def item(self, _key: str) -> Mapping[str, str] | None:
        return None

    def journal(self, _around: datetime) -> Sequence[Mapping[str, str]]:
        return ()

    def moved(self, _version: str, _when: datetime) -> None:
        return

    def content_digest(self, _version: str, _most: int) -> str | None:
        return None

    def in_force_since(self, _version: str) -> datetime | None:
        return None


def measure(*, quick: bool = False) -> list[Row]:
    """Return rate, memory and cost."""
    known, lines = _context(), texts()
    rates, found = [], 0
    for _ in range(ROUNDS):
        batch = list(islice(lines, BATCH))
        start = time.process_time()
        found = sum(_through(text, known) for text in batch)
        rates.append(BATCH / (time.process_time() - start))
    rate = median(rates)
    assert found
    grown, events = _memory(known, lines, QUICK_EVENTS if quick else MEMORY_EVENTS)
    dollars = 1_000_000 / rate * GB_PER_CORE * DOLLARS_PER_GB_SECOND
    return [
        Row(
            "audit, events through all rules",
            budget=f"≥ {BUDGET:,} /s and core",
            measured=f"{rate:,.0f} /s",
            ratio=rate / BUDGET,
            met=rate >= BUDGET,
            note=f"CPU time, from JSON text to findings; one in {EVERY + 1} is a sample of a rule",
        ),
        Row(
            f"audit, memory over {events:,} events",
            budget="flat",
            measured=f"{grown:+.1f} MB",
            met=grown <= FLAT_MB,
            note="resident memory after a tenth of the events and at the end",
        ),
        Row(
            "audit, cost of 1,000,000 events, rules alone",
            budget="",
            measured=f"${dollars:.4f}",
            note=(
                f"at this machine's speed, Lambda arm64 at ${DOLLARS_PER_GB_SECOND:.10f} per "
                f"GB-second, {GB_PER_CORE:.2f} GB for one core; with queue, tables and delivery: below"
            ),
        ),
    ]


def _context() -> Context:
    answers = _Answers()
    return Context(
        now=NOON,
        estate=ESTATE,
        history=answers,
        counter=answers,
        issued=answers,
        sessions=answers,
        sign_ins=answers,
        trust=answers,
    )


def _through(text: str, known: Context) -> int:
    seen = read_event(json.loads(text))
    assert isinstance(seen, Observed)
    return sum(isinstance(one, Finding) for one in evaluate(seen, known))


def texts() -> Iterator[str]:
    """Yield events without end, each with an id of its own."""
    samples = [
        raw
        for found in load().values()
        for sample in found.hits
        if sample.kind == "event"
        for raw in sample.events[-1:]
    ]
    ordinary = [raw for share, raw in _SHARES for _ in range(share)]
    every = cycle(samples)
    templates: list[dict[str, Any]] = []
    # Long enough to have every sample in; the step spreads the ordinary ones, so that batches are alike.
    for number in range(len(samples) * EVERY):
        templates.append(ordinary[(number * 37) % len(ordinary)])
        if number % EVERY == 0:
            templates.append(next(every))
    parts = [json.dumps(raw).partition(_MARK) for raw in templates]
    for number, (before, mark, after) in enumerate(cycle(parts)):
        yield f"{before}{mark}{number:012x}{after[12:]}" if mark else before


def _memory(known: Context, texts: Iterator[str], events: int) -> tuple[float, int]:
    first = events // 10
    for text in islice(texts, first):
        _through(text, known)
    before = _resident()
    for text in islice(texts, events - first):
        _through(text, known)
    return _resident() - before, events


def _resident() -> float:
    """Return this process's resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4_096 / 1_048_576
