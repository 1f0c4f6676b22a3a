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

    def put(self, records: Any) -> list[bool]:
        there = [record not in self.refuses for record in records]
        self.put_records += [record for record, one in zip(records, there, strict=True) if one]
        return there

    def publish(self, stream: dict[str, Any]) -> list[str]:
        failures = Publisher(self.put, self.kept.append)(stream)["batchItemFailures"]
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


@pytest.mark.parametrize("name", ["REMOVE", "MODIFY"])
def test_only_new_records_are_published(name: str) -> None:
    bus = Bus()
    assert bus.publish({"Records": [entry(0, "{}", name)]}) == []
    assert bus.put_records == bus.kept == []


def test_if_it_cannot_be_kept_the_stream_waits() -> None:
    def full(_record: str) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Publisher(Bus().put, full)(event("{"))


def test_a_bus_that_answers_for_fewer_records_is_not_believed() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Publisher(lambda records: [True] * (len(records) - 1), Bus().kept.append)(event(*numbered(3)))
