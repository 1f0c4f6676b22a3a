"""DynamoDB and STS as one loopback server in a process of its own: canned answers, no thinking.

``python -m bench.stub FILE`` reads a pickled world's answers from FILE, prints its port and serves.
"""

import json
import socketserver
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from bench import world as worlds


def main() -> None:
    """Serve until killed."""
    saved = json.loads(Path(sys.argv[1]).read_text())
    trust = {(item["pk"]["S"], item["version"]["S"]): item for item in saved["trust"]}
    keys = {item["pk"]["S"]: item for item in saved["keys"]}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            answer = worlds.STS_ANSWER if not operation else self._dynamodb(operation, json.loads(body))
            # Header and body in one write, or delayed acknowledgements add 40 ms.
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
            self.wfile.write(head + answer)

        def _dynamodb(self, operation: str, arguments: dict[str, Any]) -> bytes:
            if operation == "GetItem":
                key = arguments["Key"]
                table: dict[Any, Any] = trust if "version" in key else keys
                name = (key["pk"]["S"], key["version"]["S"]) if "version" in key else key["pk"]["S"]
                return json.dumps({"Item": table[name]} if name in table else {}).encode()
            if operation == "BatchGetItem":
                return json.dumps({"Responses": {name: [] for name in arguments["RequestItems"]}}).encode()
            return b"{}"

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
