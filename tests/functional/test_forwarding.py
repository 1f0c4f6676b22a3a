"""What other accounts forward is heard; of this account's sessions it explains nothing and hides nothing."""

from typing import Any

import pytest

from sallyport.audit.finding import Severity
from tests.support.audit_cloud import AuditCloud
from tests.support.audit_world import ACCOUNT, EXCHANGE_ROLE_ID, FOREIGN, MANAGED_ROLE, MEMBER, MEMBER_ROLE
from tests.support.rule_samples.sample import (
    assume,
    event,
    exchange,
    minutes,
    other_account,
    record,
    role,
    user,
)

UNEXPLAINED, SILENT = "session-without-record-59", "record-without-session-60"
BEHIND = assume(user(), MANAGED_ROLE, key="ASIABEHIND0000000001")
MADE = assume(exchange(), MANAGED_ROLE, source_identity="entra-b0c1")


@pytest.fixture
def cloud() -> AuditCloud:
    return AuditCloud()


def from_member(made: dict[str, Any], account: str = MEMBER, **claimed: Any) -> dict[str, Any]:
    """An event as a member account's bus sends it on: the envelope's account is AWS's word."""
    return made | {
        "account": account,
        "detail": made["detail"] | {"recipientAccountId": account} | claimed,
    }


def later(cloud: AuditCloud) -> None:
    while cloud.later:
        cloud.now += minutes(15)
        assert cloud.second_looks() == []


def test_a_session_behind_the_exchange_s_back_is_found_in_the_account_that_owns_the_role(
    cloud: AuditCloud,
) -> None:
    made = assume(user(account=MEMBER), MEMBER_ROLE, account=MEMBER, region="us-west-2")
    assert cloud.send("event", made) == []
    found = cloud.findings()[UNEXPLAINED].finding
    assert (found.severity, found.account, found.region) == (Severity.CRITICAL, MEMBER, "us-west-2")


def test_a_session_of_the_exchange_in_a_member_account_is_explained_by_its_record(cloud: AuditCloud) -> None:
    cloud.send("record", record(role_arn=MEMBER_ROLE))
    caller = other_account(ACCOUNT, f"{EXCHANGE_ROLE_ID}:sallyport-assume-role")
    copies = (
        assume(exchange(), MEMBER_ROLE, source_identity="entra-b0c1", sharedEventID="s", number=1),
        assume(
            caller, MEMBER_ROLE, source_identity="entra-b0c1", sharedEventID="s", number=2, account=MEMBER
        ),
    )
    assert cloud.send("event", *copies) == []
    later(cloud)
    assert cloud.findings() == {}


def test_who_switches_the_forwarding_off_is_found(cloud: AuditCloud) -> None:
    switched = event(
        "events", "DisableRule", role(), request={"name": "sallyport-events-calls-sts"}, account=MEMBER
    )
    assert cloud.send("event", switched) == []
    assert cloud.findings()["own-part-changed-56"].finding.account == MEMBER


@pytest.mark.parametrize("made", [BEHIND, MADE])
def test_an_event_that_speaks_for_another_account_is_kept_aside_and_nothing_comes_of_it(
    cloud: AuditCloud, made: dict[str, Any]
) -> None:
    assert cloud.send("event", from_member(made, recipientAccountId=ACCOUNT)) == []
    assert [reason for _, reason in cloud.dead] == ["another-account"]
    assert cloud.findings() == {}
    assert cloud.counts() == {}
    assert not cloud.aws.tables["sessions"].items


def test_it_does_not_take_the_place_of_the_true_one(cloud: AuditCloud) -> None:
    cloud.send("event", from_member(BEHIND, recipientAccountId=ACCOUNT))
    cloud.send("event", BEHIND)
    assert cloud.findings()[UNEXPLAINED].finding.account == ACCOUNT


def test_a_member_account_cannot_tell_that_our_session_is_the_exchange_s(cloud: AuditCloud) -> None:
    """Only a record explains a session, and records come another way."""
    who: dict[str, Any] = {"key": "ASIABEHIND0000000001", "source_identity": "entra-b0c1"}
    invented = assume(exchange(), MANAGED_ROLE, account=MEMBER, number=7, **who)
    cloud.send("event", invented, from_member(record()), BEHIND)
    later(cloud)
    found = cloud.findings()[UNEXPLAINED].finding
    assert (found.severity, found.account) == (Severity.CRITICAL, ACCOUNT)


@pytest.mark.parametrize("account", [MEMBER, FOREIGN])
def test_nor_that_one_was_made_which_our_trail_never_showed(cloud: AuditCloud, account: str) -> None:
    """It would hide that the audit has gone blind."""
    cloud.send("record", record())
    cloud.send("event", from_member(MADE, account))
    later(cloud)
    assert SILENT in cloud.findings()


def test_our_own_trail_can(cloud: AuditCloud) -> None:
    cloud.send("record", record())
    cloud.send("event", MADE)
    later(cloud)
    assert cloud.findings() == {}


def test_a_partner_s_event_is_no_service_s(cloud: AuditCloud) -> None:
    """Sources of partners begin with aws. too, and the rule on the bus cannot tell them apart."""
    assert cloud.send("event", from_member(BEHIND) | {"source": "aws.partner/example.com/1/sts"}) == []
    assert [reason for _, reason in cloud.dead] == ["not-from-aws"]
    assert cloud.findings() == {}
