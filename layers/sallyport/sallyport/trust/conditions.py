"""IAM's condition operators, made stricter where IAM's are a trap.

What differs from IAM, always towards fewer grants:

* names of values are case-sensitive;
* a missing value is ``missing``, also for negated operators and for ``ForAllValues``;
* a list under an operator for one value is an ``error``, also for negated operators;
* nothing is converted, but truth values and numbers under their own operators.

Who asks turns the outcome into an answer: for an allowing profile only ``match`` counts; for a
denying one whatever is in doubt counts as well (``Condition.counts``).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import isfinite
from operator import eq, ge, gt, le, lt
from typing import Final, Literal

from sallyport.errors import DeniedError
from sallyport.model import ConditionTrace, Effect, JsonValue
from sallyport.trust.facts import Facts, check_key, shown
from sallyport.trust.limits import (
    MAX_CONDITION_VALUES,
    MAX_MATCHED_LENGTH,
    MAX_SHOWN_VALUES,
    MAX_VALUE_LENGTH,
)
from sallyport.trust.problems import refuse
from sallyport.trust.templates import Template, check_plain, fill, fill_plain, parse
from sallyport.trust.wildcards import has_wildcard, pattern

MATCH: Final = "match"
NO_MATCH: Final = "no-match"
MISSING: Final = "missing"
ERROR: Final = "error"

# What a test says of one value: it fits, it does not, or (None) the operator cannot be applied to it.
Test = Callable[[JsonValue], bool | None]
Expected = str | int | float | bool
Quantifier = Literal["ForAnyValue", "ForAllValues"]

_IF_EXISTS: Final = "IfExists"
_NULL: Final = "Null"


# --- one test per family of operators -------------------------------------------------------------


def _string_equals(values: Sequence[str]) -> Test:
    wanted = frozenset(values)
    return lambda actual: actual in wanted if isinstance(actual, str) else None


def _string_equals_ignore_case(values: Sequence[str]) -> Test:
    wanted = frozenset(map(_lower, values))
    return lambda actual: _lower(actual) in wanted if isinstance(actual, str) else None


def _string_like(values: Sequence[str]) -> Test:
    exact = frozenset(value for value in values if not has_wildcard(value))
    patterns = tuple(pattern(value) for value in values if has_wildcard(value))

    def test(actual: JsonValue) -> bool | None:
        if not isinstance(actual, str):
            return None
        if actual in exact:
            return True
        if len(actual) > MAX_MATCHED_LENGTH:
            return None
        return any(one.matches(actual) for one in patterns)

    return test


_ARN_PARTS: Final = 6


def _arn(values: Sequence[str]) -> Test:
    wanted = tuple(tuple(map(pattern, value.split(":", _ARN_PARTS - 1))) for value in values)
    if any(len(parts) != _ARN_PARTS for parts in wanted):
        raise refuse(
            "an ARN has six parts, separated by colons", "write arn:partition:service:region:account:resource"
        )

    def test(actual: JsonValue) -> bool | None:
        if not isinstance(actual, str) or len(actual) > MAX_MATCHED_LENGTH or not actual.startswith("arn:"):
            return None
        parts = actual.split(":", _ARN_PARTS - 1)
        if len(parts) != _ARN_PARTS:
            return None
        return any(all(p.matches(part) for p, part in zip(arn, parts, strict=True)) for arn in wanted)

    return test


Number = int | float
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")


def _number(value: JsonValue) -> Number | None:
    """Return a number, or a string that spells one plainly (some issuers send them so)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, str) and _NUMBER.fullmatch(value) is not None:
        return float(value) if "." in value else int(value)
    return None


_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2}))?"
)


def _date(value: JsonValue) -> Number | None:
    """Return seconds since 1970 for a W3C date and time, or for such seconds themselves."""
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        return _number(value)
    try:
        read = datetime.fromisoformat(value)
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _compared(
    read: Callable[[JsonValue], Number | None],
    compare: Callable[[Number, Number], bool],
    example: str,
    values: Sequence[Expected],
) -> Test:
    wanted: list[Number] = []
    for value in values:
        number = read(value)
        if number is None:
            raise refuse(f"{shown(value)!r} cannot be compared here", f"write it as {example}")
        wanted.append(number)

    def test(actual: JsonValue) -> bool | None:
        number = read(actual)
        return None if number is None else any(compare(number, one) for one in wanted)

    return test


_TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False}


def _truth(value: JsonValue) -> bool | None:
    if isinstance(value, bool):
        return value
    return _TRUTH.get(value) if isinstance(value, str) else None


def _bool(values: Sequence[Expected]) -> Test:
    wanted = {_truth(value) for value in values}
    if None in wanted:
        raise refuse("only true and false can be expected here", "write true or false")

    def test(actual: JsonValue) -> bool | None:
        said = _truth(actual)
        return None if said is None else said in wanted

    return test


def _network(value: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value)
    except ValueError:
        raise refuse(
            f"{value!r} is neither an address nor a network",
            "write 192.0.2.0/24 or 2001:db8::/32, with no bits behind the prefix",
        ) from None


