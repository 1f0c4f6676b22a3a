"""The demonstration's last part: from an access to S3 back to the managed identity it was made for.

A workload gets its credentials from the exchange, reads a report with them, assumes a further role and puts
a copy into the archive. The local trail tells of these calls as CloudTrail would; the exchange's own part is
in its record. What leads back is the access key alone.
"""

import json
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local import env, trail
from local.demo_audit import UNEXPLAINED, deliver, findings
from local.demo_tokens import arrived, exchange
from local.deploy import BUCKET, client
from local.entra_directory import READER
from local.paths import ROOT, VENV
from local.steps import Chapter, Step, StepError, World, check, program, wait

ARCHIVE = "sallyport-archive"
COPY = "atlas/report.txt"
# Team A's own: outside the path of the roles that the exchange manages. The sample's session policy names it.
ROLE = "report-archive"
SESSION = "archiving"
ONWARD = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def page(world: World) -> Path:
    """Return where the trace's page is put."""
    return world.folder / "trace.html"


def shown_page(world: World) -> str:
    """Return the same as a person in the checkout types it."""
    file = page(world)
    return str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)


def to_the_archive(world: World) -> str:
    """Read with the exchange's credentials, go on as another role, and write with that one's."""
    role = _archive(world)
    here = trail.Trail(world.cloud)
    answer = exchange(world, world.tokens["imds"])
    first = trail.session(world.role, answer)
    check(first.source_identity, "the exchange's answer names no source identity")
    body = here.client("s3", first).get_object(Bucket=BUCKET, Key=COPY)["Body"].read()
    onward = here.client("sts", first).assume_role(RoleArn=role, RoleSessionName=SESSION)
    second = trail.session(role, onward, first)
    here.client("s3", second).put_object(Bucket=ARCHIVE, Key=COPY, Body=body)
    _may_no_more(here, first)
    names = [event["detail"]["eventName"] for event in here.events]
    check(names == ["GetObject", "AssumeRole", "PutObject", "PutObject"], f"the trail has {names}")
    deliver(world, *here.events)
    record = answer["ResponseMetadata"]["RequestId"]
    wait(lambda: arrived(world, record), "the record of the exchange was not audited")
    world.tokens["archive-key"] = second.access_key
    return (
        f"GetObject {BUCKET}/{COPY} with {first.access_key}, AssumeRole {ROLE}, then PutObject "
        f"{ARCHIVE}/{COPY} with {second.access_key}, which is what CloudTrail has of it"
    )


def back_to_the_identity(world: World) -> str:
    """Ask where the key of the last access comes from, and have the page written."""
    key, file = world.tokens["archive-key"], page(world)
    known = json.loads(_trace(world, key, "--json"))
    check(known["arrives"], "the trace does not arrive at an outside identity")
    check(known["gaps"] == [], f"the chain is broken: {known['gaps']}")
    root, first, second = known["rows"]
    check(READER.object_id in root["root"]["text"], f"the trace ends at {root['root']['text']}")
    check(first["session"]["exchange_id"], "the first session is not the exchange's")
    check(second["session"]["role"].endswith(f"/{ROLE}"), "the second session is not the archive's")
    check(
        second["session"]["source_identity"] == f"contoso.{READER.object_id}", "the source identity is lost"
    )
    # What it was explained by: the same events have made no finding that says otherwise.
    keys = {first["session"]["child"], key}
    critical = findings(world, "--severity", "critical")
    check(
        not any(one["rule"] == UNEXPLAINED and keys & {*one["dedupe"]} for one in critical),
        "the exchange's own session was found to be unexplained",
    )
    said = _trace(world, key, "--html", str(file))
    check(READER.object_id in file.read_text(), "the page does not show the managed identity")
    tree = [line for line in said.splitlines() if "─ " in line or line.startswith("outside identity")]
    return "\n".join([f"$ sallyport trace {key} --html {shown_page(world)}", said.splitlines()[0], *tree])


def _archive(world: World) -> str:
    """Make Team A's archive and the role that writes into it; returns its ARN."""
    iam, s3 = client(world.cloud, "iam"), client(world.cloud, "s3")
    s3.create_bucket(Bucket=ARCHIVE)
    trusting = {"Effect": "Allow", "Principal": {"AWS": world.role}, "Action": ONWARD}
    try:
        role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=_policy(trusting))["Role"]["Arn"]
    except iam.exceptions.EntityAlreadyExistsException:
        role = iam.get_role(RoleName=ROLE)["Role"]["Arn"]
    writing = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{ARCHIVE}/*"}
    iam.put_role_policy(RoleName=ROLE, PolicyName="write", PolicyDocument=_policy(writing))
    # On AWS the trust policy above would do within one account; the emulator wants both.
    going_on = {"Effect": "Allow", "Action": ONWARD, "Resource": role}
    reader = world.role.rpartition("/")[2]
    iam.put_role_policy(RoleName=reader, PolicyName="go-on-to-the-archive", PolicyDocument=_policy(going_on))
    return str(role)


def _may_no_more(here: trail.Trail, first: trail.Session) -> None:
    """See that the exchange's own credentials cannot write what the further role may."""
    try:
        here.client("s3", first).put_object(Bucket=ARCHIVE, Key="stolen", Body=b"")
    except ClientError as error:
        check(error.response["Error"]["Code"] == "AccessDenied", f"S3 said {error}")
    else:
        raise StepError("the session of the exchange wrote into the archive")


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _trace(world: World, *arguments: str) -> str:
    variables = world.cloud.environment() | env.variables(world.cloud, world.deployment)
    return program([str(VENV / "bin" / "sallyport"), "trace", *arguments], variables)


CHAPTERS: tuple[Chapter, ...] = (
    (
        "Any access key leads back to who it was",
        (
            Step("a managed identity reads S3, and goes on as another role", to_the_archive),
            Step("sallyport trace, from the access to S3", back_to_the_identity),
        ),
    ),
)
