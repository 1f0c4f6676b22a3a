"""A filter in front of the table never hides an issuer that is there."""

from hypothesis import given
from hypothesis import strategies as st

from sallyport.trust.issuer_marks import MAX_MARKS, is_ruled_out, marks_of

ISSUERS = st.lists(st.text(min_size=1, max_size=40), max_size=20, unique=True)


@given(issuers=ISSUERS, other=st.text(max_size=40))
def test_what_is_there_is_never_ruled_out_and_what_is_not_is(issuers: list[str], other: str) -> None:
    marks = marks_of("1", [*(f"issuer#{one}" for one in issuers), f"anchor#{other}", f"role#{other}"])
    assert marks is not None
    assert not any(is_ruled_out(one, "1", marks) for one in issuers)
    assert is_ruled_out(other, "1", marks) == (other not in issuers)


def test_the_marks_of_one_version_say_nothing_about_another() -> None:
    marks = marks_of("1", ["issuer#https://a.example"])
    assert marks is not None
    assert is_ruled_out("https://b.example", "1", marks)
    assert not is_ruled_out("https://b.example", "2", marks)
    assert not is_ruled_out("https://b.example", "1", "")


def test_a_version_without_issuers_rules_out_all_of_them() -> None:
    marks = marks_of("1", ["role#r"])
    assert marks == "1"
    assert is_ruled_out("https://a.example", "1", marks)


def test_there_are_no_marks_of_too_many_issuers() -> None:
    keys = [f"issuer#https://i{number}.example" for number in range(MAX_MARKS + 1)]
    assert marks_of("1", keys) is None
    assert len(marks_of("1", keys[1:]) or "") < 20_000
