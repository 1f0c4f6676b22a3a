"""The fault proxy: stands between clients and MiniStack, and fails on demand.

Faults are keyed by the service and the Region of the request's SigV4 scope, by the operation, and
for DynamoDB and SQS by the table or queue.
An unsigned STS call has no scope, so STS has one port more per Region. A control port sets faults
and tells which calls were seen:

=====================  ==============================================================
``GET /calls``         ``[{"service", "region", "operation", "resource", "seen", "faulted"}]``
``DELETE /calls``      start counting anew
``GET /faults``        the faults in force
``POST /faults``       ``{"fault", "service"?, "region"?, "operation"?, "resource"?, "times"?}``
``DELETE /faults``     all of them; with a query such as ``?service=sts`` only those
``GET /security-hub``  what was imported: ``{"findings", "taken": [{"id", "updated_at", "changed"}]}``
=====================  ==============================================================

Security Hub's import of findings is answered as ``security_hub`` says, and a call by which a user of a
Cognito pool writes his attributes as ``cognito_rules`` does.

Faults: ``reset`` (the connection breaks), ``lost`` (it breaks after the call has had its effect),
``hang`` (no answer until the fault is cleared), ``garbage`` (200, and a page where an answer should be),
``503``, ``RegionDisabledException``, ``accessdenied`` and ``throttle``.
"""

import argparse
import json
import re
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from local import cognito_rules, security_hub, web_identity_answer
from local.cloud import ACCOUNT, OPERATOR_SECRET, REGION
from local.http_relay import CHUNK_BYTES, BrokenError, Head, read_head, read_more, relay_body
from local.loopback import Answer, Request, Server

# Bodies up to this are read before they are passed on, to see a Query protocol's Action in them.
MAX_FORM_BYTES = 262_144
# MiniStack keeps idle connections for 75 s; a client that is silent for longer comes again.
IDLE_SECONDS = 70.0
# A cold function behind the call can take a while; nothing takes this long.
UPSTREAM_SECONDS = 120.0
# A hang ends by itself, so that forgetting to clear it costs no thread for ever.
HANG_SECONDS = 120.0
HANG_POLL_SECONDS = 0.05

