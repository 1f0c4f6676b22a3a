"""Tables of several columns: folded on a terminal so that they fit, one line for each row into a pipe."""

import sys
from collections.abc import Sequence
from typing import TextIO

from sallyport_cli.output import WIDTH, shown


def say_table(headings: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO | None = None) -> None:
    """Print rows below their headings.

    Args:
        headings: of the columns.
        rows: as many cells each; whatever is in one passes ``audit.display`` here.
        stream: where to, if not to the standard output. On a terminal the table fits ``WIDTH`` and what is
            too long is folded; into a pipe columns are padded and nothing is folded or cut.
    """
    stream = stream or sys.stdout
    harmless = [[shown(cell) for cell in row] for row in rows]
    if not stream.isatty():
        widths = [max(map(len, column)) for column in zip(headings, *harmless, strict=True)]
        for row in (headings, *harmless):
            cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
            print("  ".join(cells).rstrip(), file=stream)
        return
    from rich import box  # noqa: PLC0415 - only for terminals
    from rich.console import Console  # noqa: PLC0415 - the same
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        grid.add_column(Text(heading, style="bold"), overflow="fold")
    for row in harmless:
        grid.add_row(*(Text(cell) for cell in row))
    Console(file=stream, width=WIDTH, highlight=False).print(grid)
