"""Session names and source identities that STS takes and that nobody shares."""

import pytest

from sallyport.errors import DeniedError, TrustFileError
from sallyport.trust.names import callers_name, compile_name, encode, is_legal, shorten
from tests.support.trust_files import facts


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("b0c1-d2.e3_f4@x", "b0c1-d2.e3_f4@x"),
        ("a/b", "a=2Fb"),
        ("a=2Fb", "a=3D2Fb"),
        ("a,b+c", "a=2Cb=2Bc"),
        ("é", "=C3=A9"),
        ("a b\n", "a=20b=0A"),
        ("\ud800", "=ED=A0=80"),
        ("", ""),
    ],
)
def test_what_sts_does_not_take_is_escaped_and_so_is_the_escape(value: str, encoded: str) -> None:
    assert encode(value) == encoded


def test_a_name_is_made_from_the_template() -> None:
    name = compile_name("contoso.${token:tid},${token:oid}", anchor="contoso")
    assert name.render(facts(tid="t/1", oid="o")) == "contoso.t=2F1,o"
    assert name.prefix == "contoso."


def test_too_long_a_name_keeps_its_beginning_and_a_hash_of_everything() -> None:
    long = "contoso-" + "x" * 57
    short = shorten(long)
    assert len(short) == 64
    assert short.startswith(long[:30] + "==")
    assert is_legal(short)
    assert short != shorten(long + "y")
    assert shorten("x" * 64) == "x" * 64


@pytest.mark.parametrize("name", ["", "a", "a" * 65, "a b", "ab\n", "a:b", "äö"])
def test_a_name_that_sts_does_not_take_is_known(name: str) -> None:
    assert not is_legal(name)


@pytest.mark.parametrize("claims", [{}, {"oid": ""}, {"oid": ["o"]}, {"oid": 1}, {"oid": None}])
def test_a_name_needs_every_value_as_one_string(claims: dict[str, object]) -> None:
    with pytest.raises(DeniedError):
        compile_name("contoso-${token:oid}", anchor="contoso").render(facts(**claims))


@pytest.mark.parametrize(
    "source",
    [
        "${token:oid}",
        "-${token:oid}",
        "contoso${token:oid}",
        "contoso2-${token:oid}",
        "Contoso-${token:oid}",
        "contoso-${token:tid}-${token:oid}",
        "contoso-${token:tid}${token:oid}",
        "contoso-a+b${token:oid}",
        "contoso-a=b${token:oid}",
        "contoso-a b${token:oid}",
        "contoso-${aws:userid}${token:oid}",
        "contoso-${token:oid",
        "contoso-${oid}",
    ],
)
def test_a_template_that_could_give_two_subjects_one_name_is_refused(source: str) -> None:
    with pytest.raises(TrustFileError):
        compile_name(source, anchor="contoso")


def test_a_name_that_a_caller_chose_stands_between_the_anchor_and_the_subject() -> None:
    assert callers_name(anchor="contoso", wish="job 1", subject="o") == "contoso+job=201,o"


def test_two_subjects_that_wish_for_one_name_do_not_get_one() -> None:
    names = {callers_name(anchor="contoso", wish="x" * 80, subject=subject) for subject in "ab"}
    assert len(names) == 2
