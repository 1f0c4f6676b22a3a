"""An exchange on loopback that verifies signed requests with the real verifier, and issues nothing real."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from sallyport.errors import SallyportError
from sallyport.model import Identity, SignedRequest, X509Anchor
from sallyport.proof.x509 import Endpoint, identify, parse, verify_chain
from tests.support import pki

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"

Reply = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body, as sent instead of an answer of the exchange."""


def error(status: int, code: str, message: str) -> Reply:
    """Return an error as exchanges write it."""
    return status, {"x-amzn-errortype": code}, json.dumps({"message": message}).encode()


@dataclass
class SmallExchange:
    """A server on a port of its own, for the length of a ``with``.

    Args:
        anchor: what requests are held against.
        tls: for https.
        replies: said first, one for each request, before any is looked at.
        clock: tells the time.
        host: its name in requests.
    """

    anchor: X509Anchor = field(default_factory=pki.anchor)
    tls: ssl.SSLContext | None = None
    replies: list[Reply] = field(default_factory=list)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    host: str = "127.0.0.1"
    requests: list[SignedRequest] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    header_bytes: list[int] = field(default_factory=list)
    _line: int = 0

    def __enter__(self) -> Self:
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                exchange._serve(self)

            def parse_request(self) -> bool:
                exchange._line = len(self.raw_requestline)
                return super().parse_request()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, _t: type[BaseException] | None, _v: BaseException | None, _b: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{self.host}:{self._server.server_address[1]}"

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        target = urlsplit(handler.path)
        headers: dict[str, tuple[str, ...]] = {}
        for name, value in handler.headers.items():
            headers[name.lower()] = (*headers.get(name.lower(), ()), value)
        query: dict[str, tuple[str, ...]] = {}
        for name, value in parse_qsl(target.query, keep_blank_values=True):
            query[name] = (*query.get(name, ()), value)
        request = SignedRequest(
            method=handler.command, paths=(target.path,), query=query, headers=headers, body=body
        )
        self.requests.append(request)
        self.header_bytes.append(
            self._line + sum(len(f"{name}: {value}\r\n") for name, value in handler.headers.items())
        )
        status, extra, content = self.replies.pop(0) if self.replies else self._answer(request)
        handler.send_response(status)
        for name, value in {"x-amzn-requestid": f"exchange-{len(self.requests)}", **extra}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _answer(self, request: SignedRequest) -> Reply:
        now = self.clock()
        endpoint = Endpoint(hosts=frozenset({self.host}), region=pki.REGION)
        try:
            chain = verify_chain(parse(request), endpoint, self.anchor, now)
            self.identities.append(identify(chain, (), frozenset(), now))
        except SallyportError as refused:
            return error(refused.status, refused.code, refused.public)
        return session(now + timedelta(hours=1))


def session(until: datetime) -> Reply:
    """Return a session as exchanges write it."""
    credentials = {
        "accessKeyId": "ASIAEXAMPLEEXAMPLE00",
        "secretAccessKey": SECRET,
        "sessionToken": TOKEN,
        "expiration": f"{until:%Y-%m-%dT%H:%M:%SZ}",
    }
    one = {
        "assumedRoleUser": {
            "arn": "arn:aws:sts::111122223333:assumed-role/reader/x",
            "assumedRoleId": "AROA:x",
        },
        "credentials": credentials,
        "packedPolicySize": 0,
        "roleArn": pki.ROLE_ARN,
        "sourceIdentity": "x",
    }
    return 201, {}, json.dumps({"credentialSet": [one], "subjectArn": "arn:x"}).encode()


@contextlib.contextmanager
def raw_endpoint(
    first: bytes, endless: bytes = b"", *, pause: float = 0
) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that answers every POST with these bytes, and with ``endless`` for as long as it is heard.

    Yields its address and the bodies that it received.

    Args:
        first: what is sent at once.
        endless: what is sent again and again.
        pause: seconds before each time.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []
    stopped = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(5)
                    data = b""
                    while not data.endswith(b"}"):
                        data += connection.recv(65_536)
                    received.append(data.partition(b"\r\n\r\n")[2])
                    connection.sendall(first)
                    while endless and not stopped.wait(pause):
                        connection.sendall(endless)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
