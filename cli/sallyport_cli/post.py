"""One POST to an exchange: no redirects, no proxies, no second tries, and an end in any case."""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sallyport.web_address import WebAddress
from sallyport_cli.failure import CommandError
from sallyport_cli.output import shown
from sallyport_cli.workload.problem import ExchangeError

CONNECT_TIMEOUT: Final = 5
"""Seconds. A first packet takes far less from anywhere on earth."""

READ_TIMEOUT: Final = 35
"""Seconds for the whole answer. API Gateway itself gives up after 29."""

MAX_ANSWER_BYTES: Final = 262_144
"""A session token has some thousands of bytes at most; more is no answer of an exchange."""

REQUEST_ID: Final = "x-amzn-requestid"
"""Where an answer says which exchange it was."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: headers by lower-case name, the last of each counts. The body may be a secret."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class UnreachableError(ExchangeError):
    """There was no answer. ``again`` says whether asking once more could help."""

    def __init__(self, reason: str, detail: str, *, cure: str, again: bool = True) -> None:
        super().__init__(reason, detail, cure=cure, kind="unreachable")
        self.again = again


def trust_store(ca_bundle: str | None) -> ssl.SSLContext:
    """Return the settings for TLS: at least 1.2, the system's authorities or those of one file.

    Raises:
        CommandError: the file has none.
    """
    try:
        context = ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ValueError):
        raise CommandError(
            "ca-bundle-unreadable",
            f"{shown(ca_bundle)} is not a file of certificates in PEM.",
            cure="Check --ca-bundle, or leave it out to trust this machine's authorities.",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def post(
    address: WebAddress, headers: Sequence[tuple[str, str]], body: bytes, tls: ssl.SSLContext | None
) -> Answer:
    """Send exactly these headers and this body, and return the answer.

    Args:
        address: where to; its target is the request line's.
        headers: all of them, ``host`` and ``content-length`` included.
        body: the bytes.
        tls: from ``trust_store``; ``None`` with an http address.

    Raises:
        UnreachableError: and nothing else, whatever is wrong with the way or the answer.
    """
    try:
        return _post(address, headers, body, tls)
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError(
            "endpoint-certificate",
            f"The endpoint {address.authority} has a certificate that is not trusted here: "
            f"{shown(error.verify_message)}.",
            cure="Give the authority's certificate with --ca-bundle, if it is yours; else do not go on.",
            again=False,
        ) from None
    except TimeoutError:
        raise UnreachableError(
            "endpoint-slow",
            f"The endpoint {address.authority} did not answer in time.",
            cure="Check the network and the endpoint, and try again.",
        ) from None
    except UnicodeError:
        # Of the host: a label that is empty or too long for DNS (RFC 1035 §2.3.4).
        raise UnreachableError(
            "endpoint-unreachable",
            f"{shown(address.host, 100)} cannot be the name of a host.",
            cure="Check the address for a slip.",
            again=False,
        ) from None
    except (OSError, http.client.HTTPException) as error:
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreachableError(
            "endpoint-unreachable",
            f"The endpoint {address.authority} cannot be reached: {shown(words, 200)}.",
            cure="Check --endpoint and the network.",
        ) from None


def _post(
    address: WebAddress, headers: Sequence[tuple[str, str]], body: bytes, tls: ssl.SSLContext | None
) -> Answer:
    connection = (
        http.client.HTTPConnection(address.host, address.port, timeout=CONNECT_TIMEOUT)
        if tls is None
        else http.client.HTTPSConnection(address.host, address.port, timeout=CONNECT_TIMEOUT, context=tls)
    )
    with contextlib.closing(connection):
        connection.connect()
        late = threading.Event()
        # A timeout of a socket begins anew with every byte; this one does not.
        watchdog = threading.Timer(READ_TIMEOUT, _cut, (connection.sock, late))
        watchdog.daemon = True
        watchdog.start()
        try:
            connection.sock.settimeout(READ_TIMEOUT)
            return _exchange(connection, address, headers, body)
        except (OSError, http.client.HTTPException):
            if late.is_set():
                raise TimeoutError from None
            raise
        finally:
            watchdog.cancel()


def _exchange(
    connection: http.client.HTTPConnection,
    address: WebAddress,
    headers: Sequence[tuple[str, str]],
    body: bytes,
) -> Answer:
    connection.putrequest("POST", address.target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders(body)
    with connection.getresponse() as answer:
        content = answer.read(MAX_ANSWER_BYTES + 1)
        if len(content) > MAX_ANSWER_BYTES:
            raise http.client.HTTPException("the answer is too long")
        if answer.length:
            raise http.client.HTTPException("the answer was cut off")
        said = {name.lower(): value for name, value in answer.getheaders()}
        if REQUEST_ID in said:
            # A gateway may add an id of its own; the exchange's, which explain knows, comes before it.
            said[REQUEST_ID] = answer.headers[REQUEST_ID]
        return Answer(answer.status, said, content)


def _cut(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
