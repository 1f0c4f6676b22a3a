"""Builds what the audit's function needs; nobody waits for it but its queues."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from sallyport.adapters.aws import CredentialSource, function_credentials
from sallyport.adapters.http import Transport, pooled_transport
from sallyport.audit.imports import Imports
from sallyport.audit.pipeline import Kind, Pipeline
from sallyport.errors import SallyportError
from sallyport.settings import AuditSettings
from sallyport.wiring.audit_ports import import_ports, pipeline_ports
from sallyport.wiring.clients import Aws, utc_now

# Of a change of the trust table: what no rule looks at, and would not fit into a message.
LARGE_ATTRIBUTES: Final = frozenset({"document", "data"})

Run = Callable[[dict[str, Any], LambdaContext], PartialItemFailureResponse]


def auditor(
    settings: AuditSettings,
    *,
    transport: Transport | None = None,
    credentials: CredentialSource | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Run:
    """Return what takes batches from the audit's queues and the trust table's stream.

    By which of them a message came decides what it may be. Messages that fail go back alone.
    """
    aws = Aws(settings.aws, transport or pooled_transport(), credentials or function_credentials())
    pipeline = Pipeline(pipeline_ports(settings, aws, clock))
    imports = Imports(import_ports(settings, aws, clock))
    ways: Mapping[str, Kind] = {settings.records_queue_arn: "record", settings.events_queue_arn: "event"}
    stream = f":table/{settings.trust_table}/stream/"

    def one_message(record: SQSRecord) -> None:  # the name is Powertools', which passes it as a keyword
        if record.event_source_arn == settings.later_queue_arn:
            pipeline.take_again(record.body)
            return
        kind = ways.get(record.event_source_arn)
        if kind is None:
            raise SallyportError("unknown-queue", "the message came from a queue that is none of the audit's")
        pipeline.take(kind, record.body)

    def one_change(record: DynamoDBRecord) -> None:
        if stream not in str(record.event_source_arn):
            raise SallyportError("unknown-stream", "the change is none of the trust table's")
        pipeline.take("trust", json.dumps(_without_documents(record.raw_event), default=str))

    def asked_imports(records: list[dict[str, Any]], context: LambdaContext) -> PartialItemFailureResponse:
        again = imports.take(
            {one["messageId"]: one["body"] for one in records},
            lambda: context.get_remaining_time_in_millis() / 1_000,
        )
        return {"batchItemFailures": [{"itemIdentifier": name} for name in again]}

    def run(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
        # One mapping brings a batch, so that all of it came by one way.
        if event["Records"][0].get("eventSourceARN") == settings.imports_queue_arn:
            return asked_imports(event["Records"], context)
        is_stream = any(one.get("eventSource") == "aws:dynamodb" for one in event["Records"])
        kind = EventType.DynamoDBStreams if is_stream else EventType.SQS
        return process_partial_response(
            event=event,
            record_handler=one_change if is_stream else one_message,
            processor=BatchProcessor(kind),
            context=context,
        )

    return run


def _without_documents(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a change of the trust table without the large values in its images."""
    change = dict(entry.get("dynamodb") or {})
    for image in ("OldImage", "NewImage"):
        if isinstance(change.get(image), Mapping):
            change[image] = {n: v for n, v in change[image].items() if n not in LARGE_ATTRIBUTES}
    return {**entry, "dynamodb": change}
