"""Real authorities, real certificates, real requests, and every bad one by name.

``authority`` and ``leaf`` make certificates, ``signed`` makes a request with one, ready to be verified.
Each function under ``@refused`` returns a request that must be refused for the reason given there; its
docstring says what is wrong with it, and ``good`` next to it makes its neighbour, which must be
accepted: the same but for that one thing. Functions under ``@accepted`` look odd and are right.
"""

import base64
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from sallyport.model import Identity, SignedRequest, X509Anchor
from sallyport.proof import canonical
from sallyport.proof.certificates import name_digest
from sallyport.proof.crl import CrlState, Link, read_crl
from sallyport.proof.x509 import Endpoint, identify, parse, verify_chain

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)

ACCOUNT = "111122223333"
REGION = "eu-central-1"
HOST = "exchange.example.com"
ANCHOR_ID = "5f0b7d6e-0000-5000-8000-000000000003"
_ARN = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}"
ANCHOR_ARN = f"{_ARN}:trust-anchor/{ANCHOR_ID}"
PROFILE_ARN = f"{_ARN}:profile/5f0b7d6e-0000-5000-8000-000000000004"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/sallyport/reader"
ENDPOINT = Endpoint(hosts=frozenset({HOST}), region=REGION)

Key = Any
"""One of the library's private keys; its classes have no common one."""


# Keys


def _rsa(bits: int) -> Callable[[], Key]:
    return lambda: rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _ec(curve: type[ec.EllipticCurve]) -> Callable[[], Key]:
    return lambda: ec.generate_private_key(curve())


def _with_long_exponent() -> Key:
    """Return an RSA key whose public exponent has 89 bits: legal, and twice as slow to verify with."""
    numbers = key("rsa-2048").private_numbers()
    exponent = (1 << 89) - 1
    private = pow(exponent, -1, (numbers.p - 1) * (numbers.q - 1))
    return rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=private,
        dmp1=rsa.rsa_crt_dmp1(private, numbers.p),
        dmq1=rsa.rsa_crt_dmq1(private, numbers.q),
        iqmp=numbers.iqmp,
        public_numbers=rsa.RSAPublicNumbers(exponent, numbers.public_numbers.n),
    ).private_key()


GOOD_KINDS: Mapping[str, Callable[[], Key]] = {
    "rsa-2048": _rsa(2048),
    "rsa-3072": _rsa(3072),
    "rsa-4096": _rsa(4096),
    "p-256": _ec(ec.SECP256R1),
    "p-384": _ec(ec.SECP384R1),
    "p-521": _ec(ec.SECP521R1),
    "ml-dsa-44": mldsa.MLDSA44PrivateKey.generate,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey.generate,
}
"""Every kind and size that is accepted, less those that take seconds to make."""

BAD_KINDS: Mapping[str, Callable[[], Key]] = {
    "rsa-1024": _rsa(1024),
    "rsa-2048-long-exponent": _with_long_exponent,
    "rsa-2040": _rsa(2040),
    "p-224": _ec(ec.SECP224R1),
    "secp256k1": _ec(ec.SECP256K1),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "dsa": lambda: dsa.generate_private_key(2048),
}


@cache
def key(kind: str = "p-256", name: str = "one") -> Key:
    """Return the key of this kind and name; making RSA keys takes long enough to make them once."""
    return (GOOD_KINDS | BAD_KINDS)[kind]()


def sign(private: Key, data: bytes) -> bytes:
    """Sign as the clients do: SHA-256 whatever the key, or plain ML-DSA."""
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(data, ec.ECDSA(hashes.SHA256()))
    if isinstance(private, dsa.DSAPrivateKey):
        return private.sign(data, hashes.SHA256())
    return private.sign(data)  # type: ignore[no-any-return]  # ML-DSA, which the stubs do not know


def algorithm(private: Key) -> str:
    """Return the name that clients declare for a key."""
    if isinstance(private, rsa.RSAPrivateKey):
        return "AWS4-X509-RSA-SHA256"
    if isinstance(private, ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey):
        return "AWS4-X509-ECDSA-SHA256"
    return "AWS4-X509-MLDSA"


# Certificates


def name(*parts: tuple[ObjectIdentifier, str] | str) -> x509.Name:
    """Return a name; a plain string is a common name."""
    pairs = [(NameOID.COMMON_NAME, part) if isinstance(part, str) else part for part in parts]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


def usage(*bits: str) -> x509.KeyUsage:
    """Return a key usage with these bits."""
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{bit: bit in bits for bit in every})


Extension = tuple[x509.ExtensionType, bool]
"""A value, and whether it is critical."""


@dataclass(frozen=True)
class Holder:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        """The certificate's bytes."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def link(self) -> Link:
        """How revocation lists call the certificate."""
        return Link(name_digest(self.certificate.issuer), self.certificate.serial_number)


_serials = iter(range(0x1000, 1 << 32))


def certificate(  # noqa: PLR0913 - a certificate has many fields
    *,
    subject: x509.Name,
    public: Any,
    issuer: x509.Name,
    signer: Key,
    extensions: Iterable[Extension],
    begins: datetime = NOW - 30 * DAY,
    ends: datetime = NOW + 300 * DAY,
    serial: int | None = None,
    digest: hashes.HashAlgorithm | None = None,
    pss: bool = False,
) -> x509.Certificate:
    """Return a certificate with exactly these extensions."""
    builder = x509.CertificateBuilder(issuer_name=issuer, subject_name=subject, public_key=public)
    builder = builder.serial_number(next(_serials) if serial is None else serial)
    builder = builder.not_valid_before(begins).not_valid_after(ends)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    hashed = isinstance(signer, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey)
    pad = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else None
    return builder.sign(signer, (digest or hashes.SHA256()) if hashed else None, rsa_padding=pad)


AUTHORITY_EXTENSIONS: tuple[Extension, ...] = (
    (x509.BasicConstraints(ca=True, path_length=None), True),
    (usage("key_cert_sign", "crl_sign"), True),
)
LEAF_EXTENSIONS: tuple[Extension, ...] = (
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (usage("digital_signature"), True),
    (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    (x509.SubjectAlternativeName([x509.DNSName("host.example.com")]), False),
)


def changed(
    extensions: Sequence[Extension], *new: Extension, without: Collection[type] = ()
) -> list[Extension]:
    """Return the extensions with some put in place of their like, and some left out."""
    kinds = {type(value) for value, _ in new} | set(without)
    return [*(one for one in extensions if type(one[0]) not in kinds), *new]


def authority(
    subject: str | x509.Name = "Root",
    by: Holder | None = None,
    *new: Extension,
    kind: str = "p-256",
    key_name: str | None = None,
    without: Collection[type] = (),
    **fields: Any,
) -> Holder:
    """Return an authority, by default a root; ``new`` extensions replace or join the usual ones."""
    own = key(kind, key_name or f"authority {subject}")
    subject = name(subject) if isinstance(subject, str) else subject
    return Holder(
        certificate(
            subject=subject,
            public=own.public_key(),
            issuer=by.certificate.subject if by else subject,
            signer=by.key if by else own,
            extensions=changed(AUTHORITY_EXTENSIONS, *new, without=without),
            **fields,
        ),
        own,
    )


def leaf(
    by: Holder | None = None,
    *new: Extension,
    subject: str | x509.Name = "host.example.com",
    kind: str = "p-256",
    without: Collection[type] = (),
    **fields: Any,
) -> Holder:
    """Return a workload's certificate, by default from the root."""
    by = by or root()
    own = key(kind, "leaf")
    return Holder(
        certificate(
            subject=name(subject) if isinstance(subject, str) else subject,
            public=own.public_key(),
            issuer=by.certificate.subject,
            signer=by.key,
            extensions=changed(LEAF_EXTENSIONS, *new, without=without),
            **fields,
        ),
        own,
    )


@cache
def root(kind: str = "p-256") -> Holder:
    """Return the root that everything here leads to unless said otherwise."""
    return authority("Root", kind=kind)


@cache
def issuing(kind: str = "p-256") -> Holder:
    """Return an intermediate authority below the root."""
    return authority("Issuing", root(kind), kind=kind)


