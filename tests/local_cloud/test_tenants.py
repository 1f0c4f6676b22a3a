"""Tenants of the deployed stack: each reaches its own data and never the other's; no token serves elsewhere.

Isolation by tag is shown with the template's policies written out for each tenant, because the emulator
puts no values in for policy variables; that the template itself compares the tag, a contract test holds.
Keys of DynamoDB the emulator does not compare at all.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from local import demo_tenants, pool_users, steps, tenants
from local.cloud import REGION
from local.demo_tokens import claims
from local.deploy import AwsClient, client
from local.steps import World
from sallyport.cognito.load import load_mapping
from sallyport.cognito.pool_check import check_pool

OWN_FILE = "notes.txt"


@pytest.fixture(scope="module")
def tokens(world: World) -> dict[str, str]:
    """The tokens of everybody, by tenant and kind."""
    demo_tenants.with_a_password(world)
    demo_tenants.on_the_pages(world)
    demo_tenants.as_a_machine(world)
    return world.tokens


def sts(world: World, endpoint: str | None = None) -> AwsClient:
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}, proxies={})
    return boto3.client(
        "sts", region_name=REGION, endpoint_url=endpoint or world.deployment.endpoint, config=config
    )


def assume(world: World, profile: str, token: str) -> dict[str, Any]:
    answer = sts(world).assume_role_with_web_identity(
        RoleArn=tenants.role_of(profile), RoleSessionName="request-1", WebIdentityToken=token
    )
    return dict(answer)


def refused(world: World, profile: str, token: str) -> tuple[str, str]:
    """Return what the caller and what the operator learn of a refusal."""
    with pytest.raises(ClientError) as caught:
        assume(world, profile, token)
    answer: Any = caught.value.response
    record = steps.explain(world, answer["ResponseMetadata"]["RequestId"])
    return answer["Error"]["Code"], record["reason"]


def s3_with(world: World, found: dict[str, Any]) -> AwsClient:
    return boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=world.cloud.aws,
        aws_access_key_id=found["Credentials"]["AccessKeyId"],
        aws_secret_access_key=found["Credentials"]["SecretAccessKey"],
        aws_session_token=found["Credentials"]["SessionToken"],
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


class Way(NamedTuple):
    """A role, and the token that it is had with."""

    profile: str
    kind: str


WAYS = [Way(tenants.BY_TAG, "access"), Way(tenants.BY_POLICY, "id")]
DIRECTIONS = [("acme", "globex"), ("globex", "acme")]

ACTIONS: dict[str, Callable[[AwsClient, str], object]] = {
    "read": lambda s3, tenant: s3.get_object(Bucket=tenants.BUCKET, Key=f"{tenant}/plan.txt"),
    "write": lambda s3, tenant: s3.put_object(Bucket=tenants.BUCKET, Key=f"{tenant}/{OWN_FILE}", Body=b"x"),
    "list": lambda s3, tenant: s3.list_objects_v2(Bucket=tenants.BUCKET, Prefix=f"{tenant}/"),
    "delete": lambda s3, tenant: s3.delete_object(Bucket=tenants.BUCKET, Key=f"{tenant}/{OWN_FILE}"),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("direction", DIRECTIONS, ids=" not ".join)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.profile)
def test_a_session_reaches_its_own_tenant_and_not_the_other(
    world: World, tokens: dict[str, str], way: Way, direction: tuple[str, str], action: str
) -> None:
    own, other = direction
    tenants.fill_bucket(world.cloud)
    s3 = s3_with(world, assume(world, way.profile, tokens[f"{own}-{way.kind}"]))
    assert ACTIONS[action](s3, own)
    with pytest.raises(ClientError) as caught:
        ACTIONS[action](s3, other)
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.profile)
def test_nobody_lists_everybody(world: World, tokens: dict[str, str], way: Way) -> None:
    s3 = s3_with(world, assume(world, way.profile, tokens[f"acme-{way.kind}"]))
    for prefix in ("", "acme", "a", "globex/"):
        with pytest.raises(ClientError):
            s3.list_objects_v2(Bucket=tenants.BUCKET, Prefix=prefix)


def test_a_machine_reaches_the_tenant_of_its_app_client(world: World, tokens: dict[str, str]) -> None:
    s3 = s3_with(world, assume(world, tenants.BY_TAG, tokens["machine"]))
    for act in ACTIONS.values():
        assert act(s3, "acme")
        with pytest.raises(ClientError):
            act(s3, "globex")


def test_tenant_and_source_identity_go_from_token_to_session_unchanged(
    world: World, tokens: dict[str, str]
) -> None:
    answer = assume(world, tenants.BY_TAG, tokens["globex-access"])
    record = steps.explain(world, answer["ResponseMetadata"]["RequestId"])
    said = json.dumps(record)
    assert f"saas.{claims(tokens['globex-access'])['sub']}" in said
    assert '"globex"' in said


# A token of one use, client or pool is worth nothing at another


@pytest.mark.parametrize(
    ("profile", "kind"),
    [
        (tenants.BY_TAG, "acme-id"),
        (tenants.BY_POLICY, "acme-access"),
        (tenants.BY_POLICY, "machine"),
    ],
)
def test_a_token_of_another_use_or_client_gets_nothing(
    world: World, tokens: dict[str, str], profile: str, kind: str
) -> None:
    assert refused(world, profile, tokens[kind]) == ("AccessDenied", "no-profile-matched")


def test_a_refresh_token_is_no_token_here(world: World) -> None:
    found = pool_users.by_password(world.cloud, world.deployment, pool_users.ACME)["RefreshToken"]
    code, _ = refused(world, tenants.BY_TAG, found)
    assert code in ("InvalidIdentityToken", "ValidationError")


@pytest.fixture
def another_pool(world: World) -> Iterator[dict[str, str]]:
    """A pool of somebody else's, with a client and a user of the same names and without a trigger."""
    cognito = client(world.cloud, "cognito-idp")
    pool = cognito.create_user_pool(PoolName="somebody-elses")["UserPool"]["Id"]
    made = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="users", ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    cognito.admin_create_user(
        UserPoolId=pool,
        Username="user",
        TemporaryPassword="Passw0rd!first",
        MessageAction="SUPPRESS",
    )
    cognito.admin_set_user_password(
        UserPoolId=pool, Username="user", Password="Passw0rd!second", Permanent=True
    )
    answer = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=made,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "user", "PASSWORD": "Passw0rd!second"},
    )["AuthenticationResult"]
    yield {"pool": pool, "client": made, "access": answer["AccessToken"], "id": answer["IdToken"]}
    cognito.delete_user_pool(UserPoolId=pool)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.profile)
