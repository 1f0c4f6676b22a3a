"""The trust table as an operator writes it: versions, the pointer to the one in force, tombstones.

An apply is a line of small steps of which only one, the conditional write of the pointer, has an
effect on exchanges. A crash before it leaves the old version in force and nothing but garbage,
which names itself (``attempt#…``) and is removed by a later apply; a crash after it leaves the new
version in force. Items of a version are written once and never changed.
"""

import json
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from sallyport.trust import digest as trust_digest
from sallyport.trust.issuer_marks import marks_of
from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError

KEEP_VERSIONS = 20
"""Superseded versions that stay, so that a comparison or a way back needs no backup."""

ABANDONED_AFTER = timedelta(hours=1)
"""No apply takes so long. A younger attempt may still be writing and is left alone."""

BATCH = 25
"""BatchWriteItem's own limit."""

MAX_ITEM_BYTES = 390_000
"""DynamoDB's limit is 400 KB (409,600 bytes) for names and values together; keys and names get the rest."""

WRITE_ATTEMPTS = 12
"""Tries without any progress before a throttled table is given up: about a minute."""

READ_ATTEMPTS = 6
"""Tries until the index shows all of a version. It usually lags by milliseconds."""

INCOMPLETE = "version-incomplete"
"""The reason of the error for a version that cannot be read as it was applied."""

MAX_PAUSE = 8.0
"""Longest pause between two tries, in seconds."""

Items = Mapping[str, Mapping[str, Any]]
"""Documents by item key, as ``trust.compile`` gives them."""

Progress = Callable[[int, int], None]
"""Called with how many items are written, and of how many."""


class DynamoDb(Protocol):
    """The part of boto3's DynamoDB client that is used here."""

    def get_item(self, **arguments: object) -> dict[str, Any]:
        """Read one item."""

    def put_item(self, **arguments: object) -> dict[str, Any]:
        """Write one item."""

    def update_item(self, **arguments: object) -> dict[str, Any]:
        """Change one item."""

    def delete_item(self, **arguments: object) -> dict[str, Any]:
        """Delete one item."""

    def query(self, **arguments: object) -> dict[str, Any]:
        """Read items of one partition of a table or an index."""

    def batch_write_item(self, **arguments: object) -> dict[str, Any]:
        """Write and delete up to 25 items, some of which may be left over."""

    def transact_write_items(self, **arguments: object) -> dict[str, Any]:
        """Write several items, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version, as the pointer or its apply record describes it.

    ``digest`` is the SHA-256 of the trust file, ``content_digest`` that of what it was compiled to.
    ``restores`` is the version whose content a rollback put in force again.
    """

    id: str
    sequence: int
    applied_at: str
    applied_by: str
    digest: str
    content_digest: str
    items: int
    base: str | None = None
    summary: str = ""
    restores: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who applies, when, and from which file or earlier version."""

    by: str
    at: datetime
    digest: str
    summary: str
    restores: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chronicle:
    """All that the table tells of what was done to it, in no order.

    ``applied`` are the apply records, ``in_force`` the ids of those that were in force at some time;
    ``attempts`` are applies without a record, begun and not ended; ``journal`` has the other entries.
    """

    current: str | None
    applied: tuple[Version, ...]
    in_force: frozenset[str]
    attempts: tuple[Mapping[str, str], ...]
    journal: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """That an anchor or a profile is disabled; only ``enable`` removes it."""

    kind: str
    name: str
    by: str
    at: str
    reason: str


class LostRaceError(CommandError):
    """Somebody else's apply came first."""


def content_digest(items: Items) -> str:
    """Return the SHA-256 of all items of a version, whatever their order."""
    return trust_digest.content_digest({key: _text(document) for key, document in items.items()})


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


