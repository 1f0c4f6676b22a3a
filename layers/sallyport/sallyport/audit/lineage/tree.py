"""The tree of sessions around one key: back to the outside identity, and forward to what it became.

Pure. Whatever edges come in, the tree ends: each edge is in it once, cycles and contradictions are cut and
named, and so is every place at which nobody says what was before.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sallyport.audit.events import access_key_id
from sallyport.audit.lineage.edges import Edge, Origin, join, order
from sallyport.audit.lineage.items import to_json as edge_to_json

# What a reader can take in, and a page can show without effort.
MAX_SHOWN: Final = 500


class End(StrEnum):
    """How a trace ends where it goes back no further. Only ``OUTSIDE`` is an arrival."""

    OUTSIDE = "outside-identity"
    SERVICE = "aws-service"
    LONG_TERM_KEY = "long-term-key"
    CONSOLE = "console-session"
    BROKEN = "broken"
    CYCLE = "cycle"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Root:
    """Where a branch begins. ``key`` is the access key it begins with, if it begins with one.

    ``text`` says what is there, and where the chain is broken what is missing.
    """

    end: End
    text: str
    key: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One session in its place. ``is_asked`` marks what the trace was asked for."""

    edge: Edge
    is_asked: bool = False
    # Another edge says that the same key was issued otherwise.
    is_disputed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tree, in the order in which a reader goes through it.

    ``above`` is the number of the row it hangs from, ``None`` for a root; ``depth`` counts from 0.
    """

    what: Root | Step
    depth: int
    above: int | None


@dataclass(frozen=True, slots=True)
class Trace:
    """A forest in the order of reading, and what is wrong with it.

    ``omitted`` is how many edges belong to it and are not shown.
    """

    start: str
    rows: tuple[Row, ...]
    gaps: tuple[str, ...]
    omitted: int = 0

    @property
    def steps(self) -> Iterator[Step]:
        """Return the sessions alone."""
        return (row.what for row in self.rows if isinstance(row.what, Step))

    @property
    def arrives(self) -> bool:
        """Tell whether every branch begins with an outside identity."""
        ends = [row.what.end for row in self.rows if isinstance(row.what, Root)]
        return bool(ends) and all(end is End.OUTSIDE for end in ends)


def tree(edges: Iterable[Edge], start: str) -> Trace:
    """Return what is known around ``start``.

    Args:
        edges: all that may matter, in any order, several times or joined already; others do no harm.
        start: an access key id, a source identity or a session name. If keys have that id, names that
            look like it are not considered: callers choose their names.
    """
    known = join(edges)
    issued, made = _by(known, "child"), _by(known, "parent")
    asked = _asked(known, issued, made, start)
    reach = _reachable(asked, issued, made)
    shown = reach[:MAX_SHOWN]
    # What a key was used for is not what was asked for; its root says that it is there.
    marked = frozenset(edge for edge in asked if edge.parent != start or edge.child == start)
    return _Forest(shown, marked, issued).trace(start, len(reach) - len(shown))


def to_json(trace: Trace) -> dict[str, Any]:
    """Return a trace as plain JSON values: rows in the order of reading."""
    return {
        "start": trace.start,
        "arrives": trace.arrives,
        "gaps": list(trace.gaps),
        "omitted": trace.omitted,
        "rows": [
            {"row": number, "above": row.above, "depth": row.depth, **_row(row)}
            for number, row in enumerate(trace.rows)
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    if isinstance(row.what, Step):
        step = row.what
        return {"asked": step.is_asked, "disputed": step.is_disputed, "session": edge_to_json(step.edge)}
    return {"root": {"end": row.what.end.value, "text": row.what.text, "key": row.what.key}}


_Edges = dict[str, list[Edge]]


def _by(edges: Iterable[Edge], name: str) -> _Edges:
    found: _Edges = {}
    for edge in edges:
        value = getattr(edge, name)
        if value is not None:
            found.setdefault(value, []).append(edge)
    return found


def _asked(known: Iterable[Edge], issued: _Edges, made: _Edges, start: str) -> list[Edge]:
    if access_key_id(start) is not None and (found := issued.get(start) or made.get(start)):
        return found
    return [edge for edge in known if start and start in {edge.source_identity, edge.session_name}]


def _before(edge: Edge, issued: _Edges) -> list[Edge]:
    """Return the edges that issued an edge's parent; an outside identity has nothing before it."""
    if edge.parent is None or (edge.origin is not None and edge.origin.is_outside):
        return []
    return issued.get(edge.parent, [])


def _reachable(asked: list[Edge], issued: _Edges, made: _Edges) -> list[Edge]:
    """Return the edges asked for, then what led to them, then what came of them; each edge once."""

    def before(edge: Edge) -> list[Edge]:
        return _before(edge, issued)

    def after(edge: Edge) -> list[Edge]:
        return made.get(edge.child, [])

    return list(dict.fromkeys((*asked, *_along(before, asked), *_along(after, asked))))


