"""Reads what arrives: CloudTrail events in EventBridge envelopes, records, changes of the trust table.

Everything in an event was written by somebody else, much of it by whoever made the call. Reading
never raises for what an event says: a field that is missing, of another type or too long is absent
or cut, and an envelope that says nothing is ``Unusable`` with a reason. What must not be kept,
session tokens and assertions, is left behind here, so that nothing later can show it.

CloudTrail's record: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from sallyport.audit.display import display
from sallyport.audit.publish import DETAIL_TYPE, SOURCE

# The longest values that AWS itself lets through (an ARN, 2048). More is padding.
MAX_TEXT: Final = 2_048
# CloudTrail's own cap for request and response
# (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html).
MAX_DOCUMENT: Final = 100_000
# Of one event, as it is read: real events have a few dozen fields, and nest four deep.
MAX_DEPTH: Final = 8
MAX_ENTRIES: Final = 100
MAX_NODES: Final = 1_000

# Policy documents are text of their own inside an event; rules look into them, nobody stores them.
DOCUMENTS: Final = frozenset({"assumeRolePolicyDocument", "policyDocument", "policy", "sAMLMetadataDocument"})
# Never kept, whatever carries them; compared in lower case.
SECRETS: Final = frozenset(
    {
        "sessiontoken",
        "secretaccesskey",
        "samlassertion",
        "samlassertionid",
        "webidentitytoken",
        "tokencode",
        "password",
        "newpassword",
        "oldpassword",
        "code",
        "codeverifier",
        "code_verifier",
        "accesstoken",
        "refreshtoken",
        "idtoken",
        "signintoken",
        "privatekey",
    }
)

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

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


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
    detail: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, repr=False)


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
    before: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)
    after: Mapping[str, str] = field(default_factory=lambda: _NOTHING, repr=False)


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
        return _cloudtrail(envelope, _NOTHING)
    event_id, detail = _text(envelope.get("id")), envelope.get("detail")
    if not isinstance(source, str) or not _SERVICE.fullmatch(source):
        return Unusable("not-from-aws", "the envelope's source is none of AWS's services", event_id)
    if _text(envelope.get("account")) is None:
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
    record_id, when = _text(detail.get("id")), _time(detail.get("time")) or _time(envelope.get("time"))
    if record_id is None or when is None:
        return Unusable("not-a-record", "a record has an id and a time", record_id)
    # Each part has a budget of its own: a long trace must not push out which key was issued.
    kept: dict[str, Any] = {}
    for name, value in islice(detail.items(), MAX_ENTRIES):
        kept |= _Copy().mapping({name: value})
    identity, grant, issued, request = (
        _part(kept, name) for name in ("anchor", "grant", "issued", "request")
    )
    return RecordEvent(
        record_id=record_id,
        time=when,
        kind=_text(detail.get("kind")) or "exchange",
        outcome=_text(detail.get("outcome")) or "",
        account=_text(envelope.get("account")),
        region=_text(envelope.get("region")),
        route=_text(kept.get("route")),
        reason=_text(kept.get("reason")),
        source_ip=_address(kept.get("source_ip")),
        anchor_name=_text(identity.get("name")),
        anchor_id=_text(identity.get("id")),
        subject=_text(kept.get("subject")),
        role_arn=_text(grant.get("role_arn")) or _text(request.get("role_arn")),
        session_name=_text(grant.get("session_name")),
        # What STS answered outranks what was asked for.
        source_identity=_text(issued.get("source_identity")) or _text(grant.get("source_identity")),
        access_key=access_key_id(issued.get("access_key_id")),
        issued_region=_text(issued.get("region")),
        issuance=_text(grant.get("issuance")),
        profile=_text(_part(kept, "profile").get("name")),
        replay=_text(envelope.get("replay-name")),
        detail=MappingProxyType(kept),
    )


def read_trust_change(entry: object) -> TrustChange | Unusable:
    """Return a change of the trust table out of one entry of its DynamoDB stream."""
    if not isinstance(entry, Mapping):
        return Unusable("not-an-object", "the stream's entry is no JSON object")
    event_id, change = _text(entry.get("eventID")), _part(entry, "dynamodb")
    kind = _text(entry.get("eventName"))
    if event_id is None or kind not in {"INSERT", "MODIFY", "REMOVE"}:
        return Unusable("not-a-change", "the stream's entry has no id or no known kind", event_id)
    keys = attributes(change.get("Keys"))
    when = change.get("ApproximateCreationDateTime")
    by, arn = _part(entry, "userIdentity"), _text(entry.get("eventSourceARN")) or ""
    return TrustChange(
        event_id=event_id,
        time=_epoch(when),
        change=kind,
        key=keys.get("pk", ""),
        version=keys.get("version", ""),
        account=arn.split(":")[4] if arn.count(":") >= 5 else None,  # noqa: PLR2004 - an ARN's parts
        region=_text(entry.get("awsRegion")),
        by_service=_text(by.get("principalId")) if by.get("type") == "Service" else None,
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
    event_id, name = _text(get("eventID")), _text(get("eventName"))
    source = _text(get("eventSource"))
    if event_id is None or name is None or source is None:
        return Unusable(
            "not-a-cloudtrail-event",
            "it has no id, no name or no source",
            event_id or _text(envelope.get("id")),
        )
    recipient, account = _text(get("recipientAccountId")), _text(envelope.get("account"))
    if None not in (recipient, account) and recipient != account:
        return Unusable("another-account", "the event speaks for another account than its own", event_id)
    when = _time(get("eventTime")) or _time(envelope.get("time"))
    if when is None:
        return Unusable("no-time", "neither event nor envelope has a time", event_id)
    address = get("sourceIPAddress")
    ip = _address(address)
    addendum = get("addendum")
    addendum = addendum if isinstance(addendum, Mapping) else _NOTHING
    return Observed(
        event_id=event_id,
        source=source.lower().partition(".amazonaws.com")[0],
        name=name,
        time=when,
        account=account or recipient,
        region=_text(get("awsRegion")) or _text(envelope.get("region")),
        kind=_text(get("eventType")),
        category=_text(get("eventCategory")),
        shared_event_id=_text(get("sharedEventID")),
        read_only=_flag(get("readOnly")),
        error_code=_text(get("errorCode")),
        error_message=_text(get("errorMessage")),
        caller=_caller(get("userIdentity"), detail),
        request=_Copy().optional(get("requestParameters")),
        response=_Copy().optional(get("responseElements")),
        additional=_Copy().optional(get("additionalEventData")),
        tls=_Copy().optional(get("tlsDetails")),
        resources=_resources(get("resources")),
        source_ip=ip,
        source_service=_text(address) if ip is None else None,
        user_agent=_text(get("userAgent")),
        vpc_endpoint=_text(get("vpcEndpointId")),
        addendum_reason=_text(addendum.get("reason")),
        original_event_id=_text(addendum.get("originalEventID")),
        replay=_text(envelope.get("replay-name")),
    )


def _native(detail: Mapping[str, Any], envelope: Mapping[str, Any], kind: str) -> Observed | Unusable:
    event_id, source, when = (
        _text(envelope.get("id")),
        _text(envelope.get("source")),
        _time(envelope.get("time")),
    )
    if event_id is None or source is None or when is None:
        return Unusable("no-id-or-time", "the envelope has no id, source or time", event_id)
    resources = envelope.get("resources")
    return Observed(
        event_id=event_id,
        source=source,
        name=_bounded(kind),
        time=when,
        account=_text(envelope.get("account")),
        region=_text(envelope.get("region")),
        request=_Copy().optional(detail),
        resources=_texts(resources),
        replay=_text(envelope.get("replay-name")),
    )


def _caller(identity: object, detail: Mapping[str, Any]) -> Caller:
    if not isinstance(identity, Mapping):
        return NOBODY
    get = identity.get
    session = get("sessionContext")
    session = session if isinstance(session, Mapping) else _NOTHING
    issuer, web = _part(session, "sessionIssuer"), _part(session, "webIdFederationData")
    attributes = _part(session, "attributes")
    kind, arn = _text(get("type")), _text(get("arn"))
    # Some services know the role of a session and not its type.
    is_role = kind == "AssumedRole" or _text(issuer.get("type")) == "Role"
    return Caller(
        type=kind,
        arn=arn,
        account=_text(get("accountId")),
        principal_id=_text(get("principalId")),
        access_key=access_key_id(get("accessKeyId")),
        user_name=_text(get("userName")),
        role_arn=_text(issuer.get("arn")) if is_role else None,
        session_name=arn.rpartition("/")[2] if is_role and arn is not None and "/" in arn else None,
        source_identity=_text(session.get("sourceIdentity")),
        invoked_by=_text(get("invokedBy")),
        identity_provider=_text(get("identityProvider")),
        issuer_type=_text(issuer.get("type")),
        federated_provider=_text(web.get("federatedProvider")),
        from_console=_flag(detail.get("sessionCredentialFromConsole")) is True,
        mfa=_flag(attributes.get("mfaAuthenticated")),
    )


class _Copy:
    """Copies JSON values of one event, bounded and without secrets."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_NODES

    def optional(self, value: object) -> Mapping[str, Any] | None:
        """Return a copy of an object; ``None`` if it is none."""
        return self.mapping(value) if isinstance(value, Mapping) else None

    def mapping(self, value: Mapping[Any, Any], depth: int = 0) -> Mapping[str, Any]:
        """Return a read-only copy of an object."""
        kept: dict[str, Any] = {}
        # Last of all what has members of its own: a caller's long list must not push out plain values.
        nested: list[tuple[str, object]] = []
        for number, (key, inner) in enumerate(value.items()):
            if number == MAX_ENTRIES or self._left <= 0 or not isinstance(key, str):
                break
            self._left -= 1
            if key.lower() in SECRETS:
                continue
            name = key if len(key) <= MAX_TEXT and key.isprintable() else _bounded(key)
            if isinstance(inner, str):
                kept[name] = inner[:MAX_DOCUMENT] if key in DOCUMENTS else _bounded(inner)
            elif inner is None or isinstance(inner, (bool, int, float)):
                kept[name] = inner
            else:
                nested.append((name, inner))
        for name, inner in nested:
            kept[name] = self._value(inner, depth + 1)
        return MappingProxyType(kept)

    def _value(self, value: object, depth: int) -> Any:  # noqa: ANN401 - a JSON value
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return _bounded(value)
        if depth > MAX_DEPTH:
            return None
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple):
            kept = []
            for inner in value[:MAX_ENTRIES]:
                if self._left <= 0:
                    break
                self._left -= 1
                kept.append(self._value(inner, depth + 1))
            return tuple(kept)
        return None


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else _NOTHING


