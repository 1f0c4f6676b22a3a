"""Which certificates may stand at a trust anchor, and what is said of those that may not.

Only ``compile_trust`` needs this module: what it lets through is stored as DER.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from sallyport.proof.certificates import (
    AUTHORITY_RULES,
    authority_problem,
    extension,
    fingerprint,
    load,
    load_bundle,
    read,
)
from sallyport.trust.limits import MAX_BUNDLE_BYTES
from sallyport.trust.problems import Problems, refuse

_CURES: Final[Mapping[str, str]] = {
    "authority-malformed": "have the authority issue another one",
    "authority-version": "have the authority issue another one",
    "authority-not-ca": "name the certificate of the authority that issued it; IAM Roles Anywhere's words "
    "for this are: Incorrect basic constraints for CA certificate",
    "authority-key-usage": "have it issued with key usage keyCertSign, and with cRLSign for revocation lists",
    "authority-key": "use an authority with another key",
    "authority-signature-weak": "have it issued with SHA-256 or stronger",
    "authority-subject": "use an authority that has a name",
    "authority-name-constraints": "use an authority without such constraints",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What people are told of a certificate at a trust anchor; times are in UTC."""

    subject: str
    fingerprint: str
    not_before: datetime
    not_after: datetime


def describe(der: bytes) -> Authority:
    """Return what to tell of a certificate that ``authorities`` let through.

    Nothing is refused here or there for its time: compiling knows none. Who validates a trust file for
    people compares ``not_after`` with theirs.

    Raises:
        ValueError: it is none.
    """
    certificate = load(der)
    return Authority(
        subject=read(certificate.subject.rfc4514_string),
        fingerprint=fingerprint(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def authorities(name: str, files: Mapping[str, bytes]) -> tuple[bytes, ...]:
    """Return the DER of every certificate in a PEM file, each once.

    Args:
        name: the file, as the trust file writes it.
        files: the contents of files by such names.

    Raises:
        TrustFileError: there is no such file, or something in it may not stand at a trust anchor; carries
            every problem found.
    """
    pem = files.get(name)
    if pem is None:
        raise refuse(
            f"the file {name!r} was not read", "put it where the trust file says, relative to the trust file"
        )
    if len(pem) > MAX_BUNDLE_BYTES:
        raise refuse(
            f"{name!r} has more than {MAX_BUNDLE_BYTES:,} bytes",
            "leave out what stands between the certificates, or use several trust anchors",
        )
    if b"PRIVATE KEY-----" in pem:
        raise refuse(
            f"{name!r} contains a private key",
            "keep the key where the authority is, and only certificates in this file",
        )
    try:
        found = load_bundle(pem)
    except ValueError:
        raise refuse(
            f"{name!r} is not a file of certificates in PEM",
            "write one block -----BEGIN CERTIFICATE----- after the other "
            "(openssl x509 -inform DER -outform PEM makes one from DER)",
        ) from None
    problems = Problems()
    for number, der in enumerate(found, 1):
        rule = authority_problem(der)
        if rule is not None:
            problems.add(
                (),
                f"certificate {number} in {name!r}{_subject(der)} may not stand at a trust anchor: "
                f"{AUTHORITY_RULES[rule]}",
                _CURES[rule],
            )
    problems.raise_if_any()
    return found


def sign_lists(certificates: Sequence[bytes]) -> bool:
    """Tell whether one of an anchor's certificates may sign revocation lists."""
    return any(usage.crl_sign for usage in _usages(certificates))


def _usages(certificates: Sequence[bytes]) -> Iterator[x509.KeyUsage]:
    for der in certificates:
        usage = extension(load(der), x509.KeyUsage)
        if usage is not None:
            yield usage


def _subject(der: bytes) -> str:
    try:
        return f" ({describe(der).subject})"
    except ValueError:
        return ""
