"""Who may put records back: nobody, or the one role that the template is told."""

import re
from typing import Any

import pytest

from tests.support.cloudformation import load, resolved

ROLE = "arn:aws:iam::111122223333:role/break-glass"


def denies(queue: str, **parameters: str) -> list[dict[str, Any]]:
    resources = resolved("template.yaml", **parameters)["Resources"]
    return [
        statement
        for name in ("AuditQueuePolicy", "LaterQueuePolicy")
        for statement in resources[name]["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement["Resource"] == f"{queue}.Arn"
        and statement["Action"] == "sqs:SendMessage"
    ]


def test_unasked_nobody_puts_records_back() -> None:
    (records,), (later,) = denies("AuditQueue"), denies("LaterQueue")
    assert records["Condition"] == {"ArnNotEquals": {"aws:SourceArn": "RecordsRule.Arn"}}
    assert later["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": "AuditRole.Arn"}}


def test_the_named_role_does_and_nobody_else() -> None:
    (records,), (later,) = denies("AuditQueue", ReplayRole=ROLE), denies("LaterQueue", ReplayRole=ROLE)
    assert records["Condition"] == {
        "ArnNotEquals": {"aws:SourceArn": "RecordsRule.Arn", "aws:PrincipalArn": ROLE}
    }
    assert later["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": ["AuditRole.Arn", ROLE]}}
    for one in (records, later):
        assert (one["Principal"], one["Action"]) == ("*", "sqs:SendMessage")


def events_statements(**parameters: str) -> list[dict[str, Any]]:
    """What the events' queue has about sending."""
    resources = resolved("template.yaml", **parameters)["Resources"]
    return [
        one
        for one in resources["EventsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if one["Action"] == "sqs:SendMessage" and "EventsQueue.Arn" in one["Resource"]
    ]


def test_where_a_role_is_named_nobody_else_sends_events() -> None:
    (_,) = events_statements()
    allow, deny = events_statements(ReplayRole=ROLE)
    assert (allow["Effect"], deny["Effect"]) == ("Allow", "Deny")
    assert (deny["Principal"], deny["Action"], deny["Resource"]) == (
        "*",
        "sqs:SendMessage",
        "EventsQueue.Arn",
    )
    # Both have to differ for the denial: EventBridge's rules keep their way.
    rules = allow["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert deny["Condition"] == {"ArnNotEquals": {"aws:SourceArn": rules, "aws:PrincipalArn": ROLE}}


@pytest.mark.parametrize(
    "bad", ["*", "arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:user/x", f"{ROLE},{ROLE}"]
)
def test_it_is_one_role_by_its_name(bad: str) -> None:
    pattern = load("template.yaml")["Parameters"]["ReplayRole"]["AllowedPattern"]
    assert re.fullmatch(pattern, ROLE)
    assert not re.fullmatch(pattern, bad)


def test_the_command_finds_everything_among_the_outputs() -> None:
    outputs = load("template.yaml")["Outputs"]
    assert {
        "EventsQueue",
        "EventsDeadLetterQueue",
        "ImportsQueue",
        "ImportsDeadLetterQueue",
        "AuditQueue",
        "AuditDeadLetterQueue",
        "LaterQueue",
        "RecordsArchiveArn",
        "OwnEventsArchiveArn",
        "EventsArchiveArn",
        "ManagedRoles",
    } <= outputs.keys()
