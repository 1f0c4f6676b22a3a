"""What only an exchange can find: sessions that no record explains, and records that nothing follows."""

import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal

from sallyport.audit.account_ids import account_in
from sallyport.audit.events import Observed, RecordEvent, access_key_id
from sallyport.audit.finding import Resource, Severity, window_of
from sallyport.audit.rules.context import GRACE, Context
from sallyport.audit.rules.rule import (
    MANAGED_ROLES,
    NO_MATCH,
    Match,
    Rule,
    Selector,
    Unclear,
    Verdict,
    Where,
    caller_evidence,
    key_resource,
    role_resource,
    roles_named,
)
from sallyport.audit.rules.sts import ASSUME

BURST_WINDOW: Final = timedelta(minutes=15)
# Denials in one window. One workload that is wrongly configured tries a few times a minute; an anchor
# has many workloads; an address may be a company's.
SUBJECT_DENIALS: Final = 20
ANCHOR_DENIALS: Final = 200
ADDRESS_DENIALS: Final = 100
# Networks are compared, not addresses: one site's outgoing addresses lie close together.
_SAME_NETWORK: Final = {4: 24, 6: 48}

# Addresses that mean something inside one network alone. Python's own is_private also holds the ranges
# of documentation, which nobody should see in an event.
_INSIDE: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)

_MANAGED: Final = Where("userIdentity.sessionContext.sessionIssuer.arn", "arn-like", (MANAGED_ROLES,))
# Calls that answer with credentials of a role, in lower case as they are looked up.
_MAKERS: Final = frozenset({*(("sts", name.lower()) for name in ASSUME), ("rolesanywhere", "createsession")})
_DESIGN: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html"
_REVOKE: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html"


def _unexplained_session(event: Observed, context: Context) -> Verdict:
    if (event.source, event.name.lower()) in _MAKERS:
        made = _session_made(event, context)
        if made is not NO_MATCH:
            return made
    return _session_used(event, context)


def _session_made(event: Observed, context: Context) -> Verdict:
    key = _key_made(event)
    # An answer with a key is a session, whatever else the event says of an error.
    if not event.succeeded and key is None:
        return NO_MATCH
    named = roles_named(event)
    if not named:
        return Unclear("no-role")
    # Asked for, listed and answered: a managed role in any of these places is what the call was about.
    role = next((arn for arn in named if context.estate.manages(arn)), None)
    if role is None:
        return NO_MATCH
    caller = _caller(event, context)
    if caller == "stranger":
        return _unexplained(event, role, "It was not the exchange that called.")
    if caller == "unknown":
        return Unclear("callers-copy-decides")
    if key is None:
        return Unclear("no-access-key")
    record = context.issued.by_access_key(key)
    if record is None:
        return _without_record(event, context, role)
    said = {
        "access key": (key, record.access_key),
        "role": (role, record.role_arn),
        "session name": (_session_name(event), record.session_name),
        "source identity": (
            event.text("responseElements.sourceIdentity") or event.text("requestParameters.sourceIdentity"),
            record.source_identity,
        ),
        "Region": (event.region, record.issued_region),
        "issuance": ("web-identity" if _is_by_token(event) else "assume-role", record.issuance),
    }
    return _compared(event, role, said, record)


def _caller(event: Observed, context: Context) -> Literal["exchange", "stranger", "unknown"]:
    """Tell who asked for a session.

    With a caller's own token nobody signs the call: whether the exchange made it, its record alone
    can say, by the access key that STS chose.
    """
    caller, estate = event.caller, context.estate
    if event.source == "rolesanywhere":
        return "stranger"
    if _is_by_token(event):
        return "exchange" if caller.type in {"WebIdentityUser", None} else "stranger"
    if caller.role_arn in estate.exchange_roles:
        return "exchange"
    if caller.type == "AWSAccount" and caller.account == estate.account:
        # The copy in the role's account names the caller by its unique id alone.
        unique = (caller.principal_id or "").partition(":")[0]
        if unique in estate.exchange_role_ids:
            return "exchange"
        return "stranger" if unique and estate.exchange_role_ids else "unknown"
    return "stranger"


def _without_record(event: Observed, context: Context, role: str) -> Verdict:
    due = event.time + GRACE
    # Nobody waits for a time that is still far away: such an event would never be judged.
    if context.now < due and event.time - context.now <= GRACE:
        return Unclear("record-may-come", due)
    kept = context.estate.records_kept
    if kept is not None and event.time < context.now - kept:
        return Unclear("older-than-records")
    return _unexplained(event, role, "No record of the exchange has its access key.")


def _is_by_token(event: Observed) -> bool:
    return event.name.lower() == "assumerolewithwebidentity"


def _key_made(event: Observed) -> str | None:
    """Return the access key that a call was answered with; Roles Anywhere answers with a list."""
    answers = event.value("responseElements.credentialSet")
    for answer in (event.response, *(answers if isinstance(answers, tuple) else ())):
        credentials = answer.get("credentials") if isinstance(answer, Mapping) else None
        key = access_key_id(credentials.get("accessKeyId")) if isinstance(credentials, Mapping) else None
        if key is not None:
            return key
    return None


