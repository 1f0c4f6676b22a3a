"""A record says what happened, within 64 KB, and nothing that somebody could use."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.audit.record import (
    MAX_BYTES,
    MAX_DENIED_BYTES,
    MAX_NEAR,
    MAX_PROFILES,
    RecordDraft,
    summary,
)
from sallyport.errors import DeniedError, ProofError, SallyportError, UnavailableError
from sallyport.model import (
    CertificateFacts,
    ConditionTrace,
    Credentials,
    Decision,
    Denial,
    ExchangeId,
    ExchangeRequest,
    Grant,
    Identity,
    Issuance,
    ProfileTrace,
    Secret,
    SessionTag,
)
from tests.support import canary

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

# What costs most: outside of ASCII a character takes up to twelve bytes of JSON.
TEXT = st.text(max_size=40) | st.builds(
    lambda c, n: c * n, st.sampled_from(["a", "\U0001f600", "\x00", '"']), st.integers(0, 3_000)
)


def conditions(text: Any) -> Any:
    return st.builds(
        ConditionTrace,
        operator=st.just("StringLike"),
        key=text,
        expected=st.lists(text, max_size=12).map(tuple),
        actual=st.none() | text,
        outcome=st.sampled_from(["match", "no-match", "missing", "error"]),
    )


TRACES = st.lists(
    st.builds(
        ProfileTrace,
        profile=st.just("reader"),
        outcome=st.sampled_from(["allowed", "not-matched", "denied", "unusable"]),
        reason=TEXT,
        detail=TEXT,
        conditions=st.lists(conditions(TEXT), max_size=30).map(tuple),
    ),
    max_size=30,
).map(tuple)

GRANTS = st.builds(
    Grant,
    profile_name=st.just("reader"),
    profile_id=st.just("p"),
    profile_arn=st.just("arn"),
    anchor_name=st.just("contoso"),
    anchor_id=st.just("a"),
    role_arn=st.just("arn"),
    session_name=st.just("name"),
    duration=st.just(3600),
    issuance=st.sampled_from(Issuance),
    external_id=st.just("sallyport:1:2"),
    tags=st.lists(st.builds(SessionTag, TEXT, TEXT), max_size=50).map(tuple),
    policy=st.none() | TEXT,
    policy_arns=st.lists(TEXT, max_size=10).map(tuple),
    notes=st.lists(TEXT, max_size=60).map(tuple),
)

DRAFTS = st.builds(
    RecordDraft,
    id=st.just(ExchangeId("0" * 32)),
    time=st.just(NOW),
    route=st.just("POST /"),
    source_ip=TEXT,
    user_agent=TEXT,
    request=st.none()
    | st.builds(
        ExchangeRequest,
        proof=st.just(Secret(canary.TOKENS["good"])),
        role_arn=TEXT,
        route=st.just("POST /"),
        source_ip=TEXT,
        session_name=st.none() | TEXT,
        policy=st.none() | TEXT,
        policy_arns=st.lists(TEXT, max_size=10).map(tuple),
        instance_properties=st.dictionaries(TEXT, TEXT, max_size=50),
    ),
    notes=st.lists(TEXT, max_size=5).map(tuple),
    claimed=st.dictionaries(TEXT, TEXT, max_size=9),
    identity=st.none()
    | st.builds(
        Identity,
        anchor_name=st.just("contoso"),
        anchor_id=st.just("a"),
        anchor_arn=st.just("arn"),
        subject=TEXT,
        attributes=st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=5) | st.integers(), max_size=80),
        expires_at=st.just(NOW),
        proof_digest=st.just("0" * 64),
        replay_id=st.just("r"),
        notes=st.lists(TEXT, max_size=5).map(tuple),
        certificate=st.none()
        | st.builds(
            CertificateFacts,
            fingerprint=st.just("0" * 64),
            serial=st.just("1" * 40),
            issuer=TEXT,
            not_after=st.just(NOW),
        ),
    ),
    decision=st.none() | st.builds(Decision, st.builds(Denial, reason=TEXT, detail=TEXT), TRACES),
    grant=st.none() | GRANTS,
    error=st.none() | st.builds(DeniedError, TEXT, TEXT, cure=TEXT),
)


@settings(max_examples=60, deadline=None)
@given(draft=DRAFTS)
def test_no_record_is_larger_than_64_kb_and_none_holds_a_token(draft: RecordDraft) -> None:
    text = draft.to_json()
    assert len(text.encode()) <= MAX_BYTES
    value = json.loads(text)
    assert value["id"] == draft.id
    assert value["outcome"] == draft.outcome
    assert canary.found_in(text) == []
    line = json.dumps(draft.log_fields())
    assert canary.found_in(line) == []
    assert len(line) < MAX_BYTES


def worst(text: str, profiles: int = 100) -> RecordDraft:
    """The largest of everything at once."""
    trace = tuple(
        ProfileTrace(
            profile=f"p{number}",
            outcome="not-matched",
            conditions=tuple(
                ConditionTrace(
                    operator="StringLike", key=text, expected=(text,) * 10, actual=text, outcome="no-match"
                )
                for _ in range(50)
            ),
        )
        for number in range(profiles)
    )
    identity = Identity(
        anchor_name="contoso",
        anchor_id="a",
        anchor_arn="arn",
        subject=text,
        attributes={f"token:{number}{text}": text for number in range(100)},
        expires_at=NOW,
        proof_digest="0" * 64,
        replay_id="r",
        notes=(text,) * 30,
        certificate=CertificateFacts(fingerprint="0" * 64, serial="1" * 40, issuer=text, not_after=NOW),
    )
    return RecordDraft(
        id=ExchangeId("0" * 32),
        time=NOW,
        route="POST /",
        source_ip=text,
        user_agent=text,
        request=ExchangeRequest(
            proof=Secret(canary.TOKENS["good"]),
            role_arn=text,
            route="POST /",
            source_ip=text,
            session_name=text,
            profile=text,
            policy_arns=(text,) * 10,
            instance_properties={f"{number}{text[:198]}": text for number in range(50)},
        ),
        identity=identity,
        decision=Decision(Denial(reason="no-profile", detail=text), trace),
        error=DeniedError("no-profile", text, cure=text),
    )


@pytest.mark.parametrize("character", ["a", '"', "\x00", "ä", "\U0001f600"])
def test_the_largest_record_still_says_why(character: str) -> None:
    value = json.loads(worst(character * 5_000).to_json())
    assert (value["outcome"], value["reason"]) == ("denied", "no-profile")
    assert value["trace_omitted"] + len(value.get("trace", [])) == 100


def test_of_a_long_trace_what_decided_is_kept() -> None:
    draft = worst("a" * 200)
    assert draft.decision is not None
    winner = ProfileTrace(profile="the-one", outcome="allowed", reason="matched")
    draft.decision = Decision(draft.decision.outcome, (*draft.decision.trace, winner))
    value = json.loads(draft.to_json())
    assert value["trace"][0]["profile"] == "the-one"
    assert len(value["trace"]) < MAX_PROFILES


def test_only_claims_that_were_looked_at_are_on_record() -> None:
    condition = ConditionTrace(
        operator="StringEquals", key="token:oid", expected=("1",), actual="1", outcome="match"
    )
    draft = worst("a", profiles=0)
    draft.identity = Identity(
        anchor_name="a",
        anchor_id="a",
        anchor_arn="a",
        subject="s",
        attributes={"token:oid": "1", "token:email": "alice@contoso.example", "token:groups": ["x"]},
        expires_at=NOW,
        proof_digest="0",
        replay_id="r",
    )
    draft.decision = Decision(
        Denial(reason="r", detail="d"),
        (ProfileTrace(profile="p", outcome="not-matched", conditions=(condition,)),),
    )
    assert json.loads(draft.to_json())["attributes"] == {"token:oid": "1"}


def test_the_certificate_and_what_its_holder_says_of_itself_are_on_record() -> None:
    draft = worst("a", profiles=0)
    value = json.loads(draft.to_json())
    assert value["certificate"] == {
        "fingerprint": "0" * 64,
        "serial": "1" * 40,
        "issuer": "a",
        "not_after": "2026-11-20T12:00:00Z",
    }
    assert value["request"]["instance_properties"]["49a"] == "a"
    assert draft.log_fields()["certificate_sha256"] == "0" * 64


def test_what_a_holder_says_of_itself_is_the_first_to_go_from_a_long_record() -> None:
    value = json.loads(worst("a" * 60, profiles=2).to_json())
    assert value["request"]["instance_properties_omitted"] is True
    assert len(value["trace"]) == 2


def test_what_was_remarked_before_a_refusal_is_in_the_log() -> None:
    draft = worst("a", profiles=0)
    draft.identity, draft.notes = None, ("algorithm-mismatch",)
    assert draft.log_fields()["notes"] == ["algorithm-mismatch"]
    assert json.loads(draft.to_json())["notes"] == ["algorithm-mismatch"]


CREDENTIALS = Credentials(
    access_key_id="ASIA",
    secret_access_key=Secret("secret-1-canary"),
    session_token=Secret("session-1-canary"),
    expiration=NOW,
    assumed_role_arn="arn",
    assumed_role_id="id",
    region="eu-central-1",
)


def test_what_was_issued_is_on_record_without_what_it_can_be_used_with() -> None:
    draft = worst("a", profiles=0)
    draft.credentials, draft.error = CREDENTIALS, None
    text = draft.to_json()
    assert json.loads(text)["issued"]["access_key_id"] == "ASIA"
    assert canary.found_in(text) == []


@pytest.mark.parametrize(
    ("error", "verified", "expected"),
    [
        (None, True, "granted"),
        (ProofError("r"), False, "refused"),
        (DeniedError("r"), True, "denied"),
        (UnavailableError("r"), True, "failed"),
        (UnavailableError("r"), False, "failed"),
        (SallyportError("r"), True, "failed"),
    ],
)
def test_the_outcome_is_one_of_four(error: SallyportError | None, *, verified: bool, expected: str) -> None:
    draft = worst("a", profiles=0)
    draft.error, draft.credentials = error, CREDENTIALS if error is None else None
    draft.identity = draft.identity if verified else None
    assert draft.outcome == expected


@given(
    counts=st.dictionaries(TEXT, st.integers(0, 10**9), max_size=300),
    addresses=st.dictionaries(TEXT, st.integers(0, 10**9), max_size=300),
    denied=st.dictionaries(st.text("a-z ", max_size=100), st.integers(1, 10**9), max_size=300),
)
@settings(deadline=None, max_examples=50)
def test_a_summary_is_bounded_too(
    counts: dict[str, int], addresses: dict[str, int], denied: dict[str, int]
) -> None:
    text = summary(
        record_id="unverified-1", window_start=NOW, counts=counts, addresses=addresses, denied=denied
    )
    assert len(text.encode()) <= MAX_BYTES
    assert json.loads(text)["total"] == sum(counts.values())
    assert json.loads(text).get("denied_total", 0) == sum(denied.values())


def near(number: int, *, unmet: int, text: str = "x") -> ProfileTrace:
    """A profile of eleven conditions, so many of which are not met."""
    return ProfileTrace(
        profile=f"p{number:02}",
        outcome="not-matched",
        reason="condition-not-met",
        detail=text[:60],
        conditions=tuple(
            ConditionTrace(
                operator="StringLike",
                key=f"token:c{one}",
                expected=("v" * 40,) * 4,
                actual=text,
                outcome="no-match" if one < unmet else "match",
            )
            for one in range(11)
        ),
    )


def denied_with(*trace: ProfileTrace) -> RecordDraft:
    draft = worst("a", profiles=0)
    draft.decision = Decision(Denial(reason="no-profile-matched", detail="d"), trace)
    draft.error = DeniedError("no-profile-matched", "d")
    return draft


def test_of_profiles_that_did_not_match_the_three_nearest_are_shown_in_full() -> None:
    traces = [near(number, unmet=1 + (number * 7) % 11) for number in range(30)]
    value = json.loads(denied_with(*traces).to_json())
    full = [one["profile"] for one in value["trace"] if "conditions" in one]
    unmet = {one.profile: sum(c.outcome != "match" for c in one.conditions) for one in traces}
    assert full == sorted(unmet, key=lambda name: unmet[name])[:MAX_NEAR]
    brief = value["trace"][MAX_NEAR:]
    assert all(one["conditions_omitted"] == 11 and "detail" not in one for one in brief)
    assert len(value["trace"]) + value["trace_omitted"] == 30


def test_what_denies_is_shown_in_full_beside_them() -> None:
    denying = ProfileTrace(profile="denies", outcome="denied", reason="profile-denies", detail="d")
    value = json.loads(denied_with(*[near(n, unmet=1) for n in range(6)], denying).to_json())
    assert value["trace"][0]["profile"] == "denies"
    assert sum("conditions" in one for one in value["trace"]) == MAX_NEAR


@pytest.mark.parametrize("character", ["a", "é", "\x00", "\U0001f600"])
def test_who_gets_nothing_leaves_a_small_record(character: str) -> None:
    draft = denied_with(*[near(number, unmet=11, text=character * 256) for number in range(100)])
    text = draft.to_json()
    assert len(text) <= MAX_DENIED_BYTES
    assert json.loads(text)["reason"] == "no-profile-matched"
    draft.credentials = CREDENTIALS
    assert "issued" in json.loads(draft.to_json())


def test_a_session_that_was_made_has_all_the_room_there_is() -> None:
    draft = denied_with(*[near(number, unmet=11, text="a" * 256) for number in range(100)])
    shown = json.loads(draft.to_json())
    draft.credentials = CREDENTIALS
    assert len(json.loads(draft.to_json())["trace"]) > len(shown["trace"])
