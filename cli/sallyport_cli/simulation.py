"""The decision about an exchange that does not take place.

Verification and authorization are the deployed ones, called with the trust, the keys and the time that
are to be looked at; nothing is spent, counted, issued or recorded.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography import x509

from sallyport.audit.record import RecordDraft
from sallyport.errors import DeniedError, SallyportError
from sallyport.gateway import fields
from sallyport.identify_token import IdentifyToken
from sallyport.keys import StoredKeys
from sallyport.model import (
    Anchor,
    Decision,
    Denial,
    ExchangeId,
    ExchangeRequest,
    Grant,
    Identity,
    Issuance,
    OidcAnchor,
    ProfileTrace,
    Replay,
    Secret,
    X509Anchor,
)
from sallyport.proof.certificates import read
from sallyport.proof.oidc import parse
from sallyport.trust.decide import authorize
from sallyport_cli.stand_in import presumed_holder, presumed_keys, presumed_signature
from sallyport_cli.trust_source import TrustSource, not_refreshed

ROUTE = "simulation"

UNCHECKED_SIGNATURE = (
    "the token's signature was not checked, and anybody can write such a token. What follows is what "
    "would be decided if its issuer had signed it."
)
UNSEEN_KEY = (
    "a certificate is public, and there is no request that its key signed. What follows is what would be "
    "decided if whoever asks held the key."
)


Presented = tuple[x509.Certificate, tuple[x509.Certificate, ...]]
"""A certificate, and those that a client would send with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for. Checked for form by who makes it (``gateway.fields``)."""

    role_arn: str
    profile: str | None = None
    duration: int | None = None
    session_name: str | None = None
    source_ip: str = ""

    def request(self, proof: Secret) -> ExchangeRequest:
        """Return it as a gateway hands it over."""
        return ExchangeRequest(
            proof=proof,
            role_arn=self.role_arn,
            route=ROUTE,
            source_ip=self.source_ip,
            duration=self.duration,
            session_name=self.session_name,
            profile=self.profile,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What would have become of an exchange.

    Args:
        wanted: what was asked for.
        at: the time.
        error: why it would have given nothing; ``None`` for a grant.
        identity: who it would have been, if that was got to.
        decision: with the trace of every profile and condition, if that was got to.
        claimed: what a proof that would not verify says of itself.
        assumed: what was taken for granted, for people; empty if nothing was.
        notes: remarks, each a sentence or a stable code.
        version: of the trust; empty for a file.
        has_ids: whether ids and ARNs are those of the account.
    """

    wanted: Wanted
    at: datetime
    error: SallyportError | None = None
    identity: Identity | None = None
    decision: Decision | None = None
    claimed: Mapping[str, str]
    assumed: str
    notes: tuple[str, ...] = ()
    version: str = ""
    has_ids: bool = True

    @property
    def grant(self) -> Grant | None:
        """The grant, if it is one."""
        outcome = self.decision.outcome if self.decision is not None else None
        return outcome if isinstance(outcome, Grant) and self.error is None else None

    @property
    def outcome(self) -> str:
        """``granted``, ``denied``, ``failed`` or ``refused``, as a record has it."""
        if self.error is None:
            return "granted"
        if self.error.status >= 500:  # noqa: PLR2004 - HTTP's own line
            return "failed"
        return "refused" if self.identity is None else "denied"

    @property
    def reason(self) -> str:
        """Why nothing would be given; empty for a grant."""
        return "" if self.error is None else self.error.reason

    def record(self) -> dict[str, Any]:
        """Return it in a record's form, but whole: nothing is left out for its length."""
        value: dict[str, Any] = {
            "kind": "simulation",
            "time": self.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "outcome": self.outcome,
            "source_ip": self.wanted.source_ip,
            "request": _request(self.wanted),
        }
        if self.error is not None:
            value |= {"reason": self.error.reason, "detail": self.error.detail, "cure": self.error.cure}
        if self.version:
            value["trust_version"] = self.version
        if self.identity is not None:
            value |= self._identity(self.identity)
        elif self.claimed:
            value["claimed"] = dict(self.claimed)
        if self.assumed:
            value["assumed"] = self.assumed
        if self.decision is not None:
            value["trace"] = [_trace(one) for one in self.decision.trace]
        if self.grant is not None:
            value |= self._grant(self.grant)
        if self.notes:
            value["notes"] = list(self.notes)
        return value

    def _identity(self, identity: Identity) -> dict[str, Any]:
        anchor = {"name": identity.anchor_name}
        if self.has_ids:
            anchor |= {"id": identity.anchor_id, "arn": identity.anchor_arn}
        value: dict[str, Any] = {
            "anchor": anchor,
            "subject": identity.subject,
            "attributes": {key: _text(identity.attributes[key]) for key in sorted(identity.attributes)},
        }
        if identity.certificate is not None:
            facts = identity.certificate
            value["certificate"] = {
                "fingerprint": facts.fingerprint,
                "serial": facts.serial,
                "issuer": facts.issuer,
                "not_after": facts.not_after.isoformat(),
            }
        return value

    def _grant(self, grant: Grant) -> dict[str, Any]:
        profile = {"name": grant.profile_name}
        value: dict[str, Any] = {
            "role_arn": grant.role_arn,
            "session_name": grant.session_name,
            "source_identity": grant.source_identity,
            "duration": grant.duration,
            "issuance": grant.issuance.value,
            "tags": {tag.key: tag.value for tag in grant.tags},
            "transitive": [tag.key for tag in grant.tags if tag.transitive],
            "optional": [tag.key for tag in grant.tags if tag.optional],
            "policy": grant.policy,
            "policy_sha256": policy_digest(grant),
            "policy_arns": list(grant.policy_arns),
            "advisory": grant.advisory,
        }
        if self.has_ids:
            profile |= {"id": grant.profile_id, "arn": grant.profile_arn}
            value["external_id"] = grant.external_id
        return {"profile": profile, "grant": value}