def _session_name(event: Observed) -> str | None:
    arn = event.text("responseElements.assumedRoleUser.arn")
    if arn is not None and "/" in arn:
        return arn.rpartition("/")[2]
    return event.text("requestParameters.roleSessionName")


def _session_used(event: Observed, context: Context) -> Verdict:
    caller = event.caller
    if caller.role_arn is None or not context.estate.manages(caller.role_arn):
        return NO_MATCH
    # A service that acts for a session signs with a key of its own making.
    if caller.invoked_by is not None:
        return NO_MATCH
    if caller.from_console:
        return Unclear("console-session")
    if caller.access_key is None:
        return Unclear("no-access-key")
    record = context.issued.by_access_key(caller.access_key)
    if record is None:
        return _without_record(event, context, caller.role_arn)
    if record.outcome != "granted":
        more: dict[str, object] = {"exchange": record.record_id, "outcome": record.outcome}
        return _unexplained(event, caller.role_arn, "The exchange never gave its credentials out.", more)
    said = {
        "role": (caller.role_arn, record.role_arn),
        "session name": (caller.session_name, record.session_name),
        "source identity": (caller.source_identity, record.source_identity),
    }
    return _compared(event, caller.role_arn, said, record)


def _compared(
    event: Observed, role: str, said: Mapping[str, tuple[str | None, str | None]], record: RecordEvent
) -> Verdict:
    different = {name: both for name, both in said.items() if both[0] != both[1]}
    if not different:
        return NO_MATCH
    return _unexplained(
        event,
        role,
        f"The record of its access key says something else: {', '.join(different)}.",
        {
            "exchange": record.record_id,
            **{f"{name}, seen and recorded": f"{seen} / {ours}" for name, (seen, ours) in different.items()},
        },
    )


def _unexplained(event: Observed, role: str, reason: str, more: dict[str, object] | None = None) -> Match:
    is_use = event.caller.role_arn == role and role not in roles_named(event)
    key = event.caller.access_key if is_use else _key_made(event)
    name = event.caller.session_name if is_use else _session_name(event)
    return Match(
        # The key tells sessions apart; without one, everything about the session that is there.
        about=(role, key or f"{name} {event.occurrence}"),
        why=f"There is a session of a role that only the exchange may assume. {reason}",
        evidence=caller_evidence(event)
        | {"role": role, "session name": name, "session key": key}
        | (more or {}),
        resources=(*role_resource(role), *key_resource(key)),
        account=account_in(role),
    )


def _record_without_session(record: RecordEvent, context: Context) -> Verdict:
    if record.access_key is None:
        return NO_MATCH
    if not context.estate.has_trail:
        return Unclear("no-trail")
    if context.sessions.was_made(record.access_key):
        return NO_MATCH
    due = record.time + GRACE
    if context.now < due:
        return Unclear("event-may-come", due)
    return Match(
        about=(record.issued_region or "", account_in(record.role_arn) or ""),
        why="The exchange recorded a session, and CloudTrail never showed it being made.",
        evidence={
            "exchange": record.record_id,
            "access key": record.access_key,
            "role": record.role_arn,
            "Region": record.issued_region,
            "time": record.time.isoformat(),
        },
        resources=role_resource(record.role_arn),
    )


def _denial_burst(record: RecordEvent, context: Context) -> Verdict:
    if record.kind == "unverified-summary":
        return _summary_burst(record, context)
    if record.outcome not in {"denied", "refused"}:
        return NO_MATCH
    found = [
        match
        for kind, key, most in (
            ("subject", _joined(record.anchor_id, record.subject), SUBJECT_DENIALS),
            ("anchor", record.anchor_id, ANCHOR_DENIALS),
            ("address", record.source_ip, ADDRESS_DENIALS),
        )
        if key is not None
        and (match := _counted(record, context, kind, key, most=most, weight=1)) is not None
    ]
    if record.anchor_id is None and record.source_ip is None:
        return Unclear("nobody-to-count")
    return tuple(found) if found else NO_MATCH


def _joined(anchor: str | None, subject: str | None) -> str | None:
    return None if anchor is None or subject is None else f"{anchor} {subject}"


def _summary_burst(record: RecordEvent, context: Context) -> Verdict:
    """Count what has no record of its own: by address, since nothing else of it was verified."""
    addresses = record.detail.get("addresses")
    if not isinstance(addresses, Mapping):
        return Unclear("no-addresses")
    found = [
        match
        for address, count in addresses.items()
        if isinstance(count, int) and not isinstance(count, bool) and count > 0 and address != "others"
        if (match := _counted(record, context, "address", address, most=ADDRESS_DENIALS, weight=count))
        is not None
    ]
    return tuple(found) if found else NO_MATCH


