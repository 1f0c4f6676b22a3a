"""Revocation lists: how they get to where exchanges look, and what exchanges ask there.

Pure orchestration: everything that is away is a port. ``refresh_keys`` is the only writer of what
exchanges read, whoever brings a list. It writes a list's serial numbers under the list's own digest
and its state last, so that the list before stays in force, whole, until the new one is there, whole.
"""

import io
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from traceback import clear_frames
from typing import Protocol

from sallyport.errors import UnavailableError
from sallyport.keys import Fetch, turned
from sallyport.model import JsonValue, X509Anchor
from sallyport.proof import crl
from sallyport.proof.crl import GRACE, MAX_CRL_BYTES, CrlState, Link, RevocationList, read_crl
from sallyport.proof.reasons import Reason

KEEP = GRACE + timedelta(days=5)
"""How long past a list's nextUpdate its serial numbers stay. Longer than it is believed, because clocks
differ; DynamoDB itself may delete later than that, and never earlier."""

WRITES_PER_SECOND = 2_000
"""Serial numbers that are sure to be written in a second, by which a run decides what it begins. A new
on-demand table takes 4,000 (docs/adr/0011)."""

BRING_SECONDS = 90.0
"""What bringing and reading one list may take: a minute to fetch it, and its million entries to verify."""

FLIP_SECONDS = 20.0
"""With less than this left, nothing more is written: what is under way must end, and be put in force."""

ALARM_SHARE = 0.5
"""From this share of a list's validity on, a list that cannot be confirmed is an alarm."""

ENDING_SHARE = 0.25
ENDING = timedelta(days=2)
"""When a list that operators bring is an alarm for ending soon: in its last quarter, and in its last two
days. One that is fetched may be published at the last minute."""

REASONS: dict[str, Reason] = {
    "crl-not-brought": Reason(
        "The trust anchor expects this list and nobody has brought it.",
        "`sallyport trust import-crl`, or `sallyport trust apply` with the file beside the trust file.",
    ),
    "crl-damaged": Reason(
        "A piece of the list is missing in the trust table, or the pieces are not the list that was brought.",
        "Bring it again with `sallyport trust import-crl`; if it happens again, see who writes the table.",
    ),
    "crl-not-written": Reason(
        "The table did not take the list's serial numbers, or not in time; the list before is in force.",
        "Passes by itself; if it does not, look at the keys table's throttling and at the function's rights.",
    ),
    "crl-out-of-time": Reason(
        "The run ended before this list could be written; the list before is in force.",
        "The next run begins with another list. Several lists of a million entries need runs of their own: "
        "invoke refresh_keys with one anchor's id.",
    ),
    "crl-overtaken": Reason(
        "Another run put a list in force meanwhile; it stays.", "Nothing: the next run compares again."
    ),
    "crl-ending": Reason(
        "The list that operators bring ends soon.",
        "Have the authority issue the next one, and bring it with `sallyport trust import-crl`.",
    ),
    "revocation-unreadable": Reason(
        "What is revoked could not be read to the end: the table answered in part three times.",
        "Passes by itself; if it does not, look at the keys table's throttling.",
    ),
    "revocation-malformed": Reason(
        "What is stored as a list's state is none.", "Deploy the version that wrote it, or a later one."
    ),
}


class Revocations(Protocol):
    """What an exchange asks about a verified chain. Both raise ``UnavailableError`` and nothing else."""

    def states(self, anchor: X509Anchor) -> tuple[CrlState, ...]:
        """Return the states of those of the anchor's ``crls`` that are in force; may be ten seconds old."""

    def revoked(
        self, anchor: X509Anchor, states: Collection[CrlState], links: Sequence[Link]
    ) -> frozenset[Link]:
        """Return those of the links that a list in one of these states names."""


def list_key(anchor_id: str, list_id: str) -> str:
    """Return under what a list stands: its pointer in the trust table, its state in the keys table."""
    return f"crl#{anchor_id}#{list_id}"


def chunk_key(digest: str, number: int) -> tuple[str, str]:
    """Return partition and sort key, in the trust table, of one piece (from 0) of the list with a digest."""
    return f"crl-data#{digest}", f"{number:04d}"


def serial_key(anchor_id: str, state: CrlState, serial: int) -> str:
    """Return under what a serial number stands in the keys table if this very list names it."""
    name = sha256(state.id.encode()).hexdigest()[:16]
    return f"revoked#{anchor_id}#{name}#{state.digest[:16]}#{serial:x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtList:
    """Where a list is that operators brought: the SHA-256 (hex) of its DER, and in how many pieces."""

    digest: str
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredList:
    """A list in force, and when it was last seen to be still the one."""

    state: CrlState
    confirmed_at: datetime


