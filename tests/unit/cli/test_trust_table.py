"""The trust table as an operator writes it: whole versions, one pointer, tombstones."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from sallyport.trust.issuer_marks import is_ruled_out
from sallyport_cli.failure import CommandError
from sallyport_cli.trust_table import (
    KEEP_VERSIONS,
    MAX_ITEM_BYTES,
    READ_ATTEMPTS,
    WRITE_ATTEMPTS,
    Author,
    LostRaceError,
    Tombstone,
    TrustTable,
    Version,
    content_digest,
)
from tests.support.fake_dynamodb import Crash, FakeDynamoDb

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ALICE = "arn:aws:sts::111122223333:assumed-role/platform/alice"


def items(count: int, mark: str = "x") -> dict[str, dict[str, Any]]:
    return {f"role#arn:aws:iam::111122223333:role/r{n}": {"profiles": [mark, n]} for n in range(count)}


def author(minutes: int = 0) -> Author:
    return Author(by=ALICE, at=NOW + timedelta(minutes=minutes), digest="d" * 64, summary="1 widening")


def table(fake: FakeDynamoDb) -> TrustTable:
    return TrustTable(fake, "trust", sleep=lambda _seconds: None)


def in_force(fake: FakeDynamoDb) -> tuple[str, Mapping[str, Any]] | None:
    """What an exchange would see: the pointer, and items under that version alone."""
    pointer = fake.items.get(("current", "-"))
    if pointer is None:
        return None
    version = pointer["current"]["S"]
    return version, {pk: item["document"]["S"] for (pk, v), item in fake.items.items() if v == version}


def applied(fake: FakeDynamoDb, content: Mapping[str, Any], minutes: int = 0) -> Version:
    one = table(fake)
    return one.publish(content, one.current(), author(minutes))


def test_what_was_published_is_in_force_and_reads_back() -> None:
    fake = FakeDynamoDb()
    version = applied(fake, items(60))
    assert version.id.startswith("000001-")
    current = table(fake).current()
    assert current == version
    assert table(fake).items(version) == items(60)


def test_the_version_in_force_has_its_own_issuers_beside_it() -> None:
    fake = FakeDynamoDb()
    for number in range(2):
        issuer = f"https://i{number}.example"
        version = applied(fake, {f"issuer#{issuer}": {}, **items(1)})
        marks = fake.items["current", "-"]["issuers"]["S"]
        assert not is_ruled_out(issuer, version.id, marks)
        assert is_ruled_out("https://i7.example", version.id, marks)
        assert is_ruled_out("https://i0.example", version.id, marks) == (number == 1)


def test_every_version_has_an_apply_record_with_who_when_from_what_and_on_what() -> None:
    fake = FakeDynamoDb()
    first = applied(fake, items(2))
    second = applied(fake, items(3))
    record = fake.items[(f"apply#{second.id}", "-")]
    assert record["applied_by"]["S"] == ALICE
    assert record["applied_at"]["S"] == "2026-11-20T12:00:00Z"
    assert record["digest"]["S"] == "d" * 64
    assert record["base"]["S"] == first.id
    assert record["content_digest"]["S"] == content_digest(items(3))


def test_the_apply_record_is_written_before_the_pointer_moves() -> None:
    fake = FakeDynamoDb()
    seen: list[bool] = []

    def look(name: str, arguments: Mapping[str, Any]) -> None:
        if name == "PutItem" and arguments["Item"]["pk"]["S"] == "current":
            version = arguments["Item"]["current"]["S"]
            seen.append((f"apply#{version}", "-") in fake.items)

    fake.before_call = look
    applied(fake, items(2))
    assert seen == [True]


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("failure", [Crash, lambda: ConnectionClosedError(endpoint_url="http://127.0.0.1")])
@pytest.mark.parametrize("after_effect", [False, True])
def test_whichever_call_fails_exchanges_see_the_old_version_or_the_new_one_whole(
    *, base: bool, failure: Any, after_effect: bool
) -> None:
    clean = FakeDynamoDb()
    if base:
        applied(clean, items(3, "old"))
    before = len(clean.calls)
    applied(clean, items(60, "new"))
    count = len(clean.calls) - before
    assert count > 4
    for n in range(1, count + 1):
        fake = FakeDynamoDb()
        if base:
            applied(fake, items(3, "old"))
        old = in_force(fake)
        fake.calls.clear()
        fake.fail_at, fake.failure, fake.after_effect = n, failure, after_effect
        try:
            applied(fake, items(60, "new"))
            succeeded = True
        except (CommandError, Crash):
            succeeded = False
        fake.fail_at = None
        seen = in_force(fake)
        if seen == old:
            assert not succeeded
        else:
            assert seen is not None
            version, documents = seen
            assert len(documents) == 60
            assert (f"apply#{version}", "-") in fake.items
        # And whatever was left behind does not keep the next apply from succeeding.
        again = applied(fake, items(5, "next"))
        assert table(fake).items(again) == items(5, "next")


def test_an_answer_lost_after_the_pointer_moved_is_a_success() -> None:
    fake = FakeDynamoDb()
    last_call = 5  # current, attempt, one batch, apply record, pointer
    fake.fail_at, fake.after_effect = last_call, True
    version = applied(fake, items(2))
    assert fake.calls[last_call - 1] == "PutItem"
    assert in_force(fake) is not None
    assert table(fake).current() == version


def test_a_second_try_of_the_sdk_that_meets_its_own_first_is_a_success() -> None:
    fake = FakeDynamoDb()
    fake.fail_at, fake.after_effect = 5, True
    fake.failure = lambda: ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")
    assert table(fake).current() is None
    fake.calls.clear()
    version = applied(fake, items(2))
    assert table(fake).current() == version


def test_whoever_loses_a_race_is_told_so_and_leaves_nothing_in_force_or_behind() -> None:
    fake = FakeDynamoDb()
    base = applied(fake, items(2, "base"))
    loser = table(fake)
    winner = applied(fake, items(3, "winner"))
    with pytest.raises(LostRaceError) as caught:
        loser.publish(items(4, "loser"), base, author())
    assert winner.id in caught.value.detail
    assert ALICE in caught.value.detail
    assert table(fake).items(winner) == items(3, "winner")
    left = {v for (_, v) in fake.items}
    assert left == {"-", base.id, winner.id}
    markers = {pk for (pk, _) in fake.items if pk.startswith("attempt#")}
    assert markers == {f"attempt#{base.id}", f"attempt#{winner.id}"}


def test_two_first_applies_cannot_both_win() -> None:
    fake = FakeDynamoDb()
    table(fake).publish(items(1, "one"), None, author())
    with pytest.raises(LostRaceError):
        table(fake).publish(items(1, "two"), None, author())


def test_when_nobody_can_tell_whether_it_is_in_force_that_is_said() -> None:
    fake = FakeDynamoDb()

    def cut_off(name: str, arguments: Mapping[str, Any]) -> None:
        if name == "PutItem" and arguments["Item"]["pk"]["S"] == "current":
            fake.before_call = lambda _name, _arguments: (_ for _ in ()).throw(
                ConnectionClosedError(endpoint_url="http://127.0.0.1")
            )
            raise ConnectionClosedError(endpoint_url="http://127.0.0.1")

    fake.before_call = cut_off
    with pytest.raises(CommandError, match="may or may not") as caught:
        applied(fake, items(1))
    assert "trust show" in caught.value.cure


def test_items_that_a_batch_leaves_over_are_written_in_the_end() -> None:
    fake = FakeDynamoDb(leave_over=20)
    version = applied(fake, items(60))
    assert table(fake).items(version) == items(60)


def test_a_table_that_takes_nothing_any_more_is_given_up_and_the_old_version_stays() -> None:
    fake = FakeDynamoDb()
    applied(fake, items(2, "old"))
    before = in_force(fake)
    calls: list[str] = []

    class Full(FakeDynamoDb):
        def batch_write_item(self, **arguments: Any) -> dict[str, Any]:
            calls.append("BatchWriteItem")
            return {"UnprocessedItems": arguments["RequestItems"]}

    full = Full(items=fake.items)
    with pytest.raises(CommandError, match="no more writes"):
        applied(full, items(30, "new"))
    assert len(calls) == WRITE_ATTEMPTS
    assert in_force(fake) == before


def test_progress_is_told_up_to_the_end() -> None:
    fake = FakeDynamoDb(leave_over=7)
    told: list[tuple[int, int]] = []
    table(fake).publish(items(60), None, author(), lambda done, total: told.append((done, total)))
    assert told[-1] == (60, 60)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_an_item_that_the_table_cannot_hold_is_refused_before_anything_is_written() -> None:
    fake = FakeDynamoDb()
    with pytest.raises(CommandError, match=f"{MAX_ITEM_BYTES:,}"):
        applied(fake, {"role#r": {"profiles": ["x" * MAX_ITEM_BYTES]}})
    assert not fake.items


def test_an_index_that_lags_is_waited_for() -> None:
    fake = FakeDynamoDb()
    version = applied(fake, items(5))
    fake.hidden, fake.lagging = READ_ATTEMPTS - 1, frozenset(items(1))
    assert table(fake).items(version) == items(5)


def test_a_version_that_cannot_be_read_whole_is_not_compared_with_in_part() -> None:
    fake = FakeDynamoDb()
    version = applied(fake, items(5))
    fake.hidden, fake.lagging = READ_ATTEMPTS + 1, frozenset(items(1))
    with pytest.raises(CommandError, match="4 of 5"):
        table(fake).items(version)


def test_a_version_that_somebody_changed_by_hand_is_not_believed() -> None:
    fake = FakeDynamoDb()
    version = applied(fake, items(2))
    key = next(key for key in fake.items if key[1] == version.id)
    fake.items[key]["document"] = {"S": '{"profiles": ["forged"]}'}
    with pytest.raises(CommandError) as caught:
        table(fake).items(version)
    assert "--rebuild" in caught.value.cure


def test_versions_beyond_the_newest_are_removed_and_their_apply_records_stay() -> None:
    fake = FakeDynamoDb()
    versions = [applied(fake, items(3, str(n)), n) for n in range(KEEP_VERSIONS + 3)]
    current = table(fake).current()
    assert current is not None
    assert table(fake).clean_up(current, NOW) == 2
    left = {v for (_, v) in fake.items} - {"-"}
    assert left == {version.id for version in versions[2:]}
    assert all((f"apply#{version.id}", "-") in fake.items for version in versions)
    assert table(fake).clean_up(current, NOW) == 0
    assert [version.id for version in table(fake).history(current)] == [v.id for v in reversed(versions[2:])]
    with pytest.raises(CommandError, match="were removed"):
        table(fake).version(versions[0].id)


def test_what_a_crashed_attempt_left_is_removed_once_nobody_can_be_writing_it_any_more() -> None:
    fake = FakeDynamoDb(fail_at=4, failure=Crash)
    with pytest.raises(Crash):
        applied(fake, items(60))
    fake.fail_at = None
    garbage = {v for (_, v) in fake.items} - {"-"}
    assert len(garbage) == 1
    current = applied(fake, items(2), 5)
    assert table(fake).clean_up(current, NOW + timedelta(minutes=30)) == 0
    assert table(fake).clean_up(current, NOW + timedelta(minutes=61)) == 1
    assert {v for (_, v) in fake.items} == {"-", current.id}
    assert not [pk for (pk, _) in fake.items if pk.startswith("attempt#")]


def test_an_attempt_that_could_still_win_is_never_removed() -> None:
    fake = FakeDynamoDb()
    current = applied(fake, items(2))
    fake.calls.clear()
    fake.fail_at, fake.failure = 4, Crash
    with pytest.raises(Crash):
        applied(fake, items(60))
    fake.fail_at = None
    before = dict(fake.items)
    table(fake).clean_up(current, NOW + timedelta(days=30))
    assert {key for key in before if key[1] not in {"-", current.id}} <= set(fake.items)


def test_reading_goes_over_pages() -> None:
    fake = FakeDynamoDb(page_size=7)
    version = applied(fake, items(30))
    assert table(fake).items(version) == items(30)


def test_a_tombstone_and_its_entry_in_the_journal_come_together_or_not_at_all() -> None:
    fake = FakeDynamoDb()
    stone = Tombstone(kind="profile", name="p", by=ALICE, at="2026-11-20T12:00:00Z", reason="INC-1")
    table(fake).disable(stone)
    assert fake.items[("disabled#profile#p", "-")]["reason"] == {"S": "INC-1"}
    before = dict(fake.items)
    with pytest.raises(CommandError):
        table(fake).disable(stone)
    assert fake.items == before


def test_an_apply_never_touches_a_tombstone_and_only_enable_removes_it() -> None:
    fake = FakeDynamoDb()
    stone = Tombstone(kind="anchor", name="a", by=ALICE, at="2026-11-20T12:00:00Z", reason="INC-1")
    table(fake).disable(stone)
    for n in range(3):
        current = applied(fake, items(2, str(n)), n)
        table(fake).clean_up(current, NOW + timedelta(days=1))
    assert table(fake).tombstones() == [stone]
    table(fake).enable(stone)
    assert table(fake).tombstone("anchor", "a") is None
    actions = [
        item["action"]["S"] for (pk, _), item in sorted(fake.items.items()) if pk.startswith("journal#")
    ]
    assert sorted(actions) == ["disable", "enable"]


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("AccessDeniedException", "may do this"),
        ("ResourceNotFoundException", "Check the name"),
        ("ExpiredTokenException", "Sign in"),
        ("ProvisionedThroughputExceededException", "Wait"),
        ("InternalServerError", "Try again"),
    ],
)
def test_what_aws_refuses_is_said_with_the_next_step(code: str, cure: str) -> None:
    fake = FakeDynamoDb(fail_at=1)
    fake.failure = lambda: ClientError({"Error": {"Code": code, "Message": "m\x1b[31m"}}, "GetItem")
    with pytest.raises(CommandError) as caught:
        table(fake).current()
    assert cure in caught.value.cure
    assert "\x1b" not in caught.value.detail