def _counted(  # noqa: PLR0913 - one count has that many facts
    record: RecordEvent, context: Context, kind: str, key: str, *, most: int, weight: int
) -> Match | None:
    start = window_of(record.time, BURST_WINDOW)
    count = context.counter.add(f"denied-{kind}", key, start, f"{record.record_id} {key}", weight)
    if count < most:
        return None
    return Match(
        about=(kind, key),
        why=(
            f"{count} exchanges of one {kind} ended without a session within "
            f"{BURST_WINDOW.seconds // 60} minutes."
        ),
        evidence={
            kind: key,
            "count": count,
            "last reason": record.reason,
            "anchor": record.anchor_name,
            "role": record.role_arn,
            "address": record.source_ip if kind != "address" else None,
            "exchange": record.record_id,
        },
        resources=(Resource("Other", f"{kind} {key}"),),
        # The event that reaches the threshold stands for all before it as well.
        weight=count if count - weight < most else weight,
    )


def _used_elsewhere(event: Observed, context: Context) -> Verdict:
    caller = event.caller
    if caller.invoked_by is not None or caller.access_key is None or caller.role_arn is None:
        return NO_MATCH
    if not context.estate.manages(caller.role_arn):
        return NO_MATCH
    record = context.issued.by_access_key(caller.access_key)
    if record is None:
        # Rule 59 says what is to be said of it.
        return Unclear("no-record")
    if event.source_ip is None or record.source_ip is None:
        return NO_MATCH if event.source_service is not None else Unclear("no-address")
    seen, asked = ipaddress.ip_address(event.source_ip), ipaddress.ip_address(record.source_ip)
    if seen.version != asked.version or any(one in inside for one in (seen, asked) for inside in _INSIDE):
        # Inside a VPC, or one host with two kinds of address: nothing to compare.
        return NO_MATCH if seen == asked else Unclear("addresses-not-comparable")
    network = ipaddress.ip_network((asked, _SAME_NETWORK[asked.version]), strict=False)
    if seen in network:
        return NO_MATCH
    return Match(
        about=(caller.access_key, str(seen)),
        why="Credentials were used from another network than the one that asked for them.",
        evidence=caller_evidence(event)
        | {"asked from": record.source_ip, "exchange": record.record_id, "subject": record.subject},
        resources=(*key_resource(caller.access_key), *role_resource(caller.role_arn)),
    )


RULES: Final = (
    Rule(
        id="session-without-record-59",
        title="A session on a managed role that no exchange record explains",
        severity=Severity.CRITICAL,
        meaning=(
            "Only the exchange may assume this role, and it records every session before it releases the "
            "credentials. Either somebody else can assume it, or somebody acts as the exchange."
        ),
        first=(
            "Revoke the role's sessions (a deny by `aws:TokenIssueTime`), then run `sallyport trace` on the "
            "access key: it shows who called and what the session did."
        ),
        remedy=(
            "Put the trust policy back to the exchange function's exact ARN and the profile's external id. "
            "If the caller was the exchange's own role, treat the function as taken over."
        ),
        references=(_DESIGN, _REVOKE),
        selectors=(
            Selector("sts", ASSUME),
            Selector("rolesanywhere", ("CreateSession",)),
            Selector("", where=(_MANAGED,)),
        ),
        check=_unexplained_session,
        window=timedelta(days=30),
        gaps="Console sessions made from issued credentials carry another key and are counted, not judged.",
    ),
    Rule(
        id="record-without-session-60",
        title="A record without a session in CloudTrail",
        severity=Severity.LOW,
        meaning=(
            "Events are late, or are not forwarded from that Region or account: the audit is blind there."
        ),
        first=(
            "Is the Region's forwarding rule enabled, and the trail logging? See the coverage of "
            "the deployment."
        ),
        remedy="Deploy the forwarding part of `member-account.yaml` where it is missing.",
        references=("https://docs.aws.amazon.com/awscloudtrail/latest/userguide/how-cloudtrail-works.html",),
        on="record",
        check=_record_without_session,
    ),
    Rule(
        id="denial-burst-61",
        title="Many exchanges are denied",
        severity=Severity.MEDIUM,
        meaning=(
            "One verified subject, one anchor, or one address asked again and again and got nothing. "
            "Requests that proved nothing are counted by address alone: whatever they claim, anybody can."
        ),
        first="`sallyport explain <exchange id>` says what was missing.",
        remedy="Mend the workload or the profile; else block the address, or disable the anchor.",
        references=(_DESIGN,),
        on="record",
        check=_denial_burst,
        window=BURST_WINDOW,
        gaps="Windows do not overlap: a burst across their border may need nearly twice as many denials.",
    ),
    Rule(
        id="key-used-elsewhere-62",
        title="Issued credentials are used from elsewhere",
        severity=Severity.MEDIUM,
        meaning="They were asked for from one network and used from another: they may have been copied.",
        first="Does the workload have several ways out? Compare with its earlier sessions.",
        remedy="Bind the role to the workload's networks; revoke the sessions if nobody knows the address.",
        references=(_REVOKE,),
        selectors=(Selector("", where=(_MANAGED,)),),
        check=_used_elsewhere,
        gaps="Addresses inside a VPC, and IPv4 beside IPv6, cannot be compared.",
    ),
)
