"""``${token:…}`` inside strings: parsed once, replaced in one pass, never looked at again."""

import re
from dataclasses import dataclass
from typing import Final

from sallyport.errors import DeniedError
from sallyport.trust.facts import REQUEST, TOKEN, X509, Facts, check_key
from sallyport.trust.problems import refuse

_VARIABLE: Final = re.compile(r"\$\{([^{}]*)\}")
# IAM's own ways to write a literal asterisk, question mark and dollar sign.
_IAM_ESCAPES: Final = frozenset("*?$")

# What a value may consist of inside a policy, an ARN or a pattern: no wildcard, no separator of
# paths, ARNs or variables, nothing that JSON escapes. A dot or two would climb in a path.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.@=+-]+")
_CLIMBING: Final = frozenset({".", ".."})
# These always contain a colon, so inside a policy, an ARN or a pattern every request would be denied.
_NEVER_PLAIN: Final = frozenset({"request:RoleArn", "request:Time"})


@dataclass(frozen=True, slots=True)
class Template:
    """A string with places in it. ``parts`` alternates text, key, text, …, and begins and ends with text."""

    source: str
    parts: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the places, in order."""
        return self.parts[1::2]

    @property
    def literals(self) -> tuple[str, ...]:
        """The texts around the places, in order."""
        return self.parts[::2]

    @property
    def is_literal(self) -> bool:
        """Whether there is no place in it."""
        return len(self.parts) == 1


def parse(source: str, *, leave_aws: bool = False) -> Template:
    """Find the places in ``source``.

    Args:
        source: the string from the trust file.
        leave_aws: whether ``${aws:…}``, which IAM itself replaces, may stand in it.

    Raises:
        TrustFileError: a variable is not closed, is unknown, or touches another.
    """
    if "${" not in source:
        return Template(source, (source,))
    parts: list[str] = [""]
    end = 0
    for found in _VARIABLE.finditer(source):
        parts[-1] += _text(source[end : found.start()])
        end = found.end()
        name = found[1]
        if name.startswith((TOKEN, X509, REQUEST)):
            check_key(name)
            if len(parts) > 1 and not parts[-1]:
                raise refuse(
                    f"two substitutions touch in {source!r}, so where one ends cannot be told",
                    "put a separator between them",
                )
            parts += [name, ""]
        elif leave_aws and (name.lower().startswith("aws:") or name in _IAM_ESCAPES):
            parts[-1] += found[0]
        else:
            raise refuse(
                f"nothing is known by the name of ${{{name}}}",
                "use ${token:<claim>}, ${x509:<name>} or ${request:SourceIp}; in policies also ${aws:...}",
            )
    parts[-1] += _text(source[end:])
    return Template(source, tuple(parts))


def check_plain(template: Template) -> None:
    """Refuse a template that may not stand in a policy, an ARN or a pattern.

    Raises:
        TrustFileError: a substitution touches a wildcard, or its value could never be legal there.
    """
    for before, after in zip(template.literals, template.literals[1:], strict=False):
        if before.endswith(("*", "?")) or after.startswith(("*", "?")):
            raise refuse(
                f"a substitution touches a wildcard in {template.source!r}, so a value could reach another's",
                "put a separator such as / or - between them",
            )
    for key in template.keys:
        if key in _NEVER_PLAIN:
            raise refuse(f"{key} can never be legal in a policy, an ARN or a pattern", "leave it out")


def plain_value(facts: Facts, key: str) -> str:
    """Return a value that may go into a policy, an ARN or a pattern.

    Raises:
        DeniedError: it is missing, or it could change more than the place it is meant for.
    """
    value = facts.text(key)
    if _PLAIN.fullmatch(value) is None or value in _CLIMBING:
        raise DeniedError(
            "claim-illegal-in-policy",
            f"the value of {key} may not stand in a policy, an ARN or a pattern",
            cure="only letters, digits and _ . @ = + - may; use another claim or another identity",
        )
    return value


def fill_plain(template: Template, facts: Facts) -> str:
    """Replace the places of a policy's, an ARN's or a pattern's template.

    Raises:
        DeniedError: a value is missing or not legal there.
    """
    parts = template.parts
    if len(parts) == 1:
        return parts[0]
    filled = list(parts)
    filled[1::2] = [plain_value(facts, key) for key in parts[1::2]]
    return "".join(filled)


def fill(template: Template, facts: Facts) -> str:
    """Replace the places with the values as they are.

    Raises:
        DeniedError: a value is missing, empty or not one string.
    """
    parts = template.parts
    if len(parts) == 1:
        return parts[0]
    filled = list(parts)
    filled[1::2] = [facts.text(key) for key in parts[1::2]]
    return "".join(filled)


def _text(text: str) -> str:
    if "${" in text:
        raise refuse("a ${ is not closed, or one stands inside another", "close it with } before the next")
    return text
