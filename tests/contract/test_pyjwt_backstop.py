"""What we rely on in PyJWT, and what we know that it leaves to us.

The first half must hold, or ``proof.oidc`` is no longer safe. The second half documents why our own
checks exist: should one of these change, the check may be looked at again, but not silently.
"""

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError, PyJWKClientError

from sallyport.errors import ProofError
from sallyport.proof.oidc import parse
from tests.support import tokens
from tests.support.loopback import Server, answer, raw

NOW = {"options": {"verify_exp": False, "verify_nbf": False, "verify_iat": False}}


def decode(text: str, **arguments: object) -> dict[str, object]:
    """Verify as PyJWT's documentation shows; times are left out, for the tests' clock stands still."""
    return jwt.decode(
        text,
        tokens.rsa_key().public_key(),
        algorithms=["RS256"],
        **({"audience": tokens.AUDIENCE} | NOW | arguments),
    )


class TestWeRelyOnIt:
    @pytest.mark.parametrize(
        ("alg", "verifier"),
        [
            ("RS256", RSAAlgorithm(RSAAlgorithm.SHA256)),
            ("RS384", RSAAlgorithm(RSAAlgorithm.SHA384)),
            ("RS512", RSAAlgorithm(RSAAlgorithm.SHA512)),
            ("ES256", ECAlgorithm(ECAlgorithm.SHA256)),
            ("ES384", ECAlgorithm(ECAlgorithm.SHA384)),
            ("ES512", ECAlgorithm(ECAlgorithm.SHA512)),
        ],
    )
    def test_a_verifier_says_true_for_its_signature_and_false_for_any_other(
        self, alg: str, verifier: RSAAlgorithm | ECAlgorithm
    ) -> None:
        key = tokens.key_for(alg)
        signature = verifier.sign(b"message", key)  # type: ignore[arg-type]  # each class takes one kind of key
        public = key.public_key()
        assert verifier.verify(b"message", public, signature) is True  # type: ignore[arg-type]  # each class takes one kind of key
        for other in (
            b"",
            b"\x00",
            bytes(len(signature)),
            b"\xff" * len(signature),
            signature[:-1],
            signature + b"\x00",
        ):
            assert verifier.verify(b"message", public, other) is False  # type: ignore[arg-type]  # each class takes one kind of key
        assert verifier.verify(b"another", public, signature) is False  # type: ignore[arg-type]  # each class takes one kind of key

    def test_a_signature_in_der_is_none(self) -> None:
        der = tokens.ec_key().sign(b"message", ec.ECDSA(hashes.SHA256()))
        assert ECAlgorithm(ECAlgorithm.SHA256).verify(b"message", tokens.ec_key().public_key(), der) is False

    def test_one_hash_is_not_another(self) -> None:
        signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(b"message", tokens.rsa_key())
        assert not RSAAlgorithm(RSAAlgorithm.SHA512).verify(
            b"message", tokens.rsa_key().public_key(), signature
        )

    def test_an_algorithm_can_be_bound_to_its_curve(self) -> None:
        with pytest.raises(InvalidKeyError):
            ECAlgorithm(ECAlgorithm.SHA256, expected_curve=type(tokens.ec_key().curve)).prepare_key(
                tokens.ec_key("ES384").public_key()
            )


class TestAdvisories:
    def test_a_public_key_is_no_secret(self) -> None:
        """CVE-2022-29217: with the public key in PEM as an HMAC secret, anybody can sign."""
        pem = (
            tokens.rsa_key()
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        with pytest.raises(InvalidKeyError):
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(pem)

    @pytest.mark.parametrize("issuer", ["https", "", tokens.ENTRA_V1[:-1]])
    def test_a_part_of_an_issuer_is_not_the_issuer(self, issuer: str) -> None:
        """CVE-2024-53861."""
        with pytest.raises(jwt.InvalidIssuerError):
            decode(tokens.token(tokens.good_entra_v1(iss=issuer)), issuer=tokens.ENTRA_V1)

    def test_an_unknown_critical_extension_is_refused(self) -> None:
        """CVE-2026-32597."""
        with pytest.raises(jwt.InvalidTokenError):
            decode(tokens.token(headers=tokens.header(crit=["unknown"], unknown=True)))

    @pytest.mark.enable_socket
    def test_a_failed_refresh_keeps_the_keys(self) -> None:
        """Fixed by 2.15.1, the floor in pyproject.toml."""
        document = tokens.jwks(tokens.jwk(tokens.rsa_key(), alg="RS256"))
        with Server(answer(document)) as server:
            client = jwt.PyJWKClient(f"http://127.0.0.1:{server.port}/keys", cooldown_duration=0)
            assert client.get_signing_key(tokens.KID).key_id == tokens.KID
            for behaviour in (answer(b"", status="500 Oops"), raw(b"")):
                server.behaviour = behaviour
                with pytest.raises(PyJWKClientError):
                    client.get_jwk_set(refresh=True)
                assert client.get_signing_key(tokens.KID).key_id == tokens.KID


class TestItLeavesToUs:
    """Each is accepted by PyJWT, or ends in somebody else's exception; ours refuses it."""

    def test_two_members_of_one_name(self) -> None:
        text = tokens.a_payload_with_oid_twice()
        assert decode(text)["oid"] == tokens.OBJECT_ID
        with pytest.raises(ProofError, match="payload-not-json"):
            parse(text)

    def test_padding(self) -> None:
        text = tokens.padded_segments()
        assert decode(text)["oid"] == tokens.OBJECT_ID
        with pytest.raises(ProofError, match="segment-not-canonical"):
            parse(text)

    def test_an_audience_that_is_not_ours_beside_one_that_is(self) -> None:
        assert decode(tokens.for_us_and_somebody_else())["oid"] == tokens.OBJECT_ID

    def test_the_purpose_of_a_key(self) -> None:
        for members in ({"use": "enc"}, {"key_ops": ["encrypt"]}):
            key = jwt.PyJWK(tokens.jwk(tokens.rsa_key(), alg="RS256", **members))
            assert (
                jwt.decode(tokens.good_token(), key, audience=tokens.AUDIENCE, **NOW)["oid"]
                == tokens.OBJECT_ID
            )

    def test_numbers_that_are_none(self) -> None:
        assert decode(tokens.token(tokens.good_entra_v1(x=float("inf"))))["x"] == float("inf")

    def test_a_type_that_is_another_things(self) -> None:
        assert decode(tokens.a_proof_of_possession())["oid"] == tokens.OBJECT_ID
