"""Builds what the functions behind schedules, streams and queues need; no caller waits for these."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from sallyport.adapters.aws import function_credentials
from sallyport.adapters.fetch import JsonFetcher
from sallyport.adapters.http import pooled_transport
from sallyport.adapters.records_bus import keeper, putter
from sallyport.adapters.tables import AuditTable, KeysTable, TrustTable
from sallyport.adapters.telemetry import telemetry
from sallyport.audit.intake import take
from sallyport.audit.publish import Publisher
from sallyport.keys import RefreshKeys
from sallyport.settings import AuditSettings, PublishSettings, RefreshSettings
from sallyport.wiring.clients import Aws, utc_now

# How long a record's id is remembered against a second delivery: longer than queue and stream
# together can hold one back (14 days and 24 hours).
AUDIT_MEMORY = timedelta(days=16)


def key_refresh(settings: RefreshSettings) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """Return what refreshes keys: all anchors' on the schedule's event, some when asked."""
    dynamodb = Aws(settings.aws, pooled_transport(), function_credentials()).dynamodb()
    keys = KeysTable(dynamodb, settings.keys_table, time.monotonic)
    local = settings.aws.local_cloud
    use_case = RefreshKeys(
        anchors=TrustTable(dynamodb, settings.trust_table, time.monotonic).anchors,
        fetch=JsonFetcher(local=local),
        read=lambda anchor_id: keys.read(anchor_id, fresh=True),
        write=keys.write,
        claim_ask=keys.claim_ask,
        report=telemetry().refreshed,
        local=local,
    )

    def run(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        outcomes = use_case(
            now=utc_now(),
            time_left=lambda: context.get_remaining_time_in_millis() / 1000,
            anchor_ids=event.get("anchor_ids"),
            asked=event.get("asked") is True,
        )
        return {"anchors": [outcome.for_log() for outcome in outcomes]}

    return run


def publisher(settings: PublishSettings) -> Publisher:
    """Return what publishes records from the table's stream."""
    return Publisher(putter(settings.records_bus), keeper(settings.dead_letter_queue))


def auditor(settings: AuditSettings) -> Callable[[dict[str, Any], LambdaContext], PartialItemFailureResponse]:
    """Return what counts records from the audit queue; messages that fail go back alone."""
    dynamodb = Aws(settings.aws, pooled_transport(), function_credentials()).dynamodb()
    table = AuditTable(dynamodb, settings.audit_table)
    report = telemetry()

    def one(message: SQSRecord) -> None:
        new = take(
            message.body, lambda record, outcome: table.count(record, outcome, utc_now(), AUDIT_MEMORY)
        )
        report.counted(new=new)

    def run(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
        return process_partial_response(
            event=event, record_handler=one, processor=BatchProcessor(EventType.SQS), context=context
        )

    return run
