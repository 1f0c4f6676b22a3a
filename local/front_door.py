"""The front door: the stack's API on loopback, with TLS and without, under the paths that AWS has.

``https://127.0.0.1:<port>/v1/…`` is what ``https://<api>.execute-api.<region>.amazonaws.com/v1/…`` is
on AWS, and any other path what a domain of one's own is, without the stage. Some clients speak https
alone, and some sign the path that they ask for, so the emulator's own long one would not do. Host and
all other headers stay as they were sent.

A port beside it speaks http, as authorities' distribution points do: ``/health``, and ``/<name>.crl``
with the revocation lists of the local authority.
"""

import argparse
import http.client
import json
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from local import loopback, pki
from local.loopback import Answer, Request

# API Gateway's limits: on the request line with the headers' values, and on the body.
MAX_HEAD_BYTES = 10_240
MAX_BODY_BYTES = 10 * 1_048_576

# As many clients at once as the tests have; the others wait to be accepted.
MAX_CONNECTIONS = 64
# A client that stops talking, in the handshake too, does not keep its place for ever.
IDLE_SECONDS = 30
# API Gateway's own limit is 29 s; a cold start on two busy cores of this machine may take longer.
UPSTREAM_SECONDS = 60

# What belongs to one connection and not to the message (RFC 9110 §7.6.1).
HOP_BY_HOP = frozenset({"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"})
# The length is told anew, since a body in chunks is passed on whole.
_NOT_PASSED_ON = HOP_BY_HOP | {"content-length", "transfer-encoding"}

# A chunk's length with extensions that nobody uses, and an empty line behind the last chunk.
MAX_LINE_BYTES = 256
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r\n")

_LIST = re.compile(r"/([a-z-]+)\.crl")


class Door(ThreadingHTTPServer):
    """Serves the API, one thread per connection.

    Args:
        port: of 127.0.0.1; 0 for any.
        upstream: MiniStack's port.
        api: file with the API's path at MiniStack, stage and all; read anew for every request, since
            every deployment may change it.
        tls: the settings for TLS; without them it is plain http.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, *, upstream: int, api: Path, tls: ssl.SSLContext | None = None) -> None:
        self.upstream = upstream
        self._api = api
        self._tls = tls
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(("127.0.0.1", port), _Passing)

    @property
    def port(self) -> int:
        """The port; with 0 only known now."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The address to talk to."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def path_of(self, asked: str) -> str | None:
        """Return the path at MiniStack for one that a client asks for, or nothing if none is deployed."""
        try:
            api = self._api.read_text().strip()
        except OSError:
            return None
        base, _, stage = api.rpartition("/")
        path = asked.partition("?")[0]
        if path == f"/{stage}" or path.startswith(f"/{stage}/"):
            return base + asked
        return api + asked

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept one connection; the handshake is left to its own thread, where it holds up nobody."""
        connection, address = super().get_request()
        connection.settimeout(IDLE_SECONDS)
        if self._tls is None:
            return connection, address
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client: object) -> None:
        """Serve in a thread, once there is a place."""
        self._places.acquire()
        super().process_request(request, client)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client: object
    ) -> None:
        """Serve one connection and give its place back."""
        try:
            super().process_request_thread(request, client)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away or spoke something else than TLS: it is their affair."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # the base class names them more narrowly

    def start(self) -> None:
        """Serve in a thread of this process, for tests."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self.shutdown()
        self.server_close()