def test_a_token_of_another_pool_gets_nothing(world: World, another_pool: dict[str, str], way: Way) -> None:
    assert refused(world, way.profile, another_pool[way.kind]) == ("InvalidIdentityToken", "issuer-unknown")


def test_through_a_client_that_nobody_declared_users_get_no_tokens_at_all(world: World) -> None:
    cognito = client(world.cloud, "cognito-idp")
    pool = world.deployment.outputs["UserPoolId"]
    made = cognito.create_user_pool_client(
        UserPoolId=pool, ClientName="undeclared", ExplicitAuthFlows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]["ClientId"]
    try:
        with pytest.raises(ClientError, match="trigger-client-undeclared"):
            cognito.admin_initiate_auth(
                UserPoolId=pool,
                ClientId=made,
                AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                AuthParameters={
                    "USERNAME": pool_users.ACME.email,
                    "PASSWORD": pool_users.password(world.cloud),
                },
            )
    finally:
        cognito.delete_user_pool_client(UserPoolId=pool, ClientId=made)


def test_directly_at_sts_a_session_without_the_tag_is_refused(world: World, tokens: dict[str, str]) -> None:
    """The emulator's STS reads no tags in tokens, so that to it every token is one without a tenant."""
    role = world.deployment.outputs["TenantWebIdentityRoleArn"]
    with pytest.raises(ClientError) as caught:
        sts(world, world.cloud.aws).assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="request-1", WebIdentityToken=tokens["acme-id"]
        )
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


# The trigger and the pool, as they are deployed


