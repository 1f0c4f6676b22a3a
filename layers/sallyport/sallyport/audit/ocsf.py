"""Findings in the Open Cybersecurity Schema Framework: Detection Finding (2004), version 1.5.

Pure. Source: https://schema.ocsf.io/1.5.0/classes/detection_finding?profiles=cloud. Times are
milliseconds since 1970.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sallyport.audit.finding import Finding, Severity

VERSION: Final = "1.5.0"
CATEGORY: Final = 2
CLASS: Final = 2004
CREATE: Final = 1
UPDATE: Final = 2
CLOSE: Final = 3
# Status: what analysts make of it is theirs; these are what is known here.
NEW: Final = 1
SUPPRESSED: Final = 3
RESOLVED: Final = 4
# Informational is 1; zero is OCSF's word for unknown.
SEVERITIES: Final = {
    Severity.INFORMATIONAL: (1, "Informational"),
    Severity.LOW: (2, "Low"),
    Severity.MEDIUM: (3, "Medium"),
    Severity.HIGH: (4, "High"),
    Severity.CRITICAL: (5, "Critical"),
}
_RULE: Final = 1
_AWS_ACCOUNT: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_ocsf(finding: Finding, *, version: str) -> dict[str, Any]:
    """Return a finding as a Detection Finding with the cloud profile.

    Args:
        finding: what to render.
        version: Sallyport's own.
    """
    first, last = _milliseconds(finding.first_event), _milliseconds(finding.last_event)
    ended = finding.ended is not None
    at = last if finding.ended is None else _milliseconds(finding.ended)
    activity, activity_name = (
        (CLOSE, "Close") if ended else (CREATE, "Create") if finding.count == 1 else (UPDATE, "Update")
    )
    severity_id, severity = SEVERITIES[finding.severity]
    suppressed = finding.suppressed_by is not None
    status, status_name = (
        (RESOLVED, "Resolved") if ended else (SUPPRESSED, "Suppressed") if suppressed else (NEW, "New")
    )
    return {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {activity_name}",
        "time": at,
        "start_time": first,
        "end_time": last,
        "count": finding.count,
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status,
        "status": status_name,
        "is_alert": finding.severity >= Severity.HIGH and status == NEW,
        "message": finding.description,
        "metadata": {
            "version": VERSION,
            "profiles": ["cloud"],
            "product": {"name": "Sallyport", "vendor_name": "Sallyport", "version": version},
        },
        "cloud": {
            "provider": "AWS",
            "region": finding.region,
            "account": {"uid": finding.account, "type_id": _AWS_ACCOUNT, "type": "AWS Account"},
        },
        "finding_info": {
            "uid": finding.id,
            "title": finding.title,
            "desc": finding.description,
            "created_time": first,
            "modified_time": at,
            "first_seen_time": first,
            "last_seen_time": last,
            "analytic": {"uid": finding.rule_id, "name": finding.title, "type_id": _RULE, "type": "Rule"},
            "related_events": [{"uid": one} for one in finding.event_ids],
        },
        "resources": [{"uid": one.id, "type": one.type} for one in finding.resources],
        "evidences": [{"data": dict(finding.evidence)}],
        "remediation": {"desc": finding.remedy, "references": list(finding.references)},
    }


def _milliseconds(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(milliseconds=1)
