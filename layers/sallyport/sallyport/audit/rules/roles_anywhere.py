"""IAM Roles Anywhere: the service that Sallyport's certificate path stands beside or replaces."""

from datetime import timedelta
from typing import Final

from sallyport.audit.events import Observed
from sallyport.audit.finding import Resource, Severity, window_of
from sallyport.audit.rules.context import Context
from sallyport.audit.rules.rule import (
    NO_MATCH,
    Match,
    Rule,
    Selector,
    Unclear,
    Verdict,
    caller_evidence,
    is_new,
    learning,
    role_resource,
)

BURST_WINDOW: Final = timedelta(minutes=15)
DENIALS: Final = 5
EXPIRING: Final = "Roles Anywhere Certificate Expiration State Change"
_SOON_DAYS: Final = 7

_DOCS: Final = "https://docs.aws.amazon.com/rolesanywhere/latest/userguide/introduction.html"
_ANCHORS: Final = "https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_CreateTrustAnchor.html"
_PROFILES: Final = "https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_CreateProfile.html"
_EXPIRY: Final = "https://docs.aws.amazon.com/rolesanywhere/latest/userguide/monitoring-notifications.html"
# Of a number of days; ten million are more than any certificate has.
_MAX_DIGITS: Final = 7


def _unknown_session(event: Observed, context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    anchor, profile = (event.text(f"requestParameters.{name}") for name in ("trustAnchorArn", "profileArn"))
    if anchor is None or profile is None:
        return Unclear("no-request")
    role = event.text("requestParameters.roleArn")
    # The certificate is named by what it says of itself; its serial number is the session's name.
    subject = event.text("responseElements.subjectArn") or event.caller.principal_id
    known = context.estate.anchors_and_profiles
    strange = bool(known) and not {anchor, profile} <= known
    if not strange:
        if subject is None:
            return Unclear("no-subject")
        if not is_new(event, context, "roles-anywhere", f"{anchor} {profile} {subject}"):
            return NO_MATCH
    return Match(
        about=(anchor, profile, subject or ""),
        why=(
            "IAM Roles Anywhere made a session through a trust anchor or profile that nobody declared."
            if strange
            else "IAM Roles Anywhere made a session for a certificate that was never seen here."
        ),
        evidence=caller_evidence(event)
        | {"trust anchor": anchor, "profile": profile, "role": role, "subject": subject},
        resources=role_resource(role),
        **({} if strange else learning(event, context)),
    )


def _denied_sessions(event: Observed, context: Context) -> Verdict:
    if event.succeeded:
        return NO_MATCH
    caller = event.text("requestParameters.trustAnchorArn") or event.source_ip
    if caller is None:
        return Unclear("no-anchor-or-address")
    start = window_of(event.time, BURST_WINDOW)
    count = context.counter.add("roles-anywhere-denied", caller, start, event.occurrence)
    if count < DENIALS:
        return NO_MATCH
    return Match(
        about=(caller,),
        why=f"{count} sessions were refused within {BURST_WINDOW.seconds // 60} minutes.",
        evidence=caller_evidence(event) | {"message": event.error_message, "refusals": count},
        weight=count if count == DENIALS else 1,
    )


def _external_authority(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    kind = event.text("requestParameters.source.sourceType")
    if kind is None:
        # An update need not name the source; a new anchor must.
        return (
            NO_MATCH
            if event.name == "UpdateTrustAnchor" and event.request is not None
            else Unclear("no-source")
        )
    if kind == "AWS_ACM_PCA":
        return NO_MATCH
    anchor = event.text("responseElements.trustAnchor.trustAnchorArn") or event.text(
        "requestParameters.trustAnchorId"
    )
    return Match(
        about=(anchor or event.text("requestParameters.name") or "",),
        why="A trust anchor relies on an authority outside AWS Private CA.",
        evidence=caller_evidence(event)
        | {"name": event.value("requestParameters.name"), "source": kind, "trust anchor": anchor},
        resources=() if anchor is None else (Resource("Other", anchor),),
    )


def _profile_changed(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    if event.request is None:
        return Unclear("no-request")
    roles = event.value("requestParameters.roleArns")
    profile = event.text("responseElements.profile.profileArn") or event.text("requestParameters.profileId")
    return Match(
        about=(profile or event.text("requestParameters.name") or "",),
        why=f"A profile was {'created' if event.name == 'CreateProfile' else 'changed'}.",
        evidence=caller_evidence(event)
        | {
            "profile": profile,
            "name": event.value("requestParameters.name"),
            "roles": roles if isinstance(roles, tuple) else None,
            "duration": event.value("requestParameters.durationSeconds"),
            "accepts session names": event.value("requestParameters.acceptRoleSessionName"),
        },
        resources=tuple(Resource("AwsIamRole", arn) for arn in (roles or ()) if isinstance(arn, str))[:10]
        if isinstance(roles, tuple)
        else (),
    )


def _expiring(event: Observed, _context: Context) -> Verdict:
    if event.request is None:
        return Unclear("no-detail")
    days = event.request.get("days-to-expiry")
    if isinstance(days, str):
        is_number = len(days) <= _MAX_DIGITS and days.lstrip("-").isdecimal() and days.isascii()
        days = int(days) if is_number else None
    serial = event.request.get("certificate-serial-number")
    if not isinstance(days, int | float) or not isinstance(serial, str):
        return Unclear("no-days-or-serial")
    anchor = event.resources[0] if event.resources else None
    return Match(
        about=(serial, anchor or ""),
        why="A certificate of IAM Roles Anywhere has expired."
        if days <= 0
        else "A certificate is about to expire.",
        evidence={
            "serial number": serial,
            "issuer": event.request.get("issuer"),
            "days": days,
            "trust anchor": anchor,
        },
        resources=() if anchor is None else (Resource("Other", anchor),),
        severity=Severity.HIGH if anchor is not None and days <= _SOON_DAYS else None,
    )


RULES: Final = (
    Rule(
        id="roles-anywhere-unknown-12",
        title="A Roles Anywhere session from an unknown certificate, anchor or profile",
        severity=Severity.HIGH,
        meaning="A certificate had a session that never had one here, or by a way that nobody declared.",
        first="Look the serial number up at the authority: who has the certificate?",
        remedy="Revoke the certificate; remove the anchor or the profile; move the workload to the exchange.",
        references=(_DOCS,),
        selectors=(Selector("rolesanywhere", ("CreateSession",)),),
        check=_unknown_session,
    ),
    Rule(
        id="roles-anywhere-denied-13",
        title="Roles Anywhere refuses many sessions",
        severity=Severity.MEDIUM,
        meaning="One anchor, or one address, had several refusals in a short time.",
        first="Read the message: an expired certificate, a wrong role, or a search?",
        remedy="Renew the certificate or mend the configuration; block the address otherwise.",
        references=(_DOCS,),
        selectors=(Selector("rolesanywhere", ("CreateSession",)),),
        check=_denied_sessions,
        window=BURST_WINDOW,
        gaps="Windows do not overlap: a burst across their border may need nearly twice as many refusals.",
    ),
    Rule(
        id="trust-anchor-external-14",
        title="A trust anchor with an authority of its own",
        severity=Severity.MEDIUM,
        meaning="Whoever has the key of that authority can have any role that trusts the anchor.",
        first="Ask who runs the authority and where its key is kept.",
        remedy=(
            "Use AWS Private CA, or conditions on issuer and subject in every role that trusts the anchor."
        ),
        references=(_ANCHORS,),
        selectors=(Selector("rolesanywhere", ("CreateTrustAnchor", "UpdateTrustAnchor")),),
        check=_external_authority,
    ),
    Rule(
        id="roles-anywhere-profile-changed-15",
        title="A Roles Anywhere profile was created or changed",
        severity=Severity.HIGH,
        meaning="Profiles decide which roles certificates may have, for how long and under which names.",
        first="Compare roles and duration with what was meant; ask who changed it.",
        remedy="Allow `rolesanywhere:CreateProfile` and `UpdateProfile` to a pipeline alone.",
        references=(_PROFILES,),
        selectors=(Selector("rolesanywhere", ("CreateProfile", "UpdateProfile")),),
        check=_profile_changed,
    ),
    Rule(
        id="certificate-expiring-66",
        title="A certificate of Roles Anywhere is about to expire",
        severity=Severity.LOW,
        meaning="When it has expired, its workload gets no more sessions; with an anchor's, nobody does.",
        first="Renew it. The serial number and the issuer tell which one it is.",
        remedy="Renew certificates by a program, well before they expire.",
        references=(_EXPIRY,),
        selectors=(Selector("aws.rolesanywhere", (EXPIRING,)),),
        check=_expiring,
        gaps="The service sends these once a day, and promises nothing.",
    ),
)
