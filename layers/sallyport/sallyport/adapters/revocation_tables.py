"""Revocation lists in the tables: what exchanges ask, and what ``refresh_keys`` reads and writes.

Every list of an anchor has one item with its state, and one item for every serial number that it
names. The latter are under the list's own digest, so that looking one up costs the same whatever the
size of the list, and that no exchange can see half of a list (docs/adr/0011).
"""

import base64
import binascii
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from sallyport.adapters.aws import JsonService
from sallyport.adapters.tables import (
    BATCH_GET,
    CACHE_ENTRIES,
    CACHE_SECONDS,
    Clock,
    ConditionFailed,
    Recent,
    ask,
)
from sallyport.errors import UnavailableError
from sallyport.model import X509Anchor
from sallyport.proof.crl import CrlState, Link
from sallyport.revocation import FLIP_SECONDS, BroughtList, StoredList, chunk_key, list_key, serial_key

MAX_BATCHES = 3
"""Batches for one question: anchors' lists and chains' certificates take one, and where DynamoDB answers
in part it is asked for the rest twice."""

BATCH_WRITE = 25
"""DynamoDB's own limit for one BatchWriteItem."""

WRITERS = 8
"""Batches under way at a time. One takes some ten milliseconds on its way, so that two would nearly do;
the others are for tables that are slow."""

MAX_PER_SECOND = 3_000
"""Serial numbers written in a second at the most: a new on-demand table takes 4,000, and issuers' keys
are to be written too."""

PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0)
"""Seconds after each try of a table that is throttled or away: half a minute in all. What is not written
by then waits for the next run."""

Item = Mapping[str, Any]


class RevocationTable:
    """What is known of revocation, for exchanges: the port ``revocation.Revocations``."""

    def __init__(self, dynamodb: JsonService, table: str, clock: Clock) -> None:
        self._dynamodb = dynamodb
        self._table = table
        # By list, each a tuple of one, or of none where there is no such list.
        self._states: Recent[tuple[CrlState, ...]] = Recent(
            clock, seconds=CACHE_SECONDS, room=4 * CACHE_ENTRIES
        )

    def states(self, anchor: X509Anchor) -> tuple[CrlState, ...]:
        """Return the states of those of the anchor's ``crls`` that are in force; may be ten seconds old."""
        names = {list_key(anchor.id, name): name for name in anchor.crls}
        held = {key: self._states.held(key) for key in names}
        unknown = [key for key, state in held.items() if state is None]
        items = self._items(unknown)
        for key in unknown:
            found = (load_stored(names[key], items[key]).state,) if key in items else ()
            held[key] = self._states.put(key, found)
        return tuple(state for found in held.values() for state in found or ())

    def revoked(
        self, anchor: X509Anchor, states: Collection[CrlState], links: Sequence[Link]
    ) -> frozenset[Link]:
        """Return those of the links that a list in one of these states names."""
        keys = {
            serial_key(anchor.id, state, link.serial): link
            for state in states
            for link in links
            if state.issuer == link.issuer
        }
        return frozenset(keys[key] for key in self._items(list(keys), project="pk"))

    def _items(self, keys: Sequence[str], *, project: str | None = None) -> dict[str, Item]:
        """Return the items with these keys, by key; what was not looked at never reads as absent."""
        found: dict[str, Item] = {}
        left: list[Item] = [{"pk": {"S": key}} for key in keys]
        for _ in range(MAX_BATCHES):
            if not left:
                return found
            wanted: dict[str, Any] = {"Keys": left[:BATCH_GET], "ConsistentRead": True}
            if project is not None:
                wanted["ProjectionExpression"] = project
            answer = ask(self._dynamodb, "BatchGetItem", {"RequestItems": {self._table: wanted}})
            found |= {item["pk"]["S"]: item for item in answer.get("Responses", {}).get(self._table, [])}
            over = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            left = [*over, *left[BATCH_GET:]]
        if left:
            raise UnavailableError("revocation-unreadable", "what is revoked could not be read")
        return found


