"""IAM's operators, with the stricter rules."""

from typing import Any

import pytest

from sallyport.errors import TrustFileError
from sallyport.model import Effect, JsonValue
from sallyport.trust.conditions import ERROR, MATCH, MISSING, NO_MATCH, compile_condition, operator_names
from sallyport.trust.limits import MAX_CONDITION_VALUES, MAX_MATCHED_LENGTH, MAX_SHOWN_LENGTH
from tests.support.trust_files import facts


def outcome(operator: str, expected: JsonValue, actual: JsonValue) -> str:
    """Look at one claim ``x``; ``None`` means that it is missing."""
    return compile_condition(operator, "token:x", expected).look(facts(x=actual)).outcome


@pytest.mark.parametrize(
    ("operator", "expected", "actual", "said"),
    [
        ("StringEquals", "a", "a", MATCH),
        ("StringEquals", ["a", "b"], "b", MATCH),
        ("StringEquals", "a", "A", NO_MATCH),
        ("StringEquals", "a*", "ab", NO_MATCH),
        ("StringEquals", "a*", "a*", MATCH),
        ("StringNotEquals", "a", "b", MATCH),
        ("StringNotEquals", ["a", "b"], "b", NO_MATCH),
        ("StringEqualsIgnoreCase", "Straße", "STRAßE", MATCH),
        ("StringEqualsIgnoreCase", "strasse", "Straße", NO_MATCH),
        ("StringEqualsIgnoreCase", "k", "\N{KELVIN SIGN}", NO_MATCH),
        ("StringNotEqualsIgnoreCase", "A", "a", NO_MATCH),
        ("StringLike", "repo:octo/*", "repo:octo/app", MATCH),
        ("StringLike", "repo:octo/*", "xrepo:octo/app", NO_MATCH),
        ("StringLike", "a?c", "abc", MATCH),
        ("StringLike", ["x*", "abc"], "abc", MATCH),
        ("StringNotLike", "a*", "abc", NO_MATCH),
        ("StringNotLike", "a*", "b", MATCH),
        ("NumericEquals", 5, 5, MATCH),
        ("NumericEquals", "5", 5.0, MATCH),
        ("NumericEquals", 5, "5", MATCH),
        ("NumericNotEquals", 5, 6, MATCH),
        ("NumericLessThan", 5, 4.5, MATCH),
        ("NumericLessThan", 5, 5, NO_MATCH),
        ("NumericLessThanEquals", 5, 5, MATCH),
        ("NumericGreaterThan", 5, 10**30, MATCH),
        ("NumericGreaterThanEquals", 5, 4, NO_MATCH),
        ("DateEquals", "2026-11-20T12:00:00Z", "2026-11-20T13:00:00+01:00", MATCH),
        ("DateLessThan", "2026-12-31T00:00:00Z", 1_795_176_000, MATCH),
        ("DateGreaterThan", "2026-12-31", 1_795_176_000, NO_MATCH),
        ("DateNotEquals", 0, 1, MATCH),
        ("DateLessThanEquals", 1, 1, MATCH),
        ("DateGreaterThanEquals", 1, 1, MATCH),
        ("Bool", True, True, MATCH),
        ("Bool", "true", True, MATCH),
        ("Bool", True, "true", MATCH),
        ("Bool", True, False, NO_MATCH),
        ("IpAddress", "192.0.2.0/24", "192.0.2.7", MATCH),
        ("IpAddress", "192.0.2.0/24", "192.0.3.7", NO_MATCH),
        ("IpAddress", "192.0.2.0/24", "2001:db8::1", NO_MATCH),
        ("IpAddress", "192.0.2.0/24", "::ffff:192.0.2.7", MATCH),
        ("IpAddress", "2001:db8::/32", "2001:db8::1", MATCH),
        ("NotIpAddress", "192.0.2.0/24", "192.0.2.7", NO_MATCH),
        ("NotIpAddress", "192.0.2.0/24", "198.51.100.1", MATCH),
        ("ArnEquals", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/a", MATCH),
        ("ArnLike", "arn:aws:iam::*:role/a*", "arn:aws:iam::1:role/ab", MATCH),
        ("ArnLike", "arn:aws:*:role/a", "arn:aws:iam::1:role/a", None),
        ("ArnLike", "arn:aws:iam::1:*", "arn:aws:iam::1:role/a:b", MATCH),
        ("ArnLike", "arn:aws:iam::*:role/a", "arn:aws:iam::1:user/x:role/a", NO_MATCH),
        ("ArnNotEquals", "arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b", MATCH),
        ("ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/b", NO_MATCH),
        ("Null", True, None, MATCH),
        ("Null", "true", "a", NO_MATCH),
        ("Null", False, "a", MATCH),
        ("Null", False, None, NO_MATCH),
    ],
)
def test_operators_say_what_iam_says(
    operator: str, expected: JsonValue, actual: JsonValue, said: str | None
) -> None:
    if said is None:
        with pytest.raises(TrustFileError):
            outcome(operator, expected, actual)
    else:
        assert outcome(operator, expected, actual) == said


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("StringEquals", "a"),
        ("StringNotEquals", "a"),
        ("StringNotLike", "a*"),
        ("NumericNotEquals", 1),
        ("NotIpAddress", "192.0.2.0/24"),
        ("ArnNotLike", "arn:aws:iam::1:role/*"),
        ("ForAllValues:StringEquals", "a"),
        ("ForAnyValue:StringNotEquals", "a"),
    ],
)
def test_a_missing_value_is_missing_for_every_operator(operator: str, expected: JsonValue) -> None:
    assert outcome(operator, expected, None) == MISSING


