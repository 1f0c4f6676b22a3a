"""What outside strings look like before anybody looks at them."""

import pytest

from sallyport.audit.display import _PLAIN, MAX_DISPLAYED, display


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("b0c1-d2e3_f4@example.com:/=+", "b0c1-d2e3_f4@example.com:/=+"),
        ("Zoë 日本", "Zoë 日本"),
        ("\x1b[31mred", r"\x1b\x5b31mred"),
        ("a\r\nb\tc", r"a\x0d\x0ab\x09c"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u200bb\u00adc\ufeffd", r"a\u200bb\xadc\ufeffd"),
        ("[bold]x[/bold]", r"\x5bbold\x5dx\x5b/bold\x5d"),
        ("<script>'\"&`", r"\x3cscript\x3e\x27\x22\x26\x60"),
        (r"\x1b", r"\\x1b"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("e\u0301\u0301\u0301", r"e\u0301\u0301\u0301"),
        ("\u3164\u2800", r"\u3164\u2800"),
        ("אב", r"\u05d0\u05d1"),
        ("", ""),
    ],
)
def test_only_visible_characters_without_a_meaning_stay_what_they_are(text: str, shown: str) -> None:
    assert display(text) == shown


def test_a_long_text_is_cut_and_says_by_how_much() -> None:
    assert display("x" * (MAX_DISPLAYED + 7)) == "x" * MAX_DISPLAYED + "…(+7)"
    assert display("x" * MAX_DISPLAYED) == "x" * MAX_DISPLAYED


def test_the_mark_of_a_cut_cannot_be_forged() -> None:
    assert display("x…(+7)") == r"x\u2026(+7)"


def test_a_very_long_text_costs_no_more_than_its_beginning() -> None:
    assert len(display("\x00" * 10_000_000, limit=10**9)) < 300_000


def test_for_a_terminal_alone_markup_stays_and_controls_do_not() -> None:
    assert display('["a"] <b>\x1b', markup=False) == r'["a"] <b>\x1b'


def test_the_short_cut_takes_exactly_what_would_stay_as_it_is() -> None:
    for point in range(0x2100):
        character = chr(point)
        stays = display(f"{character}\u202e") == f"{character}\\u202e"
        assert bool(_PLAIN.fullmatch(character)) <= stays
        assert not (character.isascii() and stays) or _PLAIN.fullmatch(character), character
