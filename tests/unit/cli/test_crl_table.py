"""Revocation lists in the trust table, as an operator writes them and `refresh_keys` reads them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.errors import UnavailableError
from sallyport.model import X509Anchor
from sallyport.revocation import BroughtList, chunk_key, joined, list_key
from sallyport_cli.crl_check import CheckedList, check_list
from sallyport_cli.crl_table import CHUNK_BYTES, Brought, CrlTable, Outcome
from sallyport_cli.failure import CommandError
from sallyport_cli.trust_table import WRITE_ATTEMPTS
from tests.support import pki
from tests.support.fake_dynamodb import Crash, FakeDynamoDb

ALICE = "arn:aws:sts::111122223333:assumed-role/platform/alice"
SEVERAL_PIECES = range(1 << 152, (1 << 152) + 11_000)


def checked(
    *serials: int, anchor: X509Anchor | None = None, by: pki.Holder | None = None, **fields: Any
) -> CheckedList:
    data = pki.crl(by or pki.root(), *serials, **fields)
    return check_list(data, name="ca.crl", file="ca.crl", anchor=anchor or pki.anchor(), now=pki.NOW)


def bring(fake: FakeDynamoDb, one: CheckedList, **options: Any) -> Brought:
    return CrlTable(fake, "trust", sleep=lambda _seconds: None).bring(one, by=ALICE, at=pki.NOW, **options)


def pointed_to(fake: FakeDynamoDb) -> bytes | None:
    """Put together what the pointer points to, with the very code of `refresh_keys`."""
    item = fake.items.get((list_key(pki.ANCHOR_ID, "ca.crl"), "-"))
    if item is None:
        return None
    pointer = BroughtList(digest=item["digest"]["S"], chunks=int(item["chunks"]["N"]))

    def chunk(digest: str, number: int) -> bytes | None:
        found = fake.items.get(chunk_key(digest, number))
        return None if found is None else bytes(found["data"]["B"])

    return joined(pointer, chunk)


def pieces(fake: FakeDynamoDb) -> set[str]:
    return {pk for pk, _ in fake.items if pk.startswith("crl-data#")}


@pytest.fixture(scope="module")
def long_list() -> CheckedList:
    return checked(*SEVERAL_PIECES)


def test_what_was_brought_is_what_refresh_keys_reads(long_list: CheckedList) -> None:
    fake = FakeDynamoDb()
    assert len(long_list.der) > CHUNK_BYTES
    told: list[tuple[int, int]] = []
    brought = bring(fake, long_list, progress=lambda done, total: told.append((done, total)))
    assert brought.outcome is Outcome.UPLOADED
    assert pointed_to(fake) == long_list.der
    assert told[-1] == (2, 2)


def test_pem_and_der_of_one_list_are_the_same_list() -> None:
    der = pki.crl(pki.root(), 1)
    pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
    fake = FakeDynamoDb()
    bring(fake, check_list(pem, name="ca.crl", file="f", anchor=pki.anchor(), now=pki.NOW))
    assert pointed_to(fake) == der


def test_who_brought_which_list_and_when_is_in_the_journal() -> None:
    fake = FakeDynamoDb()
    first = checked(1, number=(1 << 159) - 1)
    bring(fake, first)
    (entry,) = (item for (pk, _), item in fake.items.items() if pk.startswith("journal#"))
    said = {name: next(iter(value.values())) for name, value in entry.items()}
    assert said["action"] == "import-crl"
    assert said["target"] == "anchor#datacenter"
    assert said["list"] == "ca.crl"
    assert said["by"] == ALICE
    assert said["at"] == "2026-11-20T12:00:00Z"
    assert said["digest"] == first.state.digest
    # Longer than DynamoDB's numbers, so it is text.
    assert said["number"] == str((1 << 159) - 1)


def test_the_same_list_again_changes_nothing() -> None:
    fake = FakeDynamoDb()
    one = checked(1)
    bring(fake, one)
    before = dict(fake.items)
    assert bring(fake, one).outcome is Outcome.UNCHANGED
    assert fake.items == before


def test_a_damaged_piece_is_mended_by_bringing_the_list_again() -> None:
    fake = FakeDynamoDb()
    one = checked(1)
    bring(fake, one)
    fake.items[chunk_key(one.state.digest, 0)]["data"] = {"B": b"damaged"}
    with pytest.raises(UnavailableError, match="crl-damaged"):
        pointed_to(fake)
    assert bring(fake, one, again=True).outcome is Outcome.UNCHANGED
    assert pointed_to(fake) == one.der


@pytest.mark.parametrize(
    ("number", "begins", "text"),
    [
        (4, pki.NOW - pki.DAY, "its number 4 is older than 5"),
        (5, pki.NOW - pki.DAY, "another list with its number 5"),
        (6, pki.NOW - 2 * pki.DAY, "issued before number 5"),
    ],
)
def test_the_number_never_goes_back(number: int, begins: datetime, text: str) -> None:
    fake = FakeDynamoDb()
    bring(fake, checked(1, number=5))
    before = dict(fake.items)
    brought = bring(fake, checked(number=number, begins=begins))
    assert brought.outcome is Outcome.OLDER
    assert text in brought.sentence
    assert fake.items == before


def test_a_pointer_that_only_says_what_it_must_is_compared_by_its_number() -> None:
    fake = FakeDynamoDb()
    bring(fake, checked(number=5))
    item = fake.items[list_key(pki.ANCHOR_ID, "ca.crl"), "-"]
    for name in ("issuer", "this_update", "next_update", "entries"):
        del item[name]
    assert bring(fake, checked(number=4)).outcome is Outcome.OLDER
    assert bring(fake, checked(number=6)).outcome is Outcome.UPLOADED


def test_a_list_of_another_authority_of_the_anchor_takes_no_ones_place() -> None:
    fake = FakeDynamoDb()
    both = pki.anchor(pki.root(), keeps=[pki.issuing()])
    bring(fake, checked(anchor=both))
    with pytest.raises(UnavailableError, match="crl-other-issuer"):
        bring(fake, checked(anchor=both, by=pki.issuing(), number=9))


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("call", range(1, 9))
def test_whichever_call_fails_the_pointer_leads_to_a_whole_list(
    long_list: CheckedList,
    call: int,
    after_effect: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    fake = FakeDynamoDb()
    old = checked(1, number=0)
    bring(fake, old)
    fake.calls.clear()
    fake.fail_at, fake.after_effect, fake.failure = call, after_effect, Crash
    try:
        bring(fake, long_list)
    except Crash:
        assert pointed_to(fake) in (old.der, long_list.der)
    fake.fail_at = None
    bring(fake, long_list)
    assert pointed_to(fake) == long_list.der


def test_an_upload_that_was_cut_off_goes_on_where_it_ended(long_list: CheckedList) -> None:
    fake = FakeDynamoDb()
    fake.fail_at, fake.fail_only, fake.failure = 4, None, Crash
    with pytest.raises(Crash):
        bring(fake, long_list)
    assert pointed_to(fake) is None
    assert len(pieces(fake)) == 1
    fake.fail_at = None
    fake.calls.clear()
    bring(fake, long_list)
    assert fake.calls.count("PutItem") == 1
    assert pointed_to(fake) == long_list.der


def test_an_answer_that_was_lost_after_the_pointer_moved_is_a_success() -> None:
    fake = FakeDynamoDb()
    one = checked(1)
    fake.fail_at, fake.after_effect = 4, True
    fake.failure = lambda: ConnectionClosedError(endpoint_url="http://127.0.0.1")
    assert bring(fake, one).outcome is Outcome.UPLOADED
    assert "TransactWriteItems" in fake.calls


@pytest.mark.parametrize("there", [None, 5])
def test_whoever_loses_a_race_is_told_so_and_the_other_list_stays(there: int | None) -> None:
    fake = FakeDynamoDb()
    if there is not None:
        bring(fake, checked(number=there))
    other = checked(1, number=7)

    def meanwhile(name: str, _arguments: object) -> None:
        if name == "TransactWriteItems":
            fake.before_call = lambda _name, _arguments: None
            bring(fake, other)

    fake.before_call = meanwhile
    with pytest.raises(CommandError) as caught:
        bring(fake, checked(2, number=6))
    assert caught.value.reason == "lost-race"
    assert pointed_to(fake) == other.der


def test_a_throttled_table_is_waited_for_and_given_up_in_the_end() -> None:
    fake = FakeDynamoDb()
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "PutItem")
    left = 3

    def throttle(name: str, _arguments: object) -> None:
        nonlocal left
        if name == "PutItem" and left:
            left -= 1
            raise throttled

    fake.before_call = throttle
    old = checked(1)
    assert bring(fake, old).outcome is Outcome.UPLOADED
    left = WRITE_ATTEMPTS
    with pytest.raises(CommandError) as caught:
        bring(fake, checked(2, number=2))
    assert caught.value.reason == "table-throttled"
    assert pointed_to(fake) == old.der


def test_the_list_before_stays_and_the_one_before_that_goes() -> None:
    fake = FakeDynamoDb()
    lists = [checked(number, number=number) for number in (1, 2, 3)]
    for one in lists:
        bring(fake, one)
    assert pieces(fake) == {f"crl-data#{one.state.digest}" for one in lists[1:]}


def test_a_list_that_another_anchor_has_too_does_not_go() -> None:
    fake = FakeDynamoDb()
    shared = checked(1, number=1)
    other = pki.anchor(id="5f0b7d6e-0000-5000-8000-00000000000f", name="other")
    bring(fake, check_list(shared.der, name="theirs.crl", file="f", anchor=other, now=pki.NOW))
    for one in (shared, checked(2, number=2), checked(3, number=3)):
        bring(fake, one)
    assert f"crl-data#{shared.state.digest}" in pieces(fake)


def test_an_entry_that_cannot_be_used_is_found_before_anything_is_written() -> None:
    with pytest.raises(UnavailableError, match="crl-scoped"):
        check_list(
            pki.an_entry_for_another_issuer(), name="ca.crl", file="f", anchor=pki.anchor(), now=pki.NOW
        )


def test_a_late_list_is_taken() -> None:
    late = checked(1, begins=pki.NOW - 3 * pki.DAY, ends=pki.NOW - timedelta(hours=1))
    assert bring(FakeDynamoDb(), late).outcome is Outcome.UPLOADED
