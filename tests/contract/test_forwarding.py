"""CloudTrail events of other accounts and Regions: who may send them, which are sent, and what is taken."""

import json
import re
from typing import Any

import pytest

from sallyport.audit.event_patterns import MAX_PATTERN, event_patterns, forwarded_pattern
from sallyport.audit.events import CLOUDTRAIL_DETAIL_TYPES
from sallyport.audit.rules import RULES
from tests.contract.test_member_account import GIVEN
from tests.support.audit_world import MEMBER
from tests.support.cloudformation import event_pattern, load, resolved
from tests.support.event_patterns import matches
from tests.support.rule_samples import load as load_samples
from tests.support.rule_samples.sample import event, user

OWN = resolved("template.yaml", AuditAccounts=[MEMBER])
HOME: dict[str, Any] = OWN["Resources"]
BUS = "arn:aws:events:eu-central-1:111122223333:event-bus/sallyport-events"
AWAY: dict[str, Any] = resolved("member-account.yaml", EventsBusArn=BUS)["Resources"]
MANAGED = "arn:${AWS::Partition}:iam::*:role/sallyport/*"
WHOLE_STATE = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


def rules(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::Events::Rule"}


# The bus


def test_the_bus_takes_events_of_the_named_accounts_alone() -> None:
    policy = HOME["EventsBusPolicy"]["Properties"]
    assert policy["EventBusName"] == {"Ref": "EventsBus"}
    assert policy["Statement"] == {
        "Effect": "Allow",
        "Principal": {"AWS": [MEMBER]},
        "Action": "events:PutEvents",
        "Resource": "EventsBus.Arn",
    }
    # Without accounts, and where there are no such policies, nobody else may.
    assert "EventsBusPolicy" not in resolved("template.yaml")["Resources"]
    assert (
        "EventsBusPolicy"
        not in resolved("template.yaml", AuditAccounts=MEMBER, LocalCloud="true")["Resources"]
    )
    (other,) = [
        name
        for name, one in HOME.items()
        if one["Type"] == "AWS::Events::EventBusPolicy" and name != "EventsBusPolicy"
    ]
    assert HOME[other]["Properties"]["EventBusName"] == {"Ref": "RecordsBus"}


@pytest.mark.parametrize("bad", ["*", "o-abcdefghij", "11112222333", "arn:aws:iam::111122223333:root"])
def test_an_account_is_an_account(bad: str) -> None:
    pattern = load("template.yaml")["Parameters"]["AuditAccounts"]["AllowedPattern"]
    assert re.fullmatch(pattern, MEMBER)
    assert not re.fullmatch(pattern, bad)


def test_what_is_forwarded_never_reaches_the_queue_of_the_records() -> None:
    assert HOME["EventsBus"]["Properties"]["Name"] != HOME["RecordsBus"]["Properties"]["Name"]
    (rule,) = [one for one in rules(HOME).values() if one.get("EventBusName") == {"Ref": "EventsBus"}]
    assert rule == rules(HOME)["ForwardedRule"]
    (target,) = rule["Targets"]
    assert target["Arn"] == "EventsQueue.Arn"
    assert rule["State"] == WHOLE_STATE


def test_of_the_bus_only_what_services_of_aws_say_is_taken() -> None:
    pattern = event_pattern(rules(HOME)["ForwardedRule"])
    assert pattern == forwarded_pattern()
    assert len(json.dumps(pattern, separators=(",", ":"))) <= MAX_PATTERN
    assert set(pattern["detail-type"]) >= CLOUDTRAIL_DETAIL_TYPES
    taken = event("sts", "AssumeRole", user(account=MEMBER), account=MEMBER)
    assert matches(pattern, taken)
    assert not matches(pattern, taken | {"source": "sallyport"})
    assert not matches(pattern, taken | {"source": "my.app"})
    assert not matches(pattern, taken | {"detail-type": "Sallyport Record"})


def test_the_events_queue_takes_what_these_rules_bring_and_nothing_else() -> None:
    allow, *_ = HOME["EventsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    brings = {
        f"{name}.Arn" for name, one in rules(HOME).items() if one["Targets"][0]["Arn"] == "EventsQueue.Arn"
    }
    assert "ForwardedRule.Arn" in brings
    assert set(allow["Condition"].pop("ArnEquals")["aws:SourceArn"]) == brings
    assert not allow["Condition"]


@pytest.mark.parametrize("template", [HOME, AWAY])
def test_what_cannot_be_delivered_is_tried_for_a_day_and_then_kept(template: dict[str, Any]) -> None:
    for name, one in rules(template).items():
        (target,) = one["Targets"]
        assert template[target["DeadLetterConfig"]["Arn"].removesuffix(".Arn")]["Type"] == "AWS::SQS::Queue"
        if name != "RecordsRule":
            assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}


