"""What was done to the trust table, by whom and when, newest first."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from sallyport_cli.output import say, say_json
from sallyport_cli.tables import say_table
from sallyport_cli.trust_table import Chronicle, Version

_SHOWN_DIGITS = 12
"""How much of a digest tells it from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was done.

    ``action`` is ``apply``, ``rollback``, ``apply-lost``, ``apply-unfinished``, ``disable``, ``enable``,
    ``import-crl``, or what a later version of the command has written. ``target`` is what it was done to,
    ``detail`` why or with what outcome.
    """

    at: str
    by: str
    action: str
    target: str
    detail: str
    in_force: bool = False


def entries(chronicle: Chronicle) -> list[Entry]:
    """Return everything that was done, newest first; of the same second in the order of the versions."""
    found = [*_applies(chronicle), *map(_of_journal, chronicle.journal)]
    return sorted(found, key=lambda one: (one.at, one.target), reverse=True)


def say_history(found: Sequence[Entry], limit: int, *, as_json: bool) -> None:
    """Print the newest entries, and how many more there are."""
    first = found[:limit]
    if as_json:
        say_json({"entries": [asdict(one) for one in first], "omitted": len(found) - len(first)})
        return
    if not found:
        say("Nothing was done yet.")
        return
    terminal = sys.stdout.isatty()
    rows = [
        (
            # Into a pipe whole, for other programs; people know their colleagues by the last part.
            one.at.replace("T", " ").removesuffix("Z")[:16] if terminal else one.at,
            _short(one.by) if terminal else one.by,
            _WORDS.get(one.action, one.action),
            f"{one.target}{' (in force)' if one.in_force else ''}: {one.detail}",
        )
        for one in first
    ]
    say_table(("when (UTC)", "who", "did", "what"), rows)
    if len(found) > len(first):
        say(f"{len(found) - len(first)} older entries are not shown; --limit shows more.")


_WORDS = {
    "apply-lost": "apply, lost",
    "apply-unfinished": "apply, unfinished",
}


def _applies(chronicle: Chronicle) -> Iterator[Entry]:
    for one in chronicle.applied:
        yield Entry(
            at=one.applied_at,
            by=one.applied_by,
            action=_action(one, chronicle),
            target=one.id,
            detail=_detail(one, chronicle),
            in_force=one.id == chronicle.current,
        )
    for attempt in chronicle.attempts:
        yield Entry(
            at=attempt.get("started_at", ""),
            by=attempt.get("by", ""),
            action="apply-unfinished",
            target=attempt["id"],
            detail="under way, or broken off before it had an effect",
        )


def _action(one: Version, chronicle: Chronicle) -> str:
    if one.id not in chronicle.in_force:
        return "apply-lost"
    return "rollback" if one.restores else "apply"


def _detail(one: Version, chronicle: Chronicle) -> str:
    if one.id not in chronicle.in_force:
        return "written, but never in force: another one was faster, or it was broken off"
    restored = f"content of {one.restores}; " if one.restores else ""
    return f"{restored}{one.summary}"


def _of_journal(entry: Mapping[str, str]) -> Entry:
    target = entry.get("target", "").replace("#", " ", 1)
    detail = entry.get("reason", "")
    if entry.get("action") == "import-crl":
        detail = f"{entry.get('list', '')}, number {entry.get('number', '')}"
        detail += f", sha256 {entry.get('digest', '')[:_SHOWN_DIGITS]}"
    return Entry(
        at=entry.get("at", ""),
        by=entry.get("by", ""),
        action=entry.get("action", "unknown"),
        target=target,
        detail=detail,
    )


def _short(arn: str) -> str:
    """Return what people call whoever an ARN names: everything behind the first slash."""
    return arn.partition("/")[2] or arn.rpartition(":")[2]
