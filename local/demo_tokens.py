"""The demonstration's first part: an Azure managed identity's token gets credentials, a wrong one does not.

Every program here was written by somebody else: Microsoft's azure-identity, the AWS CLI, boto3 and curl.
"""

import base64
import json
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from local.cloud import REGION, STS_REGIONS
from local.deploy import BUCKET, AwsClient, client
from local.entra_directory import AUDIENCE, HOSTILE, PAYROLL, READER, STRANGER
from local.http_client import ask
from local.paths import AWS_COMMAND, VENV
from local.steps import (
    PROGRAM_SECONDS,
    Chapter,
    Step,
    StepError,
    World,
    check,
    explain,
    explanation,
    program,
    wait,
    why,
)

SESSION = "a-name-of-my-own"


# ---------------------------------------------------------------- tokens, with Microsoft's library

_ASK_AZURE = """
import sys
from azure.identity import ManagedIdentityCredential
print(ManagedIdentityCredential(**dict(a.split("=") for a in sys.argv[2:])).get_token(sys.argv[1]).token)
"""


def azure_token(world: World, env: Mapping[str, str], resource: str = AUDIENCE, **selector: str) -> str:
    """Return a token that azure-identity got, in a process of its own with only these variables."""
    command = [str(VENV / "bin" / "python"), "-c", _ASK_AZURE, f"{resource}/.default"]
    command += [f"{name}={value}" for name, value in selector.items()]
    return program(command, world.environment() | dict(env)).strip()


def imds(world: World, machine: str = "") -> dict[str, str]:
    """Return the variable by which azure-identity finds another IMDS than 169.254.169.254."""
    return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": world.cloud.entra + (f"/vm/{machine}" if machine else "")}


def claims(token: str) -> dict[str, Any]:
    """Return a token's claims, unverified: to talk about them, not to decide anything."""
    payload = token.split(".")[1]
    value = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return dict(value)


def token_from_imds(world: World) -> str:
    """Ask the virtual machine's metadata service."""
    world.tokens["imds"] = azure_token(world, imds(world))
    found = claims(world.tokens["imds"])
    check(found["oid"] == READER.object_id, f"the token is for {found['oid']}")
    return f"azure-identity asked IMDS and got a token for {found['aud']}, object id {found['oid']}"


def token_from_app_service(world: World) -> str:
    """Ask App Service, which wants a secret that only the app knows."""
    env = {
        "IDENTITY_ENDPOINT": f"{world.cloud.entra}/msi/token",
        "IDENTITY_HEADER": world.cloud.identity_header,
    }
    world.tokens["app-service"] = azure_token(world, env)
    found = claims(world.tokens["app-service"])
    check("/Microsoft.Web/sites/" in found["xms_mirid"], f"the token is for {found['xms_mirid']}")
    return f"azure-identity asked App Service and got a token for {found['xms_mirid'].rpartition('/')[2]}"


# ------------------------------------------------------------------------- credentials, four ways


def with_aws_cli(world: World) -> str:
    """AWS CLI, the command that exists for this, with another endpoint."""
    command = [str(AWS_COMMAND), "sts", "assume-role-with-web-identity", "--role-arn", world.role]
    command += [
        "--role-session-name",
        SESSION,
        "--web-identity-token",
        f"file://{world.token_file()}",
    ]
    command += ["--endpoint-url", world.deployment.endpoint, "--output", "json"]
    answer = json.loads(program(command, world.environment()))
    arn = answer["AssumedRoleUser"]["Arn"]
    check(READER.object_id in arn, f"the session's name is not the identity's: {arn}")
    check(SESSION not in arn, "the caller chose the session's name")
    return f"aws sts assume-role-with-web-identity gave {answer['Credentials']['AccessKeyId']}, session {arn}"


_LIST_BUCKET = """
import boto3, json, sys
s3 = boto3.client("s3")
keys = [o["Key"] for o in s3.list_objects_v2(Bucket=sys.argv[1])["Contents"]]
c = boto3.Session()._session.get_credentials().get_frozen_credentials()
print(json.dumps({"keys": keys, "credentials": [c.access_key, c.secret_key, c.token]}))
"""

_WHO_AM_I = """
import boto3
print(boto3.client("sts").get_caller_identity()["Arn"])
"""


def with_boto3(world: World) -> str:
    """An unchanged program that uses boto3; three variables make it use Sallyport."""
    python = str(VENV / "bin" / "python")
    env = world.environment() | {
        "AWS_ROLE_ARN": world.role,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(world.token_file()),
        "AWS_ENDPOINT_URL_STS": world.deployment.endpoint,
    }
    found = json.loads(program([python, "-c", _LIST_BUCKET, BUCKET], env))
    check(found["keys"], "the bucket is empty")
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    own = world.environment() | dict(zip(names, found["credentials"], strict=True))
    arn = program([python, "-c", _WHO_AM_I], own).strip()
    check(":assumed-role/" in arn, f"get-caller-identity says {arn}")
    return f"boto3 listed {', '.join(found['keys'])}; AWS itself says the credentials are {arn}"


