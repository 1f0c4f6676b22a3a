"""What a change of the trust file means: in doubt never that nobody gets more."""

from typing import Any

import pytest

from sallyport.trust.changes import classify
from tests.support.trust_files import (
    ANOTHER_OID,
    OID,
    OTHER_ROLE,
    ROLE,
    authority,
    compiled,
    entra,
    of_holders,
    plain,
    profile,
    trust_file,
)

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
OTHER_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
DENYING_POLICY = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}}
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
        ({}, {"audiences": ["b"]}, "audiences", "unknown"),
        ({}, {"algorithms": ["RS256", "RS512"]}, "algorithms", "widens"),
        ({"replay": "once"}, {}, "replay", "widens"),
        ({}, {"replay": "once"}, "replay", "narrows"),
        ({}, {"allow_arm_audience": True}, "allow_arm_audience", "widens"),
        ({}, {"keys_max_age": "48h"}, "keys_max_age", "widens"),
        ({}, {"keys_max_age": "4h"}, "keys_max_age", "narrows"),
        ({}, {"jwks_hosts": ["keys.example.com"]}, "jwks_hosts", "widens"),
        ({}, {"local_discovery": "http://127.0.0.1/"}, "local_discovery", "widens"),
        ({"local_discovery": "http://127.0.0.1/"}, {}, "local_discovery", "unknown"),
        ({}, {"description": "x"}, "description", "neither"),
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
        ({}, {"roles": [OTHER_ROLE]}, "roles", "unknown"),
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
        ({}, {"source_identity": "contoso.${token:oid}"}, "source_identity", "unknown"),
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
        # What goes may have denied: an inline policy says so, a managed one cannot be read.
        (
            {"managed_policies": MANAGED, "session_policy": DENYING_POLICY},
            {"managed_policies": MANAGED},
            "session_policy",
            "unknown",
        ),
        (
            {"managed_policies": [*MANAGED, "arn:aws:iam::aws:policy/AWSDenyAll"]},
            {"managed_policies": MANAGED},
            "managed_policies",
            "unknown",
        ),
        (
            {"managed_policies": MANAGED, "session_policy": POLICY},
            {"session_policy": POLICY},
            "managed_policies",
            "unknown",
        ),
        ({}, {"session_tags": {"A": "a"}}, "session_tags", "unknown"),
        ({}, {"accept_session_name": True}, "accept_session_name", "widens"),
        ({}, {"accept_caller_policy": True}, "accept_caller_policy", "widens"),
        ({"grants_per_minute": 5}, {}, "grants_per_minute", "widens"),
        ({"grants_per_minute": 5}, {"grants_per_minute": 6}, "grants_per_minute", "widens"),
        ({}, {"grants_per_minute": 6}, "grants_per_minute", "narrows"),
        ({}, {"description": "x"}, "description", "neither"),
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


@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_a_value_that_may_not_fill_is_not_judged(effect: str) -> None:
    """What cannot be filled makes a whole condition fail, so that taking it away lets somebody in."""
    operator = "StringLike" if effect == "allow" else "StringNotLike"
    who = {"StringEquals": {"token:oid": OID}}
    before = {"condition": {**who, operator: {"token:a": ["xxxx", "${token:c}"]}}, "effect": effect}
    after = {"condition": {**who, operator: {"token:a": ["xxxx"]}}, "effect": effect}
    assert of_profile(before, after) == {"condition": "unknown"}
    assert of_profile(after, before) == {"condition": "unknown"}


def test_names_of_a_callers_own_and_of_a_template_are_other_names() -> None:
    own = {"accept_session_name": True}
    assert of_profile({}, own)["accept_session_name"] == "widens"
    assert of_profile(own, {})["accept_session_name"] == "unknown"


def test_a_denying_profile_with_fewer_roles_widens() -> None:
    deny = {"effect": "deny"}
    assert of_profile({"roles": [ROLE, OTHER_ROLE], **deny}, deny) == {"roles": "widens"}


def test_a_denying_profile_that_moves_to_another_role_is_unknown() -> None:
    assert of_profile({"effect": "deny"}, {"effect": "deny", "roles": [OTHER_ROLE]}) == {"roles": "unknown"}


