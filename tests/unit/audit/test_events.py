"""What arrives is read whatever it says, and what must not be kept is left behind."""

import json
from typing import Any

import pytest

from sallyport.audit.display import display
from sallyport.audit.event_values import MAX_ENTRIES, MAX_TEXT
from sallyport.audit.events import (
    Observed,
    RecordEvent,
    Unusable,
    read_event,
    read_record,
    read_trust_change,
)
from tests.support.audit_world import ACCOUNT, MANAGED_ROLE, MEMBER, NOON
from tests.support.rule_samples.federation import saml
from tests.support.rule_samples.roles_anywhere import session
from tests.support.rule_samples.sample import (
    assume,
    event,
    record,
    role,
    user,
)
from tests.support.rule_samples.trust_table import POINTER, change


def read(envelope: dict[str, Any]) -> Observed:
    found = read_event(envelope)
    assert isinstance(found, Observed)
    return found


def test_an_event_says_who_did_what_when_and_from_where() -> None:
    found = read(assume(role(source_identity="person-7"), MANAGED_ROLE))
    assert (found.source, found.name, found.time, found.account) == ("sts", "AssumeRole", NOON, ACCOUNT)
    assert found.caller.role_arn == f"arn:aws:iam::{ACCOUNT}:role/deployer"
    assert (found.caller.session_name, found.caller.source_identity) == ("session", "person-7")
    assert found.text("requestParameters.roleArn") == MANAGED_ROLE
    assert found.value("responseElements.nothing.below") is None
    assert found.source_ip == "192.0.2.7"


def test_only_the_session_of_a_role_has_a_role() -> None:
    for kind in ("FederatedUser", "IAMUser", None):
        identity = role() | {"type": kind}
        identity["sessionContext"]["sessionIssuer"]["type"] = "IAMUser"
        caller = read(assume(identity, MANAGED_ROLE)).caller
        assert caller.role_arn is None
        assert caller.session_name is None


def test_a_session_of_a_role_is_one_whatever_a_service_calls_it() -> None:
    caller = read(assume(role() | {"type": "Unknown"}, MANAGED_ROLE)).caller
    assert (caller.role_arn, caller.session_name) == (f"arn:aws:iam::{ACCOUNT}:role/deployer", "session")


@pytest.mark.parametrize("made", [assume(user(), MANAGED_ROLE), session(), saml("https://x/", 1, 0)])
def test_session_tokens_and_assertions_are_never_kept(made: dict[str, Any]) -> None:
    assert "IQoJ" in json.dumps(made)
    shown = repr(read(made))
    assert "IQoJ" not in shown
    assert "_secret" not in shown


@pytest.mark.parametrize(
    "address", ["sts.amazonaws.com", "AWS Internal", "1.2.3", "fe80::1%eth0", "", None, 7]
)
def test_what_is_no_address_is_not_taken_for_one(address: Any) -> None:
    assert read(event("sts", "GetCallerIdentity", user(), address=address)).source_ip is None


def test_the_field_of_the_address_is_the_one_that_cloudtrail_has() -> None:
    made = event("sts", "GetCallerIdentity", user(), address=None)
    made["detail"]["sourceIpAddress"] = "192.0.2.7"
    assert read(made).source_ip is None


@pytest.mark.parametrize(
    "source",
    ["sallyport", "my.app", "AWS.sts", "aws.partner/example.com/1/aws.sts", "aws.", "aws.sts\n", None, 7],
)
def test_only_what_aws_itself_put_on_the_bus_is_believed(source: Any) -> None:
    found = read_event(event("sts", "AssumeRole", user()) | {"source": source})
    assert isinstance(found, Unusable)
    assert found.reason == "not-from-aws"


def test_a_member_account_s_event_does_not_speak_for_ours() -> None:
    claimed = event("sts", "AssumeRole", user()) | {"account": MEMBER}
    assert claimed["detail"]["recipientAccountId"] == ACCOUNT
    found = read_event(claimed)
    assert isinstance(found, Unusable)
    assert (found.reason, found.event_id) == ("another-account", claimed["detail"]["eventID"])


@pytest.mark.parametrize("account", [None, "", 7])
def test_an_event_of_no_account_is_not_believed(account: Any) -> None:
    found = read_event(event("sts", "AssumeRole", user()) | {"account": account})
    assert isinstance(found, Unusable)
    assert found.reason == "no-account"


def test_the_envelope_says_whose_event_it_is_where_the_event_does_not() -> None:
    forwarded = event("sts", "AssumeRole", user(account=MEMBER), account=MEMBER)
    assert read(forwarded).account == MEMBER
    del forwarded["detail"]["recipientAccountId"]
    assert read(forwarded).account == MEMBER
    # As it stands in a trail's file, without an envelope, it says so itself.
    assert read(event("sts", "AssumeRole", user(), account=MEMBER)["detail"]).account == MEMBER


