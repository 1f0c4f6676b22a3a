"""Real keys, real tokens, and every bad one by name.

``good_*`` functions return claims that verify. Each function under ``@refused`` returns a token that must
be refused for the reason given there; its docstring says what is wrong with it. ``CASES`` lists
them all, and a test holds that every reason of ``proof.reasons`` has one.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm

from sallyport.model import Dialect, OidcAnchor
from sallyport.proof.jwks import KeySet, VerificationKey

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())

TENANT = "3d0af1a2-53a6-4c1b-9f0e-6f1d2c3b4a59"
OTHER_TENANT = "99999999-53a6-4c1b-9f0e-6f1d2c3b4a59"
OBJECT_ID = "b0c1d2e3-1111-4222-8333-444455556666"
CLIENT_ID = "c0ffee00-1111-4222-8333-444455556666"
AUDIENCE = "urn://dev-aws-account-team-a"
ENTRA_V1 = f"https://sts.windows.net/{TENANT}/"
ENTRA_V2 = f"https://login.microsoftonline.com/{TENANT}/v2.0"
GITHUB = "https://token.actions.githubusercontent.com"
PLAIN = "https://gitlab.example.com"
COGNITO = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI"

ANCHOR_ID = "5f0b7d6e-0000-5000-8000-000000000001"
KID = "key-one"
ALL_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")

_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
_SIGNERS = {
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "RS384": RSAAlgorithm(RSAAlgorithm.SHA384),
    "RS512": RSAAlgorithm(RSAAlgorithm.SHA512),
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
    "ES384": ECAlgorithm(ECAlgorithm.SHA384),
    "ES512": ECAlgorithm(ECAlgorithm.SHA512),
}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


# Keys


# cache() tells rsa_key() from rsa_key("one"), so the functions with defaults are not the cached ones.
@cache
def _rsa_key(_name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _ec_key(alg: str, _name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(_CURVES[alg])


def rsa_key(name: str = "one") -> rsa.RSAPrivateKey:
    """Return one RSA key per name; making one takes long enough to make it once."""
    return _rsa_key(name)


def ec_key(alg: str = "ES256", name: str = "one") -> ec.EllipticCurvePrivateKey:
    """Return one key per algorithm and name, on the algorithm's curve."""
    return _ec_key(alg, name)


def key_for(alg: str, name: str = "one") -> PrivateKey:
    """Return the key that signs with ``alg``."""
    return rsa_key(name) if alg.startswith("RS") else ec_key(alg, name)


def verification_key(key: PrivateKey, *, kid: str | None = KID, alg: str | None = None) -> VerificationKey:
    """Return the public half as the verifier knows it."""
    return VerificationKey(kid, "RSA" if isinstance(key, rsa.RSAPrivateKey) else "EC", alg, key.public_key())


def key_set(*keys: VerificationKey) -> KeySet:
    """Return a set of these keys, or of the one RSA key that tokens are signed with here."""
    return KeySet(keys or (verification_key(rsa_key()),))


def jwk(key: PrivateKey, *, kid: str | None = KID, **members: Any) -> dict[str, Any]:
    """Return the public half as an issuer publishes it; ``members`` are added, ``None`` takes away."""
    if isinstance(key, rsa.RSAPrivateKey):
        published: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        published = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    published.pop("key_ops", None)
    published |= {"use": "sig", "kid": kid} | members
    return {name: value for name, value in published.items() if value is not None}


def jwks(*keys: dict[str, Any]) -> bytes:
    """Return an issuer's key set document."""
    return json.dumps({"keys": list(keys)}).encode()


# Anchors


def anchor(issuer: str = ENTRA_V1, dialect: Dialect = Dialect.ENTRA, **changes: Any) -> OidcAnchor:
    """Return a trust anchor; by default the tenant's v1.0 issuer, with RS256."""
    values: dict[str, Any] = {
        "name": "contoso",
        "id": ANCHOR_ID,
        "arn": f"arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/{ANCHOR_ID}",
        "issuer": issuer,
        "dialect": dialect,
        "audiences": frozenset({AUDIENCE}),
        "algorithms": ("RS256",),
        "tenant": TENANT if dialect is Dialect.ENTRA else None,
    }
    return OidcAnchor(**(values | changes))


def entra_v2_anchor(**changes: Any) -> OidcAnchor:
    """Return an anchor for the tenant's v2.0 issuer; such tokens are for a client id."""
    return anchor(**({"issuer": ENTRA_V2, "audiences": frozenset({CLIENT_ID})} | changes))


def plain_anchor(**changes: Any) -> OidcAnchor:
    """Return an anchor of the plain dialect."""
    return anchor(**({"issuer": PLAIN, "dialect": Dialect.PLAIN, "name": "gitlab"} | changes))


