"""Where a command's words go: rich on a terminal, plain lines into a pipe, JSON on request."""

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO

from sallyport.audit.display import display

WIDTH = 80
"""The width that everything fits, whatever the terminal or the log it is pasted into."""

PROGRESS_FROM = 100
"""Items from which a progress bar says more than it disturbs: about a second's work."""

PROGRESS_AFTER = 2.0
"""Seconds after which fewer items have a progress bar as well: somebody waits."""

NAME_WIDTH = 16
"""The longest name of a value."""

_NARROWEST = 20
"""A terminal that says it has fewer columns is not believed."""


class Line(NamedTuple):
    """One line of a longer answer; where a terminal folds it, what follows is indented by ``hang``."""

    text: str
    style: str = ""
    hang: int = 0


def shown(text: object, limit: int = 2_048) -> str:
    """Return text that is harmless on a terminal; nothing here interprets markup."""
    return display(str(text), limit=limit, markup=False)


def say(text: str = "", *, style: str = "", hang: int | None = None, stream: TextIO | None = None) -> None:
    """Print one line; with its style where that is seen.

    Args:
        text: the line.
        style: how it looks on a terminal.
        hang: on a terminal, fold at its width and indent by so much what follows. ``None`` leaves the
            line whole, as what is to be copied needs it. Into a pipe every line is whole.
        stream: where to, if not to the standard output.
    """
    stream = stream or sys.stdout
    if not stream.isatty():
        print(text, file=stream)
        return
    from rich.console import Console  # noqa: PLC0415 - only for terminals
    from rich.text import Text  # noqa: PLC0415 - the same

    console = Console(file=stream, highlight=False)
    for part in [text] if hang is None else folded(text, hang):
        console.print(Text(part, style=style), soft_wrap=True)


def say_lines(lines: Iterable[Line]) -> None:
    """Print lines, folded where somebody reads them on a terminal."""
    for line in lines:
        say(line.text, style=line.style, hang=line.hang)


def folded(text: str, hang: int) -> list[str]:
    """Return a line in parts that fit the terminal, all but the first indented by ``hang``."""
    width = max(shutil.get_terminal_size().columns, _NARROWEST)
    # A name in front of a value stays whole; only what stands behind it is folded.
    start = hang if text[hang - 1 : hang] == " " else len(text) - len(text.lstrip())
    parts = textwrap.wrap(
        text[start:],
        width,
        initial_indent=text[:start],
        subsequent_indent=" " * min(hang, width // 2),
        break_on_hyphens=False,
    )
    return parts or [text]


def say_json(value: object) -> None:
    """Print a JSON document; ASCII alone, so that nothing in it can act on a terminal."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def details(title: str, blocks: Iterable[Iterable[tuple[str, str]]]) -> None:
    """Print blocks of names and values, the first row of each as its heading.

    On a terminal they are tables that fit ``WIDTH``, where long values are folded and never cut; into a
    pipe each value stays on its line, so that ``grep`` and eyes find it whole.
    """
    print()
    say(title, style="bold underline")
    for block in blocks:
        rows = [(name, shown(value)) for name, value in block]
        if sys.stdout.isatty():
            say_grid(rows, sys.stdout)
            continue
        print()
        for name, value in rows:
            print(f"{name:<{NAME_WIDTH}} {value}")


def say_grid(rows: Sequence[tuple[str, str]], stream: TextIO) -> None:
    """Print one block as a table of two columns, folded at ``WIDTH``."""
    from rich import box  # noqa: PLC0415 - only for terminals
    from rich.console import Console  # noqa: PLC0415 - the same
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    (name, value), *rest = rows
    grid.add_column(Text(name, style="bold"), min_width=NAME_WIDTH)
    grid.add_column(Text(value, style="bold"), overflow="fold")
    for one in rest:
        grid.add_row(*(Text(cell) for cell in one))
    console = Console(file=stream, width=WIDTH, highlight=False)
    console.print()
    console.print(grid)


_WAITING: list[str] = []
"""What is being waited for; a terminal has room for one."""


@contextmanager
def _only(what: str) -> Iterator[None]:
    _WAITING.append(what)
    try:
        yield
    finally:
        _WAITING.clear()


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a long write is, on a terminal; into a pipe nothing is printed."""
    if not sys.stderr.isatty() or _WAITING:
        yield lambda _done, _all: None
        return
    from rich.console import Console  # noqa: PLC0415 - only for terminals
    from rich.progress import Progress  # noqa: PLC0415 - the same

    with _only(what), Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: list[Any] = []
        begun = time.monotonic()

        def update(done: int, total: int) -> None:
            if tasks or total >= PROGRESS_FROM or time.monotonic() - begun >= PROGRESS_AFTER:
                if not tasks:
                    tasks.append(bar.add_task(what, total=total))
                bar.update(tasks[0], completed=done)

        yield update


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on a terminal what is being waited for; into a pipe nothing is printed.

    Within another one nothing is added: what the command does as a whole says more.
    """
    if not sys.stderr.isatty() or _WAITING:
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - only for terminals

    with _only(what), Console(stderr=True).status(what):
        yield
