"""A signed request becomes an identity only as docs/verification-x509.md says."""

import itertools
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from sallyport.errors import ProofError, RequestError, UnavailableError
from sallyport.proof import crl
from sallyport.proof import x509 as proof
from sallyport.proof.certificates import AUTHORITY_RULES, authority_problem, load_bundle
from sallyport.proof.x509 import WINDOW, Endpoint, claimed, identify, parse, verify_chain
from sallyport.proof.x509_reasons import (
    REASONS,
    InsufficientCertificateError,
    RevokedCertificateError,
    SignedRequestError,
    UntrustedCertificateError,
)
from tests.support import pki

VERIFICATION = Path(__file__).parents[3] / "docs" / "verification-x509.md"


@pytest.mark.parametrize("case", pki.CASES, ids=lambda case: case.name)
def test_a_bad_request_is_refused_for_its_own_reason(case: pki.Case) -> None:
    with pytest.raises(SignedRequestError) as refused:
        case.make().verify()
    assert refused.value.reason == case.reason
    assert refused.value.cure
    assert len(refused.value.detail) < 1_000
    assert refused.value.detail.isascii()
    assert refused.value.detail.isprintable()


@pytest.mark.parametrize("case", pki.CASES, ids=lambda case: case.name)
def test_the_good_neighbour_of_a_bad_request_is_accepted(case: pki.Case) -> None:
    assert case.good().verify().subject


@pytest.mark.parametrize("case", pki.GOOD_CASES, ids=lambda case: case.name)
def test_what_looks_odd_and_is_right_is_accepted(case: pki.GoodCase) -> None:
    assert case.make().verify().subject


def test_every_reason_has_a_bad_request() -> None:
    # Who looks for the anchor finds none; the verifier is always given one.
    assert {case.reason for case in pki.CASES} == set(REASONS) - {"anchor-unknown"}


def test_a_caller_hears_one_of_four_sentences() -> None:
    texts = {entry.error: entry.error.public for entry in REASONS.values()}
    assert texts == {
        SignedRequestError: "The request could not be authenticated.",
        UntrustedCertificateError: "Untrusted signing certificate",
        InsufficientCertificateError: "Untrusted certificate. Insufficient certificate",
        RevokedCertificateError: "Certificate revoked",
    }
    assert {(error.status, error.code) for error in texts} == {(403, "AccessDeniedException")}


