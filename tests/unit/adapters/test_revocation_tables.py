"""What a table answers in part is never read as "not revoked", and what it does not take is written again."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sallyport.adapters import revocation_tables
from sallyport.adapters.aws import JsonService
from sallyport.adapters.http import HttpResponse, TimeLimits
from sallyport.adapters.revocation_tables import (
    BATCH_WRITE,
    MAX_BATCHES,
    MAX_PER_SECOND,
    PAUSES,
    BroughtListsTable,
    RevocationTable,
    StoredListsTable,
)
from sallyport.adapters.tables import CACHE_SECONDS
from sallyport.errors import UnavailableError
from sallyport.model import X509Anchor
from sallyport.proof.crl import CrlState, Link
from sallyport.revocation import FLIP_SECONDS, BroughtList, chunk_key, list_key, serial_key
from sallyport.settings import AwsSettings
from sallyport.wiring.clients import Aws
from tests.support import pki
from tests.support.fake_transport import FakeAws, FakeTable, times, unreachable
from tests.support.world import OWN, REGION

FOREVER = 10**10


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def aws() -> FakeAws:
    tables = {"trust": FakeTable(), "keys": FakeTable(sort_key=None)}
    return FakeAws(now=lambda: pki.NOW, tables=tables)


@pytest.fixture
def dynamodb(aws: FakeAws) -> JsonService:
    return Aws(AwsSettings(region=REGION), aws, lambda: OWN).dynamodb()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(dynamodb: JsonService, clock: Clock) -> RevocationTable:
    return RevocationTable(dynamodb, "keys", clock)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def lists(dynamodb: JsonService, pauses: list[float]) -> StoredListsTable:
    """A writer whose clock runs so fast that it never has to wait for its own pace."""
    return StoredListsTable(dynamodb, "keys", clock=count(100).__next__, pause=pauses.append)


@pytest.fixture(autouse=True)
def one_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fakes count calls, and two at a time would be counted in any order."""
    monkeypatch.setattr(revocation_tables, "WRITERS", 1)


@cache
def state(number: int = 1, *serials: int, name: str = "list") -> CrlState:
    return pki.state(pki.crl(pki.root(), *serials, number=number), name)


def put(lists: StoredListsTable, anchor: X509Anchor, new: CrlState, *serials: int) -> None:
    """Put a list in force as a run does, in the place of the one there."""
    there = lists.stored(anchor.id, new.id)
    lists.write(anchor.id, new, serials, expires_at=FOREVER, time_left=lambda: 900)
    assert lists.flip(anchor.id, new, there.state if there else None, pki.NOW)


def links(one: CrlState, *serials: int) -> list[Link]:
    return [Link(one.issuer, serial) for serial in serials]


def batch_get(aws: FakeAws) -> list[Any]:
    return [
        json.loads(body)["RequestItems"]["keys"]
        for _, headers, body in aws.requests
        if headers["X-Amz-Target"].endswith("BatchGetItem")
    ]


class TestStates:
    def test_what_was_put_in_force_is_read_as_it_was(
        self, table: RevocationTable, lists: StoredListsTable
    ) -> None:
        anchor = pki.anchor(crls=("list", "absent"))
        put(lists, anchor, state((1 << 158) + 1))
        assert table.states(anchor) == (state((1 << 158) + 1),)

    def test_an_anchor_without_lists_costs_no_read(self, table: RevocationTable, aws: FakeAws) -> None:
        assert table.states(pki.anchor()) == ()
        assert aws.calls == []

    def test_all_lists_of_an_anchor_cost_one_read_and_none_for_ten_seconds(
        self, table: RevocationTable, aws: FakeAws, clock: Clock
    ) -> None:
        anchor = pki.anchor(crls=tuple(f"list-{number}" for number in range(100)))
        table.states(anchor)
        clock.now += CACHE_SECONDS - 0.001
        table.states(anchor)
        assert len(aws.calls) == 1
        clock.now += 0.001
        table.states(anchor)
        assert len(aws.calls) == 2
        assert all(one["ConsistentRead"] for one in batch_get(aws))

    def test_a_new_list_is_seen_after_ten_seconds(
        self, table: RevocationTable, lists: StoredListsTable, clock: Clock
    ) -> None:
        anchor = pki.anchor(crls=("list",))
        put(lists, anchor, state(1))
        assert table.states(anchor) == (state(1),)
        put(lists, anchor, state(2))
        assert table.states(anchor) == (state(1),)
        clock.now += CACHE_SECONDS
        assert table.states(anchor) == (state(2),)

    def test_two_anchors_have_lists_of_their_own(
        self, table: RevocationTable, lists: StoredListsTable
    ) -> None:
        one = pki.anchor(crls=("list",))
        put(lists, one, state(), 7)
        two = replace(one, id="0" * 36)
        assert table.states(two) == ()
        assert table.revoked(two, [state()], links(state(), 7)) == frozenset()

    @pytest.mark.parametrize("name", ["issuer", "number", "this_update", "next_update", "digest"])
    @pytest.mark.parametrize("text", [None, "x", "9" * 30])
    def test_a_state_that_cannot_be_read_is_not_an_absent_one(
        self, table: RevocationTable, lists: StoredListsTable, aws: FakeAws, name: str, text: str | None
    ) -> None:
        anchor = pki.anchor(crls=("list",))
        put(lists, anchor, state())
        item = aws.tables["keys"].items[list_key(anchor.id, "list"), ""]
        (kind,) = item.pop(name)
        if text is not None:
            # A number where a text should be, and the other way round.
            item[name] = {"N" if kind == "S" else "S": text}
        for read in (lambda: table.states(anchor), lambda: lists.stored(anchor.id, "list")):
            with pytest.raises(UnavailableError, match="revocation-malformed"):
                read()

    def test_a_failed_read_is_not_an_absent_list(
        self, table: RevocationTable, lists: StoredListsTable, aws: FakeAws
    ) -> None:
        anchor = pki.anchor(crls=("list",))
        put(lists, anchor, state())
        aws.faults["dynamodb"] = unreachable
        with pytest.raises(UnavailableError):
            table.states(anchor)
        aws.faults.clear()
        assert table.states(anchor) == (state(),)