def _address(value: JsonValue) -> IPv4Address | IPv6Address | None:
    if not isinstance(value, str) or "%" in value:
        return None
    try:
        address = ip_address(value)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _ip(values: Sequence[str]) -> Test:
    networks = tuple(map(_network, values))

    def test(actual: JsonValue) -> bool | None:
        address = _address(actual)
        return None if address is None else any(address in network for network in networks)

    return test


# Only ASCII letters have a case here: Unicode's would make K (Kelvin) and k the same name.
_ASCII_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _lower(value: str) -> str:
    return value.lower() if value.isascii() else value.translate(_ASCII_LOWER)


# --- the operators --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of IAM, without ``ForAnyValue:``, ``ForAllValues:`` and ``IfExists``.

    ``texts`` says that it expects strings (which may then contain substitutions), ``patterns`` that
    wildcards mean something in them.
    """

    name: str
    compile: Callable[[Sequence[str]], Test] | Callable[[Sequence[Expected]], Test]
    negated: bool = False
    texts: bool = True
    patterns: bool = False


def _operators() -> Mapping[str, Operator]:
    found = [
        Operator("StringEquals", _string_equals),
        Operator("StringNotEquals", _string_equals, negated=True),
        Operator("StringEqualsIgnoreCase", _string_equals_ignore_case),
        Operator("StringNotEqualsIgnoreCase", _string_equals_ignore_case, negated=True),
        Operator("StringLike", _string_like, patterns=True),
        Operator("StringNotLike", _string_like, negated=True, patterns=True),
        Operator("ArnEquals", _arn, patterns=True),
        Operator("ArnLike", _arn, patterns=True),
        Operator("ArnNotEquals", _arn, negated=True, patterns=True),
        Operator("ArnNotLike", _arn, negated=True, patterns=True),
        Operator("Bool", _bool, texts=False),
        Operator("IpAddress", _ip),
        Operator("NotIpAddress", _ip, negated=True),
    ]
    comparisons: tuple[tuple[str, Callable[[Number, Number], bool]], ...] = (
        ("Equals", eq),
        ("LessThan", lt),
        ("LessThanEquals", le),
        ("GreaterThan", gt),
        ("GreaterThanEquals", ge),
    )
    for family, read, example in (
        ("Numeric", _number, "a number"),
        ("Date", _date, "2026-12-31T00:00:00Z"),
    ):
        found += [
            Operator(family + name, partial(_compared, read, compare, example), texts=False)
            for name, compare in comparisons
        ]
        found.append(
            Operator(f"{family}NotEquals", partial(_compared, read, eq, example), negated=True, texts=False)
        )
    return {operator.name: operator for operator in found}


OPERATORS: Final[Mapping[str, Operator]] = _operators()
QUANTIFIERS: Final[tuple[Quantifier, ...]] = ("ForAnyValue", "ForAllValues")


def operator_names() -> tuple[str, ...]:
    """Return every name that a condition may use, for the schema and for messages."""
    plain = [name + suffix for name in OPERATORS for suffix in ("", _IF_EXISTS)]
    return (*plain, _NULL, *(f"{quantifier}:{name}" for quantifier in QUANTIFIERS for name in plain))


# What a pattern, an ARN or a network takes of a function's memory, against a plain value.
HEAVY: Final = 4


def weight(blocks: Mapping[str, Mapping[str, JsonValue]]) -> int:
    """Return how much the conditions of a profile hold once they are compiled, in plain values."""
    return sum(
        (len(expected) if isinstance(expected, list) else 1) * (HEAVY if _is_heavy(name) else 1)
        for name, block in blocks.items()
        for expected in block.values()
    )


def _is_heavy(name: str) -> bool:
    operator = OPERATORS.get(name.rpartition(":")[2].removesuffix(_IF_EXISTS))
    return operator is not None and (operator.patterns or operator.name.endswith("IpAddress"))


# --- compiled conditions --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One operator on one key, compiled.

    ``values`` are the expected ones as parsed, ``test`` is ready where none of them contains a
    substitution, ``null`` is set for ``Null`` alone, and ``shown`` is what a trace says was expected.
    """

    operator: str
    base: str
    key: str
    values: tuple[Template, ...]
    shown: tuple[str, ...]
    negated: bool = False
    quantifier: Quantifier | None = None
    if_exists: bool = False
    null: bool | None = None
    test: Test | None = field(default=None, repr=False, compare=False)

    @property
    def is_static(self) -> bool:
        """Whether no expected value depends on the identity."""
        return self.test is not None or self.null is not None

    def look(self, facts: Facts) -> ConditionTrace:
        """Look at the value and say how it went; never raises, whatever the value is."""
        actual = facts.value(self.key)
        test = self.test
        if test is None and self.null is None:
            try:
                test = self._filled(facts)
            except DeniedError:
                test = _inapplicable
        return ConditionTrace(
            operator=self.operator,
            key=self.key,
            expected=self.shown,
            actual=None if actual is None else shown(actual),
            outcome=self.judge(actual, test),
        )

    def judge(self, actual: JsonValue, test: Test | None) -> str:
        """Return ``match``, ``no-match``, ``missing`` or ``error`` for one value of the key."""
        if self.null is not None:
            return MATCH if (actual is None) == self.null else NO_MATCH
        if actual is None or (actual == [] and self.quantifier is not None):
            return MATCH if self.if_exists else MISSING
        if test is None or (self.quantifier is None and isinstance(actual, list | dict)):
            return ERROR
        each = [test(one) for one in (actual if isinstance(actual, list) else [actual])]
        if None in each:
            return ERROR
        fits = [said is not self.negated for said in each]
        return MATCH if (any(fits) if self.quantifier == "ForAnyValue" else all(fits)) else NO_MATCH

    def counts(self, outcome: str, effect: Effect) -> bool:
        """Tell whether ``outcome`` meets the condition for a profile of this effect.

        A denying profile must not be escaped by leaving a value out or by sending an odd one.
        """
        if outcome == MATCH:
            return True
        if effect is Effect.ALLOW:
            return False
        return outcome == ERROR or (
            outcome == MISSING and (self.negated or self.quantifier == "ForAllValues")
        )

    def _filled(self, facts: Facts) -> Test:
        """Compile with the identity's own values put in.

        Raises:
            DeniedError: one of them is missing or not legal here.
        """
        operator = OPERATORS[self.base]
        replace = fill_plain if operator.patterns else fill
        return _compiled(operator, [replace(value, facts) for value in self.values])


