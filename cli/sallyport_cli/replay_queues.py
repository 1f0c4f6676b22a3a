"""Dead-letter queues: what lies there and why, and its way back."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, Final, Protocol

from sallyport.audit.publish import SOURCE
from sallyport_cli.aws import asking
from sallyport_cli.queue_sender import BATCH, Sender, send

VISIBILITY: Final = 300
"""Seconds for which others do not see what is being brought back; each batch takes a few."""

EMPTY_RECEIVES: Final = 3
"""SQS may answer with nothing although there is something; so often in a row means that there is not."""

MAX_LOOK: Final = 1_000
"""Messages that a look takes; the rest is counted."""

FAILED: Final = "received-too-often"
"""Of a message that SQS itself put aside: the audit failed on it every time."""

Update = Callable[[int, int], None]


class Sqs(Sender, Protocol):
    """The part of boto3's SQS client that is used here."""

    def receive_message(self, **arguments: object) -> dict[str, Any]:
        """Receive messages."""

    def delete_message_batch(self, **arguments: object) -> dict[str, Any]:
        """Delete messages."""

    def change_message_visibility_batch(self, **arguments: object) -> dict[str, Any]:
        """Let others see messages again, or not."""

    def get_queue_attributes(self, **arguments: object) -> dict[str, Any]:
        """Read attributes of a queue."""


@dataclass(frozen=True, slots=True)
class Way:
    """A dead-letter queue, and where its messages belong: by its body a queue and the message to send.

    ``back`` returns a reason instead where a message has no way back.
    """

    name: str
    source: str
    back: Callable[[str], tuple[str, str] | str]


@dataclass(slots=True)
class Found:
    """What was done with one queue's messages, by the reason for which they were there.

    ``there`` is how many there were at the beginning. ``moved`` were brought back; ``again`` were brought
    back and failed again at once; ``stays`` could not be brought back, by reason; ``seen`` were only
    looked at. ``is_broken_off`` says that the queue could not be asked, or not any more.
    """

    name: str
    there: int = 0
    moved: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    stays: Counter[tuple[str, str]] = field(default_factory=Counter)
    again: int = 0
    is_broken_off: bool = False


def plain_way(name: str, source: str, target: str) -> Way:
    """Return the way back where all messages go to one queue, as they are."""
    return Way(name, source, lambda body: (target, body))


def records_way(source: str, records: str, later: str, now: datetime) -> Way:
    """Return the way back of what the audit could not take besides CloudTrail events.

    That are records, what was put off for a second look, and changes of the trust table. The last have no
    queue, and come back as what was put off until now.
    """

    def back(body: str) -> tuple[str, str] | str:
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, Mapping):
            target, sent = records, body
        elif {"kind", "due", "body"} <= message.keys():
            target, sent = later, body
        elif message.get("source") == SOURCE:
            target, sent = records, body
        elif {"eventName", "dynamodb"} <= message.keys():
            target = later
            sent = json.dumps({"kind": "trust", "due": now.astimezone(UTC).isoformat(), "body": body})
        elif "DDBStreamBatchInfo" in message:
            return "names changes, and does not hold them"
        else:
            target, sent = records, body
        return (target, sent) if target else "its queue is not named"

    return Way("records", source, back)


def look(client: Sqs, way: Way, found: Found, update: Update = lambda _done, _all: None) -> None:
    """Write into ``found`` what lies in a queue and why, and leave it all there."""
    found.there, _ = _there(client, way)
    with _held(client, way.source) as held:
        for message in _received(client, way.source, lambda: min(found.there, MAX_LOOK) - len(held)):
            held.append(message["ReceiptHandle"])
            found.seen[reason(message)] += 1
            update(len(held), found.there)


