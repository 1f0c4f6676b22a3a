"""Where the record of an exchange can be found: the records table, else the function's log."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError

MAX_PAGES = 200
"""Pages of the log that are looked through: CloudWatch may return many empty ones for a wide search."""

Record = Mapping[str, Any]


class DynamoDb(Protocol):
    """The part of boto3's DynamoDB client that is used here."""

    def get_item(self, **arguments: object) -> dict[str, Any]:
        """Read one item."""


class Logs(Protocol):
    """The part of boto3's CloudWatch Logs client that is used here."""

    def filter_log_events(self, **arguments: object) -> dict[str, Any]:
        """Search a log group."""


@dataclass(frozen=True, slots=True)
class Found:
    """A record, and whether it came from the ``table`` or only from the ``log``, which says less."""

    record: Record
    source: str


def from_table(client: DynamoDb, table: str, exchange_id: str) -> Found | None:
    """Return the record from the records table."""
    with asking(f"read the records table {table} (dynamodb:GetItem)"):
        answer = client.get_item(TableName=table, Key={"id": {"S": exchange_id}}, ConsistentRead=True)
    item = answer.get("Item")
    if item is None:
        return None
    try:
        record = json.loads(item["record"]["S"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _unreadable(exchange_id) from error
    if not isinstance(record, dict):
        raise _unreadable(exchange_id)
    return Found(record, "table")


def ids_behind(client: Logs, group: str, gateway_id: str) -> frozenset[str]:
    """Return the ids of the exchanges that a function's log has under API Gateway's own request id.

    Callers can choose that id, so that there may be several.
    """
    found: set[str] = set()
    arguments: dict[str, Any] = {"logGroupName": group, "filterPattern": f'"{gateway_id}"'}
    for _ in range(MAX_PAGES):
        with asking(f"search the log group {group} (logs:FilterLogEvents)"):
            page = client.filter_log_events(**arguments)
        lines = [_line(str(event.get("message", ""))) for event in page.get("events", [])]
        found |= {str(line.get("exchange_id", "")) for line in lines if line.get("gateway_id") == gateway_id}
        if not page.get("nextToken"):
            break
        arguments["nextToken"] = page["nextToken"]
    return frozenset(found)


def from_log(client: Logs, group: str, exchange_id: str) -> Found | None:
    """Return what a function's log says of an exchange: its line that names an outcome."""
    arguments: dict[str, Any] = {"logGroupName": group, "filterPattern": f'"{exchange_id}"'}
    for _ in range(MAX_PAGES):
        with asking(f"search the log group {group} (logs:FilterLogEvents)"):
            page = client.filter_log_events(**arguments)
        for event in page.get("events", []):
            line = _line(str(event.get("message", "")))
            if line.get("exchange_id") == exchange_id and "outcome" in line:
                return Found(_as_record(line), "log")
        if not page.get("nextToken"):
            return None
        arguments["nextToken"] = page["nextToken"]
    return None


def _line(message: str) -> dict[str, Any]:
    """Return a log line's fields; whatever is not a JSON object has none."""
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _as_record(line: Mapping[str, Any]) -> Record:
    """Give a log line's flat fields the record's names."""
    record: dict[str, Any] = {
        key: line[key]
        for key in (
            "route", "outcome", "reason", "code", "detail", "cure", "source_ip", "user_agent", "subject",
            "claimed", "proof_sha256", "notes", "gateway_id",
        )
        if key in line
    }  # fmt: skip
    record["id"] = line["exchange_id"]
    record["time"] = line.get("time") or _as_in_records(str(line.get("timestamp", "")))
    record["request"] = {"role_arn": line["role_arn"]} if "role_arn" in line else {}
    for key in ("anchor", "profile"):
        if key in line:
            record[key] = {"name": line[key]}
    if "certificate_sha256" in line:
        record["certificate"] = {"fingerprint": line["certificate_sha256"]}
    issued = {"access_key_id": "access_key_id", "sts_region": "region", "skipped_regions": "skipped_regions"}
    if found := {name: line[key] for key, name in issued.items() if key in line}:
        record["issued"] = found
    return record


def _as_in_records(timestamp: str) -> str:
    """Return the logger's time (``2026-11-20 12:00:00,123+0000``) as records have it, in RFC 3339."""
    if _LOGGED.fullmatch(timestamp) is None:
        return timestamp
    try:
        read = datetime.fromisoformat(timestamp.replace(",", "."))
        return read.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return timestamp


_LOGGED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:]{8}([,.][0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})")


def _unreadable(exchange_id: str) -> CommandError:
    return CommandError(
        "record-unreadable",
        f"The record of {exchange_id} is there but is not a JSON object.",
        cure="Look at the item in the records table; nothing but the functions should write there.",
    )
