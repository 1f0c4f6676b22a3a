"""What the audit can see at all: trails, the rules' state, Regions and accounts. A blind spot is a finding.

Pure. EventBridge brings CloudTrail's events where a trail records them, in the Region in which they are
recorded; what comes from elsewhere was forwarded. Source:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sallyport.audit.finding import Resource, Severity, safe
from sallyport.audit.weakness import Observation, Verdict, Weakness

# Every account has somebody who does something in a day.
QUIET: Final = timedelta(days=1)
# Where the calls of services without Regions are recorded, by partition.
GLOBAL_EVENTS: Final = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
PART: Final = "coverage"
"""Under which name what was found here is remembered."""

MAX_SHOWN: Final = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """A trail that covers this Region. ``None`` is what could not be looked at.

    ``brings`` is whether it records management events, those that only read among them.
    """

    arn: str
    is_logging: bool | None
    brings: bool | None

    @property
    def may_serve(self) -> bool:
        """Whether nothing speaks against its bringing what the rules want to see."""
        return self.is_logging is not False and self.brings is not False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known of what can be seen.

    Attributes:
        account: the deployment's account.
        region: its Region.
        partition: ``aws`` mostly.
        is_open: whether the rules for CloudTrail's events bring those that only read.
        trails: those that cover the Region; ``None`` if they could not be looked at.
        accounts: whose events are expected.
        seen: from which Regions events came, by account.
        since: since when that is written down.
    """

    account: str
    region: str
    partition: str
    is_open: bool
    since: datetime
    trails: Sequence[Trail] | None = None
    accounts: frozenset[str] = frozenset()
    seen: Mapping[str, frozenset[str]] = field(default_factory=dict)


def blind_spots(sight: Sight, now: datetime) -> Iterator[Observation]:
    """Yield what the deployment cannot see, and always what it does see."""
    if not sight.is_open:
        yield _spot(
            sight.account,
            "events-not-brought",
            Severity.LOW,
            "the rules for CloudTrail events are off, or bring none of calls that only read: sessions that "
            "others make are not seen",
            "deploy with AuditRuleState=ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
        )
    if sight.trails is not None and not any(one.may_serve for one in sight.trails):
        yield _spot(
            sight.account,
            "no-trail",
            Severity.LOW,
            f"no trail records all management events of {safe(sight.region)}: no event of CloudTrail comes",
            "make a trail with management events, of reads and writes, and start it",
        )
    elsewhere = GLOBAL_EVENTS.get(sight.partition, sight.region)
    if sight.is_open and now - sight.since > QUIET:
        if elsewhere not in {sight.region, *sight.seen.get(sight.account, ())}:
            yield _spot(
                sight.account,
                "global-events-unseen",
                Severity.LOW,
                f"calls to IAM and to the global STS endpoint are recorded in {elsewhere}, and nothing has "
                "come from there",
                f"forward the events of {elsewhere} to this deployment",
                subject=elsewhere,
            )
        for account in sorted(sight.accounts - sight.seen.keys() - {sight.account}):
            yield _spot(
                account,
                "account-unseen",
                Severity.LOW,
                "AuditAccounts names this account, and no event of it has ever come",
                "forward its CloudTrail events, or take it out",
            )
    where = "; ".join(f"{one} ({', '.join(sorted(sight.seen[one]))})" for one in sorted(sight.seen))
    yield _spot(
        sight.account,
        "events-seen",
        Severity.INFORMATIONAL,
        f"CloudTrail events have come from: {safe(where, MAX_SHOWN) or 'nowhere'}. What happens in other "
        "Regions and accounts is not seen",
        "forward their events, or accept it",
        verdict=Verdict.CANNOT_TELL,
    )


def _spot(  # noqa: PLR0913 - what a weakness is made of
    account: str,
    code: str,
    severity: Severity,
    text: str,
    cure: str,
    *,
    subject: str = "",
    verdict: Verdict = Verdict.WEAK,
) -> Observation:
    weakness = Weakness(code=code, severity=severity, verdict=verdict, subject=subject, text=text, cure=cure)
    return Observation(part=PART, resource=Resource("AwsAccount", safe(account)), weakness=weakness)
