"""What comes late, out of an archive or a trail: judged as it would have been in time, and told once."""

import json
from datetime import timedelta

import pytest

from sallyport.audit.finding import Severity
from tests.support.audit_cloud import AuditCloud
from tests.support.audit_world import MANAGED_ROLE
from tests.support.rule_samples.sample import assume, exchange, minutes, record, user

UNEXPLAINED = "session-without-record-59"
NO_SESSION = "record-without-session-60"
BEHIND = assume(user(), MANAGED_ROLE)
OURS = assume(exchange(), MANAGED_ROLE, source_identity="entra-b0c1")
LATE = timedelta(days=3)


@pytest.fixture
def cloud() -> AuditCloud:
    """A deployment three days after everything happened."""
    late = AuditCloud()
    late.now += LATE
    return late


def until_quiet(cloud: AuditCloud) -> None:
    while cloud.later:
        cloud.now += minutes(15)
        assert cloud.second_looks() == []


def test_a_record_and_its_event_may_come_late_in_any_order(cloud: AuditCloud) -> None:
    for first, second in ((("event", OURS), ("record", record())), (("record", record()), ("event", OURS))):
        late = AuditCloud()
        late.now += LATE
        late.send(*first)
        late.now += minutes(10)
        late.send(*second)
        until_quiet(late)
        assert late.findings() == {}


@pytest.mark.parametrize(
    ("kind", "message", "rule"), [("event", OURS, UNEXPLAINED), ("record", record(), NO_SESSION)]
)
def test_what_stays_alone_is_found_once_enough_time_was_given(
    cloud: AuditCloud, kind: str, message: dict[str, object], rule: str
) -> None:
    cloud.send(kind, message)
    assert rule not in cloud.findings()
    cloud.now += minutes(10)
    cloud.second_looks()
    assert rule not in cloud.findings()
    until_quiet(cloud)
    assert cloud.findings()[rule].finding.count == 1


def test_what_needs_no_explanation_is_found_at_once_and_at_its_own_time(cloud: AuditCloud) -> None:
    in_time = AuditCloud()
    in_time.send("event", BEHIND)
    cloud.send("event", BEHIND)
    late, then = cloud.findings()[UNEXPLAINED].finding, in_time.findings()[UNEXPLAINED].finding
    assert (late.id, late.last_event, late.severity) == (then.id, then.last_event, Severity.CRITICAL)
    (alert,) = cloud.told(UNEXPLAINED)
    assert then.last_event.isoformat() in alert["Message"], "the mail says when it was"


def test_what_is_replayed_is_known_and_nobody_is_told_again(cloud: AuditCloud) -> None:
    cloud.send("event", BEHIND)
    before = cloud.findings()
    cloud.send("event", json.loads(json.dumps(BEHIND)) | {"replay-name": "sallyport-trail-1"})
    assert cloud.findings() == before
    assert len(cloud.told(UNEXPLAINED)) == 1


def test_it_is_known_by_its_finding_when_it_is_no_longer_known_as_a_message(cloud: AuditCloud) -> None:
    """Marks of messages end after sixteen days; findings remember their events as long as they are kept."""
    cloud.send("event", BEHIND)
    known = cloud.aws.tables["audit"].items
    for key in [key for key, item in known.items() if "outcome" in item]:
        del known[key]
    cloud.now += timedelta(days=30)
    cloud.send("event", BEHIND | {"replay-name": "sallyport-trail-2"})
    assert cloud.findings()[UNEXPLAINED].finding.count == 1
    assert len(cloud.told(UNEXPLAINED)) == 1
