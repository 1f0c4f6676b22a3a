"""What a trust file may not contain, and where it is said to be."""

import pytest

from sallyport_cli.strict_yaml import MAX_DEPTH, MAX_FILE_BYTES, MAX_PROBLEMS, MAX_VALUES, parse


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("a: 1\na: 2\n", 2, 1, "given already in line 1"),
        ("a:\n  b: x\n  c: v\n  b: z\n", 4, 3, "given already in line 2"),
        ('a: x\n"a": y\n', 2, 1, "given already"),
        ("a: &x y\n", 1, 4, "anchor"),
        ("a: x\nb: *x\n", 2, 4, "alias"),
        ("*x : y\n", 1, 1, "alias"),
        ("a:\n  <<: {b: c}\n", 2, 3, "merges"),
        ("a: !!str b\n", 1, 4, "tags"),
        ("a: !local b\n", 1, 4, "tags"),
        ("a: !!python/object/apply:os.system [x]\n", 1, 4, "tags"),
        ("a: b\n---\nc: d\n", 2, 1, "second document"),
        ("%YAML 1.1\n---\na: b\n", 1, 1, "directives"),
        ("? [a, b]\n: c\n", 1, 3, "key must be text"),
        ("? {a: b}\n: c\n", 1, 3, "key must be text"),
        ("1: a\n", 1, 1, "a number to YAML"),
        ("yes: a\n", 1, 1, "a boolean to YAML"),
        ("Null: a\n", 1, 1, "null to YAML"),
        ("2026-11-20: a\n", 1, 1, "a date to YAML"),
        ("a: 'b\n", 2, 1, "not YAML"),
        ("\ta: b\n", 1, 1, "a tab; indent with spaces"),
        ("a:\n  b: c\n\td: e\n", 3, 1, "a tab; indent with spaces"),
        ("", 1, 1, "empty"),
        ("# nothing but a comment\n", 1, 1, "empty"),
    ],
)
def test_yaml_that_could_mean_something_else_is_refused_with_its_place(
    text: str, line: int, column: int, part: str
) -> None:
    problems = parse(text.encode()).problems
    assert problems
    assert (problems[0].line, problems[0].column) == (line, column)
    assert part in problems[0].text
    assert problems[0].cure


BOOLEANS_AND_NULLS = ("yes", "No", "on", "OFF", "y", "N", "True", "FALSE", "~", "null", "=", "<<")
NUMBERS = (
    "017",
    "0o17",
    "0x1F",
    "0b1",
    "1_000",
    "1:30",
    "1.5",
    ".5",
    "1e3",
    "1.",
    "+1",
    ".inf",
    "-.INF",
    ".nan",
)
LONG_NUMBERS_AND_DATES = ("012345678901", "1234567890123456", "2026-11-20", "2026-11-20T10:00:00Z")


@pytest.mark.parametrize("value", [*BOOLEANS_AND_NULLS, *NUMBERS, *LONG_NUMBERS_AND_DATES])
def test_a_plain_value_whose_type_yaml_would_guess_has_to_be_quoted(value: str) -> None:
    assert parse(f"a: {value}\n".encode()).problems
    quoted = parse(f"a: '{value}'\n".encode())
    assert not quoted.problems
    assert quoted.document == {"a": value}


def test_a_key_without_a_value_is_refused() -> None:
    assert "no value" in parse(b"a:\nb: c\n").problems[0].text


def test_true_false_and_plain_whole_numbers_are_what_they_look_like() -> None:
    parsed = parse(b"a: true\nb: false\nc: 0\nd: -15\ne: 111122223333\nf: 1h\ng: 10.0.0.1\nh: a:b\n")
    assert not parsed.problems
    assert parsed.document == {
        "a": True,
        "b": False,
        "c": 0,
        "d": -15,
        "e": 111122223333,
        "f": "1h",
        "g": "10.0.0.1",
        "h": "a:b",
    }


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\u0085", "\x1b", "\x00", "\u00ad"]
)
def test_a_character_that_an_editor_does_not_show_is_refused_where_it_stands(character: str) -> None:
    problems = parse(f"a: b\nc: d{character}e\n".encode()).problems
    assert [(problem.line, problem.column) for problem in problems] == [(2, 5)]
    assert character not in problems[0].text


def test_a_carriage_return_that_could_hide_the_line_before_it_is_refused() -> None:
    assert parse(b"effect: deny\reffect: allow\n").problems[0].column == 13
    assert not parse(b"a: b\r\nc: d\r\n").problems


@pytest.mark.parametrize("escape", [r"\0", r"\e", r"\x85", r"\r"])
def test_an_escape_that_makes_a_control_character_is_refused(escape: str) -> None:
    assert "control character" in parse(f'a: "x{escape}y"\n'.encode()).problems[0].text
    assert "control character" in parse(f'"x{escape}y": a\n'.encode()).problems[0].text


def test_half_a_surrogate_pair_is_refused() -> None:
    assert parse(rb'a: "\ud800"').problems


def test_bytes_that_are_not_utf_8_are_refused_where_they_stand() -> None:
    problem = parse("a: b\nc: ü\n".encode("latin-1")).problems[0]
    assert (problem.line, problem.column) == (2, 4)
    assert "UTF-8" in problem.text
    assert parse("a: b\n".encode("utf-16")).problems


def test_a_byte_order_mark_at_the_beginning_is_not_a_part_of_the_first_key() -> None:
    assert parse(b"\xef\xbb\xbfa: b\n").document == {"a": "b"}


def test_a_file_over_the_limit_is_refused_and_the_limit_is_named() -> None:
    problem = parse(b"#" * (MAX_FILE_BYTES + 1)).problems[0]
    assert f"{MAX_FILE_BYTES:,}" in problem.text


@pytest.mark.parametrize("piece", [b"[", b"- ", b"{a: "])
def test_a_file_that_is_too_deep_is_refused_however_deep_it_is(piece: bytes) -> None:
    assert str(MAX_DEPTH) in parse(piece * 300_000).problems[0].text


def test_a_file_of_very_many_values_is_refused() -> None:
    assert f"{MAX_VALUES:,}" in parse(b"[" + b"a," * (MAX_VALUES + 10) + b"]").problems[0].text


def test_no_more_problems_are_listed_than_anybody_reads() -> None:
    assert len(parse(b"a: b\n" * 10_000).problems) == MAX_PROBLEMS


def test_every_key_and_value_has_its_place() -> None:
    positions = parse(b"a:\n  b: [x, y]\n  c: z\n").positions
    assert positions.of(("a", "b")) == (2, 3)
    assert positions.of(("a", "b", 1)) == (2, 10)
    assert positions.of(("a", "c")) == (3, 3)
    assert positions.of(("a", "unknown", 7)) == (1, 1)
    assert positions.of(("a", "b", 9)) == (2, 3)


def test_the_slower_parser_gives_the_same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"a:\n  b: [x, 'y']\n  c: yes\nd: |\n  line\n"
    fast = parse(text)
    monkeypatch.setattr("sallyport_cli.strict_yaml._LOADER", __import__("yaml").SafeLoader)
    slow = parse(text)
    assert slow.document == fast.document
    assert slow.problems == fast.problems
    assert slow.positions.keys == fast.positions.keys
