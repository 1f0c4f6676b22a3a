"""The audit's function as deployed: whatever comes, in whatever order and how often, is one truth."""

import json
import random
from datetime import timedelta
from typing import Any

import pytest

from sallyport.audit.finding import Severity
from sallyport.trust.digest import content_digest
from tests.support import audit_cloud
from tests.support.audit_cloud import AuditCloud
from tests.support.audit_world import ACCOUNT, MANAGED_ROLE
from tests.support.fake_transport import unreachable
from tests.support.rule_samples.sample import assume, event, exchange, minutes, record, role, root, user
from tests.support.world import lines, load_event

UNEXPLAINED = "session-without-record-59"
BEHIND = assume(user(), MANAGED_ROLE)
OURS = assume(exchange(), MANAGED_ROLE, source_identity="entra-b0c1")


@pytest.fixture
def cloud() -> AuditCloud:
    return AuditCloud()


def test_a_session_behind_the_exchange_s_back_is_a_finding_an_alert_and_an_import(cloud: AuditCloud) -> None:
    assert cloud.send("event", BEHIND) == []
    kept = cloud.findings()[UNEXPLAINED]
    assert (kept.finding.rule_id, kept.finding.severity, kept.finding.count) == (
        UNEXPLAINED,
        Severity.CRITICAL,
        1,
    )
    (alert,) = cloud.told(UNEXPLAINED)
    assert alert["TopicArn"] == audit_cloud.TOPIC
    assert alert["Subject"].startswith("Sallyport CRITICAL: ")
    assert MANAGED_ROLE in alert["Message"]
    assert cloud.imports_due() == []
    (imported,) = cloud.imports(UNEXPLAINED)
    assert imported["Id"].endswith(kept.finding.id)
    assert cloud.counts() == {"event": 1}


def test_what_a_record_explains_is_no_finding(cloud: AuditCloud) -> None:
    assert cloud.send("record", record()) == []
    assert cloud.send("event", OURS) == []
    assert cloud.findings() == {}
    assert cloud.counts() == {"granted": 1, "event": 1}


def test_the_sample_event_is_taken(cloud: AuditCloud) -> None:
    """As `sam local invoke` and the folder of events have it."""
    (one,) = load_event("audit")["Records"]
    assert cloud.send(one["eventSourceARN"], one["body"]) == []
    assert cloud.counts() == {"granted": 1}


def test_a_record_that_did_not_come_by_the_records_rule_explains_nothing(cloud: AuditCloud) -> None:
    """Whoever can put events on the default bus, or messages into the events queue, writes no records."""
    assert cloud.send("event", record()) == []
    assert [reason for _, reason in cloud.dead] == ["not-from-aws"]
    cloud.send("event", OURS)
    cloud.now += minutes(30)
    cloud.second_looks()
    assert UNEXPLAINED in cloud.findings()


def test_a_record_that_comes_after_its_event_explains_it(cloud: AuditCloud) -> None:
    cloud.send("event", OURS)
    assert cloud.findings() == {}
    cloud.send("record", record())
    while cloud.later:
        cloud.now += minutes(15)
        assert cloud.second_looks() == []
    assert cloud.findings() == {}


def test_a_record_that_never_comes_is_waited_for_and_then_a_finding(cloud: AuditCloud) -> None:
    cloud.send("event", OURS)
    looks = 0
    while cloud.later:
        looks += 1
        cloud.now += timedelta(seconds=cloud.later[0]["DelaySeconds"])
        assert cloud.second_looks() == []
    assert looks == 2, "SQS waits a quarter of an hour at the most, and the rule twenty minutes"
    assert cloud.findings()[UNEXPLAINED].finding.count == 1
    assert cloud.counts() == {"event": 1}


@pytest.mark.parametrize("comes", ["before", "after", "never"])
def test_a_record_whose_event_comes_before_or_after_is_none_and_without_one_a_finding(
    cloud: AuditCloud, comes: str
) -> None:
    if comes == "before":
        cloud.send("event", OURS)
    cloud.send("record", record())
    if comes == "after":
        cloud.send("event", OURS)
    while cloud.later:
        cloud.now += minutes(15)
        assert cloud.second_looks() == []
    assert set(cloud.findings()) == ({"record-without-session-60"} if comes == "never" else set())


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, "7", "null", '{"kind": "record", "due": "x"}'])
def test_what_nobody_put_off_is_kept_aside(cloud: AuditCloud, body: str) -> None:
    assert cloud.send("later", body) == []
    assert [reason for _, reason in cloud.dead] == ["not-put-off"]


