"""Signs of life, in the audit's table: when each way was last heard, and from where events have come."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sallyport.adapters.audit_memory import Memory
from sallyport.adapters.tables import Clock, Recent
from sallyport.audit.posture.chain import MISSED, Way

# Signs of life are looked at every few minutes; who has heard nothing for so long has nothing to compare.
KEEP: Final = timedelta(days=400)
# One write for a place in an hour, whatever comes from there.
SEEN_EVERY: Final = 3_600.0
_REGION: Final = re.compile(r"[a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2}")
# More than AWS has.
MAX_REGIONS: Final = 60


class TableWatch:
    """Remembers in the audit's table."""

    def __init__(self, memory: Memory, age: Clock) -> None:
        self._memory = memory
        self._noted: Recent[bool] = Recent(age, seconds=SEEN_EVERY)

    def heard(self, way: Way, when: datetime) -> None:
        """Note a sign of life by the time at which it was sent; an older one changes nothing."""
        self._memory.update(
            f"heard#{way}",
            "SET heard_at = :when, expires_at = :x",
            {":when": _seconds(when), ":x": self._memory.expires_at(KEEP)},
            "attribute_not_exists(heard_at) OR heard_at < :when",
        )

    def last(self, way: Way) -> datetime | None:
        """Return when the last sign of life was sent that has come."""
        return _time(self._memory.get(f"heard#{way}"), "heard_at")

    def watched_since(self, way: Way, now: datetime) -> datetime:
        """Note that somebody looks now, and return since when somebody has without a break."""
        key = f"watched#{way}"
        item = self._memory.get(key)
        looked, since = _time(item, "looked_at"), _time(item, "watched_since")
        if looked is None or since is None or now - looked > MISSED:
            since = now
        values = {":now": _seconds(now), ":since": _seconds(since), ":x": self._memory.expires_at(KEEP)}
        self._memory.update(key, "SET looked_at = :now, watched_since = :since, expires_at = :x", values)
        return since

    def saw(self, account: str, region: str) -> None:
        """Note that an event came from there."""
        if not _REGION.fullmatch(region):
            return
        key = f"{account} {region}"
        if self._noted.held(key):
            return
        if len(self.seen(account)) < MAX_REGIONS:
            values = {":x": self._memory.expires_at(KEEP), ":r": {"SS": [region]}}
            self._memory.update(f"seen#{account}", "SET expires_at = :x ADD seen_regions :r", values)
        self._noted.put(key, True)

    def seen(self, account: str) -> frozenset[str]:
        """Return the Regions from which events of an account came."""
        item = self._memory.get(f"seen#{account}")
        return frozenset() if item is None else frozenset(item.get("seen_regions", {}).get("SS", ()))


class OpenFindings:
    """Which findings about what is the case are open, by the part that they were found in."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def ids(self, part: str) -> frozenset[str]:
        """Return the ids of a part's open findings."""
        items = (self._memory.get(_key(part, digit)) for digit in _digits(part))
        return frozenset(one for item in items if item for one in item.get("ids", {}).get("SS", ()))

    def add(self, part: str, ids: frozenset[str]) -> None:
        """Note that findings are open."""
        self._change("ADD", part, ids)

    def remove(self, part: str, ids: frozenset[str]) -> None:
        """Note that findings are open no more."""
        self._change("DELETE", part, ids)

    def _change(self, verb: str, part: str, ids: frozenset[str]) -> None:
        for digit in _digits(part):
            own = sorted(one for one in ids if one.startswith(digit))
            if own:
                values = {":ids": {"SS": own}, ":x": self._memory.expires_at(KEEP)}
                self._memory.update(_key(part, digit), f"SET expires_at = :x {verb} ids :ids", values)


# An item has 400 KB, some 6,000 ids. Of roles and keys an account has thousands, each weak in several
# ways; sixteen items, by the ids' first digits, have room for them.
_MANY: Final = frozenset({"roles", "keys"})


def _digits(part: str) -> tuple[str, ...]:
    return tuple("0123456789abcdef") if part in _MANY else ("",)


def _key(part: str, digit: str) -> str:
    return f"open#{part}#{digit}"


def _seconds(when: datetime) -> dict[str, str]:
    return {"N": str(int(when.timestamp()))}


def _time(item: Mapping[str, Any] | None, name: str) -> datetime | None:
    if item is None or name not in item:
        return None
    return datetime.fromtimestamp(int(item[name]["N"]), UTC)