class TestRevoked:
    def test_a_thousand_serials_are_found_and_their_neighbours_are_not(
        self, table: RevocationTable, lists: StoredListsTable
    ) -> None:
        anchor, one = pki.anchor(crls=("list",)), state()
        put(lists, anchor, one, *range(1, 2_001, 2))
        for start in range(0, 2_000, 100):
            asked = links(one, *range(start, start + 100))
            assert table.revoked(anchor, [one], asked) == {link for link in asked if link.serial % 2}

    def test_a_chain_costs_one_consistent_read_whatever_the_lists(
        self, table: RevocationTable, lists: StoredListsTable, aws: FakeAws
    ) -> None:
        anchor, one = pki.anchor(crls=("list",)), state()
        put(lists, anchor, one, *range(1_000))
        aws.requests.clear()
        table.revoked(anchor, [one], links(one, 5, 1_000))
        (request,) = batch_get(aws)
        assert len(aws.requests) == 1
        assert request["ConsistentRead"] is True
        assert request["ProjectionExpression"] == "pk"

    def test_only_lists_of_a_links_issuer_are_asked_about_it(
        self, table: RevocationTable, lists: StoredListsTable, aws: FakeAws
    ) -> None:
        anchor, one = pki.anchor(crls=("list",)), state()
        put(lists, anchor, one, 7)
        stranger = Link("f" * 64, 7)
        assert table.revoked(anchor, [one], [stranger]) == frozenset()
        assert table.revoked(anchor, [], links(one, 7)) == frozenset()
        assert batch_get(aws) == []

    def test_any_list_of_the_issuer_revokes(self, table: RevocationTable, lists: StoredListsTable) -> None:
        anchor = pki.anchor(crls=("new", "old"))
        new, old = state(9, name="new"), state(1, 1, name="old")
        put(lists, anchor, new, 1, 2)
        put(lists, anchor, old, 1)
        both = table.states(anchor)
        assert table.revoked(anchor, both, links(new, 1, 2, 3)) == set(links(new, 1, 2))

    def test_serials_of_a_list_that_is_not_in_force_do_not_count(
        self, table: RevocationTable, lists: StoredListsTable
    ) -> None:
        """The one before is in force until the flip, and half of a list is never seen."""
        anchor, before = pki.anchor(crls=("list",)), state(1)
        put(lists, anchor, before, 1)
        lists.write(anchor.id, state(2), [2, 3], expires_at=FOREVER, time_left=lambda: 900)
        (there,) = table.states(anchor)
        assert table.revoked(anchor, [there], links(there, 1, 2, 3)) == set(links(there, 1))

    def test_a_longer_serial_is_not_taken_for_a_shorter_one(
        self, table: RevocationTable, lists: StoredListsTable
    ) -> None:
        anchor, one = pki.anchor(crls=("list",)), state()
        put(lists, anchor, one, 0x1F)
        assert table.revoked(anchor, [one], links(one, 0x1, 0xF, 0x1F0, 0xF1)) == frozenset()

    def test_the_same_link_twice_is_asked_once(
        self, table: RevocationTable, lists: StoredListsTable, aws: FakeAws
    ) -> None:
        """DynamoDB refuses a batch in which a key is twice."""
        anchor, one = pki.anchor(crls=("list",)), state()
        put(lists, anchor, one, 7)
        assert table.revoked(anchor, [one], links(one, 7, 7)) == set(links(one, 7))
        assert len(batch_get(aws)[0]["Keys"]) == 1

    def test_more_than_a_batch_is_read_to_the_end(
        self, table: RevocationTable, lists: StoredListsTable
    ) -> None:
        anchor, one = pki.anchor(crls=("list",)), state()
        put(lists, anchor, one, 250)
        assert table.revoked(anchor, [one], links(one, *range(1, 251))) == set(links(one, 250))

    def test_a_table_that_is_away_does_not_say_that_nothing_is_revoked(
        self, table: RevocationTable, aws: FakeAws
    ) -> None:
        aws.faults["dynamodb"] = unreachable
        with pytest.raises(UnavailableError):
            table.revoked(pki.anchor(crls=("list",)), [state()], links(state(), 7))


