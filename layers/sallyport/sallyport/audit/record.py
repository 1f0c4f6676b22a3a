"""The record of one exchange: filled in as facts become known, put once, whatever the outcome.

Pure. A record is at most 64 KB by construction: every string of an outsider is cut to ``MAX_TEXT``
characters (our own sentences to twice that) and every list to a stated length with a count of the
rest. No token and no credential is in it: a proof appears as the SHA-256 of its signed bytes, a policy
as the SHA-256 of its text.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sallyport.errors import SallyportError
from sallyport.model import (
    Credentials,
    Decision,
    ExchangeId,
    ExchangeRequest,
    Grant,
    Identity,
    JsonValue,
    ProfileTrace,
)

# A value longer than this says nothing more to a reader and could be an attacker's padding.
MAX_TEXT = 256
# Session tags are at most 50 by STS's own limit; attributes looked at are bounded likewise.
MAX_ATTRIBUTES = 50
MAX_PROFILES = 20
# Profiles that did not match and are shown with their conditions, the nearest first; of the others
# their names tell enough, and anybody whom an issuer verifies can be denied as often as it likes.
MAX_NEAR = 3
MAX_CONDITIONS = 12
MAX_EXPECTED = 4
MAX_NOTES = 20
# Of a summary: reasons and addresses with their counts, the largest first. The longest IPv6 address
# has 45 characters.
MAX_COUNTS = 40
MAX_NAME = 48
# The design's bound for one record.
MAX_BYTES = 65_536
# And for one of an exchange that gave nothing: room for the three nearest profiles as they usually
# are, and a bound on what a stranger can make us store.
MAX_DENIED_BYTES = 16_384


@dataclass(slots=True, kw_only=True)
class RecordDraft:
    """What is known of an exchange so far."""

    id: ExchangeId
    time: datetime
    route: str
    source_ip: str
    user_agent: str = ""
    gateway_id: str = ""
    request: ExchangeRequest | None = None
    claimed: Mapping[str, str] = field(default_factory=dict)
    proof_digest: str | None = None
    notes: tuple[str, ...] = ()
    identity: Identity | None = None
    decision: Decision | None = None
    grant: Grant | None = None
    credentials: Credentials | None = None
    trust_version: str | None = None
    error: SallyportError | None = None

    @property
    def outcome(self) -> str:
        """``granted``, ``denied`` (verified, not allowed), ``failed`` (ours) or ``refused`` (no proof)."""
        if self.error is None:
            return "granted" if self.credentials is not None else "failed"
        if self.error.status >= 500:  # noqa: PLR2004 - HTTP's own line
            return "failed"
        return "refused" if self.identity is None else "denied"

    def to_json(self) -> str:
        """Return the record as compact JSON text of at most ``MAX_BYTES`` bytes."""
        value = self._value()
        text = _dump(value)
        most = MAX_DENIED_BYTES if self.credentials is None else MAX_BYTES
        for shorten in _SHORTENINGS:
            if len(text) <= most:
                break
            shorten(value)
            text = _dump(value)
        return text

    def log_fields(self) -> dict[str, JsonValue]:
        """Return what the function's log says: enough to explain without the records table."""
        fields: dict[str, JsonValue] = {
            "exchange_id": self.id,
            "route": self.route,
            "outcome": self.outcome,
            "source_ip": _cut(self.source_ip),
            "user_agent": _cut(self.user_agent),
            "gateway_id": self.gateway_id,
        }
        if self.error is not None:
            fields |= _error(self.error)
        if self.request is not None:
            fields["role_arn"] = _cut(self.request.role_arn)
        fields |= self._caller()
        if self.proof_digest is not None:
            fields["proof_sha256"] = self.proof_digest
        if remarks := self._remarks():
            fields["notes"] = [_cut(note) for note in remarks[:MAX_NOTES]]
        if self.grant is not None:
            fields["profile"] = self.grant.profile_name
        if self.credentials is not None:
            fields["access_key_id"] = self.credentials.access_key_id
            fields["sts_region"] = self.credentials.region
            if self.credentials.skipped_regions:
                fields["skipped_regions"] = list(self.credentials.skipped_regions)
        return fields

    def _caller(self) -> dict[str, JsonValue]:
        """Return who it was, or what a proof that did not verify says of itself."""
        if self.identity is None:
            said: dict[str, JsonValue] = {_cut(key): _cut(value) for key, value in self.claimed.items()}
            return {"claimed": said} if said else {}
        fields: dict[str, JsonValue] = {
            "anchor": self.identity.anchor_name,
            "subject": _cut(self.identity.subject),
        }
        if self.identity.certificate is not None:
            fields["certificate_sha256"] = self.identity.certificate.fingerprint
        return fields

    def _value(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "id": self.id,
            "time": self.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "kind": "exchange",
            "route": self.route,
            "outcome": self.outcome,
            "source_ip": _cut(self.source_ip),
            "user_agent": _cut(self.user_agent),
            "gateway_id": self.gateway_id,
        }
        if self.error is not None:
            value |= _error(self.error)
        if self.request is not None:
            value["request"] = _request(self.request)
        if self.proof_digest is not None:
            value["proof_sha256"] = self.proof_digest
        notes = [*self._remarks()]
        if self.identity is not None:
            value |= _identity(self.identity, self._keys_looked_at())
        if self.trust_version is not None:
            value["trust_version"] = self.trust_version
        if self.decision is not None:
            value |= _trace(self.decision.trace)
        if self.grant is not None:
            value["profile"] = {
                "name": self.grant.profile_name,
                "id": self.grant.profile_id,
                "arn": self.grant.profile_arn,
            }
            value["grant"] = _grant(self.grant)
            notes += self.grant.notes
        if self.credentials is not None:
            value["issued"] = _issued(self.credentials)
        if notes:
            value["notes"] = [_cut(note) for note in notes[:MAX_NOTES]]
        return value

    def _remarks(self) -> tuple[str, ...]:
        """Return what the verifier remarked, wherever it ended: an identity has the same and more."""
        return self.notes if self.identity is None else self.identity.notes

    def _keys_looked_at(self) -> frozenset[str]:
        traces = self.decision.trace if self.decision is not None else ()
        return frozenset(one.key for trace in traces for one in trace.conditions)


