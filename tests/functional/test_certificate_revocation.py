"""What a revocation list in force does to an exchange, and when it is asked."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support import pki
from tests.support.certificate_world import LISTED, CertificateWorld
from tests.support.fake_transport import unreachable
from tests.support.world import Answer, lines

REVOKED = (403, "AccessDeniedException", "Certificate revoked")
AWAY = (503, "ServiceUnavailableException", "The service is temporarily unable to answer.")
GRANTED = (201, "", "")


def words(answer: Answer) -> tuple[int, str, str]:
    if answer["statusCode"] == 201:
        return GRANTED
    return (
        answer["statusCode"],
        answer["headers"]["x-amzn-errortype"],
        json.loads(answer["body"])["message"],
    )


@pytest.fixture
def listed(holders: CertificateWorld) -> CertificateWorld:
    """The anchor ``listed`` has both of its lists, and they name nobody yet."""
    holders.keep_list("listed", "root.crl", pki.crl(pki.root()))
    holders.keep_list("listed", "issuing.crl", pki.crl(pki.issuing()))
    return holders


def below(serial: int = 0x4711) -> pki.Holder:
    return pki.leaf(pki.issuing(), serial=serial)


def ask(world: CertificateWorld, by: pki.Holder | None = None) -> tuple[int, str, str]:
    return words(world.ask(by or below(), LISTED, arns=arns(world, "listed")))


def arns(world: CertificateWorld, profile: str) -> dict[str, str]:
    """A role of two profiles: which of them is meant says the profile's own ARN."""
    stored = json.loads(
        next(
            item["document"]["S"]
            for (key, _), item in world.aws.tables["trust"].items.items()
            if key == f"role#{LISTED}"
        )
    )
    arn = next(one["arn"] for one in stored["profiles"] if one["name"] == profile)
    return world.arns(LISTED, profileArn=arn, trustAnchorArn=world.anchor(profile).arn)


def test_who_is_on_no_list_gets_in(listed: CertificateWorld) -> None:
    assert ask(listed) == GRANTED


def test_a_revoked_certificate_does_not(listed: CertificateWorld, capsys: pytest.CaptureFixture[str]) -> None:
    listed.keep_list("listed", "issuing.crl", pki.crl(pki.issuing(), 0x4711, number=2))
    assert ask(listed) == REVOKED
    assert ask(listed, below(0x4712)) == GRANTED
    assert len(listed.aws.sts.forms) == 1
    line = next(one for one in lines(capsys) if one.get("reason") == "certificate-revoked")
    assert line["outcome"] == "refused"
    assert line["claimed"]["subject"] == "CN=host.example.com"
    assert line["proof_sha256"]


def test_nor_does_one_below_a_revoked_authority(listed: CertificateWorld) -> None:
    serial = pki.issuing().certificate.serial_number
    listed.keep_list("listed", "root.crl", pki.crl(pki.root(), serial, number=2))
    assert ask(listed) == REVOKED


def test_a_number_on_the_list_of_another_authority_is_another_certificate(listed: CertificateWorld) -> None:
    listed.keep_list("listed", "root.crl", pki.crl(pki.root(), 0x4711, number=2))
    assert ask(listed) == GRANTED


def test_a_list_of_another_anchor_is_not_asked(listed: CertificateWorld) -> None:
    listed.keep_list("patient", "root.crl", pki.crl(pki.root(), 0x99, number=2))
    by = pki.leaf(serial=0x99)
    assert words(listed.ask(by, LISTED, arns=arns(listed, "patient"))) == REVOKED
    assert ask(listed, by) == GRANTED


def test_a_new_list_is_felt_within_ten_seconds(listed: CertificateWorld) -> None:
    assert ask(listed) == GRANTED
    listed.keep_list("listed", "issuing.crl", pki.crl(pki.issuing(), 0x4711, number=2))
    listed.advance(9)
    assert ask(listed) == GRANTED
    listed.advance(1)
    assert ask(listed) == REVOKED


def test_what_an_older_list_named_does_not_count_any_more(listed: CertificateWorld) -> None:
    """Its serial numbers are still in the table, under its own digest."""
    listed.keep_list("listed", "issuing.crl", pki.crl(pki.issuing(), 0x4711, number=2))
    listed.keep_list("listed", "issuing.crl", pki.crl(pki.issuing(), number=3))
    assert ask(listed) == GRANTED


def test_a_list_that_nobody_has_read_denies_everything(holders: CertificateWorld) -> None:
    assert ask(holders) == AWAY
    holders.keep_list("listed", "root.crl", pki.crl(pki.root()))
    holders.advance(11)
    assert ask(holders) == AWAY, "one of two"