def github_anchor(**changes: Any) -> OidcAnchor:
    """Return an anchor for GitHub Actions."""
    return anchor(**({"issuer": GITHUB, "dialect": Dialect.GITHUB, "name": "github"} | changes))


def cognito_anchor(**changes: Any) -> OidcAnchor:
    """Return an anchor for a user pool."""
    return anchor(**({"issuer": COGNITO, "dialect": Dialect.COGNITO, "name": "pool"} | changes))


# Claims. A change to ``None`` takes the claim away; JSON's null is ``NULL``.

NULL = object()


def _changed(claims: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (None if value is NULL else value)
        for name, value in (claims | changes).items()
        if value is not None
    }


def good_entra_v1(**changes: Any) -> dict[str, Any]:
    """A managed identity's v1.0 token, as IMDS gives it."""
    return _changed(
        {
            "aud": AUDIENCE,
            "iss": ENTRA_V1,
            "iat": EPOCH - 300,
            "nbf": EPOCH - 300,
            "exp": EPOCH + 86_100,
            "aio": "E2ZgYNjzbr7Dg0rRhvq3TdcvAQA=",
            "appid": CLIENT_ID,
            "appidacr": "2",
            "idp": ENTRA_V1,
            "idtyp": "app",
            "oid": OBJECT_ID,
            "rh": "0.AXQAovGKPaZTG0yfDm8dLDtKWQ.",
            "sub": OBJECT_ID,
            "tid": TENANT,
            "uti": "k1Yb0cQyqEWxGm9wYAEaAA",
            "ver": "1.0",
            "xms_mirid": (
                "/subscriptions/11111111-2222-4333-8444-555555555555/resourcegroups/team-a/providers/"
                "Microsoft.ManagedIdentity/userAssignedIdentities/reader"
            ),
        },
        changes,
    )


def good_entra_v2(**changes: Any) -> dict[str, Any]:
    """The same identity's v2.0 token."""
    return good_entra_v1(
        **(
            {
                "aud": CLIENT_ID,
                "iss": ENTRA_V2,
                "appid": None,
                "appidacr": None,
                "idp": None,
                "azp": CLIENT_ID,
                "azpacr": "2",
                "ver": "2.0",
            }
            | changes
        )
    )


def good_plain(**changes: Any) -> dict[str, Any]:
    """What OpenID Connect asks for and nothing else."""
    return _changed(
        {
            "iss": PLAIN,
            "aud": AUDIENCE,
            "sub": "project_path:team-a/app:ref_type:branch:ref:main",
            "iat": EPOCH - 5,
            "nbf": EPOCH - 5,
            "exp": EPOCH + 300,
            "jti": "0d3c8f2a-7f5c-4a58-9e59-0a6a1b0e1c11",
        },
        changes,
    )


def good_github(**changes: Any) -> dict[str, Any]:
    """A workflow's token."""
    return good_plain(
        **(
            {
                "iss": GITHUB,
                "sub": "repo:team-a/app:ref:refs/heads/main",
                "repository": "team-a/app",
                "repository_id": "123456789",
            }
            | changes
        )
    )


def good_cognito_id(**changes: Any) -> dict[str, Any]:
    """A user's ID token."""
    return good_plain(**({"iss": COGNITO, "token_use": "id", "sub": OBJECT_ID} | changes))


def good_cognito_access(**changes: Any) -> dict[str, Any]:
    """A user's access token, which has no ``aud``."""
    return good_cognito_id(**({"token_use": "access", "aud": None, "client_id": AUDIENCE} | changes))


# Tokens


def b64(data: bytes) -> str:
    """Return canonical base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def header(alg: object = "RS256", **changes: Any) -> dict[str, Any]:
    """Return the header of a good token."""
    return _changed({"typ": "JWT", "alg": alg, "kid": KID}, changes)


def signed_bytes(
    header_json: bytes, payload_json: bytes, *, alg: str = "RS256", key: PrivateKey | None = None
) -> str:
    """Sign any two byte strings; what makes hostile JSON possible."""
    signing_input = f"{b64(header_json)}.{b64(payload_json)}"
    signature = _SIGNERS[alg].sign(signing_input.encode(), key or key_for(alg))
    return f"{signing_input}.{b64(signature)}"


def token(
    claims: Mapping[str, Any] | None = None,
    *,
    alg: str = "RS256",
    key: PrivateKey | None = None,
    headers: Mapping[str, Any] | None = None,
) -> str:
    """Return a signed token; without arguments, a good Entra v1.0 one."""
    return signed_bytes(
        json.dumps(header(alg) if headers is None else headers).encode(),
        json.dumps(good_entra_v1() if claims is None else claims).encode(),
        alg=alg,
        key=key,
    )


@cache
def good_token() -> str:
    """Return the same good token every time."""
    return token()


def with_payload(payload_json: bytes) -> str:
    """Return a signed token with this payload."""
    return signed_bytes(json.dumps(header()).encode(), payload_json)


def spliced(old: bytes, new: bytes) -> str:
    """Return a signed token in whose payload ``old`` became ``new``: JSON that no serializer would write."""
    payload = json.dumps(good_entra_v1()).encode()
    assert old in payload
    return with_payload(payload.replace(old, new, 1))


# Bad tokens


@dataclass(frozen=True)
class Case:
    """A token that must be refused, with whom it is presented to and why."""

    name: str
    description: str
    reason: str
    token: Callable[[], str]
    anchor: OidcAnchor
    keys: Callable[[], KeySet]


CASES: list[Case] = []


def refused(
    reason: str, *, by: OidcAnchor | None = None, keys: Callable[[], KeySet] = key_set
) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Register a function that returns a bad token."""

    def register(function: Callable[[], str]) -> Callable[[], str]:
        assert function.__doc__, function.__name__
        CASES.append(Case(function.__name__, function.__doc__, reason, function, by or anchor(), keys))
        return function

    return register


