"""An unknown key asks for new ones, rarely; and no flood makes it less rare."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sallyport.adapters.http import HttpResponse
from sallyport.keys import ASK_EVERY
from tests.support import tokens
from tests.support.fake_transport import unreachable
from tests.support.world import World, lines

UNKNOWN = tokens.an_unknown_kid()
ROTATED = tokens.token(key=tokens.rsa_key("two"), headers=tokens.header(kid="key-two"))
INVOKE = "lambda eu-central-1"


def rotate(world: World) -> Callable[[dict[str, Any]], None]:
    """What refresh_keys does after the issuer has rotated."""

    def refresh(payload: dict[str, Any]) -> None:
        anchor = world.anchor("contoso")
        assert payload == {"anchor_ids": [anchor.id], "asked": True}
        keys = tokens.jwk(tokens.rsa_key()), tokens.jwk(tokens.rsa_key("two"), kid="key-two")
        world.publish_keys(anchor, *keys, age=0)
        item = world.aws.tables["keys"].items[f"anchor#{anchor.id}", ""]
        item["asked_at"] = {"N": str(int(world.now.timestamp()))}

    return refresh


def test_a_rotated_key_works_at_once(world: World) -> None:
    world.query()
    world.aws.invoke = rotate(world)
    assert world.query(ROTATED)["statusCode"] == 200
    assert world.aws.calls.count(INVOKE) == 1


def test_an_unknown_key_asks_once_in_five_minutes_over_all_instances(world: World) -> None:
    world.aws.invoke = rotate(world)
    other = world.instance()
    for _ in range(int(ASK_EVERY.total_seconds())):
        assert world.query(UNKNOWN)["statusCode"] == 400
        assert world.query(UNKNOWN, routes=other)["statusCode"] == 400
        world.advance(1)
    assert world.aws.calls.count(INVOKE) == 1
    world.advance(10)
    world.query(UNKNOWN)
    assert world.aws.calls.count(INVOKE) == 2


def test_with_nobody_to_answer_an_instance_asks_no_more_often(world: World) -> None:
    world.aws.faults["lambda"] = unreachable
    for _ in range(200):
        world.query(UNKNOWN)
        world.advance(1)
    assert world.aws.calls.count(INVOKE) == 1


@pytest.mark.parametrize("status", [404, 429, 500])
def test_an_unknown_key_has_the_answer_of_an_unknown_issuer_whether_it_can_be_asked_for_or_not(
    world: World, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    world.aws.faults["lambda"] = lambda: HttpResponse(status, b"{}")
    mallory = tokens.rsa_key("mallory")
    forged = tokens.token(key=mallory, headers=tokens.header(kid="mallory"))
    stranger = tokens.token(tokens.good_plain(iss="https://nobody.example"), key=mallory)
    answers = [world.credentials(token) for token in (forged, stranger)]
    assert [answer["statusCode"] for answer in answers] == [400, 400]
    forged_body, stranger_body = ({**json.loads(one["body"]), "exchangeId": ""} for one in answers)
    assert forged_body == stranger_body
    assert world.aws.calls.count(INVOKE) == 1
    (line, _) = [one for one in lines(capsys) if one.get("message") == "exchange"]
    assert line["reason"] == "key-unknown"
    assert "The refresh failed: " in line["detail"], "the operator hears of it"


@pytest.mark.parametrize("age", [None, 86_401])
def test_without_keys_to_be_believed_callers_are_asked_to_try_again(world: World, age: int | None) -> None:
    world.aws.faults["lambda"] = unreachable
    anchor = world.anchor("contoso")
    if age is None:
        del world.aws.tables["keys"].items[f"anchor#{anchor.id}", ""]
    else:
        world.publish_keys(anchor, age=age)
    assert [world.query()["statusCode"] for _ in range(2)] == [503] * 2


def test_an_issuer_that_has_taken_back_its_keys_verifies_nobody(world: World) -> None:
    assert world.query()["statusCode"] == 200
    anchor = world.anchor("contoso")
    item = world.aws.tables["keys"].items[f"anchor#{anchor.id}", ""]
    item["jwks"] = {"S": '{"keys":[]}'}
    world.advance(10)
    assert world.query()["statusCode"] == 400


def test_a_flood_of_unknown_keys_reads_the_table_no_more_than_the_cache_does(world: World) -> None:
    world.aws.invoke = rotate(world)
    world.query(UNKNOWN)
    calls: list[str] = []
    for _ in range(600):
        calls += world.calls(lambda: world.query(UNKNOWN))
        world.advance(0.1)
    # A minute: each ten seconds the version, the keys once and the keys again past the cache.
    assert calls.count("dynamodb eu-central-1 GetItem") <= 6 * 3


def test_a_key_that_another_instance_fetched_is_found_past_the_cache(world: World) -> None:
    world.query()
    rotate(world)({"anchor_ids": [world.anchor("contoso").id], "asked": True})
    assert world.query(ROTATED)["statusCode"] == 200
    assert world.aws.calls.count(INVOKE) == 0


def test_keys_that_are_too_old_are_not_believed_and_asked_for(world: World) -> None:
    world.publish_keys(world.anchor("contoso"), age=86_401)
    assert world.query()["statusCode"] == 503
    assert world.aws.calls.count(INVOKE) == 1
    world.publish_keys(world.anchor("contoso"), age=86_400)
    world.advance(0)
    assert world.instance() is not None
    assert world.query(routes=world.instance())["statusCode"] == 200


def test_keys_of_another_issuer_are_not_believed(world: World) -> None:
    anchor = world.anchor("contoso")
    world.aws.tables["keys"].items[f"anchor#{anchor.id}", ""]["issuer"] = {"S": tokens.PLAIN}
    assert world.query()["statusCode"] == 503


def test_a_withdrawn_key_stops_within_the_caches_time(world: World) -> None:
    assert world.query()["statusCode"] == 200
    world.publish_keys(world.anchor("contoso"), tokens.jwk(tokens.rsa_key("two"), kid="key-two"))
    world.advance(10)
    assert world.query()["statusCode"] == 400


def test_a_bad_signature_asks_for_nothing(world: World) -> None:
    for bad in (tokens.signed_by_somebody_else(), tokens.expired(), tokens.for_somebody_else()):
        world.query(bad)
    assert world.aws.calls.count(INVOKE) == 0