def tls_of(holder: pki.Holder) -> ssl.SSLContext:
    """Return the settings for TLS under a certificate, at least 1.2, which is what API Gateway takes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(holder.certificate, holder.key)
    return context


class _Passing(BaseHTTPRequestHandler):
    """Passes each request on and its answer back."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Door

    def _pass(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            # What follows on the connection may be the body.
            self.close_connection = True
            self._say(*refusal)
            return
        body = self._chunks() if "Transfer-Encoding" in self.headers else self._counted()
        if body is None:
            # Its sender has left, or it is no body; what follows on the connection is not to be trusted.
            self.close_connection = True
            self._say(400, f"The body is incomplete, or larger than {MAX_BODY_BYTES} bytes")
            return
        path = self.server.path_of(self.path)
        if path is None:
            self._say(503, "Nothing is deployed into the local cloud; type: make up")
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=UPSTREAM_SECONDS)
        try:
            connection.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _NOT_PASSED_ON:
                    connection.putheader(name, value.encode("latin-1"))
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            self._send(answer.status, answer.reason, answer.getheaders(), answer.read())
        except TimeoutError:
            self._say(504, f"The local cloud did not answer within {UPSTREAM_SECONDS} seconds")
        except (ValueError, http.client.InvalidURL) as error:
            self._say(400, f"The request cannot be passed on: {error}")
        except http.client.HTTPException as error:
            self._say(502, f"The local cloud answered with something else than HTTP: {error!r}")
        except ConnectionError:
            self._say(502, "The local cloud does not answer; type: make up")
        finally:
            connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _pass  # noqa: N815 - http.server's

    def _refusal(self) -> tuple[int, str] | None:
        head = len(self.requestline) + sum(len(value) for value in self.headers.values())
        if head > MAX_HEAD_BYTES:
            # The emulator has no such limit, and clients must not come to rely on that.
            return (
                431,
                f"The request line and the headers are {head} bytes; API Gateway takes {MAX_HEAD_BYTES}",
            )
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        # Two ways to say where the body ends are a way to hide a request in it.
        if (
            len(lengths) + len(codings) > 1
            or not all(length.isdecimal() for length in lengths)
            or not all(coding.lower() == "chunked" for coding in codings)
        ):
            return 400, "A request says once how long its body is, by Content-Length or in chunks"
        if lengths and int(lengths[0]) > MAX_BODY_BYTES:
            return 413, f"The body is {lengths[0]} bytes; API Gateway takes {MAX_BODY_BYTES}"
        return None

    def _counted(self) -> bytes | None:
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _chunks(self) -> bytes | None:
        """Return a body that comes in chunks (RFC 9112 §7.1), whole; some clients do not know its length."""
        body = b""
        while (found := _CHUNK.fullmatch(self.rfile.readline(MAX_LINE_BYTES))) is not None:
            size = int(found[1], 16)
            if size == 0:
                return body if self.rfile.readline(MAX_LINE_BYTES) == b"\r\n" else None
            if len(body) + size > MAX_BODY_BYTES:
                return None
            chunk = self.rfile.read(size + 2)
            if len(chunk) < size + 2 or not chunk.endswith(b"\r\n"):
                return None
            body += chunk[:-2]
        return None

    def _say(self, status: int, text: str) -> None:
        body = json.dumps({"message": text}).encode()
        self._send(status, HTTPStatus(status).phrase, [("Content-Type", "application/json")], body)

    def _send(self, status: int, reason: str, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status} {reason}"]
        lines += [f"{name}: {value}" for name, value in headers if name.lower() not in _NOT_PASSED_ON]
        lines.append(f"Content-Length: {len(body)}")
        if self.close_connection:
            lines.append("Connection: close")
        # One write for head and body: two would wait for each other's acknowledgement for 40 ms.
        self.wfile.write(
            "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if self.command == "HEAD" else body)
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Write no line per request: headers and bodies carry what does not belong into a log."""


class DistributionPoint:
    """Answers with the authority's revocation lists, in DER (RFC 5280 §4.2.1.13).

    Args:
        folder: where the lists are; read anew for every request.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, request: Request) -> Answer:
        """Answer one request."""
        if request.path == "/health":
            return Answer(200, {"status": "ok"})
        found = _LIST.fullmatch(request.path)
        with suppress(OSError):
            if found is not None and request.method == "GET":
                data = (self._folder / f"{found[1]}.crl").read_bytes()
                der = x509.load_pem_x509_crl(data).public_bytes(Encoding.DER)
                return Answer(200, der, {"Content-Type": "application/pkix-crl"})
        return Answer(404, {"message": "There is no such list"})


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="The local cloud's API as clients see it.")
    parser.add_argument("--port", type=int, required=True, help="where clients connect")
    parser.add_argument("--tls", type=int, required=True, help="where clients connect with TLS")
    parser.add_argument("--lists", type=int, required=True, help="where revocation lists are")
    parser.add_argument("--upstream", type=int, required=True, help="MiniStack's port")
    parser.add_argument("--api", type=Path, required=True, help="file with the API's path at MiniStack")
    parser.add_argument("--pki", type=Path, required=True, help="folder of the local authority")
    given = parser.parse_args(arguments)
    tls = tls_of(pki.Pki(given.pki).holder(pki.FRONT_DOOR))
    door = Door(given.port, upstream=given.upstream, api=given.api)
    with_tls = Door(given.tls, upstream=given.upstream, api=given.api, tls=tls)
    lists = loopback.Server(given.lists, DistributionPoint(given.pki))
    for other in (with_tls, lists):
        other.start()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    print(f"listening on {door.url}, {with_tls.url} and {lists.url}", flush=True)
    door.serve_forever()


if __name__ == "__main__":
    main()