class _Keys:
    """The port ``identify_token.Keys``: one anchor's keys, whichever anchor is asked about."""

    def __init__(self, keys: StoredKeys | None) -> None:
        self._keys = keys

    def read(self, anchor_id: str, *, fresh: bool = False) -> StoredKeys | None:  # noqa: ARG002 - a port
        return self._keys


class _Anchors:
    """The port ``identify_token.Anchors``."""

    def __init__(self, source: TrustSource) -> None:
        self._source = source

    def version(self) -> str | None:
        return self._source.version or "file"

    def anchor_of_issuer(self, issuer: str, version: str) -> OidcAnchor | None:  # noqa: ARG002 - a port
        return self._source.anchor_of_issuer(issuer)


def of_token(source: TrustSource, token: str, wanted: Wanted, now: datetime, *, is_now: bool) -> Simulated:
    """Return what would become of a token.

    Args:
        source: trust; where it has keys, the signature is verified with them.
        token: as a client would send it.
        wanted: what is asked for.
        now: the time of the exchange.
        is_now: whether that is the present.
    """
    draft = _draft(wanted, now)
    assumed = UNCHECKED_SIGNATURE if source.keys is None else ""
    empty = _Simulation(source, wanted, now, assumed)
    try:
        unverified = parse(token)
        anchor = source.anchor_of_issuer(unverified.issuer)
        keys: StoredKeys | None = None
        if source.keys is None:
            token = presumed_signature(token)
            keys = presumed_keys(token, anchor, now) if anchor is not None else None
        elif anchor is not None:
            keys = source.keys.of(anchor, now, is_now=is_now)
        identify = IdentifyToken(_Anchors(source), _Keys(keys), not_refreshed)
        identified = identify(Secret(token), draft, now)
    except SallyportError as error:
        return empty.ended(error, draft)
    return empty.decided(identified.identity, identified.anchor, Secret(token))


def of_certificate(
    source: TrustSource,
    presented: Presented,
    anchor: X509Anchor,
    wanted: Wanted,
    now: datetime,
) -> Simulated:
    """Return what would become of a request signed with a certificate's key.

    Args:
        source: trust.
        presented: the certificate, and what a client would send with it.
        anchor: which the request would name.
        wanted: what is asked for.
        now: the time of the exchange.
    """
    anchor, unknown = source.without_unknown_lists(anchor)
    simulation = _Simulation(source, wanted, now, UNSEEN_KEY)
    if unknown:
        simulation.notes.append(
            f"REVOCATION WAS NOT CHECKED against {', '.join(unknown)}: only the keys table knows "
            "(--keys-table)"
        )
    try:
        identity = presumed_holder(*presented, anchor, source.revocations, now)
    except SallyportError as error:
        draft = _draft(wanted, now)
        draft.claimed = _said(presented[0])
        return simulation.ended(error, draft)
    return simulation.decided(identity, anchor, Secret(""))


