"""What the audit remembers between events: the rules' look-ups, over the audit table.

Every method is idempotent for one event, so that a message that comes again is answered as before.
Keys are digests: what they are made of comes out of events, and may be as long as it likes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from sallyport.adapters.aws import JsonService
from sallyport.adapters.findings_table import transact
from sallyport.adapters.tables import ConditionFailed, ask
from sallyport.audit.events import RecordEvent
from sallyport.errors import UnavailableError

# How long a message can be on its way: queue (14 days) and stream (24 hours) together, with room.
DELIVERY: Final = timedelta(days=16)
# What was not seen for a quarter of a year is new again.
HISTORY: Final = timedelta(days=90)
# Until a deployment knows its weekdays and one turn of the month.
LEARNING: Final = timedelta(days=14)
MAX_PLACES: Final = 20
# Sign-ins of one principal with one client in a day; a person has a few.
MAX_SIGN_INS: Final = 500
ATTEMPTS: Final = 8
DAY_SECONDS: Final = 86_400

Clock = Callable[[], datetime]


class Memory:
    """The audit table as a memory with an end: items by kind and parts, each with its time to live.

    All that ask the table raise ``UnavailableError`` if it is not known what is there, or that it is done.
    """

    def __init__(self, dynamodb: JsonService, table: str, clock: Clock) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def get(self, key: str) -> Mapping[str, Any] | None:
        """Return an item, read consistently, or ``None``."""
        arguments = {"TableName": self._table, "Key": {"pk": {"S": key}}, "ConsistentRead": True}
        found: Mapping[str, Any] | None = ask(self._dynamodb, "GetItem", arguments).get("Item")
        return found

    def put_once(self, key: str, keep: timedelta, **attributes: Mapping[str, Any]) -> bool:
        """Put an item that is not there; ``False`` if it is."""
        item = {"pk": {"S": key}, "expires_at": self.expires_at(keep), **attributes}
        try:
            ask(
                self._dynamodb,
                "PutItem",
                {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"},
            )
        except ConditionFailed:
            return False
        return True

    def update(self, key: str, expression: str, values: Mapping[str, Any], condition: str = "") -> bool:
        """Change an item; ``False`` if the condition does not hold."""
        try:
            ask(self._dynamodb, "UpdateItem", self._update(key, expression, values, condition))
        except ConditionFailed:
            return False
        return True

    def count_once(self, mark: str, key: str, keep: timedelta, weight: int) -> int | None:
        """Add to a number once for each mark; return the sum, or ``None`` if somebody else was writing.

        The mark keeps the sum that it led to, so that whoever comes again is told the same. No two marks lead
        to the same sum: just one of them reaches a threshold.
        """
        before = self.get(key)
        counted = weight if before is None else int(before["counted"]["N"]) + weight
        expires_at = self.expires_at(keep)
        put = {
            "TableName": self._table,
            "Item": {"pk": {"S": mark}, "counted": {"N": str(counted)}, "expires_at": expires_at},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        values: dict[str, Any] = {":x": expires_at, ":sum": {"N": str(counted)}}
        condition = "attribute_not_exists(pk)"
        if before is not None:
            condition = "counted = :seen"
            values[":seen"] = before["counted"]
        update = self._update(key, "SET expires_at = :x, counted = :sum", values, condition)
        if transact(self._dynamodb, [{"Put": put}, {"Update": update}]):
            return counted
        marked = self.get(mark)
        return None if marked is None else int(marked["counted"]["N"])

    def keep(self, key: str, item: Mapping[str, Any], keep: timedelta) -> None:
        """Let an item that was read live on for so long; a day less is no matter."""
        expires_at = self.expires_at(keep)
        if int(item["expires_at"]["N"]) + DAY_SECONDS < int(expires_at["N"]):
            self.update(key, "SET expires_at = :x", {":x": expires_at})

    def expires_at(self, keep: timedelta) -> dict[str, str]:
        """Return the time to live of something kept so long from now."""
        return {"N": str(int((self._clock() + keep).timestamp()))}

    def _update(self, key: str, expression: str, values: Mapping[str, Any], condition: str) -> dict[str, Any]:
        arguments = {
            "TableName": self._table,
            "Key": {"pk": {"S": key}},
            "UpdateExpression": expression,
            "ExpressionAttributeValues": values,
        }
        return arguments | ({"ConditionExpression": condition} if condition else {})


class TableHistory:
    """``History``: when and where something was seen; raises as ``Memory`` does."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def first_seen(self, topic: str, key: str, occurrence: str, when: datetime) -> datetime:  # noqa: ARG002 - the port's
        """Note that ``key`` was seen, and return the earliest time at which it was."""
        name = _key("first", topic, key)
        item = self._memory.get(name)
        # Most of what comes is known: one read, and a write a day at the most.
        if item is not None and _time(item["first_seen"]) <= when:
            self._memory.keep(name, item, HISTORY)
            return _time(item["first_seen"])
        self._memory.update(
            name,
            "SET first_seen = :w, expires_at = :x",
            {":w": _seconds(when), ":x": self._memory.expires_at(HISTORY)},
            "attribute_not_exists(first_seen) OR first_seen > :w",
        )
        item = self._memory.get(name)
        if item is None:
            raise UnavailableError("history-lost", "what was noted a moment ago is not there")
        return min(when, _time(item["first_seen"]))

    def places(self, topic: str, key: str, place: str, when: datetime) -> frozenset[str]:  # noqa: ARG002 - the port's
        """Note where ``key`` was seen, and return all such places, at most twenty and this one."""
        name = _key("places", topic, key)
        item = self._memory.get(name)
        known = _texts(item, "places")
        if place not in known and len(known) < MAX_PLACES:
            values = {":x": self._memory.expires_at(HISTORY), ":p": {"SS": [place]}}
            self._memory.update(name, "SET expires_at = :x ADD places :p", values)
        elif item is not None:
            self._memory.keep(name, item, HISTORY)
        return known | {place}

    def began(self, now: datetime) -> datetime:
        """Return since when this deployment watches."""
        self._memory.put_once("began", timedelta(days=3_650), began=_seconds(now))
        item = self._memory.get("began")
        return now if item is None else _time(item["began"])