def in_part(aws: FakeAws, parts: int) -> None:
    """The next answers leave over all keys but the first."""
    left = [parts]

    def intercept(_url: str, body: bytes, _limits: TimeLimits) -> HttpResponse | None:
        request = json.loads(body)
        if "Keys" not in request.get("RequestItems", {}).get("keys", {}) or not left[0]:
            return None
        left[0] -= 1
        wanted = request["RequestItems"]["keys"]
        first, *rest = wanted["Keys"]
        answer = aws._batch_get({"RequestItems": {"keys": {**wanted, "Keys": [first]}}})
        over = {"keys": {**wanted, "Keys": rest}} if rest else {}
        return HttpResponse(200, json.dumps({**answer, "UnprocessedKeys": over}).encode())

    aws.intercept = intercept


class TestAnswersInPart:
    def test_what_was_left_over_is_asked_for_again(
        self, table: RevocationTable, lists: StoredListsTable, aws: FakeAws
    ) -> None:
        anchor = pki.anchor(crls=("a", "b", "c"))
        for name in anchor.crls:
            put(lists, anchor, state(name=name), 7, 8)
        in_part(aws, MAX_BATCHES - 1)
        assert [one.id for one in table.states(anchor)] == ["a", "b", "c"]
        in_part(aws, MAX_BATCHES - 1)
        one = state(name="a")
        assert table.revoked(anchor, [one], links(one, 6, 7, 8)) == set(links(one, 7, 8))

    def test_what_stays_left_over_is_not_absent(
        self, table: RevocationTable, lists: StoredListsTable, aws: FakeAws
    ) -> None:
        anchor = pki.anchor(crls=tuple("abcdef"))
        put(lists, anchor, state(name="f"), 7)
        in_part(aws, 99)
        with pytest.raises(UnavailableError, match="revocation-unreadable"):
            table.states(anchor)
        one = state(name="f")
        with pytest.raises(UnavailableError, match="revocation-unreadable"):
            table.revoked(anchor, [one], links(one, 1, 2, 3, 4, 5, 7))


