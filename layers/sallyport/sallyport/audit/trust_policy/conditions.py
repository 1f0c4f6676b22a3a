"""Conditions of a policy in one form that can be negated: what a Deny takes away is what an Allow demands.

IAM's own rules are meant here, not the stricter ones of ``trust.conditions``: a missing value meets every
negated operator, ``ForAllValues`` and everything that ends in ``IfExists``. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from sallyport.trust.wildcards import WILDCARDS, pattern


class Family(Enum):
    """What kind of comparison it is; ``UNKNOWN`` stands for whatever was not understood."""

    STRING = "string"
    LIKE = "like"
    ARN = "arn"
    BOOL = "bool"
    IP = "ip"
    NUMBER = "number"
    DATE = "date"
    BINARY = "binary"
    NULL = "null"
    UNKNOWN = "unknown"


_OPERATORS: Final[dict[str, tuple[Family, bool]]] = {
    "stringequals": (Family.STRING, False),
    "stringnotequals": (Family.STRING, True),
    "stringequalsignorecase": (Family.STRING, False),
    "stringnotequalsignorecase": (Family.STRING, True),
    "stringlike": (Family.LIKE, False),
    "stringnotlike": (Family.LIKE, True),
    "arnequals": (Family.ARN, False),
    "arnlike": (Family.ARN, False),
    "arnnotequals": (Family.ARN, True),
    "arnnotlike": (Family.ARN, True),
    "bool": (Family.BOOL, False),
    "ipaddress": (Family.IP, False),
    "notipaddress": (Family.IP, True),
    "numericequals": (Family.NUMBER, False),
    "numericnotequals": (Family.NUMBER, True),
    "numericlessthan": (Family.NUMBER, False),
    "numericlessthanequals": (Family.NUMBER, False),
    "numericgreaterthan": (Family.NUMBER, False),
    "numericgreaterthanequals": (Family.NUMBER, False),
    "dateequals": (Family.DATE, False),
    "datenotequals": (Family.DATE, True),
    "datelessthan": (Family.DATE, False),
    "datelessthanequals": (Family.DATE, False),
    "dategreaterthan": (Family.DATE, False),
    "dategreaterthanequals": (Family.DATE, False),
    "binaryequals": (Family.BINARY, False),
}
_QUANTIFIERS: Final = {"foranyvalue": "any", "forallvalues": "all"}
_IF_EXISTS: Final = "ifexists"
_TRUTH: Final = {"true": True, "false": False}
# What stands for itself: ${*}, ${?} and ${$} are the characters, everything else is a value of the request.
_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
_ESCAPES: Final = frozenset("*?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One operator on one key, with what it says of a value that is missing.

    ``ForAnyValue`` and ``ForAllValues`` are in ``missing`` alone: whoever gets past with one value needs no
    second one.

    Attributes:
        operator: as the policy writes it; empty in what was made of a Deny.
        key: the same; ``name`` is the key as it compares, in lower case.
        values: what is expected, as text.
        negated: whether the values are those that do not fit.
        missing: whether a request that lacks the key meets the test.
        literal: whether ``${…}`` is text, as in policies of 2008.
    """

    operator: str
    key: str
    name: str
    family: Family
    values: tuple[str, ...] = ()
    negated: bool = False
    missing: bool = False
    literal: bool = False

    # pytest would take a class of this name for a case.
    __test__ = False

    @property
    def has_patterns(self) -> bool:
        """Whether wildcards in its values are wildcards."""
        return self.family in (Family.LIKE, Family.ARN)

    @property
    def is_wanting(self) -> bool:
        """Whether it demands one of its values and cannot be met by leaving the key out."""
        return not (self.negated or self.missing or self.family in (Family.NULL, Family.UNKNOWN))

    @property
    def demands_presence(self) -> bool:
        """Whether a request without the key cannot meet it."""
        return not self.missing and self.family is not Family.UNKNOWN

    def variables(self, value: str) -> list[str]:
        """Return the names of the request's values that one of its values is made of, in lower case."""
        if self.literal:
            return []
        found = (one.partition(",")[0].strip() for one in _VARIABLE.findall(value))
        return [one.lower() for one in found if one not in _ESCAPES]

    def is_pattern(self, value: str) -> bool:
        """Tell whether one of its values fits more than one text."""
        return self.has_patterns and any(one in WILDCARDS for one in self.plain(value))

    def plain(self, value: str) -> str:
        """Return one of its values without escaped wildcards, which are no wildcards."""
        return value if self.literal else re.sub(r"\$\{[*?$]\}", "$", value)

    def fits(self, value: str, actual: str) -> bool:
        """Tell whether one of its values, which contains no variable, fits a text."""
        if self.has_patterns:
            return pattern(value).matches(actual)
        if "ignorecase" in self.operator.lower():
            return value.lower() == actual.lower()
        return value == actual

    def turned(self) -> "Test":
        """Return the test that exactly those requests meet that do not meet this one."""
        return replace(self, negated=not self.negated, missing=not self.missing)


Clause = tuple[Test, ...]
"""Tests of which one must be met."""


def read_test(operator: str, key: str, expected: Any, *, literal: bool) -> Test:  # noqa: ANN401 - JSON
    """Return one test; of family ``UNKNOWN`` where anything about it is not understood."""
    name = key.strip().lower()
    unknown = Test(operator=operator, key=key, name=name, family=Family.UNKNOWN, literal=literal)
    values = _texts(expected)
    if values is None or not name:
        return unknown
    quantified, colon, rest = operator.strip().lower().partition(":")
    base, quantifier = (rest, _QUANTIFIERS.get(quantified)) if colon else (quantified, None)
    if colon and quantifier is None:
        return unknown
    if base == "null":
        return unknown if quantifier else _null(unknown, values)
    optional = base.endswith(_IF_EXISTS)
    known = _OPERATORS.get(base.removesuffix(_IF_EXISTS))
    if known is None:
        return unknown
    family, negated = known
    # For no values at all, "one of them is" is false and "all of them are" is true, whatever is asked.
    missing = quantifier == "all" or (negated and quantifier is None) or optional
    return replace(unknown, family=family, values=values, negated=negated, missing=missing)


def _null(test: Test, values: tuple[str, ...]) -> Test:
    """Return the test for ``Null``: ``true`` is met by a missing key alone, ``false`` by any value."""
    wanted = {_TRUTH.get(one.strip().lower()) for one in values}
    if len(wanted) != 1 or None in wanted:
        return test
    (missing,) = wanted
    return replace(test, family=Family.NULL, values=values, negated=bool(missing), missing=bool(missing))


def _texts(expected: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - JSON
    listed = expected if isinstance(expected, list) else [expected]
    found: list[str] = []
    for one in listed:
        if isinstance(one, bool):
            found.append("true" if one else "false")
        elif isinstance(one, str | int | float):
            found.append(str(one))
        else:
            return None
    return tuple(found)
