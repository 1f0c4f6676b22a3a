"""The demonstration's part about the audit: what the exchange did not do is found, and so is what is old."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from local import trail
from local.cloud import ACCOUNT
from local.demo_tokens import arrived
from local.deploy import client, sallyport
from local.paths import ROOT
from local.steps import Chapter, Step, World, check, wait

SESSION = "behind-the-back"
UNEXPLAINED = "session-without-record-59"
GLOBAL_ENDPOINT = "global-sts-endpoint-1"

# As CloudTrail writes it: an SDK of years ago, whose default was the global endpoint.
SAMPLE = ROOT / "events" / "cloudtrail_global_sts.json"


def findings(world: World, *options: str) -> list[dict[str, Any]]:
    """Return what ``sallyport findings`` lists."""
    table = world.deployment.outputs["FindingsTable"]
    shown = sallyport(
        ["findings", "--findings-table", table, "--since", "1h", "--json", *options],
        world.cloud.environment(),
    )
    return list(json.loads(shown)["findings"])


def deliver(world: World, *events: Mapping[str, Any]) -> None:
    """Put events onto the audit's queue, and wait until every one of them was audited."""
    trail.put(world.cloud, world.deployment, *events)
    for event in events:
        name = f"event {event['detail']['eventID']}"
        wait(partial(arrived, world, name), "an event of the trail was not audited")


def session_behind_the_back(world: World) -> str:
    """Let somebody else assume a managed role as well, as a careless change would, and see it found."""
    iam, sts = client(world.cloud, "iam"), client(world.cloud, "sts")
    careless = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    made = iam.create_role(
        Path="/sallyport/", RoleName="careless", AssumeRolePolicyDocument=json.dumps(careless)
    )
    role = made["Role"]["Arn"]
    try:
        answer = sts.assume_role(RoleArn=role, RoleSessionName=SESSION)
    finally:
        iam.delete_role(RoleName="careless")
    key = answer["Credentials"]["AccessKeyId"]
    deliver(world, trail.assumed(role, answer, SESSION))
    found = [one for one in findings(world) if one["rule"] == UNEXPLAINED and key in one["dedupe"]]
    check(len(found) == 1, f"it was found {len(found)} times")
    finding = found[0]
    check(finding["severity"] == "CRITICAL", f"it is {finding['severity']}")
    return f"{finding['severity']}: {key} on {role.rpartition('/')[2]}, which no record explains"


def global_endpoint(world: World) -> str:
    """Deliver a CloudTrail event of a call to STS's global endpoint, and see it found."""
    event = trail.again(json.loads(SAMPLE.read_text()))
    deliver(world, event)
    name = event["detail"]["eventID"]
    found = [one for one in findings(world) if name in one["event_ids"]]
    check([one["rule"] for one in found] == [GLOBAL_ENDPOINT], f"it was found as {found}")
    finding = found[0]
    evidence = finding["evidence"]
    caller = evidence["caller"].partition(":assumed-role/")[2]
    check(evidence["host"] == "sts.amazonaws.com", f"the finding names {evidence['host']}")
    return (
        f"{finding['severity']}: {caller} asked {evidence['host']}, "
        f"served in {evidence['served in']}; what to do is in {finding['runbook']}"
    )


CHAPTERS: tuple[Chapter, ...] = (
    (
        "What the exchange did not do is found",
        (
            Step("a session made behind the exchange's back", session_behind_the_back),
            Step("a CloudTrail event of a call to STS's global endpoint", global_endpoint),
        ),
    ),
)
