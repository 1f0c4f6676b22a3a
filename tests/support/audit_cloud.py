"""The audit as deployed, on a cloud in memory: its queues, its tables, a topic and a Security Hub."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from local.security_hub import SecurityHub
from sallyport.adapters.findings_table import Kept, from_item
from sallyport.adapters.http import HttpResponse, Transport
from sallyport.audit.finding import Finding
from sallyport.settings import AuditSettings, AwsSettings
from sallyport.wiring import auditing
from tests.support.audit_world import ACCOUNT, EXCHANGE_ROLE, EXCHANGE_ROLE_ID, MEMBER, NOON, REGION
from tests.support.fake_dynamodb import Crash
from tests.support.fake_transport import FakeAws, FakeTable
from tests.support.world import OWN

QUEUES = {
    kind: f"arn:aws:sqs:{REGION}:{ACCOUNT}:sallyport-{name}"
    for kind, name in (
        ("record", "audit"),
        ("event", "events"),
        ("later", "audit-later"),
        ("import", "imports"),
    )
}
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:sallyport-alerts"
API = "a1b2c3d4e5"
POSTURE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport-posture"
STREAM = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/trust/stream/2026-11-20T00:00:00.000"


def settings(**changes: Any) -> AuditSettings:
    known: dict[str, Any] = {
        "aws": AwsSettings(region=REGION),
        "account": ACCOUNT,
        "stack": "sallyport",
        "api": API,
        "audit_table": "audit",
        "findings_table": "findings",
        "sessions_table": "sessions",
        "trust_table": "trust",
        "records_queue_arn": QUEUES["record"],
        "events_queue_arn": QUEUES["event"],
        "later_queue_arn": QUEUES["later"],
        "later_queue": "https://sqs/later",
        "imports_queue_arn": QUEUES["import"],
        "imports_queue": "https://sqs/imports",
        "dead_letter_queue": "https://sqs/dead",
        "events_dead_letter_queue": "https://sqs/events-dead",
        "imports_dead_letter_queue": "https://sqs/imports-dead",
        "exchange_roles": (EXCHANGE_ROLE,),
        "exchange_role_ids": (EXCHANGE_ROLE_ID,),
        "managed_roles": ("arn:aws:iam::*:role/sallyport/*",),
        "accounts": (ACCOUNT, MEMBER),
        "anchors_and_profiles": (),
        "other_source_identities": (),
        "posture_role": POSTURE_ROLE,
        "alert_topic": TOPIC,
        "alert_from": "HIGH",
        "pages": "",
        "security_hub": True,
        "has_trail": True,
        "record_days": 400,
    }
    return AuditSettings(**known | changes)


@dataclass
class AuditCloud:
    """Messages in, findings out.

    ``refuse`` makes Security Hub refuse so many imports; ``wrap`` puts something before
    AWS.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOON + timedelta(minutes=1)
    refuse: int = 0
    wrap: Callable[[Transport], Transport] = lambda transport: transport
    milliseconds_left: Callable[[], float] = lambda: 60_000

    def __post_init__(self) -> None:
        tables = {
            "audit": FakeTable(sort_key=None),
            "findings": FakeTable(sort_key=None),
            "sessions": FakeTable(sort_key="sk"),
            "trust": FakeTable(),
        }
        self.aws = FakeAws(now=lambda: self.now, tables=tables)
        self.aws.services = {"sqs": self._sqs, "sns": self._sns, "securityhub": self._hub}
        self.dead: list[tuple[str, str]] = []
        self.later: list[dict[str, Any]] = []
        self.waiting: list[str] = []
        self.alerts: list[dict[str, str]] = []
        self.hub = SecurityHub()
        self.imported: list[dict[str, Any]] = []
        self.restart()

    def restart(self) -> None:
        """Another instance of the function: nothing is left but what is in the tables."""
        self.run = auditing.auditor(
            settings(**self.changes),
            transport=self.wrap(self.aws),
            credentials=lambda: OWN,
            clock=lambda: self.now,
        )

    def send(self, kind: str, *bodies: Any) -> list[int]:
        """Deliver a batch; returns the numbers of the messages that go back."""
        records = [
            {
                "messageId": str(number),
                "body": body if isinstance(body, str) else json.dumps(body),
                "eventSource": "aws:sqs",
                "eventSourceARN": QUEUES.get(kind, kind),
            }
            for number, body in enumerate(bodies)
        ]
        return self._deliver(records)

    def change(self, *entries: dict[str, Any], stream: str = STREAM) -> list[int]:
        """Deliver changes of the trust table."""
        records = []
        for number, entry in enumerate(entries):
            change = entry["dynamodb"] | {"SequenceNumber": str(number)}
            records.append(
                entry | {"dynamodb": change, "eventSource": "aws:dynamodb", "eventSourceARN": stream}
            )
        return self._deliver(records)

    def second_looks(self) -> list[int]:
        """Deliver what was put off."""
        waiting, self.later = self.later, []
        return self.send("later", *(one["MessageBody"] for one in waiting))

    def imports_due(self) -> list[str]:
        """Deliver requests for imports, a hundred at a time; returns those that come again."""
        asked, self.waiting = self.waiting, []
        again: list[str] = []
        for start in range(0, len(asked), 100):
            batch = asked[start : start + 100]
            again += [batch[number] for number in self.send("import", *batch)]
        self.waiting += again
        return again

    def every_finding(self) -> list[Finding]:
        """All findings, however many a rule has."""
        return [one.finding for one in self._kept()]

    def _kept(self) -> list[Kept]:
        return [from_item(item) for item in self.aws.tables["findings"].items.values() if "finding" in item]

    def findings(self) -> dict[str, Kept]:
        """All findings, by rule; a rule with several is an error here."""
        found = self._kept()
        rules = [one.finding.rule_id for one in found]
        assert len(set(rules)) == len(rules), rules
        return dict(zip(rules, found, strict=True))

    def told(self, rule: str) -> list[dict[str, str]]:
        """The alerts about a rule's findings."""
        return [one for one in self.alerts if f"Rule: {rule}\n" in one["Message"]]

    def imports(self, rule: str) -> list[dict[str, Any]]:
        """The imports of a rule's findings."""
        return [one for one in self.imported if one["GeneratorId"] == f"sallyport/{rule}"]

    def counts(self) -> dict[str, int]:
        """How many messages were taken, by outcome."""
        items = self.aws.tables["audit"].items.values()
        return dict(Counter(item["outcome"]["S"] for item in items if "outcome" in item))

    def _deliver(self, records: list[dict[str, Any]]) -> list[int]:
        # As the function answers where all have failed: it raises, and the queue keeps them all.
        context: Any = SimpleNamespace(get_remaining_time_in_millis=self.milliseconds_left)
        try:
            answer = self.run({"Records": records}, context)
        except (BatchProcessingError, Crash):
            return list(range(len(records)))
        return [int(one["itemIdentifier"]) for one in answer["batchItemFailures"]]

    def _sqs(self, target: str, _url: str, body: bytes) -> HttpResponse:
        assert target == "SendMessage"
        message = json.loads(body)
        if message["QueueUrl"].endswith("dead"):
            reason = message["MessageAttributes"]["ERROR_CODE"]["StringValue"]
            self.dead.append((message["MessageBody"], reason))
        elif message["QueueUrl"].endswith("imports"):
            self.waiting.append(message["MessageBody"])
        else:
            assert 0 <= message["DelaySeconds"] <= 900
            self.later.append(message)
        return HttpResponse(200, b"{}")

    def _sns(self, _target: str, _url: str, body: bytes) -> HttpResponse:
        self.alerts.append(dict(parse_qsl(body.decode(), strict_parsing=True)))
        return HttpResponse(200, b"<PublishResponse><MessageId>1</MessageId></PublishResponse>")

    def _hub(self, _target: str, url: str, body: bytes) -> HttpResponse:
        assert url.endswith("/findings/import")
        findings = json.loads(body)["Findings"]
        assert len({one["Id"] for one in findings}) == len(findings), "one finding twice in one call"
        refused, findings = findings[: self.refuse], findings[self.refuse :]
        self.refuse = max(0, self.refuse - len(refused) - len(findings))
        self.imported += findings
        status, answer = 200, {"SuccessCount": 0, "FailedFindings": []}
        if findings:
            status, answer = self.hub.import_findings(json.dumps({"Findings": findings}).encode())
        assert status == 200, answer
        failed = [{"Id": one["Id"], "ErrorCode": "InternalError"} for one in refused]
        answer["FailedFindings"] += failed
        return HttpResponse(200, json.dumps(answer).encode())