@refused("token-too-long")
def longer_than_sts_accepts() -> str:
    """20,001 characters."""
    return "a" * 20_001


@refused("token-not-ascii")
def a_letter_that_looks_like_another() -> str:
    """A Cyrillic a in place of a Latin one."""
    return good_token().replace("a", "\u0430", 1)


@refused("token-not-ascii")
def half_a_surrogate_pair() -> str:
    """What a lenient decoder makes of broken UTF-8."""
    return good_token() + "\udc80"


@refused("token-not-compact")
def nothing_at_all() -> str:
    """The empty string."""
    return ""


@refused("token-not-compact")
def two_segments() -> str:
    """The signature was cut off, with its dot."""
    return good_token().rpartition(".")[0]


@refused("token-not-compact")
def several_dots() -> str:
    """PyJWT splits at the first and the last dot; a verifier that splits otherwise reads another payload."""
    head, payload, signature = good_token().split(".")
    return f"{head}.{payload}.{payload}.{signature}"


@refused("token-not-compact")
def an_encrypted_token() -> str:
    """Five segments are JWE."""
    return "e30.AA.AA.AA.AA"


@refused("header-too-long")
def a_header_with_a_chain_of_certificates() -> str:
    """A megabyte more or less of x5c is not needed to verify anything."""
    return token(headers=header(x5c=["A" * 4_000]))


@refused("payload-too-long")
def a_payload_of_groups() -> str:
    """The whole is below STS's limit, the payload alone is not below ours."""
    return "e30." + "A" * 18_001 + ".AA"


@refused("signature-too-long")
def a_signature_of_no_key_that_exists() -> str:
    """Longer than RSA's with 8,192 bits."""
    return good_token().rpartition(".")[0] + "." + "A" * 1_368


@refused("signature-missing")
def an_empty_signature() -> str:
    """The signature was cut off, its dot left."""
    return good_token().rpartition(".")[0] + "."


@refused("signature-missing")
def alg_none() -> str:
    """RFC 8725 §2.1's first attack: no signature, and a header that says so."""
    return f"{b64(json.dumps({'alg': 'none'}).encode())}.{b64(json.dumps(good_entra_v1()).encode())}."


@refused("segment-not-canonical")
def padded_segments() -> str:
    """The same octets with padding: PyJWT accepts it."""
    head, payload, signature = good_token().split(".")
    return f"{head}.{payload}.{signature}=="


@refused("segment-not-canonical")
def set_bits_behind_the_signature() -> str:
    """The last character's spare bits are set: the same octets spelled otherwise."""
    text = good_token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


@refused("segment-not-canonical")
def the_standard_alphabet() -> str:
    """Plus and slash in place of minus and underscore."""
    head, payload, signature = good_token().split(".")
    return f"{head}.{payload}.{(signature[:-2] + '-_Q')[:-1].replace('-', '+').replace('_', '/')}"


@refused("token-white-space")
def white_space_at_the_end() -> str:
    """A line end, as an editor leaves it."""
    return good_token() + "\n"


@refused("segment-not-canonical")
def white_space_inside() -> str:
    """Python's decoder would skip it."""
    head, payload, signature = good_token().split(".")
    return f"{head}.{payload[:10]} {payload[10:]}.{signature}"


@refused("segment-not-canonical")
def a_segment_of_one_character() -> str:
    """Six bits are no octet."""
    return "A.e30.AA"


@refused("header-not-json")
def a_header_that_is_a_list() -> str:
    """JSON, but no object."""
    return signed_bytes(b"[]", b"{}")


@refused("header-not-json")
def a_header_with_alg_twice() -> str:
    """Two verifiers may each pick another one."""
    return signed_bytes(b'{"alg":"RS256","alg":"none","kid":"key-one"}', json.dumps(good_entra_v1()).encode())


