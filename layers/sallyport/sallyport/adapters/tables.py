"""The tables as an exchange sees them: trust and keys to read, spent and records to put once.

Reads per exchange are few and fixed, whatever the size of the estate: one for the current version,
one each for the anchor and the role, one for keys, one batch for what may be disabled.
"""

import contextlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from sallyport.adapters.aws import AwsError, JsonService
from sallyport.audit.ledger import RecordExistsError
from sallyport.errors import UnavailableError
from sallyport.keys import ASK_EVERY, FetchedKeys
from sallyport.model import Anchor, ExchangeId, OidcAnchor
from sallyport.trust.issuer_marks import is_ruled_out
from sallyport.trust.limits import MAX_ISSUER_LENGTH
from sallyport.trust.profiles import RoleProfiles, load_anchor, load_role

# How long anything that can revoke (version, disabled, keys) is believed without another look.
CACHE_SECONDS = 10.0

# Compiled anchors, and names that stand for nothing, kept per instance; beyond it the least recently
# used one goes.
CACHE_ENTRIES = 512

# Compiled profiles kept per instance, whatever roles they are of: some 12 KB each, of which this
# makes 24 MB. By roles it could not be bounded: what one of them may have differs too much.
CACHE_PROFILES = 2_000

# DynamoDB's own limit for one BatchGetItem.
BATCH_GET = 100

# Batches for what may be disabled in one exchange: an anchor and all profiles of a role take one, and
# where DynamoDB answers in part it is asked for the rest twice.
MAX_BATCHES = 3

Item = Mapping[str, Any]
Clock = Callable[[], float]
"""Monotonic seconds, for the age of cache entries alone."""


Value = TypeVar("Value")


