"""A revocation list is believed only as docs/verification.md says, and then as far as it goes."""

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.hashes import SHA224, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.errors import ProofError, UnavailableError
from sallyport.model import StaleCrls
from sallyport.proof import crl
from sallyport.proof.certificates import name_digest
from sallyport.proof.crl import GRACE, REASONS, CrlState, Link, check_revocation, read_crl
from sallyport.proof.x509_reasons import RevokedCertificateError
from tests.support import pki

# What is refused while an exchange asks, and not while a list is read.
ASKED = {"crl-missing", "crl-stale"}

FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def serials(data: bytes, previous: CrlState | None = None) -> list[int]:
    found = read_crl(data, "list", pki.anchor(), pki.NOW, previous=previous)
    return [link.serial for link in found.links()]


def pss_signed(by: pki.Holder, digest: HashAlgorithm) -> bytes:
    """Return a list signed with RSA-PSS over this hash."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(by.certificate.subject)
    builder = builder.last_update(pki.NOW - pki.DAY).next_update(pki.NOW + pki.DAY)
    builder = builder.add_extension(x509.CRLNumber(1), critical=False)
    padding = PSS(MGF1(digest), digest.digest_size)
    return builder.sign(by.key, digest, rsa_padding=padding).public_bytes(Encoding.DER)


@pytest.mark.parametrize("case", pki.LIST_CASES, ids=lambda case: case.name)
def test_a_bad_list_is_refused_for_its_own_reason(case: pki.ListCase) -> None:
    with pytest.raises(UnavailableError) as refused:
        list(read_crl(case.make(), "list", case.against(), pki.NOW, previous=case.previous()).links())
    assert refused.value.reason == case.reason
    assert refused.value.cure
    assert len(refused.value.detail) < 1_000


@pytest.mark.parametrize("case", pki.LIST_CASES, ids=lambda case: case.name)
def test_the_good_neighbour_of_a_bad_list_is_read(case: pki.ListCase) -> None:
    found = read_crl(case.good(), "list", case.against(), pki.NOW, previous=case.previous())
    assert len(list(found.links())) == found.count


def test_every_reason_has_a_bad_list() -> None:
    too_large = {"crl-too-large"}  # tests below, since 64 MB make no good table
    assert {case.reason for case in pki.LIST_CASES} == set(REASONS) - ASKED - too_large


def test_a_list_too_large_is_not_even_parsed() -> None:
    # Bytes that are no list at all: parsing them would give another reason.
    with pytest.raises(UnavailableError, match="crl-too-large"):
        serials(bytes(crl.MAX_CRL_BYTES + 1))


class TestReading:
    def test_a_list_names_every_serial_number_with_its_issuer(self) -> None:
        found = read_crl(pki.crl(pki.root(), 1, 1 << 158), "list", pki.anchor(), pki.NOW)
        issuer = name_digest(pki.root().certificate.subject)
        assert list(found.links()) == [Link(issuer, 1), Link(issuer, 1 << 158)]
        assert found.state == CrlState(
            id="list",
            issuer=issuer,
            number=1,
            this_update=pki.NOW - pki.DAY,
            next_update=pki.NOW + pki.DAY,
            digest=found.state.digest,
        )

    def test_an_empty_list_is_a_list(self) -> None:
        assert serials(pki.crl(pki.root())) == []

    def test_pem_is_as_good_as_der_and_has_its_digest(self) -> None:
        data = pki.crl(pki.root(), 7)
        pem = x509.load_der_x509_crl(data).public_bytes(Encoding.PEM)
        assert pki.state(pem) == pki.state(data)

    @pytest.mark.parametrize("kind", pki.GOOD_KINDS)
    def test_a_list_may_be_signed_with_every_kind_of_key(self, kind: str) -> None:
        by = pki.root(kind)
        found = read_crl(pki.crl(by, 7), "list", pki.anchor(by), pki.NOW)
        assert found.count == 1

    def test_a_list_past_its_end_is_read_because_it_says_more_than_the_one_before(self) -> None:
        assert serials(pki.crl(pki.root(), 7, ends=pki.NOW - pki.SECOND)) == [7]

    def test_the_same_list_again_is_no_step_back(self) -> None:
        data = pki.crl(pki.root(), 7)
        assert serials(data, previous=pki.state(data)) == [7]

    def test_another_authority_counts_for_itself_once_the_one_before_is_gone(self) -> None:
        before = pki.anchor(pki.root(), keeps=[pki.issuing()])
        previous = pki.state(pki.crl(pki.issuing(), number=900), against=before)
        assert read_crl(pki.crl(pki.root(), number=1), "list", pki.anchor(), pki.NOW, previous=previous)
        older = pki.crl(pki.root(), begins=pki.NOW - pki.DAY - pki.SECOND)
        with pytest.raises(UnavailableError, match="crl-older"):
            read_crl(older, "list", pki.anchor(), pki.NOW, previous=previous)

    def test_entries_are_read_as_they_are_asked_for(self) -> None:
        found = read_crl(pki.crl(pki.root(), *range(1, 20_001)), "list", pki.anchor(), pki.NOW)
        tracemalloc.start()
        try:
            assert sum(1 for _ in found.links()) == 20_000
            assert tracemalloc.get_traced_memory()[1] < 200_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("critical", [True, False])
    def test_what_changes_nothing_may_be_critical(self, *, critical: bool) -> None:
        known = (x509.AuthorityKeyIdentifier(b"k", None, None), critical)
        date = (x509.InvalidityDate(datetime(2026, 1, 1)), critical)  # noqa: DTZ001 - the library wants it naive
        assert serials(pki.crl(pki.root(), 7, extensions=[known], entry_extensions=[date])) == [7]

    def test_what_is_unknown_may_be_there_if_it_does_not_insist(self) -> None:
        unknown = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), False)
        assert serials(pki.crl(pki.root(), 7, extensions=[unknown], entry_extensions=[unknown])) == [7]

    def test_with_pss_the_hash_is_looked_at_too(self) -> None:
        """The algorithm's name is the same whatever the hash is."""
        by = pki.root("rsa-2048")
        assert read_crl(pss_signed(by, SHA256()), "list", pki.anchor(by), pki.NOW)
        with pytest.raises(UnavailableError, match="crl-signature"):
            read_crl(pss_signed(by, SHA224()), "list", pki.anchor(by), pki.NOW)

    def test_two_authorities_of_one_name_may_each_sign(self) -> None:
        old, new = (pki.authority("Rolling", key_name=key) for key in ("old", "new"))
        for by in (old, new):
            assert read_crl(pki.crl(by), "list", pki.anchor(old, new), pki.NOW)


