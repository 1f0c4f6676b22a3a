"""The one function that outside strings pass before anybody looks at them.

A claim, a user agent or a file's content was written by somebody else. On a terminal it could move
the cursor or the reading direction, in a page or a mail it could become markup, and in a log it
could fill the disk. What comes out of here cannot: it is bounded and made of harmless characters.
"""

import re
import unicodedata

MAX_DISPLAYED = 256
"""Longest text shown. A claim that is looked at is kept to as many characters in a record."""

MAX_LOOKED_AT = 65_536
"""Longest text that is read at all, so that a caller who asks for a high limit stays bounded."""

# Characters with a meaning to HTML, Markdown, rich's console markup or a query language.
_MARKUP = frozenset("<>&\"'`[]")

# What most texts are made of, and nothing has to be done about: printable ASCII without the markup above and
# without the backslash. Only a short cut; each character on its own comes to the same.
_PLAIN = re.compile(r"[ !#-%(-;=?-Z^_a-z{-~]*")

# Letters and symbols that print as nothing at all although Unicode calls them printable.
_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")

# Classes of characters that are written from right to left. Without any control character they
# already reorder the text around them, and so could make one name read as another.
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def display(text: str, *, limit: int = MAX_DISPLAYED, markup: bool = True) -> str:
    r"""Return ``text`` bounded and with everything escaped that is more than a visible character.

    Escapes are ``\xHH``, ``\uHHHH`` and ``\UHHHHHHHH`` and the backslash is doubled, so two texts
    that are shown whole never look alike because of an escape. A text that was cut says how much
    is missing. Look-alike letters of different scripts stay what they are: escaping cannot tell.

    Args:
        text: anything, lone surrogates included.
        limit: how many characters of ``text`` are shown; more become a count.
        markup: whether characters that mean something to a page, a mail, a query or rich's markup
            are escaped as well. ``False`` is for text that goes to a terminal and nowhere else, by
            a call that interprets no markup.
    """
    limit = max(1, min(limit, MAX_LOOKED_AT))
    shown = text[:limit]
    if not _PLAIN.fullmatch(shown):
        shown = "".join(_escaped(character, markup=markup) for character in shown)
    missing = len(text) - limit
    return f"{shown}…(+{missing})" if missing > 0 else shown


def _escaped(character: str, *, markup: bool) -> str:
    if character == "\\":
        return "\\\\"
    if _is_harmless(character) and not (markup and character in _MARKUP):
        return character
    point = ord(character)
    if point <= 0xFF:  # noqa: PLR2004 — the widths of Python's own escapes
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"  # noqa: PLR2004 — the same


def _is_harmless(character: str) -> bool:
    if character.isascii():
        return character.isprintable()
    return (
        character.isprintable()
        # The ellipsis is this function's own mark for a cut.
        and character != "…"
        and character not in _INVISIBLE
        # Marks pile up on the character before them, without a bound.
        and not unicodedata.category(character).startswith("M")
        and unicodedata.bidirectional(character) not in _RIGHT_TO_LEFT
    )