@refused("header-not-json")
def an_empty_header() -> str:
    """No octets at all."""
    return ".e30.AA"


@refused("payload-not-json")
def a_payload_that_is_a_string() -> str:
    """JSON, but no object."""
    return with_payload(b'"claims"')


@refused("payload-not-json")
def a_payload_with_oid_twice() -> str:
    """The first and the last one are both somebody's idea of the right one."""
    return spliced(b'"oid": ', b'"oid": "00000000-0000-4000-8000-000000000000", "oid": ')


@refused("payload-not-json")
def a_claim_with_a_member_twice() -> str:
    """Deep inside is no better than at the top."""
    return spliced(b'"oid": ', b'"x": [{"y": {"a": 1, "\\u0061": 2}}], "oid": ')


@refused("payload-not-json")
def nested_beyond_reason() -> str:
    """Enough brackets to end Python's recursion."""
    return with_payload(b'{"a":' * 2_000 + b"1" + b"}" * 2_000)


@refused("payload-not-json")
def lists_beyond_reason() -> str:
    """Brackets that never close."""
    return with_payload(b'{"a":' + b"[" * 13_000)


@refused("payload-not-json")
def not_a_number() -> str:
    """NaN is JavaScript, not JSON."""
    return spliced(b'"ver": "1.0"', b'"ver": NaN')


@refused("payload-not-json")
def infinity() -> str:
    """Nor is Infinity."""
    return spliced(b'"ver": "1.0"', b'"ver": -Infinity')


@refused("payload-not-json")
def a_number_that_becomes_infinity() -> str:
    """Legal JSON, and no double."""
    return spliced(b'"ver": "1.0"', b'"ver": 1e999')


@refused("payload-not-json")
def an_integer_of_thousands_of_digits() -> str:
    """Python's conversion is quadratic, and gives up at 4,300."""
    return spliced(b'"ver": "1.0"', b'"ver": ' + b"9" * 10_000)


@refused("payload-not-json")
def an_integer_of_more_than_64_bits() -> str:
    """It would be another number in whatever reads it with doubles or longs."""
    return spliced(b'"ver": "1.0"', b'"ver": ' + b"9" * 21)


@refused("payload-not-json")
def a_float_of_thousands_of_digits() -> str:
    """Not a double's precision."""
    return spliced(b'"ver": "1.0"', b'"ver": 0.' + b"9" * 10_000)


@refused("payload-not-json")
def an_escaped_half_of_a_surrogate_pair() -> str:
    """A string that cannot be written as UTF-8, so not to a table nor a log."""
    return spliced(b'"ver": "1.0"', b'"ver": "\\ud83d"')


@refused("payload-not-json")
def a_member_named_by_half_of_a_surrogate_pair() -> str:
    """The same in a claim's name."""
    return spliced(b'"ver": "1.0"', b'"\\uDC00": "1.0"')


@refused("payload-not-json")
def broken_utf_8() -> str:
    """An overlong form of a slash."""
    return spliced(b'"1.0"', b'"\xc0\xaf"')


@refused("payload-not-json")
def a_byte_order_mark() -> str:
    """RFC 8259 §8.1 lets parsers differ."""
    return with_payload(b"\xef\xbb\xbf" + json.dumps(good_entra_v1()).encode())


@refused("payload-not-json")
def utf_16() -> str:
    """Python's parser would guess the encoding."""
    return with_payload(json.dumps(good_entra_v1()).encode("utf-16"))


@refused("payload-not-json")
def something_after_the_object() -> str:
    """Two documents in one."""
    return with_payload(json.dumps(good_entra_v1()).encode() + b"{}")


@refused("payload-not-json")
def a_raw_control_character() -> str:
    """RFC 8259 §7 wants it escaped."""
    return spliced(b'"1.0"', b'"1\x000"')


@refused("header-critical")
def an_unknown_critical_header() -> str:
    """CVE-2026-32597: crit must be understood or refused."""
    return token(headers=header(crit=["unknown"], unknown=True))


@refused("header-critical")
def an_empty_crit() -> str:
    """RFC 7515 §4.1.11 forbids it."""
    return token(headers=header(crit=[]))


@refused("header-critical")
def b64_made_critical() -> str:
    """The one extension that PyJWT knows."""
    return token(headers=header(crit=["b64"], b64=True))


@refused("header-unencoded")
def an_unencoded_payload() -> str:
    """RFC 7797 without crit: half of all verifiers would not notice."""
    return token(headers=header(b64=False))


@refused("header-type")
def a_proof_of_possession() -> str:
    """A DPoP proof is signed by the client, with the client's key."""
    return token(headers=header(typ="dpop+jwt"))


@refused("header-type")
def a_type_that_is_no_string() -> str:
    """A list that holds a legal type."""
    return token(headers=header(typ=["JWT"]))


