"""How records become durable: at once where credentials hang on it, as soon as possible elsewhere.

A record that could not be put waits in this instance's memory for a later exchange. What an exchange
whose proof did not verify leaves is a line in the log and its share of one summary a minute: anonymous
traffic must not be able to spend the tables' quotas.
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
        self._unverified = Unverified()

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
        """Put the record of an exchange that gives nothing, or let it wait."""
        late = self._late(draft, now)
        # The table that was away a moment ago is not asked again while the caller waits.
        if draft.id != self._failed and self._is_put(late):
            self._catch_up(now)
        else:
            (self._others if draft.credentials is None else self._made).append(late)

    def count(self, draft: RecordDraft, now: datetime) -> None:
        """Count an exchange whose proof did not verify; puts at most one summary a minute."""
        self._unverified.add(draft, now)
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
                queue.appendleft(late)
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
        due = self._unverified.due(now)
        if due is None:
            return False
        self._others.append(Late(*due, self._until(now)))
        return True

    def _late(self, draft: RecordDraft, now: datetime) -> Late:
        return Late(draft.id, draft.to_json(), self._until(now))

    def _until(self, now: datetime) -> int:
        return int((now + self._keep).timestamp())


class Unverified:
    """Counts exchanges whose proof did not verify, so that a flood costs one record a minute."""

    def __init__(self) -> None:
        self._since: datetime | None = None
        self._reasons: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()

    def add(self, draft: RecordDraft, now: datetime) -> None:
        """Count one."""
        if self._since is None:
            self._since = now
        self._reasons[draft.error.reason if draft.error is not None else "unknown"] += 1
        known = draft.source_ip in self._addresses or len(self._addresses) < MAX_ADDRESSES
        self._addresses[draft.source_ip if known else "others"] += 1

    def due(self, now: datetime) -> tuple[str, str] | None:
        """Return id and text of a summary whose minute is over, and start anew."""
        if self._since is None or now - self._since < SUMMARY_EVERY:
            return None
        record_id = f"unverified-{os.urandom(16).hex()}"
        text = summary(
            record_id=record_id, window_start=self._since, counts=self._reasons, addresses=self._addresses
        )
        self._since, self._reasons, self._addresses = None, Counter(), Counter()
        return record_id, text
