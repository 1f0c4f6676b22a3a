"""What the audit side says: one model of a finding, whatever it is rendered to and wherever it is kept.

Pure. A finding's id is made of its rule, the account, what it is about and the start of its window, so
that the same event delivered twice, in any order and by anybody, is one finding. ``merge`` is how the
store puts two observations of one finding together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from sallyport.audit.display import display

# ASFF's bounds for the same things (https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_AwsSecurityFinding.html).
MAX_TITLE: Final = 256
MAX_DESCRIPTION: Final = 1_024
MAX_RESOURCES: Final = 32
# What a reader can take in, and what keeps a finding far below 240 KB: the longest of each, escaped
# character by character, are 100 KB.
MAX_EVIDENCE: Final = 24
MAX_EVIDENCE_TEXT: Final = 400
MAX_IDENTIFIER: Final = 512
# Events whose ids a finding names. The count goes on beyond.
MAX_EVENTS: Final = 20


class Severity(IntEnum):
    """How bad it is. The names are ASFF's; the numbers order them."""

    INFORMATIONAL = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """What a finding is about; ``type`` is one of ASFF's (``AwsIamRole``, ``Other``)."""

    type: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding, as one event or several of them made it.

    All text is bounded and harmless (``display``): it may go to a page, a mail or a query's result.
    ``first_event`` and ``last_event`` are times of events, never the time at which they were looked at.
    ``dedupe`` is what the finding is about, within its window; ``evidence`` is what the reader needs
    to see. ``event_ids`` are those counted, sorted, at most ``MAX_EVENTS``.
    """

    id: str
    rule_id: str
    account: str
    region: str
    title: str
    description: str
    severity: Severity
    dedupe: tuple[str, ...]
    window_start: datetime
    first_event: datetime
    last_event: datetime
    count: int = 1
    resources: tuple[Resource, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    event_ids: tuple[str, ...] = ()
    # What to do at once; ``remedy`` ends the cause.
    first: str = ""
    remedy: str = ""
    runbook: str = ""
    references: tuple[str, ...] = ()
    # The suppression's id, if one holds.
    suppressed_by: str | None = None
    # Why it is only informational: a first-seen rule is still learning.
    subdued: str | None = None
    # When it was seen to be gone. What happened cannot go; what is the case can (``is_standing``).
    ended: datetime | None = None

    @property
    def is_standing(self) -> bool:
        """Whether it is about what is the case, for as long as it is, and not about what has happened."""
        return self.window_start == ALWAYS


ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The start of a window without an end: no event is so old."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """A rule that could not decide, because the event does not say what it needs. Counted, not silent.

    ``reason`` is stable kebab-case; ``is_error`` marks a rule that threw, which is an alarm.
    """

    rule_id: str
    reason: str
    event_id: str
    is_error: bool = False
    # When to look once more: what is missing may still be on its way.
    again_at: datetime | None = None


def finding_id(rule_id: str, account: str, dedupe: Iterable[str], window_start: datetime) -> str:
    """Return the id of what is one finding: 64 hexadecimal digits.

    Every part goes with its length, so that no two lists of parts are the same bytes.
    """
    digest = sha256()
    for part in (rule_id, account, window_start.astimezone(UTC).isoformat(), *dedupe):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return digest.hexdigest()


def window_of(when: datetime, window: timedelta) -> datetime:
    """Return the start of the window a time falls into. Windows are counted from 1970, in UTC."""
    return when - (when - ALWAYS) % window


def safe(value: object, limit: int = MAX_EVIDENCE_TEXT) -> str:
    """Return any value as bounded, harmless text."""
    return display(value if isinstance(value, str) else str(value), limit=limit)


def bounded_evidence(values: Mapping[str, object]) -> Mapping[str, str]:
    """Return what a reader needs to see: what is there, bounded, in the order given."""
    kept: dict[str, str] = {}
    for name, value in values.items():
        if value is None or value in ("", ()):
            continue
        if len(kept) == MAX_EVIDENCE:
            break
        kept[safe(name, 80)] = safe(", ".join(map(str, value)) if isinstance(value, tuple) else value)
    return MappingProxyType(kept)


def merge(stored: Finding, seen: Finding) -> Finding:
    """Return one finding out of two observations of it, whichever came first.

    Any order of observations gives the same finding. The same event is counted once as far as the ids
    of events are kept; beyond them whoever calls has to know whether an event was counted before.

    Raises:
        ValueError: they are not the same finding.
    """
    if stored.id != seen.id:
        raise ValueError("two findings with different ids")
    ids = sorted({*stored.event_ids, *seen.event_ids})
    repeated = len({*stored.event_ids} & {*seen.event_ids})
    # Text, evidence and suppression are the latest event's; among equals the order must not decide.
    last = max(stored, seen, key=_order)
    # What is the case is as severe as it is now; what has happened was as severe as the worst of it.
    severest = (
        last
        if last.is_standing
        else max(stored, seen, key=lambda one: (one.severity, one.subdued is None, one.subdued or ""))
    )
    last_event = max(stored.last_event, seen.last_event)
    ends = [one.ended for one in (stored, seen) if one.ended is not None and one.ended > last_event]
    return replace(
        last,
        severity=severest.severity,
        subdued=severest.subdued,
        first_event=min(stored.first_event, seen.first_event),
        last_event=last_event,
        # Seen again after it had ended, it has not.
        ended=max(ends, default=None),
        count=stored.count + seen.count - repeated,
        event_ids=tuple(ids[:MAX_EVENTS]),
        resources=tuple(sorted({*stored.resources, *seen.resources}))[:MAX_RESOURCES],
    )


def _order(one: Finding) -> tuple[Any, ...]:
    return (
        one.last_event,
        one.severity,
        one.description,
        tuple(one.evidence.items()),
        one.suppressed_by or "",
    )


def to_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain JSON values, as the store and ``sallyport findings --json`` have it."""
    return {
        "id": finding.id,
        "rule": finding.rule_id,
        "account": finding.account,
        "region": finding.region,
        "title": finding.title,
        "description": finding.description,
        "severity": finding.severity.name,
        "dedupe": list(finding.dedupe),
        "window_start": _iso(finding.window_start),
        "first_event": _iso(finding.first_event),
        "last_event": _iso(finding.last_event),
        "count": finding.count,
        "resources": [{"type": one.type, "id": one.id} for one in finding.resources],
        "evidence": dict(finding.evidence),
        "event_ids": list(finding.event_ids),
        "first": finding.first,
        "remedy": finding.remedy,
        "runbook": finding.runbook,
        "references": list(finding.references),
        "suppressed_by": finding.suppressed_by,
        "subdued": finding.subdued,
        "ended": None if finding.ended is None else _iso(finding.ended),
    }


def from_json(value: Mapping[str, Any]) -> Finding:
    """Return the finding that ``to_json`` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is not what ``to_json`` wrote.
    """
    return Finding(
        id=value["id"],
        rule_id=value["rule"],
        account=value["account"],
        region=value["region"],
        title=value["title"],
        description=value["description"],
        severity=Severity[value["severity"]],
        dedupe=tuple(value["dedupe"]),
        window_start=datetime.fromisoformat(value["window_start"]),
        first_event=datetime.fromisoformat(value["first_event"]),
        last_event=datetime.fromisoformat(value["last_event"]),
        count=int(value["count"]),
        resources=tuple(Resource(one["type"], one["id"]) for one in value["resources"]),
        evidence=MappingProxyType(dict(value["evidence"])),
        event_ids=tuple(value["event_ids"]),
        first=value["first"],
        remedy=value["remedy"],
        runbook=value["runbook"],
        references=tuple(value["references"]),
        suppressed_by=value["suppressed_by"],
        subdued=value["subdued"],
        ended=None if value.get("ended") is None else datetime.fromisoformat(value["ended"]),
    )


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
