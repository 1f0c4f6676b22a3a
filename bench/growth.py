"""One exchange against DynamoDB with 10 and with 1,000,000 profiles, or revoked serial numbers.

How many reads, and how long.

The tables are MiniStack's, over HTTP. Every exchange starts with empty caches, which is when the
size of the estate could show; STS answers at once.
"""

import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from statistics import median
from typing import Any

import boto3
from botocore.credentials import ReadOnlyCredentials
from rich.progress import Progress

from bench import certificates
from bench import world as worlds
from bench.hot_path import silence
from bench.table import Row
from local import cloud as clouds
from local.paths import State
from sallyport.adapters.http import HttpResponse, TimeLimits, Transport, pooled_transport
from sallyport.adapters.revocation_tables import StoredListsTable
from sallyport.gateway.http import Routes
from sallyport.proof.crl import CrlState, read_crl
from sallyport.revocation import serial_key
from sallyport.settings import SessionSettings, TokenSettings
from sallyport.wiring.clients import Aws
from sallyport.wiring.exchanges import session_routes, token_routes

SMALL = 10
LARGE = int(os.environ.get("SALLYPORT_BENCH_PROFILES", "1000000"))
EXCHANGES = 300
BUDGET = 1.1
BATCH = 25  # DynamoDB's own limit for one BatchWriteItem
WRITERS = 4


def measure(state: State) -> list[Row]:
    """Start MiniStack, fill the estates, exchange in turn, stop it."""
    cloud = clouds.start(state)
    try:
        dynamodb = boto3.client(
            "dynamodb",
            endpoint_url=cloud.aws,
            region_name=worlds.REGION,
            aws_access_key_id=clouds.ACCOUNT,
            aws_secret_access_key=clouds.OPERATOR_SECRET,
        )
        for name in ("spent", "records"):
            _create(dynamodb, name, "pk" if name == "spent" else "id")
        os.environ.update(worlds.ENVIRONMENT)
        return [*_profiles(dynamodb, cloud.aws), *_serials(dynamodb, cloud.aws)]
    finally:
        clouds.stop(state)


def _profiles(dynamodb: Any, url: str) -> list[Row]:  # noqa: ANN401 - a boto3 client
    world = worlds.build()
    _create(dynamodb, "keys", "pk")
    dynamodb.put_item(TableName="keys", Item=next(iter(world.keys.values())))
    for size in (SMALL, LARGE):
        _create(dynamodb, f"trust-{size}", "pk", "version")
        _fill(dynamodb, f"trust-{size}", world.trust.values(), _other_profiles(size - 1), size)

    def routes(size: int, transport: Transport) -> Routes:
        settings = TokenSettings.from_env(_environment(url, trust=f"trust-{size}"))
        return token_routes(settings, transport=transport, credentials=_credentials)

    return _compare("profiles", routes, world.event)


def _serials(dynamodb: Any, url: str) -> list[Row]:  # noqa: ANN401 - a boto3 client
    estate = certificates.estate(with_list=True)
    _create(dynamodb, "trust", "pk", "version")
    _fill(dynamodb, "trust", estate.trust.values(), iter(()), 0)
    for size in (SMALL, LARGE):
        table = f"keys-{size}"
        _create(dynamodb, table, "pk")
        listed = read_crl(
            certificates.revocation_list(estate.issuing, 1),
            certificates.LIST,
            estate.anchor,
            datetime.now(UTC),
        )
        # The state as refresh_keys writes it; the serial numbers by more writers than that has.
        lists = StoredListsTable(
            Aws(
                TokenSettings.from_env(_environment(url)).exchange.aws, pooled_transport(), _credentials
            ).dynamodb(),
            table,
        )
        assert lists.flip(estate.anchor.id, listed.state, None, datetime.now(UTC))
        _fill(dynamodb, table, (), _other_serials(estate.anchor.id, listed.state, size), size)

    def routes(size: int, transport: Transport) -> Routes:
        settings = SessionSettings.from_env(_environment(url, trust="trust", keys=f"keys-{size}"))
        return session_routes(settings, transport=transport, credentials=_credentials)

    return _compare("revoked serials", routes, estate.event())


