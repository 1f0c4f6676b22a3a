"""The stand-in for Security Hub takes what Security Hub takes, and no more."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from local.security_hub import SecurityHub
from tests.support.asff_findings import asff
from tests.support.audit_world import NOON, REGION


def sent(hub: SecurityHub, *findings: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return hub.import_findings(json.dumps({"Findings": findings}).encode())


def test_a_finding_is_taken_once_and_newer_ones_replace_it() -> None:
    hub = SecurityHub()
    later = (NOON + timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
    for one in (asff(), asff(), asff(UpdatedAt=later), asff()):
        assert sent(hub, one) == (200, {"SuccessCount": 1, "FailedCount": 0, "FailedFindings": []})
    assert [one.changed for one in hub.taken] == [True, False, True, False]
    assert hub.findings[asff()["Id"]]["UpdatedAt"] == later
    assert json.loads(json.dumps(hub.shown()))["taken"][0]["changed"] is True


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no title": lambda one: one.pop("Title"),
    "an unknown member": lambda one: one.update(Verdict="bad"),
    "a number as text": lambda one: one.update(Confidence="7"),
    "a long title": lambda one: one.update(Title="x" * 257),
    "an empty description": lambda one: one.update(Description=""),
    "a long id": lambda one: one.update(Id="x" * 513),
    "no resource": lambda one: one.update(Resources=[]),
    "too many resources": lambda one: one.update(Resources=one["Resources"] * 33),
    "a long resource": lambda one: one.update(Resources=[{"Type": "Other", "Id": "x" * 513}]),
    "too many fields": lambda one: one.update(ProductFields={str(n): "x" for n in range(51)}),
    "a long field": lambda one: one.update(ProductFields={"x": "y" * 2_049}),
    "a large finding": lambda one: one.update(
        Note={"Text": "x" * 240_000, "UpdatedBy": "x", "UpdatedAt": "x"}
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_one_finding_that_is_none_is_the_end_of_its_whole_batch(what: str) -> None:
    hub, wrong = SecurityHub(), asff()
    WRONG[what](wrong)
    status, answer = sent(hub, asff(Id="good"), wrong)
    assert (status, answer["Code"]) == (400, "InvalidInputException")
    assert hub.findings == {}


@pytest.mark.parametrize(
    "change",
    [
        {"AwsAccountId": "222233334444"},
        {"ProductArn": f"arn:aws:securityhub:{REGION}::product/other/other"},
        {"UpdatedAt": "yesterday"},
        {"SchemaVersion": "2"},
        {"FindingProviderFields": {"Severity": {"Label": "HIGH"}}},
    ],
)
def test_a_finding_that_is_not_acceptable_fails_alone(change: dict[str, Any]) -> None:
    hub = SecurityHub()
    status, answer = sent(hub, asff(Id="good"), asff(**change))
    assert (status, answer["SuccessCount"], answer["FailedCount"]) == (200, 1, 1)
    assert list(hub.findings) == ["good"]


def test_a_batch_has_its_limits() -> None:
    hub = SecurityHub()
    assert sent(hub, *(asff(Id=str(n)) for n in range(100)))[0] == 200
    assert sent(hub, *(asff(Id=str(n)) for n in range(101)))[0] == 400
    assert sent(hub)[0] == 400
    assert hub.import_findings(b"{")[0] == 400
    assert hub.import_findings(b" " * 6_000_001)[0] == 400
