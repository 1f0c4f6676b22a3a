"""A small HTTP server for loopback, shared by the helpers that speak JSON."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any
from urllib.parse import parse_qs, urlsplit

# Nothing that is asked of these servers is larger.
MAX_BODY_BYTES = 1_048_576

# A client that stops talking in the middle does not keep a thread for ever.
IDLE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its query and body parsed."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises ``ValueError`` for anything else."""
        value = json.loads(self.body or b"{}")
        if not isinstance(value, dict):
            raise ValueError("the body is not a JSON object")  # noqa: TRY004 - the caller's value
        return value


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; ``body`` is sent as JSON unless it is bytes."""

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)


Responder = Callable[[Request], Answer]

_REASONS = {code.value: code.phrase for code in HTTPStatus}


class Server(ThreadingHTTPServer):
    """Serves one responder on 127.0.0.1, one thread per connection."""

    daemon_threads = True
    # Many clients connect at once in the tests; the default of five refuses the sixth.
    request_queue_size = 128

    def __init__(self, port: int, responder: Responder) -> None:
        self.responder = responder
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """The address to talk to; with port 0 only known now."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Serve in a thread of this process, for tests."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Server

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            self._send(Answer(413, {"error": "the body is too large"}))
            return
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=url.path,
            query={name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
        )
        self._send(self.server.responder(request))

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

    def _send(self, answer: Answer) -> None:
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Content-Length": str(len(body)),
            **answer.headers,
        }
        lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Answer')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        # One write for head and body: two would wait for each other's acknowledgement for 40 ms.
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Write no line per request: queries can carry what does not belong into a log."""


def serve(server: Server) -> None:
    """Serve until somebody sends SIGTERM."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    print(f"listening on {server.url}", flush=True)
    server.serve_forever()