_SCOPE = re.compile(r"Credential=[^/,\s]+/[0-9]{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_RPC_PATH = re.compile(r"/operation/([A-Za-z]+)$")
_TABLE = re.compile(rb'"TableName":\s*"([A-Za-z0-9_.-]+)"')
_QUEUE = re.compile(rb'"QueueUrl":\s*"[^"]*/([A-Za-z0-9_.-]+)"')
_COGNITO = "AWSCognitoIdentityProviderService."
IMPORT = "BatchImportFindings"
_INVOKE_PATH = re.compile(r"^/2015-03-31/functions/[^/]+/invocations$")


class Call(NamedTuple):
    """What a request is for; ``resource`` is a table's or a queue's name, where there is one."""

    service: str
    region: str
    operation: str
    resource: str = "-"


@dataclass(slots=True)
class Fault:
    """A fault and what it applies to; ``*`` is everything. ``times`` counts down, ``None`` does not."""

    fault: str
    service: str = "*"
    region: str = "*"
    operation: str = "*"
    resource: str = "*"
    times: int | None = None

    def applies_to(self, call: Call) -> bool:
        """Tell whether the call is one of those meant."""
        pairs = zip((self.service, self.region, self.operation, self.resource), call, strict=True)
        return all(wanted in ("*", actual) for wanted, actual in pairs)


# Fault → HTTP status and the code that AWS's clients know it by.
ANSWERS = {
    "503": (503, "ServiceUnavailable"),
    "RegionDisabledException": (403, "RegionDisabledException"),
    "accessdenied": (403, "AccessDenied"),
    "throttle": (400, "Throttling"),
}
KINDS = frozenset({"reset", "lost", "hang", "garbage", *ANSWERS})


@dataclass
class Faults:
    """The faults in force and the calls seen; shared by all connections."""

    hub: security_hub.SecurityHub = field(default_factory=security_hub.SecurityHub)
    _faults: list[Fault] = field(default_factory=list)
    _seen: Counter[Call] = field(default_factory=Counter)
    _faulted: Counter[Call] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, call: Call) -> Fault | None:
        """Count a call and return the fault that it meets, the one set last first."""
        with self._lock:
            self._seen[call] += 1
            for fault in reversed(self._faults):
                if fault.applies_to(call):
                    self._faulted[call] += 1
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._faults.remove(fault)
                    return fault
        return None

    def is_set(self, fault: Fault) -> bool:
        """Tell whether the very fault is still in force; one with ``times`` outlives its count."""
        with self._lock:
            return fault.times is not None or any(fault is one for one in self._faults)

    def __call__(self, request: Request) -> Answer:
        """Answer the control port."""
        shown = {"/health": lambda: {"status": "ok"}, "/security-hub": self.hub.shown}
        if request.method == "GET" and request.path in shown:
            return Answer(200, shown[request.path]())
        try:
            match request.method, request.path:
                case "GET", "/calls":
                    with self._lock:
                        return Answer(
                            200,
                            [
                                {**call._asdict(), "seen": seen, "faulted": self._faulted[call]}
                                for call, seen in sorted(self._seen.items())
                            ],
                        )
                case "DELETE", "/calls":
                    with self._lock:
                        self._seen.clear()
                        self._faulted.clear()
                    return Answer(200, {})
                case "POST", "/faults":
                    self._set(request.json())
                case "DELETE", "/faults":
                    self._clear(request.query)
                case "GET", "/faults":
                    pass
                case _:
                    return Answer(404, {"error": "not found"})
        except (TypeError, ValueError) as error:
            return Answer(400, {"error": str(error)})
        with self._lock:
            return Answer(200, [asdict(fault) for fault in self._faults])

    def _set(self, asked: Mapping[str, Any]) -> None:
        fault = Fault(**asked)
        if fault.fault not in KINDS:
            raise ValueError(f"fault is one of {', '.join(sorted(KINDS))}")
        if fault.times is not None and fault.times < 1:
            raise ValueError("times is at least 1")
        with self._lock:
            self._faults.append(fault)

    def _clear(self, only: Mapping[str, str]) -> None:
        with self._lock:
            self._faults[:] = [
                fault
                for fault in self._faults
                if any(str(getattr(fault, name, "")) != value for name, value in only.items())
            ]


