"""What an anchor in a trust file must be, beyond its form."""

import re
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from sallyport.model import Dialect
from sallyport.trust.issuers import (
    ARM_AUDIENCES,
    GRAPH_AUDIENCES,
    MICROSOFT_HOSTS,
    check_issuer,
    is_host,
    is_loopback,
    microsoft_tenant,
)
from sallyport.trust.limits import MAX_KEYS_MAX_AGE, MIN_KEYS_MAX_AGE
from sallyport.trust.problems import Problems, refuse
from sallyport.trust.profiles import FORMAT
from sallyport.trust.schema import DURATION_PATTERN, NAME_PATTERN

# What all our ids are derived from, so that a name in an account always has the same ones.
SALLYPORT_NAMESPACE: Final = UUID("6c1f0f6e-5d0b-4b53-9d0f-0a3f7f7f2b61")

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a trust file is meant for."""

    account: str
    region: str
    partition: str
    local_cloud: bool

    def stable_id(self, kind: str, name: str) -> str:
        """Return the id that a name always has in this account."""
        return str(uuid5(SALLYPORT_NAMESPACE, f"{self.account}/{kind}/{name}"))

    def arn(self, kind: str, identifier: str) -> str:
        """Return an ARN in the form of IAM Roles Anywhere's, because clients parse it."""
        return f"arn:{self.partition}:rolesanywhere:{self.region}:{self.account}:{kind}/{identifier}"


def check_name(name: str) -> None:
    """Refuse a name of an anchor or profile that would not be legal everywhere it goes.

    Raises:
        TrustFileError: it is not.
    """
    # The schema's pattern lets a line break at the end pass; what is stored must not.
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise refuse(f"{name!r} cannot be a name", "use lower-case letters, digits and -, at most 32")


def seconds(text: str) -> int:
    """Return a duration such as ``15m`` in seconds.

    Raises:
        TrustFileError: it is not in that form.
    """
    if re.fullmatch(DURATION_PATTERN, text) is None:
        raise refuse(f"{text!r} is not a duration", "write a number and s, m, h or d, such as 1h")
    return int(text[:-1]) * _SECONDS[text[-1]]


def anchor_document(name: str, declared: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return the form in which an anchor is stored.

    Raises:
        TrustFileError: it may not be one; carries every problem found.
    """
    problems = Problems()
    with problems.at():
        check_name(name)
    if declared["kind"] != "oidc":
        raise refuse(
            "anchors of kind x509 are not supported by this version",
            "use an anchor of kind oidc, or leave this one out",
            "kind",
        )
    dialect = Dialect(declared.get("dialect", Dialect.PLAIN))
    tenant = None
    with problems.at("issuer"):
        tenant = _tenant(declared["issuer"], dialect)
    _check_audiences(declared, dialect, problems)
    keys_max_age = 0
    with problems.at("keys_max_age"):
        keys_max_age = _keys_max_age(declared.get("keys_max_age", "24h"))
    for index, host in enumerate(declared.get("jwks_hosts", ())):
        if not is_host(host) or host != host.lower():
            problems.add(
                ("jwks_hosts", index),
                f"{host!r} is not the name of a host",
                "write the name alone, lower case",
            )
    with problems.at("local_discovery"):
        _check_local_discovery(declared.get("local_discovery"), place)
    problems.raise_if_any()
    identifier = place.stable_id("trust-anchor", name)
    return {
        "format": FORMAT,
        "kind": "oidc",
        "name": name,
        "id": identifier,
        "arn": place.arn("trust-anchor", identifier),
        "issuer": declared["issuer"],
        "dialect": dialect.value,
        "audiences": sorted(declared["audiences"]),
        "algorithms": list(declared.get("algorithms", ["RS256"])),
        "replay": declared.get("replay", "allow"),
        "tenant": tenant,
        "allow_arm_audience": declared.get("allow_arm_audience", False),
        "keys_max_age": keys_max_age,
        "jwks_hosts": list(declared.get("jwks_hosts", ())),
        "local_discovery": declared.get("local_discovery"),
        "description": declared.get("description", ""),
    }


def _tenant(issuer: str, dialect: Dialect) -> str | None:
    host = check_issuer(issuer)
    if host in MICROSOFT_HOSTS:
        tenant = microsoft_tenant(issuer, host)
        if dialect is not Dialect.ENTRA:
            raise refuse(
                "a Microsoft issuer needs Microsoft's own rules, which tell tenants, users and apps apart",
                "add dialect: entra",
            )
        return tenant
    if dialect is Dialect.ENTRA:
        raise refuse("dialect entra is for Microsoft's issuers", "use dialect: plain, or correct the issuer")
    return None


def _check_audiences(declared: dict[str, Any], dialect: Dialect, problems: Problems) -> None:
    allows_arm = declared.get("allow_arm_audience", False)
    if allows_arm and dialect is not Dialect.ENTRA:
        problems.add(
            ("allow_arm_audience",), "only Microsoft's issuers know such an audience", "leave it out"
        )
    for index, audience in enumerate(declared["audiences"]):
        path = ("audiences", index)
        plain = audience.lower().rstrip("/")
        if "*" in audience or not audience.isprintable():
            problems.add(path, "audiences are compared exactly, so this one never occurs", "list each one")
        if dialect is not Dialect.ENTRA:
            continue
        if plain in GRAPH_AUDIENCES:
            problems.add(
                path,
                "a token for Microsoft Graph can be verified by nobody else",
                "register an application of your own and use its identifier",
            )
        if plain in ARM_AUDIENCES and not allows_arm:
            problems.add(
                path,
                "whoever receives a token for Azure Resource Manager could present it here",
                "register an application of your own, or accept that with allow_arm_audience: true",
            )


def _keys_max_age(text: str) -> int:
    age = seconds(text)
    if not MIN_KEYS_MAX_AGE <= age <= MAX_KEYS_MAX_AGE:
        raise refuse(f"keys cannot be believed for {text}", "choose 3h to 7d")
    return age


def _check_local_discovery(address: str | None, place: Place) -> None:
    if address is None:
        return
    if not place.local_cloud:
        raise refuse(
            "only the local cloud takes keys from another place than the issuer's",
            "leave local_discovery out",
        )
    if not is_loopback(address):
        raise refuse(f"{address!r} is not on this machine", "write http://127.0.0.1:<port>/<path>")