def test_lists_of_the_authorities_before_do_not_stand_for_those_of_the_new_ones(
    listed: CertificateWorld,
) -> None:
    """An anchor keeps its id, and its lists their names, when the authorities change."""
    new_root = pki.authority("New Root")
    new_issuing = pki.authority("New Issuing", new_root)
    revoked = pki.leaf(new_issuing, serial=0x666)
    for file, one in (("ca.pem", new_root), ("issuing.pem", new_issuing)):
        listed.files[file] = one.certificate.public_bytes(Encoding.PEM)
    listed.apply(listed.trust)
    listed.advance(11)
    assert ask(listed, revoked) == AWAY
    listed.keep_list("listed", "root.crl", pki.crl(new_root))
    listed.keep_list("listed", "issuing.crl", pki.crl(new_issuing, 0x666))
    listed.advance(11)
    assert ask(listed, revoked) == REVOKED
    assert ask(listed, pki.leaf(new_issuing, serial=0x667)) == GRANTED


def test_a_list_past_its_time_denies_everything(listed: CertificateWorld) -> None:
    listed.advance(timedelta(days=1).total_seconds())
    assert ask(listed) == GRANTED
    listed.advance(1)
    assert ask(listed) == AWAY


@pytest.mark.parametrize("known", [False, True])
def test_where_the_anchor_takes_the_risk_the_record_says_so(
    holders: CertificateWorld, *, known: bool
) -> None:
    by = pki.leaf(serial=0x99)
    if known:
        holders.keep_list("patient", "root.crl", pki.crl(pki.root(), 0x98))
        holders.advance(timedelta(days=2).total_seconds())
    answer = holders.ask(by, LISTED, arns=arns(holders, "patient"))
    assert words(answer) == GRANTED
    assert ("crl-stale" if known else "crl-missing") in holders.record_of(answer)["notes"]


def test_a_late_list_still_revokes_what_it_names(holders: CertificateWorld) -> None:
    holders.keep_list("patient", "root.crl", pki.crl(pki.root(), 0x99))
    holders.advance(timedelta(days=2).total_seconds())
    by = pki.leaf(serial=0x99)
    assert words(holders.ask(by, LISTED, arns=arns(holders, "patient"))) == REVOKED


def test_a_list_so_late_that_it_is_no_longer_kept_denies_whatever_the_anchor_says(
    holders: CertificateWorld,
) -> None:
    holders.keep_list("patient", "root.crl", pki.crl(pki.root(), 0x98))
    holders.advance(timedelta(days=32).total_seconds())
    assert words(holders.ask(pki.leaf(), LISTED, arns=arns(holders, "patient"))) == AWAY


def test_a_table_that_is_away_denies(listed: CertificateWorld) -> None:
    with listed.fault("dynamodb/BatchGetItem", unreachable):
        assert ask(listed) == AWAY


def unsigned(one: pki.Presentation) -> pki.Presentation:
    signature = one.request.headers["authorization"][0].rpartition("=")[2]
    return pki.reauthorized(one, signature, "00" * 8)


def of_a_stranger(world: CertificateWorld) -> pki.Presentation:
    return world.signed(pki.leaf(pki.stranger()), LISTED, arns=arns(world, "listed"))


def of_yesterday(world: CertificateWorld) -> pki.Presentation:
    when = world.now - timedelta(days=1)
    return world.signed(below(), LISTED, arns=arns(world, "listed"), when=when)


def not_signed(world: CertificateWorld) -> pki.Presentation:
    return unsigned(world.signed(below(), LISTED, arns=arns(world, "listed")))


@pytest.mark.parametrize("make", [of_a_stranger, of_yesterday, not_signed])
def test_nobody_causes_a_look_at_the_lists_before_signature_and_chain_hold(
    listed: CertificateWorld, make: Callable[[CertificateWorld], pki.Presentation]
) -> None:
    one = make(listed)
    reads = listed.calls(lambda: listed.send(one))
    assert [call.rpartition(" ")[2] for call in reads] == ["GetItem", "GetItem"], "the version, the anchor"
    assert listed.calls(lambda: listed.send(one)) == []


def test_the_lists_cost_one_look_and_the_chain_another(listed: CertificateWorld) -> None:
    def batches() -> list[set[str]]:
        before = len(listed.aws.requests)
        assert ask(listed) == GRANTED
        bodies = [json.loads(body) for _, headers, body in listed.aws.requests[before:] if is_batch(headers)]
        return [{key["pk"]["S"].partition("#")[0] for key in keys(body)} for body in bodies]

    assert batches() == [{"crl"}, {"revoked"}, {"disabled"}]
    # States are cached; whether this very certificate is revoked is not.
    assert batches() == [{"revoked"}]


def is_batch(headers: object) -> bool:
    return "BatchGetItem" in str(headers)


def keys(
    body: dict[str, dict[str, dict[str, list[dict[str, dict[str, str]]]]]],
) -> list[dict[str, dict[str, str]]]:
    ((_, asked),) = body["RequestItems"].items()
    return asked["Keys"]