WIDE = profile(condition={"StringEquals": {"token:oid": [OID, ANOTHER_OID]}}, priority=1)


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        (
            {"condition": {"StringEquals": {"token:oid": [OID, ANOTHER_OID]}}},
            {"condition": {"StringEquals": {"token:oid": OID}}},
            "condition",
        ),
        ({}, {"condition": {"StringEquals": {"token:oid": OID, "token:x": "y"}}}, "condition"),
        ({"roles": [ROLE, OTHER_ROLE]}, {"roles": [OTHER_ROLE]}, "roles"),
        ({"condition": None, "unconditional": True}, {}, "unconditional"),
    ],
)
def test_whoever_a_narrowed_profile_lets_go_may_be_had_by_one_that_remains(
    before: dict[str, Any], after: dict[str, Any], field: str
) -> None:
    found = effects(
        trust_file({"strict": profile(priority=9, duration="15m", **before), "wide": WIDE}),
        trust_file({"strict": profile(priority=9, duration="15m", **after), "wide": WIDE}),
    )
    assert found["profile", "strict", field] == "unknown"
    assert set(found.values()) == {"unknown"} or field == "unconditional"


def test_equal_terms_make_no_difference_because_a_disabled_profile_denies() -> None:
    both = {"StringEquals": {"token:oid": [OID, ANOTHER_OID]}}
    found = effects(
        trust_file({"a": profile(condition=both), "b": profile(condition=both)}),
        trust_file({"a": profile(), "b": profile(condition=both)}),
    )
    assert found == {("profile", "a", "condition"): "unknown"}


@pytest.mark.parametrize(
    "other",
    [
        profile(roles=[OTHER_ROLE]),
        profile(condition={"StringEquals": {"token:oid": "b0c1d2e3-0000-4000-8000-000000000003"}}),
        profile(trust_anchor="other", condition={"StringEquals": {"token:sub": "x"}}),
    ],
)
def test_a_narrowed_profile_beside_which_no_other_can_win_narrows(other: dict[str, Any]) -> None:
    anchors = {"contoso": entra(), "other": plain()}
    before = profile(condition={"StringEquals": {"token:oid": [OID, ANOTHER_OID]}})
    found = effects(
        trust_file({"a": before, "b": other}, anchors), trust_file({"a": profile(), "b": other}, anchors)
    )
    assert found == {("profile", "a", "condition"): "narrows"}


def test_a_role_that_a_profile_keeps_does_not_matter_when_it_loses_another() -> None:
    found = effects(
        trust_file({"a": profile(roles=[ROLE, OTHER_ROLE]), "b": profile(roles=[ROLE])}),
        trust_file({"a": profile(roles=[ROLE]), "b": profile(roles=[ROLE])}),
    )
    assert found == {("profile", "a", "roles"): "narrows"}


@pytest.mark.parametrize(("before", "after"), [(False, 0), (1, True), (["1"], [1])])
def test_an_edit_that_python_takes_for_none_is_shown(before: object, after: object) -> None:
    def items(value: object) -> dict[str, Any]:
        one = compiled(trust_file()).items
        (key,) = (key for key in one if key.startswith("role#"))
        stored = one[key]["profiles"][0]
        condition = {"NumericEquals": {"token:x": value}, **stored["condition"]}
        return {**one, key: {**one[key], "profiles": [{**stored, "condition": condition}]}}

    (change,) = classify(items(before), items(after))
    assert (change.field, change.effect) == ("condition", "unknown")


def test_a_look_at_azp_may_let_in_whom_sts_was_not_asked_for_before() -> None:
    web = {"issuance": "web-identity"}
    sub = {"StringEquals": {"token:sub": OID}}
    looked = {"StringEquals": {"token:sub": OID, "token:azp": ANOTHER_OID}}
    assert of_profile({"condition": sub, **web}, {"condition": looked, **web}) == {"condition": "unknown"}
    by_oid = {"StringEquals": {"token:oid": OID, "token:azp": ANOTHER_OID}}
    assert of_profile({}, {"condition": by_oid}) == {"condition": "narrows"}


def test_issuance_and_effect_widen() -> None:
    sub = {"StringEquals": {"token:sub": OID, "token:azp": ANOTHER_OID}}
    found = of_profile({"condition": sub}, {"condition": sub, "issuance": "web-identity"})
    assert found == {"issuance": "widens"}
    assert of_profile({"effect": "deny"}, {}) == {"effect": "widens"}
    assert of_profile({}, {"effect": "deny"}) == {"effect": "unknown"}


