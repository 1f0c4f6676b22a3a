"""A data centre's certificate authority, made on this machine to be thrown away.

A root, an issuing authority below it that signs everything else, their revocation lists, and holders:
one per kind of key, and one for each way of being refused. ``<name>.pem`` is a certificate, with
``<name>-key.pem``, for its owner alone to read; ``root.crl`` and ``issuing.crl`` are the lists.
"""

import ipaddress
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Long enough for a cloud that somebody leaves running; nothing here is worth keeping longer.
LIFE = timedelta(days=30)
# With less than this left, all of it is made anew.
RENEW = timedelta(days=7)
# Everything begins a little earlier: clocks differ.
SKEW = timedelta(hours=1)
# The authorities are older than the holder whose time is over.
AGE = timedelta(days=3)

ROOT: Final = "root"
ISSUING: Final = "issuing"
FRONT_DOOR: Final = "front-door"

# The data centre's names; what a profile asks for is the team.
DOMAIN: Final = "datacenter.example.com"
TEAM: Final = "team-a"
OTHER_TEAM: Final = "team-b"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | mldsa.MLDSA44PrivateKey


@dataclass(frozen=True, slots=True)
class Holder:
    """The files of one certificate and its key."""

    certificate: Path
    key: Path

    @property
    def serial(self) -> int:
        """The certificate's serial number."""
        return self.load().serial_number

    def load(self) -> x509.Certificate:
        """Read the certificate."""
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())

    def load_key(self) -> PrivateKey:
        """Read the key."""
        key = load_pem_private_key(self.key.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | mldsa.MLDSA44PrivateKey):
            raise ValueError("not a kind of key that is made here")  # noqa: TRY004 - the file's content
        return key


@dataclass(frozen=True, slots=True)
class Pki:
    """A folder with all of it."""

    folder: Path

    def holder(self, name: str) -> Holder:
        """Return the files of the certificate of this name."""
        return Holder(self.folder / f"{name}.pem", self.folder / f"{name}-key.pem")

    def revocation_list(self, authority: str) -> Path:
        """Return the file of an authority's revocation list, in PEM."""
        return self.folder / f"{authority}.crl"

    @property
    def root(self) -> Path:
        """The root's certificate: what clients of the front door trust."""
        return self.holder(ROOT).certificate


# Who gets credentials: a holder per kind of key. Their names are the files'.
GOOD: Final[Mapping[str, Callable[[], PrivateKey]]] = {
    "rsa": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ml-dsa-44": mldsa.MLDSA44PrivateKey.generate,
}
EXPIRED: Final = "expired"
REVOKED: Final = "revoked"
STRANGER: Final = "stranger"
OTHER: Final = "other-team"


def ensure(folder: Path, now: datetime | None = None) -> Pki:
    """Return the folder's authority; one that is not there, is not whole or ends soon is made anew."""
    now = now or datetime.now(UTC)
    pki = Pki(folder)
    try:
        if now + RENEW < pki.holder(ROOT).load().not_valid_after_utc:
            return pki
    except (OSError, ValueError):
        # Nothing there yet, or nothing readable.
        pass
    # Made beside its place and moved: what is at its place is whole.
    unfinished = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    _make(Pki(unfinished), now)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return pki


def issue(pki: Pki, name: str, now: datetime | None = None) -> Holder:
    """Have the issuing authority make a certificate for one more holder, with a key on P-256."""
    return _issue(pki, name, GOOD["p256"](), now or datetime.now(UTC))


def revoke(pki: Pki, *names: str, now: datetime | None = None) -> Path:
    """Have the issuing authority publish a newer list, with these holders on it too; returns its file."""
    file = pki.revocation_list(ISSUING)
    listed = [one.serial_number for one in x509.load_pem_x509_crl(file.read_bytes())]
    _publish(pki, ISSUING, [*listed, *(pki.holder(name).serial for name in names)], now or datetime.now(UTC))
    return file


def _make(pki: Pki, now: datetime) -> None:
    root = _authority(pki, ROOT, now)
    _authority(pki, ISSUING, now, by=root)
    for name, make_key in GOOD.items():
        _issue(pki, name, make_key(), now)
    make_key = GOOD["p256"]
    _issue(pki, OTHER, make_key(), now, team=OTHER_TEAM)
    _issue(pki, EXPIRED, make_key(), now, begins=now - timedelta(days=2), ends=now - timedelta(days=1))
    _issue(pki, REVOKED, make_key(), now)
    _issue_server(pki, FRONT_DOOR, now)
    # Says of itself what the holder of `rsa` does; an authority that nobody here trusts says it too.
    _authority(pki, "stranger-root", now)
    _issue(pki, STRANGER, make_key(), now, by="stranger-root", called="rsa")
    _publish(pki, ROOT, [], now)
    _publish(pki, ISSUING, [pki.holder(REVOKED).serial], now)


