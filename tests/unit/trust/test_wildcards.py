"""Patterns match the whole value, in bounded time."""

import pytest

from sallyport.trust.limits import MAX_MATCHED_LENGTH
from sallyport.trust.wildcards import has_wildcard, literal_prefix, matches_anything, pattern


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("abc", "abc"),
        ("*", ""),
        ("*", "anything"),
        ("a*", "a"),
        ("a*", "abc"),
        ("*c", "abc"),
        ("a*c", "ac"),
        ("a*c", "abcbc"),
        ("a**c", "abc"),
        ("a?c", "abc"),
        ("?", "x"),
        ("*?", "x"),
        ("?*?", "xy"),
        ("*b?d*", "aabxbcdz"),
        ("*b?d*f", "abxbcdzf"),
        ("repo:octo/*:ref:*", "repo:octo/app:ref:refs/heads/main"),
        ("a*b*c", "a--b--b--c"),
        ("*aab*", "aaab"),
        ("*a?b*", "aaab"),
    ],
)
def test_a_pattern_matches_a_whole_value(text: str, value: str) -> None:
    assert pattern(text).matches(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", "a"),
        ("abc", "abcd"),
        ("abc", "xabc"),
        ("abc", "abc\n"),
        ("a*", "ba"),
        ("*c", "cb"),
        ("ab*ba", "aba"),
        ("a?c", "ac"),
        ("a?", "abc"),
        ("?", ""),
        ("?*?", "x"),
        ("*b?d*", "aabd"),
        ("a*b*c", "acb"),
        ("A*", "abc"),
        ("a.c", "abc"),
        ("*x?y*", "xy"),
    ],
)
def test_a_pattern_does_not_match_a_part_or_a_neighbour(text: str, value: str) -> None:
    assert not pattern(text).matches(value)


def test_a_value_longer_than_any_subject_matches_no_pattern() -> None:
    assert pattern("a*").matches("a" * MAX_MATCHED_LENGTH)
    assert not pattern("a*").matches("a" * (MAX_MATCHED_LENGTH + 1))


@pytest.mark.parametrize(
    ("text", "value"),
    [(f"*{'?' * 400}x*", "a"), (f"*b*{'?' * 400}x*", "a" * 401 + "b")],
    ids=["the whole value", "what is left of it"],
)
@pytest.mark.timeout(30)  # a hang is a defect; how long it takes is `make bench`'s to say
def test_a_value_without_room_for_a_pattern_does_not_match_it(text: str, value: str) -> None:
    long = pattern(text)
    assert not any(long.matches(value) for _ in range(50_000))


def test_what_stands_before_the_first_wildcard_is_the_literal_prefix() -> None:
    assert literal_prefix("repo:octo/*") == "repo:octo/"
    assert literal_prefix("a?b*") == "a"
    assert literal_prefix("*") == ""
    assert literal_prefix("abc") == "abc"


def test_only_asterisks_with_nothing_else_match_anything() -> None:
    assert matches_anything("*")
    assert matches_anything("**?")
    assert not matches_anything("?")
    assert not matches_anything("a*")
    assert not matches_anything("")
    assert has_wildcard("a?")
    assert not has_wildcard("a")
