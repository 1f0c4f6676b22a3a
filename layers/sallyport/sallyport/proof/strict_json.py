"""JSON without its liberties: for documents that a signature or a key set hangs on.

RFC 8259 leaves duplicate names, huge numbers and lone surrogates to the parser, and two parsers
that differ are an attack (RFC 8725 §2.6 is one of a family). Here each is refused, and
what is refused costs time linear in the document.
"""

import json
import math
import re

from sallyport.model import JsonValue

MAX_DEPTH = 16
"""Objects and lists within each other. The deepest claim in known use (AWS's session tags) needs 4;
Python's own parser recurses, and must not be asked to go where its limit is."""

MAX_INTEGER_CHARS = 20
"""A sign and 19 digits: what fits into 64 bits. Longer ones make Python's conversion slow."""

MAX_FLOAT_CHARS = 40
"""More than any double needs to be written exactly enough to be read back."""

# An unfinished string matches as well: the scan must go forward, or quotes make it quadratic.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def parse_object(data: bytes) -> dict[str, JsonValue]:
    """Return the one JSON object in ``data``.

    Raises:
        ValueError: it is anything else, or takes a liberty.
    """
    _check_depth(data)
    value = _DECODER.decode(data.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004  (a document is wrong, not an argument)
    if b"\\u" in data:
        # Only an escape can bring half a surrogate pair; it has no UTF-8 form, so writing fails.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _check_depth(data: bytes) -> None:
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", data)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels")


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member's name appears twice")
    return members


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_CHARS:
        raise ValueError("an integer is too long")
    return int(text)


def _float(text: str) -> float:
    if len(text) > MAX_FLOAT_CHARS:
        raise ValueError("a number is too long")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


# Made once: json.loads would make one for every call, which costs as much as reading a small document.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