class TestIdentity:
    def test_a_certificate_s_holder_is_its_subject_at_its_anchor(self) -> None:
        one = pki.leaf(subject=pki.name((NameOID.ORGANIZATION_NAME, "Example, Inc."), "web 1"), serial=0xABC)
        identity = pki.signed(one).verify()
        assert identity.subject == "CN=web 1,O=Example\\, Inc."
        assert identity.anchor_name == "datacenter"
        assert identity.anchor_id == pki.ANCHOR_ID
        assert identity.anchor_arn == pki.ANCHOR_ARN
        assert identity.expires_at == pki.NOW + WINDOW
        assert identity.notes == ()

    def test_the_record_learns_which_certificate_it_was_and_when_it_ends(self) -> None:
        one = pki.leaf(serial=0xABC, ends=pki.NOW + pki.DAY)
        facts = pki.signed(one).verify().certificate
        assert facts is not None
        assert facts.serial == "0abc"
        assert facts.issuer == "CN=Root"
        assert facts.not_after == pki.NOW + pki.DAY
        assert len(facts.fingerprint) == 64

    def test_every_name_is_an_attribute(self) -> None:
        directory = x509.DirectoryName(pki.name((NameOID.ORGANIZATIONAL_UNIT_NAME, "Rack 7"), "chassis"))
        names = x509.SubjectAlternativeName(
            [
                x509.DNSName("a.example.com"),
                x509.UniformResourceIdentifier("spiffe://example.com/a"),
                directory,
                x509.RFC822Name("ignored@example.com"),
            ]
        )
        subject = pki.name((NameOID.COUNTRY_NAME, "DE"), (ObjectIdentifier("2.5.4.97"), "VATDE-1"), "web")
        identity = pki.signed(pki.leaf(None, (names, False), subject=subject, serial=0x1000)).verify()
        assert identity.attributes == {
            "x509:Subject/C": "DE",
            "x509:Subject/2.5.4.97": "VATDE-1",
            "x509:Subject/CN": "web",
            "x509:Issuer/CN": "Root",
            "x509:SAN/DNS": "a.example.com",
            "x509:SAN/URI": "spiffe://example.com/a",
            "x509:SAN/Name/OU": "Rack 7",
            "x509:SAN/Name/CN": "chassis",
            "x509:Serial": "1000",
        }

    def test_a_repeated_part_is_a_list_in_the_certificate_s_order(self) -> None:
        units = [(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in ("Security", "Engineering", "Research")]
        names = x509.SubjectAlternativeName([x509.DNSName("b.example.com"), x509.DNSName("a.example.com")])
        one = pki.leaf(None, (names, False), subject=pki.name(*units, "web"))
        attributes = pki.signed(one).verify().attributes
        assert attributes["x509:Subject/OU"] == ["Security", "Engineering", "Research"]
        assert attributes["x509:SAN/DNS"] == ["b.example.com", "a.example.com"]

    def test_of_several_directory_names_the_first_counts_and_the_record_tells(self) -> None:
        names = x509.SubjectAlternativeName(
            [x509.DirectoryName(pki.name(one)) for one in ("first", "second")]
        )
        identity = pki.signed(pki.leaf(None, (names, False))).verify()
        assert identity.attributes["x509:SAN/Name/CN"] == "first"
        assert identity.notes == ("san-names-beyond-the-first",)

    def test_attributes_cannot_be_changed_afterwards(self) -> None:
        with pytest.raises(TypeError):
            pki.signed().verify().attributes["x509:Subject/CN"] = "x"  # type: ignore[index]  # what must fail

    # Tests turn the library's warnings into errors; functions do not.
    @pytest.mark.filterwarnings("ignore")
    def test_odd_names_that_the_library_remarks_on_are_still_names(self) -> None:
        country = x509.NameAttribute(NameOID.COUNTRY_NAME, "DEU", _validate=False)
        one = pki.leaf(subject=x509.Name([country, *pki.name("web")]))
        assert pki.signed(one).verify().attributes["x509:Subject/C"] == "DEU"

    def test_a_process_that_makes_errors_of_warnings_refuses_them_by_our_own_error(self) -> None:
        with pytest.warns(UserWarning, match="length"):
            country = x509.NameAttribute(NameOID.COUNTRY_NAME, "DEU", _validate=False)
        one = pki.leaf(subject=x509.Name([country, *pki.name("web")]))
        with pytest.raises(InsufficientCertificateError):
            pki.signed(one).verify()


class TestNotes:
    @pytest.mark.parametrize(
        ("make", "notes"),
        [
            (pki.a_host_whose_port_was_not_signed, ("host-signed-without-port",)),
            (pki.a_declared_hash_that_was_not_used, ("algorithm-mismatch",)),
            (pki.everything_in_the_body, ()),
        ],
    )
    def test_the_record_tells_what_was_odd(
        self, make: Callable[[], pki.Presentation], notes: tuple[str, ...]
    ) -> None:
        assert make().verify().notes == notes


class TestReplayId:
    def test_it_is_the_digest_of_what_was_signed(self) -> None:
        identity = pki.signed().verify()
        assert identity.replay_id == f"{pki.ANCHOR_ID}:sha256:{identity.proof_digest}"
        assert re.fullmatch("[0-9a-f]{64}", identity.proof_digest)

    def test_a_second_signature_of_the_same_bytes_is_the_same_proof(self) -> None:
        # ECDSA takes another random number each time, and (r, n - s) is as good as (r, s).
        one = pki.leaf()
        first, second = pki.signed(one), pki.signed(one)
        assert first.request.headers["authorization"] != second.request.headers["authorization"]
        assert first.verify().replay_id == second.verify().replay_id

    @pytest.mark.parametrize(
        "changes",
        [{"when": pki.NOW + pki.SECOND}, {"content": b"{}"}, {"headers": {"x-attempt": "2"}}],
        ids=["date", "body", "header"],
    )
    def test_another_request_is_another_proof(self, changes: dict[str, Any]) -> None:
        one = pki.leaf()
        assert pki.signed(one).verify().replay_id != pki.signed(one, **changes).verify().replay_id

    def test_unsigned_headers_do_not_make_another_proof(self) -> None:
        one = pki.signed()
        assert pki.with_header(one, "x-forwarded-for", "192.0.2.1").verify() == one.verify()

    def test_a_proof_is_of_use_until_its_identity_expires(self) -> None:
        one = pki.signed()
        expires = one.verify().expires_at
        assert replace(one, now=expires).verify()
        with pytest.raises(ProofError, match="request-expired"):
            replace(one, now=expires + timedelta(microseconds=1)).verify()


class TestPurposes:
    """What a chain is good for is settled in two steps, and the first is not yet an identity."""

    def test_a_chain_names_what_to_look_up(self) -> None:
        below = pki.authority("Below", pki.issuing())
        one = pki.leaf(below)
        chain = verify_chain(
            parse(pki.signed(one, chain=[below, pki.issuing()]).request), pki.ENDPOINT, pki.anchor(), pki.NOW
        )
        assert chain.links == (one.link, below.link, pki.issuing().link)

    def test_the_anchor_s_own_certificate_is_not_looked_up(self) -> None:
        one = pki.leaf(pki.issuing())
        anchor = pki.anchor(pki.issuing())
        assert verify_chain(parse(pki.signed(one).request), pki.ENDPOINT, anchor, pki.NOW).links == (
            one.link,
        )

    def test_each_revoked_link_is_enough(self) -> None:
        one = pki.leaf(pki.issuing())
        chain = verify_chain(
            parse(pki.signed(one, chain=[pki.issuing()]).request), pki.ENDPOINT, pki.anchor(), pki.NOW
        )
        assert identify(chain, (), (), pki.NOW)
        for link in chain.links:
            with pytest.raises(RevokedCertificateError):
                identify(chain, (), {link}, pki.NOW)

    def test_a_late_list_is_nobody_s_fault_but_ours(self) -> None:
        late = pki.crl(pki.root(), ends=pki.NOW - pki.SECOND)
        with pytest.raises(UnavailableError, match="crl-stale"):
            pki.signed(lists={"list": late}).verify()


BAD_AUTHORITIES: list[tuple[Callable[[], bytes], str]] = [
    (lambda: b"\x30\x00", "authority-malformed"),
    (lambda: pki.a_certificate_beyond_every_key_itself().der, "authority-malformed"),
    (lambda: pki.version_one(pki.root()).der, "authority-version"),
    (lambda: pki.leaf().der, "authority-not-ca"),
    (lambda: pki.authority(without={x509.BasicConstraints}).der, "authority-not-ca"),
    (lambda: pki.authority("R", None, (pki.usage("crl_sign"), True)).der, "authority-key-usage"),
    (lambda: pki.authority(without={x509.KeyUsage}).der, "authority-key-usage"),
    (lambda: pki.authority(kind="rsa-1024").der, "authority-key"),
    (lambda: pki.authority(kind="ed25519").der, "authority-key"),
    (lambda: pki.authority(digest=pki.hashes.SHA224()).der, "authority-signature-weak"),
    (lambda: pki.authority(x509.Name([]), pki.root()).der, "authority-subject"),
    (
        lambda: (
            pki.authority(
                "R",
                None,
                (x509.NameConstraints([x509.DirectoryName(pki.name("a"))], None), True),
            ).der
        ),
        "authority-name-constraints",
    ),
]


class TestAnchors:
    def test_an_anchor_of_nothing_trusts_nothing(self) -> None:
        with pytest.raises(UnavailableError, match="anchor-unusable"):
            pki.signed(against=replace(pki.anchor(), certificates=())).verify()

    def test_an_anchor_that_cannot_be_read_trusts_nothing(self) -> None:
        with pytest.raises(UnavailableError, match="anchor-unusable"):
            pki.signed(against=replace(pki.anchor(), certificates=(b"\x30\x00",))).verify()

    def test_intermediates_of_an_anchor_are_not_trusted_by_themselves(self) -> None:
        loose = pki.authority("Loose", pki.stranger())
        with pytest.raises(ProofError, match="issuer-missing"):
            pki.signed(pki.leaf(loose), against=pki.anchor(pki.root(), keeps=[loose])).verify()

    @pytest.mark.parametrize("kind", pki.GOOD_KINDS)
    def test_a_good_authority_has_no_problem(self, kind: str) -> None:
        assert authority_problem(pki.root(kind).der) is None

    @pytest.mark.parametrize(("make", "rule"), BAD_AUTHORITIES)
    def test_a_bad_authority_has_its_own(self, make: Callable[[], bytes], rule: str) -> None:
        assert authority_problem(make()) == rule

    def test_every_rule_for_authorities_is_tried(self) -> None:
        assert {rule for _, rule in BAD_AUTHORITIES} == set(AUTHORITY_RULES)

    def test_a_bundle_is_read_in_order_and_each_certificate_once(self) -> None:
        ders = [pki.root().der, pki.issuing().der]
        pem = "".join(
            x509.load_der_x509_certificate(one).public_bytes(pki.Encoding.PEM).decode()
            for one in (*ders, ders[0])
        )
        assert load_bundle(f"# ours\n{pem}".encode()) == tuple(ders)
        with pytest.raises(ValueError, match=r"."):
            load_bundle(b"no certificate")


class TestDiagnosis:
    def test_a_missing_intermediate_is_named(self) -> None:
        with pytest.raises(UntrustedCertificateError) as refused:
            pki.a_missing_intermediate().verify()
        assert "CN=Issuing" in refused.value.detail

    def test_the_highest_name_is_the_one_that_is_missing(self) -> None:
        below = pki.authority("Below", pki.issuing())
        with pytest.raises(UntrustedCertificateError) as refused:
            pki.signed(pki.leaf(below), chain=[below]).verify()
        assert "CN=Issuing" in refused.value.detail

    def test_a_hierarchy_that_is_complete_and_another_is_named_by_the_leaf_s_issuer(self) -> None:
        with pytest.raises(UntrustedCertificateError) as refused:
            pki.a_stranger_s_certificate().verify()
        assert "CN=Stranger" in refused.value.detail


class TestHosts:
    @pytest.mark.parametrize(
        ("host", "served"),
        [
            ("a.example.com", True),
            ("A.Example.COM", True),
            ("a.example.com:443", True),
            ("127.0.0.1:8443", True),
            ("[::1]:8443", True),
            ("b.example.com:8443", True),
            ("b.example.com", False),
            ("b.example.com:443", False),
            ("a.example.com.", False),
            ("a.example.com:", False),
            ("a.example.com:443:443", False),
            ("a.example.com:999999", False),
            ("xa.example.com", False),
            ("a.example.com/", False),
            ("a.example.com a.example.com", False),
            ("a.example.com,a.example.com", False),
            ("", False),
            (":443", False),
        ],
    )
    def test_whole_names_are_compared_and_ports_where_they_are_listed(
        self, host: str, *, served: bool
    ) -> None:
        endpoint = Endpoint(
            hosts=frozenset({"a.example.com", "b.example.com:8443", "127.0.0.1", "[::1]"}), region="x"
        )
        assert endpoint.serves(host) is served

    def test_an_endpoint_without_names_serves_nobody(self) -> None:
        assert not Endpoint(hosts=frozenset(), region="x").serves(pki.HOST)


class TestParameters:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"content": b"[]"}, "body-not-json"),
            ({"content": b'{"durationSeconds":3600,"durationSeconds":900}'}, "body-not-json"),
            ({"content": b"{" + b" " * 131_072 + b"}"}, "body-too-large"),
            ({"query": pki.QUERY[:2]}, "parameter-missing"),
            ({"query": [*pki.QUERY, pki.QUERY[0]]}, "parameter-twice"),
            ({"content": pki.body(roleArn=pki.ROLE_ARN + "x"), "query": pki.QUERY}, "parameter-twice"),
            ({"query": (), "content": pki.body(roleArn=7)}, "parameter-malformed"),
            ({"query": (), "content": pki.body(roleArn="reader")}, "parameter-malformed"),
            ({"query": (), "content": pki.body(roleArn="arn:" + "a" * 2_048)}, "parameter-malformed"),
            ({"query": (), "content": pki.body(roleArn="arn:aws:iam::1:role/a b")}, "parameter-malformed"),
            ({"content": b'{"durationSeconds":"3600"}'}, "parameter-malformed"),
            ({"content": b'{"durationSeconds":true}'}, "parameter-malformed"),
            ({"content": b'{"durationSeconds":899}'}, "parameter-malformed"),
            ({"content": b'{"durationSeconds":43201}'}, "parameter-malformed"),
            ({"content": b'{"roleSessionName":"a"}'}, "parameter-malformed"),
            ({"content": b'{"roleSessionName":7}'}, "parameter-malformed"),
            (
                {"content": pki.body(instanceProperties={f"{n}": "v" for n in range(51)})},
                "parameter-malformed",
            ),
            ({"content": pki.body(instanceProperties={"n": "v" * 201})}, "parameter-malformed"),
            ({"content": b'{"roleSessionName":"a b"}'}, "parameter-malformed"),
            ({"content": b'{"instanceProperties":[]}'}, "parameter-malformed"),
            ({"content": b'{"instanceProperties":{"a":1}}'}, "parameter-malformed"),
            ({"content": b'{"instanceProperties":{"a":""}}'}, "parameter-malformed"),
        ],
    )
    def test_a_malformed_request_is_told_so(self, changes: dict[str, Any], reason: str) -> None:
        with pytest.raises(RequestError) as refused:
            pki.signed(**changes).verify()
        assert refused.value.reason == reason

    def test_nulls_are_absent_and_unknown_members_ignored(self) -> None:
        content = (
            b'{"durationSeconds":null,"roleSessionName":null,"sessionName":7,"cert":null,'
            b'"instanceProperties":null,"roleArn":null,"new":{"a":[1]}}'
        )
        parameters = parse(pki.signed(content=content).request).parameters
        assert (parameters.duration, parameters.session_name) == (None, None)
        assert parameters.role_arn == pki.ROLE_ARN
        assert parameters.instance_properties == {}

    def test_what_is_asked_for_is_read(self) -> None:
        content = pki.body(
            durationSeconds=900,
            roleSessionName="deploy-7",
            instanceProperties={"rack": "7", "ort": "Köln"} | {f"{n}": "v" * 200 for n in range(48)},
        )
        parameters = parse(pki.signed(query=(), content=content).request).parameters
        assert parameters.trust_anchor_arn == pki.ANCHOR_ARN
        assert parameters.profile_arn == pki.PROFILE_ARN
        assert parameters.role_arn == pki.ROLE_ARN
        assert (parameters.duration, parameters.session_name) == (900, "deploy-7")
        assert parameters.instance_properties["ort"] == "Köln"
        assert len(parameters.instance_properties) == 50

    def test_an_empty_body_is_no_body(self) -> None:
        assert pki.signed(content=b"").verify().subject


