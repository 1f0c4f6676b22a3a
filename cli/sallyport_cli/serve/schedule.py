"""When credentials are fetched again, and when they are no longer handed out. Pure."""

from datetime import datetime, timedelta
from typing import Final

AHEAD: Final = timedelta(minutes=20)
"""How long before their end credentials are replaced. botocore asks again with 15 minutes left and must
then find newer ones (facts of its refresh: advisory 15 minutes, mandatory 10)."""

LAST_MOMENT: Final = timedelta(seconds=10)
"""Credentials with less than this left are not handed out: a request signed with them may arrive late."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds between tries while there is no answer; each pause is twice the one before."""

AFTER_DENIAL: Final = 60.0
"""Seconds after which a denied identity asks again: rights come back by an operator's hand, not soon."""


def refresh_at(obtained: datetime, expiration: datetime) -> datetime:
    """Return when credentials are replaced: well before their end, and never in their first half.

    Sessions of 15 minutes, the shortest there are, would otherwise be asked for without pause.
    """
    return max(expiration - AHEAD, obtained + (expiration - obtained) / 2)


def is_usable(expiration: datetime, now: datetime) -> bool:
    """Tell whether credentials may still be handed out."""
    return now < expiration - LAST_MOMENT


def pause_after(failures: int, *, denied: bool, chance: float) -> float:
    """Return the seconds until the next try.

    Args:
        failures: how many there were in a row; at least one.
        denied: whether the last answer was a refusal.
        chance: from 0 to 1; many machines must not come back together.
    """
    longest = AFTER_DENIAL if denied else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10))
    return longest * (0.5 + chance / 2)
