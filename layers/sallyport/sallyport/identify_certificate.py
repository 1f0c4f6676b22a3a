"""Who is calling, by certificate: the I/O around the pure verifier in ``proof.x509``.

A request that is not of legal form, or that names no trust anchor of ours, causes no look at the trust
table beyond the version in force; what is revoked is looked up once signature and chain have held.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sallyport.audit.record import RecordDraft
from sallyport.errors import ProofError
from sallyport.model import Anchor, Identity, Proof, SignedRequest, X509Anchor
from sallyport.proof.reasons import shown
from sallyport.proof.x509 import Endpoint, claimed, identify, parse, verify_chain
from sallyport.proof.x509_reasons import refusal
from sallyport.revocation import Revocations

_ANCHOR_ARN = re.compile(
    r"arn:aws[a-z-]{0,16}:rolesanywhere:[a-z0-9-]{1,32}:[0-9]{12}:trust-anchor/"
    r"(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)
_API_ID = re.compile(r"[a-z0-9]{1,64}")
_LOOPBACK = frozenset({"127.0.0.1", "[::1]", "localhost"})


class Anchors(Protocol):
    """Where anchors come from."""

    def version(self) -> str | None:
        """Return the version of trust in force, ``None`` before the first."""

    def anchor(self, anchor_id: str, version: str) -> Anchor | None:
        """Return the anchor with this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNames:
    """The names by which clients may call this endpoint, and therefore sign for it.

    ``domain`` is the operator's own (may be empty), ``suffix`` the partition's DNS suffix. Names of this
    machine count in the local cloud alone.
    """

    domain: str
    region: str
    suffix: str
    local_cloud: bool

    def endpoint(self, request: SignedRequest) -> Endpoint:
        """Return what a request must have been signed for.

        The API's id cannot be a setting, since the API is made of the functions behind it. It comes with
        each request, in the part of the event that API Gateway writes itself
        (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html),
        and the function's policy lets no other API invoke it: nobody can have us believe in another name.
        """
        hosts = {self.domain.lower()} if self.domain else set()
        if _API_ID.fullmatch(request.api_id) is not None:
            hosts.add(f"{request.api_id}.execute-api.{self.region}.{self.suffix}")
        return Endpoint(hosts=frozenset(hosts | _LOOPBACK if self.local_cloud else hosts), region=self.region)


@dataclass(frozen=True, slots=True)
class IdentifiedCertificate:
    """An identity, the anchor that vouches for it, and the version of trust that has this anchor."""

    identity: Identity
    anchor: X509Anchor
    version: str

    @property
    def usable_until(self) -> datetime:
        """When the request stops to verify: the end of its window, which is all the leeway there is."""
        return self.identity.expires_at


class IdentifyCertificate:
    """Parse, find the anchor, verify, and look up what is revoked.

    Args:
        anchors: by id.
        revocations: revocation lists in force, and which certificates they name.
        endpoint: what a request must have been signed for.
    """

    def __init__(
        self, anchors: Anchors, revocations: Revocations, endpoint: Callable[[SignedRequest], Endpoint]
    ) -> None:
        self._anchors = anchors
        self._revocations = revocations
        self._endpoint = endpoint

    def __call__(self, proof: Proof, draft: RecordDraft, now: datetime) -> IdentifiedCertificate:
        """Return who is calling.

        Raises:
            ProofError: the request proves nothing.
            RequestError: what it asks for has not the form that it must have.
            UnavailableError: trust cannot be read, or a revocation list is missing or late.
        """
        if not isinstance(proof, SignedRequest):
            raise ProofError("proof-of-another-kind", "this route takes signed requests")
        request = parse(proof)
        draft.claimed = claimed(request)
        anchor, version = self._anchor(request.parameters.trust_anchor_arn)
        chain = verify_chain(request, self._endpoint(proof), anchor, now)
        draft.proof_digest = chain.digest
        draft.notes = chain.notes
        states = self._revocations.states(anchor)
        revoked = self._revocations.revoked(anchor, states, chain.links)
        return IdentifiedCertificate(identify(chain, states, revoked, now), anchor, version)

    def _anchor(self, arn: str) -> tuple[X509Anchor, str]:
        found = _ANCHOR_ARN.fullmatch(arn)
        version = None if found is None else self._anchors.version()
        if found is not None and version is not None:
            anchor = self._anchors.anchor(found["id"], version)
            if isinstance(anchor, X509Anchor):
                return anchor, version
        raise refusal("anchor-unknown", f"It is {shown(arn)}.")
