"""The audit's whole pipeline with its tables: calls for each message, CPU, and what a million of them cost.

Messages go through the function as deployed, in batches of ten; in AWS's place are tables in memory that
count what they are asked. CPU time is the function's alone: what those tables take is taken off.
"""

import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from datetime import timedelta
from itertools import islice
from typing import Any

from bench import audit_rules
from bench.audit_cost import CALL_SECONDS, DOLLARS_PER_GB_SECOND, PRICES_OF, Bill, read_units, write_units
from bench.table import Row
from sallyport.adapters.http import HttpResponse, TimeLimits, Transport
from sallyport.audit.asff import MAX_BATCH
from tests.support.audit_cloud import AuditCloud
from tests.support.audit_world import MANAGED_ROLE
from tests.support.rule_samples.sample import assume, exchange, record, user

BATCH = 10
EVENTS = 4_000
QUICK_EVENTS = 1_000
FINDINGS = 500


class Meter:
    """Counts calls on their way to the tables, and the time that the tables take."""

    def __init__(self, cloud: AuditCloud) -> None:
        self.bill = Bill()
        self.seconds = 0.0
        self._cloud = cloud

    def __call__(self, aws: Transport) -> Transport:
        """Return the transport with counting before it."""

        def call(
            method: str, url: str, headers: Mapping[str, str], body: bytes, limits: TimeLimits
        ) -> HttpResponse:
            start = time.process_time()
            try:
                return self._counted(lambda: aws(method, url, headers, body, limits), url, headers, body)
            finally:
                self.seconds += time.process_time() - start

        return call

    def _counted(
        self, send: Callable[[], HttpResponse], url: str, headers: Mapping[str, str], body: bytes
    ) -> HttpResponse:
        service = url.partition("//")[2].partition(".")[0]
        operation = headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.bill.add_call(f"{service} {operation}".strip())
        if service != "dynamodb":
            return send()
        arguments = json.loads(body)
        writes = [one for w in arguments.get("TransactItems", []) for one in w.values()]
        if operation in {"PutItem", "UpdateItem"}:
            writes = [arguments]
        before = [deepcopy(self._item(one)) for one in writes]
        response = send()
        for one, old in zip(writes, before, strict=True):
            self.bill.write_units += write_units(
                one["TableName"], old, self._item(one), is_transaction="TransactItems" in arguments
            )
        if operation == "GetItem":
            self.bill.read_units += read_units(json.loads(response.body).get("Item"))
        elif operation == "Query":
            self.bill.read_units += 1
        return response

    def _item(self, write: Mapping[str, Any]) -> Mapping[str, Any] | None:
        table = self._cloud.aws.tables[write["TableName"]]
        key = write.get("Key") or write["Item"]
        return table.items.get((key["pk"]["S"], key[table.sort_key]["S"] if table.sort_key else ""))


def measure(*, quick: bool = False) -> list[Row]:
    """Return calls, CPU and cost for events, records and findings."""
    os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Sallyport")
    events = QUICK_EVENTS if quick else EVENTS
    mixed = _through("event", islice(audit_rules.texts(), events))
    count = events // 4
    records = _through("record", map(json.dumps, _records(count)), map(json.dumps, _sessions(count)))
    found = _through("event", map(json.dumps, _strangers(FINDINGS)))
    return [
        _row(
            "event",
            mixed,
            f"one in {audit_rules.EVERY + 1} is a sample of a rule, and most of those a finding",
        ),
        _row("record", records, "granted; its bus is billed as well", is_custom_event=True),
        _row("event that is a finding", found, "a new finding with alert and import each time"),
        _cost(mixed),
    ]


def _through(kind: str, texts: Iterator[str], then: Iterable[str] = ()) -> Bill:
    """Send messages, and what follows of them: imports, and second looks after ``then`` came."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        # Powertools keeps one logger for each service, with the output of the day it was made.
        os.environ["POWERTOOLS_SERVICE_NAME"] = f"sallyport-{kind}-{id(said)}"
        cloud = AuditCloud()
        meter = Meter(cloud)
        cloud.wrap = meter
        cloud.restart()
        # What an instance reads once a minute, and a deployment once, is no message's cost.
        cloud.send("record", record())
        cloud.later.clear()
        bill, logged = Bill(), 0
        for part, is_billed in ((texts, True), (then, False)):
            meter.bill, meter.seconds, start = bill if is_billed else Bill(), 0.0, time.process_time()
            before = said.tell()
            sent = _send(cloud, kind if is_billed else "event", iter(part), meter.bill)
            if is_billed:
                bill.messages = sent
                bill.cpu_seconds += time.process_time() - start - meter.seconds
                logged += said.tell() - before
        meter.bill, meter.seconds, start, before = bill, 0.0, time.process_time(), said.tell()
        while cloud.later or cloud.waiting:
            cloud.now += timedelta(minutes=15)
            waiting, cloud.later = cloud.later, []
            _send(cloud, "later", iter([one["MessageBody"] for one in waiting]), bill)
            bill.invocations += -(-len(cloud.waiting) // MAX_BATCH)
            cloud.imports_due()
        bill.cpu_seconds += time.process_time() - start - meter.seconds
        bill.log_bytes = logged + said.tell() - before
    return bill


def _send(cloud: AuditCloud, kind: str, texts: Iterator[str], bill: Bill) -> int:
    sent = 0
    while batch := list(islice(texts, BATCH)):
        assert cloud.send(kind, *batch) == []
        sent += len(batch)
        bill.invocations += 1
    return sent


def _records(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        key = f"ASIA{number:016d}"
        yield record(number=number + 2, key=key, session=f"s-{number}", after=timedelta(seconds=number))


def _sessions(count: int) -> Iterator[dict[str, Any]]:
    """Yield the events that follow the records."""
    for number in range(count):
        key, session = f"ASIA{number:016d}", f"s-{number}"
        yield assume(
            exchange(),
            MANAGED_ROLE,
            session=session,
            key=key,
            source_identity="entra-b0c1",
            number=number + 1,
        )


def _strangers(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield assume(user(), MANAGED_ROLE, key=f"ASIA{number:016d}", number=number + 1)


def _row(what: str, bill: Bill, note: str, *, is_custom_event: bool = False) -> Row:
    each = 1 / bill.messages
    dollars = sum(bill.dollars(is_custom_event=is_custom_event).values())
    calls = ", ".join(
        f"{name.removeprefix('dynamodb ')} {count * each:.2f}" for name, count in sorted(bill.calls.items())
    )
    return Row(
        f"audit, calls for one {what}",
        budget="",
        measured=f"{sum(bill.calls.values()) * each:.1f}",
        note=(
            f"{calls}; {bill.read_units * each:.1f} read and {bill.write_units * each:.1f} write units, "
            f"{bill.cpu_seconds * each * 1_000:.1f} ms of CPU, ${dollars:.2f} a million; {note}"
        ),
    )


def _cost(bill: Bill) -> Row:
    parts = {name: value for name, value in bill.dollars().items() if value}
    return Row(
        "audit, cost of 1,000,000 events",
        budget="",
        measured=f"${sum(parts.values()):.2f}",
        note=(
            f"{', '.join(f'{name} ${value:.2f}' for name, value in parts.items())}; list prices of "
            f"{PRICES_OF}, Lambda arm64 at ${DOLLARS_PER_GB_SECOND:.10f} per GB-second, this machine's CPU "
            f"time and {CALL_SECONDS * 1_000:.0f} ms for each call"
        ),
    )
