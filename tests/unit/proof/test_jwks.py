"""Of an issuer's document, exactly the keys that may verify are used."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import RSAAlgorithm

from sallyport.errors import UnavailableError
from sallyport.proof.jwks import MAX_DOCUMENT_BYTES, MAX_KEYS, dump_jwks, parse_jwks
from tests.support import tokens
from tests.support.tokens import b64, ec_key, jwk, jwks, rsa_key


def kids(*keys: dict[str, Any]) -> list[str | None]:
    return [key.kid for key in parse_jwks(jwks(*keys)).keys]


def modulus(bits: int) -> str:
    """An odd number of so many bits; that it has no two prime factors is not what these tests look at."""
    return b64(((1 << (bits - 1)) | 1).to_bytes((bits + 7) // 8, "big"))


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big"))


@pytest.mark.parametrize("alg", tokens.ALL_ALGORITHMS)
def test_every_kind_of_key_is_read(alg: str) -> None:
    (key,) = parse_jwks(jwks(jwk(tokens.key_for(alg), alg=alg))).keys
    assert (key.kid, key.alg, key.kty) == (tokens.KID, alg, "RSA" if alg.startswith("RS") else "EC")
    assert key.key == tokens.key_for(alg).public_key()


@pytest.mark.parametrize(
    "members",
    [
        {"use": None},
        {"key_ops": ["verify"]},
        {"kid": None},
        {"alg": "RS512"},
        {"x5c": ["AAAA"], "x5t": "AAAA", "issuer": "https://example.com", "cloud_instance_name": "x"},
        {"e": number(3)},
        {"n": b64(bytes(1) + rsa_key().public_key().public_numbers().n.to_bytes(256, "big"))},
        {"n": modulus(2048)},
        {"n": modulus(8192)},
    ],
    ids=[
        "no use",
        "for verifying",
        "no kid",
        "other alg",
        "more members",
        "least exponent",
        "zero in front",
        "least",
        "most",
    ],
)
def test_a_usable_key_is_used(members: dict[str, Any]) -> None:
    assert len(kids(jwk(rsa_key(), **members))) == 1


@pytest.mark.parametrize(
    "members",
    [
        {"kty": "oct", "k": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43},
        {"kty": "AKP", "pub": "AAAA"},
        {"kty": 1},
        {"kty": ["RSA"]},
        {"kty": None},
        {"kty": "rsa"},
        {"use": "enc"},
        {"use": ["sig"]},
        {"key_ops": []},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"alg": "ES256"},
        {"alg": "RS1"},
        {"alg": "none"},
        {"alg": ["RS256"]},
        {"alg": "RSA-OAEP"},
        {"kid": 7},
        {"kid": ""},
        {"kid": "k" * 257},
        {"d": "AQAB"},
        {"n": None},
        {"n": 65537},
        {"n": ""},
        {"n": "not base64"},
        {"n": modulus(2048) + "=="},
        {"n": modulus(2047)},
        {"n": modulus(8193)},
        {"n": number((1 << 2047) + 2)},
        {"e": None},
        {"e": number(0)},
        {"e": number(1)},
        {"e": number(2)},
        {"e": number(65536)},
        {"e": number((1 << 64) + 1)},
    ],
    ids=lambda members: json.dumps(members)[:60],
)
def test_an_unusable_rsa_key_is_left_out_and_the_others_stay(members: dict[str, Any]) -> None:
    assert kids(jwk(rsa_key(), **members), jwk(rsa_key("two"), kid="other")) == ["other"]


@pytest.mark.parametrize(
    "members",
    [
        {"crv": "secp256k1"},
        {"crv": "P-384"},
        {"crv": None},
        {"crv": ["P-256"]},
        {"alg": "ES384"},
        {"alg": "RS256"},
        {"y": None},
        {"y": b64(bytes(32))},
        {"x": b64(b"\xff" * 32)},
        {"x": jwk(ec_key())["x"][:-2]},
        {"x": b64(bytes(1) + ec_key().public_key().public_numbers().x.to_bytes(32, "big"))},
    ],
    ids=lambda members: json.dumps(members)[:60],
)
def test_an_unusable_ec_key_is_left_out_and_the_others_stay(members: dict[str, Any]) -> None:
    assert kids(jwk(ec_key(), **members), jwk(rsa_key(), kid="other")) == ["other"]


@pytest.mark.parametrize("member", [None, 1, "key", [], [{}]])
def test_what_is_no_key_at_all_is_left_out(member: object) -> None:
    document = json.dumps({"keys": [member, jwk(rsa_key())]})
    assert len(parse_jwks(document).keys) == 1


class TestKid:
    def test_two_keys_under_one_kid_are_both_left_out(self) -> None:
        assert kids(jwk(rsa_key(), kid="a"), jwk(rsa_key("two"), kid="a"), jwk(rsa_key(), kid="b")) == ["b"]

    def test_the_same_holds_for_two_kinds_of_key(self) -> None:
        assert kids(jwk(rsa_key(), kid="a"), jwk(ec_key(), kid="a")) == []

    def test_one_key_twice_is_one_key(self) -> None:
        assert kids(jwk(rsa_key(), kid="a"), jwk(rsa_key(), kid="a", x5t="AAAA")) == ["a"]

    def test_an_unusable_key_does_not_take_its_kid_from_a_usable_one(self) -> None:
        assert kids(jwk(rsa_key(), kid="a"), jwk(rsa_key("two"), kid="a", use="enc")) == ["a"]

    def test_several_keys_without_a_kid_stay_and_none_can_be_chosen(self) -> None:
        assert kids(jwk(rsa_key(), kid=None), jwk(rsa_key("two"), kid=None)) == [None, None]

    def test_kids_that_differ_in_case_are_two(self) -> None:
        assert kids(jwk(rsa_key(), kid="a"), jwk(rsa_key("two"), kid="A")) == ["a", "A"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": null}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [{"kid": "a", "kid": "b"}]}',
        b'{"keys": [' + b"[" * 100_000,
        b'{"keys": [' + b"9" * 100_000 + b"]}",
        b'{"keys": [NaN]}',
        b"\xff\xfe",
        b"<html></html>",
        "\ud800",
        b'{"keys": [' + b",".join([b"{}"] * (MAX_KEYS + 1)) + b"]}",
        b'{"keys": []' + b" " * MAX_DOCUMENT_BYTES + b"}",
    ],
    ids=lambda document: repr(document[:24]),
)
def test_what_is_no_key_set_is_refused(document: bytes | str) -> None:
    with pytest.raises(UnavailableError) as refused:
        parse_jwks(document)
    assert refused.value.reason == "keys-malformed"


def test_a_set_without_usable_keys_is_empty() -> None:
    assert parse_jwks(b'{"keys": []}').keys == ()


def test_what_is_written_is_read_back() -> None:
    keys = [jwk(tokens.key_for(alg), kid=alg, alg=alg, x5c=["AAAA"]) for alg in tokens.ALL_ALGORITHMS]
    parsed = parse_jwks(jwks(*keys, jwk(rsa_key("two"), kid=None)))
    assert len(parsed.keys) == 7
    assert parse_jwks(dump_jwks(parsed)) == parsed
    assert "x5c" not in dump_jwks(parsed)


def test_the_largest_set_fits_into_an_item() -> None:
    large = [
        {"kty": "RSA", "kid": f"{n:0>256}", "alg": "RS512", "n": modulus(8192), "e": number((1 << 63) + 1)}
        for n in range(MAX_KEYS)
    ]
    parsed = parse_jwks(jwks(*large))
    assert len(parsed.keys) == MAX_KEYS
    assert len(dump_jwks(parsed)) < 400_000


def test_a_private_key_published_by_mistake_is_not_used() -> None:
    published = RSAAlgorithm.to_jwk(
        rsa.generate_private_key(public_exponent=65537, key_size=2048), as_dict=True
    )
    published.pop("key_ops")
    assert kids({**published, "kid": "leaked"}) == []


def test_keys_of_other_curves_are_not_taken_for_ours() -> None:
    point = ec.generate_private_key(ec.SECP256K1()).public_key().public_numbers()
    x, y = (b64(value.to_bytes(32, "big")) for value in (point.x, point.y))
    edwards = b64(ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    assert (
        kids({"kty": "EC", "crv": "P-256", "x": x, "y": y}, {"kty": "OKP", "crv": "Ed25519", "x": edwards})
        == []
    )
