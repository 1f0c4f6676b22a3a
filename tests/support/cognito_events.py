"""Cognito's events, a mapping that fits them, and STS's reading of what comes out."""

import copy
import json
from pathlib import Path
from typing import Any

from sallyport.cognito.load import read_mapping
from sallyport.cognito.mapping import TagMapping

EVENTS = Path(__file__).parents[2] / "events"
POOL = "eu-central-1_ExaMPle01"
WEB = "1example23456789webclient0"
MACHINE = "2example3456789acmemachine"
SUB = "a1b2c3d4-5678-4abc-9def-111122223333"
TENANT = "custom:tenant_id"
AWS = "https://aws.amazon.com/"
DETAILS = "claimsAndScopeOverrideDetails"

USER_SOURCES = (
    "TokenGeneration_HostedAuth",
    "TokenGeneration_Authentication",
    "TokenGeneration_NewPasswordChallenge",
    "TokenGeneration_AuthenticateDevice",
    "TokenGeneration_RefreshTokens",
)


def event(name: str = "v2", **changes: Any) -> dict[str, Any]:
    """One of ``events/pre_token_generation_*.json``, with top-level members changed."""
    found: dict[str, Any] = json.loads((EVENTS / f"pre_token_generation_{name}.json").read_text())
    return found | changes


def with_attributes(name: str = "v2", **attributes: Any) -> dict[str, Any]:
    """An event whose user has other attributes; ``tenant`` stands for the tenant's, ``None`` removes."""
    changed = event(name)
    of_user = changed["request"]["userAttributes"]
    named = {TENANT if key == "tenant" else key: value for key, value in attributes.items()}
    of_user |= named
    for key in [key for key, value in named.items() if value is None]:
        del of_user[key]
    return changed


def with_identities(*providers: str, status: str | None = "EXTERNAL_PROVIDER", **more: Any) -> dict[str, Any]:
    """A user with identities of these providers."""
    identities = [
        {"userId": f"u{n}", "providerName": name, "providerType": "OIDC", "issuer": None, "primary": n == 0}
        for n, name in enumerate(providers)
    ]
    changes = {"identities": json.dumps(identities), "cognito:user_status": status}
    return with_attributes(**(changes | more))


def with_groups(*groups: Any) -> dict[str, Any]:
    changed = event()
    changed["request"]["groupConfiguration"]["groupsToOverride"] = list(groups)
    return changed


TENANT_TAG: dict[str, Any] = {"attribute": TENANT}


def document(
    *,
    tags: dict[str, Any] | None = None,
    machine: dict[str, Any] | None = None,
    client: dict[str, Any] | None = None,
    **pool: Any,
) -> dict[str, Any]:
    """A mapping's document: by default the tenant from its attribute, Globex's from its provider."""
    if tags is None:
        pool.setdefault("providers", {"GlobexLogin": {"TenantID": "globex"}})
    users = {"use": "users", "tags": {"TenantID": TENANT_TAG} if tags is None else tags} | (client or {})
    machines = {
        "use": "machine",
        "tags": {"TenantID": {"constant": "acme"}} if machine is None else machine,
    }
    clients = {WEB: users}
    if tags is None or machine is not None:
        clients[MACHINE] = machines
    return copy.deepcopy({"format": 1, "pools": {POOL: {"clients": clients} | pool}})


def mapping(**parts: Any) -> TagMapping:
    return read_mapping(document(**parts))


def details(answer: dict[str, Any]) -> dict[str, Any]:
    """The override details of an answer, whichever version it is of."""
    found = answer["response"]["claimsOverrideDetails" if answer["version"] == "1" else DETAILS]
    assert isinstance(found, dict)
    return found


def added(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims added to each of the tokens that the event is about."""
    found = details(answer)
    if answer["version"] == "1":
        return [found["claimsToAddOrOverride"]]
    of_machine = answer["triggerSource"] not in USER_SOURCES
    tokens = ["accessTokenGeneration"] if of_machine else ["idTokenGeneration", "accessTokenGeneration"]
    return [found[name]["claimsToAddOrOverride"] for name in tokens]


def read_by_sts(claims: dict[str, Any]) -> dict[str, Any]:
    """What STS makes of a token's claims: tags, transitive keys, source identity, roles.

    Refuses what STS refuses: a bare string in the nested form, anything but a string in the flattened
    one, the same key twice.
    """
    tags: dict[str, str] = {}
    transitive: list[str] = []
    for name, value in claims.items():
        if name == AWS + "tags":
            assert set(value) <= {"principal_tags", "transitive_tag_keys"}
            for key, values in value["principal_tags"].items():
                (only,) = values
                assert isinstance(only, str)
                assert key.lower() not in tags
                tags[key.lower()] = only
            transitive += value.get("transitive_tag_keys", [])
        elif name.startswith(AWS + "tags/principal_tags/"):
            key = name.removeprefix(AWS + "tags/principal_tags/").lower()
            assert isinstance(value, str)
            assert key not in tags
            tags[key] = value
        else:
            assert not name.startswith(AWS + "tags"), name
    roles = claims.get(AWS + "roles", [])
    return {
        "tags": tags,
        "transitive": transitive,
        "source_identity": claims.get(AWS + "source_identity"),
        "roles": roles.split(";") if isinstance(roles, str) else roles,
    }
