"""Where a trace's edges are found: the sessions table, files, or the whole records table."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from sallyport.audit.events import Observed, RecordEvent, read_event, read_record
from sallyport.audit.lineage.edges import Edge, edges_of, edges_of_record
from sallyport.audit.lineage.items import MAX_EDGES, Index, collect, from_item
from sallyport.audit.publish import DETAIL_TYPE, SOURCE
from sallyport.errors import SallyportError
from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError

MAX_FILE: Final = 256 * 1024 * 1024
"""Bytes of one file, unpacked: a trail's files have a few, and one who unpacks must know when to stop."""

MAX_PAGES: Final = 1_000
"""Pages of the records table, of a megabyte each: about half a million records."""

INDEXES: Final = {
    Index.PARENT: "by_parent",
    Index.SOURCE_IDENTITY: "by_source_identity",
    Index.SESSION_NAME: "by_session_name",
}
"""The table's indexes, each sorted by ``at``. The table itself is by child key."""


class DynamoDb(Protocol):
    """The part of boto3's DynamoDB client that is used here."""

    def query(self, **arguments: object) -> dict[str, Any]:
        """Read items of one partition."""

    def scan(self, **arguments: object) -> dict[str, Any]:
        """Read all items."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Edges, and what the reader should know about how they were found."""

    edges: tuple[Edge, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: "Gathered") -> "Gathered":
        return Gathered(self.edges + other.edges, self.notes + other.notes)


def of_table(client: DynamoDb, table: str, start: str) -> Gathered:
    """Return the edges around ``start`` from the sessions table, one question after the other."""
    unreadable: list[str] = []

    def find(index: Index, value: str, most: int) -> list[Edge]:
        found: list[Edge] = []
        for item in _items(_query(client, table, index, value, most)):
            try:
                found.append(from_item(item))
            except SallyportError:
                unreadable.append(value)
            if len(found) == most:
                break
        return found

    found = collect(find, start)
    notes = []
    if found.is_cut:
        notes.append(
            f"there is more around {start} than is read for one trace ({MAX_EDGES} observations): trace a "
            "single access key of it"
        )
    if unreadable:
        notes.append(f"{len(unreadable)} item(s) of the sessions table cannot be read and are left out")
    return Gathered(found.edges, tuple(notes))


def of_records(client: DynamoDb, table: str) -> Gathered:
    """Return the edges of all records."""
    edges: list[Edge] = []
    unread = 0
    notes: tuple[str, ...] = ()
    arguments = {
        "TableName": table,
        "ProjectionExpression": "#record",
        "ExpressionAttributeNames": {"#record": "record"},
    }
    pages = _pages(client.scan, arguments, f"read the records table {table} (dynamodb:Scan)")
    for number, page in enumerate(pages):
        if number == MAX_PAGES:
            notes = (f"the records table is too large: only {MAX_PAGES} pages of it were read",)
            break
        for item in page:
            found = _edges(item)
            unread += found is None
            edges += found or ()
    return Gathered(tuple(edges), notes + _unread(unread, table))


def of_files(paths: Iterable[Path]) -> Gathered:
    """Return the edges of all events and records in files.

    Raises:
        CommandError: a file cannot be read, or is no JSON.
    """
    found = Gathered()
    for path in paths:
        edges: list[Edge] = []
        unread = 0
        for entry in _entries(_documents(path)):
            one = _edges(entry)
            unread += one is None
            edges += one or ()
        found += Gathered(tuple(edges), _unread(unread, str(path)))
    return found


def _edges(entry: object) -> tuple[Edge, ...] | None:
    """Return the edges of one entry, whatever kind it is of; ``None`` if it cannot be read."""
    if not isinstance(entry, Mapping):
        return None
    for field, read in _KINDS.items():
        if field in entry:
            return read(entry)
    return _of_record(entry)


def _of_item(item: Mapping[str, Any]) -> tuple[Edge, ...] | None:
    try:
        return (from_item(item),)
    except SallyportError:
        return None


def _of_event(event: object) -> tuple[Edge, ...] | None:
    if isinstance(event, Mapping) and event.get("source") == SOURCE:
        return _of_envelope(event)
    read = read_event(event)
    return edges_of(read) if isinstance(read, Observed) else None


