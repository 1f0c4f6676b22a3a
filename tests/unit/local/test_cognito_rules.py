"""What Cognito refuses its users, and the emulator would let them do."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.cognito_rules import OPERATIONS, refusal

TENANT = "custom:tenant_id"
UNAUTHORIZED = "A client attempted to write unauthorized attribute"


@dataclass
class Pools:
    """One pool with one client."""

    pool: dict[str, Any] = field(
        default_factory=lambda: {
            "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": False},
            "SchemaAttributes": [{"Name": TENANT, "Mutable": True}, {"Name": "name", "Mutable": True}],
        }
    )
    client: dict[str, Any] = field(default_factory=lambda: {"WriteAttributes": ["name"]})

    def described(self, client_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        return (self.pool, self.client) if client_id == "web" else None


def access_token(client_id: str = "web") -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"client_id": client_id}).encode()).rstrip(b"=")
    return f"e30.{payload.decode()}.c2ln"


def asked(operation: str, name: str) -> bytes:
    listed = [{"Name": name, "Value": "globex"}]
    bodies: dict[str, dict[str, Any]] = {
        "SignUp": {"ClientId": "web", "UserAttributes": listed},
        "UpdateUserAttributes": {"AccessToken": access_token(), "UserAttributes": listed},
        "DeleteUserAttributes": {"AccessToken": access_token(), "UserAttributeNames": [name]},
        "RespondToAuthChallenge": {
            "ClientId": "web",
            "ChallengeResponses": {"USERNAME": "x", f"userAttributes.{name}": "globex"},
        },
    }
    return json.dumps(bodies[operation]).encode()


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_users_write_what_their_client_may_write_and_nothing_else(operation: str) -> None:
    assert refusal(operation, asked(operation, "name"), Pools()) is None
    found = refusal(operation, asked(operation, TENANT), Pools())
    assert found == ("NotAuthorizedException", UNAUTHORIZED)


def test_where_administrators_create_users_nobody_signs_up() -> None:
    pools = Pools()
    pools.pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] = True
    found = refusal("SignUp", asked("SignUp", "name"), pools)
    assert found == ("NotAuthorizedException", "SignUp is not permitted for this user pool")


def test_what_is_not_mutable_has_its_first_value_at_sign_up_alone() -> None:
    pools = Pools(client={"WriteAttributes": [TENANT]})
    assert refusal("UpdateUserAttributes", asked("UpdateUserAttributes", TENANT), pools) is None
    pools.pool["SchemaAttributes"][0]["Mutable"] = False
    found = refusal("UpdateUserAttributes", asked("UpdateUserAttributes", TENANT), pools)
    assert found == ("InvalidParameterException", f"user.{TENANT}: Attribute cannot be updated.")
    assert refusal("SignUp", asked("SignUp", TENANT), pools) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"AccessToken": "x"}', b'{"AccessToken": "e30.e30.x"}', b'{"ClientId": "other"}'],
)
def test_what_is_not_about_a_known_client_is_the_emulators_to_answer(body: bytes) -> None:
    assert refusal("UpdateUserAttributes", body, Pools()) is None


def test_other_calls_are_passed_on() -> None:
    assert refusal("GetUser", asked("UpdateUserAttributes", TENANT), Pools()) is None
