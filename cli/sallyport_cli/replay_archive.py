"""Replays of an EventBridge archive: started, followed, and towards the audit's own rules alone."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError

ARCHIVE_DELAY: Final = timedelta(minutes=10)
"""How long an event may take into the archive
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-replay-archived-event.html)."""

PAUSE: Final = 2.0
"""Seconds between two questions how far a replay is."""

STEPS: Final = 1_000
"""Of the progress bar."""

_GOES_ON: Final = frozenset({"STARTING", "RUNNING", "CANCELLING"})


class Events(Protocol):
    """The part of boto3's EventBridge client that is used here."""

    def describe_archive(self, **arguments: object) -> dict[str, Any]:
        """Tell of an archive."""

    def list_rule_names_by_target(self, **arguments: object) -> dict[str, Any]:
        """Name the rules of a bus that have a target."""

    def start_replay(self, **arguments: object) -> dict[str, Any]:
        """Start a replay."""

    def describe_replay(self, **arguments: object) -> dict[str, Any]:
        """Tell of a replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One replay: of which archive, onto which bus, and for which rules' ARNs (empty: all of the bus)."""

    name: str
    archive: str
    bus: str
    rules: tuple[str, ...]
    first: datetime
    last: datetime


def bus_of(client: Events, archive: str) -> str:
    """Return the ARN of the bus that an archive keeps; it can be replayed onto no other."""
    with asking("look at the archive (events:DescribeArchive)"):
        answer = client.describe_archive(ArchiveName=archive.rpartition("/")[2])
    return str(answer["EventSourceArn"])


def rules_towards(client: Events, bus: str, queue: str) -> tuple[str, ...]:
    """Return the ARNs of a bus's rules that feed a queue: others may listen there, and are not asked.

    Raises:
        CommandError: there are none, so that a replay would bring nothing.
    """
    prefix, _, name = bus.partition(":event-bus/")
    names: list[str] = []
    more: dict[str, object] = {}
    while True:
        with asking("find the audit's rules (events:ListRuleNamesByTarget)"):
            page = client.list_rule_names_by_target(TargetArn=queue, EventBusName=name, **more)
        names += page.get("RuleNames", ())
        if not page.get("NextToken"):
            break
        more = {"NextToken": page["NextToken"]}
    if not names:
        raise CommandError(
            "no-rule",
            f"No rule of {bus} feeds the audit's queue, so that a replay would bring nothing.",
            cure="Give the queue and the bus of one stack.",
        )
    of_bus = "" if name == "default" else f"{name}/"
    return tuple(f"{prefix}:rule/{of_bus}{rule}" for rule in sorted(names))


def start(client: Events, replay: Replay) -> None:
    """Start a replay."""
    filters = {"FilterArns": list(replay.rules)} if replay.rules else {}
    with asking(f"start the replay {replay.name} (events:StartReplay)"):
        client.start_replay(
            ReplayName=replay.name,
            EventSourceArn=replay.archive,
            EventStartTime=replay.first,
            EventEndTime=replay.last,
            Destination={"Arn": replay.bus, **filters},
        )


def follow(
    client: Events,
    replay: Replay,
    update: Callable[[int, int], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until a replay has ended.

    Raises:
        CommandError: it failed, or somebody cancelled it; with EventBridge's reason.
    """
    while True:
        with asking(f"look at the replay {replay.name} (events:DescribeReplay)"):
            answer = client.describe_replay(ReplayName=replay.name)
        state = str(answer.get("State", "unknown"))
        if state == "COMPLETED":
            update(STEPS, STEPS)
            return
        if state not in _GOES_ON:
            last = answer.get("EventLastReplayedTime")
            reached = f" It had come to {last:%Y-%m-%dT%H:%M:%SZ}." if isinstance(last, datetime) else ""
            reason = f": {answer['StateReason']}" if answer.get("StateReason") else ""
            raise CommandError(
                f"replay-{state.lower()}",
                f"The replay {replay.name} ended as {state}{reason}.{reached}",
                cure="Run it again: what arrived before is known, and counted once.",
            )
        update(round(_done(replay, answer.get("EventLastReplayedTime")) * STEPS), STEPS)
        pause(PAUSE)


def _done(replay: Replay, reached: object) -> float:
    """Return how much of its time a replay has behind it, between 0 and 1."""
    if not isinstance(reached, datetime):
        return 0.0
    return min(1.0, max(0.0, (reached - replay.first) / (replay.last - replay.first)))