class BroughtListsTable:
    """Lists as operators brought them, in the trust table: the port ``revocation.BroughtLists``."""

    def __init__(
        self, dynamodb: JsonService, table: str, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._pause = pause

    def pointer(self, anchor_id: str, list_id: str) -> BroughtList | None:
        """Return where the list is, or ``None`` if nobody brought it."""
        item = self._get(list_key(anchor_id, list_id), "-")
        if item is None:
            return None
        try:
            return BroughtList(digest=item["digest"]["S"], chunks=int(item["chunks"]["N"]))
        except (KeyError, TypeError, ValueError):
            raise UnavailableError("crl-damaged", "the list's pointer is none") from None

    def chunk(self, digest: str, number: int) -> bytes | None:
        """Return one piece, from 0, or ``None`` if it is not there."""
        item = self._get(*chunk_key(digest, number))
        try:
            return None if item is None else base64.b64decode(item["data"]["B"], validate=True)
        except (KeyError, TypeError, binascii.Error):
            return None

    def _get(self, key: str, version: str) -> Item | None:
        # All pieces of a list share a partition, which gives some thirty of them a second.
        arguments = {
            "TableName": self._table,
            "Key": {"pk": {"S": key}, "version": {"S": version}},
            "ConsistentRead": True,
        }
        problem: UnavailableError | None = None
        for pause in PAUSES:
            try:
                item: Item | None = ask(self._dynamodb, "GetItem", arguments).get("Item")
            except UnavailableError as error:
                if _is_final(error):
                    raise
                problem = error
                self._pause(pause)
            else:
                return item
        raise problem or UnavailableError("aws-unavailable", "GetItem")


class StoredListsTable:
    """Lists as exchanges see them, in the keys table: the port ``revocation.StoredLists``."""

    def __init__(
        self,
        dynamodb: JsonService,
        table: str,
        *,
        clock: Clock = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock
        self._pause = pause

    def stored(self, anchor_id: str, list_id: str) -> StoredList | None:
        """Return what is in force, as it is now."""
        key = {"pk": {"S": list_key(anchor_id, list_id)}}
        item = ask(
            self._dynamodb, "GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": True}
        ).get("Item")
        if item is None:
            return None
        return load_stored(list_id, item)

    def write(
        self,
        anchor_id: str,
        state: CrlState,
        serials: Iterable[int],
        *,
        expires_at: int,
        time_left: Callable[[], float],
    ) -> int:
        """Write serial numbers, none of which counts before ``flip``; return how many."""
        under_way: deque[Future[int]] = deque()
        written = 0
        begun = self._clock()
        handed = 0
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="serials") as pool:
            try:
                for keys in _batches(serial_key(anchor_id, state, serial) for serial in serials):
                    ahead = handed / MAX_PER_SECOND - (self._clock() - begun)
                    if ahead > 0:
                        self._pause(ahead)
                    handed += len(keys)
                    under_way.append(pool.submit(self._put, keys, expires_at, time_left))
                    # So many wait that no writer has to, and no more: the list is read as it is written.
                    if len(under_way) > 2 * WRITERS:
                        written += under_way.popleft().result()
                while under_way:
                    written += under_way.popleft().result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return written

    def flip(self, anchor_id: str, state: CrlState, previous: CrlState | None, now: datetime) -> bool:
        """Put a list in force if ``previous`` still is; ``False`` if it is not."""
        values = {
            ":issuer": {"S": state.issuer},
            # Twenty octets are more digits than DynamoDB's numbers have.
            ":number": {"S": str(state.number)},
            ":begins": {"N": _seconds(state.this_update)},
            ":ends": {"N": _seconds(state.next_update)},
            ":digest": {"S": state.digest},
            ":now": {"N": _seconds(now)},
        }
        condition = "attribute_not_exists(digest)"
        if previous is not None:
            condition = "digest = :previous"
            values[":previous"] = {"S": previous.digest}
        # The state has no expires_at: without it, an old list would be taken for a first one.
        return self._update(
            list_key(anchor_id, state.id),
            {
                "UpdateExpression": "SET issuer = :issuer, #number = :number, this_update = :begins, "
                "next_update = :ends, digest = :digest, confirmed_at = :now",
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {"#number": "number"},
                "ExpressionAttributeValues": values,
            },
        )

    def confirm(self, anchor_id: str, state: CrlState, now: datetime) -> None:
        """Note that a list is still the one, if it still is in force."""
        self._update(
            list_key(anchor_id, state.id),
            {
                "UpdateExpression": "SET confirmed_at = :now",
                "ConditionExpression": "digest = :digest",
                "ExpressionAttributeValues": {":now": {"N": _seconds(now)}, ":digest": {"S": state.digest}},
            },
        )

    def _update(self, key: str, change: Item) -> bool:
        try:
            ask(self._dynamodb, "UpdateItem", {"TableName": self._table, "Key": {"pk": {"S": key}}, **change})
        except ConditionFailed:
            return False
        return True

    def _put(self, keys: Sequence[str], expires_at: int, time_left: Callable[[], float]) -> int:
        end = {"N": str(expires_at)}
        left: list[Item] = [{"PutRequest": {"Item": {"pk": {"S": key}, "expires_at": end}}} for key in keys]
        for pause in PAUSES:
            if time_left() < FLIP_SECONDS:
                raise UnavailableError("crl-not-written", "the run's time is over")
            try:
                answer = ask(self._dynamodb, "BatchWriteItem", {"RequestItems": {self._table: left}})
            except UnavailableError as error:
                if _is_final(error):
                    raise
            else:
                left = answer.get("UnprocessedItems", {}).get(self._table, [])
                if not left:
                    return len(keys)
            self._pause(pause)
        raise UnavailableError("crl-not-written", f"{len(left)} of a batch of {len(keys)} were not taken")


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    """Yield batches in which no key is twice; DynamoDB refuses such a batch, and a list may repeat itself."""
    batch: dict[str, None] = {}
    for key in keys:
        batch[key] = None
        if len(batch) == BATCH_WRITE:
            yield list(batch)
            batch = {}
    if batch:
        yield list(batch)


def _is_final(error: UnavailableError) -> bool:
    """Tell whether DynamoDB has said no, so that there is no use in trying again."""
    return error.reason == "table-refused"


def load_stored(name: str, item: Item) -> StoredList:
    """Return the list that an item is the state of; raises ``UnavailableError`` if it is of none."""
    try:
        state = CrlState(
            id=name,
            issuer=item["issuer"]["S"],
            number=int(item["number"]["S"]),
            this_update=_moment(item, "this_update"),
            next_update=_moment(item, "next_update"),
            digest=item["digest"]["S"],
        )
        return StoredList(state=state, confirmed_at=_moment(item, "confirmed_at"))
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise UnavailableError(
            "revocation-malformed", "an item of the keys table is no list's state"
        ) from None


def _moment(item: Item, name: str) -> datetime:
    return datetime.fromtimestamp(int(item[name]["N"]), UTC)


def _seconds(moment: datetime) -> str:
    return str(int(moment.timestamp()))
