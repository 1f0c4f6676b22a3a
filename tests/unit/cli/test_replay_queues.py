"""How messages come back from dead-letter queues: all of them, none lost, and never round in circles."""

import json
from collections import Counter
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner, Result

from sallyport_cli import replay_job
from sallyport_cli.main import app
from sallyport_cli.queue_sender import ATTEMPTS, MAX_BYTES, send
from sallyport_cli.replay_queues import Found, bring_back, look, plain_way, records_way
from tests.support.audit_world import NOON
from tests.support.fake_queues import START, Queues
from tests.support.rule_samples.sample import record

WAY = plain_way("events", "dead", "live")


def brought(queues: Queues, way: Any = WAY) -> Found:
    found = Found(way.name)
    bring_back(queues, way, found, lambda *_: None)
    return found


def test_everything_is_brought_back_and_says_why_it_was_there() -> None:
    queues = Queues()
    queues.put("dead", *map(str, range(20)), ERROR_CODE="rule-failed", ERROR_MESSAGE="chain-broken-4")
    queues.put("dead", *map(str, range(20, 25)))
    found = brought(queues)
    assert found.moved == {("rule-failed", "chain-broken-4"): 20, ("received-too-often", ""): 5}
    assert (found.there, found.again, found.stays) == (25, 0, Counter())
    assert sorted(queues.bodies("live"), key=int) == list(map(str, range(25)))
    assert queues.bodies("dead") == []


@pytest.mark.parametrize("dies_at", range(6))
def test_broken_off_anywhere_nothing_is_lost(dies_at: int) -> None:
    queues = Queues(dies_at=dies_at)
    bodies = list(map(str, range(25)))
    queues.put("dead", *bodies)
    with pytest.raises(KeyboardInterrupt):
        brought(queues)
    assert {*queues.bodies("live"), *queues.bodies("dead")} == {*bodies}


def test_an_empty_queue_ends_at_once() -> None:
    assert brought(Queues()) == Found("events")


@pytest.mark.parametrize("says_date", [True, False])
def test_poison_that_comes_back_at_once_is_sent_once_and_waits(*, says_date: bool) -> None:
    queues = Queues(says_date=says_date)
    queues.on_send = lambda _url, body: queues.put("dead", body, sent_at=START + 1)
    queues.put("dead", *(f"poison {number}" for number in range(12)))
    found = brought(queues)
    assert (found.moved.total(), len(queues.bodies("live"))) == (12, 12)
    assert len(queues.visible("dead")) == 12, "and it can be seen there"


def test_poison_does_not_stand_in_the_way_of_what_is_behind_it() -> None:
    """Come back, it is received before what was there from the beginning."""
    queues = Queues()

    def fails(_url: str, body: str) -> None:
        if body.startswith("poison"):
            queues.put("dead", body, sent_at=START + 1)
            queues.messages["dead"].insert(0, queues.messages["dead"].pop())

    queues.on_send = fails
    queues.put("dead", *(f"poison {number}" for number in range(10)), *map(str, range(15)))
    found = brought(queues)
    assert (found.moved.total(), found.again) == (25, 10)
    assert {*map(str, range(15))} <= {*queues.bodies("live")}
    assert sorted(queues.visible("dead")) == sorted(f"poison {number}" for number in range(10))


def test_the_same_message_twice_is_brought_back_twice() -> None:
    queues = Queues()
    queues.put("dead", "a", "a", "a")
    assert (brought(queues).moved.total(), queues.bodies("dead")) == (3, [])


def test_what_the_queue_does_not_take_stays() -> None:
    queues = Queues(
        failing=lambda body: {"Code": "InvalidMessageContents", "SenderFault": True} if body == "b" else None
    )
    queues.put("dead", "a", "b", "c", ERROR_CODE="not-json")
    found = brought(queues)
    assert found.moved == {("not-json", ""): 2}
    assert found.stays == {("not-json", "InvalidMessageContents"): 1}
    assert queues.visible("dead") == ["b"]


def test_a_look_leaves_everything_where_it_can_be_seen() -> None:
    queues = Queues()
    queues.put("dead", *map(str, range(23)), ERROR_CODE="not-json")
    found = Found("events")
    look(queues, WAY, found, lambda *_: None)
    assert (found.there, found.seen, found.moved) == (23, {("not-json", ""): 23}, Counter())
    assert len(queues.visible("dead")) == 23
    assert queues.bodies("live") == []


def test_a_look_that_is_broken_off_leaves_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = Queues()
    queues.put("dead", *map(str, range(23)))

    def stop(done: int, _all: int) -> None:
        if done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(queues, WAY, Found("events"), stop)
    assert len(queues.visible("dead")) >= 15


