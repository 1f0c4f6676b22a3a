"""CPU of what cannot be had without cryptography, beside the bare cryptography.

For tokens, one warm exchange, everything but the network, beside a bare ``jwt.decode`` of its token. For
certificates, from the request to the identity (``parse``, ``verify_chain``, ``identify``) beside one
verification of the request's signature and one for each link of the path, with certificates and keys
read before.
"""

import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from botocore.credentials import ReadOnlyCredentials

from bench import certificates
from bench import world as worlds
from bench.table import Row
from sallyport.adapters.http import HttpResponse, TimeLimits
from sallyport.settings import TokenSettings
from sallyport.wiring.exchanges import token_routes

ROUNDS = 15
CALLS = 100
BUDGET = 10.0
CERTIFICATE_BUDGET = 5.0
CERTIFICATES = (
    (
        "RSA-2048",
        "rsa-2048",
        certificates.KEPT,
        "floor: the request's signature and one for each of two links, keys and certificates read before",
    ),
    ("RSA-2048, chain sent", "rsa-2048", certificates.SENT, ""),
    (
        "RSA-2048, by the root",
        "rsa-2048",
        certificates.NONE,
        "floor: two signatures, the fewest there can be",
    ),
    ("RSA-4096", "rsa-4096", certificates.KEPT, ""),
    ("P-256", "p-256", certificates.KEPT, ""),
    ("P-384", "p-384", certificates.KEPT, ""),
    ("ML-DSA-44", "ml-dsa-44", certificates.KEPT, ""),
)


def measure() -> list[Row]:
    """Run floors and products in turn and return the median of the rounds' ratios."""
    return [_token(), *(_certificate(*one) for one in CERTIFICATES)]


def _token() -> Row:
    os.environ.update(worlds.ENVIRONMENT)
    world = worlds.build()
    with silence():
        routes = token_routes(
            TokenSettings.from_env(worlds.ENVIRONMENT),
            transport=canned(world.answer),
            credentials=lambda: ReadOnlyCredentials("ASIABENCH", "bench", "t" * 900),
        )

        def exchange() -> None:
            assert routes(world.event)["statusCode"] == 200

        return _row(
            "hot path, Azure token", "jwt.decode", BUDGET, lambda: worlds.bare_decode(world), exchange
        )


def _certificate(name: str, kind: str, intermediate: str, note: str) -> Row:
    one = certificates.workload(kind, intermediate)
    row = _row(f"hot path, {name}", "signatures", CERTIFICATE_BUDGET, one.bare, one.identify)
    return replace(row, note=note)


def _row(
    what: str, floor_name: str, budget: float, bare: Callable[[], object], product: Callable[[], object]
) -> Row:
    floors, products = [], []
    for _ in range(ROUNDS):
        floors.append(cpu(bare))
        products.append(cpu(product))
    ratio = median(product / floor for product, floor in zip(products, floors, strict=True))
    return Row(
        what,
        budget=f"≤ {budget:g} × {floor_name}",
        measured=f"{median(products) * 1e6:.0f} µs",
        floor=f"{median(floors) * 1e6:.0f} µs",
        ratio=ratio,
        met=ratio <= budget,
    )


def canned(answer: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Callable[..., HttpResponse]:
    """Return a transport that answers at once, so that only our own CPU is in the figure."""
    empty = HttpResponse(200, b"{}")
    sts = HttpResponse(200, worlds.STS_ANSWER)

    def send(
        _method: str, url: str, headers: Mapping[str, str], body: bytes, _limits: TimeLimits
    ) -> HttpResponse:
        if (urlsplit(url).hostname or "").startswith("sts."):
            return sts
        operation = headers["X-Amz-Target"].rpartition(".")[2]
        if operation == "PutItem":
            return empty
        return HttpResponse(200, json.dumps(answer(operation, json.loads(body))).encode())

    return send


def cpu(call: Callable[[], object]) -> float:
    """Return the CPU seconds of one call, over ``CALLS`` of them."""
    start = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - start) / CALLS


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Let log lines be written, to nowhere."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