def _of_found_event(found: Mapping[str, Any]) -> tuple[Edge, ...] | None:
    """Read an event as `lookup-events` prints it: as text, with some of its fields beside it."""
    return _of_event(_parsed(found["CloudTrailEvent"]))


def _of_records(holder: Mapping[str, Any]) -> tuple[Edge, ...] | None:
    """Read a record as the table has it, or as `explain --json` prints it, maybe with a correction."""
    read = [_of_record(_unwrapped(holder[name])) for name in ("record", "correction") if name in holder]
    return None if None in read else tuple(edge for one in read for edge in one or ())


def _of_record(record: object) -> tuple[Edge, ...] | None:
    if not isinstance(record, Mapping) or "outcome" not in record:
        return None
    return _of_envelope({"source": SOURCE, "detail-type": DETAIL_TYPE, "detail": record})


def _of_envelope(envelope: Mapping[str, Any]) -> tuple[Edge, ...] | None:
    record = read_record(envelope)
    return edges_of_record(record) if isinstance(record, RecordEvent) else None


_KINDS: Final[Mapping[str, Callable[[Mapping[str, Any]], tuple[Edge, ...] | None]]] = {
    "edge": _of_item,
    "CloudTrailEvent": _of_found_event,
    "record": _of_records,
    "detail-type": _of_event,
    "eventName": _of_event,
}
"""What tells kinds of entries apart: a field, and how an entry that has it is read."""


def _unwrapped(value: object) -> object:
    """Return a record out of DynamoDB's way to write a string, or out of the string itself."""
    if isinstance(value, Mapping) and set(value) == {"S"}:
        value = value["S"]
    return _parsed(value) if isinstance(value, str) else value


def _parsed(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return None


def _entries(documents: Iterable[object]) -> Iterator[object]:
    """Yield the single entries of what a file holds."""
    for document in documents:
        if isinstance(document, list):
            yield from document
            continue
        if isinstance(document, Mapping):
            # A trail's file, `lookup-events`, a scan of a table.
            lists = [
                document[name]
                for name in ("Records", "Events", "Items")
                if isinstance(document.get(name), list)
            ]
            if lists:
                for one in lists:
                    yield from one
                continue
        yield document


def _documents(path: Path) -> list[object]:
    """Return what a file holds: one JSON document, or one in each line."""
    text = _text(path)
    try:
        return [json.loads(text)]
    except RecursionError as error:
        raise _unreadable(path, "it is nested too deeply") from error
    except ValueError:
        pass
    documents = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                documents.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise _unreadable(path, f"line {number} is no JSON document") from error
    return documents


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        # Bounded as it is unpacked: a small file can become a very large one.
        with gzip.open(path) if packed else path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise _unreadable(path, f"it has more than {MAX_FILE // 1024 // 1024} MB")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be unpacked") from error
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise _unreadable(path, "it is neither text nor packed text") from error


def _query(
    client: DynamoDb, table: str, index: Index, value: str, most: int
) -> Iterator[list[Mapping[str, Any]]]:
    where: dict[str, object] = {"IndexName": INDEXES[index]} if index in INDEXES else {"ConsistentRead": True}
    arguments = {
        "TableName": table,
        **where,
        "KeyConditionExpression": "#key = :value",
        "ExpressionAttributeNames": {"#key": index.value},
        "ExpressionAttributeValues": {":value": {"S": value}},
        "Limit": most,
    }
    return _pages(client.query, arguments, f"read the sessions table {table} (dynamodb:Query)")


def _pages(
    call: Callable[..., dict[str, Any]], arguments: Mapping[str, object], what: str
) -> Iterator[list[Mapping[str, Any]]]:
    more: dict[str, object] = {}
    while True:
        with asking(what):
            page = call(**arguments, **more)
        yield page.get("Items", [])
        if not page.get("LastEvaluatedKey"):
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _items(pages: Iterable[list[Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
    for page in pages:
        yield from page


def _unread(count: int, where: str) -> tuple[str, ...]:
    return (f"of {where}, what cannot be read is left out: {count}",) if count else ()


def _unreadable(path: Path, why: str) -> CommandError:
    return CommandError(
        "file-unreadable",
        f"Could not read {path}: {why}.",
        cure="Give what `aws cloudtrail lookup-events` prints, a trail's file, or events one to a line.",
    )
