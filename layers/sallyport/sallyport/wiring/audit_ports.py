"""What the audit's function works with: its tables, its queues, and whom it tells."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

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
from sallyport.adapters.audit_telemetry import AuditTelemetry, audit_telemetry
from sallyport.adapters.aws import JsonService
from sallyport.adapters.findings_table import FindingsTable, state
from sallyport.adapters.http import TimeLimits
from sallyport.adapters.queues import Queue
from sallyport.adapters.security_hub import SecurityHub
from sallyport.adapters.sessions_table import SessionsTable
from sallyport.adapters.suppressions_item import SuppressionsItem
from sallyport.adapters.tables import Recent, TrustTable
from sallyport.adapters.trust_items import TrustItemsTable
from sallyport.adapters.watch import TableWatch
from sallyport.audit.asff import to_asff
from sallyport.audit.events import Observed
from sallyport.audit.finding import Severity
from sallyport.audit.imports import ImportPorts
from sallyport.audit.pipeline import Kind, Ports
from sallyport.audit.posture.chain import Way
from sallyport.audit.rules.context import Context, Estate
from sallyport.audit.telling import Telling, TellingPorts
from sallyport.audit.trust_policy.examine import Surroundings
from sallyport.model import OidcAnchor
from sallyport.settings import AuditSettings, PostureSettings
from sallyport.wiring.clients import Aws

# One try each, twice; ten messages whose first question is not answered end within the function's minute.
LIMITS: Final = TimeLimits(connect=0.5, read=2.0)
IMPORT_LIMITS: Final = TimeLimits(connect=0.5, read=5.0)
# How long the facts of the deployment are believed.
ESTATE_SECONDS: Final = 60.0


def pipeline_ports(settings: AuditSettings, aws: Aws, clock: Callable[[], datetime]) -> Ports:
    """Return what the pipeline works with."""
    dynamodb = aws.dynamodb(LIMITS)
    report = audit_telemetry()
    keep = timedelta(days=settings.record_days)
    memory = Memory(dynamodb, settings.audit_table, clock)
    issued = TableIssued(memory, keep)
    sessions = SessionsTable(dynamodb, settings.sessions_table, keep, clock)
    history = TableHistory(memory)
    estate = _Estate(settings, TrustTable(dynamodb, settings.trust_table, time.monotonic), history, clock)
    trust = TrustItemsTable(dynamodb, settings.trust_table, memory)
    counter, sign_ins = TableCounter(memory), TableSignIns(memory)
    sqs = JsonService(aws.service("sqs", LIMITS), target="AmazonSQS")

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

    watch = TableWatch(memory, time.monotonic)

    def saw(event: Observed, context: Context) -> None:
        if event.account is not None and event.region is not None:
            if context.estate.is_own_account(event.account):
                watch.saw(event.account, event.region)
            if context.estate.is_own_heartbeat(event):
                # One from the future would be the last that anybody waits for.
                watch.heard(Way.CLOUDTRAIL, min(event.time, clock()))

    aside = Queue(sqs, settings.dead_letter_queue)
    events_aside = Queue(sqs, settings.events_dead_letter_queue)

    def keep_aside(kind: Kind | None, body: str, reason: str, detail: str) -> None:
        # Apart, so that what is brought back goes where it came from.
        (events_aside if kind == "event" else aside).keep(body, reason, detail)

    return Ports(
        clock=clock,
        context=context,
        was_taken=lambda kind, name: memory.get(_mark(kind, name)) is not None,
        taken=lambda kind, name, outcome: memory.put_once(
            _mark(kind, name), DELIVERY, outcome={"S": outcome}
        ),
        found=Telling(telling_ports(settings, aws, report, clock)).found,
        note_issued=issued.note,
        put_edges=sessions.put,
        heard=lambda when: watch.heard(Way.RECORDS, min(when, clock())),
        saw=saw,
        later=Queue(sqs, settings.later_queue).later,
        keep=keep_aside,
        report=report,
    )


def telling_ports(
    settings: AuditSettings | PostureSettings,
    aws: Aws,
    report: AuditTelemetry,
    clock: Callable[[], datetime],
) -> TellingPorts:
    """Return what findings are kept and told with, whoever finds."""
    dynamodb = aws.dynamodb(LIMITS)
    imports = Queue(JsonService(aws.service("sqs", LIMITS), target="AmazonSQS"), settings.imports_queue)
    keep = timedelta(days=settings.record_days)
    return TellingPorts(
        findings=FindingsTable(dynamodb, settings.findings_table, keep, clock),
        suppress=SuppressionsItem(
            dynamodb,
            settings.findings_table,
            clock=clock,
            age=time.monotonic,
            refused=report.suppressions_refused,
        ),
        report=report,
        state=state,
        alert=Alerts(aws.service("sns", LIMITS), settings.alert_topic, settings.pages)
        if settings.alert_topic
        else None,
        alert_from=Severity[settings.alert_from],
        ask_import=imports.ask_import if settings.security_hub else None,
    )


def import_ports(settings: AuditSettings, aws: Aws, clock: Callable[[], datetime]) -> ImportPorts:
    """Return what imports into Security Hub work with."""
    report = audit_telemetry()
    account, region, partition = settings.account, settings.aws.region, settings.partition
    return ImportPorts(
        findings=FindingsTable(
            aws.dynamodb(LIMITS), settings.findings_table, timedelta(days=settings.record_days), clock
        ),
        state=state,
        send=SecurityHub(
            aws.service("securityhub", IMPORT_LIMITS),
            lambda finding: to_asff(
                finding, account=account, region=region, partition=partition, pages=settings.pages
            ),
            report.import_refused,
        ),
        keep=Queue(
            JsonService(aws.service("sqs", LIMITS), target="AmazonSQS"), settings.imports_dead_letter_queue
        ).keep,
        report=report.imports,
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
            # ARNs, whole and in part (functions), addresses (queues) and names with a path (log groups).
            # The API alone is named by an id, also in a path.
            own_resources=(
                *(f"*:{one.stack}-*", f"*/{one.stack}-*", f"{one.stack}-*"),
                *(one.api, f"*/restapis/{one.api}", f"*/restapis/{one.api}/*"),
            ),
            accounts=accounts,
            web_identities=audiences,
            learning_until=self._history.began(self._clock()) + LEARNING,
            anchors_and_profiles=frozenset(one.anchors_and_profiles),
            other_source_identities=one.other_source_identities,
            has_trail=one.has_trail,
            posture_role=one.posture_role,
            records_kept=timedelta(days=one.record_days),
            surroundings=Surroundings(org_accounts=accounts | {one.account} if accounts else None),
        )


def _mark(kind: Kind, name: str) -> str:
    """Return under which key a message is marked as taken; records have their bare ids."""
    return f"record#{name}" if kind == "record" else f"record#{kind} {name}"
