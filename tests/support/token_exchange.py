"""An exchange on loopback for tokens: issues numbered sessions to whoever asks, and can be bent."""

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROLE = "arn:aws:iam::111122223333:role/sallyport/reader"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION_TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN=="

Reply = tuple[int, bytes]
"""Status and body, as sent instead of a session."""


def refusal(status: int, code: str, message: str = "Not authorized to assume the requested role.") -> Reply:
    """Return an error as ``POST /credentials`` writes it."""
    return status, json.dumps({"code": code, "message": message, "exchangeId": "ex-refused"}).encode()


DENIED = refusal(403, "AccessDenied")
THROTTLED = refusal(429, "Throttling", "Rate exceeded.")
BROKEN = refusal(503, "ServiceUnavailable", "Try again.")
HTML = (200, b"<html>Please sign in to this network.</html>")
HTML_REFUSED = (403, b"<html>Forbidden</html>")


def token(claims: dict[str, Any], signature: str = "c2lnbmF0dXJl") -> str:
    """Return something in a token's form; nobody here looks at its signature."""
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, signature])


@dataclass
class TokenExchange:
    """A server on a port of its own, for the length of a ``with``.

    Args:
        lasting: how long sessions last.
        replies: said first, one for each request.
        always: said to every request instead, as long as it is set.
        delay: seconds before each answer.
        gate: waited for before each answer.
        clock: tells the time, in the answers' date too.
    """

    lasting: timedelta = timedelta(hours=1)
    replies: list[Reply] = field(default_factory=list)
    always: Reply | None = None
    delay: float = 0
    gate: threading.Event | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    port: int = 0
    tokens: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                exchange._serve(self)

            def log_message(self, *_arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            # Twenty processes may come at once.
            request_queue_size = 64
            daemon_threads = True

            def handle_error(self, *_arguments: Any) -> None:
                """Callers are killed half-way here."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
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
        """Its address."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return len(self.bodies)

    def settings(self, file: Path, **more: str) -> dict[str, str]:
        """Return the flags of a workload that shows this exchange the token of a file."""
        return {"endpoint": self.url, "role-arn": ROLE, "token-file": str(file), **more}

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        with self._lock:
            self.tokens.append(handler.headers["authorization"].removeprefix("Bearer "))
            self.bodies.append(json.loads(body))
            number = len(self.bodies)
            reply = self.replies.pop(0) if self.replies else self.always
        time.sleep(self.delay)
        if self.gate is not None:
            self.gate.wait(60)
        status, content = reply or self._session(number)
        handler.send_response_only(status)
        for name, value in {
            "date": format_datetime(self.clock(), usegmt=True),
            "x-amzn-requestid": f"ex-{number}",
            "content-length": str(len(content)),
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def _session(self, number: int) -> Reply:
        document = {
            "Version": 1,
            "AccessKeyId": f"ASIAEXAMPLE{number:09}",
            "SecretAccessKey": SECRET,
            "SessionToken": SESSION_TOKEN,
            "Expiration": f"{self.clock() + self.lasting:%Y-%m-%dT%H:%M:%SZ}",
            "AccountId": "111122223333",
        }
        return 200, json.dumps(document).encode()
