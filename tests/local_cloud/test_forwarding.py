"""What other accounts and Regions forward, on the deployed stack, and the patterns at the real interface.

The emulator refuses sources of AWS's own in PutEvents, as AWS does, so nobody can put here what CloudTrail
puts. Rules that stand in for the deployed ones, beside them on the same buses and with the same targets,
carry it; what the deployed ones let through is asked of TestEventPattern. The emulator's buses reach none of
another account or Region: both are in the same.
"""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local import trail
from local.cloud import ACCOUNT
from local.deploy import STACK, client, deploy_member
from local.steps import World, wait
from tests.support.audit_world import MEMBER
from tests.support.event_patterns import matches
from tests.support.live_audit import LiveAudit, name_of
from tests.support.rule_samples import load
from tests.support.rule_samples.sample import event, role, user

FORWARDING_STACK = "sallyport-forwarding"
# What nobody but these tests puts.
SOURCE = "test.trail"
# No rule looks at any of these.
NOBODYS = (
    event("s3", "ListBuckets", user()),
    event("ec2", "RunInstances", role()),
    event("sts", "AssumeRole", user()) | {"source": "my.app"},
    event("sts", "AssumeRole", user()) | {"source": "sallyport", "detail-type": "Sallyport Record"},
)


def bus(world: World) -> str:
    """The name of the bus that takes what is forwarded."""
    return world.deployment.outputs["EventsBusArn"].partition("event-bus/")[2]


def deployed(world: World, on: str, prefix: str) -> dict[str, dict[str, Any]]:
    """Rules on a bus by name, but for schedules."""
    events = client(world.cloud, "events")
    found = events.list_rules(EventBusName=on, NamePrefix=prefix)["Rules"]
    return {one["Name"]: one for one in found if one.get("EventPattern")}


