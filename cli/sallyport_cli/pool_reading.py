"""A user pool with all its app clients and identity providers, as Cognito describes them.

An app client's secret and a provider's details, which hold one as well, are dropped at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from sallyport_cli.aws import asking

PAGE = 60
"""Cognito's longest page."""

ACTIONS = (
    "DescribeUserPool",
    "ListUserPoolClients",
    "DescribeUserPoolClient",
    "ListIdentityProviders",
    "DescribeIdentityProvider",
)
"""What whoever checks a pool must be allowed, of cognito-idp."""

_SECRETS = frozenset({"ClientSecret", "ProviderDetails"})


class Cognito(Protocol):
    """The part of boto3's cognito-idp client that is used here."""

    def describe_user_pool(self, **arguments: object) -> dict[str, Any]:
        """Describe a pool."""

    def list_user_pool_clients(self, **arguments: object) -> dict[str, Any]:
        """List a page of its app clients."""

    def describe_user_pool_client(self, **arguments: object) -> dict[str, Any]:
        """Describe one of them."""

    def list_identity_providers(self, **arguments: object) -> dict[str, Any]:
        """List a page of its identity providers."""

    def describe_identity_provider(self, **arguments: object) -> dict[str, Any]:
        """Describe one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPool:
    """What ``cognito.pool_check.check_pool`` looks at."""

    pool: Mapping[str, Any]
    clients: tuple[Mapping[str, Any], ...]
    providers: tuple[Mapping[str, Any], ...]


def read_pool(client: Cognito, pool_id: str) -> ReadPool | None:
    """Read a pool; ``None`` if there is none with this id.

    Raises:
        CommandError: it, or a part of it, may not be looked at.
    """
    with asking(f"look at the user pool {pool_id} (cognito-idp:{', '.join(ACTIONS)})"):
        try:
            pool = client.describe_user_pool(UserPoolId=pool_id)["UserPool"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                return None
            raise
        clients = [
            client.describe_user_pool_client(UserPoolId=pool_id, ClientId=one["ClientId"])["UserPoolClient"]
            for one in _pages(client.list_user_pool_clients, "UserPoolClients", pool_id)
        ]
        providers = [
            client.describe_identity_provider(UserPoolId=pool_id, ProviderName=one["ProviderName"])[
                "IdentityProvider"
            ]
            for one in _pages(client.list_identity_providers, "Providers", pool_id)
        ]
    return ReadPool(
        pool=pool,
        clients=tuple(map(_without_secrets, clients)),
        providers=tuple(map(_without_secrets, providers)),
    )


def _pages(call: Any, member: str, pool_id: str) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - boto3
    token: dict[str, str] = {}
    while True:
        page = call(UserPoolId=pool_id, MaxResults=PAGE, **token)
        yield from page.get(member, ())
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _without_secrets(described: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in described.items() if name not in _SECRETS}
