"""Findings that end, and the signs of life that the audit remembers, at what a table can hold."""

from datetime import timedelta

import pytest

from sallyport.adapters.audit_memory import Memory
from sallyport.adapters.aws import JsonService
from sallyport.adapters.findings_table import FindingsTable
from sallyport.adapters.watch import MAX_REGIONS, SEEN_EVERY, OpenFindings, TableWatch
from sallyport.audit.finding import ALWAYS, Finding, Severity, finding_id
from sallyport.audit.posture.chain import Way
from sallyport.audit.posture.looks import read_trust
from sallyport.audit.trust_policy.managed import FunctionRoles, ManagedRole
from sallyport.settings import AwsSettings
from sallyport.wiring.clients import Aws
from tests.support import trust_policies as t
from tests.support.audit_world import ACCOUNT, MEMBER, NOON, REGION
from tests.support.fake_transport import FakeAws, FakeTable
from tests.support.trust_files import compiled
from tests.support.world import OWN

DAY = timedelta(days=1)


@pytest.fixture
def aws() -> FakeAws:
    tables = {name: FakeTable(sort_key=None) for name in ("audit", "findings")}
    return FakeAws(now=lambda: NOON, tables=tables)


@pytest.fixture
def dynamodb(aws: FakeAws) -> JsonService:
    return Aws(AwsSettings(region=REGION), aws, lambda: OWN).dynamodb()


@pytest.fixture
def memory(dynamodb: JsonService) -> Memory:
    return Memory(dynamodb, "audit", lambda: NOON)


@pytest.fixture
def findings(dynamodb: JsonService) -> FindingsTable:
    return FindingsTable(dynamodb, "findings", timedelta(days=400), lambda: NOON)


def seen(day: int = 0) -> Finding:
    return Finding(
        id=finding_id("posture-x", ACCOUNT, ("role",), ALWAYS),
        rule_id="posture-x",
        account=ACCOUNT,
        region=REGION,
        title="x",
        description="x",
        severity=Severity.HIGH,
        dedupe=("role",),
        window_start=ALWAYS,
        first_event=NOON + day * DAY,
        last_event=NOON + day * DAY,
        event_ids=(f"look-{day}",),
    )


def test_a_finding_ends_once_at_the_time_of_the_first_look_that_missed_it(findings: FindingsTable) -> None:
    findings.observe(seen())
    for day in (1, 2):
        kept = findings.end(seen().id, NOON + day * DAY)
        assert kept is not None
        assert kept.finding.ended == NOON + DAY


def test_a_look_that_began_earlier_ends_nothing_that_was_seen_since(findings: FindingsTable) -> None:
    findings.observe(seen(day=1))
    for at in (NOON, NOON + DAY):
        kept = findings.end(seen().id, at)
        assert kept is not None
        assert kept.finding.ended is None


def test_what_is_not_there_does_not_end(findings: FindingsTable) -> None:
    assert findings.end(seen().id, NOON) is None
    assert findings.read(seen().id) is None


def test_what_ended_was_told_to_nobody(findings: FindingsTable) -> None:
    kept = findings.observe(seen())
    assert findings.may_tell(kept.finding)
    findings.alerted(kept.finding)
    findings.end(seen().id, NOON + DAY)
    again = findings.observe(seen(day=2))
    assert (again.alerted, again.finding.ended, again.finding.count) == (None, None, 2)
    assert findings.may_tell(again.finding)


def test_open_findings_are_remembered_by_part(memory: Memory) -> None:
    still_open = OpenFindings(memory)
    ids = frozenset(finding_id("r", ACCOUNT, (str(number),), ALWAYS) for number in range(200))
    first = frozenset(sorted(ids)[:150])
    for part in ("roles", "looks"):
        still_open.add(part, ids)
        assert still_open.ids(part) == ids
        still_open.remove(part, first)
        assert still_open.ids(part) == ids - first
        still_open.remove(part, ids)
        assert still_open.ids(part) == frozenset()
    assert still_open.ids("keys") == frozenset()


def test_where_events_come_from_is_bounded_and_written_once_an_hour(memory: Memory, aws: FakeAws) -> None:
    now = [0.0]
    watch = TableWatch(memory, lambda: now[0])
    for number in range(MAX_REGIONS + 5):
        watch.saw(ACCOUNT, f"eu-east-{number}")
    assert len(watch.seen(ACCOUNT)) == MAX_REGIONS
    for nonsense in ("", "<b>", "eu-central-1\n", "x" * 300):
        watch.saw(MEMBER, nonsense)
    assert watch.seen(MEMBER) == frozenset()
    watch.saw(MEMBER, REGION)
    before = len(aws.calls)
    for _ in range(100):
        watch.saw(MEMBER, REGION)
    assert len(aws.calls) == before
    now[0] += SEEN_EVERY + 1
    watch.saw(MEMBER, REGION)
    assert len(aws.calls) > before


def test_ways_are_watched_apart(memory: Memory) -> None:
    watch = TableWatch(memory, lambda: 0.0)
    watch.heard(Way.RECORDS, NOON)
    assert (watch.last(Way.RECORDS), watch.last(Way.CLOUDTRAIL)) == (NOON, None)
    assert watch.watched_since(Way.RECORDS, NOON) == NOON
    assert watch.watched_since(Way.RECORDS, NOON + timedelta(minutes=5)) == NOON
    assert watch.watched_since(Way.CLOUDTRAIL, NOON + DAY) == NOON + DAY


def test_of_roles_in_other_accounts_nothing_but_their_names_is_held() -> None:
    own, elsewhere = (f"arn:aws:iam::{account}:role/sallyport/reader" for account in (ACCOUNT, MEMBER))
    document = {
        "version": 1,
        "trust_anchors": {
            "contoso": {
                "kind": "oidc",
                "issuer": f"https://{t.V1}",
                "dialect": "entra",
                "audiences": ["api://a"],
            }
        },
        "profiles": {
            "reader": {
                "trust_anchor": "contoso",
                "roles": [own, elsewhere],
                "condition": {"StringEquals": {"token:oid": t.OBJECT}},
            }
        },
    }
    items = compiled(document).items
    found = read_trust(
        ((key, one) for kind in ("anchor#", "role#") for key, one in items.items() if key.startswith(kind)),
        ACCOUNT,
        FunctionRoles(assume_role=t.FUNCTION, create_session=t.CERTIFICATES),
    )
    assert found.managed[elsewhere] == ManagedRole()
    assert found.managed[own].external_ids
    assert (found.mapping, found.pools) == (None, {})
