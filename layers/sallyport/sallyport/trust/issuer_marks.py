"""Which issuers and certificate authorities a version of trust has, in few bytes beside its own name.

Anybody can write tokens of any number of issuers, and sign requests that name any number of trust
anchors. With the marks, one that is none of ours is refused without a look at the table; without them (an
older writer, too many anchors) it costs the look. A mark is only a filter: what it lets through is still
looked up byte for byte.

Marks are made of a version's items (``marks_of``), because keys do not tell an anchor's kind: an issuer
by its address, as ever, and a certificate authority by its trust anchor's id. ``is_ruled_out`` takes
either; the two cannot be taken for each other, since an issuer begins with ``https://``. A text by a writer
that knew no certificate authorities rules all of them out, and rightly: its version has none.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

MARK_LENGTH: Final = 16
"""Hexadecimal digits: 64 bits. Who finds another name with the same mark has won one read."""

MAX_MARKS: Final = 1_000
"""17 KB in an item that each instance reads every few seconds; beyond it the look-up is cheaper."""

_ISSUER: Final = "issuer#"
_ANCHOR: Final = "anchor#"


def marks_of(version: str, items: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the marks of a version's issuers and authorities as one text, or ``None`` if they are too many.

    The text names its version, so that it cannot be taken for another one's.

    Args:
        version: the version's id.
        items: what is stored of it, by keys.
    """
    names = [key.removeprefix(_ISSUER) for key in items if key.startswith(_ISSUER)]
    names += [
        key.removeprefix(_ANCHOR)
        for key, item in items.items()
        if key.startswith(_ANCHOR) and item.get("kind") == "x509"
    ]
    if len(names) > MAX_MARKS:
        return None
    return " ".join([version, *sorted(map(_mark, names))])


def is_ruled_out(name: str, version: str, marks: str) -> bool:
    """Tell whether this version certainly has no such issuer, or no certificate authority of such an id."""
    first, *present = marks.split(" ")
    return first == version and _mark(name) not in present


def _mark(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:MARK_LENGTH]
