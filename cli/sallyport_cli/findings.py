"""``sallyport findings``: what the audit has found."""

import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import Line, say, say_json, say_lines, shown
from sallyport_cli.posture import Level
from sallyport_cli.tables import say_table

if TYPE_CHECKING:
    from sallyport.adapters.findings_table import Kept

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
LONGEST: Final = timedelta(days=400)
"""As long as findings are kept by default."""

HANG: Final = 10
"""Where a finding's words begin, behind its severity."""

_SHORT: Final = {"INFORMATIONAL": "INFO"}
_STYLES: Final = {"CRITICAL": "bold red", "HIGH": "bold red", "MEDIUM": "bold yellow"}


def findings(
    *,
    table: Annotated[
        str | None,
        typer.Option(
            "--findings-table", envvar="SALLYPORT_FINDINGS_TABLE", metavar="NAME", help="The findings table."
        ),
    ] = None,
    severity: Annotated[
        Level, typer.Option("--severity", help="Show what is at least so severe.")
    ] = Level.LOW,
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="WHEN", help="How far back: 30m, 12h, 7d, or a time such as 2026-11-20T12:00Z."
        ),
    ] = "7d",
    suppressed: Annotated[
        bool, typer.Option("--suppressed", help="Show suppressed findings as well.")
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print JSON, with all that is known of each.")
    ] = False,
) -> None:
    """List what the audit has found, newest first."""
    with ending(as_json=json_):
        if not table:
            raise CommandError(
                "no-table",
                "No findings table is named.",
                exit_code=Exit.USAGE,
                cure="Give --findings-table or SALLYPORT_FINDINGS_TABLE; it is an output of the stack.",
            )
        now = datetime.now(UTC)
        start = since_when(since, now)
        from sallyport_cli.aws import Aws  # noqa: PLC0415 - loads boto3
        from sallyport_cli.findings_table import read  # noqa: PLC0415 - the same

        found, unreadable = read(Aws().client("dynamodb"), table, since=start, until=now + timedelta(days=1))
        wanted = [
            one
            for one in found
            if one.finding.severity >= severity.severity()
            and (suppressed or one.finding.suppressed_by is None)
        ]
        say_findings(wanted, left_out=len(found) - len(wanted), unreadable=unreadable, as_json=json_)


def since_when(text: str, now: datetime) -> datetime:
    """Return the time that ``--since`` means.

    Raises:
        CommandError: it is neither a span nor a time, or too long ago.
    """
    span = _SPAN.fullmatch(text)
    try:
        start = now - int(span[1]) * _UNITS[span[2]] if span else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        start = None
    if start is None:
        raise CommandError(
            "since",
            "--since is neither a span nor a time.",
            exit_code=Exit.USAGE,
            cure="Give 30m, 12h, 7d, or 2026-11-20T12:00Z.",
        )
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    return max(start, now - LONGEST)


def say_findings(found: "list[Kept]", *, left_out: int, unreadable: int, as_json: bool) -> None:
    """Print findings, and how many are not shown."""
    if as_json:
        from sallyport.audit.finding import to_json  # noqa: PLC0415 - not for --help

        say_json(
            {
                "findings": [to_json(one.finding) for one in found],
                "omitted": left_out,
                "unreadable": unreadable,
            }
        )
        return
    if not found:
        say("Nothing was found.")
    elif sys.stdout.isatty():
        say_lines(_lines(found))
    else:
        _say_rows(found)
    if left_out:
        are = "is" if left_out == 1 else "are"
        say(
            f"{left_out} less severe or suppressed {are} not shown; --severity and --suppressed show more.",
            hang=0,
        )
    if unreadable:
        say(f"{unreadable} item(s) of the table cannot be read and are left out.", hang=0)


def _lines(found: "Sequence[Kept]") -> Iterator[Line]:
    """Yield findings for a terminal: what, about what, when, and where it says what to do."""
    for one in found:
        finding = one.finding
        severity = finding.severity.name
        yield Line(
            f"{_SHORT.get(severity, severity):<{HANG - 1}} {shown(finding.title)}",
            _STYLES.get(severity, "bold"),
            HANG,
        )
        facts = [
            f"{finding.last_event.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            f"{finding.count} times" if finding.count > 1 else "",
            "" if finding.ended is None else f"ended {finding.ended.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            f"suppressed by {finding.suppressed_by}" if finding.suppressed_by else "",
            finding.runbook,
        ]
        for text in (", ".join(finding.dedupe), " · ".join(fact for fact in facts if fact)):
            yield Line(f"{'':<{HANG}}{shown(text)}", "", HANG)
        yield Line("")


def _say_rows(found: "Sequence[Kept]") -> None:
    """Print findings for a pipe: one line each."""
    rows = [
        (
            f"{one.finding.last_event.astimezone(UTC):%m-%d %H:%M}",
            one.finding.severity.name.lower(),
            str(one.finding.count),
            one.finding.rule_id,
            _what(one),
        )
        for one in found
    ]
    say_table(("when (UTC)", "severity", "n", "rule", "what"), rows)


def _what(one: "Kept") -> str:
    finding = one.finding
    said = f"{finding.title}: {', '.join(finding.dedupe)}"
    if finding.ended is not None:
        said = f"{said} (ended {finding.ended.astimezone(UTC):%m-%d %H:%M})"
    return f"{said} (suppressed by {finding.suppressed_by})" if finding.suppressed_by else said
