"""Messages onto a queue, in SQS's batches; what SQS takes of a batch in part is sent again in part."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from sallyport_cli.aws import asking

BATCH: Final = 10
"""SQS's own limit of one batch
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html)."""

MAX_BYTES: Final = 256 * 1024
"""Of a message, and of a batch together. SQS takes more by now; not every queue and every Region does."""

ATTEMPTS: Final = 6
"""For what SQS could not take although there is nothing wrong with it: about six seconds."""

FIRST_PAUSE: Final = 0.2


class Sender(Protocol):
    """The part of boto3's SQS client that is used here."""

    def send_message_batch(self, **arguments: object) -> dict[str, Any]:
        """Send up to ten messages."""


def send(
    client: Sender, url: str, bodies: Sequence[str], pause: Callable[[float], None] = time.sleep
) -> dict[int, str]:
    """Send messages; returns by place in ``bodies`` those that the queue did not take, and why.

    Raises:
        CommandError: the queue cannot be asked. Some messages may have been sent.
    """
    refused = {number: "too-large" for number, body in enumerate(bodies) if size(body) > MAX_BYTES}
    for batch in _batches((number, body) for number, body in enumerate(bodies) if number not in refused):
        left = dict(batch)
        for attempt in range(ATTEMPTS):
            if attempt:
                pause(FIRST_PAUSE * 2 ** (attempt - 1))
            failed = _send(client, url, left)
            refused |= {number: code for number, (code, ours) in failed.items() if ours}
            left = {number: left[number] for number, (_, ours) in failed.items() if not ours}
            if not left:
                break
        refused |= {number: failed[number][0] for number in left}
    return refused


def size(body: str) -> int:
    """Return a message's size as SQS counts it."""
    return len(body.encode("utf-8", "surrogatepass"))


def _send(client: Sender, url: str, left: dict[int, str]) -> dict[int, tuple[str, bool]]:
    """Send one batch; returns what failed, with SQS's code and whether it is the message's own fault."""
    with asking("send to the audit's queue (sqs:SendMessage)"):
        answer = client.send_message_batch(
            QueueUrl=url,
            Entries=[{"Id": str(number), "MessageBody": body} for number, body in left.items()],
        )
    failed = {
        int(one["Id"]): (str(one.get("Code", "unknown")), bool(one.get("SenderFault", False)))
        for one in answer.get("Failed", ())
    }
    taken = {int(one["Id"]) for one in answer.get("Successful", ())}
    # Of which the answer says nothing, nothing is known.
    return {number: failed.get(number, ("no-answer", False)) for number in left if number not in taken}


def _batches(numbered: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    batch: list[tuple[int, str]] = []
    total = 0
    for number, body in numbered:
        length = size(body)
        if batch and (len(batch) == BATCH or total + length > MAX_BYTES):
            yield batch
            batch, total = [], 0
        batch.append((number, body))
        total += length
    if batch:
        yield batch
