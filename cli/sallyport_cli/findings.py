"""``sallyport findings``: what the audit has found."""

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sallyport_cli import findings_view
from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import PROGRESS_FROM, progress, say, waiting
from sallyport_cli.posture import Level
from sallyport_cli.since import past, usage
from sallyport_cli.stack_names import Stack, named

if TYPE_CHECKING:
    from sallyport.adapters.findings_table import Kept
    from sallyport_cli.findings_table import DynamoDb

LONGEST: Final = timedelta(days=400)
"""As long as findings are kept by default."""

_ID: Final = re.compile(r"[0-9a-f]{64}")
_PART: Final = re.compile(r"[0-9a-f]{8,63}")


def findings(  # noqa: PLR0913 - a command has as many arguments as options
    *,
    table: Annotated[
        str | None,
        typer.Option(
            "--findings-table", envvar="SALLYPORT_FINDINGS_TABLE", metavar="NAME", help="The findings table."
        ),
    ] = None,
    stack: Stack = "",
    id_: Annotated[
        str,
        typer.Option(
            "--id",
            metavar="ID",
            help="Show all of one finding, and where to look next: its id as an alert has it, or the "
            "beginning of it as the list has it.",
        ),
    ] = "",
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
    ocsf: Annotated[
        bool,
        typer.Option(
            "--ocsf", help="Print a Detection Finding of OCSF 1.5 in each line, for a SIEM or a lake."
        ),
    ] = False,
) -> None:
    """List what the audit has found, newest first, or show all of one finding."""
    with ending(as_json=json_):
        if ocsf and json_:
            raise usage("--json and --ocsf are two forms of the same.", "Give one of them.")
        now = datetime.now(UTC)
        start = since_when(since, now)
        if id_ and not (_ID.fullmatch(id_) or _PART.fullmatch(id_)):
            raise usage(
                "That is not the id of a finding: it has 64 hexadecimal digits, of which 8 may do.",
                "Alerts end with it, and sallyport findings lists it.",
            )
        if not (table or stack):
            raise CommandError(
                "no-table",
                "No findings table is named.",
                exit_code=Exit.USAGE,
                cure="Give --stack, --findings-table or SALLYPORT_FINDINGS_TABLE (the output FindingsTable).",
            )
        from sallyport_cli.aws import Aws  # noqa: PLC0415 - loads boto3

        aws = Aws()
        if stack:
            with waiting("reading the stack's outputs"):
                table = named(aws, stack, {"FindingsTable": None})["FindingsTable"]
        client = aws.client("dynamodb")
        if id_:
            one = _one(client, str(table), id_, start, now)
            if not _as_documents([one], as_json=json_, as_ocsf=ocsf):
                findings_view.say_one(one, stack)
            return
        found, unreadable = _read(client, str(table), start, now)
        wanted = [
            one
            for one in found
            if one.finding.severity >= severity.severity()
            and (suppressed or one.finding.suppressed_by is None)
        ]
        left_out = len(found) - len(wanted)
        if not _as_documents(wanted, left_out=left_out, unreadable=unreadable, as_json=json_, as_ocsf=ocsf):
            say_findings(wanted, start, left_out=left_out, unreadable=unreadable)


def _as_documents(
    found: "list[Kept]", *, left_out: int = 0, unreadable: int = 0, as_json: bool, as_ocsf: bool
) -> bool:
    """Print findings for programs, if that is asked for."""
    if as_json:
        findings_view.as_json(found, left_out=left_out, unreadable=unreadable)
    if as_ocsf:
        findings_view.as_ocsf(found)
        if unreadable:
            say(f"{unreadable} item(s) of the table cannot be read and are left out.", stream=sys.stderr)
    return as_json or as_ocsf


def since_when(text: str, now: datetime) -> datetime:
    """Return the time that ``--since`` means; findings are kept no longer than ``LONGEST``.

    Raises:
        CommandError: it is neither a span nor a time, or still to come.
    """
    return max(past(text, now, "--since"), now - LONGEST)


def say_findings(found: "list[Kept]", start: datetime, *, left_out: int, unreadable: int) -> None:
    """Print a list of findings, and how many are not in it."""
    from sallyport_cli.findings_table import MAX_FINDINGS  # noqa: PLC0415 - loads boto3

    if found:
        findings_view.say_list(found)
    else:
        since = findings_view.moment(start)
        say(f"Nothing {'to show' if left_out or unreadable else 'was found'} since {since}.", hang=0)
    if left_out:
        are = "is" if left_out == 1 else "are"
        say(
            f"{left_out} less severe or suppressed {are} not shown; --severity and --suppressed show more.",
            hang=0,
        )
    if unreadable:
        say(f"{unreadable} item(s) of the table cannot be read and are left out.", hang=0)
    if len(found) + left_out >= MAX_FINDINGS:
        say(f"Only the latest {MAX_FINDINGS:,} were read; a later --since leaves out others.", hang=0)


def _read(client: "DynamoDb", table: str, start: datetime, now: datetime) -> tuple[list["Kept"], int]:
    from sallyport_cli.findings_table import read  # noqa: PLC0415 - loads boto3

    until = now + timedelta(days=1)  # Events may be dated by clocks that are ahead.
    if (until - start).days < PROGRESS_FROM:
        with waiting("reading findings"):
            return read(client, table, since=start, until=until)
    with progress("reading findings, day by day") as update:
        return read(client, table, since=start, until=until, update=update)


def _one(client: "DynamoDb", table: str, id_: str, start: datetime, now: datetime) -> "Kept":
    """Return one finding: by its whole id whenever it was, by a part of it within ``--since``.

    Raises:
        CommandError: there is none, or there are several.
    """
    from sallyport_cli.findings_table import get  # noqa: PLC0415 - loads boto3

    if _ID.fullmatch(id_):
        with waiting("looking for the finding"):
            one = get(client, table, id_)
        if one is None:
            raise CommandError(
                "no-such-finding",
                f"There is no finding {id_}.",
                cure="Check the id, the account and the Region of the stack that sent the alert.",
            )
        return one
    found = [one for one in _read(client, table, start, now)[0] if one.finding.id.startswith(id_)]
    if not found:
        raise CommandError(
            "no-such-finding",
            f"No finding since {findings_view.moment(start)} has an id that begins with {id_}.",
            cure="Give a longer --since, or the whole id.",
        )
    if len(found) > 1:
        raise CommandError(
            "several-findings",
            f"{len(found)} findings have an id that begins with {id_}.",
            cure="Give more of its digits.",
        )
    return found[0]
