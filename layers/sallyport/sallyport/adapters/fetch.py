"""Documents from issuers and lists from authorities: the one place that connects where others chose.

An anchor's issuer or the address of a revocation list is an operator's word, but what its name
resolves to is not: the answer must be global addresses and nothing else, and the connection goes to
the address that was checked, under the name that was asked for. Nothing is followed, nothing is taken
from the environment (proxies), nothing is kept between two fetches, and every size and time has a limit.
"""

import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from sallyport.errors import UnavailableError
from sallyport.proof import strict_json
from sallyport.proof.crl import MAX_CRL_BYTES
from sallyport.proof.reasons import Reason, shown
from sallyport.web_address import WebAddress, is_loopback, parse_web_address

CONNECT_SECONDS = 1.0
READ_SECONDS = 2.0
TOTAL_SECONDS = 3.0
"""A caller with a new key waits for two of these; ``keys.ANCHOR_SECONDS`` counts on it. The total holds
against a server that sends a byte now and then, and against a resolver that does not answer."""

MAX_BODY_BYTES = 512 * 1024
"""The same as ``jwks.MAX_DOCUMENT_BYTES``."""

LIST_CONNECT_SECONDS = 3.0
LIST_READ_SECONDS = 10.0
LIST_SECONDS = 60.0
"""Nobody waits for a revocation list, and the largest takes a minute at nine megabits per second."""

LIST_PORT = 80
"""Where lists may be fetched in plain text, as RFC 5280 §8 advises: they are signed, and the way to check
a list server's certificate would lead over a list."""

PIECE_BYTES = 64 * 1024
"""What is read at once, so that a list is in memory once and not twice."""

FRAMING_BYTES = 128 * 1024
FRAMING_SHARE = 64
"""What headers and the framing of chunks may take besides the body: so much, or one part in so many."""

MAX_ADDRESSES = 16
"""A name with more is not read further. Each must be global; those of them that time allows are tried."""

