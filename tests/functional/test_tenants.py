"""A user pool's tokens: each ends in its own tenant's session, and is worth nothing anywhere else."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import tokens
from tests.support.fake_transport import FakeSts
from tests.support.sts_client import error_code, parsed
from tests.support.world import ACCOUNT, Answer, World

POOL_A, POOL_B = "eu-central-1_TenantsAAA", "eu-central-1_TenantsBBB"
WEB, MOBILE, MACHINE, ELSEWHERE = "1webclient", "2mobileclient", "3machineclient", "4otherpoolsclient"
TENANT = f"arn:aws:iam::{ACCOUNT}:role/sallyport/tenant"
BY_POLICY = f"arn:aws:iam::{ACCOUNT}:role/sallyport/by-policy"
OF_POOL_B = f"arn:aws:iam::{ACCOUNT}:role/sallyport/of-pool-b"
ID_ONLY = f"arn:aws:iam::{ACCOUNT}:role/sallyport/id-only"
BATCH = f"arn:aws:iam::{ACCOUNT}:role/sallyport/batch"
TAGS = "https://aws.amazon.com/tags"
CLAIM = f"${{token:{TAGS}/principal_tags/TenantID}}"


def issuer(pool: str) -> str:
    return f"https://cognito-idp.eu-central-1.amazonaws.com/{pool}"


def anchor(pool: str, *clients: str) -> dict[str, Any]:
    return {"kind": "oidc", "issuer": issuer(pool), "dialect": "cognito", "audiences": list(clients)}


def profile(anchor_name: str, role: str, **changes: Any) -> dict[str, Any]:
    return {
        "trust_anchor": anchor_name,
        "roles": [role],
        "session_tags": {"TenantID": CLAIM},
        "transitive_tags": ["TenantID"],
        **changes,
    }


def users() -> dict[str, Any]:
    return {"use": "users", "tags": {"TenantID": {"attribute": "custom:tenant_id"}}}


FILE: dict[str, Any] = {
    "version": 1,
    "trust_anchors": {"pool-a": anchor(POOL_A, WEB, MACHINE), "pool-b": anchor(POOL_B, ELSEWHERE)},
    "profiles": {
        "tenant": profile("pool-a", TENANT, unconditional=True),
        "by-policy": {
            "trust_anchor": "pool-a",
            "roles": [BY_POLICY],
            "unconditional": True,
            "session_policy": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::data/{CLAIM}/*"}
                ],
            },
        },
        "id-only": profile(
            "pool-a", ID_ONLY, unconditional=True, condition={"StringEquals": {"token:token_use": "id"}}
        ),
        "batch": profile("pool-a", BATCH, condition={"StringEquals": {"token:client_id": MACHINE}}),
        "of-pool-b": profile("pool-b", OF_POOL_B, unconditional=True),
    },
    "user_pools": {
        "a": {
            "id": POOL_A,
            "clients": {
                WEB: users(),
                MOBILE: users(),
                MACHINE: {"use": "machine", "tags": {"TenantID": {"constant": "acme"}}},
            },
        },
        "b": {"id": POOL_B, "clients": {ELSEWHERE: users()}},
    },
}
KEYS = {"pool-a": tokens.rsa_key(), "pool-b": tokens.rsa_key("of pool b")}


@pytest.fixture
def saas() -> World:
    made = World(trust=FILE, roles=(TENANT, BY_POLICY, OF_POOL_B, ID_ONLY, BATCH))
    for name, key in KEYS.items():
        made.publish_keys(made.anchor(name), tokens.jwk(key))
    return made


def tags(tenant: object) -> dict[str, Any]:
    return {TAGS: {"principal_tags": {"TenantID": [tenant]}}}


def id_token(tenant: object = "acme", *, key: str = "pool-a", **changes: Any) -> str:
    claims = {"iss": issuer(POOL_A), "aud": WEB, **tags(tenant), **changes}
    return tokens.token(tokens.good_cognito_id(**claims), key=KEYS[key])


def access_token(tenant: object = "acme", *, key: str = "pool-a", **changes: Any) -> str:
    claims = {"iss": issuer(POOL_A), "client_id": WEB, **tags(tenant), **changes}
    return tokens.token(tokens.good_cognito_access(**claims), key=KEYS[key])


def sts(world: World) -> FakeSts:
    return world.aws.sts


def tags_at_sts(world: World) -> dict[str, str]:
    (form,) = sts(world).forms
    found = {}
    number = 1
    while f"Tags.member.{number}.Key" in form:
        found[form[f"Tags.member.{number}.Key"]] = form[f"Tags.member.{number}.Value"]
        number += 1
    return found


def refused(world: World, answer: Answer) -> None:
    """Refused, and STS was not even asked."""
    assert answer["statusCode"] in {400, 403}
    assert error_code(answer) in {"AccessDenied", "InvalidIdentityToken"}
    assert sts(world).forms == []


MAKERS: list[Callable[..., str]] = [id_token, access_token]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("tenant", ["acme", "globex", "x" * 256])
def test_the_tenant_travels_from_the_token_into_the_session(
    saas: World, make: Callable[..., str], tenant: str
) -> None:
    answer = saas.query(make(tenant), RoleArn=TENANT)
    assert parsed(answer)["Credentials"]
    assert tags_at_sts(saas) == {"TenantID": tenant}
    assert sts(saas).forms[0]["TransitiveTagKeys.member.1"] == "TenantID"


@pytest.mark.parametrize("make", MAKERS)
def test_the_flattened_form_of_version_1_is_the_same(saas: World, make: Callable[..., str]) -> None:
    flat = {TAGS: None, f"{TAGS}/principal_tags/TenantID": "acme"}
    assert saas.query(make(**flat), RoleArn=TENANT)["statusCode"] == 200
    assert tags_at_sts(saas) == {"TenantID": "acme"}


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_a_session_policy_is_filled_with_the_tenant(saas: World, tenant: str) -> None:
    assert saas.query(id_token(tenant), RoleArn=BY_POLICY)["statusCode"] == 200
    (form,) = sts(saas).forms
    (statement,) = json.loads(form["Policy"])["Statement"]
    assert statement["Resource"] == f"arn:aws:s3:::data/{tenant}/*"


@pytest.mark.parametrize(
    "tenant", ["*", "acme/../globex", "..", "a*", "acme/*", "${aws:username}", "a b", '"']
)
def test_no_tenant_can_change_a_session_policy(saas: World, tenant: str) -> None:
    refused(saas, saas.query(id_token(tenant), RoleArn=BY_POLICY))


NO_TENANT: list[dict[str, Any]] = [
    {TAGS: None},
    {TAGS: {}},
    {TAGS: {"principal_tags": {}}},
    {TAGS: {"principal_tags": {"TenantID": []}}},
    {TAGS: {"principal_tags": {"TenantID": [""]}}},
    {TAGS: {"principal_tags": {"TenantID": ["acme", "globex"]}}},
    {TAGS: {"principal_tags": {"TenantID": "acme"}}},
    {TAGS: {"principal_tags": {"TenantID": ["acme"], "tenantid": ["globex"]}}},
    {TAGS: {"principal_tags": ["TenantID", "acme"]}},
    {TAGS: "TenantID=acme"},
    {f"{TAGS}/principal_tags/TenantID": "globex"},
    {TAGS: None, "custom:tenant_id": "acme"},
    {TAGS: None, "TenantID": "acme"},
]


@pytest.mark.parametrize("role", [TENANT, BY_POLICY])
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("claims", NO_TENANT)
def test_a_token_without_one_clear_tenant_is_worth_nothing(
    saas: World, make: Callable[..., str], claims: dict[str, Any], role: str
) -> None:
    refused(saas, saas.query(make(**claims), RoleArn=role))


# --- another pool ---------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [TENANT, BY_POLICY, ID_ONLY, BATCH])
def test_a_token_of_one_pool_is_worth_nothing_at_another(saas: World, role: str) -> None:
    # Good where it belongs, so that nothing else is wrong with it.
    of_b = id_token(iss=issuer(POOL_B), aud=ELSEWHERE, key="pool-b")
    refused(saas, saas.query(of_b, RoleArn=role))
    assert saas.query(of_b, RoleArn=OF_POOL_B)["statusCode"] == 200


def test_the_other_way_round_as_well(saas: World) -> None:
    refused(saas, saas.query(id_token(), RoleArn=OF_POOL_B))


def test_a_token_that_names_a_pool_and_is_signed_by_another_is_refused(saas: World) -> None:
    refused(saas, saas.query(id_token(key="pool-b"), RoleArn=TENANT))
    refused(saas, saas.query(id_token(iss=issuer(POOL_B), aud=ELSEWHERE), RoleArn=OF_POOL_B))


@pytest.mark.parametrize(
    "name",
    [
        issuer(POOL_A) + "/",
        issuer(POOL_A).upper(),
        issuer("eu-central-1_Strangers"),
        issuer(POOL_A).replace("eu-central-1.", "us-east-1."),
    ],
)
def test_a_pool_that_is_not_declared_is_nobodys(saas: World, name: str) -> None:
    refused(saas, saas.query(id_token(iss=name), RoleArn=TENANT))


# --- another client -------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [MOBILE, ELSEWHERE, "", [WEB, MOBILE]])
def test_an_id_token_of_another_client_is_worth_nothing(saas: World, client: object) -> None:
    refused(saas, saas.query(id_token(aud=client), RoleArn=TENANT))


@pytest.mark.parametrize("client", [MOBILE, ELSEWHERE, "", [WEB]])
def test_an_access_token_of_another_client_is_worth_nothing(saas: World, client: object) -> None:
    refused(saas, saas.query(access_token(client_id=client), RoleArn=TENANT))


def test_a_profile_for_one_client_refuses_the_others_of_its_anchor(saas: World) -> None:
    refused(saas, saas.query(access_token(), RoleArn=BATCH))
    # In an ID token client_id is no claim of Cognito's; whoever had one added would gain nothing.
    refused(saas, saas.query(id_token(), RoleArn=BATCH))
    assert saas.query(access_token(client_id=MACHINE), RoleArn=BATCH)["statusCode"] == 200


# --- another use ----------------------------------------------------------------------------------


def test_an_access_token_is_not_taken_for_an_id_token(saas: World) -> None:
    refused(saas, saas.query(access_token(), RoleArn=ID_ONLY))
    refused(saas, saas.query(access_token(aud=WEB), RoleArn=ID_ONLY))
    assert saas.query(id_token(), RoleArn=ID_ONLY)["statusCode"] == 200


@pytest.mark.parametrize("use", [None, "", "refresh", "ID", ["id"], tokens.NULL])
def test_a_token_of_no_known_use_is_refused(saas: World, use: object) -> None:
    refused(saas, saas.query(id_token(token_use=use), RoleArn=TENANT))
    refused(saas, saas.query(access_token(token_use=use, aud=WEB), RoleArn=TENANT))


def test_an_id_token_is_for_whom_aud_names_and_an_access_token_for_whom_client_id_names(saas: World) -> None:
    refused(saas, saas.query(id_token(aud=None, client_id=WEB), RoleArn=TENANT))
    refused(saas, saas.query(id_token(aud=MOBILE, client_id=WEB), RoleArn=TENANT))
    refused(saas, saas.query(access_token(client_id=None, aud=WEB), RoleArn=TENANT))
    refused(saas, saas.query(access_token(client_id=MOBILE, aud=WEB), RoleArn=TENANT))
    refused(saas, saas.query(access_token(client_id=WEB, aud=MOBILE), RoleArn=TENANT))
