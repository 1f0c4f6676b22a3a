"""Builds what the posture's function needs to look at an account and the audit, and to tell what it saw."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from sallyport.adapters.account import read_keys, read_organization, read_roles, read_trails
from sallyport.adapters.audit_memory import Memory, TableHistory
from sallyport.adapters.audit_telemetry import audit_telemetry
from sallyport.adapters.aws import CredentialSource, function_credentials
from sallyport.adapters.http import TimeLimits, Transport, pooled_transport
from sallyport.adapters.tables import TrustTable
from sallyport.adapters.user_pools import problems
from sallyport.adapters.watch import OpenFindings, TableWatch
from sallyport.audit.posture.chain import Way
from sallyport.audit.posture.looks import (
    KINDS,
    AccountLook,
    AccountPorts,
    ChainLook,
    ChainPorts,
    Look,
    read_trust,
)
from sallyport.audit.posture.scan import as_finding
from sallyport.audit.posture.standing import Standing
from sallyport.audit.telling import Telling
from sallyport.audit.trust_policy.managed import FunctionRoles
from sallyport.errors import SallyportError, UnavailableError
from sallyport.settings import PostureSettings
from sallyport.wiring.audit_ports import LIMITS, telling_ports
from sallyport.wiring.clients import Aws, utc_now

MakeClient = Callable[[str], Any]
"""Returns boto3's client for a service."""

Run = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

# Nobody waits, and IAM throttles whoever lists much.
_CONFIG: Final = Config(
    connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 4, "mode": "standard"}
)
_STS_LIMITS: Final = TimeLimits(connect=1.0, read=5.0)
_STS_VERSION: Final = "2011-06-15"


def posture(
    settings: PostureSettings,
    *,
    transport: Transport | None = None,
    credentials: CredentialSource | None = None,
    make: MakeClient | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Run:
    """Return what looks at the account (``{"look": "account"}``), at the chain, or at both.

    A look that Lambda tries again has the same request id, and counts once.
    """
    aws = Aws(settings.aws, transport or pooled_transport(), credentials or function_credentials())
    memory = Memory(aws.dynamodb(LIMITS), settings.audit_table, clock)
    telling = Telling(telling_ports(settings, aws, audit_telemetry(), clock))
    standing = Standing(telling, OpenFindings(memory))
    watch = TableWatch(memory, time.monotonic)
    looks: Mapping[str, Callable[[datetime], Look]] = {
        "account": AccountLook(_account_ports(settings, aws, memory, watch, make or _maker(settings))),
        "chain": ChainLook(_chain_ports(settings, watch)),
    }

    def look_at(name: str, look_id: str) -> dict[str, Any]:
        now = clock()
        seen = looks[name](now)
        where = {"account": settings.account, "region": settings.aws.region}
        told = standing.tell(
            ((one.part, as_finding(one, **where, at=now, look=look_id)) for one in seen.observations),
            parts=seen.parts,
            at=now,
        )
        return {"found": told.found, "ended": told.ended, "looked_at": dict(seen.looked_at)}

    def run(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        wanted = event.get("look")
        names = list(looks) if wanted is None else [wanted]
        if not {*names} <= looks.keys():
            raise SallyportError("unknown-look", "there are the looks account and chain")
        answer = {name: look_at(name, f"{name} {context.aws_request_id}") for name in names}
        if settings.has_trail and "chain" in names:
            # Last, so that what was seen is told even if STS is away.
            _call(aws)
        return answer

    return run


def _account_ports(
    settings: PostureSettings, aws: Aws, memory: Memory, watch: TableWatch, make: MakeClient
) -> AccountPorts:
    trust = TrustTable(aws.dynamodb(LIMITS), settings.trust_table, time.monotonic)
    functions = FunctionRoles(
        assume_role=settings.assume_role_role, create_session=settings.create_session_role
    )
    # Clients are made for each look: what SnapStart restores must hold no credentials.
    return AccountPorts(
        account=settings.account,
        region=settings.aws.region,
        partition=settings.partition,
        accounts=frozenset(settings.accounts),
        is_open=settings.has_trail,
        trust=lambda: read_trust(trust.in_force(*KINDS), settings.account, functions),
        roles=lambda: read_roles(make("iam")),
        keys=lambda: read_keys(make("iam")),
        organization=lambda: read_organization(make("organizations")),
        pools=lambda mapping, names: problems(
            make("cognito-idp"),
            mapping,
            names,
            region=settings.aws.region,
            trigger=settings.trigger or None,
        ),
        trails=lambda: read_trails(make("cloudtrail")),
        seen=watch.seen,
        began=TableHistory(memory).began,
    )


def _chain_ports(settings: PostureSettings, watch: TableWatch) -> ChainPorts:
    return ChainPorts(
        account=settings.account,
        ways=(Way.RECORDS, Way.CLOUDTRAIL) if settings.has_trail else (Way.RECORDS,),
        heard=watch.last,
        watched_since=watch.watched_since,
    )


def _maker(settings: PostureSettings) -> MakeClient:
    def make(service: str) -> Any:  # noqa: ANN401 - boto3 makes clients at run time
        client: Any = boto3.client
        return client(service, region_name=settings.aws.region, config=_CONFIG)

    return make


def _call(aws: Aws) -> None:
    """Ask STS who this is: CloudTrail must bring the event of it back."""
    form = urlencode({"Action": "GetCallerIdentity", "Version": _STS_VERSION}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    response = aws.service("sts", _STS_LIMITS).post("/", headers, form)
    if response.status != 200:  # noqa: PLR2004 - its only good answer
        raise UnavailableError("heartbeat-refused", f"STS answered {response.status}")
