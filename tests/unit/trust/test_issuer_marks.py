"""A filter in front of the table never hides an issuer or an authority that is there."""

from hypothesis import given
from hypothesis import strategies as st

from sallyport.trust.issuer_marks import MAX_MARKS, is_ruled_out, marks_of

OIDC = {"kind": "oidc"}
X509 = {"kind": "x509"}
ISSUERS = st.lists(st.text(min_size=1, max_size=40), max_size=20, unique=True)


@given(issuers=ISSUERS, other=st.text(max_size=40))
def test_what_is_there_is_never_ruled_out_and_what_is_not_is(issuers: list[str], other: str) -> None:
    items = {f"issuer#{one}": OIDC for one in issuers} | {f"anchor#{other}": OIDC, f"role#{other}": {}}
    marks = marks_of("1", items)
    assert marks is not None
    assert not any(is_ruled_out(one, "1", marks) for one in issuers)
    assert is_ruled_out(other, "1", marks) == (other not in issuers)


def test_the_marks_of_one_version_say_nothing_about_another() -> None:
    marks = marks_of("1", {"issuer#https://a.example": OIDC})
    assert marks is not None
    assert is_ruled_out("https://b.example", "1", marks)
    assert not is_ruled_out("https://b.example", "2", marks)
    assert not is_ruled_out("https://b.example", "1", "")


def test_a_version_without_issuers_rules_out_all_of_them() -> None:
    marks = marks_of("1", {"role#r": {}})
    assert marks == "1"
    assert is_ruled_out("https://a.example", "1", marks)


def test_there_are_no_marks_of_too_many_issuers() -> None:
    items = {f"issuer#https://i{number}.example": OIDC for number in range(MAX_MARKS)}
    assert len(marks_of("1", items) or "") < 20_000
    assert marks_of("1", items | {"anchor#1": OIDC}) is not None
    assert marks_of("1", items | {"anchor#1": X509}) is None


def test_a_certificate_authority_goes_by_its_id_and_no_other_anchor_does() -> None:
    marks = marks_of("1", {"issuer#https://a.example": OIDC, "anchor#1": OIDC, "anchor#2": X509})
    assert marks is not None
    assert is_ruled_out("1", "1", marks)
    assert not is_ruled_out("2", "1", marks)
    assert not is_ruled_out("https://a.example", "1", marks)


def test_marks_of_a_writer_that_knew_issuers_alone_still_mean_what_they_did() -> None:
    marks = "1 38612c965a9c4c35"
    assert marks_of("1", {"issuer#https://a.example": OIDC}) == marks
    assert not is_ruled_out("https://a.example", "1", marks)
    assert is_ruled_out("2", "1", marks)
