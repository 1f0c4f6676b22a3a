"""DynamoDB in memory, at the port of boto3's client: enough of it for one table and its index.

It keeps what DynamoDB promises (conditions are checked against the stored item, transactions are
all or nothing, batches may leave items over, the index may lag) and can be bent: a call can fail
before or after it has had its effect.
"""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

Item = dict[str, Any]

_BATCH_LIMIT = 25
_ITEM_LIMIT = 409_600


class Crash(BaseException):
    """The process died in the middle of a call; nothing may catch this."""


@dataclass
class FakeDynamoDb:
    """One table with a partition and a sort key, and an index `by_version` over both reversed.

    ``fail_at`` is the number (from 1) of the call that fails with ``failure``; with
    ``after_effect`` it fails although it was done. ``leave_over`` of every batch are not processed
    at the first try. ``hidden`` is how many of the next index queries do not see ``lagging`` items.
    ``others`` are further tables behind the same client, by name, which are only read.
    """

    partition_key: str = "pk"
    sort_key: str | None = "version"
    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fail_at: int | None = None
    fail_only: str | None = None
    failure: Callable[[], BaseException] = lambda: ConnectionClosedError(endpoint_url="http://127.0.0.1")
    after_effect: bool = False
    leave_over: int = 0
    hidden: int = 0
    lagging: frozenset[str] = frozenset()
    page_size: int = 1_000
    others: dict[str, "FakeDynamoDb"] = field(default_factory=dict)
    before_call: Callable[[str, Mapping[str, Any]], None] = lambda _name, _arguments: None
    meta: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(endpoint_url="https://dynamodb.eu-central-1.amazonaws.com")
    )

    def get_item(self, **arguments: Any) -> Item:
        """Read one item."""
        if (other := self.others.get(arguments["TableName"])) is not None:
            return other.get_item(**arguments)

        def run() -> Item:
            found = self.items.get(self._key(arguments["Key"]))
            return {"Item": copy.deepcopy(found)} if found is not None else {}

        return self._call("GetItem", arguments, run)

    def put_item(self, **arguments: Any) -> Item:
        """Write one item."""

        def run() -> Item:
            self._put(arguments)
            return {}

        return self._call("PutItem", arguments, run)

    def update_item(self, **arguments: Any) -> Item:
        """Change one item."""

        def run() -> Item:
            key = self._key(arguments["Key"])
            self._check(self.items.get(key), arguments)
            item = self.items.setdefault(key, copy.deepcopy(arguments["Key"]))
            expression = arguments["UpdateExpression"]
            assert expression.startswith("SET "), "only SET is known here"
            for assignment in expression.removeprefix("SET ").split(","):
                name, _, value = assignment.partition("=")
                item[_name(name.strip(), arguments)] = arguments["ExpressionAttributeValues"][value.strip()]
            return {}

        return self._call("UpdateItem", arguments, run)

    def delete_item(self, **arguments: Any) -> Item:
        """Delete one item."""

        def run() -> Item:
            self._delete(arguments)
            return {}

        return self._call("DeleteItem", arguments, run)

    def transact_write_items(self, **arguments: Any) -> Item:
        """Write several items, or none."""

        def run() -> Item:
            before = copy.deepcopy(self.items)
            try:
                for one in arguments["TransactItems"]:
                    ((kind, write),) = one.items()
                    {"Put": self._put, "Delete": self._delete}[kind](write)
            except ClientError:
                self.items = before
                raise _client_error("TransactionCanceledException") from None
            return {}

        return self._call("TransactWriteItems", arguments, run)

    def batch_write_item(self, **arguments: Any) -> Item:
        """Write and delete up to 25 items, some of which may be left over."""

        def run() -> Item:
            ((table, requests),) = arguments["RequestItems"].items()
            if not 1 <= len(requests) <= _BATCH_LIMIT:
                raise _client_error("ValidationException")
            keys = [
                self._key(r["PutRequest"]["Item"] if "PutRequest" in r else r["DeleteRequest"]["Key"])
                for r in requests
            ]
            if len(set(keys)) != len(keys):
                raise _client_error("ValidationException")
            over = requests[: self.leave_over]
            # The same leftovers go through at the next try: DynamoDB makes progress in the end.
            self.leave_over //= 2
            for request in requests[len(over) :]:
                if "PutRequest" in request:
                    self._put(request["PutRequest"])
                else:
                    self._delete(request["DeleteRequest"])
            return {"UnprocessedItems": {table: over} if over else {}}

        return self._call("BatchWriteItem", arguments, run)

    def query(self, **arguments: Any) -> Item:
        """Read items of one partition of the index."""

        def run() -> Item:
            assert arguments.get("IndexName") == "by_version", "only the index is queried"
            wanted = [item for item in self.items.values() if self._in_query(item, arguments)]
            if self.hidden > 0:
                self.hidden -= 1
                wanted = [item for item in wanted if item["pk"]["S"] not in self.lagging]
            wanted.sort(key=lambda item: item["pk"]["S"])
            start = arguments.get("ExclusiveStartKey", {}).get("pk", {}).get("S", "")
            rest = [item for item in wanted if item["pk"]["S"] > start]
            page: Item = {"Items": copy.deepcopy(rest[: self.page_size])}
            if len(rest) > self.page_size:
                page["LastEvaluatedKey"] = {"pk": page["Items"][-1]["pk"]}
            return page

        return self._call("Query", arguments, run)

    def _call(self, name: str, arguments: Mapping[str, Any], run: Callable[[], Item]) -> Item:
        self.before_call(name, arguments)
        self.calls.append(name)
        fails = self.fail_at == len(self.calls) and self.fail_only in {None, name}
        if fails and not self.after_effect:
            raise self.failure()
        answer = run()
        if fails:
            raise self.failure()
        return answer

    def _key(self, item: Mapping[str, Any]) -> tuple[str, str]:
        return (
            item[self.partition_key]["S"],
            item[self.sort_key]["S"] if self.sort_key is not None else "",
        )

    def _put(self, write: Mapping[str, Any]) -> None:
        item = write["Item"]
        size = sum(len(name) + _size(next(iter(value.values()))) for name, value in item.items())
        if size > _ITEM_LIMIT:
            raise _client_error("ValidationException")
        key = self._key(item)
        self._check(self.items.get(key), write)
        self.items[key] = copy.deepcopy(dict(item))

    def _delete(self, write: Mapping[str, Any]) -> None:
        key = self._key(write["Key"])
        self._check(self.items.get(key), write)
        self.items.pop(key, None)

    def _check(self, item: Item | None, write: Mapping[str, Any]) -> None:
        condition = write.get("ConditionExpression")
        if condition is not None and not _holds(condition, item or {}, write):
            raise _client_error("ConditionalCheckFailedException")

    def _in_query(self, item: Item, arguments: Mapping[str, Any]) -> bool:
        return _holds(arguments["KeyConditionExpression"], item, arguments)


def _size(value: object) -> int:
    return len(value if isinstance(value, bytes) else str(value))


def _holds(expression: str, item: Item, arguments: Mapping[str, Any]) -> bool:
    return any(
        all(_term(term.strip(), item, arguments) for term in part.split(" AND "))
        for part in expression.split(" OR ")
    )


def _term(term: str, item: Item, arguments: Mapping[str, Any]) -> bool:
    values = arguments.get("ExpressionAttributeValues", {})
    if match := re.fullmatch(r"attribute_(not_)?exists\((\S+)\)", term):
        return (_name(match[2], arguments) in item) is (match[1] is None)
    if match := re.fullmatch(r"begins_with\((\S+), (:\w+)\)", term):
        return str(item.get(_name(match[1], arguments), {}).get("S", "")).startswith(values[match[2]]["S"])
    if match := re.fullmatch(r"(\S+) = (:\w+)", term):
        return bool(item.get(_name(match[1], arguments)) == values[match[2]])
    raise AssertionError(f"the fake does not know the condition {term!r}")


def _name(name: str, arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("ExpressionAttributeNames", {}).get(name, name))


def _client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "the fake says no"}}, "Fake")