def _authority(pki: Pki, name: str, now: datetime, by: Holder | None = None) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name((NameOID.COMMON_NAME, f"Data Center {name.replace('-', ' ').title()}"))
    signer = by.load_key() if by else key
    builder = _builder(subject, key, by.load().subject if by else subject, now - AGE, now + LIFE)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=None if by is None else 0), True
    )
    builder = _with_key_ids(builder.add_extension(_usage(authority=True), True), key, signer)
    return _write(pki, name, builder.sign(_ec(signer), hashes.SHA256()), key)


def _issue(  # noqa: PLR0913 - a certificate has many fields
    pki: Pki,
    name: str,
    key: PrivateKey,
    now: datetime,
    *,
    by: str = ISSUING,
    called: str = "",
    team: str = TEAM,
    begins: datetime | None = None,
    ends: datetime | None = None,
) -> Holder:
    host = f"{called or name}.{DOMAIN}"
    subject = _name(
        (NameOID.ORGANIZATION_NAME, "Contoso"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, team),
        (NameOID.COMMON_NAME, host),
    )
    names = [x509.DNSName(host), x509.UniformResourceIdentifier(f"spiffe://{DOMAIN}/{team}/{called or name}")]
    return _end_entity(
        pki,
        name,
        key,
        by=by,
        subject=subject,
        names=names,
        usage=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
        begins=begins or now - SKEW,
        ends=ends or _end(pki),
    )


def _issue_server(pki: Pki, name: str, now: datetime) -> None:
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    holder = _end_entity(
        pki,
        name,
        ec.generate_private_key(ec.SECP256R1()),
        by=ISSUING,
        subject=_name((NameOID.COMMON_NAME, "localhost")),
        names=names,
        usage=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        begins=now - SKEW,
        ends=_end(pki),
    )
    # A server sends its chain: its clients know the root alone.
    chain = holder.certificate.read_bytes() + pki.holder(ISSUING).certificate.read_bytes()
    holder.certificate.write_bytes(chain)


def _end_entity(  # noqa: PLR0913 - a certificate has many fields
    pki: Pki,
    name: str,
    key: PrivateKey,
    *,
    by: str,
    subject: x509.Name,
    names: Sequence[x509.GeneralName],
    usage: x509.ExtendedKeyUsage,
    begins: datetime,
    ends: datetime,
) -> Holder:
    issuer = pki.holder(by)
    signer = issuer.load_key()
    builder = _builder(subject, key, issuer.load().subject, begins, ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(authority=False), True)
    builder = builder.add_extension(usage, False).add_extension(x509.SubjectAlternativeName(names), False)
    builder = _with_key_ids(builder, key, signer)
    return _write(pki, name, builder.sign(_ec(signer), hashes.SHA256()), key)


def _with_key_ids(
    builder: x509.CertificateBuilder, key: PrivateKey, signer: PrivateKey
) -> x509.CertificateBuilder:
    # RFC 5280 §4.2.1.1 and §4.2.1.2; Python's own TLS clients insist on them from 3.13 on.
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(_ec(signer).public_key())
    return builder.add_extension(own, False).add_extension(issuers, False)


def _publish(pki: Pki, authority: str, serials: Sequence[int], now: datetime) -> None:
    issuer = pki.holder(authority)
    builder = x509.CertificateRevocationListBuilder(issuer_name=issuer.load().subject)
    builder = builder.last_update(now).next_update(_end(pki))
    # The time counts up by itself, and nothing has to remember the number before.
    builder = builder.add_extension(x509.CRLNumber(time.time_ns() // 1_000_000), False)
    signer = _ec(issuer.load_key())
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(key_id, False)
    for serial in serials:
        entry = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=now)
        builder = builder.add_revoked_certificate(entry.build())
    signed = builder.sign(signer, hashes.SHA256())
    pki.revocation_list(authority).write_bytes(signed.public_bytes(Encoding.PEM))


def _end(pki: Pki) -> datetime:
    return pki.holder(ROOT).load().not_valid_after_utc


def _builder(
    subject: x509.Name, key: PrivateKey, issuer: x509.Name, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=begins,
        not_valid_after=ends,
    )


def _name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _ec(key: PrivateKey) -> ec.EllipticCurvePrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("authorities sign with keys on P-256")  # noqa: TRY004 - the file's content
    return key


def _write(pki: Pki, name: str, certificate: x509.Certificate, key: PrivateKey) -> Holder:
    holder = pki.holder(name)
    holder.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    holder.key.unlink(missing_ok=True)
    with os.fdopen(os.open(holder.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    return holder
