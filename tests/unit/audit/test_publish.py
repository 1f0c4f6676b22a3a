"""Every record leaves the stream once it is on the bus, and no bad one holds up the others."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.audit.publish import MAX_BATCH_BYTES, MAX_ENTRIES, Publisher, StreamedRecord, batches


def entry(number: int, record: str | None, name: str = "INSERT") -> dict[str, Any]:
    image = {"id": {"S": str(number)}, **({} if record is None else {"record": {"S": record}})}
    return {
        "eventName": name,
        "dynamodb": {"SequenceNumber": str(number), "Keys": {"id": {"S": str(number)}}, "NewImage": image},
    }


def event(*records: str | None) -> dict[str, Any]:
    return {"Records": [entry(number, record) for number, record in enumerate(records)]}


class Bus:
    def __init__(self, *refuses: str) -> None:
        self.refuses = refuses
        self.put_records: list[str] = []
        self.kept: list[str] = []
        self.alarms: list[tuple[str, Any]] = []

    def alarm(self, event: str, fields: Any) -> None:
        self.alarms.append((event, fields))

    def put(self, records: Any) -> list[bool]:
        there = [record not in self.refuses for record in records]
        self.put_records += [record for record, one in zip(records, there, strict=True) if one]
        return there

    def publish(self, stream: dict[str, Any]) -> list[str]:
        failures = Publisher(self.put, self.kept.append, self.alarm)(stream)["batchItemFailures"]
        return [one["itemIdentifier"] for one in failures]


def numbered(count: int) -> list[str]:
    return [json.dumps({"id": number}) for number in range(count)]


@given(sizes=st.lists(st.integers(1, 100_000), max_size=60))
def test_batches_keep_order_and_limits_and_lose_nothing(sizes: list[int]) -> None:
    records = [StreamedRecord(str(number), "x" * size) for number, size in enumerate(sizes)]
    found = list(batches(records))
    assert [one for batch in found for one in batch] == records
    for batch in found:
        assert 1 <= len(batch) <= MAX_ENTRIES
        assert len(batch) == 1 or sum(len(one.record) for one in batch) <= MAX_BATCH_BYTES


def test_a_batch_is_measured_in_bytes() -> None:
    records = [StreamedRecord(str(number), "ä" * 60_000) for number in range(3)]
    assert [len(batch) for batch in batches(records)] == [2, 1]


@pytest.mark.parametrize("failing", [0, 9, 10, 24])
def test_the_stream_goes_back_to_the_first_that_is_not_there(failing: int) -> None:
    records = numbered(25)
    bus = Bus(records[failing])
    assert bus.publish(event(*records)) == [str(failing)]
    assert set(records[:failing]) <= set(bus.put_records)


@pytest.mark.parametrize(
    "poison",
    [None, "", "{", "[]", "7", '"text"', "[" * 100_000, "x" * 300_000, '{"a":"' + "x" * 300_000 + '"}'],
)
def test_what_the_bus_can_never_take_is_kept_and_holds_up_nobody(poison: str | None) -> None:
    bus = Bus()
    good = numbered(2)
    assert bus.publish(event(good[0], poison, good[1])) == []
    assert bus.put_records == good
    (kept,) = bus.kept
    assert len(kept) <= MAX_BATCH_BYTES
    assert json.loads(kept)["Keys"] == {"id": {"S": "1"}}


TTL = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
OLD, NEW = '{"outcome":"granted"}', '{"outcome":"denied"}'


def change(name: str, *, old: str | None = OLD, by: dict[str, str] | None = None) -> dict[str, Any]:
    """What the stream says of a record that was there already."""
    one = entry(0, NEW, name)
    if name == "REMOVE":
        del one["dynamodb"]["NewImage"]
    if old is not None:
        one["dynamodb"]["OldImage"] = {"id": {"S": "0"}, "record": {"S": old}}
    return one | {"eventID": "e"} | ({} if by is None else {"userIdentity": by})


@pytest.mark.parametrize(
    "expected",
    [change("REMOVE", by=TTL), change("REMOVE", old=None, by=TTL), change("MODIFY", old=NEW)],
    ids=["time to live", "without its image", "the same put again"],
)
def test_a_record_that_ends_with_its_time_is_no_news(expected: dict[str, Any]) -> None:
    bus = Bus()
    assert bus.publish({"Records": [expected]}) == []
    assert (bus.put_records, bus.kept, bus.alarms) == ([], [], [])


@pytest.mark.parametrize(
    "tampered",
    [
        change("MODIFY"),
        change("MODIFY", old=None),
        change("MODIFY", by=TTL),
        change("REMOVE"),
        change("REMOVE", by={"type": "Service", "principalId": "somebody"}),
        change("REMOVE", by={"type": "AssumedRole", "principalId": "dynamodb.amazonaws.com"}),
        change("REMOVE", by={}),
        change("SOMETHING-NEW"),
    ],
)
def test_a_record_that_somebody_changed_or_removed_is_an_alarm_and_kept(tampered: dict[str, Any]) -> None:
    bus = Bus()
    (good,) = numbered(1)
    assert bus.publish({"Records": [tampered, entry(1, good)]}) == []
    assert bus.put_records == [good], "what was changed is not published as a record"
    ((event_name, fields),) = bus.alarms
    assert event_name == "RecordChanged"
    assert (fields["record_id"], fields["change"]) == ("0", tampered["eventName"])
    assert OLD not in json.dumps(fields)
    assert "granted" not in json.dumps(fields), "the log needs no images"
    (kept,) = map(json.loads, bus.kept)
    assert kept["record_id"] == "0"
    assert [image in kept for image in ("OldImage", "NewImage")] == [
        image in tampered["dynamodb"] for image in ("OldImage", "NewImage")
    ]


@pytest.mark.parametrize("character", ["a", "\x00", '"', "\\", "\U0001f600"])
def test_the_evidence_fits_into_a_message(character: str) -> None:
    bus = Bus()
    large = change("MODIFY", old=character * 400_000)
    large["dynamodb"]["Keys"] = {"id": {"S": character * 400_000}}
    large["dynamodb"]["NewImage"]["record"]["S"] = character * 399_999
    bus.publish({"Records": [large]})
    (kept,) = bus.kept
    assert len(kept.encode()) < 262_144
    assert len(json.dumps(bus.alarms)) < 10_000


def test_tampering_is_said_even_if_it_cannot_be_kept() -> None:
    bus = Bus()

    def full(_record: str) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Publisher(bus.put, full, bus.alarm)({"Records": [change("MODIFY")]})
    assert len(bus.alarms) == 1


def test_if_it_cannot_be_kept_the_stream_waits() -> None:
    def full(_record: str) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Publisher(Bus().put, full, Bus().alarm)(event("{"))


def test_a_bus_that_answers_for_fewer_records_is_not_believed() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Publisher(lambda records: [True] * (len(records) - 1), Bus().kept.append, Bus().alarm)(
            event(*numbered(3))
        )
