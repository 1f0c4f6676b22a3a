"""What goes to Security Hub is what Security Hub takes, checked against the SDK's own model."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import pytest

from sallyport.audit.asff import MAX_BYTES, to_asff
from sallyport.audit.finding import ALWAYS, Finding
from tests.support.audit_world import ACCOUNT, MEMBER, REGION
from tests.support.rule_samples import load

FINDINGS = {
    one.rule_id: one
    for samples in load().values()
    for sample in samples.hits
    for one in sample.run()[-1]
    if isinstance(one, Finding)
}
ONE = FINDINGS["session-without-record-59"]


def rendered(finding: Finding) -> dict[str, Any]:
    return to_asff(finding, account=ACCOUNT, region=REGION, pages="https://example.com/")


@pytest.fixture(scope="module")
def shape() -> botocore.model.Shape:
    model = botocore.loaders.Loader().load_service_model("securityhub", "service-2")
    service = botocore.model.ServiceModel(model, "securityhub")
    return service.operation_model("BatchImportFindings").input_shape


@pytest.mark.parametrize("rule_id", FINDINGS)
def test_the_sdk_takes_it(rule_id: str, shape: botocore.model.Shape) -> None:
    value = rendered(FINDINGS[rule_id])
    report = botocore.validate.ParamValidator().validate({"Findings": [value]}, shape)
    assert not report.has_errors(), report.generate_report()
    # The validator lets unknown names of nested structures through.
    known = shape.members["Findings"].member
    assert value.keys() <= known.members.keys()
    assert value["FindingProviderFields"].keys() <= known.members["FindingProviderFields"].members.keys()
    assert value["Remediation"].keys() <= known.members["Remediation"].members.keys()


@pytest.mark.parametrize("rule_id", FINDINGS)
def test_it_is_within_the_service_s_bounds(rule_id: str) -> None:
    value = rendered(FINDINGS[rule_id])
    assert len(json.dumps(value)) < MAX_BYTES
    assert len(value["Id"]) <= 512
    assert 0 < len(value["Title"]) <= 256
    assert 0 < len(value["Description"]) <= 1024
    assert 1 <= len(value["Resources"]) <= 32
    assert all(one["Id"] and len(one["Id"]) <= 512 for one in value["Resources"])
    assert len(value["ProductFields"]) <= 50
    assert all(len(name) <= 128 and 0 < len(text) <= 2048 for name, text in value["ProductFields"].items())
    assert len(value["Remediation"]["Recommendation"]["Text"]) <= 512


def test_all_rules_have_a_finding_here() -> None:
    assert FINDINGS.keys() == load().keys()


def test_the_importing_account_has_the_finding_and_the_event_s_account_is_a_resource() -> None:
    value = rendered(replace(ONE, account=MEMBER))
    assert value["AwsAccountId"] == ACCOUNT
    assert value["ProductArn"] == f"arn:aws:securityhub:{REGION}:{ACCOUNT}:product/{ACCOUNT}/default"
    assert {"Type": "AwsAccount", "Id": f"AWS::::Account:{MEMBER}"} in value["Resources"]


def test_a_second_delivery_is_not_newer_and_another_event_is() -> None:
    assert rendered(ONE)["UpdatedAt"] == rendered(ONE)["UpdatedAt"]
    assert rendered(replace(ONE, count=2))["UpdatedAt"] > rendered(ONE)["UpdatedAt"]
    later = replace(ONE, last_event=ONE.last_event + timedelta(seconds=1))
    assert rendered(later)["UpdatedAt"] > rendered(ONE)["UpdatedAt"]
    assert rendered(later)["CreatedAt"] == rendered(ONE)["CreatedAt"]


def test_what_has_ended_is_archived_and_newer_than_whatever_was_imported_before() -> None:
    for count in (1, 50_000):
        one = replace(ONE, count=count)
        ended = replace(one, ended=one.last_event + timedelta(seconds=1))
        assert rendered(one)["RecordState"] == "ACTIVE"
        assert rendered(ended)["RecordState"] == "ARCHIVED"
        assert rendered(ended)["UpdatedAt"] > rendered(one)["UpdatedAt"]
        assert rendered(ended)["LastObservedAt"] == rendered(one)["LastObservedAt"]


def test_what_is_the_case_is_configuration_and_what_happened_is_behaviour() -> None:
    kinds = [
        rendered(one)["FindingProviderFields"]["Types"] for one in (ONE, replace(ONE, window_start=ALWAYS))
    ]
    assert kinds == [
        ["Unusual Behaviors/User"],
        ["Software and Configuration Checks/AWS Security Best Practices"],
    ]


def test_a_suppressed_finding_says_so_and_no_other_touches_the_workflow() -> None:
    assert rendered(replace(ONE, suppressed_by="s-1"))["Workflow"] == {"Status": "SUPPRESSED"}
    assert "Workflow" not in rendered(ONE)
    assert "Note" not in rendered(ONE)
