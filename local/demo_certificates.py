"""The demonstration's second part: a certificate's holder gets credentials, and nobody else does.

The programs are AWS's own clients of IAM Roles Anywhere as they are, told another endpoint, and
``sallyport credential-process x509``.
"""

import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from local import env, pki, ports
from local.cloud import REGION
from local.deploy import BUCKET, CERTIFICATE_ANCHOR
from local.paths import AWS_COMMAND, ROLES_ANYWHERE, VENV
from local.steps import (
    POLL_SECONDS,
    PROGRAM_SECONDS,
    Chapter,
    Step,
    StepError,
    World,
    check,
    explain,
    program,
    why,
)

PYTHON = str(VENV / "bin" / "python")
SALLYPORT = str(VENV / "bin" / "sallyport")

# AWS's own client, in Go. It is not on any package index, so it is shown where somebody has it.
HELPER = "aws_signing_helper"

# Revocation takes effect within ten seconds, which is how long a list's state is held; and asking takes time.
REVOKED_SECONDS = 15.0
# How long the helper takes to listen, and then some.
LISTENING_SECONDS = 15.0


def authority(world: World) -> pki.Pki:
    """Return the local authority."""
    return pki.Pki(world.cloud.state.pki)


def arns(world: World) -> dict[str, str]:
    """Return what every client must be told, under the names that AWS's API has for it."""
    names = {"trust_anchor_arn": "TrustAnchorArn", "profile_arn": "ProfileArn", "role_arn": "RoleArn"}
    return {name: world.deployment.outputs[output] for name, output in names.items()}


# -------------------------------------------------------------------------- what credentials can do

_USE = """
import boto3, json, sys
keys = [one["Key"] for one in boto3.client("s3").list_objects_v2(Bucket=sys.argv[1])["Contents"]]
print(json.dumps({"keys": keys, "arn": boto3.client("sts").get_caller_identity()["Arn"]}))
"""


def used(world: World, variables: Mapping[str, str]) -> str:
    """Have boto3 find credentials by these variables, and use them; returns whose AWS says they are."""
    found = json.loads(program([PYTHON, "-c", _USE, BUCKET], world.environment() | dict(variables)))
    return whose(world, found)


def whose(world: World, found: Mapping[str, Any]) -> str:
    """Return whose credentials listed the bucket, by AWS's own word."""
    check(found["keys"], "the bucket is empty")
    role = world.deployment.outputs["RoleArn"].rpartition("/")[2]
    check(f":assumed-role/{role}/" in found["arn"], f"get-caller-identity says {found['arn']}")
    return str(found["arn"])


# ------------------------------------------------------------------------ iam-rolesanywhere-session

_SESSION = """
import json, sys
from iam_rolesanywhere_session import IAMRolesAnywhereSession
session = IAMRolesAnywhereSession(**json.loads(sys.argv[1])).get_session()
keys = [one["Key"] for one in session.client("s3").list_objects_v2(Bucket=sys.argv[2])["Contents"]]
print(json.dumps({"keys": keys, "arn": session.client("sts").get_caller_identity()["Arn"]}))
"""


def session_arguments(world: World, name: str, **more: object) -> str:
    """Return what IAMRolesAnywhereSession is made with, as JSON."""
    holder = authority(world).holder(name)
    return json.dumps(
        {
            **arns(world),
            "certificate": str(holder.certificate),
            "private_key": str(holder.key),
            "region": REGION,
            # It takes no scheme, and speaks https alone.
            "endpoint": world.deployment.tls_endpoint.removeprefix("https://"),
            "verify": str(authority(world).root),
            **more,
        }
    )


def with_session(world: World, name: str, **more: object) -> str:
    """Have iam-rolesanywhere-session get credentials and use them; returns whose they are."""
    command = [str(ROLES_ANYWHERE / "bin" / "python"), "-c", _SESSION]
    arguments = session_arguments(world, name, **more)
    return whose(world, json.loads(program([*command, arguments, BUCKET], world.environment())))


def from_pypi(world: World) -> str:
    """AWS's client for Python, with an RSA key."""
    return (
        f"iam-rolesanywhere-session listed the bucket over TLS; AWS says it is {with_session(world, 'rsa')}"
    )


# ------------------------------------------------------------------------------------------- our own


def own_variables(world: World) -> dict[str, str]:
    """Return the variables by which our own client learns endpoint and ARNs; none is an operator's."""
    names = ("ENDPOINT", "TRUST_ANCHOR_ARN", "PROFILE_ARN", "ROLE_ARN")
    told = env.variables(world.cloud, world.deployment)
    return world.environment() | {f"SALLYPORT_{name}": told[f"SALLYPORT_{name}"] for name in names}