@refused("header-type")
def a_type_that_is_null() -> str:
    """Present, and nothing."""
    return token(headers=header(typ=NULL))


@refused("header-algorithm")
def no_algorithm() -> str:
    """The header is empty."""
    return token(headers={})


@refused("header-algorithm")
def an_algorithm_in_a_list() -> str:
    """A list that holds a pinned algorithm."""
    return token(headers=header(alg=["RS256"]))


@refused("header-algorithm")
def an_empty_algorithm() -> str:
    """A name without a letter."""
    return token(headers=header(alg=""))


@refused("header-kid")
def a_kid_that_is_a_number() -> str:
    """PyJWT refuses it as well."""
    return token(headers=header(kid=1))


@refused("header-kid")
def a_kid_of_many_characters() -> str:
    """It would end in logs and look-ups."""
    return token(headers=header(kid="k" * 257))


@refused("header-kid")
def an_empty_kid() -> str:
    """It names nothing."""
    return token(headers=header(kid=""))


@refused("issuer-missing")
def no_issuer() -> str:
    """Nobody vouches."""
    return token(good_entra_v1(iss=None))


@refused("issuer-missing")
def a_list_of_issuers() -> str:
    """The right one is among them."""
    return token(good_entra_v1(iss=[ENTRA_V1]))


@refused("issuer-missing")
def an_issuer_of_many_characters() -> str:
    """It would become a table's key."""
    return token(good_entra_v1(iss="https://" + "a" * 600))


@refused("issuer-mismatch")
def an_issuer_without_its_slash() -> str:
    """Almost the anchor's."""
    return token(good_entra_v1(iss=ENTRA_V1[:-1]))


@refused("issuer-mismatch")
def a_part_of_the_issuer() -> str:
    """CVE-2024-53861: a substring is not equality."""
    return token(good_entra_v1(iss="https"))


@refused("issuer-mismatch")
def an_issuer_in_capitals() -> str:
    """Hosts do not care about case; issuers do."""
    return token(good_entra_v1(iss=ENTRA_V1.upper()))


@refused("algorithm-not-allowed")
def an_algorithm_that_is_not_pinned() -> str:
    """Signed with the right key, by RS512."""
    return token(alg="RS512")


@refused("algorithm-not-allowed")
def the_public_key_as_a_secret() -> str:
    """CVE-2022-29217: HMAC with the published key as its secret."""
    public = jwk(rsa_key())["n"].encode()
    signing_input = f"{b64(json.dumps(header('HS256')).encode())}.{b64(json.dumps(good_entra_v1()).encode())}"
    signature = HMACAlgorithm(HMACAlgorithm.SHA256).sign(signing_input.encode(), public)
    return f"{signing_input}.{b64(signature)}"


@refused("algorithm-not-allowed", by=anchor(algorithms=("HS256", "none", "PS256")))
def an_anchor_that_pins_nonsense() -> str:
    """A pin cannot allow what is not implemented."""
    return the_public_key_as_a_secret()


@refused("algorithm-not-allowed", by=anchor(algorithms=()))
def an_anchor_that_pins_nothing() -> str:
    """Empty means no."""
    return good_token()


@refused("algorithm-not-allowed")
def none_with_a_signature() -> str:
    """alg none in odd spelling, and something where the signature goes."""
    return token(headers=header("nOnE"))


@refused("graph-token")
def a_nonce_in_the_header() -> str:
    """Graph's mark: what was signed is not what is sent."""
    head, payload, _ = token(headers=header(nonce="AQAB")).split(".")
    return f"{head}.{payload}.{b64(b'x' * 256)}"


@refused("graph-token")
def for_graph_by_name() -> str:
    """Without the nonce it verifies, and is still not for us."""
    return token(good_entra_v1(aud="https://graph.microsoft.com/"))


@refused("graph-token", by=anchor(audiences=frozenset({"00000003-0000-0000-c000-000000000000"})))
def for_graph_by_number() -> str:
    """Even an anchor that lists it."""
    return token(good_entra_v1(aud="00000003-0000-0000-c000-000000000000"))


def two_keys() -> KeySet:
    """Two keys, of which the first signs."""
    return key_set(verification_key(rsa_key()), verification_key(rsa_key("two"), kid="key-two"))


@refused("kid-missing", keys=two_keys)
def no_kid_among_two_keys() -> str:
    """Trying one after the other would be the token's choice."""
    return token(headers=header(kid=None))


@refused("key-unknown", keys=two_keys)
def an_unknown_kid() -> str:
    """The issuer may have rotated, or somebody is guessing."""
    return token(headers=header(kid="key-three"))


@refused("key-unknown")
def an_unknown_kid_with_a_single_key() -> str:
    """A name that is given must fit, even where it would not be needed."""
    return token(headers=header(kid="key-three"))


