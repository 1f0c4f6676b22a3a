"""Whose certificate it is: names in a certificate as attributes that conditions and tags look at.

Keys are IAM Roles Anywhere's fields in this project's spelling: ``x509:Subject/CN``,
``x509:Issuer/O``, ``x509:SAN/DNS``, ``x509:SAN/URI``, ``x509:SAN/Name/CN``, ``x509:Serial``. A part of
a name that a certificate has once is a string; one that it repeats is a list, in the certificate's
order, which conditions for one value never match. What may not be taken for text at all makes the
certificate unusable: a name with a line end or a zero in it is an attack, or will be.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.oid import NameOID

from sallyport.model import JsonValue
from sallyport.proof.certificates import Extensions, read

MAX_SUBJECT_BYTES = 1_024
"""As for tokens: a DynamoDB key ends at 2,048 bytes, and a name that long is nobody's."""

MAX_VALUES = 100
"""Parts of all names in one certificate together. Those with hundreds of host names are for servers."""

MAX_VALUE_CHARS = 1_024
"""The longest URI that SPIFFE allows has 2,048 bytes; nobody's has a quarter of it."""

SPECIFIERS: Mapping[x509.ObjectIdentifier, str] = MappingProxyType(
    {
        NameOID.COMMON_NAME: "CN",
        NameOID.SURNAME: "SN",
        NameOID.SERIAL_NUMBER: "SERIALNUMBER",
        NameOID.COUNTRY_NAME: "C",
        NameOID.LOCALITY_NAME: "L",
        NameOID.STATE_OR_PROVINCE_NAME: "ST",
        NameOID.STREET_ADDRESS: "STREET",
        NameOID.ORGANIZATION_NAME: "O",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
        NameOID.TITLE: "T",
        NameOID.GIVEN_NAME: "GN",
        NameOID.USER_ID: "UID",
        NameOID.DOMAIN_COMPONENT: "DC",
        NameOID.EMAIL_ADDRESS: "E",
    }
)
"""How parts of names are called; others by their object identifier (``x509:Subject/2.5.4.97``)."""

MANY_NAMES = "san-names-beyond-the-first"
"""Noted when a certificate has several directory names as alternatives: as at AWS, the first counts."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a certificate says of its holder and its issuer.

    ``subject`` and ``issuer`` are written after RFC 4514, which escapes what could be taken for another
    part; ``serial`` is in lower-case hex with an even number of digits.
    """

    subject: str
    issuer: str
    serial: str
    attributes: Mapping[str, JsonValue]
    notes: tuple[str, ...] = ()


def serial_hex(serial: int) -> str:
    """Return a serial number in lower-case hex, with an even number of digits."""
    return serial.to_bytes(max(1, (serial.bit_length() + 7) // 8), "big").hex()


def read_names(certificate: x509.Certificate, extensions: Extensions) -> Names:
    """Return the names in a certificate, all of which are text.

    Args:
        certificate: whose they are.
        extensions: its own, from ``extensions_of``.

    Raises:
        ValueError: one cannot be read, is too long or has control characters.
    """
    return read(lambda: _names(certificate, extensions))


def _names(certificate: x509.Certificate, extensions: Extensions) -> Names:
    hosts: list[x509.GeneralName] = []
    uris: list[x509.GeneralName] = []
    directory: list[x509.GeneralName] = []
    kinds: Mapping[type[x509.GeneralName], list[x509.GeneralName]] = {
        x509.DNSName: hosts,
        x509.UniformResourceIdentifier: uris,
        x509.DirectoryName: directory,
    }
    alternatives = extensions.get(x509.SubjectAlternativeName)
    if isinstance(alternatives, x509.SubjectAlternativeName):
        for one in alternatives:
            if (same := kinds.get(type(one))) is not None:
                same.append(one)
    serial = serial_hex(certificate.serial_number)
    pairs = [
        *_parts("x509:Subject/", certificate.subject),
        *_parts("x509:Issuer/", certificate.issuer),
        *[("x509:SAN/DNS", one.value) for one in hosts],
        *[("x509:SAN/URI", one.value) for one in uris],
        *[pair for one in directory[:1] for pair in _parts("x509:SAN/Name/", one.value)],
        ("x509:Serial", serial),
    ]
    subject = certificate.subject.rfc4514_string()
    issuer = certificate.issuer.rfc4514_string()
    if len(pairs) > MAX_VALUES or _unfit([value for _, value in pairs]):
        raise ValueError("a name is too long or has control characters")
    if len(subject.encode()) > MAX_SUBJECT_BYTES:
        raise ValueError("the subject is too long")
    return Names(
        subject=subject,
        issuer=issuer,
        serial=serial,
        attributes=MappingProxyType(_grouped(pairs)),
        notes=(MANY_NAMES,) if len(directory) > 1 else (),
    )


def _parts(prefix: str, name: x509.Name) -> Iterable[tuple[str, str]]:
    for part in name:
        if not isinstance(part.value, str):
            # X.500's unique identifier is bits, and has no spelling that could be compared.
            raise ValueError("a part of a name is not text")  # noqa: TRY004 - a broken document
        yield prefix + (SPECIFIERS.get(part.oid) or part.oid.dotted_string), part.value


def _unfit(values: Sequence[str]) -> bool:
    return max(map(len, values)) > MAX_VALUE_CHARS or _CONTROL.search("".join(values)) is not None


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, JsonValue]:
    """Return each key with its value, or with the list of its values."""
    found: dict[str, list[JsonValue]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}
