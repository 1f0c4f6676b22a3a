"""Builds what the audit's function needs; nobody waits for it but its queues."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from sallyport.adapters.alerts import Alerts
from sallyport.adapters.audit_memory import (
    DELIVERY,
    LEARNING,
    Memory,
    TableCounter,
    TableHistory,
    TableIssued,
    TableSignIns,
)
from sallyport.adapters.audit_telemetry import audit_telemetry
from sallyport.adapters.aws import CredentialSource, JsonService, function_credentials
from sallyport.adapters.findings_table import FindingsTable, state
from sallyport.adapters.http import TimeLimits, Transport, pooled_transport
from sallyport.adapters.queues import Queue
from sallyport.adapters.security_hub import SecurityHub
from sallyport.adapters.sessions_table import SessionsTable
from sallyport.adapters.suppressions_item import SuppressionsItem
from sallyport.adapters.tables import AuditTable, Recent, TrustTable
from sallyport.adapters.trust_items import TrustItemsTable
from sallyport.audit.asff import to_asff
from sallyport.audit.finding import Finding, Severity
from sallyport.audit.pipeline import Kind, Pipeline, Ports
from sallyport.audit.rules.context import Context, Estate
from sallyport.audit.trust_policy import Surroundings
from sallyport.errors import SallyportError
from sallyport.model import OidcAnchor
from sallyport.settings import AuditSettings
from sallyport.wiring.clients import Aws, utc_now

# One try each, twice; ten messages whose first question is not answered end within the function's minute.
LIMITS: Final = TimeLimits(connect=0.5, read=2.0)
IMPORT_LIMITS: Final = TimeLimits(connect=0.5, read=5.0)
# How long the facts of the deployment are believed.
ESTATE_SECONDS: Final = 60.0
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
    pipeline = Pipeline(_ports(settings, aws, clock))
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

    def run(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
        is_stream = any(one.get("eventSource") == "aws:dynamodb" for one in event["Records"])
        kind = EventType.DynamoDBStreams if is_stream else EventType.SQS
        return process_partial_response(
            event=event,
            record_handler=one_change if is_stream else one_message,
            processor=BatchProcessor(kind),
            context=context,
        )

    return run


def _ports(settings: AuditSettings, aws: Aws, clock: Callable[[], datetime]) -> Ports:
    dynamodb = aws.dynamodb(LIMITS)
    report = audit_telemetry()
    keep = timedelta(days=settings.record_days)
    memory = Memory(dynamodb, settings.audit_table, clock)
    taken = AuditTable(dynamodb, settings.audit_table)
    issued = TableIssued(memory, keep)
    sessions = SessionsTable(dynamodb, settings.sessions_table, keep, clock)
    history = TableHistory(memory)
    estate = _Estate(settings, TrustTable(dynamodb, settings.trust_table, time.monotonic), history, clock)
    trust = TrustItemsTable(dynamodb, settings.trust_table, memory)
    counter, sign_ins = TableCounter(memory), TableSignIns(memory)
    sqs = JsonService(aws.service("sqs", LIMITS), target="AmazonSQS")
    partition = settings.partition

    def context(now: datetime) -> Context:
        return Context(
            now=now,
            estate=estate(),
            history=history,
            counter=counter,
            issued=issued,
            sessions=sessions,
            sign_ins=sign_ins,
            trust=trust,
        )

    alerts = Alerts(aws.service("sns", LIMITS), settings.alert_topic)
    hub = SecurityHub(aws.service("securityhub", IMPORT_LIMITS))

    def import_finding(finding: Finding) -> None:
        region = settings.aws.region
        hub([to_asff(finding, account=settings.account, region=region, partition=partition)])

    aside = Queue(sqs, settings.dead_letter_queue)
    events_aside = Queue(sqs, settings.events_dead_letter_queue)

    def keep_aside(kind: Kind | None, body: str, reason: str, detail: str) -> None:
        # Apart, so that what is brought back goes where it came from.
        (events_aside if kind == "event" else aside).keep(body, reason, detail)

    return Ports(
        clock=clock,
        context=context,
        was_taken=lambda kind, name: memory.get(f"record#{_name(kind, name)}") is not None,
        taken=lambda kind, name, outcome: taken.count(_name(kind, name), outcome, clock(), DELIVERY),
        findings=FindingsTable(dynamodb, settings.findings_table, keep, clock),
        note_issued=issued.note,
        put_edges=sessions.put,
        suppress=SuppressionsItem(
            dynamodb,
            settings.findings_table,
            clock=clock,
            age=time.monotonic,
            refused=report.suppressions_refused,
        ),
        later=Queue(sqs, settings.later_queue).later,
        keep=keep_aside,
        report=report,
        state=state,
        alert=alerts if settings.alert_topic else None,
        alert_from=Severity[settings.alert_from],
        import_finding=import_finding if settings.security_hub else None,
    )


class _Estate:
    """The deployment's facts, with what the trust table says of issuers, looked up once a minute."""

    def __init__(
        self,
        settings: AuditSettings,
        trust: TrustTable,
        history: TableHistory,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._trust = trust
        self._history = history
        self._clock = clock
        self._held: Recent[Estate] = Recent(time.monotonic, seconds=ESTATE_SECONDS, room=1)

    def __call__(self) -> Estate:
        return self._held.get("estate", self._read)

    def _read(self) -> Estate:
        one = self._settings
        audiences: dict[str, frozenset[str]] = {}
        for anchor in self._trust.anchors():
            if isinstance(anchor, OidcAnchor):
                issuer = anchor.issuer.partition("://")[2]
                audiences[issuer] = audiences.get(issuer, frozenset()) | anchor.audiences
        accounts = frozenset(one.accounts)
        return Estate(
            account=one.account,
            region=one.aws.region,
            partition=one.partition,
            exchange_roles=frozenset(one.exchange_roles),
            exchange_role_ids=frozenset(one.exchange_role_ids),
            managed_roles=one.managed_roles,
            own_resources=(f"arn:*:{one.stack}-*", f"arn:*/{one.stack}-*", f"{one.stack}-*"),
            accounts=accounts,
            web_identities=audiences,
            learning_until=self._history.began(self._clock()) + LEARNING,
            has_trail=one.has_trail,
            surroundings=Surroundings(org_accounts=accounts | {one.account} if accounts else None),
        )


def _name(kind: Kind, name: str) -> str:
    """Return under which name a message is marked; records have their bare ids."""
    return name if kind == "record" else f"{kind} {name}"


def _without_documents(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a change of the trust table without the large values in its images."""
    change = dict(entry.get("dynamodb") or {})
    for image in ("OldImage", "NewImage"):
        if isinstance(change.get(image), Mapping):
            change[image] = {n: v for n, v in change[image].items() if n not in LARGE_ATTRIBUTES}
    return {**entry, "dynamodb": change}
