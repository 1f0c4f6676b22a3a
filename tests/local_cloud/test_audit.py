"""The audit on the deployed stack: as many messages out as in, whatever they are and by whichever way."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest

from local import demo_audit
from local.deploy import client, sallyport
from local.steps import World
from sallyport.audit.rules.context import GRACE
from tests.support.live_audit import LiveAudit, key_of, name_of, until

POISON = ["{", "[]", json.dumps({"detail-type": "x"}), "not json at all"]


@pytest.fixture(scope="module")
def audit(world: World) -> LiveAudit:
    return LiveAudit(world)


def test_a_session_behind_the_exchange_s_back_is_found(world: World) -> None:
    assert "CRITICAL" in demo_audit.session_behind_the_back(world)


def test_duplicates_disorder_and_poison_leave_as_many_out_as_in(audit: LiveAudit) -> None:
    before, dead = audit.taken(), audit.waiting("EventsDeadLetterQueue")
    sessions = [audit.strangers_session() for _ in range(6)]
    messages: list[object] = [*sessions, *sessions, *POISON]
    random.shuffle(messages)
    with audit.impatient():
        # Copies that come at once wait for each other: one of them tells.
        audit.put_events(*messages)
        audit.settle("EventsQueue", "ImportsQueue")
    assert audit.waiting("EventsDeadLetterQueue") == dead + len(POISON)
    assert set(audit.taken() - before) == {name_of(one) for one in sessions}
    found = audit.findings_of(*sessions)
    assert [one["count"] for one in found] == [1] * len(sessions), "each once, however often it came"
    assert [len(imports) for imports in audit.imports_of(found)] == [1] * len(sessions)


def test_records_come_once_by_table_stream_and_bus_and_poison_is_kept_aside(audit: LiveAudit) -> None:
    before, dead = audit.taken(), audit.waiting("AuditDeadLetterQueue")
    records = [audit.denial() for _ in range(5)]
    audit.record(*records)
    # Twice more, as a stream and a bus deliver now and then; and what no exchange has written.
    audit.publish(*map(json.dumps, records), *map(json.dumps, records))
    audit.publish(json.dumps({"id": 7}), json.dumps({"outcome": "granted"}))
    for body in POISON[:2]:
        audit.send("AuditQueue", body)
    until(lambda: len(audit.taken() - before) >= len(records), "not every record was taken")
    audit.settle("AuditQueue")
    assert set(audit.taken() - before) == {one["id"] for one in records}
    assert audit.waiting("AuditDeadLetterQueue") == dead + 4


def test_an_event_that_comes_before_its_record_is_put_off_and_explained(audit: LiveAudit) -> None:
    """The event is as old as the grace for records, but for a few seconds."""
    early, record = audit.own_session(datetime.now(UTC) - GRACE + timedelta(seconds=20))
    audit.put_events(early)
    until(lambda: name_of(early) in audit.taken(), "the event was not taken")
    assert audit.waiting("LaterQueue") == 1
    audit.record(record)
    until(lambda: record["id"] in audit.taken(), "the record was not taken")
    audit.settle("LaterQueue")
    assert audit.findings_of(early) == []


def test_an_event_whose_record_never_comes_is_critical_once_there_was_time_for_it(audit: LiveAudit) -> None:
    alone, _ = audit.own_session(datetime.now(UTC) - GRACE + timedelta(seconds=10))
    with audit.impatient(), audit.inbox() as inbox:
        audit.put_events(alone, alone)
        until(lambda: name_of(alone) in audit.taken(), "the event was not taken")
        (finding,) = until(lambda: audit.findings_of(alone), "nothing was found")
        assert (finding["severity"], finding["count"]) == ("CRITICAL", 1)
        audit.settle("LaterQueue", "ImportsQueue")
        assert len(inbox.about(finding)) == 1


def test_a_record_explains_a_session_that_comes_late(audit: LiveAudit) -> None:
    late, record = audit.own_session(datetime.now(UTC) - GRACE)
    audit.record(record)
    until(lambda: record["id"] in audit.taken(), "the record was not taken")
    audit.put_events(late)
    until(lambda: name_of(late) in audit.taken(), "the event was not taken")
    assert audit.findings_of(late) == []


def test_an_alert_is_plain_text_and_comes_once_however_often_the_event_does(audit: LiveAudit) -> None:
    hostile = "x\r\nAll of it: none\r\n<b>Click</b> \u202e\x1b[2J"
    one = audit.strangers_session(hostile)
    with audit.impatient(), audit.inbox() as inbox:
        audit.put_events(one, one, one)
        (finding,) = until(lambda: audit.findings_of(one), "nothing was found")
        audit.settle("EventsQueue")
        audit.put_events(one)
        audit.settle("EventsQueue")
        (alert,) = inbox.about(finding)
    assert alert["Subject"].isascii()
    assert alert["Subject"].startswith("Sallyport CRITICAL: ")
    assert len(alert["Subject"]) < 100
    lines = alert["Message"].split("\n")
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if line.startswith("All of it: ")] == [
        f"All of it: sallyport findings --id {finding['id']}"
    ]
    assert not {"<", ">"} & {*alert["Message"]}
    assert any(key_of(one) in line for line in lines)


def test_a_rule_that_throws_is_in_the_log_and_its_event_comes_back_when_that_is_mended(
    audit: LiveAudit, world: World
) -> None:
    """What a rule looks up is not what it should be, as after a wrong restore."""
    session, record = audit.own_session(datetime.now(UTC) - GRACE)
    broken = {"pk": {"S": f"issued#{key_of(session)}"}, "record": {"S": "{"}}
    tables = client(world.cloud, "dynamodb")
    tables.put_item(TableName=audit.outputs["AuditTable"], Item=broken)
    dead = audit.waiting("EventsDeadLetterQueue")
    audit.put_events(session)
    until(lambda: audit.waiting("EventsDeadLetterQueue") == dead + 1, "it is not kept aside")
    assert name_of(session) not in audit.taken()
    until(lambda: "RuleFailed" in _log(world, session["detail"]["eventID"]), "nothing is said of it")
    tables.delete_item(TableName=audit.outputs["AuditTable"], Key={"pk": broken["pk"]})
    audit.record(record)
    until(lambda: record["id"] in audit.taken(), "the record was not taken")
    _replay(audit, world)
    until(lambda: name_of(session) in audit.taken(), "it was not audited after all")
    assert audit.findings_of(session) == []


def test_what_was_kept_aside_is_brought_back(audit: LiveAudit, world: World) -> None:
    good = audit.strangers_session()
    audit.send("EventsDeadLetterQueue", json.dumps(good))
    assert _replay(audit, world) >= 1
    until(lambda: name_of(good) in audit.taken(), "what was brought back was not audited")
    assert len(audit.findings_of(good)) == 1


def _replay(audit: LiveAudit, world: World) -> int:
    queues = ["--from-queue", audit.outputs["EventsDeadLetterQueue"]]
    queues += ["--to-queue", audit.outputs["EventsQueue"]]
    said = sallyport(["replay", *queues, "--json"], world.cloud.environment())
    return int(json.loads(said)["moved"])


def _log(world: World, event_id: str) -> str:
    logs = client(world.cloud, "logs")
    group = world.deployment.outputs["AuditLogGroup"]
    since = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp() * 1_000)
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
    said = [one["message"] for page in pages for one in page["events"]]
    return "\n".join(one for one in said if event_id in one)