def der(tag: int, *contents: bytes) -> bytes:
    """Return one DER element; for certificates that the library would not write."""
    content = b"".join(contents)
    size = len(content)
    length = bytes([size]) if size < 0x80 else (octets := size.to_bytes((size.bit_length() + 7) // 8, "big"))
    prefix = b"" if size < 0x80 else bytes([0x80 | len(octets)])
    return bytes([tag]) + prefix + length + content


def rewritten(holder: Holder, by: Holder, old: bytes, new: bytes) -> Holder:
    """Return a certificate in whose signed part ``old`` became ``new``, and signed again."""
    body = holder.certificate.tbs_certificate_bytes
    assert body.count(old) == 1
    # Only equally long changes keep the lengths around them right.
    assert len(old) == len(new)
    return resigned(holder, by, body.replace(old, new))


def ecdsa_signed(body: bytes, by: Holder) -> bytes:
    """Return these bytes with an authority's signature, as certificates and lists have it."""
    ecdsa_with_sha256 = der(0x30, bytes.fromhex("06082a8648ce3d040302"))
    signature = by.key.sign(body, ec.ECDSA(hashes.SHA256()))
    return der(0x30, body, ecdsa_with_sha256, der(0x03, b"\0" + signature))


def resigned(holder: Holder, by: Holder, body: bytes) -> Holder:
    """Return a certificate with this signed part."""
    return Holder(x509.load_der_x509_certificate(ecdsa_signed(body, by)), holder.key)


def elements(content: bytes) -> list[bytes]:
    """Return the DER elements that stand one behind the other in ``content``."""
    found = []
    while content:
        long = content[1] & 0x7F if content[1] & 0x80 else 0
        size = int.from_bytes(content[2 : 2 + long], "big") if long else content[1]
        end = 2 + long + size
        found.append(content[:end])
        content = content[end:]
    return found


def inside(element: bytes) -> bytes:
    """Return an element's content."""
    return element[2 + (element[1] & 0x7F if element[1] & 0x80 else 0) :]


def version_one(by: Holder) -> Holder:
    """Return an X.509 v1 certificate: no version, which comes first, and no extensions, which come last."""
    holder = leaf(by)
    parts = elements(inside(holder.certificate.tbs_certificate_bytes))
    return resigned(holder, by, der(0x30, *parts[1:-1]))


# Anchors


def anchor(*trusted: Holder, keeps: Sequence[Holder] = (), **fields: Any) -> X509Anchor:
    """Return a trust anchor, by default with the root alone."""
    values: dict[str, Any] = {
        "name": "datacenter",
        "id": ANCHOR_ID,
        "arn": ANCHOR_ARN,
        "certificates": tuple(one.der for one in trusted or (root(),)),
        "intermediates": tuple(one.der for one in keeps),
    }
    return X509Anchor(**(values | fields))


# Revocation lists


def crl(  # noqa: PLR0913 - a list has many fields
    by: Holder,
    *serials: int,
    number: int | None = 1,
    begins: datetime = NOW - DAY,
    ends: datetime = NOW + DAY,
    extensions: Iterable[Extension] = (),
    entry_extensions: Iterable[Extension] = (),
    digest: hashes.HashAlgorithm | None = None,
    issuer: x509.Name | None = None,
) -> bytes:
    """Return a revocation list in DER."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer or by.certificate.subject)
    builder = builder.last_update(begins).next_update(ends)
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begins)
        for value, critical in entry_extensions:
            entry = entry.add_extension(value, critical=critical)
        builder = builder.add_revoked_certificate(entry.build())
    hashed = isinstance(by.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return builder.sign(by.key, (digest or hashes.SHA256()) if hashed else None).public_bytes(Encoding.DER)


# Requests


@dataclass(frozen=True)
class Presentation:
    """A request with all that it is held against."""

    request: SignedRequest
    anchor: X509Anchor
    endpoint: Endpoint = ENDPOINT
    now: datetime = NOW
    lists: Mapping[str, bytes] = field(default_factory=dict)

    def verify(self) -> Identity:
        """Do what an exchange does: verify, look up, identify."""
        chain = verify_chain(parse(self.request), self.endpoint, self.anchor, self.now)
        crls: list[CrlState] = []
        revoked: set[Link] = set()
        for identifier, data in self.lists.items():
            # Lists were read when they were fresh; whether they still are is the exchange's question.
            read = read_crl(data, identifier, self.anchor, NOW)
            crls.append(read.state)
            revoked.update(read.links())
        return identify(chain, crls, revoked.intersection(chain.links), self.now)


def amz_date(when: datetime) -> str:
    """Return a date as X-Amz-Date has it."""
    return when.strftime("%Y%m%dT%H%M%SZ")


def b64(data: bytes) -> str:
    """Return standard base64, as the certificate headers have it."""
    return base64.b64encode(data).decode()


def body(**members: Any) -> bytes:
    """Return the body of a client that says everything there; ``None`` takes away."""
    said = {
        "durationSeconds": 3600,
        "profileArn": PROFILE_ARN,
        "roleArn": ROLE_ARN,
        "trustAnchorArn": ANCHOR_ARN,
    } | members
    return json.dumps({key: value for key, value in said.items() if value is not None}).encode()


QUERY: tuple[tuple[str, str], ...] = (
    ("profileArn", PROFILE_ARN),
    ("roleArn", ROLE_ARN),
    ("trustAnchorArn", ANCHOR_ARN),
)


def signed(  # noqa: PLR0913 - a request has many parts
    by: Holder | None = None,
    *,
    chain: Sequence[Holder] = (),
    against: X509Anchor | None = None,
    in_body: bool = False,
    content: bytes | None = None,
    query: Sequence[tuple[str, str]] | None = None,
    headers: Mapping[str, str | None] | None = None,
    when: datetime = NOW,
    uri: str = "/sessions",
    paths: tuple[str, ...] = ("/v1/sessions", "/sessions"),
    region: str = REGION,
    declared: str | None = None,
    serial: int | None = None,
    signer: Key = None,
    endpoint: Endpoint = ENDPOINT,
    now: datetime = NOW,
    lists: Mapping[str, bytes] | None = None,
) -> Presentation:
    """Return a request as AWS's own client makes it; ``headers`` are added, ``None`` takes away.

    Whatever is changed here is changed before the request is signed.
    """
    by = by or leaf()
    if content is None:
        content = body() if in_body else b'{"durationSeconds":3600}'
    if query is None:
        query = () if in_body else QUERY
    sent: dict[str, str | None] = {
        "content-type": "application/json",
        "host": HOST,
        "x-amz-date": amz_date(when),
        "x-amz-x509": b64(by.der),
        "x-amz-x509-chain": ",".join(b64(one.der) for one in chain) if chain else None,
    }
    kept = {key: value for key, value in (sent | dict(headers or {})).items() if value is not None}
    private = signer or by.key
    authorization = canonical.authorize(
        uri=uri,
        parameters=query,
        headers=kept,
        body=content,
        algorithm=declared or algorithm(private),
        serial=by.certificate.serial_number if serial is None else serial,
        region=region,
        signer=lambda data: sign(private, data),
    )
    many: dict[str, list[str]] = {}
    for parameter, value in query:
        many.setdefault(parameter, []).append(value)
    return Presentation(
        request=SignedRequest(
            method="POST",
            paths=paths,
            query={parameter: tuple(values) for parameter, values in many.items()},
            headers={key: (value,) for key, value in kept.items()}
            | {"authorization": (authorization,), "user-agent": ("CredHelper/1.8.0 (go1.26; linux; amd64)",)},
            body=content,
        ),
        anchor=against or anchor(),
        endpoint=endpoint,
        now=now,
        lists=lists or {},
    )


def with_header(one: Presentation, header: str, *values: str) -> Presentation:
    """Return the request with a header changed after it was signed; without values it is taken away."""
    headers = {key: value for key, value in one.request.headers.items() if key != header}
    return replace(one, request=replace(one.request, headers=headers | ({header: values} if values else {})))


def reauthorized(one: Presentation, old: str, new: str) -> Presentation:
    """Return the request with a part of its Authorization header changed after it was signed."""
    text = one.request.headers["authorization"][0]
    assert text.count(old) == 1
    return with_header(one, "authorization", text.replace(old, new))


# Bad requests, each with its good neighbour


@dataclass(frozen=True)
class Case:
    """A request that must be refused, and why; its neighbour must not be."""

    name: str
    description: str
    reason: str
    make: Callable[[], Presentation]
    good: Callable[[], Presentation]


@dataclass(frozen=True)
class GoodCase:
    """A request that must be accepted."""

    name: str
    description: str
    make: Callable[[], Presentation]


CASES: list[Case] = []
GOOD_CASES: list[GoodCase] = []
Make = Callable[[], Presentation]


def refused(reason: str, *, good: Make = signed) -> Callable[[Make], Make]:
    """Register a function that returns a bad request."""

    def register(function: Make) -> Make:
        assert function.__doc__, function.__name__
        CASES.append(Case(function.__name__, function.__doc__, reason, function, good))
        return function

    return register


def accepted(function: Make) -> Make:
    """Register a function that returns an unusual good request."""
    assert function.__doc__, function.__name__
    GOOD_CASES.append(GoodCase(function.__name__, function.__doc__, function))
    return function


# (1) The request line and Authorization


@refused("method")
def a_get() -> Presentation:
    """Everything else is as it should be."""
    one = signed()
    return replace(one, request=replace(one.request, method="GET"))


@refused("authorization-missing")
def no_authorization() -> Presentation:
    """The header was taken away."""
    return with_header(signed(), "authorization")


@refused("authorization-missing")
def two_authorizations() -> Presentation:
    """Two of them, both right: which one counts would be the reader's choice."""
    one = signed()
    text = one.request.headers["authorization"][0]
    return with_header(one, "authorization", text, text)


@refused("authorization-too-long")
def a_signature_of_no_key_that_exists() -> Presentation:
    """Longer than ML-DSA-87's."""
    return with_header(signed(), "authorization", "AWS4-X509-RSA-SHA256 " + "a" * 16_384)


@refused("authorization-scheme")
def a_bearer_token() -> Presentation:
    """A token where a signature is wanted."""
    return with_header(signed(), "authorization", "Bearer e30.e30.AA")


@refused("authorization-scheme")
def the_signature_of_an_aws_key() -> Presentation:
    """SigV4 proper, as an AWS client signs."""
    return reauthorized(signed(), "AWS4-X509-ECDSA-SHA256", "AWS4-HMAC-SHA256")


@refused("authorization-malformed")
def an_algorithm_nobody_has() -> Presentation:
    """SHA-1 was never one of them."""
    return reauthorized(signed(), "ECDSA-SHA256", "ECDSA-SHA1")


@refused("authorization-malformed")
def a_credential_twice() -> Presentation:
    """The second one would be for another certificate."""
    return reauthorized(signed(), ", SignedHeaders", ", Credential=1, SignedHeaders")


@refused("authorization-malformed")
def a_serial_number_in_hex() -> Presentation:
    """Clients write it in decimal."""
    return reauthorized(signed(leaf(serial=0xABCDEF)), "Credential=11259375", "Credential=abcdef")


@refused("authorization-malformed")
def a_serial_number_of_fifty_digits() -> Presentation:
    """Twenty octets have forty-nine at most."""
    return reauthorized(signed(), "Credential=", "Credential=" + "1" * 50)


@refused("authorization-malformed", good=lambda: signed(leaf(serial=7)))
def a_serial_number_with_a_zero_in_front() -> Presentation:
    """The same number in a second spelling."""
    return reauthorized(signed(leaf(serial=7)), "Credential=7/", "Credential=07/")


@refused("authorization-malformed")
def a_signature_in_capitals() -> Presentation:
    """The same bytes in a second spelling."""
    text = signed().request.headers["authorization"][0]
    head, _, digits = text.rpartition("=")
    return with_header(signed(), "authorization", f"{head}={digits.upper()}")


@refused("authorization-malformed")
def a_signature_with_spaces() -> Presentation:
    """Python's own reader of hexadecimal digits would skip them."""
    return reauthorized(signed(), ", Signature=30", ", Signature=30 ")


@refused("authorization-malformed")
def half_a_byte() -> Presentation:
    """An odd number of digits."""
    return reauthorized(signed(), ", Signature=30", ", Signature=3")


@refused("authorization-malformed")
def an_empty_signature() -> Presentation:
    """Nothing was signed."""
    text = signed().request.headers["authorization"][0]
    return with_header(signed(), "authorization", text.partition("Signature=")[0] + "Signature=")


@refused("authorization-malformed")
def arabic_digits_in_the_scope() -> Presentation:
    """Digits, but not those of a date here."""
    return reauthorized(signed(), "/20261120/", "/٢٠٢٦١١٢٠/")


@refused("authorization-malformed")
def another_ending_of_the_scope() -> Presentation:
    """Every scope of SigV4 ends in aws4_request."""
    return reauthorized(signed(), "aws4_request", "aws5_request")


@refused("signed-headers-too-many", good=lambda: signed(headers={f"x-{n:02}": "v" for n in range(28)}))
def more_headers_than_any_client_signs() -> Presentation:
    """Thirty-three; the neighbour has thirty-two."""
    return signed(headers={f"x-{n:02}": "v" for n in range(29)})


@refused("signed-headers-unsorted")
def names_out_of_order() -> Presentation:
    """The same set in a second spelling."""
    return reauthorized(signed(), "content-type;host", "host;content-type")


@refused("signed-headers-unsorted")
def a_name_twice() -> Presentation:
    """The same set in a third spelling."""
    return reauthorized(signed(), "content-type;host", "content-type;host;host")


# (2) Signed headers


@refused("signed-header-missing", good=lambda: signed(headers={"x-more": "v"}))
def a_signed_header_that_did_not_arrive() -> Presentation:
    """A proxy took it away."""
    return with_header(signed(headers={"x-more": "v"}), "x-more")


@refused("signed-header-malformed", good=lambda: signed(headers={"x-more": "a b"}))
def a_tab_in_a_signed_header() -> Presentation:
    """White space that clients collapse and signers disagree about."""
    return with_header(signed(headers={"x-more": "a b"}), "x-more", "a\tb")


@refused("signed-header-malformed", good=lambda: signed(headers={"x-more": "u"}))
def an_umlaut_in_a_signed_header() -> Presentation:
    """Headers have no encoding that both sides would agree on."""
    return with_header(signed(headers={"x-more": "u"}), "x-more", "ü")


@refused("header-not-signed")
def a_host_that_is_not_signed() -> Presentation:
    """AWS would accept it; here it is all that tells us from AWS."""
    return reauthorized(signed(), "content-type;host;x-amz-date", "content-type;x-amz-date")


@refused("header-not-signed")
def a_date_that_is_not_signed() -> Presentation:
    """It is in the string to sign, but only as text."""
    return reauthorized(signed(), ";x-amz-date", "")


@refused("header-not-signed")
def a_certificate_that_is_not_signed() -> Presentation:
    """Another certificate for the same key could be put in its place."""
    return reauthorized(signed(), ";x-amz-x509,", ",")


@refused("header-not-signed", good=lambda: signed(leaf(issuing()), chain=[issuing()]))
def a_chain_that_is_not_signed() -> Presentation:
    """Somebody on the way may have added it."""
    return with_header(signed(), "x-amz-x509-chain", b64(issuing().der))


@refused("header-twice")
def two_hosts() -> Presentation:
    """Joined by a comma they are none; which one counts would be the reader's choice."""
    return with_header(signed(), "host", HOST, "attacker.example")


@refused("header-twice")
def two_certificates_in_two_headers() -> Presentation:
    """The second one is somebody else's."""
    return with_header(signed(), "x-amz-x509", b64(leaf().der), b64(leaf().der))


@refused("headers-too-long", good=lambda: signed(headers={"x-more": "v" * 60_000}))
def headers_beyond_every_chain() -> Presentation:
    """More than five certificates of the largest kind."""
    return with_header(signed(headers={"x-more": "v"}), "x-more", "v" * 65_536)


@refused("query-too-long", good=lambda: signed(query=[*QUERY, *((f"p{n}", "v") for n in range(29))]))
def too_many_parameters() -> Presentation:
    """Thirty-three; the neighbour has thirty-two."""
    one = signed()
    more = {f"p{n}": ("v",) for n in range(30)}
    return replace(one, request=replace(one.request, query={**one.request.query, **more}))


@refused("query-too-long")
def a_parameter_beyond_every_arn() -> Presentation:
    """Nothing that long can be meant."""
    one = signed()
    return replace(one, request=replace(one.request, query={**one.request.query, "p": ("v" * 4_096,)}))


@refused("query-malformed")
def half_a_surrogate_pair() -> Presentation:
    """What a lenient decoder makes of broken UTF-8."""
    one = signed()
    return replace(one, request=replace(one.request, query={**one.request.query, "p": ("\udc80",)}))


@refused("date-malformed")
def a_date_as_people_write_it() -> Presentation:
    """The other form of ISO 8601."""
    return with_header(signed(), "x-amz-date", "2026-11-20T12:00:00Z")


@refused("date-malformed")
def the_thirtieth_of_february() -> Presentation:
    """Digits in the right places, and no such day."""
    return with_header(signed(), "x-amz-date", "20260230T120000Z")


# (3) and (4) Certificates


@refused("certificate-malformed")
def a_certificate_in_base64url() -> Presentation:
    """The other alphabet."""
    one = signed()
    text = one.request.headers["x-amz-x509"][0]
    return with_header(one, "x-amz-x509", text[:-8] + "-_-_-_==")


@refused("certificate-malformed", good=lambda: signed(_padded()))
def spare_bits_in_base64() -> Presentation:
    """The same octets in a second spelling, signed as such."""
    text = b64(_padded().der)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = text.rstrip("=")[-1]
    spelled = text.rstrip("=")[:-1] + alphabet[alphabet.index(last) + 1]
    return signed(_padded(), headers={"x-amz-x509": spelled.ljust(len(text), "=")})


@cache
def _padded() -> Holder:
    """Return a certificate whose length leaves spare bits at the end of its base64."""
    return next(one for one in (leaf(subject="a" * n) for n in range(1, 10)) if len(one.der) % 3)


@refused("certificate-malformed")
def white_space_in_base64() -> Presentation:
    """Line ends are taken off by clients; a space is no letter of it."""
    one = signed()
    text = one.request.headers["x-amz-x509"][0]
    return with_header(one, "x-amz-x509", text[:64] + " " + text[64:])


@refused("certificate-malformed")
def something_behind_the_certificate() -> Presentation:
    """A second certificate in the same header."""
    return signed(headers={"x-amz-x509": b64(leaf().der + leaf().der)})


@refused("certificate-malformed")
def a_key_instead_of_a_certificate() -> Presentation:
    """Good DER, and no certificate."""
    return signed(headers={"x-amz-x509": b64(der(0x30, der(0x02, b"\1")))})


@refused("certificate-malformed")
def no_certificate_at_all() -> Presentation:
    """An empty header."""
    return signed(headers={"x-amz-x509": ""})


@refused("certificate-too-large", good=lambda: signed(_of_size(1_000)))
def a_certificate_beyond_every_key() -> Presentation:
    """Filled up with an extension that nobody reads."""
    return signed(a_certificate_beyond_every_key_itself())


def a_certificate_beyond_every_key_itself() -> Holder:
    """Return it without a request."""
    return _of_size(16_400)


def _of_size(size: int) -> Holder:
    unread = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.55555.1"), bytes(size))
    return leaf(None, (unread, False))


@refused("chain-malformed", good=lambda: signed(chain=[root()]))
def a_chain_with_a_hole() -> Presentation:
    """A comma too many."""
    return signed(headers={"x-amz-x509-chain": b64(root().der) + ","})


@refused("chain-malformed")
def an_empty_chain() -> Presentation:
    """The header is there, and nothing in it."""
    return signed(headers={"x-amz-x509-chain": ""})


@refused("chain-too-long", good=lambda: signed(chain=[issuing()] * 5))
def six_certificates() -> Presentation:
    """One more than at AWS, the same one each time."""
    return signed(chain=[issuing()] * 6)


# (6) For us


@refused("anchor-mismatch")
def another_anchor_than_the_one_it_names() -> Presentation:
    """Whoever found the anchor made a mistake."""
    return signed(against=anchor(arn=ANCHOR_ARN[:-1] + "9"))


@refused("host-foreign")
def a_request_for_aws_itself() -> Presentation:
    """The clients cannot change the service's name, so the host is the only difference."""
    return signed(headers={"host": f"rolesanywhere.{REGION}.amazonaws.com"})


@refused("host-foreign")
def a_host_that_begins_like_ours() -> Presentation:
    """Whole names are compared."""
    return signed(headers={"host": f"{HOST}.attacker.example"})


@refused("host-foreign")
def a_host_with_something_before_it() -> Presentation:
    """A user name, as in a URL."""
    return signed(headers={"host": f"attacker@{HOST}"})


@refused(
    "host-foreign",
    good=lambda: signed(
        headers={"host": f"{HOST}:8443"}, endpoint=Endpoint(hosts=frozenset({f"{HOST}:8443"}), region=REGION)
    ),
)
def another_port_than_the_one_that_is_listed() -> Presentation:
    """A listed name with a port stands for this port alone."""
    return signed(
        headers={"host": f"{HOST}:8444"}, endpoint=Endpoint(hosts=frozenset({f"{HOST}:8443"}), region=REGION)
    )


@refused("scope-service")
def a_scope_for_another_service() -> Presentation:
    """A signature for STS is none for us."""
    return reauthorized(signed(), "/rolesanywhere/", "/sts/")


@refused("scope-region")
def a_scope_for_another_region() -> Presentation:
    """The same host may be reached for another Region's stack by a mistake in DNS."""
    return signed(region="us-east-1")


# (7) Now


@refused("scope-day", good=lambda: signed(when=NOW.replace(hour=0), now=NOW.replace(hour=0)))
def a_scope_of_yesterday() -> Presentation:
    """Date and scope tell different days."""
    return reauthorized(signed(), "/20261120/", "/20261119/")


@refused("request-expired", good=lambda: signed(when=NOW - 5 * MINUTE))
def five_minutes_and_a_second_ago() -> Presentation:
    """A captured request ends here."""
    return signed(when=NOW - 5 * MINUTE - SECOND)


@refused("request-from-the-future", good=lambda: signed(when=NOW + 5 * MINUTE))
def in_five_minutes_and_a_second() -> Presentation:
    """A request made in advance could be kept for later."""
    return signed(when=NOW + 5 * MINUTE + SECOND)


# (8) The leaf


@refused("serial-mismatch")
def the_serial_number_of_another_certificate() -> Presentation:
    """The credential and the certificate are not of one mind."""
    one = leaf()
    return signed(one, serial=one.certificate.serial_number + 1)


@refused("leaf-version")
def a_version_one_certificate() -> Presentation:
    """Without extensions nobody knows what it is for."""
    return signed(version_one(root()))


@refused("leaf-expired", good=lambda: signed(leaf(ends=NOW)))
def an_expired_certificate() -> Presentation:
    """It ended a second ago; the neighbour ends now."""
    return signed(leaf(ends=NOW - SECOND))


@refused("leaf-not-yet-valid", good=lambda: signed(leaf(begins=NOW)))
def a_certificate_of_tomorrow() -> Presentation:
    """It begins in a second; the neighbour begins now."""
    return signed(leaf(begins=NOW + SECOND))


@refused("leaf-subject-missing", good=lambda: signed(leaf(subject=name((NameOID.ORGANIZATION_NAME, "O")))))
def a_certificate_of_nobody() -> Presentation:
    """RFC 5280 allows an empty subject with critical alternative names; a record of it would be of nobody."""
    names = x509.SubjectAlternativeName([x509.DNSName("host.example.com")])
    return signed(leaf(None, (names, True), subject=x509.Name([])))


@refused("leaf-names", good=lambda: signed(leaf(subject="admin")))
def a_zero_in_a_name() -> Presentation:
    """Whoever reads up to the zero sees somebody else."""
    return signed(leaf(subject="admin\0.attacker.example"))


@refused("leaf-names")
def a_line_end_in_a_name() -> Presentation:
    """It would be two lines of a log."""
    uri = x509.UniformResourceIdentifier("spiffe://example.com/a\nspiffe://example.com/b")
    return signed(leaf(None, (x509.SubjectAlternativeName([uri]), False)))


@refused("leaf-names", good=lambda: signed(leaf(None, (_hosts(90), False))))
def a_certificate_of_a_hundred_hosts() -> Presentation:
    """A content delivery network's, perhaps; not a workload's."""
    return signed(leaf(None, (_hosts(101), False)))


def _hosts(count: int) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(f"{n}.example.com") for n in range(count)])


