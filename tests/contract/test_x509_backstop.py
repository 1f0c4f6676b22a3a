"""What we rely on in pyca/cryptography, and what we know that it leaves to us.

The first half must hold, or ``proof.x509`` is no longer safe. The second half documents why our own
checks exist: should one of these change, the check may be looked at again, but not silently.
"""

from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from tests.support import pki


def path(
    leaf: pki.Holder, *intermediates: pki.Holder, to: pki.Holder | None = None
) -> list[x509.Certificate]:
    """Build a path as ``proof.x509`` does, with nothing of ours around it."""
    authorities = ExtensionPolicy.webpki_defaults_ca().require_present(
        x509.BasicConstraints, Criticality.AGNOSTIC, None
    )
    leaves = (
        ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.NON_CRITICAL, None)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None)
    )
    verifier = (
        PolicyBuilder()
        .store(Store([(to or pki.root()).certificate]))
        .time(pki.NOW)
        .max_chain_depth(5)
        .extension_policies(ca_policy=authorities, ee_policy=leaves)
        .build_client_verifier()
    )
    return verifier.verify(leaf.certificate, [one.certificate for one in intermediates]).chain


def issuing(*new: pki.Extension, **fields: Any) -> pki.Holder:
    return pki.authority("Issuing", pki.root(), *new, **fields)


class TestWeRelyOnIt:
    def test_a_path_is_the_leaf_and_its_issuers_up_to_the_anchor(self) -> None:
        leaf = pki.leaf(pki.issuing())
        assert path(leaf, pki.issuing()) == [
            leaf.certificate,
            pki.issuing().certificate,
            pki.root().certificate,
        ]

    @pytest.mark.parametrize(
        "broken",
        [
            issuing(ends=pki.NOW - pki.SECOND),
            issuing(begins=pki.NOW + pki.SECOND),
            issuing((x509.BasicConstraints(ca=False, path_length=None), True)),
            issuing(without={x509.BasicConstraints}),
            issuing((pki.usage("crl_sign"), True)),
            issuing(without={x509.KeyUsage}),
            issuing(kind="rsa-1024"),
            issuing(kind="p-224"),
            issuing(kind="ed25519"),
            issuing(digest=hashes.SHA224()),
            issuing((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)),
            pki.authority("Issuing", pki.authority("Root", key_name="impostor")),
        ],
        ids=[
            "expired",
            "not yet valid",
            "no authority",
            "no constraints",
            "no keyCertSign",
            "no usage",
            "short key",
            "short curve",
            "other key",
            "weak hash",
            "critical",
            "forged",
        ],
    )
    def test_nothing_broken_is_on_a_path(self, broken: pki.Holder) -> None:
        with pytest.raises(VerificationError):
            path(pki.leaf(broken), broken)

    def test_an_exception_in_a_callback_is_a_refusal(self) -> None:
        def explode(*_: object) -> None:
            raise KeyError("x")

        verifier = (
            PolicyBuilder()
            .store(Store([pki.root().certificate]))
            .time(pki.NOW)
            .extension_policies(
                ca_policy=ExtensionPolicy.webpki_defaults_ca().require_present(
                    x509.BasicConstraints, Criticality.AGNOSTIC, explode
                ),
                ee_policy=ExtensionPolicy.permit_all(),
            )
            .build_client_verifier()
        )
        with pytest.raises(VerificationError):
            verifier.verify(pki.leaf().certificate, [])

    def test_critical_constraints_on_directory_names_are_refused(self) -> None:
        constraints = x509.NameConstraints([x509.DirectoryName(pki.name("host.example.com"))], None)
        limited = issuing((constraints, True))
        with pytest.raises(VerificationError):
            path(pki.leaf(limited), limited)

    # Up to version 48 of the library these take for ever.
    @pytest.mark.timeout(30)
    def test_a_path_costs_a_limited_number_of_signatures(self) -> None:
        crowd = [pki.authority("Crowd", kind="p-256", key_name="crowd") for _ in range(40)]
        with pytest.raises(VerificationError):
            path(pki.leaf(crowd[0]), *crowd)

    @pytest.mark.parametrize(
        "signature",
        [b"", b"\0", bytes(72), b"\x30\x06\x02\x01\x00\x02\x01\x00"],
        ids=["nothing", "a zero", "zeroes", "two zeroes in DER"],
    )
    def test_an_ecdsa_signature_is_der_and_nothing_else(self, signature: bytes) -> None:
        key = pki.key()
        good = pki.sign(key, b"data")
        for bad in (signature, good + b"\0", good[:-1]):
            with pytest.raises(InvalidSignature):
                key.public_key().verify(bad, b"data", ec.ECDSA(hashes.SHA256()))

    def test_an_rsa_signature_is_as_long_as_the_key(self) -> None:
        key = pki.key("rsa-2048")
        good = pki.sign(key, b"data")
        for bad in (b"", b"\0" + good, good + b"\0", good[:-1]):
            with pytest.raises(InvalidSignature):
                key.public_key().verify(bad, b"data", padding.PKCS1v15(), hashes.SHA256())

    def test_a_list_is_not_signed_by_another_key_of_whatever_kind(self) -> None:
        found = x509.load_der_x509_crl(pki.crl(pki.root()))
        assert found.is_signature_valid(pki.root().key.public_key())
        for kind in pki.GOOD_KINDS:
            assert not found.is_signature_valid(pki.key(kind, "another").public_key())


