"""A certificate's holder gets IAM Roles Anywhere's names and tags, unless somebody else could get them."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.errors import DeniedError, TrustFileError
from sallyport.model import Identity, SessionTag
from sallyport.trust.names import callers_name, is_legal
from sallyport.trust.x509_terms import (
    DEFAULT_MAPPING,
    MappingRule,
    Unfit,
    compile_mapping,
    map_tags,
    session_name,
    source_identity,
)
from tests.support import pki

ORG, OU = NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME
LONG_SERIAL = 0x61D5692C0F3B7D9E1F2A3B4C5D6E7F8091A2B3C4


def holder(*parts: Any, serial: int = LONG_SERIAL, anchor: str = "datacenter", **options: Any) -> Identity:
    one = pki.leaf(subject=pki.name(*parts), serial=serial, **options)
    return pki.signed(one, against=pki.anchor(name=anchor)).verify()


class TestSourceIdentity:
    def test_a_subject_that_is_a_common_name_alone_keeps_the_known_form(self) -> None:
        assert source_identity(holder("web-1.example.com"), bare_names=True) == "CN=web-1.example.com"
        assert source_identity(holder("a=b+c,d@e"), bare_names=True) == "CN=a=b+c,d@e"
        assert source_identity(holder("x" * 61), bare_names=True) == "CN=" + "x" * 61

    def test_a_subject_without_a_common_name_keeps_its_number_if_it_is_random(self) -> None:
        assert source_identity(holder((ORG, "A")), bare_names=True) == f"ID={LONG_SERIAL:x}"
        assert source_identity(holder((ORG, "A"), serial=291), bare_names=True) == "datacenter+O=3DA"

    @pytest.mark.parametrize(
        ("parts", "name"),
        [
            (["web", (ORG, "A")], "datacenter+O=3DA=2CCN=3Dweb"),
            (["a", "b"], "datacenter+CN=3Db=2CCN=3Da"),
            (["a b"], "datacenter+CN=3Da=20b"),
            (["ä"], "datacenter+CN=3D=C3=A4"),
        ],
        ids=["more than a name", "two names", "a space", "an umlaut"],
    )
    def test_every_other_subject_is_encoded_behind_its_anchor(self, parts: list[Any], name: str) -> None:
        assert source_identity(holder(*parts), bare_names=True) == name

    def test_a_common_name_of_62_characters_cannot_be_another_name(self) -> None:
        # IAM Roles Anywhere would leave CN= away here, and give both of these one name.
        long, short = "CN=" + "x" * 59, "x" * 59
        assert source_identity(holder(long), bare_names=True) != source_identity(
            holder(short), bare_names=True
        )

    def test_an_anchor_beside_others_puts_its_name_in_front(self) -> None:
        assert source_identity(holder("web"), bare_names=False) == "datacenter+CN=3Dweb"
        assert source_identity(holder((ORG, "A")), bare_names=False) == "datacenter+O=3DA"


def test_only_a_certificate_has_such_names() -> None:
    token = replace(holder("web"), certificate=None)
    for name in (session_name, source_identity):
        with pytest.raises(DeniedError, match="certificate-missing"):
            name(token, bare_names=True)


class TestSessionName:
    def test_it_is_the_serial_number_if_that_is_random(self) -> None:
        assert session_name(holder("web"), bare_names=True) == f"{LONG_SERIAL:x}"

    def test_a_counted_number_needs_its_issuer(self) -> None:
        name = session_name(holder("web", serial=0x1000), bare_names=True)
        assert name.startswith("datacenter+1000.")
        other = pki.authority("Other")
        two = pki.signed(pki.leaf(other, serial=0x1000), against=pki.anchor(other)).verify()
        assert session_name(two, bare_names=True) != name

    def test_an_anchor_beside_others_puts_its_name_in_front(self) -> None:
        one, two = (holder("web", anchor=anchor) for anchor in ("here", "there"))
        names = [session_name(identity, bare_names=False) for identity in (one, two)]
        assert names[0].startswith("here+61d5692c")
        assert names[1].startswith("there+61d5692c")


parts = st.lists(
    st.tuples(
        st.sampled_from([NameOID.COMMON_NAME, ORG, OU]),
        st.text("ab,=+/ \\ä\U0001f600", min_size=1, max_size=3)
        | st.text("ab=CND,+", min_size=55, max_size=64),
    ),
    min_size=1,
    max_size=3,
)


@given(one=parts, two=parts, anchor=st.sampled_from(["a", "b"]), bare_names=st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_two_subjects_have_one_name(
    one: list[Any], two: list[Any], anchor: str, *, bare_names: bool
) -> None:
    first = holder(*one, anchor="a")
    second = holder(*two, anchor=anchor, serial=LONG_SERIAL - 1)
    # Of several anchors only one may go without its name.
    names = [
        source_identity(first, bare_names=bare_names),
        source_identity(second, bare_names=bare_names and anchor == "a"),
        session_name(first, bare_names=bare_names),
        session_name(second, bare_names=bare_names and anchor == "a"),
    ]
    assert all(map(is_legal, names))
    if (first.subject, "a") != (second.subject, anchor):
        assert names[0] != names[1]
    assert names[2] != names[3]
    wished = callers_name(anchor="a", wish=names[0].partition("+")[2], subject=first.subject)
    assert wished not in names


class TestTags:
    def tags(self, identity: Identity, unfit: Unfit = Unfit.ENCODE) -> tuple[dict[str, str], tuple[str, ...]]:
        tags, notes = map_tags(identity.attributes, DEFAULT_MAPPING, unfit)
        return {tag.key: tag.value for tag in tags}, notes

    def test_the_default_mapping_takes_everything_in_the_known_form(self) -> None:
        names = x509.SubjectAlternativeName(
            [
                x509.DNSName("a.example.com"),
                x509.DNSName("b.example.com"),
                x509.UniformResourceIdentifier("spiffe://example.com/a"),
                x509.DirectoryName(pki.name((OU, "Rack 7"), "chassis")),
            ]
        )
        units = [(OU, unit) for unit in ("Security", "Engineering", "Research")]
        one = pki.leaf(None, (names, False), subject=pki.name(*units, "web"))
        assert self.tags(pki.signed(one).verify()) == (
            {
                "x509Subject/OU": "Security/Engineering/Research",
                "x509Subject/CN": "web",
                "x509Issuer/CN": "Root",
                "x509SAN/DNS": "a.example.com",
                "x509SAN/URI": "spiffe://example.com/a",
                "x509SAN/Name/OU": "Rack 7",
                "x509SAN/Name/CN": "chassis",
            },
            (),
        )

    @pytest.mark.parametrize(
        ("units", "value"),
        [
            (["a;b"], "a=3Bb"),
            (["a=3Bb"], "a=3D3Bb"),
            (["a/b"], "a=2Fb"),
            (["a/b", "c"], "a=2Fb/c"),
            (["a", "b/c"], "a/b=2Fc"),
            (["a;b", "c"], "a=3Bb/c"),
        ],
    )
    def test_what_sts_refuses_or_could_be_mistaken_is_encoded_and_noted(
        self, units: list[str], value: str
    ) -> None:
        tags, notes = self.tags(holder(*((OU, unit) for unit in units)))
        assert tags["x509Subject/OU"] == value
        assert notes == ("tag-encoded:x509Subject/OU",)

    def test_what_does_not_fit_is_dropped_only_where_the_profile_says_so_and_noted(self) -> None:
        identity = holder((OU, "a;b"), "web")
        tags, notes = self.tags(identity, Unfit.DROP)
        assert "x509Subject/OU" not in tags
        assert tags["x509Subject/CN"] == "web"
        assert notes == ("tag-dropped:x509Subject/OU",)

    def test_a_value_that_is_too_long_denies_unless_it_may_be_dropped(self) -> None:
        identity = holder(*((OU, f"{n:060}") for n in range(6)))
        with pytest.raises(DeniedError, match="tag-value-illegal"):
            self.tags(identity)
        assert self.tags(identity, Unfit.DROP)[1] == ("tag-dropped:x509Subject/OU",)

    def test_a_part_whose_key_is_too_long_for_a_tag_is_no_tag(self) -> None:
        attributes = {"x509:Subject/" + "1." * 60: "a"}
        with pytest.raises(DeniedError, match="tag-value-illegal"):
            map_tags(attributes, DEFAULT_MAPPING, Unfit.ENCODE)
        assert map_tags(attributes, DEFAULT_MAPPING, Unfit.DROP)[0] == ()

    @pytest.mark.parametrize(
        ("field", "specifier", "keys"),
        [
            ("x509Subject", "*", {"x509Subject/OU", "x509Subject/CN"}),
            ("x509Subject", "CN", {"x509Subject/CN"}),
            ("x509Subject", "UID", set()),
            ("x509Issuer", "CN", {"x509Issuer/CN"}),
            ("x509SAN", "DNS", {"x509SAN/DNS"}),
            ("x509SAN", "URI", set()),
            ("x509SAN", "Name/*", set()),
            ("x509SAN", "Name", set()),
            ("x509SAN", "Name/CN", set()),
        ],
    )
    def test_a_rule_picks_what_it_names(self, field: str, specifier: str, keys: set[str]) -> None:
        rule = compile_mapping(field, specifier)
        tags, _ = map_tags(holder((OU, "a"), "web").attributes, [rule], Unfit.ENCODE)
        assert {tag.key for tag in tags} == keys

    @pytest.mark.parametrize(
        ("field", "specifier"),
        [
            ("x509Subject", ""),
            ("x509Subject", "Name/CN"),
            ("x509Subject", "C N"),
            ("x509Serial", "*"),
            ("x509SAN", "*"),
            ("x509SAN", "Name/a/b"),
            ("x509SAN", "Email"),
            ("x509Subject", "C" * 61),
        ],
    )
    def test_a_rule_for_nothing_is_refused(self, field: str, specifier: str) -> None:
        with pytest.raises(TrustFileError):
            compile_mapping(field, specifier)

    def test_no_rules_are_no_tags(self) -> None:
        assert map_tags(holder("web").attributes, (), Unfit.ENCODE) == ((), ())

    def test_a_tag_is_neither_optional_nor_transitive_by_itself(self) -> None:
        rule = MappingRule("x509Subject", "CN")
        tags, _ = map_tags(holder("web").attributes, [rule], Unfit.ENCODE)
        assert tags == (SessionTag("x509Subject/CN", "web"),)


@given(st.lists(st.text("a/=; ", min_size=1, max_size=3), min_size=2, max_size=3))
@settings(max_examples=100, deadline=None)
def test_no_two_lists_have_one_tag(units: list[str]) -> None:
    first = map_tags({"x509:Subject/OU": list(units)}, DEFAULT_MAPPING, Unfit.ENCODE)[0][0].value
    # Another cut between the same letters.
    joined = "".join(units)
    for cut in range(1, len(joined)):
        other = [joined[:cut], joined[cut:]]
        if other != units:
            assert (
                map_tags({"x509:Subject/OU": list(other)}, DEFAULT_MAPPING, Unfit.ENCODE)[0][0].value != first
            )
