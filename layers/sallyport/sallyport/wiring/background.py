"""Builds what the functions behind schedules, streams and queues need; no caller waits for these."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sallyport.adapters.aws import CredentialSource, JsonService, function_credentials
from sallyport.adapters.fetch import JsonFetcher, ListFetcher
from sallyport.adapters.http import TimeLimits, Transport, pooled_transport
from sallyport.adapters.records_bus import keeper, putter
from sallyport.adapters.revocation_tables import WRITERS, BroughtListsTable, StoredListsTable
from sallyport.adapters.tables import KeysTable, TrustTable
from sallyport.adapters.telemetry import telemetry
from sallyport.audit.publish import Publisher
from sallyport.keys import Fetch, RefreshKeys
from sallyport.model import OidcAnchor, X509Anchor
from sallyport.refresh import Refresh
from sallyport.revocation import RefreshLists
from sallyport.settings import AwsSettings, PublishSettings, RefreshSettings
from sallyport.wiring.clients import DYNAMODB_LIMITS, LISTS_LIMITS, Aws, utc_now


def key_refresh(  # noqa: PLR0913  (each is a port, and each has a name)
    settings: RefreshSettings,
    *,
    transport: Transport | None = None,
    credentials: CredentialSource | None = None,
    fetch: Fetch | None = None,
    fetch_list: Fetch | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """Return what refreshes keys and revocation lists.

    The schedule's event is about all anchors, one with ``anchor_ids`` about those. One with ``asked``,
    which comes from an exchange that met an unknown key, is about keys alone.
    """
    transport = transport or pooled_transport(connections=WRITERS)
    credentials = credentials or function_credentials()
    dynamodb = _dynamodb(settings.aws, transport, credentials)
    patient = _dynamodb(settings.aws, transport, credentials, LISTS_LIMITS)
    trust = TrustTable(dynamodb, settings.trust_table, time.monotonic)
    keys = KeysTable(dynamodb, settings.keys_table, time.monotonic)
    local = settings.aws.local_cloud
    report = telemetry()
    refresh = Refresh(
        anchors=lambda: [one for one in trust.anchors() if isinstance(one, X509Anchor)],
        keys=RefreshKeys(
            anchors=lambda: [one for one in trust.anchors() if isinstance(one, OidcAnchor)],
            fetch=fetch or JsonFetcher(local=local),
            read=lambda anchor_id: keys.read(anchor_id, fresh=True),
            write=keys.write,
            claim_ask=keys.claim_ask,
            report=report.refreshed,
            local=local,
        ),
        lists=RefreshLists(
            fetch=fetch_list or ListFetcher(local=local),
            brought=BroughtListsTable(patient, settings.trust_table),
            lists=StoredListsTable(patient, settings.keys_table),
            report=report.list_refreshed,
        ),
    )

    def run(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        done = refresh(
            now=clock(),
            time_left=lambda: context.get_remaining_time_in_millis() / 1000,
            anchor_ids=event.get("anchor_ids"),
            asked=event.get("asked") is True,
        )
        return {
            "anchors": [outcome.for_log() for outcome in done.keys],
            "crls": [outcome.for_log() for outcome in done.lists],
        }

    return run


def publisher(settings: PublishSettings) -> Publisher:
    """Return what publishes records from the table's stream."""
    return Publisher(putter(settings.records_bus), keeper(settings.dead_letter_queue), telemetry().alarm)


def _dynamodb(
    aws: AwsSettings,
    transport: Transport | None,
    credentials: CredentialSource | None,
    limits: TimeLimits = DYNAMODB_LIMITS,
) -> JsonService:
    return Aws(aws, transport or pooled_transport(), credentials or function_credentials()).dynamodb(limits)
