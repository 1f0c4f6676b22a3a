"""One run of ``refresh_keys``: issuers' keys first, then revocation lists, within one function's time.

Keys come first because they are quick and because nobody gets in without them; what lists may need is
kept from them. Neither costs the other its turn.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sallyport.keys import RefreshKeys, RefreshOutcome
from sallyport.model import X509Anchor
from sallyport.revocation import ListOutcome, RefreshLists

LISTS_SHARE = 0.7
"""What keys leave of a run's time if there are lists: of 15 minutes enough for a million entries (a contract
test adds it up), and for keys twice what they had when they were alone."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What became of every anchor's keys and lists."""

    keys: tuple[RefreshOutcome, ...]
    lists: tuple[ListOutcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """The run. ``anchors`` lists the X.509 anchors of the current trust."""

    anchors: Callable[[], Sequence[X509Anchor]]
    keys: RefreshKeys
    lists: RefreshLists

    def __call__(
        self,
        *,
        now: datetime,
        time_left: Callable[[], float],
        anchor_ids: Collection[str] | None = None,
        asked: bool = False,
    ) -> Refreshed:
        """Refresh what every anchor has, or those with ``anchor_ids``.

        Args:
            now: the time of the run.
            time_left: how many seconds the run still has.
            anchor_ids: whose; ``None``, and nothing else, means everybody's.
            asked: an exchange has met an unknown key and waits: keys alone.

        Raises:
            ExceptionGroup: of what nobody foresaw, once everything has had its turn.
        """
        anchors = () if asked else self.anchors()
        wanted = [one for one in anchors if anchor_ids is None or one.id in anchor_ids]
        others = None if anchor_ids is None else {*anchor_ids}.difference(one.id for one in anchors)
        kept = time_left() * LISTS_SHARE if any(one.crls for one in wanted) else 0.0
        crashes: list[Exception] = []
        keys: tuple[RefreshOutcome, ...] = ()
        lists: tuple[ListOutcome, ...] = ()
        try:
            keys = self.keys(now=now, time_left=lambda: time_left() - kept, anchor_ids=others, asked=asked)
        except ExceptionGroup as group:
            crashes += group.exceptions
        try:
            lists = self.lists(wanted, now=now, time_left=time_left)
        except ExceptionGroup as group:
            crashes += group.exceptions
        if crashes:
            raise ExceptionGroup("the refresh of some anchors crashed", crashes)
        return Refreshed(keys, lists)
