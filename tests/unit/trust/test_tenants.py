"""Profiles keep apart what a user pool's tags keep apart, or say that they do not."""

from typing import Any

import pytest

from tests.support.cognito_events import MACHINE, POOL, TENANT, WEB
from tests.support.trust_files import compiled, problem, problems
from tests.support.user_pools import ISSUER, TAG, TENANT_TAG, anchor, pool, profile, trust_file, users

P = ("profiles", "tenant")
BARE: dict[str, Any] = {"session_tags": None, "transitive_tags": None}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    each = [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **one} for one in statements]
    return {"Version": "2012-10-17", "Statement": each}


def of(changes: dict[str, Any], **file: Any) -> dict[str, Any]:
    return trust_file({"tenant": profile(**changes)}, **file)


def test_a_profile_that_maps_the_tag_unchanged_is_all_right() -> None:
    assert problems(trust_file()) == []


def test_a_profile_without_the_tag_is_refused() -> None:
    assert "apart" in problem(of(BARE), *P).text


@pytest.mark.parametrize(
    "condition",
    [{"StringLike": {TAG + "TenantID": "acme"}}, {"StringEquals": {TAG + "TenantID": ["a", "b"]}}],
)
def test_a_condition_that_lets_several_tenants_in_isolates_nothing(condition: dict[str, Any]) -> None:
    problem(of({**BARE, "condition": condition}), *P)


def test_a_profile_for_one_tenant_needs_no_tag() -> None:
    only = {**BARE, "condition": {"StringEquals": {TAG + "TenantID": "acme"}}}
    assert problems(of(only)) == []
    assert problems(of({**only, "session_tags": {"TenantID": "acme"}})) == []
    problem(of({**only, "session_tags": {"TenantID": "globex"}}), *P, "session_tags", "TenantID")


def test_a_profile_may_say_that_it_reaches_across_tenants() -> None:
    document = of({**BARE, "across_tenants": True})
    assert problems(document) == []
    (stored,) = compiled(document).items[f"role#{profile()['roles'][0]}"]["profiles"]
    assert stored["across_tenants"] is True
    (plain,) = compiled(trust_file()).items[f"role#{profile()['roles'][0]}"]["profiles"]
    assert "across_tenants" not in plain


@pytest.mark.parametrize("pools", [{}, {"saas": pool(clients=users({}), providers=None)}])
def test_where_there_are_no_tenants_nothing_reaches_across_them(pools: dict[str, Any]) -> None:
    problem(of({**BARE, "across_tenants": True}, pools=pools), *P, "across_tenants")
    assert problems(of(BARE, pools=pools)) == []


@pytest.mark.parametrize(
    "tag",
    [
        "acme",
        "x-" + TENANT_TAG,
        "${token:sub}",
        f"${{{TAG}Plan}}",
        {"value": TENANT_TAG, "optional": True},
        {"value": "${token:custom:tenant_id}"},
    ],
)
def test_the_tag_is_the_tokens_own_and_required(tag: object) -> None:
    document = of({"session_tags": {"TenantID": tag}, "transitive_tags": None})
    problem(document, *P, "session_tags", "TenantID")


def test_keys_of_tags_are_compared_without_case() -> None:
    tags = {"tenantid": f"${{{TAG}TENANTID}}"}
    assert problems(of({"session_tags": tags, "transitive_tags": ["tenantid"]})) == []


def test_the_tenant_may_go_by_another_name_in_the_session() -> None:
    assert problems(of({"session_tags": {"Customer": TENANT_TAG}, "transitive_tags": None})) == []


