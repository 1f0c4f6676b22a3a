"""A list comes into force whole or not at all, and no list takes back what another has revoked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sallyport import revocation
from sallyport.errors import UnavailableError
from sallyport.model import X509Anchor
from sallyport.proof import crl
from sallyport.proof.crl import GRACE, MAX_CRL_BYTES, CrlState
from sallyport.revocation import (
    BRING_SECONDS,
    ENDING,
    FLIP_SECONDS,
    KEEP,
    REASONS,
    WRITES_PER_SECOND,
    BroughtList,
    ListOutcome,
    ListStatus,
    RefreshLists,
    StoredList,
)
from tests.support import pki

URL = "http://pki.example/root.crl"
FILE = "root.crl"
PIECE = 50
VERIFICATION = Path(__file__).parents[2] / "docs" / "verification-x509.md"


@dataclass
class Shelf:
    """Lists as operators brought them, in small pieces."""

    pointers: dict[tuple[str, str], BroughtList] = field(default_factory=dict)
    pieces: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def put(self, anchor: X509Anchor, name: str, data: bytes) -> None:
        digest = sha256(data).hexdigest()
        pieces = [data[start : start + PIECE] for start in range(0, len(data), PIECE)]
        self.pieces |= {(digest, number): piece for number, piece in enumerate(pieces)}
        self.pointers[anchor.id, name] = BroughtList(digest=digest, chunks=len(pieces))

    def pointer(self, anchor_id: str, list_id: str) -> BroughtList | None:
        return self.pointers.get((anchor_id, list_id))

    def chunk(self, digest: str, number: int) -> bytes | None:
        return self.pieces.get((digest, number))


class Died(BaseException):
    """The process ended."""


@dataclass
class Store:
    """Lists as exchanges see them; ``before_flip`` is what happens between the last serial and the flip."""

    states: dict[tuple[str, str], StoredList] = field(default_factory=dict)
    serials: dict[tuple[str, str, str], set[int]] = field(default_factory=dict)
    ends: set[int] = field(default_factory=set)
    writes: int = 0
    before_flip: Callable[[], None] = lambda: None
    broken: Exception | None = None

    def stored(self, anchor_id: str, list_id: str) -> StoredList | None:
        return self.states.get((anchor_id, list_id))

    def write(
        self,
        anchor_id: str,
        state: CrlState,
        serials: Iterable[int],
        *,
        expires_at: int,
        time_left: Callable[[], float],
    ) -> int:
        self.ends.add(expires_at)
        held = self.serials.setdefault((anchor_id, state.id, state.digest), set())
        for serial in serials:
            if self.broken is not None:
                raise self.broken
            self.writes += 1
            held.add(serial)
        assert time_left() >= FLIP_SECONDS
        return len(held)

    def flip(self, anchor_id: str, state: CrlState, previous: CrlState | None, now: datetime) -> bool:
        self.before_flip()
        there = self.states.get((anchor_id, state.id))
        if (there.state if there else None) != previous:
            return False
        self.states[anchor_id, state.id] = StoredList(state=state, confirmed_at=now)
        return True

    def confirm(self, anchor_id: str, state: CrlState, now: datetime) -> None:
        there = self.states[anchor_id, state.id]
        assert there.state == state
        self.states[anchor_id, state.id] = replace(there, confirmed_at=now)

    def in_force(self, anchor: X509Anchor, name: str) -> set[int] | None:
        there = self.states.get((anchor.id, name))
        return None if there is None else self.serials[anchor.id, name, there.state.digest]


@dataclass
class Run:
    """One refresh after the other of one estate."""

    anchors: tuple[X509Anchor, ...]
    web: dict[str, bytes | Exception] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)
    store: Store = field(default_factory=Store)
    reported: list[ListOutcome] = field(default_factory=list)
    now: datetime = pki.NOW
    seconds: float = 900.0

    def fetch(self, url: str) -> bytes:
        found = self.web.get(url, UnavailableError("fetch-connect", "away"))
        if isinstance(found, Exception):
            raise found
        return found

    def __call__(self) -> dict[str, ListOutcome]:
        self.reported.clear()
        refresh = RefreshLists(
            fetch=self.fetch, brought=self.shelf, lists=self.store, report=self.reported.append
        )
        outcomes = refresh(self.anchors, now=self.now, time_left=lambda: self.seconds)
        assert list(outcomes) == self.reported
        return {outcome.list_id: outcome for outcome in outcomes}


def fetched(*serials: int, url: str = URL, **fields: object) -> Run:
    """Return an estate whose one list was fetched once."""
    run = Run(anchors=(pki.anchor(crls=(url,), crl_urls=(url,)),))
    run.web[url] = pki.crl(pki.root(), *serials, **fields)  # type: ignore[arg-type]  # fields of a list, by name
    assert run()[url].status is ListStatus.REFRESHED
    return run


def bad_at_its_end(*serials: int) -> bytes:
    """Return a newer list of the root whose last entry, behind these, takes another back."""
    back = x509.CRLReason(x509.ReasonFlags.remove_from_crl)
    entries = [x509.RevokedCertificateBuilder().serial_number(serial) for serial in serials]
    entries.append(x509.RevokedCertificateBuilder().serial_number(9_999).add_extension(back, critical=False))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(pki.root().certificate.subject)
        .last_update(pki.NOW)
        .next_update(pki.NOW + pki.DAY)
        .add_extension(x509.CRLNumber(2), critical=False)
    )
    for entry in entries:
        builder = builder.add_revoked_certificate(entry.revocation_date(pki.NOW).build())
    return builder.sign(pki.root().key, hashes.SHA256()).public_bytes(Encoding.DER)


class TestBringing:
    def test_what_was_fetched_is_in_force(self) -> None:
        run = fetched(1, 2)
        assert run.store.in_force(run.anchors[0], URL) == {1, 2}
        (outcome,) = run.reported
        assert (outcome.number, outcome.entries, outcome.age, outcome.overdue) == (1, 2, 0, False)
        assert outcome.next_update == pki.NOW + pki.DAY
        assert outcome.issuer == "'CN=Root'"

    def test_what_operators_brought_is_in_force(self) -> None:
        anchor = pki.anchor(crls=(FILE,))
        run = Run(anchors=(anchor,))
        data = pki.crl(pki.root(), 7, ends=pki.NOW + 30 * pki.DAY)
        assert len(data) > 2 * PIECE
        run.shelf.put(anchor, FILE, data)
        assert run()[FILE].status is ListStatus.REFRESHED
        assert run.store.in_force(anchor, FILE) == {7}

    def test_a_thousand_serial_numbers_are_there_and_their_neighbours_are_not(self) -> None:
        run = fetched(*range(1, 2_001, 2))
        held = run.store.in_force(run.anchors[0], URL)
        assert held is not None
        assert all(number in held for number in range(1, 2_001, 2))
        assert not any(number in held for number in range(0, 2_001, 2))

    def test_serials_stay_longer_than_their_list_is_believed(self) -> None:
        run = fetched(1)
        (end,) = run.store.ends
        assert end == int((pki.NOW + pki.DAY + KEEP).timestamp())
        assert KEEP > GRACE

    def test_a_list_without_an_end_comes_into_force(self) -> None:
        """RFC 5280's 99991231235959Z, behind which there is no time to reckon with."""
        run = fetched(1, ends=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        assert run.store.in_force(run.anchors[0], URL) == {1}
        assert run()[URL].status is ListStatus.CONFIRMED

    def test_a_list_that_nobody_brought_is_missing_and_an_alarm(self) -> None:
        outcome = Run(anchors=(pki.anchor(crls=(FILE,)),))()[FILE]
        assert (outcome.status, outcome.reason) == (ListStatus.FAILED, "crl-not-brought")
        assert outcome.overdue
        assert outcome.age is None

    def test_a_list_that_is_not_fetched_is_not_taken_from_operators_under_its_name(self) -> None:
        run = Run(anchors=(pki.anchor(crls=(URL,), crl_urls=(URL,)),))
        run.shelf.put(run.anchors[0], URL, pki.crl(pki.root(), 1))
        assert run()[URL].reason == "fetch-connect"

    @pytest.mark.parametrize(
        "damage",
        [
            lambda shelf, digest: shelf.pieces.pop((digest, 1)),
            lambda shelf, digest: shelf.pieces.update({(digest, 1): b""}),
            lambda shelf, digest: shelf.pieces.update({(digest, 1): b"x" * PIECE}),
            lambda shelf, digest: shelf.pieces.update({(digest, 0): shelf.pieces[digest, 1]}),
        ],
        ids=["missing", "empty", "changed", "swapped"],
    )
    def test_a_damaged_list_is_none(self, damage: Callable[[Shelf, str], None]) -> None:
        anchor = pki.anchor(crls=(FILE,))
        run = Run(anchors=(anchor,))
        run.shelf.put(anchor, FILE, pki.crl(pki.root(), 7))
        damage(run.shelf, run.shelf.pointers[anchor.id, FILE].digest)
        assert run()[FILE].reason == "crl-damaged"
        assert run.store.states == {}

    def test_another_good_list_in_the_pieces_is_damage_too(self) -> None:
        """The pointer says which list was brought, and by whom; the pieces do not decide."""
        anchor = pki.anchor(crls=(FILE,))
        run = Run(anchors=(anchor,))
        run.shelf.put(anchor, "other", pki.crl(pki.root(), 7))
        other = run.shelf.pointers[anchor.id, "other"]
        run.shelf.pointers[anchor.id, FILE] = replace(other, digest="0" * 64)
        run.shelf.pieces = {("0" * 64, number): piece for (_, number), piece in run.shelf.pieces.items()}
        assert run()[FILE].reason == "crl-damaged"

    def test_pieces_without_end_are_cut_off(self) -> None:
        asked: list[int] = []

        def chunk(_digest: str, number: int) -> bytes:
            asked.append(number)
            return bytes(MAX_CRL_BYTES // 4)

        with pytest.raises(UnavailableError, match="crl-too-large"):
            revocation.joined(BroughtList(digest="0" * 64, chunks=8), chunk)
        assert len(asked) == 5


class TestRefusing:
    @pytest.mark.parametrize("case", pki.LIST_CASES, ids=lambda case: case.name)
    def test_a_bad_list_leaves_everything_as_it_was(self, case: pki.ListCase) -> None:
        anchor = replace(case.against(), crls=(URL,), crl_urls=(URL,))
        run = Run(anchors=(anchor,), web={URL: case.make()})
        previous = case.previous()
        if previous is not None:
            state = replace(previous, id=URL)
            run.store.states[anchor.id, URL] = StoredList(state=state, confirmed_at=pki.NOW)
        before = dict(run.store.states)
        outcome = run()[URL]
        assert (outcome.status, outcome.reason) == (ListStatus.FAILED, case.reason)
        assert run.store.states == before

    def test_its_good_neighbour_comes_into_force(self) -> None:
        for case in pki.LIST_CASES:
            anchor = replace(case.against(), crls=(URL,), crl_urls=(URL,))
            assert Run(anchors=(anchor,), web={URL: case.good()})()[URL].status is ListStatus.REFRESHED

    def test_a_list_too_large_is_refused(self) -> None:
        run = Run(anchors=(pki.anchor(crls=(URL,), crl_urls=(URL,)),), web={URL: bytes(MAX_CRL_BYTES + 1)})
        assert run()[URL].reason == "crl-too-large"

    def test_the_number_never_goes_back(self) -> None:
        run = fetched(1, 2, number=5)
        run.web[URL] = pki.crl(pki.root(), number=4)
        assert run()[URL].reason == "crl-older"
        assert run.store.in_force(run.anchors[0], URL) == {1, 2}

    def test_an_old_list_under_another_name_takes_nothing_back(self) -> None:
        """Every name has a state of its own; what any of the lists names is revoked."""
        anchor = pki.anchor(crls=(URL, FILE), crl_urls=(URL,))
        run = Run(anchors=(anchor,), web={URL: pki.crl(pki.root(), 1, 2, number=5)})
        run.shelf.put(anchor, FILE, pki.crl(pki.root(), 1, number=4, ends=pki.NOW + 9 * pki.DAY))
        assert {outcome.status for outcome in run().values()} == {ListStatus.REFRESHED}
        assert run.store.in_force(anchor, URL) == {1, 2}
        assert run.store.in_force(anchor, FILE) == {1}

    def test_one_lists_failure_costs_no_other(self) -> None:
        second = "http://pki.example/second.crl"
        anchor = pki.anchor(crls=(URL, second, FILE), crl_urls=(URL, second))
        run = Run(anchors=(anchor,), web={URL: b"no", second: pki.crl(pki.root(), 3)})
        outcomes = run()
        assert [outcomes[name].status for name in (URL, second, FILE)] == [
            ListStatus.FAILED,
            ListStatus.REFRESHED,
            ListStatus.FAILED,
        ]

    def test_a_defect_costs_no_other_list_and_is_loud(self) -> None:
        second = "http://pki.example/second.crl"
        anchor = pki.anchor(crls=(URL, second), crl_urls=(URL, second))
        run = Run(anchors=(anchor,), web={URL: RuntimeError("bug"), second: pki.crl(pki.root(), 3)})
        with pytest.raises(ExceptionGroup) as group:
            run()
        assert [type(one) for one in group.value.exceptions] == [RuntimeError]
        assert run.store.in_force(anchor, second) == {3}

    def test_two_anchors_with_one_authority_have_lists_of_their_own(self) -> None:
        one = pki.anchor(crls=(URL,), crl_urls=(URL,))
        two = replace(one, id="0" * 8 + one.id[8:], name="two")
        run = Run(anchors=(one, two), web={URL: pki.crl(pki.root(), 1)})
        run()
        assert {anchor_id for anchor_id, _ in run.store.states} == {one.id, two.id}
        assert {anchor_id for anchor_id, _, _ in run.store.serials} == {one.id, two.id}


class TestSwapping:
    def test_a_crash_before_the_flip_leaves_the_old_list_whole(self) -> None:
        run = fetched(1, 2)

        def die() -> None:
            raise Died

        run.web[URL] = pki.crl(pki.root(), 3, number=2)
        run.store.before_flip = die
        with pytest.raises(Died):
            run()
        assert run.store.in_force(run.anchors[0], URL) == {1, 2}
        run.store.before_flip = lambda: None
        assert run()[URL].status is ListStatus.REFRESHED
        assert run.store.in_force(run.anchors[0], URL) == {3}

    def test_serials_that_cannot_be_written_leave_the_old_list(self) -> None:
        run = fetched(1)
        run.web[URL] = pki.crl(pki.root(), 2, 3, number=2)
        run.store.broken = UnavailableError("crl-not-written", "throttled")
        assert run()[URL].reason == "crl-not-written"
        assert run.store.in_force(run.anchors[0], URL) == {1}

    def test_a_bad_last_entry_leaves_the_old_list(self) -> None:
        """Entries are looked at while they are written, so the list is bad only at its end."""
        run = fetched(1)
        run.web[URL] = bad_at_its_end(*range(10, 60))
        writes = run.store.writes
        assert run()[URL].reason == "crl-scoped"
        assert run.store.writes == writes + 50
        assert run.store.in_force(run.anchors[0], URL) == {1}

    def test_a_run_that_was_overtaken_puts_nothing_in_force(self) -> None:
        run = fetched(1)
        anchor = run.anchors[0]
        newest = pki.state(pki.crl(pki.root(), 1, 2, 3, number=9), URL)

        def overtake() -> None:
            run.store.states[anchor.id, URL] = StoredList(state=newest, confirmed_at=pki.NOW)

        run.store.before_flip = overtake
        run.web[URL] = pki.crl(pki.root(), 1, 2, number=8)
        assert run()[URL].reason == "crl-overtaken"
        assert run.store.states[anchor.id, URL].state == newest

    def test_two_runs_with_one_list_both_succeed(self) -> None:
        """Also: the answer to our own flip was lost, and the second try met the first."""
        run = fetched(1)
        data = pki.crl(pki.root(), 1, 2, number=8)
        run.web[URL] = data
        same = StoredList(state=pki.state(data, URL), confirmed_at=pki.NOW)
        run.store.before_flip = lambda: run.store.states.update({(run.anchors[0].id, URL): same})
        assert run()[URL].status is ListStatus.REFRESHED

    def test_the_same_list_is_confirmed_and_not_written_again(self) -> None:
        run = fetched(1, 2)
        writes = run.store.writes
        run.now += timedelta(hours=1)
        outcome = run()[URL]
        assert (outcome.status, outcome.age, outcome.number) == (ListStatus.CONFIRMED, 0, 1)
        assert run.store.writes == writes
        assert run.store.states[run.anchors[0].id, URL].confirmed_at == run.now

    def test_a_list_in_force_whose_authority_left_the_anchor_is_not_confirmed(self) -> None:
        """Its name would stand for a list, and nobody's certificates would be on it."""
        run = fetched(1)
        run.anchors = (replace(run.anchors[0], certificates=(pki.stranger().der,)),)
        assert run()[URL].reason == "crl-foreign"


class TestTime:
    def test_without_time_to_bring_a_list_it_is_not_brought(self) -> None:
        run = fetched(1)
        run.web[URL] = RuntimeError("asked for")
        run.seconds = BRING_SECONDS - 1
        outcome = run()[URL]
        assert (outcome.status, outcome.reason) == (ListStatus.SKIPPED, "crl-out-of-time")
        assert not outcome.overdue
        assert outcome.age == 0

    def test_a_list_that_cannot_be_written_in_time_is_not_begun(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = fetched(1)
        writes = run.store.writes
        run.web[URL] = pki.crl(pki.root(), *range(1, 101), number=2)
        monkeypatch.setattr(revocation, "WRITES_PER_SECOND", 1)
        run.seconds = 100 + FLIP_SECONDS - 1
        assert run()[URL].reason == "crl-out-of-time"
        assert run.store.writes == writes
        run.seconds += 1
        assert run()[URL].status is ListStatus.REFRESHED

    def test_lists_take_turns(self) -> None:
        names = tuple(f"{number}.crl" for number in range(3))
        run = Run(anchors=(pki.anchor(crls=names),))
        first = []
        for _ in range(3):
            run()
            first.append(run.reported[0].list_id)
            run.now += timedelta(hours=1)
        assert set(first) == set(names)

    def test_a_million_entries_are_reckoned_with(self) -> None:
        assert 1_000_000 / WRITES_PER_SECOND + BRING_SECONDS + FLIP_SECONDS <= 630


class TestAlarm:
    def test_a_list_that_fails_for_half_of_its_validity_is_overdue(self) -> None:
        run = fetched(1, begins=pki.NOW, ends=pki.NOW + 10 * pki.DAY)
        run.web[URL] = b"no"
        run.now = pki.NOW + 5 * pki.DAY
        assert not run()[URL].overdue
        run.now += pki.SECOND
        outcome = run()[URL]
        assert outcome.overdue
        assert (outcome.reason, outcome.age) == ("crl-malformed", 5 * 86_400 + 1)
        assert outcome.next_update == pki.NOW + 10 * pki.DAY

    def test_a_list_past_its_end_is_overdue_however_well_it_is_fetched(self) -> None:
        run = fetched(1)
        run.now = pki.NOW + pki.DAY + pki.SECOND
        outcome = run()[URL]
        assert (outcome.status, outcome.reason, outcome.overdue) == (
            ListStatus.CONFIRMED,
            "crl-stale",
            True,
        )

    def test_a_list_that_operators_bring_is_announced_before_it_ends(self) -> None:
        anchor = pki.anchor(crls=(FILE,))
        run = Run(anchors=(anchor,))
        end = pki.NOW + 30 * pki.DAY
        run.shelf.put(anchor, FILE, pki.crl(pki.root(), 7, begins=pki.NOW, ends=end))
        run.now = end - ENDING
        assert not run()[FILE].overdue
        run.now += pki.SECOND
        outcome = run()[FILE]
        assert (outcome.status, outcome.reason, outcome.overdue) == (
            ListStatus.CONFIRMED,
            "crl-ending",
            True,
        )

    def test_a_list_that_is_fetched_may_be_published_at_the_last_minute(self) -> None:
        run = fetched(1)
        run.now = pki.NOW + pki.DAY
        outcome = run()[URL]
        assert (outcome.status, outcome.reason, outcome.overdue) == (ListStatus.CONFIRMED, "", False)

    def test_a_short_lived_list_that_operators_bring_is_not_announced_at_once(self) -> None:
        anchor = pki.anchor(crls=(FILE,))
        run = Run(anchors=(anchor,))
        run.shelf.put(anchor, FILE, pki.crl(pki.root(), 7, begins=pki.NOW, ends=pki.NOW + pki.DAY))
        assert not run()[FILE].overdue
        run.now = pki.NOW + 0.8 * pki.DAY
        assert run()[FILE].reason == "crl-ending"

    def test_a_log_line_keeps_every_digit_of_a_number(self) -> None:
        number = (1 << 158) + 1
        line = fetched(1, number=number).reported[0].for_log()
        assert line["number"] == str(number)
        assert line["next_update"] == (pki.NOW + pki.DAY).isoformat()


def test_every_reason_is_explained_in_the_words_of_the_code() -> None:
    text = VERIFICATION.read_text(encoding="utf-8")
    rows = [f"| `{reason}` | {entry.sentence} | {entry.cure} |" for reason, entry in REASONS.items()]
    assert [row for row in rows if row not in text] == []
    assert not REASONS.keys() & crl.REASONS.keys()
