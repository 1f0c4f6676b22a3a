"""What a sample is, and how events for samples are written."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sallyport.audit.evaluate import evaluate
from sallyport.audit.events import (
    Observed,
    RecordEvent,
    TrustChange,
    Unusable,
    read_event,
    read_record,
    read_trust_change,
)
from sallyport.audit.finding import CannotTell, Finding
from tests.support.audit_world import (
    ACCOUNT,
    EXCHANGE_ROLE,
    EXCHANGE_ROLE_ID,
    MANAGED_ROLE,
    NOON,
    REGION,
    FakeIssued,
    context,
)

READERS = {"event": read_event, "record": read_record, "trust": read_trust_change}


@dataclass(frozen=True)
class Sample:
    """Events in the order in which they come. The last one is what the sample is about."""

    events: tuple[dict[str, Any], ...]
    records: tuple[dict[str, Any], ...] = ()
    kind: str = "event"
    facts: Mapping[str, Any] = field(default_factory=dict)

    def run(self, *, drop: tuple[str | int, ...] | None = None) -> list[list[Finding | CannotTell]]:
        """Return what the rules say of each event; ``drop`` deletes one field of the last one."""
        issued = [one for one in map(read_record, self.records) if isinstance(one, RecordEvent)]
        assert len(issued) == len(self.records)
        facts = {name: value() if callable(value) else value for name, value in self.facts.items()}
        known = context(issued=FakeIssued(issued), **facts)
        events = list(self.events)
        if drop is not None:
            events[-1] = without(events[-1], drop)
        said = []
        for raw in events:
            event = READERS[self.kind](raw)
            if isinstance(event, Unusable):
                assert drop is not None, event
                said.append([])
                continue
            assert isinstance(event, Observed | RecordEvent | TrustChange)
            said.append(evaluate(event, known))
        return said


@dataclass(frozen=True)
class Samples:
    hits: tuple[Sample, ...]
    near_misses: tuple[Sample, ...]
    null_heavy: tuple[Sample, ...]


def one(event: dict[str, Any], **more: Any) -> Sample:
    return Sample((event,), **more)


def paths(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every field and element."""
    found = []
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        found += [(*at, step), *paths(inner, (*at, step))]
    return found


