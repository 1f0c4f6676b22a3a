"""The trust table as the audit reads it: what explains a change of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sallyport.adapters.audit_memory import Memory
from sallyport.adapters.aws import JsonService
from sallyport.adapters.tables import ask
from sallyport.audit.event_values import attributes
from sallyport.trust.digest import content_digest

# A stream tells of a change within a day; what explains it was written in the same hour.
MEMORY: Final = timedelta(days=400)
# One page of an hour's journal: more than people do.
MAX_ENTRIES: Final = 200


class TrustItemsTable:
    """``TrustItems``: reads the trust table, and remembers in the audit's own when the pointer moved."""

    def __init__(self, dynamodb: JsonService, table: str, memory: Memory) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._memory = memory

    def item(self, key: str) -> Mapping[str, str] | None:
        """Return the text and number attributes of an item without a version, read consistently."""
        arguments = {
            "TableName": self._table,
            "Key": {"pk": {"S": key}, "version": {"S": "-"}},
            "ConsistentRead": True,
        }
        found = ask(self._dynamodb, "GetItem", arguments).get("Item")
        return None if found is None else attributes(found)

    def journal(self, around: datetime) -> Sequence[Mapping[str, str]]:
        """Return the journal's entries of the hour around a time."""
        found: list[Mapping[str, str]] = []
        hours = {f"{around + step:%Y-%m-%dT%H}" for step in (timedelta(minutes=-30), timedelta(minutes=30))}
        for hour in sorted(hours):
            arguments = {
                "TableName": self._table,
                "IndexName": "by_version",
                "KeyConditionExpression": "version = :v AND begins_with(pk, :p)",
                "ExpressionAttributeValues": {":v": {"S": "-"}, ":p": {"S": f"journal#{hour}"}},
                "Limit": MAX_ENTRIES,
            }
            found += map(attributes, ask(self._dynamodb, "Query", arguments).get("Items", []))
        return found

    def content_digest(self, version: str, most: int) -> str | None:
        """Return the digest of a version's items; ``None`` if they are more than ``most``.

        The index lags behind the table: what does not fit now may fit in a moment.
        """
        documents: dict[str, str] = {}
        start: Mapping[str, Any] | None = None
        while True:
            arguments: dict[str, Any] = {
                "TableName": self._table,
                "IndexName": "by_version",
                "KeyConditionExpression": "version = :v",
                "ExpressionAttributeValues": {":v": {"S": version}},
            }
            answer = ask(self._dynamodb, "Query", arguments | ({"ExclusiveStartKey": start} if start else {}))
            for item in answer.get("Items", []):
                # An item without a document is none that an apply wrote, and must not be passed over.
                documents[item["pk"]["S"]] = item.get("document", {}).get("S", "")
            if len(documents) > most:
                return None
            start = answer.get("LastEvaluatedKey")
            if not start:
                return content_digest(documents)

    def moved(self, version: str, when: datetime) -> None:
        """Note when the pointer moved to a version; the first time stands."""
        self._memory.put_once(f"moved#{version}", MEMORY, at={"S": when.astimezone(UTC).isoformat()})

    def in_force_since(self, version: str) -> datetime | None:
        """Return when the pointer first moved to a version, as far as that was seen."""
        item = self._memory.get(f"moved#{version}")
        return None if item is None else datetime.fromisoformat(item["at"]["S"])
