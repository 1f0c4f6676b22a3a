"""OIDC tokens (RFC 7519) as proof of an outside identity: bytes, anchor, keys and the time in.

``parse`` takes steps (1) to (4) and ``verify`` steps (5) to (12); ``docs/verification.md`` has the
same numbers. Both are pure. The signature itself is PyJWT's work, on the bytes that were received;
everything around it is stricter than a library for everybody can be (RFC 8725), and is ours.

Not done here, and the caller's to do: finding the anchor whose issuer this is, refusing a disabled
one, keeping the keys fresh (``sallyport.keys``), and refusing a second use of a token (``replay_id``).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from sallyport.errors import ProofError
from sallyport.model import Claims, Identity, JsonValue, OidcAnchor, Secret
from sallyport.proof import base64url, strict_json
from sallyport.proof.dialects import RULES
from sallyport.proof.jwks import MAX_KID_CHARS, KeySet, VerificationKey
from sallyport.proof.reasons import REASONS, refusal, shown

LEEWAY = timedelta(seconds=60)
"""How far clocks may differ, for exp, nbf and iat alike. A spent token is kept this much longer."""

MAX_TOKEN_CHARS = 20_000
"""STS's own limit for WebIdentityToken."""

MAX_HEADER_CHARS = 4_096
"""A header has an algorithm, a key id and perhaps a thumbprint; some issuers add a URL."""

MAX_PAYLOAD_CHARS = 18_000
"""What STS's limit leaves beside a usual header and the largest signature."""

MAX_SIGNATURE_CHARS = 1_366
"""The signature of an RSA key of 8,192 bits."""

MAX_ISSUER_CHARS = 255
"""What IAM allows for a provider's URL, and what `validate` allows for an anchor's."""

MAX_TIME = 253_402_300_799 - 86_400
"""A day before the end of the year 9999, which is where datetime ends: whoever adds a leeway has room."""

CLAIMED_CHARS = 256
"""How much of a claim an unverified token may put into a log."""

TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
"""RFC 7519 §5.1 and RFC 9068 §2.1, with the prefix that RFC 7515 §4.1.9 lets producers leave out."""

KEY_HINTS = ("jku", "jwk", "x5u", "x5c")
"""Headers by which a token would choose its own key (RFC 8725 §3.10). Never followed; noted."""

_CLAIMED = ("iss", "sub", "aud", "oid", "tid", "appid", "azp")
_SEPARATORS = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownKeyError(ProofError):
    """No usable key of the issuer has the token's ``kid``: the one refusal that fresh keys may cure."""


@dataclass(frozen=True, slots=True)
class _Rsa:
    """RSASSA-PKCS1-v1_5 (RFC 7518 §3.3), and PyJWT's verifier for it."""

    verifier: RSAAlgorithm


@dataclass(frozen=True, slots=True)
class _Ecdsa:
    """ECDSA (RFC 7518 §3.4) on the one curve that goes with the hash, and PyJWT's verifier for it."""

    verifier: ECAlgorithm
    curve: type[EllipticCurve]


