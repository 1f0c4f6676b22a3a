"""Which roles a certificate's holder may have, under which name and with which tags."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from sallyport.errors import UnavailableError
from sallyport.model import Denial
from sallyport.trust.compile import load_profile
from sallyport.trust.decide import authorize
from sallyport.trust.x509_terms import DEFAULT_MAPPING, MappingRule, Unfit
from tests.support import pki
from tests.support.trust_files import (
    HOLDER,
    NOW,
    ROLE,
    authority,
    compiled,
    decide,
    denied,
    entra,
    granted,
    identity,
    of_holders,
    problem,
    problems,
    profile,
    profiles_of,
    request,
    trust_file,
)

HERE = ("profiles", "reader")
OU, ORG = NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME
LONG_SERIAL = 0x61D5692C0F3B7D9E1F2A3B4C5D6E7F8091A2B3C4
POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::b/${aws:PrincipalTag/x509Subject/OU}/*",
        }
    ],
}


def host(*parts: Any, **options: Any) -> pki.Holder:
    """A certificate of the example host, or of another subject."""
    return pki.leaf(subject=pki.name(*(parts or ("host.example.com",))), **options)


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"condition": {"StringEquals": {"token:sub": "x"}}},
        {"condition": {**HOLDER, "StringLike": {"x509:Subject/OU": "a-${token:sub}"}}},
        {"session_tags": {"A": "${token:sub}"}},
        {"source_identity": "datacenter.${x509:Subject},${token:sub}"},
        {"session_policy": {**POLICY, "Statement": {**POLICY["Statement"][0], "Resource": "${token:sub}"}}},
        {"managed_policies": ["arn:aws:iam::aws:policy/${token:sub}"]},
    ],
    ids=["key", "value", "tag", "name", "policy", "managed policy"],
)
def test_what_a_token_says_a_certificate_does_not(change: dict[str, Any]) -> None:
    found = problems(of_holders(**change))
    assert any("a certificate has no token:sub" in one.text for one in found), found


@pytest.mark.parametrize(
    "key",
    [
        "x509:Subject/cn",
        "x509:Subject/CommonName",
        "x509:subject/CN",
        "x509:Subject/",
        "x509:Issuer/Subject/CN",
        "x509:SAN",
        "x509:SAN/Email",
        "x509:SAN/IP",
        "x509:SAN/Name",
        "x509:Serial/",
        "x509:serial",
        "x509:Subject/2.5.4.03",
        "x509:Subject/2",
    ],
)
def test_a_key_that_no_certificate_has_is_refused_also_where_it_denies(key: str) -> None:
    denies = {"effect": "deny", "condition": {"StringEquals": {key: "aabb"}}}
    assert "no certificate has" in problem(of_holders(**denies), *HERE, "condition", "StringEquals", key).text


def test_a_part_that_has_a_name_is_not_called_by_its_number() -> None:
    key = "x509:Subject/2.5.4.3"
    document = of_holders(effect="deny", condition={"StringEquals": {key: "x"}})
    found = problem(document, *HERE, "condition", "StringEquals", key)
    assert found.cure == "write x509:Subject/CN"


@pytest.mark.parametrize(
    "key",
    [
        *("x509:Subject", "x509:Issuer", "x509:Subject/CN", "x509:Subject/2.5.4.97", "x509:Issuer/O"),
        *("x509:SAN/DNS", "x509:SAN/URI", "x509:SAN/Name/CN", "request:SourceIp"),
    ],
)
def test_every_key_that_a_certificate_can_have_may_be_looked_at(key: str) -> None:
    assert not problems(of_holders(effect="deny", condition={"StringEquals": {key: "x"}}))


@pytest.mark.parametrize("serial", ["61D5", "61:d5", "1d5", "0x61d5", "", "g0", "00" * 21])
def test_a_serial_number_that_nothing_can_equal_is_refused(serial: str) -> None:
    document = of_holders(condition={"StringEquals": {**HOLDER["StringEquals"], "x509:Serial": serial}})
    assert problems(document)


# --- who ------------------------------------------------------------------------------------------

NAMES_SOMEBODY: list[dict[str, Any]] = [
    {"StringEquals": {"x509:Subject": "CN=a,O=b"}},
    {"StringEquals": {"x509:Subject/CN": "a"}},
    {"StringEquals": {"x509:Subject/CN": ["a", "b"]}},
    {"StringLike": {"x509:Subject/CN": "web-*.example.com"}},
    {"StringEquals": {"x509:Subject/OU": "Team A"}},
    {"StringEquals": {"x509:Subject/UID": "a"}},
    {"StringEquals": {"x509:Subject/2.5.4.97": "a"}},
    {"ForAnyValue:StringEquals": {"x509:SAN/DNS": "a.example.com"}},
    {"StringLike": {"x509:SAN/DNS": "web-*"}},
    {"StringEquals": {"x509:SAN/URI": "spiffe://example.com/ns/a/sa/b"}},
    {"StringLike": {"x509:SAN/URI": "spiffe://example.com/ns/a/*"}},
    {"StringLike": {"x509:SAN/URI": "spiffe://example.com/team*"}},
    {"StringLike": {"x509:SAN/URI": "spiffe://example.com/nsx/*"}},
    {"StringLike": {"x509:SAN/URI": "urn:uuid:0123*"}},
    {"StringEquals": {"x509:SAN/Name/CN": "chassis"}},
    {"StringEquals": {"x509:Serial": "61d5", "x509:Issuer/CN": "Root"}},
    {"StringEquals": {"x509:Serial": ["61d5", "61d6"], "x509:Issuer": "CN=Root"}},
]
NAMES_NOBODY: list[dict[str, Any]] = [
    {"StringLike": {"x509:Subject": "CN=web*"}},
    {"StringLike": {"x509:Subject/CN": "*.example.com"}},
    {"StringLike": {"x509:Subject/CN": "w*"}},
    {"StringLike": {"x509:Subject/CN": ["web-1*", "*x"]}},
    {"StringNotEquals": {"x509:Subject/CN": "a"}},
    {"StringEqualsIfExists": {"x509:Subject/CN": "a"}},
    {"ForAllValues:StringEquals": {"x509:SAN/DNS": "a.example.com"}},
    {"StringEquals": {"x509:Subject/CN": "${x509:SAN/DNS}"}},
    {"Null": {"x509:Subject/CN": False}},
    {"StringEquals": {"x509:Subject/C": "DE"}},
    {"StringEquals": {"x509:Subject/ST": "Hessen"}},
    {"StringEquals": {"x509:Subject/L": "Berlin"}},
    {"StringEquals": {"x509:Subject/T": "Engineer"}},
    {"StringEquals": {"x509:Subject/GN": "Kim"}},
    {"StringEquals": {"x509:SAN/Name/C": "DE"}},
    {"StringLike": {"x509:SAN/URI": "spiffe://*"}},
    {"StringLike": {"x509:SAN/URI": "spiffe://example.com/*"}},
    {"StringLike": {"x509:SAN/URI": "spiffe://example.com/ns/*"}},
    {"StringLike": {"x509:SAN/URI": "spiffe://example.com/ns*"}},
    {"StringLike": {"x509:SAN/URI": "spiffe://example.com/t*"}},
    {"StringLike": {"x509:SAN/URI": "urn:uuid:*"}},
    {"StringEquals": {"x509:Issuer/CN": "Root"}},
    {"StringEquals": {"x509:Issuer": "CN=Root"}},
    {"StringEquals": {"x509:Serial": "61d5"}},
    {"StringEquals": {"x509:Serial": "61d5"}, "StringLike": {"x509:Issuer/CN": "Root*"}},
    {"StringEquals": {"x509:Serial": "61d5"}, "ForAllValues:StringEquals": {"x509:Issuer/CN": "Root"}},
    {"StringEquals": {"x509:Serial": "61d5"}, "StringEqualsIfExists": {"x509:Issuer/CN": "Root"}},
    {"StringEquals": {"x509:Serial": "61d5"}, "StringNotEquals": {"x509:Issuer/CN": "Root"}},
    {"StringEquals": {"x509:Issuer/CN": "Root"}, "StringLike": {"x509:Serial": "61d5*"}},
    {"IpAddress": {"request:SourceIp": "192.0.2.0/24"}},
]


@pytest.mark.parametrize("condition", NAMES_SOMEBODY, ids=str)
def test_a_condition_that_names_somebody_suffices(condition: dict[str, Any]) -> None:
    assert not problems(of_holders(condition=condition))
    found = problem(of_holders(condition=condition, unconditional=True), *HERE, "unconditional")
    assert "says who" in found.text


@pytest.mark.parametrize("condition", NAMES_NOBODY, ids=str)
def test_a_condition_that_names_nobody_does_not(condition: dict[str, Any]) -> None:
    found = problem(of_holders(condition=condition), *HERE, "condition")
    assert "says who" in found.text
    assert "x509:Subject/CN" in found.cure
    assert not problems(of_holders(condition=condition, unconditional=True))


@pytest.mark.parametrize("pattern", ["host*", "*.example.com"])
def test_wildcards_are_refused_where_they_are_none(pattern: str) -> None:
    document = of_holders(condition={"StringEquals": {"x509:Subject/CN": pattern}})
    assert "StringLike" in problems(document)[0].cure


def test_a_pattern_for_every_subject_excludes_nobody() -> None:
    document = of_holders(condition={**HOLDER, "StringLike": {"x509:Subject/OU": "*"}})
    assert (
        problem(document, *HERE, "condition", "StringLike", "x509:Subject/OU").text == "this excludes nobody"
    )


# --- who gets in ----------------------------------------------------------------------------------


def test_a_holder_gets_what_the_profile_says() -> None:
    grant = granted(of_holders(duration="30m"), leaf=host())
    assert grant.profile_name == "reader"
    assert grant.role_arn == ROLE
    assert grant.duration == 1_800
    assert grant.external_id == f"sallyport:{grant.anchor_id}:{grant.profile_id}"


def test_another_holder_does_not() -> None:
    assert denied(of_holders(), leaf=host("other.example.com")).reason == "no-profile-matched"


def test_a_repeated_part_never_meets_a_condition_for_one_value() -> None:
    assert denied(of_holders(), leaf=host("host.example.com", "x")).reason == "no-profile-matched"
    each = of_holders(condition={"ForAnyValue:StringEquals": HOLDER["StringEquals"]})
    granted(each, leaf=host("host.example.com", "x"))


def test_the_whole_subject_can_be_looked_at() -> None:
    document = of_holders(condition={"StringEquals": {"x509:Subject": "O=A,CN=host.example.com"}})
    granted(document, leaf=host("host.example.com", (ORG, "A")))
    assert denied(document, leaf=host("host.example.com")).reason == "no-profile-matched"
    assert denied(document, leaf=host((ORG, "A"), "host.example.com")).reason == "no-profile-matched"


def test_one_certificate_can_be_meant_by_its_number_and_its_issuer() -> None:
    document = of_holders(condition={"StringEquals": {"x509:Serial": "61d5", "x509:Issuer": "CN=Root"}})
    granted(document, leaf=host(serial=0x61D5))
    assert denied(document, leaf=host(serial=0x61D6)).reason == "no-profile-matched"


def test_a_token_never_has_the_profiles_of_certificates_nor_the_other_way_round() -> None:
    document = trust_file(
        {"a": profile(), "b": profile(trust_anchor="datacenter", condition=HOLDER)},
        {"contoso": entra(), "datacenter": authority()},
    )
    trust = compiled(document)
    for anchor, name in (("contoso", "a"), ("datacenter", "b")):
        who = identity(trust, anchor)
        decision = authorize(who, request(), profiles_of(trust), disabled=(), now=NOW)
        assert not isinstance(decision.outcome, Denial)
        assert decision.outcome.profile_name == name


def test_profiles_of_certificates_that_overlap_on_other_terms_need_priorities() -> None:
    def two(**other: Any) -> dict[str, Any]:
        both = {"a": profile(trust_anchor="datacenter", condition=HOLDER)}
        both["b"] = profile(trust_anchor="datacenter", condition=HOLDER, **other)
        return trust_file(both, {"datacenter": authority()})

    assert not problems(two())
    terms: list[dict[str, Any]] = [{"attribute_mapping": {}}, {"unfit_values": "drop"}, {"duration": "15m"}]
    for term in terms:
        assert problem(two(**term), "profiles", "b", "priority").cure.startswith("give both a priority")


# --- names ----------------------------------------------------------------------------------------


def test_by_default_names_have_the_anchors_in_front() -> None:
    grant = granted(of_holders(), leaf=host(serial=LONG_SERIAL))
    assert grant.source_identity == "datacenter+CN=3Dhost.example.com"
    assert grant.session_name.startswith("datacenter+61d5692c")


def test_bare_names_are_those_of_roles_anywhere() -> None:
    grant = granted(of_holders(authority(bare_names=True)), leaf=host(serial=LONG_SERIAL))
    assert grant.source_identity == "CN=host.example.com"
    assert grant.session_name == f"{LONG_SERIAL:x}"


def test_bare_names_of_one_anchor_are_not_those_of_another() -> None:
    document = trust_file(
        {
            name: profile(trust_anchor=name, condition=HOLDER, roles=[f"{ROLE}-{name}"])
            for name in ("bare", "named")
        },
        {"bare": authority(bare_names=True), "named": authority()},
    )
    trust = compiled(document)
    names = set()
    for name in ("bare", "named"):
        asks = request(role_arn=f"{ROLE}-{name}")
        decision = authorize(
            identity(trust, name), asks, profiles_of(trust, asks.role_arn), disabled=(), now=NOW
        )
        assert not isinstance(decision.outcome, Denial)
        names.add(decision.outcome.source_identity)
    assert names == {"CN=host.example.com", "named+CN=3Dhost.example.com"}


def test_a_profile_can_have_its_own_names_of_the_whole_subject() -> None:
    document = of_holders(
        authority(bare_names=True),
        source_identity="datacenter.${x509:Subject}",
        session_name="datacenter-${x509:Issuer},${x509:Serial}",
    )
    grant = granted(document, leaf=host("host.example.com", (ORG, "A"), serial=0x61D5))
    assert grant.source_identity == "datacenter.O=3DA=2CCN=3Dhost.example.com"
    assert grant.session_name == "datacenter-CN=3DRoot,61d5"


@pytest.mark.parametrize("field", ["source_identity", "session_name"])
@pytest.mark.parametrize(
    "keys",
    [
        "${x509:Subject/CN}",
        "${x509:Subject/CN},${x509:Subject/O}",
        "${x509:Serial}",
        "${x509:Issuer}",
        "${x509:Issuer/CN},${x509:Serial}",
        "${x509:SAN/URI}",
        "all",
    ],
)
def test_a_template_in_which_two_subjects_could_have_one_name_is_refused(field: str, keys: str) -> None:
    found = problem(of_holders(**{field: f"datacenter.{keys}"}), *HERE, field)
    assert "two subjects could have the same name" in found.text
    assert "${x509:Subject}" in found.cure


def test_a_session_name_that_is_not_accepted_denies_a_certificates_holder() -> None:
    assert denied(of_holders(), leaf=host(), session_name="mine").reason == "session-name-not-accepted"
    granted(of_holders(), leaf=host())


def test_a_token_may_bring_a_name_that_is_not_used_because_sts_demands_one() -> None:
    assert granted(trust_file(), session_name="mine").session_name.startswith("contoso-")


def test_a_session_name_that_is_accepted_has_the_anchor_in_front_and_the_subject_behind() -> None:
    grant = granted(of_holders(accept_session_name=True), leaf=host(), session_name="mine")
    assert grant.session_name == "datacenter+mine,CN=3Dhost.example.com"
    assert granted(of_holders(accept_session_name=True), leaf=host()).session_name.startswith("datacenter+")


def test_another_profile_does_not_step_in_where_the_winner_takes_no_name() -> None:
    document = trust_file(
        {
            "first": profile(trust_anchor="datacenter", condition=HOLDER, priority=2),
            "second": profile(
                trust_anchor="datacenter", condition=HOLDER, priority=1, accept_session_name=True
            ),
        },
        {"datacenter": authority()},
    )
    assert denied(document, leaf=host(), session_name="mine").reason == "session-name-not-accepted"
    named = decide(document, leaf=host(), session_name="mine", profile="second").outcome
    assert not isinstance(named, Denial)


# --- tags -----------------------------------------------------------------------------------------


def tags(document: dict[str, Any], leaf: pki.Holder) -> dict[str, str]:
    return {tag.key: tag.value for tag in granted(document, leaf=leaf).tags}


def test_by_default_everything_known_becomes_a_tag() -> None:
    assert tags(of_holders(), host("host.example.com", (OU, "A"), (OU, "B"))) == {
        "x509Subject/CN": "host.example.com",
        "x509Subject/OU": "A/B",
        "x509Issuer/CN": "Root",
        "x509SAN/DNS": "host.example.com",
    }


def test_a_profile_can_map_less_or_nothing() -> None:
    leaf = host("host.example.com", (OU, "A"))
    less = of_holders(attribute_mapping={"x509Subject": ["OU"], "x509SAN": ["DNS"]})
    assert tags(less, leaf) == {"x509Subject/OU": "A", "x509SAN/DNS": "host.example.com"}
    assert tags(of_holders(attribute_mapping={}), leaf) == {}


def test_the_profiles_own_tags_stand_beside_those_of_the_certificate() -> None:
    document = of_holders(
        session_tags={
            "Host": "${x509:Subject/CN}",
            "Unit": {"value": "${x509:Subject/OU}", "optional": True},
        },
        transitive_tags=["Host"],
        attribute_mapping={"x509Issuer": ["CN"]},
    )
    grant = granted(document, leaf=host())
    assert [(tag.key, tag.transitive) for tag in grant.tags] == [("Host", True), ("x509Issuer/CN", False)]
    assert grant.notes == ("optional-tag-left-out:Unit:claim-missing",)


@pytest.mark.parametrize("bent", [(OU, "a;b"), (OU, "a=b")])
def test_values_that_do_not_fit_are_encoded_or_dropped_and_the_record_tells(bent: Any) -> None:
    leaf = host("host.example.com", bent)
    encoded = granted(of_holders(), leaf=leaf)
    assert encoded.notes == ("tag-encoded:x509Subject/OU",)
    dropped = granted(of_holders(unfit_values="drop"), leaf=leaf)
    assert dropped.notes == ("tag-dropped:x509Subject/OU",)
    assert "x509Subject/OU" not in {tag.key for tag in dropped.tags}


def test_tags_of_a_certificate_are_never_dropped_because_the_session_is_too_large() -> None:
    document = of_holders(session_tags={"A": {"value": "a", "optional": True}})
    assert granted(document, leaf=host()).droppable == ("A",)


def test_more_tags_than_sts_takes_deny() -> None:
    document = of_holders(session_tags={f"T{number}": "x" for number in range(48)})
    assert denied(document, leaf=host()).reason == "too-many-tags"
    fewer = of_holders(session_tags={f"T{number}": "x" for number in range(47)})
    assert len(granted(fewer, leaf=host()).tags) == 50


@pytest.mark.parametrize(
    ("mapping", "key", "clash"),
    [
        (None, "x509Subject/CN", True),
        (None, "X509SUBJECT/cn", True),
        (None, "x509SAN/Name/CN", True),
        (None, "x509SAN/dns", True),
        (None, "x509Serial", False),
        ({"x509Subject": ["CN"]}, "x509Subject/CN", True),
        ({"x509Subject": ["CN"]}, "x509Subject/OU", False),
        ({"x509Subject": ["CN"]}, "x509Subject/CNX", False),
        ({"x509SAN": ["Name/CN"]}, "x509san/name/cn", True),
        ({}, "x509Subject/CN", False),
    ],
)
def test_a_tag_that_the_certificate_makes_as_well_is_refused(mapping: Any, key: str, *, clash: bool) -> None:
    terms = {} if mapping is None else {"attribute_mapping": mapping}
    document = of_holders(session_tags={key: "x"}, **terms)
    if clash:
        assert "makes a tag of this name" in problem(document, *HERE, "session_tags", key).text
    else:
        keys = [tag.key.lower() for tag in granted(document, leaf=host()).tags]
        assert len(keys) == len(set(keys))


def test_a_tag_that_the_session_policy_looks_at_may_not_be_dropped() -> None:
    assert not problems(of_holders(session_policy=POLICY))
    assert (
        "encode"
        in problem(of_holders(session_policy=POLICY, unfit_values="drop"), *HERE, "unfit_values").cure
    )
    other = of_holders(session_policy=POLICY, unfit_values="drop", attribute_mapping={"x509Subject": ["CN"]})
    assert not problems(other)


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        ({"x509Subject": ["C N"]}, ("x509Subject", 0)),
        ({"x509Subject": ["CN", "Name/CN"]}, ("x509Subject", 1)),
        ({"x509SAN": ["*"]}, ("x509SAN", 0)),
        ({"x509SAN": ["Email"]}, ("x509SAN", 0)),
        ({"x509Serial": ["*"]}, ("x509Serial",)),
        ({"x509Subject": []}, ("x509Subject",)),
        ({"x509Subject": "*"}, ("x509Subject",)),
        ({"x509Subject": ["*", "*"]}, ("x509Subject",)),
    ],
)
def test_a_mapping_of_what_is_not_there_is_refused(mapping: Any, path: tuple[str | int, ...]) -> None:
    problem(of_holders(attribute_mapping=mapping), *HERE, "attribute_mapping", *path)


@pytest.mark.parametrize("term", [{"attribute_mapping": {}}, {"unfit_values": "encode"}])
def test_a_token_has_no_certificate_to_map(term: dict[str, Any]) -> None:
    document = trust_file({"reader": profile(**term)})
    assert "a token has no certificate" in problem(document, *HERE, *term).text


# --- terms ----------------------------------------------------------------------------------------


def test_a_certificate_is_no_token_that_sts_could_be_asked_with() -> None:
    found = problem(of_holders(issuance="web-identity"), *HERE, "issuance")
    assert "has none" in found.text
    assert "everything binds" in problem(of_holders(advisory=True), *HERE, "advisory").text


@pytest.mark.parametrize("term", [{"attribute_mapping": {}}, {"unfit_values": "drop"}])
def test_a_denying_profile_has_no_terms_of_certificates(term: dict[str, Any]) -> None:
    assert "issues nothing" in problem(of_holders(effect="deny", **term), *HERE, *term).text


def test_a_denying_profile_denies_a_certificates_holder() -> None:
    document = of_holders()
    document["profiles"]["no"] = profile(
        trust_anchor="datacenter", effect="deny", condition={"StringLike": {"x509:SAN/DNS": "host.*"}}
    )
    assert denied(document, leaf=host()).reason == "profile-denies"
    names = x509.SubjectAlternativeName([x509.DNSName("x.example.com")])
    granted(document, leaf=pki.leaf(None, (names, False)))


def test_what_is_stored_of_a_profile_is_what_is_loaded() -> None:
    (found,) = profiles_of(compiled(of_holders(authority(bare_names=True), unfit_values="drop")))
    assert found.session_name is None
    assert found.source_identity is None
    assert found.certificate is not None
    assert found.certificate.bare_names
    assert set(found.certificate.mapping) == set(DEFAULT_MAPPING)
    assert found.certificate.unfit is Unfit.DROP
    (other,) = profiles_of(compiled(of_holders(attribute_mapping={"x509SAN": ["Name/CN"]})))
    assert other.certificate is not None
    assert other.certificate.mapping == (MappingRule("x509SAN", "Name/CN"),)
    (token,) = profiles_of(compiled(trust_file()))
    assert token.certificate is None


@pytest.mark.parametrize(
    "change",
    [
        {"certificate": None},
        {"certificate": {"bare_names": True}},
        {"certificate": {"bare_names": True, "mapping": [["x509SAN", "*"]], "unfit": "encode"}},
        {"certificate": {"bare_names": True, "mapping": [["x509SAN"]], "unfit": "encode"}},
        {"certificate": {"bare_names": True, "mapping": [], "unfit": "shrug"}},
    ],
)
def test_a_profile_that_is_not_understood_in_full_is_refused(change: dict[str, Any]) -> None:
    trust = compiled(of_holders())
    document = trust.items[f"role#{ROLE}"]["profiles"][0]
    load_profile(document)
    with pytest.raises(UnavailableError, match="trust-malformed"):
        load_profile({**document, **change})


def test_a_disabled_anchor_denies_its_holders() -> None:
    denial = denied(of_holders(), leaf=host(), disabled=frozenset({"anchor#datacenter"}))
    assert denial.reason == "anchor-disabled"
