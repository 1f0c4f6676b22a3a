"""What a trust anchor of kind x509 must be before it may be applied, and what is stored of it."""

import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sallyport.errors import UnavailableError
from sallyport.model import Replay, StaleCrls, X509Anchor
from sallyport.proof.certificates import AUTHORITY_RULES
from sallyport.trust.authorities import describe
from sallyport.trust.compile import load_anchor
from sallyport.trust.files import files_named
from sallyport.trust.limits import MAX_AUTHORITIES, MAX_BUNDLE_BYTES, MAX_CRLS
from tests.support import pki
from tests.support.trust_files import (
    authority,
    compiled,
    of_holders,
    pem,
    plain,
    problem,
    problems,
    trust_file,
)

HERE = ("trust_anchors", "datacenter")


def one(**changes: Any) -> dict[str, Any]:
    """A file whose only anchor is an authority with these changes."""
    return trust_file({}, {"datacenter": authority(**changes)})


def stored(document: object, **beside: bytes) -> X509Anchor:
    """Compile, and read the only anchor back from what would be stored."""
    trust = compiled(document, beside=beside)
    (loaded,) = trust.anchors
    (key,) = [key for key in trust.items if key.startswith("anchor#")]
    found = load_anchor(json.loads(json.dumps(trust.items[key])))
    assert found == loaded
    assert isinstance(found, X509Anchor)
    return found


# --- what is stored -------------------------------------------------------------------------------


def test_an_authority_is_stored_under_its_id_alone() -> None:
    trust = compiled(one())
    (found,) = trust.anchors
    assert set(trust.items) == {f"anchor#{found.id}"}
    assert found.arn.endswith(f":trust-anchor/{found.id}")


def test_defaults_of_an_authority_trust_least() -> None:
    found = stored(one())
    assert found.certificates == (pki.root().der,)
    assert found.intermediates == ()
    assert found.crls == found.crl_urls == ()
    assert found.stale_crls is StaleCrls.DENY
    assert found.any_extended_key_usage is False
    assert found.replay is Replay.ALLOW


def test_everything_that_is_declared_of_an_authority_is_stored() -> None:
    found = stored(
        one(
            intermediates="issuing.pem",
            crls=["lists/ca.crl", "issuing.crl"],
            crl_urls=["http://pki.example.com/ca.crl?delta=no"],
            stale_crls="allow",
            any_extended_key_usage=True,
            replay="once",
        )
    )
    assert found.intermediates == (pki.issuing().der,)
    assert set(found.crls) == {"ca.crl", "issuing.crl", "http://pki.example.com/ca.crl?delta=no"}
    assert found.crl_urls == ("http://pki.example.com/ca.crl?delta=no",)
    assert found.stale_crls is StaleCrls.ALLOW
    assert found.any_extended_key_usage is True
    assert found.replay is Replay.ONCE


def test_the_certificates_of_a_bundle_count_once_and_their_order_means_nothing() -> None:
    found = stored(one(certificates="both.pem"))
    assert set(found.certificates) == {pki.root().der, pki.issuing().der}
    turned = pem(pki.root(), pki.issuing(), pki.root())
    assert stored(one(certificates="turned.pem"), **{"turned.pem": turned}) == found


def test_a_trusted_certificate_among_the_intermediates_is_trusted_and_nothing_more() -> None:
    found = stored(one(intermediates="both.pem"))
    assert found.certificates == (pki.root().der,)
    assert found.intermediates == (pki.issuing().der,)


def test_two_anchors_may_have_one_authority() -> None:
    assert not problems(trust_file({}, {"a": authority(), "b": authority(replay="once")}))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "saml"},
        {"kind": None},
        {"format": 2},
        {"certificates": ["!"]},
        {"certificates": None},
        {"stale_crls": "perhaps"},
        {"replay": "twice"},
    ],
)
def test_an_item_that_is_not_understood_in_full_is_refused(change: dict[str, Any]) -> None:
    trust = compiled(one())
    document = next(iter(trust.items.values()))
    with pytest.raises(UnavailableError, match="trust-malformed"):
        load_anchor({**document, **change})


