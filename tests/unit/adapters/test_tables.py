"""Caches that forget in time, and conditions that hold for the one who wrote."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.adapters.aws import JsonService, SignedService
from sallyport.adapters.http import HttpResponse, TimeLimits
from sallyport.adapters.tables import AuditTable, KeysTable, Recent, RecordsTable, SpentTable, TrustTable
from sallyport.audit.ledger import RecordExistsError
from sallyport.errors import UnavailableError
from sallyport.keys import FetchedKeys
from sallyport.model import ExchangeId
from tests.support import tokens
from tests.support.fake_transport import FakeAws, FakeTable
from tests.support.world import OWN, REGION, TRUST, World, compiled

ONE, TWO = ExchangeId("1" * 32), ExchangeId("2" * 32)


@pytest.fixture
def aws() -> FakeAws:
    tables = {
        "trust": FakeTable(),
        **{name: FakeTable(sort_key=None) for name in ("keys", "spent", "audit")},
        "records": FakeTable(partition_key="id", sort_key=None),
    }
    return FakeAws(now=lambda: tokens.NOW, tables=tables)


@pytest.fixture
def dynamodb(aws: FakeAws) -> JsonService:
    service = SignedService(
        name="dynamodb",
        region=REGION,
        url=f"https://dynamodb.{REGION}.amazonaws.com",
        transport=aws,
        credentials=lambda: OWN,
        limits=TimeLimits(0.2, 0.4),
    )
    return JsonService(service, target="DynamoDB_20120810")


# The cache


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_entry_is_believed_for_the_stated_time_and_not_an_instant_longer() -> None:
    clock, loads = Clock(), iter(range(10))
    cache: Recent[int] = Recent(clock, seconds=10)
    assert cache.get("a", lambda: next(loads)) == 0
    clock.now += 9.999
    assert cache.get("a", lambda: next(loads)) == 0
    clock.now += 0.001
    assert cache.get("a", lambda: next(loads)) == 1


def test_an_entry_from_before_a_restore_is_stale() -> None:
    """After SnapStart has restored a copy, the clock may stand anywhere, earlier too."""
    clock = Clock()
    cache: Recent[int] = Recent(clock, seconds=10)
    cache.put("a", 0)
    clock.now = 5.0
    assert cache.held("a") is None


def test_nothing_is_as_good_a_value_as_any() -> None:
    cache: Recent[None] = Recent(Clock(), seconds=10)
    loads: list[int] = []
    for _ in range(3):
        cache.get("a", lambda: loads.append(1))
    assert loads == [1]


def test_a_failed_load_leaves_nothing_behind() -> None:
    cache: Recent[int] = Recent(Clock(), seconds=10)

    def fail() -> int:
        raise UnavailableError("x")

    with pytest.raises(UnavailableError):
        cache.get("a", fail)
    assert cache.get("a", lambda: 1) == 1


@given(keys=st.lists(st.integers(0, 20).map(str), max_size=100), room=st.integers(1, 8))
def test_the_cache_has_its_size_and_keeps_what_was_used_last(keys: list[str], room: int) -> None:
    cache: Recent[str] = Recent(Clock(), seconds=None, entries=room)
    for key in keys:
        cache.get(key, lambda key=key: key)  # type: ignore[misc]
    last = list(dict.fromkeys(reversed(keys)))[:room]
    assert all(cache.held(key) == key for key in last)
    assert len(cache._held) == len(last)


# Records and spent proofs


def test_a_record_is_never_changed(aws: FakeAws, dynamodb: JsonService) -> None:
    table = RecordsTable(dynamodb, "records")
    table.put("a", "{}", 1)
    table.put("a", "{}", 1)
    with pytest.raises(RecordExistsError):
        table.put("a", '{"other": 1}', 1)
    assert aws.tables["records"].items["a", ""]["record"] == {"S": "{}"}


def test_a_proof_is_spent_by_one_exchange_which_may_try_again(dynamodb: JsonService) -> None:
    table = SpentTable(dynamodb, "spent")
    assert table.spend("proof", ONE, 1)
    assert table.spend("proof", ONE, 1)
    assert not table.spend("proof", TWO, 1)


def test_a_counter_stops_at_its_limit(dynamodb: JsonService) -> None:
    table = SpentTable(dynamodb, "spent")
    assert [table.count("a", 2, 1) for _ in range(3)] == [True, True, False]
    assert table.count("b", 1, 1)


def test_a_counter_is_no_proof_and_a_proof_no_counter(aws: FakeAws, dynamodb: JsonService) -> None:
    """IAM lets the function change what begins with rate#, and nothing else."""
    table = SpentTable(dynamodb, "spent")
    table.count("proof#a", 1, 1)
    table.spend("rate#b", ONE, 1)
    assert set(aws.tables["spent"].items) == {("rate#proof#a", ""), ("proof#rate#b", "")}