def test_a_refreshed_token_has_its_tenant_anew(world: World) -> None:
    first = pool_users.by_password(world.cloud, world.deployment, pool_users.GLOBEX)
    name = claims(first["AccessToken"])["username"]
    answer = pool_users.at_cognito(world.cloud).initiate_auth(
        ClientId=world.deployment.outputs["UserPoolClientId"],
        AuthFlow="REFRESH_TOKEN_AUTH",
        AuthParameters={
            "REFRESH_TOKEN": first["RefreshToken"],
            "SECRET_HASH": pool_users.secret_hash(world.cloud, world.deployment, name),
        },
    )["AuthenticationResult"]
    assert claims(answer["IdToken"])[demo_tenants.TAGS]["principal_tags"] == {"TenantID": ["globex"]}


def test_the_deployed_pool_is_one_about_which_the_check_has_nothing_to_say(world: World) -> None:
    cognito, outputs = client(world.cloud, "cognito-idp"), world.deployment.outputs
    trigger = client(world.cloud, "lambda").get_function_configuration(
        FunctionName=outputs["TriggerFunction"]
    )
    mapping = load_mapping(trigger["Environment"]["Variables"]["SALLYPORT_TAG_MAPPING"].encode())
    pool = outputs["UserPoolId"]
    listed = cognito.list_user_pool_clients(UserPoolId=pool, MaxResults=60)["UserPoolClients"]
    clients = [
        cognito.describe_user_pool_client(UserPoolId=pool, ClientId=one["ClientId"])["UserPoolClient"]
        for one in listed
    ]
    found = check_pool(
        mapping,
        pool=cognito.describe_user_pool(UserPoolId=pool)["UserPool"],
        clients=clients,
        providers=[],
        trigger_arn=outputs["TriggerFunction"],
    )
    assert found == ()


def test_the_invited_cannot_give_themselves_a_tenant(world: World) -> None:
    """The answer to NEW_PASSWORD_REQUIRED may bring attributes that are not set yet."""
    cognito, outputs = client(world.cloud, "cognito-idp"), world.deployment.outputs
    invited, first = "invited@example.com", "a first password of mine"
    with contextlib.suppress(ClientError):
        cognito.admin_delete_user(UserPoolId=outputs["UserPoolId"], Username=invited)
    cognito.admin_create_user(
        UserPoolId=outputs["UserPoolId"],
        Username=invited,
        TemporaryPassword=first,
        MessageAction="SUPPRESS",
        UserAttributes=[{"Name": "email", "Value": invited}],
    )
    signing_in = pool_users.at_cognito(world.cloud)
    secret = pool_users.secret_hash(world.cloud, world.deployment, invited)
    asked = signing_in.initiate_auth(
        ClientId=outputs["UserPoolClientId"],
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": invited, "PASSWORD": first, "SECRET_HASH": secret},
    )
    name = asked["ChallengeParameters"].get("USER_ID_FOR_SRP", invited)
    answer = {
        "USERNAME": name,
        "NEW_PASSWORD": "another password of mine",
        "SECRET_HASH": pool_users.secret_hash(world.cloud, world.deployment, name),
    }
    with pytest.raises(ClientError) as caught:
        signing_in.respond_to_auth_challenge(
            ClientId=outputs["UserPoolClientId"],
            ChallengeName="NEW_PASSWORD_REQUIRED",
            Session=asked["Session"],
            ChallengeResponses=answer | {f"userAttributes.{pool_users.TENANT}": "globex"},
        )
    assert caught.value.response["Error"]["Code"] == "NotAuthorizedException"


def test_nobody_but_the_trigger_s_log_hears_of_it(world: World) -> None:
    """The function's role may log, and nothing else."""
    iam, functions = client(world.cloud, "iam"), client(world.cloud, "lambda")
    found = functions.get_function_configuration(FunctionName=world.deployment.outputs["TriggerFunction"])
    role = found["Role"].rpartition("/")[2]
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    (statement,) = (document if isinstance(document, dict) else json.loads(document))["Statement"]
    assert set(statement["Action"]) == {"logs:CreateLogStream", "logs:PutLogEvents"}
