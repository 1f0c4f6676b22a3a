"""Revocation lists for people: number, entries, next update, and whether exchanges believe them."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO

from sallyport.proof.crl import CrlState, is_expired
from sallyport_cli.anchor_warnings import minute
from sallyport_cli.crl_table import Brought, Outcome, Pointer
from sallyport_cli.output import WIDTH, Line, shown

IN_FORCE = "in force"
LATE = f"{IN_FORCE}, but LATE"

_HEADINGS = ("list", "number", "entries", "next update", "state")
_UNKNOWN = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """One revocation list of an anchor, in words.

    ``why`` says what is to be said about it, ``is_in_force`` whether exchanges are known to believe it.
    """

    anchor: str
    name: str
    number: str = _UNKNOWN
    entries: str = _UNKNOWN
    next_update: str = _UNKNOWN
    state: str = _UNKNOWN
    why: str = ""
    is_in_force: bool = False

    def cells(self, *, with_anchor: bool) -> tuple[str, ...]:
        """Return what stands in a table's row."""
        name = f"{self.anchor}: {self.name}" if with_anchor else self.name
        return tuple(map(shown, (name, self.number, self.entries, self.next_update, self.state)))


def of_brought(one: Brought) -> ListRow:
    """Return what is known of a list right after it was brought."""
    state = one.list.state
    words = {
        Outcome.UPLOADED: "uploaded",
        Outcome.UNCHANGED: "there already",
        Outcome.OLDER: "NOT taken: older",
    }
    return ListRow(
        anchor=one.list.anchor.name,
        name=state.id,
        number=str(state.number),
        entries=f"{one.list.entries:,}",
        next_update=minute(state.next_update),
        state=words[one.outcome],
    )


def told(one: Brought) -> dict[str, Any]:
    """Return what ``--json`` says of a list that was brought."""
    state = one.list.state
    return {
        "anchor": one.list.anchor.name,
        "list": state.id,
        "outcome": one.outcome.value,
        "digest": state.digest,
        "number": str(state.number),
        "entries": one.list.entries,
        "this_update": state.this_update.isoformat(),
        "next_update": state.next_update.isoformat(),
        "number_before": None if one.previous is None else str(one.previous.number),
    }


def of_answer(answer: Mapping[str, Any]) -> Iterator[ListRow]:
    """Yield what ``refresh_keys`` says of each list; whatever has another form is no mistake of ours.

    Of a list that it did not take, number and next update are those of the one that stays in force.
    """
    outcomes = answer.get("crls")
    for one in outcomes if isinstance(outcomes, list) else ():
        if not isinstance(one, Mapping):
            continue
        number, entries = one.get("number"), one.get("entries")
        is_good = one.get("status") in _GOOD
        state = LATE if one.get("reason") == "crl-stale" else IN_FORCE
        if not is_good:
            state = "NOT taken, and there is none" if number is None else "NOT taken; this one stays"
        yield ListRow(
            anchor=str(one.get("anchor_name") or one.get("anchor_id") or _UNKNOWN),
            name=str(one.get("list_id") or _UNKNOWN),
            number=_UNKNOWN if number is None else str(number),
            entries=f"{entries:,}" if isinstance(entries, int) else _UNKNOWN,
            next_update=_minute(one.get("next_update")),
            state=state,
            why=", ".join(str(one[key]) for key in ("reason", "detail") if one.get(key)),
            is_in_force=is_good,
        )


_GOOD = frozenset({"refreshed", "confirmed"})
"""What the function says of a list that exchanges believe from now on, or did before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableList:
    """What the tables say of a list that an anchor declares.

    ``pointer`` is what an operator brought, ``state`` what exchanges believe; ``is_read`` says whether
    the latter was looked for.
    """

    anchor: str
    name: str
    is_fetched: bool
    pointer: Pointer | None = None
    state: CrlState | None = None
    is_read: bool = False

    def row(self, now: datetime) -> ListRow:
        """Return it in words."""
        pointer, state = self.pointer, self.state
        same = pointer is not None and (state is None or pointer.digest == state.digest)
        number = state.number if state is not None else None
        ends = state.next_update if state is not None else None
        if state is None and pointer is not None:
            number, ends = pointer.number, pointer.next_update
        return ListRow(
            anchor=self.anchor,
            name=self.name,
            number=_UNKNOWN if number is None else str(number),
            entries=f"{pointer.entries:,}"
            if pointer is not None and same and pointer.entries is not None
            else _UNKNOWN,
            next_update=_UNKNOWN if ends is None else minute(ends),
            state=self._state(now, same=same),
            is_in_force=state is not None and not is_expired(state, now),
        )

    def _state(self, now: datetime, *, same: bool) -> str:
        if self.state is not None:
            words = LATE if now > self.state.next_update else IN_FORCE
            if is_expired(self.state, now):
                words = "EXPIRED"
            waits = f"; number {self.pointer.number} waits" if self.pointer is not None and not same else ""
            return words + waits
        if self.is_read:
            return "MISSING" if self.pointer is None else "MISSING; waits for refresh_keys"
        if self.pointer is not None:
            return f"brought {self.pointer.at[:10]}"
        return "fetched by refresh_keys" if self.is_fetched else "never brought"


def say_lists(rows: Sequence[ListRow]) -> None:
    """Print lists as a table; on a terminal it fits ``WIDTH`` and what is too long is folded."""
    if not rows:
        return
    # Where there is one anchor, its name would only make the table wider.
    with_anchor = len({row.anchor for row in rows}) > 1
    cells_of = [row.cells(with_anchor=with_anchor) for row in rows]
    if sys.stdout.isatty():
        say_table(cells_of, sys.stdout)
        return
    table = [_HEADINGS, *cells_of]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(_HEADINGS))]
    print()
    for cells in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip())
    print()


def say_table(rows: Iterable[Sequence[str]], stream: TextIO) -> None:
    """Print rows below the headings, folded at ``WIDTH``."""
    from rich import box  # noqa: PLC0415 - only for terminals
    from rich.console import Console  # noqa: PLC0415 - the same
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in _HEADINGS:
        grid.add_column(Text(heading, style="bold"), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console = Console(file=stream, width=WIDTH, highlight=False)
    console.print()
    console.print(grid)
    console.print()


def reasons(rows: Iterable[ListRow]) -> Iterator[Line]:
    """Yield why lists are not in force, a line for each."""
    for row in rows:
        if row.why:
            yield Line(f"{shown(row.anchor)}: {shown(row.name)}: {shown(row.why)}", "yellow", 4)


def _minute(value: object) -> str:
    try:
        return minute(datetime.fromisoformat(str(value)))
    except ValueError:
        return _UNKNOWN