def _bounded(text: str) -> str:
    """Return text that is cut and has only visible characters; what is ordinary stays as it is.

    Others stand as ``⟨1b⟩`` and what was cut off as ``⟨+7⟩``, without a backslash: whoever shows the text
    escapes it (``display``), and would escape that one again. So that no two texts become one, a bracket
    of this kind is never left as it is.
    """
    if len(text) <= MAX_TEXT and text.isprintable() and "⟨" not in text:
        return text
    kept = "".join(one if one.isprintable() and one != "⟨" else f"⟨{ord(one):x}⟩" for one in text[:MAX_TEXT])
    missing = len(text) - MAX_TEXT
    return f"{kept}⟨+{missing}⟩" if missing > 0 else kept


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return _bounded(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        return ()
    return tuple(text for one in value[:MAX_ENTRIES] if (text := _text(one)) is not None)


def _resources(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        return ()
    found = (
        _text(one.get("ARN")) or _text(one.get("arn"))
        for one in value[:MAX_ENTRIES]
        if isinstance(one, Mapping)
    )
    return tuple(arn for arn in found if arn is not None)


def _flag(value: object) -> bool | None:
    """CloudTrail writes truth as a boolean here and as text there."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return None


def _address(value: object) -> str | None:
    """Return an address as such; over a tenth of real events hold a service's name instead."""
    # The longest address, IPv4 in IPv6, has 45 characters; no zone is ever logged.
    if not isinstance(value, str) or len(value) > 45 or "%" in value:  # noqa: PLR2004 - see above
        return None
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return None


def _time(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > 40:  # noqa: PLR2004 - an ISO time with all there can be
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    # Before AWS, or so late that no window of time fits behind it.
    if not 2000 <= when.year <= 9000:  # noqa: PLR2004 - see above
        return None
    # A time without a zone is CloudTrail's own, which is UTC.
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _epoch(value: object) -> datetime:
    # Bounded as every other time is; a stream's entries are never without one.
    if not isinstance(value, int | float) or not 946_684_800 <= value <= 221_845_392_000:  # noqa: PLR2004 - the years 2000 to 9000
        return _EPOCH
    return datetime.fromtimestamp(float(value), UTC)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def attributes(image: object) -> Mapping[str, str]:
    """Return the attributes of a DynamoDB image as texts; what is long or no text is its SHA-256.

    So a change that is not shown is still a change.
    """
    if not isinstance(image, Mapping):
        return _NOTHING
    found: dict[str, str] = {}
    for name, typed in islice(image.items(), MAX_ENTRIES):
        if isinstance(name, str) and isinstance(typed, Mapping):
            value = typed.get("S", typed.get("N"))
            if not isinstance(value, str) or len(value) > MAX_TEXT:
                value = _digest(typed)
            if value:
                found[_bounded(name)] = _bounded(value)
    return MappingProxyType(found)


def _digest(value: object) -> str:
    try:
        return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
    except (ValueError, TypeError, RecursionError):
        # Nested deeper than anything that DynamoDB takes.
        return "unreadable"