class TableCounter:
    """``Counter``: how often something happened within a window, each occurrence once.

    Raises as ``Memory`` does, and where too many write at a time.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def add(self, topic: str, key: str, window_start: datetime, occurrence: str, weight: int = 1) -> int:
        """Count an occurrence, and return the window's count as it was with it."""
        parts = (topic, key, window_start.astimezone(UTC).isoformat())
        name, mark = _key("window", *parts), _key("counted", *parts, occurrence)
        for _ in range(ATTEMPTS):
            counted = self._memory.count_once(mark, name, DELIVERY, weight)
            if counted is not None:
                return counted
        raise UnavailableError("counter-contended", "too many count the same at once")


class TableIssued:
    """``Issued``: what the records say that came by the records rule."""

    def __init__(self, memory: Memory, keep: timedelta) -> None:
        self._memory = memory
        self._keep = keep

    def note(self, record: RecordEvent) -> None:
        """Keep what a record says was issued. The first word on an access key stands."""
        if record.access_key is None:
            return
        self._memory.put_once(
            f"issued#{record.access_key}", self._keep, record={"S": json.dumps(_plain(record))}
        )
        if record.source_identity is not None and not self.knows_source_identity(record.source_identity):
            self._memory.put_once(_key("identity", record.source_identity), self._keep)

    def by_access_key(self, access_key: str) -> RecordEvent | None:
        """Return the record of an issued access key; ``None`` if there is none (yet)."""
        item = self._memory.get(f"issued#{access_key}")
        if item is None:
            return None
        value = json.loads(item["record"]["S"])
        return RecordEvent(**value | {"time": datetime.fromisoformat(value["time"])})

    def knows_source_identity(self, source_identity: str) -> bool:
        """Tell whether a record issued a session with this source identity."""
        return self._memory.get(_key("identity", source_identity)) is not None


class TableSignIns:
    """``SignIns``: authorizations of ``aws login`` and the tokens had for them, by day."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def authorized(self, key: str, where: str, when: datetime) -> None:
        """Note an authorization and where it was given from."""
        self._add("authorized", key, when, f"{_iso(when)} {where}")

    def last_authorized(self, key: str, when: datetime) -> tuple[str, datetime] | None:
        """Return the place and time of the last authorization at or before ``when``."""
        found = self._days("authorized", key, (when, when - timedelta(days=1)))
        before = [one for one in found if one.partition(" ")[0] <= _iso(when)]
        if not before:
            return None
        at, _, place = max(before).partition(" ")
        return place, datetime.fromisoformat(at)

    def redeemed(self, key: str, when: datetime) -> None:
        """Note that a token was had for an authorization."""
        self._add("redeemed", key, when, _iso(when))

    def was_redeemed(self, key: str, when: datetime) -> bool:
        """Tell whether a token was had at or after ``when``, on that day or the next."""
        found = self._days("redeemed", key, (when, when + timedelta(days=1)))
        return any(one >= _iso(when) for one in found)

    def _add(self, kind: str, key: str, when: datetime, what: str) -> None:
        name = _key(kind, key, f"{when.astimezone(UTC):%Y-%m-%d}")
        known = _texts(self._memory.get(name), "seen")
        if what not in known and len(known) < MAX_SIGN_INS:
            values = {":x": self._memory.expires_at(DELIVERY), ":a": {"SS": [what]}}
            self._memory.update(name, "SET expires_at = :x ADD seen :a", values)

    def _days(self, kind: str, key: str, days: tuple[datetime, ...]) -> frozenset[str]:
        names = (_key(kind, key, f"{day.astimezone(UTC):%Y-%m-%d}") for day in days)
        return frozenset().union(*(_texts(self._memory.get(name), "seen") for name in names))


def _plain(record: RecordEvent) -> dict[str, Any]:
    """Return a record's own fields without the whole of it."""
    found = {one.name: getattr(record, one.name) for one in fields(record) if one.name != "detail"}
    return found | {"time": record.time.isoformat()}


def _key(kind: str, *parts: str) -> str:
    digest = sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return f"{kind}#{digest.hexdigest()}"


def _texts(item: Mapping[str, Any] | None, name: str) -> frozenset[str]:
    return frozenset() if item is None else frozenset(item.get(name, {}).get("SS", ()))


def _seconds(when: datetime) -> dict[str, str]:
    return {"N": str(int(when.timestamp()))}


def _time(value: Mapping[str, str]) -> datetime:
    return datetime.fromtimestamp(int(value["N"]), UTC)


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds")
