"""The audit's own queues: for second looks, for imports, and for what cannot be used."""

import json
from datetime import datetime
from typing import Any, Final

from sallyport.adapters.aws import AwsError, JsonService
from sallyport.audit.display import display
from sallyport.audit.finding import Finding
from sallyport.audit.imports import request
from sallyport.errors import UnavailableError

# SQS's longest delay (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
MAX_DELAY: Final = 900


class Queue:
    """Sends to one queue."""

    def __init__(self, sqs: JsonService, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def keep(self, body: str, reason: str, detail: str) -> None:
        """Keep a message with its reason, under the names that EventBridge's own rules use."""
        said = {"ERROR_CODE": reason, "ERROR_MESSAGE": display(detail, limit=200) or "-"}
        attributes = {name: {"DataType": "String", "StringValue": text} for name, text in said.items()}
        # SQS refuses an empty body.
        self._send({"MessageBody": body or " ", "MessageAttributes": attributes})

    def later(self, kind: str, body: str, due: datetime, now: datetime) -> None:
        """Have a message come again when it is due, or as near to it as SQS can."""
        message = json.dumps({"kind": kind, "due": due.isoformat(), "body": body})
        delay = min(MAX_DELAY, max(0, int((due - now).total_seconds()) + 1))
        self._send({"MessageBody": message, "DelaySeconds": delay})

    def ask_import(self, finding: Finding) -> None:
        """Have a finding imported, as it is when its turn comes."""
        self._send({"MessageBody": request(finding)})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._sqs.call("SendMessage", {"QueueUrl": self._url, **message})
        except AwsError as error:
            raise UnavailableError("queue-refused", error.reason) from None
