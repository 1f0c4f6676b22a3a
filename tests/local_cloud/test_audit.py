"""The audit on the deployed stack: as many messages out as in, whatever they are."""

import json
import random
from datetime import UTC, datetime
from typing import Any

from local import demo_audit, trail
from local.deploy import READER_ROLE, client, sallyport
from local.http_client import ask
from local.steps import World, wait

NAME = "session-without-record-59"


def made(number: int) -> dict[str, Any]:
    """A session as a stranger would make it; each has a key of its own."""
    answer = {
        "Credentials": {"AccessKeyId": f"ASIALOCALTEST{number:07d}"},
        "AssumedRoleUser": {"Arn": f"arn:aws:sts::000000000000:assumed-role/team-a-reader/s-{number}"},
    }
    return trail.assumed(READER_ROLE, answer, f"s-{number}", caller="stranger")


def counted(world: World) -> int:
    """How many events were counted so far."""
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    found = client(world.cloud, "dynamodb").get_item(
        TableName=world.deployment.outputs["AuditTable"],
        Key={"pk": {"S": f"count#{day}#event"}},
        ConsistentRead=True,
    )
    return int(found.get("Item", {}).get("records", {"N": "0"})["N"])


def waiting(world: World, queue: str) -> int:
    """How many messages a queue holds, seen or unseen."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = client(world.cloud, "sqs").get_queue_attributes(
        QueueUrl=world.deployment.outputs[queue], AttributeNames=names
    )
    return sum(int(answer["Attributes"][name]) for name in names)


def test_a_session_behind_the_exchange_s_back_is_found(world: World) -> None:
    assert "CRITICAL" in demo_audit.session_behind_the_back(world)


def test_duplicates_disorder_and_poison_leave_as_many_out_as_in(world: World) -> None:
    before, dead = counted(world), waiting(world, "EventsDeadLetterQueue")
    sessions = [made(random.randrange(10**6) * 10 + number) for number in range(6)]  # noqa: S311 - no secret
    poison = ["{", "[]", json.dumps({"detail-type": "x"}), "not json at all"]
    messages: list[Any] = [*sessions, *sessions, *poison]
    random.shuffle(messages)
    trail.put(world.cloud, world.deployment, *messages)
    wait(lambda: waiting(world, "EventsDeadLetterQueue") == dead + len(poison), "poison is not kept aside")
    wait(lambda: counted(world) == before + len(sessions), "not every session was counted")
    wait(lambda: waiting(world, "EventsQueue") == 0, "messages are left in the queue")
    keys = {one["detail"]["responseElements"]["credentials"]["accessKeyId"] for one in sessions}
    found = [one for one in demo_audit.findings(world) if one["rule"] == NAME and keys & {*one["dedupe"]}]
    assert sorted(one["count"] for one in found) == [1] * len(sessions), "each once, however often it came"
    assert counted(world) == before + len(sessions)


def test_what_was_kept_aside_is_brought_back(world: World) -> None:
    outputs = world.deployment.outputs
    good = made(random.randrange(10**7))  # noqa: S311 - no secret
    before = counted(world)
    client(world.cloud, "sqs").send_message(
        QueueUrl=outputs["EventsDeadLetterQueue"], MessageBody=json.dumps(good)
    )
    queues = ["--from-queue", outputs["EventsDeadLetterQueue"], "--to-queue", outputs["EventsQueue"]]
    said = json.loads(sallyport(["replay", *queues, "--json"], world.cloud.environment()))
    assert said["moved"] >= 1
    wait(lambda: counted(world) == before + 1, "what was brought back was not audited")


def test_with_the_findings_table_away_nothing_is_lost_and_nothing_is_double(
    world: World, faults: str
) -> None:
    sqs, queue = client(world.cloud, "sqs"), world.deployment.outputs["EventsQueue"]
    before = counted(world)
    sessions = [made(random.randrange(10**6) * 10 + number) for number in range(3)]  # noqa: S311 - no secret
    # As deployed a message comes again after six minutes; nobody waits so long here.
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})
    try:
        table = world.deployment.outputs["FindingsTable"]
        ask(
            "POST", f"{faults}/faults", {"fault": "503", "service": "dynamodb", "resource": table, "times": 4}
        )
        trail.put(world.cloud, world.deployment, *sessions)
        wait(lambda: counted(world) == before + len(sessions), "not every session was counted")
    finally:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "360"})
    keys = {one["detail"]["responseElements"]["credentials"]["accessKeyId"] for one in sessions}
    found = [one for one in demo_audit.findings(world) if one["rule"] == NAME and keys & {*one["dedupe"]}]
    assert [one["count"] for one in found] == [1] * len(sessions)
