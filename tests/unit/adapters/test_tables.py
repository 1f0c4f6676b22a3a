"""Caches that forget in time, and conditions that hold for the one who wrote."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.adapters.aws import JsonService
from sallyport.adapters.http import HttpResponse
from sallyport.adapters.tables import (
    CACHE_ENTRIES,
    CACHE_PROFILES,
    KeysTable,
    Recent,
    RecordsTable,
    SpentTable,
    TrustTable,
)
from sallyport.audit.ledger import RecordExistsError
from sallyport.errors import UnavailableError
from sallyport.keys import FetchedKeys
from sallyport.model import ExchangeId
from sallyport.settings import AwsSettings
from sallyport.trust.limits import MAX_ISSUER_LENGTH
from sallyport.wiring.clients import Aws
from tests.support import tokens
from tests.support.certificate_world import CertificateWorld
from tests.support.fake_transport import FakeAws, FakeTable
from tests.support.world import OWN, PLAIN_ROLE, REGION, TRUST, World, compiled

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
    return Aws(AwsSettings(region=REGION), aws, lambda: OWN).dynamodb()


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
    cache: Recent[str] = Recent(Clock(), seconds=None, room=room)
    for key in keys:
        cache.get(key, lambda key=key: key)  # type: ignore[misc]  # bound now, in a loop
    last = list(dict.fromkeys(reversed(keys)))[:room]
    assert all(cache.held(key) == key for key in last)
    assert len(cache._held) == len(last)


@given(weights=st.lists(st.integers(0, 12), max_size=60), keys=st.integers(1, 30))
def test_a_cache_of_weighty_entries_holds_no_more_than_it_may(weights: list[int], keys: int) -> None:
    cache: Recent[int] = Recent(Clock(), seconds=None, room=10, weigh=lambda weight: weight)
    for number, weight in enumerate(weights):
        assert cache.put(str(number % keys), weight) == weight
        held = [value for _, value in cache._held.values()]
        assert sum(held) == cache._weight <= 10
        assert weight > 10 or cache.held(str(number % keys)) == weight


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
        lambda: trust.profiles_of_role("arn", "1", "a"),
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
    dynamodb = Aws(AwsSettings(region=REGION), world.aws, lambda: OWN).dynamodb()
    table = TrustTable(dynamodb, "trust", Clock())
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


def put_role(aws: FakeAws, role: str, profiles: object) -> None:
    aws.tables["trust"].items[f"role#{role}", "1"] = {
        "pk": {"S": f"role#{role}"},
        "version": {"S": "1"},
        "document": {"S": json.dumps({"profiles": profiles})},
    }


def documents(count: int) -> list[Any]:
    """The storage form of a profile, many times."""
    (one,) = compiled(TRUST).items[f"role#{PLAIN_ROLE}"]["profiles"]
    return [{**one, "name": f"p{number}"} for number in range(count)]


def test_roles_are_held_by_what_they_weigh(aws: FakeAws, dynamodb: JsonService) -> None:
    many = documents(100)
    table = TrustTable(dynamodb, "trust", Clock())
    anchor = many[0]["anchor_id"]
    for number in range(30):
        put_role(aws, f"r{number}", many)
        assert len(table.profiles_of_role(f"r{number}", "1", anchor).own) == 100
    held = [role for _, role in table._roles._held.values()]
    assert len(held) == CACHE_PROFILES // 101
    assert sum(len(role.own) for role in held) <= CACHE_PROFILES


def test_of_other_anchors_profiles_a_role_has_the_names_and_nothing_is_loaded(
    aws: FakeAws, dynamodb: JsonService
) -> None:
    (mine,) = documents(1)
    put_role(aws, "r", [mine, {"name": "theirs", "anchor_id": "another", "format": "of a later version"}])
    table = TrustTable(dynamodb, "trust", Clock())
    found = table.profiles_of_role("r", "1", mine["anchor_id"])
    assert ([profile.name for profile in found.own], found.others) == (["p0"], ("theirs",))
    with pytest.raises(UnavailableError):
        table.profiles_of_role("r", "1", "another")


@pytest.mark.parametrize("profiles", [None, {"a": 1}, "ab", 7, [7], [{}], [{"anchor_id": "a"}]])
def test_a_role_that_cannot_be_read_is_unavailable(
    aws: FakeAws, dynamodb: JsonService, profiles: object
) -> None:
    put_role(aws, "r", profiles)
    with pytest.raises(UnavailableError):
        TrustTable(dynamodb, "trust", Clock()).profiles_of_role("r", "1", "b")


def test_an_issuer_that_no_anchor_can_have_is_not_looked_for(aws: FakeAws, dynamodb: JsonService) -> None:
    """Without the marks of the version in force, so that the length alone decides."""
    table = TrustTable(dynamodb, "trust", Clock())
    assert table.anchor_of_issuer("https://x.example/" + "a" * (MAX_ISSUER_LENGTH - 17), "1") is None
    assert aws.calls == []
    assert table.anchor_of_issuer("https://x.example/" + "a" * (MAX_ISSUER_LENGTH - 18), "1") is None
    assert len(aws.calls) == 1


def test_names_of_somebodys_making_push_out_nothing_real(aws: FakeAws, dynamodb: JsonService) -> None:
    (mine,) = documents(1)
    put_role(aws, "r", [mine])
    aws.tables["trust"].items[f"issuer#{tokens.PLAIN}", "1"] = {
        "pk": {"S": f"issuer#{tokens.PLAIN}"},
        "version": {"S": "1"},
        "document": {"S": json.dumps(compiled(TRUST).items[f"issuer#{tokens.PLAIN}"])},
    }
    table = TrustTable(dynamodb, "trust", Clock())

    def real() -> None:
        assert table.profiles_of_role("r", "1", mine["anchor_id"]).own
        assert table.anchor_of_issuer(tokens.PLAIN, "1")

    real()
    for number in range(CACHE_ENTRIES + 1):
        assert table.profiles_of_role(f"x{number}", "1", "a").own == ()
        assert table.anchor_of_issuer(f"https://x{number}.example", "1") is None
    before = len(aws.calls)
    real()
    assert table.anchor_of_issuer(f"https://x{CACHE_ENTRIES}.example", "1") is None
    assert len(aws.calls) == before
    assert len(table._absent._held) == CACHE_ENTRIES


# Anchors by their ids


def test_an_anchor_is_found_by_its_id_and_read_once() -> None:
    holders = CertificateWorld()
    table = trust_of(holders)
    version = table.version()
    assert version is not None
    wanted = holders.anchor("datacenter")
    assert table.anchor(wanted.id, version) == wanted
    assert holders.calls(lambda: table.anchor(wanted.id, version)) == []


def test_an_id_that_is_no_authority_s_costs_no_look_where_there_are_marks() -> None:
    holders = CertificateWorld()
    table = trust_of(holders)
    version = table.version()
    assert version is not None
    unknown = "00000000-0000-0000-0000-000000000000"
    assert holders.calls(lambda: table.anchor(unknown, version)) == []
    assert table.anchor(unknown, version) is None


def test_without_marks_it_costs_one_look() -> None:
    holders = CertificateWorld()
    del holders.aws.tables["trust"].items["current", "-"]["issuers"]
    table = trust_of(holders)
    version = table.version()
    assert version is not None
    unknown = "00000000-0000-0000-0000-000000000000"
    assert [len(holders.calls(lambda: table.anchor(unknown, version))) for _ in range(2)] == [1, 0]
    assert table.anchor(holders.anchor("datacenter").id, version) is not None


def test_marks_of_another_version_rule_nothing_out() -> None:
    """The pointer moved on between two reads of one exchange."""
    holders = CertificateWorld()
    table = trust_of(holders)
    before = table.version()
    assert before is not None
    del holders.trust["trust_anchors"]["patient"], holders.trust["profiles"]["patient"]
    patient = CertificateWorld().anchor("patient")
    holders.apply(holders.trust)
    holders.advance(11)
    after = table.version()
    assert after not in (None, before)
    assert table.anchor(patient.id, before) == patient
    assert table.anchor(patient.id, str(after)) is None


def test_an_issuer_s_item_that_holds_an_authority_is_nobody_s() -> None:
    holders = CertificateWorld()
    items = holders.aws.tables["trust"].items
    anchor = next(item for (key, _), item in items.items() if key == f"anchor#{holders.anchor('once').id}")
    issuer = next(key for key in items if key[0].startswith("issuer#"))
    items[issuer] = items[issuer] | {"document": anchor["document"]}
    assert trust_of(holders).anchor_of_issuer(issuer[0].removeprefix("issuer#"), issuer[1]) is None


def trust_of(world: CertificateWorld) -> TrustTable:
    dynamodb = Aws(AwsSettings(region=REGION), world.aws, lambda: OWN).dynamodb()
    return TrustTable(dynamodb, "trust", lambda: world.seconds)