def test_a_record_that_comes_twice_counts_once(aws: FakeAws, dynamodb: JsonService) -> None:
    table = AuditTable(dynamodb, "audit")
    assert table.count("a", "granted", tokens.NOW, timedelta(days=1))
    assert not table.count("a", "granted", tokens.NOW, timedelta(days=1))
    assert aws.tables["audit"].items["count#2026-11-20#granted", ""]["records"] == {"N": "1"}


@pytest.mark.parametrize(
    "code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"]
)
def test_a_table_that_refuses_is_unavailable(aws: FakeAws, dynamodb: JsonService, code: str) -> None:
    aws.faults["dynamodb"] = lambda: HttpResponse(400, json.dumps({"__type": f"x#{code}"}).encode())
    trust, keys = TrustTable(dynamodb, "trust", Clock()), KeysTable(dynamodb, "keys", Clock())
    calls: list[Any] = [
        lambda: RecordsTable(dynamodb, "records").put("a", "{}", 1),
        lambda: SpentTable(dynamodb, "spent").spend("a", ONE, 1),
        lambda: SpentTable(dynamodb, "spent").count("a", 1, 1),
        trust.version,
        lambda: trust.anchor_of_issuer("https://a.example", "1"),
        lambda: trust.profiles_of_role("arn", "1"),
        lambda: trust.disabled(["anchor#a"]),
        trust.anchors,
        lambda: keys.read("a"),
        lambda: keys.claim_ask("a", tokens.NOW),
    ]
    for call in calls:
        with pytest.raises(UnavailableError):
            call()


# Keys


def fetched(at: int, jwks: str = "{}") -> FetchedKeys:
    return FetchedKeys(anchor_id="a", issuer="i", jwks=jwks, fetched_at=at, source="s")


def test_a_later_fetch_is_not_overwritten_by_an_earlier_one(dynamodb: JsonService) -> None:
    keys = KeysTable(dynamodb, "keys", Clock())
    keys.write(fetched(200, "new"))
    keys.write(fetched(100, "old"))
    found = keys.read("a")
    assert found is not None
    assert (found.jwks, found.fetched_at) == ("new", 200)


def test_asking_does_not_touch_the_keys_and_fetching_not_the_asking(dynamodb: JsonService) -> None:
    keys = KeysTable(dynamodb, "keys", Clock())
    assert keys.claim_ask("a", tokens.NOW)
    keys.write(fetched(100))
    assert not keys.claim_ask("a", tokens.NOW + timedelta(seconds=299))
    found = keys.read("a")
    assert found is not None
    assert (found.asked_at, found.fetched_at) == (tokens.EPOCH, 100)


def test_a_fresh_look_goes_past_the_cache(dynamodb: JsonService) -> None:
    keys = KeysTable(dynamodb, "keys", Clock())
    assert keys.read("a") is None
    keys.write(fetched(100))
    assert keys.read("a") is None
    assert keys.read("a", fresh=True) is not None


# Trust


def test_all_anchors_of_the_current_version_are_listed_page_by_page() -> None:
    world = World()
    world.apply(TRUST)
    world.aws.tables["trust"].page_size = 1
    service = SignedService(
        name="dynamodb",
        region=REGION,
        url="https://dynamodb",
        transport=world.aws,
        credentials=lambda: OWN,
        limits=TimeLimits(1, 1),
    )
    table = TrustTable(JsonService(service, target="DynamoDB_20120810"), "trust", Clock())
    assert {anchor.name for anchor in table.anchors()} == set(TRUST["trust_anchors"])
    assert len(table.anchors()) == len(compiled(TRUST).anchors)


@pytest.mark.parametrize("count", [1, 100, 101])
def test_all_that_may_be_disabled_is_looked_at(aws: FakeAws, dynamodb: JsonService, count: int) -> None:
    names = [f"profile#p{number}" for number in range(count)]
    key = f"disabled#{names[-1]}"
    aws.tables["trust"].items[key, "-"] = {"pk": {"S": key}, "version": {"S": "-"}}
    table = TrustTable(dynamodb, "trust", Clock())
    assert table.disabled(names) == {names[-1]}
    assert table.disabled(names) == {names[-1]}
    assert len(aws.calls) == (count + 99) // 100
