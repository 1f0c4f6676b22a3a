"""Revocation lists as operators keep them in the trust table: pieces of the list, and a pointer to them.

Pieces are under the list's own digest, so that writing them again changes nothing and an upload that
was cut off goes on where it ended. The pointer is written last, on condition that nobody wrote it
meanwhile; ``refresh_keys`` reads what it points to. The list before stays, for a function that is just
reading it, until the next one comes.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sallyport.adapters.revocation_tables import load_stored
from sallyport.proof.crl import CrlState
from sallyport.revocation import chunk_key, list_key
from sallyport_cli.aws import asking
from sallyport_cli.crl_check import CheckedList, is_older
from sallyport_cli.failure import CommandError
from sallyport_cli.trust_table import WRITE_ATTEMPTS, DynamoDb, Progress, item_key, pause, timestamp

CHUNK_BYTES = 350_000
"""DynamoDB takes 409,600 bytes in an item; names and numbers get the rest."""

_THROTTLED = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}
)
_LONG_AGO = datetime(1950, 1, 1, tzinfo=UTC)
"""Before every list: where a pointer does not say when its own was issued, numbers alone are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Which list of an anchor the table has, who brought it, and when.

    Lists have numbers of up to 20 octets, which is more than DynamoDB's own numbers hold. What only
    this command reads (``issuer``, the dates, ``entries``) may be missing.
    """

    anchor_id: str
    list_id: str
    digest: str
    chunks: int
    number: int
    by: str
    at: str
    issuer: str = ""
    this_update: datetime | None = None
    next_update: datetime | None = None
    entries: int | None = None
    before: str = ""
    chunks_before: int = 0

    def state(self, candidate: CrlState) -> CrlState:
        """Return what the list here says of itself, for comparison with one that would follow it."""
        return CrlState(
            id=self.list_id,
            issuer=self.issuer or candidate.issuer,
            number=self.number,
            this_update=self.this_update or _LONG_AGO,
            next_update=self.next_update or _LONG_AGO,
            digest=self.digest,
        )


class Outcome(StrEnum):
    """What became of a list that somebody brought."""

    UPLOADED = "uploaded"
    UNCHANGED = "unchanged"
    OLDER = "older"


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A list, what became of it, and what the table had before."""

    list: CheckedList
    outcome: Outcome
    previous: Pointer | None

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        one = self.list.state
        name = f"{self.list.anchor.name}: the revocation list {one.id}"
        if self.outcome is Outcome.UPLOADED:
            return f"{name}, number {one.number}, was uploaded."
        if self.outcome is Outcome.UNCHANGED or self.previous is None:
            return f"{name}, number {one.number}, is there already."
        before = f"which the table has since {self.previous.at}"
        if self.previous.issuer not in ("", one.issuer):
            return f"{name} was left: it was issued before that of another authority, {before}."
        if one.number < self.previous.number:
            return f"{name} was left: its number {one.number} is older than {self.previous.number}, {before}."
        if one.number > self.previous.number:
            return f"{name} was left: it was issued before number {self.previous.number}, {before}."
        return (
            f"{name} was left: the table has another list with its number {one.number}. Which of the two is "
            "right cannot be told; have the authority issue one with the next number."
        )


