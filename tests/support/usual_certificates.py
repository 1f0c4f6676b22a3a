"""Certificates as private authorities issue them, for whoever computes how large requests with them are."""

from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.support import pki

TOLERANCE = 120
"""Bytes by which two such requests differ: ECDSA's signatures, numbers, names."""

ROWS = {
    "P-256": ("p-256", "p-256"),
    "P-384": ("p-384", "p-384"),
    "P-521": ("p-521", "p-521"),
    "RSA-2048": ("rsa-2048", "rsa-2048"),
    "RSA-3072": ("rsa-3072", "rsa-3072"),
    "RSA-4096": ("rsa-4096", "rsa-4096"),
    "ML-DSA-44, authority P-256": ("ml-dsa-44", "p-256"),
    "ML-DSA-44": ("ml-dsa-44", "ml-dsa-44"),
    "ML-DSA-65, authority P-256": ("ml-dsa-65", "p-256"),
    "ML-DSA-87, authority P-256": ("ml-dsa-87", "p-256"),
}


def name(common: str) -> x509.Name:
    return pki.name(
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.ORGANIZATION_NAME, "Example Manufacturing GmbH"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Platform Engineering"),
        common,
    )


def usual(common: str) -> list[pki.Extension]:
    address = x509.UniformResourceIdentifier(f"http://pki.example.com/{common}.crl")
    return [
        (x509.SubjectKeyIdentifier(bytes(20)), False),
        (x509.AuthorityKeyIdentifier(bytes(20), None, None), False),
        (x509.CRLDistributionPoints([x509.DistributionPoint([address], None, None, None)]), False),
    ]
