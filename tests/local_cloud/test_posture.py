"""The posture's function, deployed: what is weak is found, what is mended ends, silence is found."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from local import demo_audit
from local.cloud import ACCOUNT
from local.deploy import STACK, client
from local.steps import World, wait
from sallyport.audit.posture.chain import BOUNDS, Way

PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/sts.windows.net/0d0af1a2-7c1e-4b6f-9d55-0e6a2f8c4b11/"
ROLE = "posture-open-to-a-tenant"


def look(world: World, at: str) -> dict[str, Any]:
    """What the function answers, invoked as its schedule does."""
    function, _, alias = world.deployment.outputs["PostureFunction"].partition(":")
    answer = client(world.cloud, "lambda").invoke(
        FunctionName=function, Qualifier=alias, Payload=json.dumps({"look": at}).encode()
    )
    said = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, said
    return dict(said[at])


def found(world: World, rule: str) -> list[dict[str, Any]]:
    """Findings of a rule about the role of this test, or about the account."""
    return [
        one
        for one in demo_audit.findings(world, "--severity", "informational")
        if one["rule"] == f"posture-{rule}" and any(ROLE in text or text == ACCOUNT for text in one["dedupe"])
    ]


def trust(*, subject: str | None) -> str:
    issuer = PROVIDER.partition("oidc-provider/")[2]
    asked = {f"{issuer}:aud": "api://sallyport"} | ({f"{issuer}:sub": subject} if subject else {})
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": asked},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_role_that_is_open_to_a_whole_tenant_is_found_until_it_is_mended(world: World) -> None:
    iam = client(world.cloud, "iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust(subject=None))
    try:
        answer = look(world, "account")
        assert answer["looked_at"]["user pools"] == 1, "the trust in force is read, and its pools"
        (one,) = found(world, "oidc-any-subject")
        assert (one["severity"], one["ended"]) == ("HIGH", None)
        iam.update_assume_role_policy(
            RoleName=ROLE, PolicyDocument=trust(subject="b0c1d2e3-f4a5-4b67-8c89-0d1e2f3a4b5c")
        )
        assert look(world, "account")["ended"] >= 1
        (one,) = found(world, "oidc-any-subject")
        assert one["ended"] is not None
    finally:
        iam.delete_role(RoleName=ROLE)


def silence(world: World) -> bool:
    """Let the last heartbeat be an hour old, with somebody who has looked all that time."""
    dynamodb, table = client(world.cloud, "dynamodb"), world.deployment.outputs["AuditTable"]
    now = datetime.now(UTC)
    ago = str(int((now - 3 * BOUNDS[Way.RECORDS]).timestamp()))
    for key, values in (
        ("heard#records", {"heard_at": ago}),
        ("watched#records", {"watched_since": ago, "looked_at": str(int(now.timestamp()))}),
    ):
        item = {"pk": {"S": key}} | {name: {"N": value} for name, value in values.items()}
        dynamodb.put_item(TableName=table, Item=item)
    look(world, "chain")
    return any(one["ended"] is None for one in found(world, "records-silent"))


def beat(world: World) -> None:
    """Invoke publish_records as its schedule does."""
    event = {"id": f"test-{datetime.now(UTC).timestamp()}", "time": datetime.now(UTC).isoformat()}
    client(world.cloud, "lambda").invoke(
        FunctionName=f"{STACK}-publish-records", Qualifier="live", Payload=json.dumps(event).encode()
    )


def test_a_heartbeat_that_does_not_come_is_found_until_it_does(world: World) -> None:
    # Another heartbeat of the schedule may come between.
    wait(lambda: silence(world), "silence is not found")
    (one,) = found(world, "records-silent")
    assert one["severity"] == "HIGH"
    beat(world)

    def is_heard() -> bool:
        look(world, "chain")
        return all(one["ended"] is not None for one in found(world, "records-silent"))

    wait(is_heard, "the heartbeat did not come by bus, rule and queue")
    (one,) = found(world, "records-silent")
    assert datetime.fromisoformat(one["ended"]) - datetime.now(UTC) < timedelta(minutes=5)
