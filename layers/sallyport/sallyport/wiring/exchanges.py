"""Builds what the functions behind the API need, in init: SnapStart's snapshot holds it.

Nothing here reads trust, keys, the clock or randomness; credentials are asked for at the first call.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from sallyport.adapters.aws import CredentialSource, JsonService, SignedService, function_credentials
from sallyport.adapters.functions import key_refresher
from sallyport.adapters.http import TimeLimits, Transport, pooled_transport
from sallyport.adapters.sts import RegionalSts, Sts
from sallyport.adapters.tables import KeysTable, RecordsTable, SpentTable, TrustTable
from sallyport.adapters.telemetry import spans, telemetry
from sallyport.exchange import Exchange
from sallyport.gateway import credentials_json, sts_query
from sallyport.gateway.http import Routes
from sallyport.identify import IdentifyToken
from sallyport.settings import AwsSettings, ExchangeSettings

# One try each. Their sum over the longest path of an exchange stays below the function's timeout;
# tests/contract/test_time_limits.py adds them up.
DYNAMODB_LIMITS = TimeLimits(connect=0.25, read=0.5)
STS_LIMITS = TimeLimits(connect=0.5, read=1.5)
REFRESH_LIMITS = TimeLimits(connect=0.25, read=3.0)


def utc_now() -> datetime:
    """Return the time; the one clock that decisions go by."""
    return datetime.now(UTC)


def token_routes(
    settings: ExchangeSettings,
    *,
    transport: Transport | None = None,
    credentials: CredentialSource | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Routes:
    """Return what answers ``POST /`` and ``POST /credentials``."""
    send = transport or pooled_transport()
    creds = credentials or function_credentials()
    aws = _Aws(settings.aws, send, creds)
    dynamodb = dynamodb_client(settings.aws, send, creds)
    trust = TrustTable(dynamodb, settings.trust_table, time.monotonic)
    keys = KeysTable(dynamodb, settings.keys_table, time.monotonic)
    refresh = key_refresher(aws.service("lambda", REFRESH_LIMITS), settings.refresh_function)
    sts = Sts(
        [
            RegionalSts(region=region, service=aws.service("sts", STS_LIMITS, region))
            for region in settings.sts_regions
        ],
        time.monotonic,
    )
    exchange = Exchange(
        identify=IdentifyToken(trust, keys, refresh),
        trust=trust,
        spent=SpentTable(dynamodb, settings.spent_table),
        issue=sts.issue,
        records=RecordsTable(dynamodb, settings.records_table),
        telemetry=telemetry(),
        span=spans(tracing=settings.tracing),
        record_days=settings.record_days,
    )
    return Routes({"/": sts_query, "/credentials": credentials_json}, exchange, clock)


def dynamodb_client(aws: AwsSettings, transport: Transport, credentials: CredentialSource) -> JsonService:
    """Return a client for the stack's tables."""
    service = _Aws(aws, transport, credentials).service("dynamodb", DYNAMODB_LIMITS)
    return JsonService(service, target="DynamoDB_20120810")


class _Aws(NamedTuple):
    settings: AwsSettings
    transport: Transport
    credentials: CredentialSource

    def service(self, name: str, limits: TimeLimits, region: str | None = None) -> SignedService:
        return SignedService(
            name=name,
            region=region or self.settings.region,
            url=self.settings.url(name, region),
            transport=self.transport,
            credentials=self.credentials,
            limits=limits,
        )
