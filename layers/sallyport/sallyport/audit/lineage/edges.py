"""Where an access key comes from: every session that was made is an edge from its parent to its key.

Pure. CloudTrail says who made a session with which key; our own records say which outside identity a
session was made for. Both are observations of the same edge, as are the two copies of a call across
accounts: they are kept one by one, so that they may come twice and in any order, and are put together
when somebody looks (``join``). What leads from edge to edge is the access key id, which is exact and
needs no source identity.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sallyport.audit.account_ids import account_in
from sallyport.audit.events import Observed, RecordEvent, access_key_id

# STS's own limit (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
MAX_TAGS: Final = 50
# Two copies of a call, a record and some corrections; more ids tell a reader nothing.
MAX_EVENT_IDS: Final = 20
# Ways in which one key is said to have been issued. Two are one too many; a reader needs no more to see
# that something is wrong, and comparing them all with each other must not take forever.
MAX_APART: Final = 8

# Calls that answer with credentials, by CloudTrail's event source.
MAKERS: Final = frozenset(
    {
        ("sts", "AssumeRole"),
        ("sts", "AssumeRoleWithSAML"),
        ("sts", "AssumeRoleWithWebIdentity"),
        ("sts", "AssumeRoot"),
        ("sts", "GetFederationToken"),
        ("sts", "GetSessionToken"),
        ("rolesanywhere", "CreateSession"),
    }
)
EXCHANGE: Final = "Exchange"
"""The ``call`` of an edge that one of our own records tells of."""


class OriginKind(StrEnum):
    """What stands before a session without being an access key."""

    TOKEN = "token"  # noqa: S105 - a kind
    CERTIFICATE = "certificate"
    SAML = "saml"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Who stands at the beginning: ``name`` as ``by`` (anchor, provider) vouches for it."""

    kind: OriginKind
    name: str
    by: str | None = None

    @property
    def is_outside(self) -> bool:
        """Tell whether it is an identity from outside AWS, at which a trace has arrived."""
        return self.kind is not OriginKind.SERVICE


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One session: ``child`` is the access key id issued to it, ``parent`` the one it was made with.

    ``None`` is what nobody has said. ``caller`` is the ARN or the principal id of who called, ``account``
    the role's account, ``address`` the caller's and only if it is an IP address. ``occurrence`` is the id
    that the copies of one call share.
    """

    child: str
    time: datetime
    call: str
    parent: str | None = None
    origin: Origin | None = None
    caller: str | None = None
    caller_type: str | None = None
    caller_account: str | None = None
    from_console: bool = False
    role: str | None = None
    session_name: str | None = None
    source_identity: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    address: str | None = None
    account: str | None = None
    region: str | None = None
    exchange_id: str | None = None
    outcome: str | None = None
    event_ids: tuple[str, ...] = ()
    occurrence: str | None = None

    @property
    def accounts(self) -> tuple[str, ...]:
        """Return the accounts it touches, the caller's first."""
        found = (self.caller_account, self.account)
        return tuple(dict.fromkeys(one for one in found if one is not None))


def edges_of(event: Observed) -> tuple[Edge, ...]:
    """Return the sessions that a CloudTrail event says were made: mostly none, rarely more than one."""
    if (event.source, event.name) not in MAKERS or not event.succeeded:
        return ()
    if event.source == "rolesanywhere":
        sets = event.value("responseElements.credentialSet")
        issued = [one for one in sets if isinstance(one, Mapping)] if isinstance(sets, tuple | list) else []
    else:
        issued = [event.response] if event.response is not None else []
    edges = []
    for one in issued:
        credentials = one.get("credentials")
        child = access_key_id(credentials.get("accessKeyId")) if isinstance(credentials, Mapping) else None
        if child is not None and _has_a_part(event, one):
            edges.append(_edge(event, one, child))
    return tuple(edges)