def summary(
    *,
    record_id: str,
    window_start: datetime,
    counts: Mapping[str, int],
    addresses: Mapping[str, int],
    denied: Mapping[str, int],
) -> str:
    """Return the record that stands for a minute of exchanges that have none of their own.

    Args:
        record_id: its own id.
        window_start: when the minute began.
        counts: of those whose proof did not verify, by reason.
        addresses: of the same, by address.
        denied: of verified identities that got nothing more often than is put one by one, by anchor
            and reason.
    """
    value: dict[str, Any] = {
        "id": record_id,
        "time": window_start.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "kind": "unverified-summary",
        "outcome": "refused",
        "counts": {key[:MAX_NAME]: count for key, count in _first(counts.items(), MAX_COUNTS)},
        "addresses": {key[:MAX_NAME]: count for key, count in _first(addresses.items(), MAX_COUNTS)},
        "total": sum(counts.values()),
    }
    if denied:
        value["denied"] = {key[:MAX_TEXT]: count for key, count in _first(denied.items(), MAX_COUNTS)}
        value["denied_total"] = sum(denied.values())
    return _dump(value)


def _fewer_profiles(most: int) -> Callable[[dict[str, Any]], None]:
    def shorten(value: dict[str, Any]) -> None:
        trace = value.get("trace", [])
        if len(trace) > most:
            value["trace"] = trace[:most]
            value["trace_omitted"] = value.get("trace_omitted", 0) + len(trace) - most

    return shorten


def _without(name: str, *, of: str = "") -> Callable[[dict[str, Any]], None]:
    def shorten(value: dict[str, Any]) -> None:
        part = value.get(of, {}) if of else value
        if part.pop(name, None):
            part[f"{name}_omitted"] = True

    return shorten


# What goes where a record is too long, one after the other, least missed first. What is left then is
# bounded by the lengths above.
_SHORTENINGS = (
    _without("instance_properties", of="request"),
    *map(_fewer_profiles, (10, 5, 2)),
    _without("tags", of="grant"),
    _without("attributes"),
    *map(_fewer_profiles, (1, 0)),
    _without("notes"),
    _without("issuer", of="certificate"),
    _without("policy_arns", of="grant"),
    _without("policy_arns", of="request"),
)


def _is_unmatched(trace: ProfileTrace) -> bool:
    return trace.outcome in {"not-matched", "not-named"}


def _weight(trace: ProfileTrace) -> tuple[bool, int]:
    unmet = sum(one.outcome != "match" for one in trace.conditions)
    return _is_unmatched(trace), unmet if trace.conditions else MAX_PROFILES


def _error(error: SallyportError) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {"reason": _cut(error.reason), "code": error.code}
    if error.detail:
        fields["detail"] = error.detail[: 2 * MAX_TEXT]
    if error.cure:
        fields["cure"] = error.cure[: 2 * MAX_TEXT]
    return fields


