"""The findings table as the command reads it: day by day, newest first."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sallyport.adapters.findings_table import INDEX, Kept, from_item
from sallyport.errors import UnavailableError
from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError

MAX_FINDINGS: Final = 10_000
"""More than this is no list that anybody reads."""


class DynamoDb(Protocol):
    """The part of boto3's DynamoDB client that is used here."""

    def get_item(self, **arguments: object) -> dict[str, Any]:
        """Read one item."""

    def query(self, **arguments: object) -> dict[str, Any]:
        """Read items of one partition."""


def get(client: DynamoDb, table: str, finding_id: str) -> Kept | None:
    """Return one finding by its whole id.

    Raises:
        CommandError: it is there and cannot be read, or the table cannot be asked.
    """
    with asking(f"read the findings table {table} (dynamodb:GetItem)"):
        answer = client.get_item(
            TableName=table, Key={"pk": {"S": f"finding#{finding_id}"}}, ConsistentRead=True
        )
    if not answer.get("Item"):
        return None
    try:
        return from_item(answer["Item"])
    except UnavailableError:
        raise CommandError(
            "finding-unreadable",
            f"The finding {finding_id} is there, and cannot be read.",
            cure="Look at the item in the findings table; nothing but the functions should write there.",
        ) from None


def read(
    client: DynamoDb,
    table: str,
    *,
    since: datetime,
    until: datetime,
    update: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[list[Kept], int]:
    """Return the findings whose last event is within a time, newest first, and how many cannot be read.

    Args:
        client: DynamoDB.
        table: the findings table.
        since: the earliest time.
        until: the day to begin with.
        update: is told how many days of how many have been read.
    """
    found: list[Kept] = []
    unreadable = 0
    day = until.date()
    days = (day - since.date()).days + 1
    while day >= since.date() and len(found) < MAX_FINDINGS:
        for item in _of_day(client, table, day.isoformat()):
            try:
                kept = from_item(item)
            except UnavailableError:
                unreadable += 1
                continue
            if since <= kept.finding.last_event:
                found.append(kept)
        day -= timedelta(days=1)
        update((until.date() - day).days, days)
    return found[:MAX_FINDINGS], unreadable


def _of_day(client: DynamoDb, table: str, day: str) -> Iterator[dict[str, Any]]:
    more: dict[str, object] = {}
    while True:
        with asking(f"read the findings table {table} (dynamodb:Query)"):
            page = client.query(
                TableName=table,
                IndexName=INDEX,
                KeyConditionExpression="#day = :day",
                ExpressionAttributeNames={"#day": "day"},
                ExpressionAttributeValues={":day": {"S": day}},
                ScanIndexForward=False,
                **more,
            )
        yield from page.get("Items", [])
        if not page.get("LastEvaluatedKey"):
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
