"""One message of the audit: read it, ask the rules, keep what they found, and tell of it.

Pure but for its ports. Every step can be done again: what a message did before it failed is found as
done when it comes again, and only at the end is it marked as taken. What nobody can use is counted and
kept aside with its reason; it neither stays in the queue nor gets lost.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from sallyport.audit.evaluate import evaluate
from sallyport.audit.events import (
    Observed,
    RecordEvent,
    TrustChange,
    Unusable,
    read_event,
    read_record,
    read_trust_change,
)
from sallyport.audit.finding import CannotTell, Finding, Severity
from sallyport.audit.lineage import Edge, edges_of, edges_of_record
from sallyport.audit.rules.context import Context

Kind = Literal["record", "event", "trust"]
"""By which way a message came. The way alone says what it may be."""

Event = Observed | RecordEvent | TrustChange
HEARTBEAT: Final = "heartbeat"
"""The kind of a record that only proves the chain."""

# Rules wait for half an hour at the most. An event from the future must not go round for ever.
LONGEST_WAIT: Final = timedelta(hours=6)

_READERS: Final[Mapping[Kind, Callable[[object], Event | Unusable]]] = {
    "record": read_record,
    "event": read_event,
    "trust": read_trust_change,
}


class Kept(Protocol):
    """A finding as it is kept, and what was done about it."""

    @property
    def finding(self) -> Finding:
        """Return all observations of it, put together."""

    @property
    def alerted(self) -> Severity | None:
        """Return the severity that somebody was told of."""

    @property
    def imported(self) -> str | None:
        """Return the state that was imported."""


class Findings(Protocol):
    """Where findings are kept. All raise ``UnavailableError`` if it is not known to be done."""

    def observe(self, seen: Finding) -> Kept:
        """Put an observation to its finding, unless its event was counted there before."""

    def alerted(self, finding: Finding) -> None:
        """Note that somebody was told of it, with its severity."""

    def imported(self, finding: Finding) -> None:
        """Note that it was imported as it is."""


class Report(Protocol):
    """Counts and logs; never raises."""

    def taken(self, kind: str, *, new: bool) -> None:
        """Count a message."""

    def unusable(self, kind: str, reason: str) -> None:
        """Count what is kept aside."""

    def found(self, finding: Finding, *, new: bool) -> None:
        """Count a finding."""

    def cannot_tell(self, said: CannotTell) -> None:
        """Count a rule that could not decide; one that threw is an alarm."""

    def heartbeat(self) -> None:
        """Count a heartbeat that came through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a pipeline works with.

    ``was_taken`` and ``taken`` know messages by kind and id; ``suppress`` returns the id of the
    suppression that holds for a finding; ``later`` has a message come again when it is due; ``keep``
    puts aside what cannot be used, by its kind and with its reason. ``alert`` and ``import_finding``
    are ``None`` where nobody wants to be told.
    """

    clock: Callable[[], datetime]
    context: Callable[[datetime], Context]
    was_taken: Callable[[Kind, str], bool]
    taken: Callable[[Kind, str, str], bool]
    findings: Findings
    note_issued: Callable[[RecordEvent], None]
    put_edges: Callable[[Iterable[Edge]], None]
    suppress: Callable[[Finding], str | None]
    later: Callable[[Kind, str, datetime, datetime], None]
    keep: Callable[[Kind | None, str, str, str], None]
    report: Report
    state: Callable[[Finding], str]
    alert: Callable[[Finding], None] | None = None
    alert_from: Severity = Severity.HIGH
    import_finding: Callable[[Finding], None] | None = None
    evaluate: Callable[[Event, Context], list[Finding | CannotTell]] = evaluate


class Pipeline:
    """Takes messages one by one."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def take(self, kind: Kind, body: str, *, again: bool = False) -> None:
        """Take one message.

        Args:
            kind: by which way it came.
            body: the message.
            again: it was taken before, and comes to be looked at once more.

        Raises:
            UnavailableError: something is away; the message must come again.
        """
        ports = self._ports
        event = _read(kind, body)
        if isinstance(event, Unusable):
            # Kept before it is counted: if the queue is away, the message comes back to it.
            ports.keep(kind, body, event.reason, event.detail)
            ports.report.unusable(kind, event.reason)
            return
        name = event.record_id if isinstance(event, RecordEvent) else event.event_id
        if not again and ports.was_taken(kind, name):
            ports.report.taken(kind, new=False)
            return
        self._note(event)
        now = ports.clock()
        failed, due = self._ask(event, now)
        if failed:
            # Not marked as taken: brought back after the rule was mended, it is looked at again.
            ports.keep(kind, body, "rule-failed", " ".join(failed))
            return
        if due is not None and due - now <= LONGEST_WAIT:
            ports.later(kind, body, due, now)
        outcome = event.outcome if isinstance(event, RecordEvent) else kind
        ports.report.taken(kind, new=ports.taken(kind, name, outcome))

    def take_again(self, body: str) -> None:
        """Take a message that was put off.

        Raises:
            UnavailableError: something is away; the message must come again.
        """
        ports = self._ports
        message = _put_off(body)
        if message is None:
            ports.keep(None, body, "not-put-off", "the message is none that was put off")
            ports.report.unusable("later", "not-put-off")
            return
        kind, inner, due = message
        now = ports.clock()
        if now < due:
            ports.later(kind, inner, due, now)
            return
        self.take(kind, inner, again=True)

    def _note(self, event: Event) -> None:
        """Keep what other events' rules ask for, before any rule is asked."""
        if isinstance(event, RecordEvent):
            if event.kind == HEARTBEAT:
                self._ports.report.heartbeat()
            self._ports.note_issued(event)
            self._ports.put_edges(edges_of_record(event))
        elif isinstance(event, Observed):
            self._ports.put_edges(edges_of(event))

    def _ask(self, event: Event, now: datetime) -> tuple[list[str], datetime | None]:
        """Ask the rules; returns those that threw, and when to ask once more."""
        ports = self._ports
        failed: list[str] = []
        due: list[datetime] = []
        for said in ports.evaluate(event, ports.context(now)):
            if isinstance(said, Finding):
                self._found(said)
                continue
            ports.report.cannot_tell(said)
            if said.is_error:
                failed.append(said.rule_id)
            elif said.again_at is not None:
                due.append(said.again_at)
        return failed, min(due, default=None)

    def _found(self, seen: Finding) -> None:
        ports = self._ports
        kept = ports.findings.observe(_with_suppression(seen, ports.suppress(seen)))
        finding = kept.finding
        ports.report.found(finding, new=finding.count == seen.count)
        told = kept.alerted is not None and kept.alerted >= finding.severity
        wanted = finding.severity >= ports.alert_from and finding.suppressed_by is None
        # Told first and marked then: rather twice than never. What was told once, a replay tells no more.
        if ports.alert is not None and wanted and not told:
            ports.alert(finding)
            ports.findings.alerted(finding)
        if ports.import_finding is not None and kept.imported != ports.state(finding):
            ports.import_finding(finding)
            ports.findings.imported(finding)


_KINDS: Final[Mapping[str, Kind]] = {kind: kind for kind in _READERS}


def _read(kind: Kind, body: str) -> Event | Unusable:
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return Unusable("not-json", "the message is no JSON document")
    return _READERS[kind](value)


def _put_off(body: str) -> tuple[Kind, str, datetime] | None:
    try:
        message = json.loads(body)
        due = datetime.fromisoformat(message["due"])
        kind, inner = _KINDS[message["kind"]], message["body"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (kind, inner, due) if isinstance(inner, str) and due.tzinfo is not None else None


def _with_suppression(finding: Finding, by: str | None) -> Finding:
    return finding if by is None else replace(finding, suppressed_by=by)
