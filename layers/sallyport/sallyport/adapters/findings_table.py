"""Findings, kept: one item for each, and a mark for each event that a finding has counted.

Queues deliver twice and in any order, and several instances write at once. What a finding counts is
therefore decided by DynamoDB: its item and the event's mark are written together or not at all.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sallyport.adapters.aws import AwsError, JsonService
from sallyport.adapters.tables import ConditionFailed, ask
from sallyport.audit.finding import Finding, Severity, from_json, merge, to_json
from sallyport.errors import UnavailableError

# Writers that meet on one finding: as many as the function has instances, with room.
ATTEMPTS: Final = 8
# Longer than a call of SNS and a note may take, and shorter than a message that failed stays away.
TELLING: Final = timedelta(minutes=1)
INDEX: Final = "by_day"
"""Findings by the day of their last event, sorted by its time."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A finding as it is kept, and what was done about it so far.

    ``alerted`` is the severity that somebody was told of; ``imported`` the ``state`` that was imported.
    """

    finding: Finding
    alerted: Severity | None = None
    imported: str | None = None
    revision: int = 0


def state(finding: Finding) -> str:
    """Return what changes whenever an import would say something new."""
    ended = "" if finding.ended is None else f" ended {_iso(finding.ended)}"
    return f"{_iso(finding.last_event)} {finding.count} {finding.severity.name}{ended}"


class FindingsTable:
    """The findings table. ``keep`` is how long a finding stays after it was last written."""

    def __init__(
        self, dynamodb: JsonService, table: str, keep: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._keep = keep
        self._clock = clock

    def observe(self, seen: Finding) -> Kept:
        """Put an observation to its finding, unless its event was counted there before.

        Raises:
            UnavailableError: it is not known to be kept.
        """
        for _ in range(ATTEMPTS):
            kept = self.read(seen.id)
            if kept is not None and self._was_counted(seen):
                return kept
            if kept is None:
                if self._put(seen, seen, None):
                    return Kept(seen)
                continue
            merged = merge(kept.finding, seen)
            if self._put(merged, seen, kept.revision):
                return replace(kept, finding=merged)
        raise UnavailableError("finding-contended", "too many write the same finding at once")

    def end(self, finding_id: str, at: datetime) -> Kept | None:
        """Note that what a finding is about is gone, unless it was seen since; ``None`` if there is none.

        Nobody has been told of what may come after.

        Raises:
            UnavailableError: it is not known to be kept.
        """
        for _ in range(ATTEMPTS):
            kept = self.read(finding_id)
            if kept is None or kept.finding.ended is not None or kept.finding.last_event >= at:
                return kept
            ended = replace(kept.finding, ended=at)
            mark = replace(ended, event_ids=(f"ended {_iso(at)}",))
            if self._put(ended, mark, kept.revision, " REMOVE alerted, telling, telling_until"):
                return replace(kept, finding=ended, alerted=None)
        raise UnavailableError("finding-contended", "too many write the same finding at once")

    def read(self, finding_id: str) -> Kept | None:
        """Return a finding, or ``None``."""
        item = self._get(f"finding#{finding_id}")
        return None if item is None else from_item(item)

    def may_tell(self, finding: Finding) -> bool:
        """Let one at a time tell of a finding; ``False`` while somebody else is about to.

        Instances that work on events of one finding at the same time would all tell of it. The others come
        again, and find it told; should whoever may tell end without a word, they may after ``TELLING``. What
        is worse than what somebody is about to tell does not wait for that.
        """
        now = self._clock()
        values = {
            ":severity": {"N": str(int(finding.severity))},
            ":now": {"N": str(int(now.timestamp()))},
            ":until": {"N": str(int((now + TELLING).timestamp()))},
        }
        return self._update(
            finding.id,
            "SET telling = :severity, telling_until = :until",
            values,
            "attribute_not_exists(telling) OR telling < :severity OR telling_until < :now",
        )

    def not_told(self, finding: Finding) -> None:
        """Let others tell, as whoever was about to could not."""
        values = {":severity": {"N": str(int(finding.severity))}}
        self._update(finding.id, "REMOVE telling, telling_until", values, "telling = :severity")

    def alerted(self, finding: Finding) -> None:
        """Note that somebody was told of a finding, with its severity."""
        # With a new revision, so that whoever writes the finding at the same time looks at it again.
        self._note(finding.id, "SET alerted = :value ADD revision :one", finding.severity.name)

    def imported(self, finding: Finding) -> None:
        """Note that a finding was imported as it is."""
        self._note(finding.id, "SET imported = :value", state(finding))

    def _was_counted(self, seen: Finding) -> bool:
        return self._get(_mark(seen)) is not None

    def _put(self, merged: Finding, seen: Finding, revision: int | None, also: str = "") -> bool:
        expires_at = {"N": str(int((self._clock() + self._keep).timestamp()))}
        # An update, since what is noted beside the finding has to stay.
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": {"pk": {"S": f"finding#{merged.id}"}},
            "UpdateExpression": "SET #day = :day, #at = :at, finding = :finding, revision = :next, "
            f"expires_at = :expires_at{also}",
            "ExpressionAttributeNames": {"#day": "day", "#at": "at"},
            "ExpressionAttributeValues": {
                ":day": {"S": f"{merged.last_event.astimezone(UTC):%Y-%m-%d}"},
                ":at": {"S": _iso(merged.last_event)},
                ":finding": {"S": json.dumps(to_json(merged), separators=(",", ":"), ensure_ascii=True)},
                ":next": {"N": str((revision or 0) + 1)},
                ":expires_at": expires_at,
            },
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if revision is not None:
            update["ConditionExpression"] = "revision = :seen"
            update["ExpressionAttributeValues"][":seen"] = {"N": str(revision)}
        mark = {
            "TableName": self._table,
            "Item": {"pk": {"S": _mark(seen)}, "expires_at": expires_at},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        return transact(self._dynamodb, [{"Update": update}, {"Put": mark}])

    def _get(self, key: str) -> Mapping[str, Any] | None:
        arguments = {"TableName": self._table, "Key": {"pk": {"S": key}}, "ConsistentRead": True}
        found: Mapping[str, Any] | None = ask(self._dynamodb, "GetItem", arguments).get("Item")
        return found

    def _note(self, finding_id: str, expression: str, value: str) -> None:
        # What is gone since needs no note, and must not come back as an item that holds nothing else.
        values = {":value": {"S": value}} | ({":one": {"N": "1"}} if ":one" in expression else {})
        self._update(finding_id, expression, values, "attribute_exists(pk)")

    def _update(
        self, finding_id: str, expression: str, values: Mapping[str, Mapping[str, str]], condition: str
    ) -> bool:
        arguments = {
            "TableName": self._table,
            "Key": {"pk": {"S": f"finding#{finding_id}"}},
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
        try:
            ask(self._dynamodb, "UpdateItem", arguments)
        except ConditionFailed:
            return False
        return True


def from_item(item: Mapping[str, Any]) -> Kept:
    """Return the finding in an item.

    Raises:
        UnavailableError: the item is no finding.
    """
    try:
        alerted = item.get("alerted")
        imported = item.get("imported")
        return Kept(
            from_json(json.loads(item["finding"]["S"])),
            None if alerted is None else Severity[alerted["S"]],
            None if imported is None else str(imported["S"]),
            int(item["revision"]["N"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise UnavailableError("finding-malformed", "an item of the findings table is no finding") from None


def transact(dynamodb: JsonService, writes: list[dict[str, Any]]) -> bool:
    """Write all or nothing; ``False`` if a condition did not hold, or somebody else was writing.

    Raises:
        UnavailableError: it is not known to have happened.
    """
    try:
        dynamodb.call("TransactWriteItems", {"TransactItems": writes})
    except AwsError as error:
        if error.reason in {"TransactionCanceledException", "TransactionInProgressException"}:
            return False
        raise UnavailableError("table-refused", f"TransactWriteItems: {error.reason}") from None
    return True


def _mark(seen: Finding) -> str:
    # An evaluation makes one finding of one event; several ids are several observations put together.
    return f"event#{seen.id}#{' '.join(seen.event_ids)}"


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
