"""The audit of a deployed stack, as tests see it: what goes in by which way, and what has come of it."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from local import demo_audit, trail
from local.cloud import ACCOUNT, REGION
from local.deploy import READER_ROLE, AwsClient, client
from local.http_client import ask
from local.steps import POLL_SECONDS, World
from tests.support.rule_samples.sample import record as sample_record

T = TypeVar("T")
UNEXPLAINED = "session-without-record-59"
QUEUES = ("AuditQueue", "EventsQueue", "LaterQueue", "ImportsQueue")
# As deployed a message comes again after six minutes, five times; nobody waits so long here. No sooner than
# the function has answered, though, however slow what it asks may be.
SOON, DEPLOYED = ("10", 100), ("360", 5)
# A minute for somebody who was about to tell and could not, and some for everybody else.
SECONDS = 180.0


class LiveAudit:
    """One deployed audit."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.outputs = world.deployment.outputs
        self._tables: AwsClient = client(world.cloud, "dynamodb")
        self._queues: AwsClient = client(world.cloud, "sqs")

    # In

    def strangers_session(self, session: str = "") -> dict[str, Any]:
        """A session as a stranger would make it; each has a key of its own."""
        key = f"ASIA{uuid.uuid4().hex[:16].upper()}"
        return trail.assumed(
            READER_ROLE, _answer(key, session or key.lower()), session or key.lower(), caller="stranger"
        )

    def own_session(self, when: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
        """A session as the exchange makes it: the event, and the record that explains it."""
        key = f"ASIA{uuid.uuid4().hex[:16].upper()}"
        name = key.lower()
        event = trail.assumed(READER_ROLE, _answer(key, name), name, when=when)
        role = self.outputs["AssumeRoleRoleArn"]
        event["detail"]["userIdentity"] = {
            "type": "AssumedRole",
            "principalId": "AROALOCAL0000000001:sallyport-assume-role",
            "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/sallyport-assume-role/sallyport-assume-role",
            "accountId": ACCOUNT,
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role, "accountId": ACCOUNT}},
        }
        record = sample_record(
            key=key, role_arn=READER_ROLE, session=name, source_identity=None, region=REGION
        )["detail"]
        return event, record | {"id": uuid.uuid4().hex, "time": when.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def denial(self) -> dict[str, Any]:
        """A record that gives nothing."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return sample_record("denied")["detail"] | {"id": uuid.uuid4().hex, "time": at}

    def put_events(self, *messages: object) -> None:
        """Put events, or whatever else, where the rules for CloudTrail's events put them."""
        trail.put(self.world.cloud, self.world.deployment, *messages)

    def record(self, *records: dict[str, Any]) -> None:
        """Put records into their table, as an exchange does: the stream brings them from there."""
        for one in records:
            item = {
                "id": {"S": one["id"]},
                "record": {"S": json.dumps(one)},
                "expires_at": {"N": str(int(datetime.now(UTC).timestamp()) + 86_400)},
            }
            self._tables.put_item(TableName=self.outputs["RecordsTable"], Item=item)

    def publish(self, *details: str) -> None:
        """Put records, or what passes for some, onto the bus by which they come."""
        entries = [
            {
                "Source": "sallyport",
                "DetailType": "Sallyport Record",
                "Detail": one,
                "EventBusName": self.outputs["RecordsBus"],
            }
            for one in details
        ]
        answer = client(self.world.cloud, "events").put_events(Entries=entries)
        assert answer["FailedEntryCount"] == 0, answer

    def send(self, queue: str, body: str) -> None:
        """Put a message into one of the audit's queues."""
        self._queues.send_message(QueueUrl=self.outputs[queue], MessageBody=body)

    # Out

    def taken(self) -> Counter[str]:
        """The ids of messages that were taken, without heartbeats."""
        pages = self._tables.get_paginator("scan").paginate(
            TableName=self.outputs["AuditTable"], ConsistentRead=True
        )
        keys = (item["pk"]["S"] for page in pages for item in page["Items"])
        names = (key.removeprefix("record#") for key in keys if key.startswith("record#"))
        return Counter(name for name in names if not name.startswith("heartbeat-"))

    def waiting(self, queue: str) -> int:
        """How many messages a queue holds, seen, unseen or put off."""
        kinds = ("", "NotVisible", "Delayed")
        names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
        answer = self._queues.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def settle(self, *queues: str) -> None:
        """Wait until nothing is left in the queues."""
        for queue in queues or QUEUES:
            until(lambda queue=queue: self.waiting(queue) == 0, f"messages are left in {queue}")  # type: ignore[misc]  # bound now, in a loop

    def findings_of(self, *events: dict[str, Any], rule: str = UNEXPLAINED) -> list[dict[str, Any]]:
        """The findings of one rule about the sessions that these events tell of."""
        keys = {key_of(one) for one in events}
        found = demo_audit.findings(self.world)
        return [one for one in found if one["rule"] == rule and keys & {*one["dedupe"]}]

    def imports_of(self, findings: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """Per finding, the imports that changed something in Security Hub."""
        taken = ask("GET", f"{self.world.cloud.faults}/security-hub")["taken"]
        return [
            [one for one in taken if one["id"].endswith(finding["id"]) and one["changed"]]
            for finding in findings
        ]

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Let messages that failed come again soon."""
        self._be(SOON)
        try:
            yield
        finally:
            self._be(DEPLOYED)

    def _be(self, how: tuple[str, int]) -> None:
        seconds, receives = how
        for queue in QUEUES:
            url = self.outputs[queue]
            names = ["RedrivePolicy"]
            policy = self._queues.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][
                names[0]
            ]
            most = 120 if queue == "ImportsQueue" else receives
            changed = json.dumps(json.loads(policy) | {"maxReceiveCount": most})
            self._queues.set_queue_attributes(
                QueueUrl=url, Attributes={"VisibilityTimeout": seconds, "RedrivePolicy": changed}
            )

    @contextmanager
    def inbox(self) -> Iterator["Inbox"]:
        """Subscribe to the alerts, as somebody's mail would be."""
        sns = client(self.world.cloud, "sns")
        name, topic = f"inbox-{uuid.uuid4().hex[:8]}", self.outputs["AlertsTopic"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        url = self._queues.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"]
        made = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
        try:
            yield Inbox(self._queues, url)
        finally:
            sns.unsubscribe(SubscriptionArn=made["SubscriptionArn"])
            self._queues.delete_queue(QueueUrl=url)


class Inbox:
    """The alerts that have come so far."""

    def __init__(self, queues: AwsClient, url: str) -> None:
        self._queues = queues
        self._url = url
        self._alerts: list[dict[str, str]] = []

    def about(self, finding: dict[str, Any]) -> list[dict[str, str]]:
        """Return the alerts about a finding: ``Subject`` and ``Message``."""
        while True:
            got = self._queues.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", [])
            if not got:
                return [one for one in self._alerts if f"findings --id {finding['id']}" in one["Message"]]
            self._alerts += [json.loads(one["Body"]) for one in got]
            for one in got:
                self._queues.delete_message(QueueUrl=self._url, ReceiptHandle=one["ReceiptHandle"])


def until(what: Callable[[], T], otherwise: str) -> T:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline, otherwise
        time.sleep(POLL_SECONDS)
    return found


def key_of(event: dict[str, Any]) -> str:
    """The access key of the session that an event tells of."""
    return str(event["detail"]["responseElements"]["credentials"]["accessKeyId"])


def name_of(event: dict[str, Any]) -> str:
    """Under which name an event is noted as taken."""
    return f"event {event['detail']['eventID']}"


def _answer(key: str, session: str) -> dict[str, Any]:
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{READER_ROLE.rpartition('/')[2]}/{session}"
    return {
        "Credentials": {"AccessKeyId": key},
        "AssumedRoleUser": {"Arn": arn, "AssumedRoleId": f"AROALOCAL0000000002:{session}"},
    }
