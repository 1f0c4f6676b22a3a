"""Writes ``events/create_session*.json``: requests that a certificate's key really signed.

The key lives for as long as this takes. The root is the last certificate of the chain that the request
brings, so that a test can trust it.
"""

import json
from pathlib import Path
from typing import Any

from tests.support import pki
from tests.support.certificate_world import API_HOST, CertificateWorld, event_of
from tests.support.world import load_event

EVENTS = Path(__file__).parents[2] / "events"
HELPER = {
    "amz-sdk-invocation-id": "4f1f3c62-6f0e-4b7a-9a55-0f6d0c6f7a11",
    "amz-sdk-request": "attempt=1; max=3",
}


def event(*, emulator: bool) -> dict[str, Any]:
    """Return what API Gateway, or the emulator, makes of a request of AWS's own client."""
    host = "127.0.0.1:4566" if emulator else API_HOST
    one = CertificateWorld().signed(
        pki.leaf(pki.issuing()), chain=(pki.issuing(), pki.root()), headers=HELPER | {"host": host}
    )
    base = load_event("post_credentials_emulator" if emulator else "post_credentials")
    found = event_of(one, emulator=emulator, base=base)
    found["requestContext"]["identity"]["userAgent"] = one.request.headers["user-agent"][0]
    return found


if __name__ == "__main__":
    for name, emulator in (("create_session", False), ("create_session_emulator", True)):
        (EVENTS / f"{name}.json").write_text(json.dumps(event(emulator=emulator), indent=2) + "\n")
