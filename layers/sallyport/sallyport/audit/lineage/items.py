"""How edges are kept, and how those are found that lead to one key and away from it.

Pure; the table is behind ``Find``. Each observation is an item of its own, put whole and never changed:
the same one twice is the same item, and nothing has to be read before it is written. Indexes lead from
what a reader has in hand, the parent's key, a source identity or a session name, to the edges.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sallyport.audit.events import access_key_id
from sallyport.audit.lineage.edges import Edge, Origin, OriginKind
from sallyport.errors import SallyportError

FORMAT: Final = "1"
# A key of an index is at most 2048 bytes
# (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html); what AWS itself
# lets through as source identity or session name is 64 characters. Longer ones are kept, not indexed.
MAX_INDEXED_BYTES: Final = 512
# Observations read for one trace: four times what a trace shows, as each edge has a record, an event
# and perhaps its copy.
MAX_EDGES: Final = 2_000
# Questions to the table for one trace, so that a trace costs a few seconds and cents at the most.
MAX_QUESTIONS: Final = 1_000


class Index(StrEnum):
    """By what an edge can be found. The value is the attribute that holds it."""

    CHILD = "pk"
    PARENT = "parent"
    SOURCE_IDENTITY = "source_identity"
    SESSION_NAME = "session_name"


Find = Callable[[Index, str, int], Iterable[Edge]]
"""Returns at most so many edges that have this value; raises ``UnavailableError`` if it cannot."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What was found; ``is_cut`` if there is more than was read."""

    edges: tuple[Edge, ...]
    is_cut: bool = False


def to_item(edge: Edge, *, expires_at: int) -> dict[str, Any]:
    """Return an observation as DynamoDB holds it.

    Args:
        edge: as ``edges_of`` and ``edges_of_record`` make it, not a joined one.
        expires_at: seconds since 1970, for the table's time to live.
    """
    seen = edge.event_ids[0] if edge.event_ids else edge.exchange_id or _iso(edge.time)
    item: dict[str, Any] = {
        "pk": {"S": edge.child},
        "sk": {"S": f"{'record' if edge.exchange_id else 'event'}#{seen}"},
        "at": {"S": _iso(edge.time)},
        "format": {"S": FORMAT},
        "edge": {"S": json.dumps(to_json(edge), separators=(",", ":"), ensure_ascii=True)},
        "expires_at": {"N": str(expires_at)},
    }
    for index in (Index.PARENT, Index.SOURCE_IDENTITY, Index.SESSION_NAME):
        value = getattr(edge, index.value)
        if value is not None and is_indexed(value):
            item[index.value] = {"S": value}
    return item


def from_item(item: Mapping[str, Any]) -> Edge:
    """Return the observation in an item.

    Raises:
        SallyportError: it is not what ``to_item`` made.
    """
    try:
        if item["format"]["S"] != FORMAT:
            raise SallyportError("edge-unreadable", "the item has a format of another version")
        edge = from_json(json.loads(item["edge"]["S"]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        raise SallyportError("edge-unreadable", "the item is no edge") from None
    if item.get("pk") != {"S": edge.child}:
        raise SallyportError("edge-unreadable", "the item's key is not its edge's")
    return edge


def is_indexed(value: str) -> bool:
    """Tell whether an edge can be found by this value."""
    return 0 < len(value.encode("utf-8", "surrogatepass")) <= MAX_INDEXED_BYTES


def collect(find: Find, start: str) -> Collected:
    """Return the edges that lead to a key, a source identity or a session name, and away from it.

    Back from an edge only the one that issued its parent is of interest, and not what else that parent
    made; forward everything is.
    """
    walk = _Walk(find)
    if not is_indexed(start):
        return Collected(())
    seeds: list[Edge] = []
    if access_key_id(start) is not None:
        seeds += walk.ask(Index.CHILD, start)
        seeds += walk.ask(Index.PARENT, start)
    if not seeds:
        seeds += walk.ask(Index.SOURCE_IDENTITY, start)
        seeds += walk.ask(Index.SESSION_NAME, start)
    back, forward = list(seeds), list(seeds)
    while back:
        edge = back.pop()
        back += walk.ask(Index.CHILD, edge.child)
        if edge.parent is not None:
            back += walk.ask(Index.CHILD, edge.parent)
    while forward:
        made = walk.ask(Index.PARENT, forward.pop().child)
        for edge in made:
            # The record of a session made on the way: its identity is not in CloudTrail's event.
            forward += [edge, *walk.ask(Index.CHILD, edge.child)]
    return Collected(tuple(walk.found), walk.is_cut)


class _Walk:
    """Asks each question once, and no more than a trace may cost."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._asked: set[tuple[Index, str]] = set()
        self.found: dict[Edge, None] = {}
        self.is_cut = False

    def ask(self, index: Index, value: str) -> list[Edge]:
        if (index, value) in self._asked:
            return []
        left = MAX_EDGES - len(self.found)
        if left <= 0 or len(self._asked) == MAX_QUESTIONS:
            self.is_cut = True
            return []
        self._asked.add((index, value))
        found = list(self._find(index, value, left + 1))
        self.is_cut = self.is_cut or len(found) > left
        new = [edge for edge in found[:left] if edge not in self.found]
        self.found |= dict.fromkeys(new)
        return found[:left]


def to_json(edge: Edge) -> dict[str, Any]:
    """Return an edge as plain JSON values; what nobody has said is left out."""
    value: dict[str, Any] = {"child": edge.child, "time": _iso(edge.time), "call": edge.call}
    for name in _TEXTS:
        said = getattr(edge, name)
        if said is not None:
            value[name] = said
    if edge.origin is not None:
        origin = edge.origin
        value["origin"] = {"kind": origin.kind.value, "name": origin.name, "by": origin.by}
    if edge.from_console:
        value["from_console"] = True
    if edge.tags:
        value["tags"] = dict(edge.tags)
    value["event_ids"] = list(edge.event_ids)
    return value


def from_json(value: Mapping[str, Any]) -> Edge:
    """Return the edge that ``to_json`` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is not what ``to_json`` wrote.
    """
    child, when = access_key_id(value["child"]), datetime.fromisoformat(value["time"])
    if child is None or when.tzinfo is None:
        raise ValueError("no access key id, or a time without a zone")
    said = {name: value.get(name) for name in _TEXTS}
    tags, ids, origin = value.get("tags", {}), value["event_ids"], value.get("origin")
    texts = [value["call"], *tags, *tags.values(), *ids, *(one for one in said.values() if one is not None)]
    if origin is not None:
        texts += [origin["name"], *([] if origin["by"] is None else [origin["by"]])]
    if not all(isinstance(one, str) for one in texts):
        raise TypeError("what should be text is none")
    return Edge(
        child=child,
        time=when.astimezone(UTC),
        call=value["call"],
        origin=None if origin is None else Origin(OriginKind(origin["kind"]), origin["name"], origin["by"]),
        from_console=value.get("from_console") is True,
        tags=tuple(sorted(tags.items())),
        event_ids=tuple(ids),
        **said,
    )


_TEXTS: Final = (
    "parent",
    "caller",
    "caller_type",
    "caller_account",
    "role",
    "session_name",
    "source_identity",
    "address",
    "account",
    "region",
    "exchange_id",
    "outcome",
    "occurrence",
)


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