PUT_OFF = json.dumps({"kind": "record", "due": NOON.isoformat(), "body": "{}"})
CHANGE = json.dumps({"eventID": "1", "eventName": "INSERT", "dynamodb": {}})
BATCH = json.dumps({"DDBStreamBatchInfo": {"shardId": "1"}})


@pytest.mark.parametrize(
    ("body", "queue"),
    [
        (json.dumps(record()), "records"),
        (PUT_OFF, "later"),
        ("{", "records"),
        ("[" * 5000, "records"),
        ("[]", "records"),
    ],
)
def test_each_message_goes_back_where_it_came_from(body: str, queue: str) -> None:
    assert records_way("dead", "records", "later", NOON).back(body) == (queue, body)


def test_a_change_of_the_trust_table_comes_back_as_put_off_until_now() -> None:
    back = records_way("dead", "records", "later", NOON).back(CHANGE)
    assert not isinstance(back, str)
    queue, body = back
    message = json.loads(body)
    assert (queue, message["kind"], message["body"]) == ("later", "trust", CHANGE)
    assert datetime.fromisoformat(message["due"]) == NOON


def test_what_has_no_way_back_stays_and_says_why() -> None:
    queues = Queues()
    queues.put("dead", BATCH, PUT_OFF, json.dumps(record()))
    found = brought(queues, records_way("dead", "records", "", NOON))
    assert found.moved.total() == 1
    assert {why for _, why in found.stays} == {
        "names changes, and does not hold them",
        "its queue is not named",
    }
    assert sorted(queues.visible("dead")) == sorted([BATCH, PUT_OFF])


def test_batches_are_as_large_as_sqs_takes_and_no_larger() -> None:
    queues = Queues()
    bodies = ["x" * size for size in (1, 100_000, 200_000, MAX_BYTES, MAX_BYTES + 1, *[3] * 25)]
    assert send(queues, "live", bodies) == {4: "too-large"}
    assert queues.bodies("live") == [one for one in bodies if len(one) <= MAX_BYTES]