class Recent(Generic[Value]):
    """A cache of bounded size whose entries are believed for a stated time.

    Args:
        clock: for their age.
        seconds: how long; ``None`` is for values that cannot change.
        room: for entries of what weight in all.
        weigh: says what an entry weighs; by default each weighs one.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seconds: float | None,
        room: int = CACHE_ENTRIES,
        weigh: Callable[[Value], int] = lambda _value: 1,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._room = room
        self._weigh = weigh
        self._weight = 0
        self._held: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    def get(self, key: str, load: Callable[[], Value]) -> Value:
        """Return what is held for ``key``, or load it; a failed load leaves nothing behind."""
        held = self._fresh(key)
        if held is not None:
            return held[0]
        return self.put(key, load())

    def held(self, key: str) -> Value | None:
        """Return what is held and still believed, else ``None``."""
        held = self._fresh(key)
        return None if held is None else held[0]

    def put(self, key: str, value: Value) -> Value:
        """Hold a value from now on; the least recently used ones make room."""
        self.forget(key)
        self._held[key] = (self._clock(), value)
        self._weight += self._weigh(value)
        while self._weight > self._room:
            _, (_, gone) = self._held.popitem(last=False)
            self._weight -= self._weigh(gone)
        return value

    def _fresh(self, key: str) -> tuple[Value] | None:
        held = self._held.get(key)
        if held is None or not (self._seconds is None or 0 <= self._clock() - held[0] < self._seconds):
            return None
        self._held.move_to_end(key)
        return (held[1],)

    def forget(self, key: str) -> None:
        """Make the next ``get`` load again."""
        held = self._held.pop(key, None)
        if held is not None:
            self._weight -= self._weigh(held[1])


class Pointer(NamedTuple):
    """Which version is in force, and the marks of its issuers and of its anchors for certificates."""

    version: str
    marks: str


class TrustTable:
    """Anchors and profiles of the current version, and what is disabled beside it."""

    def __init__(self, dynamodb: JsonService, table: str, clock: Clock) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._pointer: Recent[Pointer | None] = Recent(clock, seconds=CACHE_SECONDS, room=1)
        self._disabled: Recent[bool] = Recent(clock, seconds=CACHE_SECONDS, room=4 * CACHE_ENTRIES)
        # Items of a version never change, so these need no time limit: the version is in the key.
        self._anchors: Recent[Anchor] = Recent(clock, seconds=None)
        self._roles: Recent[RoleProfiles] = Recent(
            clock,
            seconds=None,
            room=CACHE_PROFILES,
            # The names of the others take about as much room as one profile.
            weigh=lambda role: 1 + len(role.own),
        )
        # What is not there, apart: who asks for names of its own making must push out nothing real.
        self._absent: Recent[bool] = Recent(clock, seconds=None)

    def version(self) -> str | None:
        """Return the id of the version in force, or ``None`` before the first apply."""
        pointer = self._pointer.get("current", self._read_pointer)
        return None if pointer is None else pointer.version

    def anchor_of_issuer(self, issuer: str, version: str) -> OidcAnchor | None:
        """Return the anchor that this issuer, byte for byte, belongs to."""
        if len(issuer) > MAX_ISSUER_LENGTH:
            # No anchor has it, and as a key DynamoDB would not take it.
            return None
        found = self._anchor(version, issuer, f"issuer#{issuer}")
        return found if isinstance(found, OidcAnchor) else None

    def anchor(self, anchor_id: str, version: str) -> Anchor | None:
        """Return the anchor with this id, which who asks has checked to have the form of one."""
        return self._anchor(version, anchor_id, f"anchor#{anchor_id}")

    def profiles_of_role(self, role_arn: str, version: str, anchor_id: str) -> RoleProfiles:
        """Return the profiles that name this role: an anchor's own, and the names of the others."""

        def load(document: Mapping[str, Any]) -> RoleProfiles:
            return load_role(document, anchor_id)

        found = self._found(self._roles, version, f"role#{role_arn}", load, seen_by=anchor_id)
        return found or RoleProfiles()

    def disabled(self, names: Sequence[str]) -> frozenset[str]:
        """Return those of ``profile#<name>`` and ``anchor#<name>`` that an operator has disabled."""
        states = {name: self._disabled.held(name) for name in names}
        unknown = [name for name, state in states.items() if state is None]
        there = self._tombstones(unknown)
        for name in unknown:
            states[name] = self._disabled.put(name, name in there)
        # From what was looked up above and not from the cache: an entry can end in between, and
        # what was disabled must not read as enabled then.
        return frozenset(name for name, state in states.items() if state)

    def anchors(self) -> tuple[Anchor, ...]:
        """Return all anchors of the current version (for refresh_keys; one query)."""
        pointer = self._read_pointer()
        if pointer is None:
            return ()
        return tuple(load_anchor(found) for _, found in self._items(pointer.version, "anchor#"))

    def in_force(self, *prefixes: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the keys and documents of the current version, by what the keys begin with, in that order."""
        pointer = self._read_pointer()
        if pointer is not None:
            for prefix in prefixes:
                yield from self._items(pointer.version, prefix)

    def _items(self, version: str, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        start: Item | None = None
        while True:
            arguments: dict[str, Any] = {
                "TableName": self._table,
                "IndexName": "by_version",
                "KeyConditionExpression": "version = :v AND begins_with(pk, :p)",
                "ExpressionAttributeValues": {":v": {"S": version}, ":p": {"S": prefix}},
            }
            if start:
                arguments["ExclusiveStartKey"] = start
            page = ask(self._dynamodb, "Query", arguments)
            yield from ((item["pk"]["S"], _parsed(item)) for item in page.get("Items", []))
            start = page.get("LastEvaluatedKey")
            if not start:
                return

    def _anchor(self, version: str, marked: str, key: str) -> Anchor | None:
        pointer = self._pointer.held("current")
        if pointer is not None and is_ruled_out(marked, version, pointer.marks):
            return None
        return self._found(self._anchors, version, key, load_anchor)

    def _read_pointer(self) -> Pointer | None:
        item = self._get({"pk": {"S": "current"}, "version": {"S": "-"}})
        return None if item is None else Pointer(item["current"]["S"], item.get("issuers", {}).get("S", ""))

    def _found(
        self,
        cache: Recent[Value],
        version: str,
        key: str,
        load: Callable[[Mapping[str, Any]], Value],
        *,
        seen_by: str = "",
    ) -> Value | None:
        """Return what a version has under a key, loaded, or ``None``; each is read once."""
        absent, name = f"{version} {key}", f"{version} {seen_by} {key}"
        held = cache.held(name)
        if held is not None or self._absent.held(absent):
            return held
        document = self._document(key, version)
        if document is None:
            self._absent.put(absent, True)
            return None
        return cache.put(name, load(document))

    def _document(self, key: str, version: str) -> dict[str, Any] | None:
        item = self._get({"pk": {"S": key}, "version": {"S": version}})
        return None if item is None else _parsed(item)

    def _get(self, key: Item) -> Item | None:
        answer = ask(
            self._dynamodb, "GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": True}
        )
        item: Item | None = answer.get("Item")
        return item

    def _tombstones(self, names: Sequence[str]) -> frozenset[str]:
        keys: list[Item] = [{"pk": {"S": f"disabled#{name}"}, "version": {"S": "-"}} for name in names]
        found: set[str] = set()
        for _ in range(MAX_BATCHES):
            if not keys:
                return frozenset(found)
            answer = ask(
                self._dynamodb,
                "BatchGetItem",
                {
                    "RequestItems": {
                        self._table: {
                            "Keys": keys[:BATCH_GET],
                            "ConsistentRead": True,
                            "ProjectionExpression": "pk",
                        }
                    }
                },
            )
            items = answer.get("Responses", {}).get(self._table, [])
            found |= {item["pk"]["S"].removeprefix("disabled#") for item in items}
            # DynamoDB may answer in part; a tombstone that was not looked at must not read as absent.
            left = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            keys = [*left, *keys[BATCH_GET:]]
        if keys:
            raise UnavailableError("trust-unreadable", "what is disabled could not be read")
        return frozenset(found)


def _parsed(item: Item) -> dict[str, Any]:
    try:
        document = json.loads(item["document"]["S"])
    except (KeyError, TypeError, ValueError):
        document = None
    if not isinstance(document, dict):
        raise UnavailableError("trust-malformed", "an item of the trust table is no document")
    return document


@dataclass(frozen=True, slots=True)
class KeysItem:
    """What the keys table holds of one anchor; times in epoch seconds, zero for never."""

    issuer: str = ""
    jwks: str = ""
    fetched_at: int = 0
    asked_at: int = 0


class KeysTable:
    """Issuers' keys: read by exchanges, written by ``refresh_keys`` alone."""

    def __init__(self, dynamodb: JsonService, table: str, clock: Clock) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._held: Recent[KeysItem | None] = Recent(clock, seconds=CACHE_SECONDS)

    def read(self, anchor_id: str, *, fresh: bool = False) -> KeysItem | None:
        """Return the item of an anchor, or ``None`` if no keys were ever asked for."""
        if fresh:
            self._held.forget(anchor_id)
        return self._held.get(anchor_id, lambda: self._read(anchor_id))

    def write(self, keys: FetchedKeys, /) -> None:
        """Store ``keys`` unless a later fetch is stored already."""
        with contextlib.suppress(ConditionFailed):
            self._update(
                keys.anchor_id,
                "SET issuer = :i, jwks = :j, fetched_at = :f, #source = :s",
                "attribute_not_exists(fetched_at) OR fetched_at <= :f",
                {
                    ":i": {"S": keys.issuer},
                    ":j": {"S": keys.jwks},
                    ":f": {"N": str(keys.fetched_at)},
                    ":s": {"S": keys.source},
                },
                {"#source": "source"},
            )

    def claim_ask(self, anchor_id: str, now: datetime, /) -> bool:
        """Take the one turn per ``ASK_EVERY`` to fetch on an exchange's asking."""
        try:
            self._update(
                anchor_id,
                "SET asked_at = :now",
                "attribute_not_exists(asked_at) OR asked_at <= :early",
                {
                    ":now": {"N": str(int(now.timestamp()))},
                    ":early": {"N": str(int((now - ASK_EVERY).timestamp()))},
                },
            )
        except ConditionFailed:
            return False
        return True

    def _read(self, anchor_id: str) -> KeysItem | None:
        answer = ask(
            self._dynamodb,
            "GetItem",
            {
                "TableName": self._table,
                "Key": {"pk": {"S": f"anchor#{anchor_id}"}},
                "ConsistentRead": True,
            },
        )
        item = answer.get("Item")
        if item is None:
            return None
        return KeysItem(
            issuer=item.get("issuer", {}).get("S", ""),
            jwks=item.get("jwks", {}).get("S", ""),
            fetched_at=int(item.get("fetched_at", {}).get("N", "0")),
            asked_at=int(item.get("asked_at", {}).get("N", "0")),
        )

    def _update(
        self,
        anchor_id: str,
        update: str,
        condition: str,
        values: Item,
        names: Mapping[str, str] | None = None,
    ) -> None:
        arguments: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"pk": {"S": f"anchor#{anchor_id}"}},
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
        if names:
            arguments["ExpressionAttributeNames"] = names
        ask(self._dynamodb, "UpdateItem", arguments)


