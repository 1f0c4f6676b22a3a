"""One exchange: an outside identity in, short-lived AWS credentials out, and a record of it.

The steps carry the numbers of ``docs/architecture.md``. Everything with I/O comes in as a port.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

from sallyport.audit.ledger import Ledger, Records
from sallyport.audit.record import RecordDraft
from sallyport.errors import DeniedError, SallyportError, SessionNameError, ThrottledError
from sallyport.model import (
    Anchor,
    Credentials,
    Decision,
    Denial,
    Exchanged,
    ExchangeId,
    ExchangeRequest,
    Grant,
    Identity,
    Issuance,
    JsonValue,
    OidcAnchor,
    Proof,
    Replay,
)
from sallyport.trust.decide import authorize
from sallyport.trust.profiles import RoleProfiles


class Identified(Protocol):
    """What an identifier gives: who, through which anchor, under which version of trust."""

    @property
    def identity(self) -> Identity: ...  # noqa: D102 - the name says it
    @property
    def anchor(self) -> Anchor: ...  # noqa: D102 - likewise
    @property
    def version(self) -> str: ...  # noqa: D102 - likewise
    @property
    def usable_until(self) -> datetime:
        """When the same proof stops to verify, by the verifier's own constants."""
        ...


Identify = Callable[[Proof, RecordDraft, datetime], Identified]


class Trust(Protocol):
    """Profiles of one version, and what is disabled beside all of them."""

    def profiles_of_role(self, role_arn: str, version: str, anchor_id: str) -> RoleProfiles:
        """Return the profiles that name this role: an anchor's own, and the names of the others."""

    def disabled(self, names: Sequence[str]) -> Collection[str]:
        """Return the disabled ones of these ``profile#<name>`` and ``anchor#<name>``."""


class Spent(Protocol):
    """Proofs that were used, and grants counted."""

    def spend(self, replay_id: str, exchange_id: ExchangeId, expires_at: int) -> bool:
        """Mark a proof as used; ``False`` if it was."""

    def count(self, bucket: str, limit: int, expires_at: int) -> bool:
        """Count a grant; ``False`` if the limit is reached."""


class Telemetry(Protocol):
    """Log and metrics; nothing here raises. What is handed over holds no secret."""

    def finished(self, fields: Mapping[str, JsonValue], *, level: str) -> None:
        """Log one exchange and count it."""

    def alarm(self, event: str, fields: Mapping[str, JsonValue]) -> None:
        """Log something that must not happen, and count it under a metric with an alarm."""

    def unexpected(self, error: Exception, fields: Mapping[str, JsonValue]) -> None:
        """Log an exception nobody planned for: its type and place, never its text."""


SESSION_NAME_REASON = "session-name-not-accepted"
"""The one reason of a denial that a protocol may tell apart."""

Issue = Callable[[Grant, Proof], Credentials]
Span = Callable[[str], AbstractContextManager[None]]
"""Opens a named part of a trace; nothing that is in the exchange reaches it."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request before anything in it was looked at; ``read`` checks its form.

    ``gateway_id`` is what API Gateway calls the request. Callers see it where the gateway puts its own id
    over ours, and may have chosen it: it helps to find a record and identifies nothing.
    """

    route: str
    source_ip: str
    user_agent: str
    read: Callable[[], ExchangeRequest]
    gateway_id: str = ""


def new_exchange_id() -> ExchangeId:
    """Return an id of our own making: the gateway's can be chosen by clients."""
    return ExchangeId(os.urandom(16).hex())


