"""The nouns: frozen values that pass between the steps of an exchange.

Nothing here decides or does I/O. Times are aware datetimes in UTC, durations are whole seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
Claims = Mapping[str, JsonValue]

ExchangeId = NewType("ExchangeId", str)


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A string that shows itself to nobody who does not ask for it by name."""

    _value: str

    def reveal(self) -> str:
        """Return the secret; every caller is a place to look at in a review."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SignedRequest:
    """A request as a gateway received it. Shows nothing of itself: until it is old, it is the proof.

    Args:
        method: as sent.
        paths: the path as it may have been signed, with the stage and without.
        query: decoded parameters, each with all of its values.
        headers: by lower-case name, each with all of its values.
        body: the exact bytes, after the gateway's own encoding was taken off.
        api_id: the gateway's own name for the API that it came to; nothing that a client has a say in.
    """

    method: str
    paths: tuple[str, ...]
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, Sequence[str]]
    body: bytes
    api_id: str = ""

    def __repr__(self) -> str:
        return "SignedRequest(…)"


Proof = Secret | SignedRequest
"""What is presented: a token, or a request signed with a certificate's key."""


class Dialect(StrEnum):
    """Which issuer's own rules apply on top of RFC 7519."""

    PLAIN = "plain"
    ENTRA = "entra"
    GITHUB = "github"
    COGNITO = "cognito"


class Issuance(StrEnum):
    """How STS is asked: by the function's own role, or with the caller's token."""

    ASSUME_ROLE = "assume-role"
    WEB_IDENTITY = "web-identity"


class Effect(StrEnum):
    """What a matching profile does."""

    ALLOW = "allow"
    DENY = "deny"


class Replay(StrEnum):
    """Whether one proof may be used again while it is valid."""

    ALLOW = "allow"
    ONCE = "once"


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcAnchor:
    """A trust anchor of kind ``oidc``, as compiled from the trust file.

    ``tenant`` is the GUID inside a Microsoft issuer (dialect ``entra``), else ``None``.
    ``keys_max_age`` is how many seconds keys are believed without being confirmed by a fetch.
    ``jwks_hosts`` lists hosts besides the issuer's own that may serve its keys.
    ``local_discovery`` is a loopback discovery URL, legal only in the local cloud.
    """

    name: str
    id: str
    arn: str
    issuer: str
    dialect: Dialect
    audiences: frozenset[str]
    algorithms: tuple[str, ...]
    replay: Replay = Replay.ALLOW
    tenant: str | None = None
    allow_arm_audience: bool = False
    keys_max_age: int = 86_400
    jwks_hosts: tuple[str, ...] = ()
    local_discovery: str | None = None


class StaleCrls(StrEnum):
    """What a revocation list past its time means for the certificates that it is about."""

    DENY = "deny"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class X509Anchor:
    """A trust anchor of kind ``x509``, as compiled from the trust file. Certificates are DER.

    ``certificates`` are what is trusted, roots or not; ``intermediates`` only help to get there, so
    that clients need not send them. ``crls`` are the ids of the revocation lists that the anchor
    expects: one that was never read counts as one past its time, and ``stale_crls`` says what that
    means. ``crl_urls`` are those of them that are fetched, whose id is their URL; operators bring the
    others. ``any_extended_key_usage`` accepts leaves that their issuer means for other purposes than
    for clients.
    """

    name: str
    id: str
    arn: str
    certificates: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()
    crls: tuple[str, ...] = ()
    crl_urls: tuple[str, ...] = ()
    stale_crls: StaleCrls = StaleCrls.DENY
    any_extended_key_usage: bool = False
    replay: Replay = Replay.ALLOW


