"""An issuer's keys (RFC 7517): bytes in, the keys that may verify a signature out.

Nothing is fetched, and no key is used for anything here. A key that cannot be used (another kind,
another purpose, too small, broken) is left out, because issuers add kinds that verifiers do not
know yet; a document that is not a key set is refused.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from sallyport.errors import UnavailableError
from sallyport.model import JsonValue
from sallyport.proof import base64url, strict_json

MAX_DOCUMENT_BYTES = 512 * 1024
"""The largest key sets in the wild (with certificate chains) are some tens of kilobytes."""

MAX_KEYS = 200
"""STS stops at 100 RSA and 100 EC keys. With the largest keys, ``dump_jwks`` stays below the 400 KB
that a DynamoDB item may have."""

MAX_KID_CHARS = 256
"""Key ids are thumbprints or GUIDs; this leaves room for URLs."""

MIN_RSA_BITS = 2048
"""RFC 7518 §3.3."""

MAX_RSA_BITS = 8192
"""Verification grows with the square of it; nobody issues with more."""

MAX_RSA_EXPONENT_BITS = 64
"""OpenSSL's own limit for large moduli: a longer exponent makes one verification cost milliseconds."""

Kty = Literal["RSA", "EC"]


@dataclass(frozen=True, slots=True)
class Curve:
    """An elliptic curve of RFC 7518 §6.2.1.1, its octets per coordinate and its one algorithm (§3.4)."""

    curve: type[EllipticCurve]
    octets: int
    alg: str


CURVES: dict[str, Curve] = {
    "P-256": Curve(SECP256R1, 32, "ES256"),
    "P-384": Curve(SECP384R1, 48, "ES384"),
    "P-521": Curve(SECP521R1, 66, "ES512"),
}
RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512"})


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One usable public key. ``alg`` is the algorithm that the issuer reserved it for, if it did."""

    kid: str | None
    kty: Kty
    alg: str | None
    key: RSAPublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of one issuer. No two have the same ``kid``. May be empty, which verifies nothing."""

    keys: tuple[VerificationKey, ...]


