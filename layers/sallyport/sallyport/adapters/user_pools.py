"""A user pool with all its app clients and identity providers, as Cognito describes them.

An app client's secret and a provider's details, which hold one as well, are dropped at once.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from sallyport.adapters.reading import Asking, asking
from sallyport.cognito.load import read_mapping
from sallyport.cognito.pool_check import PoolProblem, Severity, check_pool

PAGE: Final = 60
"""Cognito's longest page."""

ACTIONS: Final = (
    "DescribeUserPool",
    "ListUserPoolClients",
    "DescribeUserPoolClient",
    "ListIdentityProviders",
    "DescribeIdentityProvider",
)
"""What whoever checks a pool must be allowed, of cognito-idp."""

_SECRETS: Final = frozenset({"ClientSecret", "ProviderDetails"})


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


def problems(  # noqa: PLR0913 - each has a name
    client: Cognito,
    mapping: str,
    names: Mapping[str, str],
    *,
    region: str,
    trigger: str | None,
    ask: Asking = asking,
) -> Iterator[tuple[str, PoolProblem]]:
    """Yield what is wrong with user pools, each with the name of its pool.

    Args:
        client: for the Region.
        mapping: the compiled tag mapping, which all of them are in.
        names: what the trust file calls each, by the pools' ids.
        region: where the trigger is.
        trigger: ARN of the function that must be attached; ``None`` accepts any.
        ask: says what cannot be read.

    Raises:
        UnreadableError: a pool, or a part of it, may not be looked at.
        UnavailableError: AWS cannot be reached; with ``ask``, what that raises instead.
    """
    rules = read_mapping(json.loads(mapping))
    for pool_id, name in sorted(names.items(), key=lambda pair: pair[1]):
        if pool_id.partition("_")[0] != region:
            yield (
                name,
                _error(
                    "pool-elsewhere",
                    pool_id,
                    f"the pool is not in {region}, and a trigger is in its pool's Region",
                    "Deploy Sallyport in the pool's Region as well, and declare the pool there.",
                ),
            )
            continue
        read = read_pool(client, pool_id, ask=ask)
        if read is None:
            yield name, _error("pool-missing", pool_id, "there is no such user pool", "Correct the id.")
            continue
        found = check_pool(
            rules, pool=read.pool, clients=read.clients, providers=read.providers, trigger_arn=trigger
        )
        yield from ((name, one) for one in found)


def read_pool(client: Cognito, pool_id: str, *, ask: Asking = asking) -> ReadPool | None:
    """Read a pool; ``None`` if there is none with this id.

    Raises:
        UnreadableError: it, or a part of it, may not be looked at.
        UnavailableError: AWS cannot be reached; with ``ask``, what that raises instead.
    """
    with ask(f"look at the user pool {pool_id} (cognito-idp:{', '.join(ACTIONS)})"):
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


def _error(code: str, subject: str, text: str, cure: str) -> PoolProblem:
    return PoolProblem(code=code, severity=Severity.ERROR, subject=subject, text=text, cure=cure)


def _without_secrets(described: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in described.items() if name not in _SECRETS}
