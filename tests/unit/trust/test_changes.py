"""What a change of the trust file means: in doubt never that nobody gets more."""

from typing import Any

import pytest

from sallyport.trust.changes import classify
from tests.support.trust_files import (
    ANOTHER_OID,
    OID,
    OTHER_ROLE,
    ROLE,
    compiled,
    entra,
    plain,
    profile,
    trust_file,
)

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
OTHER_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
MANAGED = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
TAGS = {"A": "a", "B": "b"}


def effects(before: dict[str, Any] | None, after: dict[str, Any]) -> dict[tuple[str, str, str], str]:
    """Return the effect of each change between two files."""
    old = None if before is None else compiled(before, local_cloud=True).items
    new = compiled(after, local_cloud=True).items
    return {(c.kind, c.name, c.field): c.effect for c in classify(old, new)}


def of_profile(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """Return the effects of a change of one profile, by field."""
    found = effects(
        trust_file({"reader": profile(**before)}),
        trust_file({"reader": profile(**after)}),
    )
    assert all(key[:2] == ("profile", "reader") for key in found)
    return {field: effect for (_, _, field), effect in found.items()}


def test_no_change_is_no_change() -> None:
    assert effects(trust_file(), trust_file()) == {}


def test_what_is_added_widens_and_what_is_gone_narrows() -> None:
    empty: dict[str, Any] = {"version": 1}
    added = {("anchor", "contoso", ""): "widens", ("profile", "reader", ""): "widens"}
    assert effects(None, trust_file()) == added
    assert effects(empty, trust_file()) == added
    assert set(effects(trust_file(), empty).values()) == {"narrows"}


def test_a_removed_denying_profile_widens_and_an_added_one_narrows() -> None:
    without = trust_file()
    with_it = trust_file({"reader": profile(), "no": profile(effect="deny")})
    assert effects(with_it, without) == {("profile", "no", ""): "widens"}
    assert effects(without, with_it) == {("profile", "no", ""): "narrows"}


def test_a_removed_profile_beside_which_another_remains_is_unknown() -> None:
    both = trust_file({"a": profile(priority=2), "b": profile(priority=1, duration="15m")})
    assert effects(both, trust_file({"b": profile(priority=1, duration="15m")})) == {
        ("profile", "a", ""): "unknown"
    }


@pytest.mark.parametrize(
    "other",
    [
        profile(roles=[OTHER_ROLE]),
        profile(effect="deny"),
        profile(trust_anchor="other", condition={"StringEquals": {"token:sub": "x"}}),
    ],
)
def test_a_removed_profile_in_whose_place_no_other_can_win_narrows(other: dict[str, Any]) -> None:
    anchors = {"contoso": entra(), "other": plain()}
    both = trust_file({"a": profile(), "b": other}, anchors)
    assert effects(both, trust_file({"b": other}, anchors)) == {("profile", "a", ""): "narrows"}


@pytest.mark.parametrize(
    ("before", "after", "field", "effect"),
    [
        ({}, {"audiences": ["urn://team-a", "b"]}, "audiences", "widens"),
        ({"audiences": ["urn://team-a", "b"]}, {}, "audiences", "narrows"),
        ({}, {"audiences": ["b"]}, "audiences", "widens"),
        ({}, {"algorithms": ["RS256", "RS512"]}, "algorithms", "widens"),
        ({"replay": "once"}, {}, "replay", "widens"),
        ({}, {"replay": "once"}, "replay", "narrows"),
        ({}, {"allow_arm_audience": True}, "allow_arm_audience", "widens"),
        ({}, {"keys_max_age": "48h"}, "keys_max_age", "widens"),
        ({}, {"keys_max_age": "2h"}, "keys_max_age", "narrows"),
        ({}, {"jwks_hosts": ["keys.example.com"]}, "jwks_hosts", "widens"),
        ({}, {"local_discovery": "http://127.0.0.1/"}, "local_discovery", "widens"),
        ({"local_discovery": "http://127.0.0.1/"}, {}, "local_discovery", "unknown"),
        ({}, {"description": "x"}, "description", "narrows"),
    ],
)
def test_changes_of_an_anchor(before: dict[str, Any], after: dict[str, Any], field: str, effect: str) -> None:
    found = effects(trust_file({}, {"c": entra(**before)}), trust_file({}, {"c": entra(**after)}))
    assert found == {("anchor", "c", field): effect}


def test_another_issuer_cannot_be_judged() -> None:
    found = effects(
        trust_file({}, {"c": plain("https://a.example.com")}),
        trust_file({}, {"c": plain("https://b.example.com")}),
    )
    assert found == {("anchor", "c", "issuer"): "unknown"}


@pytest.mark.parametrize(
    ("before", "after", "field", "effect"),
    [
        ({}, {"roles": [ROLE, OTHER_ROLE]}, "roles", "widens"),
        ({"roles": [ROLE, OTHER_ROLE]}, {}, "roles", "narrows"),
        ({}, {"roles": [OTHER_ROLE]}, "roles", "widens"),
        ({"priority": 1}, {"priority": 2}, "priority", "widens"),
        ({"duration": "15m"}, {}, "duration", "widens"),
        ({}, {"duration": "15m"}, "duration", "narrows"),
        ({"session_tags": TAGS}, {"session_tags": {"A": "a"}}, "session_tags", "widens"),
        ({"session_tags": {"A": "a"}}, {"session_tags": TAGS}, "session_tags", "unknown"),
        ({"session_tags": TAGS}, {"session_tags": {"A": "a", "B": "x"}}, "session_tags", "unknown"),
        (
            {"session_tags": {"A": "a"}},
            {"session_tags": {"A": {"value": "a", "optional": True}}},
            "session_tags",
            "widens",
        ),
        (
            {"session_tags": {"A": {"value": "a", "optional": True}}},
            {"session_tags": {"A": "a"}},
            "session_tags",
            "narrows",
        ),
        ({"session_tags": TAGS}, {"session_tags": {"B": "b", "A": "a"}}, "session_tags", "unknown"),
        (
            {"session_tags": TAGS, "transitive_tags": ["A"]},
            {"session_tags": TAGS},
            "transitive_tags",
            "widens",
        ),
        (
            {"session_tags": TAGS, "transitive_tags": ["A"]},
            {"session_tags": TAGS, "transitive_tags": ["A", "B"]},
            "transitive_tags",
            "unknown",
        ),
        ({"source_identity": "contoso.${token:oid}"}, {}, "source_identity", "widens"),
        ({}, {"source_identity": "contoso.${token:oid}"}, "source_identity", "narrows"),
        (
            {"source_identity": "contoso.${token:oid}"},
            {"source_identity": "contoso-${token:oid}"},
            "source_identity",
            "unknown",
        ),
        ({}, {"session_name": "contoso.${token:oid}"}, "session_name", "unknown"),
        ({"session_policy": POLICY}, {}, "session_policy", "widens"),
        ({}, {"session_policy": POLICY}, "session_policy", "narrows"),
        ({"session_policy": POLICY}, {"session_policy": OTHER_POLICY}, "session_policy", "unknown"),
        (
            {"managed_policies": MANAGED},
            {"managed_policies": MANAGED, "session_policy": POLICY},
            "session_policy",
            "widens",
        ),
        (
            {"managed_policies": MANAGED, "session_policy": POLICY},
            {"managed_policies": MANAGED},
            "session_policy",
            "narrows",
        ),
        ({}, {"accept_session_name": True}, "accept_session_name", "widens"),
        ({}, {"accept_caller_policy": True}, "accept_caller_policy", "widens"),
        ({"grants_per_minute": 5}, {}, "grants_per_minute", "widens"),
        ({"grants_per_minute": 5}, {"grants_per_minute": 6}, "grants_per_minute", "widens"),
        ({}, {"grants_per_minute": 6}, "grants_per_minute", "narrows"),
        ({}, {"description": "x"}, "description", "narrows"),
    ],
)
def test_changes_of_a_profile(before: dict[str, Any], after: dict[str, Any], field: str, effect: str) -> None:
    assert of_profile(before, after) == {field: effect}


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ({"StringEquals": {"token:oid": OID}}, {"StringEquals": {"token:oid": [OID, ANOTHER_OID]}}, "widens"),
        (
            {"StringEquals": {"token:oid": [OID, ANOTHER_OID]}},
            {"StringEquals": {"token:oid": OID}},
            "narrows",
        ),
        ({"StringEquals": {"token:oid": OID}}, {"StringEquals": {"token:oid": ANOTHER_OID}}, "unknown"),
        (
            {"StringEquals": {"token:oid": OID}},
            {"StringEquals": {"token:oid": OID, "token:appid": "x"}},
            "narrows",
        ),
        (
            {"StringEquals": {"token:oid": OID, "token:appid": "x"}},
            {"StringEquals": {"token:oid": OID}},
            "widens",
        ),
        (
            {"StringEquals": {"token:oid": OID}, "StringNotEquals": {"token:appid": "x"}},
            {"StringEquals": {"token:oid": OID}, "StringNotEquals": {"token:appid": ["x", "y"]}},
            "narrows",
        ),
        (
            {"StringEquals": {"token:oid": OID, "token:appid": "x"}},
            {"StringEquals": {"token:oid": [OID, ANOTHER_OID], "token:azp": "x"}},
            "unknown",
        ),
    ],
)
def test_changes_of_conditions_and_the_other_way_round_for_a_denying_profile(
    before: dict[str, Any], after: dict[str, Any], effect: str
) -> None:
    assert of_profile({"condition": before}, {"condition": after}) == {"condition": effect}
    opposite = {"widens": "narrows", "narrows": "widens", "unknown": "unknown"}[effect]
    deny = {"effect": "deny"}
    found = of_profile({"condition": before, **deny}, {"condition": after, **deny})
    assert found == {"condition": opposite}


def test_a_denying_profile_with_fewer_roles_widens() -> None:
    deny = {"effect": "deny"}
    assert of_profile({"roles": [ROLE, OTHER_ROLE], **deny}, deny) == {"roles": "widens"}


def test_issuance_and_effect_widen() -> None:
    sub = {"StringEquals": {"token:sub": OID, "token:azp": "x"}}
    found = of_profile({"condition": sub}, {"condition": sub, "issuance": "web-identity"})
    assert found == {"issuance": "widens"}
    assert of_profile({"effect": "deny"}, {}) == {"effect": "widens"}
    assert of_profile({}, {"effect": "deny"}) == {"effect": "unknown"}
