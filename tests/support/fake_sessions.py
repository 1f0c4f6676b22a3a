"""The sessions table in memory, with its indexes, and the records table beside it."""

from dataclasses import dataclass, field
from typing import Any

from sallyport.audit.lineage.edges import Edge
from sallyport.audit.lineage.items import Index, to_item
from sallyport_cli.trace_source import INDEXES

EXPIRES = 1_900_000_000


@dataclass
class FakeSessions:
    """At the port of boto3's client. ``page_size`` items come at a time, as a real page may be small."""

    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    page_size: int = 2
    questions: list[tuple[str, str]] = field(default_factory=list)
    failure: Exception | None = None

    def put(self, *edges: Edge) -> "FakeSessions":
        for edge in edges:
            item = to_item(edge, expires_at=EXPIRES)
            self.items[item["pk"]["S"], item["sk"]["S"]] = item
        return self

    def query(self, **arguments: Any) -> dict[str, Any]:
        if self.failure is not None:
            raise self.failure
        assert arguments["TableName"] == "sessions"
        assert arguments["KeyConditionExpression"] == "#key = :value"
        name = arguments["ExpressionAttributeNames"]["#key"]
        assert arguments.get("IndexName") == INDEXES.get(Index(name))
        wanted = arguments["ExpressionAttributeValues"][":value"]
        self.questions.append((name, wanted["S"]))
        found = [item for item in self.items.values() if item.get(name) == wanted]
        found.sort(key=lambda item: (item["at"]["S"], item["pk"]["S"], item["sk"]["S"]))
        return self._page(found, arguments)

    def scan(self, **arguments: Any) -> dict[str, Any]:
        assert arguments["TableName"] == "records"
        return self._page(self.records, arguments)

    def _page(self, found: list[dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
        start = int(arguments.get("ExclusiveStartKey", {"n": {"N": "0"}})["n"]["N"])
        end = start + min(self.page_size, arguments.get("Limit", self.page_size))
        page: dict[str, Any] = {"Items": found[start:end]}
        if end < len(found):
            page["LastEvaluatedKey"] = {"n": {"N": str(end)}}
        return page
