"""What a rule is: data, and one small predicate with three outcomes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, TypeGuard

from sallyport.audit.events import Observed
from sallyport.audit.finding import Resource, Severity
from sallyport.audit.rules.context import Context

DAY: Final = timedelta(days=1)

# Which managed roles there are is a fact of the deployment; a selector names them so.
MANAGED_ROLES: Final = "{managed roles}"

Operator = Literal["equals", "prefix", "arn-like", "exists"]


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on one field, simple enough to be an event pattern, a query and a comparison.

    ``values`` are alternatives: texts, ``True`` or ``False``. ``arn-like`` knows ``MANAGED_ROLES`` alone.
    """

    path: str
    operator: Operator
    values: tuple[str | bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Selector:
    """Which events a rule wants to see.

    ``source`` is CloudTrail's ``eventSource`` without its suffix, or a service's own EventBridge source
    (``aws.rolesanywhere``); empty means any. ``names`` are ``eventName`` in every spelling that was seen,
    or detail types; empty means any, which needs a ``where``: those see every event there is.
    """

    source: str
    names: tuple[str, ...] = ()
    where: tuple[Where, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The rule found something.

    ``about`` is what the finding is about: with rule, account and window it makes the finding's id.
    ``why`` is one sentence with the facts of this event. ``weight`` is how many events it stands for;
    ``account`` is whose finding it is, if not the event's.
    """

    about: tuple[str, ...]
    why: str
    evidence: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    resources: tuple[Resource, ...] = ()
    severity: Severity | None = None
    subdued: str | None = None
    weight: int = 1
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Unclear:
    """The event does not say what the rule needs. ``again_at`` is when to look once more, if that helps."""

    reason: str
    again_at: datetime | None = None


class _NoMatch:
    """The rule looked and found nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_MATCH"


NO_MATCH: Final = _NoMatch()

# Several matches: one record can tell of many callers.
Verdict = Match | tuple[Match, ...] | Unclear | _NoMatch
# An event, a record or a change of the trust table, by the rule's ``on``.
Check = Callable[[Any, Context], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. ``id`` is stable: findings, suppressions and the runbook know it by nothing else.

    ``window`` is how long what is about the same thing stays one finding. ``gaps`` says what the rule
    is known not to see. ``first`` is what to do first; ``remedy`` is what ends the cause.
    """

    id: str
    title: str
    severity: Severity
    meaning: str
    first: str
    remedy: str
    references: tuple[str, ...]
    check: Check
    selectors: tuple[Selector, ...] = ()
    on: Literal["event", "record", "trust"] = "event"
    window: timedelta = DAY
    gaps: str = ""

    @property
    def runbook(self) -> str:
        """Return the anchor of the rule's heading."""
        return f"docs/findings.md#{self.id}"


class RegistryError(ValueError):
    """The rules themselves are wrong; nothing starts with such a registry."""


def registry(*themes: Sequence[Rule]) -> Mapping[str, Rule]:
    """Return rules by id.

    Raises:
        RegistryError: an id comes twice, or a rule can never see anything.
    """
    found: dict[str, Rule] = {}
    for rule in (rule for theme in themes for rule in theme):
        if rule.id in found:
            raise RegistryError(f"two rules have the id {rule.id}")
        if (rule.on == "event") != bool(rule.selectors):
            raise RegistryError(f"rule {rule.id} selects nothing, or selects what are no CloudTrail events")
        if any(
            not (selector.source and selector.names) and not selector.where for selector in rule.selectors
        ):
            raise RegistryError(f"rule {rule.id} wants to see every event of a service, or of all")
        found[rule.id] = rule
    return MappingProxyType(found)


def caller_evidence(event: Observed) -> dict[str, object]:
    """Return who called from where, as every finding about an event shows it."""
    caller = event.caller
    return {
        "event": f"{event.source} {event.name}",
        "event id": event.event_id,
        "time": event.time.isoformat(),
        "Region": event.region,
        "caller": caller.arn or caller.principal_id or caller.invoked_by,
        "caller type": caller.type,
        "caller account": caller.account,
        "access key": caller.access_key,
        "source identity": caller.source_identity,
        "address": event.source_ip or event.source_service,
        "user agent": event.user_agent,
        "error": event.error_code,
    }


def who(event: Observed) -> str:
    """Return the caller, as a dedupe key: the role without its session, else the most there is."""
    return event.caller.name or ""


def role_resource(arn: str | None) -> tuple[Resource, ...]:
    """Return a role as a resource, if there is one."""
    return () if arn is None else (Resource("AwsIamRole", arn),)


def key_resource(access_key: str | None) -> tuple[Resource, ...]:
    """Return an access key as a resource, if there is one."""
    return () if access_key is None else (Resource("AwsIamAccessKey", access_key),)


def is_new(event: Observed, context: Context, topic: str, key: str) -> bool:
    """Tell whether something was never seen before the day of this event."""
    first = context.history.first_seen(topic, key, event.occurrence, event.time)
    return event.time - first < DAY


def learning(event: Observed, context: Context) -> dict[str, Any]:
    """Return how a first-seen match is subdued while the history is too short to call anything new."""
    until = context.estate.learning_until
    if until is None or event.time >= until:
        return {}
    return {"severity": Severity.INFORMATIONAL, "subdued": f"learning until {until.isoformat()}"}


def role_asked_for(event: Observed) -> str | None:
    """Return the role that a call is about: as it asks, or as CloudTrail lists it."""
    return next(iter(roles_named(event)), None)


def roles_named(event: Observed) -> tuple[str, ...]:
    """Return the roles that a call is about: as it asks, as CloudTrail lists them, and as it was answered."""
    answers = event.value("responseElements.credentialSet")
    found = (
        event.text("requestParameters.roleArn"),
        *(arn for arn in event.resources if ":role/" in arn),
        *(one.get("roleArn") for one in (answers if isinstance(answers, tuple) else ()) if _is_object(one)),
    )
    return tuple(dict.fromkeys(arn for arn in found if isinstance(arn, str) and arn))


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)
