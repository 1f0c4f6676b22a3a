"""Runs Athena's SQL over CloudTrail records: read in Athena's dialect, asked of SQLite.

The columns are those of the table that ``observability.yaml`` makes. A column that it lacks, a function that
the dialect does not have and a parameter that nobody gives are errors.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import sqlglot
from sqlglot import exp

from tests.support.cloudformation import load

TABLE = "sallyport.cloudtrail"


def columns() -> dict[str, str]:
    """Return the table's columns, fields of structures with their paths, and what type each has."""
    made = load("observability.yaml")["Resources"]["TrailTableMade"]["Properties"]["TableInput"]
    listed = [*made["StorageDescriptor"]["Columns"], *made["PartitionKeys"]]
    found: dict[str, str] = {}
    for one in listed:
        found |= _leaves(one["Name"], exp.DataType.build(one["Type"], dialect="hive"))
    return found


def _leaves(name: str, kind: exp.DataType) -> dict[str, str]:
    if kind.this is not exp.DataType.Type.STRUCT:
        return {name: kind.sql("hive").lower()}
    found: dict[str, str] = {}
    for field in kind.expressions:
        found |= _leaves(f"{name}.{field.name}", field.args["kind"])
    return found


def run(query: str, records: Iterable[Mapping[str, Any]], *parameters: str) -> list[str]:
    """Return the ids of the records that a query finds, in its order."""
    names = columns()
    with closing(sqlite3.connect(":memory:")) as database:
        # As in Athena, and not as SQLite would have it.
        database.execute("pragma case_sensitive_like = on")
        listed = ", ".join(f'"{name}"' for name in names)
        database.execute(f"create table cloudtrail ({listed})")
        marks = ", ".join("?" * len(names))
        rows = [[row.get(name) for name in names] for row in map(_row, records)]
        database.executemany(f"insert into cloudtrail values ({marks})", rows)  # noqa: S608 - the table's own names
        found = database.execute(_translated(query, names), parameters)
        place = [one[0] for one in found.description].index("eventid")
        return [row[place] for row in found]


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as the serializer of the table reads it, with the day under which it is filed."""
    row = _flat(record)
    row["day"] = str(record["eventTime"])[:10].replace("-", "/")
    return row


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in record.items():
        path = f"{prefix}{name}".lower()
        if isinstance(value, Mapping):
            found |= _flat(value, f"{path}.")
            # A column that is a text holds the object as it is written.
            found[path] = json.dumps(value)
        else:
            found[path] = value if isinstance(value, str | None) else json.dumps(value)
    return found


def _translated(query: str, names: Mapping[str, str]) -> str:
    tree = sqlglot.parse_one(query, dialect="athena")
    for function in tree.find_all(exp.Anonymous):
        raise NotImplementedError(function.name)
    (table,) = tree.find_all(exp.Table)
    assert table.sql() == TABLE
    table.replace(exp.to_table("cloudtrail"))
    for column in list(tree.find_all(exp.Column)):
        path = ".".join(part.name for part in column.parts)
        if path not in names:
            raise LookupError(f"the table has no column {path}")
        column.replace(exp.column(path, quoted=True))
    return tree.sql(dialect="sqlite")
