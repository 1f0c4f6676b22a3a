"""Documents from issuers: the one place that connects to addresses which others chose.

An anchor's issuer is an operator's word, but what its name resolves to is not: the answer must be
global addresses and nothing else, and the connection goes to the address that was checked, under
the name that was asked for. Nothing is followed, nothing is taken from the environment (proxies),
nothing is kept between two fetches, and every size and time has a limit.
"""

import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import cast

from sallyport.errors import UnavailableError
from sallyport.proof import strict_json
from sallyport.proof.reasons import Reason, shown
from sallyport.web_address import WebAddress, is_loopback, parse_web_address

CONNECT_SECONDS = 1.0
READ_SECONDS = 2.0
TOTAL_SECONDS = 3.0
"""A caller with a new key waits for two of these; ``keys.ANCHOR_SECONDS`` counts on it. The total holds
against a server that sends a byte now and then, and against a resolver that does not answer."""

MAX_BODY_BYTES = 512 * 1024
"""The same as ``jwks.MAX_DOCUMENT_BYTES``."""

MAX_WIRE_BYTES = MAX_BODY_BYTES + 128 * 1024
"""Body, headers and the framing of chunks, before any of it is parsed."""

MAX_ADDRESSES = 16
"""A name with more is not read further. Each must be global; those of them that time allows are tried."""

REASONS: dict[str, Reason] = {
    "fetch-url": Reason(
        "The address is not a plain https URL with a host name.", "Correct it in the anchor or at the issuer."
    ),
    "fetch-resolve": Reason(
        "The host's name could not be resolved.", "Look at the name, and at the function's DNS."
    ),
    "fetch-address": Reason(
        "The host's name leads to an address that is not global.",
        "An issuer inside a private network cannot be used; publish its keys on a public address.",
    ),
    "fetch-connect": Reason(
        "No connection could be made.", "Look at the host, and at the function's way out."
    ),
    "fetch-tls": Reason(
        "The host did not prove its name.", "Its certificate must be valid for the name and publicly trusted."
    ),
    "fetch-timeout": Reason("The host is too slow.", "Keys stay as they are; the next run tries again."),
    "fetch-redirect": Reason(
        "The host answered with a redirect; none is followed.",
        "Use the address to which it points, if it is right.",
    ),
    "fetch-status": Reason("The host answered with another status than 200.", "Look at the address."),
    "fetch-size": Reason("The answer is too large.", "Look at the address."),
    "fetch-broken": Reason("The answer is not HTTP, not complete or compressed.", "Look at the host."),
    "fetch-not-json": Reason("The answer is not one strict JSON object.", "Look at the address."),
}

# IANA's special-purpose registries, as far as they lie in address space that could be routed.
# Python's is_global is not used: it changed within releases, and it calls multicast global.
_NOT_GLOBAL_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
# Only 2000::/3 is unicast of the internet; that leaves out mapped, compatible, NAT64, unique local,
# link-local, site-local and multicast. What is taken out of it carries an IPv4 address (Teredo in
# 2001::/23, 6to4) or is documentation.
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_NOT_GLOBAL_V6 = tuple(
    map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)

_HTTP_OK = 200
_HTTP_REDIRECTS = range(300, 400)

Resolve = Callable[[str, int], Sequence[str]]
"""``(host, port) -> addresses``; may raise ``OSError``."""

Connect = Callable[[str, int, float], socket.socket]
"""``(address, port, seconds) -> socket``; may raise ``OSError``."""


def system_resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def system_connect(address: str, port: int, seconds: float) -> socket.socket:
    """Connect to an address (never to a name)."""
    return socket.create_connection((address, port), timeout=seconds)


