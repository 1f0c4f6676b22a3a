"""Builds what the functions behind the API need, in init: SnapStart's snapshot holds it.

Nothing here reads trust, keys, the clock or randomness; credentials are asked for at the first call.
Each function loads its own verifier alone, so that neither pays for the other's cryptography at every
start: that is why some imports are inside.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from typing import NamedTuple

from sallyport.adapters.aws import CredentialSource, JsonService, function_credentials
from sallyport.adapters.http import Transport, pooled_transport
from sallyport.adapters.sts import RegionalSts, Sts
from sallyport.adapters.tables import RecordsTable, SpentTable, TrustTable
from sallyport.adapters.telemetry import spans, telemetry
from sallyport.exchange import Exchange, Identify, Span
from sallyport.gateway.http import Routes
from sallyport.rehearsal import SESSION_HOST, SESSION_REGION, SESSIONS, TOKENS, Stage, rehearse
from sallyport.settings import ExchangeSettings, SessionSettings, TokenSettings, dns_suffix
from sallyport.wiring.clients import REFRESH_LIMITS, STS_LIMITS, Aws, utc_now


def token_routes(
    settings: TokenSettings,
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
    from sallyport.adapters.functions import key_refresher  # noqa: PLC0415 - see the module's docstring
    from sallyport.adapters.tables import KeysTable  # noqa: PLC0415
    from sallyport.gateway import credentials_json, sts_query  # noqa: PLC0415
    from sallyport.identify_token import IdentifyToken  # noqa: PLC0415

    def build(stage: Stage, span: Span) -> Routes:
        rim = _rim(settings.exchange, stage)
        keys = KeysTable(rim.dynamodb, settings.exchange.keys_table, stage.monotonic)
        refresh = key_refresher(rim.aws.service("lambda", REFRESH_LIMITS), settings.refresh_function)
        exchange = _exchange(settings.exchange, stage, span, rim, IdentifyToken(rim.trust, keys, refresh))
        return Routes({"/": sts_query, "/credentials": credentials_json}, exchange, stage.clock)

    rehearse(lambda stage: build(stage, _untraced), TOKENS)
    stage = _stage(transport, credentials, clock, monotonic)
    return build(stage, spans(tracing=settings.exchange.tracing))


def session_routes(
    settings: SessionSettings,
    *,
    transport: Transport | None = None,
    credentials: CredentialSource | None = None,
    clock: Callable[[], datetime] = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
) -> Routes:
    """Return what answers ``POST /sessions``; the arguments are those of ``token_routes``."""
    from sallyport.adapters.revocation_tables import RevocationTable  # noqa: PLC0415 - see above
    from sallyport.gateway import roles_anywhere  # noqa: PLC0415
    from sallyport.identify_certificate import IdentifyCertificate, OwnNames  # noqa: PLC0415

    def build(stage: Stage, span: Span, names: OwnNames) -> Routes:
        rim = _rim(settings.exchange, stage)
        revocations = RevocationTable(rim.dynamodb, settings.exchange.keys_table, stage.monotonic)
        identify = IdentifyCertificate(rim.trust, revocations, names.endpoint)
        exchange = _exchange(settings.exchange, stage, span, rim, identify)
        return Routes({"/sessions": roles_anywhere}, exchange, stage.clock)

    # The rehearsed request was signed once and for all, for names of its own.
    rehearsed = OwnNames(domain=SESSION_HOST, region=SESSION_REGION, suffix="", local_cloud=False)
    rehearse(lambda stage: build(stage, _untraced, rehearsed), SESSIONS)
    aws = settings.exchange.aws
    names = OwnNames(
        domain=settings.domain_name,
        region=aws.region,
        suffix=dns_suffix(aws.region),
        local_cloud=aws.local_cloud,
    )
    stage = _stage(transport, credentials, clock, monotonic)
    return build(stage, spans(tracing=settings.exchange.tracing), names)


class _Rim(NamedTuple):
    """What both kinds of exchange stand on."""

    aws: Aws
    dynamodb: JsonService
    trust: TrustTable


def _rim(settings: ExchangeSettings, stage: Stage) -> _Rim:
    aws = Aws(settings.aws, stage.transport, stage.credentials)
    dynamodb = aws.dynamodb()
    return _Rim(aws, dynamodb, TrustTable(dynamodb, settings.trust_table, stage.monotonic))


def _exchange(
    settings: ExchangeSettings, stage: Stage, span: Span, rim: _Rim, identify: Identify
) -> Exchange:
    sts = Sts(
        [
            RegionalSts(region=region, service=rim.aws.service("sts", STS_LIMITS, region))
            for region in settings.sts_regions
        ],
        stage.monotonic,
    )
    return Exchange(
        identify=identify,
        trust=rim.trust,
        spent=SpentTable(rim.dynamodb, settings.spent_table),
        issue=sts.issue,
        records=RecordsTable(rim.dynamodb, settings.records_table),
        telemetry=stage.telemetry,
        span=span,
        record_days=settings.record_days,
    )


def _stage(
    transport: Transport | None,
    credentials: CredentialSource | None,
    clock: Callable[[], datetime],
    monotonic: Callable[[], float],
) -> Stage:
    return Stage(
        transport=transport or pooled_transport(),
        credentials=credentials or function_credentials(),
        clock=clock,
        monotonic=monotonic,
        telemetry=telemetry(),
    )


def _untraced(_name: str) -> nullcontext[None]:
    return nullcontext()