_ALGORITHMS: Mapping[str, _Rsa | _Ecdsa] = MappingProxyType(
    {
        "RS256": _Rsa(RSAAlgorithm(RSAAlgorithm.SHA256)),
        "RS384": _Rsa(RSAAlgorithm(RSAAlgorithm.SHA384)),
        "RS512": _Rsa(RSAAlgorithm(RSAAlgorithm.SHA512)),
        "ES256": _Ecdsa(ECAlgorithm(ECAlgorithm.SHA256, expected_curve=SECP256R1), SECP256R1),
        "ES384": _Ecdsa(ECAlgorithm(ECAlgorithm.SHA384, expected_curve=SECP384R1), SECP384R1),
        "ES512": _Ecdsa(ECAlgorithm(ECAlgorithm.SHA512, expected_curve=SECP521R1), SECP521R1),
    }
)
ALGORITHMS = frozenset(_ALGORITHMS)
"""What an anchor may pin: what STS accepts as well. Never ``none``, never HMAC."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UnverifiedToken:
    """A token of legal shape, of which nothing is established. Shows nothing of itself.

    ``digest`` is the SHA-256 (hex) of ``signing_input``, the bytes that were signed: a bearer can
    give one token a second signature (ECDSA's is malleable), but not a second digest.
    """

    raw: Secret
    header: Mapping[str, JsonValue]
    claims: Claims
    issuer: str
    kid: str | None
    alg: str
    signing_input: bytes
    signature: bytes
    digest: str

    def __repr__(self) -> str:
        return "UnverifiedToken(…)"


def parse(token: str) -> UnverifiedToken:
    """Return ``token`` taken apart, if it has the one shape that is accepted. Verifies nothing.

    Costs time linear in the token, whose length is looked at first.

    Raises:
        ProofError: and nothing else, whatever the characters are.
    """
    # (1) Small, ASCII, compact form: three segments (RFC 7515 §3.1, §7.1).
    if len(token) > MAX_TOKEN_CHARS:
        raise refusal("token-too-long", f"It has {len(token)} characters of {MAX_TOKEN_CHARS}.")
    if not token.isascii():
        raise refusal("token-not-ascii")
    if token.count(".") != _SEPARATORS:
        raise refusal("token-not-compact", f"It has {token.count('.') + 1}.")
    header_text, payload_text, signature_text = token.split(".")
    if len(header_text) > MAX_HEADER_CHARS:
        raise refusal("header-too-long")
    if len(payload_text) > MAX_PAYLOAD_CHARS:
        raise refusal("payload-too-long")
    if len(signature_text) > MAX_SIGNATURE_CHARS:
        raise refusal("signature-too-long")
    if not signature_text:
        raise refusal("signature-missing")
    # (2) Each segment in the one spelling it has (RFC 7515 §2): no re-encoding is a new token.
    try:
        header_bytes, payload_bytes, signature = map(
            base64url.decode, (header_text, payload_text, signature_text)
        )
    except ValueError as error:
        # The commonest of them has a cure of its own: a token file that an editor or echo has ended.
        at_the_end = token != token.strip()
        raise refusal("token-white-space" if at_the_end else "segment-not-canonical") from error
    # (3) A header that asks for nothing but a signature's verification (RFC 7515 §4).
    header = _object(header_bytes, "header-not-json")
    alg, kid = _checked_header(header)
    # (4) A payload that says whose it is (RFC 7519 §4.1.1).
    claims = _object(payload_bytes, "payload-not-json")
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not 0 < len(issuer) <= MAX_ISSUER_CHARS:
        raise refusal("issuer-missing", f"iss is {shown(issuer)}")
    signing_input = token[: -len(signature_text) - 1].encode("ascii")
    return UnverifiedToken(
        raw=Secret(token),
        header=MappingProxyType(header),
        claims=MappingProxyType(claims),
        issuer=issuer,
        kid=kid,
        alg=alg,
        signing_input=signing_input,
        signature=signature,
        digest=hashlib.sha256(signing_input).hexdigest(),
    )


def verify(token: UnverifiedToken, anchor: OidcAnchor, keys: KeySet, now: datetime) -> Identity:
    """Return whose token this is, established by the anchor's issuer, its keys and the time.

    Raises:
        UnknownKeyError: no key has the token's ``kid``; fresh keys may.
        ProofError: anything else that is not as it must be; ``reasons.REASONS`` lists them all.
    """
    rules = RULES[anchor.dialect]
    # (5) From the anchor's issuer, byte for byte (RFC 8725 §3.8), with an algorithm that it pins (§3.1).
    if token.issuer != anchor.issuer:
        raise refusal("issuer-mismatch", f"iss is {shown(token.issuer)}")
    if token.alg not in anchor.algorithms or token.alg not in _ALGORITHMS:
        raise refusal("algorithm-not-allowed", f"alg is {shown(token.alg)}")
    # (6) Not one that says of itself that it cannot be verified here: its signature would only fail.
    rules.foreign(token.header, token.claims)
    # (7) With exactly one key of the issuer's (RFC 7515 §4.1.4).
    key = _key(token, keys)
    # (8) Which is of the algorithm's kind (RFC 8725 §3.1) and made the signature (RFC 7515 §5.2).
    #     Nothing before this line may be believed.
    if not _signed(token, key):
        raise refusal("signature-invalid", f"alg is {token.alg}, kid is {shown(token.kid)}")
    # (9) Now (RFC 7519 §4.1.4 to §4.1.6).
    expires_at = _check_times(token.claims, now)
    # (10) For us, and for nobody else whom the anchor does not list (RFC 7519 §4.1.3, RFC 8725 §3.9).
    audiences = rules.audiences(token.claims)
    if not audiences or not anchor.audiences.issuperset(audiences):
        raise refusal("audience-mismatch", f"The audience is {shown(list(audiences))}.")
    # (11) By the issuer's own rules: who is it?
    who = rules.establish(token.claims, anchor)
    # (12) From here on it is an identity.
    unique = f"jti:{who.unique_id}" if who.unique_id is not None else f"sha256:{token.digest}"
    return Identity(
        anchor_name=anchor.name,
        anchor_id=anchor.id,
        anchor_arn=anchor.arn,
        subject=who.subject,
        attributes=MappingProxyType({f"token:{name}": value for name, value in token.claims.items()}),
        expires_at=expires_at,
        proof_digest=token.digest,
        replay_id=f"{anchor.id}:{unique}",
        notes=(*who.notes, *_remarks(token, audiences)),
    )


def claimed(token: UnverifiedToken) -> dict[str, str]:
    """Return what the token says of itself, for the log of an exchange that did not verify.

    Bounded, and to be stored as ``claimed`` only: anybody can have written it.
    """
    said: dict[str, JsonValue] = {name: token.claims[name] for name in _CLAIMED if name in token.claims}
    said |= {"alg": token.alg} | ({} if token.kid is None else {"kid": token.kid})
    return {
        name: (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:CLAIMED_CHARS]
        for name, value in said.items()
    }


def _object(data: bytes, reason: str) -> dict[str, JsonValue]:
    try:
        return strict_json.parse_object(data)
    except ValueError as error:
        raise refusal(reason) from error


def _checked_header(header: Mapping[str, JsonValue]) -> tuple[str, str | None]:
    """Return ``alg`` and ``kid`` of a header without demands."""
    if "crit" in header:
        # RFC 7515 §4.1.11: who does not understand must refuse, and nothing is understood here.
        raise refusal("header-critical", f"crit is {shown(header['crit'])}")
    if "b64" in header:
        # RFC 7797 §6 wants it in crit; without, verifiers disagree about which bytes were signed.
        raise refusal("header-unencoded")
    typ, alg, kid = header.get("typ"), header.get("alg"), header.get("kid")
    if "typ" in header and not (isinstance(typ, str) and typ.lower() in TYPES):
        raise refusal("header-type", f"typ is {shown(typ)}")
    if not isinstance(alg, str) or not alg:
        raise refusal("header-algorithm")
    if "kid" not in header:
        return alg, None
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS:
        raise refusal("header-kid", f"kid is {shown(kid)}")
    return alg, kid


def _key(token: UnverifiedToken, keys: KeySet) -> VerificationKey:
    """Return the one key that the token may have been signed with."""
    if token.kid is None and len(keys.keys) > 1:
        raise refusal("kid-missing", f"The issuer has {len(keys.keys)} usable keys.")
    # Without a kid, and with one key, there is no choice that a token could make.
    matching = [key for key in keys.keys if token.kid is None or key.kid == token.kid]
    if len(matching) != 1:
        entry = REASONS["key-unknown"]
        raise UnknownKeyError("key-unknown", f"{entry.sentence} kid is {shown(token.kid)}", cure=entry.cure)
    return matching[0]


def _signed(token: UnverifiedToken, key: VerificationKey) -> bool:
    """Say whether ``key``, if it is of the algorithm's kind, made the signature.

    The only place where cryptography is used: PyJWT's own verifier for the pinned algorithm, given
    a key object and the received bytes, so that there is nothing left for it to parse or to choose.
    """
    algorithm, public = _ALGORITHMS[token.alg], key.key
    if key.alg in (None, token.alg):
        if isinstance(algorithm, _Rsa) and isinstance(public, RSAPublicKey):
            return algorithm.verifier.verify(token.signing_input, public, token.signature)
        if (
            isinstance(algorithm, _Ecdsa)
            and isinstance(public, EllipticCurvePublicKey)
            and isinstance(public.curve, algorithm.curve)
        ):
            return algorithm.verifier.verify(token.signing_input, public, token.signature)
    kind = public.curve.name if isinstance(public, EllipticCurvePublicKey) else key.kty
    raise refusal(
        "key-mismatch",
        f"alg is {token.alg}, the key is {kind} for {key.alg or 'no algorithm in particular'}.",
    )


def _check_times(claims: Claims, now: datetime) -> datetime:
    """Return when the token ends, if it is valid now, give or take ``LEEWAY``."""
    times = {name: _time(claims, name) for name in ("exp", "iat", "nbf")}
    expires, issued, begins = times["exp"], times["iat"], times["nbf"]
    if expires is None or issued is None:
        raise refusal("time-missing", f"exp is {shown(expires)}, iat is {shown(issued)}")
    if expires <= issued or (begins is not None and expires <= begins):
        raise refusal("time-contradiction", f"{shown(times)}")
    current, leeway = (now - _EPOCH).total_seconds(), LEEWAY.total_seconds()
    if current >= expires + leeway:
        raise refusal("token-expired", f"exp is {expires}, now is {current:.0f}")
    if begins is not None and current < begins - leeway:
        raise refusal("token-not-yet-valid", f"nbf is {begins}, now is {current:.0f}")
    if current < issued - leeway:
        raise refusal("token-from-the-future", f"iat is {issued}, now is {current:.0f}")
    return _EPOCH + timedelta(seconds=expires)


def _time(claims: Claims, name: str) -> int | None:
    """Return a NumericDate (RFC 7519 §2) in whole seconds, as STS wants it. A bool is no int here."""
    if name not in claims:
        return None
    value = claims[name]
    if type(value) is not int or not 0 < value <= MAX_TIME:
        raise refusal("time-malformed", f"{name} is {shown(value)}")
    return value


def _remarks(token: UnverifiedToken, audiences: tuple[str, ...]) -> tuple[str, ...]:
    remarks = []
    if any(name in token.header for name in KEY_HINTS):
        remarks.append("key-hint-ignored")
    if len(audiences) > 1:
        # STS would then go by azp alone; whoever sends the token there must look at it.
        remarks.append("several-audiences")
    return tuple(remarks)