class CrlTable:
    """Reads and writes revocation lists in one trust table."""

    def __init__(self, client: DynamoDb, name: str, *, sleep: Callable[[float], None] | None = None) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep or time.sleep

    def pointer(self, anchor_id: str, list_id: str) -> Pointer | None:
        """Return which list the table has, read consistently."""
        with asking(f"read the trust table {self._name}"):
            answer = self._client.get_item(
                TableName=self._name, Key=item_key(list_key(anchor_id, list_id)), ConsistentRead=True
            )
        item = answer.get("Item")
        return None if item is None else _pointer(item)

    def bring(
        self,
        one: CheckedList,
        *,
        by: str,
        at: datetime,
        again: bool = False,
        progress: Progress = lambda _done, _all: None,
    ) -> Brought:
        """Put a list into the table, unless what is there is the same or newer.

        Args:
            one: the list.
            by: who brings it.
            at: when.
            again: write the pieces of a list that is there already once more, should they be damaged.
            progress: told how many pieces are written.

        Raises:
            CommandError: it could not be written; the list before is still there.
            UnavailableError: it is another authority's than the one that is there.
        """
        seen = self.pointer(one.anchor.id, one.state.id)
        if seen is not None and seen.digest == one.state.digest:
            if again:
                self._write(one, progress, skip_present=False)
            return Brought(list=one, outcome=Outcome.UNCHANGED, previous=seen)
        if seen is not None and is_older(one, seen.state(one.state), at):
            return Brought(list=one, outcome=Outcome.OLDER, previous=seen)
        self._write(one, progress, skip_present=True)
        self._point(one, seen, by=by, at=timestamp(at))
        if seen is not None and seen.before:
            self._forget(one, seen.before, seen.chunks_before)
        return Brought(list=one, outcome=Outcome.UPLOADED, previous=seen)

    def _write(self, one: CheckedList, progress: Progress, *, skip_present: bool) -> None:
        count = _count(one.der)
        for number in range(count):
            key = item_key(*chunk_key(one.state.digest, number))
            if not (skip_present and self._is_there(key)):
                start = number * CHUNK_BYTES
                self._put({**key, "data": {"B": one.der[start : start + CHUNK_BYTES]}})
            progress(number + 1, count)

    def _is_there(self, key: dict[str, Any]) -> bool:
        with asking(f"read the trust table {self._name}"):
            answer = self._client.get_item(
                TableName=self._name, Key=key, ConsistentRead=True, ProjectionExpression="pk"
            )
        return "Item" in answer

    def _put(self, item: dict[str, Any]) -> None:
        """Write one piece. All pieces of a list share a partition, which takes three of them a second."""
        with asking("upload the revocation list (the one before is still there)"):
            for attempt in range(WRITE_ATTEMPTS):
                try:
                    self._client.put_item(TableName=self._name, Item=item)
                except ClientError as error:
                    if error.response.get("Error", {}).get("Code") not in _THROTTLED:
                        raise
                    self._sleep(pause(attempt))
                else:
                    return
        raise CommandError(
            "table-throttled",
            f"The table {self._name} takes no more writes; the revocation list before is still there.",
            cure="Wait a minute and do the same again: it goes on where it ended.",
        )

    def _point(self, one: CheckedList, seen: Pointer | None, *, by: str, at: str) -> None:
        """Point to the list, with an entry in the journal, if nobody brought another one meanwhile."""
        facts = {
            "digest": {"S": one.state.digest},
            "number": {"S": str(one.state.number)},
            "by": {"S": by},
            "at": {"S": at},
        }
        item: dict[str, Any] = {
            **item_key(list_key(one.anchor.id, one.state.id)),
            **facts,
            "chunks": {"N": str(_count(one.der))},
            "issuer": {"S": one.state.issuer},
            "this_update": {"S": one.state.this_update.isoformat()},
            "next_update": {"S": one.state.next_update.isoformat()},
            "entries": {"N": str(one.entries)},
        }
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if seen is not None:
            item |= {"before": {"S": seen.digest}, "chunks_before": {"N": str(seen.chunks)}}
            condition = {
                "ConditionExpression": "digest = :seen",
                "ExpressionAttributeValues": {":seen": {"S": seen.digest}},
            }
        entry = {
            **item_key(f"journal#{at}#{secrets.token_hex(4)}"),
            "action": {"S": "import-crl"},
            "target": {"S": f"anchor#{one.anchor.name}"},
            "list": {"S": one.state.id},
            **facts,
        }
        if seen is not None:
            entry["before"] = {"S": seen.digest}
        try:
            self._client.transact_write_items(
                TransactItems=[
                    {"Put": {"TableName": self._name, "Item": item, **condition}},
                    {"Put": {"TableName": self._name, "Item": entry}},
                ]
            )
        except (ClientError, BotoCoreError) as error:
            # An answer can be lost, and a second try of the SDK's then meets its own first.
            now = self.pointer(one.anchor.id, one.state.id)
            if now is not None and now.digest == one.state.digest:
                return
            if now != seen:
                raise CommandError(
                    "lost-race",
                    f"Somebody else brought a list {one.state.id} meanwhile; yours was not put in its place.",
                    cure="Do the same again: the newer one of the two stays.",
                ) from error
            with asking("point to the new revocation list (the one before is still there)"):
                raise

    def _forget(self, one: CheckedList, digest: str, chunks: int) -> None:
        """Remove the list before the one before, if no anchor has it, as far as that is possible now."""
        try:
            if digest in self._in_use() | {one.state.digest}:
                return
            for number in range(chunks):
                self._client.delete_item(TableName=self._name, Key=item_key(*chunk_key(digest, number)))
        except (ClientError, BotoCoreError, CommandError):
            # Nobody reads it any more; it only takes room.
            return

    def _in_use(self) -> set[str]:
        found: set[str] = set()
        arguments: dict[str, Any] = {
            "TableName": self._name,
            "IndexName": "by_version",
            "KeyConditionExpression": "#version = :version AND begins_with(pk, :prefix)",
            "ExpressionAttributeNames": {"#version": "version"},
            "ExpressionAttributeValues": {":version": {"S": "-"}, ":prefix": {"S": "crl#"}},
        }
        while True:
            page = self._client.query(**arguments)
            for item in page.get("Items", []):
                one = _pointer(item)
                found |= {one.digest, one.before}
            last = page.get("LastEvaluatedKey")
            if not last:
                return found
            arguments["ExclusiveStartKey"] = last


def state_in_force(client: DynamoDb, table: str, anchor_id: str, list_id: str) -> CrlState | None:
    """Return which list exchanges believe, as ``refresh_keys`` wrote it into the keys table.

    Raises:
        UnavailableError: what is there is none that this version of the command understands.
    """
    with asking(f"read the keys table {table}"):
        answer = client.get_item(
            TableName=table, Key={"pk": {"S": list_key(anchor_id, list_id)}}, ConsistentRead=True
        )
    item = answer.get("Item")
    return None if item is None else load_stored(list_id, item).state


def _count(der: bytes) -> int:
    return -(-len(der) // CHUNK_BYTES)


def _pointer(item: dict[str, Any]) -> Pointer:
    def text(name: str) -> str:
        return str(item.get(name, {}).get("S", ""))

    def number(name: str) -> int | None:
        found = item.get(name, {}).get("N")
        return None if found is None else int(str(found))

    def moment(name: str) -> datetime | None:
        return datetime.fromisoformat(text(name)) if text(name) else None

    _, anchor_id, list_id = item["pk"]["S"].split("#", 2)
    return Pointer(
        anchor_id=anchor_id,
        list_id=list_id,
        digest=text("digest"),
        chunks=number("chunks") or 0,
        number=int(text("number")),
        by=text("by"),
        at=text("at"),
        issuer=text("issuer"),
        this_update=moment("this_update"),
        next_update=moment("next_update"),
        entries=number("entries"),
        before=text("before"),
        chunks_before=number("chunks_before") or 0,
    )