def test_an_empty_list_is_nothing_to_be_all_of() -> None:
    assert outcome("ForAllValues:StringEquals", "a", []) == MISSING
    assert outcome("ForAnyValue:StringEquals", "a", []) == MISSING


def test_if_exists_lets_a_missing_value_pass_and_no_wrong_one() -> None:
    assert outcome("StringEqualsIfExists", "a", None) == MATCH
    assert outcome("StringEqualsIfExists", "a", "b") == NO_MATCH
    assert outcome("ForAllValues:StringLikeIfExists", "a*", None) == MATCH
    assert outcome("ForAnyValue:StringNotEqualsIfExists", "a", ["a"]) == NO_MATCH


@pytest.mark.parametrize("operator", ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"])
@pytest.mark.parametrize("actual", [["a"], [], {"a": "a"}, True, 1, 1.5])
def test_what_is_not_one_string_is_an_error_for_string_operators(operator: str, actual: JsonValue) -> None:
    assert outcome(operator, "a", actual) == ERROR


@pytest.mark.parametrize(
    ("operator", "expected", "actual"),
    [
        ("NumericEquals", 1, True),
        ("NumericEquals", 1, "1e0"),
        ("NumericNotEquals", 1, float("nan")),
        ("NumericLessThan", 1, float("-inf")),
        ("NumericEquals", 1, "1\n"),
        ("NumericEquals", 1, " 1"),
        ("NumericEquals", 1, "٣"),
        ("Bool", True, "True"),
        ("Bool", True, 1),
        ("IpAddress", "192.0.2.0/24", "not an address"),
        ("NotIpAddress", "192.0.2.0/24", "not an address"),
        ("NotIpAddress", "2001:db8::/32", "fe80::1%eth0"),
        ("DateLessThan", "2026-12-31", "soon"),
        ("DateLessThan", "2026-12-31", "2026-02-30"),
        ("ArnNotLike", "arn:aws:iam::1:role/*", "role/a"),
        ("ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws"),
        ("ArnNotLike", "*:aws:iam::1:role/*", "urn:aws:iam::1:user/a"),
        ("ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:user/" + "a" * MAX_MATCHED_LENGTH),
        ("ArnNotLike", "arn:aws:iam::1:role/*", 5),
        ("ForAnyValue:NumericEquals", 1, [{}]),
        ("IpAddress", "192.0.2.0/24", 3_221_225_991),
        ("DateLessThan", "2026-12-31", "2026-W01-1"),
        ("StringNotLike", "a*", "b" * (MAX_MATCHED_LENGTH + 1)),
    ],
)
def test_a_value_the_operator_cannot_read_is_an_error_also_when_negated(
    operator: str, expected: JsonValue, actual: JsonValue
) -> None:
    assert outcome(operator, expected, actual) == ERROR


@pytest.mark.parametrize(
    ("operator", "actual", "said"),
    [
        ("ForAnyValue:StringEquals", ["x", "a"], MATCH),
        ("ForAnyValue:StringEquals", ["x"], NO_MATCH),
        ("ForAnyValue:StringEquals", "a", MATCH),
        ("ForAnyValue:StringEquals", ["a", 1], ERROR),
        ("ForAnyValue:StringEquals", ["a", None], ERROR),
        ("ForAllValues:StringEquals", ["a", "b"], MATCH),
        ("ForAllValues:StringEquals", ["a", "x"], NO_MATCH),
        ("ForAllValues:StringNotEquals", ["x", "y"], MATCH),
        ("ForAllValues:StringNotEquals", ["x", "a"], NO_MATCH),
        ("ForAnyValue:StringNotEquals", ["x", "a"], MATCH),
        ("ForAnyValue:StringEquals", {"a": 1}, ERROR),
    ],
)
def test_set_operators_look_at_each_value(operator: str, actual: JsonValue, said: str) -> None:
    assert outcome(operator, ["a", "b"], actual) == said


def test_names_of_values_are_case_sensitive() -> None:
    assert compile_condition("StringEquals", "token:X", "a").look(facts(x="a")).outcome == MISSING


@pytest.mark.parametrize(
    ("operator", "said", "counts"),
    [
        ("StringEquals", MISSING, False),
        ("StringNotEquals", MISSING, True),
        ("ForAllValues:StringEquals", MISSING, True),
        ("ForAnyValue:StringEquals", MISSING, False),
        ("StringEquals", ERROR, True),
        ("StringNotEquals", ERROR, True),
        ("StringEquals", NO_MATCH, False),
        ("StringNotEquals", NO_MATCH, False),
        ("ForAllValues:StringEquals", NO_MATCH, False),
        ("StringEquals", MATCH, True),
    ],
)
def test_a_denying_profile_takes_doubt_for_a_match_and_an_allowing_one_never(
    operator: str, said: str, *, counts: bool
) -> None:
    condition = compile_condition(operator, "token:x", "a")
    assert condition.counts(said, Effect.DENY) is counts
    assert condition.counts(said, Effect.ALLOW) is (said == MATCH)


def test_a_substituted_wildcard_is_never_one() -> None:
    condition = compile_condition("StringLike", "token:sub", "repo:${token:repository_owner}/*")
    assert condition.look(facts(sub="repo:octo/app", repository_owner="octo")).outcome == MATCH
    assert condition.look(facts(sub="repo:evil/app", repository_owner="octo")).outcome == NO_MATCH
    for value in ("*", "oct?", "..", "", ["octo"], None, "a/b"):
        assert condition.look(facts(sub="repo:octo/app", repository_owner=value)).outcome == ERROR


def test_a_substituted_value_is_compared_as_it_is() -> None:
    condition = compile_condition("StringEquals", "token:sub", "${token:a}:${token:b}")
    assert condition.look(facts(sub="x y:*", a="x y", b="*")).outcome == MATCH
    assert condition.look(facts(sub="x", a="x")).outcome == ERROR
    assert condition.look(facts(a="x", b="y")).outcome == MISSING


@pytest.mark.parametrize(
    ("operator", "key", "expected"),
    [
        ("stringEquals", "token:x", "a"),
        ("StringEqual", "token:x", "a"),
        ("ForSomeValues:StringEquals", "token:x", "a"),
        ("ForAnyValue:Null", "token:x", True),
        ("NullIfExists", "token:x", True),
        ("StringEquals", "token:", "a"),
        ("StringEquals", "Token:x", "a"),
        ("StringEquals", "x", "a"),
        ("StringEquals", "token:" + "x" * 300, "a"),
        ("StringEquals", "token:x\n", "a"),
        ("StringEquals", "token:${token:x}", "a"),
        ("StringEquals", "request:UserAgent", "a"),
        ("StringEquals", "aws:SourceIp", "a"),
        ("StringEquals", "token:x", []),
        ("StringEquals", "token:x", ""),
        ("StringEquals", "token:x", 5),
        ("StringEquals", "token:x", True),
        ("StringEquals", "token:x", None),
        ("StringEquals", "token:x", [["a"]]),
        ("StringEquals", "token:x", ["a"] * (MAX_CONDITION_VALUES + 1)),
        ("StringEquals", "token:x", "${aws:username}"),
        ("StringEquals", "token:x", "${token:a"),
        ("StringLike", "token:x", "${token:a}*"),
        ("StringLike", "token:x", "?${token:a}"),
        ("StringLike", "token:x", "${request:RoleArn}"),
        ("NumericEquals", "token:x", "five"),
        ("NumericEquals", "token:x", True),
        ("NumericEquals", "token:x", "${token:a}"),
        ("DateLessThan", "token:x", "2026-13-01"),
        ("Bool", "token:x", "yes"),
        ("Null", "token:x", [True, False]),
        ("Null", "token:x", "maybe"),
        ("IpAddress", "request:SourceIp", "192.0.2.1/24"),
        ("IpAddress", "request:SourceIp", "${token:a}"),
        ("ArnLike", "token:x", "role/a"),
        ("ArnLike", "token:x", "${token:a}"),
    ],
)
def test_what_is_no_condition_is_refused(operator: str, key: str, expected: Any) -> None:
    with pytest.raises(TrustFileError):
        compile_condition(operator, key, expected)


def test_a_trace_says_what_was_expected_and_found_within_bounds() -> None:
    condition = compile_condition("StringEquals", "token:x", [f"value-{i}" for i in range(50)])
    trace = condition.look(facts(x="v" * 10_000))
    assert trace.operator == "StringEquals"
    assert trace.key == "token:x"
    assert trace.expected[-1] == "and 40 more"
    assert trace.actual is not None
    assert len(trace.actual) == MAX_SHOWN_LENGTH
    assert condition.look(facts()).actual is None
    assert condition.look(facts(x=["a", 1, 1.5, True, None, {}, [], 10**50])).actual == (
        "[a, 1, 1.5, true, null, {...}, [...], a very large number]"
    )


def test_every_listed_operator_compiles() -> None:
    samples: list[JsonValue] = ["a", 1, True, "192.0.2.1", "arn:aws:iam::1:role/a"]
    for name in operator_names():
        for sample in samples:
            try:
                compile_condition(name, "token:x", sample)
                break
            except TrustFileError:
                continue
        else:
            pytest.fail(name)