class _Connection:
    """One client's connection, and one to MiniStack for as long as it lasts."""

    def __init__(
        self, client: socket.socket, faults: Faults, upstream: tuple[str, int], sts_region: str | None
    ) -> None:
        self._client = client
        self._faults = faults
        self._address = upstream
        self._sts_region = sts_region
        self._pools = cognito_rules.EmulatorsPools(
            f"http://{upstream[0]}:{upstream[1]}", REGION, ACCOUNT, OPERATOR_SECRET
        )
        self._upstream: socket.socket | None = None

    def serve(self) -> None:
        """Pass messages on until either side is done."""
        try:
            with self._client:
                _tune(self._client, IDLE_SECONDS)
                left = b""
                while (request := read_head(self._client, left)) is not None:
                    again, left = self._exchange(request)
                    if not again:
                        return
        except (BrokenError, OSError):
            # Either side went away, which is what clients of a fault proxy do.
            return
        finally:
            if self._upstream is not None:
                self._upstream.close()

    def _exchange(self, request: Head) -> tuple[bool, bytes]:
        if request.headers.get("expect", "").lower() == "100-continue":
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, left = self._small_body(request)
        call = identify(request, body or b"", self._sts_region)
        fault = self._faults.meet(call)
        if fault is not None and not self._fail(fault, call):
            return False, b""
        if self._answers_itself(request, call, body or b"", is_lost=fault is not None):
            return False, b""
        upstream = self._connect()
        head = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", request.raw)
        if body is not None:
            upstream.sendall(head + body)
        else:
            upstream.sendall(head)
            left = relay_body(self._client, upstream, request)
        answer = read_head(upstream)
        while answer is not None and answer.first.split(" ", 2)[1] == "100":
            answer = read_head(upstream, answer.rest)
        if answer is None or (fault is not None and fault.fault == "lost"):
            raise BrokenError
        if call.operation == "AssumeRoleWithWebIdentity" and answer.length is not None:
            answer = _corrected(answer, upstream, body or b"")
        whole = self._answer(request, answer, upstream)
        return whole and not request.closes and not answer.closes, left

    def _answers_itself(self, request: Head, call: Call, body: bytes, *, is_lost: bool) -> bool:
        """Answer what the emulator has not, or takes too easily; returns whether that was so."""
        if call.operation == IMPORT:
            status, said = self._faults.hub.import_findings(body)
            if not is_lost:
                self._client.sendall(
                    _whole(status, said.get("Code", "OK"), "application/json", json.dumps(said))
                )
            return True
        if not request.headers.get("x-amz-target", "").startswith(_COGNITO):
            return False
        refused = cognito_rules.refusal(call.operation, body, self._pools)
        if refused is not None:
            self._client.sendall(_json_error(400, refused.code, refused.text))
        return refused is not None

    def _small_body(self, request: Head) -> tuple[bytes | None, bytes]:
        # The body if it is short enough to be held, and what follows it.
        if request.chunked:
            return None, b""
        length = request.length or 0
        imports = request.first.startswith(f"POST {security_hub.PATH} ")
        if length > (security_hub.MAX_BODY_BYTES if imports else MAX_FORM_BYTES):
            return None, b""
        data = bytearray(request.rest)
        while len(data) < length:
            more = self._client.recv(CHUNK_BYTES)
            if not more:
                raise BrokenError
            data += more
        return bytes(data[:length]), bytes(data[length:])

    def _answer(self, request: Head, answer: Head, upstream: socket.socket) -> bool:
        # Returns whether the answer's end was told, so that another can follow.
        status = answer.first.split(" ", 2)[1]
        if request.first.startswith("HEAD ") or status in {"204", "304"}:
            self._client.sendall(answer.raw)
            return True
        if answer.chunked or answer.length is not None:
            if answer.length is not None and len(answer.rest) >= answer.length:
                self._client.sendall(answer.raw + answer.rest)
                return True
            self._client.sendall(answer.raw)
            relay_body(upstream, self._client, answer)
            return True
        self._client.sendall(answer.raw + answer.rest)
        while data := upstream.recv(CHUNK_BYTES):
            self._client.sendall(data)
        return False

    def _connect(self) -> socket.socket:
        held = self._upstream
        if held is not None:
            # Readable while nothing is due means that the other side has closed it.
            if not select.select([held], [], [], 0)[0]:
                return held
            held.close()
        self._upstream = socket.create_connection(self._address, timeout=UPSTREAM_SECONDS)
        _tune(self._upstream, UPSTREAM_SECONDS)
        return self._upstream

    def _fail(self, fault: Fault, call: Call) -> bool:
        # Returns whether the request goes on after all, which one that hung does once it is released.
        if fault.fault == "hang":
            deadline = time.monotonic() + HANG_SECONDS
            while self._faults.is_set(fault) and time.monotonic() < deadline:
                if select.select([self._client], [], [], HANG_POLL_SECONDS)[0]:
                    # The client has given up (or sends ahead, which none of AWS's clients does).
                    return False
            return fault.times is None and time.monotonic() < deadline
        if fault.fault == "reset":
            # Linger of nothing: the kernel answers with RST instead of FIN.
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fault.fault == "lost":
            return True
        if fault.fault == "garbage":
            self._client.sendall(_whole(200, "OK", "text/html", "<html>somebody else's page"))
            return False
        self._client.sendall(error_answer(fault.fault, call))
        return False


def _corrected(answer: Head, upstream: socket.socket, form: bytes) -> Head:
    """Return an answer of AssumeRoleWithWebIdentity with what STS says of the token, all of it read."""
    data = answer.rest
    while len(data) < (answer.length or 0):
        data += read_more(upstream)
    data = web_identity_answer.correct(data, form)
    raw = re.sub(rb"(?i)\r\ncontent-length:[^\r]*", b"\r\nContent-Length: %d" % len(data), answer.raw)
    return Head(raw, answer.first, {**answer.headers, "content-length": str(len(data))}, data)


