"""The demonstration's third part: users of a SaaS sign in, and their backend reaches one tenant's data.

The backend is boto3 with its own web-identity provider and three variables; nothing of ours runs in it.
"""

import json
from collections.abc import Callable

from botocore.exceptions import ClientError

from local import pool_users, tenants
from local.demo_tokens import claims
from local.paths import VENV
from local.pool_users import ACME, GLOBEX, HOSTILE, TENANT, WITHOUT_TENANT, Person
from local.steps import Chapter, Step, StepError, World, check, program

TAGS = "https://aws.amazon.com/tags"


# ---------------------------------------------------------------------------------------- tokens


def with_a_password(world: World) -> str:
    """A user of the first tenant."""
    found = pool_users.by_password(world.cloud, world.deployment, ACME)
    return _kept(world, "acme", found["AccessToken"], found["IdToken"])


def on_the_pages(world: World) -> str:
    """A user of the second tenant, by authorization code with PKCE."""
    found = pool_users.on_the_pages(world.cloud, world.deployment, GLOBEX)
    return _kept(world, "globex", found["access_token"], found["id_token"])


def as_a_machine(world: World) -> str:
    """A machine of the first tenant."""
    found = pool_users.as_machine(world.cloud, world.deployment)
    return _kept(world, "acme", found["access_token"], machine=True)


def _kept(
    world: World, tenant: str, access: str, identity: str | None = None, *, machine: bool = False
) -> str:
    for token in (access, *([] if identity is None else [identity])):
        said = claims(token)[TAGS]["principal_tags"]
        check(said == {"TenantID": [tenant]}, f"the token says {said}")
    world.tokens["machine" if machine else f"{tenant}-access"] = access
    if identity is not None:
        world.tokens[f"{tenant}-id"] = identity
    return f"{'the token says' if machine else 'both tokens say'} {TAGS}: {json.dumps(claims(access)[TAGS])}"


# ------------------------------------------------------------------------------------------ data

_BACKEND = """
import boto3, sys
from botocore.exceptions import ClientError
bucket, own, other = sys.argv[1:]
s3 = boto3.client("s3")
print(s3.get_object(Bucket=bucket, Key=f"{own}/plan.txt")["Body"].read().decode().strip())
try:
    s3.get_object(Bucket=bucket, Key=f"{other}/plan.txt")
except ClientError as error:
    print(error.response["Error"]["Code"])
"""


def by_tag(world: World) -> str:
    """The role's policies compare the session's tag with the object's key."""
    for tenant, other in (("acme", "globex"), ("globex", "acme")):
        _reads_its_own(world, tenants.BY_TAG, world.tokens[f"{tenant}-access"], tenant, other)
    return "each read the own tenant's plan; the other's was AccessDenied"


def by_policy(world: World) -> str:
    """The role knows no tenants; the session policy was filled from the token."""
    for tenant, other in (("acme", "globex"), ("globex", "acme")):
        _reads_its_own(world, tenants.BY_POLICY, world.tokens[f"{tenant}-id"], tenant, other)
    return "the same, with a role that may read everything and a session policy made of the token's claim"


def the_machine(world: World) -> str:
    """Client credentials: the tenant is the app client's constant."""
    _reads_its_own(world, tenants.BY_TAG, world.tokens["machine"], "acme", "globex")
    return "the machine of acme read acme's plan; globex's was AccessDenied"


def _reads_its_own(world: World, profile: str, token: str, own: str, other: str) -> None:
    file = world.folder / "tenants-token"
    file.touch(mode=0o600)
    file.write_text(token)
    env = world.environment() | {
        "AWS_ROLE_ARN": tenants.role_of(profile),
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(file),
        "AWS_ENDPOINT_URL_STS": world.deployment.endpoint,
    }
    said = program(
        [str(VENV / "bin" / "python"), "-c", _BACKEND, tenants.BUCKET, own, other], env
    ).splitlines()
    check(said == [f"the plan of {own}", "AccessDenied"], f"the backend of {own} said {said}")


# -------------------------------------------------------------------------------------- refusals


def without_tenant(world: World) -> str:
    """A user whom administrators have given no tenant."""
    return _gets_no_token(world, WITHOUT_TENANT, "trigger-tag-missing")


def with_a_hostile_tenant(world: World) -> str:
    """A user whose attribute would be another tenant's prefix."""
    return _gets_no_token(world, HOSTILE, "trigger-tag-illegal")


def _gets_no_token(world: World, person: Person, reason: str) -> str:
    try:
        pool_users.by_password(world.cloud, world.deployment, person)
    except ClientError as error:
        said = pool_users.refusal(error)
    else:
        raise StepError("Cognito issued tokens")
    check(reason in said, f"Cognito said {said}")
    check(person.tenant is None or person.tenant not in said, "the attribute's value is in the answer")
    return f"no token; the pool's owner reads {reason}"


def writing_the_tenant(world: World) -> str:
    """The user's own token may write attributes, and whoever signs up sends some along."""
    cognito = pool_users.at_cognito(world.cloud)
    moved = [{"Name": TENANT, "Value": "globex"}]
    own = pool_users.by_password(world.cloud, world.deployment, ACME)["AccessToken"]
    told = [_code(lambda: cognito.update_user_attributes(AccessToken=own, UserAttributes=moved))]
    newcomer = "stranger@example.com"
    asked = {
        "ClientId": world.deployment.outputs["UserPoolClientId"],
        "SecretHash": pool_users.secret_hash(world.cloud, world.deployment, newcomer),
        "Username": newcomer,
        "Password": "a password of my own",
        "UserAttributes": moved,
    }
    told.append(_code(lambda: cognito.sign_up(**asked)))
    check(told == ["NotAuthorizedException"] * 2, f"Cognito said {told}")
    after = pool_users.by_password(world.cloud, world.deployment, ACME)["IdToken"]
    check(claims(after)[TAGS]["principal_tags"] == {"TenantID": ["acme"]}, "the user has changed tenants")
    return "UpdateUserAttributes and SignUp were NotAuthorizedException, and the user is acme's as before"


def _code(call: Callable[[], object]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "nothing"


CHAPTERS: tuple[Chapter, ...] = (
    (
        "Users of a SaaS sign in at Cognito, and their tokens say whose they are",
        (
            Step("with a password", with_a_password),
            Step("on the pool's pages, by code with PKCE", on_the_pages),
            Step("a machine, by its app client's secret", as_a_machine),
        ),
    ),
    (
        "The backend trades the token, with boto3, for one tenant's data",
        (
            Step("by tag (ABAC), with the access token", by_tag),
            Step("by session policy, with the ID token", by_policy),
            Step("by tag, as a machine", the_machine),
        ),
    ),
    (
        "Nobody gets another tenant",
        (
            Step("a user without a tenant", without_tenant),
            Step("a user with a hostile attribute", with_a_hostile_tenant),
            Step("a user who writes the attribute, a stranger who signs up with it", writing_the_tenant),
        ),
    ),
)
