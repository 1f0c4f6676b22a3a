"""The local Entra: discovery and keys of two tenants, and the token endpoints of their hosts.

======================================================  ===========================================
``/<tid>/.well-known/openid-configuration``             discovery v1.0, keys at ``/<tid>/discovery/keys``
``/<tid>/v2.0/.well-known/openid-configuration``        discovery v2.0, keys at ``/<tid>/discovery/v2.0/keys``
``[/vm/<host>]/metadata/identity/oauth2/token``         IMDS of a virtual machine
``[/app/<host>]/msi/token``                             App Service, with ``X-IDENTITY-HEADER``
``/admin/…``                                            what tests need and Azure does not have
======================================================  ===========================================
"""

import argparse
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from local.entra_directory import APPS, GRAPH, IDENTITIES, MACHINES, TENANTS, Host, ManagedIdentity, Tenant
from local.entra_tokens import Claims, KeyRing, SigningKey, TokenService, app_claims, user_claims
from local.loopback import Answer, Request, Server, serve

# What clients may ask for; azure-identity sends the first.
IMDS_VERSIONS = ("2018-02-01", "2019-08-01", "2021-02-01", "2023-07-01")
APP_SERVICE_VERSIONS = ("2019-08-01", "2017-09-01")

# How long an issuer that was told to hang keeps a connection: longer than any client waits.
HANG_SECONDS = 60.0

_METADATA = re.compile(r"/([0-9a-f-]{36})/(v2\.0/)?\.well-known/openid-configuration")
_KEYS = re.compile(r"/([0-9a-f-]{36})/discovery/(v2\.0/)?keys")
_IMDS = re.compile(r"(?:/vm/([a-z-]+))?/metadata/identity/oauth2/token")
_APP_SERVICE = re.compile(r"(?:/app/([a-z-]+))?/msi/token")


