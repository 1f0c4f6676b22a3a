"""One exchange against DynamoDB with 10 and with 1,000,000 profiles: how many reads, how long.

The tables are MiniStack's, over HTTP. Every exchange starts with empty caches, which is when the
size of the estate could show; STS answers at once.
"""

import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import boto3
from botocore.credentials import ReadOnlyCredentials
from rich.progress import Progress

from bench import world as worlds
from bench.hot_path import silence
from bench.table import Row
from local import cloud as clouds
from local.paths import State
from sallyport.adapters.http import HttpResponse, TimeLimits, Transport, pooled_transport
from sallyport.settings import ExchangeSettings
from sallyport.wiring.exchanges import token_routes

SMALL = 10
LARGE = int(os.environ.get("SALLYPORT_BENCH_PROFILES", "1000000"))
EXCHANGES = 300
BUDGET = 1.1
BATCH = 25  # DynamoDB's own limit for one BatchWriteItem
WRITERS = 4


def measure(state: State) -> list[Row]:
    """Start MiniStack, fill two estates, exchange in turn, stop it."""
    cloud = clouds.start(state)
    try:
        dynamodb = boto3.client(
            "dynamodb",
            endpoint_url=cloud.aws,
            region_name=worlds.REGION,
            aws_access_key_id=clouds.ACCOUNT,
            aws_secret_access_key=clouds.OPERATOR_SECRET,
        )
        world = worlds.build()
        for name in ("keys", "spent"):
            _create(dynamodb, name, "pk")
        _create(dynamodb, "records", "id")
        dynamodb.put_item(TableName="keys", Item=next(iter(world.keys.values())))
        for size in (SMALL, LARGE):
            _create(dynamodb, f"trust-{size}", "pk", "version")
            _fill(dynamodb, f"trust-{size}", size, world)
        return _compare(cloud.aws, world)
    finally:
        clouds.stop(state)


def _compare(url: str, world: worlds.World) -> list[Row]:
    seconds: dict[int, list[float]] = {SMALL: [], LARGE: []}
    reads: dict[int, Counter[str]] = {}
    transport = pooled_transport()
    with silence():
        for _ in range(EXCHANGES):
            for size in (SMALL, LARGE):
                reads[size] = Counter()
                routes = _routes(url, f"trust-{size}", _counting(transport, reads[size]))
                start = time.perf_counter()
                answer = routes(world.event)
                seconds[size].append(time.perf_counter() - start)
                assert answer["statusCode"] == 200, answer
    small, large = median(seconds[SMALL]), median(seconds[LARGE])
    ratio = large / small
    counts = {size: sum(count for name, count in reads[size].items() if "Get" in name) for size in reads}
    return [
        Row(
            f"one exchange, {LARGE:,} profiles",
            budget=f"≤ {BUDGET:g} × with {SMALL}",
            measured=f"{large * 1e3:.2f} ms",
            floor=f"{small * 1e3:.2f} ms",
            ratio=ratio,
            met=ratio <= BUDGET,
            note="nothing cached, every read over HTTP to MiniStack's DynamoDB",
        ),
        Row(
            f"reads, {LARGE:,} profiles",
            budget=f"as with {SMALL}",
            measured=str(counts[LARGE]),
            floor=str(counts[SMALL]),
            ratio=counts[LARGE] / counts[SMALL],
            met=counts[LARGE] == counts[SMALL],
        ),
    ]


def _routes(url: str, table: str, transport: Transport) -> Any:  # noqa: ANN401 - Routes, called with an event
    environment = worlds.ENVIRONMENT | {
        "SALLYPORT_TRUST_TABLE": table,
        "SALLYPORT_LOCAL_CLOUD": "true",
        "AWS_ENDPOINT_URL": url,
    }
    os.environ.update(worlds.ENVIRONMENT)
    return token_routes(
        ExchangeSettings.from_env(environment),
        transport=transport,
        credentials=lambda: ReadOnlyCredentials(clouds.ACCOUNT, clouds.OPERATOR_SECRET, None),
    )


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


def _fill(dynamodb: Any, table: str, size: int, world: worlds.World) -> None:  # noqa: ANN401 - a boto3 client
    for item in world.trust.values():
        dynamodb.put_item(TableName=table, Item=item)
    profile = json.dumps({"profiles": []})
    others: Iterator[dict[str, Any]] = (
        {
            "PutRequest": {
                "Item": {
                    "pk": {"S": f"role#arn:aws:iam::{worlds.ACCOUNT}:role/sallyport/other-{number}"},
                    "version": {"S": worlds.VERSION},
                    "document": {"S": profile},
                }
            }
        }
        for number in range(size - 1)
    )
    with Progress(transient=True) as progress, ThreadPoolExecutor(WRITERS) as pool:
        task = progress.add_task(f"filling {table}", total=size)

        def write(batch: list[dict[str, Any]]) -> int:
            answer = dynamodb.batch_write_item(RequestItems={table: batch})
            assert not answer.get("UnprocessedItems")
            return len(batch)

        while wave := [list(itertools.islice(others, BATCH)) for _ in range(WRITERS * 8)]:
            batches = [batch for batch in wave if batch]
            if not batches:
                break
            for done in pool.map(write, batches):
                progress.advance(task, done)


def state() -> State:
    """Return the bench's own local cloud."""
    return State("bench")