def without(value: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    """Return a copy that lacks one field."""
    changed = copy.deepcopy(value)
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return changed


def iso(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def event(  # noqa: PLR0913 - one argument for each field that samples vary
    source: str,
    name: str,
    caller: dict[str, Any] | None,
    *,
    request: dict[str, Any] | None = None,
    response: dict[str, Any] | None = None,
    error: str | None = None,
    number: int = 1,
    after: timedelta = timedelta(0),
    account: str = ACCOUNT,
    region: str = REGION,
    detail_type: str = "AWS API Call via CloudTrail",
    address: str | None = "192.0.2.7",
    **more: Any,
) -> dict[str, Any]:
    """Return a CloudTrail event in its EventBridge envelope."""
    when = iso(NOON + after)
    detail = {
        "eventVersion": "1.11",
        "userIdentity": caller,
        "eventTime": when,
        "eventSource": f"{source}.amazonaws.com",
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": address,
        "userAgent": "aws-sdk-example/1.0",
        "requestParameters": request,
        "responseElements": response,
        "eventID": f"00000000-0000-4000-8000-{number:012d}",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": account,
        "eventCategory": "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": f"{source}.{region}.amazonaws.com",
        },
    }
    if error is not None:
        detail |= {"errorCode": error, "errorMessage": f"{error}: not authorized to perform: {source}:{name}"}
    return {
        "version": "0",
        "id": f"10000000-0000-4000-8000-{number:012d}",
        "detail-type": detail_type,
        "source": f"aws.{source}",
        "account": account,
        "time": when,
        "region": region,
        "resources": [],
        "detail": detail | more,
    }


def user(name: str = "build", key: str = "AKIAEXAMPLE000000001", account: str = ACCOUNT) -> dict[str, Any]:
    return {
        "type": "IAMUser",
        "principalId": "AIDAEXAMPLE000000001",
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": key,
        "userName": name,
    }


def root(account: str = ACCOUNT) -> dict[str, Any]:
    return {
        "type": "Root",
        "principalId": account,
        "arn": f"arn:aws:iam::{account}:root",
        "accountId": account,
    }


def role(
    arn: str = f"arn:aws:iam::{ACCOUNT}:role/deployer",
    session: str = "session",
    key: str = "ASIAEXAMPLE000000001",
    role_id: str = "AROAEXAMPLE000000001",
    source_identity: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    account, name = arn.split(":")[4], arn.rpartition("/")[2]
    context: dict[str, Any] = {
        "sessionIssuer": {
            "type": "Role",
            "principalId": role_id,
            "arn": arn,
            "accountId": account,
            "userName": name,
        },
        "attributes": {"creationDate": iso(NOON), "mfaAuthenticated": "false"},
    }
    if source_identity is not None:
        context["sourceIdentity"] = source_identity
    return {
        "type": "AssumedRole",
        "principalId": f"{role_id}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        "accountId": account,
        "accessKeyId": key,
        "sessionContext": context,
        **more,
    }


def exchange() -> dict[str, Any]:
    """The exchange function, as CloudTrail sees it call."""
    return role(EXCHANGE_ROLE, "sallyport-assume-role", "ASIAFUNCTION00000001", EXCHANGE_ROLE_ID)


def service(name: str = "lambda.amazonaws.com") -> dict[str, Any]:
    return {"type": "AWSService", "invokedBy": name}


def other_account(account: str, principal: str = "AROASTRANGER00000001:session") -> dict[str, Any]:
    return {"type": "AWSAccount", "principalId": principal, "accountId": account}


def assume(  # noqa: PLR0913 - one argument for each field that samples vary
    caller: dict[str, Any] | None,
    target: str,
    *,
    session: str = "b0c1",
    key: str = "ASIAISSUED0000000001",
    source_identity: str | None = None,
    name: str = "AssumeRole",
    **more: Any,
) -> dict[str, Any]:
    """A session made."""
    named = {} if source_identity is None else {"sourceIdentity": source_identity}
    account, role_name = target.split(":")[4], target.rpartition("/")[2]
    more = {"response": _made(key, account, role_name, session, named)} | more
    return event(
        "sts",
        name,
        caller,
        request={"roleArn": target, "roleSessionName": session, "durationSeconds": 3600, **named},
        **{"readOnly": True, "resources": [{"ARN": target, "accountId": account, "type": "AWS::IAM::Role"}]}
        | more,
    )


def _made(key: str, account: str, role_name: str, session: str, named: dict[str, str]) -> dict[str, Any]:
    """What STS answers, as CloudTrail keeps it: without the secret, with the token."""
    return {
        "credentials": {
            "accessKeyId": key,
            "sessionToken": "IQoJb3JpZ2luX2VjEXAMPLE",
            "expiration": "Nov 20, 2026, 1:00:00 PM",
        },
        "assumedRoleUser": {
            "assumedRoleId": f"AROAEXAMPLE000000002:{session}",
            "arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{session}",
        },
        **named,
    }


def denied(source: str, name: str, caller: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """What CloudTrail says of a call that was not allowed: next to nothing."""
    made = event(source, name, caller or user(), error="AccessDenied", **more)
    for empty in ("tlsDetails", "resources"):
        made["detail"][empty] = None
    return made


def hollow(source: str, name: str, **more: Any) -> dict[str, Any]:
    """An event that says that something happened, and nothing else."""
    made = event(source, name, None, address=None, **more)
    for field_name in (
        "userAgent",
        "tlsDetails",
        "readOnly",
        "resources",
        "additionalEventData",
        "errorCode",
    ):
        made["detail"][field_name] = None
    return made


def record(  # noqa: PLR0913 - one argument for each field that samples vary
    outcome: str = "granted",
    *,
    number: int = 1,
    after: timedelta = timedelta(0),
    key: str = "ASIAISSUED0000000001",
    role_arn: str = MANAGED_ROLE,
    session: str = "b0c1",
    source_identity: str | None = "entra-b0c1",
    subject: str = "b0c1",
    issuance: str = "assume-role",
    source_ip: str = "192.0.2.7",
    region: str = REGION,
) -> dict[str, Any]:
    """One of the exchange's own records, as the records rule delivers it."""
    detail: dict[str, Any] = {
        "id": f"{number:032x}",
        "time": iso(NOON + after),
        "kind": "exchange",
        "route": "POST /credentials",
        "outcome": outcome,
        "source_ip": source_ip,
        "user_agent": "curl/8.5.0",
        "request": {"role_arn": role_arn},
        "anchor": {"name": "entra", "id": "0c52f3ab-0000-4000-8000-000000000001", "arn": "arn:aws:x:::y"},
        "subject": subject,
        "attributes": {},
    }
    if outcome == "granted":
        detail |= {
            "profile": {"name": "team-a", "id": "1", "arn": "arn:aws:x:::z"},
            "grant": {
                "role_arn": role_arn,
                "session_name": session,
                "duration": 3600,
                "issuance": issuance,
                "source_identity": source_identity,
            },
            "issued": {
                "access_key_id": key,
                "assumed_role_arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/x/{session}",
                "region": region,
            },
        }
    else:
        detail |= {"reason": "no-profile-matched", "code": "AccessDenied"}
    return {
        "version": "0",
        "id": f"20000000-0000-4000-8000-{number:012d}",
        "detail-type": "Sallyport Record",
        "source": "sallyport",
        "account": ACCOUNT,
        "time": iso(NOON + after),
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def summary(addresses: dict[str, int], number: int = 1) -> dict[str, Any]:
    """A minute of exchanges whose proof did not verify."""
    made = record("refused", number=number)
    made["detail"] = {
        "id": f"unverified-{number}",
        "time": iso(NOON),
        "kind": "unverified-summary",
        "outcome": "refused",
        "counts": {"signature-invalid": sum(addresses.values())},
        "addresses": addresses,
        "total": sum(addresses.values()),
    }
    return made


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
