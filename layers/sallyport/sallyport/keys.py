"""Issuers' keys: where they may come from, when they are fetched, how long they are believed.

Pure orchestration: everything that is away is a port. The refreshing side (``RefreshKeys``) runs on
a schedule, and when an exchange has met an unknown ``kid``; the exchange's side (``usable_keys``)
only reads. A refresh that fails changes nothing, so an issuer's outage costs nothing until the keys
are too old to be believed.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Protocol, TypeVar

from sallyport.errors import UnavailableError
from sallyport.model import JsonValue, OidcAnchor
from sallyport.proof import strict_json
from sallyport.proof.dialects import RULES
from sallyport.proof.jwks import KeySet, dump_jwks, parse_jwks
from sallyport.proof.reasons import Reason, shown
from sallyport.web_address import WebAddress, parse_web_address

ASK_EVERY = timedelta(minutes=5)
"""How often, per anchor and over all instances, an unknown key id may cause a fetch. Anybody can
write an unknown key id; this is Microsoft's own advice for verifiers."""

CLOCK_TOLERANCE = timedelta(seconds=60)
"""How far in the future keys may have been fetched: two functions' clocks differ a little."""

ALARM_SHARE = 0.5
"""From this share of their greatest age on, unconfirmed keys are an alarm: half the time is left to act."""

ANCHOR_SECONDS = 12.0
"""What one anchor may take: three fetches of three seconds, and the table. A run that has less left
stops, and says so, rather than being killed in the middle."""

TURN_SECONDS = 3_600
"""How long the anchors keep their order: as long as the schedule's step (a contract test compares them)."""

CACHED_KEY_SETS = 64
"""Parsed key sets that one instance keeps. A key set costs far more to parse than to look up."""

HTTPS_PORT = 443

REASONS: dict[str, Reason] = {
    "keys-missing": Reason(
        "No keys of the issuer have been fetched yet.",
        "Wait for the next refresh, or invoke refresh_keys; its log says why a fetch fails.",
    ),
    "keys-too-old": Reason(
        "The issuer's keys have not been confirmed for longer than the anchor allows.",
        "Look at refresh_keys' log: the issuer cannot be reached, or its answers are refused.",
    ),
    "keys-from-the-future": Reason(
        "The keys say that they were fetched in the future.", "Compare the clocks; refresh the keys."
    ),
    "keys-of-another-issuer": Reason(
        "The stored keys were fetched for another issuer under the same anchor's name.",
        "Invoke refresh_keys: the anchor's issuer was changed.",
    ),
    "keys-malformed": Reason(
        "What the issuer published, or what is stored, is not a key set.", "Look at the issuer's jwks_uri."
    ),
    "keys-empty": Reason(
        "The issuer's key set has no key that could verify a signature, so that none is believed now.",
        "Look at the keys' kty, use, key_ops, alg and size; two keys with one kid make it unusable.",
    ),
    "anchor-unknown": Reason(
        "There is no trust anchor with this id.", "It was removed since it was asked for."
    ),
    "out-of-time": Reason(
        "The run ended before this anchor's turn.",
        "Other issuers answer too slowly; see which, or give the function more time.",
    ),
    "discovery-malformed": Reason(
        "The discovery document is not one strict JSON object.", "Look at the issuer's discovery document."
    ),
    "discovery-issuer": Reason(
        "The discovery document is about another issuer than the anchor's, byte for byte.",
        "Copy the issuer from the document into the anchor, a trailing slash included.",
    ),
    "discovery-unknown": Reason(
        "The dialect knows no discovery document for this issuer.",
        "Correct the anchor's issuer or its dialect.",
    ),
    "discovery-local": Reason(
        "The anchor names a local discovery document outside the local cloud.",
        "Such an anchor may only be applied to the local cloud.",
    ),
    "keys-url": Reason(
        "The jwks_uri is not an https URL on a host that may serve this issuer's keys.",
        "If the host is the issuer's indeed, list it in the anchor's jwks_hosts.",
    ),
}

_cached_parse = lru_cache(maxsize=CACHED_KEY_SETS)(parse_jwks)

Turn = TypeVar("Turn")

Fetch = Callable[[str], bytes]
"""Returns what a URL answers; its only error is ``UnavailableError``."""


