"""The sessions table: edges from access key to access key, as records and CloudTrail tell of them."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from sallyport.adapters.aws import JsonService
from sallyport.adapters.tables import ask
from sallyport.audit.lineage.edges import Edge
from sallyport.audit.lineage.items import to_item


class SessionsTable:
    """Writes edges, and answers the one question about them that a rule asks."""

    def __init__(
        self, dynamodb: JsonService, table: str, keep: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._keep = keep
        self._clock = clock

    def put(self, edges: Iterable[Edge]) -> None:
        """Keep observations; the same one twice is the same item."""
        expires_at = int((self._clock() + self._keep).timestamp())
        for edge in edges:
            item = to_item(edge, expires_at=expires_at)
            ask(self._dynamodb, "PutItem", {"TableName": self._table, "Item": item})

    def was_made(self, access_key: str) -> bool:
        """Tell whether an event of CloudTrail's showed this access key being made."""
        arguments = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :key AND begins_with(sk, :kind)",
            "ExpressionAttributeValues": {":key": {"S": access_key}, ":kind": {"S": "event#"}},
            "ConsistentRead": True,
            "Limit": 1,
        }
        return bool(ask(self._dynamodb, "Query", arguments).get("Items"))
