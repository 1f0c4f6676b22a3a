"""Whether the roles of a trust file demand the ExternalId that says for whom they may be assumed.

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
        wanted = {one["name"]: external_id(one) for one in items[key]["profiles"]}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        if not wanted:
            continue
        policy = _trust_policy(client, role)
        for name, value in wanted.items():
            text, cure = _complaint(policy, str(value))
            if text:
                yield RoleWarning(role=role, profile=name, text=text, cure=cure)


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


def _lets_assume(statement: Mapping[str, Any]) -> bool:
    """Tell whether a statement lets some role or account call AssumeRole; services are not meant."""
    principal = statement.get("Principal")
    is_aws = principal == "*" or (isinstance(principal, Mapping) and "AWS" in principal)
    actions = _list(statement.get("Action"))
    return (
        statement.get("Effect") == "Allow"
        and is_aws
        and any(fnmatchcase("sts:assumerole", str(action).lower()) for action in actions)
    )


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