def test_the_same_thing_twice_is_one_finding_one_alert_and_one_import(cloud: AuditCloud) -> None:
    for _ in range(3):
        assert cloud.send("event", BEHIND, BEHIND) == []
        cloud.restart()
    cloud.imports_due()
    assert cloud.findings()[UNEXPLAINED].finding.count == 1
    assert (len(cloud.told(UNEXPLAINED)), len(cloud.imports(UNEXPLAINED))) == (1, 1)
    assert cloud.counts() == {"event": 1}


def test_what_was_taken_costs_one_read_when_it_comes_again(cloud: AuditCloud) -> None:
    cloud.send("event", BEHIND)
    cloud.aws.calls.clear()
    cloud.send("event", BEHIND)
    assert cloud.aws.calls == ["dynamodb eu-central-1 GetItem"]


def test_what_comes_before_its_time_is_put_off_again_and_nobody_is_asked(cloud: AuditCloud) -> None:
    cloud.send("event", OURS)
    cloud.aws.calls.clear()
    cloud.second_looks()
    assert cloud.aws.calls == ["sqs eu-central-1 SendMessage"]
    assert len(cloud.later) == 1


def test_both_accounts_copies_of_one_call_are_counted_once(cloud: AuditCloud) -> None:
    copies = [assume(user(), MANAGED_ROLE, number=number, sharedEventID="shared-1") for number in (1, 2)]
    cloud.send("event", *copies)
    assert cloud.findings()[UNEXPLAINED].finding.count == 1
    assert cloud.counts() == {"event": 2}


def test_any_order_gives_the_same_findings() -> None:
    messages = [
        *(("event", event("iam", "CreateAccessKey", root(), number=n, after=minutes(n))) for n in range(5)),
        *(("event", assume(user(), MANAGED_ROLE, number=50 + n, after=minutes(n))) for n in range(5)),
        *(("record", record("denied", number=n, after=minutes(n / 10))) for n in range(25)),
    ]
    found = []
    for seed in range(4):
        cloud = AuditCloud()
        shuffled = [*messages, *messages]
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, no secret
        for kind, body in shuffled:
            assert cloud.send(kind, body) == []
        assert sum(cloud.counts().values()) == len(messages), "as many out as in"
        found.append(
            {
                rule: (one.finding.id, one.finding.count, one.finding.first_event, one.finding.last_event)
                for rule, one in cloud.findings().items()
                if rule != "denial-burst-61"
            }
        )
        assert "denial-burst-61" in cloud.findings()
    assert all(one == found[0] for one in found)
    assert found[0][UNEXPLAINED][1] == 5


@pytest.mark.parametrize("kind", ["event", "record"])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not-json"),
        ("{", "not-json"),
        ("[" * 100_000, "not-json"),
        ("[]", "not-an-object"),
        ("null", "not-an-object"),
    ],
)
def test_poison_is_kept_aside_with_its_reason(cloud: AuditCloud, kind: str, body: str, reason: str) -> None:
    assert cloud.send(kind, body, BEHIND if kind == "event" else record()) == []
    assert cloud.dead == [(body or " ", reason)]
    assert sum(cloud.counts().values()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"source": "aws.sts"},
        {"source": "attacker"},
        {"detail-type": "AWS API Call via CloudTrail"},
        {"detail": []},
        {"detail": {}},
        {"detail": {"id": 7, "outcome": "granted"}},
    ],
)
def test_what_is_no_record_is_not_counted(cloud: AuditCloud, change: dict[str, Any]) -> None:
    assert cloud.send("record", record() | change) == []
    assert (cloud.counts(), [reason for _, reason in cloud.dead]) == ({}, ["not-a-record"])


def test_poison_stays_in_the_queue_while_it_cannot_be_kept_aside() -> None:
    cloud = AuditCloud({"security_hub": False})
    cloud.aws.faults["sqs"] = unreachable
    assert cloud.send("event", "{", BEHIND) == [0]


