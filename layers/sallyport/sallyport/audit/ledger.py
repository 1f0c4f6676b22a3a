"""How records become durable: at once where credentials hang on it, as soon as possible elsewhere.

A record that could not be put waits in this instance's memory for a later exchange. What an exchange
whose proof did not verify leaves is a line in the log and its share of one summary a minute: anonymous
traffic must not be able to spend the tables' quotas. Nor must verified strangers: at an issuer that
serves the whole world anybody can be verified, so that of what gives nothing only so much a minute is
put in full. Sessions that were made are always on record, released or not.
"""

import json
import os
from collections import Counter, deque
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from sallyport.audit.record import RecordDraft, summary
from sallyport.errors import UnavailableError

# Records that wait, of sessions that were made and of everything else, each. More of them mean that
# the table has been away for long; all of them are in the log in any case.
MAX_WAITING = 100

# How many of them one exchange puts beside its own: its caller waits for these as well.
LATE_AT_ONCE = 2

# How often one instance puts a summary of the exchanges whose proof did not verify.
SUMMARY_EVERY = timedelta(minutes=1)

# Records that one identity, and all together, may cause in a minute at one instance without getting
# anything: enough to explain what goes wrong, and a bound on what strangers can make us store. The
# rest is counted in the summary, and each exchange still has its line in the log.
MAX_PER_SUBJECT = 10
# Strangers at one anchor, a public issuer say, must not use up what explains denials at the others.
MAX_PER_ANCHOR = 50
MAX_PER_MINUTE = 100

# Distinct addresses counted between two summaries; an attacker with more shares one bucket.
MAX_ADDRESSES = 200


class RecordExistsError(UnavailableError):
    """Another record has this id: a put that seemed to have failed had its effect."""


class Records(Protocol):
    """Where records become durable."""

    def put(self, record_id: str, record: str, expires_at: int) -> None:
        """Put a record; raises ``UnavailableError`` unless it is durable."""


class Late(NamedTuple):
    """A record that waits."""

    id: str
    record: str
    expires_at: int


class Ledger:
    """Puts records, and keeps those that could not be put.

    Args:
        records: where they become durable.
        keep: for how long.
    """

    def __init__(self, records: Records, keep: timedelta) -> None:
        self._records = records
        self._keep = keep
        # Two queues: denials, which a caller can have as many of as it likes, must not push out a
        # session that was made.
        self._made: deque[Late] = deque(maxlen=MAX_WAITING)
        self._others: deque[Late] = deque(maxlen=MAX_WAITING)
        self._failed: str | None = None
        self._allowance = Allowance()
        self._counted = Counted()

    def put(self, draft: RecordDraft, now: datetime) -> None:
        """Put the record of a grant, and then some that waited.

        Raises:
            UnavailableError: it is not durable, so the credentials must not be released.
        """
        try:
            self._records.put(*self._late(draft, now))
        except UnavailableError as error:
            self._failed = draft.id
            raise UnavailableError("record-failed", f"the session was not released: {error}") from error
        self._catch_up(now)

    def note(self, draft: RecordDraft, now: datetime) -> None:
        """Put the record of an exchange that gives nothing, let it wait, or only count it."""
        if draft.credentials is None and not self._allowance.take(draft, now):
            self._counted.add_verified(draft, now)
            if self._summarise(now):
                self._catch_up(now)
            return
        late = self._late(draft, now)
        # The table that was away a moment ago is not asked again while the caller waits.
        if draft.id != self._failed and self._is_put(late):
            self._catch_up(now)
        else:
            (self._others if draft.credentials is None else self._made).append(late)

    def count(self, draft: RecordDraft, now: datetime) -> None:
        """Count an exchange whose proof did not verify; puts at most one summary a minute."""
        self._counted.add_unverified(draft, now)
        if self._summarise(now):
            self._catch_up(now)

    def _catch_up(self, now: datetime) -> None:
        """Put some of what waits; ends at the first failure, since the next put would fail as well."""
        self._summarise(now)
        for _ in range(LATE_AT_ONCE):
            queue = self._made or self._others
            if not queue:
                return
            late = queue.popleft()
            if not self._is_put(late):
                # To the back: one record that the table never takes must not hold up the rest.
                queue.append(late)
                return

    def _is_put(self, late: Late) -> bool:
        try:
            self._records.put(*late)
        except RecordExistsError:
            self._correct(late)
        except UnavailableError:
            return False
        return True

    def _correct(self, late: Late) -> None:
        """Let a second record wait that says what became of the first; records never change."""
        value = json.loads(late.record)
        if "corrects" not in value:
            value |= {"id": f"{late.id}-correction", "corrects": late.id}
            record = json.dumps(value, separators=(",", ":"))
            self._made.append(Late(value["id"], record, late.expires_at))

    def _summarise(self, now: datetime) -> bool:
        """Let a summary wait, if one is due."""
        due = self._counted.due(now)
        if due is None:
            return False
        self._others.append(Late(*due, self._until(now)))
        return True

    def _late(self, draft: RecordDraft, now: datetime) -> Late:
        return Late(draft.id, draft.to_json(), self._until(now))

    def _until(self, now: datetime) -> int:
        return int((now + self._keep).timestamp())


class Allowance:
    """How many records of this minute each identity, and all of them, may still cause for nothing."""

    def __init__(self) -> None:
        self._minute = 0
        self._anchors: Counter[str] = Counter()
        self._subjects: Counter[tuple[str, str]] = Counter()

    def take(self, draft: RecordDraft, now: datetime) -> bool:
        """Take one, if one is left. Never holds more subjects than there may be records."""
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._minute, self._anchors, self._subjects = minute, Counter(), Counter()
        identity = draft.identity
        who = ("", "") if identity is None else (identity.anchor_id, identity.subject)
        if (
            self._anchors.total() >= MAX_PER_MINUTE
            or self._anchors[who[0]] >= MAX_PER_ANCHOR
            or self._subjects[who] >= MAX_PER_SUBJECT
        ):
            return False
        self._anchors[who[0]] += 1
        self._subjects[who] += 1
        return True


class Counted:
    """Counts exchanges that are not put one by one, so that a flood costs one record a minute."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._reasons: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._verified: Counter[str] = Counter()

    def add_unverified(self, draft: RecordDraft, now: datetime) -> None:
        """Count one whose proof did not verify, by reason and address."""
        self._begin(now)
        self._reasons[_reason(draft)] += 1
        known = draft.source_ip in self._addresses or len(self._addresses) < MAX_ADDRESSES
        self._addresses[draft.source_ip if known else "others"] += 1

    def add_verified(self, draft: RecordDraft, now: datetime) -> None:
        """Count one beyond the allowance, by anchor and reason: both are ours, and few."""
        self._begin(now)
        anchor = draft.identity.anchor_name if draft.identity is not None else ""
        self._verified[f"{anchor} {_reason(draft)}"] += 1

    def due(self, now: datetime) -> tuple[str, str] | None:
        """Return id and text of a summary whose minute is over, and start anew."""
        if self._since is None or now - self._since < SUMMARY_EVERY:
            return None
        record_id = f"unverified-{os.urandom(16).hex()}"
        text = summary(
            record_id=record_id,
            window_start=self._since,
            counts=self._reasons,
            addresses=self._addresses,
            denied=self._verified,
        )
        self._since = None
        self._reasons, self._addresses, self._verified = Counter(), Counter(), Counter()
        return record_id, text

    def _begin(self, now: datetime) -> None:
        if self._since is None:
            self._since = now


def _reason(draft: RecordDraft) -> str:
    return draft.error.reason if draft.error is not None else "unknown"