@refused("key-unknown", keys=lambda: key_set(verification_key(rsa_key(), kid=None)))
def a_kid_for_a_key_without_one() -> str:
    """The key has no name, so no name can be its."""
    return good_token()


@refused("key-unknown", keys=lambda: KeySet(()))
def no_keys_at_all() -> str:
    """Empty means no."""
    return token(headers=header(kid=None))


@refused("key-mismatch", by=anchor(algorithms=("RS256", "ES256")))
def an_ec_signature_for_an_rsa_key() -> str:
    """The kid leads to a key of another kind."""
    return token(alg="ES256")


@refused(
    "key-mismatch",
    by=anchor(algorithms=("RS256", "ES256")),
    keys=lambda: key_set(verification_key(ec_key("ES256"))),
)
def an_rsa_signature_for_an_ec_key() -> str:
    """And the other way round."""
    return good_token()


@refused(
    "key-mismatch",
    by=anchor(algorithms=("ES256",)),
    keys=lambda: key_set(verification_key(ec_key("ES384"))),
)
def es256_with_a_key_on_p_384() -> str:
    """RFC 7518 §3.4: one curve per algorithm."""
    return signed_bytes(
        json.dumps(header("ES256")).encode(),
        json.dumps(good_entra_v1()).encode(),
        alg="ES384",
        key=ec_key("ES384"),
    )


@refused(
    "key-mismatch",
    by=anchor(algorithms=("RS256", "RS512")),
    keys=lambda: key_set(verification_key(rsa_key(), alg="RS512")),
)
def rs256_with_a_key_for_rs512() -> str:
    """The issuer has reserved the key for another algorithm (RFC 7517 §4.4)."""
    return good_token()


@refused("signature-invalid")
def signed_by_somebody_else() -> str:
    """Another key under the issuer's kid."""
    return token(key=rsa_key("two"))


@refused("signature-invalid")
def signed_by_the_key_in_the_header() -> str:
    """CVE-2018-0114's way: the token brings its own key, and a place to look for it."""
    attacker = rsa_key("attacker")
    return token(key=attacker, headers=header(jwk=jwk(attacker), jku="https://attacker.example/keys"))


@refused("signature-invalid")
def the_payload_of_another_token() -> str:
    """A signature that is good, for something else."""
    head, _, signature = good_token().split(".")
    return f"{head}.{b64(json.dumps(good_entra_v1(oid=TENANT)).encode())}.{signature}"


@refused("signature-invalid")
def a_cut_signature() -> str:
    """Half of the right one."""
    return good_token()[:-174]


@refused(
    "signature-invalid", by=anchor(algorithms=("ES256",)), keys=lambda: key_set(verification_key(ec_key()))
)
def a_signature_in_der() -> str:
    """ECDSA's signature in the encoding of certificates; JOSE's is r and s side by side."""
    head, payload, _ = token(alg="ES256").split(".")
    der = b"\x30\x44\x02\x20" + b"\x01" * 32 + b"\x02\x20" + b"\x01" * 32
    return f"{head}.{payload}.{b64(der)}"


@refused(
    "signature-invalid", by=anchor(algorithms=("ES256",)), keys=lambda: key_set(verification_key(ec_key()))
)
def a_signature_of_zeroes() -> str:
    """CVE-2022-21449: r = s = 0 signed everything once, for some."""
    head, payload, _ = token(alg="ES256").split(".")
    return f"{head}.{payload}.{b64(bytes(64))}"


@refused("time-missing")
def no_expiry() -> str:
    """A token for ever."""
    return token(good_entra_v1(exp=None))


@refused("time-missing")
def no_time_of_issue() -> str:
    """STS wants it too."""
    return token(good_entra_v1(iat=None))


@refused("time-malformed")
def an_expiry_that_is_true() -> str:
    """In Python, True is 1."""
    return token(good_entra_v1(exp=True))


@refused("time-malformed")
def an_expiry_with_a_fraction() -> str:
    """RFC 7519 allows it, STS does not."""
    return token(good_entra_v1(exp=EPOCH + 100.5))


@refused("time-malformed")
def an_expiry_in_a_string() -> str:
    """STS takes these; nobody else does."""
    return token(good_entra_v1(exp=str(EPOCH + 100)))


@refused("time-malformed")
def an_expiry_that_is_null() -> str:
    """Present, and nothing."""
    return token(good_entra_v1(exp=NULL))


@refused("time-malformed")
def an_expiry_beyond_the_calendar() -> str:
    """datetime ends with the year 9999."""
    return token(good_entra_v1(exp=253_402_300_800))


@refused("time-malformed")
def an_expiry_to_which_nothing_can_be_added() -> str:
    """A leeway on top of it would leave the calendar."""
    return token(good_entra_v1(exp=253_402_300_799))


@refused("time-malformed")
def a_negative_time_of_issue() -> str:
    """Before there were tokens."""
    return token(good_entra_v1(iat=-1))


