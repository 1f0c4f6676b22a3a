"""Small builders for trust files, identities and requests; what a test is about is all it has to say."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.errors import TrustFileError
from sallyport.model import (
    Decision,
    Denial,
    ExchangeRequest,
    Grant,
    Identity,
    OidcAnchor,
    Secret,
    X509Anchor,
)
from sallyport.trust.compile import CompiledTrust, Profile, compile_trust, load_profile
from sallyport.trust.decide import authorize
from sallyport.trust.facts import Facts
from sallyport.trust.problems import Problem
from tests.support import pki

TENANT = "3d0af1a2-1111-4222-8333-444455556666"
OID = "b0c1d2e3-0000-4000-8000-000000000001"
ANOTHER_OID = "b0c1d2e3-0000-4000-8000-000000000002"
ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport/team-a-reader"
OTHER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport/team-b-reader"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ANYWHERE = "192.0.2.7"
WHO = {"StringEquals": {"token:oid": OID}}


def entra(**changes: Any) -> dict[str, Any]:
    """Declare an anchor for one Entra tenant."""
    return {
        "kind": "oidc",
        "issuer": f"https://sts.windows.net/{TENANT}/",
        "dialect": "entra",
        "audiences": ["urn://team-a"],
        **changes,
    }


def plain(issuer: str = "https://issuer.example.com", **changes: Any) -> dict[str, Any]:
    """Declare an anchor for any other issuer."""
    return {"kind": "oidc", "issuer": issuer, "audiences": ["urn://team-a"], **changes}


def authority(**changes: Any) -> dict[str, Any]:
    """Declare an anchor for the certificate authority of the examples."""
    return {"kind": "x509", "certificates": "ca.pem", **changes}


def pem(*holders: pki.Holder) -> bytes:
    """Return certificates as a PEM bundle."""
    return b"".join(one.certificate.public_bytes(Encoding.PEM) for one in holders)


@cache
def files() -> Mapping[str, bytes]:
    """Return the files that declared anchors may name."""
    return {
        "ca.pem": pem(pki.root()),
        "issuing.pem": pem(pki.issuing()),
        "both.pem": pem(pki.issuing(), pki.root()),
        "other.pem": pem(pki.authority("Other")),
    }


HOLDER = {"StringEquals": {"x509:Subject/CN": "host.example.com"}}


def of_holders(anchor: Mapping[str, Any] | None = None, /, **changes: Any) -> dict[str, Any]:
    """Declare a file whose only anchor is an authority, and whose only profile has these changes."""
    declared = {"trust_anchor": "datacenter", "condition": HOLDER, **changes}
    return trust_file({"reader": profile(**declared)}, {"datacenter": anchor or authority()})


def profile(**changes: Any) -> dict[str, Any]:
    """Declare a profile that is all right; a change to ``None`` leaves the field out."""
    declared = {"trust_anchor": "contoso", "roles": [ROLE], "condition": WHO, **changes}
    return {key: value for key, value in declared.items() if value is not None}


def trust_file(
    profiles: Mapping[str, Any] | None = None, anchors: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Declare a whole file; by default one anchor and one profile, both all right."""
    return deepcopy(
        {
            "version": 1,
            "trust_anchors": dict(anchors) if anchors is not None else {"contoso": entra()},
            "profiles": dict(profiles) if profiles is not None else {"reader": profile()},
        }
    )


def compiled(
    document: object, *, local_cloud: bool = False, beside: Mapping[str, bytes] | None = None
) -> CompiledTrust:
    """Compile a file for the example account, with other files beside it."""
    return compile_trust(
        document,
        account=ACCOUNT,
        region="eu-central-1",
        partition="aws",
        local_cloud=local_cloud,
        files={**files(), **(beside or {})},
    )


def problems(
    document: object, *, local_cloud: bool = False, beside: Mapping[str, bytes] | None = None
) -> list[Problem]:
    """Return what is wrong with a file; nothing if it may be applied."""
    try:
        compiled(document, local_cloud=local_cloud, beside=beside)
    except TrustFileError as error:
        return _readable(error)
    return []


