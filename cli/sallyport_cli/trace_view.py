"""A trace as a tree of lines: folded where a terminal ends, into a pipe never.

Everything in a trace was written by somebody else, so that all of it passes ``audit.display``.
"""

import shutil
import sys
from collections.abc import Iterator
from typing import Final
from unicodedata import east_asian_width

from sallyport.audit.lineage.tree import End, Root, Row, Step, Trace
from sallyport.audit.lineage.words import ENDS, facts, omission, title, verdict
from sallyport_cli.output import NAME_WIDTH, Line, shown

_MAX_BARS: Final = 10
"""Levels that are drawn. Deeper ones leave no room for what is said of them, and say their depth."""

_NARROWEST: Final = 60
"""Columns below which a tree is none any more; a terminal that has fewer folds for itself."""

_WIDEST: Final = 120
"""Columns beyond which the eye does not find the next line."""

_STYLES: Final = {End.OUTSIDE: "bold green", End.BROKEN: "bold red", End.CYCLE: "bold red"}


def lines(trace: Trace, *, width: int | None = None) -> Iterator[Line]:
    """Yield a trace line by line.

    Args:
        trace: as ``tree`` made it.
        width: columns to fold at. ``None`` is the terminal's width, within bounds, or a pipe's none.
    """
    if width is None and sys.stdout.isatty():
        width = min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)
    style = "bold red" if trace.gaps else "bold green" if trace.arrives else "bold yellow"
    yield from _folded("", "", verdict(trace), width, style)
    if more := omission(trace):
        yield from _folded("", "", more, width, "yellow")
    for gap in trace.gaps:
        yield from _folded("! ", "  ", shown(gap), width, "red")
    last = {row.above: number for number, row in enumerate(trace.rows)}
    bars: list[str] = []
    for number, row in enumerate(trace.rows):
        below = number + 1 < len(trace.rows) and trace.rows[number + 1].above == number
        if isinstance(row.what, Root):
            yield Line("")
            text = f"{ENDS[row.what.end]}: {shown(row.what.text)}"
            yield from _folded("", "│  " if below else "   ", text, width, _STYLES.get(row.what.end, "bold"))
            continue
        is_last = last[row.above] == number
        # What stands left of a row: the bars of all that is above it.
        del bars[row.depth - 1 :]
        yield from _step(row, row.what, bars, width, is_last=is_last, has_below=below)
        bars.append("   " if is_last else "│  ")


def _step(  # noqa: PLR0913 - what a row looks like
    row: Row, step: Step, bars: list[str], width: int | None, *, is_last: bool, has_below: bool
) -> Iterator[Line]:
    left = "".join(bars[-_MAX_BARS:])
    hidden = f"(level {row.depth}) " if len(bars) > _MAX_BARS else ""
    inner = left + ("   " if is_last else "│  ") + ("│ " if has_below else "  ")
    mark = "  ◀ asked for" if step.is_asked else ""
    head = f"{hidden}{shown(title(step))}{mark}"
    yield from _folded(left + ("└─ " if is_last else "├─ "), inner, head, width, "bold")
    for name, value in facts(step):
        first = f"{inner}{name:<{NAME_WIDTH}} "
        yield from _folded(first, inner + " " * (NAME_WIDTH + 1), shown(value), width, "")


def _folded(first: str, rest: str, text: str, width: int | None, style: str) -> Iterator[Line]:
    """Yield a text in parts that fit, cut at spaces where there are some."""
    if width is None:
        yield Line(first + text, style)
        return
    left = first
    while True:
        room = width - len(left)
        place = _fits(text, room)
        if place < len(text) and (space := text.rfind(" ", 1, place + 1)) > 0:
            place = space
        yield Line(left + text[:place].rstrip(" "), style)
        text, left = text[place:].lstrip(" "), rest
        if not text:
            return


def _fits(text: str, room: int) -> int:
    """Return how many characters fit into so many columns; at least one."""
    used = 0
    for place, character in enumerate(text):
        used += 2 if east_asian_width(character) in "WF" else 1
        if used > room:
            return max(place, 1)
    return len(text)
