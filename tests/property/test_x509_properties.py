"""Whatever is sent as a signed request: one of our errors, or an identity that was signed for."""

import string
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sallyport.errors import ProofError, RequestError, UnavailableError
from sallyport.model import Identity
from sallyport.proof.canonical import canonical_query, parse_authorization
from sallyport.proof.certificates import authority_problem
from sallyport.proof.crl import read_crl
from sallyport.proof.x509 import WINDOW, claimed, parse
from tests.support import pki

# Odd certificates may have names that the library remarks on; what becomes of them is the test.
pytestmark = pytest.mark.filterwarnings("ignore")

PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "
SIGNED = ("authorization", "content-type", "host", "x-amz-date", "x-amz-x509", "x-amz-x509-chain")
LEAF = pki.leaf(pki.issuing())
GOOD = pki.signed(LEAF, chain=[pki.issuing()], uri="/v1/sessions", content=pki.body())
RSA_LEAF = pki.leaf(pki.root("rsa-2048"), kind="rsa-2048")
RSA_GOOD = pki.signed(RSA_LEAF, against=pki.anchor(pki.root("rsa-2048")))
GOOD_CRL = pki.crl(
    pki.root(), 1, 1 << 158, extensions=[(x509.IssuerAlternativeName([x509.DNSName("a")]), False)]
)

any_text = st.text(st.characters(exclude_categories=[]))


def accepted(one: pki.Presentation) -> Identity | None:
    """Return the identity, or ``None`` for a refusal. Any other exception is the test's failure."""
    try:
        unverified = parse(one.request)
    except (ProofError, RequestError):
        return None
    assert all(len(value) <= 256 for value in claimed(unverified).values())
    try:
        return one.verify()
    except ProofError:
        return None


def test_the_good_ones_are_good() -> None:
    assert accepted(GOOD) is not None
    assert accepted(RSA_GOOD) is not None


@pytest.mark.parametrize("kind", pki.GOOD_KINDS)
@settings(max_examples=5, deadline=None)
@given(
    content=st.dictionaries(
        st.text("abc", min_size=1), st.none() | st.booleans() | st.text(max_size=20), max_size=3
    ),
    more=st.dictionaries(
        st.text("abcdefghij-", min_size=1, max_size=20).map("x-".__add__),
        st.text(PRINTABLE, max_size=40),
        max_size=4,
    ),
    query=st.dictionaries(st.text(max_size=10).map("q".__add__), st.text(max_size=30), max_size=3),
    shift=st.integers(-300, 300),
    in_body=st.booleans(),
)
def test_what_is_signed_is_verified_for_every_kind_of_key(  # noqa: PLR0913 - each may be anything
    kind: str,
    content: dict[str, object],
    more: dict[str, str],
    query: dict[str, str],
    shift: int,
    *,
    in_body: bool,
) -> None:
    one = pki.leaf(pki.issuing(kind), kind=kind)
    presented = pki.signed(
        one,
        chain=[pki.issuing(kind)],
        against=pki.anchor(pki.root(kind)),
        content=pki.body(**content) if in_body else b"",
        query=[*query.items(), *(() if in_body else pki.QUERY)],
        headers=more,
        when=pki.NOW + timedelta(seconds=shift),
    )
    identity = presented.verify()
    assert identity.attributes["x509:Serial"] == f"{one.certificate.serial_number:04x}"
    assert abs(identity.expires_at - WINDOW - pki.NOW) <= WINDOW


@given(
    st.sampled_from(SIGNED),
    st.integers(0, 4_000),
    st.sampled_from([*PRINTABLE, "\n", "\x00", "\u0430", "\u0660"]),
)
@settings(max_examples=600, deadline=None)
@example("authorization", 0, "a")
@example("x-amz-date", 15, "z")
@example("host", 0, "E")
def test_every_change_of_one_character_of_a_signed_header_is_refused(
    header: str, place: int, character: str
) -> None:
    for good in (GOOD, RSA_GOOD):
        for text in good.request.headers.get(header, ()):
            at = place % len(text)
            if text[at] != character:
                changed = text[:at] + character + text[at + 1 :]
                assert accepted(pki.with_header(good, header, changed)) is None


