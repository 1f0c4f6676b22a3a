"""Which issuers a version of trust has, in so few bytes that they fit beside the version's own name.

Anybody can write tokens of any number of issuers. With the marks, a token of an issuer that is none
of ours is refused without a look at the table; without them (an older writer, too many anchors) it
costs the look. A mark is only a filter: what it lets through is still looked up byte for byte.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

MARK_LENGTH: Final = 16
"""Hexadecimal digits: 64 bits. Who finds another issuer with the same mark has won one read."""

MAX_MARKS: Final = 1_000
"""17 KB in an item that each instance reads every few seconds; beyond it the look-up is cheaper."""

_PREFIX: Final = "issuer#"


def marks_of(version: str, item_keys: Iterable[str]) -> str | None:
    """Return the marks of a version's issuers as one text, or ``None`` if they are too many.

    The text names its version, so that it cannot be taken for another one's.
    """
    issuers = [key.removeprefix(_PREFIX) for key in item_keys if key.startswith(_PREFIX)]
    if len(issuers) > MAX_MARKS:
        return None
    return " ".join([version, *sorted(map(_mark, issuers))])


def is_ruled_out(issuer: str, version: str, marks: str) -> bool:
    """Tell whether this version certainly has no such issuer."""
    first, *present = marks.split(" ")
    return first == version and _mark(issuer) not in present


def _mark(issuer: str) -> str:
    return sha256(issuer.encode("utf-8", "surrogatepass")).hexdigest()[:MARK_LENGTH]