# --- certificate authorities ------------------------------------------------------------------------

URL = "http://pki.example.com/ca.crl"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"certificates": "both.pem"}, {"certificates": "widens"}),
        ({"certificates": "both.pem"}, {}, {"certificates": "narrows"}),
        ({}, {"certificates": "other.pem"}, {"certificates": "unknown"}),
        (
            {"certificates": "both.pem", "crls": ["ca.crl"]},
            {"crls": ["ca.crl"]},
            {"certificates": "unknown"},
        ),
        (
            {"crls": ["ca.crl"]},
            {"certificates": "both.pem", "crls": ["ca.crl"]},
            {"certificates": "widens"},
        ),
        ({}, {"intermediates": "issuing.pem"}, {"intermediates": "widens"}),
        ({"intermediates": "issuing.pem"}, {}, {"intermediates": "unknown"}),
        ({}, {"crls": ["ca.crl"]}, {"crls": "narrows"}),
        ({"crls": ["ca.crl"]}, {}, {"crls": "widens"}),
        ({"crls": ["ca.crl"]}, {"crls": ["x.crl"]}, {"crls": "unknown"}),
        ({}, {"crl_urls": [URL]}, {"crls": "narrows", "crl_urls": "narrows"}),
        ({"crl_urls": [URL]}, {}, {"crls": "widens", "crl_urls": "widens"}),
        ({}, {"stale_crls": "allow"}, {"stale_crls": "widens"}),
        ({"stale_crls": "allow"}, {}, {"stale_crls": "narrows"}),
        ({}, {"any_extended_key_usage": True}, {"any_extended_key_usage": "widens"}),
        ({"any_extended_key_usage": True}, {}, {"any_extended_key_usage": "narrows"}),
        ({}, {"replay": "once"}, {"replay": "narrows"}),
        ({"replay": "once"}, {}, {"replay": "widens"}),
        ({}, {"bare_names": True}, {"bare_names": "unknown"}),
        ({"bare_names": True}, {}, {"bare_names": "unknown"}),
        ({}, {"description": "x"}, {"description": "neither"}),
    ],
)
def test_changes_of_an_authority(
    before: dict[str, Any], after: dict[str, Any], expected: dict[str, str]
) -> None:
    found = effects(trust_file({}, {"c": authority(**before)}), trust_file({}, {"c": authority(**after)}))
    assert found == {("anchor", "c", field): effect for field, effect in expected.items()}


def test_another_kind_of_anchor_under_a_name_is_as_a_new_one() -> None:
    issuer, certificates = (trust_file({}, {"c": one}) for one in (plain(), authority()))
    assert effects(issuer, certificates) == {("anchor", "c", "kind"): "widens"}
    assert effects(certificates, issuer) == {("anchor", "c", "kind"): "widens"}


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ({}, {"attribute_mapping": {}}, "widens"),
        ({}, {"attribute_mapping": {"x509Subject": ["*"]}}, "widens"),
        ({"attribute_mapping": {}}, {}, "unknown"),
        (
            {"attribute_mapping": {"x509Subject": ["CN"]}},
            {"attribute_mapping": {"x509Subject": ["OU"]}},
            "widens",
        ),
        ({}, {"unfit_values": "drop"}, "widens"),
        ({"unfit_values": "drop"}, {}, "unknown"),
        ({"unfit_values": "drop"}, {"attribute_mapping": {}, "unfit_values": "drop"}, "widens"),
    ],
)
def test_changes_of_what_a_certificate_becomes(
    before: dict[str, Any], after: dict[str, Any], effect: str
) -> None:
    found = effects(of_holders(**before), of_holders(**after))
    assert found == {("profile", "reader", "certificate"): effect}


def test_the_order_of_a_mapping_is_no_change() -> None:
    one, two = ({"x509Subject": parts, "x509Issuer": ["CN"]} for parts in (["CN", "OU"], ["OU", "CN"]))
    assert effects(of_holders(attribute_mapping=one), of_holders(attribute_mapping=two)) == {}


def test_bare_names_are_a_change_of_the_profiles_as_well() -> None:
    found = effects(of_holders(), of_holders(authority(bare_names=True)))
    assert found == {
        ("anchor", "datacenter", "bare_names"): "unknown",
        ("profile", "reader", "certificate"): "unknown",
    }
