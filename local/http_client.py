"""Asking the local helpers: JSON over loopback, past any proxy that the environment names."""

import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from local.progress import LocalCloudError

SECONDS = 15.0

_opener = build_opener(ProxyHandler({}))


def ask(method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
    """Return a helper's JSON answer.

    Raises:
        LocalCloudError: it refused or is not there.
    """
    data = json.dumps(body).encode() if body is not None else None
    request = Request(
        url, data=data, method=method, headers={"Content-Type": "application/json", **(headers or {})}
    )
    try:
        with _opener.open(request, timeout=SECONDS) as response:
            return json.loads(response.read() or b"null")
    except HTTPError as error:
        raise LocalCloudError(f"{method} {url} answered {error.code}: {error.read(400)!r}") from None
    except (URLError, OSError) as error:
        raise LocalCloudError(f"{method} {url}: {error}") from None
