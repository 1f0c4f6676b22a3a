"""Builds what the functions behind the API need, in init: SnapStart's snapshot holds it.

Nothing here reads trust, keys, the clock or randomness; credentials are asked for at the first call.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime

from sallyport.adapters.aws import CredentialSource, function_credentials
from sallyport.adapters.functions import key_refresher
from sallyport.adapters.http import Transport, pooled_transport
from sallyport.adapters.sts import RegionalSts, Sts
from sallyport.adapters.tables import KeysTable, RecordsTable, SpentTable, TrustTable
from sallyport.adapters.telemetry import spans, telemetry
from sallyport.exchange import Exchange, Span
from sallyport.gateway import credentials_json, sts_query
from sallyport.gateway.http import Routes
from sallyport.identify import IdentifyToken
from sallyport.rehearsal import Stage, rehearse
from sallyport.settings import ExchangeSettings
from sallyport.wiring.clients import REFRESH_LIMITS, STS_LIMITS, Aws, utc_now


def token_routes(
    settings: ExchangeSettings,
    *,
    transport: Transport | None = None,
    credentials: CredentialSource | None = None,
    clock: Callable[[], datetime] = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
) -> Routes:
    """Return what answers ``POST /`` and ``POST /credentials``.

    Args:
        settings: from the environment.
        transport: what sends requests to AWS; by default a pool of connections.
        credentials: the function's own.
        clock: the time that decisions go by.
        monotonic: the seconds that caches and failover go by.
    """
    rehearse(lambda stage: _routes(settings, stage, lambda _name: nullcontext()))
    stage = Stage(
        transport=transport or pooled_transport(),
        credentials=credentials or function_credentials(),
        clock=clock,
        monotonic=monotonic,
        telemetry=telemetry(),
    )
    return _routes(settings, stage, spans(tracing=settings.tracing))


def _routes(settings: ExchangeSettings, stage: Stage, span: Span) -> Routes:
    aws = Aws(settings.aws, stage.transport, stage.credentials)
    dynamodb = aws.dynamodb()
    trust = TrustTable(dynamodb, settings.trust_table, stage.monotonic)
    keys = KeysTable(dynamodb, settings.keys_table, stage.monotonic)
    refresh = key_refresher(aws.service("lambda", REFRESH_LIMITS), settings.refresh_function)
    sts = Sts(
        [
            RegionalSts(region=region, service=aws.service("sts", STS_LIMITS, region))
            for region in settings.sts_regions
        ],
        stage.monotonic,
    )
    exchange = Exchange(
        identify=IdentifyToken(trust, keys, refresh),
        trust=trust,
        spent=SpentTable(dynamodb, settings.spent_table),
        issue=sts.issue,
        records=RecordsTable(dynamodb, settings.records_table),
        telemetry=stage.telemetry,
        span=span,
        record_days=settings.record_days,
    )
    return Routes({"/": sts_query, "/credentials": credentials_json}, exchange, stage.clock)
