"""From a trail's log files to the audit's queue: what the rules want to see, as EventBridge brings it."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sallyport.audit.events import Observed, Unusable, read_event
from sallyport.audit.selection import Wants
from sallyport_cli.aws import asking
from sallyport_cli.queue_sender import BATCH, Sender, send
from sallyport_cli.trail_file import BrokenFileError, envelope, events, unpacked
from sallyport_cli.trail_places import LogFile, Wanted

MAX_WAITING: Final = 5_000
"""Messages that may wait for the audit at a time. What happens now waits behind them: some minutes."""

LOOK_EVERY: Final = 1_000
"""Messages after which the queue is looked at."""

PAUSE: Final = 2.0
"""Seconds until a full queue is looked at again."""

MAX_NAMED: Final = 100
"""Files and events that are named, at most; the rest is counted."""

STEPS: Final = 1_000
"""Of the progress bar."""


class Queue(Sender, Protocol):
    """The part of boto3's SQS client that is used here."""

    def get_queue_attributes(self, **arguments: object) -> dict[str, Any]:
        """Read attributes of a queue."""


@dataclass(slots=True)
class Counts:
    """What became of files and events: ``events`` is ``sent`` and all that was skipped or refused."""

    files: int = 0
    events: int = 0
    sent: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    by_name: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    named: list[tuple[str, str]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Tell whether every file was read to its end and every wanted event sent."""
        return not self.broken and not self.refused

    def name(self, what: str, why: str) -> None:
        """Remember what is not complete, for whoever has to look at it."""
        if len(self.named) < MAX_NAMED:
            self.named.append((what, why))


class ToQueue:
    """Sends to the audit's queue, not faster than the audit takes."""

    def __init__(self, client: Queue, url: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._url = url
        self._pause = pause
        self._unseen = 0

    def __call__(self, bodies: list[str]) -> dict[int, str]:
        """Send messages; returns by their place those that were not taken, and why."""
        self._unseen += len(bodies)
        if self._unseen >= LOOK_EVERY:
            self._unseen = 0
            while self._waiting() > MAX_WAITING:
                self._pause(PAUSE)
        return send(self._client, self._url, bodies, self._pause)

    def _waiting(self) -> int:
        name = "ApproximateNumberOfMessages"
        with asking("look at the audit's queue (sqs:GetQueueAttributes)"):
            answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(answer["Attributes"][name])


def send_trail(
    files: Iterable[LogFile],
    choose: "Choice",
    send_all: Callable[[list[str]], dict[int, str]] | None,
    update: Callable[[int, int], None] = lambda _done, _all: None,
) -> Counts:
    """Read log files and send what the rules want to see.

    Args:
        files: the files.
        choose: tells which events are for the audit.
        send_all: sends messages; ``None`` sends nothing and only counts.
        update: is told how far it has come.
    """
    counts = Counts()
    batch: list[tuple[str, str]] = []

    def flush() -> None:
        refused = {} if send_all is None else send_all([body for _, body in batch])
        for number, (event_id, _) in enumerate(batch):
            if number in refused:
                counts.refused[refused[number]] += 1
                counts.name(f"event {event_id}", refused[number])
            else:
                counts.sent += 1
        batch.clear()

    for file in files:
        counts.files += 1
        update(round(file.done * STEPS), STEPS)
        try:
            for event in events(unpacked(file.read())):
                counts.events += 1
                chosen = choose(event)
                if isinstance(chosen, str):
                    counts.skipped[chosen] += 1
                    continue
                observed, message = chosen
                counts.by_name[f"{observed.source} {observed.name}"] += 1
                batch.append((observed.event_id, message))
                if len(batch) == BATCH:
                    flush()
        except BrokenFileError as error:
            counts.broken[error.reason] += 1
            counts.name(file.name, error.reason)
    flush()
    update(STEPS, STEPS)
    return counts


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events of a trail are for the audit.

    ``wants`` tells whether any rule wants to see an event; ``replay`` is the name of this replay.
    """

    wanted: Wanted
    wants: Wants
    replay: str

    def __call__(self, event: object) -> tuple[Observed, str] | str:
        """Return an event and its message, or why it is none for the audit."""
        wrapped = envelope(event, self.replay)
        if isinstance(wrapped, Unusable):
            return wrapped.reason
        observed = read_event(wrapped)
        if isinstance(observed, Unusable):
            return observed.reason
        if (other := self._other(observed)) is not None:
            return other
        # ASCII, because SQS refuses some characters.
        return observed, json.dumps(wrapped, separators=(",", ":"), ensure_ascii=True)

    def _other(self, event: Observed) -> str | None:
        wanted = self.wanted
        if not wanted.first <= event.time < wanted.last:
            return "other-time"
        if event.account not in (wanted.accounts or {event.account}):
            return "other-account"
        if event.region not in (wanted.regions or {event.region}):
            return "other-region"
        return None if self.wants(event) else "no-rule-wants-it"