def test_messages_of_other_queues_and_streams_are_refused(cloud: AuditCloud) -> None:
    assert cloud.send(f"{audit_cloud.QUEUES['record']}-x", record()) == [0]
    other = audit_cloud.STREAM.replace("table/trust", "table/other")
    assert cloud.change(trust_change(), stream=other) == [0]
    assert cloud.counts() == {}


def test_a_further_event_is_an_update_and_no_second_alert(cloud: AuditCloud) -> None:
    cloud.send("event", BEHIND)
    cloud.imports_due()
    cloud.send("event", assume(user(), MANAGED_ROLE, number=2, after=minutes(1)))
    cloud.imports_due()
    assert cloud.findings()[UNEXPLAINED].finding.count == 2
    first, second = cloud.imports(UNEXPLAINED)
    assert first["Id"] == second["Id"]
    assert first["UpdatedAt"] < second["UpdatedAt"]
    assert first["CreatedAt"] == second["CreatedAt"]
    assert len(cloud.told(UNEXPLAINED)) == 1


def test_an_alert_is_only_for_what_is_severe_enough() -> None:
    cloud = AuditCloud({"alert_from": "CRITICAL", "security_hub": False})
    cloud.send("event", event("signin", "ConsoleLogin", root(), response={"ConsoleLogin": "Success"}))
    assert cloud.findings()
    assert all(one.finding.severity < Severity.CRITICAL for one in cloud.findings().values())
    assert (cloud.alerts, cloud.waiting) == ([], [])
    quiet = AuditCloud({"alert_topic": ""})
    quiet.send("event", BEHIND)
    assert (UNEXPLAINED in quiet.findings(), quiet.alerts) == (True, [])


def suppressed(**changes: Any) -> dict[str, Any]:
    entry = {
        "id": "drill",
        "rule": UNEXPLAINED,
        "owner": "security",
        "reason": "a drill",
        "until": "2026-11-20",
        "about": [MANAGED_ROLE],
    }
    document = json.dumps({"suppressions": [entry | changes]})
    return {"pk": {"S": "suppressions"}, "document": {"S": document}}


def test_a_suppressed_finding_is_kept_and_nobody_is_told(cloud: AuditCloud) -> None:
    cloud.aws.tables["findings"].items["suppressions", ""] = suppressed()
    cloud.send("event", BEHIND)
    assert cloud.findings()[UNEXPLAINED].finding.suppressed_by == "drill"
    assert cloud.told(UNEXPLAINED) == []
    cloud.imports_due()
    assert cloud.imports(UNEXPLAINED)[0]["Workflow"] == {"Status": "SUPPRESSED"}
    # Its day is over: the next event alerts.
    cloud.send("event", assume(user(), MANAGED_ROLE, number=2, after=timedelta(days=1)))
    assert len(cloud.told(UNEXPLAINED)) == 1


