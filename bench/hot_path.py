"""CPU of one warm exchange, everything but the network, beside a bare ``jwt.decode`` of its token."""

import contextlib
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from urllib.parse import urlsplit

from botocore.credentials import ReadOnlyCredentials

from bench import world as worlds
from bench.table import Row
from sallyport.adapters.http import HttpResponse, TimeLimits
from sallyport.settings import ExchangeSettings
from sallyport.wiring.exchanges import token_routes

ROUNDS = 15
CALLS = 100
BUDGET = 10.0


def measure() -> list[Row]:
    """Run floor and product in turn and return the median of the rounds' ratios."""
    os.environ.update(worlds.ENVIRONMENT)
    world = worlds.build()
    floors, products = [], []
    with silence():
        routes = token_routes(
            ExchangeSettings.from_env(worlds.ENVIRONMENT),
            transport=canned(world),
            credentials=lambda: ReadOnlyCredentials("ASIABENCH", "bench", "t" * 900),
        )

        def exchange() -> None:
            assert routes(world.event)["statusCode"] == 200

        for _ in range(ROUNDS):
            floors.append(cpu(lambda: worlds.bare_decode(world)))
            products.append(cpu(exchange))
    ratio = median(product / floor for product, floor in zip(products, floors, strict=True))
    return [
        Row(
            "hot path, Azure token",
            budget=f"≤ {BUDGET:g} × jwt.decode",
            measured=f"{median(products) * 1e6:.0f} µs",
            floor=f"{median(floors) * 1e6:.0f} µs",
            ratio=ratio,
            met=ratio <= BUDGET,
        )
    ]


def canned(world: worlds.World) -> Callable[..., HttpResponse]:
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
        return HttpResponse(200, json.dumps(world.answer(operation, json.loads(body))).encode())

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
