"""A suppression has an owner, a reason and an end, and hides no more than it names."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.audit.finding import Finding
from sallyport.audit.rules import RULES
from sallyport.audit.suppressions import (
    LONGEST,
    MAX_SUPPRESSIONS,
    SuppressionsError,
    load_suppressions,
    suppressed_by,
)
from tests.support.audit_world import ACCOUNT, FOREIGN, MANAGED_ROLE
from tests.support.rule_samples import load
from tests.support.rule_samples.sample import assume, event, one, role

TODAY = date(2026, 11, 20)
GLOBAL = {"clientProvidedHostHeader": "sts.amazonaws.com"}
ENTRY = {
    "id": "nightly-import",
    "rule": "session-without-record-59",
    "owner": "platform",
    "reason": "tested every night",
    "until": "2026-12-31",
    "about": [f"{MANAGED_ROLE}*"],
}
FOUND = next(
    one
    for one in load()["session-without-record-59"].hits[0].run()[-1]
    if isinstance(one, Finding) and one.rule_id == "session-without-record-59"
)


def loaded(*entries: Any) -> tuple:
    return load_suppressions({"suppressions": list(entries)}, rules=RULES, today=TODAY)


def test_it_covers_what_it_names() -> None:
    assert suppressed_by(FOUND, loaded(ENTRY)) == "nightly-import"


@pytest.mark.parametrize(
    "changed",
    [
        {"rule": "key-used-elsewhere-62"},
        {"about": ["arn:aws:iam::111122223333:role/other*"]},
        # The whole value, not its beginning.
        {"about": [MANAGED_ROLE[:-1]]},
        {"account": FOREIGN},
        {"until": "2026-11-19"},
    ],
)
def test_it_covers_nothing_else(changed: dict[str, Any]) -> None:
    assert suppressed_by(FOUND, loaded(ENTRY | changed)) is None


def test_it_holds_to_the_end_of_its_last_day_and_what_comes_after_is_a_finding() -> None:
    entries = loaded(ENTRY | {"until": "2026-11-20"})
    assert suppressed_by(FOUND, entries) is not None
    assert suppressed_by(replace(FOUND, last_event=FOUND.last_event + timedelta(days=1)), entries) is None


@pytest.mark.parametrize(
    "about", [MANAGED_ROLE, "arn:aws:iam::111122223333:role/sallyport/*", "ASIAEXAM*", "ASIA"]
)
def test_a_name_or_a_long_beginning_of_one_says_enough(about: str) -> None:
    assert loaded(ENTRY | {"about": [about]})


def test_a_caller_cannot_choose_by_which_name_it_is_suppressed() -> None:
    events = [one(event("signin", "GetSigninToken", role(), userAgent=MANAGED_ROLE))]
    events.append(one(assume(role(), MANAGED_ROLE, userAgent=MANAGED_ROLE, tlsDetails=GLOBAL)))
    for sample, rule in zip(events, ("sign-in-token-43", "global-sts-endpoint-1"), strict=True):
        found = [said for said in sample.run()[-1] if isinstance(said, Finding) and said.rule_id == rule]
        assert [said.dedupe for said in found] == [(f"arn:aws:iam::{ACCOUNT}:role/deployer",)]


@pytest.mark.parametrize("name", ["id", "rule", "owner", "reason", "until"])
@pytest.mark.parametrize("value", [None, "", "  ", 7, ["x"], "x" * 1000, "a\nb"])
def test_every_field_must_be_there_and_be_text(name: str, value: Any) -> None:
    with pytest.raises(SuppressionsError):
        loaded(ENTRY | {name: value})


@pytest.mark.parametrize(
    "changed",
    [
        {"rule": "*"},
        {"about": ["arn:aws:*"]},
        {"about": ["arn:aws:iam::111122223333:*"]},
        {"about": ["arn:aws:iam::111122223333:role/*"]},
        {"about": ["arn:aws:iam::1111*:role/sallyport/team-a-reader"]},
        {"about": ["arn:aws:sqs:eu-central-1:111122223333:*"]},
        {"about": ["sallypo?t-*"]},
        {"rule": "no-such-rule-1"},
        {"until": "31.12.2026"},
        {"until": "2026-02-30"},
        {"until": "20261231"},
        {"until": str(TODAY + LONGEST + timedelta(days=1))},
        {"until": "9999-12-31"},
        {"note": "unknown field"},
        {"account": "12345"},
        {"about": "x"},
        {"about": [7]},
        {"about": ["x" * 9] * 100},
        # What is critical cannot be hidden as a whole.
        {"about": []},
        {"about": ["*"]},
        {"about": ["arn:*"]},
    ],
)
def test_what_is_not_as_it_should_be_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(SuppressionsError) as caught:
        loaded(ENTRY | changed)
    assert len(caught.value.problems) == 1


def test_what_is_low_may_be_hidden_as_a_whole() -> None:
    entry = {name: value for name, value in ENTRY.items() if name != "about"}
    assert loaded(entry | {"rule": "global-sts-endpoint-1"})


def test_one_bad_entry_refuses_all_and_every_problem_is_named() -> None:
    with pytest.raises(SuppressionsError) as caught:
        loaded(ENTRY, ENTRY, ENTRY | {"id": "x", "owner": ""}, 7)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("document", [None, [], {}, {"suppressions": {}}, {"suppressions": [], "x": 1}])
def test_another_document_is_none(document: Any) -> None:
    with pytest.raises(SuppressionsError):
        load_suppressions(document, rules=RULES, today=TODAY)
    with pytest.raises(SuppressionsError):
        load_suppressions({"suppressions": [ENTRY] * (MAX_SUPPRESSIONS + 1)}, rules=RULES, today=TODAY)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*ENTRY, "x"]), inner),
    )
)
def test_nothing_else_is_ever_raised(entry: Any) -> None:
    try:
        loaded(entry)
    except SuppressionsError:
        return