class StoredKeys(Protocol):
    """What is stored of an anchor's keys, times in epoch seconds, zero for never.

    An item may exist for ``asked_at`` alone, and then has no keys.
    """

    @property
    def issuer(self) -> str:
        """The issuer that they were fetched for."""

    @property
    def jwks(self) -> str:
        """A JWK Set as ``dump_jwks`` wrote it."""

    @property
    def fetched_at(self) -> int:
        """When the issuer last confirmed them."""

    @property
    def asked_at(self) -> int:
        """When an unknown key last caused a fetch."""


ReadKeys = Callable[[str], StoredKeys | None]
"""Returns what is stored for an anchor's id, or ``None``; its only error is ``UnavailableError``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedKeys:
    """What a successful fetch stores: attributes of the item ``anchor#<anchor id>``."""

    anchor_id: str
    issuer: str
    jwks: str
    fetched_at: int
    source: str


class WriteKeys(Protocol):
    """Stores an anchor's keys; its only error is ``UnavailableError``."""

    def __call__(self, keys: FetchedKeys, /) -> None:
        """Store ``keys`` unless a later fetch is stored already; ``asked_at`` stays as it is."""


class ClaimAsk(Protocol):
    """Takes the one turn per ``ASK_EVERY`` to fetch on an exchange's asking."""

    def __call__(self, anchor_id: str, now: datetime, /) -> bool:
        """Set ``asked_at`` to ``now`` if it is absent or ``ASK_EVERY`` old, in one conditional write."""