def _compare(what: str, build: Callable[[int, Transport], Routes], event: dict[str, Any]) -> list[Row]:
    seconds: dict[int, list[float]] = {SMALL: [], LARGE: []}
    reads: dict[int, Counter[str]] = {}
    transport = pooled_transport()
    with silence():
        for _ in range(EXCHANGES):
            for size in (SMALL, LARGE):
                reads[size] = Counter()
                routes = build(size, _counting(transport, reads[size]))
                start = time.perf_counter()
                answer = routes(event)
                seconds[size].append(time.perf_counter() - start)
                assert answer["statusCode"] in (200, 201), answer
    small, large = median(seconds[SMALL]), median(seconds[LARGE])
    ratio = large / small
    counts = {size: sum(count for name, count in reads[size].items() if "Get" in name) for size in reads}
    return [
        Row(
            f"one exchange, {LARGE:,} {what}",
            budget=f"≤ {BUDGET:g} × with {SMALL}",
            measured=f"{large * 1e3:.2f} ms",
            floor=f"{small * 1e3:.2f} ms",
            ratio=ratio,
            met=ratio <= BUDGET,
            note="nothing cached, every read over HTTP to MiniStack's DynamoDB",
        ),
        Row(
            f"reads, {LARGE:,} {what}",
            budget=f"as with {SMALL}",
            measured=str(counts[LARGE]),
            floor=str(counts[SMALL]),
            ratio=counts[LARGE] / counts[SMALL],
            met=counts[LARGE] == counts[SMALL],
        ),
    ]


def _environment(url: str, *, trust: str = "trust", keys: str = "keys") -> dict[str, str]:
    return worlds.ENVIRONMENT | {
        "SALLYPORT_TRUST_TABLE": trust,
        "SALLYPORT_KEYS_TABLE": keys,
        "SALLYPORT_LOCAL_CLOUD": "true",
        "AWS_ENDPOINT_URL": url,
    }


def _credentials() -> ReadOnlyCredentials:
    return ReadOnlyCredentials(clouds.ACCOUNT, clouds.OPERATOR_SECRET, None)


def _counting(transport: Transport, seen: Counter[str]) -> Transport:
    sts = HttpResponse(200, worlds.STS_ANSWER)

    def send(
        method: str, url: str, headers: Mapping[str, str], body: bytes, limits: TimeLimits
    ) -> HttpResponse:
        operation = headers.get("X-Amz-Target", "").rpartition(".")[2]
        if not operation:
            return sts
        seen[operation] += 1
        return transport(method, url, headers, body, limits)

    return send


def _create(dynamodb: Any, name: str, *keys: str) -> None:  # noqa: ANN401 - a boto3 client
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[
            {"AttributeName": key, "KeyType": kind}
            for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
        ],
    )


def _other_profiles(count: int) -> Iterator[dict[str, Any]]:
    profile = json.dumps({"profiles": []})
    for number in range(count):
        yield {
            "pk": {"S": f"role#arn:aws:iam::{worlds.ACCOUNT}:role/sallyport/other-{number}"},
            "version": {"S": worlds.VERSION},
            "document": {"S": profile},
        }


def _other_serials(anchor_id: str, state: CrlState, count: int) -> Iterator[dict[str, Any]]:
    first = certificates.LEAF_SERIAL + 1
    for serial in range(first, first + count):
        yield {"pk": {"S": serial_key(anchor_id, state, serial)}, "expires_at": {"N": "2000000000"}}


def _fill(
    dynamodb: Any,  # noqa: ANN401 - a boto3 client
    table: str,
    own: Iterable[dict[str, Any]],
    others: Iterator[dict[str, Any]],
    size: int,
) -> None:
    for item in own:
        dynamodb.put_item(TableName=table, Item=item)
    puts: Iterator[dict[str, Any]] = ({"PutRequest": {"Item": item}} for item in others)
    with Progress(transient=True) as progress, ThreadPoolExecutor(WRITERS) as pool:
        task = progress.add_task(f"filling {table}", total=size)

        def write(batch: list[dict[str, Any]]) -> int:
            answer = dynamodb.batch_write_item(RequestItems={table: batch})
            assert not answer.get("UnprocessedItems")
            return len(batch)

        while wave := [list(itertools.islice(puts, BATCH)) for _ in range(WRITERS * 8)]:
            batches = [batch for batch in wave if batch]
            if not batches:
                break
            for done in pool.map(write, batches):
                progress.advance(task, done)


def state() -> State:
    """Return the bench's own local cloud."""
    return State("bench")