def own_command(world: World, name: str) -> list[str]:
    """Return our own client's command line for a holder; every call is an exchange, nothing is kept."""
    holder = authority(world).holder(name)
    files = ["--certificate", str(holder.certificate), "--private-key", str(holder.key)]
    return [SALLYPORT, "credential-process", "x509", "--no-cache", *files]


def process_variables(world: World, command: list[str]) -> dict[str, str]:
    """Return variables with which AWS's tools ask a command for credentials."""
    config = world.folder / "certificate-config"
    config.write_text(f"[profile holder]\nregion = {REGION}\ncredential_process = {shlex.join(command)}\n")
    return {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "holder"}


def own_client(world: World) -> str:
    """Our own client, with a key on P-256, as credential_process of the AWS CLI."""
    variables = own_variables(world) | process_variables(world, own_command(world, "p256"))
    report = program([str(AWS_COMMAND), "s3", "cp", f"s3://{BUCKET}/atlas/report.txt", "-"], variables)
    return f"the AWS CLI ran sallyport credential-process x509 and read “{report.strip()}”"


def own_client_with_ml_dsa(world: World) -> str:
    """Our own client, with a key that a quantum computer would not break."""
    variables = own_variables(world) | process_variables(world, own_command(world, "ml-dsa-44"))
    return f"an ML-DSA-44 key signed the request; AWS says it is {used(world, variables)}"


# ----------------------------------------------------------------------------------- aws_signing_helper


def helper() -> str | None:
    """Return where aws_signing_helper is, if anywhere."""
    return shutil.which(HELPER)


def helper_command(world: World, what: str, name: str, endpoint: str = "") -> list[str]:
    """Return a command line of aws_signing_helper."""
    holder = authority(world).holder(name)
    command = [helper() or HELPER, what, "--certificate", str(holder.certificate)]
    command += ["--private-key", str(holder.key), "--endpoint", endpoint or world.deployment.endpoint]
    for option, arn in arns(world).items():
        command += [f"--{option.replace('_', '-')}", arn]
    return command


def helper_environment(world: World) -> dict[str, str]:
    """Return an environment in which the helper's endpoint is the one that it is told."""
    found = world.environment()
    # It takes this variable for its own endpoint's, whatever the command line says.
    del found["AWS_ENDPOINT_URL"]
    return found | {"AWS_CA_BUNDLE": str(authority(world).root)}


def helper_as_process(world: World, name: str = "rsa") -> str:
    """Its credential-process, run by boto3; returns whose credentials they are."""
    command = helper_command(world, "credential-process", name)
    given = json.loads(program(command, helper_environment(world)))
    names = {
        "AccessKeyId": "ACCESS_KEY_ID",
        "SecretAccessKey": "SECRET_ACCESS_KEY",
        "SessionToken": "SESSION_TOKEN",
    }
    return used(world, {f"AWS_{variable}": given[name] for name, variable in names.items()})


def helper_updates(world: World) -> str:
    """Its update, which writes the shared credentials file; returns whose credentials are in it."""
    file = world.folder / "shared-credentials"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    shared = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    endpoint = world.deployment.tls_endpoint
    command = [*helper_command(world, "update", "p256", endpoint), "--profile", "holder", "--once"]
    program(command, helper_environment(world) | shared)
    return used(world, {**shared, "AWS_PROFILE": "holder"})


def helper_serves(world: World) -> str:
    """Its serve, which looks like EC2's metadata service to SDKs; returns whose credentials it serves."""
    with serving(world) as address:
        metadata = {
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": address,
        }
        return used(world, metadata)