class TestWriting:
    def test_every_serial_ends_and_the_state_does_not(self, lists: StoredListsTable, aws: FakeAws) -> None:
        anchor = pki.anchor(crls=("list",))
        put(lists, anchor, state(), *range(60))
        items = aws.tables["keys"].items
        assert len(items) == 61
        for (key, _), item in items.items():
            end = item.get("expires_at")
            assert end == ({"N": str(FOREVER)} if key.startswith("revoked#") else None), key

    def test_batches_have_dynamodbs_size_and_no_key_twice(
        self, lists: StoredListsTable, aws: FakeAws
    ) -> None:
        """The fake refuses others, as DynamoDB does."""
        repeated = [number // 2 for number in range(200)]
        lists.write("a", state(), repeated, expires_at=FOREVER, time_left=lambda: 900)
        assert len(aws.tables["keys"].items) == 100
        assert aws.calls == [f"dynamodb {REGION} BatchWriteItem"] * (100 // BATCH_WRITE + 1)

    def test_a_serial_again_in_a_later_batch_is_written_again(
        self, lists: StoredListsTable, aws: FakeAws
    ) -> None:
        again = [*range(30), *range(30)]
        lists.write("a", state(), again, expires_at=FOREVER, time_left=lambda: 900)
        assert len(aws.tables["keys"].items) == 30

    def test_what_is_left_over_is_written_again_after_a_pause(
        self, lists: StoredListsTable, aws: FakeAws, pauses: list[float]
    ) -> None:
        aws.tables["keys"].leave_over = 20
        assert lists.write("a", state(), range(30), expires_at=FOREVER, time_left=lambda: 900) == 30
        assert len(aws.tables["keys"].items) == 30
        # Twenty, ten, five, two and one are left over, all of the first batch.
        assert pauses == list(PAUSES[:5])

    @pytest.mark.parametrize(
        "fault",
        [
            unreachable,
            lambda: HttpResponse(400, b'{"__type": "com.amazonaws#ProvisionedThroughputExceededException"}'),
            lambda: HttpResponse(500, b"{}"),
        ],
        ids=["away", "throttled", "broken"],
    )
    def test_a_table_that_comes_back_is_waited_for(
        self,
        lists: StoredListsTable,
        aws: FakeAws,
        pauses: list[float],
        fault: Callable[[], HttpResponse],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("sallyport.adapters.aws.PAUSE_SECONDS", 0)

        def comes_back() -> HttpResponse:
            del aws.faults["dynamodb"]
            return fault()

        aws.faults["dynamodb"] = times(5, fault, comes_back)
        assert lists.write("a", state(), range(3), expires_at=FOREVER, time_left=lambda: 900) == 3
        assert pauses == list(PAUSES[:3])

    def test_a_table_that_does_not_come_back_ends_the_run_of_the_list(
        self, lists: StoredListsTable, aws: FakeAws, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sallyport.adapters.aws.PAUSE_SECONDS", 0)
        aws.faults["dynamodb"] = unreachable
        with pytest.raises(UnavailableError, match="crl-not-written"):
            lists.write("a", state(), range(3), expires_at=FOREVER, time_left=lambda: 900)
        assert pauses == list(PAUSES)

    def test_a_refusal_is_not_argued_with(
        self, lists: StoredListsTable, aws: FakeAws, pauses: list[float]
    ) -> None:
        denied = HttpResponse(400, b'{"__type": "com.amazonaws#AccessDeniedException"}')
        aws.faults["dynamodb"] = lambda: denied
        with pytest.raises(UnavailableError, match="table-refused"):
            lists.write("a", state(), range(300), expires_at=FOREVER, time_left=lambda: 900)
        assert pauses == []
        assert len(aws.calls) <= 4, "what had been handed over already, and no more"

    def test_writing_stops_while_there_is_time_to_say_so(self, lists: StoredListsTable, aws: FakeAws) -> None:
        left = iter([900.0, 900.0])
        with pytest.raises(UnavailableError, match="crl-not-written"):
            lists.write(
                "a",
                state(),
                range(1_000),
                expires_at=FOREVER,
                time_left=lambda: next(left, FLIP_SECONDS - 0.1),
            )
        assert len(aws.tables["keys"].items) == 2 * BATCH_WRITE

    def test_no_more_is_written_in_a_second_than_is_said(
        self, dynamodb: JsonService, pauses: list[float]
    ) -> None:
        """The clock stands still, so that every pause is as long as all that was handed over takes."""
        lists = StoredListsTable(dynamodb, "keys", clock=Clock(), pause=pauses.append)
        lists.write("a", state(), range(100), expires_at=FOREVER, time_left=lambda: 900)
        assert pauses == [number * BATCH_WRITE / MAX_PER_SECOND for number in range(1, 4)]

    def test_a_crash_while_a_list_is_read_is_a_crash(self, lists: StoredListsTable) -> None:
        def serials() -> Any:
            yield from range(100)
            raise RuntimeError("bug")

        with pytest.raises(RuntimeError, match="bug"):
            lists.write("a", state(), serials(), expires_at=FOREVER, time_left=lambda: 900)


class TestFlip:
    def test_a_first_list_comes_into_force_once(self, lists: StoredListsTable) -> None:
        anchor = pki.anchor(crls=("list",))
        assert lists.flip(anchor.id, state(1), None, pki.NOW)
        assert not lists.flip(anchor.id, state(2), None, pki.NOW)
        there = lists.stored(anchor.id, "list")
        assert there is not None
        assert (there.state, there.confirmed_at) == (state(1), pki.NOW)

    def test_a_run_that_read_an_older_state_does_not_go_back(self, lists: StoredListsTable) -> None:
        anchor = pki.anchor(crls=("list",))
        put(lists, anchor, state(1))
        assert lists.flip(anchor.id, state(5), state(1), pki.NOW)
        assert not lists.flip(anchor.id, state(2), state(1), pki.NOW)
        there = lists.stored(anchor.id, "list")
        assert there is not None
        assert there.state == state(5)

    def test_a_confirmation_is_of_the_list_that_is_in_force(self, lists: StoredListsTable) -> None:
        anchor = pki.anchor(crls=("list",))
        put(lists, anchor, state(2))
        lists.confirm(anchor.id, state(1), pki.NOW + timedelta(hours=2))
        lists.confirm(anchor.id, state(2), pki.NOW + timedelta(hours=1))
        there = lists.stored(anchor.id, "list")
        assert there is not None
        assert (there.state, there.confirmed_at) == (state(2), pki.NOW + timedelta(hours=1))

    def test_a_table_that_is_away_is_no_lost_race(self, lists: StoredListsTable, aws: FakeAws) -> None:
        aws.faults["dynamodb"] = unreachable
        with pytest.raises(UnavailableError):
            lists.flip("a", state(1), None, pki.NOW)


class TestBrought:
    def put_item(self, aws: FakeAws, key: str, version: str, **fields: Any) -> None:
        item = {"pk": {"S": key}, "version": {"S": version}, **fields}
        aws.tables["trust"].items[key, version] = item

    def test_a_list_is_found_by_its_pointer_piece_by_piece(self, aws: FakeAws, dynamodb: JsonService) -> None:
        brought = BroughtListsTable(dynamodb, "trust")
        self.put_item(aws, list_key("a", "l"), "-", digest={"S": "d"}, chunks={"N": "2"})
        self.put_item(aws, *chunk_key("d", 1), data={"B": b"\x00\xff"})
        assert brought.pointer("a", "l") == BroughtList(digest="d", chunks=2)
        assert brought.chunk("d", 1) == b"\x00\xff"
        assert brought.chunk("d", 0) is None
        assert brought.pointer("b", "l") is None

    @pytest.mark.parametrize(
        "fields", [{}, {"digest": {"S": "d"}}, {"digest": {"N": "1"}, "chunks": {"S": "x"}}]
    )
    def test_a_pointer_that_is_none_is_said_to_be(
        self, aws: FakeAws, dynamodb: JsonService, fields: dict[str, Any]
    ) -> None:
        self.put_item(aws, list_key("a", "l"), "-", **fields)
        with pytest.raises(UnavailableError, match="crl-damaged"):
            BroughtListsTable(dynamodb, "trust").pointer("a", "l")

    @pytest.mark.parametrize("fields", [{}, {"data": {"S": "x"}}, {"data": {"B": "%%"}}])
    def test_a_piece_that_is_none_is_missing(
        self, aws: FakeAws, dynamodb: JsonService, fields: dict[str, Any]
    ) -> None:
        self.put_item(aws, *chunk_key("d", 0), **fields)
        assert BroughtListsTable(dynamodb, "trust").chunk("d", 0) is None

    def test_a_throttled_partition_is_waited_for(
        self, aws: FakeAws, dynamodb: JsonService, pauses: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sallyport.adapters.aws.PAUSE_SECONDS", 0)
        self.put_item(aws, *chunk_key("d", 0), data={"B": b"x"})
        throttled = HttpResponse(400, b'{"__type": "com.amazonaws#ThrottlingException"}')

        def comes_back() -> HttpResponse:
            del aws.faults["dynamodb"]
            return throttled

        aws.faults["dynamodb"] = times(3, lambda: throttled, comes_back)
        assert BroughtListsTable(dynamodb, "trust", pauses.append).chunk("d", 0) == b"x"
        assert pauses == list(PAUSES[:2])
        aws.faults["dynamodb"] = unreachable
        with pytest.raises(UnavailableError, match="no-answer"):
            BroughtListsTable(dynamodb, "trust", pauses.append).chunk("d", 0)

    def test_a_refusal_is_not_argued_with(
        self, aws: FakeAws, dynamodb: JsonService, pauses: list[float]
    ) -> None:
        def deny(_name: str, _arguments: Any) -> None:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetItem")

        aws.tables["trust"].before_call = deny
        with pytest.raises(UnavailableError, match="table-refused"):
            BroughtListsTable(dynamodb, "trust", pauses.append).pointer("a", "l")
        assert pauses == []


def test_a_key_names_anchor_list_and_the_very_list() -> None:
    one, other = state(1), state(2)
    keys = {
        serial_key("a", one, 1),
        serial_key("b", one, 1),
        serial_key("a", other, 1),
        serial_key("a", replace(one, id="other"), 1),
        serial_key("a", one, 16),
    }
    assert len(keys) == 5
    assert all(len(key) < 200 for key in keys)
    assert len(serial_key("a" * 36, replace(one, id="x" * 2_000), (1 << 160) - 1)) < 200
