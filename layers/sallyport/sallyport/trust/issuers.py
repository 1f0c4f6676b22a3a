"""What is known about issuers: Microsoft's, those that the whole world shares, and who assigns what."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from sallyport.model import Dialect, Issuance
from sallyport.trust.limits import MAX_ISSUER_LENGTH
from sallyport.trust.problems import refuse
from sallyport.web_address import parse_web_address

# --- the form of an issuer ------------------------------------------------------------------------

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# At least two labels, and the last no number: so no address in any of its spellings, and no local name.
_HOST: Final = re.compile(rf"(?:{_LABEL}\.)+(?=[^.]*[A-Za-z])(?!0[xX]){_LABEL}")
_ISSUER: Final = re.compile(r"https://(?P<host>[^/:]+)(?P<port>:[0-9]{1,5})?(?P<path>/[!-~]*)?")
_MAX_PORT: Final = 65_535
_MAX_HOST_LENGTH: Final = 253


def is_host(host: str) -> bool:
    """Tell whether ``host`` is the name of a host on the Internet: no address, no single label."""
    return len(host) <= _MAX_HOST_LENGTH and _HOST.fullmatch(host) is not None


def check_issuer(issuer: str) -> str:
    """Return the host of an issuer's address, in lower case.

    Raises:
        TrustFileError: it is not an address that tokens can name and keys can be fetched for.
    """
    authority = issuer.partition("//")[2].partition("/")[0]
    if not issuer.startswith("https://"):
        raise refuse("an issuer is an https address", "write it exactly as the tokens do: https://<host>/...")
    if "?" in issuer or "#" in issuer:
        raise refuse("an issuer has neither query nor fragment", "write it exactly as the tokens do")
    if "@" in authority:
        raise refuse("an issuer has no user name", "leave out what stands before the @")
    if is_address(authority):
        raise refuse("an issuer is no IP address", "use the host name that the tokens carry")
    found = _ISSUER.fullmatch(issuer)
    port = found and found["port"]
    if (
        found is None
        or len(issuer) > MAX_ISSUER_LENGTH
        or not is_host(found["host"])
        or (port and not 0 < int(port[1:]) <= _MAX_PORT)
        or "\\" in issuer
        or _climbs(found["path"] or "")
    ):
        raise refuse(
            f"{issuer!r} is not an issuer's address",
            f"write https://<host>/<path>, at most {MAX_ISSUER_LENGTH} characters, exactly as the tokens do",
        )
    return found["host"].lower()


def _climbs(path: str) -> bool:
    segments = path.lower().replace("%2e", ".").split("/")
    return "." in segments or ".." in segments


def is_address(authority: str) -> bool:
    """Tell whether host and port name an IP address, in any spelling that resolvers take."""
    host = authority.rpartition("]")[0].removeprefix("[") or authority.partition(":")[0]
    try:
        ip_address(host)
    except ValueError:
        return all(re.fullmatch(r"0[xX][0-9A-Fa-f]*|[0-9]+", part) for part in host.split(".")) and bool(host)
    return True


def is_loopback(address: str) -> bool:
    """Tell whether an http address leads to this machine; for the local cloud alone."""
    found = parse_web_address(address)
    return found is not None and not found.secure and found.is_loopback


# --- Microsoft ------------------------------------------------------------------------------------

_V1_HOSTS: Final = frozenset({"sts.windows.net", "sts.chinacloudapi.cn"})
_V2_HOSTS: Final = frozenset(
    {
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "login.chinacloudapi.cn",
    }
)
# Other names of the same services, which no token carries.
_ALIASES: Final = frozenset({"login.windows.net", "login.microsoft.com", "login.microsoftonline.cn"})
MICROSOFT_HOSTS: Final = _V1_HOSTS | _V2_HOSTS | _ALIASES

_GUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_V1_ISSUER: Final = re.compile(rf"https://(?P<host>[a-z.]+)/(?P<tenant>{_GUID})/")
_V2_ISSUER: Final = re.compile(rf"https://(?P<host>[a-z.]+)/(?P<tenant>{_GUID})/v2\.0")
_MANY_TENANTS: Final = frozenset({"common", "organizations", "consumers"})
# The tenant of all personal Microsoft accounts: anybody can have one.
_CONSUMERS: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
# Microsoft's own, from which Sentinel and other services ask on behalf of every customer.
_SERVICES: Final = frozenset({"33e01921-4d64-4f8c-a055-5bdaffd5e33d", "f8cdef31-a31e-4b4a-93e4-5f571e91255a"})


def microsoft_tenant(issuer: str, host: str) -> str:
    """Return the tenant inside a Microsoft issuer.

    Raises:
        TrustFileError: it is none that a token of one tenant carries.
    """
    segments = {segment.lower() for segment in issuer.split("/")[3:]}
    if segments & (_MANY_TENANTS | _SERVICES | {_CONSUMERS}):
        raise refuse(
            "this issuer stands for every tenant or for everybody, so anyone in the world could ask",
            "write the address of your own tenant, with its GUID",
        )
    found = _V1_ISSUER.fullmatch(issuer) if host in _V1_HOSTS else None
    if host in _V2_HOSTS:
        found = _V2_ISSUER.fullmatch(issuer)
    if found is None or found["host"] != host:
        raise refuse(
            f"no token of Microsoft's carries {issuer!r}",
            "write https://sts.windows.net/<tenant>/ (tokens of version 1) or "
            "https://login.microsoftonline.com/<tenant>/v2.0 (version 2), with the GUID in lower case",
        )
    return found["tenant"]


def has_azp(issuer: str, host: str) -> bool:
    """Tell whether an issuer is known to put ``azp`` into its tokens."""
    return host == "accounts.google.com" or (host in _V2_HOSTS and issuer.endswith("/v2.0"))


# Azure Resource Manager's: a token for it can be had by everybody who manages anything, and whoever
# receives one could present it here.
ARM_AUDIENCES: Final = frozenset(
    {
        "https://management.azure.com",
        "https://management.core.windows.net",
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net",
        "https://management.chinacloudapi.cn",
        "https://management.core.chinacloudapi.cn",
        "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    }
)
# Microsoft Graph's: signed in a way that nobody but Graph can verify.
GRAPH_AUDIENCES: Final = frozenset(
    {
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        "00000003-0000-0000-c000-000000000000",
    }
)


# --- who ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Least:
    """What names somebody: a whole value must look like ``value``, and a pattern begin like ``beginning``.

    Without a ``beginning`` only whole values name somebody. With ``own`` the beginning must also go beyond
    what subjects have in common everywhere.
    """

    value: str = r".+"
    beginning: str | None = None
    own: bool = False


# Only the value itself names somebody; its beginning is anybody's.
EXACT: Final = Least()
_OWN: Final = Least(beginning=r".+", own=True)
_OBJECT: Final = Least(_GUID)
# Beneath a group or an owner.
_PATH: Final = Least(r"[^/]+/.+", r"[^/]+/.*")


def _first(name: str, what: str = r"[^:]+") -> Least:
    """Return the form of subjects that begin with a name and a customer."""
    return Least(rf"{name}{what}(?::.*)?", rf"{name}{what}:.*")


# What every subject of certain issuers begins with: a pattern that fixes no more opens the issuer to all.
COMMON_BEGINNINGS: Final = (
    "system:serviceaccount:",
    "repo:",
    "repository:",
    "project_path:",
    "organization:",
    "org/",
    "owner:",
    "account:",
    "pulumi:deploy:org:",
    "auth0|",
    "spiffe://",
    "https://",
    "arn:aws:",
)
_DELIMITERS: Final = ":/|@.,_-#"
# Shorter ones could all be listed: one or two characters have about as many spellings as a condition
# may have values. One that ends at a delimiter is somebody's whole name.
_MIN_BEGINNING: Final = 4


def is_own(beginning: str) -> bool:
    """Tell whether the beginning of a subject goes beyond what many subjects have in common."""
    if any(common.startswith(beginning) for common in COMMON_BEGINNINGS):
        return False
    # What stands before the first | is the connection, such as google-oauth2: anybody can come by it.
    own = beginning.partition("|")[2] if "|" in beginning else beginning
    for common in COMMON_BEGINNINGS:
        own = own.removeprefix(common)
    return len(own) >= _MIN_BEGINNING or (own[-1:] in tuple(_DELIMITERS) and own.strip(_DELIMITERS) != "")


# Keys that the issuer assigns, so that nobody can choose them, by dialect.
_WHO: Final[Mapping[Dialect, Mapping[str, Least]]] = {
    Dialect.ENTRA: {
        "token:oid": _OBJECT,
        "token:appid": _OBJECT,
        "token:azp": _OBJECT,
        "token:roles": _OWN,
        "token:xms_mirid": Least(r"/(?i:subscriptions)/[^/]+/.+", r"/(?i:subscriptions)/[^/]+/.*"),
    },
    Dialect.GITHUB: {
        "token:sub": _OWN,
        "token:repository": _PATH,
        "token:repository_id": EXACT,
        "token:repository_owner": EXACT,
        "token:repository_owner_id": EXACT,
    },
    Dialect.COGNITO: {
        "token:sub": EXACT,
        "token:client_id": EXACT,
        # In an ID token the audience is the app client.
        "token:aud": EXACT,
        "token:cognito:groups": _OWN,
    },
    Dialect.PLAIN: {
        "token:sub": _OWN,
        "token:azp": _OWN,
        "token:client_id": _OWN,
    },
}


@dataclass(frozen=True, slots=True)
class SharedIssuer:
    """An issuer at which anybody in the world can have a subject.

    ``who`` says which keys tell its customers apart, and what must name one of them.
    """

    title: str
    who: Mapping[str, Least]


def _people(title: str) -> SharedIssuer:
    """Return an issuer whose subjects say nothing but which account somebody has there."""
    return SharedIssuer(title, {"token:sub": EXACT})


_GITHUB: Final = SharedIssuer(
    "GitHub Actions",
    {
        # What a repository chooses itself (ref, environment, the workflow that it calls) names nobody.
        "token:sub": Least(
            r"(?:repo|repository):[^/:]+/[^/:]+(?::.*)?|repository_owner:[^:]+(?::.*)?"
            r"|(?:repository_id|repository_owner_id):[0-9]+(?::.*)?",
            r"(?:repo|repository):[^/:]+/.*|repository_owner:[^:]+:.*"
            r"|(?:repository_id|repository_owner_id):[0-9]+:.*",
        ),
        "token:repository": _PATH,
        "token:repository_id": EXACT,
        "token:repository_owner": EXACT,
        "token:repository_owner_id": EXACT,
        "token:enterprise_id": EXACT,
    },
)
_GITLAB: Final = SharedIssuer(
    "GitLab",
    {
        "token:sub": Least(r"project_path:[^/:]+/[^:]+(?::.*)?", r"project_path:[^/:]+/.*"),
        "token:project_path": _PATH,
        "token:namespace_path": Least(beginning=r"[^/]+/.*"),
        "token:project_id": EXACT,
        "token:namespace_id": EXACT,
    },
)
_TURBONOMIC: Final = _people("IBM Turbonomic")
# AWS's list (IAM User Guide, "Identity-provider controls for shared OIDC providers") and what else is
# known to serve everybody from one address.
_SHARED: Final[Mapping[str, SharedIssuer]] = {
    "token.actions.githubusercontent.com": _GITHUB,
    "vstoken.actions.githubusercontent.com": _GITHUB,
    "oidc-configuration.audit-log.githubusercontent.com": SharedIssuer(
        "GitHub's audit log", {"token:sub": Least(r"https://github\.com/[^/]+")}
    ),
    "gitlab.com": _GITLAB,
    "accounts.google.com": SharedIssuer("Google", {"token:sub": EXACT, "token:email": EXACT}),
    "agent.buildkite.com": SharedIssuer(
        "Buildkite",
        {
            "token:sub": _first("organization:"),
            "token:organization_id": EXACT,
            "token:organization_slug": EXACT,
            "token:pipeline_id": EXACT,
        },
    ),
    "oidc.circleci.com": SharedIssuer(
        "CircleCI",
        {
            "token:sub": Least(r"org/[^/]+/.+", r"org/[^/]+/.*"),
            "token:oidc.circleci.com/project-id": EXACT,
            "token:oidc.circleci.com/org-id": EXACT,
        },
    ),
    "app.terraform.io": SharedIssuer(
        "HCP Terraform",
        {
            "token:sub": _first("organization:"),
            "token:terraform_organization_id": EXACT,
            "token:terraform_project_id": EXACT,
            "token:terraform_workspace_id": EXACT,
        },
    ),
    "oidc.vercel.com": SharedIssuer(
        "Vercel",
        {"token:sub": _first("owner:"), "token:owner_id": EXACT, "token:project_id": EXACT},
    ),
    "api.bitbucket.org": SharedIssuer(
        "Bitbucket",
        {
            "token:sub": _first("", r"\{[^}]+\}"),
            "token:repositoryUuid": EXACT,
            "token:workspaceUuid": EXACT,
        },
    ),
    "oidc.codefresh.io": SharedIssuer(
        "Codefresh", {"token:sub": _first("account:"), "token:account_id": EXACT}
    ),
    "api.pulumi.com": SharedIssuer("Pulumi", {"token:sub": _first("pulumi:[a-z]+:org:")}),
    "scalr.io": SharedIssuer("Scalr", {"token:sub": _first("account:")}),
    "proidc.upbound.io": SharedIssuer("Upbound", {"token:sub": Least(r"mcp:[^/:]+/.+", r"mcp:[^/:]+/.*")}),
    "login.salesforce.com": SharedIssuer(
        "Salesforce",
        {
            "token:sub": Least(
                r"https://login\.salesforce\.com/id/[^/]+/.+", r"https://login\.salesforce\.com/id/[^/]+/.*"
            )
        },
    ),
    # A user's id there is the workspace's own, so it alone names nobody.
    "slack.com": SharedIssuer("Slack", {"token:https://slack.com/team_id": EXACT}),
    "studio.datachain.ai": _people("DVC Studio"),
    "tokens.cloud.shisho.dev": _people("Shisho Cloud"),
    "sandboxes.cloud": _people("sandboxes.cloud"),
    "cognito-identity.amazonaws.com": _people("Amazon Cognito identity pools"),
    "appleid.apple.com": _people("Apple"),
    "limited.facebook.com": _people("Facebook"),
    "www.facebook.com": _people("Facebook"),
    "www.linkedin.com": _people("LinkedIn"),
    "access.line.me": _people("LINE"),
    "id.twitch.tv": _people("Twitch"),
    "discord.com": _people("Discord"),
    # These share their hosts with issuers that have one operator each.
    "rh-oidc.s3.us-east-1.amazonaws.com/22ejnvnnturfmt6km08idd0nt4hekbn7": _TURBONOMIC,
    "rh-oidc.s3.us-east-1.amazonaws.com/23e3sd27sju1hoou6ohfs68vbno607tr": _TURBONOMIC,
    "rh-oidc.s3.us-east-1.amazonaws.com/23ne21h005qjl3n33d8dui5dlrmv2tmg": _TURBONOMIC,
    "rh-oidc.s3.us-east-1.amazonaws.com/24jrf12m5dj7ljlfb4ta2frhrcoadm26": _TURBONOMIC,
    "oidc.op1.openshiftapps.com/2f785sojlpb85i7402pk3qogugim5nfb": _TURBONOMIC,
    "oidc.op1.openshiftapps.com/2c51blsaqa9gkjt0o9rt11mle8mmropu": _TURBONOMIC,
}


def shared(host: str, path: str = "") -> SharedIssuer | None:
    """Return what is known about a shared issuer, ``None`` where one operator owns all subjects."""
    return _SHARED.get(host) or _SHARED.get(f"{host}/{path.strip('/')}")


def who_keys(dialect: Dialect, world: SharedIssuer | None, issuance: Issuance) -> Mapping[str, Least]:
    """Return the keys that say who somebody is, and what must stand in each to name somebody."""
    if world is not None:
        return world.who
    keys = _WHO[dialect]
    if dialect is Dialect.ENTRA and issuance is Issuance.WEB_IDENTITY:
        # There the role's own trust policy can look at nothing else.
        return {**keys, "token:sub": EXACT}
    return keys


# What tells an identity from all others at its issuer; the first is the default in session names.
_SUBJECTS: Final[Mapping[Dialect, tuple[str, ...]]] = {
    Dialect.ENTRA: ("token:oid",),
    Dialect.GITHUB: ("token:sub", "token:repository_id"),
    Dialect.COGNITO: ("token:sub",),
    Dialect.PLAIN: ("token:sub",),
}


def subject_keys(dialect: Dialect) -> tuple[str, ...]:
    """Return the keys of which one must be part of every session name and source identity."""
    return _SUBJECTS[dialect]
