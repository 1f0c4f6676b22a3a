"""``sallyport replay``: back to the audit what it could not take, what is archived, or what a trail wrote."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from sallyport_cli.ending import ending
from sallyport_cli.since import moment, past, usage

MANAGED_ROLES: Final = "arn:*:iam::*:role/sallyport/*"
"""The template's own default."""


def replay(  # noqa: PLR0913 - a command has as many arguments as options
    *,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHEN",
            help="From this time on: 2026-11-20T10:00Z, or 30m, 12h, 7d ago. Replays the archives, or with "
            "--trail its log files.",
        ),
    ] = "",
    end: Annotated[str, typer.Option("--to", metavar="WHEN", help="Up to this time; by default now.")] = "",
    trail: Annotated[
        str,
        typer.Option(
            "--trail",
            metavar="PLACE",
            help="A trail's log files: s3://bucket/prefix, or a folder with copies.",
        ),
    ] = "",
    accounts: Annotated[
        list[str] | None,
        typer.Option("--account", metavar="ID", help="With --trail: this account alone. May be repeated."),
    ] = None,
    regions: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="REGION", help="With --trail: this Region alone. May be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what there is; bring back and send nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the archives are replayed.")
    ] = True,
    stack: Annotated[
        str,
        typer.Option(
            "--stack", metavar="NAME", help="Take the names below from this stack's outputs instead."
        ),
    ] = "",
    events_dead: Annotated[
        str,
        typer.Option(
            "--events-dead-letters",
            "--from-queue",
            envvar="SALLYPORT_EVENTS_DEAD_LETTER_QUEUE",
            metavar="URL",
            help="The dead-letter queue of CloudTrail events.",
        ),
    ] = "",
    events_queue: Annotated[
        str,
        typer.Option(
            "--events-queue",
            "--to-queue",
            envvar="SALLYPORT_EVENTS_QUEUE",
            metavar="URL",
            help="The queue of CloudTrail events.",
        ),
    ] = "",
    imports_dead: Annotated[
        str,
        typer.Option(
            "--imports-dead-letters",
            envvar="SALLYPORT_IMPORTS_DEAD_LETTER_QUEUE",
            metavar="URL",
            help="The dead-letter queue of imports into Security Hub.",
        ),
    ] = "",
    imports_queue: Annotated[
        str,
        typer.Option(
            "--imports-queue",
            envvar="SALLYPORT_IMPORTS_QUEUE",
            metavar="URL",
            help="The queue of imports into Security Hub.",
        ),
    ] = "",
    records_dead: Annotated[
        str,
        typer.Option(
            "--records-dead-letters",
            envvar="SALLYPORT_AUDIT_DEAD_LETTER_QUEUE",
            metavar="URL",
            help="The dead-letter queue of records, and of what was put off.",
        ),
    ] = "",
    records_queue: Annotated[
        str,
        typer.Option(
            "--records-queue", envvar="SALLYPORT_AUDIT_QUEUE", metavar="URL", help="The queue of records."
        ),
    ] = "",
    later_queue: Annotated[
        str,
        typer.Option(
            "--later-queue",
            envvar="SALLYPORT_LATER_QUEUE",
            metavar="URL",
            help="The queue of what was put off for a second look.",
        ),
    ] = "",
    records_archive: Annotated[
        str,
        typer.Option(
            "--records-archive",
            envvar="SALLYPORT_RECORDS_ARCHIVE_ARN",
            metavar="ARN",
            help="The archive of records.",
        ),
    ] = "",
    events_archive: Annotated[
        str,
        typer.Option(
            "--events-archive",
            envvar="SALLYPORT_EVENTS_ARCHIVE_ARN",
            metavar="ARN",
            help="The archive of CloudTrail events that others forward.",
        ),
    ] = "",
    own_events_archive: Annotated[
        str,
        typer.Option(
            "--own-events-archive",
            envvar="SALLYPORT_OWN_EVENTS_ARCHIVE_ARN",
            metavar="ARN",
            help="The archive of this account's and Region's CloudTrail events.",
        ),
    ] = "",
    managed_roles: Annotated[
        str,
        typer.Option(
            "--managed-roles",
            envvar="SALLYPORT_MANAGED_ROLES",
            metavar="ARNS",
            help="With --trail: patterns of the roles that only the exchange assumes, with commas.",
        ),
    ] = MANAGED_ROLES,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Bring back to the audit what it could not take, or replay archives or a trail's log files.

    Without --from: the dead-letter queues. The audit knows what it has seen, so that nothing is counted or
    alerted twice, and a run that was broken off can be run again. docs/replay.md says which way is for what.
    """
    with ending(as_json=json_):
        given = {
            "EventsDeadLetterQueue": events_dead,
            "EventsQueue": events_queue,
            "ImportsDeadLetterQueue": imports_dead,
            "ImportsQueue": imports_queue,
            "AuditDeadLetterQueue": records_dead,
            "AuditQueue": records_queue,
            "LaterQueue": later_queue,
            "RecordsArchiveArn": records_archive,
            "OwnEventsArchiveArn": own_events_archive,
            "EventsArchiveArn": events_archive,
            "ManagedRoles": managed_roles,
        }
        now = datetime.now(UTC)
        span = _span(start, end, now)
        if not trail and (accounts or regions):
            raise usage("--account and --region are for --trail.", "Give --trail as well.")
        if trail and span is None:
            raise usage("A trail has no beginning.", "Give --from, and --to if it is not to be now.")
        from sallyport_cli.replay_job import Job  # noqa: PLC0415 - loads boto3

        job = Job(given, stack, now, is_dry=dry_run, as_json=json_)
        if span is None:
            job.queues()
        elif trail:
            job.trail(trail, span, frozenset(accounts or ()), frozenset(regions or ()))
        else:
            job.archives(span, wait=wait)


def _span(start: str, end: str, now: datetime) -> tuple[datetime, datetime] | None:
    """Return the time to replay; ``None`` if none is given.

    Raises:
        CommandError: it is no time, or its end is not after its beginning.
    """
    if not start:
        if end:
            raise usage("--to has no --from.", "Give --from as well.")
        return None
    first, last = past(start, now, "--from"), moment(end, now, "--to") if end else now
    if first >= last:
        raise usage("--to is not later than --from.", "Give an earlier --from, or a later --to.")
    return first, last
