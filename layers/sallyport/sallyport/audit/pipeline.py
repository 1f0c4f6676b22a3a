"""One message of the audit: read it, ask the rules, keep what they found, and tell of it.

Pure but for its ports. Every step can be done again: what a message did before it failed is found as
done when it comes again, and only at the end is it marked as taken. What nobody can use is counted and
kept aside with its reason; it neither stays in the queue nor gets lost.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
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
from sallyport.audit.finding import CannotTell, Finding
from sallyport.audit.lineage.edges import Edge, edges_of, edges_of_record
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


class Report(Protocol):
    """Counts and logs; never raises."""

    def taken(self, kind: str, *, new: bool) -> None:
        """Count a message."""

    def unusable(self, kind: str, reason: str) -> None:
        """Count what is kept aside."""

    def cannot_tell(self, said: CannotTell) -> None:
        """Count a rule that could not decide; one that threw is an alarm."""

    def heartbeat(self) -> None:
        """Count a heartbeat that came through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a pipeline works with.

    ``was_taken`` and ``taken`` know messages by kind and id; ``later`` has a message come again when it is
    due; ``keep`` puts aside what cannot be used, by its kind and with its reason. ``found`` keeps a finding
    and tells of it. ``heard`` and ``saw`` remember signs of life: that a heartbeat of some time has come, and
    an event.
    """

    clock: Callable[[], datetime]
    context: Callable[[datetime], Context]
    was_taken: Callable[[Kind, str], bool]
    taken: Callable[[Kind, str, str], bool]
    found: Callable[[Finding], None]
    note_issued: Callable[[RecordEvent], None]
    put_edges: Callable[[Iterable[Edge]], None]
    heard: Callable[[datetime], None]
    saw: Callable[[Observed, Context], None]
    later: Callable[[Kind, str, datetime, datetime], None]
    keep: Callable[[Kind | None, str, str, str], None]
    report: Report
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
        if kind == "record" and _put_off(body) is not None:
            # What the queue of second looks gave up is brought back by the records' queue, whose way in is
            # as narrow.
            self.take_again(body)
            return
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
        if not again:
            # Before it was put off, all of this was kept.
            self._note(event, ports.clock())
        now = ports.clock()
        failed, due = self._ask(event, now, again=again)
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

    def _note(self, event: Event, now: datetime) -> None:
        """Keep what other events' rules ask for, before any rule is asked."""
        if isinstance(event, RecordEvent):
            if event.kind == HEARTBEAT:
                self._ports.report.heartbeat()
                self._ports.heard(event.time)
            self._ports.note_issued(event)
            self._ports.put_edges(edges_of_record(event))
        elif isinstance(event, Observed):
            self._ports.saw(event, self._ports.context(now))
            self._ports.put_edges(edges_of(event))

    def _ask(self, event: Event, now: datetime, *, again: bool) -> tuple[list[str], datetime | None]:
        """Ask the rules; returns those that threw, and when to ask once more.

        What explains an event that comes late, out of an archive say, may be as late as it is. The rules are
        therefore asked at first as if the event were on time, and wait for as long as they would have then.
        """
        ports = self._ports
        as_of = now if again else min(now, event.time)
        failed: list[str] = []
        due: list[datetime] = []
        # The worst first: whoever makes telling of one fail, by closing a queue say, has not silenced it.
        for said in sorted(ports.evaluate(event, ports.context(as_of)), key=_by_severity):
            if isinstance(said, Finding):
                ports.found(said)
                continue
            ports.report.cannot_tell(said)
            if said.is_error:
                failed.append(said.rule_id)
            elif said.again_at is not None:
                due.append(said.again_at if said.again_at > now else now + (said.again_at - event.time))
        return failed, min(due, default=None)


def _by_severity(said: Finding | CannotTell) -> int:
    return -said.severity if isinstance(said, Finding) else 1


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