ISOLATING = [
    {"Resource": f"arn:aws:s3:::data/{TENANT_TAG}/*"},
    {"Resource": [f"arn:aws:s3:::data/{TENANT_TAG}/*", f"arn:aws:s3:::logs/{TENANT_TAG}"]},
    {"Resource": f"arn:aws:dynamodb:*:*:table/{TENANT_TAG}"},
    {"Condition": {"StringLike": {"s3:prefix": f"{TENANT_TAG}/*"}}},
    {"Condition": {"StringEquals": {"s3:prefix": [TENANT_TAG, f"{TENANT_TAG}/a"]}}},
    {
        "Condition": {
            "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [TENANT_TAG]},
            "Null": {"dynamodb:LeadingKeys": "false"},
        }
    },
]
LEAKING = [
    {"Resource": "arn:aws:s3:::data/*"},
    {"Resource": [f"arn:aws:s3:::data/{TENANT_TAG}/*", "arn:aws:s3:::data"]},
    # acme-* is acme-2 as well.
    {"Resource": f"arn:aws:s3:::data/{TENANT_TAG}-*"},
    {"Resource": f"arn:aws:s3:::data/{TENANT_TAG}.x*/y"},
    # Another tenant's path can contain anything.
    {"Resource": f"arn:aws:s3:::data/*/{TENANT_TAG}/*"},
    {"Resource": f"arn:aws:s3:::data/${{token:sub}}/{TENANT_TAG}-${{token:sub}}-*"},
    {"Resource": f"arn:aws:s3:::data/{TENANT_TAG}-${{aws:username}}*"},
    {"Resource": "arn:aws:s3:::data/${aws:PrincipalTag/TenantID}/*"},
    {"NotResource": f"arn:aws:s3:::data/{TENANT_TAG}/*", "Resource": None},
    {"Condition": {"StringNotEquals": {"s3:prefix": TENANT_TAG}}},
    {"Condition": {"StringLikeIfExists": {"s3:prefix": f"{TENANT_TAG}/*"}}},
    {"Condition": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [TENANT_TAG]}}},
    {"Condition": {"ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": [TENANT_TAG]}}},
    {"Condition": {"StringLike": {"s3:prefix": [f"{TENANT_TAG}/*", "shared/*"]}}},
    {"Condition": {"StringEquals": {"aws:PrincipalTag/TenantID": TENANT_TAG}}},
    # Whoever sends the request writes it.
    {"Condition": {"StringEquals": {"aws:RequestTag/TenantID": TENANT_TAG}}},
    {"Condition": {"StringEquals": {"aws:UserAgent": TENANT_TAG}}},
    {"Condition": {"StringLike": {"aws:Referer": TENANT_TAG}}},
    {"Condition": {"StringLike": {"aws:userid": f"{TENANT_TAG}:x"}}},
    {"Condition": {"StringEquals": {"sts:RoleSessionName": TENANT_TAG}}},
    {"Condition": {"StringEquals": {"s3:prefix": []}}},
]


@pytest.mark.parametrize("statement", ISOLATING)
def test_a_session_policy_filled_from_the_tag_isolates(statement: dict[str, Any]) -> None:
    assert problems(of({**BARE, "session_policy": policy(statement)})) == []
    # And one statement that is not is enough to lose it.
    both = policy(statement, {"Action": "s3:ListBucket"})
    problem(of({**BARE, "session_policy": both}), *P)


@pytest.mark.parametrize("statement", LEAKING)
def test_a_session_policy_that_leaks_does_not_isolate(statement: dict[str, Any]) -> None:
    made = policy(statement)
    for one in made["Statement"]:
        if one["Resource"] is None:
            del one["Resource"]
    problem(of({**BARE, "session_policy": made}), *P)


def test_a_managed_policy_beside_it_could_allow_anything() -> None:
    narrow = policy({"Resource": f"arn:aws:s3:::data/{TENANT_TAG}/*"})
    managed = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    problem(of({**BARE, "session_policy": narrow, "managed_policies": managed}), *P)


def test_a_policy_that_only_denies_does_not_isolate() -> None:
    denies = policy({"Effect": "Deny", "Resource": f"arn:aws:s3:::data/{TENANT_TAG}/*"})
    problem(of({**BARE, "session_policy": denies}), *P)


def test_every_tag_that_isolates_counts() -> None:
    tags = {"TenantID": {"attribute": TENANT}, "Stage": {"group_prefix": "stage-"}}
    document = of({}, pools={"saas": pool(clients=users(tags), providers=None)})
    assert "Stage" in problem(document, *P).text


def test_a_profile_that_denies_need_not_isolate() -> None:
    denies = profile(**BARE, effect="deny")
    assert problems(trust_file({"tenant": profile(), "not-now": denies})) == []


METADATA = pool(
    clients=users({"TenantID": {"attribute": TENANT}, "Purpose": {"metadata": "purpose", "isolates": False}}),
    providers=None,
)


@pytest.mark.parametrize(
    ("pools", "name"),
    [
        (METADATA, f"{TAG}Purpose"),
        (METADATA, f"{TAG}purpose"),
        (pool(), f"{TAG}Nope"),
        (pool(), f"token:{TENANT}"),
    ],
)
def test_what_the_caller_writes_decides_nothing(pools: dict[str, Any], name: str) -> None:
    file = {"pools": {"saas": pools}}
    problem(of({"condition": {"StringEquals": {name: "x"}}}, **file), *P, "condition")
    resource = policy({"Resource": f"arn:aws:s3:::data/{TENANT_TAG}/${{{name}}}/*"})
    problem(of({"session_policy": resource}, **file), *P, "session_policy")
    arn = f"arn:aws:iam::111122223333:policy/${{{name}}}"
    problem(of({"managed_policies": [arn]}, **file), *P, "managed_policies")


OTHER_POOL = anchor(issuer=ISSUER[:-1] + "9", audiences=["whoever"])


@pytest.mark.parametrize("file", [{}, {"of_anchor": OTHER_POOL}], ids=["declared", "another"])
@pytest.mark.parametrize("name", ["token:custom:role", "token:email", "token:preferred_username"])
def test_what_a_user_may_write_decides_nothing(name: str, file: dict[str, Any]) -> None:
    of_pool: dict[str, Any] = BARE if file else {}
    assert problems(of(of_pool, **file)) == []
    problem(of({**of_pool, "condition": {"StringEquals": {name: "x"}}}, **file), *P, "condition")
    resource = policy({"Resource": f"arn:aws:s3:::data/{TENANT_TAG}/${{{name}}}/*"})
    problem(of({**of_pool, "session_policy": resource}, **file), *P, "session_policy")


