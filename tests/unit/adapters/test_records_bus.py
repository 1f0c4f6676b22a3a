"""The bus says for each record whether it is there, and so do we."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from sallyport.adapters import records_bus

QUEUE = "https://sqs.eu-central-1.amazonaws.com/111122223333/q"


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Stubber]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    clients: dict[str, Any] = {"events": boto3.client("events"), "sqs": boto3.client("sqs")}
    monkeypatch.setattr(boto3, "client", lambda name, config: clients[name])
    stubs = {name: Stubber(client) for name, client in clients.items()}
    for stub in stubs.values():
        stub.activate()
    return stubs


def entry(record: str) -> dict[str, str]:
    return {
        "Source": "sallyport",
        "DetailType": "Sallyport Record",
        "Detail": record,
        "EventBusName": "sallyport-records",
    }


def test_each_record_is_one_entry_and_has_its_own_outcome(stubbed: dict[str, Stubber]) -> None:
    records = [json.dumps({"id": str(number)}) for number in range(3)]
    stubbed["events"].add_response(
        "put_events",
        {
            "FailedEntryCount": 1,
            "Entries": [{"EventId": "1"}, {"ErrorCode": "ThrottlingException"}, {"EventId": "3"}],
        },
        {"Entries": [entry(record) for record in records]},
    )
    assert records_bus.putter("sallyport-records")(records) == [True, False, True]
    stubbed["events"].assert_no_pending_responses()


def test_without_permission_it_is_loud(stubbed: dict[str, Stubber]) -> None:
    stubbed["events"].add_client_error("put_events", "AccessDeniedException")
    with pytest.raises(ClientError):
        records_bus.putter("sallyport-records")(["{}"])


def test_what_cannot_be_published_is_kept_whole(stubbed: dict[str, Stubber]) -> None:
    stubbed["sqs"].add_response(
        "send_message", {"MessageId": "1"}, {"QueueUrl": QUEUE, "MessageBody": "whole"}
    )
    records_bus.keeper(QUEUE)("whole")
    stubbed["sqs"].assert_no_pending_responses()
