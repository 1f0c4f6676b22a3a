"""The posture's function as deployed, beside the audit's, on the same cloud in memory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sallyport.adapters.findings_table import from_item
from sallyport.adapters.http import HttpResponse
from sallyport.settings import AwsSettings, PostureSettings
from sallyport.wiring import posturing
from tests.support import trust_policies as t
from tests.support.audit_cloud import TOPIC, AuditCloud
from tests.support.audit_world import ACCOUNT, EXCHANGE_ROLE, MEMBER, NOON, REGION
from tests.support.fake_account import FakeCloudTrail, FakeIamAccount, FakeOrganizations
from tests.support.user_pools import FakeCognito
from tests.support.world import OWN

SOON = timedelta(days=30)
NO_KEYS = b"user,arn,access_key_1_active,access_key_2_active\n<root_account>,arn,false,false\n"


def role(name: str, *statements: Any, path: str = "/") -> dict[str, Any]:
    """A role as ListRoles describes it."""
    return {
        "Arn": f"arn:aws:iam::{ACCOUNT}:role{path}{name}",
        "Path": path,
        "AssumeRolePolicyDocument": t.policy(*statements),
        "MaxSessionDuration": 3_600,
    }


def settings(**changes: Any) -> PostureSettings:
    """The function's settings."""
    known: dict[str, Any] = {
        "aws": AwsSettings(region=REGION),
        "account": ACCOUNT,
        "partition": "aws",
        "audit_table": "audit",
        "findings_table": "findings",
        "trust_table": "trust",
        "imports_queue": "https://sqs/imports",
        "assume_role_role": EXCHANGE_ROLE,
        "create_session_role": EXCHANGE_ROLE.replace("assume-role", "create-session"),
        "accounts": (ACCOUNT, MEMBER),
        "trigger": "",
        "alert_topic": TOPIC,
        "alert_from": "HIGH",
        "pages": "",
        "security_hub": True,
        "has_trail": True,
        "record_days": 400,
    }
    return PostureSettings(**known | changes)


@dataclass
class PostureCloud(AuditCloud):
    """An account to look at, and what is told of it. ``sts_status`` is what STS answers to our own call."""

    posture_changes: dict[str, Any] = field(default_factory=dict)
    iam: FakeIamAccount = field(default_factory=lambda: FakeIamAccount(report=NO_KEYS))
    organizations: FakeOrganizations = field(default_factory=FakeOrganizations)
    trails: FakeCloudTrail = field(default_factory=FakeCloudTrail)
    cognito: FakeCognito = field(default_factory=FakeCognito)
    sts_status: int = 200
    looks: int = 0
    own_calls: int = 0

    def __post_init__(self) -> None:
        AuditCloud.__post_init__(self)
        self.aws.intercept = self._own_call
        self.redeploy()

    def redeploy(self, **changes: Any) -> None:
        """Another instance of the posture's function, with other settings perhaps."""
        self.posture_changes |= changes
        clients = {
            "iam": self.iam,
            "organizations": self.organizations,
            "cloudtrail": self.trails,
            "cognito-idp": self.cognito,
        }
        self.posture = posturing.posture(
            settings(**self.posture_changes),
            transport=self.aws,
            credentials=lambda: OWN,
            make=clients.__getitem__,
            clock=lambda: self.now,
        )

    def look(self, at: str | None = "account", *, again: bool = False) -> dict[str, Any]:
        """Invoke the function; ``again`` is Lambda's second try of the same invocation."""
        self.looks += not again
        context: Any = SimpleNamespace(aws_request_id=f"look-{self.looks}")
        return self.posture({} if at is None else {"look": at}, context)

    def apply(self, items: Mapping[str, Mapping[str, Any]], version: str = "v1") -> None:
        """Put a compiled trust file in force."""
        table = self.aws.tables["trust"].items
        for key, document in items.items():
            one = {"pk": {"S": key}, "version": {"S": version}, "document": {"S": json.dumps(document)}}
            table[key, version] = one
        table["current", "-"] = {"pk": {"S": "current"}, "version": {"S": "-"}, "current": {"S": version}}

    def suppress(self, **entry: Any) -> None:
        """Put one suppression in force."""
        known = {"id": "s-1", "owner": "team", "reason": "known", "until": f"{self.now + SOON:%Y-%m-%d}"}
        document = {"suppressions": [known | entry]}
        self.aws.tables["findings"].items["suppressions", ""] = {
            "pk": {"S": "suppressions"},
            "document": {"S": json.dumps(document)},
        }

    @property
    def began(self) -> datetime:
        """The time from which samples count."""
        return NOON

    def open(self) -> set[str]:
        """The codes of all findings that are open."""
        items = self.aws.tables["findings"].items.values()
        found = [from_item(item).finding for item in items if "finding" in item]
        return {one.rule_id.removeprefix("posture-") for one in found if one.ended is None}

    def _own_call(self, _url: str, body: bytes, _limits: Any) -> HttpResponse | None:
        if b"Action=GetCallerIdentity" not in body:
            return None
        self.own_calls += 1
        return HttpResponse(self.sts_status, b"<GetCallerIdentityResponse/>")
