"""The records bus and its dead-letter queue, with boto3: no caller waits for these."""

from collections.abc import Sequence

import boto3
from botocore.config import Config

from sallyport.audit.publish import DETAIL_TYPE, SOURCE, Keep, Put

# The stream tries again by itself, so that a short wait here is enough.
_CONFIG = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})


def putter(bus: str) -> Put:
    """Return what puts records on the bus."""
    events = boto3.client("events", config=_CONFIG)

    def put(records: Sequence[str]) -> Sequence[bool]:
        answer = events.put_events(
            Entries=[
                {"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": record, "EventBusName": bus}
                for record in records
            ]
        )
        return ["ErrorCode" not in entry for entry in answer["Entries"]]

    return put


def keeper(queue_url: str) -> Keep:
    """Return what keeps records that cannot be published."""
    sqs = boto3.client("sqs", config=_CONFIG)

    def keep(record: str) -> None:
        sqs.send_message(QueueUrl=queue_url, MessageBody=record)

    return keep
