"""``sallyport trace``: where an access key comes from, and what it became."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, say_json, say_lines, shown, waiting
from sallyport_cli.stack_names import Stack, named

if TYPE_CHECKING:
    from sallyport_cli.trace_source import Gathered


def trace(  # noqa: PLR0913 - one argument for each option
    start: Annotated[
        str,
        typer.Argument(metavar="KEY_OR_NAME", help="An access key id, a source identity or a session name."),
    ],
    sessions_table: Annotated[
        str | None,
        typer.Option(
            "--sessions-table",
            envvar="SALLYPORT_SESSIONS_TABLE",
            help="The sessions table.",
            metavar="NAME",
        ),
    ] = None,
    from_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--from-file",
            help="Look into files instead of the sessions table: `aws cloudtrail lookup-events`, a trail's "
            "files (.gz as well), events in envelopes, records.",
            metavar="FILE",
        ),
    ] = None,
    records_table: Annotated[
        str | None,
        typer.Option(
            "--records-table",
            envvar="SALLYPORT_RECORDS_TABLE",
            help="The records table, for --scan-records.",
            metavar="NAME",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Also write a page with the picture to this file.", metavar="FILE"),
    ] = None,
    *,
    stack: Stack = "",
    scan_records: Annotated[
        bool,
        typer.Option(
            "--scan-records", help="Also read the whole records table, which costs what it is large."
        ),
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the trace as JSON.")] = False,
) -> None:
    """Say where an access key comes from, and what it became.

    Prints the sessions as a tree: back to the outside identity, across accounts and Regions, and forward to
    every session that was made with it. Where the chain is broken it says what is missing; that is no
    failure. In JSON `arrives` says whether all of it goes back to outside identities, and `gaps` what is
    missing.
    """
    with ending(as_json=json_):
        from sallyport.audit.lineage.tree import to_json, tree  # noqa: PLC0415 - only for this command
        from sallyport_cli.trace_view import lines  # noqa: PLC0415 - the same

        if stack:
            sessions_table, records_table = _of_stack(stack)
        found = _gathered(
            start,
            sessions_table,
            from_file or [],
            records_table if scan_records else None,
            scan_records=scan_records,
        )
        known = tree(found.edges, start)
        if not known.rows:
            raise CommandError(
                "nothing-known",
                f"Nothing is known of a session by {start}.",
                cure="Check the id or the name, the account and the Region. CloudTrail's events come "
                "minutes late; what is older than the sessions table keeps is in the trail's files "
                "(--from-file).",
                more={"notes": list(found.notes)},
            )
        if html is not None:
            from sallyport.audit.lineage.page import page  # noqa: PLC0415 - only for pages

            _write(html, page(known))
        if json_:
            say_json({**to_json(known), "notes": list(found.notes)})
            return
        say_lines(lines(known))
        for note in found.notes:
            say(f"Note: {shown(note)}", style="yellow", hang=6)
        if html is not None:
            say(f"The page is in {shown(html)}.", hang=0)


def _of_stack(stack: str) -> tuple[str | None, str | None]:
    """Return what a stack calls its sessions table and its records table."""
    from sallyport_cli.aws import Aws  # noqa: PLC0415 - loads boto3

    with waiting("reading the stack's outputs"):
        names = named(Aws(), stack, {"SessionsTable": None, "RecordsTable": None})
    return names.get("SessionsTable"), names.get("RecordsTable")


def _gathered(
    start: str,
    sessions_table: str | None,
    files: list[Path],
    records_table: str | None,
    *,
    scan_records: bool,
) -> "Gathered":
    """Return the edges around ``start`` from wherever the options say."""
    from sallyport_cli import trace_source  # noqa: PLC0415 - only for this command

    if not start:
        raise CommandError(
            "no-start",
            "An empty text is no key and no name.",
            exit_code=Exit.USAGE,
            cure="Give an access key id, a source identity or a session name.",
        )
    if scan_records and not records_table:
        raise CommandError(
            "no-records-table",
            "No records table is named.",
            cure="Give --stack, --records-table or SALLYPORT_RECORDS_TABLE (the output RecordsTable).",
            exit_code=Exit.USAGE,
        )
    if not (files or sessions_table or scan_records):
        raise CommandError(
            "no-sessions-table",
            "No sessions table is named.",
            cure="Give --stack, --sessions-table or SALLYPORT_SESSIONS_TABLE (the output SessionsTable). "
            "Without one, --from-file reads events from files and --scan-records reads the records.",
            exit_code=Exit.USAGE,
        )
    found = trace_source.of_files(files)
    if records_table is None and (files or not sessions_table):
        return found
    from sallyport_cli.aws import Aws  # noqa: PLC0415 - loads boto3

    client = Aws().client("dynamodb")
    if sessions_table and not files:
        with waiting("looking into the sessions table"):
            found += trace_source.of_table(client, sessions_table, start)
    if records_table is not None:
        with waiting("reading the records table"):
            found += trace_source.of_records(client, records_table)
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            "page-not-written",
            f"Could not write the page to {path}: {error.strerror or error}.",
            cure="Name a file in a directory that may be written to.",
        ) from error