class BroughtLists(Protocol):
    """Lists as operators brought them; its only error is ``UnavailableError``."""

    def pointer(self, anchor_id: str, list_id: str) -> BroughtList | None:
        """Return where the list is, or ``None`` if nobody brought it."""

    def chunk(self, digest: str, number: int) -> bytes | None:
        """Return one piece, from 0, or ``None`` if it is not there."""


class StoredLists(Protocol):
    """Lists as exchanges see them; its only error is ``UnavailableError``."""

    def stored(self, anchor_id: str, list_id: str) -> StoredList | None:
        """Return what is in force, as it is now."""

    def write(
        self,
        anchor_id: str,
        state: CrlState,
        serials: Iterable[int],
        *,
        expires_at: int,
        time_left: Callable[[], float],
    ) -> int:
        """Write serial numbers, none of which counts before ``flip``; return how many.

        Raises:
            UnavailableError: not all of them could be written while more than ``FLIP_SECONDS`` were left.
        """

    def flip(self, anchor_id: str, state: CrlState, previous: CrlState | None, now: datetime) -> bool:
        """Put a list in force if ``previous`` still is; ``False`` if it is not."""

    def confirm(self, anchor_id: str, state: CrlState, now: datetime) -> None:
        """Note that a list is still the one, if it still is in force."""


