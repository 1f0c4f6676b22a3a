"""From the records table's stream to the records bus: which entry goes out, which one waits.

Pure but for its two ports. The stream keeps order and tries again; nothing is dropped: an entry
that can never be put ends in the dead-letter queue, whole.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SOURCE = "sallyport"
DETAIL_TYPE = "Sallyport Record"

# EventBridge's limits for one PutEvents: ten entries and 256 KB in all
# (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html). A record is at most
# 64 KB, so that some room is left for what EventBridge counts besides.
MAX_ENTRIES = 10
MAX_BATCH_BYTES = 240_000


@dataclass(frozen=True, slots=True)
class StreamedRecord:
    """One record as it came by the stream, with the position to go back to."""

    sequence: str
    record: str


Put = Callable[[Sequence[str]], Sequence[bool]]
"""Puts records on the bus; tells for each whether it is there. May raise for all of them."""

Keep = Callable[[str], None]
"""Puts what cannot be published into the dead-letter queue."""


class Publisher:
    """Publishes what a stream event holds; answers in the stream's own protocol.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html.
    """

    def __init__(self, put: Put, keep: Keep) -> None:
        self._put = put
        self._keep = keep

    def __call__(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the position from which the stream must try again, if there is one."""
        for batch in batches(self._readable(event)):
            there = self._put([one.record for one in batch])
            for one, done in zip(batch, there, strict=True):
                if not done:
                    return {"batchItemFailures": [{"itemIdentifier": one.sequence}]}
        return {"batchItemFailures": []}

    def _readable(self, event: Mapping[str, Any]) -> Iterable[StreamedRecord]:
        for entry in event["Records"]:
            if entry["eventName"] != "INSERT":
                continue  # records are never changed, and those that end were published long ago
            change = entry["dynamodb"]
            record = change.get("NewImage", {}).get("record", {}).get("S")
            if record is None or not _is_detail(record):
                self._keep(_kept(change))
                continue
            yield StreamedRecord(change["SequenceNumber"], record)


def _is_detail(record: str) -> bool:
    """Tell whether EventBridge can ever take it: an entry that it refuses would hold up all that follow."""
    if len(record.encode("utf-8", "replace")) > MAX_BATCH_BYTES:
        return False
    try:
        return isinstance(json.loads(record), dict)
    except (ValueError, RecursionError):
        return False


def _kept(change: Mapping[str, Any]) -> str:
    """Return a change for the dead-letter queue, or where to find it if the queue would not take it."""
    text = json.dumps(change, default=str)
    if len(text) <= MAX_BATCH_BYTES:
        return text
    return json.dumps({"Keys": change.get("Keys"), "SequenceNumber": change["SequenceNumber"]}, default=str)


def batches(records: Iterable[StreamedRecord]) -> Iterable[Sequence[StreamedRecord]]:
    """Group records, in order, into batches that one PutEvents takes."""
    batch: list[StreamedRecord] = []
    size = 0
    for one in records:
        length = len(one.record.encode())
        if batch and (len(batch) == MAX_ENTRIES or size + length > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += length
    if batch:
        yield batch