def _readable(error: TrustFileError) -> list[Problem]:
    """Return the problems of an error, which must be some, each with a text and a cure."""
    found = [p for p in error.problems if isinstance(p, Problem) and p.text and p.cure]
    assert found
    assert len(found) == len(error.problems)
    return found


def problem(document: object, *path: str | int, beside: Mapping[str, bytes] | None = None) -> Problem:
    """Return the one problem of a file, which must be at ``path``."""
    found = problems(document, beside=beside)
    assert [p.path for p in found] == [path], found
    return found[0]


def profiles_of(trust: CompiledTrust, role: str = ROLE) -> list[Profile]:
    """Load the profiles of a role as an exchange does."""
    return [load_profile(one) for one in trust.items.get(f"role#{role}", {"profiles": []})["profiles"]]


def identity(trust: CompiledTrust, anchor: str = "contoso", **claims: Any) -> Identity:
    """Return what a verifier would have established; a claim of ``None`` is missing."""
    found = next(one for one in trust.anchors if one.name == anchor)
    if isinstance(found, X509Anchor):
        return holder(found)
    assert isinstance(found, OidcAnchor)
    said = {"iss": found.issuer, "aud": min(found.audiences), **claims}
    said.setdefault("oid" if found.tenant else "sub", OID)
    if found.tenant:
        said.setdefault("tid", found.tenant)
    return Identity(
        anchor_name=found.name,
        anchor_id=found.id,
        anchor_arn=found.arn,
        subject=str(said["oid" if found.tenant else "sub"]),
        attributes={f"token:{name}": value for name, value in said.items() if value is not None},
        expires_at=NOW,
        proof_digest="0" * 64,
        replay_id="replay",
    )


def holder(anchor: X509Anchor, leaf: pki.Holder | None = None) -> Identity:
    """Return what a verifier establishes of a certificate's holder, by default of the example host."""
    verified = pki.signed(leaf or pki.leaf(), against=pki.anchor()).verify()
    return replace(verified, anchor_name=anchor.name, anchor_id=anchor.id, anchor_arn=anchor.arn)


def request(**changes: Any) -> ExchangeRequest:
    """Return a request for the example role."""
    return ExchangeRequest(
        **{
            "proof": Secret("token"),
            "role_arn": ROLE,
            "route": "credentials",
            "source_ip": ANYWHERE,
            **changes,
        }
    )


def facts(**claims: Any) -> Facts:
    """Return what conditions and templates look at, for a token with these claims."""
    return Facts({f"token:{name}": value for name, value in claims.items()}, request(), NOW)


def decide(
    document: Mapping[str, Any],
    *,
    claims: Mapping[str, Any] | None = None,
    anchor: str = "contoso",
    leaf: pki.Holder | None = None,
    disabled: frozenset[str] = frozenset(),
    **asked: Any,
) -> Decision:
    """Compile a file and decide on one request, through the stored form as an exchange does.

    With a ``leaf`` its holder asks, and the file's only anchor is the authority above it.
    """
    trust = compiled(document)
    asks = request(**asked)
    if leaf is None:
        who = identity(trust, anchor, **(claims or {}))
    else:
        (above,) = trust.anchors
        assert isinstance(above, X509Anchor)
        who = holder(above, leaf)
    return authorize(who, asks, profiles_of(trust, asks.role_arn), disabled=disabled, now=NOW)


def granted(document: Mapping[str, Any], **how: Any) -> Grant:
    """Decide, and expect a grant."""
    outcome = decide(document, **how).outcome
    assert isinstance(outcome, Grant), outcome
    return outcome


def denied(document: Mapping[str, Any], **how: Any) -> Denial:
    """Decide, and expect a denial."""
    outcome = decide(document, **how).outcome
    assert isinstance(outcome, Denial), outcome
    return outcome
