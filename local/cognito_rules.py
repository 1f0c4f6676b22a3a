"""What the emulator's Cognito lets everybody do and Cognito does not: sign up, and write any attribute.

The fault proxy asks here before it passes a user's call on. What Cognito checks, by the API reference of
SignUp, UpdateUserAttributes and RespondToAuthChallenge and the developer guide's page on attributes:

- nobody signs up at a pool where administrators alone create users;
- through an app client users write the attributes in its ``WriteAttributes`` and no others;
- an attribute that is not mutable keeps its first value.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

OPERATIONS = frozenset({"SignUp", "UpdateUserAttributes", "DeleteUserAttributes", "RespondToAuthChallenge"})
"""The operations by which users write attributes."""

_IN_A_CHALLENGE = "userAttributes."


class Refusal(NamedTuple):
    """Cognito's error: its code and its words."""

    code: str
    text: str


class Pools(Protocol):
    """What the rules need to know of user pools."""

    def described(self, client_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """Return a pool and its app client, as DescribeUserPool and DescribeUserPoolClient do."""


def refusal(operation: str, body: bytes, pools: Pools) -> Refusal | None:
    """Return what Cognito would answer where the emulator would not, or nothing."""
    asked = _asked(body) if operation in OPERATIONS else {}
    client_id = asked.get("ClientId") or _client_of(str(asked.get("AccessToken", "")))
    found = pools.described(client_id) if client_id else None
    return None if found is None else _against(operation, asked, *found)


def _against(
    operation: str, asked: Mapping[str, Any], pool: Mapping[str, Any], client: Mapping[str, Any]
) -> Refusal | None:
    if operation == "SignUp" and pool.get("AdminCreateUserConfig", {}).get("AllowAdminCreateUserOnly"):
        return Refusal("NotAuthorizedException", "SignUp is not permitted for this user pool")
    written = _written(asked)
    writable = client.get("WriteAttributes") or ()
    if any(name not in writable for name in written):
        return Refusal("NotAuthorizedException", "A client attempted to write unauthorized attribute")
    kept = {one["Name"] for one in pool.get("SchemaAttributes", ()) if one.get("Mutable") is False}
    if operation != "SignUp" and (fixed := sorted(kept & written)):
        return Refusal("InvalidParameterException", f"user.{fixed[0]}: Attribute cannot be updated.")
    return None


def _asked(body: bytes) -> Mapping[str, Any]:
    try:
        asked = json.loads(body)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


def _written(asked: Mapping[str, Any]) -> set[str]:
    listed = {str(one.get("Name")) for one in asked.get("UserAttributes", ())}
    answered = asked.get("ChallengeResponses", {})
    return {
        *listed,
        *asked.get("UserAttributeNames", ()),
        *(name.removeprefix(_IN_A_CHALLENGE) for name in answered if name.startswith(_IN_A_CHALLENGE)),
    }


def _client_of(token: str) -> str:
    payload = token.split(".")[1] if token.count(".") else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)) or b"{}")
    except ValueError:
        return ""
    return str(claims.get("client_id", ""))


@dataclass(frozen=True, slots=True)
class EmulatorsPools:
    """Asks the emulator as its operator."""

    endpoint: str
    region: str
    account: str
    secret: str

    def described(self, client_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """Look through all pools; there are one or two."""
        cognito = boto3.client(
            "cognito-idp",
            region_name=self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.account,
            aws_secret_access_key=self.secret,
            config=Config(retries={"total_max_attempts": 2}, proxies={}),
        )
        for one in cognito.list_user_pools(MaxResults=60)["UserPools"]:
            try:
                client = cognito.describe_user_pool_client(UserPoolId=one["Id"], ClientId=client_id)
            except ClientError:
                continue
            return cognito.describe_user_pool(UserPoolId=one["Id"])["UserPool"], client["UserPoolClient"]
        return None
