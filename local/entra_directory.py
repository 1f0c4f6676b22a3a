"""Who exists in the local Entra: tenants, app registrations, managed identities and their hosts.

Invented GUIDs, real shapes. The sample trust file and the demonstration name these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ARM = "https://management.azure.com/"
GRAPH = "https://graph.microsoft.com"


@dataclass(frozen=True, slots=True)
class AppRegistration:
    """An API that tokens can be asked for. ``version`` is its ``requestedAccessTokenVersion``."""

    uri: str
    app_id: str
    version: int = 1
    # Whether its manifest asks for the optional claim ``idtyp``.
    idtyp: bool = True


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """A service principal that Azure keeps the secret of.

    ``host_resource`` is the ARM id of what it runs on; a system-assigned identity has no resource
    of its own. ``extra`` holds claims that a claims mapping policy would add.
    """

    name: str
    client_id: str
    object_id: str
    host_resource: str
    own_resource: str | None = None
    roles: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tenant:
    """One directory."""

    name: str
    id: str
    apps: tuple[AppRegistration, ...]

    @property
    def issuer_v1(self) -> str:
        """The issuer in v1.0 tokens, with its trailing slash."""
        return f"https://sts.windows.net/{self.id}/"

    @property
    def issuer_v2(self) -> str:
        """The issuer in v2.0 tokens."""
        return f"https://login.microsoftonline.com/{self.id}/v2.0"

    def app(self, resource: str) -> AppRegistration | None:
        """Return the registration that a resource names, by URI (a trailing slash aside) or GUID."""
        wanted = resource.rstrip("/")
        for app in self.apps:
            if wanted in {app.uri.rstrip("/"), app.app_id}:
                return app
        return None


@dataclass(frozen=True, slots=True)
class Host:
    """A machine or an app with identities; the first system-assigned one is its default."""

    name: str
    tenant: Tenant
    system: ManagedIdentity | None
    assigned: tuple[ManagedIdentity, ...] = ()

    def identities(self) -> tuple[ManagedIdentity, ...]:
        """Return all of them."""
        return ((self.system,) if self.system else ()) + self.assigned


# Microsoft's own APIs have the same application ids in every tenant.
_ARM_APP = AppRegistration(ARM, "797f4846-ba00-4fd7-ba43-dac1f8f63013", idtyp=False)
_GRAPH_APP = AppRegistration(GRAPH, "00000003-0000-0000-c000-000000000000")

# The audience of the sample trust file.
AUDIENCE = "urn://dev-aws-account-team-a"
# The same kind of API with v2.0 tokens, whose audience is the GUID.
AUDIENCE_V2 = "api://sallyport-v2"
# Somebody else's API: its tokens are not for Sallyport.
PAYROLL = "api://payroll"

CONTOSO = Tenant(
    name="contoso",
    id="3d0af1a2-7c1e-4b6f-9d55-0e6a2f8c4b11",
    apps=(
        AppRegistration(AUDIENCE, "6f2c1d34-5a0b-4c8e-8b7f-91d3e5a7c602"),
        AppRegistration(AUDIENCE_V2, "a81e7b90-2f4d-4d1c-b3a6-5c0f9e8d7a13", version=2),
        AppRegistration("api://sallyport-no-idtyp", "c4b7a2e1-9d83-47f5-a6c2-3e1f0b9d8c24", idtyp=False),
        AppRegistration(PAYROLL, "e95d0c7f-1b6a-4e32-9f84-7a2d3c5b6e35"),
        _ARM_APP,
        _GRAPH_APP,
    ),
)

FABRIKAM = Tenant(
    name="fabrikam",
    id="b7c9e0d4-3f52-4a1b-8e76-2d9f1c0a5e46",
    apps=(AppRegistration(AUDIENCE, "0d8e6f5c-4b3a-4291-8f70-6e5d4c3b2a57"), _ARM_APP, _GRAPH_APP),
)

TENANTS = {tenant.name: tenant for tenant in (CONTOSO, FABRIKAM)}

_GROUP = "/subscriptions/5e1f7a9b-0c2d-4e3f-8a4b-6c7d8e9f0a1b/resourcegroups/team-a/providers"
_VM = f"{_GROUP}/Microsoft.Compute/virtualMachines/app-server"
_SITE = f"{_GROUP}/Microsoft.Web/sites/web-shop"
_ASSIGNED = f"{_GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities"

# The one that may read; the machine's own identity, so that plain requests get it.
READER = ManagedIdentity(
    name="app-server",
    client_id="11a2b3c4-d5e6-4f70-8192-a3b4c5d6e7f8",
    object_id="b0c1d2e3-f4a5-4b67-8c89-0d1e2f3a4b5c",
    host_resource=_VM,
    roles=("Reports.Read",),
    extra={"project": "atlas"},
)

# The same by another host: an App Service's system-assigned identity.
WEB_SHOP = ManagedIdentity(
    name="web-shop",
    client_id="22b3c4d5-e6f7-4081-92a3-b4c5d6e7f809",
    object_id="c1d2e3f4-a5b6-4c78-9d9a-1e2f3a4b5c6d",
    host_resource=_SITE,
    roles=("Reports.Read",),
    extra={"project": "borealis"},
)

# A user-assigned identity with more rights.
WRITER = ManagedIdentity(
    name="report-writer",
    client_id="33c4d5e6-f708-4192-a3b4-c5d6e7f8091a",
    object_id="d2e3f4a5-b6c7-4d89-8eab-2f3a4b5c6d7e",
    host_resource=_VM,
    own_resource=f"{_ASSIGNED}/report-writer",
    roles=("Reports.Read", "Reports.Write"),
    extra={"project": "atlas"},
)

# Genuine, of the right tenant, and in no profile.
STRANGER = ManagedIdentity(
    name="stranger",
    client_id="44d5e6f7-0819-42a3-b4c5-d6e7f8091a2b",
    object_id="e3f4a5b6-c7d8-4e9a-9fbc-3a4b5c6d7e8f",
    host_resource=_VM,
    own_resource=f"{_ASSIGNED}/stranger",
)

# In a profile, and its claims are written to become more than a string: a statement of its own, a
# path that climbs, a wildcard, a policy variable, a second tag.
HOSTILE = ManagedIdentity(
    name="hostile",
    client_id="55e6f708-192a-43b4-85d6-e7f8091a2b3c",
    object_id="f4a5b6c7-d8e9-4fab-80cd-4b5c6d7e8f90",
    host_resource=_VM,
    own_resource=f"{_ASSIGNED}/hostile",
    roles=("Reports.Read",),
    extra={
        "project": 'x"},{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"',
        "climb": "../../atlas",
        "wild": "*",
        "variable": "${aws:username}",
        "lines": "one\r\ntwo\x00three",
    },
)

# The same object id and client id as the reader, in a tenant that nobody trusts.
OUTSIDER = ManagedIdentity(
    name="outsider",
    client_id=READER.client_id,
    object_id=READER.object_id,
    host_resource=_VM,
    roles=READER.roles,
    extra=READER.extra,
)

IDENTITIES = {one.name: one for one in (READER, WEB_SHOP, WRITER, STRANGER, HOSTILE, OUTSIDER)}

# Virtual machines answer IMDS, apps answer App Service's protocol; the first of each is the default.
MACHINES = (
    Host("app-server", CONTOSO, READER, (WRITER, STRANGER, HOSTILE)),
    Host("many", CONTOSO, None, (WRITER, STRANGER)),
    Host("outsider", FABRIKAM, OUTSIDER),
)
APPS = (
    Host("web-shop", CONTOSO, WEB_SHOP, (WRITER,)),
    Host("outsider", FABRIKAM, OUTSIDER),
)
