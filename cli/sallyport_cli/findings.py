"""``sallyport findings``: what the audit has found."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, say_json
from sallyport_cli.posture import Level
from sallyport_cli.tables import say_table

if TYPE_CHECKING:
    from sallyport.adapters.findings_table import Kept

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
LONGEST: Final = timedelta(days=400)
"""As long as findings are kept by default."""

SHOWN_DIGITS: Final = 8
"""How much of a finding's id tells it from others in a list."""


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
    if found:
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
    else:
        say("Nothing was found.")
    if left_out:
        say(
            f"{left_out} less severe or suppressed ones are not shown; --severity and --suppressed show more."
        )
    if unreadable:
        say(f"{unreadable} item(s) of the table cannot be read and are left out.")


def _what(one: "Kept") -> str:
    finding = one.finding
    said = f"{finding.title}: {', '.join(finding.dedupe)}"
    return f"{said} (suppressed by {finding.suppressed_by})" if finding.suppressed_by else said