def test_sizes_are_those_of_bytes() -> None:
    assert send(Queues(), "live", ["ä" * (MAX_BYTES // 2 + 1)]) == {0: "too-large"}


def test_what_was_refused_in_passing_is_sent_again_alone() -> None:
    tries: Counter[str] = Counter()

    def failing(body: str) -> dict[str, Any] | None:
        tries[body] += 1
        return {"Code": "InternalError", "SenderFault": False} if body in "bd" and tries[body] < 3 else None

    queues = Queues(failing=failing)
    pauses: list[float] = []
    assert send(queues, "live", list("abcde"), pauses.append) == {}
    assert Counter(queues.bodies("live")) == Counter("abcde")
    assert [len(one["Entries"]) for one in queues.requests] == [5, 2, 2]
    assert pauses == sorted(pauses)


def test_it_ends_when_it_stays_refused_and_when_the_fault_is_ours() -> None:
    for fault, requests in ((False, ATTEMPTS), (True, 1)):
        queues = Queues(failing=lambda _: {"Code": "No", "SenderFault": fault})  # noqa: B023 - used at once
        assert send(queues, "live", ["a"], lambda _: None) == {0: "No"}
        assert len(queues.requests) == requests


def test_of_what_an_answer_is_silent_nothing_is_known() -> None:
    client = SimpleNamespace(send_message_batch=lambda **_: {"Successful": [{"Id": "0"}]})
    assert send(client, "live", ["a", "b"], lambda _: None) == {1: "no-answer"}


NAMES = {
    "SALLYPORT_EVENTS_DEAD_LETTER_QUEUE": "events-dead",
    "SALLYPORT_EVENTS_QUEUE": "events",
    "SALLYPORT_IMPORTS_DEAD_LETTER_QUEUE": "imports-dead",
    "SALLYPORT_IMPORTS_QUEUE": "imports",
    "SALLYPORT_AUDIT_DEAD_LETTER_QUEUE": "audit-dead",
    "SALLYPORT_AUDIT_QUEUE": "audit",
    "SALLYPORT_LATER_QUEUE": "later",
}


def run(monkeypatch: pytest.MonkeyPatch, queues: Any, *options: str, **names: str) -> Result:
    outputs = [{"OutputKey": "EventsQueue", "OutputValue": "events"}]
    outputs.append({"OutputKey": "EventsDeadLetterQueue", "OutputValue": "events-dead"})
    stacks = SimpleNamespace(describe_stacks=lambda StackName: {"Stacks": [{"Outputs": outputs}]})  # noqa: N803
    clients = {"sqs": queues, "cloudformation": stacks}
    monkeypatch.setattr(replay_job, "Aws", lambda: SimpleNamespace(client=clients.__getitem__))
    unset = dict.fromkeys([*NAMES, "SALLYPORT_RECORDS_ARCHIVE_ARN", "SALLYPORT_EVENTS_ARCHIVE_ARN"])
    return CliRunner().invoke(app, ["replay", *options], env={**unset, **names})


@pytest.fixture
def queues() -> Queues:
    found = Queues()
    found.put("events-dead", "1", "2", ERROR_CODE="not-json", ERROR_MESSAGE="no \x1b[31mJSON")
    found.put("imports-dead", "{}", ERROR_CODE="import-refused")
    found.put("audit-dead", json.dumps(record()), PUT_OFF)
    return found


def test_unasked_all_queues_come_back(monkeypatch: pytest.MonkeyPatch, queues: Queues) -> None:
    done = run(monkeypatch, queues, **NAMES)
    assert done.exit_code == 0, done.output
    assert [len(queues.bodies(name)) for name in ("events", "imports", "audit", "later")] == [2, 1, 1, 1]
    assert "events: 2 of 2 message(s) brought back." in done.output
    assert "records: 2 of 2 message(s) brought back." in done.output
    assert "\x1b" not in done.output


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_queue_that_cannot_be_asked_is_not_said_to_be_empty(
    monkeypatch: pytest.MonkeyPatch, queues: Queues, options: tuple[str, ...]
) -> None:
    attributes = queues.get_queue_attributes

    def missing(**arguments: Any) -> dict[str, Any]:
        if arguments["QueueUrl"] == "events-dead":
            fault = {"Error": {"Code": "AWS.SimpleQueueService.NonExistentQueue", "Message": "no such queue"}}
            raise ClientError(fault, "GetQueueAttributes")  # type: ignore[arg-type]
        return attributes(**arguments)

    monkeypatch.setattr(queues, "get_queue_attributes", missing)
    done = run(monkeypatch, queues, *options, **NAMES)
    assert done.exit_code == 1
    assert "events: the dead-letter queue could not be looked into." in done.output
    assert "events: 0" not in done.output
    assert "events: the dead-letter queue is empty" not in done.output
    assert "events: Could not look into the dead-letter queue" in done.output
    assert "Check the name, the account and the Region" in done.output
    report = json.loads(run(monkeypatch, queues, "--json", *options, **NAMES).output)
    assert {one["queue"]: one["broken_off"] for one in report["queues"]}["events"] is True


def test_a_dry_run_shows_and_sends_nothing(monkeypatch: pytest.MonkeyPatch, queues: Queues) -> None:
    done = run(monkeypatch, queues, "--dry-run", "--json", **NAMES)
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert [(one["queue"], one["there"]) for one in said["queues"]] == [
        ("events", 2),
        ("imports", 1),
        ("records", 2),
    ]
    assert said["queues"][0]["seen"] == [{"reason": "not-json", "detail": "no \x1b[31mJSON", "count": 2}]
    assert (said["moved"], queues.requests) == (0, [])
    assert len(queues.visible("events-dead")) == 2


def test_a_stack_s_outputs_name_the_queues(monkeypatch: pytest.MonkeyPatch, queues: Queues) -> None:
    said = json.loads(run(monkeypatch, queues, "--stack", "sallyport", "--json").output)
    assert (said["moved"], [one["queue"] for one in said["queues"]]) == (2, ["events"])


def test_without_names_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, queues: Queues) -> None:
    done = run(monkeypatch, queues)
    assert (done.exit_code, "--stack" in done.output) == (2, True)


def test_what_stays_is_told_by_the_exit_code(monkeypatch: pytest.MonkeyPatch, queues: Queues) -> None:
    queues.put("audit-dead", BATCH)
    done = run(monkeypatch, queues, "--json", **NAMES)
    assert done.exit_code == 1
    said = json.loads(done.output)
    assert (said["error"]["reason"], said["moved"], said["stays"]) == ("not-all", 5, 1)


def test_who_may_not_write_records_is_told_what_else_there_is(
    monkeypatch: pytest.MonkeyPatch, queues: Queues
) -> None:
    send_batch = queues.send_message_batch

    def denied(**arguments: Any) -> dict[str, Any]:
        if arguments["QueueUrl"] == "audit":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch")
        return send_batch(**arguments)

    monkeypatch.setattr(queues, "send_message_batch", denied)
    done = run(monkeypatch, queues, **NAMES)
    assert done.exit_code == 1
    assert "events: 2 of 2 message(s) brought back." in done.output
    assert "ReplayRole" in done.output
    assert len(queues.bodies("audit-dead")) >= 1


@pytest.mark.parametrize(
    "options",
    [
        ["--to", "1h"],
        ["--from", "1h", "--to", "2h"],
        ["--from", "yesterday"],
        ["--account", "111122223333"],
        ["--trail", "s3://b"],
        ["--from", "1h"],
    ],
)
def test_half_an_order_is_none(monkeypatch: pytest.MonkeyPatch, queues: Queues, options: list[str]) -> None:
    assert run(monkeypatch, queues, *options).exit_code == 2
    assert queues.requests == []
