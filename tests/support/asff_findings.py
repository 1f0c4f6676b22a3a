"""A finding as Security Hub takes it."""

from typing import Any

from sallyport.audit.asff import to_asff
from sallyport.audit.finding import Finding, Resource, Severity, finding_id
from tests.support.audit_world import ACCOUNT, NOON, REGION

FINDING = Finding(
    id=finding_id("rule", ACCOUNT, ("x",), NOON),
    rule_id="rule",
    account=ACCOUNT,
    region=REGION,
    title="Something happened",
    description="It did.",
    severity=Severity.HIGH,
    dedupe=("x",),
    window_start=NOON,
    first_event=NOON,
    last_event=NOON,
    resources=(Resource("AwsIamRole", "arn:aws:iam::111122223333:role/x"),),
    evidence={"said": "so"},
    remedy="Mend it.",
    runbook="docs/findings.md#rule",
    references=("https://docs.aws.amazon.com/",),
)


def asff(**changes: Any) -> dict[str, Any]:
    return to_asff(FINDING, account=ACCOUNT, region=REGION) | changes
