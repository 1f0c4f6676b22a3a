"""What a time on the command line means."""

from datetime import UTC, datetime, timedelta

import pytest

from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.since import moment, past
from tests.support.audit_world import NOON


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30m", NOON - timedelta(minutes=30)),
        ("2026-11-20T13:00+01:00", NOON),
        ("2026-11-20T12:00", NOON),
        ("2020-01-01", datetime(2020, 1, 1, tzinfo=UTC)),
        ("9999d", NOON - timedelta(days=9999)),
    ],
)
def test_a_time_is_what_it_says_however_long_ago(text: str, meant: datetime) -> None:
    assert moment(text, NOON, "--from") == meant


@pytest.mark.parametrize("text", ["", "0m", "1w", "999999d", "0001-01-01T00:00+23:59", "12:00"])
def test_what_is_no_time_is_wrong_usage(text: str) -> None:
    with pytest.raises(CommandError, match="--to is neither a span nor a time") as error:
        moment(text, NOON, "--to")
    assert error.value.exit_code == Exit.USAGE


def test_what_lies_ahead_is_no_beginning() -> None:
    assert past("1m", NOON, "--from") == NOON - timedelta(minutes=1)
    with pytest.raises(CommandError, match="now it is 2026-11-20 12:00 UTC") as error:
        past("2026-11-20T12:00", NOON, "--from")
    assert error.value.exit_code == Exit.USAGE