class TrustTable:
    """Reads and writes one trust table through a DynamoDB client."""

    def __init__(self, client: DynamoDb, name: str, *, sleep: Callable[[float], None] | None = None) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep or time.sleep

    def current(self) -> Version | None:
        """Return the version in force, or ``None`` before the first apply."""
        item = self._get("current")
        if item is None:
            return None
        return Version(
            id=item["current"]["S"],
            sequence=int(item["sequence"]["N"]),
            applied_at=_string(item, "applied_at"),
            applied_by=_string(item, "applied_by"),
            digest=_string(item, "digest"),
            content_digest=_string(item, "content_digest"),
            items=int(item.get("items", {}).get("N", "0")),
            base=_string(item, "base") or None,
            summary=_string(item, "summary"),
            restores=_string(item, "restores") or None,
        )

    def version(self, version_id: str) -> Version:
        """Return what its apply record says about a version.

        Raises:
            CommandError: there is none, or its items were removed since.
        """
        item = self._get(f"apply#{version_id}")
        if item is None:
            raise CommandError(
                "no-such-version",
                f"There is no version {version_id} in the table {self._name}.",
                cure="`sallyport trust show --versions` lists them.",
            )
        if "items_deleted_at" in item:
            raise CommandError(
                "version-removed",
                f"The items of version {version_id} were removed; the newest {KEEP_VERSIONS} are kept.",
                cure="Take the trust file from your repository's history.",
            )
        return _version(item)

    def history(self, current: Version | None) -> list[Version]:
        """Return the versions that were in force, newest first, as far as they are kept.

        Each names the one before it, so this reads the table itself and not the index that lags.
        """
        found: list[Version] = []
        while current is not None and len(found) <= KEEP_VERSIONS:
            found.append(current)
            record = self._get(f"apply#{current.base}") if current.base else None
            current = None if record is None or "items_deleted_at" in record else _version(record)
        return found

    def chronicle(self) -> Chronicle:
        """Return everything that was ever done to the table, as far as it keeps it.

        Apply records stay for good. Which of them were in force tells the line of versions that each
        name the one before; it is followed in the table itself, since the index may lag.
        """
        current = self.current()
        applied = {
            version.id: version for version in (_version(item) for item in self._unversioned("apply#"))
        }
        in_force: set[str] = set()
        one = current
        while one is not None and one.id not in in_force:
            in_force.add(one.id)
            applied.setdefault(one.id, one)
            before = one.base
            one = None if before is None else applied.get(before)
            if one is None and before is not None:
                item = self._get(f"apply#{before}")
                one = None if item is None else _version(item)
        attempts = [
            {"id": item["pk"]["S"].removeprefix("attempt#"), **_texts(item)}
            for item in self._unversioned("attempt#")
        ]
        return Chronicle(
            current=None if current is None else current.id,
            applied=tuple(applied.values()),
            in_force=frozenset(in_force),
            attempts=tuple(found for found in attempts if found["id"] not in applied),
            journal=tuple(_texts(item) for item in self._unversioned("journal#")),
        )

    def items(self, version: Version) -> dict[str, dict[str, Any]]:
        """Return all documents of a version, complete or not at all.

        The index that lists them lags behind the table, and a missing item would make a change look
        narrower than it is; so what was read must have the digest that was stored with the version.
        """
        for attempt in range(READ_ATTEMPTS):
            if attempt:
                self._sleep(pause(attempt))
            found = {
                item["pk"]["S"]: json.loads(item["document"]["S"])
                for item in self._indexed(version.id)
                if "document" in item
            }
            if content_digest(found) == version.content_digest:
                return found
        raise CommandError(
            INCOMPLETE,
            f"Version {version.id} has {len(found):,} of {version.items:,} items, or other ones than were "
            "applied.",
            cure="Try again in a minute. If it stays so, somebody changed the table by hand: apply the "
            "trust file from your repository with `--rebuild`.",
        )

    def publish(
        self,
        items: Items,
        base: Version | None,
        author: Author,
        progress: Progress = lambda _done, _all: None,
    ) -> Version:
        """Write a new version and put it in force, if ``base`` still is.

        Raises:
            LostRaceError: another version came into force meanwhile.
            CommandError: anything else; unless it says otherwise the old version stays in force.
        """
        for key, document in items.items():
            _check_size(key, document)
        sequence = 1 if base is None else base.sequence + 1
        version = Version(
            id=f"{sequence:06d}-{secrets.token_hex(4)}",
            sequence=sequence,
            applied_at=timestamp(author.at),
            applied_by=author.by,
            digest=author.digest,
            content_digest=content_digest(items),
            items=len(items),
            base=None if base is None else base.id,
            summary=author.summary,
            restores=author.restores,
        )
        with asking(f"write the new version ({_still(base)})"):
            # First of all, so that whatever an interrupted attempt leaves behind can be found.
            self._client.put_item(
                TableName=self._name,
                Item={
                    **item_key(f"attempt#{version.id}"),
                    "by": {"S": author.by},
                    "started_at": {"S": version.applied_at},
                },
            )
            self._write(
                [
                    {
                        "PutRequest": {
                            "Item": {**item_key(key, version.id), "document": {"S": _text(document)}}
                        }
                    }
                    for key, document in items.items()
                ],
                progress,
            )
            self._client.put_item(
                TableName=self._name,
                Item={**item_key(f"apply#{version.id}"), **_facts(version)},
                ConditionExpression="attribute_not_exists(pk)",
            )
        self._move_pointer(version, base, marks_of(version.id, items))
        return version

    def _move_pointer(self, version: Version, base: Version | None, issuers: str | None) -> None:
        """Do the one write that counts, and find out what came of it whatever the answer was."""
        item = {**item_key("current"), **_facts(version), "current": {"S": version.id}}
        if issuers is not None:
            item["issuers"] = {"S": issuers}
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if base is not None:
            condition = {
                "ConditionExpression": "#current = :base",
                "ExpressionAttributeNames": {"#current": "current"},
                "ExpressionAttributeValues": {":base": {"S": base.id}},
            }
        try:
            self._client.put_item(TableName=self._name, Item=item, **condition)
        except (ClientError, BotoCoreError) as error:
            # An answer can be lost and the SDK's own second try then fails its condition: only the
            # pointer itself tells.
            now = self._pointer_after(version, error)
            if now is not None and now.id == version.id:
                return
            if now != base:
                self._forget(version)
                raise LostRaceError(
                    "lost-race",
                    f"Somebody else was faster: {now.id if now else 'no version'} is in force now"
                    f"{f', applied by {now.applied_by} at {now.applied_at}' if now else ''}. "
                    "Nothing of yours was applied.",
                    cure="Plan again on top of it.",
                ) from error
            with asking(f"put the new version in force ({_still(base)})"):
                raise

    def _pointer_after(self, version: Version, error: Exception) -> Version | None:
        try:
            return self.current()
        except CommandError:
            raise CommandError(
                "outcome-unknown",
                f"The connection was lost during the last step, so that version {version.id} may or may not "
                "be in force.",
                cure="Run `sallyport trust show`; if it names another version, apply again.",
            ) from error

    def _forget(self, version: Version) -> None:
        """Remove what a lost race left behind, as far as that is possible now."""
        try:
            self._delete_items(version.id)
            self._mark_deleted(version.id, version.applied_at)
            self._client.delete_item(TableName=self._name, Key=item_key(f"attempt#{version.id}"))
        except (ClientError, BotoCoreError, CommandError):
            # Its attempt marker is still there, so a later apply does it.
            return

    def clean_up(self, current: Version, now: datetime) -> int:
        """Remove superseded versions beyond the newest and what abandoned attempts left.

        Returns how many versions were removed. An attempt that could still win has a sequence above
        the current one's and is never touched.
        """
        with asking("remove superseded versions"):
            applied = {item["pk"]["S"].removeprefix("apply#"): item for item in self._unversioned("apply#")}
            attempts = {
                item["pk"]["S"].removeprefix("attempt#"): item for item in self._unversioned("attempt#")
            }
            kept = {version.id for version in self.history(current)}
            removed = 0
            for version_id, item in applied.items():
                is_over = version_id not in kept and _sequence(version_id) <= current.sequence
                if is_over and "items_deleted_at" not in item:
                    self._delete_items(version_id)
                    self._mark_deleted(version_id, timestamp(now))
                    removed += 1
            limit = timestamp(now - ABANDONED_AFTER)
            for version_id, item in attempts.items():
                if version_id not in applied:
                    if _sequence(version_id) > current.sequence or _string(item, "started_at") > limit:
                        continue
                    self._delete_items(version_id)
                    removed += 1
                self._client.delete_item(TableName=self._name, Key=item_key(f"attempt#{version_id}"))
        return removed

    def tombstones(self) -> list[Tombstone]:
        """Return what is disabled, by kind and name."""
        found = []
        for item in self._unversioned("disabled#"):
            _, kind, name = item["pk"]["S"].split("#", 2)
            found.append(_tombstone(kind, name, item))
        return sorted(found, key=lambda one: (one.kind, one.name))

    def tombstone(self, kind: str, name: str) -> Tombstone | None:
        """Return one tombstone, read consistently."""
        item = self._get(f"disabled#{kind}#{name}")
        return None if item is None else _tombstone(kind, name, item)

    def disable(self, tombstone: Tombstone) -> None:
        """Put a tombstone and its entry in the journal, both or none."""
        facts = {"by": {"S": tombstone.by}, "at": {"S": tombstone.at}, "reason": {"S": tombstone.reason}}
        put = {
            "Put": {
                "TableName": self._name,
                "Item": {**item_key(f"disabled#{tombstone.kind}#{tombstone.name}"), **facts},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }
        self._with_journal("disable", tombstone, put)

    def enable(self, tombstone: Tombstone) -> None:
        """Remove a tombstone; the journal keeps who did so and why."""
        delete = {
            "Delete": {
                "TableName": self._name,
                "Key": item_key(f"disabled#{tombstone.kind}#{tombstone.name}"),
                "ConditionExpression": "attribute_exists(pk)",
            }
        }
        self._with_journal("enable", tombstone, delete)

    def note(self, action: str, target: str, *, by: str, at: str, reason: str) -> None:
        """Put an entry into the journal: what somebody did to something, when, and why."""
        with asking(f"write to the journal of the trust table {self._name}"):
            self._client.put_item(
                TableName=self._name, Item=_entry(action, target, by=by, at=at, reason=reason)
            )

    def _with_journal(self, action: str, tombstone: Tombstone, write: Mapping[str, Any]) -> None:
        entry = _entry(
            action,
            f"{tombstone.kind}#{tombstone.name}",
            by=tombstone.by,
            at=tombstone.at,
            reason=tombstone.reason,
        )
        with asking(f"{action} the {tombstone.kind} {tombstone.name}"):
            self._client.transact_write_items(
                TransactItems=[write, {"Put": {"TableName": self._name, "Item": entry}}]
            )

    def _get(self, pk: str) -> dict[str, Any] | None:
        with asking(f"read the trust table {self._name}"):
            answer = self._client.get_item(TableName=self._name, Key=item_key(pk), ConsistentRead=True)
        item: dict[str, Any] | None = answer.get("Item")
        return item

    def _unversioned(self, prefix: str) -> Iterator[dict[str, Any]]:
        return self._indexed("-", prefix)

    def _indexed(self, version: str, prefix: str = "") -> Iterator[dict[str, Any]]:
        arguments: dict[str, Any] = {
            "TableName": self._name,
            "IndexName": "by_version",
            "KeyConditionExpression": "#version = :version",
            "ExpressionAttributeNames": {"#version": "version"},
            "ExpressionAttributeValues": {":version": {"S": version}},
        }
        if prefix:
            arguments["KeyConditionExpression"] += " AND begins_with(pk, :prefix)"
            arguments["ExpressionAttributeValues"][":prefix"] = {"S": prefix}
        while True:
            with asking(f"read the trust table {self._name}"):
                page = self._client.query(**arguments)
            yield from page.get("Items", [])
            last = page.get("LastEvaluatedKey")
            if not last:
                return
            arguments["ExclusiveStartKey"] = last

    def _write(self, requests: Sequence[Mapping[str, Any]], progress: Progress) -> None:
        """Write in batches; what the table leaves over is tried again, ever more slowly."""
        done = 0
        for start in range(0, len(requests), BATCH):
            left = list(requests[start : start + BATCH])
            idle = 0
            while left:
                answer = self._client.batch_write_item(RequestItems={self._name: left})
                over = answer.get("UnprocessedItems", {}).get(self._name, [])
                done += len(left) - len(over)
                progress(done, len(requests))
                idle = idle + 1 if len(over) == len(left) else 0
                if idle >= WRITE_ATTEMPTS:
                    raise CommandError(
                        "table-throttled",
                        f"The table {self._name} takes no more writes; the version in force did not change.",
                        cure="Raise its write capacity or wait, then apply again.",
                    )
                left = over
                if left:
                    self._sleep(pause(idle))

    def _delete_items(self, version_id: str) -> None:
        keys = [item["pk"]["S"] for item in self._indexed(version_id)]
        self._write(
            [{"DeleteRequest": {"Key": item_key(pk, version_id)}} for pk in keys], lambda _done, _all: None
        )

    def _mark_deleted(self, version_id: str, at: str) -> None:
        """Say in the apply record, which stays for good, that its items are gone."""
        self._client.update_item(
            TableName=self._name,
            Key=item_key(f"apply#{version_id}"),
            UpdateExpression="SET items_deleted_at = :at",
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeValues={":at": {"S": at}},
        )


def item_key(pk: str, version: str = "-") -> dict[str, Any]:
    """Return the key of an item; those that belong to no version have a hyphen in its place."""
    return {"pk": {"S": pk}, "version": {"S": version}}


def _entry(action: str, target: str, *, by: str, at: str, reason: str) -> dict[str, Any]:
    return {
        **item_key(f"journal#{at}#{secrets.token_hex(4)}"),
        "action": {"S": action},
        "target": {"S": target},
        "by": {"S": by},
        "at": {"S": at},
        "reason": {"S": reason},
    }


def _facts(version: Version) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "sequence": {"N": str(version.sequence)},
        "applied_at": {"S": version.applied_at},
        "applied_by": {"S": version.applied_by},
        "digest": {"S": version.digest},
        "content_digest": {"S": version.content_digest},
        "items": {"N": str(version.items)},
        "summary": {"S": version.summary},
    }
    if version.base is not None:
        facts["base"] = {"S": version.base}
    if version.restores is not None:
        facts["restores"] = {"S": version.restores}
    return facts


