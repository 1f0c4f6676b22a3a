"""May this identity have this role, and on what terms?

The steps, in this order:

(1) an anchor that is switched off denies;
(2) every profile of the role and the anchor is looked at, with a trace of every condition;
(3) a denying profile that matches beats everything;
(4) so does a profile that is switched off and would have matched;
(5) of the profiles that match, the one with the highest priority wins;
(6) what it says is made from the identity, within STS's limits, or the request is denied: another
    profile never steps in, or a caller could choose terms by making the first ones impossible.

Nothing configured means no.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sallyport.errors import DeniedError
from sallyport.model import (
    ConditionTrace,
    Decision,
    Denial,
    Effect,
    ExchangeRequest,
    Grant,
    Identity,
    Issuance,
    ProfileTrace,
)
from sallyport.trust.conditions import MATCH
from sallyport.trust.facts import Facts
from sallyport.trust.limits import MAX_CHAINED_DURATION, MAX_HINT_LENGTH, MAX_TAGS, MIN_DURATION
from sallyport.trust.mapping import callers_policies, check_policies, render_tags
from sallyport.trust.names import callers_name
from sallyport.trust.profiles import Profile
from sallyport.trust.templates import fill_plain
from sallyport.trust.token_claims import check_azp, check_roles, terms_in_token
from sallyport.trust.x509_terms import map_tags
from sallyport.trust.x509_terms import session_name as certificates_session_name
from sallyport.trust.x509_terms import source_identity as certificates_source_identity

# How many profiles a denial's cure names: the nearest ones help, a list of all of them does not.
_MAX_HINTS: Final = 3


def authorize(  # noqa: PLR0913 - all but three of them by name
    identity: Identity,
    request: ExchangeRequest,
    profiles: Sequence[Profile],
    *,
    disabled: Collection[str],
    now: datetime,
    others: Sequence[str] = (),
) -> Decision:
    """Decide, and say why.

    Args:
        identity: who is asking, as verified.
        request: what is asked for.
        profiles: the profiles of the role that is asked for.
        disabled: what is switched off, as ``profile#<name>`` and ``anchor#<name>``.
        now: the time of the request.
        others: names of the role's profiles on other trust anchors, for the trace alone.
    """
    # (1) Is the anchor itself still trusted?
    if f"anchor#{identity.anchor_name}" in disabled:
        return Decision(
            Denial(
                reason="anchor-disabled",
                detail=f"the trust anchor {identity.anchor_name!r} is disabled",
                cure=f'sallyport trust enable anchor {identity.anchor_name} --reason "..."',
            )
        )
    facts = Facts.of(identity, request, now)
    # (2) What does each profile say?
    trace = [
        _look(profile, identity, request, facts, switched_off=f"profile#{profile.name}" in disabled)
        for profile in profiles
    ]
    trace += [ProfileTrace(profile=name, outcome="not-matched", reason="other-anchor") for name in others]
    # (3) and (4): does one of them say no?
    for outcome in ("denied", "disabled"):
        for one in trace:
            if one.outcome == outcome:
                return Decision(_blocked(one), tuple(trace))
    matched = [one for one in zip(profiles, trace, strict=False) if one[1].outcome == "allowed"]
    if not matched:
        return Decision(_nothing_matched(request, trace), tuple(trace))
    # (5) Which of them wins? The name decides where validation saw that it does not matter.
    winner, won = min(matched, key=lambda one: (-one[0].priority, one[0].name))
    # (6) On what terms?
    result: Grant | Denial
    try:
        result = _grant(winner, identity, request, facts)
    except DeniedError as error:
        result = Denial(
            reason=error.reason,
            detail=f"the profile {winner.name!r} matches, but {error.detail}",
            cure=error.cure,
        )
    return Decision(result, tuple([_final(one, won, result) for one in trace]))


# --- matching -------------------------------------------------------------------------------------


def _look(
    profile: Profile, identity: Identity, request: ExchangeRequest, facts: Facts, *, switched_off: bool
) -> ProfileTrace:
    """Say how one profile stands to a request.

    Those that deny or are switched off are asked in any case: naming another one must not get a
    caller past them.
    """
    allows = profile.effect is Effect.ALLOW
    if request.role_arn not in profile.roles:
        return ProfileTrace(profile=profile.name, outcome="not-matched", reason="other-role")
    if profile.anchor_id != identity.anchor_id:
        return ProfileTrace(profile=profile.name, outcome="not-matched", reason="other-anchor")
    if (
        request.profile is not None
        and request.profile not in (profile.name, profile.id, profile.arn)
        and allows
        and not switched_off
    ):
        return ProfileTrace(profile=profile.name, outcome="not-named", reason="not-named")
    looked = tuple([condition.look(facts) for condition in profile.conditions])
    met = all(
        one.outcome == MATCH or condition.counts(one.outcome, profile.effect)
        for condition, one in zip(profile.conditions, looked, strict=True)
    )
    if not met:
        return ProfileTrace(
            profile=profile.name,
            outcome="not-matched",
            reason="condition-not-met" if allows else "deny-not-met",
            detail=_unmet(looked) if allows else "",
            conditions=looked,
        )
    outcome, reason = ("allowed", "matched") if allows else ("denied", "profile-denies")
    if switched_off:
        outcome, reason = "disabled", "profile-disabled"
    return ProfileTrace(profile=profile.name, outcome=outcome, reason=reason, conditions=looked)


def _blocked(one: ProfileTrace) -> Denial:
    if one.outcome == "disabled":
        return Denial(
            reason="profile-disabled",
            detail=f"the profile {one.profile!r} matches and is disabled",
            cure=f'sallyport trust enable profile {one.profile} --reason "..."',
        )
    return Denial(
        reason="profile-denies",
        detail=f"the profile {one.profile!r} denies this identity, whatever others allow",
        cure="change its condition, if this identity is not meant",
    )


def _unmet(looked: Sequence[ConditionTrace]) -> str:
    text = "; ".join(_hint(one) for one in looked if one.outcome != MATCH)
    return text if len(text) <= MAX_HINT_LENGTH else text[: MAX_HINT_LENGTH - 3] + "..."


def _hint(one: ConditionTrace) -> str:
    found = "is missing" if one.actual is None else f"is {one.actual!r}"
    return f"{one.operator} on {one.key} expects {' or '.join(map(repr, one.expected))} and it {found}"


def _nothing_matched(request: ExchangeRequest, trace: Sequence[ProfileTrace]) -> Denial:
    """Say what would have allowed it: the profiles that lacked least, with what they lacked."""
    near = sorted(
        (one for one in trace if one.reason == "condition-not-met"),
        key=lambda one: (sum(c.outcome != MATCH for c in one.conditions), one.profile),
    )
    if near:
        return Denial(
            reason="no-profile-matched",
            detail=f"{len(near)} profiles name this role, and this identity matches none of them"
            if len(near) > 1
            else "the one profile that names this role does not match this identity",
            cure=". ".join(
                f"{one.profile} would have allowed it, but {one.detail}" for one in near[:_MAX_HINTS]
            ),
        )
    if request.profile is not None:
        return Denial(
            reason="profile-not-found",
            detail="the request names a profile that is not one of this role and this trust anchor",
            cure="name one that is, or none",
        )
    return Denial(
        reason="no-profile",
        detail="no profile allows this role to identities of this trust anchor",
        cure="declare one in the trust file and apply it, or ask for another role",
    )


def _final(one: ProfileTrace, won: ProfileTrace, result: Grant | Denial) -> ProfileTrace:
    """Return the trace of one profile now that it is known which one won, and what became of it."""
    if one.outcome == "allowed" and one is not won:
        return replace(one, outcome="outranked", reason="outranked", detail=f"{won.profile} has precedence")
    if one is won and isinstance(result, Denial):
        return replace(one, outcome="unusable", reason=result.reason, detail=result.detail)
    return one


# --- terms ----------------------------------------------------------------------------------------


def _grant(profile: Profile, identity: Identity, request: ExchangeRequest, facts: Facts) -> Grant:
    """Make the grant that a profile has for one identity.

    Raises:
        DeniedError: something that it needs is missing, or STS would not take it.
    """
    has_own = profile.policy is not None or bool(profile.policy_arns)
    brought, brought_arns = callers_policies(request, has_own=has_own, accept=profile.accept_caller_policy)
    policy = profile.policy.render(facts) if profile.policy is not None else brought
    arns = tuple([fill_plain(arn, facts) for arn in profile.policy_arns]) or brought_arns
    if policy is not None or arns:
        check_policies(policy, arns)
    duration, notes = _duration(profile, request)
    check_roles(facts, request.role_arn)
    tags, left_out = render_tags(profile.tags, facts)
    notes += left_out
    if profile.certificate is not None:
        mapped, bent = map_tags(identity.attributes, profile.certificate.mapping, profile.certificate.unfit)
        tags += mapped
        notes += bent
    if len(tags) > MAX_TAGS:
        raise DeniedError("too-many-tags", f"STS takes {MAX_TAGS} session tags")
    source_identity = _source_identity(profile, identity, facts)
    if profile.issuance is Issuance.WEB_IDENTITY:
        check_azp(facts, looks_at_azp=profile.looks_at_azp)
        tags, source_identity, evaded = terms_in_token(facts, tags=tags, source_identity=source_identity)
        notes += evaded
    droppable: tuple[str, ...] = ()
    # A policy that a request brought may look at any tag; what a token carries cannot be left out.
    if (
        profile.droppable
        and profile.issuance is Issuance.ASSUME_ROLE
        and brought is None
        and not brought_arns
    ):
        present = {tag.key for tag in tags}
        droppable = tuple([key for key in profile.droppable if key in present])
    return Grant(
        profile_name=profile.name,
        profile_id=profile.id,
        profile_arn=profile.arn,
        anchor_name=identity.anchor_name,
        anchor_id=identity.anchor_id,
        role_arn=request.role_arn,
        session_name=_session_name(profile, identity, request, facts),
        duration=duration,
        issuance=profile.issuance,
        external_id=profile.external_id,
        source_identity=source_identity,
        tags=tags,
        droppable=droppable,
        policy=policy,
        policy_arns=arns,
        grants_per_minute=profile.grants_per_minute,
        advisory=profile.advisory,
        notes=notes,
    )


def _duration(profile: Profile, request: ExchangeRequest) -> tuple[int, tuple[str, ...]]:
    """Return how long the session may be, and notes where that is less than was asked for."""
    asked = request.duration
    if asked is None:
        return profile.duration, ()
    if asked < MIN_DURATION:
        raise DeniedError("duration-too-short", f"{asked} seconds are less than STS allows")
    notes: list[str] = []
    longest = profile.duration
    chained = profile.issuance is Issuance.ASSUME_ROLE
    if chained and asked > MAX_CHAINED_DURATION:
        longest = min(longest, MAX_CHAINED_DURATION)
        notes.append("duration-capped-by-chaining")
    if asked > longest and not (chained and longest == MAX_CHAINED_DURATION):
        notes.append("duration-capped")
    return min(asked, longest), tuple(notes)


def _source_identity(profile: Profile, identity: Identity, facts: Facts) -> str | None:
    if profile.source_identity is not None:
        return profile.source_identity.render(facts)
    if profile.certificate is not None:
        return certificates_source_identity(identity, bare_names=profile.certificate.bare_names)
    return None


def _session_name(profile: Profile, identity: Identity, request: ExchangeRequest, facts: Facts) -> str:
    if profile.accept_session_name and request.session_name:
        return callers_name(anchor=identity.anchor_name, wish=request.session_name, subject=identity.subject)
    if identity.certificate is not None and request.session_name:
        # STS's clients must send a name, so that with a token it is a wish; those of IAM Roles Anywhere send
        # one on purpose, and expect to be told.
        raise DeniedError(
            "session-name-not-accepted",
            "the request asks for a session name and the profile does not take any",
            cure="send none, or set accept_session_name: true in the profile",
        )
    if profile.session_name is not None:
        return profile.session_name.render(facts)
    if profile.certificate is not None:
        return certificates_session_name(identity, bare_names=profile.certificate.bare_names)
    raise DeniedError("name-illegal", "the profile has no rule for session names")
