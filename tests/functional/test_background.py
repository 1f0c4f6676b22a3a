"""The functions behind schedules, streams and queues, driven by what triggers them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sallyport.audit.publish import Publisher
from sallyport.errors import UnavailableError
from sallyport.settings import AwsSettings, RefreshSettings
from sallyport.wiring import background
from tests.support import tokens
from tests.support.lambda_context import lambda_context
from tests.support.world import OWN, REGION, World, lines, load_event

AWS = AwsSettings(region=REGION)


# refresh_keys

V1 = f"https://login.microsoftonline.com/{tokens.TENANT}"
WEB = {
    f"{V1}/.well-known/openid-configuration": {"issuer": tokens.ENTRA_V1, "jwks_uri": f"{V1}/discovery/keys"},
    f"{tokens.ENTRA_V2}/.well-known/openid-configuration": {
        "issuer": tokens.ENTRA_V2,
        "jwks_uri": f"{V1}/discovery/v2.0/keys",
    },
    f"{tokens.PLAIN}/.well-known/openid-configuration": {
        "issuer": tokens.PLAIN,
        "jwks_uri": f"{tokens.PLAIN}/keys",
    },
}


def fetch(url: str) -> bytes:
    """The issuers, all of which have rotated to the key "two"."""
    if url in WEB:
        return json.dumps(WEB[url]).encode()
    return tokens.jwks(tokens.jwk(tokens.rsa_key("two"), kid="key-two"))


def refresher(
    world: World, web: Callable[[str], bytes] = fetch
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    run = background.key_refresh(
        RefreshSettings(aws=AWS, trust_table="trust", keys_table="keys"),
        transport=world.aws,
        credentials=lambda: OWN,
        fetch=web,
        clock=lambda: world.now,
    )
    return lambda event: run(event, lambda_context(120.0))


def statuses(answer: dict[str, Any]) -> dict[str, str]:
    return {one["anchor_name"]: one["status"] for one in answer["anchors"]}


def test_the_schedule_refreshes_every_anchor(world: World) -> None:
    answer = refresher(world)(load_event("refresh_keys_schedule"))
    assert statuses(answer) == dict.fromkeys(("contoso", "tenant-v2", "gitlab"), "refreshed")
    rotated = tokens.token(key=tokens.rsa_key("two"), headers=tokens.header(kid="key-two"))
    assert world.query(rotated)["statusCode"] == 200
    assert world.query()["statusCode"] == 400, "the old key is gone"


def test_asked_for_one_anchor_it_fetches_for_that_one_and_once_in_five_minutes(world: World) -> None:
    event = load_event("refresh_keys_asked") | {"anchor_ids": [world.anchor("contoso").id]}
    run = refresher(world)
    assert statuses(run(event)) == {"contoso": "refreshed"}
    world.advance(299)
    assert statuses(run(event)) == {"contoso": "not-due"}
    world.advance(1)
    assert statuses(run(event)) == {"contoso": "refreshed"}


def test_an_unknown_anchor_is_skipped(world: World) -> None:
    assert [one["reason"] for one in refresher(world)(load_event("refresh_keys_asked"))["anchors"]] == [
        "anchor-unknown"
    ]


def test_a_failed_refresh_keeps_the_keys_and_old_ones_are_an_alarm(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(_url: str) -> bytes:
        raise UnavailableError("fetch-failed", "the issuer is away")

    world.routes  # noqa: B018 - the logger's output from here on
    run = refresher(world, nothing)
    assert set(statuses(run({})).values()) == {"failed"}
    assert world.query()["statusCode"] == 200
    world.advance(timedelta(hours=13).total_seconds())
    capsys.readouterr()
    run({})
    assert sum(line.get("message") == "StaleKeys" for line in lines(capsys)) == 3


def test_it_writes_nothing_but_keys(world: World) -> None:
    refresher(world)({})
    writes = {
        json.loads(body)["TableName"]
        for _, headers, body in world.aws.requests
        if headers["X-Amz-Target"].endswith(("PutItem", "UpdateItem", "DeleteItem"))
    }
    assert writes == {"keys"}


# publish_records


@dataclass
class Bus:
    """The records bus, and the queue for what it does not take."""

    takes: int = 1_000_000

    def __post_init__(self) -> None:
        self.batches: list[list[str]] = []
        self.kept: list[str] = []
        self.alarms: list[str] = []

    def alarm(self, event: str, _fields: Any) -> None:
        self.alarms.append(event)

    def put(self, records: Any) -> list[bool]:
        self.batches.append(list(records))
        there = [number < self.takes for number in range(len(records))]
        self.takes = max(0, self.takes - len(records))
        return there


def published(bus: Bus, event: dict[str, Any]) -> dict[str, Any]:
    return Publisher(bus.put, bus.kept.append, bus.alarm)(event)


def test_new_records_are_put_and_those_whose_time_has_come_are_not() -> None:
    bus = Bus()
    event = load_event("publish_records")
    assert published(bus, event) == {"batchItemFailures": []}
    assert bus.batches == [[event["Records"][0]["dynamodb"]["NewImage"]["record"]["S"]]]
    assert bus.kept == bus.alarms == []


def test_the_schedule_puts_a_heartbeat_on_the_bus_or_fails() -> None:
    bus, event = Bus(), {"id": "7bf73129", "time": "2026-11-20T12:00:00Z", "source": "aws.events"}
    assert published(bus, event) == {"batchItemFailures": []}
    assert [json.loads(one)["kind"] for one in bus.batches[0]] == ["heartbeat"]
    with pytest.raises(UnavailableError):
        published(Bus(takes=0), event)


def test_a_record_that_somebody_removed_is_an_alarm() -> None:
    bus, event = Bus(), load_event("publish_records")
    del event["Records"][1]["userIdentity"]
    published(bus, event)
    assert (len(bus.kept), bus.alarms) == (1, ["RecordChanged"])


def test_a_bus_that_is_away_makes_the_stream_try_again() -> None:
    def away(_records: Any) -> list[bool]:
        raise ClientError({"Error": {"Code": "InternalException"}}, "PutEvents")

    with pytest.raises(ClientError):
        Publisher(away, Bus().kept.append, Bus().alarm)(load_event("publish_records"))


def test_what_an_exchange_records_is_what_is_published(world: World) -> None:
    answers = [
        world.query(),
        world.query(tokens.token(tokens.good_entra_v1(tid=tokens.TENANT, oid=tokens.TENANT))),
    ]
    entry = load_event("publish_records")["Records"][0]
    entries = []
    for number, item in enumerate(world.aws.tables["records"].items.values()):
        change = {**entry["dynamodb"], "NewImage": item, "SequenceNumber": str(number)}
        entries.append({**entry, "dynamodb": change})
    bus = Bus()
    published(bus, {"Records": entries})
    assert [json.loads(one)["outcome"] for one in bus.batches[0]] == ["granted", "denied"]
    assert len(answers) == 2
