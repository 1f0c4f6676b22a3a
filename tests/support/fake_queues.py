"""SQS's queues as the command sees them: by address, with what is hidden, and with a will of their own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import format_datetime
from itertools import count
from typing import Any

from tests.support.audit_world import NOON

START = NOON.timestamp()


@dataclass
class Message:
    body: str
    id: str
    sent_at: float
    attributes: dict[str, Any] = field(default_factory=dict)
    hidden: bool = False


@dataclass
class Queues:
    """All queues of an account.

    ``dies_at`` is the call to send or delete that ends the process. ``on_send`` is told of every message that
    was taken, and may put others. ``failing`` answers for an entry of a batch instead of taking it.
    """

    dies_at: int = 10**6
    on_send: Callable[[str, str], None] = lambda _url, _body: None
    failing: Callable[[str], dict[str, Any] | None] = lambda _body: None
    says_date: bool = True

    def __post_init__(self) -> None:
        self.messages: dict[str, list[Message]] = {}
        self.requests: list[dict[str, Any]] = []
        self._ids = count(1)

    def put(self, url: str, *bodies: str, sent_at: float = START - 60, **said: str) -> None:
        attributes = {name: {"StringValue": text, "DataType": "String"} for name, text in said.items()}
        self.messages.setdefault(url, []).extend(
            Message(body, f"m{next(self._ids)}", sent_at, attributes) for body in bodies
        )

    def bodies(self, url: str) -> list[str]:
        return [one.body for one in self.messages.get(url, ())]

    def visible(self, url: str) -> list[str]:
        return [one.body for one in self.messages.get(url, ()) if not one.hidden]

    def get_queue_attributes(self, **arguments: Any) -> dict[str, Any]:
        url = arguments["QueueUrl"]
        return {
            "Attributes": {
                "ApproximateNumberOfMessages": str(len(self.visible(url))),
                "QueueArn": f"arn:aws:sqs:eu-central-1:111122223333:{url}",
            },
            "ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(NOON)} if self.says_date else {}},
        }

    def receive_message(self, **arguments: Any) -> dict[str, Any]:
        assert arguments["AttributeNames"] == ["SentTimestamp"]
        assert arguments["MessageAttributeNames"] == ["All"]
        assert arguments["VisibilityTimeout"] >= 60
        found = [one for one in self.messages.get(arguments["QueueUrl"], ()) if not one.hidden]
        found = found[: arguments["MaxNumberOfMessages"]]
        for one in found:
            one.hidden = True
        messages = [
            {
                "MessageId": one.id,
                "Body": one.body,
                "ReceiptHandle": one.id,
                "Attributes": {"SentTimestamp": str(int(one.sent_at * 1000))},
                "MessageAttributes": one.attributes,
            }
            for one in found
        ]
        return {"Messages": messages} if messages else {}

    def send_message_batch(self, **arguments: Any) -> dict[str, Any]:
        self._live()
        url, entries = arguments["QueueUrl"], arguments["Entries"]
        assert 1 <= len(entries) <= 10
        assert sum(len(one["MessageBody"].encode()) for one in entries) <= 262_144
        assert len({one["Id"] for one in entries}) == len(entries)
        self.requests.append(arguments)
        taken, failed = [], []
        for one in entries:
            if (fault := self.failing(one["MessageBody"])) is not None:
                failed.append({"Id": one["Id"], **fault})
                continue
            taken.append({"Id": one["Id"]})
            self.put(url, one["MessageBody"], sent_at=START + 1)
            self.on_send(url, one["MessageBody"])
        return {"Successful": taken, "Failed": failed}

    def delete_message_batch(self, **arguments: Any) -> dict[str, Any]:
        self._live()
        gone = {one["ReceiptHandle"] for one in arguments["Entries"]}
        assert 1 <= len(gone) <= 10
        url = arguments["QueueUrl"]
        self.messages[url] = [one for one in self.messages[url] if one.id not in gone]
        return {}

    def change_message_visibility_batch(self, **arguments: Any) -> dict[str, Any]:
        again = {one["ReceiptHandle"] for one in arguments["Entries"]}
        assert 1 <= len(arguments["Entries"]) <= 10
        assert {one["VisibilityTimeout"] for one in arguments["Entries"]} == {0}
        for one in self.messages[arguments["QueueUrl"]]:
            if one.id in again:
                one.hidden = False
        return {}

    def _live(self) -> None:
        self.dies_at -= 1
        if self.dies_at < 0:
            raise KeyboardInterrupt