@pytest.mark.parametrize("document", ["{", "[]", json.dumps({"suppressions": [{}]})])
def test_suppressions_that_cannot_be_read_suppress_nothing(
    cloud: AuditCloud, document: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.aws.tables["findings"].items["suppressions", ""] = {"document": {"S": document}}
    cloud.send("event", BEHIND)
    assert len(cloud.told(UNEXPLAINED)) == 1
    assert any("SuppressionsRefused" in line for line in lines(capsys))


def test_a_rule_that_throws_is_an_alarm_and_the_others_go_on(
    cloud: AuditCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """What rule 59 looks up is not what it should be, as after a wrong restore."""
    made = assume(exchange(), MANAGED_ROLE)
    items, key = cloud.aws.tables["audit"].items, ("issued#ASIAISSUED0000000001", "")
    items[key] = {"pk": {"S": key[0]}, "record": {"S": "{"}}
    assert cloud.send("event", made) == []
    assert "session-without-source-identity-2" in cloud.findings()
    assert UNEXPLAINED not in cloud.findings()
    assert [reason for _, reason in cloud.dead] == ["rule-failed"]
    assert any("RuleFailed" in line for line in lines(capsys))
    assert cloud.counts() == {}
    # Mended and brought back, it is looked at as if it had never come.
    del items[key]
    cloud.now += minutes(60)
    assert cloud.send("event", cloud.dead[0][0]) == []
    assert cloud.counts() == {"event": 1}


def test_sessions_are_kept_for_tracing(cloud: AuditCloud) -> None:
    cloud.send("record", record())
    cloud.send("event", OURS, OURS)
    kinds = sorted(sk.partition("#")[0] for _, sk in cloud.aws.tables["sessions"].items)
    assert kinds == ["event", "record"]
    text = str([table.items for table in cloud.aws.tables.values()])
    assert "IQoJb3JpZ2luX2VjEXAMPLE" not in text, "session tokens are never kept"


def trust_change(key: str = "current", kind: str = "INSERT", **image: str) -> dict[str, Any]:
    keys = {"pk": {"S": key}, "version": {"S": "-"}}
    new = keys | {name: {"S": value} for name, value in image.items()} | {"document": {"S": "x" * 300_000}}
    change = {"Keys": keys, "NewImage": new, "ApproximateCreationDateTime": audit_cloud.NOON.timestamp()}
    return {"eventID": f"change-{key}", "eventName": kind, "awsRegion": "eu-central-1", "dynamodb": change}


def test_a_trust_change_without_an_apply_is_waited_for_and_then_critical(cloud: AuditCloud) -> None:
    assert cloud.change(trust_change(current="v1")) == []
    assert cloud.findings() == {}
    assert len(cloud.later[0]["MessageBody"]) < 256 * 1024
    cloud.now += minutes(3)
    assert cloud.second_looks() == []
    assert cloud.findings()["trust-change-unexplained-64"].finding.severity == Severity.CRITICAL


def test_a_trust_change_that_an_apply_explains_is_none(cloud: AuditCloud) -> None:
    facts = {"digest": "d", "content_digest": content_digest({"role#a": "{}"})}
    items = cloud.aws.tables["trust"].items
    items["role#a", "v1"] = {"pk": {"S": "role#a"}, "version": {"S": "v1"}, "document": {"S": "{}"}}
    items["apply#v1", "-"] = {"pk": {"S": "apply#v1"}, "version": {"S": "-"}} | {
        name: {"S": value} for name, value in facts.items()
    }
    cloud.change(trust_change(current="v1", **facts))
    assert (cloud.findings(), cloud.later) == ({}, [])


def test_an_item_more_than_was_applied_is_critical(cloud: AuditCloud) -> None:
    facts = {"digest": "d", "content_digest": content_digest({"role#a": "{}"})}
    items = cloud.aws.tables["trust"].items
    for key in ("role#a", "role#planted"):
        items[key, "v1"] = {"pk": {"S": key}, "version": {"S": "v1"}, "document": {"S": "{}"}}
    items["apply#v1", "-"] = {"pk": {"S": "apply#v1"}, "version": {"S": "-"}} | {
        name: {"S": value} for name, value in facts.items()
    }
    cloud.change(trust_change(current="v1", **facts))
    cloud.now += minutes(3)
    cloud.second_looks()
    assert cloud.findings()["trust-change-unexplained-64"].finding.severity == Severity.CRITICAL


def test_the_api_is_a_part_of_ours_although_its_id_is_all_that_calls_name(cloud: AuditCloud) -> None:
    for number, api in enumerate(("a1b2c3d4e6", audit_cloud.API)):
        called = {"restApiId": api, "stageName": "v1"}
        assert "own-part-changed-56" not in cloud.findings()
        cloud.send("event", event("apigateway", "UpdateStage", role(), request=called, number=900 + number))
    assert cloud.findings()["own-part-changed-56"].finding.severity == Severity.HIGH


def test_a_heartbeat_is_counted_as_one(cloud: AuditCloud, capsys: pytest.CaptureFixture[str]) -> None:
    beat = record()
    beat["detail"] = {
        "id": "heartbeat-1",
        "time": "2026-11-20T12:00:00Z",
        "kind": "heartbeat",
        "outcome": "alive",
    }
    assert cloud.send("record", beat) == []
    assert (cloud.counts(), cloud.dead) == ({"alive": 1}, [])
    assert any("Heartbeat" in line for line in lines(capsys))


def test_an_event_of_nobody_of_our_concern_is_counted_and_nothing_else(cloud: AuditCloud) -> None:
    other = assume(user(), f"arn:aws:iam::{ACCOUNT}:role/else")
    other["detail"]["eventSource"] = "lambda.amazonaws.com"
    cloud.send("event", other)
    assert (cloud.counts(), cloud.findings(), cloud.dead) == ({"event": 1}, {}, [])
