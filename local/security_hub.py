"""Security Hub's one operation that findings need; the emulator has none of them.

The fault proxy answers here. What is checked is what the API reference of BatchImportFindings and of
AwsSecurityFinding say, and first of all botocore's own model of the request: a finding that passes here has
the members, types and enumerations that Security Hub takes. An import of what it has already, or has newer,
changes nothing and is no error, as with Security Hub
(https://docs.aws.amazon.com/securityhub/latest/userguide/finding-update-batchimportfindings.html).
"""

import json
import re
import threading
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import botocore.session
from botocore.validate import ParamValidator

PATH = "/findings/import"
MAX_BODY_BYTES = 6_000_000
MAX_FINDING_BYTES = 240_000
MAX_FINDINGS = 100
# https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_AwsSecurityFinding.html: lengths that botocore
# knows nothing of.
MAX_LENGTHS = {"Id": 512, "GeneratorId": 512, "Title": 256, "Description": 1_024}
MAX_RESOURCES = 32
MAX_PRODUCT_FIELDS = 50
MAX_FIELD_NAME, MAX_FIELD_VALUE = 128, 2_048
LABELS = frozenset({"INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"})

_ARN = re.compile(r"arn:[a-z-]+:securityhub:([a-z0-9-]+):([0-9]{12}):product/([0-9]{12})/default")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


class Taken(NamedTuple):
    """One finding of one import: whether Security Hub has changed anything for it."""

    id: str
    updated_at: str
    changed: bool


class SecurityHub:
    """Findings as imported, and every import that came."""

    def __init__(self) -> None:
        self.findings: dict[str, dict[str, Any]] = {}
        self.taken: list[Taken] = []
        self._lock = threading.Lock()

    def import_findings(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return status and answer of BatchImportFindings."""
        try:
            asked = json.loads(body)
            problem = None if len(body) <= MAX_BODY_BYTES else "the request is too large"
            problem = problem or _problem(asked)
        except ValueError:
            problem = "the request is not JSON"
        if problem is not None:
            return 400, {"Code": "InvalidInputException", "Message": problem}
        failed = []
        with self._lock:
            for one in asked["Findings"]:
                refused = _refusal(one)
                if refused is not None:
                    failed.append({"Id": one["Id"], "ErrorCode": "InvalidInput", "ErrorMessage": refused})
                else:
                    self._take(one)
        done = len(asked["Findings"]) - len(failed)
        return 200, {"SuccessCount": done, "FailedCount": len(failed), "FailedFindings": failed}

    def shown(self) -> dict[str, Any]:
        """Return what came so far."""
        with self._lock:
            return {
                "findings": list(self.findings.values()),
                "taken": [one._asdict() for one in self.taken],
            }

    def _take(self, finding: dict[str, Any]) -> None:
        held = self.findings.get(finding["Id"])
        is_new = held is None or _time(held["UpdatedAt"]) < _time(finding["UpdatedAt"])
        if is_new:
            self.findings[finding["Id"]] = finding
        self.taken.append(Taken(finding["Id"], finding["UpdatedAt"], is_new))


@cache
def _shape() -> Any:  # noqa: ANN401 - botocore's
    model = botocore.session.get_session().get_service_model("securityhub")
    return model.operation_model("BatchImportFindings").input_shape


def _problem(asked: Any) -> str | None:  # noqa: ANN401 - what somebody sent
    """Return why the whole request is refused."""
    report = ParamValidator().validate(asked, _shape())
    if report.has_errors():
        return str(report.generate_report())
    if not 1 <= len(asked["Findings"]) <= MAX_FINDINGS:
        return "there are too many findings"
    return next((f"{one['Id'][:40]}: {why}" for one in asked["Findings"] if (why := _too_long(one))), None)


def _too_long(finding: dict[str, Any]) -> str | None:
    fields, resources = finding.get("ProductFields", {}), finding["Resources"]
    lengths = [(name, len(finding[name]), most) for name, most in MAX_LENGTHS.items()]
    lengths += [("a product field's name", len(name), MAX_FIELD_NAME) for name in fields]
    lengths += [("a product field", len(value), MAX_FIELD_VALUE) for value in fields.values()]
    lengths += [("a resource's id", len(one["Id"]), MAX_LENGTHS["Id"]) for one in resources]
    lengths += [("the list of resources", len(resources), MAX_RESOURCES)]
    lengths += [("the finding", len(json.dumps(finding).encode()), MAX_FINDING_BYTES)]
    if len(fields) > MAX_PRODUCT_FIELDS:
        return "there are too many product fields"
    return next(
        (f"{name} is {length} long" for name, length, most in lengths if not 1 <= length <= most), None
    )


def _refusal(finding: dict[str, Any]) -> str | None:
    """Return why one finding fails."""
    arn = _ARN.fullmatch(finding["ProductArn"])
    if arn is None or len({arn[2], arn[3], finding["AwsAccountId"]}) != 1:
        return "the product is none of the finding's account"
    times = ("CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt")
    if any(not _TIME.fullmatch(finding[name]) for name in times if name in finding):
        return "a time is not ISO 8601 in UTC"
    given = finding.get("FindingProviderFields", {})
    if given.get("Severity", {}).get("Label") not in LABELS or not given.get("Types"):
        return "there is no severity or no type"
    return None if finding["SchemaVersion"] == "2018-10-08" else "the schema is unknown"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