class Entra:
    """Answers requests; one instance is one cloud.

    Args:
        keys: folder for the tenants' private keys.
        identity_header: App Service's secret, which an app finds in its environment.
    """

    def __init__(self, keys: Path, identity_header: str) -> None:
        self._rings = {name: KeyRing(keys / f"{name}.json") for name in TENANTS}
        self._tokens = TokenService(self._rings)
        self._identity_header = identity_header
        self._by_id = {tenant.id: tenant for tenant in TENANTS.values()}
        self._seen: Counter[str] = Counter()
        self._keys_mode: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        with self._lock:
            self._seen[request.path] += 1
        if request.path == "/health":
            return Answer(200, {"status": "ok"})
        if request.path.startswith("/admin/"):
            return self._admin(request)
        if request.method == "GET":
            for pattern, respond in _ROUTES:
                if found := pattern.fullmatch(request.path):
                    return respond(self, found, request)
        return Answer(404, {"error": "not_found"})

    def metadata(self, path: re.Match[str], request: Request) -> Answer:
        """Answer with a discovery document."""
        tenant, v2 = self._by_id.get(path[1]), bool(path[2])
        if tenant is None:
            return _no_tenant(path[1])
        base = f"http://{request.headers.get('host', '127.0.0.1')}/{tenant.id}"
        version = "/v2.0" if v2 else ""
        return Answer(
            200,
            {
                "issuer": tenant.issuer_v2 if v2 else tenant.issuer_v1,
                "authorization_endpoint": f"{base}/oauth2{version}/authorize",
                "token_endpoint": f"{base}/oauth2{version}/token",
                "jwks_uri": f"{base}/discovery{version}/keys",
                "response_types_supported": ["code", "id_token", "code id_token", "token id_token", "token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "tenant_region_scope": "EU",
                "cloud_instance_name": "microsoftonline.com",
            },
        )

    def published(self, path: re.Match[str], _request: Request) -> Answer:
        """Answer with a tenant's public keys, or as it was told to misbehave."""
        tenant = self._by_id.get(path[1])
        if tenant is None:
            return _no_tenant(path[1])
        mode = self._keys_mode.get(tenant.name, "ok")
        if mode == "hang":
            time.sleep(HANG_SECONDS)
        if mode in {"unavailable", "hang"}:
            return _error(503, "temporarily_unavailable", "The service is temporarily unavailable.")
        if mode == "garbage":
            return Answer(200, b"<html>not keys</html>", {"Content-Type": "text/html"})
        keys = () if mode == "empty" else self._rings[tenant.name].published
        return Answer(
            200,
            {"keys": [key.to_jwk(tenant.issuer_v2 if path[2] else None) for key in keys]},
            {"Cache-Control": "max-age=86400, private"},
        )

    def imds(self, path: re.Match[str], request: Request) -> Answer:
        """Answer as the instance metadata service of a virtual machine."""
        host = _host(MACHINES, path[1])
        if host is None:
            return Answer(404, {"error": "not_found"})
        # A request that was forwarded, or made by a page in a browser, is not the machine's own.
        if request.headers.get("metadata", "").lower() != "true" or "x-forwarded-for" in request.headers:
            return _error(400, "invalid_request", "Required metadata header not specified")
        if request.query.get("api-version") not in IMDS_VERSIONS:
            return Answer(
                400,
                {
                    "error": "Bad request. api-version is invalid or was not specified in the request.",
                    "newest-versions": list(reversed(IMDS_VERSIONS)),
                },
            )
        selectors = {"client_id": "client_id", "object_id": "object_id", "msi_res_id": "own_resource"}
        return self._managed_identity(host, request, selectors, imds=True)

    def app_service(self, path: re.Match[str], request: Request) -> Answer:
        """Answer as App Service does to its apps."""
        host = _host(APPS, path[1])
        if host is None:
            return Answer(404, {"error": "not_found"})
        sent = request.headers.get("x-identity-header", "")
        if not secrets.compare_digest(sent.encode(), self._identity_header.encode()):
            return Answer(401, {"statusCode": 401, "message": "Invalid or missing X-IDENTITY-HEADER."})
        if request.query.get("api-version") not in APP_SERVICE_VERSIONS:
            return Answer(400, {"statusCode": 400, "message": "Unsupported api-version."})
        selectors = {
            "client_id": "client_id",
            "object_id": "object_id",
            "principal_id": "object_id",
            "mi_res_id": "own_resource",
        }
        return self._managed_identity(host, request, selectors, imds=False)

    def _managed_identity(
        self, host: Host, request: Request, selectors: dict[str, str], *, imds: bool
    ) -> Answer:
        resource = request.query.get("resource", "")
        if not resource:
            return _error(400, "invalid_request", "Required query variable 'resource' is missing")
        identity = _select(host, request, selectors)
        if isinstance(identity, str):
            return _error(400, "invalid_request", identity)
        app = host.tenant.app(resource)
        if app is None:
            return _error(
                400,
                "invalid_resource",
                f"AADSTS500011: The resource principal named {resource} was not found in the tenant named "
                f"{host.tenant.id}.",
            )
        token, claims = self._tokens.token(host.tenant, identity, app, resource)
        answer = {
            "access_token": token,
            "client_id": identity.client_id,
            "expires_on": str(claims["exp"]),
            "resource": resource,
            "token_type": "Bearer",
        }
        if imds:
            left = str(max(0, claims["exp"] - int(time.time())))
            answer |= {"expires_in": left, "ext_expires_in": left, "not_before": str(claims["nbf"])}
        return Answer(200, answer)

    def _admin(self, request: Request) -> Answer:
        actions: dict[tuple[str, str], Callable[[dict[str, Any]], object]] = {
            ("GET", "/admin/requests"): lambda _: dict(self._seen),
            ("DELETE", "/admin/requests"): lambda _: self._seen.clear(),
            ("POST", "/admin/forget"): lambda _: self._tokens.forget(),
            ("POST", "/admin/rotate"): self._rotate,
            ("POST", "/admin/keys"): self._misbehave,
            ("POST", "/admin/tokens"): lambda asked: {"access_token": self.mint(asked)},
        }
        action = actions.get((request.method, request.path))
        if action is None:
            return Answer(404, {"error": "not_found"})
        try:
            return Answer(200, action(request.json()))
        except (KeyError, TypeError, ValueError, NotImplementedError) as error:
            return Answer(400, {"error": f"{type(error).__name__}: {error}"})

    def _rotate(self, asked: dict[str, Any]) -> object:
        # ``keep`` publishes the old keys on; ``forget`` drops the tokens that they signed.
        ring = self._rings[asked.get("tenant", "contoso")]
        key = ring.rotate(keep=bool(asked.get("keep", True)))
        if asked.get("forget", True):
            self._tokens.forget()
        return {"kid": key.kid, "published": [one.kid for one in ring.published]}

    def _misbehave(self, asked: dict[str, Any]) -> object:
        # ``mode`` is ok, unavailable, hang, garbage or empty.
        tenant = TENANTS[asked.get("tenant", "contoso")]
        self._keys_mode[tenant.name] = str(asked.get("mode", "ok"))
        return dict(self._keys_mode)

    def mint(self, asked: dict[str, Any]) -> str:
        """Make a token that no host would be given.

        Args:
            asked: ``tenant`` and ``identity`` by name, ``resource``; ``kind`` (``app``, ``user`` or
                ``graph``); ``issued`` seconds ago and ``lifetime``; ``claims`` to set, ``remove`` to
                leave out; ``header`` to set (``null`` leaves out); ``key`` (``own``, ``unknown`` with
                the tenant's ``kid``, ``foreign`` with its own, or another tenant's name).
        """
        tenant = TENANTS[asked.get("tenant", "contoso")]
        identity = IDENTITIES[asked.get("identity", "app-server")]
        resource = asked.get("resource") or tenant.apps[0].uri
        kind = asked.get("kind", "app")
        app = tenant.app(GRAPH if kind == "graph" else resource)
        if app is None:
            raise ValueError(f"no app registration {resource}")
        issued = int(time.time()) - int(asked.get("issued", 0))
        claims: Claims = app_claims(tenant, identity, app, app.uri if kind == "graph" else resource, issued)
        claims |= {"nbf": issued, "iat": issued, "exp": issued + int(asked.get("lifetime", 3600))}
        if kind == "user":
            claims = user_claims(claims)
        claims |= asked.get("claims", {})
        for name in asked.get("remove", ()):
            claims.pop(name, None)
        header = dict(asked.get("header", {}))
        return self._tokens.sign(
            tenant,
            claims,
            version=app.version,
            graph=kind == "graph",
            header=header,
            key=self._key(tenant, asked.get("key", "own"), header),
        )

    def _key(self, tenant: Tenant, which: str, header: dict[str, Any]) -> SigningKey | None:
        if which == "own":
            return None
        if which in TENANTS:
            return self._rings[which].current
        if which == "unknown":
            header.setdefault("kid", self._rings[tenant.name].current.kid)
        return SigningKey.generate()


_ROUTES: tuple[tuple[re.Pattern[str], Callable[[Entra, re.Match[str], Request], Answer]], ...] = (
    (_METADATA, Entra.metadata),
    (_KEYS, Entra.published),
    (_IMDS, Entra.imds),
    (_APP_SERVICE, Entra.app_service),
)


def _no_tenant(tenant_id: str) -> Answer:
    return _error(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant_id}' not found.")


def _host(hosts: Sequence[Host], name: str | None) -> Host | None:
    if name is None:
        return hosts[0]
    return next((host for host in hosts if host.name == name), None)


def _select(host: Host, request: Request, selectors: dict[str, str]) -> ManagedIdentity | str:
    asked = {name: request.query[name] for name in selectors if name in request.query}
    if len(asked) > 1:
        return "Only one of the identity's identifiers may be given"
    for name, value in asked.items():
        for identity in host.identities():
            # ARM ids and GUIDs are the same in any case.
            if value.lower() == (getattr(identity, selectors[name]) or "").lower():
                return identity
        return "Identity not found"
    if host.system is not None:
        return host.system
    if len(host.assigned) == 1:
        return host.assigned[0]
    return (
        "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity "
        "in the token request"
    )


def _error(status: int, code: str, text: str) -> Answer:
    return Answer(status, {"error": code, "error_description": text})


def main() -> None:
    """Serve until SIGTERM. App Service's secret comes in a file: a command line is for all to read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--identity-header-file", type=Path, required=True)
    arguments = parser.parse_args()
    entra = Entra(arguments.keys, arguments.identity_header_file.read_text().strip())
    serve(Server(arguments.port, entra))


if __name__ == "__main__":
    main()