class TestAsking:
    leaf = pki.leaf()
    fresh = pki.crl(pki.root())
    # An authority of the anchor's that did not issue the leaf.
    other = name_digest(pki.issuing().certificate.subject)

    def ask(
        self,
        *states: CrlState,
        expected: tuple[str, ...] = ("list",),
        stale_crls: StaleCrls = StaleCrls.DENY,
        revoked: frozenset[Link] = frozenset(),
        now: datetime = pki.NOW,
    ) -> tuple[str, ...]:
        anchor = pki.anchor(keeps=[pki.issuing()], crls=expected, stale_crls=stale_crls)
        return check_revocation([self.leaf.link], anchor, states, revoked, now)

    def test_a_certificate_on_no_list_is_not_revoked(self) -> None:
        assert self.ask(pki.state(self.fresh)) == ()

    def test_an_anchor_without_lists_revokes_nothing(self) -> None:
        assert self.ask(expected=()) == ()

    def test_a_revoked_certificate_is_named_as_such_to_its_holder(self) -> None:
        with pytest.raises(RevokedCertificateError) as refused:
            self.ask(pki.state(self.fresh), revoked=frozenset({self.leaf.link}))
        assert refused.value.public == "Certificate revoked"

    def test_what_is_revoked_is_revoked_however_late_the_list_is(self) -> None:
        late = replace(pki.state(self.fresh), next_update=pki.NOW - pki.SECOND)
        for stale_crls in StaleCrls:
            with pytest.raises(ProofError, match="certificate-revoked"):
                self.ask(late, stale_crls=stale_crls, revoked=frozenset({self.leaf.link}))

    def test_a_late_list_fails_closed(self) -> None:
        state = pki.state(self.fresh)
        assert self.ask(state, now=state.next_update) == ()
        with pytest.raises(UnavailableError, match="crl-stale"):
            self.ask(state, now=state.next_update + timedelta(microseconds=1))

    def test_a_list_that_was_never_read_fails_closed(self) -> None:
        with pytest.raises(UnavailableError, match="crl-missing"):
            self.ask()

    def test_a_list_of_an_authority_that_is_no_longer_the_anchors_is_as_good_as_never_read(self) -> None:
        """Its name is taken, but it says nothing of the authority that came in its place."""
        former = replace(pki.state(self.fresh), issuer="0" * 64)
        with pytest.raises(UnavailableError, match="crl-missing"):
            self.ask(former)
        assert self.ask(former, stale_crls=StaleCrls.ALLOW) == ("crl-missing",)

    def test_a_list_without_an_end_is_never_late(self) -> None:
        """RFC 5280's 99991231235959Z, behind which there is no time to reckon with."""
        state = pki.state(pki.crl(pki.root(), ends=FOR_EVER))
        assert state.next_update == FOR_EVER
        assert self.ask(state) == ()

    def test_one_missing_list_fails_closed_beside_a_good_one(self) -> None:
        with pytest.raises(UnavailableError, match="crl-missing"):
            self.ask(pki.state(self.fresh), expected=("list", "other"))

    def test_an_anchor_may_take_the_risk_and_the_record_tells(self) -> None:
        late = replace(pki.state(self.fresh), next_update=pki.NOW - pki.SECOND)
        assert self.ask(late, stale_crls=StaleCrls.ALLOW) == ("crl-stale",)
        assert self.ask(stale_crls=StaleCrls.ALLOW) == ("crl-missing",)

    def test_no_anchor_may_take_the_risk_of_a_list_whose_serials_have_left(self) -> None:
        state = pki.state(self.fresh)
        end = state.next_update + GRACE
        assert self.ask(state, stale_crls=StaleCrls.ALLOW, now=end) == ("crl-stale",)
        for stale_crls in StaleCrls:
            with pytest.raises(UnavailableError, match="crl-expired"):
                self.ask(state, stale_crls=stale_crls, now=end + timedelta(microseconds=1))

    def test_a_list_of_another_authority_whose_serials_have_left_does_not_matter(self) -> None:
        gone = replace(pki.state(self.fresh), issuer=self.other, next_update=pki.NOW - GRACE - pki.DAY)
        assert self.ask(gone) == ()

    def test_what_an_expired_list_still_names_is_revoked_and_not_merely_unknown(self) -> None:
        gone = replace(pki.state(self.fresh), next_update=pki.NOW - GRACE - pki.DAY)
        with pytest.raises(ProofError, match="certificate-revoked"):
            self.ask(gone, revoked=frozenset({self.leaf.link}))

    def test_a_late_list_of_another_authority_does_not_matter(self) -> None:
        late = replace(pki.state(self.fresh), issuer=self.other, next_update=pki.NOW - pki.SECOND)
        assert self.ask(late) == ()