def bring_back(client: Sqs, way: Way, found: Found, update: Update) -> None:
    """Receive, send, delete, in this order: broken off anywhere, a message is twice there and never lost.

    What fails again at once comes back into the queue while it is being emptied. It is left there, so that
    this ends: at most as many are sent as there were at the beginning, and none of what came since.
    ``found`` says what was done, also where this is broken off.
    """
    there, began = _there(client, way)
    found.there = there
    sent: set[bytes] = set()
    left: set[str] = set()
    with _held(client, way.source) as held:
        for messages in _batches(client, way.source, lambda: there - found.moved.total()):
            fresh: list[_Fresh] = []
            for message in messages:
                digest = sha256(message["Body"].encode("utf-8", "surrogatepass")).digest()
                back = way.back(message["Body"])
                is_back = digest in sent and _sent_at(message) >= began
                if message["MessageId"] not in left and not is_back and not isinstance(back, str):
                    sent.add(digest)
                    fresh.append((message, *back))
                    continue
                if message["MessageId"] not in left:
                    found.again += is_back
                    if not is_back:
                        found.stays[reason(message)[0], str(back)] += 1
                left.add(message["MessageId"])
                held.append(message["ReceiptHandle"])
            _send_and_delete(client, way.source, fresh, found, held)
            update(found.moved.total(), there)


_Fresh = tuple[dict[str, Any], str, str]
"""A message, where it belongs, and what to send."""


def _sent_at(message: Mapping[str, Any]) -> float:
    """Return when SQS got a message, in seconds; as late as can be if it does not say."""
    return int(message.get("Attributes", {}).get("SentTimestamp", 2**62)) / 1000


def _send_and_delete(client: Sqs, source: str, fresh: list[_Fresh], found: Found, held: list[str]) -> None:
    for target in sorted({target for _, target, _ in fresh}):
        chosen = [(message, body) for message, its, body in fresh if its == target]
        refused = send(client, target, [body for _, body in chosen])
        taken = []
        for number, (message, _) in enumerate(chosen):
            if number in refused:
                held.append(message["ReceiptHandle"])
                found.stays[reason(message)[0], refused[number]] += 1
            else:
                taken.append(message["ReceiptHandle"])
                found.moved[reason(message)] += 1
        if taken:
            with asking("delete from the dead-letter queue (sqs:DeleteMessage)"):
                client.delete_message_batch(QueueUrl=source, Entries=_entries(taken))


def reason(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return why a message was put aside, and what was said of it.

    The audit writes its reason under the names that EventBridge uses
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html).
    """
    attributes = message.get("MessageAttributes", {})
    said = {name: str(value.get("StringValue", "")) for name, value in attributes.items()}
    detail = said.get("ERROR_MESSAGE", "")
    return said.get("ERROR_CODE") or said.get("EXHAUSTED_RETRY_CONDITION") or FAILED, detail


def _there(client: Sqs, way: Way) -> tuple[int, float]:
    """Return how many messages there are, and what time it is at SQS, in seconds."""
    name = "ApproximateNumberOfMessages"
    with asking("look into the dead-letter queue (sqs:GetQueueAttributes)"):
        answer = client.get_queue_attributes(QueueUrl=way.source, AttributeNames=[name])
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        now = parsedate_to_datetime(date).timestamp()
    except ValueError:
        now = 0.0
    return int(answer["Attributes"][name]), now


def _received(client: Sqs, source: str, wanted: Callable[[], int]) -> Iterator[dict[str, Any]]:
    for messages in _batches(client, source, wanted):
        yield from messages


def _batches(client: Sqs, source: str, wanted: Callable[[], int]) -> Iterator[list[dict[str, Any]]]:
    empty = 0
    while (most := wanted()) > 0 and empty < EMPTY_RECEIVES:
        with asking("receive from the dead-letter queue (sqs:ReceiveMessage)"):
            answer = client.receive_message(
                QueueUrl=source,
                MaxNumberOfMessages=min(BATCH, most),
                VisibilityTimeout=VISIBILITY,
                # Asks all of SQS's servers, where no waiting asks some.
                WaitTimeSeconds=1,
                AttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
            )
        messages = answer.get("Messages", [])
        empty = 0 if messages else empty + 1
        if messages:
            yield messages


@contextmanager
def _held(client: Sqs, source: str) -> Iterator[list[str]]:
    """Hold messages back from others, and from us, until the end; then everybody sees them again."""
    held: list[str] = []
    try:
        yield held
    finally:
        for at in range(0, len(held), BATCH):
            with asking("leave messages in the dead-letter queue (sqs:ChangeMessageVisibility)"):
                client.change_message_visibility_batch(
                    QueueUrl=source,
                    Entries=[one | {"VisibilityTimeout": 0} for one in _entries(held[at : at + BATCH])],
                )


def _entries(handles: list[str]) -> list[dict[str, Any]]:
    return [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
