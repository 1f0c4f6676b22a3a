"""``sam build`` and ``sam deploy`` into a local cloud: the template, the code and the layer as they are."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local import bootstrap, pki
from local.cloud import ACCOUNT, OPERATOR_SECRET, REGION, STS_REGIONS, Cloud, sam_home
from local.entra_directory import AUDIENCE_V2, CONTOSO, READER
from local.paths import MINISTACK, ROOT, SAM_COMMAND, VENV, State
from local.progress import LocalCloudError, tail

# boto3 makes its clients' classes when it runs.
AwsClient = Any

STACK = "sallyport"
MEMBER_STACK = "sallyport-member"
CERTIFICATE_MEMBER_STACK = "sallyport-member-certificates"
TENANT_STACK = "sallyport-member-tenants"
TEMPLATE = ROOT / "template.yaml"
MEMBER_TEMPLATE = ROOT / "member-account.yaml"
SAM_CONFIG = ROOT / "samconfig.toml"

SAMPLE_TRUST_FILE = ROOT / "local" / "trust.yaml"
ENTRA_PLACEHOLDER = "LOCAL_ENTRA_URL"
LISTS_PLACEHOLDER = "LOCAL_LISTS_URL"

# The profiles of the sample whose roles the member stacks make, for tokens and for certificates.
SAMPLE_PROFILE = "team-a-reader"
CERTIFICATE_ANCHOR = "datacenter"
CERTIFICATE_PROFILE = "datacenter-reader"

# The role that the member stack makes for the first.
READER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport/{SAMPLE_PROFILE}"

# Where the made pool's pages send users back to. Nobody listens there: who follows reads the code from the
# address.
CALLBACK = "http://127.0.0.1:9/signed-in"

# What the target role reads.
BUCKET = "sallyport-reports"

# v2.0 tokens carry the registration's GUID. AWS would want the token's azp here; the emulator looks at aud.
WEB_IDENTITY_AUDIENCE = next(app.app_id for app in CONTOSO.apps if app.uri == AUDIENCE_V2)

# A build takes 5 s and a deployment 7 s on two idle cores; these are for busy ones.
BUILD_SECONDS = 300
DEPLOY_SECONDS = 240
STACK_POLL_SECONDS = 0.2
COMMAND_SECONDS = 120
# Four cold starts on two busy cores.
ACTIVE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deployment made: the stacks' outputs, and the API's address without TLS and with it."""

    outputs: Mapping[str, str]
    endpoint: str
    tls_endpoint: str


def client(cloud: Cloud, service: str, region: str = REGION) -> AwsClient:
    """Return the operator's client for a service of this cloud, whatever the caller's environment says."""
    return boto3.client(
        service,  # type: ignore[call-overload]  # the stubs know each service by its literal
        region_name=region,
        endpoint_url=cloud.aws,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key=OPERATOR_SECRET,
        config=Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=60, proxies={}),
    )