def edges_of_record(record: RecordEvent) -> tuple[Edge, ...]:
    """Return the session that a record of ours says was made, from the outside identity to its key.

    A session whose exchange failed afterwards is an edge as well: ``outcome`` tells that the credentials
    were not given out.
    """
    if record.access_key is None:
        return ()
    detail = record.detail
    origin = None
    if record.subject is not None:
        is_certificate = isinstance(detail.get("certificate"), Mapping)
        kind = OriginKind.CERTIFICATE if is_certificate else OriginKind.TOKEN
        origin = Origin(kind, record.subject, record.anchor_name)
    grant = detail.get("grant")
    corrected = detail.get("corrects")
    return (
        Edge(
            child=record.access_key,
            time=record.time,
            call=EXCHANGE,
            origin=origin,
            role=record.role_arn,
            session_name=record.session_name,
            source_identity=record.source_identity,
            tags=_tags(grant.get("tags")) if isinstance(grant, Mapping) else (),
            address=record.source_ip,
            account=account_in(record.role_arn) or record.account,
            region=record.issued_region or record.region,
            exchange_id=corrected if isinstance(corrected, str) and corrected else record.record_id,
            outcome=record.outcome or None,
            event_ids=(record.record_id,),
        ),
    )


def join(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Put the observations of each session together; ordered by time, whatever order they came in.

    Observations of one key that contradict each other in role, name, source identity or parent stay
    apart: a key is issued once, so that one of them is wrong and the reader has to know.
    """
    groups: dict[str, list[Edge]] = {}
    for edge in edges:
        groups.setdefault(edge.child, []).append(edge)
    joined: list[Edge] = []
    for group in groups.values():
        apart: list[Edge] = []
        # Who says most comes first and decides what the others may not contradict.
        for edge in sorted(set(group), key=_says_most) if len(group) > 1 else group:
            place = next((n for n, one in enumerate(apart) if _agree(one, edge)), None)
            if place is not None:
                apart[place] = _merged(apart[place], edge)
            elif len(apart) < MAX_APART:
                apart.append(edge)
        joined += apart
    return tuple(sorted(joined, key=order))


def order(edge: Edge) -> tuple[Any, ...]:
    """Return what puts edges into an order that does not depend on how they came."""
    origin = edge.origin
    said = (edge.parent, edge.role, edge.session_name, edge.source_identity, edge.exchange_id, edge.outcome)
    more = (edge.caller, edge.caller_type, edge.caller_account, edge.account, edge.region, edge.address)
    by = () if origin is None else (origin.kind.value, origin.name, origin.by)
    texts = (*said, *more, edge.occurrence, *by)
    # None cannot be compared with text.
    comparable = tuple((one is not None, one or "") for one in texts)
    return (edge.time, edge.child, edge.event_ids, edge.call, edge.from_console, edge.tags, comparable)


def _has_a_part(event: Observed, answer: Mapping[str, Any]) -> bool:
    """Tell whether an event comes from an account that has a part in the call it tells of.

    CloudTrail writes a call into the trail of the caller's account and into that of the role's. A third
    account, one that forwards its events to us say, has nothing to tell of other accounts' sessions.
    """
    role = _text(answer.get("roleArn")) or event.text("requestParameters.roleArn")
    # AssumeRoot names an account where the others name a role.
    target = event.text("requestParameters.targetPrincipal")
    parties = {event.caller.account, account_in(role), account_in(target), target}
    return event.account is not None and event.account in parties


def _edge(event: Observed, answer: Mapping[str, Any], child: str) -> Edge:
    caller = event.caller
    role = _text(answer.get("roleArn")) or event.text("requestParameters.roleArn")
    return Edge(
        child=child,
        time=event.time,
        call=event.name,
        parent=caller.access_key,
        origin=_origin(event),
        caller=caller.arn or caller.principal_id,
        caller_type=caller.type,
        caller_account=caller.account,
        from_console=caller.from_console,
        role=role,
        session_name=_session_name(event, answer),
        # A session that has one passes it on, and the call cannot change it.
        source_identity=_text(answer.get("sourceIdentity"))
        or event.text("requestParameters.sourceIdentity")
        or caller.source_identity,
        tags=_tags(event.value("requestParameters.tags"))
        or _tags(event.value("requestParameters.principalTags")),
        address=event.source_ip,
        account=account_in(role) or event.account,
        region=event.region,
        event_ids=(event.event_id,),
        occurrence=event.occurrence,
    )


def _origin(event: Observed) -> Origin | None:
    caller = event.caller
    if event.name == "AssumeRoleWithWebIdentity":
        name = event.text("responseElements.subjectFromWebIdentityToken") or caller.user_name
        by = event.text("responseElements.provider") or caller.identity_provider
        return Origin(OriginKind.TOKEN, name, by) if name else None
    if event.name == "AssumeRoleWithSAML":
        name = event.text("responseElements.subject") or caller.user_name or caller.principal_id
        by = event.text("requestParameters.principalArn") or event.text("responseElements.issuer")
        return Origin(OriginKind.SAML, name, by) if name else None
    if event.source == "rolesanywhere":
        name = event.text("responseElements.subjectArn") or caller.principal_id or caller.arn
        by = event.text("requestParameters.trustAnchorArn")
        return Origin(OriginKind.CERTIFICATE, name or "unnamed", by)
    if caller.type == "AWSService" or (caller.access_key is None and caller.invoked_by is not None):
        return Origin(OriginKind.SERVICE, caller.invoked_by or "unnamed")
    return None


def _session_name(event: Observed, answer: Mapping[str, Any]) -> str | None:
    """Return the name in the session's ARN, which is there whether the caller chose it or not."""
    for part in ("assumedRoleUser", "federatedUser"):
        user = answer.get(part)
        arn = _text(user.get("arn")) if isinstance(user, Mapping) else None
        if arn is not None and "/" in arn:
            return arn.rpartition("/")[2] or None
    return event.text("requestParameters.roleSessionName") or (
        event.text("requestParameters.name") if event.name == "GetFederationToken" else None
    )


def _tags(value: object) -> tuple[tuple[str, str], ...]:
    """Return session tags, which are a list of keys and values here and an object there."""
    pairs: list[tuple[object, object]] = []
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, tuple | list):
        pairs = [(one.get("key"), one.get("value")) for one in value if isinstance(one, Mapping)]
    found = {key: tag for key, tag in pairs if isinstance(key, str) and key and isinstance(tag, str)}
    return tuple(sorted(found.items())[:MAX_TAGS])


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _says_most(edge: Edge) -> tuple[Any, ...]:
    facts = (edge.role, edge.session_name, edge.source_identity, edge.parent, edge.caller)
    return (edge.exchange_id is None, sum(one is None for one in facts), order(edge))