@refused("leaf-names", good=lambda: signed(leaf(None, _uri(1_024))))
def a_uri_beyond_every_workload() -> Presentation:
    """Tags and conditions end far below."""
    return signed(leaf(None, _uri(1_025)))


def _uri(size: int) -> Extension:
    text = "spiffe://example.com/".ljust(size, "a")
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(text)]), False


@refused(
    "leaf-names", good=lambda: signed(leaf(subject=name("web", (ObjectIdentifier("2.5.4.45"), "\x20A"))))
)
def a_name_of_bits() -> Presentation:
    """X.500's unique identifier is a bit string, and no text that anything could be compared with."""
    one = leaf(subject=name("web", (ObjectIdentifier("2.5.4.45"), "\0A")))
    return signed(
        rewritten(one, root(), bytes.fromhex("060355042d0c020041"), bytes.fromhex("060355042d03020041"))
    )


@refused("leaf-names", good=lambda: signed(leaf(subject=_units(12))))
def a_subject_longer_than_a_table_s_key() -> Presentation:
    """Twenty units with sixty-four letters each."""
    return signed(leaf(subject=_units(20)))


def _units(count: int) -> x509.Name:
    return name(*((NameOID.ORGANIZATIONAL_UNIT_NAME, f"{n:064}") for n in range(count)))


