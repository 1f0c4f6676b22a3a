"""Certificates as values: reading them, and what may be said of one without looking at another.

Whatever the library makes of hostile bytes, ``ValueError`` is what comes out of here. Paths are built
in ``proof.x509``; the rules for the certificates of a trust anchor are here, because the trust file
is checked with them.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PublicKey,
    MLDSA65PublicKey,
    MLDSA87PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import PublicKeyAlgorithmOID, SignatureAlgorithmOID

MAX_CERTIFICATE_BYTES = 16_384
"""ML-DSA-87 makes a key of 2,592 and a signature of 4,627 bytes; this leaves as much again."""

MAX_SERIAL_BITS = 160
"""RFC 5280 §4.1.2.2: at most 20 octets."""

MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 8_192
"""Verification grows with the square of it; nobody issues with more."""

MAX_RSA_EXPONENT_BITS = 24
"""Room for 65537 and every other exponent in use. The cost of a verification grows with it: with 64 bits,
OpenSSL's own limit, a few keys of 8,192 bits in one header would take a tenth of a second."""

CURVES = (SECP256R1, SECP384R1, SECP521R1)

STRONG_SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.RSASSA_PSS,  # the path builder wants SHA-256 or longer in its parameters
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.ML_DSA_44,
        SignatureAlgorithmOID.ML_DSA_65,
        SignatureAlgorithmOID.ML_DSA_87,
    }
)
"""SHA-256 or stronger. MD5 and SHA-1 have collisions; nobody uses the rest."""

MlDsaKey = MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey
PublicKey = RSAPublicKey | EllipticCurvePublicKey | MlDsaKey

T = TypeVar("T")
E = TypeVar("E", bound=x509.ExtensionType)

Extensions = Mapping[type[x509.ExtensionType], x509.ExtensionType]
"""The values of a certificate's extensions by their classes; unknown ones share one class."""

# What the library raises on purpose for certificates that it does not like, besides ValueError.
_FOREIGN = (
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    # A name with a bit string where none may be.
    TypeError,
    # The library remarks on oddities (a country of three letters); some processes make errors of that.
    Warning,
)


def read(look: Callable[[], T]) -> T:
    """Return what ``look`` finds in a certificate or list, with one kind of error for all that it may hit.

    The library reads late: names and extensions are parsed when they are asked for, so that everything
    that asks for them does it in here.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return look()
    except _FOREIGN as error:
        raise ValueError(str(error)) from error


def load(der: bytes) -> x509.Certificate:
    """Return the certificate in ``der``, whose names and extensions are not looked at yet.

    Raises:
        ValueError: it is none, is too large, or something stands behind it.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise ValueError("the certificate is too large")
    return read(lambda: x509.load_der_x509_certificate(der))


def load_bundle(pem: bytes) -> tuple[bytes, ...]:
    """Return the DER of every certificate in a PEM bundle, each once, in order.

    Raises:
        ValueError: it has none, or something that is none.
    """
    found = read(lambda: x509.load_pem_x509_certificates(pem))
    return tuple(dict.fromkeys(one.public_bytes(Encoding.DER) for one in found))


def usable_key(certificate: x509.Certificate) -> PublicKey:
    """Return the key, if it is of a kind and size that is accepted anywhere here.

    Raises:
        ValueError: it is not; the text says what it is.
    """
    key = read(certificate.public_key)
    if isinstance(key, RSAPublicKey):
        # A key that its certificate reserves for PSS may not verify anything else (RFC 4055 §1.2).
        if certificate.public_key_algorithm_oid != PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5:
            raise ValueError("RSA for PSS alone")
        exponent = key.public_numbers().e
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS or exponent.bit_length() > MAX_RSA_EXPONENT_BITS:
            raise ValueError(f"RSA with {key.key_size} bits and an exponent of {exponent.bit_length()}")
        return key
    if isinstance(key, EllipticCurvePublicKey):
        if not isinstance(key.curve, CURVES):
            raise ValueError(f"the curve {key.curve.name}")  # noqa: TRY004 - the key is wrong, not its type
        return key
    if isinstance(key, MlDsaKey):
        return key
    raise ValueError("another kind of key")


def kind_of(key: PublicKey) -> str:
    """Return how the names of algorithms call a key's kind."""
    if isinstance(key, RSAPublicKey):
        return "RSA"
    return "ECDSA" if isinstance(key, EllipticCurvePublicKey) else "MLDSA"


def extensions_of(certificate: x509.Certificate) -> Extensions:
    """Return a certificate's extensions.

    Raises:
        ValueError: they cannot be read.
    """
    return {type(one.value): one.value for one in read(lambda: certificate.extensions)}


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """Return one extension's value, or ``None``.

    Raises:
        ValueError: the extensions cannot be read.
    """
    for one in read(lambda: certificate.extensions):
        if one.oid == kind.oid and isinstance(one.value, kind):
            return one.value
    return None


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 (hex) of a certificate's DER."""
    return sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def name_digest(name: x509.Name) -> str:
    """Return the SHA-256 (hex) of a name's DER: how revocation lists and certificates find each other.

    Raises:
        ValueError: the name cannot be written.
    """
    return sha256(read(name.public_bytes)).hexdigest()


AUTHORITY_RULES: Mapping[str, str] = MappingProxyType(
    {
        "authority-malformed": "this is not a certificate that can be read",
        "authority-version": "it is not X.509 v3",
        "authority-not-ca": "its basicConstraints do not say that it is a certificate authority",
        "authority-key-usage": "its keyUsage is missing or lacks keyCertSign",
        "authority-key": "its key is none of RSA with 2048 to 8192 bits, P-256, P-384, P-521 and ML-DSA",
        "authority-signature-weak": "it was signed with a weaker hash than SHA-256, or an unknown algorithm",
        "authority-subject": "it has no subject",
        "authority-name-constraints": "it constrains directory names, which cannot be checked here",
    }
)
"""Why a certificate may not stand at a trust anchor, as a sentence to go on with."""


def authority_problem(der: bytes) -> str | None:
    """Return the key of ``AUTHORITY_RULES`` that a trust anchor's certificate breaks, or ``None``.

    Times are not looked at: an anchor may be declared before it begins, and every path is checked
    against its end. That its certificates belong to nobody but the operator cannot be seen from them.
    """
    try:
        certificate = load(der)
        constraints = extension(certificate, x509.BasicConstraints)
        usage = extension(certificate, x509.KeyUsage)
        names = extension(certificate, x509.NameConstraints)
        has_subject = bool(read(lambda: list(certificate.subject)))
    except ValueError:
        return "authority-malformed"
    try:
        usable_key(certificate)
        key_is_usable = True
    except ValueError:
        key_is_usable = False
    rules = {
        "authority-version": certificate.version is x509.Version.v3,
        "authority-not-ca": constraints is not None and constraints.ca,
        "authority-key-usage": usage is not None and usage.key_cert_sign,
        "authority-key": key_is_usable,
        "authority-signature-weak": certificate.signature_algorithm_oid in STRONG_SIGNATURES,
        "authority-subject": has_subject,
        "authority-name-constraints": names is None or not constrains_directory_names(names),
    }
    return next((rule for rule, kept in rules.items() if not kept), None)


def constrains_directory_names(constraints: x509.NameConstraints) -> bool:
    """Tell whether name constraints speak of directory names, which the path builder does not apply."""
    subtrees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    return any(isinstance(one, x509.DirectoryName) for one in subtrees)
