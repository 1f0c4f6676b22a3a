"""Whatever stands in a cell, a table keeps its width and nothing in it acts on a terminal."""

import io
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sallyport_cli import crl_view
from sallyport_cli.output import WIDTH, folded, say, say_grid, shown
from sallyport_cli.tables import say_table

# What rich writes for bold and its end; colours are of the same form.
STYLE = re.compile(r"\x1b\[[0-9;]*m")
COLUMNS = 6

ANYTHING = st.text(st.characters(codec=None, exclude_categories=()), max_size=200)
ROWS = st.lists(st.lists(ANYTHING, min_size=COLUMNS, max_size=COLUMNS), min_size=1, max_size=3)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def history(rows: list[list[str]], stream: io.StringIO) -> None:
    say_table(("when", "who", "did", "what"), [row[:4] for row in rows], stream)


def details(rows: list[list[str]], stream: io.StringIO) -> None:
    say_grid([("name", shown(row[0])) for row in rows], stream)


def lists(rows: list[list[str]], stream: io.StringIO) -> None:
    crl_view.say_table(
        [
            crl_view.ListRow(
                anchor=row[0], name=row[1], number=row[2], entries=row[3], next_update=row[4], state=row[5]
            ).cells(with_anchor=True)
            for row in rows
        ],
        stream,
    )


Table = Callable[[list[list[str]], io.StringIO], None]


@pytest.mark.parametrize("table", [history, details, lists])
@given(rows=ROWS)
def test_a_table_keeps_its_frame_whatever_is_in_its_cells(table: Table, rows: list[list[str]]) -> None:
    terminal = Terminal()
    table(rows, terminal)
    for line in STYLE.sub("", terminal.getvalue()).split("\n"):
        assert cell_len(line) <= WIDTH
        assert all(character.isprintable() for character in line)


@given(ROWS)
def test_into_a_pipe_every_row_is_one_line(rows: list[list[str]]) -> None:
    pipe = io.StringIO()
    history(rows, pipe)
    assert pipe.getvalue().count("\n") == len(pipe.getvalue().splitlines()) == len(rows) + 1
    assert "\x1b" not in pipe.getvalue()


@given(ANYTHING)
def test_without_colours_no_colour_is_written(text: str) -> None:
    """https://no-color.org: bold is no colour."""
    colour = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|9[0-7])[;m]")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TERM", "xterm-256color")
        environment.delenv("NO_COLOR", raising=False)
        coloured, plain = Terminal(), Terminal()
        say(f"x{shown(text)}", style="bold red", hang=0, stream=coloured)
        environment.setenv("NO_COLOR", "1")
        say(f"x{shown(text)}", style="bold red", hang=0, stream=plain)
    assert colour.search(coloured.getvalue())
    assert not colour.search(plain.getvalue())


@given(text=ANYTHING, width=st.integers(20, 200))
def test_what_is_folded_fits_the_columns_of_the_environment(text: str, width: int) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COLUMNS", str(width))
        parts = folded(shown(text), 4)
    assert all(len(part) <= width for part in parts)
