"""The demonstration's part about the audit: what the exchange did not do is found."""

import json
from typing import Any

from local import trail
from local.cloud import ACCOUNT
from local.deploy import client, sallyport
from local.steps import Chapter, Step, World, check, wait

SESSION = "behind-the-back"
UNEXPLAINED = "session-without-record-59"


def findings(world: World, *options: str) -> list[dict[str, Any]]:
    """Return what ``sallyport findings`` lists."""
    table = world.deployment.outputs["FindingsTable"]
    shown = sallyport(
        ["findings", "--findings-table", table, "--since", "1h", "--json", *options],
        world.cloud.environment(),
    )
    return list(json.loads(shown)["findings"])


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
    trail.put(world.cloud, world.deployment, trail.assumed(role, answer, SESSION))

    def found() -> dict[str, Any] | None:
        listed = findings(world, "--severity", "critical")
        return next((one for one in listed if one["rule"] == UNEXPLAINED and key in one["dedupe"]), None)

    finding = wait(found, "the session was not found") or {}
    check(finding["severity"] == "CRITICAL", "it is not critical")
    return f"{finding['severity']}: {key} on {role.rpartition('/')[2]}, which no record explains"


CHAPTERS: tuple[Chapter, ...] = (
    (
        "What the exchange did not do is found",
        (Step("a session made behind the exchange's back", session_behind_the_back),),
    ),
)
