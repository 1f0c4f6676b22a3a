"""Session names and source identities: legal for STS, and never the same for two subjects.

Why no two can meet, in four steps, each of which a property test tries to break:

1. ``encode`` is injective, and what it gives contains neither ``,`` nor ``+`` nor ``==``.
2. Within a template, whatever stands between two values contains a ``,``: a name splits one way only.
3. Across a trust file no template's first text begins another's, so a name belongs to one template.
   A name that a caller wished for has the anchor's name and a ``+`` in front, which no template has.
4. Too long a name becomes a beginning, ``==`` and a hash of the whole: nothing else contains ``==``.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sallyport.errors import DeniedError
from sallyport.trust.facts import Facts
from sallyport.trust.limits import MAX_NAME_LENGTH, MIN_NAME_LENGTH
from sallyport.trust.problems import refuse
from sallyport.trust.templates import Template, parse

SEPARATOR: Final = ","
CALLER_MARK: Final = "+"
# What may follow the anchor's name, so that the names of one anchor never begin another's by accident.
DELIMITERS: Final = ".,@_-"

_KEPT: Final = re.compile(r"[A-Za-z0-9_.@-]*")
_ESCAPED: Final = re.compile(rb"[^A-Za-z0-9_.@-]")
_LITERAL: Final = re.compile(r"[A-Za-z0-9_.@,-]*")
_LEGAL: Final = re.compile(r"[A-Za-z0-9_+=,.@-]+")

_CUT: Final = "=="
_KEPT_OF_LONG: Final = 30
# 128 bits of SHA-256: with the beginning and the mark exactly the 64 characters that STS takes.
_HASH_LENGTH: Final = MAX_NAME_LENGTH - _KEPT_OF_LONG - len(_CUT)


def encode(value: str) -> str:
    """Return ``value`` in letters, digits and ``_ . @ -``; every other byte of its UTF-8 becomes ``=HH``."""
    if _KEPT.fullmatch(value) is not None:
        return value
    # JSON can carry half a surrogate pair; it must be encoded as well, and differently from all else.
    raw = value.encode("utf-8", "surrogatepass")
    return _ESCAPED.sub(lambda found: b"=%02X" % ord(found[0]), raw).decode("ascii")


def shorten(name: str) -> str:
    """Return ``name`` if STS takes it, else its beginning and a hash of all of it."""
    if len(name) <= MAX_NAME_LENGTH:
        return name
    return name[:_KEPT_OF_LONG] + _CUT + sha256(name.encode("ascii")).hexdigest()[:_HASH_LENGTH]


def is_legal(name: str) -> bool:
    """Tell whether STS takes ``name`` as a session name or a source identity."""
    return MIN_NAME_LENGTH <= len(name) <= MAX_NAME_LENGTH and _LEGAL.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """A checked template for names."""

    template: Template

    @property
    def prefix(self) -> str:
        """What every name of this template begins with."""
        return self.template.literals[0]

    def render(self, facts: Facts) -> str:
        """Return the name for one identity.

        Raises:
            DeniedError: a value is missing, empty or not one string.
        """
        filled = list(self.template.parts)
        filled[1::2] = [encode(facts.text(key)) for key in self.template.keys]
        name = shorten("".join(filled))
        if not is_legal(name):
            raise DeniedError(
                "name-illegal", f"STS does not take the name made from {self.template.source!r}"
            )
        return name


def compile_name(source: str, *, anchor: str) -> NameTemplate:
    """Compile a template for session names or source identities.

    Who calls must check that the templates of one file are prefix-free, and that the subject is among
    the keys.

    Raises:
        TrustFileError: the names could be illegal, or could be the same for two subjects.
    """
    template = parse(source)
    for literal in template.literals:
        if _LITERAL.fullmatch(literal) is None:
            raise refuse(
                f"{literal!r} may not stand in a session name or a source identity",
                "use letters, digits and _ . @ , - (+ and = have a meaning of their own)",
            )
    for literal in template.literals[1:-1]:
        if SEPARATOR not in literal:
            raise refuse(
                f"{literal!r} could be part of the value before it",
                "put a comma between two substitutions; no encoded value contains one",
            )
    first = template.literals[0]
    if not (first.startswith(anchor) and first[len(anchor) : len(anchor) + 1] in tuple(DELIMITERS)):
        raise refuse(
            "names of different anchors could be the same",
            f"begin with the anchor's name and one of {' '.join(DELIMITERS)}: {anchor}-...",
        )
    return NameTemplate(template)


def callers_name(*, anchor: str, wish: str, subject: str) -> str:
    """Return the session name for a caller who may choose one.

    The subject is part of it: otherwise one subject could take the name that another goes by.
    """
    return shorten(f"{anchor}{CALLER_MARK}{encode(wish)}{SEPARATOR}{encode(subject)}")