@refused("time-malformed")
def a_beginning_that_is_an_object() -> str:
    """nbf is optional, but not free."""
    return token(good_entra_v1(nbf={}))


@refused("time-contradiction")
def expired_before_it_was_issued() -> str:
    """Nobody makes such a token in earnest."""
    return token(good_entra_v1(iat=EPOCH + 10, exp=EPOCH + 5))


@refused("time-contradiction")
def ends_when_it_begins() -> str:
    """Valid for no instant at all; leeway must not make it one."""
    return token(good_entra_v1(nbf=EPOCH + 30, exp=EPOCH + 30))


@refused("token-expired")
def expired() -> str:
    """By exactly the leeway: the first second that is too late."""
    return token(good_entra_v1(exp=EPOCH - 60))


@refused("token-not-yet-valid")
def not_yet_valid() -> str:
    """The last second that is too early."""
    return token(good_entra_v1(nbf=EPOCH + 61))


@refused("token-from-the-future")
def issued_in_the_future() -> str:
    """The last second that is too early."""
    return token(good_entra_v1(iat=EPOCH + 61))


@refused("audience-missing")
def no_audience() -> str:
    """For nobody is not for us."""
    return token(good_entra_v1(aud=None))


@refused("audience-missing")
def an_empty_list_of_audiences() -> str:
    """A list with no value that is not listed, and none that is."""
    return token(good_entra_v1(aud=[]))


@refused("audience-malformed")
def an_audience_that_is_a_number() -> str:
    """Not a string, nor a list."""
    return token(good_entra_v1(aud=1))


@refused("audience-malformed")
def a_list_with_something_else() -> str:
    """The right audience, and an object."""
    return token(good_entra_v1(aud=[AUDIENCE, {}]))


@refused("audience-malformed")
def a_list_with_an_empty_audience() -> str:
    """The right audience, and nobody."""
    return token(good_entra_v1(aud=[AUDIENCE, ""]))


@refused("audience-mismatch")
def for_somebody_else() -> str:
    """Another service's token, presented to us."""
    return token(good_entra_v1(aud="urn://somebody-else"))


@refused("audience-mismatch")
def for_us_and_somebody_else() -> str:
    """The other one could present it to us; and STS would go by azp."""
    return token(good_entra_v1(aud=[AUDIENCE, "urn://somebody-else"]))


@refused("audience-mismatch", by=anchor(audiences=frozenset({"api://x"})))
def the_other_slash() -> str:
    """api://x and api://x/ are two audiences; list both, or one."""
    return token(good_entra_v1(aud="api://x/"))


@refused("audience-mismatch")
def a_prefix_of_the_audience() -> str:
    """Whole values only."""
    return token(good_entra_v1(aud=AUDIENCE[:-1]))


@refused("audience-mismatch", by=anchor(audiences=frozenset()))
def an_anchor_without_audiences() -> str:
    """Empty means no."""
    return good_token()


@refused("subject-missing", by=plain_anchor())
def no_subject() -> str:
    """Somebody, but who?"""
    return token(good_plain(sub=None))


@refused("subject-missing", by=github_anchor())
def an_empty_subject() -> str:
    """The same, spelled otherwise."""
    return token(good_github(sub=""))


@refused("subject-malformed", by=plain_anchor())
def a_subject_that_is_a_number() -> str:
    """RFC 7519 §4.1.2 wants a string."""
    return token(good_plain(sub=7))


@refused("subject-malformed", by=plain_anchor())
def a_subject_with_a_line_end() -> str:
    """It would be two lines of a log."""
    return token(good_plain(sub="user\nadmin"))


@refused("subject-malformed", by=plain_anchor())
def a_subject_of_many_characters() -> str:
    """It would become a table's key."""
    return token(good_plain(sub="s" * 1_025))


@refused("subject-malformed")
def an_entra_token_whose_sub_is_a_list() -> str:
    """The subject is oid there; sub must still be what it always is."""
    return token(good_entra_v1(sub=[OBJECT_ID]))


ARM = "https://management.azure.com/"


@refused("arm-audience", by=anchor(audiences=frozenset({ARM})))
def for_azure_itself() -> str:
    """Listed, but not allowed: every Azure service sees such tokens."""
    return token(good_entra_v1(aud=ARM))


@refused("arm-audience", by=anchor(audiences=frozenset({"https://MANAGEMENT.core.usgovcloudapi.net//"})))
def for_azure_government_in_odd_spelling() -> str:
    """Another cloud, another case, another slash."""
    return token(good_entra_v1(aud="https://MANAGEMENT.core.usgovcloudapi.net//"))


@refused("tenant-mismatch")
def of_another_tenant() -> str:
    """The issuer says one tenant, the claim another."""
    return token(good_entra_v1(tid=OTHER_TENANT))


