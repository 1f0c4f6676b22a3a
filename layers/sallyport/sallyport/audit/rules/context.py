"""What rules may ask beyond the event: facts of the deployment, and look-ups that adapters fill.

Every look-up is idempotent for one event: a queue delivers twice, and what is asked again for the same
event must be answered as before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Protocol

from sallyport.audit.events import Observed, RecordEvent
from sallyport.audit.trust_policy.examine import NOTHING_KNOWN, Surroundings
from sallyport.trust.wildcards import Pattern, pattern


class History(Protocol):
    """When something was seen for the first time. Kept for a stated time, then it is new again."""

    def first_seen(self, topic: str, key: str, occurrence: str, when: datetime) -> datetime:
        """Note that ``key`` was seen, and return the earliest time at which it was, this one included.

        Raises ``UnavailableError`` if that is not known: new and unknown are not the same.
        """

    def places(self, topic: str, key: str, place: str, when: datetime) -> frozenset[str]:
        """Note where ``key`` was seen, and return all such places, this one included (at most twenty)."""


class Counter(Protocol):
    """How often something happened within a window."""

    def add(self, topic: str, key: str, window_start: datetime, occurrence: str, weight: int = 1) -> int:
        """Count an occurrence, once however often it is asked, and return the window's count with it."""


class Issued(Protocol):
    """What the exchange issued, as its records say that came by the records rule."""

    def by_access_key(self, access_key: str) -> RecordEvent | None:
        """Return the record of an issued access key; ``None`` if there is none (yet)."""

    def knows_source_identity(self, source_identity: str) -> bool:
        """Tell whether a record issued a session with this source identity."""


class Sessions(Protocol):
    """Which sessions CloudTrail showed being made."""

    def was_made(self, access_key: str) -> bool:
        """Tell whether an event showed this access key being made."""


class SignIns(Protocol):
    """The last authorization of ``aws login`` by one principal and client."""

    def authorized(self, key: str, where: str, when: datetime) -> None:
        """Note an authorization and where it was given from (an address)."""

    def last_authorized(self, key: str, when: datetime) -> tuple[str, datetime] | None:
        """Return the place and time of the last authorization at or before ``when``."""

    def redeemed(self, key: str, when: datetime) -> None:
        """Note that a token was had for an authorization."""

    def was_redeemed(self, key: str, when: datetime) -> bool:
        """Tell whether a token was had at or after ``when``."""


class TrustItems(Protocol):
    """The trust table, for what explains a change of it."""

    def item(self, key: str) -> Mapping[str, str] | None:
        """Return the text and number attributes of an item without a version, read consistently."""

    def journal(self, around: datetime) -> Sequence[Mapping[str, str]]:
        """Return the journal's entries of the hour around a time."""

    def content_digest(self, version: str, most: int) -> str | None:
        """Return the digest of a version's items as an index has them; ``None`` if they are more."""

    def moved(self, version: str, when: datetime) -> None:
        """Note when the pointer moved to a version."""

    def in_force_since(self, version: str) -> datetime | None:
        """Return when the pointer first moved to a version, as far as that was seen."""


def is_managed_by(managed_roles: Iterable[str]) -> Callable[[str], bool]:
    """Return what tells whether a role, by its ARN, is one that only the exchange may assume.

    IAM knows no two names that differ by case alone, so that a caller's spelling decides nothing.

    Args:
        managed_roles: patterns of such roles' ARNs.
    """
    patterns = tuple(pattern(text.lower()) for text in managed_roles)

    def manages(role_arn: str) -> bool:
        name = role_arn.lower()
        return any(one.matches(name) for one in patterns)

    return manages


@dataclass(frozen=True, kw_only=True)
class Estate:
    """What this deployment is, and what it may see. Facts, not secrets.

    ``managed_roles`` are ARN patterns of the roles that only the exchange may assume;
    ``exchange_roles`` the ARNs of the exchange functions' own roles and ``exchange_role_ids`` their
    unique ids (``AROA…``), by which the other account's copy of a call names them.
    ``own_resources`` are ARN patterns and bare name patterns of what the audit and the exchange are
    made of. ``accounts`` are the organisation's. ``web_identities`` maps a provider (its ARN, or the
    issuer's host and path) to the audiences that the exchange knows for it;
    ``anchors_and_profiles`` are ARNs of IAM Roles Anywhere's that are known to be ours.
    ``other_source_identities`` are patterns of what others than the exchange may set.
    ``learning_until`` is when the history is long enough to call something new. ``has_trail`` says
    whether CloudTrail events arrive at all. ``posture_role`` is the role of the function whose own calls
    prove that they do. ``records_kept`` is for how long records are there to explain a session.
    ``surroundings`` is what the evaluator of trust policies may know.
    """

    account: str
    region: str
    partition: str = "aws"
    exchange_roles: frozenset[str] = frozenset()
    exchange_role_ids: frozenset[str] = frozenset()
    managed_roles: tuple[str, ...] = ()
    own_resources: tuple[str, ...] = ()
    accounts: frozenset[str] = frozenset()
    web_identities: Mapping[str, frozenset[str]] = field(default_factory=dict)
    anchors_and_profiles: frozenset[str] = frozenset()
    other_source_identities: tuple[str, ...] = ()
    learning_until: datetime | None = None
    has_trail: bool = True
    posture_role: str = ""
    records_kept: timedelta | None = None
    surroundings: Surroundings = NOTHING_KNOWN

    @cached_property
    def _manages(self) -> Callable[[str], bool]:
        return is_managed_by(self.managed_roles)

    @cached_property
    def _own(self) -> tuple[Pattern, ...]:
        return tuple(pattern(text) for text in self.own_resources)

    @cached_property
    def _others(self) -> tuple[Pattern, ...]:
        return tuple(pattern(text) for text in self.other_source_identities)

    def manages(self, role_arn: str) -> bool:
        """Tell whether a role is one that only the exchange may assume (``is_managed_by``)."""
        return self._manages(role_arn)

    def owns(self, resource: str) -> bool:
        """Tell whether an ARN or a name is of something that the product is made of."""
        return any(one.matches(resource) for one in self._own)

    def expects_source_identity(self, value: str) -> bool:
        """Tell whether somebody else than the exchange may set this source identity."""
        return any(one.matches(value) for one in self._others)

    def is_own_heartbeat(self, event: Observed) -> bool:
        """Tell whether an event is the posture function's own call that only proves the chain."""
        return (
            bool(self.posture_role)
            and event.succeeded
            and (event.source, event.name) == ("sts", "GetCallerIdentity")
            and (event.account, event.region) == (self.account, self.region)
            and event.caller.role_arn == self.posture_role
        )

    def is_own_account(self, account: str) -> bool:
        """Tell whether an account is this one or of the organisation."""
        return account == self.account or account in self.accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What one evaluation may ask. ``now`` only decides whether something may still arrive."""

    now: datetime
    estate: Estate
    history: History
    counter: Counter
    issued: Issued
    sessions: Sessions
    sign_ins: SignIns
    trust: TrustItems


# How far the delivery of CloudTrail events and of our own records may lie apart: CloudTrail says
# five minutes on average, and tells of delays (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/how-cloudtrail-works.html).
GRACE = timedelta(minutes=20)
