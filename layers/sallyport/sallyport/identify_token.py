"""Who is calling, by token: the I/O around the pure verifier in ``proof.oidc``.

An issuer that is no anchor's causes no request to anywhere. Keys come from the keys table alone;
an unknown ``kid`` asks ``refresh_keys``, which decides by itself whether it is too early.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from sallyport.audit.record import RecordDraft
from sallyport.errors import ProofError, UnavailableError
from sallyport.keys import ASK_EVERY, StoredKeys, may_ask, usable_keys
from sallyport.model import Identity, OidcAnchor, Proof, Secret
from sallyport.proof.oidc import LEEWAY, UnknownKeyError, UnverifiedToken, claimed, parse, verify

LOOK_EVERY: Final = timedelta(seconds=10)
"""How often one instance looks past its cache for an unknown key: anybody can write an unknown key id,
and each look is a read. As long as the cache's own entries live, so that nothing takes longer."""


class Anchors(Protocol):
    """Where anchors come from."""

    def version(self) -> str | None:
        """Return the version of trust in force, ``None`` before the first."""

    def anchor_of_issuer(self, issuer: str, version: str) -> OidcAnchor | None:
        """Return the anchor that this issuer, byte for byte, belongs to."""


class Keys(Protocol):
    """Where keys come from. A cache in front of it is the adapter's business."""

    def read(self, anchor_id: str, *, fresh: bool = False) -> StoredKeys | None:
        """Return what is stored; ``fresh`` looks again, whatever is cached."""


@dataclass(frozen=True, slots=True)
class IdentifiedToken:
    """An identity, the anchor that vouches for it, and the version of trust that has this anchor."""

    identity: Identity
    anchor: OidcAnchor
    version: str

    @property
    def usable_until(self) -> datetime:
        """When the token stops to verify: its end, and the verifier's own leeway."""
        return self.identity.expires_at + LEEWAY


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
        # When this instance last looked and asked, per anchor: with refresh_keys away, nothing else
        # would keep a flood of unknown key ids from invoking it again and again.
        self._looked: dict[str, datetime] = {}
        self._asked: dict[str, datetime] = {}

    def __call__(self, proof: Proof, draft: RecordDraft, now: datetime) -> IdentifiedToken:
        """Return who is calling.

        Raises:
            ProofError: the token proves nothing.
            UnavailableError: trust or keys cannot be read, or no keys are to be believed.
        """
        if not isinstance(proof, Secret):
            raise ProofError("proof-of-another-kind", "this route takes tokens")
        token = parse(proof.reveal())
        draft.claimed = claimed(token)
        draft.proof_digest = token.digest
        version = self._anchors.version()
        anchor = None if version is None else self._anchors.anchor_of_issuer(token.issuer, version)
        if version is None or anchor is None:
            raise ProofError(
                "issuer-unknown",
                "no trust anchor has this issuer, byte for byte",
                cure="Compare the token's iss with `sallyport trust show`; a trailing slash counts.",
            )
        return IdentifiedToken(self._verify(token, anchor, now), anchor, version)

    def _verify(self, token: UnverifiedToken, anchor: OidcAnchor, now: datetime) -> Identity:
        stored = self._keys.read(anchor.id)
        try:
            return verify(token, anchor, usable_keys(stored, anchor, now), now)
        except (UnknownKeyError, UnavailableError):
            # A key that this instance does not know may have been fetched on another's asking.
            if not _due(self._looked, anchor, now, LOOK_EVERY):
                raise
        stored = self._keys.read(anchor.id, fresh=True)
        try:
            return verify(token, anchor, usable_keys(stored, anchor, now), now)
        except UnavailableError:
            if not self._may_ask(stored, anchor, now):
                raise
            # No keys to be believed: an honest caller must hear that it may try again.
            self._refresh(anchor.id)
        except UnknownKeyError as error:
            if not self._may_ask(stored, anchor, now):
                raise
            self._refresh_for(error, anchor)
        stored = self._keys.read(anchor.id, fresh=True)
        return verify(token, anchor, usable_keys(stored, anchor, now), now)

    def _may_ask(self, stored: StoredKeys | None, anchor: OidcAnchor, now: datetime) -> bool:
        return may_ask(stored, now) and _due(self._asked, anchor, now, ASK_EVERY)

    def _refresh_for(self, unknown: UnknownKeyError, anchor: OidcAnchor) -> None:
        """Ask for the key that a token names.

        Anybody can write an unknown key id, so whether the refresh works is not the caller's to
        know: the answer stays the one that a token of an unknown issuer gets.
        """
        try:
            self._refresh(anchor.id)
        except UnavailableError as error:
            raise UnknownKeyError(
                unknown.reason, f"{unknown.detail} The refresh failed: {error.reason}.", cure=unknown.cure
            ) from error


def _due(last: dict[str, datetime], anchor: OidcAnchor, now: datetime, every: timedelta) -> bool:
    """Tell whether it is time again for an anchor, and if so, count from now."""
    before = last.get(anchor.id)
    if before is not None and now - before < every:
        return False
    last[anchor.id] = now
    return True
