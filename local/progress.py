"""Saying what happens while it happens: a spinner on a terminal, plain lines with timings elsewhere."""

import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.markup import escape

# Below this nobody waits, so nobody needs a number.
SHOW_SECONDS_FROM = 0.05

# How much of a failed program's log is worth showing; the file is named beside it.
LOG_TAIL_LINES = 20


class LocalCloudError(Exception):
    """Something on this machine is not as it must be; the text is one or two clear sentences."""


class Progress:
    """Prints steps with their duration."""

    def __init__(self, console: Console | None = None) -> None:
        # Without a terminal there is no width to wrap at: whole lines are easier to search.
        self.console = console or Console(highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step while it runs, and how long it took; an exception marks it as failed."""
        began = time.monotonic()
        try:
            if self.console.is_terminal:
                with self.console.status(escape(title)):
                    yield
            else:
                yield
        except BaseException:
            self.console.print(f"[red]✗[/] {escape(title)}{_seconds(began)}")
            raise
        self.console.print(f"[green]✓[/] {escape(title)}{_seconds(began)}")

    def say(self, text: str) -> None:
        """Print a line that is not a step; on a terminal folded below its own beginning."""
        indent = " " * (2 + len(text) - len(text.lstrip()))
        line = f"{indent}{text.lstrip()}"
        folded = textwrap.wrap(
            line, self.console.width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
        )
        for part in folded if self.console.is_terminal and folded else [line]:
            self.console.print(escape(part))

    def heading(self, text: str) -> None:
        """Print a heading."""
        self.console.print(f"\n[bold]{escape(text)}[/]")


def _seconds(began: float) -> str:
    spent = time.monotonic() - began
    return f" [dim]{spent:.1f} s[/]" if spent >= SHOW_SECONDS_FROM else ""


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a log file, or nothing where there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def interruptible() -> None:
    """Have SIGTERM and SIGINT raise ``KeyboardInterrupt``, even where the starter had them ignored."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)


def fail(error: BaseException) -> int:
    """Print a ``LocalCloudError`` for a person and return the exit status to leave with."""
    print(f"sallyport: {error}", file=sys.stderr)
    return 1
