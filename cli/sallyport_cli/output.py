"""Where a command's words go: rich on a terminal, plain lines into a pipe, JSON on request."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from sallyport.audit.display import display

WIDTH = 80
"""The width that everything fits, whatever the terminal or the log it is pasted into."""

PROGRESS_FROM = 100
"""Items from which a progress bar says more than it disturbs: about a second's work."""

Cell = str
"""Text of a table or a line; already passed through ``shown`` if it came from outside."""


def shown(text: object, limit: int = 2_048) -> str:
    """Return text that is harmless on a terminal; nothing here interprets markup."""
    return display(str(text), limit=limit, markup=False)


def say(text: str = "", *, style: str = "", stream: TextIO | None = None) -> None:
    """Print one line; with its style where that is seen."""
    stream = stream or sys.stdout
    if not stream.isatty():
        print(text, file=stream)
        return
    from rich.console import Console  # noqa: PLC0415 — only for terminals
    from rich.text import Text  # noqa: PLC0415 — the same

    Console(file=stream, highlight=False).print(Text(text, style=style), soft_wrap=True)


def say_json(value: object) -> None:
    """Print a JSON document; ASCII alone, so that nothing in it can act on a terminal."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table that fits ``WIDTH``; what does not fit is folded, never cut."""
    from rich import box  # noqa: PLC0415 — 40 ms that most commands do not need
    from rich.console import Console  # noqa: PLC0415 — the same
    from rich.table import Table  # noqa: PLC0415 — the same
    from rich.text import Text  # noqa: PLC0415 — the same

    grid = Table(
        title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for name in columns:
        grid.add_column(Text(name), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    Console(file=sys.stdout, width=WIDTH, highlight=False).print(grid)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a long write is, on a terminal; into a pipe nothing is printed."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console  # noqa: PLC0415 — only for terminals
    from rich.progress import Progress  # noqa: PLC0415 — the same

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: list[Any] = []

        def update(done: int, total: int) -> None:
            if total >= PROGRESS_FROM:
                if not tasks:
                    tasks.append(bar.add_task(what, total=total))
                bar.update(tasks[0], completed=done)

        yield update