def test_an_item_without_a_kind_is_refused() -> None:
    document = dict(next(iter(compiled(one()).items.values())))
    del document["kind"]
    with pytest.raises(UnavailableError, match="trust-malformed"):
        load_anchor(document)


# --- form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["issuer", "audiences", "dialect", "keys_max_age"])
def test_what_an_issuer_has_an_authority_has_not(field: str) -> None:
    found = problem(one(**{field: plain()["issuer"]}), *HERE, field)
    assert found.text == f"{field} is for trust anchors of kind oidc, and this one is of kind x509"
    assert "kind: oidc" in found.cure


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"certificates": ""}, "certificates"),
        ({"certificates": ["ca.pem"]}, "certificates"),
        ({"crls": "ca.crl"}, "crls"),
        ({"stale_crls": "warn"}, "stale_crls"),
        ({"any_extended_key_usage": "yes"}, "any_extended_key_usage"),
        ({"bare_names": 1}, "bare_names"),
        ({"replay": "never"}, "replay"),
        ({"crls": [f"{n}.crl" for n in range(MAX_CRLS + 1)]}, "crls"),
    ],
)
def test_a_field_of_another_form_is_refused(change: dict[str, Any], field: str) -> None:
    problem(one(**change), *HERE, field)


def test_an_authority_without_certificates_is_none() -> None:
    assert problem(trust_file({}, {"datacenter": {"kind": "x509"}}), *HERE).text == "certificates is missing"


# --- certificates ---------------------------------------------------------------------------------


def bad(holder: pki.Holder) -> str:
    """Return how one certificate is refused, which the anchor may have in both places or in none."""
    beside = {"bad.pem": pem(pki.root(), holder)}
    found = problem(one(intermediates="bad.pem"), *HERE, "intermediates", beside=beside)
    trusted = problem(one(certificates="bad.pem"), *HERE, "certificates", beside=beside)
    assert (found.text, found.cure) == (trusted.text, trusted.cure)
    assert "certificate 2 in 'bad.pem'" in found.text
    return f"{found.text}. {found.cure}"


def test_a_leaf_is_no_authority_and_aws_words_lead_to_the_cure() -> None:
    text = bad(pki.leaf())
    assert AUTHORITY_RULES["authority-not-ca"] in text
    assert "Incorrect basic constraints for CA certificate" in text
    assert "(CN=host.example.com)" in text


def test_an_authority_must_say_that_it_signs_certificates() -> None:
    no = pki.authority("No", None, (pki.usage("crl_sign"), True))
    assert AUTHORITY_RULES["authority-key-usage"] in bad(no)


def test_an_authority_must_have_been_signed_with_a_strong_hash() -> None:
    weak = pki.authority("Weak", digest=hashes.SHA224())
    assert AUTHORITY_RULES["authority-signature-weak"] in bad(weak)


def test_an_authority_must_have_a_key_that_is_accepted() -> None:
    assert AUTHORITY_RULES["authority-key"] in bad(pki.authority("Short", kind="rsa-1024"))


def test_an_authority_must_have_a_name() -> None:
    assert AUTHORITY_RULES["authority-subject"] in bad(pki.authority(x509.Name([])))


def test_an_authority_that_constrains_directory_names_is_refused_and_one_that_constrains_hosts_is_not() -> (
    None
):
    def constrained(name: x509.GeneralName) -> pki.Holder:
        constraints = x509.NameConstraints(permitted_subtrees=[name], excluded_subtrees=None)
        return pki.authority("Constrained", None, (constraints, True))

    directory = constrained(x509.DirectoryName(pki.name("A")))
    assert AUTHORITY_RULES["authority-name-constraints"] in bad(directory)
    beside = {"good.pem": pem(constrained(x509.DNSName("example.com")))}
    assert not problems(one(certificates="good.pem"), beside=beside)