def _request(request: ExchangeRequest) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {"role_arn": _cut(request.role_arn)}
    if request.duration is not None:
        fields["duration"] = request.duration
    if request.session_name is not None:
        fields["session_name"] = _cut(request.session_name)
    if request.profile is not None:
        fields["profile"] = _cut(request.profile)
    if request.policy is not None:
        fields["policy_sha256"] = sha256(request.policy.encode()).hexdigest()
    if request.policy_arns:
        fields["policy_arns"] = [_cut(arn) for arn in request.policy_arns]
    if request.instance_properties:
        fields["instance_properties"] = {
            _cut(name): _cut(value) for name, value in request.instance_properties.items()
        }
    return fields


def _identity(identity: Identity, looked_at: frozenset[str]) -> dict[str, JsonValue]:
    attributes: dict[str, JsonValue] = {}
    for key in sorted(looked_at & identity.attributes.keys())[:MAX_ATTRIBUTES]:
        value = identity.attributes[key]
        attributes[_cut(key)] = _cut(value if isinstance(value, str) else _dump(value))
    fields: dict[str, JsonValue] = {
        "anchor": {
            "name": identity.anchor_name,
            "id": identity.anchor_id,
            "arn": identity.anchor_arn,
        },
        "subject": _cut(identity.subject),
        "attributes": attributes,
        "proof_expires_at": _iso(identity.expires_at),
    }
    if identity.certificate is not None:
        fields["certificate"] = {
            "fingerprint": identity.certificate.fingerprint,
            "serial": identity.certificate.serial,
            "issuer": _cut(identity.certificate.issuer),
            "not_after": _iso(identity.certificate.not_after),
        }
    return fields


def _trace(trace: Sequence[ProfileTrace]) -> dict[str, JsonValue]:
    # What decided comes first, so that it is what is left of a long trace.
    first = sorted(trace, key=_weight)[:MAX_PROFILES]
    whole = sum(not _is_unmatched(one) for one in trace) + MAX_NEAR
    shown: list[JsonValue] = [
        _profile(one) if number < whole else _profile_in_brief(one) for number, one in enumerate(first)
    ]
    rest = len(trace) - len(shown)
    return {"trace": shown} | ({"trace_omitted": rest} if rest else {})


def _profile_in_brief(trace: ProfileTrace) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {
        "profile": trace.profile,
        "outcome": trace.outcome,
        "reason": _cut(trace.reason),
    }
    return fields | ({"conditions_omitted": len(trace.conditions)} if trace.conditions else {})


def _profile(trace: ProfileTrace) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {"profile": trace.profile, "outcome": trace.outcome}
    if trace.reason:
        fields["reason"] = _cut(trace.reason)
    if trace.detail:
        fields["detail"] = trace.detail[: 2 * MAX_TEXT]
    conditions: list[JsonValue] = [
        {
            "operator": one.operator,
            "key": _cut(one.key),
            "expected": [_cut(value) for value in one.expected[:MAX_EXPECTED]],
            **({"expected_omitted": rest} if (rest := len(one.expected) - MAX_EXPECTED) > 0 else {}),
            "actual": None if one.actual is None else _cut(one.actual),
            "outcome": one.outcome,
        }
        for one in trace.conditions[:MAX_CONDITIONS]
    ]
    if conditions:
        fields["conditions"] = conditions
    if (rest := len(trace.conditions) - MAX_CONDITIONS) > 0:
        fields["conditions_omitted"] = rest
    return fields


def _grant(grant: Grant) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {
        "role_arn": grant.role_arn,
        "session_name": grant.session_name,
        "duration": grant.duration,
        "issuance": grant.issuance.value,
        "external_id": grant.external_id,
        "tags": {tag.key: tag.value for tag in grant.tags},
        "transitive": [tag.key for tag in grant.tags if tag.transitive],
        "policy_arns": list(grant.policy_arns),
    }
    if grant.source_identity is not None:
        fields["source_identity"] = grant.source_identity
    if grant.policy is not None:
        fields["policy_sha256"] = sha256(grant.policy.encode()).hexdigest()
    if grant.advisory:
        fields["advisory"] = True
    return fields


def _issued(credentials: Credentials) -> dict[str, JsonValue]:
    fields: dict[str, JsonValue] = {
        "access_key_id": credentials.access_key_id,
        "assumed_role_arn": credentials.assumed_role_arn,
        "assumed_role_id": credentials.assumed_role_id,
        "expiration": _iso(credentials.expiration),
        "region": credentials.region,
        "skipped_regions": list(credentials.skipped_regions),
        "dropped_tags": list(credentials.dropped_tags),
    }
    for name in ("source_identity", "packed_policy_size", "subject", "provider", "audience"):
        value = getattr(credentials, name)
        if value is not None:
            fields[name] = _cut(value) if isinstance(value, str) else value
    return fields


def _first(pairs: Iterable[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:most]


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)