@refused("leaf-extensions")
def an_extension_twice() -> Presentation:
    """RFC 5280 §4.2: two readers would read two different ones."""
    one = leaf(None, (x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.99"), b"\5\0"), False))
    # 2.5.29.99 becomes a second 2.5.29.15, key usage.
    return signed(rewritten(one, root(), bytes.fromhex("0603551d63"), bytes.fromhex("0603551d0f")))


@refused("leaf-authority")
def an_authority_that_signs_itself() -> Presentation:
    """Trusted to issue is not trusted to ask."""
    return signed(authority("Signing", root(), (usage("digital_signature", "crl_sign"), True)))


@refused("leaf-authority")
def the_anchor_itself() -> Presentation:
    """The library would accept it without a path."""
    both = authority("Root", None, (usage("digital_signature", "key_cert_sign"), True))
    return signed(both, against=anchor(both))


@refused("leaf-key-usage")
def a_certificate_without_key_usage() -> Presentation:
    """AWS wants it as well."""
    return signed(leaf(without={x509.KeyUsage}))


@refused(
    "leaf-key-usage", good=lambda: signed(leaf(None, (usage("digital_signature", "key_agreement"), True)))
)
def a_certificate_for_encryption() -> Presentation:
    """Its key may agree on keys, and sign nothing."""
    return signed(leaf(None, (usage("key_agreement"), True)))


@refused("leaf-key-usage")
def a_leaf_that_may_sign_certificates() -> Presentation:
    """RFC 5280 §4.2.1.3: only authorities may."""
    return signed(leaf(None, (usage("digital_signature", "key_cert_sign"), True)))


def _purposes(*oids: ObjectIdentifier) -> Extension:
    return x509.ExtendedKeyUsage(oids), False


_SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@refused(
    "leaf-extended-key-usage",
    good=lambda: signed(leaf(None, _purposes(_SERVER, ExtendedKeyUsageOID.CLIENT_AUTH))),
)
def a_certificate_for_servers() -> Presentation:
    """Its issuer meant it to be called, not to call."""
    return signed(leaf(None, _purposes(_SERVER)))


@refused(
    "leaf-extended-key-usage",
    good=lambda: signed(
        leaf(None, _purposes(ExtendedKeyUsageOID.CODE_SIGNING)), against=anchor(any_extended_key_usage=True)
    ),
)
def a_certificate_for_code() -> Presentation:
    """The neighbour's anchor takes any purpose."""
    return signed(leaf(None, _purposes(ExtendedKeyUsageOID.CODE_SIGNING)))


@refused("leaf-signature-weak", good=lambda: signed(leaf(digest=hashes.SHA512())))
def a_certificate_signed_with_sha_224() -> Presentation:
    """Weaker than SHA-256."""
    return signed(leaf(digest=hashes.SHA224()))


@refused("leaf-signature-weak")
def a_certificate_signed_with_sha_1() -> Presentation:
    """Two certificates can be made that have one signature."""
    with_sha1, with_sha256 = (
        bytes.fromhex("300906072a8648ce3d0401"),
        bytes.fromhex("300a06082a8648ce3d040302"),
    )
    one = leaf(root())
    inner = inside(one.certificate.tbs_certificate_bytes).replace(with_sha256, with_sha1)
    body = der(0x30, inner)
    whole = der(0x30, body, with_sha1, der(0x03, b"\0" + root().key.sign(body, ec.ECDSA(hashes.SHA1()))))  # noqa: S303 - what must be refused
    return signed(Holder(x509.load_der_x509_certificate(whole), one.key))


@refused("leaf-key", good=lambda: signed(leaf(kind="rsa-2048")))
def an_rsa_key_of_1024_bits() -> Presentation:
    """The library checks authorities' keys alone."""
    return signed(leaf(kind="rsa-1024"))


@refused("leaf-key")
def an_rsa_key_of_2040_bits() -> Presentation:
    """A byte less than the least."""
    return signed(leaf(kind="rsa-2040"))


@refused("leaf-key")
def an_rsa_key_with_a_long_exponent() -> Presentation:
    """Whoever makes it so makes verification slow, and nothing safer."""
    return signed(leaf(kind="rsa-2048-long-exponent"))


@refused("leaf-key", good=lambda: signed(leaf(kind="rsa-2048")))
def an_rsa_key_for_pss_alone() -> Presentation:
    """RFC 4055 §1.2: it may verify nothing else, and the protocol's RSA is PKCS #1 v1.5."""
    one = leaf(kind="rsa-2048")
    parts = elements(inside(one.certificate.tbs_certificate_bytes))
    bits = elements(inside(parts[6]))[1]
    parts[6] = der(0x30, der(0x30, bytes.fromhex("06092a864886f70d01010a")), bits)
    return signed(resigned(one, root(), der(0x30, *parts)))


@refused("leaf-key", good=lambda: signed(leaf(kind="p-384")))
def a_key_on_a_short_curve() -> Presentation:
    """P-224."""
    return signed(leaf(kind="p-224"))


@refused("leaf-key")
def a_key_on_another_curve() -> Presentation:
    """secp256k1 is as long as P-256, and nobody's but other people's."""
    return signed(leaf(kind="secp256k1"))


@refused("leaf-key")
def an_ed25519_key() -> Presentation:
    """The protocol has no name for it."""
    return signed(leaf(kind="ed25519"), declared="AWS4-X509-MLDSA")


@refused("leaf-key")
def a_dsa_key() -> Presentation:
    """The protocol has no name for it either."""
    return signed(leaf(kind="dsa"))


@refused("algorithm-mismatch")
def an_rsa_name_for_an_elliptic_key() -> Presentation:
    """The certificate's key decides; a request may not say otherwise."""
    return signed(declared="AWS4-X509-RSA-SHA256")


@refused("algorithm-mismatch", good=lambda: signed(leaf(kind="ml-dsa-44")))
def an_elliptic_name_for_an_ml_dsa_key() -> Presentation:
    """The other way round."""
    return signed(leaf(kind="ml-dsa-44"), declared="AWS4-X509-ECDSA-SHA256")


# (9) The signature


@refused("signature-invalid")
def another_key_than_the_certificate_s() -> Presentation:
    """Certificates are public; the key is what proves."""
    return signed(signer=key("p-256", "stolen"))


@refused("signature-invalid")
def another_body_than_the_signed_one() -> Presentation:
    """Somebody on the way asks for more."""
    one = signed()
    return replace(one, request=replace(one.request, body=b'{"durationSeconds":7200}'))


@refused("signature-invalid")
def another_role_than_the_signed_one() -> Presentation:
    """The query is signed as well."""
    one = signed()
    query = {**one.request.query, "roleArn": (ROLE_ARN.replace("reader", "writer"),)}
    return replace(one, request=replace(one.request, query=query))


@refused("signature-invalid")
def one_parameter_more_than_was_signed() -> Presentation:
    """An empty one, at the end."""
    one = signed()
    return replace(one, request=replace(one.request, query={**one.request.query, "z": ("",)}))


@refused("signature-invalid", good=lambda: signed(uri="/v1/sessions"))
def another_path_than_the_signed_one() -> Presentation:
    """Neither what clients always sign nor what arrived."""
    return signed(uri="/v2/sessions")


@refused("signature-invalid")
def a_certificate_put_in_place_of_the_signed_one() -> Presentation:
    """The same key and the same serial number, and a better name."""
    one = leaf(serial=99)
    better = leaf(serial=99, subject="admin")
    return with_header(signed(one), "x-amz-x509", b64(better.der))


@refused("signature-invalid")
def another_algorithm_than_the_signed_one() -> Presentation:
    """The declared name is in the string to sign."""
    return reauthorized(signed(), "ECDSA-SHA256", "ECDSA-SHA384")


@refused("signature-invalid", good=lambda: signed(leaf(kind="rsa-2048")))
def pss_in_place_of_pkcs_1() -> Presentation:
    """A good signature by the right key, of another scheme."""
    one = leaf(kind="rsa-2048")
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)

    class Pss:
        def sign(self, data: bytes) -> bytes:
            signature: bytes = one.key.sign(data, scheme, hashes.SHA256())
            return signature

    return signed(one, signer=Pss(), declared="AWS4-X509-RSA-SHA256")


# (10) The path


@refused("issuer-missing", good=lambda: signed(leaf(issuing()), chain=[issuing()]))
def a_missing_intermediate() -> Presentation:
    """The most frequent mistake of all."""
    return signed(leaf(issuing()))


@refused("issuer-missing", good=lambda: signed(leaf(stranger()), against=anchor(stranger())))
def a_stranger_s_certificate() -> Presentation:
    """In good order, from an authority that nobody here trusts, which it brings along."""
    return signed(leaf(stranger()), chain=[stranger()])


@cache
def stranger() -> Holder:
    """Return an authority that no anchor here has."""
    return authority("Stranger")


@refused("issuer-missing")
def an_authority_of_another_anchor() -> Presentation:
    """Trusted by the same account, but not by the anchor that the request names."""
    return signed(leaf(issuing()), chain=[issuing()], against=anchor(stranger()))


@refused("path-refused", good=lambda: signed(leaf(root())))
def an_issuer_of_the_same_name() -> Presentation:
    """Another root calls itself as ours does; names are free, keys are not."""
    return signed(leaf(authority("Root", key_name="impostor")))


@refused("path-refused", good=lambda: signed(leaf(root())))
def a_certificate_whose_signature_was_changed() -> Presentation:
    """The key is its own, the names are right, and nobody issued it."""
    one = leaf(root())
    forged = Holder(one.certificate, key("p-256", "leaf"))
    return signed(
        resigned(forged, authority("Root", key_name="impostor"), one.certificate.tbs_certificate_bytes)
    )


def _through(intermediate: Holder, **options: Any) -> Presentation:
    return signed(leaf(intermediate), chain=[intermediate], **options)


@refused("path-refused", good=lambda: _through(authority("Issuing", root(), ends=NOW)))
def an_expired_intermediate_at_the_anchor() -> Presentation:
    """The leaf outlives its issuer."""
    late = authority("Issuing", root(), ends=NOW - SECOND)
    return signed(leaf(late), against=anchor(root(), keeps=[late]))


@refused("path-refused", good=lambda: _through(authority("Issuing", root(), begins=NOW)))
def an_intermediate_of_tomorrow() -> Presentation:
    """What is of no use now is not looked at."""
    return _through(authority("Issuing", root(), begins=NOW + SECOND))


@refused("path-refused", good=lambda: signed(leaf(_root_until(NOW)), against=anchor(_root_until(NOW))))
def an_expired_anchor() -> Presentation:
    """RFC 5280 does not ask an anchor's age; an operator who renewed it does."""
    late = _root_until(NOW - SECOND)
    return signed(leaf(late), against=anchor(late))


@cache
def _root_until(ends: datetime) -> Holder:
    return authority("Root", ends=ends)


@refused("path-refused", good=lambda: _through(authority("Issuing", root())))
def an_intermediate_that_is_no_authority() -> Presentation:
    """A workload that issues certificates itself."""
    no = (x509.BasicConstraints(ca=False, path_length=None), True)
    return _through(authority("Issuing", root(), no))


@refused("path-refused")
def an_intermediate_without_basic_constraints() -> Presentation:
    """RFC 5280 §4.2.1.9: then it is no authority."""
    return _through(authority("Issuing", root(), without={x509.BasicConstraints}))


@refused("path-refused")
def an_intermediate_that_may_not_sign_certificates() -> Presentation:
    """RFC 5280 §6.1.4 (n)."""
    return _through(authority("Issuing", root(), (usage("crl_sign"), True)))


@refused("path-refused")
def an_intermediate_for_servers() -> Presentation:
    """What it may issue is for servers."""
    return _through(authority("Issuing", root(), _purposes(_SERVER)))


@refused("path-refused", good=lambda: _through(authority("Issuing", root(), kind="rsa-2048")))
def an_intermediate_with_a_short_key() -> Presentation:
    """Whoever factors it issues what they like."""
    return _through(authority("Issuing", root(), kind="rsa-1024"))


@refused("path-refused", good=lambda: _through(authority("Issuing", root(), digest=hashes.SHA384())))
def an_intermediate_signed_with_sha_224() -> Presentation:
    """Weaker than SHA-256."""
    return _through(authority("Issuing", root(), digest=hashes.SHA224()))


def _below(path_length: int) -> Presentation:
    limited = authority("Limited", root(), (x509.BasicConstraints(ca=True, path_length=path_length), True))
    below = authority("Below", limited)
    return signed(leaf(below), chain=[below, limited])


@refused("path-refused", good=lambda: _below(1))
def a_longer_path_than_allowed() -> Presentation:
    """RFC 5280 §4.2.1.9: pathLenConstraint 0, and an authority below."""
    return _below(0)


def _steps(count: int) -> Presentation:
    steps = [root()]
    for n in range(count):
        steps.append(authority(f"Step {n}", steps[-1]))
    return signed(leaf(steps[-1]), chain=steps[1:6], against=anchor(root(), keeps=steps[6:]))


@refused("path-refused", good=lambda: _steps(5))
def a_path_of_six_intermediates() -> Presentation:
    """Five in the request, one at the anchor; nobody has that many."""
    return _steps(6)


def _constrained(subtree: x509.GeneralName, *names: x509.GeneralName, excluded: bool = False) -> Presentation:
    subtrees: dict[str, Any] = {
        "permitted_subtrees": None if excluded else [subtree],
        "excluded_subtrees": [subtree] if excluded else None,
    }
    limited = authority("Limited", root(), (x509.NameConstraints(**subtrees), True))
    new = [(x509.SubjectAlternativeName(names), False)] if names else []
    return signed(leaf(limited, *new, without={x509.SubjectAlternativeName}), chain=[limited])


@refused(
    "path-refused", good=lambda: _constrained(x509.DNSName("example.com"), x509.DNSName("host.example.com"))
)
def a_host_outside_the_permitted_names() -> Presentation:
    """RFC 5280 §4.2.1.10."""
    return _constrained(x509.DNSName("example.com"), x509.DNSName("host.example.org"))


@refused(
    "path-refused",
    good=lambda: _constrained(x509.DNSName("example.com"), x509.DNSName("a.example.org"), excluded=True),
)
def a_host_inside_the_excluded_names() -> Presentation:
    """The other half of it."""
    return _constrained(x509.DNSName("example.com"), x509.DNSName("a.example.com"), excluded=True)


@refused("path-refused", good=lambda: _constrained(x509.UniformResourceIdentifier("example.com")))
def a_uri_where_uris_are_constrained() -> Presentation:
    """The library does not know how to compare them, and so refuses."""
    return _constrained(
        x509.UniformResourceIdentifier("example.com"),
        x509.UniformResourceIdentifier("spiffe://example.com/a"),
    )


@refused("name-constraints-unsupported")
def an_authority_for_a_part_of_the_directory() -> Presentation:
    """Permitted for its own subtree, as private authorities often are; the library does not apply it."""
    return _constrained(x509.DirectoryName(name("host.example.com")))


@refused("name-constraints-unsupported")
def an_authority_for_a_part_of_the_directory_that_does_not_insist() -> Presentation:
    """The same, not critical: the library would pass over it."""
    constraints = x509.NameConstraints([x509.DirectoryName(name("other.example.com"))], None)
    return _through(authority("Issuing", root(), (constraints, False)))


def _mail(subject: x509.Name) -> Presentation:
    constraints = x509.NameConstraints([x509.RFC822Name("example.com")], None)
    limited = authority("Limited", root(), (constraints, True))
    return signed(leaf(limited, subject=subject), chain=[limited])


@refused("name-constraints-unsupported", good=lambda: _mail(name("host.example.com")))
def a_mail_address_in_a_subject_under_a_constraint() -> Presentation:
    """RFC 5280 §4.2.1.10 applies the constraint to it; the library does not."""
    return _mail(name("host.example.com", (NameOID.EMAIL_ADDRESS, "a@example.org")))


_UNKNOWN = ObjectIdentifier("1.3.6.1.4.1.55555.2")


@refused(
    "path-refused", good=lambda: signed(leaf(None, (x509.UnrecognizedExtension(_UNKNOWN, b"\5\0"), False)))
)
def an_unknown_critical_extension() -> Presentation:
    """RFC 5280 §4.2: who does not understand must refuse."""
    return signed(leaf(None, (x509.UnrecognizedExtension(_UNKNOWN, b"\5\0"), True)))


@refused("path-refused")
def an_unknown_critical_extension_of_an_intermediate() -> Presentation:
    """The same, one higher."""
    return _through(authority("Issuing", root(), (x509.UnrecognizedExtension(_UNKNOWN, b"\5\0"), True)))


# (11) Revocation


@refused("certificate-revoked", good=lambda: _listed(leaf(), number=1))
def a_revoked_certificate() -> Presentation:
    """The anchor has its issuer's list, and it is on it."""
    one = leaf()
    return _listed(one, one.certificate.serial_number)


def _listed(one: Holder, *serials: int, **fields: Any) -> Presentation:
    return signed(one, against=anchor(crls=("list",)), lists={"list": crl(root(), *serials, **fields)})


@refused("certificate-revoked")
def a_certificate_on_hold() -> Presentation:
    """certificateHold is revoked as long as it lasts."""
    one = leaf()
    hold = (x509.CRLReason(x509.ReasonFlags.certificate_hold), False)
    return _listed(one, one.certificate.serial_number, entry_extensions=[hold])


@refused("certificate-revoked", good=lambda: _through(issuing(), lists={"list": crl(root(), 1)}))
def a_revoked_intermediate() -> Presentation:
    """The root took its trust back."""
    revoked = crl(root(), issuing().certificate.serial_number)
    return _through(issuing(), lists={"list": revoked})


def _rolled_over(*, revoked: bool = False) -> Presentation:
    old, new = authority("Rolling", key_name="old"), authority("Rolling", key_name="new")
    one = leaf(old)
    serials = [one.certificate.serial_number] if revoked else []
    return signed(one, against=anchor(old, new), lists={"list": crl(new, *serials)})


@refused("certificate-revoked", good=_rolled_over)
def a_certificate_revoked_in_the_list_of_its_authority_s_next_key() -> Presentation:
    """An authority is its name: the list under its new key names certificates under the old one."""
    return _rolled_over(revoked=True)


# Good requests that look odd


@accepted
def everything_in_the_body() -> Presentation:
    """As clients in Python, Java and Rust do."""
    return signed(in_body=True, headers={"content-type": "application/x-amz-json-1.0"})


@accepted
def the_same_arns_in_query_and_body() -> Presentation:
    """Twice the same is no contradiction."""
    return signed(query=QUERY, content=body())


@accepted
def headers_of_a_newer_sdk() -> Presentation:
    """With a semicolon and a space inside a value."""
    return signed(
        headers={
            "amz-sdk-invocation-id": "4356f947-bd41-48e1-847a-5161a830d414",
            "amz-sdk-request": "attempt=1; max=3",
            "x-amz-content-sha256": "required",
        }
    )


@accepted
def spaces_that_are_collapsed() -> Presentation:
    """SigV4 takes one for many, and none at the ends."""
    return with_header(signed(headers={"x-more": "a b"}), "x-more", "  a   b ")


@accepted
def a_header_with_two_values() -> Presentation:
    """Joined by a comma, as SigV4 has it."""
    return with_header(signed(headers={"x-more": "a,b"}), "x-more", "a", " b ")


@accepted
def the_real_path_with_its_stage() -> Presentation:
    """Some clients sign it, others never do."""
    return signed(uri="/v1/sessions")


@accepted
def a_host_with_a_port() -> Presentation:
    """A listed name without one stands for any."""
    return signed(headers={"host": f"{HOST}:8443"})


@accepted
def a_host_whose_port_was_not_signed() -> Presentation:
    """AWS's plugin for Java signs the name alone and sends the port with it."""
    return with_header(signed(), "host", f"{HOST}:8443")


@accepted
def a_host_in_capitals() -> Presentation:
    """Host names have no case."""
    return signed(headers={"host": HOST.upper()})


@accepted
def a_role_name_with_all_that_it_may_have() -> Presentation:
    """Plus, equals, comma, at and dot are encoded, and nothing is taken for a space."""
    query = [("roleArn", f"arn:aws:iam::{ACCOUNT}:role/a+b=c,d.e@f-g_h"), *QUERY[::2]]
    return signed(query=query)


@accepted
def a_declared_hash_that_was_not_used() -> Presentation:
    """Clients take it from the certificate's own signature, and sign with SHA-256 all the same."""
    return signed(leaf(digest=hashes.SHA384()), declared="AWS4-X509-ECDSA-SHA384")


@accepted
def a_chain_in_any_order() -> Presentation:
    """What clients send is a bag, not a path."""
    steps = [root(), issuing(), authority("Below", issuing())]
    return signed(leaf(steps[2]), chain=[steps[1], steps[2]])


@accepted
def a_chain_with_leaf_root_and_repetitions() -> Presentation:
    """As PKCS#12 files and certificate stores make it."""
    one = leaf(issuing())
    return signed(one, chain=[one, root(), issuing(), issuing(), root()])


@accepted
def certificates_that_lead_nowhere() -> Presentation:
    """Other issuers of the same bundle, one of a kind that is not used here."""
    odd = authority("Odd", kind="ed25519")
    return signed(leaf(issuing()), chain=[stranger(), odd, issuing()])


@accepted
def an_intermediate_kept_at_the_anchor() -> Presentation:
    """So that the client need not send it."""
    return signed(leaf(issuing()), against=anchor(root(), keeps=[issuing()]))


@accepted
def an_intermediate_as_the_anchor() -> Presentation:
    """Nothing above it matters."""
    return signed(leaf(issuing()), against=anchor(issuing()))


@accepted
def an_anchor_of_two_authorities() -> Presentation:
    """An old root and a new one."""
    return signed(leaf(root()), against=anchor(stranger(), root()))


@accepted
def two_authorities_of_one_name() -> Presentation:
    """Only one of them has the key; the other one is tried and passed over."""
    other = authority("Issuing", root(), key_name="another issuing")
    return signed(leaf(issuing()), chain=[other, issuing()])


@accepted
def a_cross_signed_authority() -> Presentation:
    """The same name and key, once below a stranger and once below our root."""
    crossed = authority("Issuing", stranger())
    return signed(leaf(issuing()), chain=[crossed, issuing()])


@accepted
def a_renewed_authority() -> Presentation:
    """The same name and key; one certificate has expired."""
    old = authority("Issuing", root(), ends=NOW - DAY)
    return signed(leaf(issuing()), chain=[old, issuing()])


@accepted
def an_authority_that_rolled_its_key_over() -> Presentation:
    """The new key's certificate is signed with the old one: issuer and subject are the same name."""
    old = root()
    new = authority("Root", old, key_name="new root")
    return signed(leaf(new), chain=[new], against=anchor(old))


@accepted
def an_authority_whose_constraints_are_not_critical() -> Presentation:
    """As some makers of private authorities leave it."""
    loose = (x509.BasicConstraints(ca=True, path_length=None), False)
    return _through(authority("Issuing", root(), loose))


@accepted
def a_leaf_with_nothing_but_key_usage() -> Presentation:
    """Neither alternative names nor purposes nor constraints."""
    return signed(
        leaf(without={x509.SubjectAlternativeName, x509.ExtendedKeyUsage, x509.BasicConstraints}),
    )


@accepted
def a_leaf_for_any_purpose() -> Presentation:
    """RFC 5280 §4.2.1.12: anyExtendedKeyUsage."""
    return signed(leaf(None, _purposes(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)))


@accepted
def a_leaf_for_servers_where_the_anchor_does_not_mind() -> Presentation:
    """Below an authority for servers."""
    servers = authority("Issuing", root(), _purposes(_SERVER))
    return signed(
        leaf(servers, _purposes(_SERVER)), chain=[servers], against=anchor(any_extended_key_usage=True)
    )


@accepted
def critical_alternative_names() -> Presentation:
    """Not what the web does, and not wrong."""
    return signed(leaf(None, (x509.SubjectAlternativeName([x509.DNSName("a.example.com")]), True)))


@accepted
def the_longest_serial_number() -> Presentation:
    """Twenty octets, all bits set: forty-nine digits."""
    return signed(leaf(serial=(1 << 159) - 1))


@accepted
def a_certificate_signed_with_pss() -> Presentation:
    """By an RSA authority; the request itself has nothing to do with that."""
    return signed(leaf(root("rsa-2048"), pss=True), against=anchor(root("rsa-2048")))


@accepted
def a_certificate_into_the_fifties() -> Presentation:
    """From 2050 on times are written otherwise (RFC 5280 §4.1.2.5)."""
    return signed(leaf(ends=datetime(2055, 1, 1, tzinfo=UTC)))


@accepted
def a_serial_number_that_another_authority_revoked() -> Presentation:
    """Numbers are an authority's own."""
    one = leaf(issuing(), serial=4711)
    return signed(one, chain=[issuing()], lists={"list": crl(root(), 4711)})


@accepted
def a_late_list_of_another_authority() -> Presentation:
    """It would not have said anything about this certificate."""
    kept = anchor(root(), keeps=[issuing()])
    return signed(leaf(), against=kept, lists={"list": crl(issuing(), ends=NOW - SECOND)})


# Revocation lists that must be refused when they are read


@dataclass(frozen=True)
class ListCase:
    """A list that must be refused, and why; its neighbour must not be."""

    name: str
    description: str
    reason: str
    make: Callable[[], bytes]
    good: Callable[[], bytes]
    against: Callable[[], X509Anchor]
    previous: Callable[[], CrlState | None]


LIST_CASES: list[ListCase] = []
MakeList = Callable[[], bytes]


def _plain_list() -> bytes:
    return crl(root(), 1, 2)


def refused_list(
    reason: str,
    *,
    good: MakeList = _plain_list,
    against: Callable[[], X509Anchor] = anchor,
    previous: Callable[[], CrlState | None] = lambda: None,
) -> Callable[[MakeList], MakeList]:
    """Register a function that returns a bad list."""

    def register(function: MakeList) -> MakeList:
        assert function.__doc__, function.__name__
        LIST_CASES.append(
            ListCase(function.__name__, function.__doc__, reason, function, good, against, previous)
        )
        return function

    return register


@refused_list("crl-malformed")
def a_certificate_in_place_of_a_list() -> bytes:
    """The authority's own certificate."""
    return root().der


@refused_list("crl-malformed")
def a_page_that_says_not_found() -> bytes:
    """What a web server answers with 200."""
    return b"<!doctype html><title>Not found</title>"


@refused_list("crl-malformed")
def something_behind_the_list() -> bytes:
    """Whoever reads on reads something else."""
    return _plain_list() + b"\0"


@refused_list("crl-malformed")
def a_list_without_a_number() -> bytes:
    """RFC 5280 §5.2.3: every list has one; without it nobody knows which is older."""
    return crl(root(), number=None)


@refused_list("crl-malformed", good=lambda: crl(root(), number=(1 << 159) - 1))
def a_number_beyond_twenty_octets() -> bytes:
    """Longer than any that counts up."""
    return crl(root(), number=1 << 160)


@refused_list("crl-malformed")
def a_list_without_an_end() -> bytes:
    """RFC 5280 §5.1.2.5: nextUpdate is required; without it a list would be believed for ever."""
    one = x509.load_der_x509_crl(_plain_list())
    version, algorithm_, issuer, begins, _, *rest = elements(inside(one.tbs_certlist_bytes))
    return ecdsa_signed(der(0x30, version, algorithm_, issuer, begins, *rest), root())


@refused_list("crl-malformed", good=lambda: crl(root(), begins=NOW - SECOND, ends=NOW))
def a_list_that_ends_when_it_begins() -> bytes:
    """It never was in force."""
    return crl(root(), begins=NOW, ends=NOW)


@refused_list("crl-malformed")
def an_entry_that_cannot_be_read() -> bytes:
    """Its reason is no reason of RFC 5280."""
    unknown = x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.21"), bytes.fromhex("0a0163"))
    return crl(root(), 1, entry_extensions=[(unknown, False)])


@refused_list("crl-malformed", good=lambda: crl(root(), (1 << 159) - 1))
def an_entry_with_a_number_of_twenty_one_octets() -> bytes:
    """No certificate with such a number is accepted, and as a key it would have no end."""
    one = crl(root(), 0x7777)
    version, algorithm_, issuer, begins, ends, _, extensions = elements(
        inside(x509.load_der_x509_crl(one).tbs_certlist_bytes)
    )
    long = der(0x30, der(0x02, b"\1" + bytes(20)), begins)
    listed = der(0x30, version, algorithm_, issuer, begins, ends, der(0x30, long), extensions)
    return ecdsa_signed(listed, root())


@refused_list("crl-foreign", good=lambda: crl(issuing()), against=lambda: anchor(root(), keeps=[issuing()]))
def a_stranger_s_list() -> bytes:
    """In good order, from an authority that the anchor does not have."""
    return crl(stranger())


@refused_list("crl-foreign", against=lambda: anchor(root(), keeps=[_signs_no_lists()]))
def a_list_of_an_authority_that_may_not_sign_lists() -> bytes:
    """RFC 5280 §6.3.3 (f): key usage without cRLSign."""
    return crl(_signs_no_lists())


@cache
def _signs_no_lists() -> Holder:
    return authority("Signs no lists", root(), (usage("key_cert_sign"), True))


@refused_list("crl-foreign", against=lambda: anchor(root(), keeps=[_says_no_usage()]))
def a_list_of_an_authority_that_does_not_say_what_it_may() -> bytes:
    """No key usage at all, where RFC 5280 §4.2.1.3 wants one of every authority."""
    return crl(_says_no_usage())


@cache
def _says_no_usage() -> Holder:
    return authority("Says no usage", root(), without={x509.KeyUsage})


@refused_list("crl-signature")
def a_list_by_somebody_of_the_same_name() -> bytes:
    """The name is the root's, the key is not."""
    return crl(authority("Root", key_name="impostor"))


@refused_list("crl-signature", good=lambda: crl(root(), digest=hashes.SHA512()))
def a_list_signed_with_sha_224() -> bytes:
    """Weaker than SHA-256."""
    return crl(root(), digest=hashes.SHA224())


@refused_list("crl-signature")
def a_list_with_a_serial_number_changed() -> bytes:
    """Whoever carries it would like to keep a certificate."""
    one = crl(root(), 0x7777)
    assert one.count(b"\x02\x02\x77\x77") == 1
    return one.replace(b"\x02\x02\x77\x77", b"\x02\x02\x77\x78")


@refused_list("crl-signature")
def a_list_signed_with_another_kind_of_key() -> bytes:
    """The name is the root's, and the algorithm is not even its key's."""
    return crl(authority("Root", kind="rsa-2048"))


@refused_list("crl-scoped")
def a_delta() -> bytes:
    """RFC 5280 §5.2.4: what changed since number 1."""
    return crl(root(), number=2, extensions=[(x509.DeltaCRLIndicator(1), True)])


def _point(**fields: Any) -> x509.IssuingDistributionPoint:
    values: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(values | fields))


