"""Findings as Security Hub takes them: the AWS Security Finding Format.

Pure. Bounds and rules:
https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_AwsSecurityFinding.html and
https://docs.aws.amazon.com/securityhub/latest/userguide/finding-update-batchimportfindings.html.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from sallyport.audit.finding import Finding

SCHEMA: Final = "2018-10-08"
# BatchImportFindings' own limits.
MAX_BATCH: Final = 100
MAX_BYTES: Final = 240_000
MAX_ID: Final = 512
MAX_FIELD_NAME: Final = 128
MAX_FIELD: Final = 1_024
MAX_REMEDY: Final = 512
# What was seen, and what could be.
BEHAVIOUR: Final = "Unusual Behaviors/User"
CONFIGURATION: Final = "Software and Configuration Checks/AWS Security Best Practices"
# Updates within one millisecond would be dropped; so many counted events still show in the time.
_MAX_STEP: Final = 999_999


def to_asff(
    finding: Finding, *, account: str, region: str, partition: str = "aws", pages: str = ""
) -> dict[str, Any]:
    """Return a finding for BatchImportFindings.

    ``UpdatedAt`` is the last event's time and a millisecond for each event counted: Security Hub drops,
    without an error, what is not newer than what it has. An event that is delivered twice changes nothing.
    What has ended is archived, at the time of its end; seen again, it is active again.

    Args:
        finding: what to import.
        account: the account that imports, which its default product belongs to. It is the finding's
            account as well: Security Hub demands that, and an event's own account becomes a resource.
        region: where it is imported.
        partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
        pages: where the documentation can be read, with a slash at the end; empty if nowhere.
    """
    resources = [{"Type": one.type, "Id": one.id[:MAX_ID]} for one in finding.resources if one.id]
    foreign = finding.account != account
    if foreign or not resources:
        resources = [{"Type": "AwsAccount", "Id": f"AWS::::Account:{finding.account}"}, *resources]
    updated = finding.last_event + timedelta(milliseconds=min(finding.count - 1, _MAX_STEP))
    if finding.ended is not None:
        updated = max(updated + timedelta(milliseconds=1), finding.ended)
    values: dict[str, Any] = {
        "SchemaVersion": SCHEMA,
        "Id": f"sallyport/{finding.rule_id}/{finding.id}",
        "ProductArn": f"arn:{partition}:securityhub:{region}:{account}:product/{account}/default",
        "ProductName": "Sallyport",
        "CompanyName": "Sallyport",
        "GeneratorId": f"sallyport/{finding.rule_id}",
        "AwsAccountId": account,
        "CreatedAt": _iso(finding.first_event),
        "FirstObservedAt": _iso(finding.first_event),
        "LastObservedAt": _iso(finding.last_event),
        "UpdatedAt": _iso(updated),
        "FindingProviderFields": {
            "Severity": {"Label": finding.severity.name},
            "Types": [CONFIGURATION if finding.is_standing else BEHAVIOUR],
        },
        "Title": finding.title[:256],
        "Description": finding.description[:1_024],
        "Resources": resources[:32],
        "ProductFields": _fields(finding),
        "RecordState": "ACTIVE" if finding.ended is None else "ARCHIVED",
    }
    if finding.remedy:
        advice = {"Text": finding.remedy[:MAX_REMEDY]}
        if pages:
            advice["Url"] = f"{pages}{finding.runbook}"[:MAX_ID]
        values["Remediation"] = {"Recommendation": advice}
    if finding.references:
        values["SourceUrl"] = finding.references[0]
    if finding.suppressed_by is not None:
        # Only the first import sets it; later on the analyst's word stands.
        values["Workflow"] = {"Status": "SUPPRESSED"}
    return values


def _fields(finding: Finding) -> dict[str, str]:
    fields = {"sallyport/count": str(finding.count), "sallyport/runbook": finding.runbook}
    if finding.subdued is not None:
        fields["sallyport/subdued"] = finding.subdued
    if finding.suppressed_by is not None:
        fields["sallyport/suppression"] = finding.suppressed_by
    fields |= {f"sallyport/evidence/{name}": text for name, text in finding.evidence.items()}
    return {name[:MAX_FIELD_NAME]: text[:MAX_FIELD] for name, text in fields.items() if text}


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
