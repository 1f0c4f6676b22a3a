"""An account's IAM and its organisation, at boto3's port, for a look at the posture."""

from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

ROLES_A_PAGE = 2


def refused(operation: str, code: str = "AccessDenied") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "not allowed"}}, operation)


@dataclass
class FakeIamAccount:
    """Roles in pages and a credential report that takes its time; ``refuses`` names operations."""

    roles: list[dict[str, Any]] = field(default_factory=list)
    report: bytes = b""
    report_takes: int = 0
    refuses: set[str] = field(default_factory=set)
    endless: bool = False

    def _ask(self, operation: str) -> None:
        if operation in self.refuses:
            raise refused(operation)

    def get_account_summary(self) -> dict[str, Any]:
        self._ask("GetAccountSummary")
        return {"SummaryMap": {"Roles": len(self.roles)}}

    def list_roles(self, **arguments: Any) -> dict[str, Any]:
        self._ask("ListRoles")
        start = int(arguments.get("Marker", "0"))
        end = start + ROLES_A_PAGE
        page: dict[str, Any] = {"Roles": self.roles[start:end], "IsTruncated": False}
        if end < len(self.roles) or self.endless:
            page |= {"IsTruncated": True, "Marker": "0" if self.endless else str(end)}
        return page

    def generate_credential_report(self) -> dict[str, Any]:
        self._ask("GenerateCredentialReport")
        self.report_takes -= 1
        return {"State": "STARTED" if self.report_takes >= 0 else "COMPLETE"}

    def get_credential_report(self) -> dict[str, Any]:
        return {"Content": self.report}


@dataclass
class FakeOrganizations:
    """An organisation; ``None`` for an account that is in none, or may not ask."""

    id: str | None = None
    accounts: list[str] | None = None

    def describe_organization(self) -> dict[str, Any]:
        if self.id is None:
            raise refused("DescribeOrganization", "AWSOrganizationsNotInUseException")
        return {"Organization": {"Id": self.id}}

    def list_accounts(self, **arguments: Any) -> dict[str, Any]:
        if self.accounts is None:
            raise refused("ListAccounts")
        start = int(arguments.get("NextToken", "0"))
        page: dict[str, Any] = {"Accounts": [{"Id": one} for one in self.accounts[start : start + 1]]}
        if start + 1 < len(self.accounts):
            page["NextToken"] = str(start + 1)
        return page


@dataclass
class FakeCloudTrail:
    """Trails of one kind: by default one that records everything, as CloudTrail describes it."""

    is_logging: bool = True
    selectors: dict[str, Any] = field(
        default_factory=lambda: {
            "EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}],
        }
    )
    arns: list[str] = field(
        default_factory=lambda: ["arn:aws:cloudtrail:eu-central-1:111122223333:trail/all"]
    )
    refuses: set[str] = field(default_factory=set)

    def _ask(self, operation: str) -> None:
        if operation in self.refuses:
            raise refused(operation)

    def describe_trails(self, **arguments: Any) -> dict[str, Any]:
        self._ask("DescribeTrails")
        assert arguments == {"includeShadowTrails": True}, (
            "those of all Regions and of the organisation count"
        )
        return {"trailList": [{"TrailARN": arn} for arn in self.arns]}

    def get_trail_status(self, **arguments: Any) -> dict[str, Any]:
        self._ask("GetTrailStatus")
        assert arguments["Name"] in self.arns
        return {"IsLogging": self.is_logging}

    def get_event_selectors(self, **arguments: Any) -> dict[str, Any]:
        self._ask("GetEventSelectors")
        assert arguments["TrailName"] in self.arns
        return self.selectors
