"""The dearest requests that anybody can send, beside an honest token: what refusing them costs."""

import time
from collections.abc import Callable
from functools import partial

from bench import world as worlds
from bench.table import Row
from sallyport.errors import ProofError
from sallyport.proof import base64url
from sallyport.proof.oidc import parse

CALLS = 20
_HEADER = base64url.encode(b'{"alg":"RS256","kid":"k"}')

# As long as a token may be, each made to be dear for another part of a parser.
PAYLOADS = {
    "open brackets": b'{"a":' + b"[" * 13_000,
    "escaped quotes": b'{"a":"' + b'\\"' * 6_500,
    "empty lists": b'{"a":[' + b"[]," * 4_000 + b"[]]}",
    "one member": b"{" + b'"a":1,' * 2_000 + b'"a":1}',
    "digits": b'{"a":' + b"9" * 13_000 + b"}",
    "floats": b'{"a":[' + b"1e9," * 3_000 + b"1]}",
    "escapes": b'{"\\u0061' + b"\\u0061" * 2_000 + b'":1}',
}


def measure() -> list[Row]:
    """Return the dearest refusal, beside a bare verification of an honest token."""
    world = worlds.build()
    floor = cpu(lambda: worlds.bare_decode(world))
    costs = {name: cpu(partial(_refused, _token(payload))) for name, payload in PAYLOADS.items()}
    worst = max(costs, key=costs.__getitem__)
    return [
        Row(
            "refusing the dearest payload",
            budget="reported",
            measured=f"{costs[worst] * 1e6:.0f} µs",
            floor=f"{floor * 1e6:.0f} µs",
            ratio=costs[worst] / floor,
            note=f"{worst}; {len(PAYLOADS)} kinds tried, beside jwt.decode of an honest token",
        )
    ]


def _token(payload: bytes) -> str:
    return f"{_HEADER}.{base64url.encode(payload)}.AAAA"


def _refused(token: str) -> None:
    try:
        parse(token)
    except ProofError:
        return
    raise AssertionError("a hostile payload was accepted")


def cpu(call: Callable[[], object]) -> float:
    """Return the CPU seconds of one call, after one that warms up."""
    call()
    start = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - start) / CALLS