@refused_list("crl-scoped")
def a_list_about_workloads_alone() -> bytes:
    """RFC 5280 §5.2.5: revoked intermediates are in another."""
    return crl(root(), extensions=[(_point(only_contains_user_certs=True), True)])


@refused_list("crl-scoped")
def a_list_about_stolen_keys_alone() -> bytes:
    """Other reasons are in another."""
    reasons = frozenset({x509.ReasonFlags.key_compromise})
    return crl(root(), extensions=[(_point(only_some_reasons=reasons), True)])


@refused_list("crl-scoped")
def an_indirect_list() -> bytes:
    """About other authorities' certificates."""
    return crl(root(), extensions=[(_point(indirect_crl=True), True)])


@refused_list("crl-scoped")
def a_list_of_one_distribution_point() -> bytes:
    """Large authorities spread their certificates over several; each list then has a part."""
    names = [x509.UniformResourceIdentifier("http://example.com/7.crl")]
    return crl(root(), extensions=[(_point(full_name=names), True)])


@refused_list("crl-scoped")
def an_entry_for_another_issuer() -> bytes:
    """RFC 5280 §5.3.3: from here on, entries are about somebody else's certificates."""
    other = x509.CertificateIssuer([x509.DirectoryName(name("Stranger"))])
    return crl(root(), 1, entry_extensions=[(other, True)])


