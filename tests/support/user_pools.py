"""A trust file of a SaaS with a user pool, and the pool and its trigger at the ports of boto3."""

import base64
import hashlib
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.support.cognito_events import MACHINE, POOL, TENANT, WEB
from tests.support.fake_aws import FakeLambda

ROLE = "arn:aws:iam::111122223333:role/sallyport/tenant"
ISSUER = f"https://cognito-idp.eu-central-1.amazonaws.com/{POOL}"
TRIGGER = "arn:aws:lambda:eu-central-1:111122223333:function:trigger:live"
TAG = "token:https://aws.amazon.com/tags/principal_tags/"
TENANT_TAG = f"${{{TAG}TenantID}}"


def pool(**changes: Any) -> dict[str, Any]:
    """Declare a user pool; a change to ``None`` leaves the field out."""
    declared = {
        "id": POOL,
        "providers": {"GlobexLogin": {"TenantID": "globex"}},
        "clients": {
            WEB: {
                "use": "users",
                "tags": {
                    "TenantID": {"attribute": TENANT, "transitive": True},
                    "Plan": {"groups": {"gold-plan": "gold"}, "isolates": False, "optional": True},
                },
                "source_identity": "saas.",
            },
            MACHINE: {"use": "machine", "tags": {"TenantID": {"constant": "acme"}}},
        },
        **changes,
    }
    return {key: value for key, value in declared.items() if value is not None}


def users(tags: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Declare a pool's only app client, with these tags."""
    return {
        WEB: {"use": "users", "tags": {"TenantID": {"attribute": TENANT}} if tags is None else tags, **more}
    }


def anchor(**changes: Any) -> dict[str, Any]:
    """Declare the anchor for the pool."""
    declared = {"kind": "oidc", "issuer": ISSUER, "dialect": "cognito", "audiences": [WEB], **changes}
    return {key: value for key, value in declared.items() if value is not None}


def profile(**changes: Any) -> dict[str, Any]:
    """Declare a profile for all tenants of the pool; a change to ``None`` leaves the field out."""
    declared = {
        "trust_anchor": "saas",
        "roles": [ROLE],
        "unconditional": True,
        "session_tags": {"TenantID": TENANT_TAG},
        "transitive_tags": ["TenantID"],
        **changes,
    }
    return {key: value for key, value in declared.items() if value is not None}


def trust_file(
    profiles: dict[str, Any] | None = None,
    *,
    pools: dict[str, Any] | None = None,
    of_anchor: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Declare a whole file: one pool, its anchor and one profile."""
    return deepcopy(
        {
            "version": 1,
            "trust_anchors": {"saas": anchor() if of_anchor is None else of_anchor},
            "profiles": {"tenant": profile()} if profiles is None else profiles,
            "user_pools": {"saas": pool()} if pools is None else pools,
        }
    )


def not_found(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, operation)


def forbidden(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not you"}}, operation)


@dataclass
class FakeCognito:
    """One user pool as the template makes it, to be bent; lists come one to a page."""

    pool: dict[str, Any] = field(
        default_factory=lambda: {
            "Id": POOL,
            "SchemaAttributes": [{"Name": "sub", "Mutable": False}, {"Name": TENANT, "Mutable": False}],
            "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True},
            "LambdaConfig": {"PreTokenGenerationConfig": {"LambdaVersion": "V3_0", "LambdaArn": TRIGGER}},
        }
    )
    clients: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            WEB: {"WriteAttributes": ["email"], "AllowedOAuthFlows": ["code"]},
            MACHINE: {
                "WriteAttributes": ["email"],
                "AllowedOAuthFlows": ["client_credentials"],
                "ClientSecret": "client-secret-canary",
            },
        }
    )
    providers: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "GlobexLogin": {
                "ProviderType": "OIDC",
                "AttributeMapping": {"email": "email"},
                "ProviderDetails": {"client_secret": "provider-secret-canary"},
            }
        }
    )
    forbidden: str = ""
    asked: list[str] = field(default_factory=list)

    def _ask(self, operation: str, pool_id: str) -> None:
        self.asked.append(operation)
        if operation == self.forbidden:
            raise forbidden(operation)
        if pool_id != self.pool["Id"]:
            raise not_found(operation)

    def describe_user_pool(self, **arguments: Any) -> dict[str, Any]:
        self._ask("DescribeUserPool", arguments["UserPoolId"])
        return {"UserPool": self.pool}

    def list_user_pool_clients(self, **arguments: Any) -> dict[str, Any]:
        self._ask("ListUserPoolClients", arguments["UserPoolId"])
        return self._page("UserPoolClients", "ClientId", list(self.clients), arguments)

    def describe_user_pool_client(self, **arguments: Any) -> dict[str, Any]:
        self._ask("DescribeUserPoolClient", arguments["UserPoolId"])
        name = arguments["ClientId"]
        return {"UserPoolClient": {"ClientId": name, **self.clients[name]}}

    def list_identity_providers(self, **arguments: Any) -> dict[str, Any]:
        self._ask("ListIdentityProviders", arguments["UserPoolId"])
        return self._page("Providers", "ProviderName", list(self.providers), arguments)

    def describe_identity_provider(self, **arguments: Any) -> dict[str, Any]:
        self._ask("DescribeIdentityProvider", arguments["UserPoolId"])
        name = arguments["ProviderName"]
        return {"IdentityProvider": {"ProviderName": name, **self.providers[name]}}

    @staticmethod
    def _page(member: str, name: str, names: list[str], arguments: dict[str, Any]) -> dict[str, Any]:
        start = int(arguments.get("NextToken", "0"))
        page: dict[str, Any] = {member: [{name: one} for one in names[start : start + 1]]}
        if start + 1 < len(names):
            page["NextToken"] = str(start + 1)
        return page


@dataclass
class FakeTrigger(FakeLambda):
    """Lambda with the trigger in it, behind an alias."""

    exists: bool = True
    variables: dict[str, str] = field(default_factory=dict)
    layers: dict[str, bytes] = field(default_factory=dict)
    described: list[dict[str, Any]] = field(default_factory=list)
    is_forbidden: bool = False

    def get_function_configuration(self, **arguments: Any) -> dict[str, Any]:
        """Answer as Lambda does; what it says beyond the function's ARN differs between clouds."""
        self.described.append(arguments)
        if self.is_forbidden:
            raise forbidden("GetFunctionConfiguration")
        if not self.exists:
            raise not_found("GetFunctionConfiguration")
        return {
            "FunctionArn": TRIGGER.removesuffix(":live"),
            "Environment": {"Variables": self.variables},
            "Layers": [{"Arn": arn} for arn in self.layers],
        }

    def get_layer_version_by_arn(self, **arguments: Any) -> dict[str, Any]:
        """Answer as Lambda does."""
        digest = hashlib.sha256(self.layers[arguments["Arn"]]).digest()
        return {"Content": {"CodeSha256": base64.b64encode(digest).decode()}}
