"""Whether the roles of a trust file demand the ExternalId that says for whom they may be assumed.

And, for holders of certificates, whether they let the right function in and let it say who that is: a
session for a certificate always has a source identity, and mostly tags, and STS refuses the whole of it
where the trust policy allows the session and not those.

Only the account's own roles can be read; posture looks at the others from inside their accounts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from botocore.exceptions import ClientError

from sallyport_cli.aws import asking
from sallyport_cli.trust_table import Items
from sallyport_cli.trust_view import external_id


class Iam(Protocol):
    """The part of boto3's IAM client that is used here."""

    def get_role(self, **arguments: object) -> dict[str, Any]:
        """Read a role with its trust policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleWarning:
    """Something about a role that its owner should mend; nothing that keeps a file from being applied."""

    role: str
    profile: str
    text: str
    cure: str


def warnings(client: Iam, items: Items, account: str) -> Iterator[RoleWarning]:
    """Yield what is amiss with the account's own roles, by role."""
    for key in sorted(items):
        role = key.removeprefix("role#")
        if key == role or role.split(":")[4] != account:
            continue
        wanted = [(one, found) for one in items[key]["profiles"] if (found := external_id(one)) is not None]
        if not wanted:
            continue
        policy = _trust_policy(client, role)
        for one, expected in wanted:
            complaints = [_complaint(policy, expected)]
            if policy is not None and one.get("certificate") is not None:
                complaints += _of_certificates(policy)
            for text, cure in complaints:
                if text:
                    yield RoleWarning(role=role, profile=one["name"], text=text, cure=cure)


def _trust_policy(client: Iam, role: str) -> Mapping[str, Any] | None:
    with asking(f"read the role {role} (iam:GetRole)"):
        try:
            answer = client.get_role(RoleName=role.rpartition("/")[2])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchEntity":
                return None
            raise
    found = answer["Role"]
    # Roles of different paths cannot share a name, so another path means another role.
    return found.get("AssumeRolePolicyDocument", {}) if found["Arn"] == role else None


def _complaint(policy: Mapping[str, Any] | None, expected: str) -> tuple[str, str]:
    cure = f"In its trust policy, put StringEquals on sts:ExternalId with {expected} into every statement."
    if policy is None:
        return "there is no such role", "Create it, or correct the ARN."
    open_statement = False
    listed = False
    for statement in _list(policy.get("Statement")):
        if not _lets_assume(statement):
            continue
        values = _external_ids(statement)
        listed = listed or expected in values
        open_statement = open_statement or not values or any("*" in one or "?" in one for one in values)
    if open_statement:
        return "its trust policy does not demand an ExternalId everywhere", cure
    if not listed:
        return "its trust policy does not list this profile's ExternalId, so STS will refuse", cure
    return "", ""


_NEEDED = {
    "sts:TagSession": "the certificate's fields become tags of the session",
    "sts:SetSourceIdentity": "the session has the certificate's subject as its source identity",
}
"""What a session for a certificate needs besides sts:AssumeRole, and why."""

_ASSUME_ROLE = "-assume-role"
"""How the name of the other function's role ends, whatever the stack is called."""

_ADD_CREATE_SESSION = (
    "Add the role of create_session: its name ends in -create-session, and the stack's outputs have it."
)


def _of_certificates(policy: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a trust policy lacks for those who come with a certificate."""
    statements = _list(policy.get("Statement"))
    for action, why in _NEEDED.items():
        if not any(_allows(one, action) for one in statements):
            yield (
                f"its trust policy does not allow {action}, so STS will refuse: {why}",
                f"Allow {action} to the principal that may sts:AssumeRole.",
            )
    principals = [
        one for statement in statements if _lets_assume(statement) for one in _principals(statement)
    ]
    if principals and all(one.endswith(_ASSUME_ROLE) for one in principals):
        yield (
            "its trust policy lets only the role of assume_role in, and certificates come by create_session",
            _ADD_CREATE_SESSION,
        )
    if not principals and any("rolesanywhere.amazonaws.com" in _services(one) for one in statements):
        yield (
            "its trust policy lets IAM Roles Anywhere in, and not Sallyport",
            _ADD_CREATE_SESSION,
        )


def _lets_assume(statement: Mapping[str, Any]) -> bool:
    return _allows(statement, "sts:AssumeRole")


def _allows(statement: Mapping[str, Any], wanted: str) -> bool:
    """Tell whether a statement lets some role or account make a call; services are not meant."""
    actions = _list(statement.get("Action"))
    return (
        statement.get("Effect") == "Allow"
        and bool(_principals(statement))
        and any(fnmatchcase(wanted.lower(), str(action).lower()) for action in actions)
    )


def _principals(statement: Mapping[str, Any]) -> list[str]:
    """Return the roles and accounts that a statement is about."""
    principal = statement.get("Principal")
    if principal == "*":
        return ["*"]
    return [str(one) for one in _list(principal.get("AWS"))] if isinstance(principal, Mapping) else []


def _services(statement: Mapping[str, Any]) -> list[str]:
    principal = statement.get("Principal")
    return [str(one) for one in _list(principal.get("Service"))] if isinstance(principal, Mapping) else []


def _external_ids(statement: Mapping[str, Any]) -> list[str]:
    """Return what a statement demands as ExternalId; nothing where it may be missing."""
    found: list[str] = []
    for operator, block in statement.get("Condition", {}).items():
        if operator in {"StringEquals", "StringLike"}:
            for key, values in block.items():
                if key.lower() == "sts:externalid":
                    found += [str(value) for value in _list(values)]
    return found


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - JSON that IAM wrote
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