class TestSilence:
    def test_what_holds_the_proof_shows_nothing(self) -> None:
        one = pki.signed()
        unverified = parse(one.request)
        chain = verify_chain(unverified, one.endpoint, one.anchor, one.now)
        for holder in (one.request, unverified, unverified.authorization, chain):
            assert repr(holder) == str(holder) == f"{type(holder).__name__}(…)"

    def test_an_unverified_request_cannot_be_changed(self) -> None:
        with pytest.raises(FrozenInstanceError):
            parse(pki.signed().request).host = "x"  # type: ignore[misc]  # what must fail

    def test_what_a_request_claims_is_bounded_and_chosen(self) -> None:
        units = [(NameOID.ORGANIZATIONAL_UNIT_NAME, "u" * 60)] * 9
        said = claimed(parse(pki.signed(pki.leaf(subject=pki.name(*units, "web"), serial=0xABC)).request))
        assert said == {
            "algorithm": "AWS4-X509-ECDSA-SHA256",
            "serial": "abc",
            "region": pki.REGION,
            "host": pki.HOST,
            "trust_anchor": pki.ANCHOR_ARN,
            "subject": said["subject"],
            "issuer": "CN=Root",
        }
        assert said["subject"].startswith("CN=web,OU=u")
        assert len(said["subject"]) == 256

    def test_a_time_without_zone_is_a_mistake_and_not_a_time(self) -> None:
        with pytest.raises(TypeError):
            replace(pki.signed(), now=pki.NOW.replace(tzinfo=None)).verify()