def _along(neighbours: Callable[[Edge], list[Edge]], asked: list[Edge]) -> Iterable[Edge]:
    waiting = deque(asked)
    done = set(asked)
    while waiting:
        for edge in neighbours(waiting.popleft()):
            if edge not in done:
                done.add(edge)
                waiting.append(edge)
                yield edge


class _Forest:
    """Puts edges below what they came from, each of them once."""

    def __init__(self, shown: list[Edge], asked: frozenset[Edge], issued: _Edges) -> None:
        self._asked = asked
        self._issued = issued
        self._shown = {edge: number for number, edge in enumerate(sorted(shown, key=order))}
        self._above: dict[Edge, Edge] = {}
        self._below: dict[Edge, list[Edge]] = {}
        self._rows: list[Row] = []
        self._placed: set[Edge] = set()
        self._gaps: dict[str, None] = {}

    def trace(self, start: str, omitted: int) -> Trace:
        roots: dict[tuple[End, str], tuple[Root, list[Edge]]] = {}
        for edge in self._shown:
            above = next((one for one in _before(edge, self._issued) if one in self._shown), None)
            if above is None:
                root = self._root(edge)
                roots.setdefault((root.end, root.key or root.text), (root, []))[1].append(edge)
            else:
                self._above[edge] = above
                self._below.setdefault(above, []).append(edge)
        for root, edges in roots.values():
            self._place(root, edges)
        for edge in self._shown:
            # Whatever hangs from no root is in a circle, or hangs from one.
            if edge not in self._placed:
                first = self._in_circle(edge)
                self._place(_circle(first), [first])
        return Trace(start, tuple(self._rows), tuple(self._gaps), omitted)

    def _in_circle(self, edge: Edge) -> Edge:
        seen: set[Edge] = set()
        while edge not in seen:
            seen.add(edge)
            edge = self._above[edge]
        return edge

    def _place(self, root: Root, edges: list[Edge]) -> None:
        if root.end in {End.BROKEN, End.CYCLE}:
            self._gaps[root.text] = None
        self._rows.append(Row(root, 0, None))
        # No recursion: a chain may be as long as the tree is large.
        waiting = [(edge, 1, len(self._rows) - 1) for edge in reversed(edges)]
        while waiting:
            edge, depth, above = waiting.pop()
            if edge in self._placed:
                continue
            self._placed.add(edge)
            is_disputed = len(self._issued[edge.child]) > 1
            if is_disputed:
                self._gaps[
                    f"what is known of who issued the key {edge.child} contradicts itself: one of it is wrong"
                ] = None
            number = len(self._rows)
            self._rows.append(Row(Step(edge, edge in self._asked, is_disputed), depth, above))
            waiting += [(one, depth + 1, number) for one in reversed(self._below.get(edge, []))]

    def _root(self, edge: Edge) -> Root:
        origin, key = edge.origin, edge.parent
        if origin is not None and origin.is_outside:
            by = f", vouched for by {origin.by}" if origin.by else ""
            return Root(End.OUTSIDE, f"{origin.kind.value} {origin.name}{by}", None, origin)
        if _before(edge, self._issued):
            return Root(End.CUT, f"key {key}: what is before it is more than is shown", key)
        if key is not None:
            return _of_key(edge, key)
        if origin is not None:
            return Root(End.SERVICE, origin.name, None, origin)
        return Root(End.BROKEN, _of_nobody(edge))


def _of_nobody(edge: Edge) -> str:
    """Return what is missing of a session that no key and no identity is known of."""
    if edge.caller_type == "AWSAccount":
        who = f"somebody in account {edge.caller_account or 'unknown'} ({edge.caller or 'unnamed'})"
        return f"{who} made the key {edge.child}: with which key, only that account's trail says"
    if edge.exchange_id is not None:
        return f"the record of exchange {edge.exchange_id} does not say for whom the key {edge.child} was"
    return f"nothing says who made the key {edge.child}, or with which key"


def _of_key(edge: Edge, key: str) -> Root:
    """Return the root that is an access key which nobody is known to have issued."""
    who = edge.caller or "somebody"
    is_users = edge.caller_type in {"IAMUser", "Root"} and not key.startswith("ASIA")
    if key.startswith("AKIA") or is_users:
        return Root(End.LONG_TERM_KEY, f"{key} of {who}", key)
    if edge.from_console:
        return Root(End.CONSOLE, f"{who}, with key {key}", key)
    account = f"; look into the trail of account {edge.caller_account}" if edge.caller_account else ""
    return Root(End.BROKEN, f"key {key} was used (by {who}), but nothing says who issued it{account}", key)


def _circle(edge: Edge) -> Root:
    way = f"key {edge.child} is said to come from itself, by way of {edge.parent}"
    return Root(End.CYCLE, f"{way}: one of these events is wrong", edge.parent)
