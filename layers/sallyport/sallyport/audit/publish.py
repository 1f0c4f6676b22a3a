"""From the records table's stream to the records bus: which entry goes out, which one waits.

Pure but for its ports. The stream keeps order and tries again; nothing is dropped: an entry that can
never be put ends in the dead-letter queue, whole. So does what must never come: records are put once
and end with their time, so that whoever changes or removes one leaves here what it was before.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sallyport.errors import UnavailableError
from sallyport.model import JsonValue

SOURCE = "sallyport"
DETAIL_TYPE = "Sallyport Record"

# EventBridge's limits for one PutEvents: ten entries and 256 KB in all
# (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html). A record is at most
# 64 KB, so that some room is left for what EventBridge counts besides.
MAX_ENTRIES = 10
MAX_BATCH_BYTES = 240_000

# Of each image of a record that was changed: two of them, and what is around them, fit into one
# message of the queue (256 KB), whatever JSON makes of them once more.
MAX_IMAGE_CHARS = 50_000
MAX_NAME_CHARS = 256

# Who removes what has reached its time
# (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).
TIME_TO_LIVE = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


@dataclass(frozen=True, slots=True)
class StreamedRecord:
    """One record as it came by the stream, with the position to go back to."""

    sequence: str
    record: str


Put = Callable[[Sequence[str]], Sequence[bool]]
"""Puts records on the bus; tells for each whether it is there. May raise for all of them."""

Keep = Callable[[str], None]
"""Puts what cannot be published into the dead-letter queue."""

Alarm = Callable[[str, Mapping[str, JsonValue]], None]
"""Says what must not happen, under the name of a metric with an alarm."""


class Publisher:
    """Publishes what a stream event holds; answers in the stream's own protocol.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html.
    """

    def __init__(self, put: Put, keep: Keep, alarm: Alarm) -> None:
        self._put = put
        self._keep = keep
        self._alarm = alarm

    def __call__(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the position from which the stream must try again, if there is one.

        An event of a schedule's puts a heartbeat on the bus instead.

        Raises:
            UnavailableError: the bus did not take the heartbeat.
        """
        if "Records" not in event:
            if not all(self._put([heartbeat(event)])):
                raise UnavailableError("bus-refused", "the heartbeat was not taken")
            return {"batchItemFailures": []}
        for batch in batches(self._readable(event)):
            there = self._put([one.record for one in batch])
            for one, done in zip(batch, there, strict=True):
                if not done:
                    return {"batchItemFailures": [{"itemIdentifier": one.sequence}]}
        return {"batchItemFailures": []}

    def _readable(self, event: Mapping[str, Any]) -> Iterable[StreamedRecord]:
        for entry in event["Records"]:
            change = entry["dynamodb"]
            if entry["eventName"] != "INSERT":
                if not _is_expected(entry):
                    # Said before it is kept: if the queue is away, the stream comes back to it.
                    self._alarm("RecordChanged", _who_and_what(entry))
                    self._keep(_evidence(entry))
                continue
            record = change.get("NewImage", {}).get("record", {}).get("S")
            if record is None or not _is_detail(record):
                self._keep(_kept(change))
                continue
            yield StreamedRecord(change["SequenceNumber"], record)


def heartbeat(event: Mapping[str, Any]) -> str:
    """Return a record that only proves the chain, from a schedule's event with its id and time."""
    return json.dumps(
        {"id": f"heartbeat-{event['id']}", "time": event["time"], "kind": "heartbeat", "outcome": "alive"}
    )


def _is_expected(entry: Mapping[str, Any]) -> bool:
    """Tell whether a record only ended with its time, or was written once more just as it was."""
    if entry["eventName"] == "REMOVE":
        by = entry.get("userIdentity") or {}
        return all(by.get(name) == value for name, value in TIME_TO_LIVE.items())
    old, new = (entry["dynamodb"].get(image) for image in ("OldImage", "NewImage"))
    return entry["eventName"] == "MODIFY" and old is not None and old == new


def _who_and_what(entry: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return which record it was and who changed it, without what is in it."""
    change = entry["dynamodb"]
    found = {
        "change": entry["eventName"],
        "record_id": change.get("Keys", {}).get("id", {}).get("S"),
        "by": (entry.get("userIdentity") or {}).get("principalId"),
        "event_id": entry.get("eventID"),
        "sequence": change.get("SequenceNumber"),
    }
    return {name: str(value)[:MAX_NAME_CHARS] for name, value in found.items() if value is not None}


def _evidence(entry: Mapping[str, Any]) -> str:
    """Return a change for the dead-letter queue: what was there before and after, as far as it fits."""
    images = {
        image: json.dumps(entry["dynamodb"][image], default=str)[:MAX_IMAGE_CHARS]
        for image in ("OldImage", "NewImage")
        if image in entry["dynamodb"]
    }
    return json.dumps({**_who_and_what(entry), **images})


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