class TestBounds:
    """Whoever has no certificate of ours cannot make verification cost much."""

    def refused(self, one: pki.Presentation) -> None:
        """A hang is a defect and ends at the suite's limit; how long it takes is a bench's to say."""
        with pytest.raises(ProofError):
            one.verify()

    @pytest.mark.parametrize("kind", ["p-521", "rsa-4096"])
    def test_authorities_that_issue_each_other_do_not_multiply(self, kind: str) -> None:
        # Five of them, in each way that looks worst; the library alone verifies 128 signatures for these.
        names = {"A": "A", "B": "B", "Root": "Root"}

        def crossed(subject: str, issuer: str) -> pki.Holder:
            own, signer = (pki.key(kind, f"crossed {one}") for one in (subject, issuer))
            return pki.Holder(
                pki.certificate(
                    subject=pki.name(names[subject]),
                    public=own.public_key(),
                    issuer=pki.name(names[issuer]),
                    signer=signer,
                    extensions=pki.AUTHORITY_EXTENSIONS,
                ),
                own,
            )

        for pairs in (
            [("A", "A")] * 5,
            [("A", "A"), ("A", "B"), ("B", "A"), ("B", "B"), ("A", "Root")],
            [("A", "B"), ("A", "B"), ("B", "A"), ("B", "A"), ("A", "Root")],
        ):
            bag = list(itertools.starmap(crossed, pairs))
            self.refused(pki.signed(pki.leaf(bag[0]), chain=bag))

    def test_an_authority_that_issues_itself_again_does_not_multiply(self) -> None:
        # All of them lead to the anchor indeed; the library alone gives up after 128 signatures.
        nowhere = (x509.NameConstraints(None, [x509.DNSName("example.com")]), True)
        first = pki.authority("Again", pki.root(), nowhere, key_name="again")
        again = [pki.authority("Again", first, key_name="again") for _ in range(4)]
        for chain in ([first, *again], [*again, first]):
            with pytest.raises(ProofError) as caught:
                pki.signed(pki.leaf(first), chain=chain).verify()
            assert caught.value.reason == "path-refused"
            assert "signature check limit" not in caught.value.detail

    def test_of_several_authorities_with_one_name_each_is_given_its_chance(self) -> None:
        nowhere = (x509.NameConstraints(None, [x509.DNSName("example.com")]), True)
        bad = [pki.authority("Again", pki.root(), nowhere, key_name="again") for _ in range(3)]
        good = pki.authority("Again", pki.root(), key_name="again")
        cross = pki.authority("Again", good, key_name="again")
        leaf = pki.leaf(good)
        for chain in ([*bad, cross, good], [good, cross, *bad], [cross, *bad, good]):
            assert pki.signed(leaf, chain=chain).verify()
        self.refused(pki.signed(leaf, chain=[cross, *bad]))

    @pytest.mark.parametrize("without", [set(), {x509.BasicConstraints}])
    def test_a_workload_s_certificate_does_not_make_authorities_of_its_friends(
        self, without: set[type]
    ) -> None:
        # Its key issues one of the five, so that they hang together with the anchor, but for its own rank.
        own = pki.leaf(subject="own", without=without)
        key = pki.key("p-521", "friend")
        friend = pki.name("Friend")

        def by(issuer: x509.Name, signer: object) -> pki.Holder:
            made = pki.certificate(
                subject=friend,
                public=key.public_key(),
                issuer=issuer,
                signer=signer,
                extensions=pki.AUTHORITY_EXTENSIONS,
            )
            return pki.Holder(made, key)

        friends = [by(pki.name("own"), own.key), *(by(friend, key) for _ in range(3))]
        self.refused(pki.signed(pki.leaf(friends[0]), chain=[own, *friends]))

    def test_a_chain_of_the_largest_nonsense_is_refused_at_once(self) -> None:
        big = pki.Holder(pki.leaf(kind="ml-dsa-87").certificate, None)
        self.refused(pki.signed(pki.leaf(pki.stranger()), chain=[big] * 5))

    def test_many_names_in_an_authority_do_not_multiply_with_constraints(self) -> None:
        subtrees = [x509.DNSName(f"{n}.example.com") for n in range(300)]
        loud = pki.authority("Loud", pki.stranger(), (x509.NameConstraints(subtrees, subtrees), True))
        hosts = x509.SubjectAlternativeName([x509.DNSName(f"{n}.example.com") for n in range(90)])
        self.refused(pki.signed(pki.leaf(loud, (hosts, False)), chain=[loud]))

    def test_every_path_that_may_have_been_signed_is_tried_and_no_more(self) -> None:
        paths = tuple(f"/p{n}/sessions" for n in range(9))
        request = parse(pki.signed(pki.leaf(kind="p-521"), paths=paths).request)
        assert request.uris == ("/sessions", *paths[: proof.MAX_PATHS])
        self.refused(pki.signed(pki.leaf(kind="p-521"), paths=paths, uri="/x"))

    @pytest.mark.parametrize(
        "path", ["/v1//sessions", "/v1/sessions/", "/v1/%73essions", "/v1/sessions?", "sessions", "", "/ü"]
    )
    def test_a_path_with_a_second_spelling_is_no_candidate(self, path: str) -> None:
        assert parse(pki.signed(paths=(path,)).request).uris == ("/sessions",)