def _inapplicable(_actual: JsonValue) -> None:
    """Stand in for a test whose expected value could not be made: nothing fits, and nothing fails to."""


def _compiled(operator: Operator, values: Sequence[Expected]) -> Test:
    test: Test = operator.compile(values)  # type: ignore[arg-type]  # texts are checked by the caller
    return test


def compile_condition(name: str, key: str, expected: JsonValue) -> Condition:
    """Compile one operator on one key.

    Raises:
        TrustFileError: the operator is unknown, or the values do not fit it.
    """
    check_key(key)
    values = _expected(expected)
    texts = tuple(shown(value) for value in values)
    if len(texts) > MAX_SHOWN_VALUES:
        texts = (*texts[:MAX_SHOWN_VALUES], f"and {len(texts) - MAX_SHOWN_VALUES} more")
    if name == _NULL:
        null = _truth(values[0]) if len(values) == 1 else None
        if null is None:
            raise refuse(
                "Null takes true or false", "true: the value must be missing; false: it must be there"
            )
        return Condition(operator=name, base=name, key=key, values=(), shown=texts, null=null)
    head, colon, tail = name.rpartition(":")
    quantifier = next((known for known in QUANTIFIERS if known == head), None)
    base = tail.removesuffix(_IF_EXISTS)
    operator = OPERATORS.get(base)
    if operator is None or (colon and quantifier is None):
        raise refuse(
            f"there is no condition operator {name!r}", "use IAM's, such as StringEquals; case matters"
        )
    if operator.texts:
        templates = tuple(_template(operator, value) for value in values)
        test = (
            _compiled(operator, [template.source for template in templates])
            if all(template.is_literal for template in templates)
            else None
        )
        if test is None:
            if not base.startswith(("String", "Arn")):
                raise refuse(f"{base} takes no substitutions", "write the value itself")
            # What a value can be never changes the form, so a stand-in shows now whether it is right.
            _compiled(operator, ["x".join(template.literals) for template in templates])
    else:
        templates = tuple(Template(text, (text,)) for text in map(shown, values))
        test = _compiled(operator, values)
    return Condition(
        operator=name,
        base=base,
        key=key,
        values=templates,
        shown=texts,
        negated=operator.negated,
        quantifier=quantifier,
        if_exists=tail.endswith(_IF_EXISTS),
        test=test,
    )


def _template(operator: Operator, value: Expected) -> Template:
    if not isinstance(value, str):
        raise refuse(f"{shown(value)} is not a string, and nothing is converted here", "put it in quotes")
    template = parse(value)
    if operator.patterns:
        check_plain(template)
    return template


def _expected(expected: JsonValue) -> list[Expected]:
    values = expected if isinstance(expected, list) else [expected]
    if not values:
        raise refuse("an empty list can never be met", "list at least one value, or leave the condition out")
    if len(values) > MAX_CONDITION_VALUES:
        raise refuse(
            f"{len(values)} values are too many", f"use at most {MAX_CONDITION_VALUES}, or a second profile"
        )
    checked: list[Expected] = []
    for value in values:
        if not isinstance(value, str | int | float):
            raise refuse("this can never be expected", "write a string, a number, true or false")
        if isinstance(value, str) and not 0 < len(value) <= MAX_VALUE_LENGTH:
            raise refuse("an expected value is empty or too long", f"use 1 to {MAX_VALUE_LENGTH} characters")
        checked.append(value)
    return checked
