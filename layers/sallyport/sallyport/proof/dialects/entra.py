"""Microsoft Entra ID: tokens of managed identities and other applications, v1.0 and v2.0.

What Entra adds to OpenID Connect: two forms of issuer per tenant, a tenant claim that must agree
with it, tokens that only Microsoft Graph can verify, tokens for Azure itself that every Azure
service sees, and users' tokens that look like applications'.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sallyport.model import Claims, JsonValue, OidcAnchor
from sallyport.proof.dialects.rules import Rules, Who, standard_audiences, subject_in_sub, unique_id
from sallyport.proof.reasons import refusal, shown


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Microsoft's clouds: who signs, who describes, and whose tokens are not for us."""

    authorities: tuple[str, ...]
    v1_issuer: str
    arm: tuple[str, ...]
    graph: tuple[str, ...]


CLOUDS = (
    Cloud(
        authorities=("login.microsoftonline.com",),
        v1_issuer="sts.windows.net",
        arm=("management.azure.com", "management.core.windows.net"),
        graph=("graph.microsoft.com", "graph.windows.net"),
    ),
    # Government tenants' v1.0 tokens come from sts.windows.net too; only the document tells them apart.
    Cloud(
        authorities=("login.microsoftonline.us",),
        v1_issuer="sts.windows.net",
        arm=("management.usgovcloudapi.net", "management.core.usgovcloudapi.net"),
        graph=("graph.microsoft.us", "dod-graph.microsoft.us"),
    ),
    Cloud(
        authorities=("login.partner.microsoftonline.cn", "login.chinacloudapi.cn"),
        v1_issuer="sts.chinacloudapi.cn",
        arm=("management.chinacloudapi.cn", "management.core.chinacloudapi.cn"),
        graph=("microsoftgraph.chinacloudapi.cn",),
    ),
)

ARM_AUDIENCES = frozenset(f"https://{host}" for cloud in CLOUDS for host in cloud.arm) | {
    "797f4846-ba00-4fd7-ba43-dac1f8f63013"  # the client id that the two public names stand for
}
GRAPH_AUDIENCES = frozenset(f"https://{host}" for cloud in CLOUDS for host in cloud.graph) | {
    "00000003-0000-0000-c000-000000000000",  # Microsoft Graph
    "00000002-0000-0000-c000-000000000000",  # its predecessor
}
USER_CLAIMS = (
    "amr",
    "email",
    "family_name",
    "given_name",
    "ipaddr",
    "name",
    "preferred_username",
    "unique_name",
    "upn",
)
"""Claims that only a user has; looked at where ``idtyp`` does not settle it."""

CLIENT_CLAIMS = {"1.0": "appid", "2.0": "azp"}
"""By version, where an access token says which application it was issued to. ID tokens do not say it."""

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ISSUER = re.compile(rf"https://(?P<host>[a-z.]+)/(?P<tenant>{_GUID.pattern})(?P<rest>/|/v2\.0)")


@dataclass(frozen=True, slots=True)
class EntraIssuer:
    """A Microsoft issuer, taken apart. ``authorities`` are the hosts that describe it and serve its keys."""

    version: str
    tenant: str
    authorities: tuple[str, ...]


def entra_issuer(issuer: str) -> EntraIssuer | None:
    """Return what ``issuer`` says about version, tenant and cloud, or ``None`` if Microsoft has no such."""
    parts = _ISSUER.fullmatch(issuer)
    if parts is None:
        return None
    host, version = parts["host"], "1.0" if parts["rest"] == "/" else "2.0"
    if version == "2.0":
        authorities = tuple(host for cloud in CLOUDS if host in cloud.authorities)
    else:
        authorities = tuple(
            authority for cloud in CLOUDS if host == cloud.v1_issuer for authority in cloud.authorities
        )
    return EntraIssuer(version, parts["tenant"], authorities) if authorities else None


def _foreign(header: Mapping[str, JsonValue], claims: Claims) -> None:
    """Name Graph tokens before their signature fails: the nonce in the header is hashed before signing."""
    if "nonce" in header:
        raise refusal("graph-token", "The header has a nonce.")
    if _named(claims, GRAPH_AUDIENCES):
        raise refusal("graph-token", f"aud is {shown(claims.get('aud'))}")


def _establish(claims: Claims, anchor: OidcAnchor) -> Who:
    issuer = entra_issuer(anchor.issuer)
    # (a) One tenant: the anchor's, the issuer's and the claim's.
    if issuer is None or not issuer.tenant == anchor.tenant == claims.get("tid"):
        raise refusal("tenant-mismatch", f"tid is {shown(claims.get('tid'))}")
    # (b) One version.
    if claims.get("ver") != issuer.version:
        raise refusal("version-mismatch", f"ver is {shown(claims.get('ver'))}, iss is {shown(anchor.issuer)}")
    # (c) Not a token that every Azure service gets to see.
    if _named(claims, ARM_AUDIENCES) and not anchor.allow_arm_audience:
        raise refusal("arm-audience", f"aud is {shown(claims.get('aud'))}")
    # (d) An application, not a user.
    notes = _application(claims, issuer.version)
    # (e) Which one: oid is unique in its tenant and never reused; sub is per pair and only checked for form.
    oid = claims.get("oid")
    if not isinstance(oid, str) or not _GUID.fullmatch(oid):
        raise refusal("object-id-missing", f"oid is {shown(oid)}")
    if "sub" in claims:
        subject_in_sub(claims)
    return Who(subject=oid, unique_id=unique_id(claims, "uti"), notes=notes)


def _application(claims: Claims, version: str) -> tuple[str, ...]:
    """Refuse users' tokens.

    ``idtyp`` decides where the resource asks for it; else what only users have, and that the token
    is not one about a signed-in user (an ID token), which names no client.
    """
    if "scp" in claims:
        raise refusal("user-token", f"scp is {shown(claims['scp'])}")
    if "idtyp" in claims:
        if claims["idtyp"] != "app":
            raise refusal("user-token", f"idtyp is {shown(claims['idtyp'])}")
        return ()
    users = [name for name in USER_CLAIMS if name in claims]
    if users:
        raise refusal("user-token", f"It has {', '.join(users)}.")
    client = claims.get(CLIENT_CLAIMS[version])
    if not isinstance(client, str) or not _GUID.fullmatch(client):
        raise refusal("user-token", f"idtyp is absent and {CLIENT_CLAIMS[version]} is {shown(client)}")
    return ("idtyp-absent",)


def _named(claims: Claims, audiences: frozenset[str]) -> bool:
    aud = claims.get("aud")
    values = aud if isinstance(aud, list) else [aud]
    return any(isinstance(value, str) and value.lower().rstrip("/") in audiences for value in values)


def _discovery(issuer: str) -> tuple[str, ...]:
    """Return the tenant's documents: for v1.0 issuers they live at the authority, not at the issuer."""
    parts = entra_issuer(issuer)
    if parts is None:
        return ()
    if parts.version == "2.0":
        return (f"{issuer}/.well-known/openid-configuration",)
    return tuple(
        f"https://{authority}/{parts.tenant}/.well-known/openid-configuration"
        for authority in parts.authorities
    )


def _key_hosts(issuer: str) -> frozenset[str]:
    parts = entra_issuer(issuer)
    return frozenset(parts.authorities) if parts else frozenset()


RULES = Rules(
    foreign=_foreign,
    audiences=standard_audiences,
    establish=_establish,
    discovery=_discovery,
    key_hosts=_key_hosts,
)
