"""What an anchor in a trust file must be, beyond its form."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from sallyport.model import Dialect, Replay, StaleCrls
from sallyport.trust.authorities import authorities, sign_lists
from sallyport.trust.files import crl_id
from sallyport.trust.issuers import (
    ARM_AUDIENCES,
    GRAPH_AUDIENCES,
    MICROSOFT_HOSTS,
    check_issuer,
    is_host,
    is_loopback,
    microsoft_tenant,
)
from sallyport.trust.limits import (
    MAX_AUTHORITIES,
    MAX_CRLS,
    MAX_KEYS_MAX_AGE,
    MIN_KEYS_MAX_AGE,
)
from sallyport.trust.problems import Problems, refuse
from sallyport.trust.profiles import FORMAT
from sallyport.trust.schema import DURATION_PATTERN, NAME_PATTERN
from sallyport.web_address import parse_web_address

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


def anchor_document(
    name: str, declared: dict[str, Any], place: Place, files: Mapping[str, bytes]
) -> dict[str, Any]:
    """Return the form in which an anchor is stored.

    Args:
        name: the anchor's.
        declared: what the trust file says of it.
        place: what the trust file is for.
        files: the contents of the PEM files, by the names that the trust file writes.

    Raises:
        TrustFileError: it may not be one; carries every problem found.
    """
    problems = Problems()
    with problems.at():
        check_name(name)
    if declared["kind"] == "x509":
        own = _authority(declared, place, files, problems)
    else:
        own = _issuer(declared, place, problems)
    problems.raise_if_any()
    identifier = place.stable_id("trust-anchor", name)
    return {
        "format": FORMAT,
        "kind": declared["kind"],
        "name": name,
        "id": identifier,
        "arn": place.arn("trust-anchor", identifier),
        "replay": declared.get("replay", Replay.ALLOW.value),
        "description": declared.get("description", ""),
        **own,
    }


# --- OpenID Connect issuers -----------------------------------------------------------------------


def _issuer(declared: dict[str, Any], place: Place, problems: Problems) -> dict[str, Any]:
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
    return {
        "issuer": declared["issuer"],
        "dialect": dialect.value,
        "audiences": sorted(declared["audiences"]),
        "algorithms": list(declared.get("algorithms", ["RS256"])),
        "tenant": tenant,
        "allow_arm_audience": declared.get("allow_arm_audience", False),
        "keys_max_age": keys_max_age,
        "jwks_hosts": list(declared.get("jwks_hosts", ())),
        "local_discovery": declared.get("local_discovery"),
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


# --- certificate authorities ----------------------------------------------------------------------


def _authority(
    declared: dict[str, Any], place: Place, files: Mapping[str, bytes], problems: Problems
) -> dict[str, Any]:
    found: dict[str, tuple[bytes, ...]] = {}
    for field in ("certificates", "intermediates"):
        if field in declared:
            with problems.at(field):
                found[field] = authorities(declared[field], files)
    # A bundle of intermediates often has the root in it, which is trusted already.
    trusted = found.get("certificates", ())
    helping = tuple(der for der in found.get("intermediates", ()) if der not in trusted)
    if len(trusted) + len(helping) > MAX_AUTHORITIES:
        problems.add(
            ("certificates",),
            f"{len(trusted) + len(helping)} certificates are too many for one trust anchor",
            f"at most {MAX_AUTHORITIES} with the intermediates; a trust anchor for each authority is clearer",
        )
    lists, addresses = _lists(declared, place, problems)
    # What is wrong with the certificates comes first; what they lack can be told of good ones alone.
    are_good = found.keys() >= declared.keys() & {"certificates", "intermediates"}
    if (lists or addresses) and are_good and not sign_lists((*trusted, *helping)):
        problems.add(
            ("crls",) if lists else ("crl_urls",),
            "none of the anchor's certificates may sign revocation lists, so none could ever be accepted",
            "add the certificate of the authority that signs them, whose key usage has cRLSign, to "
            "certificates or intermediates",
        )
    return {
        "certificates": _texts(trusted),
        "intermediates": _texts(helping),
        "crls": sorted([*lists, *addresses]),
        "crl_urls": sorted(addresses),
        "stale_crls": declared.get("stale_crls", StaleCrls.DENY.value),
        "any_extended_key_usage": declared.get("any_extended_key_usage", False),
        "bare_names": declared.get("bare_names", False),
    }


def _texts(certificates: Iterable[bytes]) -> list[str]:
    """Return certificates as text, in an order that does not depend on that of a file."""
    return sorted(b64encode(der).decode("ascii") for der in certificates)


def _lists(declared: dict[str, Any], place: Place, problems: Problems) -> tuple[list[str], list[str]]:
    """Return the ids of the lists that operators bring, and the addresses of those that are fetched."""
    lists: dict[str, str] = {}
    for index, name in enumerate(declared.get("crls", ())):
        with problems.at("crls", index):
            identifier = crl_id(name)
            if identifier in lists:
                raise refuse(
                    f"{name!r} and {lists[identifier]!r} have one name but for their folders, and lists "
                    "go by it",
                    "rename one of the files",
                )
            lists[identifier] = name
    addresses: list[str] = list(declared.get("crl_urls", ()))
    for index, address in enumerate(addresses):
        with problems.at("crl_urls", index):
            _check_crl_url(address, place)
    if len(lists) + len(addresses) > MAX_CRLS:
        problems.add(
            ("crls",),
            f"{len(lists) + len(addresses)} revocation lists are too many for one trust anchor",
            f"at most {MAX_CRLS}, files and addresses together; an authority has one complete list",
        )
    return list(lists), addresses


def _check_crl_url(url: str, place: Place) -> None:
    address = parse_web_address(url)
    if address is None:
        raise refuse(
            f"{url!r} is not an address that a revocation list can be fetched from",
            "write http:// or https://, the name of a host and a path, without user name and fragment",
        )
    if place.local_cloud and address.is_loopback:
        return
    if not is_host(address.host):
        raise refuse(
            f"{address.host!r} is not the name of a host on the Internet",
            "lists are fetched from named hosts alone; bring one from elsewhere as a file (crls)",
        )