@given(
    st.sampled_from(SIGNED),
    st.integers(0, 4_000),
    st.text(PRINTABLE.replace(" ", ""), min_size=1, max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_what_is_put_into_a_signed_header_or_left_out_is_refused(header: str, place: int, more: str) -> None:
    text = GOOD.request.headers[header][0]
    at = place % (len(text) + 1)
    for changed in (text[:at] + more + text[at:], text[:at] + text[at + 1 :]):
        if changed != text:
            assert accepted(pki.with_header(GOOD, header, changed)) is None


@given(st.integers(0, len(GOOD.request.body) - 1), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_every_change_of_one_byte_of_the_body_is_refused(place: int, byte: int) -> None:
    body = GOOD.request.body
    changed = body[:place] + bytes([byte]) + body[place + 1 :]
    if changed != body:
        assert accepted(replace(GOOD, request=replace(GOOD.request, body=changed))) is None


@given(st.sampled_from(sorted(GOOD.request.query)), st.integers(0, 300), any_text.filter(bool))
@settings(max_examples=200, deadline=None)
def test_every_change_of_the_query_is_refused(name: str, place: int, text: str) -> None:
    value = GOOD.request.query[name][0]
    at = place % len(value)
    for query in (
        {**GOOD.request.query, name: (value[:at] + text + value[at + 1 :],)},
        {**GOOD.request.query, name + text: (value,)},
        {key: values for key, values in GOOD.request.query.items() if key != name},
    ):
        if query != GOOD.request.query:
            assert accepted(replace(GOOD, request=replace(GOOD.request, query=query))) is None


@given(st.sampled_from([*SIGNED, "x-more"]), st.lists(any_text, max_size=3))
@example("x-amz-x509", [""])
@example("x-amz-x509-chain", [",,,,"])
def test_any_text_in_any_header_is_refused_by_our_own_error(header: str, values: list[str]) -> None:
    identity = accepted(pki.with_header(GOOD, header, *values))
    assert identity is None or header == "x-more"


@given(st.binary(max_size=300), st.dictionaries(any_text, st.lists(any_text, max_size=2), max_size=3))
def test_any_body_and_query_are_refused_by_our_own_error(body: bytes, query: dict[str, list[str]]) -> None:
    for request in (
        replace(GOOD.request, body=body),
        replace(GOOD.request, query=query),
        replace(GOOD.request, body=body, query=query),
    ):
        assert accepted(replace(GOOD, request=request)) is None or request == GOOD.request


@given(any_text)
@example("AWS4-X509-RSA-SHA256 Credential=1/00000000/-/-/aws4_request, SignedHeaders=a, Signature=00")
def test_any_text_is_an_authorization_or_our_own_error(text: str) -> None:
    for candidate in (text, f"AWS4-X509-RSA-SHA256 {text}"):
        try:
            parts = parse_authorization(candidate)
        except ProofError:
            continue
        assert candidate.isascii()
        assert list(parts.signed_headers) == sorted(set(parts.signed_headers))


@given(st.lists(st.tuples(st.text(max_size=10), st.text(max_size=10)), max_size=8))
def test_the_order_of_parameters_does_not_matter_and_their_text_does(pairs: list[tuple[str, str]]) -> None:
    query = canonical_query(pairs)
    assert query == canonical_query(reversed(pairs))
    assert query.isascii()
    assert canonical_query([*pairs, ("k", "v")]) != query


# Certificates and lists that an authority did sign, however broken: what no honest one would issue.


def spliced(data: bytes, place: int, cut: int, new: bytes) -> bytes:
    at = place % len(data)
    return data[:at] + new + data[at + cut :]


def presented(der: bytes, chain: bytes | None = None) -> pki.Presentation:
    """Return a request that was signed with this leaf (or this chain) in it, by the leaf's key."""
    headers: dict[str, str | None] = {"x-amz-x509": pki.b64(der)}
    if chain is not None:
        headers["x-amz-x509-chain"] = pki.b64(chain)
    try:
        serial = x509.load_der_x509_certificate(der).serial_number
    except Exception:  # noqa: BLE001 - whatever the library says of it, here it is only helped along
        serial = 1
    return pki.signed(LEAF, headers=headers, serial=max(serial, 1), chain=[pki.issuing()])


RICH = pki.leaf(
    pki.issuing(),
    (
        x509.SubjectAlternativeName(
            [
                x509.DNSName("a.example.com"),
                x509.UniformResourceIdentifier("spiffe://example.com/a"),
                x509.DirectoryName(pki.name("chassis")),
                x509.RFC822Name("a@example.com"),
                x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
                x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a"),
            ]
        ),
        False,
    ),
    (x509.SubjectKeyIdentifier(b"12345678"), False),
    (x509.AuthorityKeyIdentifier(b"12345678", None, None), False),
    subject=pki.name((x509.NameOID.COUNTRY_NAME, "DE"), (x509.NameOID.ORGANIZATIONAL_UNIT_NAME, "U"), "web"),
)
TBS = RICH.certificate.tbs_certificate_bytes
ISSUING_TBS = pki.issuing().certificate.tbs_certificate_bytes
CRL_TBS = x509.load_der_x509_crl(GOOD_CRL).tbs_certlist_bytes

splices = st.tuples(st.integers(0, 4_000), st.integers(0, 3), st.binary(max_size=3))


@given(splices)
@settings(max_examples=800, deadline=None)
def test_any_leaf_that_an_authority_signed_is_an_identity_or_our_own_error(
    splice: tuple[int, int, bytes],
) -> None:
    identity = accepted(presented(pki.ecdsa_signed(spliced(TBS, *splice), pki.issuing())))
    if identity is not None:
        assert 0 < len(identity.subject.encode()) <= 1_024
        assert identity.subject.isprintable() or not identity.subject.isascii()


@given(st.integers(0, len(TBS) - 1), st.integers(0, 255))
@settings(max_examples=1_500, deadline=None)
def test_any_byte_of_a_leaf_that_an_authority_signed_may_be_anything(place: int, byte: int) -> None:
    accepted(presented(pki.ecdsa_signed(spliced(TBS, place, 1, bytes([byte])), pki.issuing())))


@given(splices)
@settings(max_examples=400, deadline=None)
def test_any_intermediate_that_an_authority_signed_is_on_a_path_or_our_own_error(
    splice: tuple[int, int, bytes],
) -> None:
    intermediate = pki.ecdsa_signed(spliced(ISSUING_TBS, *splice), pki.root())
    accepted(presented(LEAF.der, intermediate))
    assert authority_problem(intermediate) is None or isinstance(authority_problem(intermediate), str)


@given(splices)
@settings(max_examples=400, deadline=None)
def test_no_certificate_that_nobody_signed_is_accepted(splice: tuple[int, int, bytes]) -> None:
    changed = spliced(LEAF.der, *splice)
    if changed != LEAF.der:
        assert accepted(presented(changed)) is None


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x30\x80\x00\x00")
def test_any_bytes_as_certificate_are_refused_by_our_own_error(data: bytes) -> None:
    assert accepted(presented(data)) is None
    assert accepted(presented(LEAF.der, data)) is None or data == b""
    assert authority_problem(data) == "authority-malformed"


@given(splices)
@settings(max_examples=800, deadline=None)
def test_any_list_that_an_authority_signed_is_read_or_our_own_error(splice: tuple[int, int, bytes]) -> None:
    data = pki.ecdsa_signed(spliced(CRL_TBS, *splice), pki.root())
    try:
        found = read_crl(data, "list", pki.anchor(), pki.NOW)
    except UnavailableError:
        return
    try:
        assert all(link.issuer == found.state.issuer for link in found.links())
    except UnavailableError:
        return


@given(st.binary(max_size=200), splices)
@settings(deadline=None)
def test_no_list_that_nobody_signed_is_read(data: bytes, splice: tuple[int, int, bytes]) -> None:
    for candidate in (data, spliced(GOOD_CRL, *splice), b"-----BEGIN X509 CRL-----\n" + data):
        if candidate != GOOD_CRL:
            with pytest.raises(UnavailableError):
                read_crl(candidate, "list", pki.anchor(), pki.NOW)