@refused_list("crl-scoped")
def an_entry_that_takes_one_back() -> bytes:
    """removeFromCRL has a meaning in deltas alone."""
    back = (x509.CRLReason(x509.ReasonFlags.remove_from_crl), False)
    return crl(root(), 1, entry_extensions=[back])


@refused_list(
    "crl-extension",
    good=lambda: crl(root(), extensions=[(x509.UnrecognizedExtension(_UNKNOWN, b"\5\0"), False)]),
)
def a_list_with_an_unknown_critical_extension() -> bytes:
    """RFC 5280 §5.2: who does not understand must not use the list."""
    return crl(root(), extensions=[(x509.UnrecognizedExtension(_UNKNOWN, b"\5\0"), True)])


@refused_list(
    "crl-extension",
    good=lambda: crl(root(), 1, entry_extensions=[(x509.InvalidityDate(datetime(2026, 1, 1)), False)]),  # noqa: DTZ001 - the library wants it naive
)
def an_entry_with_an_unknown_critical_extension() -> bytes:
    """RFC 5280 §5.3: the same for an entry."""
    return crl(root(), 1, entry_extensions=[(x509.UnrecognizedExtension(_UNKNOWN, b"\5\0"), True)])


@refused_list("crl-from-the-future", good=lambda: crl(root(), begins=NOW + 5 * MINUTE))
def a_list_of_the_day_after() -> bytes:
    """Its authority's clock is wrong, or somebody makes lists in advance."""
    return crl(root(), begins=NOW + 5 * MINUTE + SECOND)