def test_every_rule_for_authorities_has_a_cure() -> None:
    from sallyport.trust import authorities  # noqa: PLC0415 - what it keeps to itself

    assert set(authorities._CURES) == set(AUTHORITY_RULES)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not a file of certificates in PEM"),
        (b"certificates", "not a file of certificates in PEM"),
        (pki.root().der, "not a file of certificates in PEM"),
        (pem(pki.root()).replace(b"MII", b"!!!", 1), "not a file of certificates in PEM"),
        (pem(pki.root())[:-40], "not a file of certificates in PEM"),
        (pki.crl(pki.root()), "not a file of certificates in PEM"),
        (
            pem(pki.root()) + pki.root().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "contains a private key",
        ),
        (pem(pki.root()) + b" " * MAX_BUNDLE_BYTES, "more than 204,800 bytes"),
    ],
    ids=["nothing", "words", "DER", "no base64", "cut", "a list", "a key as well", "too much"],
)
def test_a_file_that_is_no_bundle_is_refused(data: bytes, text: str) -> None:
    assert text in problem(one(), *HERE, "certificates", beside={"ca.pem": data}).text


def test_words_between_the_certificates_of_a_bundle_are_all_right() -> None:
    bundle = b"# the root\n" + pem(pki.root()) + b"\n# the other\n" + pem(pki.issuing())
    assert not problems(one(), beside={"ca.pem": bundle})


def test_a_file_that_is_not_there_is_named() -> None:
    assert "'nowhere.pem'" in problem(one(certificates="nowhere.pem"), *HERE, "certificates").text
    assert "'nowhere.pem'" in problem(one(intermediates="nowhere.pem"), *HERE, "intermediates").text


def test_an_expired_authority_compiles_because_compiling_knows_no_time() -> None:
    old = pki.authority("Old", ends=pki.NOW - pki.DAY)
    assert not problems(one(), beside={"ca.pem": pem(old)})
    told = describe(old.der)
    assert told.subject == "CN=Old"
    assert told.not_after == pki.NOW - pki.DAY


def test_an_anchor_has_only_as_many_certificates_as_one_request_may_make_verify() -> None:
    many = [pki.authority(f"A{number}") for number in range(MAX_AUTHORITIES + 1)]
    bundle = {"many.pem": pem(*many[:-1]), "more.pem": pem(many[-1])}
    assert not problems(one(certificates="many.pem"), beside=bundle)
    found = problem(
        one(certificates="many.pem", intermediates="more.pem"), *HERE, "certificates", beside=bundle
    )
    assert f"{MAX_AUTHORITIES + 1} certificates are too many" in found.text


def test_an_anchor_takes_no_more_room_than_an_item_may() -> None:
    many = [pki.authority(f"A{number}", kind="ml-dsa-87") for number in range(7)]
    assert "64,000" in problem(one(), *HERE, beside={"ca.pem": pem(*many)}).text
    assert not problems(one(), beside={"ca.pem": pem(*many[:5])})


# --- revocation lists -----------------------------------------------------------------------------


def test_lists_need_an_authority_that_may_sign_them() -> None:
    silent = pki.authority("Silent", None, (pki.usage("key_cert_sign"), True))
    beside = {"silent.pem": pem(silent)}
    for field, value in (("crls", "ca.crl"), ("crl_urls", "http://pki.example.com/ca.crl")):
        document = one(certificates="silent.pem", **{field: [value]})
        assert "cRLSign" in problem(document, *HERE, field, beside=beside).cure
        helped = one(certificates="silent.pem", intermediates="issuing.pem", **{field: [value]})
        assert not problems(helped, beside=beside)
    assert not problems(one(certificates="silent.pem"), beside=beside)


def test_what_is_wrong_with_a_bundle_is_not_also_said_of_its_lists() -> None:
    problem(one(certificates="nowhere.pem", crls=["ca.crl"]), *HERE, "certificates")


@pytest.mark.parametrize(
    "name", ["a b.crl", "ca#1.crl", "lists/", "..", "x/..", ".", "ä.crl", "a" * 129, "a\n"]
)
def test_a_list_whose_name_could_be_no_key_is_refused(name: str) -> None:
    assert "cannot be the file" in problem(one(crls=[name]), *HERE, "crls", 0).text


