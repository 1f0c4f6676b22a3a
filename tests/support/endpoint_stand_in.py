"""An endpoint in front of the deployed one: it can be away, and it can say that sessions end sooner.

AWS has no session below 15 minutes. Whoever wants to see credentials renewed over their end in less time must
have somebody say an earlier one; everything else of an answer is the deployed endpoint's own.
"""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ANSWER_SECONDS = 60


class StandIn(ThreadingHTTPServer):
    """Passes requests on.

    Args:
        endpoint: the deployed one, with its stage.
        lasts: how long sessions are said to last from now on; as long as they do without it.
    """

    daemon_threads = True

    def __init__(self, endpoint: str, lasts: timedelta | None = None) -> None:
        self.behind = urlsplit(endpoint)
        self.lasts = lasts
        self.is_away = False
        self.asked = 0
        super().__init__(("127.0.0.1", 0), _Passing)

    @property
    def url(self) -> str:
        """The address to give to clients."""
        return f"http://127.0.0.1:{self.server_address[1]}{self.behind.path}"

    def shortened(self, body: bytes) -> bytes:
        """Return an answer's body with the earlier end, if it has credentials in it."""
        document = json.loads(body)
        if self.lasts is not None and "Expiration" in document:
            document["Expiration"] = f"{datetime.now(UTC) + self.lasts:%Y-%m-%dT%H:%M:%SZ}"
        return json.dumps(document).encode()


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def do_POST(self) -> None:
        self.server.asked += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        self.close_connection = True
        if self.server.is_away:
            return
        connection = http.client.HTTPConnection(self.server.behind.netloc, timeout=ANSWER_SECONDS)
        try:
            connection.request("POST", self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            said = self.server.shortened(answer.read())
        finally:
            connection.close()
        self.send_response(answer.status)
        for name in ("content-type", "x-amzn-requestid", "x-amzn-errortype"):
            if found := answer.headers.get(name):
                self.send_header(name, found)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def standing_in(endpoint: str, lasts: timedelta | None = None) -> Iterator[StandIn]:
    """Stand in for as long as the block runs."""
    server = StandIn(endpoint, lasts)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
