"""Access keys that last: those of root, those in use, those that are old or that nobody needs.

What is read is IAM's credential report, or what ListAccessKeys and GetAccessKeyLastUsed answer. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sallyport.audit.finding import Severity, safe
from sallyport.audit.weakness import Verdict, Weakness

OLD: Final = timedelta(days=90)
"""After which AWS's own checks call a key old, and one that is not used idle."""

ROOT: Final = "<root_account>"
_NEVER: Final = frozenset({"N/A", "no_information", "not_supported", ""})
_KEYS: Final = ("access_key_1", "access_key_2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An active key. ``name`` is its id, or which of the user's two it is; times are ``None`` if unknown.

    ``is_used`` is ``None`` where it cannot be told whether it was ever used.
    """

    user: str
    name: str
    created: datetime | None
    used: datetime | None
    is_used: bool | None


def read_report(content: bytes) -> list[dict[str, str]]:
    """Return the rows of a credential report, by column.

    Raises:
        ValueError: it is no such report.
    """
    try:
        rows = [dict(row) for row in csv.DictReader(io.StringIO(content.decode("utf-8")), strict=True)]
    except csv.Error as error:
        raise ValueError("no credential report") from error
    if not all({"user", *(f"{key}_active" for key in _KEYS)} <= row.keys() for row in rows) or not rows:
        raise ValueError("no credential report")
    return rows


def of_report(rows: Iterable[Mapping[str, Any]]) -> Iterator[Key]:
    """Yield the active keys of a credential report; what is not said to be inactive counts as active."""
    for row in rows:
        for name in _KEYS:
            if str(row.get(f"{name}_active", "")).lower() == "false":
                continue
            used = str(row.get(f"{name}_last_used_date") or "")
            yield Key(
                user=str(row.get("user")),
                name=name,
                created=_time(row.get(f"{name}_last_rotated")),
                used=_time(used),
                # "N/A" is never; "no_information" is from before AWS counted.
                is_used=False if used == "N/A" else True if _time(used) else None,
            )


def weaknesses(key: Key, now: datetime) -> Iterator[Weakness]:
    """Yield what is weak about an active key."""
    if key.user == ROOT:
        yield _weak(
            key,
            "root-access-key",
            Severity.CRITICAL,
            "the root user has an active access key, which nothing in the account can limit",
            "delete it",
        )
    if key.created is None or (key.is_used is None and key.user != ROOT):
        yield _weak(
            key,
            "access-key-unreadable",
            Severity.LOW,
            "since when there is this key, or whether it is used, is not said",
            "look at it in IAM",
            Verdict.CANNOT_TELL,
        )
    if key.created is not None and now - key.created > OLD:
        yield _weak(
            key,
            "access-key-old",
            Severity.MEDIUM,
            f"the key is {(now - key.created).days} days old",
            "replace what needs it by roles, then delete it",
        )
    if key.used is not None and now - key.used <= OLD:
        yield _weak(
            key,
            "access-key-in-use",
            Severity.LOW,
            "a key that lasts is in use, where credentials of an hour would do",
            "let the workload come by Sallyport or a role of its own, then delete the key",
        )
    elif key.is_used is not None and key.created is not None and now - (key.used or key.created) > OLD:
        yield _weak(
            key,
            "access-key-idle",
            Severity.MEDIUM,
            f"nobody has used the key for {OLD.days} days, and whoever finds it can",
            "deactivate it, and delete it when nobody complains",
        )


def _weak(  # noqa: PLR0913, PLR0917 - what a weakness is made of
    key: Key, code: str, severity: Severity, text: str, cure: str, verdict: Verdict = Verdict.WEAK
) -> Weakness:
    return Weakness(
        code=code, severity=severity, verdict=verdict, subject=safe(key.name), text=text, cure=cure
    )


def _time(value: object) -> datetime | None:
    """Return a time as boto3 or a report writes it; one without a zone is UTC, as IAM's are."""
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str) and value not in _NEVER:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return None
    else:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
