"""Conditions and patterns hold for every value that a token can carry."""

import re

from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import TrustFileError
from sallyport.model import Effect, JsonValue
from sallyport.trust.conditions import ERROR, MATCH, MISSING, NO_MATCH, compile_condition, operator_names
from sallyport.trust.limits import MAX_SHOWN_LENGTH
from sallyport.trust.wildcards import literal_prefix, pattern
from tests.support.trust_files import facts

TEXT = st.text(st.characters(), max_size=30) | st.text("ab*?/:.1", max_size=12)
JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just("arn:aws:iam::1:role/a"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
EXPECTED = st.sampled_from(
    [
        *("a", "a*", "*b?", "${token:y}", "${token:y}/*", "5", "true", "192.0.2.0/24", "2001:db8::/32"),
        *("2026-01-01", "arn:aws:iam::*:role/*", "arn:aws:iam::1:role/${token:y}", 5, 1.5, True),
    ]
)


@given(st.sampled_from(operator_names()), st.lists(EXPECTED, min_size=1, max_size=3), JSON, JSON)
def test_looking_at_a_condition_never_raises(
    operator: str, expected: list[JsonValue], x: JsonValue, y: JsonValue
) -> None:
    try:
        condition = compile_condition(operator, "token:x", expected)
    except TrustFileError:
        return
    trace = condition.look(facts(x=x, y=y))
    assert trace.outcome in (MATCH, NO_MATCH, MISSING, ERROR)
    assert trace.actual is None or len(trace.actual) <= MAX_SHOWN_LENGTH
    if x is None and operator != "Null" and not condition.if_exists:
        assert trace.outcome == MISSING
    if isinstance(x, list | dict) and condition.quantifier is None and operator != "Null":
        assert trace.outcome == ERROR
    if trace.outcome != MATCH:
        assert not condition.counts(trace.outcome, Effect.ALLOW)


@given(st.text("ab*?", max_size=8), st.text("ab*?\n", max_size=12))
def test_a_pattern_is_a_full_match(text: str, value: str) -> None:
    reference = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in text)
    assert pattern(text).matches(value) == (re.fullmatch(reference, value, re.DOTALL) is not None)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=12))
def test_what_matches_begins_with_the_literal_prefix(text: str, value: str) -> None:
    if pattern(text).matches(value):
        assert value.startswith(literal_prefix(text))


@given(TEXT)
def test_equality_is_of_the_whole_value(value: str) -> None:
    if value and "${" not in value:
        condition = compile_condition("StringEquals", "token:x", value)
        assert condition.look(facts(x=value)).outcome == MATCH
        for other in (value + "\n", value + "x", "x" + value, value[:-1]):
            assert condition.look(facts(x=other)).outcome != MATCH