def state(data: bytes, identifier: str = "list", against: X509Anchor | None = None) -> CrlState:
    """Return the state of a good list."""
    return read_crl(data, identifier, against or anchor(), NOW).state


@refused_list("crl-older", good=lambda: crl(root(), number=6), previous=lambda: state(crl(root(), number=5)))
def a_list_with_a_smaller_number() -> bytes:
    """A replayed list gives revoked certificates back."""
    return crl(root(), number=4)


@refused_list("crl-older", good=lambda: _fifth(), previous=lambda: state(_fifth()))  # noqa: PLW0108 - defined below
def another_list_with_the_same_number() -> bytes:
    """Which of the two is right, nobody can tell."""
    return crl(root(), 1, number=5)


@cache
def _fifth() -> bytes:
    return crl(root(), number=5)


@refused_list("crl-older", good=lambda: crl(root(), number=6), previous=lambda: state(_fifth()))
def a_later_number_with_an_earlier_date() -> bytes:
    """Numbers and dates go the same way."""
    return crl(root(), number=6, begins=NOW - 2 * DAY)


@refused_list(
    "crl-other-issuer",
    good=lambda: crl(root(), number=6),
    against=lambda: anchor(root(), keeps=[issuing()]),
    previous=lambda: state(_fifth()),
)
def another_authority_s_list_in_its_place() -> bytes:
    """Signed and in order; but then nothing that the root has revoked would be revoked any more."""
    return crl(issuing(), number=900)


@refused_list("crl-expired", good=lambda: crl(root(), begins=NOW - 31 * DAY, ends=NOW - 30 * DAY))
def a_list_from_long_ago() -> bytes:
    """Past the grace, its serial numbers would leave as soon as they were written."""
    return crl(root(), begins=NOW - 31 * DAY, ends=NOW - 30 * DAY - SECOND)