@pytest.mark.parametrize("kind", ["AWS Console Sign In via CloudTrail", "AWS Console Signin via CloudTrail"])
def test_both_spellings_of_a_console_sign_in_are_read(kind: str) -> None:
    assert read(event("signin", "ConsoleLogin", user(), detail_type=kind)).name == "ConsoleLogin"


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "x",
        {},
        {"detail": []},
        {"source": "aws.sts", "detail-type": "x", "detail": {}},
        {"source": "aws.sts", "detail-type": "AWS API Call via CloudTrail", "detail": {}},
        event("sts", "X", user(), eventTime="yesterday") | {"time": None},
        event("sts", "X", user(), eventTime="9999-12-31T23:59:59-12:00") | {"time": "0001-01-01T00:00:00Z"},
    ],
)
def test_what_cannot_be_read_has_a_reason(broken: Any) -> None:
    for reader in (read_event, read_record, read_trust_change):
        found = reader(broken)
        assert isinstance(found, Unusable)
        assert found.reason


def test_hostile_text_is_bounded_and_made_harmless() -> None:
    made = assume(user(), MANAGED_ROLE, session="\x1b[31m\u202e" + "x" * 100_000)
    made["detail"]["userAgent"] = "\ud800\r\nBcc: x"
    found = read(made)
    said = found.text("requestParameters.roleSessionName")
    assert said is not None
    assert len(said) < 2 * MAX_TEXT
    assert said.isprintable()
    assert found.user_agent is not None
    assert found.user_agent.isprintable()
    found.user_agent.encode()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("CN=a\\,b", "CN=a\\\\,b"),
        ("\x1b[31m", "⟨1b⟩[31m"),
        ("a\u202eb", "a⟨202e⟩b"),
        ("\ud800", "⟨d800⟩"),
        ("⟨1b⟩", "⟨27e8⟩1b⟩"),
        ("x" * MAX_TEXT + "yy", "x" * MAX_TEXT + "⟨+2⟩"),
        ("x" * MAX_TEXT, "x" * MAX_TEXT),
    ],
)
def test_what_is_shown_of_a_text_is_escaped_once(written: str, shown: str) -> None:
    found = read(assume(user(), MANAGED_ROLE, session=written)).text("requestParameters.roleSessionName")
    assert found is not None
    assert display(found, limit=3 * MAX_TEXT, markup=False) == shown


def test_an_enormous_request_is_cut() -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = {"a": deep}
    found = read(
        event("sts", "X", user(), request={"many": list(range(10**5)), "deep": deep, "z": "z" * 10**6})
    )
    assert found.request is not None
    assert len(found.request["many"]) == MAX_ENTRIES
    assert len(repr(found)) < 10_000


def test_nobody_can_change_what_was_read() -> None:
    found = read(assume(user(), MANAGED_ROLE))
    with pytest.raises(TypeError):
        found.request["roleArn"] = "x"  # type: ignore[index]  # what must fail


def test_copies_and_corrections_of_an_event_are_one_occurrence() -> None:
    one = read(assume(user(), MANAGED_ROLE, number=1, sharedEventID="s"))
    other = read(assume(user(), MANAGED_ROLE, number=2, sharedEventID="s"))
    late = read(
        assume(user(), MANAGED_ROLE, number=3, addendum={"reason": "UPDATED_DATA", "originalEventID": "o"})
    )
    assert one.occurrence == other.occurrence == "s"
    assert late.occurrence == "o"


def test_a_record_is_only_what_came_by_the_records_rule() -> None:
    assert isinstance(read_record(record()), RecordEvent)
    for name, value in (("source", "aws.sts"), ("detail-type", "x"), ("detail", None)):
        assert isinstance(read_record(record() | {name: value}), Unusable)


def test_a_long_trace_pushes_nothing_else_out_of_a_record() -> None:
    raw = record()
    condition = {"key": "token:sub", "operator": "StringEquals", "expected": ["a"] * 4, "actual": ["b"] * 5}
    trace = [{"profile": str(n), "conditions": [condition] * 12} for n in range(20)]
    raw["detail"] = {"attributes": {str(n): "x" for n in range(50)}, "trace": trace} | raw["detail"]
    found = read_record(raw)
    assert isinstance(found, RecordEvent)
    assert (found.access_key, found.role_arn) == ("ASIAISSUED0000000001", MANAGED_ROLE)
    assert (found.session_name, found.source_identity) == ("b0c1", "entra-b0c1")


def test_a_long_request_pushes_nothing_out_of_the_answer() -> None:
    raw = assume(user(), MANAGED_ROLE)
    long = {f"list{n}": [{"key": str(one), "value": "x"} for one in range(99)] for n in range(9)}
    raw["detail"]["requestParameters"] = long | raw["detail"]["requestParameters"]
    found = read(raw)
    assert found.text("requestParameters.roleArn") == MANAGED_ROLE
    assert found.text("responseElements.credentials.accessKeyId") == "ASIAISSUED0000000001"


def test_a_record_says_what_was_issued() -> None:
    found = read_record(record())
    assert isinstance(found, RecordEvent)
    assert (found.role_arn, found.session_name, found.source_identity) == (MANAGED_ROLE, "b0c1", "entra-b0c1")
    assert (found.access_key, found.issued_region) == ("ASIAISSUED0000000001", "eu-central-1")


def test_a_change_of_the_trust_table_has_its_images() -> None:
    found = read_trust_change(change("MODIFY", "current", after=POINTER))
    assert not isinstance(found, Unusable)
    assert (found.key, found.after["current"], found.account) == ("current", POINTER["current"], ACCOUNT)
