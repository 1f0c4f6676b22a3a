"""Proofs that nobody made: tokens signed with a key of this process, certificates without a request.

For simulations alone, and therefore in the command and not in what is deployed. What is presumed is the
issuer's signature, or that whoever asks holds the certificate's key; everything else is looked at by the
verifiers that are deployed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from sallyport.keys import StoredKeys
from sallyport.model import Identity, JsonValue, OidcAnchor, X509Anchor
from sallyport.proof import base64url
from sallyport.proof.certificate_path import find_path
from sallyport.proof.certificates import fingerprint, name_digest
from sallyport.proof.crl import Link
from sallyport.proof.jwks import KeySet, VerificationKey, dump_jwks
from sallyport.proof.oidc import UnverifiedToken, parse
from sallyport.proof.x509 import VerifiedChain, check_leaf, identify
from sallyport.revocation import Revocations

KEY_ID: Final = "presumed"
"""The key id of tokens that are made here."""

_CURVES: Final[Mapping[str, type[ec.EllipticCurve]]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}
_HASHES: Final = {"256": "SHA256", "384": "SHA384", "512": "SHA512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PresumedKeys:
    """Keys as the keys table would hold them, times in epoch seconds."""

    issuer: str
    jwks: str
    fetched_at: int
    asked_at: int = 0


def presumed_signature(token: str) -> str:
    """Return a token with this process's own signature in the place of its issuer's.

    Raises:
        ProofError: it has not the form of a token; what is wrong with its signature's form is said as well.
    """
    found = parse(token)
    signing_input = found.signing_input.decode("ascii")
    return f"{signing_input}.{base64url.encode(_signature(found))}"


def presumed_keys(token: str, anchor: OidcAnchor, now: datetime) -> StoredKeys:
    """Return the keys under which ``presumed_signature`` verifies, as if they had just been fetched."""
    found = parse(token)
    key = _key(found.alg).public_key()
    is_ec = isinstance(key, ec.EllipticCurvePublicKey)
    keys = KeySet((VerificationKey(found.kid, "EC" if is_ec else "RSA", None, key),))
    return PresumedKeys(issuer=anchor.issuer, jwks=dump_jwks(keys), fetched_at=int(now.timestamp()))


def token_of(claims: Mapping[str, JsonValue], algorithm: str) -> str:
    """Return a token with these claims, whose signature ``presumed_signature`` has yet to make."""
    header = {"alg": algorithm, "kid": KEY_ID, "typ": "JWT"}
    parts = [base64url.encode(json.dumps(part).encode()) for part in (header, dict(claims))]
    # A token without any signature has no legal form.
    return ".".join([*parts, base64url.encode(b"none")])


def presumed_holder(
    leaf: x509.Certificate,
    others: tuple[x509.Certificate, ...],
    anchor: X509Anchor,
    revocations: Revocations,
    now: datetime,
) -> Identity:
    """Return who a request would be of, if the certificate's key had signed one.

    Args:
        leaf: the certificate.
        others: what a client would send with it.
        anchor: which must vouch for it.
        revocations: what is known of revocation.
        now: the time.

    Raises:
        ProofError: no request with this certificate would be accepted.
        UnavailableError: a revocation list is missing or late, and the anchor minds.
    """
    names, _ = check_leaf(leaf, leaf.serial_number, anchor, now)
    has_mail = "x509:Subject/E" in names.attributes
    path = find_path(leaf, others, anchor, now, has_mail=has_mail)
    chain = VerifiedChain(
        anchor=anchor,
        leaf=leaf,
        names=names,
        links=tuple(Link(name_digest(one.issuer), one.serial_number) for one in path[:-1]),
        signed_at=now,
        digest=hashlib.sha256(b"presumed " + fingerprint(leaf).encode()).hexdigest(),
        notes=names.notes,
    )
    states = revocations.states(anchor)
    return identify(chain, states, revocations.revoked(anchor, states, chain.links), now)


def _signature(token: UnverifiedToken) -> bytes:
    key = _key(token.alg)
    if isinstance(key, rsa.RSAPrivateKey):
        # An algorithm that nobody may use is refused before anybody looks at the signature.
        hashed = _HASHES.get(token.alg[-3:], "SHA256")
        return RSAAlgorithm(getattr(RSAAlgorithm, hashed)).sign(token.signing_input, key)
    hashed = _HASHES[token.alg[-3:]]
    return ECAlgorithm(getattr(ECAlgorithm, hashed)).sign(token.signing_input, key)


@cache
def _key(algorithm: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
