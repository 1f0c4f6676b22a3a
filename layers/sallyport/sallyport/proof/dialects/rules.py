"""What a dialect may say, and what is said where it says nothing.

Everything here is pure. ``foreign`` is asked before the signature is verified and may only refuse;
``audiences`` and ``establish`` are asked afterwards.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sallyport.model import Claims, JsonValue, OidcAnchor
from sallyport.proof.reasons import refusal, shown

MAX_SUBJECT_BYTES = 1024
"""GitHub's and Kubernetes' subjects pass OpenID's 255 characters; a DynamoDB key ends at 2,048 bytes."""

MAX_UNIQUE_ID_CHARS = 256
"""A jti is a GUID or a hash. A longer one falls back to the digest, which is as good."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """What a dialect makes of verified claims.

    ``unique_id`` is set only where the issuer promises that no two tokens share it.
    """

    subject: str
    unique_id: str | None = None
    notes: tuple[str, ...] = ()


def nothing_foreign(_header: Mapping[str, JsonValue], _claims: Claims) -> None:
    """Refuse nothing before the signature."""


def standard_audiences(claims: Claims) -> tuple[str, ...]:
    """Return the audiences in ``aud`` (RFC 7519 §4.1.3): a string, or a list of strings."""
    aud = claims.get("aud")
    if aud is None or aud in ("", []):
        raise refusal("audience-missing")
    audiences = aud if isinstance(aud, list) else [aud]
    strings = tuple(audience for audience in audiences if isinstance(audience, str) and audience)
    if len(strings) != len(audiences):
        raise refusal("audience-malformed", f"aud is {shown(aud)}")
    return strings


def subject_in_sub(claims: Claims) -> str:
    """Return ``sub`` (RFC 7519 §4.1.2) as something a record and a key can hold."""
    sub = claims.get("sub")
    if sub is None or sub == "":
        raise refusal("subject-missing")
    if not isinstance(sub, str) or len(sub.encode()) > MAX_SUBJECT_BYTES or _CONTROL.search(sub):
        raise refusal("subject-malformed", f"sub is {shown(sub)}")
    return sub


def unique_id(claims: Claims, name: str) -> str | None:
    """Return the claim ``name`` if it can serve as the token's unique id."""
    value = claims.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_UNIQUE_ID_CHARS else None


def standard_subject(claims: Claims, _anchor: OidcAnchor) -> Who:
    """Take ``sub`` as the subject and promise nothing about ``jti``."""
    return Who(subject=subject_in_sub(claims))


def standard_discovery(issuer: str) -> tuple[str, ...]:
    """Return where OpenID Connect Discovery 1.0 §4.1 puts the issuer's document."""
    return (f"{issuer.removesuffix('/')}/.well-known/openid-configuration",)


def no_other_hosts(_issuer: str) -> frozenset[str]:
    """Return no host: keys come from the issuer's own."""
    return frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A dialect: five functions, each with a plain default.

    ``foreign(header, claims)`` refuses, by name, what could never verify here. ``audiences(claims)``
    returns whom the token is for. ``establish(claims, anchor)`` applies the issuer's own rules and
    says who it is. ``discovery(issuer)`` lists the documents that may describe the issuer, and
    ``key_hosts(issuer)`` the hosts besides its own that may serve its keys.
    """

    foreign: Callable[[Mapping[str, JsonValue], Claims], None] = nothing_foreign
    audiences: Callable[[Claims], tuple[str, ...]] = standard_audiences
    establish: Callable[[Claims, OidcAnchor], Who] = standard_subject
    discovery: Callable[[str], tuple[str, ...]] = standard_discovery
    key_hosts: Callable[[str], frozenset[str]] = no_other_hosts
