"""Whatever is sent as a token: one of our errors, or an identity that was signed for."""

import base64
import json
import string
from datetime import timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sallyport.errors import ProofError, UnavailableError
from sallyport.model import Identity, OidcAnchor
from sallyport.proof import base64url, strict_json
from sallyport.proof.jwks import KeySet, dump_jwks, parse_jwks
from sallyport.proof.oidc import claimed, parse, verify
from sallyport.web_address import parse_web_address
from tests.support import tokens
from tests.support.tokens import b64, signed_bytes

BASE64URL = string.ascii_letters + string.digits + "-_"

RSA = (tokens.anchor(), tokens.key_set())
ECDSA = (
    tokens.anchor(algorithms=("ES256",)),
    tokens.key_set(tokens.verification_key(tokens.ec_key())),
)
EC_TOKEN = tokens.token(alg="ES256")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]), max_size=20)
    | st.sampled_from(
        [tokens.ENTRA_V1, tokens.AUDIENCE, tokens.TENANT, tokens.EPOCH, "app", "1.0", "2.0", ""]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
claim_names = st.sampled_from([*tokens.good_entra_v1(), *tokens.good_cognito_access(), "scp", "upn", "nonce"])
header_names = st.sampled_from(
    ["alg", "typ", "kid", "crit", "b64", "jku", "jwk", "x5c", "nonce", "zip", "cty"]
)


def accepted(text: str, anchor: OidcAnchor, keys: KeySet) -> Identity | None:
    """Return the identity, or ``None`` for a refusal. Any other exception is the test's failure."""
    try:
        token = parse(text)
    except ProofError:
        return None
    assert all(len(value) <= 256 for value in claimed(token).values())
    try:
        return verify(token, anchor, keys, tokens.NOW)
    except ProofError:
        return None


@given(st.text(st.characters(exclude_categories=[])))
@example("\ud800.\udfff.\x00")
@example("..")
@example("e30.e30.AA")
def test_any_text_is_refused_by_our_own_error(text: str) -> None:
    assert accepted(text, *RSA) is None


@given(st.binary(max_size=200), st.binary(max_size=400), st.binary(max_size=300))
def test_any_three_byte_strings_are_refused_by_our_own_error(
    header: bytes, payload: bytes, signature: bytes
) -> None:
    assert accepted(f"{b64(header)}.{b64(payload)}.{b64(signature)}", *RSA) is None


@given(st.dictionaries(claim_names, json_values, max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_signed_claims_are_an_identity_or_our_own_error(changes: dict[str, Any]) -> None:
    payload = json.dumps(tokens.good_entra_v1() | changes).encode()
    for anchor in (tokens.anchor(), tokens.entra_v2_anchor(), tokens.plain_anchor(), tokens.cognito_anchor()):
        identity = accepted(tokens.with_payload(payload), anchor, RSA[1])
        if identity is not None:
            assert identity.attributes["token:iss"] == anchor.issuer
            assert identity.attributes["token:aud"] in (tokens.AUDIENCE, [tokens.AUDIENCE])
            assert identity.expires_at + timedelta(seconds=60) > tokens.NOW
            assert 0 < len(identity.replay_id) < 400


@given(st.dictionaries(header_names, json_values, max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_signed_header_is_an_identity_or_our_own_error(changes: dict[str, Any]) -> None:
    text = signed_bytes(
        json.dumps(tokens.header() | changes).encode(), json.dumps(tokens.good_entra_v1()).encode()
    )
    identity = accepted(text, *RSA)
    if identity is not None:
        assert {"crit", "b64", "nonce"}.isdisjoint(changes)
        assert changes.get("alg", "RS256") == "RS256"


@given(
    st.integers(0, len(EC_TOKEN) - 1),
    st.sampled_from([*BASE64URL, ".", "=", "+", "/", " ", "\n", "\x00", "\u0430"]),
)
@settings(max_examples=500, deadline=None)
def test_any_change_of_one_character_is_refused(place: int, character: str) -> None:
    for text, (anchor, keys) in ((EC_TOKEN, ECDSA), (tokens.good_token(), RSA)):
        if place < len(text) and text[place] != character:
            assert accepted(text[:place] + character + text[place + 1 :], anchor, keys) is None


def test_every_change_of_one_bit_of_the_last_characters_is_refused() -> None:
    """The end is where spare bits live; all of it, and not a sample."""
    for text, (anchor, keys) in ((EC_TOKEN, ECDSA), (tokens.good_token(), RSA)):
        for place in (len(text) - 1, len(text) - 2, text.index(".") - 1, text.rindex(".") - 1):
            for character in BASE64URL:
                if text[place] != character:
                    assert accepted(text[:place] + character + text[place + 1 :], anchor, keys) is None


@given(st.integers(0, len(EC_TOKEN)), st.text(BASE64URL + "=.\n ", min_size=1, max_size=3), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_what_is_put_in_or_left_out_is_refused(place: int, more: str, less: int) -> None:
    for changed in (
        EC_TOKEN[:place] + more + EC_TOKEN[place:],
        EC_TOKEN[:place] + EC_TOKEN[place + less + 1 :],
    ):
        if changed != EC_TOKEN:
            assert accepted(changed, *ECDSA) is None


def test_the_other_signature_of_the_same_bytes_is_the_same_proof() -> None:
    """ECDSA's (r, n - s): the one re-encoding that no verifier can refuse without refusing honest tokens."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signing_input, _, signature = EC_TOKEN.rpartition(".")
    data = base64url.decode(signature)
    other = data[:32] + (order - int.from_bytes(data[32:], "big")).to_bytes(32, "big")
    first, second = accepted(EC_TOKEN, *ECDSA), accepted(f"{signing_input}.{b64(other)}", *ECDSA)
    assert first is not None
    assert second is not None
    assert (first.proof_digest, first.replay_id) == (second.proof_digest, second.replay_id)


@given(st.binary(max_size=64))
def test_base64url_has_one_spelling(data: bytes) -> None:
    assert base64url.decode(base64url.encode(data)) == data


@given(st.text(max_size=24))
@example("AB")
@example("AA==")
def test_what_base64url_accepts_is_the_one_spelling(text: str) -> None:
    try:
        data = base64url.decode(text)
    except ValueError:
        return
    assert base64.urlsafe_b64encode(data).rstrip(b"=") == text.encode()


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_what_strict_json_reads_is_what_the_lenient_one_reads(value: dict[str, Any]) -> None:
    text = json.dumps(value).encode()
    try:
        strict = strict_json.parse_object(text)
    except ValueError:
        return
    assert strict == json.loads(text)
    json.dumps(strict, ensure_ascii=False, allow_nan=False).encode()


@given(st.binary(max_size=300))
def test_any_bytes_are_an_object_or_a_value_error(data: bytes) -> None:
    for candidate in (data, b'{"a":' + data + b"}"):
        try:
            strict_json.parse_object(candidate)
        except ValueError:
            continue


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["kty", "kid", "alg", "use", "key_ops", "n", "e", "crv", "x", "y", "d"]),
            json_values,
        )
    )
)
def test_any_key_set_is_read_or_refused_by_our_own_error(members: list[dict[str, Any]]) -> None:
    good = tokens.jwk(tokens.rsa_key(), kid="good")
    try:
        keys = parse_jwks(json.dumps({"keys": [*members, *({**good, **member} for member in members)]}))
    except UnavailableError:
        return
    assert parse_jwks(dump_jwks(keys)) == keys


@given(
    st.text(st.characters(exclude_categories=[]))
    | st.text("htps:/.@[]#?%\\ 0123456789abc", max_size=40).map("https:".__add__)
)
def test_any_text_is_a_web_address_or_none(text: str) -> None:
    address = parse_web_address(text)
    if address is not None:
        assert address.host in text.lower()
        assert address.target.isascii()
