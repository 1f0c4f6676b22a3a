"""`make bench`: run every measurement and print the table; `ARGS="--quick"` leaves out the million."""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench import (
    audit_pipeline,
    audit_rules,
    cached_call,
    growth,
    hostile,
    hostile_requests,
    hot_path,
    refresh,
    size,
    start,
    table,
    trigger,
)

RESULT = Path(__file__).resolve().parent.parent / ".local" / "bench.json"


def main() -> int:
    """Measure; the exit code is 1 if a budget was missed."""
    asked = argparse.ArgumentParser(
        prog="make bench", description="Measure against the budgets, in some ten minutes."
    )
    asked.add_argument("--quick", action="store_true", help="leave out what needs a million entries")
    quick: bool = asked.parse_args().quick
    console = Console(stderr=True)
    rows: list[table.Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        console.print("building the layer for this machine …")
        layer = size.build("local", folder / "local")
        console.print("hot path …")
        rows += hot_path.measure()
        console.print("hostile input …")
        rows += hostile.measure()
        rows += hostile_requests.measure()
        console.print("cached call …")
        rows += cached_call.measure()
        console.print("audit rules …")
        rows += audit_rules.measure(quick=quick)
        console.print("audit pipeline …")
        rows += audit_pipeline.measure(quick=quick)
        console.print("init, first answer, memory …")
        rows += start.measure(layer)
        console.print("the trigger …")
        rows += trigger.measure(layer)
        console.print("weighing the layer for Lambda …")
        rows += size.measure(folder)
    if not quick:
        console.print(
            f"growth: filling tables with {growth.LARGE:,} profiles and serials, which takes a few minutes …"
        )
        rows += growth.measure(growth.state())
        console.print(f"refreshing a list with {growth.LARGE:,} entries …")
        rows += refresh.measure(growth.LARGE)
    table.show(rows)
    table.save(rows, RESULT)
    console.print(f"also as JSON: {RESULT.relative_to(RESULT.parent.parent)}")
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