REASONS: dict[str, Reason] = {
    "fetch-url": Reason(
        "The address is not a plain https URL with a host name (for lists: or http on port 80).",
        "Correct it in the anchor or at the issuer.",
    ),
    "fetch-resolve": Reason(
        "The host's name could not be resolved.", "Look at the name, and at the function's DNS."
    ),
    "fetch-address": Reason(
        "The host's name leads to an address that is not global.",
        "What is inside a private network cannot be fetched: publish keys on a public address, and bring "
        "revocation lists with `sallyport trust import-crl`.",
    ),
    "fetch-connect": Reason(
        "No connection could be made.", "Look at the host, and at the function's way out."
    ),
    "fetch-tls": Reason(
        "The host did not prove its name.", "Its certificate must be valid for the name and publicly trusted."
    ),
    "fetch-timeout": Reason(
        "The host is too slow.", "Keys and lists stay as they are; the next run tries again."
    ),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """What one fetch may take: seconds, and bytes of body."""

    connect: float
    read: float
    total: float
    body: int

    @property
    def wire(self) -> int:
        """Bytes of body, headers and the framing of chunks, before any of it is parsed."""
        return self.body + max(FRAMING_BYTES, self.body // FRAMING_SHARE)


class _Time:
    """What is left of one fetch's time."""

    def __init__(self, clock: Callable[[], float], limits: _Limits) -> None:
        self._clock = clock
        self._deadline = clock() + limits.total
        self.limits = limits

    def left(self, target: WebAddress, most: float) -> float:
        """Return how many seconds the next step may take; a socket's zero would mean something else."""
        left = min(self._deadline - self._clock(), most)
        if left <= 0:
            raise _unavailable("fetch-timeout", target.authority)
        return left


class _Fetcher:
    """Gets one answer per call.

    Args:
        local: also permit plain http to loopback. For the local cloud.
        resolve: how a name becomes addresses.
        connect: how an address becomes a connection.
        tls: which certificates are trusted; by default those that the system trusts.
        clock: monotonic seconds.
    """

    accept = "*/*"

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

    def _fetched(self, target: WebAddress, permitted: Callable[[str], bool], limits: _Limits) -> bytes:
        time_left = _Time(self._clock, limits)
        # (1) Where does the name lead? Every address must be permitted, not only the one in use.
        addresses = self._addresses(target, permitted, time_left)
        # (2) To the address that was looked at, under the name that was asked for.
        connection = self._open(target, addresses, time_left)
        # (3) One answer, within what is left of the time.
        try:
            return self._get(target, connection, time_left)
        finally:
            connection.close()

    def _addresses(
        self, target: WebAddress, permitted: Callable[[str], bool], time_left: _Time
    ) -> Sequence[str]:
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
        thread.join(time_left.left(target, time_left.limits.total))
        if thread.is_alive():
            raise _unavailable("fetch-timeout", f"{target.host} does not resolve in time")
        if errors or not found or len(found) > MAX_ADDRESSES:
            raise _unavailable("fetch-resolve", target.host, *errors)
        for address in found:
            if not permitted(address):
                raise _unavailable("fetch-address", f"{target.host} is {shown(address)}")
        return found

    def _open(self, target: WebAddress, addresses: Sequence[str], time_left: _Time) -> socket.socket:
        failure: OSError | None = None
        for address in addresses:
            try:
                seconds = time_left.left(target, time_left.limits.connect)
                plain = self._connect(address, target.port, seconds)
            except OSError as error:
                failure = error
                continue
            return self._secured(target, plain, time_left) if target.secure else plain
        reason = "fetch-timeout" if isinstance(failure, TimeoutError) else "fetch-connect"
        raise _unavailable(reason, target.authority, *([failure] if failure else []))

    def _secured(self, target: WebAddress, plain: socket.socket, time_left: _Time) -> socket.socket:
        try:
            # The handshake as a whole is within the socket's time limit, not only each read of it.
            plain.settimeout(time_left.left(target, time_left.limits.read))
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

    def _get(self, target: WebAddress, connection: socket.socket, time_left: _Time) -> bytes:
        request = (
            f"GET {target.target} HTTP/1.1\r\n"
            f"Host: {target.authority}\r\n"
            f"Accept: {self.accept}\r\n"
            "Accept-Encoding: identity\r\n"
            "User-Agent: sallyport\r\n"
            "Connection: close\r\n\r\n"
        )
        limits = time_left.limits
        source = _Source(connection, lambda: time_left.left(target, limits.read), limits.wire)
        response = http.client.HTTPResponse(cast("socket.socket", source), method="GET")
        body = io.BytesIO()
        try:
            connection.settimeout(time_left.left(target, limits.read))
            connection.sendall(request.encode("ascii"))
            response.begin()
            _check(target, response, limits)
            while piece := response.read(PIECE_BYTES):
                body.write(piece)
                if body.tell() > limits.body:
                    raise _unavailable("fetch-size", _described(target))
            unread = response.length
        except TimeoutError as error:
            raise _unavailable("fetch-timeout", target.authority, error) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unavailable("fetch-broken", target.authority, error) from error
        finally:
            response.close()
        if unread:
            raise _unavailable("fetch-broken", f"{_described(target)} ends {unread} bytes early")
        return body.getvalue()


class JsonFetcher(_Fetcher):
    """Gets one JSON document per call, over https; in the local cloud also from loopback."""

    accept = "application/json"

    def __call__(self, url: str) -> bytes:
        """Return the JSON object at ``url``, as bytes.

        Raises:
            UnavailableError: and nothing else, with a reason of ``REASONS``.
        """
        target = parse_web_address(url)
        # In the local cloud an address may stand for itself; elsewhere a host is a name.
        if target is None or not (target.is_named if target.secure else self._local):
            raise _unavailable("fetch-url", shown(url))
        limits = _Limits(connect=CONNECT_SECONDS, read=READ_SECONDS, total=TOTAL_SECONDS, body=MAX_BODY_BYTES)
        body = self._fetched(target, is_global if target.secure else is_loopback, limits)
        # Of the only kind that is of use.
        try:
            strict_json.parse_object(body)
        except ValueError as error:
            raise _unavailable("fetch-not-json", url, error) from error
        return body


class ListFetcher(_Fetcher):
    """Gets one revocation list per call, over https or http; in the local cloud also from loopback."""

    accept = "application/pkix-crl, */*"

    def __call__(self, url: str) -> bytes:
        """Return what is at ``url``, which may be anything: only ``read_crl`` makes a list of it.

        Raises:
            UnavailableError: and nothing else, with a reason of ``REASONS``.
        """
        target = parse_web_address(url)
        here = target is not None and self._local and target.is_loopback and not target.secure
        if target is None or not (here or (target.is_named and (target.secure or target.port == LIST_PORT))):
            raise _unavailable("fetch-url", shown(url))
        limits = _Limits(
            connect=LIST_CONNECT_SECONDS, read=LIST_READ_SECONDS, total=LIST_SECONDS, body=MAX_CRL_BYTES
        )
        return self._fetched(target, is_loopback if here else is_global, limits)


def _check(target: WebAddress, response: http.client.HTTPResponse, limits: _Limits) -> None:
    if response.status in _HTTP_REDIRECTS:
        raise _unavailable("fetch-redirect", f"{_described(target)} answered {response.status}")
    if response.status != _HTTP_OK:
        raise _unavailable("fetch-status", f"{_described(target)} answered {response.status}")
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise _unavailable("fetch-broken", f"{_described(target)} is compressed")
    if (response.length or 0) > limits.body:
        raise _unavailable("fetch-size", _described(target))


class _Source(io.RawIOBase):
    """A connection to read from, with a time limit per read that shrinks, and a size."""

    def __init__(self, connection: socket.socket, seconds: Callable[[], float], size: int) -> None:
        self._connection = connection
        self._seconds = seconds
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # what has a length
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