class Exchange:
    """The use case behind every route that gives credentials."""

    def __init__(  # noqa: PLR0913 - one keyword per port
        self,
        *,
        identify: Identify,
        trust: Trust,
        spent: Spent,
        issue: Issue,
        records: Records,
        telemetry: Telemetry,
        span: Span,
        record_days: int,
    ) -> None:
        self._identify = identify
        self._trust = trust
        self._spent = spent
        self._issue = issue
        self._ledger = Ledger(records, timedelta(days=record_days))
        self._telemetry = telemetry
        self._span = span

    def __call__(self, arrival: Arrival, exchange_id: ExchangeId, now: datetime) -> Exchanged:
        """Run one exchange to its end; every path leaves a record or a line in the log.

        Raises:
            SallyportError: the class says what the caller may know, the record holds the rest.
        """
        draft = RecordDraft(
            id=exchange_id,
            time=now,
            route=arrival.route,
            source_ip=arrival.source_ip,
            user_agent=arrival.user_agent,
            gateway_id=arrival.gateway_id,
        )
        try:
            return self._steps(arrival, draft, now)
        except SallyportError as error:
            draft.error = error
            self._end(draft, now)
            raise
        except Exception as error:  # noqa: BLE001 - it is made loud, and ends here
            # A defect of ours: on record, and without a word of it to the caller.
            draft.error = SallyportError("unexpected", type(error).__name__)
            self._telemetry.unexpected(error, draft.log_fields())
            self._end(draft, now)
            raise draft.error from None

    def _steps(self, arrival: Arrival, draft: RecordDraft, now: datetime) -> Exchanged:
        # (0) Is this a request in the protocol's form? Nothing of it is believed.
        request = draft.request = arrival.read()
        # (1) Who is calling? Nothing before this line may trust the proof.
        with self._span("verify"):
            identified = self._identify(request.proof, draft, now)
        identity = draft.identity = identified.identity
        # (2) May this identity have this role, and on what terms?
        with self._span("authorize"):
            grant = draft.grant = self._authorize(identified, request, draft, now)
        # (3) May this proof be used, and may this identity have another grant in this minute?
        self._spend(identified, grant, draft.id, now)
        # (4) Ask STS for exactly what was granted.
        with self._span("issue"):
            credentials = draft.credentials = self._issue(grant, request.proof)
        if grant.issuance is Issuance.WEB_IDENTITY:
            check_web_identity(identity, identified.anchor, credentials)
        # (5) No credentials leave without a record.
        with self._span("record"):
            self._ledger.put(draft, now)
        self._telemetry.finished(draft.log_fields(), level="INFO")
        # (6) The gateway answers.
        return Exchanged(draft.id, credentials, grant, identity)

    def _authorize(
        self, identified: Identified, request: ExchangeRequest, draft: RecordDraft, now: datetime
    ) -> Grant:
        identity = identified.identity
        # The version that the anchor was read under: an anchor and a profile that were never in
        # force together must not decide together.
        draft.trust_version = identified.version
        profiles = self._trust.profiles_of_role(request.role_arn, identified.version, identity.anchor_id)
        names = [f"anchor#{identity.anchor_name}", *(f"profile#{profile.name}" for profile in profiles.own)]
        disabled = self._trust.disabled(names)
        decision = authorize(
            identity, request, profiles.own, disabled=disabled, now=now, others=profiles.others
        )
        draft.decision = decision
        return _granted(decision)

    def _spend(self, identified: Identified, grant: Grant, exchange_id: ExchangeId, now: datetime) -> None:
        identity = identified.identity
        # Spent before it is counted: who has got hold of a used proof must not use up its owner's grants.
        if identified.anchor.replay is Replay.ONCE:
            until = int(identified.usable_until.timestamp()) + 1
            if not self._spent.spend(identity.replay_id, exchange_id, until):
                raise DeniedError(
                    "proof-replayed",
                    "this proof was used before and the anchor says replay: once",
                    cure="Fetch a fresh token or sign anew for every exchange, or set replay: allow on the "
                    "anchor.",
                )
        if grant.grants_per_minute is not None:
            minute = int(now.timestamp()) // 60
            # Hashed: a subject may be half as long as a table's key, and a key is no place for names.
            who = sha256(f"{identity.anchor_id}#{identity.subject}".encode()).hexdigest()
            bucket = f"{grant.profile_id}#{who}#{minute}"
            if not self._spent.count(bucket, grant.grants_per_minute, (minute + 2) * 60):
                # A client that is throttled tries again with the same proof, which would be useless here.
                spent = identified.anchor.replay is Replay.ONCE
                raise (DeniedError if spent else ThrottledError)(
                    "profile-rate",
                    f"more than {grant.grants_per_minute} grants in this minute",
                    cure="The caller should cache credentials; the profile's grants_per_minute is the limit."
                    + (" This proof is spent: the next try needs a fresh one." if spent else ""),
                )

    def _end(self, draft: RecordDraft, now: datetime) -> None:
        """Leave the traces of an exchange that gives nothing."""
        if draft.credentials is not None:
            # Made, but not released: loud now, and on record as soon as that can be.
            self._telemetry.alarm("SessionNotReleased", draft.log_fields())
        if draft.identity is not None:
            self._ledger.note(draft, now)
        else:
            self._ledger.count(draft, now)
        self._telemetry.finished(draft.log_fields(), level="WARNING")


def check_web_identity(identity: Identity, anchor: Anchor, credentials: Credentials) -> None:
    """Compare what STS read from the token with what was verified here.

    STS reports the subject, the provider and the audience that it went by
    (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html). A token
    that means one thing to us and another to STS gives no credentials.

    Raises:
        DeniedError: they differ, STS reported no subject, or there was no token to compare with.
    """
    if not isinstance(anchor, OidcAnchor):
        raise DeniedError("web-identity-without-token", "the trust anchor is none whose tokens STS reads")
    issuer = anchor.issuer.removeprefix("https://")
    provider = (credentials.provider or "").partition(":oidc-provider/")[2] or credentials.provider or ""
    # Where `azp` is present, STS goes by it and not by `aud`
    # (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html).
    audiences = _audiences(identity)
    if credentials.subject != identity.attributes.get("token:sub"):
        raise DeniedError("sts-subject-differs", "STS read another subject from the token")
    if provider.removeprefix("https://").rstrip("/") != issuer.rstrip("/"):
        raise DeniedError("sts-provider-differs", "STS names another provider for the token")
    if credentials.audience not in audiences:
        raise DeniedError("sts-audience-differs", "STS read another audience from the token")


def _audiences(identity: Identity) -> frozenset[str]:
    azp = identity.attributes.get("token:azp")
    if isinstance(azp, str):
        return frozenset({azp})
    aud = identity.attributes.get("token:aud")
    values = aud if isinstance(aud, list) else [aud]
    return frozenset(value for value in values if isinstance(value, str))


def _granted(decision: Decision) -> Grant:
    outcome = decision.outcome
    if isinstance(outcome, Denial):
        error = SessionNameError if outcome.reason == SESSION_NAME_REASON else DeniedError
        raise error(outcome.reason, outcome.detail, cure=outcome.cure)
    return outcome