class SpentTable:
    """Proofs that were used, and how often an identity was served in a minute."""

    def __init__(self, dynamodb: JsonService, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def spend(self, replay_id: str, exchange_id: ExchangeId, expires_at: int) -> bool:
        """Mark a proof as used; ``False`` if another exchange did so before.

        The condition lets the same exchange try again after an answer that was lost.
        """
        try:
            ask(
                self._dynamodb,
                "PutItem",
                {
                    "TableName": self._table,
                    "Item": {
                        "pk": {"S": f"proof#{replay_id}"},
                        "exchange": {"S": exchange_id},
                        "expires_at": {"N": str(expires_at)},
                    },
                    "ConditionExpression": "attribute_not_exists(pk) OR exchange = :e",
                    "ExpressionAttributeValues": {":e": {"S": exchange_id}},
                },
            )
        except ConditionFailed:
            return False
        return True

    def count(self, bucket: str, limit: int, expires_at: int) -> bool:
        """Count one grant in a bucket; ``False`` once ``limit`` of them were counted."""
        try:
            ask(
                self._dynamodb,
                "UpdateItem",
                {
                    "TableName": self._table,
                    "Key": {"pk": {"S": f"rate#{bucket}"}},
                    "UpdateExpression": "SET expires_at = :x ADD used :one",
                    "ConditionExpression": "attribute_not_exists(used) OR used < :limit",
                    "ExpressionAttributeValues": {
                        ":x": {"N": str(expires_at)},
                        ":one": {"N": "1"},
                        ":limit": {"N": str(limit)},
                    },
                },
            )
        except ConditionFailed:
            return False
        return True


class RecordsTable:
    """Records, put once and never changed."""

    def __init__(self, dynamodb: JsonService, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def put(self, record_id: str, record: str, expires_at: int) -> None:
        """Put one record; the condition holds for a second try of the same put, and for nothing else.

        Raises:
            RecordExistsError: another record has this id.
            UnavailableError: it is not known to be durable.
        """
        try:
            ask(
                self._dynamodb,
                "PutItem",
                {
                    "TableName": self._table,
                    "Item": {
                        "id": {"S": record_id},
                        "record": {"S": record},
                        "expires_at": {"N": str(expires_at)},
                    },
                    "ConditionExpression": "attribute_not_exists(id) OR #record = :record",
                    "ExpressionAttributeNames": {"#record": "record"},
                    "ExpressionAttributeValues": {":record": {"S": record}},
                },
            )
        except ConditionFailed:
            raise RecordExistsError("record-exists", "another record with this id is there") from None


class ConditionFailed(Exception):  # noqa: N818 - not an error: the second half of a conditional put's answer
    """The condition of a conditional write did not hold."""


def ask(dynamodb: JsonService, operation: str, arguments: Item) -> dict[str, Any]:
    """Call DynamoDB; raises ``ConditionFailed`` or ``UnavailableError``."""
    try:
        return dynamodb.call(operation, arguments)
    except AwsError as error:
        if error.reason == "ConditionalCheckFailedException":
            raise ConditionFailed from None
        raise UnavailableError("table-refused", f"{operation}: {error.reason}") from None
