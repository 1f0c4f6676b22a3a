"""Whether the audit still hears: on each way that events come by something is sent, and must arrive.

Pure. By the way of records goes the heartbeat of ``publish_records``; by CloudTrail's go the posture
function's own calls of GetCallerIdentity, which rule and queue must bring back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sallyport.audit.finding import Resource, Severity
from sallyport.audit.weakness import Observation, Verdict, Weakness


class Way(StrEnum):
    """By which way something comes to the audit."""

    RECORDS = "records"
    CLOUDTRAIL = "cloudtrail"


BOUNDS: Final = {
    # Four heartbeats, and a few minutes more than the alarm on the same silence.
    Way.RECORDS: timedelta(minutes=20),
    # CloudTrail says five minutes on average, and promises nothing
    # (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html).
    Way.CLOUDTRAIL: timedelta(hours=1),
}
"""After which no sign of life is silence."""

CHECK_EVERY: Final = timedelta(minutes=5)
"""The schedule's step."""

MISSED: Final = 3 * CHECK_EVERY
"""Nobody has looked for so long: what did not come then was perhaps not sent, and waiting begins anew."""

SKEW: Final = timedelta(minutes=5)
"""How far clocks may be apart."""

_CODES: Final = {Way.RECORDS: "records-silent", Way.CLOUDTRAIL: "cloudtrail-silent"}
_WHAT: Final = {
    Way.RECORDS: (
        "no heartbeat of the exchange's records",
        "the schedule of publish_records, the records bus, its rule, the audit queue and the function audit",
    ),
    Way.CLOUDTRAIL: (
        "no CloudTrail event of the posture function's own calls",
        "the trail, the rules for CloudTrail events, their queue and the function audit",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A way by which nothing has come since ``since``, for too long."""

    way: Way
    since: datetime

    def observation(self, account: str) -> Observation:
        """Return the silence as a weakness of the account's audit."""
        what, look_at = _WHAT[self.way]
        weakness = Weakness(
            code=_CODES[self.way],
            severity=Severity.HIGH,
            verdict=Verdict.WEAK,
            subject=self.way.value,
            text=f"{what} has come since {self.since.isoformat(timespec='seconds')}: what happens now goes "
            "unseen",
            cure=f"look, in this order, at {look_at}",
        )
        return Observation(
            part=part(self.way),
            resource=Resource("AwsAccount", account),
            weakness=weakness,
            occurrence=f"silent since {self.since.isoformat()}",
        )


def part(way: Way) -> str:
    """Return the name under which what was found about a way is remembered."""
    return f"chain {way}"


def silence(way: Way, *, heard: datetime | None, watched_since: datetime, now: datetime) -> Silence | None:
    """Return the silence of a way, if it is one.

    Args:
        way: which.
        heard: when the last sign of life was sent that has arrived; ``None`` if none ever has.
        watched_since: since when somebody has looked without a break: the time before does not count.
        now: the time.
    """
    if heard is not None and heard > now + SKEW:
        # No clock says so: somebody wrote it, so that nobody would ever miss the next one.
        heard = None
    since = watched_since if heard is None else max(heard, watched_since)
    return Silence(way=way, since=since) if now - since > BOUNDS[way] else None
