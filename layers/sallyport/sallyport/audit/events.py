"""Reads what arrives: CloudTrail events in EventBridge envelopes, records, changes of the trust table.

Everything in an event was written by somebody else, much of it by whoever made the call. Reading
never raises for what an event says: a field that is missing, of another type or too long is absent
or cut, and an envelope that says nothing is ``Unusable`` with a reason. What must not be kept,
session tokens and assertions, is left behind here, so that nothing later can show it.

CloudTrail's record: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from sallyport.audit.display import display
from sallyport.audit.event_values import (
    MAX_ENTRIES,
    NOTHING,
    Copy,
    address_of,
    attributes,
    bounded,
    flag_of,
    part_of,
    text_of,
    texts_of,
    time_of,
    time_of_epoch,
)
from sallyport.audit.publish import DETAIL_TYPE, SOURCE

# Of EventBridge's two spellings of a console sign-in both exist: AWS's list of detail types writes
# the second, delivered events carry the first.
CLOUDTRAIL_DETAIL_TYPES: Final = frozenset(
    {
        "AWS API Call via CloudTrail",
        "AWS Console Sign In via CloudTrail",
        "AWS Console Signin via CloudTrail",
        "AWS Service Event via CloudTrail",
        "AWS Console Action via CloudTrail",
    }
)
# What services put on the bus themselves. They have no caller: (source, detail type) is their name.
NATIVE_SOURCES: Final = frozenset({"aws.rolesanywhere", "aws.signin", "aws.securityhub"})

# A service of AWS's own. The sources of partners begin with aws. as well (aws.partner/…), and what stands
# in their events is up to them, or to whoever is their customer.
_SERVICE: Final = re.compile(r"aws\.[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Unusable:
    """What cannot be read as anything. ``reason`` is stable kebab-case; ``detail`` is harmless text."""

    reason: str
    detail: str = ""
    event_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who made a call, as CloudTrail's ``userIdentity`` says; ``None`` is what it does not say.

    ``role_arn`` is the role itself (``sessionIssuer.arn``), with its path; ``arn`` is the session's.
    ``source_identity`` is what the session carries, not what the call sets.
    """

    type: str | None = None
    arn: str | None = None
    account: str | None = None
    principal_id: str | None = None
    access_key: str | None = None
    user_name: str | None = None
    role_arn: str | None = None
    session_name: str | None = None
    source_identity: str | None = None
    invoked_by: str | None = None
    identity_provider: str | None = None
    issuer_type: str | None = None
    federated_provider: str | None = None
    from_console: bool = False
    mfa: bool | None = None

    @property
    def name(self) -> str | None:
        """Return what tells callers apart: the role without its session, else the most there is."""
        return self.role_arn or self.arn or self.principal_id or self.invoked_by or self.account