class _Simulation:
    """What is the same of every outcome of one simulation."""

    def __init__(self, source: TrustSource, wanted: Wanted, now: datetime, assumed: str) -> None:
        self._source = source
        self._base = Simulated(
            wanted=wanted,
            at=now,
            claimed={},
            assumed=assumed,
            version=source.version,
            has_ids=source.has_ids,
        )
        self.notes: list[str] = []

    def ended(self, error: SallyportError, draft: RecordDraft) -> Simulated:
        """Return the outcome of a proof that would not verify."""
        return replace(
            self._base, error=error, claimed=dict(draft.claimed), notes=(*draft.notes, *self.notes)
        )

    def decided(self, identity: Identity, anchor: Anchor, proof: Secret) -> Simulated:
        """Return the decision about an identity."""
        wanted, source = self._base.wanted, self._source
        try:
            profiles = source.profiles_of_role(wanted.role_arn, identity.anchor_id)
            decision = authorize(
                identity,
                wanted.request(proof),
                profiles.own,
                disabled=source.disabled,
                now=self._base.at,
                others=profiles.others,
            )
        except SallyportError as error:
            return replace(self._base, error=error, identity=identity, notes=(*identity.notes, *self.notes))
        outcome = decision.outcome
        denied: SallyportError | None = None
        if isinstance(outcome, Denial):
            denied = DeniedError(outcome.reason, outcome.detail, cure=outcome.cure)
        else:
            self.notes += [*outcome.notes, *_beyond(outcome, anchor)]
        keys = {one.key for profile in decision.trace for one in profile.conditions}
        if "request:SourceIp" in keys and not wanted.source_ip:
            self.notes.append("a condition looks at request:SourceIp and no address was given (--source-ip)")
        return replace(
            self._base,
            error=denied,
            identity=identity,
            decision=decision,
            notes=(*identity.notes, *self.notes),
        )


def policy_digest(grant: Grant) -> str | None:
    """Return the SHA-256 (hex) of a grant's inline policy, as records have it."""
    return None if grant.policy is None else sha256(grant.policy.encode()).hexdigest()


def checked(wanted: Wanted) -> Wanted:
    """Return ``wanted`` if every gateway would take it.

    Raises:
        RequestError: one of its fields has not the form that it must have.
    """
    fields.role_arn(wanted.role_arn)
    fields.duration(wanted.duration)
    fields.session_name(wanted.session_name)
    if wanted.profile is not None and not wanted.profile.startswith("arn:"):
        fields.profile(wanted.profile)
    return wanted


def _beyond(grant: Grant, anchor: Anchor) -> Sequence[str]:
    """Return what an exchange would look at besides, and a simulation cannot."""
    found = []
    if anchor.replay is Replay.ONCE:
        found.append("the anchor says replay: once, so a second use of one proof would be denied")
    if grant.grants_per_minute is not None:
        found.append(f"more than {grant.grants_per_minute} grants in a minute would be refused")
    if grant.issuance is Issuance.WEB_IDENTITY:
        found.append("STS itself would look at the token as well")
    return found


def _draft(wanted: Wanted, now: datetime) -> RecordDraft:
    return RecordDraft(
        id=ExchangeId("simulated"), time=now, route=ROUTE, source_ip=wanted.source_ip, user_agent=""
    )


def _said(leaf: x509.Certificate) -> dict[str, str]:
    """Return what a certificate that would not be accepted says of itself, as far as it can be read."""
    said = {"serial": f"{leaf.serial_number:x}"}
    for name, look in (("subject", lambda: leaf.subject), ("issuer", lambda: leaf.issuer)):
        try:
            said[name] = read(look).rfc4514_string()
        except ValueError:
            continue
    return said


def _request(wanted: Wanted) -> dict[str, Any]:
    named = {
        "role_arn": wanted.role_arn,
        "profile": wanted.profile,
        "duration": wanted.duration,
        "session_name": wanted.session_name,
    }
    return {name: value for name, value in named.items() if value is not None}


def _trace(one: ProfileTrace) -> dict[str, Any]:
    return {
        "profile": one.profile,
        "outcome": one.outcome,
        "reason": one.reason,
        "detail": one.detail,
        "conditions": [
            {
                "operator": condition.operator,
                "key": condition.key,
                "expected": list(condition.expected),
                "actual": condition.actual,
                "outcome": condition.outcome,
            }
            for condition in one.conditions
        ],
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