def put(world: World, on: str, source: str, kind: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Put one event, and return what was said of it."""
    entry = {"EventBusName": on, "Source": source, "DetailType": kind, "Detail": json.dumps(detail)}
    (answer,) = client(world.cloud, "events").put_events(Entries=[entry])["Entries"]
    return dict(answer)


@contextmanager
def stand_in(world: World, on: str, for_rule: str, **target: str) -> Iterator[None]:
    """A rule beside a deployed one, with its target, for what tests may put."""
    events = client(world.cloud, "events")
    (real,) = events.list_targets_by_rule(Rule=for_rule, EventBusName=on)["Targets"]
    name = f"{STACK}-stand-in"
    events.put_rule(Name=name, EventBusName=on, EventPattern=json.dumps({"source": [SOURCE]}))
    try:
        events.put_targets(Rule=name, EventBusName=on, Targets=[real | target])
        yield
    finally:
        events.remove_targets(Rule=name, EventBusName=on, Ids=[real["Id"]])
        events.delete_rule(Name=name, EventBusName=on)


@pytest.fixture
def audit(world: World) -> LiveAudit:
    return LiveAudit(world)


@pytest.fixture
def forwarded_rule(world: World) -> str:
    (name,) = deployed(world, bus(world), STACK)
    return name


@pytest.fixture(scope="module")
def forwarding(world: World) -> Iterator[dict[str, dict[str, Any]]]:
    """The rules of a deployment of member-account.yaml that forwards and makes no role."""
    arn = world.deployment.outputs["EventsBusArn"]
    given = {"EventsBusArn": arn, "AuditRuleState": "ENABLED", "LocalCloud": "true"}
    deploy_member(world.cloud, FORWARDING_STACK, given)
    cloudformation = client(world.cloud, "cloudformation")
    try:
        yield deployed(world, "default", f"{bus(world)}-")
    finally:
        cloudformation.delete_stack(StackName=FORWARDING_STACK)
        wait(lambda: not deployed(world, "default", f"{bus(world)}-"), "the rules are still there")


def abroad(number: int) -> dict[str, Any]:
    """A session behind the exchange's back in a member account, as its trail tells of it."""
    role_arn = f"arn:aws:iam::{MEMBER}:role/sallyport/team-b-writer"
    answer = {
        "Credentials": {"AccessKeyId": f"ASIAFORWARDED{number:07d}"},
        "AssumedRoleUser": {"Arn": f"arn:aws:sts::{MEMBER}:assumed-role/team-b-writer/s-{number}"},
    }
    told = trail.assumed(role_arn, answer, f"s-{number}", caller="stranger")
    return told | {"account": MEMBER, "detail": told["detail"] | {"recipientAccountId": MEMBER}}


def some_number() -> int:
    return random.randrange(10**7)  # noqa: S311 - no secret


def looked_at(raw: dict[str, Any]) -> str:
    """What patterns look at in an event: those that are alike in it need not be asked about twice."""
    detail = raw["detail"]
    caller = detail.get("userIdentity") or {}
    issuer = (caller.get("sessionContext") or {}).get("sessionIssuer") or {}
    fields = [raw["source"], raw["detail-type"], detail.get("eventSource"), detail.get("eventName")]
    return json.dumps([*fields, caller.get("type"), caller.get("accessKeyId"), issuer.get("arn")])


def samples(*, found: bool) -> dict[str, dict[str, Any]]:
    """Events in which some rule finds something, or in which it nearly does."""
    every = [
        sample
        for of_rule in load().values()
        for sample in (of_rule.hits if found else of_rule.near_misses)
        if sample.kind == "event"
    ]
    return {looked_at(one.events[-1]): one.events[-1] for one in every}


def test_every_pattern_says_of_every_sample_what_we_think_it_says(world: World, forwarded_rule: str) -> None:
    """What a rule finds something in gets through one of them, and what no rule looks at through none."""
    events = client(world.cloud, "events")
    own = {name: one["EventPattern"] for name, one in deployed(world, "default", f"{STACK}-").items()}
    own = {name: pattern for name, pattern in own.items() if not name.startswith(f"{bus(world)}-")}
    patterns = own | {forwarded_rule: deployed(world, bus(world), STACK)[forwarded_rule]["EventPattern"]}
    assert len(own) >= 12

    def through(raw: dict[str, Any]) -> set[str]:
        text = json.dumps(raw)
        passed = {
            name
            for name, pattern in patterns.items()
            if events.test_event_pattern(EventPattern=pattern, Event=text)["Result"]
        }
        assert passed == {name for name, pattern in patterns.items() if matches(json.loads(pattern), raw)}
        return passed

    for alike, raw in samples(found=True).items():
        passed = through(raw)
        assert passed & own.keys(), f"no rule sees {alike}"
        assert forwarded_rule in passed
    for raw in samples(found=False).values():
        through(raw)
    for raw in NOBODYS:
        assert not through(raw) & own.keys()
    for raw in NOBODYS[2:]:
        assert not through(raw)


def test_what_is_forwarded_is_what_the_stack_s_own_rules_look_at(
    world: World, forwarding: dict[str, dict[str, Any]]
) -> None:
    events = client(world.cloud, "events")
    rules = deployed(world, "default", f"{STACK}-")
    own = [json.loads(one["EventPattern"]) for name, one in rules.items() if name not in forwarding]
    sent = [json.loads(one["EventPattern"]) for one in forwarding.values()]
    assert sorted(map(json.dumps, sent)) == sorted(map(json.dumps, own))
    for name in forwarding:
        (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
        assert target["Arn"] == world.deployment.outputs["EventsBusArn"]
        assert target["RoleArn"]


def test_nobody_speaks_in_the_name_of_aws(world: World) -> None:
    told = abroad(some_number())
    answer = put(world, bus(world), told["source"], told["detail-type"], told["detail"])
    assert answer["ErrorCode"] == "NotAuthorizedForSourceException"


def test_what_anybody_else_says_on_the_bus_is_heard_by_nobody(
    world: World, audit: LiveAudit, forwarded_rule: str
) -> None:
    dead = audit.waiting("EventsDeadLetterQueue")
    ignored, heard = abroad(some_number()), abroad(some_number())
    assert "EventId" in put(world, bus(world), SOURCE, ignored["detail-type"], ignored["detail"])
    assert "EventId" in put(world, bus(world), "sallyport", "Sallyport Record", {"id": "0"})
    # What comes after them has come, so they would have.
    with stand_in(world, bus(world), forwarded_rule, InputPath="$.detail"):
        put(world, bus(world), SOURCE, "told", heard)
    wait(lambda: name_of(heard) in audit.taken(), "what came after them was not taken")
    audit.settle("EventsQueue")
    assert name_of(ignored) not in audit.taken()
    assert audit.waiting("EventsDeadLetterQueue") == dead


def test_a_session_in_a_member_account_is_found(
    world: World, audit: LiveAudit, forwarded_rule: str, forwarding: dict[str, dict[str, Any]]
) -> None:
    """From the default bus there by the bus of its own here into the queue, the audit and a finding."""
    there = f"{bus(world)}-calls-sts"
    assert there in forwarding
    told = abroad(some_number())
    with (
        stand_in(world, "default", there),
        stand_in(world, bus(world), forwarded_rule, InputPath="$.detail"),
    ):
        put(world, "default", SOURCE, "told", told)
    (finding,) = wait(lambda: audit.findings_of(told), "the session was not found") or ()
    assert (finding["severity"], finding["account"]) == ("CRITICAL", MEMBER)


def test_what_a_member_account_says_in_our_name_is_kept_aside(
    world: World, audit: LiveAudit, forwarded_rule: str
) -> None:
    dead = audit.waiting("EventsDeadLetterQueue")
    told = abroad(some_number())
    told["detail"]["recipientAccountId"] = ACCOUNT
    with stand_in(world, bus(world), forwarded_rule, InputPath="$.detail"):
        put(world, bus(world), SOURCE, "told", told)
    wait(lambda: audit.waiting("EventsDeadLetterQueue") == dead + 1, "it was not kept aside")
    assert name_of(told) not in audit.taken()