NOBODY: Final = Caller()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One event, bounded. ``None`` is what the event does not say.

    ``source`` is CloudTrail's ``eventSource`` in lower case without its suffix (``sts``), or the
    EventBridge source of a service's own event (``aws.rolesanywhere``); ``name`` is ``eventName``
    as written, or the detail type. ``time`` is ``eventTime``, or the envelope's.
    ``account`` is the recipient's account, the one in whose trail the event was found.
    """

    event_id: str
    source: str
    name: str
    time: datetime
    account: str | None = None
    region: str | None = None
    kind: str | None = None
    category: str | None = None
    shared_event_id: str | None = None
    read_only: bool | None = None
    error_code: str | None = None
    error_message: str | None = None
    caller: Caller = NOBODY
    request: Mapping[str, Any] | None = None
    response: Mapping[str, Any] | None = None
    additional: Mapping[str, Any] | None = None
    tls: Mapping[str, Any] | None = None
    resources: tuple[str, ...] = ()
    source_ip: str | None = None
    source_service: str | None = None
    user_agent: str | None = None
    vpc_endpoint: str | None = None
    addendum_reason: str | None = None
    original_event_id: str | None = None
    replay: str | None = None

    @property
    def occurrence(self) -> str:
        """Return the id of what happened: its copies in two accounts, and a correction of it, share it."""
        return self.original_event_id or self.shared_event_id or self.event_id

    @property
    def succeeded(self) -> bool:
        """Tell whether the call had its effect. Console sign-ins say so in their response."""
        return self.error_code is None and self.error_message is None

    def value(self, path: str) -> Any:  # noqa: ANN401 - a JSON value
        """Return what stands at a path of CloudTrail's own names (``requestParameters.roleArn``).

        ``None`` if any step of it is missing or no object.
        """
        head, *rest = path.split(".")
        found: Any = getattr(self, _PARTS[head])
        for step in rest:
            if not isinstance(found, Mapping):
                return None
            found = found.get(step)
        return found

    def text(self, path: str) -> str | None:
        """Return the text at a path; ``None`` if there is none, or it is empty or no text."""
        found = self.value(path)
        return found if isinstance(found, str) and found else None


_PARTS: Final = {
    "requestParameters": "request",
    "responseElements": "response",
    "additionalEventData": "additional",
    "tlsDetails": "tls",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEvent:
    """One of our own records, as the records rule delivered it.

    Only what rules and lineage look at; ``detail`` is the whole record, bounded.
    """

    record_id: str
    time: datetime
    kind: str
    outcome: str
    account: str | None = None
    region: str | None = None
    route: str | None = None
    reason: str | None = None
    source_ip: str | None = None
    anchor_name: str | None = None
    anchor_id: str | None = None
    subject: str | None = None
    role_arn: str | None = None
    session_name: str | None = None
    source_identity: str | None = None
    access_key: str | None = None
    issued_region: str | None = None
    issuance: str | None = None
    profile: str | None = None
    replay: str | None = None
    detail: Mapping[str, Any] = field(default_factory=lambda: NOTHING, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustChange:
    """One change of the trust table, as its stream delivered it.

    ``change`` is INSERT, MODIFY or REMOVE; ``by_service`` is the service that made it by itself
    (time to live), if one did. The images hold attributes as texts (``attributes``).
    """

    event_id: str
    time: datetime
    change: str
    key: str
    version: str
    account: str | None = None
    region: str | None = None
    by_service: str | None = None
    before: Mapping[str, str] = field(default_factory=lambda: NOTHING, repr=False)
    after: Mapping[str, str] = field(default_factory=lambda: NOTHING, repr=False)


def read_event(envelope: object) -> Observed | Unusable:  # noqa: PLR0911 - a way out for each kind
    """Return the event in an EventBridge envelope, ours, forwarded or replayed.

    Whoever may put events on a bus can write anything into them but a source that begins with
    ``aws.``, which EventBridge keeps for AWS's services and its partners. Only services' events are
    believed. Nor can they write the envelope's account, which is the one whose bus an event came to
    first: an event of one account that speaks for another is not believed either.

    Args:
        envelope: the envelope as parsed from JSON. A bare CloudTrail record, as it stands in a
            trail's files, will do as well; what cannot be believed must not be given as such.
    """
    if not isinstance(envelope, Mapping):
        return Unusable("not-an-object", "the envelope is no JSON object")
    kind, source = envelope.get("detail-type"), envelope.get("source")
    if kind is None and source is None and "eventName" in envelope:
        return _cloudtrail(envelope, NOTHING)
    event_id, detail = text_of(envelope.get("id")), envelope.get("detail")
    if not isinstance(source, str) or not _SERVICE.fullmatch(source):
        return Unusable("not-from-aws", "the envelope's source is none of AWS's services", event_id)
    if text_of(envelope.get("account")) is None:
        return Unusable("no-account", "the envelope does not say whose event it is", event_id)
    if not isinstance(detail, Mapping) or not isinstance(kind, str):
        return Unusable("no-detail", "the envelope has no detail, or no detail type", event_id)
    if kind in CLOUDTRAIL_DETAIL_TYPES:
        return _cloudtrail(detail, envelope)
    if source in NATIVE_SOURCES:
        return _native(detail, envelope, kind)
    return Unusable("unknown-detail-type", display(kind, limit=80), event_id)


def read_record(envelope: object) -> RecordEvent | Unusable:
    """Return the record in an envelope. Only for what came by the records rule."""
    if not isinstance(envelope, Mapping):
        return Unusable("not-an-object", "the envelope is no JSON object")
    detail = envelope.get("detail")
    if (
        envelope.get("source") != SOURCE
        or envelope.get("detail-type") != DETAIL_TYPE
        or not isinstance(detail, Mapping)
    ):
        return Unusable("not-a-record", "the message did not come by the records rule")
    record_id, when = text_of(detail.get("id")), time_of(detail.get("time")) or time_of(envelope.get("time"))
    if record_id is None or when is None:
        return Unusable("not-a-record", "a record has an id and a time", record_id)
    # Each part has a budget of its own: a long trace must not push out which key was issued.
    kept: dict[str, Any] = {}
    for name, value in islice(detail.items(), MAX_ENTRIES):
        kept |= Copy().mapping({name: value})
    identity, grant, issued, request = (
        part_of(kept, name) for name in ("anchor", "grant", "issued", "request")
    )
    return RecordEvent(
        record_id=record_id,
        time=when,
        kind=text_of(detail.get("kind")) or "exchange",
        outcome=text_of(detail.get("outcome")) or "",
        account=text_of(envelope.get("account")),
        region=text_of(envelope.get("region")),
        route=text_of(kept.get("route")),
        reason=text_of(kept.get("reason")),
        source_ip=address_of(kept.get("source_ip")),
        anchor_name=text_of(identity.get("name")),
        anchor_id=text_of(identity.get("id")),
        subject=text_of(kept.get("subject")),
        role_arn=text_of(grant.get("role_arn")) or text_of(request.get("role_arn")),
        session_name=text_of(grant.get("session_name")),
        # What STS answered outranks what was asked for.
        source_identity=text_of(issued.get("source_identity")) or text_of(grant.get("source_identity")),
        access_key=access_key_id(issued.get("access_key_id")),
        issued_region=text_of(issued.get("region")),
        issuance=text_of(grant.get("issuance")),
        profile=text_of(part_of(kept, "profile").get("name")),
        replay=text_of(envelope.get("replay-name")),
        detail=MappingProxyType(kept),
    )


def read_trust_change(entry: object) -> TrustChange | Unusable:
    """Return a change of the trust table out of one entry of its DynamoDB stream."""
    if not isinstance(entry, Mapping):
        return Unusable("not-an-object", "the stream's entry is no JSON object")
    event_id, change = text_of(entry.get("eventID")), part_of(entry, "dynamodb")
    kind = text_of(entry.get("eventName"))
    if event_id is None or kind not in {"INSERT", "MODIFY", "REMOVE"}:
        return Unusable("not-a-change", "the stream's entry has no id or no known kind", event_id)
    keys = attributes(change.get("Keys"))
    when = change.get("ApproximateCreationDateTime")
    by, arn = part_of(entry, "userIdentity"), text_of(entry.get("eventSourceARN")) or ""
    return TrustChange(
        event_id=event_id,
        time=time_of_epoch(when),
        change=kind,
        key=keys.get("pk", ""),
        version=keys.get("version", ""),
        account=arn.split(":")[4] if arn.count(":") >= 5 else None,  # noqa: PLR2004 - an ARN's parts
        region=text_of(entry.get("awsRegion")),
        by_service=text_of(by.get("principalId")) if by.get("type") == "Service" else None,
        before=attributes(change.get("OldImage")),
        after=attributes(change.get("NewImage")),
    )


def access_key_id(value: object) -> str | None:
    """Return an access key id that has the form of one (IAM: 16 to 128 of ``[A-Za-z0-9_]``), or ``None``."""
    if not isinstance(value, str) or not 16 <= len(value) <= 128:  # noqa: PLR2004 - IAM's own bounds
        return None
    return value if value.isascii() and value.replace("_", "").isalnum() else None


def _cloudtrail(detail: Mapping[str, Any], envelope: Mapping[str, Any]) -> Observed | Unusable:
    get = detail.get
    event_id, name = text_of(get("eventID")), text_of(get("eventName"))
    source = text_of(get("eventSource"))
    if event_id is None or name is None or source is None:
        return Unusable(
            "not-a-cloudtrail-event",
            "it has no id, no name or no source",
            event_id or text_of(envelope.get("id")),
        )
    recipient, account = text_of(get("recipientAccountId")), text_of(envelope.get("account"))
    if None not in (recipient, account) and recipient != account:
        return Unusable("another-account", "the event speaks for another account than its own", event_id)
    when = time_of(get("eventTime")) or time_of(envelope.get("time"))
    if when is None:
        return Unusable("no-time", "neither event nor envelope has a time", event_id)
    address = get("sourceIPAddress")
    ip = address_of(address)
    addendum = get("addendum")
    addendum = addendum if isinstance(addendum, Mapping) else NOTHING
    return Observed(
        event_id=event_id,
        source=source.lower().partition(".amazonaws.com")[0],
        name=name,
        time=when,
        account=account or recipient,
        region=text_of(get("awsRegion")) or text_of(envelope.get("region")),
        kind=text_of(get("eventType")),
        category=text_of(get("eventCategory")),
        shared_event_id=text_of(get("sharedEventID")),
        read_only=flag_of(get("readOnly")),
        error_code=text_of(get("errorCode")),
        error_message=text_of(get("errorMessage")),
        caller=_caller(get("userIdentity"), detail),
        request=Copy().optional(get("requestParameters")),
        response=Copy().optional(get("responseElements")),
        additional=Copy().optional(get("additionalEventData")),
        tls=Copy().optional(get("tlsDetails")),
        resources=_resources(get("resources")),
        source_ip=ip,
        source_service=text_of(address) if ip is None else None,
        user_agent=text_of(get("userAgent")),
        vpc_endpoint=text_of(get("vpcEndpointId")),
        addendum_reason=text_of(addendum.get("reason")),
        original_event_id=text_of(addendum.get("originalEventID")),
        replay=text_of(envelope.get("replay-name")),
    )


def _native(detail: Mapping[str, Any], envelope: Mapping[str, Any], kind: str) -> Observed | Unusable:
    event_id, source, when = (
        text_of(envelope.get("id")),
        text_of(envelope.get("source")),
        time_of(envelope.get("time")),
    )
    if event_id is None or source is None or when is None:
        return Unusable("no-id-or-time", "the envelope has no id, source or time", event_id)
    resources = envelope.get("resources")
    return Observed(
        event_id=event_id,
        source=source,
        name=bounded(kind),
        time=when,
        account=text_of(envelope.get("account")),
        region=text_of(envelope.get("region")),
        request=Copy().optional(detail),
        resources=texts_of(resources),
        replay=text_of(envelope.get("replay-name")),
    )


def _caller(identity: object, detail: Mapping[str, Any]) -> Caller:
    if not isinstance(identity, Mapping):
        return NOBODY
    get = identity.get
    session = get("sessionContext")
    session = session if isinstance(session, Mapping) else NOTHING
    issuer, web = part_of(session, "sessionIssuer"), part_of(session, "webIdFederationData")
    attributes = part_of(session, "attributes")
    kind, arn = text_of(get("type")), text_of(get("arn"))
    # Some services know the role of a session and not its type.
    is_role = kind == "AssumedRole" or text_of(issuer.get("type")) == "Role"
    return Caller(
        type=kind,
        arn=arn,
        account=text_of(get("accountId")),
        principal_id=text_of(get("principalId")),
        access_key=access_key_id(get("accessKeyId")),
        user_name=text_of(get("userName")),
        role_arn=text_of(issuer.get("arn")) if is_role else None,
        session_name=arn.rpartition("/")[2] if is_role and arn is not None and "/" in arn else None,
        source_identity=text_of(session.get("sourceIdentity")),
        invoked_by=text_of(get("invokedBy")),
        identity_provider=text_of(get("identityProvider")),
        issuer_type=text_of(issuer.get("type")),
        federated_provider=text_of(web.get("federatedProvider")),
        from_console=flag_of(detail.get("sessionCredentialFromConsole")) is True,
        mfa=flag_of(attributes.get("mfaAuthenticated")),
    )


def _resources(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        return ()
    found = (
        text_of(one.get("ARN")) or text_of(one.get("arn"))
        for one in value[:MAX_ENTRIES]
        if isinstance(one, Mapping)
    )
    return tuple(arn for arn in found if arn is not None)
