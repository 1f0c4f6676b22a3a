"""What rule 59 makes of events that no real trail has, and that somebody may yet bring."""

from datetime import timedelta

import pytest

from sallyport.audit.finding import Finding
from tests.support.audit_world import MANAGED_ROLE, NOON
from tests.support.rule_samples.exchange import respelt
from tests.support.rule_samples.sample import Sample, assume, exchange, user


def test_the_spelling_of_a_call_decides_nothing() -> None:
    raw = respelt(assume(user(), MANAGED_ROLE), eventName="assumerole", eventSource="STS.amazonaws.com")
    found = {one.rule_id for one in Sample((raw,)).run()[-1] if isinstance(one, Finding)}
    assert "session-without-record-59" in found


def test_one_session_is_one_finding_however_many_accounts_tell_of_it() -> None:
    theirs = assume(user(), MANAGED_ROLE, sharedEventID="s-1")
    ours = assume(
        {"type": "AWSAccount", "accountId": "999988887777"}, MANAGED_ROLE, sharedEventID="s-1", number=2
    )
    found = [one for said in Sample((theirs, ours)).run() for one in said if isinstance(one, Finding)]
    (name,) = {one.id for one in found if one.rule_id == "session-without-record-59"}
    (events,) = {one.event_ids for one in found if one.id == name}
    assert events == ("s-1",)


@pytest.mark.parametrize(
    ("days", "says"),
    [(399, {"session-without-record-59"}), (401, set())],
)
def test_what_is_older_than_records_can_be_is_not_called_unexplained(days: int, says: set[str]) -> None:
    facts = {"records_kept": timedelta(days=400), "now": NOON + timedelta(days=days)}
    made = Sample((assume(exchange(), MANAGED_ROLE),), facts=facts)
    assert {one.rule_id for one in made.run()[-1] if one.rule_id == "session-without-record-59"} == {
        "session-without-record-59"
    }, "found or cannot tell, and never a pass"
    found = {one.rule_id for one in made.run()[-1] if isinstance(one, Finding)}
    assert found & {"session-without-record-59"} == says


def test_another_callers_session_is_found_however_old_it_is() -> None:
    facts = {"records_kept": timedelta(days=400), "now": NOON + timedelta(days=900)}
    made = Sample((assume(user(), MANAGED_ROLE),), facts=facts)
    assert "session-without-record-59" in {one.rule_id for one in made.run()[-1] if isinstance(one, Finding)}