@refused("tenant-mismatch")
def of_no_tenant() -> str:
    """No tid at all."""
    return token(good_entra_v1(tid=None))


@refused("tenant-mismatch", by=anchor(tenant=OTHER_TENANT))
def an_anchor_of_two_tenants() -> str:
    """The anchor's issuer and its tenant disagree."""
    return good_token()


@refused("tenant-mismatch", by=anchor("https://sts.windows.net/common/", tenant="common"))
def of_every_tenant() -> str:
    """No GUID, no tenant."""
    return token(good_entra_v1(iss="https://sts.windows.net/common/", tid="common"))


@refused("version-mismatch")
def a_v2_token_of_a_v1_issuer() -> str:
    """ver and iss disagree."""
    return token(good_entra_v1(ver="2.0"))


@refused("version-mismatch", by=entra_v2_anchor())
def a_v1_token_of_a_v2_issuer() -> str:
    """And the other way round."""
    return token(good_entra_v2(ver="1.0"))


@refused("version-mismatch")
def a_version_that_is_a_number() -> str:
    """It is a string that looks like one."""
    return token(good_entra_v1(ver=1.0))


@refused("user-token")
def a_users_token() -> str:
    """Scopes are what a user has delegated."""
    return token(good_entra_v1(idtyp=None, scp="user_impersonation"))


@refused("user-token")
def scopes_and_the_word_app() -> str:
    """scp decides, whatever idtyp says."""
    return token(good_entra_v1(scp=""))


@refused("user-token")
def typed_as_a_user() -> str:
    """idtyp decides, without scp."""
    return token(good_entra_v1(idtyp="user"))


@refused("user-token")
def idtyp_null() -> str:
    """Present, and not app."""
    return token(good_entra_v1(idtyp=NULL))


@refused("user-token")
def untyped_with_a_users_name() -> str:
    """Without idtyp, what only users have gives it away."""
    return token(good_entra_v1(idtyp=None, upn="alice@contoso.example"))


@refused("user-token")
def untyped_with_another_users_name() -> str:
    """v2.0 calls it otherwise."""
    return token(good_entra_v1(idtyp=None, preferred_username="alice@contoso.example"))


@refused("user-token", by=entra_v2_anchor())
def a_users_id_token_without_a_name() -> str:
    """An ID token names nobody but its audience: no scp, no azp, and a name only if it is asked for."""
    return token(good_entra_v2(idtyp=None, azp=None, azpacr=None, sub="pairwise"))


@refused("user-token")
def a_users_v1_id_token_without_a_name() -> str:
    """The same in version 1.0, where the client is appid."""
    return token(good_entra_v1(idtyp=None, appid=None, appidacr=None, sub="pairwise"))


@refused("user-token")
def untyped_for_a_client_of_the_other_version() -> str:
    """Each version has its own claim for the client."""
    return token(good_entra_v1(idtyp=None, appid=None, azp=CLIENT_ID))


@refused("user-token")
def untyped_for_a_client_that_is_no_guid() -> str:
    """Present, and no client."""
    return token(good_entra_v1(idtyp=None, appid=""))


@refused("user-token")
def untyped_and_signed_in_with_a_password() -> str:
    """How somebody signed in says that somebody did."""
    return token(good_entra_v1(idtyp=None, amr=["pwd", "mfa"], ipaddr="192.0.2.7"))


@refused("object-id-missing")
def no_object() -> str:
    """sub alone is not stable."""
    return token(good_entra_v1(oid=None))


@refused("object-id-missing")
def an_object_that_is_no_guid() -> str:
    """It becomes part of names."""
    return token(good_entra_v1(oid="*"))


@refused("token-use-missing", by=cognito_anchor())
def a_cognito_token_of_no_use() -> str:
    """Neither ID nor access."""
    return token(good_cognito_id(token_use=None))


@refused("audience-missing", by=cognito_anchor())
def a_cognito_access_token_of_no_client() -> str:
    """client_id is its audience."""
    return token(good_cognito_access(client_id=None))


@refused("audience-missing", by=cognito_anchor())
def a_cognito_access_token_of_an_empty_client() -> str:
    """The same, spelled otherwise."""
    return token(good_cognito_access(client_id=""))


@refused("audience-malformed", by=cognito_anchor())
def a_cognito_access_token_of_two_clients() -> str:
    """client_id is one string."""
    return token(good_cognito_access(client_id=[AUDIENCE]))


@refused("audience-mismatch", by=cognito_anchor())
def a_cognito_access_token_of_another_client() -> str:
    """Another client, and an aud that somebody's trigger added."""
    return token(good_cognito_access(client_id="other", aud=AUDIENCE))


@refused("audience-missing", by=cognito_anchor())
def a_cognito_id_token_with_only_a_client() -> str:
    """client_id is not an ID token's audience."""
    return token(good_cognito_id(aud=None, client_id=AUDIENCE))
