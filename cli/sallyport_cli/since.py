"""What ``WHEN`` means on the command line: a span before now, or a time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from sallyport_cli.failure import CommandError, Exit

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")


def moment(text: str, now: datetime, option: str) -> datetime:
    """Return the time that an option means, in UTC.

    Raises:
        CommandError: it is neither a span nor a time.
    """
    span = _SPAN.fullmatch(text)
    try:
        found = now - int(span[1]) * _UNITS[span[2]] if span else datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise usage(
            f"{option} is neither a span nor a time.", "Give 30m, 12h, 7d, or 2026-11-20T12:00Z."
        ) from None


def past(text: str, now: datetime, option: str) -> datetime:
    """Return the time that an option means, which has to be over.

    Raises:
        CommandError: it is neither a span nor a time, or still to come.
    """
    found = moment(text, now, option)
    if found >= now:
        raise usage(
            f"{option} lies ahead: now it is {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC.",
            "Give a time that is over; one without a zone is UTC.",
        )
    return found


def usage(text: str, cure: str) -> CommandError:
    """Return the error of a wrong use."""
    return CommandError("usage", text, exit_code=Exit.USAGE, cure=cure)
