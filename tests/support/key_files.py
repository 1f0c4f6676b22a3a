"""Certificates and keys as files have them."""

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from tests.support.pki import Holder


def pem(*holders: Holder) -> bytes:
    """Return certificates in PEM, one behind the other."""
    return b"".join(one.certificate.public_bytes(Encoding.PEM) for one in holders)


def private_pem(
    holder: Holder, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes | None = None
) -> bytes:
    """Return a private key in PEM: PKCS #8, or the form that its kind traditionally has."""
    protection = NoEncryption() if password is None else BestAvailableEncryption(password)
    data: bytes = holder.key.private_bytes(Encoding.PEM, form, protection)
    return data


def container(holder: Holder, *others: Holder, password: bytes | None = None) -> bytes:
    """Return certificate, key and further certificates in PKCS #12."""
    protection = NoEncryption() if password is None else BestAvailableEncryption(password)
    rest = [one.certificate for one in others]
    return pkcs12.serialize_key_and_certificates(b"x", holder.key, holder.certificate, rest, protection)
