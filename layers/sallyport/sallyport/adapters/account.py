"""What is read of an account for a look at its posture: roles, access keys, organisation, trails.

With boto3: nobody waits for it. What may not be read raises ``UnreadableError``, and whoever called says so.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from sallyport.adapters.reading import Asking, asking, pages
from sallyport.audit.posture import access_keys
from sallyport.audit.posture.coverage import Trail
from sallyport.errors import UnreadableError

PAGE: Final = 1_000
"""IAM's longest page. One of roles has their trust policies with it."""

# What CloudTrail itself lets trails leave out of management events
# (https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedFieldSelector.html).
_LOUD: Final = frozenset({"kms.amazonaws.com", "rdsdata.amazonaws.com"})

REPORT_WAIT: Final = 30.0
"""Seconds. IAM makes a credential report in a few, and keeps it for four hours."""

Progress = Callable[[int, int], None]
"""How many of how many."""


class Iam(Protocol):
    """The part of boto3's IAM client that is used here."""

    def list_roles(self, **arguments: object) -> dict[str, Any]:
        """List a page of roles with their trust policies."""

    def get_account_summary(self) -> dict[str, Any]:
        """Say how many of everything there are."""

    def generate_credential_report(self) -> dict[str, Any]:
        """Begin with a report, or say that there is one."""

    def get_credential_report(self) -> dict[str, Any]:
        """Return the report."""


class Organizations(Protocol):
    """The part of boto3's client for AWS Organizations that is used here."""

    def describe_organization(self) -> dict[str, Any]:
        """Describe the organisation that the account is in."""

    def list_accounts(self, **arguments: object) -> dict[str, Any]:
        """List a page of its accounts."""


class CloudTrail(Protocol):
    """The part of boto3's CloudTrail client that is used here."""

    def describe_trails(self, **arguments: object) -> dict[str, Any]:
        """Describe the trails that record this Region, wherever they were made."""

    def get_trail_status(self, **arguments: object) -> dict[str, Any]:
        """Say whether a trail records."""

    def get_event_selectors(self, **arguments: object) -> dict[str, Any]:
        """Say which events it records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """What an account can find out about its organisation: nothing, the id, or the accounts too."""

    id: str = ""
    accounts: frozenset[str] | None = None


def read_roles(
    iam: Iam, update: Progress = lambda _done, _all: None, *, ask: Asking = asking
) -> list[Mapping[str, Any]]:
    """Return all roles.

    Raises:
        UnreadableError: they may not be listed.
        UnavailableError: AWS cannot be reached; with ``ask``, what that raises instead.
    """
    with ask("list roles (iam:ListRoles)"):
        total = _role_count(iam)
        found: list[Mapping[str, Any]] = []
        for page in pages(iam.list_roles, "Marker", MaxItems=PAGE):
            found += page["Roles"]
            update(len(found), max(total, len(found)))
        return found


def read_keys(
    iam: Iam,
    *,
    ask: Asking = asking,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Sequence[access_keys.Key]:
    """Return the active access keys that the credential report has, root's among them.

    Raises:
        UnreadableError: it may not be read, or is not made in time.
        UnavailableError: AWS cannot be reached; with ``ask``, what that raises instead.
    """
    with ask("read the credential report (iam:GenerateCredentialReport)"):
        until = clock() + REPORT_WAIT
        while iam.generate_credential_report().get("State") != "COMPLETE":
            if clock() >= until:
                raise UnreadableError("unreadable", "IAM did not make the credential report in time")
            sleep(1.0)
        content = iam.get_credential_report()["Content"]
    try:
        return list(access_keys.of_report(access_keys.read_report(content)))
    except ValueError as error:
        raise UnreadableError(
            "unreadable", "the credential report has a form that is not known here"
        ) from error


def read_organization(client: Organizations, *, ask: Asking = asking) -> Organization:
    """Return what may be known of the organisation; most accounts may not list its accounts."""
    try:
        with ask("describe the organisation (organizations:DescribeOrganization)"):
            identifier = str(client.describe_organization()["Organization"]["Id"])
    except UnreadableError:
        return Organization()
    try:
        with ask("list the organisation's accounts (organizations:ListAccounts)"):
            accounts = [
                str(one["Id"])
                for page in pages(client.list_accounts, "NextToken")
                for one in page["Accounts"]
            ]
    except UnreadableError:
        return Organization(id=identifier)
    return Organization(id=identifier, accounts=frozenset(accounts))


def read_trails(client: CloudTrail) -> list[Trail]:
    """Return the trails of this Region, those of other Regions and of the organisation that cover it too.

    Raises:
        UnreadableError: they may not be listed.
        UnavailableError: AWS cannot be reached.
    """
    with asking("look at trails (cloudtrail:DescribeTrails)"):
        described = client.describe_trails(includeShadowTrails=True).get("trailList", [])
    return [
        Trail(arn=arn, is_logging=_is_logging(client, arn), brings=_brings(client, arn))
        for arn in (str(one["TrailARN"]) for one in described)
    ]


def _is_logging(client: CloudTrail, arn: str) -> bool | None:
    try:
        with asking("see whether a trail records (cloudtrail:GetTrailStatus)"):
            found = client.get_trail_status(Name=arn).get("IsLogging")
    except UnreadableError:
        return None
    return found if isinstance(found, bool) else None


def _brings(client: CloudTrail, arn: str) -> bool | None:
    """Tell whether a trail records management events, those that only read among them."""
    try:
        with asking("see what a trail records (cloudtrail:GetEventSelectors)"):
            found = client.get_event_selectors(TrailName=arn)
    except UnreadableError:
        return None
    simple = found.get("EventSelectors") or ()
    advanced = found.get("AdvancedEventSelectors") or ()
    return any(
        one.get("IncludeManagementEvents") and one.get("ReadWriteType") == "All" for one in simple
    ) or any(map(_has_management, advanced))


def _has_management(selector: Mapping[str, Any]) -> bool:
    """Tell whether a selector takes all management events, but for those of services that are only loud."""
    fields = {str(one.get("Field")): one for one in selector.get("FieldSelectors", ())}
    category, source = fields.pop("eventCategory", {}), fields.pop("eventSource", {})
    left_out = source.keys() <= {"Field", "NotEquals"} and {*source.get("NotEquals", ())} <= _LOUD
    # Any other field takes some: reads or writes, what some users do, or some calls.
    return "Management" in category.get("Equals", ()) and left_out and not fields


def _role_count(iam: Iam) -> int:
    """Return how many roles there are, for how far it is; not everybody may know."""
    try:
        return int(iam.get_account_summary()["SummaryMap"]["Roles"])
    except (ClientError, KeyError):
        return 0