def test_whom_a_profile_denies_cannot_write_himself_out_of_it() -> None:
    denies = profile(
        **BARE,
        effect="deny",
        unconditional=None,
        condition={"StringEquals": {"token:custom:suspended": "yes"}},
    )
    document = trust_file({"tenant": profile(), "suspended": denies})
    assert "write" in problem(document, "profiles", "suspended", "condition").text


@pytest.mark.parametrize("file", [{}, {"of_anchor": OTHER_POOL}], ids=["declared", "another"])
def test_nothing_that_a_role_compares_is_made_of_what_a_user_may_write(file: dict[str, Any]) -> None:
    tags: dict[str, Any] = {"Customer": "x-${token:custom:tenant_id}"}
    if not file:
        tags["TenantID"] = TENANT_TAG
    document = of({"session_tags": tags, "transitive_tags": None}, **file)
    assert "isolates: false" in problem(document, *P, "session_tags", "Customer").cure


def test_a_user_pool_is_one_whatever_its_dialect() -> None:
    file = {"of_anchor": {**OTHER_POOL, "dialect": "plain"}}
    tags = {"TenantID": "${token:custom:tenant_id}"}
    problem(of({"session_tags": tags, "transitive_tags": None}, **file), *P, "session_tags", "TenantID")


def test_at_other_issuers_those_names_mean_something_else() -> None:
    elsewhere = {"kind": "oidc", "issuer": "https://issuer.example", "audiences": ["x"]}
    condition = {"StringEquals": {"token:email": "a@b.example"}}
    tags = {"TenantID": "${token:custom:tenant_id}"}
    changes = {"condition": condition, "session_tags": tags, "transitive_tags": None}
    assert problems(of(changes, of_anchor=elsewhere, pools={})) == []


def test_a_tag_that_isolates_nothing_may_be_a_condition() -> None:
    assert problems(of({"condition": {"StringEquals": {f"{TAG}Plan": "gold"}}})) == []


# --- anchors --------------------------------------------------------------------------------------


def test_an_anchor_names_app_clients_that_are_declared() -> None:
    document = trust_file(of_anchor=anchor(audiences=[WEB, "another"]))
    assert "another" in problem(document, "trust_anchors", "saas", "audiences").text


def test_a_default_stands_for_the_other_app_clients() -> None:
    pools = {"saas": pool(clients=users(), default=users()[WEB], providers=None)}
    assert problems(trust_file(of_anchor=anchor(audiences=[WEB, "another"]), pools=pools)) == []


@pytest.mark.parametrize("dialect", ["plain", None])
def test_an_anchor_of_a_declared_pool_has_its_dialect(dialect: str | None) -> None:
    problem(trust_file(of_anchor=anchor(dialect=dialect)), "trust_anchors", "saas", "dialect")


def test_an_anchor_names_the_pools_own_region() -> None:
    document = trust_file(of_anchor=anchor(issuer=ISSUER.replace("idp.eu-central-1", "idp.us-east-1")))
    assert POOL in problem(document, "trust_anchors", "saas", "issuer").cure


def test_other_pools_are_none_of_its_business() -> None:
    elsewhere = anchor(issuer=ISSUER[:-1] + "9", audiences=["whoever"])
    assert problems(of(BARE, of_anchor=elsewhere)) == []


# --- web identity ---------------------------------------------------------------------------------

DIRECT: dict[str, Any] = {
    "issuance": "web-identity",
    "advisory": True,
    "session_tags": {"TenantID": TENANT_TAG, "Plan": {"value": f"${{{TAG}Plan}}", "optional": True}},
    "source_identity": "saas.${token:sub}",
}


def test_a_web_identity_profile_allows_what_the_tokens_say_to_sts() -> None:
    assert problems(of(DIRECT)) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"transitive_tags": None}, "transitive"),
        ({"source_identity": None}, "source identity"),
        ({"session_tags": {"Customer": TENANT_TAG}, "transitive_tags": None}, "'TenantID'"),
    ],
)
def test_a_web_identity_profile_that_would_always_deny_is_refused(changes: dict[str, Any], word: str) -> None:
    assert word in problem(of({**DIRECT, **changes}), *P).text


def test_only_the_app_clients_that_a_profile_means_count() -> None:
    machine = {
        **DIRECT,
        "unconditional": None,
        "condition": {"StringEquals": {"token:client_id": MACHINE}},
        "source_identity": None,
        "transitive_tags": None,
    }
    both = anchor(audiences=[WEB, MACHINE])
    assert problems(of(machine, of_anchor=both)) == []
    also_users = {**machine, "condition": {"StringEquals": {"token:client_id": [MACHINE, WEB]}}}
    assert {one.path for one in problems(of(also_users, of_anchor=both))} == {P}
