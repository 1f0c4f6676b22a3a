"""The result: one row per budget, as a table for people and as JSON for machines."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. ``met`` is ``None`` where there is no budget to meet."""

    what: str
    budget: str
    measured: str
    floor: str = ""
    ratio: float | None = None
    met: bool | None = None
    note: str = ""


def show(rows: Sequence[Row]) -> None:
    """Print the table; it fits 100 columns."""
    table = Table(title="Budgets", title_justify="left", pad_edge=False)
    for name in ("what", "budget", "measured", "floor"):
        table.add_column(name)
    table.add_column("ratio", justify="right")
    table.add_column("")
    verdicts = {True: "[green]met[/green]", False: "[red]MISSED[/red]", None: "reported"}
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(row.what, row.budget, row.measured, row.floor, ratio, verdicts[row.met])
    console = Console()
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"  {row.what}: {row.note}", highlight=False)


def save(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
