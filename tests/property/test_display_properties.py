"""Whatever an outside string holds, what is displayed is bounded, harmless and unambiguous."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from sallyport.audit.display import display

# Half surrogate pairs included: JSON can carry them.
ANYTHING = st.text(st.characters(codec=None, exclude_categories=()))


@given(text=ANYTHING, limit=st.integers(-5, 400), markup=st.booleans())
def test_what_is_displayed_is_bounded_and_made_of_visible_characters(
    *, text: str, limit: int, markup: bool
) -> None:
    shown = display(text, limit=limit, markup=markup)
    assert len(shown) <= 10 * max(1, limit) + 30
    for character in shown:
        assert character.isprintable()
        assert unicodedata.bidirectional(character) not in {"R", "AL", "AN", "RLO", "LRO", "RLE", "FSI"}
        assert not unicodedata.category(character).startswith(("C", "M", "Zl", "Zp"))


@given(ANYTHING)
def test_nothing_displayed_is_markup_to_anybody(text: str) -> None:
    shown = display(text, limit=4_000)
    assert not set("<>&\"'`[]\n\r\t") & set(shown)
    assert Text.from_markup(shown).plain == shown


@given(one=ANYTHING, other=ANYTHING, markup=st.booleans())
def test_two_texts_that_are_shown_whole_never_look_alike(*, one: str, other: str, markup: bool) -> None:
    if one != other:
        assert display(one, limit=10_000, markup=markup) != display(other, limit=10_000, markup=markup)


@given(st.text(st.sampled_from("abcXYZ019-_.:/@+=,*${} ")))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert display(text, limit=10_000) == text