# Who forwards


def test_what_is_forwarded_is_what_the_audit_s_rules_look_at() -> None:
    derived = event_patterns([MANAGED])
    names = {"Forward" + "".join(map(str.capitalize, name.split("-"))) + "Rule": name for name in derived}
    assert set(rules(AWAY)) == set(names)
    for logical, rule in rules(AWAY).items():
        assert event_pattern(rule) == derived[names[logical]], (
            f"{logical}: see sallyport.audit.event_patterns"
        )
        # Named after the bus, and so after the stack: who disables it changes a part of Sallyport.
        assert rule["Name"] == f"sallyport-events-{names[logical]}"
        assert rule["State"] == WHOLE_STATE
        assert "EventBusName" not in rule, "services put their events on the default bus"


def test_both_templates_look_for_the_same() -> None:
    home = {name: event_pattern(one) for name, one in rules(HOME).items() if "EventBusName" not in one}
    assert {name.removeprefix("Forward"): event_pattern(one) for name, one in rules(AWAY).items()} == home
    parameters = [load(name)["Parameters"] for name in ("template.yaml", "member-account.yaml")]
    for name in ("MoreTargetRoles", "AuditRuleState"):
        one, other = ({k: v for k, v in given[name].items() if k != "Description"} for given in parameters)
        assert one == other
    more = ["arn:aws:iam::222233334444:role/x/*", "arn:aws:iam::*:role/y"]
    one = resolved("template.yaml", MoreTargetRoles=more)["Resources"]["WhereManagedRolesRule"]
    other = resolved("member-account.yaml", EventsBusArn=BUS, MoreTargetRoles=more)["Resources"]
    assert event_pattern(one["Properties"]) == event_pattern(
        other["ForwardWhereManagedRolesRule"]["Properties"]
    )


def test_no_rule_s_sample_is_left_behind() -> None:
    """Each event that a rule finds something in is sent, and is taken from the bus."""
    sent = [event_pattern(one) for one in rules(AWAY).values()]
    for pattern in sent:
        arns = pattern.get("detail", {}).get("userIdentity", {}).get("sessionContext", {})
        if arns:
            arns["sessionIssuer"]["arn"] = [{"wildcard": "arn:aws:iam::*:role/sallyport/*"}]
    for rule_id, samples in load_samples().items():
        if RULES[rule_id].on != "event":
            continue
        for raw in (one.events[-1] for one in samples.hits):
            assert any(matches(pattern, raw) for pattern in sent), rule_id
            assert matches(forwarded_pattern(), raw), rule_id


def test_the_forwarding_role_puts_events_on_that_bus_and_nothing_else() -> None:
    role = AWAY["ForwardingRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
        "ArnLike": {
            "aws:SourceArn": (
                "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/sallyport-events-*"
            )
        },
    }
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement == {"Effect": "Allow", "Action": "events:PutEvents", "Resource": BUS}
    assert "Path" not in role, "never one that the exchange may assume"
    for one in rules(AWAY).values():
        (target,) = one["Targets"]
        assert (target["Arn"], target["RoleArn"]) == (BUS, "ForwardingRole.Arn")
        # With one of these the sender would write what the event says.
        assert not target.keys() & {"Input", "InputPath", "InputTransformer"}


