"""Which trust an exchange goes by: one version, few reads, and what was revoked stops in seconds."""

import json
from copy import deepcopy
from typing import Any

import pytest

from sallyport.adapters.http import HttpResponse
from sallyport.adapters.tables import CACHE_SECONDS
from sallyport.trust.limits import MAX_PROFILES_PER_ROLE
from tests.support import tokens
from tests.support.fake_transport import FakeAws, unreachable
from tests.support.world import ACCOUNT, FREE, READER, TRUST, World, trust_file

FIRST_EXCHANGE = [
    "dynamodb eu-central-1 GetItem",  # the version
    "dynamodb eu-central-1 GetItem",  # the anchor
    "dynamodb eu-central-1 GetItem",  # its keys
    "dynamodb eu-central-1 GetItem",  # the role
    "dynamodb eu-central-1 BatchGetItem",  # what is disabled
    "sts eu-central-1",
    "dynamodb eu-central-1 PutItem",  # the record
]


def estate(size: int) -> dict[str, Any]:
    """The reader's profile among so many others."""
    others = {
        f"other-{number}": {
            "trust_anchor": "contoso",
            "roles": [f"arn:aws:iam::{ACCOUNT}:role/sallyport/other-{number}"],
            "condition": {"StringEquals": {"token:oid": tokens.OBJECT_ID}},
        }
        for number in range(size)
    }
    return trust_file(**others)


@pytest.mark.parametrize("size", [0, 500])
def test_an_exchange_reads_the_same_few_items_whatever_the_size_of_the_estate(size: int) -> None:
    world = World(trust=estate(size))
    assert world.calls(world.query) == FIRST_EXCHANGE
    assert world.calls(world.query) == FIRST_EXCHANGE[-2:]


def test_every_read_is_a_consistent_one(world: World) -> None:
    world.query()
    reads = [
        json.loads(body)
        for _, headers, body in world.aws.requests
        if "Get" in headers.get("X-Amz-Target", "")
    ]
    assert len(reads) == 5
    for read in reads:
        assert all(one["ConsistentRead"] for one in read.get("RequestItems", {"": read}).values())


@pytest.mark.parametrize("what", ["profile#reader", "anchor#contoso"])
def test_what_is_disabled_stops_within_the_caches_time(world: World, what: str) -> None:
    assert world.query()["statusCode"] == 200
    world.disable(what)
    assert world.query()["statusCode"] == 200, "this is what the cache's time means"
    world.advance(CACHE_SECONDS)
    answer = world.query()
    assert answer["statusCode"] == 403
    assert world.record_of(answer)["reason"] == f"{what.partition('#')[0]}-disabled"


def test_a_tombstone_does_not_wear_off_while_others_are_read(world: World) -> None:
    """The anchor's state ends in the cache during the read of the profile's: it must not read as enabled."""
    world.disable("anchor#contoso")
    world.query()
    # The read of the role takes 0.6 s, and that of the tombstones goes past the end.
    world.advance(CACHE_SECONDS - 0.9)
    world.aws.slowness = 1.0
    answer = world.query(RoleArn="arn:aws:iam::111122223333:role/sallyport/takes-policies")
    assert world.record_of(answer)["reason"] == "anchor-disabled"


def test_what_is_disabled_must_be_known(world: World) -> None:
    with world.fault("dynamodb/BatchGetItem", lambda: _unprocessed(world.aws)):
        assert world.query()["statusCode"] == 503
    assert world.aws.calls.count("dynamodb eu-central-1 BatchGetItem") == 3
    assert world.aws.sts.forms == []


def test_a_batch_that_was_answered_in_part_is_asked_for_the_rest(world: World) -> None:
    world.disable("profile#reader")
    asked: list[int] = []

    def in_part() -> Any:
        request = json.loads(world.aws.requests[-1][2])["RequestItems"]["trust"]
        asked.append(len(request["Keys"]))
        if len(asked) == 1:
            return _unprocessed(world.aws, answered=1)
        del world.aws.faults["dynamodb/BatchGetItem"]
        return world.aws._dynamodb("BatchGetItem", {"RequestItems": {"trust": request}})

    world.aws.faults["dynamodb/BatchGetItem"] = in_part
    assert world.query()["statusCode"] == 403
    assert asked == [2, 1]


def _unprocessed(aws: FakeAws, *, answered: int = 0) -> Any:
    request = json.loads(aws.requests[-1][2])["RequestItems"]["trust"]
    left = {**request, "Keys": request["Keys"][answered:]}
    body = json.dumps({"Responses": {"trust": []}, "UnprocessedKeys": {"trust": left}})
    return HttpResponse(200, body.encode())