class ListStatus(StrEnum):
    """What became of one list in one run."""

    REFRESHED = "refreshed"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOutcome:
    """What became of one list of an anchor, and which one is in force now.

    ``age`` is in seconds since the list in force was last confirmed, ``None`` if there is none, and so
    are the fields after it; ``overdue`` says that this is worth an alarm. ``entries`` are known of a
    list that was read.
    """

    anchor_id: str
    anchor_name: str
    list_id: str
    status: ListStatus
    reason: str = ""
    detail: str = ""
    overdue: bool = False
    age: int | None = None
    number: int | None = None
    next_update: datetime | None = None
    issuer: str = ""
    entries: int | None = None

    def for_log(self) -> dict[str, JsonValue]:
        """Return the outcome as a log line or an answer can carry it."""
        return {
            "anchor_id": self.anchor_id,
            "anchor_name": self.anchor_name,
            "list_id": self.list_id,
            "status": self.status.value,
            "reason": self.reason,
            "detail": self.detail,
            "overdue": self.overdue,
            "age": self.age,
            # A number has up to 20 octets, and readers of JSON lose digits behind the eighth.
            "number": None if self.number is None else str(self.number),
            "next_update": None if self.next_update is None else self.next_update.isoformat(),
            "issuer": self.issuer,
            "entries": self.entries,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshLists:
    """The refresh use case: every list of some anchors in one run.

    ``report`` gets each outcome at once, so that a run that is cut off has still said what it did.
    """

    fetch: Fetch
    brought: BroughtLists
    lists: StoredLists
    report: Callable[[ListOutcome], None]

    def __call__(
        self, anchors: Iterable[X509Anchor], *, now: datetime, time_left: Callable[[], float]
    ) -> tuple[ListOutcome, ...]:
        """Refresh the anchors' lists.

        Args:
            anchors: whose.
            now: the time of the run.
            time_left: how many seconds the run still has.

        Raises:
            ExceptionGroup: of what nobody foresaw, once every list has had its turn.
        """
        outcomes: list[ListOutcome] = []
        crashes: list[Exception] = []
        for anchor, name in turned([(one, name) for one in anchors for name in one.crls], now):
            try:
                outcome = self._one(anchor, name, now, time_left)
            except Exception as error:  # noqa: BLE001  (one list must not cost the others; raised below)
                # Its frames hold the list, for which the next one needs the room.
                clear_frames(error.__traceback__)
                crashes.append(error)
                continue
            outcomes.append(outcome)
            self.report(outcome)
        if crashes:
            raise ExceptionGroup("the refresh of some revocation lists crashed", crashes)
        return tuple(outcomes)

    def _one(
        self, anchor: X509Anchor, name: str, now: datetime, time_left: Callable[[], float]
    ) -> ListOutcome:
        stored: StoredList | None = None
        try:
            stored = self.lists.stored(anchor.id, name)
            if time_left() < BRING_SECONDS:
                return _outcome(anchor, name, ListStatus.SKIPPED, stored, now, problem=_late())
            found = read_crl(
                self._bring(anchor, name), name, anchor, now, previous=stored.state if stored else None
            )
            status = self._put_in_force(anchor, found, stored, now, time_left)
        except UnavailableError as error:
            return _outcome(anchor, name, ListStatus.FAILED, stored, now, problem=error)
        stored = StoredList(state=found.state, confirmed_at=now)
        return _outcome(anchor, name, status, stored, now, found=found)

    def _bring(self, anchor: X509Anchor, name: str) -> bytes:
        if name in anchor.crl_urls:
            return self.fetch(name)
        pointer = self.brought.pointer(anchor.id, name)
        if pointer is None:
            raise _unavailable("crl-not-brought", f"anchor {anchor.name}")
        return joined(pointer, self.brought.chunk)

    def _put_in_force(
        self,
        anchor: X509Anchor,
        found: RevocationList,
        stored: StoredList | None,
        now: datetime,
        time_left: Callable[[], float],
    ) -> ListStatus:
        previous = stored.state if stored else None
        if previous == found.state:
            self.lists.confirm(anchor.id, found.state, now)
            return ListStatus.CONFIRMED
        if time_left() < found.count / WRITES_PER_SECOND + FLIP_SECONDS:
            raise _late()
        self.lists.write(
            anchor.id,
            found.state,
            (link.serial for link in found.links()),
            expires_at=int(found.state.next_update.timestamp() + KEEP.total_seconds()),
            time_left=time_left,
        )
        # Only now is every entry known to be one that is understood.
        if not self.lists.flip(anchor.id, found.state, previous, now):
            there = self.lists.stored(anchor.id, found.state.id)
            # Another run with the same list, or the answer to our own flip was lost.
            if there is None or there.state != found.state:
                raise _unavailable("crl-overtaken", f"anchor {anchor.name}")
        return ListStatus.REFRESHED


def joined(pointer: BroughtList, chunk: Callable[[str, int], bytes | None]) -> bytes:
    """Return a list of the pieces in which it was brought.

    Raises:
        UnavailableError: they are not what was brought.
    """
    data = io.BytesIO()
    for number in range(pointer.chunks):
        piece = chunk(pointer.digest, number)
        if not piece:
            raise _unavailable("crl-damaged", f"piece {number} of {pointer.chunks} is missing")
        data.write(piece)
        if data.tell() > MAX_CRL_BYTES:
            raise crl.refused("crl-too-large", f"It has more than {MAX_CRL_BYTES} bytes.")
    # No copy: a list is in memory once.
    der = data.getvalue()
    if sha256(der).hexdigest() != pointer.digest:
        raise _unavailable("crl-damaged", "the pieces have another digest")
    return der


def _outcome(  # noqa: PLR0913  (each is a fact of its own)
    anchor: X509Anchor,
    name: str,
    status: ListStatus,
    stored: StoredList | None,
    now: datetime,
    *,
    problem: UnavailableError | None = None,
    found: RevocationList | None = None,
) -> ListOutcome:
    remark = problem or _remark(anchor, name, stored, now)
    state = stored.state if stored else None
    return ListOutcome(
        anchor_id=anchor.id,
        anchor_name=anchor.name,
        list_id=name,
        status=status,
        reason=remark.reason if remark else "",
        detail=remark.detail if remark else "",
        overdue=_is_overdue(anchor, name, stored, now, confirmed=problem is None),
        age=int((now - stored.confirmed_at).total_seconds()) if stored else None,
        number=state.number if state else None,
        next_update=state.next_update if state else None,
        issuer=found.issuer if found else "",
        entries=found.count if found else None,
    )


def _is_overdue(
    anchor: X509Anchor, name: str, stored: StoredList | None, now: datetime, *, confirmed: bool
) -> bool:
    if stored is None or _remark(anchor, name, stored, now) is not None:
        return True
    validity = stored.state.next_update - stored.state.this_update
    return not confirmed and now - stored.confirmed_at > validity * ALARM_SHARE


def _remark(
    anchor: X509Anchor, name: str, stored: StoredList | None, now: datetime
) -> UnavailableError | None:
    """Return what is to be said about a list in force although nothing failed."""
    if stored is None:
        return None
    state = stored.state
    until = f"nextUpdate is {state.next_update.isoformat()}"
    if now > state.next_update:
        return crl.refused("crl-stale", f"({until})")
    ending = min((state.next_update - state.this_update) * ENDING_SHARE, ENDING)
    if name not in anchor.crl_urls and now > state.next_update - ending:
        return _unavailable("crl-ending", until)
    return None


def _late() -> UnavailableError:
    return _unavailable("crl-out-of-time", "begun in time, it will be written")


def _unavailable(reason: str, detail: str) -> UnavailableError:
    entry = REASONS[reason]
    return UnavailableError(reason, f"{entry.sentence} ({detail})", cure=entry.cure)
