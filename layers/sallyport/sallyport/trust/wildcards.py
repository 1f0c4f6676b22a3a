"""``*`` and ``?``, on the whole value, in bounded time.

No regular expressions: a pattern is cut at its asterisks once, and what lies between is searched
from left to right without ever going back, so a hostile value costs no more than its length.
"""

from dataclasses import dataclass
from typing import Final

from sallyport.trust.limits import MAX_MATCHED_LENGTH

WILDCARDS: Final = "*?"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern: the pieces between asterisks; one piece alone means there was none.

    ``least`` is the length of the shortest value that fits.
    """

    pieces: tuple[str, ...]
    least: int

    def matches(self, value: str) -> bool:
        """Tell whether the whole of ``value`` fits; too long a value never does."""
        first = self.pieces[0]
        if len(self.pieces) == 1:
            return len(value) == len(first) and _fits(first, value, 0)
        if not self.least <= len(value) <= MAX_MATCHED_LENGTH:
            return False
        last = self.pieces[-1]
        end = len(value) - len(last)
        if not _fits(first, value, 0) or not _fits(last, value, end):
            return False
        at = len(first)
        for piece in self.pieces[1:-1]:
            found = _find(piece, value, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True


def pattern(text: str) -> Pattern:
    """Compile a pattern."""
    pieces = text.split("*")
    # Neighbouring asterisks say no more than one.
    kept = (pieces[0], *(piece for piece in pieces[1:-1] if piece), *pieces[1:][-1:])
    return Pattern(kept, sum(map(len, kept)))


def literal_prefix(text: str) -> str:
    """Return what stands before the first wildcard: what every matching value begins with."""
    return text[: min((at for at in map(text.find, WILDCARDS) if at >= 0), default=len(text))]


def has_wildcard(text: str) -> bool:
    """Tell whether ``text`` contains a wildcard."""
    return "*" in text or "?" in text


def matches_anything(text: str) -> bool:
    """Tell whether a pattern lets everything through: an asterisk, and nothing but wildcards."""
    return "*" in text and not text.strip(WILDCARDS)


def _fits(piece: str, value: str, at: int) -> bool:
    """Tell whether ``piece`` stands at ``at``, where it is known to have room."""
    if "?" not in piece:
        return value.startswith(piece, at)
    return all(wanted in ("?", value[at + i]) for i, wanted in enumerate(piece))


def _find(piece: str, value: str, start: int, end: int) -> int:
    """Return the first place of ``piece`` in ``value[start:end]``, or -1."""
    if "?" not in piece:
        return value.find(piece, start, end)
    # Before anything is built: a token can bring thousands of short values.
    if end - start < len(piece):
        return -1
    # Shift-and: bit i of ``state`` says that the last i + 1 characters fit the first i + 1 of the
    # piece, so every character of the value is looked at once, whatever came before.
    anywhere = sum(1 << i for i, wanted in enumerate(piece) if wanted == "?")
    masks: dict[str, int] = {}
    for i, wanted in enumerate(piece):
        if wanted != "?":
            masks[wanted] = masks.get(wanted, anywhere) | 1 << i
    full = 1 << (len(piece) - 1)
    state = 0
    for at in range(start, end):
        state = (state << 1 | 1) & masks.get(value[at], anywhere)
        if state & full:
            return at - len(piece) + 1
    return -1