def with_curl(world: World) -> str:
    """Curl as credential_process: the AWS CLI runs it whenever it needs credentials."""
    headers = world.folder / "headers"
    headers.touch(mode=0o600)
    headers.write_text(f"Authorization: Bearer {world.tokens['imds']}\nContent-Type: application/json\n")
    body = json.dumps({"roleArn": world.role})
    process = ["curl", "--silent", "--fail", "--header", f"@{headers}", "--data", body]
    process.append(f"{world.deployment.endpoint}/credentials")
    config = world.folder / "aws-config"
    config.write_text(f"[profile azure]\nregion = {REGION}\ncredential_process = {shlex.join(process)}\n")
    env = world.environment() | {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "azure"}
    aws = [str(AWS_COMMAND), "s3", "cp"]
    report = program([*aws, f"s3://{BUCKET}/atlas/report.txt", "-"], env).strip()
    other = subprocess.run(
        [*aws, f"s3://{BUCKET}/borealis/report.txt", "-"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )
    check(other.returncode != 0, "another project's report could be read")
    return f"the AWS CLI ran curl and read “{report}”; another project's report it may not read"


def with_own_token(world: World) -> str:
    """Issuance web-identity: the caller's own token goes to STS, for longer than an hour."""
    found = ask("POST", f"{world.cloud.entra}/admin/tokens", {"resource": "api://sallyport-v2"})
    role = world.deployment.outputs["WebIdentityRoleArn"]
    answer = _sts(world).assume_role_with_web_identity(
        RoleArn=role, RoleSessionName=SESSION, WebIdentityToken=found["access_token"], DurationSeconds=14_400
    )
    left = answer["Credentials"]["Expiration"].timestamp() - time.time()
    check(left > 3600, f"the session ends in {left:.0f} s")  # noqa: PLR2004 - the hour that chaining allows
    return f"a v2.0 token gave a session of {left / 3600:.1f} h by its own right, without role chaining"


# --------------------------------------------------------------------------------------- refusals


def _sts(world: World) -> AwsClient:
    # Without retries: a 5xx is what some steps are after.
    config = Config(
        signature_version=UNSIGNED,
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=PROGRAM_SECONDS,
        proxies={},
    )
    return boto3.client("sts", region_name=REGION, endpoint_url=world.deployment.endpoint, config=config)


def exchange(world: World, token: str, **arguments: object) -> dict[str, Any]:
    """Exchange a token with boto3; returns its answer.

    Raises:
        ClientError: it was refused.
    """
    answer = _sts(world).assume_role_with_web_identity(
        RoleArn=world.role, RoleSessionName=SESSION, WebIdentityToken=token, **arguments
    )
    return dict(answer)


def refused(world: World, token: str, code: str, reason: str, **arguments: object) -> str:
    """Exchange a token that must be refused, and have ``sallyport explain`` say why.

    Args:
        world: where.
        token: what is presented.
        code: what the caller must learn, and nothing more.
        reason: what the operator must learn.
        arguments: further parameters of AssumeRoleWithWebIdentity.
    """
    try:
        exchange(world, token, **arguments)
    except ClientError as error:
        answer: Any = error.response
    else:
        raise StepError("credentials were given")
    said = answer["Error"]
    check(said["Code"] == code, f"the caller was told {said['Code']}: {said['Message']}")
    world.exchanges.append(answer["ResponseMetadata"]["RequestId"])
    record = explain(world, world.exchanges[-1])
    told = record.get("reason")
    check(told == reason, f"explain says {told}, not {reason}")
    return f"the caller learned {code}; sallyport explain says {why(record)}"


def minted(world: World, **asked: object) -> str:
    """Return a token as the local Entra's back door makes it."""
    answer = ask("POST", f"{world.cloud.entra}/admin/tokens", asked)
    return str(answer["access_token"])


def another_tenant(world: World) -> str:
    """The same object id, vouched for by somebody whom nobody trusts."""
    return refused(
        world, azure_token(world, imds(world, "outsider")), "InvalidIdentityToken", "issuer-unknown"
    )


def another_audience(world: World) -> str:
    """A genuine token that was meant for somebody else."""
    token = azure_token(world, imds(world), PAYROLL)
    return refused(world, token, "InvalidIdentityToken", "audience-mismatch")


def nobody_we_know(world: World) -> str:
    """A genuine token for us, of an identity in no profile."""
    token = azure_token(world, imds(world), client_id=STRANGER.client_id)
    said = refused(world, token, "AccessDenied", "no-profile-matched")
    told = explanation(world, world.exchanges[-1])
    check(f"actual   {STRANGER.object_id}" in told, "explain does not show who it was")
    check("what would have allowed it" in told, "explain does not say what would have allowed it")
    return f"{said}\n$ sallyport explain {world.exchanges[-1]}\n…\n{told}"


def hostile_claim(world: World) -> str:
    """An identity that a profile allows, with a claim that would be a statement of its own."""
    token = azure_token(world, imds(world), client_id=HOSTILE.client_id)
    return refused(world, token, "AccessDenied", "claim-illegal-in-policy")


def widening_policy(world: World) -> str:
    """A caller's policy beside the profile's: STS would unite the two."""
    wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    token = world.tokens["imds"]
    return refused(world, token, "AccessDenied", "caller-policy-refused", Policy=json.dumps(wide))


def forged(world: World) -> str:
    """The right claims under somebody else's key, with the tenant's key id."""
    return refused(world, minted(world, key="unknown"), "InvalidIdentityToken", "signature-invalid")


# ----------------------------------------------------------------------------------------- faults


@contextmanager
def fault(world: World, **asked: object) -> Iterator[None]:
    """Have something fail for as long as the block runs."""
    ask("POST", f"{world.cloud.faults}/faults", asked)
    try:
        yield
    finally:
        ask("DELETE", f"{world.cloud.faults}/faults")


def region_away(world: World) -> str:
    """STS of the first Region breaks every connection."""
    first, second = STS_REGIONS
    with fault(world, fault="reset", service="sts", region=first):
        answer = exchange(world, world.tokens["imds"])
    record = explain(world, answer["ResponseMetadata"]["RequestId"])
    text = json.dumps(record)
    check(first in text and second in text, "the record does not name both Regions")
    return f"{first} broke the connection, {second} served, and the record says so"


def records_away(world: World) -> str:
    """The records table is away: no credentials may leave."""
    table = world.deployment.outputs["RecordsTable"]
    with fault(world, fault="503", service="dynamodb", operation="PutItem", resource=table):
        try:
            exchange(world, world.tokens["imds"])
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        else:
            raise StepError("credentials were given without a record")
    check(status == 503, f"the answer was {status}")  # noqa: PLR2004 - HTTP's Service Unavailable
    exchange(world, world.tokens["imds"])
    return "without the records table the answer was 503 and no credentials; with it, all is well again"


def bus_away(world: World) -> str:
    """The records bus is away: credentials flow, and every record arrives later."""
    with fault(world, fault="reset", service="events"):
        ids = [str(exchange(world, world.tokens["imds"])["ResponseMetadata"]["RequestId"]) for _ in range(3)]
        faulted = wait(lambda: _faulted(world, "events"), "nobody tried to put an event")
        check(not any(arrived(world, one) for one in ids), "a record arrived without the bus")
    waited = time.monotonic()
    wait(lambda: all(arrived(world, one) for one in ids), "not every record has arrived")
    return (
        f"{faulted} attempts to put events failed while {len(ids)} callers got credentials; all {len(ids)} "
        f"records arrived {time.monotonic() - waited:.0f} s after the bus was back"
    )


def arrived(world: World, exchange_id: str) -> bool:
    """Tell whether a record has come by stream, bus, rule and queue to the audit side."""
    table = world.deployment.outputs["AuditTable"]
    found = client(world.cloud, "dynamodb").get_item(
        TableName=table, Key={"pk": {"S": f"record#{exchange_id}"}}
    )
    return "Item" in found


def _faulted(world: World, service: str) -> int:
    calls = ask("GET", f"{world.cloud.faults}/calls")
    return sum(call["faulted"] for call in calls if call["service"] == service)


CHAPTERS: tuple[Chapter, ...] = (
    (
        "A workload in Azure asks for its token",
        (
            Step("azure-identity on a virtual machine", token_from_imds),
            Step("azure-identity in App Service", token_from_app_service),
        ),
    ),
    (
        "and trades it for AWS credentials",
        (
            Step("the AWS CLI, with --endpoint-url", with_aws_cli),
            Step("boto3, with three environment variables", with_boto3),
            Step("curl, as credential_process of the AWS CLI", with_curl),
            Step("boto3, for longer than an hour (web-identity)", with_own_token),
        ),
    ),
    (
        "Wrong ones are refused, and the operator learns why",
        (
            Step("a token of another tenant", another_tenant),
            Step("a token for another audience", another_audience),
            Step("a token under a forged signature", forged),
            Step("an identity that no profile allows", nobody_we_know),
            Step("a claim that would break out of the session policy", hostile_claim),
            Step("a caller's policy that would widen the profile's", widening_policy),
        ),
    ),
    (
        "Things break",
        (
            Step(f"STS in {STS_REGIONS[0]} is unreachable", region_away),
            Step("the records table is unreachable", records_away),
            Step("the records bus is unreachable", bus_away),
        ),
    ),
)