class RefreshStatus(StrEnum):
    """What became of one anchor in one run."""

    REFRESHED = "refreshed"
    FAILED = "failed"
    NOT_DUE = "not-due"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshOutcome:
    """What became of one anchor, and how old its keys now are.

    ``age`` is in seconds since the keys were last confirmed, ``None`` if they never were;
    ``overdue`` says that this is worth an alarm.
    """

    anchor_id: str
    anchor_name: str
    status: RefreshStatus
    reason: str = ""
    detail: str = ""
    age: int | None = None
    overdue: bool = False
    keys: int = 0
    source: str = ""

    def for_log(self) -> dict[str, JsonValue]:
        """Return the outcome as a log line or an answer can carry it."""
        return {
            "anchor_id": self.anchor_id,
            "anchor_name": self.anchor_name,
            "status": self.status.value,
            "reason": self.reason,
            "detail": self.detail,
            "age": self.age,
            "overdue": self.overdue,
            "keys": self.keys,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshKeys:
    """The refresh use case: all anchors in one run, or those that somebody asks for.

    ``anchors`` lists the OIDC anchors of the current trust. ``report`` gets each outcome at once,
    so that a run that is cut off has still said what it did.
    """

    anchors: Callable[[], Sequence[OidcAnchor]]
    fetch: Fetch
    read: ReadKeys
    write: WriteKeys
    claim_ask: ClaimAsk
    report: Callable[[RefreshOutcome], None]
    local: bool = False

    def __call__(
        self,
        *,
        now: datetime,
        time_left: Callable[[], float],
        anchor_ids: Collection[str] | None = None,
        asked: bool = False,
    ) -> tuple[RefreshOutcome, ...]:
        """Refresh the keys of every anchor, or of those with ``anchor_ids``.

        Args:
            now: the time of the run; what it fetches counts as confirmed then.
            time_left: how many seconds the run still has.
            anchor_ids: whose keys; ``None``, and nothing else, means everybody's.
            asked: an exchange has met an unknown key, so that ``ASK_EVERY`` applies.

        Raises:
            ExceptionGroup: of what nobody foresaw, once every anchor has had its turn.
        """
        outcomes: list[RefreshOutcome] = []
        crashes: list[Exception] = []
        anchors = [anchor for anchor in self.anchors() if anchor_ids is None or anchor.id in anchor_ids]
        for anchor in turned(anchors, now):
            try:
                outcome = self._one(anchor, now, time_left, asked=asked)
            except Exception as error:  # noqa: BLE001  (one anchor must not cost the others; raised below)
                crashes.append(error)
                continue
            outcomes.append(outcome)
            self.report(outcome)
        for anchor_id in sorted({*(anchor_ids or ())} - {anchor.id for anchor in anchors}):
            outcomes.append(_not_looked_at(anchor_id, "", "anchor-unknown"))
            self.report(outcomes[-1])
        if crashes:
            raise ExceptionGroup("the refresh of some anchors crashed", crashes)
        return tuple(outcomes)

    def _one(
        self, anchor: OidcAnchor, now: datetime, time_left: Callable[[], float], *, asked: bool
    ) -> RefreshOutcome:
        if time_left() < ANCHOR_SECONDS:
            return _not_looked_at(anchor.id, anchor.name, "out-of-time")
        return refresh_anchor(
            anchor,
            fetch=self.fetch,
            read=self.read,
            write=self.write,
            claim_ask=self.claim_ask,
            now=now,
            asked=asked,
            local=self.local,
        )


def turned(anchors: Sequence[Turn], now: datetime) -> Sequence[Turn]:
    """Return the anchors in another order in every hour, so that slow ones cannot starve the same others.

    By the schedule's own step: by the minute, hourly runs over two or three or sixty anchors would
    always begin with the same one. Not by age: an issuer that never answers would always come first.
    """
    start = int(now.timestamp()) // TURN_SECONDS % max(len(anchors), 1)
    return [*anchors[start:], *anchors[:start]]


def refresh_anchor(  # noqa: PLR0913  (each is a port, and each has a name)
    anchor: OidcAnchor,
    *,
    fetch: Fetch,
    read: ReadKeys,
    write: WriteKeys,
    claim_ask: ClaimAsk,
    now: datetime,
    asked: bool,
    local: bool = False,
) -> RefreshOutcome:
    """Fetch one anchor's keys and store them; whatever fails, the stored ones stay.

    A key set without a usable key is no failure: from the right place it is the issuer's word that
    none is to be believed any more, and is stored like any other.

    Args:
        anchor: whose keys.
        fetch: gets a document.
        read: gets the stored item, for its age.
        write: stores the new one.
        claim_ask: takes the turn, if ``asked``.
        now: the time.
        asked: an exchange wants it because of an unknown key; otherwise it is the schedule's run.
        local: whether this is the local cloud, where an anchor may have ``local_discovery``.
    """
    try:
        if asked and not claim_ask(anchor.id, now):
            return _outcome(anchor, RefreshStatus.NOT_DUE, read(anchor.id), now)
        item, count = _fetched(anchor, fetch, now, local=local)
        write(item)
    except UnavailableError as error:
        return _outcome(anchor, RefreshStatus.FAILED, _read_or_none(anchor, read), now, error=error)
    return RefreshOutcome(
        anchor_id=anchor.id,
        anchor_name=anchor.name,
        status=RefreshStatus.REFRESHED,
        reason="" if count else "keys-empty",
        detail="" if count else REASONS["keys-empty"].sentence,
        age=0,
        overdue=not count,
        keys=count,
        source=item.source,
    )


def usable_keys(stored: StoredKeys | None, anchor: OidcAnchor, now: datetime) -> KeySet:
    """Return the anchor's stored keys, if they may be believed now.

    Raises:
        UnavailableError: there are none, or they are too old, of another issuer or unreadable.
    """
    age = _age(stored, anchor, now)
    if stored is None or age is None:
        raise _unavailable("keys-missing", f"anchor {anchor.name}")
    if age < -CLOCK_TOLERANCE.total_seconds():
        raise _unavailable("keys-from-the-future", f"anchor {anchor.name}, by {-age} s")
    if age > anchor.keys_max_age:
        raise _unavailable("keys-too-old", f"anchor {anchor.name}, {age} s of {anchor.keys_max_age}")
    return _cached_parse(stored.jwks)


def may_ask(stored: StoredKeys | None, now: datetime) -> bool:
    """Say whether asking for a refresh can succeed, from the item that the exchange has read anyway.

    Spares an invocation per unknown key id; the one that decides is ``ClaimAsk``.
    """
    return stored is None or int(now.timestamp()) - stored.asked_at >= ASK_EVERY.total_seconds()


def _fetched(anchor: OidcAnchor, fetch: Fetch, now: datetime, *, local: bool) -> tuple[FetchedKeys, int]:
    """Return the anchor's keys as its issuer publishes them now, and how many can be used."""
    url = _jwks_uri(anchor, fetch, local=local)
    # No key in it is an answer too: the issuer has taken back all that it had.
    keys = parse_jwks(fetch(url))
    # Only what a verifier looks at is stored: bounded, whatever the issuer adds to its document.
    item = FetchedKeys(
        anchor_id=anchor.id,
        issuer=anchor.issuer,
        jwks=dump_jwks(keys),
        fetched_at=int(now.timestamp()),
        source=url,
    )
    return item, len(keys.keys)


def _jwks_uri(anchor: OidcAnchor, fetch: Fetch, *, local: bool) -> str:
    """Return the address of the keys, from the first discovery document that is about this issuer.

    OpenID Connect Discovery 1.0 §4.3: the issuer in the document must be the one that was asked for.
    """
    failures: list[UnavailableError] = []
    for url in _discovery_urls(anchor, local=local):
        try:
            document = strict_json.parse_object(fetch(url))
        except UnavailableError as error:
            failures.append(error)
            continue
        except ValueError as error:
            failures.append(_unavailable("discovery-malformed", f"{url}: {error}"))
            continue
        if document.get("issuer") != anchor.issuer:
            said = shown(document.get("issuer"))
            failures.append(_unavailable("discovery-issuer", f"{url}: {said}"))
            continue
        return _permitted(document.get("jwks_uri"), anchor)
    if not failures:
        raise _unavailable("discovery-unknown", f"issuer {shown(anchor.issuer)}")
    # The likeliest place is asked first, so its failure is the reason; the detail names them all.
    first, *_ = failures
    raise UnavailableError(first.reason, " ".join(one.detail for one in failures), cure=first.cure)


def _discovery_urls(anchor: OidcAnchor, *, local: bool) -> tuple[str, ...]:
    if anchor.local_discovery is None:
        return RULES[anchor.dialect].discovery(anchor.issuer)
    address = parse_web_address(anchor.local_discovery)
    if not local or address is None or not address.is_loopback:
        raise _unavailable("discovery-local", f"anchor {anchor.name}")
    return (anchor.local_discovery,)


def _permitted(uri: JsonValue, anchor: OidcAnchor) -> str:
    """Return ``uri`` if this anchor's keys may come from there (where it leads is the fetcher's to check)."""
    address = parse_web_address(uri) if isinstance(uri, str) else None
    if isinstance(uri, str) and address is not None:
        if anchor.local_discovery is not None:
            # That this is the local cloud was found before the document was fetched.
            if address.is_loopback:
                return uri
        elif address.secure and address.is_named and _is_from(address, anchor):
            return uri
    raise _unavailable("keys-url", shown(uri))


def _is_from(address: WebAddress, anchor: OidcAnchor) -> bool:
    """Say whether the issuer's keys may come from this host and port."""
    issuer = parse_web_address(anchor.issuer)
    if issuer is None:
        return False
    hosts = {issuer.host, *anchor.jwks_hosts, *RULES[anchor.dialect].key_hosts(anchor.issuer)}
    return address.host in hosts and address.port in {HTTPS_PORT, issuer.port}


def _age(stored: StoredKeys | None, anchor: OidcAnchor, now: datetime) -> int | None:
    """Return how many seconds ago the stored keys were confirmed, ``None`` if there are none."""
    if stored is None or not stored.fetched_at or not stored.jwks:
        return None
    if stored.issuer != anchor.issuer:
        # Anchors keep their id when their issuer is edited; keys must not outlive that.
        raise _unavailable("keys-of-another-issuer", f"anchor {anchor.name}: {shown(stored.issuer)}")
    return int(now.timestamp()) - stored.fetched_at


def _read_or_none(anchor: OidcAnchor, read: ReadKeys) -> StoredKeys | None:
    """Return the stored item for its age; if it cannot be had, the age is unknown: an alarm too."""
    try:
        return read(anchor.id)
    except UnavailableError:
        return None


def _outcome(
    anchor: OidcAnchor,
    status: RefreshStatus,
    stored: StoredKeys | None,
    now: datetime,
    *,
    error: UnavailableError | None = None,
) -> RefreshOutcome:
    try:
        age = _age(stored, anchor, now)
    except UnavailableError:
        age = None
    return RefreshOutcome(
        anchor_id=anchor.id,
        anchor_name=anchor.name,
        status=status,
        reason=error.reason if error else "",
        detail=error.detail if error else "",
        age=age,
        overdue=age is None or age > anchor.keys_max_age * ALARM_SHARE,
    )


def _not_looked_at(anchor_id: str, anchor_name: str, reason: str) -> RefreshOutcome:
    return RefreshOutcome(
        anchor_id=anchor_id,
        anchor_name=anchor_name,
        status=RefreshStatus.SKIPPED,
        reason=reason,
        detail=REASONS[reason].sentence,
    )


def _unavailable(reason: str, detail: str) -> UnavailableError:
    entry = REASONS[reason]
    return UnavailableError(reason, f"{entry.sentence} ({detail})", cure=entry.cure)