def build(state: State, template: Path = TEMPLATE) -> Path:
    """Build functions and layer for this machine; returns the built template.

    Raises:
        LocalCloudError: the build failed, with the end of what it said.
    """
    sam_home()
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env = bootstrap.uv_environment(pip.stdout, env)
    # The home below is not the one whose cache already holds the layer's packages.
    env.setdefault("UV_CACHE_DIR", str(Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"))
    env |= _sam_variables() | {
        "AWS_DEFAULT_REGION": REGION,
        "PATH": f"{VENV / 'bin'}:{env.get('PATH', os.defpath)}",
        "PYTHON": sys.executable,
        "SALLYPORT_LAYER_TARGET": "local",
        "SALLYPORT_LAYER_PYTHON": str(MINISTACK / "bin" / "python"),
        "UV": str(VENV / "bin" / "uv"),
    }
    command = [str(SAM_COMMAND), "build", "--template-file", str(template), "--build-dir", str(state.build)]
    command += [
        "--base-dir",
        str(template.parent),
        "--cached",
        "--cache-dir",
        str(_cache(state)),
        "--parallel",
    ]
    _run(command, env, state, "build", BUILD_SECONDS)
    return state.build / "template.yaml"


def deploy(cloud: Cloud, built: Path, parameters: Mapping[str, str] | None = None) -> Deployment:
    """Deploy what was built.

    Raises:
        LocalCloudError: a resource could not be made, with CloudFormation's reason.
    """
    sam_home()
    env = cloud.environment() | _sam_variables()
    given = local_parameters(cloud) | dict(parameters or {})
    command = [str(SAM_COMMAND), "deploy", "--config-file", str(SAM_CONFIG), "--config-env", "local"]
    command += ["--template-file", str(built), "--stack-name", STACK, "--region", REGION, "--no-progressbar"]
    # Within quotes of sam's own: it takes a blank for the end of a value, and a bare quote for its own.
    quoted = {name: value.replace('"', '\\"') for name, value in given.items()}
    command += ["--parameter-overrides", *(f'{name}="{value}"' for name, value in quoted.items())]
    _run(command, env, cloud.state, "deploy", DEPLOY_SECONDS)
    _wait_for_functions(cloud)
    cloud.state.api.write_text(_api_path(client(cloud, "cloudformation")))
    return read(cloud)


def read(cloud: Cloud) -> Deployment:
    """Read what is deployed.

    Raises:
        LocalCloudError: there is no such stack.
    """
    cloudformation = client(cloud, "cloudformation")
    outputs = {
        **_outputs(cloudformation, MEMBER_STACK),
        **_certificate_outputs(cloudformation),
        **_outputs(cloudformation, TENANT_STACK),
        **_outputs(cloudformation, STACK),
    }
    stage = _api_path(cloudformation).rpartition("/")[2]
    return Deployment(outputs, f"{cloud.front_door}/{stage}", f"{cloud.front_door_tls}/{stage}")


def _api_path(cloudformation: AwsClient) -> str:
    """Return where MiniStack has the API; a changed definition gives it a new id."""
    resources = _resources(cloudformation, STACK)
    apis = [r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::ApiGateway::RestApi"]
    stages = [r["PhysicalResourceId"] for r in resources if r["ResourceType"] == "AWS::ApiGateway::Stage"]
    if not apis or not stages:
        raise LocalCloudError("Nothing is deployed into this local cloud; type: make up")
    # MiniStack's stages are named like "<api id>-<stage>" in some versions and by the stage in others.
    stage = stages[0].removeprefix(f"{apis[0]}-")
    return f"/_aws/execute-api/{apis[0]}/{stage}"


def _certificate_outputs(cloudformation: AwsClient) -> dict[str, str]:
    """Return the ARNs that a client with a certificate needs, from what its role was made for."""
    role = _outputs(cloudformation, CERTIFICATE_MEMBER_STACK).get("TargetRoleArn")
    if role is None:
        return {}
    stack = cloudformation.describe_stacks(StackName=CERTIFICATE_MEMBER_STACK)["Stacks"][0]
    given = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    _, anchor, profile = given["ExternalId"].split(":")
    arn = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}"
    return {
        "TrustAnchorArn": f"{arn}:trust-anchor/{anchor}",
        "ProfileArn": f"{arn}:profile/{profile}",
        "RoleArn": role,
    }


def deploy_member(cloud: Cloud, stack: str, parameters: Mapping[str, str]) -> None:
    """Deploy or update a stack of the account that owns the target roles.

    Raises:
        LocalCloudError: it could not be made, with CloudFormation's reason.
    """
    cloudformation = client(cloud, "cloudformation")
    arguments: dict[str, Any] = {
        "StackName": stack,
        "TemplateBody": MEMBER_TEMPLATE.read_text(),
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        "Capabilities": ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    }
    try:
        if _outputs(cloudformation, stack) or _exists(cloudformation, stack):
            cloudformation.update_stack(**arguments)
        else:
            cloudformation.create_stack(**arguments)
    except ClientError as error:
        if "No updates" not in str(error):
            raise LocalCloudError(f"The stack {stack} was refused: {error}") from None
        return
    _wait(cloudformation, stack)


def apply_trust(cloud: Cloud, deployment: Deployment, *, reset: bool = False) -> bool:
    """Put the sample trust file in force, unless some version is; returns whether it did.

    Args:
        cloud: where.
        deployment: what is deployed there.
        reset: replace whatever version is in force.

    Raises:
        LocalCloudError: the trust file was refused.
    """
    env = _operator(cloud, deployment)
    trust_file = write_trust_file(cloud, deployment)
    if not reset and json.loads(sallyport(["trust", "show", "--json"], env))["in_force"]:
        return False
    functions = ["--refresh-keys", deployment.outputs["RefreshKeysFunction"]]
    functions += ["--trigger", deployment.outputs["TriggerFunction"]]
    sallyport(["trust", "apply", str(trust_file), "--yes", "--allow-widening", *functions], env)
    return True


def write_trust_file(cloud: Cloud, deployment: Deployment) -> Path:
    """Write the sample trust file with this cloud's addresses, and return where it is."""
    trust_file = cloud.state.folder / "trust.yaml"
    text = SAMPLE_TRUST_FILE.read_text()
    outputs = deployment.outputs
    for placeholder, value in (
        (ENTRA_PLACEHOLDER, cloud.entra),
        (LISTS_PLACEHOLDER, cloud.lists),
        ("LOCAL_AWS_URL", cloud.aws),
        ("LOCAL_POOL_ID", outputs["UserPoolId"]),
        ("LOCAL_USERS_CLIENT", outputs["UserPoolClientId"]),
        ("LOCAL_MACHINE_CLIENT", outputs["UserPoolMachineClientId"]),
    ):
        text = text.replace(placeholder, value)
    # Beside it are the authority's files, which it names.
    trust_file.write_text(text)
    return trust_file


def deploy_mapping(cloud: Cloud, built: Path, deployment: Deployment) -> Deployment:
    """Deploy once more with what the sample says of the user pool, unless the trigger carries it already.

    The pool and its app clients must be there before a trust file can name them.

    Raises:
        LocalCloudError: it could not be deployed.
    """
    trust_file = write_trust_file(cloud, deployment)
    shown = sallyport(["trust", "tag-mapping", str(trust_file), "--json"], cloud.environment())
    mapping = json.loads(shown)["mapping"]
    trigger = deployment.outputs.get("TriggerFunction")
    if trigger is not None:
        found = client(cloud, "lambda").get_function_configuration(FunctionName=trigger)
        if found["Environment"]["Variables"]["SALLYPORT_TAG_MAPPING"] == mapping:
            return deployment
    return deploy(cloud, built, {"TagMapping": mapping})


def prepare(cloud: Cloud, deployment: Deployment) -> Deployment:
    """Put in what the sample trust file speaks of: a bucket and the target roles.

    Raises:
        LocalCloudError: a role was refused.
    """
    _fill_bucket(cloud)
    shown = sallyport(["trust", "show", "--json"], _operator(cloud, deployment))
    ids = external_ids(shown)
    shared = {"BucketName": BUCKET, "LocalCloud": "true"}
    # An operator's own trust file may be without one of the profiles: then nobody is to have its role.
    if SAMPLE_PROFILE in ids:
        deploy_member(
            cloud,
            MEMBER_STACK,
            shared
            | {
                "SallyportRoleArn": deployment.outputs["AssumeRoleRoleArn"],
                "ExternalId": ids[SAMPLE_PROFILE],
                "TenantId": CONTOSO.id,
                "MaxSessionDuration": "43200",
                "IssuerUrl": CONTOSO.issuer_v2,
                "IssuerAudience": WEB_IDENTITY_AUDIENCE,
                "IssuerSubject": READER.object_id,
            },
        )
    if CERTIFICATE_PROFILE in ids:
        deploy_member(
            cloud,
            CERTIFICATE_MEMBER_STACK,
            shared
            | {
                "SallyportRoleArn": deployment.outputs["CreateSessionRoleArn"],
                "ExternalId": ids[CERTIFICATE_PROFILE],
                "RoleName": CERTIFICATE_PROFILE,
                "TenantId": pki.TEAM,
            },
        )
    return read(cloud)


def _operator(cloud: Cloud, deployment: Deployment) -> dict[str, str]:
    return cloud.environment() | {"SALLYPORT_TRUST_TABLE": deployment.outputs["TrustTable"]}


def _wait_for_functions(cloud: Cloud) -> None:
    # A published version with SnapStart is pending while it is initialised, and refuses to be invoked.
    functions = client(cloud, "lambda")
    resources = _resources(client(cloud, "cloudformation"), STACK)
    names = [one["PhysicalResourceId"] for one in resources if one["ResourceType"] == "AWS::Lambda::Function"]
    deadline = time.monotonic() + ACTIVE_SECONDS
    for name in names:
        while (found := _state(functions, name))["State"] == "Pending":
            if time.monotonic() > deadline:
                raise LocalCloudError(f"The function {name} was not ready within {ACTIVE_SECONDS} s")
            time.sleep(STACK_POLL_SECONDS)
        if found["State"] == "Failed":
            raise LocalCloudError(f"The function {name} does not start: {found.get('StateReason', '')}")


def _state(functions: AwsClient, name: str) -> dict[str, str]:
    try:
        return dict(functions.get_function_configuration(FunctionName=name, Qualifier="live"))
    except functions.exceptions.ResourceNotFoundException:
        # No alias, no snapshot to wait for.
        return {"State": "Active"}


def external_ids(shown: str) -> dict[str, str]:
    """Return the ExternalId of each profile, from what ``sallyport trust show --json`` printed."""
    return {one["name"]: one["external_id"] for one in json.loads(shown)["profiles"]}


def _fill_bucket(cloud: Cloud) -> None:
    s3 = client(cloud, "s3")
    s3.create_bucket(Bucket=BUCKET)
    for project in ("atlas", "borealis"):
        s3.put_object(Bucket=BUCKET, Key=f"{project}/report.txt", Body=f"the report of {project}\n".encode())


def sallyport(arguments: Sequence[str], env: Mapping[str, str]) -> str:
    """Run the project's own command and return what it printed.

    Raises:
        LocalCloudError: it failed, with what it said.
    """
    try:
        done = subprocess.run(
            [str(VENV / "bin" / "sallyport"), *arguments],
            env=dict(env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LocalCloudError(f"sallyport {arguments[0]} took more than {COMMAND_SECONDS} s") from None
    if done.returncode:
        raise LocalCloudError(f"sallyport {' '.join(arguments[:2])} failed:\n{done.stderr or done.stdout}")
    return done.stdout


def local_parameters(cloud: Cloud) -> dict[str, str]:
    """Return the template's parameters that make a deployment a local one."""
    endpoints = ",".join(f"{region}={url}" for region, url in cloud.sts_endpoints.items())
    return {
        "LocalCloud": "true",
        "LocalStsEndpoints": endpoints,
        "StsRegions": ",".join(STS_REGIONS),
        # The emulator loses segments without a word, and the SDK's import costs as much as boto3's.
        "Tracing": "false",
        # The emulator takes the default and never fires such a rule; its own CloudTrail fires none at all.
        "AuditRuleState": "ENABLED",
        # The fault proxy answers for Security Hub, as strictly as the real one.
        "ImportToSecurityHub": "true",
        "MakeUserPool": "true",
        "UserPoolCallbackUrls": CALLBACK,
        "UserPoolDomain": f"{STACK}-local",
    }


def _sam_variables() -> dict[str, str]:
    return {
        "HOME": str(sam_home()),
        "SAM_CLI_TELEMETRY": "0",
        # How often it asks whether a stack is ready; the emulator answers in milliseconds.
        "SAM_CLI_POLL_DELAY": "0.2",
    }


def _cache(state: State) -> Path:
    # The layer holds wheels for one interpreter: another one, another cache.
    stamp = (MINISTACK / ".installed").read_text()[:16] if (MINISTACK / ".installed").exists() else "unknown"
    return state.folder / "cache" / stamp


def _run(command: Sequence[str], env: Mapping[str, str], state: State, name: str, seconds: float) -> None:
    if shutil.which(command[0]) is None:
        raise LocalCloudError(f"{command[0]} is not installed in this checkout; type: make setup")
    state.logs.mkdir(parents=True, exist_ok=True)
    log = state.logs / f"{name}.log"
    with log.open("wb") as stream:
        try:
            done = subprocess.run(
                list(command),
                env=dict(env),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LocalCloudError(f"sam {name} took more than {seconds:.0f} s; its log is {log}") from None
    if done.returncode:
        raise LocalCloudError(f"sam {name} failed. Its log, {log}, ends:\n{tail(log)}")


def _exists(cloudformation: AwsClient, stack: str) -> bool:
    try:
        stacks = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError:
        return False
    return any(one["StackStatus"] != "DELETE_COMPLETE" for one in stacks)


def _outputs(cloudformation: AwsClient, stack: str) -> dict[str, str]:
    try:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except (ClientError, IndexError):
        return {}
    return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}


def _resources(cloudformation: AwsClient, stack: str) -> list[dict[str, str]]:
    try:
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        return [dict(one) for page in pages for one in page["StackResourceSummaries"]]
    except (ClientError, BotoCoreError):
        return []


def _wait(cloudformation: AwsClient, stack: str) -> None:
    deadline = time.monotonic() + DEPLOY_SECONDS
    while time.monotonic() < deadline:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        status = found["StackStatus"]
        if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            return
        if status.endswith(("FAILED", "ROLLBACK_COMPLETE")):
            events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            reasons = [
                f"{one.get('LogicalResourceId')}: {one['ResourceStatusReason']}"
                for one in events
                if one.get("ResourceStatusReason")
            ]
            raise LocalCloudError(f"The stack {stack} is in {status}:\n" + "\n".join(reasons[-5:]))
        time.sleep(STACK_POLL_SECONDS)
    raise LocalCloudError(f"The stack {stack} was not ready within {DEPLOY_SECONDS} s")
