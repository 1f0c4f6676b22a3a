"""Asking another function of the stack to do something, and waiting until it has."""

import json
from collections.abc import Callable
from urllib.parse import quote

from sallyport.adapters.aws import SignedService
from sallyport.errors import UnavailableError


def key_refresher(service: SignedService, function: str) -> Callable[[str], None]:
    """Return a callable that has ``refresh_keys`` look for an anchor's keys now.

    It waits for the answer and raises ``UnavailableError`` where there is none; whether new keys
    came is seen in the keys table alone. Source:
    https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
    """
    # The colon before the alias percent-encoded, as the SDKs send it: the signature covers the path.
    path = f"/2015-03-31/functions/{quote(function, safe='')}/invocations"

    def refresh(anchor_id: str) -> None:
        response = service.post(
            path,
            {"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"},
            json.dumps({"anchor_ids": [anchor_id], "asked": True}).encode(),
        )
        if response.status != 200:  # noqa: PLR2004 - Invoke's only good answer for this type
            raise UnavailableError("refresh-refused", f"invoke answered {response.status}")

    return refresh
