"""What about a trust anchor will soon, or does already, keep its certificates from being believed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sallyport.audit.display import display
from sallyport.model import X509Anchor
from sallyport.trust.authorities import describe
from sallyport.trust.tenants import LeavesBehind
from sallyport_cli.crl_check import CheckedList

NEAR_THE_END = timedelta(days=30)
"""Time enough to have an authority's certificate replaced."""


CERTIFICATE_FIELDS = {"certificates": "certificate", "intermediates": "intermediate"}
"""Where an anchor's document keeps certificates, and how one of each is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorWarning:
    """Something about an anchor that its operator should mend; nothing that keeps it from being applied.

    ``what`` is the certificate's subject, the list's or the profile's name, and may be printed.
    """

    anchor: str
    what: str
    text: str
    cure: str


def of_certificates(anchor: X509Anchor, now: datetime) -> Iterator[AnchorWarning]:
    """Yield those of an anchor's certificates that have ended, are about to, or have not begun."""
    for der in (*anchor.certificates, *anchor.intermediates):
        one = describe(der)
        text, cure = "", "Have the authority's certificate replaced, and apply the new one beside it."
        if one.not_after < now:
            text = f"the certificate expired on {day(one.not_after)}: nothing below it is believed"
        elif one.not_after - now <= NEAR_THE_END:
            text = f"the certificate ends on {day(one.not_after)}, in {_days(one.not_after - now)}"
        elif one.not_before > now:
            text = f"the certificate begins on {day(one.not_before)}: nothing below it is believed until then"
            cure = "Apply it again then, or keep the one before beside it."
        if text:
            yield AnchorWarning(
                anchor=anchor.name, what=display(one.subject, markup=False), text=text, cure=cure
            )


def of_list(one: CheckedList, now: datetime) -> Iterator[AnchorWarning]:
    """Yield that a list is past its time."""
    if now > one.state.next_update:
        yield AnchorWarning(
            anchor=one.anchor.name,
            what=one.file,
            text=f"the revocation list was to be replaced by {minute(one.state.next_update)}",
            cure="Bring the authority's newest list; unless stale_crls is allow, exchanges are refused.",
        )


def of_tag_left_behind(one: LeavesBehind) -> AnchorWarning:
    """Return what it means that a tag which isolates is not transitive."""
    return AnchorWarning(
        anchor=one.anchor,
        what=f"profile {one.profile}",
        text=f"the tag {one.tag} isolates and is not transitive: a session that may assume another role "
        "leaves it behind, or chooses another there",
        cure=f"Add {one.tag} to transitive_tags.",
    )


def day(moment: datetime) -> str:
    """Return a date for people."""
    return moment.strftime("%Y-%m-%d")


def minute(moment: datetime) -> str:
    """Return a time in UTC for people, to the minute."""
    return moment.strftime("%Y-%m-%d %H:%MZ")


def _days(span: timedelta) -> str:
    return f"{span.days} day{'' if span.days == 1 else 's'}"
