"""Replays of archives, against EventBridge's own shapes: how they begin, go on and end."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from typer.testing import CliRunner, Result

from sallyport_cli import replay_job
from sallyport_cli.failure import CommandError
from sallyport_cli.main import app
from sallyport_cli.replay_archive import STEPS, Replay, bus_of, follow, rules_towards, start
from tests.support.fake_queues import Queues

EVENTS = "arn:aws:events:eu-central-1:111122223333"
ARCHIVE = f"{EVENTS}:archive/sallyport-records"
BUS = f"{EVENTS}:event-bus/sallyport-records"
QUEUE = "arn:aws:sqs:eu-central-1:111122223333:sallyport-audit"
FIRST = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
REPLAY = Replay(
    name="sallyport-records-20261120T150000",
    archive=ARCHIVE,
    bus=BUS,
    rules=(f"{EVENTS}:rule/sallyport-records/audit",),
    first=FIRST,
    last=FIRST + timedelta(hours=2),
)


@pytest.fixture
def client() -> Any:
    return boto3.client(
        "events", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def states(client: Any, *answers: dict[str, Any]) -> Stubber:
    stubber = Stubber(client)
    for one in answers:
        stubber.add_response("describe_replay", one, {"ReplayName": REPLAY.name})
    stubber.activate()
    return stubber


def test_a_replay_goes_to_the_audit_s_rules_alone(client: Any) -> None:
    with Stubber(client) as stubber:
        stubber.add_response(
            "start_replay",
            {"ReplayArn": f"{EVENTS}:replay/{REPLAY.name}", "State": "STARTING"},
            {
                "ReplayName": REPLAY.name,
                "EventSourceArn": ARCHIVE,
                "EventStartTime": REPLAY.first,
                "EventEndTime": REPLAY.last,
                "Destination": {"Arn": BUS, "FilterArns": list(REPLAY.rules)},
            },
        )
        start(client, REPLAY)
        stubber.assert_no_pending_responses()


def test_the_bus_is_the_one_that_the_archive_keeps(client: Any) -> None:
    with Stubber(client) as stubber:
        stubber.add_response(
            "describe_archive",
            {"ArchiveName": "sallyport-records", "EventSourceArn": BUS, "State": "ENABLED"},
            {"ArchiveName": "sallyport-records"},
        )
        assert bus_of(client, ARCHIVE) == BUS


def test_the_rules_are_those_that_feed_the_queue(client: Any) -> None:
    asked = {"TargetArn": QUEUE, "EventBusName": "sallyport-records"}
    with Stubber(client) as stubber:
        stubber.add_response("list_rule_names_by_target", {"RuleNames": ["b"], "NextToken": "n"}, asked)
        stubber.add_response("list_rule_names_by_target", {"RuleNames": ["a"]}, asked | {"NextToken": "n"})
        assert rules_towards(client, BUS, QUEUE) == (
            f"{EVENTS}:rule/sallyport-records/a",
            f"{EVENTS}:rule/sallyport-records/b",
        )
        default = f"{EVENTS}:event-bus/default"
        stubber.add_response(
            "list_rule_names_by_target", {"RuleNames": ["a"]}, asked | {"EventBusName": "default"}
        )
        assert rules_towards(client, default, QUEUE) == (f"{EVENTS}:rule/a",)


def test_a_replay_that_would_bring_nothing_is_not_started(client: Any) -> None:
    with Stubber(client) as stubber:
        stubber.add_response("list_rule_names_by_target", {"RuleNames": []})
        with pytest.raises(CommandError, match="would bring nothing"):
            rules_towards(client, BUS, QUEUE)


def test_it_is_followed_to_its_end(client: Any) -> None:
    stubber = states(
        client,
        {"State": "STARTING"},
        {"State": "RUNNING", "EventLastReplayedTime": FIRST + timedelta(minutes=30)},
        {"State": "RUNNING", "EventLastReplayedTime": FIRST + timedelta(minutes=90)},
        {"State": "RUNNING", "EventLastReplayedTime": FIRST + timedelta(days=9)},
        {"State": "COMPLETED"},
    )
    steps: list[int] = []
    pauses: list[float] = []
    follow(client, REPLAY, lambda done, _all: steps.append(done), pauses.append)
    assert steps == [0, STEPS // 4, 3 * STEPS // 4, STEPS, STEPS]
    assert len(pauses) == 4
    stubber.assert_no_pending_responses()


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "SOMETHING_NEW"])
def test_a_bad_end_is_told_with_its_reason_and_how_far_it_came(client: Any, state: str) -> None:
    reached = FIRST + timedelta(minutes=30)
    states(
        client,
        {"State": "CANCELLING" if state == "CANCELLED" else "RUNNING"},
        {"State": state, "StateReason": "no \x1b more", "EventLastReplayedTime": reached},
    )
    with pytest.raises(CommandError) as raised:
        follow(client, REPLAY, lambda *_: None, lambda _: None)
    assert (raised.value.reason, raised.value.exit_code) == (f"replay-{state.lower()}", 1)
    assert "2026-11-20T10:30:00Z" in raised.value.detail
    assert "no \x1b more" in raised.value.detail, "escaped where it is shown"


@pytest.mark.parametrize("code", ["LimitExceededException", "InvalidEventPatternException", "AccessDenied"])
def test_what_eventbridge_refuses_is_one_sentence(client: Any, code: str) -> None:
    with Stubber(client) as stubber:
        stubber.add_client_error("start_replay", code, "ten replays at a time")
        with pytest.raises(CommandError, match="Could not start the replay") as raised:
            start(client, REPLAY)
    assert raised.value.reason == f"aws-{code}"


# --- the command ---------------------------------------------------------------------------------------

OUTPUTS = {
    "SALLYPORT_RECORDS_ARCHIVE_ARN": ARCHIVE,
    "SALLYPORT_AUDIT_QUEUE": "audit",
    "SALLYPORT_EVENTS_ARCHIVE_ARN": f"{EVENTS}:archive/sallyport-events",
    "SALLYPORT_EVENTS_QUEUE": "events",
    "SALLYPORT_OWN_EVENTS_ARCHIVE_ARN": "",
}


class EventBridge:
    """Archives of which each is done after one question; ``fails`` is the one that is not."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.started: list[str] = []
        self.asked: list[str] = []

    def describe_archive(self, *, ArchiveName: str) -> dict[str, Any]:  # noqa: N803 - EventBridge's
        return {"EventSourceArn": f"{EVENTS}:event-bus/{ArchiveName}"}

    def list_rule_names_by_target(self, *, TargetArn: str, EventBusName: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert TargetArn.endswith(":audit" if EventBusName.endswith("records") else ":events")
        return {"RuleNames": ["rule"]}

    def start_replay(self, **arguments: Any) -> dict[str, Any]:
        assert len(arguments["ReplayName"]) <= 64
        self.started.append(arguments["EventSourceArn"])
        return {}

    def describe_replay(self, *, ReplayName: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        self.asked.append(ReplayName)
        return {"State": "FAILED" if self.fails and self.fails in ReplayName else "COMPLETED"}


def run(monkeypatch: pytest.MonkeyPatch, bridge: EventBridge, *options: str) -> Result:
    clients = {"events": bridge, "sqs": Queues()}
    monkeypatch.setattr(replay_job, "Aws", lambda: SimpleNamespace(client=clients.__getitem__))
    return CliRunner().invoke(app, ["replay", "--from", "2026-11-20T10:00Z", *options], env=OUTPUTS)


def test_records_are_replayed_before_what_they_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = EventBridge()
    done = run(monkeypatch, bridge, "--json")
    assert done.exit_code == 0, done.output
    assert [one.rpartition("/")[2] for one in bridge.started] == ["sallyport-records", "sallyport-events"]
    said = json.loads(done.output)["replays"]
    assert [(one["of"], one["state"]) for one in said] == [("records", "COMPLETED"), ("events", "COMPLETED")]
    assert said[0]["rules"] == [f"{EVENTS}:rule/sallyport-records/rule"]


def test_events_are_not_replayed_where_records_could_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = EventBridge(fails="records")
    assert run(monkeypatch, bridge).exit_code == 1
    assert len(bridge.started) == 1


@pytest.mark.parametrize("queue", ["--events-queue", "--records-queue"])
def test_nothing_is_replayed_to_others_rules(monkeypatch: pytest.MonkeyPatch, queue: str) -> None:
    bridge = EventBridge()
    done = run(monkeypatch, bridge, queue, "")
    assert (done.exit_code, bridge.started) == (2, []), done.output
    assert "is not named" in done.output


def test_nobody_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = EventBridge()
    done = run(monkeypatch, bridge, "--no-wait")
    assert (done.exit_code, len(bridge.started), bridge.asked) == (0, 2, [])
    assert "has begun" in done.output
    assert "ten minutes" in done.output


def test_a_dry_run_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = EventBridge()
    done = run(monkeypatch, bridge, "--dry-run")
    assert (done.exit_code, bridge.started) == (0, [])
    assert "would replay 2026-11-20T10:00Z to" in done.output