@pytest.mark.parametrize(
    "name", ["ca.crl", "../lists/ca.crl", "/etc/ca.crl", "a" * 128, ".crl", "a+b=c@d_e-f"]
)
def test_a_list_goes_by_its_name_without_its_folder(name: str) -> None:
    assert stored(one(crls=[name])).crls == (name.rpartition("/")[2],)


def test_two_lists_of_one_name_are_refused() -> None:
    found = problem(one(crls=["a/ca.crl", "b/ca.crl"]), *HERE, "crls", 1)
    assert "one name but for their folders" in found.text
    assert not problems(one(crls=["a/ca.crl", "b/other.crl"]))


BAD_ADDRESSES = [
    "ldap://pki.example.com/cn=ca",
    "file:///etc/ca.crl",
    "pki.example.com/ca.crl",
    "http://user@pki.example.com/ca.crl",
    "http://pki.example.com/ca.crl#1",
    "http://pki.example.com/c a.crl",
    "http://pki.example.com/\\ca.crl",
    "http://",
    "http://192.0.2.1/ca.crl",
    "http://[2001:db8::1]/ca.crl",
    "http://169.254.169.254/latest",
    "http://0x7f000001/ca.crl",
    "http://127.1/ca.crl",
    "http://2130706433/ca.crl",
    "http://pki/ca.crl",
    "http://pki.example.com/" + "a" * 1_024,
]


@pytest.mark.parametrize("url", [*BAD_ADDRESSES, "http://localhost/ca.crl", "http://127.0.0.1:8080/ca.crl"])
def test_lists_are_fetched_from_named_hosts_alone(url: str) -> None:
    problem(one(crl_urls=[url]), *HERE, "crl_urls", 0)


@pytest.mark.parametrize(
    "url",
    ["http://pki.example.com/ca.crl", "https://pki.example.com:8443/a%20b.crl?x=y", "http://pki.example.com"],
)
def test_an_address_of_a_list_is_kept_byte_for_byte(url: str) -> None:
    found = stored(one(crl_urls=[url]))
    assert found.crls == found.crl_urls == (url,)


def test_the_local_cloud_fetches_from_this_machine_and_from_no_other_address() -> None:
    assert not problems(one(crl_urls=["http://127.0.0.1:8080/ca.crl"]), local_cloud=True)
    assert not problems(one(crl_urls=["http://localhost:8080/ca.crl"]), local_cloud=True)
    for url in BAD_ADDRESSES:
        assert problems(one(crl_urls=[url]), local_cloud=True), url


def test_lists_of_both_kinds_count_together() -> None:
    files = [f"{number}.crl" for number in range(MAX_CRLS)]
    assert not problems(one(crls=files))
    more = one(crls=files, crl_urls=["http://pki.example.com/ca.crl"])
    assert "too many" in problem(more, *HERE, "crls").text


# --- names ----------------------------------------------------------------------------------------


def test_one_anchor_alone_goes_without_its_name() -> None:
    two = {"a": authority(bare_names=True), "b": authority(bare_names=True), "c": authority()}
    assert (
        "'a' has bare names already" in problem(trust_file({}, two), "trust_anchors", "b", "bare_names").text
    )
    assert not problems(trust_file({}, {**two, "b": authority(bare_names=False)}))


# --- files ----------------------------------------------------------------------------------------


def test_a_trust_file_names_the_pem_files_that_compiling_it_needs() -> None:
    document = trust_file(
        {},
        {
            "a": authority(intermediates="issuing.pem", crls=["ca.crl"]),
            "b": authority(certificates="other.pem", intermediates="ca.pem"),
            "c": plain(),
        },
    )
    assert files_named(document) == ["ca.pem", "issuing.pem", "other.pem"]
    assert not problems(document)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"trust_anchors": []},
        {"trust_anchors": {"a": None}},
        {"trust_anchors": {"a": {"kind": "x509", "certificates": ["x"]}}},
        {"trust_anchors": {"a": {"kind": "oidc", "certificates": "x"}}},
    ],
)
def test_what_is_no_trust_file_names_no_files(document: object) -> None:
    assert files_named(document) == []


def test_a_file_for_holders_is_all_right() -> None:
    assert not problems(of_holders())