def test_the_dead_letters_come_from_the_forwarding_rules_alone() -> None:
    (allow,) = AWAY["ForwardingDeadLetterQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert set(allow["Condition"]["ArnEquals"]["aws:SourceArn"]) == {f"{name}.Arn" for name in rules(AWAY)}
    queue = AWAY["ForwardingDeadLetterQueue"]["Properties"]
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MessageRetentionPeriod"] == 1_209_600


# One file, three uses


def test_forwarding_makes_no_role_for_sessions_and_a_role_forwards_nothing() -> None:
    forwarding = {"ForwardingRole", "ForwardingDeadLetterQueue", "ForwardingDeadLetterQueuePolicy"}
    assert set(AWAY) == forwarding | set(rules(AWAY))
    role_alone = resolved("member-account.yaml", **GIVEN)["Resources"]
    assert not [name for name in role_alone if name.startswith("Forward")]
    both = resolved("member-account.yaml", EventsBusArn=BUS, **GIVEN)["Resources"]
    assert set(both) == set(AWAY) | set(role_alone)
    leftovers = {"TenantIsolation": "true", "IssuerUrl": GIVEN["IssuerUrl"]}
    assert set(resolved("member-account.yaml", EventsBusArn=BUS, **leftovers)["Resources"]) == set(AWAY)


def test_what_is_given_by_halves_is_refused() -> None:
    found = load("member-account.yaml")["Rules"]
    given = {
        name: {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]}
        for name in ("SallyportRoleArn", "EventsBusArn")
    }
    assert [one["Assert"] for one in found["RoleOrForwarding"]["Assertions"]] == [
        {"Fn::Or": [*given.values()]}
    ]
    whole, no_role = found["WholeRole"], found["NoRole"]
    assert whole["RuleCondition"] == given["SallyportRoleArn"]
    assert whole["Assertions"][0]["Assert"] == {
        "Fn::And": [
            {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExternalId"}, ""]}]},
            {"Fn::Not": [{"Fn::Equals": [{"Ref": "BucketName"}, "-"]}]},
        ]
    }
    assert no_role["RuleCondition"] == given["SallyportRoleArn"]["Fn::Not"][0]
    (nothing,) = no_role["Assertions"]
    assert nothing["Assert"] == {
        "Fn::And": [
            {"Fn::Equals": [{"Ref": "ExternalId"}, ""]},
            {"Fn::Equals": [{"Ref": "IssuerUrl"}, ""]},
            {"Fn::Equals": [{"Ref": "TenantIsolation"}, "false"]},
        ]
    }
    defaults = {name: one.get("Default") for name, one in load("member-account.yaml")["Parameters"].items()}
    assert (defaults["ExternalId"], defaults["BucketName"], defaults["TenantIsolation"]) == ("", "-", "false")


@pytest.mark.parametrize(
    "bad",
    [
        "*",
        "sallyport-events",
        "arn:aws:events:*:111122223333:event-bus/sallyport-events",
        "arn:aws:events:eu-central-1:111122223333:event-bus/*",
        "arn:aws:events:eu-central-1:111122223333:rule/sallyport-events",
        # The longest name of a rule after it would not be one.
        pytest.param(f"arn:aws:events:eu-central-1:111122223333:event-bus/{'x' * 45}", id="long"),
    ],
)
def test_the_bus_is_one_bus(bad: str) -> None:
    pattern = load("member-account.yaml")["Parameters"]["EventsBusArn"]["AllowedPattern"]
    assert re.fullmatch(pattern, BUS)
    assert re.fullmatch(pattern, "")
    assert not re.fullmatch(pattern, bad)
    longest = max(len(one["Name"]) for one in rules(AWAY).values()) - len("sallyport-events")
    assert 38 + longest <= 64, "EventBridge's limit"


def test_the_bus_is_told_to_who_deploys() -> None:
    assert OWN["Outputs"]["EventsBusArn"]["Value"] == "EventsBus.Arn"
