"""Who gets what, who does not, and why."""

import json
from typing import Any

import pytest

from sallyport.model import Denial, Grant, Issuance
from sallyport.trust.compile import load_profile
from sallyport.trust.decide import authorize
from tests.support.trust_files import (
    ANOTHER_OID,
    NOW,
    OID,
    OTHER_ROLE,
    ROLE,
    TENANT,
    WHO,
    compiled,
    decide,
    denied,
    entra,
    granted,
    identity,
    plain,
    profile,
    profiles_of,
    request,
    trust_file,
)

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${token:tid}/*"}],
}
CALLERS = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'


def one(**changes: Any) -> dict[str, Any]:
    """A file whose only profile has these changes."""
    return trust_file({"reader": profile(**changes)})


# --- yes and no -----------------------------------------------------------------------------------


def test_a_matching_profile_grants_on_its_terms() -> None:
    document = one(
        session_tags={"TenantID": "${token:tid}", "App": {"value": "${token:appid}", "optional": True}},
        transitive_tags=["TenantID"],
        source_identity="contoso.${token:oid}",
        session_policy=POLICY,
        managed_policies=["arn:aws:iam::aws:policy/ReadOnlyAccess"],
        grants_per_minute=7,
        duration="30m",
    )
    grant = granted(document, claims={"appid": "app"})
    assert grant.profile_name == "reader"
    assert grant.role_arn == ROLE
    assert grant.session_name == f"contoso-{OID}"
    assert grant.source_identity == f"contoso.{OID}"
    assert [(tag.key, tag.value, tag.transitive) for tag in grant.tags] == [
        ("TenantID", TENANT, True),
        ("App", "app", False),
    ]
    assert json.loads(grant.policy or "")["Statement"][0]["Resource"] == f"arn:aws:s3:::b/{TENANT}/*"
    assert grant.policy_arns == ("arn:aws:iam::aws:policy/ReadOnlyAccess",)
    assert grant.grants_per_minute == 7
    assert grant.duration == 1_800
    assert grant.external_id == f"sallyport:{grant.anchor_id}:{grant.profile_id}"
    assert grant.issuance is Issuance.ASSUME_ROLE
    assert not grant.advisory


def test_nothing_configured_means_no() -> None:
    trust = compiled(trust_file({}))
    decision = authorize(identity(trust), request(), (), disabled=(), now=NOW)
    assert not isinstance(decision.outcome, Grant)
    assert decision.outcome.reason == "no-profile"


def test_an_unmet_condition_denies_and_says_what_would_have_allowed() -> None:
    document = one(condition={"StringEquals": {"token:oid": OID, "token:appid": "app"}})
    denial = denied(document, claims={"appid": "other"})
    assert denial.reason == "no-profile-matched"
    assert denial.cure == (
        "reader would have allowed it, but StringEquals on token:appid expects 'app' and it is 'other'"
    )
    assert "is missing" in denied(document).cure


def test_the_cure_names_the_nearest_profiles_first() -> None:
    far = {"StringEquals": {"token:oid": ANOTHER_OID, "token:appid": "y"}}
    near = {"StringEquals": {"token:oid": OID, "token:appid": "y"}}
    cure = denied(trust_file({"a-far": profile(condition=far), "b-near": profile(condition=near)})).cure
    assert cure.index("b-near") < cure.index("a-far")


def test_a_trace_shows_every_condition_of_every_profile() -> None:
    document = trust_file(
        {
            "a": profile(condition={"StringEquals": {"token:oid": ANOTHER_OID}, "Bool": {"token:b": True}}),
            "b": profile(),
        }
    )
    decision = decide(document)
    a, b = decision.trace
    assert (a.profile, a.outcome, a.reason) == ("a", "not-matched", "condition-not-met")
    assert [(c.key, c.outcome) for c in a.conditions] == [("token:oid", "no-match"), ("token:b", "missing")]
    assert (b.profile, b.outcome) == ("b", "allowed")
    assert b.conditions[0].actual == OID


def test_a_profile_is_for_its_roles_alone() -> None:
    trust = compiled(trust_file())
    profiles = profiles_of(trust)
    decision = authorize(identity(trust), request(role_arn=OTHER_ROLE), profiles, disabled=(), now=NOW)
    assert not isinstance(decision.outcome, Grant)
    assert decision.trace[0].reason == "other-role"


def test_a_profile_is_for_its_anchor_alone() -> None:
    anchors = {"contoso": entra(), "other": plain()}
    document = trust_file({"reader": profile()}, anchors)
    decision = decide(document, anchor="other", claims={"oid": OID})
    assert not isinstance(decision.outcome, Grant)
    assert decision.trace[0].reason == "other-anchor"


@pytest.mark.parametrize(
    ("condition", "claims", "allowed"),
    [
        ({"IpAddress": {"request:SourceIp": "192.0.2.0/24"}}, {}, True),
        ({"IpAddress": {"request:SourceIp": "198.51.100.0/24"}}, {}, False),
        ({"DateLessThan": {"request:Time": "2026-11-20T12:00:01Z"}}, {}, True),
        ({"DateLessThan": {"request:Time": "2026-11-20T12:00:00Z"}}, {}, False),
        ({"ArnLike": {"request:RoleArn": "arn:aws:iam::*:role/sallyport/*"}}, {}, True),
        ({"IpAddress": {"request:SourceIp": "198.51.100.0/24"}}, {"request:SourceIp": "198.51.100.1"}, False),
    ],
)
def test_the_request_is_looked_at_and_no_claim_can_pose_as_it(
    condition: dict[str, Any], claims: dict[str, Any], *, allowed: bool
) -> None:
    outcome = decide(one(condition={**WHO, **condition}), claims=claims).outcome
    assert isinstance(outcome, Grant) is allowed


def test_a_denial_stays_small_whatever_was_expected() -> None:
    values = [f"{i}" + "x" * 1_000 for i in range(2)]
    condition = {"StringEquals": {f"token:c{i}": values for i in range(20)} | {"token:oid": OID}}
    denial = denied(one(condition=condition), claims={f"c{i}": "y" * 5_000 for i in range(20)})
    assert len(denial.cure) < 1_100


# --- denying and disabled -------------------------------------------------------------------------


def test_a_denying_profile_beats_every_other_even_a_named_one() -> None:
    document = trust_file({"no": profile(effect="deny"), "reader": profile(priority=9)})
    for wish in (None, "reader"):
        decision = decide(document, profile=wish)
        assert not isinstance(decision.outcome, Grant)
        assert decision.outcome.reason == "profile-denies"
        assert [one.outcome for one in decision.trace] == ["denied", "allowed"]


@pytest.mark.parametrize(
    ("condition", "claims"),
    [
        ({"StringNotEquals": {"token:appid": "good"}}, {}),
        ({"StringEquals": {"token:appid": "bad"}}, {"appid": ["bad"]}),
        ({"StringNotEquals": {"token:appid": "good"}}, {"appid": ["good"]}),
        ({"ForAllValues:StringEquals": {"token:roles": "bad"}}, {"roles": []}),
        ({"NotIpAddress": {"token:ip": "192.0.2.0/24"}}, {"ip": "nonsense"}),
        ({"StringEquals": {"token:appid": "${token:bad}"}}, {"appid": "x"}),
    ],
)
def test_a_denying_profile_is_not_escaped_by_leaving_out_or_distorting_a_value(
    condition: dict[str, Any], claims: dict[str, Any]
) -> None:
    document = trust_file({"no": profile(effect="deny", condition=condition), "reader": profile()})
    assert denied(document, claims=claims).reason == "profile-denies"


def test_a_denying_profile_that_does_not_match_lets_others_allow() -> None:
    no = profile(effect="deny", condition={"StringEquals": {"token:appid": "bad"}})
    granted(trust_file({"no": no, "reader": profile()}), claims={"appid": "good"})
    granted(trust_file({"no": no, "reader": profile()}))


def test_a_disabled_profile_that_would_have_matched_denies() -> None:
    document = trust_file({"off": profile(), "reader": profile()})
    off = frozenset({"profile#off"})
    assert denied(document, disabled=off).reason == "profile-disabled"
    assert denied(document, disabled=off, profile="reader").reason == "profile-disabled"
    assert denied(document, disabled=off, profile="off").reason == "profile-disabled"


def test_a_disabled_profile_that_would_not_have_matched_changes_nothing() -> None:
    off = profile(condition={"StringEquals": {"token:oid": ANOTHER_OID}})
    granted(trust_file({"off": off, "reader": profile()}), disabled=frozenset({"profile#off"}))


def test_a_disabled_denying_profile_still_denies() -> None:
    document = trust_file({"no": profile(effect="deny"), "reader": profile()})
    assert denied(document, disabled=frozenset({"profile#no"})).reason == "profile-disabled"


def test_a_disabled_anchor_denies_everything() -> None:
    assert denied(trust_file(), disabled=frozenset({"anchor#contoso"})).reason == "anchor-disabled"
    granted(trust_file(), disabled=frozenset({"anchor#other", "profile#contoso"}))


# --- which profile --------------------------------------------------------------------------------


def test_the_highest_priority_wins_and_the_others_say_so() -> None:
    document = trust_file(
        {
            "a": profile(priority=1, duration="15m"),
            "b": profile(priority=2),
            "c": profile(priority=0, duration="20m"),
        }
    )
    decision = decide(document)
    assert isinstance(decision.outcome, Grant)
    assert decision.outcome.profile_name == "b"
    assert [one.outcome for one in decision.trace] == ["outranked", "allowed", "outranked"]
    assert "b" in decision.trace[0].detail


def test_among_equals_the_first_name_wins() -> None:
    assert granted(trust_file({"b": profile(), "a": profile()})).profile_name == "a"


def test_a_request_may_name_its_profile_by_name_id_or_arn() -> None:
    document = trust_file({"a": profile(priority=1, duration="15m"), "b": profile(priority=2)})
    (a,) = [one for one in profiles_of(compiled(document)) if one.name == "a"]
    for wish in (a.name, a.id, a.arn):
        decision = decide(document, profile=wish)
        assert isinstance(decision.outcome, Grant)
        assert decision.outcome.profile_name == "a"
        assert [one.outcome for one in decision.trace] == ["allowed", "not-named"]


def test_a_name_that_is_no_profile_of_the_role_denies() -> None:
    assert denied(trust_file(), profile="nobody").reason == "profile-not-found"


def test_a_named_profile_still_has_its_conditions() -> None:
    document = trust_file(
        {"a": profile(condition={"StringEquals": {"token:oid": ANOTHER_OID}}), "b": profile()}
    )
    assert denied(document, profile="a").reason == "no-profile-matched"


def test_a_winner_that_cannot_be_used_denies_and_nobody_steps_in() -> None:
    document = trust_file(
        {
            "a": profile(priority=2, session_policy=POLICY),
            "b": profile(priority=1),
            "c": profile(condition={"StringEquals": {"token:oid": ANOTHER_OID}}),
        },
    )
    decision = decide(document, claims={"tid": "../*"})
    assert not isinstance(decision.outcome, Grant)
    assert decision.outcome.reason == "claim-illegal-in-policy"
    assert [one.outcome for one in decision.trace] == ["unusable", "outranked", "not-matched"]
    assert denied(document, policy=CALLERS).reason == "caller-policy-refused"


# --- what the caller wishes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "duration", "notes"),
    [
        (None, 1_800, ()),
        (900, 900, ()),
        (1_800, 1_800, ()),
        (1_801, 1_800, ("duration-capped",)),
        (3_600, 1_800, ("duration-capped",)),
        (7_200, 1_800, ("duration-capped-by-chaining", "duration-capped")),
    ],
)
def test_a_session_is_never_longer_than_the_profile_allows(
    asked: int | None, duration: int, notes: tuple[str, ...]
) -> None:
    grant = granted(one(duration="30m"), duration=asked)
    assert (grant.duration, grant.notes) == (duration, notes)


def test_more_than_an_hour_is_capped_by_chaining_and_the_grant_says_so() -> None:
    assert granted(web(duration="1h"), claims={"sub": OID}, duration=7_200).notes == ("duration-capped",)
    grant = granted(one(), duration=43_200)
    assert (grant.duration, grant.notes) == (3_600, ("duration-capped-by-chaining",))


def test_less_than_sts_allows_is_denied() -> None:
    assert denied(one(), duration=899).reason == "duration-too-short"


def test_a_callers_session_name_is_ignored_unless_the_profile_takes_it() -> None:
    assert granted(one(), session_name="job-7").session_name == f"contoso-{OID}"
    grant = granted(one(accept_session_name=True), session_name="job 7")
    assert grant.session_name == f"contoso+job=207,{OID}"
    assert granted(one(accept_session_name=True)).session_name == f"contoso-{OID}"


@pytest.mark.parametrize("issuance", [{}, {"issuance": "web-identity", "advisory": True}])
@pytest.mark.parametrize(
    "own", [{"session_policy": POLICY}, {"managed_policies": ["arn:aws:iam::aws:policy/ReadOnlyAccess"]}]
)
def test_a_callers_policy_never_reaches_sts_beside_the_profiles(
    own: dict[str, Any], issuance: dict[str, Any]
) -> None:
    for brought in ({"policy": CALLERS}, {"policy_arns": ("arn:aws:iam::aws:policy/AdministratorAccess",)}):
        assert denied(one(**own, **issuance), **brought).reason == "caller-policy-refused"


def test_a_callers_policy_passes_where_the_profile_says_so() -> None:
    grant = granted(one(accept_caller_policy=True), policy=CALLERS)
    assert grant.policy == CALLERS
    assert denied(one(), policy=CALLERS).reason == "caller-policy-not-accepted"
    assert denied(one(accept_caller_policy=True), policy=CALLERS + " " * 2_048).reason == "policy-too-large"
    eleven = ("arn:aws:iam::aws:policy/ReadOnlyAccess",) * 11
    assert denied(one(accept_caller_policy=True), policy_arns=eleven).reason == "too-many-policies"


# --- tags that may be dropped ---------------------------------------------------------------------


def tagged(**changes: Any) -> dict[str, Any]:
    """A file whose profile has a required tag and two optional ones."""
    tags = {
        "B": {"value": "${token:b}", "optional": True},
        "R": "r",
        "A": {"value": "a", "optional": True},
    }
    return one(session_tags=tags, **changes)


def test_optional_tags_may_be_dropped_in_declared_order() -> None:
    assert granted(tagged(), claims={"b": "b"}).droppable == ("B", "A")
    assert granted(tagged()).droppable == ("A",)
    assert granted(tagged()).notes == ("optional-tag-left-out:B:claim-missing",)


def test_nothing_is_dropped_where_a_policy_could_depend_on_it() -> None:
    assert granted(tagged(accept_caller_policy=True), policy=CALLERS).droppable == ()
    arns = {"policy_arns": ("arn:aws:iam::aws:policy/ReadOnlyAccess",)}
    assert granted(tagged(accept_caller_policy=True), **arns).droppable == ()
    managed = tagged(managed_policies=["arn:aws:iam::aws:policy/ReadOnlyAccess"])
    assert granted(managed).droppable == ()


def test_nothing_that_the_token_itself_carries_can_be_dropped() -> None:
    document = web(advisory=True, session_tags={"Team": {"value": "${token:team}", "optional": True}})
    said = {f"{AWS}tags/principal_tags/Team": "reader"}
    grant = granted(document, claims={"sub": OID, "team": "reader", **said})
    assert [tag.key for tag in grant.tags] == ["Team"]
    assert grant.droppable == ()


def test_a_required_tag_without_a_value_denies() -> None:
    document = one(session_tags={"App": "${token:appid}"})
    denial = denied(document)
    assert denial.reason == "claim-missing"
    assert "reader" in denial.detail


def test_more_tags_than_sts_takes_are_denied_wherever_they_come_from() -> None:
    trust = compiled(one())
    stored = trust.items[f"role#{ROLE}"]["profiles"][0]
    many = [{"key": f"k{i}", "value": "v", "optional": False} for i in range(51)]
    profiles = [load_profile({**stored, "session_tags": many})]
    outcome = authorize(identity(trust), request(), profiles, disabled=(), now=NOW).outcome
    assert isinstance(outcome, Denial)
    assert outcome.reason == "too-many-tags"


# --- the caller's own token at STS ----------------------------------------------------------------


def web(**changes: Any) -> dict[str, Any]:
    """A file whose profile asks STS with the caller's own token."""
    declared = {
        "issuance": "web-identity",
        "duration": "12h",
        "condition": {"StringEquals": {"token:sub": OID}},
    }
    return one(**declared | changes)


AWS = "https://aws.amazon.com/"


def test_web_identity_grants_for_hours_and_without_terms_that_do_not_bind() -> None:
    grant = granted(web(), claims={"sub": OID}, duration=43_200)
    assert grant.issuance is Issuance.WEB_IDENTITY
    assert (grant.duration, grant.notes) == (43_200, ())
    assert (grant.tags, grant.source_identity, grant.policy) == ((), None, None)
    assert granted(web(duration="2h"), claims={"sub": OID}, duration=43_200).notes == ("duration-capped",)


def test_advisory_is_said() -> None:
    assert granted(web(advisory=True, session_policy=POLICY), claims={"sub": OID}).advisory


@pytest.mark.parametrize(
    "claims",
    [
        {f"{AWS}tags": {"principal_tags": {"Team": ["admins"]}}},
        {f"{AWS}tags/principal_tags/Team": "admins"},
        {f"{AWS}tags": {"principal_tags": {}, "transitive_tag_keys": ["Team"]}},
        {f"{AWS}tags/transitive_tag_keys": ["Team"]},
        {f"{AWS}tags": "Team"},
        {f"{AWS}tags": {"principal_tags": ["Team"]}},
        {f"{AWS}tags": {"principal_tags": 5}},
        {f"{AWS}tags": {"transitive_tag_keys": 5}},
        {f"{AWS}tags": {"Team": "x"}},
        {f"{AWS}tags/transitive_tag_keys": "Team"},
        {f"{AWS}tags/transitive_tag_keys": [["Team"]]},
        {f"{AWS}source_identity": "someone"},
        {f"{AWS}something_new": "x"},
    ],
)
def test_what_a_token_tells_sts_past_the_profile_denies(claims: dict[str, Any]) -> None:
    assert denied(web(), claims={"sub": OID, **claims}).reason == "aws-claims-not-allowed"
    granted(one(), claims=claims)


def test_what_a_token_tells_sts_is_granted_where_the_profile_says_the_same() -> None:
    document = web(
        advisory=True,
        session_tags={"Team": "${token:team}", "App": "x"},
        transitive_tags=["Team"],
        source_identity="contoso.${token:oid}",
    )
    said = {
        f"{AWS}tags": {"principal_tags": {"team": ["reader"]}, "transitive_tag_keys": ["team"]},
        f"{AWS}source_identity": f"contoso.{OID}",
    }
    grant = granted(document, claims={"sub": OID, "team": "reader", **said})
    assert [(tag.key, tag.value) for tag in grant.tags] == [("Team", "reader")]
    assert grant.source_identity == f"contoso.{OID}"
    assert grant.notes == ("tag-not-in-token:App",)
    assert denied(document, claims={"sub": OID, "team": "x", **said}).reason == "aws-claims-not-allowed"
    more = {**said, f"{AWS}tags/transitive_tag_keys": ["App"]}
    assert denied(document, claims={"sub": OID, "team": "reader", **more}).reason == "aws-claims-not-allowed"
    without = granted(document, claims={"sub": OID, "team": "reader"})
    assert (without.tags, without.source_identity) == ((), None)
    assert "source-identity-not-in-token" in without.notes


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        (None, True),
        (ROLE, True),
        ([OTHER_ROLE, ROLE], True),
        (f"{OTHER_ROLE};{ROLE}", True),
        (OTHER_ROLE, False),
        ([], False),
        ("", False),
        ({}, False),
        (5, False),
        ([5], False),
        (f"{ROLE}x", False),
        ("*", False),
    ],
)
@pytest.mark.parametrize("document", [one(), web()])
def test_a_token_that_says_for_which_roles_it_is_is_for_these(
    document: dict[str, Any], roles: Any, *, allowed: bool
) -> None:
    outcome = decide(document, claims={"sub": OID, f"{AWS}roles": roles}).outcome
    assert isinstance(outcome, Grant) is allowed
    if not isinstance(outcome, Grant):
        assert outcome.reason == "role-not-in-token"


def test_an_azp_that_nobody_looked_at_denies_where_sts_goes_by_it() -> None:
    assert denied(web(), claims={"sub": OID, "azp": "client"}).reason == "azp-not-checked"
    granted(web(), claims={"sub": OID, "azp": "urn://team-a"})
    granted(one(), claims={"azp": "client"})
    looked = web(condition={"StringEquals": {"token:sub": OID, "token:azp": "client"}})
    granted(looked, claims={"sub": OID, "azp": "client"})
    not_looked = web(condition={"StringEquals": {"token:sub": OID}, "StringNotEquals": {"token:azp": "x"}})
    assert denied(not_looked, claims={"sub": OID, "azp": "client"}).reason == "azp-not-checked"