class TestItLeavesToUs:
    @pytest.mark.parametrize("kind", ["rsa-1024", "p-224", "secp256k1", "ed25519", "dsa"])
    def test_the_leaf_s_own_key_may_be_anything(self, kind: str) -> None:
        assert path(pki.leaf(kind=kind))

    def test_key_usage_need_not_have_digital_signature(self) -> None:
        assert path(pki.leaf(None, (pki.usage("key_agreement"), True)))
        assert path(pki.leaf(without={x509.KeyUsage}))

    def test_a_subject_may_be_empty(self) -> None:
        names = x509.SubjectAlternativeName([x509.DNSName("a")])
        assert path(pki.leaf(None, (names, True), subject=x509.Name([])))

    def test_constraints_on_directory_names_that_do_not_insist_are_passed_over(self) -> None:
        constraints = x509.NameConstraints([x509.DirectoryName(pki.name("other"))], None)
        limited = issuing((constraints, False))
        assert path(pki.leaf(limited), limited)

    def test_constraints_on_mail_are_not_held_against_the_subject(self) -> None:
        limited = issuing((x509.NameConstraints([x509.RFC822Name("example.com")], None), True))
        subject = pki.name("web", (x509.NameOID.EMAIL_ADDRESS, "a@example.org"))
        assert path(pki.leaf(limited, subject=subject), limited)

    def test_basic_constraints_must_be_critical_unless_a_policy_says_otherwise(self) -> None:
        loose = issuing((x509.BasicConstraints(ca=True, path_length=None), False))
        assert path(pki.leaf(loose), loose)
        web = PolicyBuilder().store(Store([pki.root().certificate])).time(pki.NOW)
        web = web.extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        with pytest.raises(VerificationError):
            web.build_client_verifier().verify(pki.leaf(loose).certificate, [loose.certificate])

    def test_a_time_without_zone_is_taken_for_utc(self) -> None:
        builder = PolicyBuilder().time(pki.NOW.replace(tzinfo=None))
        assert builder.store(Store([pki.root().certificate])).build_client_verifier()

    def test_authorities_that_issue_each_other_cost_many_signatures(self) -> None:
        crowd = [pki.authority("Crowd", kind="p-521", key_name="crowd") for _ in range(5)]
        with pytest.raises(VerificationError, match="signature"):
            path(pki.leaf(crowd[0]), *crowd)