def _version(record: Mapping[str, Any]) -> Version:
    return Version(
        id=record["pk"]["S"].removeprefix("apply#"),
        sequence=int(record["sequence"]["N"]),
        applied_at=_string(record, "applied_at"),
        applied_by=_string(record, "applied_by"),
        digest=_string(record, "digest"),
        content_digest=_string(record, "content_digest"),
        items=int(record["items"]["N"]),
        base=_string(record, "base") or None,
        summary=_string(record, "summary"),
        restores=_string(record, "restores") or None,
    )


def _tombstone(kind: str, name: str, item: Mapping[str, Any]) -> Tombstone:
    return Tombstone(
        kind=kind, name=name, by=_string(item, "by"), at=_string(item, "at"), reason=_string(item, "reason")
    )


def _texts(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of an item but its key."""
    return {
        name: str(value["S"])
        for name, value in item.items()
        if name not in {"pk", "version"} and isinstance(value.get("S"), str)
    }


def _string(item: Mapping[str, Any], name: str) -> str:
    return str(item.get(name, {}).get("S", ""))


def _sequence(version_id: str) -> int:
    number = version_id.partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() else 0


def _check_size(key: str, document: Mapping[str, Any]) -> None:
    size = len(key.encode()) + len(_text(document))
    if size > MAX_ITEM_BYTES:
        raise CommandError(
            "item-too-large",
            f"All profiles of {key.removeprefix('role#')} take {size:,} bytes together; the table holds "
            f"{MAX_ITEM_BYTES:,} in one item.",
            cure="Spread them over several roles, or use fewer and wider conditions.",
        )


def _still(base: Version | None) -> str:
    return "no version is in force" if base is None else f"{base.id} stays in force"


def timestamp(moment: datetime) -> str:
    """Return a time in UTC as the table has it."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def pause(attempt: int) -> float:
    """Return how long to wait before a further try: growing, and different for each caller."""
    return min(MAX_PAUSE, 0.05 * 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