def test_a_new_version_is_in_force_within_the_caches_time(world: World) -> None:
    assert world.query()["statusCode"] == 200
    world.apply(trust_file(reader=None))
    world.advance(CACHE_SECONDS)
    assert world.query()["statusCode"] == 403
    world.apply(TRUST)
    world.advance(CACHE_SECONDS)
    answer = world.query()
    assert world.record_of(answer)["trust_version"] == "000003-0badcafe"


def test_an_anchor_and_a_profile_of_two_versions_never_decide_together(world: World) -> None:
    """The old anchor takes two audiences, the old profile one; the new profile relies on the new anchor."""
    both = deepcopy(TRUST)
    both["trust_anchors"]["contoso"]["audiences"] = [tokens.AUDIENCE, "urn://others"]
    both["profiles"]["reader"]["condition"] = {
        "StringEquals": {"token:oid": tokens.OBJECT_ID, "token:aud": tokens.AUDIENCE}
    }
    world.apply(both)
    foreign = tokens.token(tokens.good_entra_v1(aud="urn://others"))
    assert world.query(foreign)["statusCode"] == 403

    # Between the look-ups of the anchor and of the role, the new version comes into force.
    reads: list[str] = []

    def on_read(_name: str, arguments: Any) -> None:
        key = arguments["Key"]["pk"]["S"]
        reads.append(key)
        if key.startswith("issuer#"):
            world.apply(TRUST)
            world.advance(CACHE_SECONDS + 1)

    world.aws.tables["trust"].before_call = on_read
    assert world.query(foreign, routes=world.instance())["statusCode"] == 403
    assert reads.count("current") == 1


def test_before_the_first_apply_nobody_gets_anything(world: World) -> None:
    world.aws.tables["trust"].items.clear()
    answer = world.query()
    assert answer["statusCode"] == 400
    assert world.aws.sts.forms == []


@pytest.mark.parametrize(
    "document",
    ["", "[]", "{", "null", '{"format":99,"profiles":[]}', '{"format":1}', '{"profiles":[{"format":2}]}'],
)
@pytest.mark.parametrize("key", ["issuer#" + tokens.ENTRA_V1, "role#" + READER])
def test_an_item_that_cannot_be_understood_allows_nothing(world: World, key: str, document: str) -> None:
    world.aws.tables["trust"].items[key, "000001-0badcafe"]["document"] = {"S": document}
    assert world.query()["statusCode"] in {403, 503}
    assert world.aws.sts.forms == []


def test_a_failed_read_is_not_remembered(world: World) -> None:
    with world.fault("dynamodb/GetItem", unreachable):
        assert world.query()["statusCode"] == 503
    assert world.query()["statusCode"] == 200


def test_the_caches_do_not_grow_without_bound(world: World) -> None:
    trust: Any = world.routes.exchange._trust
    del world.aws.tables["trust"].items["current", "-"]["issuers"]
    for number in range(700):
        world.query(tokens.token(tokens.good_plain(iss=f"https://i{number}.example")))
    assert (len(trust._anchors._held), len(trust._absent._held)) == (0, 512)


def test_a_role_of_another_anchor_looks_like_no_role_at_all(world: World) -> None:
    """Also in what it costs: otherwise strangers could count somebody else's profiles with a watch."""
    trust = deepcopy(world.trust)
    for number in range(MAX_PROFILES_PER_ROLE):
        condition = {"StringEquals": {"token:sub": f"project_path:team-{number}/app"}}
        trust["profiles"][f"p{number}"] = {
            "trust_anchor": "gitlab",
            "roles": [FREE],
            "condition": condition,
        }
    del trust["profiles"]["free"]
    world.apply(trust)

    def asked(role: str) -> tuple[list[tuple[str, int]], dict[str, Any]]:
        """What a role costs to be denied, the anchor being known, and what is on record."""
        routes = world.instance()
        world.credentials(routes=routes, roleArn=f"{READER}-unknown")
        start = len(world.aws.requests)
        answer = world.credentials(routes=routes, roleArn=role)
        calls = [
            (headers["X-Amz-Target"], body.count(b"disabled#"))
            for _, headers, body in world.aws.requests[start:]
        ]
        return calls, world.record_of(answer)

    (unknown_calls, unknown), (foreign_calls, foreign) = asked(f"{READER}-nobodys"), asked(FREE)
    assert foreign_calls == unknown_calls
    assert unknown["reason"] == foreign["reason"] == "no-profile"
    assert unknown["trace"] == []
    assert {one["reason"] for one in foreign["trace"]} == {"other-anchor"}
    assert len(foreign["trace"]) + foreign["trace_omitted"] == MAX_PROFILES_PER_ROLE
