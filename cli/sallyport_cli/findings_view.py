"""Findings as they are printed: a list of them, or a single one with everything that is known."""

import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from sallyport_cli.explain import EXCHANGE_ID
from sallyport_cli.output import NAME_WIDTH, Line, say, say_json, say_lines, shown
from sallyport_cli.tables import say_table

if TYPE_CHECKING:
    from sallyport.adapters.findings_table import Kept
    from sallyport.audit.finding import Finding

SHORT_ID: Final = 12
"""Digits of an id that a list shows; among ten thousand findings no two have the same ones by chance."""

HANG: Final = 10
"""Where a finding's words begin, behind its severity."""

_KEY: Final = re.compile(r"(?<![A-Z0-9])A[KS]IA[A-Z0-9]{12,124}(?![A-Z0-9])")
_SOURCE_IDENTITY: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EVENT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]{2,9}){1,2}-[0-9]{1,2}")
_MOST_KEYS: Final = 3

_SHORT: Final = {"INFORMATIONAL": "INFO"}
_STYLES: Final = {"CRITICAL": "bold red", "HIGH": "bold red", "MEDIUM": "bold yellow"}


def as_json(found: "Sequence[Kept]", *, left_out: int, unreadable: int) -> None:
    """Print findings as one JSON document, with all that is known of each."""
    from sallyport.audit.finding import to_json  # noqa: PLC0415 - not for --help

    say_json(
        {
            "findings": [to_json(one.finding) for one in found],
            "omitted": left_out,
            "unreadable": unreadable,
        }
    )


def as_ocsf(found: "Sequence[Kept]") -> None:
    """Print findings as Detection Findings of OCSF, a JSON document in each line."""
    from sallyport.audit.ocsf import to_ocsf  # noqa: PLC0415 - not for --help

    for one in found:
        sys.stdout.write(json.dumps(to_ocsf(one.finding, version=version("sallyport"))) + "\n")


def say_list(found: "Sequence[Kept]") -> None:
    """Print findings: a paragraph each on a terminal, a line each into a pipe."""
    if sys.stdout.isatty():
        say_lines(_paragraphs(found))
        return
    rows = [
        (
            f"{one.finding.last_event.astimezone(UTC):%Y-%m-%dT%H:%MZ}",
            one.finding.severity.name.lower(),
            str(one.finding.count),
            one.finding.id[:SHORT_ID],
            one.finding.rule_id,
            _what(one),
        )
        for one in found
    ]
    say_table(("when", "severity", "n", "id", "rule", "what"), rows)


def say_one(kept: "Kept", stack: str = "") -> None:
    """Print all of one finding, and the commands that look further in a stack, if one was named."""
    say_lines(_all_of(kept))
    commands = next_commands(kept.finding, stack)
    if commands:
        say()
        say("where to look next", style="bold")
    for command in commands:
        # Left whole: somebody copies it.
        say(f"  {command}")


def next_commands(finding: "Finding", stack: str = "") -> list[str]:
    """Return the commands that lead from a finding to its events, its exchange and its sessions.

    Args:
        finding: whatever is in it, only what has the form of an id becomes part of a command.
        stack: the stack that was named, so that it need not be typed again.
    """
    from sallyport.audit.rules import RULES  # noqa: PLC0415 - not for --help

    evidence = finding.evidence
    found = []
    exchanges = [evidence.get("exchange", ""), *finding.event_ids]
    found += [f"sallyport explain {one}" for one in exchanges if EXCHANGE_ID.fullmatch(one)][:1]
    texts = (*finding.dedupe, *(one.id for one in finding.resources), *evidence.values())
    keys = dict.fromkeys(key for text in texts for key in _KEY.findall(text))
    found += [f"sallyport trace {key}" for key in list(keys)[:_MOST_KEYS]]
    identity = evidence.get("source identity", "")
    if not keys and _SOURCE_IDENTITY.fullmatch(identity):
        found.append(f"sallyport trace {shlex.quote(identity)}")
    if stack:
        found = [f"{one} --stack {shlex.quote(stack)}" for one in found]
    event, region = evidence.get("event id", ""), evidence.get("Region", finding.region)
    if _EVENT_ID.fullmatch(event) and _REGION.fullmatch(region):
        found.append(
            f"aws cloudtrail lookup-events --region {region} "
            f"--lookup-attributes AttributeKey=EventId,AttributeValue={event}"
        )
    rule = RULES.get(finding.rule_id)
    if rule is not None and rule.on == "trust":
        found.append("sallyport trust history")
    elif finding.rule_id.startswith("posture-"):
        found.append("sallyport posture")
    return found