Anchor = OidcAnchor | X509Anchor


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What records tell of the certificate behind an identity, so that its end can be announced.

    ``fingerprint`` is the SHA-256 of the DER and ``serial`` the number, both in lower-case hex;
    ``issuer`` is the issuer's name after RFC 4514.
    """

    fingerprint: str
    serial: str
    issuer: str
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who is calling, established by a verifier. Only ``proof`` constructs one.

    ``attributes`` maps condition keys (``token:oid``, ``x509:Subject/CN``) to verified values.
    ``subject`` is the identity's own unique name within its anchor, for records and limits.
    ``proof_digest`` is the SHA-256 (hex) of the signed bytes, ``replay_id`` what a second use of
    the same proof has in common with the first, ``expires_at`` when the proof itself ends.
    ``notes`` are remarks for the record (a missing ``idtyp``, say), each a stable kebab-case code.
    ``certificate`` is set where the proof was made with one.
    """

    anchor_name: str
    anchor_id: str
    anchor_arn: str
    subject: str
    attributes: Mapping[str, JsonValue]
    expires_at: datetime
    proof_digest: str
    replay_id: str
    notes: tuple[str, ...] = ()
    certificate: CertificateFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """What a caller asks for, checked for form by a gateway and for nothing else.

    ``profile`` is a profile's name, id or ARN. ``instance_properties`` are for the record alone.
    ``policy`` and ``policy_arns`` are the caller's own wishes and never trusted to narrow anything.
    ``source_ip`` is API Gateway's view of the address; ``route`` is the route's name for the record.
    """

    proof: Proof
    role_arn: str
    route: str
    source_ip: str
    user_agent: str = ""
    duration: int | None = None
    session_name: str | None = None
    profile: str | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    instance_properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionTag:
    """One session tag. ``optional`` ones may be dropped when STS says the token is too large."""

    key: str
    value: str
    optional: bool = False
    transitive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionTrace:
    """One condition as it was looked at: ``outcome`` is ``match``, ``no-match``, ``missing`` or ``error``."""

    operator: str
    key: str
    expected: tuple[str, ...]
    actual: str | None
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileTrace:
    """Why one profile allowed, did not match, or denied.

    ``outcome`` is ``allowed``, ``not-matched``, ``denied``, ``disabled``, ``not-named``,
    ``outranked`` or ``unusable``; ``reason`` is a stable kebab-case code, ``detail`` a sentence.
    """

    profile: str
    outcome: str
    reason: str = ""
    detail: str = ""
    conditions: tuple[ConditionTrace, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The decision to issue, and on what terms. Everything in it is legal for STS.

    ``policy`` is the inline session policy (JSON text) and ``policy_arns`` the managed ones; either
    the profile's or, where it says so, the caller's, never both. ``droppable`` names the optional
    tags in the order in which they may be left out, which is empty where a policy depends on them.
    ``advisory`` says that the profile's limits do not bind (issuance ``web-identity``).
    """

    profile_name: str
    profile_id: str
    profile_arn: str
    anchor_name: str
    anchor_id: str
    role_arn: str
    session_name: str
    duration: int
    issuance: Issuance
    external_id: str
    source_identity: str | None = None
    tags: tuple[SessionTag, ...] = ()
    droppable: tuple[str, ...] = ()
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    grants_per_minute: int | None = None
    advisory: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """The decision not to. ``reason`` is stable; ``detail`` and ``cure`` are the operator's."""

    reason: str
    detail: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A grant or a denial, with the trace of every profile and condition looked at."""

    outcome: Grant | Denial
    trace: tuple[ProfileTrace, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What STS gave, with where and how. The two secrets never show themselves."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    expiration: datetime
    assumed_role_arn: str
    assumed_role_id: str
    region: str
    source_identity: str | None = None
    packed_policy_size: int | None = None
    dropped_tags: tuple[str, ...] = ()
    skipped_regions: tuple[str, ...] = ()
    subject: str | None = None
    provider: str | None = None
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A finished exchange: what the gateway renders."""

    exchange_id: ExchangeId
    credentials: Credentials
    grant: Grant
    identity: Identity = field(repr=False)