@contextmanager
def serving(world: World) -> Iterator[str]:
    """Have the helper serve for as long as the block runs; gives its address."""
    port = ports.choose(["helper"], first="")["helper"]
    command = [*helper_command(world, "serve", "rsa"), "--port", str(port)]
    log = world.folder / "helper.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            env=helper_environment(world),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        ends = time.monotonic() + LISTENING_SECONDS
        while ports.is_free(port):
            check(process.poll() is None, f"{HELPER} serve ended: {log.read_text()[-600:]}")
            check(time.monotonic() < ends, f"{HELPER} serve did not listen in {LISTENING_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS / 5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(PROGRAM_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def in_go(world: World) -> str:
    """AWS's client in Go, in the three ways that it has."""
    if helper() is None:
        return f"{HELPER} is not on the PATH of this machine, so it is not shown; nothing depends on it"
    found = [helper_as_process(world), helper_updates(world), helper_serves(world)]
    return f"its credential-process, update and serve gave {', '.join(sorted(set(found)))}"


# ------------------------------------------------------------------------------------------- refusals

_REFUSED = """
import http.client, json, sys
from iam_rolesanywhere_session import CredentialsRetrievalError, IAMRolesAnywhereSession
# Has the answer's headers printed, with the exchange's id, which the library keeps to itself.
http.client.HTTPConnection.debuglevel = 1
session = IAMRolesAnywhereSession(**json.loads(sys.argv[1])).get_session()
try:
    session.get_credentials().get_frozen_credentials()
except CredentialsRetrievalError as error:
    print()
    print(json.dumps({"status": error.status_code, "message": error.message}))
"""

# The exchange's own id has no dashes; the emulator's, which stands beside it, has.
_EXCHANGE_ID = re.compile(r"(?i)x-amzn-requestid: ([0-9a-f]{32})\b")


def refusal(world: World, name: str, **more: object) -> tuple[str, str]:
    """Have iam-rolesanywhere-session be refused; returns what it was told, and the exchange's id."""
    command = [str(ROLES_ANYWHERE / "bin" / "python"), "-c", _REFUSED, session_arguments(world, name, **more)]
    said = program(command, world.environment())
    exchange = _EXCHANGE_ID.search(said)
    try:
        answer = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise StepError("credentials were given") from None
    check(exchange is not None, f"the answer {answer} has no exchange's id")
    assert exchange is not None  # noqa: S101 - for the type; checked above
    return f"{answer['status']} {answer['message']}", exchange[1]


def refused(world: World, name: str, words: str, reason: str) -> str:
    """Present a certificate that must be refused, in AWS's words, and have ``sallyport explain`` say why."""
    told, exchange = refusal(world, name)
    check(told == words, f"the caller was told {told}")
    record = explain(world, exchange)
    check(record.get("reason") == reason, f"explain says {record.get('reason')}, not {reason}")
    return f"the caller learned “{told}”; sallyport explain says {why(record)}"


def revoked(world: World) -> str:
    """On its authority's list."""
    return refused(world, pki.REVOKED, "403 Certificate revoked", "certificate-revoked")


def expired(world: World) -> str:
    """Yesterday's."""
    return refused(world, pki.EXPIRED, "403 Untrusted signing certificate", "leaf-expired")


def stranger(world: World) -> str:
    """Another authority's, with the name of one that gets credentials."""
    return refused(world, pki.STRANGER, "403 Untrusted signing certificate", "issuer-missing")


def other_team(world: World) -> str:
    """A genuine certificate that no profile allows."""
    role = world.deployment.outputs["RoleArn"]
    return refused(world, pki.OTHER, f"403 Unable to assume role for {role}", "no-profile-matched")


def newly_revoked(world: World) -> str:
    """A certificate that works, until an operator brings its authority's newer list."""
    holder = pki.issue(authority(world), "leaving")
    variables = own_variables(world)
    command = own_command(world, "leaving")
    check(json.loads(program(command, variables))["SessionToken"], "there is no token")
    newer = pki.revoke(authority(world), "leaving")
    operator = world.cloud.environment() | env.variables(world.cloud, world.deployment)
    began = time.monotonic()
    program([SALLYPORT, "trust", "import-crl", CERTIFICATE_ANCHOR, str(newer)], operator)
    while answer := program(command, variables, status=None):
        check(
            time.monotonic() - began < REVOKED_SECONDS, f"{len(answer)} characters of credentials were given"
        )
        time.sleep(POLL_SECONDS)
    spent = time.monotonic() - began
    told, _ = refusal(world, "leaving")
    check(told == "403 Certificate revoked", f"the caller was told {told}")
    return f"sallyport trust import-crl revoked {holder.serial:x} within {spent:.0f} s: “{told}”"


CHAPTERS: tuple[Chapter, ...] = (
    (
        "A server in a data center signs with its certificate's key",
        (
            Step("iam-rolesanywhere-session, over TLS", from_pypi),
            Step("sallyport credential-process x509, for the AWS CLI", own_client),
            Step("the same with an ML-DSA key", own_client_with_ml_dsa),
            Step(f"{HELPER}, where it is installed", in_go),
        ),
    ),
    (
        "Wrong certificates are refused in AWS's words, and the operator learns why",
        (
            Step("a certificate that has expired", expired),
            Step("a certificate that was revoked", revoked),
            Step("a stranger's certificate in the same name", stranger),
            Step("a certificate of another team", other_team),
            Step("a certificate that is revoked while it is in use", newly_revoked),
        ),
    ),
)