def moment(when: datetime) -> str:
    """Return a time as people read it."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _paragraphs(found: "Sequence[Kept]") -> Iterator[Line]:
    for one in found:
        finding = one.finding
        yield _title(finding)
        facts = [
            moment(finding.last_event),
            f"{finding.count} times" if finding.count > 1 else "",
            "" if finding.ended is None else f"ended {moment(finding.ended)}",
            f"suppressed by {finding.suppressed_by}" if finding.suppressed_by else "",
            finding.runbook,
        ]
        about = ", ".join(finding.dedupe)
        for text in (about, " · ".join(fact for fact in facts if fact), f"id {finding.id[:SHORT_ID]}"):
            yield Line(f"{'':<{HANG}}{_text(text)}", "", HANG)
        yield Line("")


def _title(finding: "Finding") -> Line:
    severity = finding.severity.name
    words = f"{_SHORT.get(severity, severity):<{HANG - 1}} {_text(finding.title)}"
    return Line(words, _STYLES.get(severity, "bold"), HANG)


def _what(one: "Kept") -> str:
    finding = one.finding
    said = f"{finding.title}: {', '.join(finding.dedupe)}"
    if finding.ended is not None:
        said = f"{said} (ended {finding.ended.astimezone(UTC):%Y-%m-%dT%H:%MZ})"
    return f"{said} (suppressed by {finding.suppressed_by})" if finding.suppressed_by else said


def _all_of(kept: "Kept") -> Iterator[Line]:
    from sallyport.audit.rules import RULES  # noqa: PLC0415 - not for --help

    finding = kept.finding
    yield _title(finding)
    yield Line("")
    yield Line(_text(finding.description), "", 0)
    yield Line("")
    # By itself, so that it stays whole where lines have 80 columns.
    yield Line(f"  id {_text(finding.id)}")
    facts = {
        "rule": finding.rule_id,
        "account": finding.account,
        "Region": finding.region,
        "first": moment(finding.first_event),
        "last": moment(finding.last_event),
        "ended": "" if finding.ended is None else moment(finding.ended),
        "count": str(finding.count),
        "suppressed by": finding.suppressed_by or "",
        "subdued": finding.subdued or "",
        "alerted": "nobody" if kept.alerted is None else f"as {kept.alerted.name.lower()}",
    }
    yield from _rows(facts.items())
    yield from _block("about", [(one.type, one.id) for one in finding.resources])
    yield from _block("what was seen last", finding.evidence.items())
    counted = f"events ({len(finding.event_ids)} of {finding.count})"
    yield from _block(counted, [("", one) for one in finding.event_ids])
    rule = RULES.get(finding.rule_id)
    todo = {"first": "" if rule is None else rule.first, "then": finding.remedy, "more": finding.runbook}
    yield from _block("what to do", todo.items())


def _block(title: str, rows: Iterable[tuple[str, str]]) -> Iterator[Line]:
    lines = list(_rows(rows))
    if lines:
        yield Line("")
        yield Line(title, "bold")
        yield from lines


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[Line]:
    for name, value in rows:
        if not value:
            continue
        left = f"  {_text(name):<{NAME_WIDTH}} " if name else "  "
        yield Line(f"{left}{_text(value)}", "", len(left))


def _text(value: str) -> str:
    """Return a finding's text. It was made harmless when it was kept; once more, without doubled escapes."""
    return shown(value).replace("\\\\", "\\")