def _tune(connection: socket.socket, seconds: float) -> None:
    connection.settimeout(seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def identify(request: Head, body: bytes, sts_region: str | None) -> Call:
    """Say what a request is for, from its scope, its target header, its path or its form."""
    method, target, *_ = [*request.first.split(" "), "", ""]
    url = urlsplit(target)
    credential = "Credential=" + unquote(parse_qs(url.query).get("X-Amz-Credential", [""])[0])
    scope = _SCOPE.search(request.headers.get("authorization", "")) or _SCOPE.search(credential)
    region, service = (scope[1], scope[2]) if scope else ("-", "-")
    if sts_region is not None:
        region, service = sts_region, "sts"
    if amz_target := request.headers.get("x-amz-target"):
        operation = amz_target.rpartition(".")[2]
    elif found := _RPC_PATH.search(url.path):
        operation = found[1]
    elif _INVOKE_PATH.match(url.path):
        operation = "Invoke"
    elif service == "securityhub" and url.path == security_hub.PATH:
        operation = IMPORT
    elif request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        operation = parse_qs(body.decode("latin-1")).get("Action", [method])[0]
    else:
        operation = method
    named = {"dynamodb": _TABLE, "sqs": _QUEUE}.get(service)
    resource = named.search(body) if named else None
    return Call(service, region, operation, resource[1].decode() if resource else "-")


# Services that answer in XML (Query and REST-XML protocols); the others speak JSON.
_XML_SERVICES = frozenset({"sts", "iam", "sns", "s3", "cloudformation", "-"})


def error_answer(fault: str, call: Call) -> bytes:
    """Return the whole answer that a service gives in its own protocol."""
    status, code = ANSWERS[fault]
    text = f"{code}: set at the fault proxy for {call.service} {call.operation} in {call.region}"
    if call.service not in _XML_SERVICES:
        return _json_error(status, code if code.endswith("Exception") else f"{code}Exception", text)
    body = (
        "<ErrorResponse><Error><Type>Sender</Type>"
        f"<Code>{code}</Code><Message>{escape(text)}</Message></Error>"
        "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
    )
    return _whole(status, code, "text/xml", body)


def _json_error(status: int, code: str, text: str) -> bytes:
    body = json.dumps({"__type": code, "message": text})
    return _whole(status, code, "application/x-amz-json-1.0", body)


def _whole(status: int, code: str, kind: str, body: str) -> bytes:
    head = (
        f"HTTP/1.1 {status} {code}\r\nContent-Type: {kind}\r\nX-Amzn-ErrorType: {code}\r\n"
        f"Content-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body.encode()


class Listener:
    """Accepts connections on one port of loopback and serves each in a thread."""

    def __init__(
        self, port: int, faults: Faults, upstream: tuple[str, int], sts_region: str | None = None
    ) -> None:
        self._socket = socket.create_server(("127.0.0.1", port), backlog=128)
        self._faults = faults
        self._upstream = upstream
        self._sts_region = sts_region

    @property
    def url(self) -> str:
        """The address to talk to."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        """Accept in a thread, until ``stop`` or the process ends."""
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Accept no more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            connection = _Connection(client, self._faults, self._upstream, self._sts_region)
            threading.Thread(target=connection.serve, daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="Fails calls to the local cloud on demand.")
    parser.add_argument("--upstream", type=int, required=True, help="MiniStack's port")
    parser.add_argument("--port", type=int, required=True, help="where clients connect")
    parser.add_argument("--control", type=int, required=True, help="where faults are set")
    parser.add_argument("--sts", action="append", default=[], metavar="REGION=PORT")
    given = parser.parse_args(arguments)
    faults = Faults()
    upstream = ("127.0.0.1", given.upstream)
    Listener(given.port, faults, upstream).start()
    for pair in given.sts:
        region, _, port = pair.partition("=")
        Listener(int(port), faults, upstream, region).start()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    Server(given.control, faults).serve_forever()


if __name__ == "__main__":
    main()
