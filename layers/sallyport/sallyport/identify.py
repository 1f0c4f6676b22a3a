"""Who is calling, by token: the I/O around the pure verifier in ``proof.oidc``.

An issuer that is no anchor's causes no request to anywhere. Keys come from the keys table alone;
an unknown ``kid`` asks ``refresh_keys``, which decides by itself whether it is too early.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sallyport.audit.record import RecordDraft
from sallyport.errors import ProofError, UnavailableError
from sallyport.keys import ASK_EVERY, StoredKeys, may_ask, usable_keys
from sallyport.model import Identity, OidcAnchor, Secret
from sallyport.proof.jwks import KeySet
from sallyport.proof.oidc import UnknownKeyError, UnverifiedToken, claimed, parse, verify


class Anchors(Protocol):
    """Where anchors come from."""

    def anchor_of_issuer(self, issuer: str) -> OidcAnchor | None:
        """Return the anchor that this issuer, byte for byte, belongs to."""


class Keys(Protocol):
    """Where keys come from. A cache in front of it is the adapter's business."""

    def read(self, anchor_id: str, *, fresh: bool = False) -> StoredKeys | None:
        """Return what is stored; ``fresh`` looks again, whatever is cached."""


@dataclass(frozen=True, slots=True)
class IdentifiedToken:
    """An identity, and the anchor that vouches for it."""

    identity: Identity
    anchor: OidcAnchor


class IdentifyToken:
    """Parse, find the anchor and its keys, verify.

    Args:
        anchors: by issuer.
        keys: by anchor.
        refresh: has an anchor's keys fetched and waits; raises ``UnavailableError``.
    """

    def __init__(self, anchors: Anchors, keys: Keys, refresh: Callable[[str], None]) -> None:
        self._anchors = anchors
        self._keys = keys
        self._refresh = refresh
        # When this instance last asked, per anchor: with refresh_keys away, nothing else would
        # keep a flood of unknown key ids from invoking it again and again.
        self._asked: dict[str, datetime] = {}

    def __call__(self, proof: Secret, draft: RecordDraft, now: datetime) -> IdentifiedToken:
        """Return who is calling.

        Raises:
            ProofError: the token proves nothing.
            UnavailableError: trust or keys cannot be read, or no keys are to be believed.
        """
        token = parse(proof.reveal())
        draft.claimed = claimed(token)
        draft.proof_digest = token.digest
        anchor = self._anchors.anchor_of_issuer(token.issuer)
        if anchor is None:
            raise ProofError(
                "issuer-unknown",
                "no trust anchor has this issuer, byte for byte",
                cure="Compare the token's iss with `sallyport trust show`; a trailing slash counts.",
            )
        return IdentifiedToken(self._verify(token, anchor, now), anchor)

    def _verify(self, token: UnverifiedToken, anchor: OidcAnchor, now: datetime) -> Identity:
        stored = self._keys.read(anchor.id)
        try:
            return verify(token, anchor, usable_keys(stored, anchor, now), now)
        except (UnknownKeyError, UnavailableError) as error:
            keys = self._asked_for(anchor, now, error)
        return verify(token, anchor, keys, now)

    def _asked_for(
        self, anchor: OidcAnchor, now: datetime, error: UnknownKeyError | UnavailableError
    ) -> KeySet:
        """Return newer keys, or raise ``error`` where it is too early to ask."""
        stored = self._keys.read(anchor.id, fresh=True)
        own = self._asked.get(anchor.id)
        if not may_ask(stored, now) or (own is not None and now - own < ASK_EVERY):
            raise error
        self._asked[anchor.id] = now
        self._refresh(anchor.id)
        return usable_keys(self._keys.read(anchor.id, fresh=True), anchor, now)
