"""``sallyport replay``: back to the audit what could not be audited, or what is in the archive."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Protocol

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.findings import since_when
from sallyport_cli.output import progress, say, say_json

BATCH: Final = 10
"""SQS's own limit for one receive."""

VISIBILITY: Final = 300
"""Seconds for which others do not see what is being brought back; each batch takes a few."""

EMPTY_RECEIVES: Final = 3
"""SQS may answer with nothing although there is something; so often in a row means that there is not."""


class Sqs(Protocol):
    """The part of boto3's SQS client that is used here."""

    def receive_message(self, **arguments: object) -> dict[str, Any]:
        """Receive messages."""

    def send_message(self, **arguments: object) -> dict[str, Any]:
        """Send one message."""

    def delete_message(self, **arguments: object) -> dict[str, Any]:
        """Delete one message."""

    def get_queue_attributes(self, **arguments: object) -> dict[str, Any]:
        """Read attributes of a queue."""


def replay(  # noqa: PLR0913 - a command has as many arguments as options
    *,
    source: Annotated[
        str,
        typer.Option(
            "--from-queue",
            envvar="SALLYPORT_EVENTS_DEAD_LETTER_QUEUE",
            metavar="URL",
            help="The dead-letter queue.",
        ),
    ] = "",
    target: Annotated[
        str,
        typer.Option(
            "--to-queue",
            envvar="SALLYPORT_EVENTS_QUEUE",
            metavar="URL",
            help="The queue that feeds the audit.",
        ),
    ] = "",
    start: Annotated[
        str, typer.Option("--from", metavar="WHEN", help="Replay the archive of records from this time on.")
    ] = "",
    end: Annotated[str, typer.Option("--to", metavar="WHEN", help="The archive's last time.")] = "",
    archive: Annotated[
        str, typer.Option("--archive", metavar="ARN", help="The archive; needed with --from.")
    ] = "",
    bus: Annotated[
        str, typer.Option("--bus", metavar="ARN", help="The records bus; needed with --from.")
    ] = "",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Bring messages back from the dead-letter queue, or replay archived records.

    The audit knows what it has seen: nothing is counted or alerted twice. Records only ever come by their own
    rule, so that they are brought back from the archive, and never from a queue.
    """
    with ending(as_json=json_):
        from sallyport_cli.aws import Aws  # noqa: PLC0415 - loads boto3

        if start:
            _archive(Aws().client("events"), archive, bus, start, end, as_json=json_)
            return
        if not source or not target:
            raise CommandError(
                "no-queue",
                "The queues are not named.",
                exit_code=Exit.USAGE,
                cure="Give --from-queue and --to-queue; both are outputs of the stack.",
            )
        client = Aws().client("sqs")
        with progress("bringing messages back") as update:
            moved, reasons = bring_back(client, source, target, update)
        if json_:
            say_json({"moved": moved, "reasons": reasons})
            return
        say(f"{moved} message(s) brought back." if moved else "The dead-letter queue is empty.")
        for reason, count in sorted(reasons.items()):
            say(f"  {count} had failed with: {reason}")


def bring_back(
    client: Sqs,
    source: str,
    target: str,
    update: Any,  # noqa: ANN401 - a callback
) -> tuple[int, dict[str, int]]:
    """Receive, send, delete, in this order: broken off anywhere, a message is twice there and never lost.

    Returns:
        How many were brought back, and how many of them had failed for which reason. At most as many as were
        there at the beginning: what fails again at once is not taken for new.
    """
    from sallyport_cli.aws import asking  # noqa: PLC0415 - loads boto3

    with asking("look into the dead-letter queue (sqs:GetQueueAttributes)"):
        names = ["ApproximateNumberOfMessages"]
        there = client.get_queue_attributes(QueueUrl=source, AttributeNames=names)
    total = int(there["Attributes"]["ApproximateNumberOfMessages"])
    moved, empty = 0, 0
    reasons: dict[str, int] = {}
    while moved < total and empty < EMPTY_RECEIVES:
        with asking("receive from the dead-letter queue (sqs:ReceiveMessage)"):
            answer = client.receive_message(
                QueueUrl=source,
                MaxNumberOfMessages=min(BATCH, total - moved),
                VisibilityTimeout=VISIBILITY,
                MessageAttributeNames=["All"],
            )
        messages = answer.get("Messages", [])
        empty = 0 if messages else empty + 1
        for one in messages:
            with asking("send to the audit's queue (sqs:SendMessage)"):
                client.send_message(QueueUrl=target, MessageBody=one["Body"])
            with asking("delete from the dead-letter queue (sqs:DeleteMessage)"):
                client.delete_message(QueueUrl=source, ReceiptHandle=one["ReceiptHandle"])
            moved += 1
            said = one.get("MessageAttributes", {}).get("ERROR_CODE", {}).get("StringValue", "unknown")
            reasons[said] = reasons.get(said, 0) + 1
            update(moved, total)
    return moved, reasons


def _archive(client: Any, archive: str, bus: str, start: str, end: str, *, as_json: bool) -> None:  # noqa: ANN401, PLR0913
    from sallyport_cli.aws import asking  # noqa: PLC0415 - loads boto3

    now = datetime.now(UTC)
    first, last = since_when(start, now), since_when(end, now) if end else now
    if not archive or not bus or first >= last:
        raise CommandError(
            "archive-range",
            "The archive, the bus or a range of time is missing.",
            exit_code=Exit.USAGE,
            cure="Give --archive, --bus, --from and a later --to.",
        )
    name = f"sallyport-{now:%Y%m%d%H%M%S}"
    with asking("start a replay (events:StartReplay)"):
        client.start_replay(
            ReplayName=name,
            EventSourceArn=archive,
            EventStartTime=first,
            EventEndTime=last,
            Destination={"Arn": bus},
        )
    if as_json:
        say_json({"replay": name, "from": first.isoformat(), "to": last.isoformat()})
        return
    say(f"The replay {name} has begun; records reach the audit within minutes.")
