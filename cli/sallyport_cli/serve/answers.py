"""What a request to the endpoint gets. Pure but for who holds the credentials.

The order of the checks is the order of trust: is it meant for this endpoint, does it come from a program
rather than from a page or through a proxy, is there such a place, may the caller have it.
Sources: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html.
"""

import hmac
import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sallyport.model import Secret
from sallyport_cli.serve.http_head import Head, Refusal
from sallyport_cli.serve.metadata_tokens import MetadataTokens, lifetime
from sallyport_cli.workload.session import SessionCredentials

CONTAINER_PATH: Final = "/credentials"
"""Ours to choose: clients ask for the whole address that they were given."""

TOKEN_PATH: Final = "/latest/api/token"  # noqa: S105 - a path
ROLES_PATH: Final = "/latest/meta-data/iam/security-credentials"
TTL_HEADER: Final = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER: Final = "x-aws-ec2-metadata-token"  # noqa: S105 - a header's name
"""What instances' metadata service calls them."""

FOREIGN_HEADERS: Final = ("origin", "referer", "cookie", "forwarded", "via", "x-real-ip")
FOREIGN_FAMILIES: Final = ("sec-", "x-forwarded-")
"""What browsers and proxies add, and AWS's clients never send. A page cannot keep its browser from it."""

_HTTP_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Its body may be a secret."""

    status: int
    body: bytes = field(repr=False)
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Decides about requests.

    Args:
        credentials: returns some that can be used, or raises ``Refusal`` with 503.
        authorization: what a container's request must bring.
        metadata_tokens: for the IMDSv2 half; ``None`` if it is not served.
        role_name: how that half calls the role.
    """

    credentials: Callable[[], SessionCredentials]
    authorization: Secret
    metadata_tokens: MetadataTokens | None = None
    role_name: str = "sallyport"

    def __call__(self, head: Head, own: tuple[str, int], *, now: datetime, uptime: float) -> Reply:
        """Return the answer to a request.

        Args:
            head: what it says.
            own: address and port that the connection came to, as the system says it.
            now: the time.
            uptime: seconds of a clock that nobody sets.

        Raises:
            Refusal: it gets nothing.
        """
        if head.headers.get("host", "") not in own_names(*own):
            raise Refusal(403, "WrongHost", "Host must be this endpoint's own address.")
        if any(name in FOREIGN_HEADERS or name.startswith(FOREIGN_FAMILIES) for name in head.headers):
            raise Refusal(403, "NotForBrowsers", "Requests of web pages and through proxies are refused.")
        if head.target == CONTAINER_PATH:
            return self._container(head)
        if self.metadata_tokens is not None:
            if head.target == TOKEN_PATH:
                return _new_token(head, self.metadata_tokens, uptime)
            if head.target.startswith(ROLES_PATH):
                return self._role(head, self.metadata_tokens, now, uptime)
        raise Refusal(404, "NotFound", "There is nothing here.")

    def _container(self, head: Head) -> Reply:
        _expect("GET", head)
        said = head.headers.get("authorization", "").encode()
        if not hmac.compare_digest(said, self.authorization.reveal().encode()):
            raise Refusal(401, "Unauthorized", "The authorization token is missing or wrong.")
        return _json(self.credentials().to_container())

    def _role(self, head: Head, tokens: MetadataTokens, now: datetime, uptime: float) -> Reply:
        _expect("GET", head)
        if not tokens.believes(head.headers.get(TOKEN_HEADER), uptime):
            raise Refusal(401, "Unauthorized", "A token from PUT /latest/api/token is needed (IMDSv2).")
        if head.target in (ROLES_PATH, f"{ROLES_PATH}/"):
            # Without credentials there is no role either: a client must not believe that there is one.
            self.credentials()
            return Reply(200, self.role_name.encode(), "text/plain")
        if head.target == f"{ROLES_PATH}/{self.role_name}":
            return _json(self.credentials().to_imds(now))
        raise Refusal(404, "NotFound", "There is no such role here.")


def own_names(address: str, port: int) -> frozenset[str]:
    """Return what a Host header may say of this address: itself as a number, never a name.

    A name can be made to lead here by whoever owns it, and browsers then take the two for one site.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    host = f"[{ip}]" if ip.version == 6 else str(ip)  # noqa: PLR2004 - the version itself
    names = {f"{host}:{port}"}
    return frozenset(names | {host} if port == _HTTP_PORT else names)


def refused(refusal: Refusal) -> Reply:
    """Return a refusal as AWS's clients read it: with a code and a message."""
    return Reply(refusal.status, _bytes({"code": refusal.code, "message": refusal.message}))


def _new_token(head: Head, tokens: MetadataTokens, uptime: float) -> Reply:
    _expect("PUT", head)
    seconds = lifetime(head.headers.get(TTL_HEADER))
    if seconds is None:
        raise Refusal(400, "BadTtl", f"{TTL_HEADER} must be 1 to 21600.")
    return Reply(200, tokens.make(seconds, uptime).encode(), "text/plain", {TTL_HEADER: str(seconds)})


def _expect(method: str, head: Head) -> None:
    if head.method != method:
        raise Refusal(405, "MethodNotAllowed", f"This place knows {method} alone.")


def _json(document: Mapping[str, object]) -> Reply:
    return Reply(200, _bytes(document))


def _bytes(document: Mapping[str, object]) -> bytes:
    return json.dumps(document).encode()
