"""A certificate and its private key, read from where people keep them, and checked before use.

PEM (PKCS #1, SEC 1, PKCS #8 with and without a password) and PKCS #12. What is wrong is said in one
sentence that never shows the key, its password or what a file holds.
"""

import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

from sallyport.model import Secret
from sallyport.proof.certificates import PublicKey, kind_of, read, usable_key
from sallyport_cli.failure import CommandError
from sallyport_cli.open_file import read_bytes
from sallyport_cli.output import shown

MAX_FILE_BYTES: Final = 1_048_576
"""A bundle of certificates has some thousands; more is another file by mistake."""

MAX_CHAIN: Final = 5
"""What an exchange, and AWS, take besides the certificate itself."""

ALGORITHMS: Final = {
    "RSA": "AWS4-X509-RSA-SHA256",
    "ECDSA": "AWS4-X509-ECDSA-SHA256",
    "MLDSA": "AWS4-X509-MLDSA",
}
"""How a kind of key is declared. Clients sign with SHA-256 whatever the certificate's own hash is."""

_PRIVATE: Final = re.compile(
    rb"-----BEGIN (?P<label>(?:[A-Z0-9]+ )*PRIVATE KEY)-----.+?-----END (?P=label)-----", re.DOTALL
)
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What was given: bytes of files, or of standard input and environment. Shows no secret.

    Args:
        certificate: PEM: the certificate and behind it, if there are any, its intermediates.
        private_key: PEM; may be in a file with other things.
        pkcs12: both of them in one container instead.
        intermediates: PEM, in any order.
        password: of the key or the container.
    """

    # Somebody's one file for everything has the key in it as well.
    certificate: bytes = field(default=b"", repr=False)
    private_key: bytes = field(default=b"", repr=False)
    pkcs12: bytes = field(default=b"", repr=False)
    intermediates: bytes = field(default=b"", repr=False)
    password: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """A certificate with which requests can be signed; the key stays behind ``sign``.

    ``chain`` are the certificates that are sent along, each once, without the leaf and without those
    that sign themselves: an exchange has its own.
    """

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)

    def describe(self) -> str:
        """Return the certificate's subject, number and end, for people."""
        return (
            f"{shown(read(self.leaf.subject.rfc4514_string))}, serial {self.leaf.serial_number:x}, "
            f"until {self.leaf.not_valid_after_utc:%Y-%m-%d %H:%M}Z"
        )


