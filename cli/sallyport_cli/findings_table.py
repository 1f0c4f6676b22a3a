"""The findings table as the command reads it: day by day, newest first."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sallyport.adapters.findings_table import INDEX, Kept, from_item
from sallyport.errors import UnavailableError
from sallyport_cli.aws import asking

MAX_FINDINGS: Final = 10_000
"""More than this is no list that anybody reads."""


class DynamoDb(Protocol):
    """The part of boto3's DynamoDB client that is used here."""

    def query(self, **arguments: object) -> dict[str, Any]:
        """Read items of one partition."""


def read(client: DynamoDb, table: str, *, since: datetime, until: datetime) -> tuple[list[Kept], int]:
    """Return the findings whose last event is within a time, newest first, and how many cannot be read."""
    found: list[Kept] = []
    unreadable = 0
    day = until.date()
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