def _agree(one: Edge, other: Edge) -> bool:
    if one.occurrence is not None and one.occurrence == other.occurrence:
        return True
    pairs = (
        (one.role, other.role),
        (one.session_name, other.session_name),
        (one.source_identity, other.source_identity),
        (one.parent, other.parent),
    )
    return all(here is None or there is None or here == there for here, there in pairs)


def _merged(one: Edge, other: Edge) -> Edge:
    """Return one edge out of two observations; what the first says stands."""
    origins = [origin for origin in (one.origin, other.origin) if origin is not None]
    # The owner's copy of a call across accounts knows the caller by a principal id alone.
    who = other if one.parent is None and other.parent is not None else one
    ids = dict.fromkeys((*one.event_ids, *other.event_ids))
    return replace(
        one,
        time=min(one.time, other.time),
        parent=one.parent or other.parent,
        # A service that calls on behalf of an outside identity is not where the trace ends.
        origin=next((origin for origin in origins if origin.is_outside), origins[0] if origins else None),
        caller=who.caller or one.caller or other.caller,
        caller_type=who.caller_type or one.caller_type or other.caller_type,
        caller_account=one.caller_account or other.caller_account,
        from_console=one.from_console or other.from_console,
        role=one.role or other.role,
        session_name=one.session_name or other.session_name,
        source_identity=one.source_identity or other.source_identity,
        tags=one.tags or other.tags,
        address=one.address or other.address,
        account=one.account or other.account,
        region=one.region or other.region,
        exchange_id=one.exchange_id or other.exchange_id,
        # A correction says how it really ended.
        outcome=next(
            (said for said in (one.outcome, other.outcome) if said not in {None, "granted"}),
            one.outcome or other.outcome,
        ),
        event_ids=tuple(ids)[:MAX_EVENT_IDS],
        occurrence=one.occurrence or other.occurrence,
    )
