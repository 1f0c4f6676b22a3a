"""Web addresses, read one strict way by everybody who decides about one.

``urllib.parse`` forgives line ends, tabs and backslashes and lets a user's name stand before the
host; two readers that forgive differently are how a check and a request come to mean two hosts.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_CHARS = 2_048
"""Longer than any address that an issuer really has; addresses end in logs."""

DEFAULT_PORTS = {"https": 443, "http": 80}

# The characters of RFC 3986 §2 without "#": a fragment never reaches a server.
_PLAIN = re.compile(r"https?://[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+")
_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAddress:
    """An http or https address. ``target`` is what its request line asks for: path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def secure(self) -> bool:
        """Whether it is https."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host, and port unless it is the scheme's own: what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_named(self) -> bool:
        """Whether the host is a DNS name, and not an address in any spelling (``127.1``, ``0x7f000001``)."""
        # No top-level domain starts with a digit, and whatever a resolver takes for a number does.
        return _NAME.fullmatch(self.host) is not None and not self.host.rpartition(".")[2][0].isdigit()

    @property
    def is_loopback(self) -> bool:
        """Whether the host says that it is this machine. Where a name leads is the resolver's to say."""
        return self.host == "localhost" or is_loopback(self.host)


def parse_web_address(url: str) -> WebAddress | None:
    """Return ``url`` taken apart, or ``None`` if it is not absolute, plain and without a user."""
    if len(url) > MAX_CHARS or _PLAIN.fullmatch(url) is None:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or port == 0 or "@" in parts.netloc:
        return None
    return WebAddress(
        scheme=parts.scheme,
        host=host,
        port=port or DEFAULT_PORTS[parts.scheme],
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )


def is_loopback(address: str) -> bool:
    """Say whether an IP address is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
