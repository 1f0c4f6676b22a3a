"""The three kinds of replay, from the names of things to the words about what was done."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sallyport.audit.selection import wanted_by_any
from sallyport_cli import replay_archive as archive_replays
from sallyport_cli.aws import Aws, asking
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import progress, say, say_json, waiting
from sallyport_cli.replay_archive import Replay
from sallyport_cli.replay_queues import Found, Way, bring_back, look, plain_way, records_way
from sallyport_cli.replay_trail import Choice, ToQueue, send_trail
from sallyport_cli.replay_view import (
    queues_as_json,
    replays_as_json,
    say_queues,
    say_replay,
    say_trail,
    trail_as_json,
)
from sallyport_cli.stack_names import outputs_of
from sallyport_cli.trail_places import SCHEME, LogFile, Wanted, in_bucket, in_folder

Span = tuple[datetime, datetime]

WRITERS: Final = (
    "Only the records rule and the stack's ReplayRole may write to the queues of records: use that role, or "
    "bring the records back from their archive with --from."
)


class Job:
    """One run of the command.

    Args:
        given: names of things by the stack's outputs, from options and environment.
        stack: whose outputs to take instead; none if empty.
        now: the time at which the run began.
        is_dry: only show what would be done.
        as_json: tell it as JSON.
    """

    def __init__(
        self, given: Mapping[str, str], stack: str, now: datetime, *, is_dry: bool, as_json: bool
    ) -> None:
        self._aws = Aws()
        self._names = dict(given)
        if stack:
            with waiting("reading the stack's outputs"):
                self._names |= outputs_of(self._aws.client("cloudformation"), stack)
        self._now = now
        self._is_dry = is_dry
        self._as_json = as_json

    def queues(self) -> None:
        """Bring back what lies in the dead-letter queues, or show it."""
        ways = list(self._ways())
        if not ways:
            raise CommandError(
                "no-queue",
                "The queues are not named.",
                exit_code=Exit.USAGE,
                cure="Give --stack, or --events-dead-letters and --events-queue, outputs of the stack.",
            )
        client = self._aws.client("sqs")
        found: list[Found] = []
        failed: CommandError | None = None
        for way in ways:
            found.append(Found(way.name))
            try:
                if self._is_dry:
                    with waiting(f"{way.name}: looking"):
                        look(client, way, found[-1])
                else:
                    with progress(f"{way.name}: bringing messages back") as update:
                        bring_back(client, way, found[-1], update)
            except CommandError as error:
                # What became of the other queue is told all the same.
                found[-1].is_broken_off = True
                failed = failed or _explained(error, way)
        report = queues_as_json(found)
        if not self._as_json:
            say_queues(found, is_dry=self._is_dry)
        if failed is not None:
            raise CommandError(
                failed.reason, failed.detail, cure=failed.cure, exit_code=failed.exit_code, more=report
            )
        if report["stays"]:
            raise CommandError(
                "not-all",
                f"{report['stays']} message(s) could not be brought back and stay where they are.",
                cure="docs/replay.md says what can be done about each.",
                more=report,
            )
        if self._as_json:
            say_json({"dry_run": self._is_dry, **report})

    def archives(self, span: Span, *, wait: bool) -> None:
        """Replay the archives that are named: records first, since rules explain events by them."""
        with waiting("looking at the archives"):
            replays = self._replays(span)
        client = self._aws.client("events")
        for what, one in replays.items():
            if not self._is_dry:
                archive_replays.start(client, one)
            if not self._as_json:
                say_replay(what, one, is_dry=self._is_dry)
            if wait and not self._is_dry:
                with progress(f"replaying {what}") as update:
                    archive_replays.follow(client, one, update)
        state = "not started" if self._is_dry else "COMPLETED" if wait else "STARTING"
        if self._as_json:
            say_json(replays_as_json(replays, state))
            return
        if wait and not self._is_dry:
            say("Replayed. The audit takes what it has not seen yet.")
        if span[1] > self._now - archive_replays.ARCHIVE_DELAY:
            say("What is less than ten minutes old may not be in the archive yet.")

    def trail(self, place: str, span: Span, accounts: frozenset[str], regions: frozenset[str]) -> None:
        """Send the events of a trail's log files that the rules want to see."""
        first, last = span
        wanted = Wanted(first=first, last=last, accounts=accounts, regions=regions)
        queue = self._names.get("EventsQueue")
        if not queue and not self._is_dry:
            raise CommandError(
                "no-queue",
                "The queue of CloudTrail events is not named.",
                exit_code=Exit.USAGE,
                cure="Give --stack or --events-queue: it is an output of the stack.",
            )
        managed = [one for one in self._names["ManagedRoles"].split(",") if one]
        send_all: Callable[[list[str]], dict[int, str]] | None = None
        if queue and not self._is_dry:
            send_all = ToQueue(self._aws.client("sqs"), queue)
        name = f"sallyport-trail-{self._now:%Y%m%dT%H%M%S}"
        with progress("reading log files") as update:
            choose = Choice(wanted, wanted_by_any(managed), name)
            counts = send_trail(self._files(place, wanted), choose, send_all, update)
        report = {"dry_run": self._is_dry, **trail_as_json(counts, name)}
        if not self._as_json:
            say_trail(counts, is_dry=self._is_dry)
        if not counts.complete:
            raise CommandError(
                "incomplete",
                "Not every file could be read, or not every event sent.",
                cure="Look at what is named, and run it again: what arrived is known, and counted once.",
                more=report,
            )
        if self._as_json:
            say_json(report)

    def _replays(self, span: Span) -> dict[str, Replay]:
        first, last = span
        names = self._names
        queues = {"records": "AuditQueue", "own-events": "EventsQueue", "events": "EventsQueue"}
        archives = {
            what: names[archive]
            for what, archive in (
                ("records", "RecordsArchiveArn"),
                ("own-events", "OwnEventsArchiveArn"),
                ("events", "EventsArchiveArn"),
            )
            if names.get(archive)
        }
        if not archives:
            raise CommandError(
                "no-archive",
                "No archive is named.",
                exit_code=Exit.USAGE,
                cure="Give --stack, or --records-archive or --events-archive; the stack has them as outputs.",
            )
        client = self._aws.client("events")
        replays: dict[str, Replay] = {}
        for what, archive in archives.items():
            queue = names.get(queues[what])
            if not queue:
                # Others listen on the default bus as well, and would do again whatever they do.
                raise CommandError(
                    "no-queue",
                    f"The audit's queue for {what} is not named, by which its rules are found.",
                    exit_code=Exit.USAGE,
                    cure="Give --stack, or --records-queue and --events-queue, outputs of the stack.",
                )
            bus = archive_replays.bus_of(client, archive)
            replays[what] = Replay(
                name=f"sallyport-{what}-{self._now:%Y%m%dT%H%M%S}",
                archive=archive,
                bus=bus,
                rules=archive_replays.rules_towards(client, bus, self._arn(queue)),
                first=first,
                last=last,
            )
        return replays

    def _ways(self) -> Iterator[Way]:
        names = self._names
        if names.get("EventsDeadLetterQueue") and names.get("EventsQueue"):
            yield plain_way("events", names["EventsDeadLetterQueue"], names["EventsQueue"])
        if names.get("ImportsDeadLetterQueue") and names.get("ImportsQueue"):
            yield plain_way("imports", names["ImportsDeadLetterQueue"], names["ImportsQueue"])
        # Last, because on AWS few may.
        if names.get("AuditDeadLetterQueue") and names.get("AuditQueue"):
            later = names.get("LaterQueue", "")
            yield records_way(names["AuditDeadLetterQueue"], names["AuditQueue"], later, self._now)

    def _arn(self, queue: str) -> str:
        with asking("find the queue (sqs:GetQueueAttributes)"):
            answer: Mapping[str, Any] = self._aws.client("sqs").get_queue_attributes(
                QueueUrl=queue, AttributeNames=["QueueArn"]
            )
        return str(answer["Attributes"]["QueueArn"])

    def _files(self, place: str, wanted: Wanted) -> Iterator[LogFile]:
        if place.startswith(SCHEME):
            return in_bucket(self._aws.client("s3"), place, wanted)
        return in_folder(Path(place), wanted)


def _explained(error: CommandError, way: Way) -> CommandError:
    """Say of an error in which queue it was, and of a refusal by the records' queues who may write there."""
    is_writing = (
        way.name == "records" and "AccessDenied" in error.reason and "sqs:SendMessage" in error.detail
    )
    return CommandError(
        error.reason,
        f"{way.name}: {error.detail}",
        cure=WRITERS if is_writing else error.cure,
        exit_code=error.exit_code,
    )
