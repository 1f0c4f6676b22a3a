"""What ``sallyport posture`` reads of an account; what may not be read is noted and left out."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from sallyport.audit import access_keys
from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError

PAGE = 1_000
"""IAM's longest page. One of roles has their trust policies with it."""

MAX_PAGES = 100
"""An account has 5,000 roles at the most; a list that goes on and on is none of IAM's."""

REPORT_WAIT = 30.0
"""Seconds. IAM makes a credential report in a few, and keeps it for four hours."""

Progress = Callable[[int, int], None]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """What an account can find out about its organisation: nothing, the id, or the accounts too."""

    id: str = ""
    accounts: frozenset[str] | None = None


class UnreadableError(CommandError):
    """A part of an account may not be read, or cannot; the detail says why."""

    def __init__(self, detail: str) -> None:
        super().__init__("unreadable", detail)


def read_roles(iam: Iam, update: Progress) -> list[Mapping[str, Any]]:
    """Return all roles.

    Raises:
        UnreadableError: they may not be listed.
        CommandError: AWS cannot be reached.
    """
    with _reading("list roles (iam:ListRoles)"):
        total = _role_count(iam)
        found: list[Mapping[str, Any]] = []
        for page in _pages(iam.list_roles, "Marker", MaxItems=PAGE):
            found += page["Roles"]
            update(len(found), max(total, len(found)))
        return found


def read_keys(
    iam: Iam, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
) -> Sequence[access_keys.Key]:
    """Return the active access keys that the credential report has, root's among them.

    Raises:
        UnreadableError: it may not be read, or is not made in time.
        CommandError: AWS cannot be reached.
    """
    with _reading("read the credential report (iam:GenerateCredentialReport)"):
        until = clock() + REPORT_WAIT
        while iam.generate_credential_report().get("State") != "COMPLETE":
            if clock() >= until:
                raise UnreadableError("IAM did not make the credential report in time")
            sleep(1.0)
        content = iam.get_credential_report()["Content"]
    try:
        return list(access_keys.of_report(access_keys.read_report(content)))
    except ValueError as error:
        raise UnreadableError("the credential report has a form that is not known here") from error


def read_organization(client: Organizations) -> Organization:
    """Return what may be known of the organisation; most accounts may not list its accounts."""
    try:
        with _reading("describe the organisation (organizations:DescribeOrganization)"):
            identifier = str(client.describe_organization()["Organization"]["Id"])
    except UnreadableError:
        return Organization()
    try:
        with _reading("list the organisation's accounts (organizations:ListAccounts)"):
            accounts = [
                str(one["Id"])
                for page in _pages(client.list_accounts, "NextToken")
                for one in page["Accounts"]
            ]
    except UnreadableError:
        return Organization(id=identifier)
    return Organization(id=identifier, accounts=frozenset(accounts))


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Say of what AWS refuses that it cannot be read; what is amiss with the way to AWS stays what it is."""
    try:
        with asking(what):
            yield
    except UnreadableError:
        raise
    except CommandError as error:
        if isinstance(error.__cause__, ClientError):
            raise UnreadableError(error.detail) from error
        raise


def _role_count(iam: Iam) -> int:
    """Return how many roles there are, for how far it is; not everybody may know."""
    try:
        return int(iam.get_account_summary()["SummaryMap"]["Roles"])
    except (ClientError, KeyError):
        return 0


def _pages(call: Callable[..., dict[str, Any]], marker: str, **arguments: object) -> Iterator[dict[str, Any]]:
    for _ in range(MAX_PAGES):
        page = call(**arguments)
        yield page
        following = page.get(marker)
        if not following or page.get("IsTruncated") is False:
            return
        arguments[marker] = following
    raise UnreadableError("the list does not come to an end")