def parse_jwks(document: bytes | str) -> KeySet:
    """Return the keys of a JWK Set (RFC 7517 §5) that may verify a signature.

    Two different keys under one ``kid`` make that ``kid`` unusable: which of them a token means
    would be the token's choice.

    Raises:
        UnavailableError: ``keys-malformed``, it is no key set or a too large one.
    """
    data = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
    if len(data) > MAX_DOCUMENT_BYTES:
        raise UnavailableError("keys-malformed", f"the key set is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        members = strict_json.parse_object(data).get("keys")
    except ValueError as error:
        raise UnavailableError("keys-malformed", f"the key set is not strict JSON: {error}") from error
    if not isinstance(members, list):
        raise UnavailableError("keys-malformed", "the key set has no list of keys")
    if len(members) > MAX_KEYS:
        raise UnavailableError("keys-malformed", f"the key set has more than {MAX_KEYS} keys")
    return KeySet(_without_ambiguous([key for member in members if (key := _usable(member)) is not None]))


def dump_jwks(keys: KeySet) -> str:
    """Return ``keys`` as a JWK Set that ``parse_jwks`` reads back, with nothing that it would not look at."""
    return json.dumps({"keys": [_members(key) for key in keys.keys]}, separators=(",", ":"))


def _without_ambiguous(keys: list[VerificationKey]) -> tuple[VerificationKey, ...]:
    """Return each key once, and none whose ``kid`` another key has as well (RFC 7517 §4.5)."""
    distinct = {json.dumps(_members(key)): key for key in keys}.values()
    shared = {
        kid for kid, count in Counter(key.kid for key in distinct).items() if kid is not None and count > 1
    }
    return tuple(key for key in distinct if key.kid not in shared)


def _usable(member: JsonValue) -> VerificationKey | None:
    """Return the key in ``member``, or ``None`` if it may not verify signatures (RFC 7517 §4)."""
    if not isinstance(member, dict):
        return None
    kid, kty, alg = member.get("kid"), member.get("kty"), member.get("alg")
    if not (kid is None or (isinstance(kid, str) and 0 < len(kid) <= MAX_KID_CHARS)):
        return None
    if not isinstance(kty, str) or kty not in _BUILDERS or not _for_signatures(member):
        return None
    try:
        key, algorithms = _BUILDERS[kty](member)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if alg is not None and (not isinstance(alg, str) or alg not in algorithms):
        return None
    return VerificationKey(kid, "RSA" if kty == "RSA" else "EC", alg, key)


def _for_signatures(member: Mapping[str, JsonValue]) -> bool:
    """Say whether the issuer means the key for verifying signatures, and has kept its secret.

    ``use`` and ``key_ops`` (RFC 7517 §4.2, §4.3) are what PyJWT does not look at. A private
    exponent in a public document means that everybody can sign.
    """
    operations = member.get("key_ops", ["verify"])
    return (
        member.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in member
    )


def _rsa(member: Mapping[str, JsonValue]) -> tuple[RSAPublicKey, frozenset[str]]:
    """RFC 7518 §6.3.1."""
    modulus, exponent = _integer(member, "n"), _integer(member, "e")
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or modulus % 2 == 0:
        raise ValueError("the modulus is too small, too large or even")
    if exponent < 3 or exponent % 2 == 0 or exponent.bit_length() > MAX_RSA_EXPONENT_BITS:  # noqa: PLR2004  (the least odd prime)
        raise ValueError("the exponent is trivial, even or too large")
    return RSAPublicNumbers(exponent, modulus).public_key(), RSA_ALGORITHMS


def _ec(member: Mapping[str, JsonValue]) -> tuple[EllipticCurvePublicKey, frozenset[str]]:
    """RFC 7518 §6.2.1. That the point is on the curve is checked by ``public_key()``."""
    name = member.get("crv")
    if not isinstance(name, str) or name not in CURVES:
        raise ValueError("the curve is unknown")
    curve = CURVES[name]
    x, y = _integer(member, "x", octets=curve.octets), _integer(member, "y", octets=curve.octets)
    return EllipticCurvePublicNumbers(x, y, curve.curve()).public_key(), frozenset({curve.alg})


_BUILDERS: dict[
    str, Callable[[Mapping[str, JsonValue]], tuple[RSAPublicKey | EllipticCurvePublicKey, frozenset[str]]]
] = {"RSA": _rsa, "EC": _ec}


def _integer(member: Mapping[str, JsonValue], name: str, *, octets: int | None = None) -> int:
    """Return a Base64urlUInt (RFC 7518 §2), or a coordinate of exactly ``octets``."""
    text = member.get(name)
    if not isinstance(text, str):
        raise ValueError(f"{name} is missing")  # noqa: TRY004  (a broken document, not a broken program)
    data = base64url.decode(text)
    if octets is not None and len(data) != octets:
        raise ValueError(f"{name} has the wrong length")
    return int.from_bytes(data, "big")


def _members(key: VerificationKey) -> dict[str, str]:
    """Return the key as a JWK, each number in its shortest legal form."""
    members: dict[str, str] = {"kty": key.kty, "use": "sig"}
    if key.kid is not None:
        members["kid"] = key.kid
    if key.alg is not None:
        members["alg"] = key.alg
    if isinstance(key.key, RSAPublicKey):
        numbers = key.key.public_numbers()
        return members | {"n": _text(numbers.n), "e": _text(numbers.e)}
    point = key.key.public_numbers()
    name, curve = next(
        (name, curve) for name, curve in CURVES.items() if isinstance(point.curve, curve.curve)
    )
    return members | {"crv": name, "x": _text(point.x, curve.octets), "y": _text(point.y, curve.octets)}


def _text(number: int, octets: int | None = None) -> str:
    return base64url.encode(number.to_bytes(octets or (number.bit_length() + 7) // 8, "big"))
