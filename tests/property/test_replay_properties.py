"""Whatever a log file holds, and however it is written, is read as it is or refused in our words."""

import gzip
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.audit.events import Observed, Unusable, read_event
from sallyport.audit.selection import wanted_by_any
from sallyport_cli.failure import CommandError
from sallyport_cli.queue_sender import MAX_BYTES, send
from sallyport_cli.replay import moment
from sallyport_cli.replay_queues import records_way
from sallyport_cli.replay_trail import Choice, send_trail
from sallyport_cli.trail_file import BrokenFileError, envelope, events, unpacked
from sallyport_cli.trail_places import LogFile, Wanted
from tests.support.audit_world import MANAGED_ROLE, NOON
from tests.support.fake_queues import Queues
from tests.support.rule_samples.sample import assume, user

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
GOOD = assume(user(), MANAGED_ROLE)["detail"]
WANTED = Wanted(first=datetime(2000, 1, 1, tzinfo=UTC), last=datetime(2100, 1, 1, tzinfo=UTC))


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found, at = [], 0
    for size in sizes:
        found.append(data[at : at + size])
        at += size
    return [*found, data[at:]]


@given(
    records=st.lists(VALUES, max_size=4),
    others=st.dictionaries(st.text(max_size=9).filter(lambda name: name != "Records"), VALUES, max_size=2),
    sizes=st.lists(st.integers(0, 40), max_size=9),
    is_packed=st.booleans(),
    is_ascii=st.booleans(),
    indent=st.none() | st.just(1),
)
def test_what_is_written_is_read(  # noqa: PLR0913 - so many ways to write a file
    *,
    records: list[Any],
    others: dict[str, Any],
    sizes: list[int],
    is_packed: bool,
    is_ascii: bool,
    indent: int | None,
) -> None:
    text = json.dumps({**others, "Records": records}, ensure_ascii=is_ascii, indent=indent)
    data = text.encode("utf-8", "replace") if not is_ascii else text.encode()
    expected = json.loads(data)["Records"]
    packed = gzip.compress(data) if is_packed else data
    assert list(events(unpacked(pieces(packed, sizes)))) == expected


@given(data=st.binary(max_size=300), is_packed=st.booleans(), cut=st.integers(0, 40))
def test_any_bytes_are_read_or_refused_in_our_words(*, data: bytes, is_packed: bool, cut: int) -> None:
    packed = gzip.compress(data) if is_packed else data
    with suppress(BrokenFileError):
        list(events(unpacked([packed[: len(packed) - cut]])))


@given(
    records=st.lists(VALUES | st.just(GOOD), max_size=6), at=st.integers(0, 10_000), byte=st.integers(0, 255)
)
def test_a_file_with_one_byte_changed_loses_nothing_without_saying_so(
    records: list[Any], at: int, byte: int
) -> None:
    data = bytearray(gzip.compress(json.dumps({"Records": records}).encode(), mtime=0))
    at %= len(data)
    was, data[at] = data[at], byte
    found: list[object] = []
    try:
        found += events(unpacked([bytes(data)]))
    except BrokenFileError:
        return
    # gzip's own header has bytes that mean nothing to anybody; all others are under its checksum.
    assert found == records or at < 10
    assert found == records or was != byte


@given(
    event=VALUES | st.dictionaries(st.sampled_from(sorted(GOOD)), VALUES).map(lambda change: GOOD | change)
)
def test_any_event_has_an_envelope_of_its_own_account_or_none(event: Any) -> None:
    wrapped = envelope(event, "r")
    if isinstance(wrapped, Unusable):
        assert wrapped.reason
        return
    assert wrapped["account"] == event["recipientAccountId"]
    assert wrapped["source"].startswith("aws.")
    assert isinstance(read_event(wrapped), Observed | Unusable)


@given(records=st.lists(VALUES | st.just(GOOD), max_size=14), cut=st.integers(0, 60))
def test_every_event_is_accounted_for(records: list[Any], cut: int) -> None:
    data = gzip.compress(json.dumps({"Records": records}).encode())
    queues = Queues()
    choose = Choice(WANTED, wanted_by_any(["arn:aws:iam::*:role/sallyport/*"]), "r")
    file = LogFile("file", 0.0, lambda: iter([data[: len(data) - cut]]))
    counts = send_trail([file], choose, lambda bodies: send(queues, "events", bodies))
    assert counts.events == counts.sent + counts.skipped.total() + counts.refused.total()
    assert counts.sent == len(queues.bodies("events")) <= records.count(GOOD)
    assert counts.complete == (counts.events == len(records) and cut == 0)


@given(text=st.text(max_size=40) | st.from_regex(r"[0-9]{1,6}[mhd]", fullmatch=True))
def test_any_text_is_a_time_or_a_wrong_use(text: str) -> None:
    with suppress(CommandError):
        assert moment(text, NOON, "--from").utcoffset() is not None


@pytest.mark.parametrize("text", ["9999-12-31T23:59-23:59", "٣d", "1d\n", "99999999d"])
def test_what_is_nearly_a_time_is_none(text: str) -> None:
    with pytest.raises(CommandError):
        moment(text, NOON, "--from")


@given(when=st.datetimes(datetime(2025, 11, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_a_time_is_itself(when: datetime) -> None:
    assert moment(when.isoformat(), NOON, "--from") == when


@given(body=st.text(max_size=60) | VALUES.map(json.dumps))
def test_any_text_goes_back_as_it_is(body: str) -> None:
    back = records_way("dead", "records", "later", NOON).back(body)
    assert back == ("records", body), "what has none of the audit's shapes goes where records go"


@given(
    sizes=st.lists(st.sampled_from([0, 1, 9, 30_000, MAX_BYTES // 2, MAX_BYTES, MAX_BYTES + 1]), max_size=30)
)
def test_whatever_fits_a_message_is_sent_once_and_in_order(sizes: list[int]) -> None:
    queues = Queues()
    bodies = [f"{number}".ljust(size, "x")[: max(size, 2)] for number, size in enumerate(sizes)]
    refused = send(queues, "live", bodies)
    assert queues.bodies("live") == [body for number, body in enumerate(bodies) if number not in refused]
    assert {len(bodies[number]) for number in refused} <= {MAX_BYTES + 1}