def read_file(path: Path, what: str) -> bytes:
    """Return a file's bytes.

    Args:
        path: the file.
        what: how it is called in a sentence, such as "the certificate".

    Raises:
        CommandError: it cannot be read, is empty or much too large.
    """
    try:
        data = read_bytes(path, MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name is not one"
        raise CommandError(
            "file-unreadable",
            f"{what.capitalize()} cannot be read from {shown(path)}: {reason}.",
            cure="Check the path and who may read it.",
        ) from None
    if not 0 < len(data) <= MAX_FILE_BYTES:
        raise CommandError(
            "file-size",
            f"The file {shown(path)} is {'empty' if not data else 'too large'}, so it is not {what}.",
            cure="Check the path.",
        )
    return data


def readable_by_everybody(path: Path) -> bool:
    """Tell whether every user of this machine may read a file. Where modes say nothing, no."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)


def load_with_signer(
    material: Material, open_key: Callable[[str], Callable[[bytes], bytes]], now: datetime
) -> ClientIdentity:
    """Return a certificate whose key is where it cannot be read.

    Args:
        material: certificate and intermediates.
        open_key: is told what kind of key it is (``RSA``, ``ECDSA``), and returns what signs with it.
        now: the time.

    Raises:
        CommandError: as ``load_identity``, or the key does not sign for this certificate.
    """
    leaf, *others = _certificates(material.certificate, "certificate")
    if material.intermediates:
        others = [*others, *_certificates(material.intermediates, "intermediates")]
    kind = _kind(leaf)
    _check_time(leaf, now)
    sign = open_key(kind)
    _check_signature(leaf, kind, sign)
    return ClientIdentity(leaf=leaf, chain=_chain(leaf, others), algorithm=ALGORITHMS[kind], sign=sign)


def load_identity(material: Material, now: datetime) -> ClientIdentity:
    """Return a certificate ready to sign with.

    Raises:
        CommandError: something cannot be read, does not belong together, or would be refused anyway.
    """
    if material.pkcs12:
        private, certificates = _container(material)
    else:
        certificates = _certificates(material.certificate, "certificate")
        private = _private_key(material)
    leaf, others = certificates[0], certificates[1:]
    if material.intermediates:
        others = [*others, *_certificates(material.intermediates, "intermediates")]
    kind = _kind(leaf)
    _check_pair(leaf, others, private)
    _check_time(leaf, now)
    chain = _chain(leaf, others)
    return ClientIdentity(leaf=leaf, chain=chain, algorithm=ALGORITHMS[kind], sign=_signer(private))


# --- reading ---------------------------------------------------------------------------------------


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    # A file may have text and keys around its certificates.
    blocks = _CERTIFICATE.findall(pem)
    try:
        found = read(lambda: [x509.load_pem_x509_certificate(block) for block in blocks])
    except ValueError:
        found = []
    if not found:
        raise CommandError(
            f"{what}-malformed",
            f"What was given as --{what} has no certificate in PEM that can be read.",
            cure="PEM begins with -----BEGIN CERTIFICATE-----; "
            "convert DER with `openssl x509 -inform der`, and give PKCS #12 with --pkcs12.",
        )
    return found


def _private_key(material: Material) -> Any:  # noqa: ANN401 - the library's key classes have no common one
    blocks = list(_PRIVATE.finditer(material.private_key))
    if len(blocks) != 1:
        raise CommandError(
            "private-key-malformed",
            f"What was given as --private-key has {len(blocks) or 'no'} private keys in PEM, not one.",
            cure="Give a file with one -----BEGIN … PRIVATE KEY----- block.",
        )
    block = blocks[0][0]
    encrypted = b"ENCRYPTED" in blocks[0]["label"] or b"Proc-Type: 4,ENCRYPTED" in block
    password = _password(material) if encrypted else None
    if encrypted and password is None:
        raise _no_password("The private key")
    try:
        return load_pem_private_key(block, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's words could show parts of what it read.
        raise _unreadable("private key", encrypted=encrypted) from None


def _container(material: Material) -> tuple[Any, list[x509.Certificate]]:
    password = _password(material)
    try:
        private, leaf, others = pkcs12.load_key_and_certificates(material.pkcs12, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if password is None:
            raise _no_password("The PKCS #12 file") from None
        raise _unreadable("PKCS #12 file", encrypted=True) from None
    if private is None or leaf is None:
        missing = "private key" if private is None else "certificate that belongs to its key"
        raise CommandError(
            "pkcs12-incomplete",
            f"The PKCS #12 file has no {missing}.",
            cure="Export it again, with the certificate and its private key.",
        )
    return private, [leaf, *others]


def _password(material: Material) -> bytes | None:
    return None if material.password is None else material.password.reveal().encode()


def _no_password(what: str) -> CommandError:
    return CommandError(
        "password-missing",
        f"{what} is encrypted, and there is no password.",
        cure="Give --private-key-password-file, or set SALLYPORT_PRIVATE_KEY_PASSWORD.",
    )


def _unreadable(what: str, *, encrypted: bool) -> CommandError:
    because = (
        "the password is wrong, or it is damaged" if encrypted else "it is damaged or of an unknown kind"
    )
    tool = "pkey" if what == "private key" else "pkcs12"
    return CommandError(
        "private-key-unreadable",
        f"The {what} cannot be read: {because}.",
        cure=f"Try it with `openssl {tool} -noout -in <file>`.",
    )


# --- checking --------------------------------------------------------------------------------------


def _kind(leaf: x509.Certificate) -> str:
    try:
        return kind_of(usable_key(leaf))
    except ValueError as error:
        raise CommandError(
            "key-unusable",
            f"The certificate's key is {shown(error)}, which no exchange takes.",
            cure="Use RSA with 2048 to 8192 bits, P-256, P-384, P-521 or ML-DSA.",
        ) from None


def _check_pair(leaf: x509.Certificate, others: Sequence[x509.Certificate], private: Any) -> None:  # noqa: ANN401 - keys have no common class
    if _belongs(leaf, private):
        return
    place = next((at for at, one in enumerate(others, 2) if _belongs(one, private)), None)
    raise CommandError(
        "key-mismatch",
        "The private key does not belong to the certificate.",
        cure="Give the pair that was issued together."
        if place is None
        else f"It belongs to certificate number {place}, which must stand before its intermediates.",
    )


def _check_signature(leaf: x509.Certificate, kind: str, sign: Callable[[bytes], bytes]) -> None:
    probe = b"does this key belong to that certificate"
    public: Any = usable_key(leaf)
    try:
        if kind == "RSA":
            public.verify(sign(probe), probe, PKCS1v15(), SHA256())
        else:
            public.verify(sign(probe), probe, ECDSA(SHA256()))
    except InvalidSignature:
        raise CommandError(
            "key-mismatch",
            "The private key does not belong to the certificate.",
            cure="Give the certificate that was issued for the token's key.",
        ) from None


def _belongs(certificate: x509.Certificate, private: Any) -> bool:  # noqa: ANN401 - keys have no common class
    try:
        public: PublicKey = usable_key(certificate)
        return bool(public == private.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return False


def _check_time(leaf: x509.Certificate, now: datetime) -> None:
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begins:
        raise CommandError(
            "certificate-not-yet-valid",
            f"The certificate is not valid before {begins:%Y-%m-%d %H:%M:%S}Z; this machine says it is "
            f"{now:%Y-%m-%d %H:%M:%S}Z.",
            cure="Check this machine's clock, or wait.",
        )
    if now > ends:
        raise CommandError(
            "certificate-expired",
            f"The certificate expired at {ends:%Y-%m-%d %H:%M:%S}Z; this machine says it is "
            f"{now:%Y-%m-%d %H:%M:%S}Z.",
            cure="Renew the certificate; if it should be valid, check this machine's clock.",
        )


def _chain(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    unique = {one.public_bytes(Encoding.DER): one for one in others}
    unique.pop(leaf.public_bytes(Encoding.DER), None)
    chain = tuple(one for one in unique.values() if not _signs_itself(one))
    if len(chain) > MAX_CHAIN:
        raise CommandError(
            "chain-too-long",
            f"There are {len(chain)} intermediates, and a request may bring {MAX_CHAIN}.",
            cure="Give those between the certificate and the trust anchor alone, or keep them at the anchor "
            "(`intermediates` in the trust file).",
        )
    return chain


def _signs_itself(certificate: x509.Certificate) -> bool:
    try:
        read(lambda: certificate.verify_directly_issued_by(certificate))
    except (ValueError, InvalidSignature):
        return False
    return True


def _signer(private: Any) -> Callable[[bytes], bytes]:  # noqa: ANN401 - keys have no common class
    if isinstance(private, RSAPrivateKey):
        return lambda data: private.sign(data, PKCS1v15(), SHA256())
    if isinstance(private, EllipticCurvePrivateKey):
        return lambda data: private.sign(data, ECDSA(SHA256()))
    # ML-DSA: pure, without context. Nothing else has a usable certificate.
    sign: Callable[[bytes], bytes] = private.sign
    return sign