def is_global(address: str) -> bool:
    """Say whether ``address`` is unicast on the internet, and leads nowhere else by translation."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _NOT_GLOBAL_V4)
    return parsed in _UNICAST_V6 and not any(parsed in network for network in _NOT_GLOBAL_V6)


class JsonFetcher:
    """Gets one JSON document per call.

    Args:
        local: also permit plain http, and then to loopback only. For the local cloud.
        resolve: how a name becomes addresses.
        connect: how an address becomes a connection.
        tls: which certificates are trusted; by default those that the system trusts.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        local: bool = False,
        resolve: Resolve = system_resolve,
        connect: Connect = system_connect,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._local = local
        self._resolve = resolve
        self._connect = connect
        self._tls = tls or _tls_context()
        self._clock = clock

    def __call__(self, url: str) -> bytes:
        """Return the JSON object at ``url``, as bytes.

        Raises:
            UnavailableError: and nothing else, with a reason of ``REASONS``.
        """
        deadline = self._clock() + TOTAL_SECONDS
        target = self._target(url)
        # (1) Where does the name lead? Every address must be permitted, not only the one in use.
        addresses = self._addresses(target, deadline)
        # (2) To the address that was looked at, under the name that was asked for.
        connection = self._open(target, addresses, deadline)
        # (3) One answer, within what is left of the time.
        try:
            body = self._get(target, connection, deadline)
        finally:
            connection.close()
        # (4) Of the only kind that is of use.
        try:
            strict_json.parse_object(body)
        except ValueError as error:
            raise _unavailable("fetch-not-json", url, error) from error
        return body

    def _target(self, url: str) -> WebAddress:
        target = parse_web_address(url)
        # In the local cloud an address may stand for itself; elsewhere a host is a name.
        if target is None or not (target.is_named if target.secure else self._local):
            raise _unavailable("fetch-url", shown(url))
        return target

    def _addresses(self, target: WebAddress, deadline: float) -> Sequence[str]:
        found: list[str] = []
        errors: list[OSError | UnicodeError] = []

        def ask() -> None:
            try:
                found.extend(self._resolve(target.host, target.port))
            except (OSError, UnicodeError) as error:
                errors.append(error)

        # The system's resolver takes no time limit; a thread can at least be left behind.
        thread = threading.Thread(target=ask, name="resolve", daemon=True)
        thread.start()
        thread.join(max(deadline - self._clock(), 0.0))
        if thread.is_alive():
            raise _unavailable("fetch-timeout", f"{target.host} does not resolve in time")
        if errors or not found or len(found) > MAX_ADDRESSES:
            raise _unavailable("fetch-resolve", target.host, *errors)
        permitted = is_global if target.secure else is_loopback
        for address in found:
            if not permitted(address):
                raise _unavailable("fetch-address", f"{target.host} is {shown(address)}")
        return found

    def _open(self, target: WebAddress, addresses: Sequence[str], deadline: float) -> socket.socket:
        failure: OSError | None = None
        for address in addresses:
            try:
                plain = self._connect(address, target.port, self._left(target, deadline, CONNECT_SECONDS))
            except OSError as error:
                failure = error
                continue
            return self._secured(target, plain, deadline) if target.secure else plain
        reason = "fetch-timeout" if isinstance(failure, TimeoutError) else "fetch-connect"
        raise _unavailable(reason, target.authority, *([failure] if failure else []))

    def _secured(self, target: WebAddress, plain: socket.socket, deadline: float) -> socket.socket:
        try:
            # The handshake as a whole is within the socket's time limit, not only each read of it.
            plain.settimeout(self._left(target, deadline, READ_SECONDS))
            return self._tls.wrap_socket(plain, server_hostname=target.host)
        except TimeoutError as error:
            plain.close()
            raise _unavailable("fetch-timeout", target.authority, error) from error
        except OSError as error:
            plain.close()
            raise _unavailable("fetch-tls", target.authority, error) from error
        except UnavailableError:
            plain.close()
            raise

    def _get(self, target: WebAddress, connection: socket.socket, deadline: float) -> bytes:
        request = (
            f"GET {target.target} HTTP/1.1\r\n"
            f"Host: {target.authority}\r\n"
            "Accept: application/json\r\n"
            "Accept-Encoding: identity\r\n"
            "User-Agent: sallyport\r\n"
            "Connection: close\r\n\r\n"
        )
        source = _Source(connection, lambda: self._left(target, deadline, READ_SECONDS))
        response = http.client.HTTPResponse(cast("socket.socket", source), method="GET")
        try:
            connection.settimeout(self._left(target, deadline, READ_SECONDS))
            connection.sendall(request.encode("ascii"))
            response.begin()
            self._check(target, response)
            body = response.read(MAX_BODY_BYTES + 1)
            unread = response.length
        except TimeoutError as error:
            raise _unavailable("fetch-timeout", target.authority, error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unavailable("fetch-broken", target.authority, error) from error
        finally:
            response.close()
        if len(body) > MAX_BODY_BYTES:
            raise _unavailable("fetch-size", _described(target))
        if unread:
            raise _unavailable("fetch-broken", f"{_described(target)} ends {unread} bytes early")
        return body

    def _check(self, target: WebAddress, response: http.client.HTTPResponse) -> None:
        if response.status in _HTTP_REDIRECTS:
            raise _unavailable("fetch-redirect", f"{_described(target)} answered {response.status}")
        if response.status != _HTTP_OK:
            raise _unavailable("fetch-status", f"{_described(target)} answered {response.status}")
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise _unavailable("fetch-broken", f"{_described(target)} is compressed")
        if (response.length or 0) > MAX_BODY_BYTES:
            raise _unavailable("fetch-size", _described(target))

    def _left(self, target: WebAddress, deadline: float, most: float) -> float:
        """Return how many seconds the next step may take; a socket's zero would mean something else."""
        left = min(deadline - self._clock(), most)
        if left <= 0:
            raise _unavailable("fetch-timeout", target.authority)
        return left


class _Source(io.RawIOBase):
    """A connection to read from, with a time limit per read that shrinks, and a size."""

    def __init__(self, connection: socket.socket, seconds: Callable[[], float]) -> None:
        self._connection = connection
        self._seconds = seconds
        self._left = MAX_WIRE_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        self._connection.settimeout(self._seconds())
        count = self._connection.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise _unavailable("fetch-size", "headers and body together")
        return count

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what ``http.client`` reads from: the one method of a socket that it uses."""
        return io.BufferedReader(self)


def _tls_context() -> ssl.SSLContext:
    """Return the default context, spelled out: certificates required, for the name, TLS 1.2 or later."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _described(target: WebAddress) -> str:
    return f"{target.authority}{target.target}"


def _unavailable(reason: str, detail: str, *errors: Exception) -> UnavailableError:
    entry = REASONS[reason]
    causes = "".join(f": {shown(str(error))}" for error in errors)
    return UnavailableError(reason, f"{entry.sentence} ({detail}{causes})", cure=entry.cure)