def test_a_leap_second_is_no_time_here() -> None:
    with pytest.raises(ProofError, match="date-malformed"):
        pki.with_header(pki.signed(), "x-amz-date", "20261231T235960Z").verify()


def test_times_are_those_of_the_request_and_not_of_the_machine() -> None:
    when = datetime(2026, 11, 1, tzinfo=UTC)
    assert pki.signed(when=when, now=when).verify().expires_at == when + WINDOW


def test_the_documentation_has_the_steps_of_the_code() -> None:
    text = VERIFICATION.read_text(encoding="utf-8")
    for module, title, count in ((proof, "Requests", 12), (crl, "Revocation lists", 5)):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        section = text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
        in_code = [int(number) for number in re.findall(r"^ +# \((\d+)\)", source, re.MULTILINE)]
        in_text = [int(number) for number in re.findall(r"^### \((\d+)\)", section, re.MULTILINE)]
        assert in_code == in_text == list(range(1, count + 1))


def test_the_documentation_has_every_reason_in_the_words_of_the_code() -> None:
    text = VERIFICATION.read_text(encoding="utf-8")
    rows = [
        f"| `{reason}` | {entry.sentence} | {entry.cure} | {entry.error.public} |"
        for reason, entry in REASONS.items()
    ]
    rows += [f"| `{reason}` | {entry.sentence} | {entry.cure} |" for reason, entry in crl.REASONS.items()]
    rows += [f"| `{rule}` | {sentence} |" for rule, sentence in AUTHORITY_RULES.items()]
    assert [row for row in rows if row not in text] == []
