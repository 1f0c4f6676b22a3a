"""Ways into a role that the trust file names: only by Sallyport, only for the profiles that have the role.

A finding here means that the trust file does not decide who gets the role: either somebody else gets it as
well, or nobody gets it who should.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sallyport.audit.finding import Severity, safe
from sallyport.audit.trust_policy.accounts import EXTERNAL_ID, is_among, without_external_id
from sallyport.audit.trust_policy.document import (
    ANYBODY,
    ASSUME_ROLE,
    SAML,
    SET_SOURCE_IDENTITY,
    TAG_SESSION,
    WEB_IDENTITY,
    Policy,
    Principal,
    Way,
    equals,
    is_whole_account,
)
from sallyport.audit.trust_policy.oidc import issuer_of
from sallyport.audit.trust_policy.reach import Reach, reach
from sallyport.audit.weakness import Verdict, Weakness
from sallyport.model import Effect, Issuance

ONE_HOUR: Final = 3_600
"""The longest session of a role that was assumed with a role's own credentials, whatever the role allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedRole:
    """What the trust file says of one role.

    Attributes:
        external_ids: what its statements may demand as ExternalId, one for each profile that has the role
            by issuance ``assume-role``.
        principals: ARNs of the exchange functions' roles that have to come, empty where nobody has said.
        issuers: issuers, as their tokens write them, whose tokens come by issuance ``web-identity``.
        duration: seconds, the longest that a profile asks for by ``web-identity``; with ``assume-role``
            one hour is the most, which every role allows.
        needs_tags: whether a profile sets session tags by ``assume-role``.
        needs_source_identity: whether a profile sets a source identity by ``assume-role``.
    """

    external_ids: frozenset[str] = frozenset()
    principals: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()
    duration: int = ONE_HOUR
    needs_tags: bool = False
    needs_source_identity: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRoles:
    """ARNs of the exchange functions' roles; empty where nobody has said."""

    assume_role: str = ""
    create_session: str = ""


def managed_roles(items: Mapping[str, Mapping[str, Any]], functions: FunctionRoles) -> dict[str, ManagedRole]:
    """Return what a version of the trust says of the roles it names, by ARN.

    Args:
        items: the compiled trust, as ``trust.compile`` made it or the trust table holds it.
        functions: whose roles come.
    """
    issuers = {
        str(one["id"]): str(one["issuer"])
        for key, one in items.items()
        if key.startswith("anchor#") and one.get("kind") == "oidc"
    }
    return {
        str(one["role"]): _managed(one["profiles"], issuers, functions)
        for key, one in items.items()
        if key.startswith("role#")
    }


def _managed(
    profiles: Collection[Mapping[str, Any]], issuers: Mapping[str, str], functions: FunctionRoles
) -> ManagedRole:
    allowing = [one for one in profiles if one["effect"] == Effect.ALLOW.value]
    ours = [one for one in allowing if one["issuance"] == Issuance.ASSUME_ROLE.value]
    tokens = [one for one in allowing if one["issuance"] == Issuance.WEB_IDENTITY.value]
    of_certificates = [one for one in ours if one.get("certificate") is not None]
    wanted = {functions.create_session} if of_certificates else set()
    if len(of_certificates) < len(ours):
        wanted.add(functions.assume_role)
    return ManagedRole(
        external_ids=frozenset(f"sallyport:{one['anchor_id']}:{one['id']}" for one in ours),
        principals=frozenset() if "" in wanted else frozenset(wanted),
        issuers=frozenset(issuers[one["anchor_id"]] for one in tokens if one["anchor_id"] in issuers),
        duration=max((int(one["duration"]) for one in tokens), default=ONE_HOUR),
        needs_tags=any(one["session_tags"] for one in ours) or bool(of_certificates),
        needs_source_identity=any(one["source_identity"] is not None for one in ours)
        or bool(of_certificates),
    )


def weaknesses(policy: Policy, managed: ManagedRole) -> Iterator[Weakness]:
    """Yield who gets a role besides those for whom the trust file has it, and who does not get it."""
    ways = list(policy.ways(ASSUME_ROLE, "AWS", "Service", "CanonicalUser", ANYBODY))
    for way in ways:
        yield from _of_way(way, managed)
    for way in policy.ways(WEB_IDENTITY, "Federated"):
        issuer = issuer_of(way.principal.value)
        if issuer is None or f"https://{issuer}" not in managed.issuers:
            yield _other(way)
    for way in policy.ways(SAML, "Federated"):
        yield _other(way)
    if managed.external_ids:
        yield from _kept_out(policy, ways, managed)
    missing = managed.issuers - {
        f"https://{issuer_of(way.principal.value)}" for way in policy.ways(WEB_IDENTITY, "Federated")
    }
    for issuer in sorted(missing):
        yield _refused(
            "managed-issuer-missing",
            issuer,
            "a profile gives the role to tokens of this issuer, and the trust policy does not let them in",
            "allow sts:AssumeRoleWithWebIdentity to the issuer's provider, for the profile's aud and sub",
        )


def _of_way(way: Way, managed: ManagedRole) -> Iterator[Weakness]:
    principal = way.principal
    named = principal.kind == "AWS" and principal.value in managed.principals
    wide = principal.value == ANYBODY or is_whole_account(principal.value)
    if not managed.external_ids or principal.kind != "AWS" or wide or (managed.principals and not named):
        yield _other(way)
    if principal.kind not in ("AWS", ANYBODY) or not managed.external_ids:
        return
    found = reach(way.clauses, without_external_id)
    if found is not Reach.NOBODY:
        one = sorted(managed.external_ids)
        yield way.weakness(
            "managed-no-external-id",
            Severity.HIGH,
            "the statement does not demand an ExternalId of the profiles that have the role, so the role can "
            "be had for somebody else: for a profile that names it later, or by another caller",
            "demand the ExternalId that `sallyport trust show` prints for the profile",
            subject="sts:ExternalId",
            verdict=found.verdict,
            set_to=(equals("sts:ExternalId"), one[0] if len(one) == 1 else list(one)),
        )
    others = sorted(
        value
        for clause in way.clauses
        for test in clause
        if test.name == EXTERNAL_ID and test.is_wanting
        for value in test.values
        if value not in managed.external_ids and not test.is_pattern(value)
    )
    for value in others:
        yield way.weakness(
            "managed-other-external-id",
            Severity.MEDIUM,
            "the statement takes an ExternalId that belongs to no profile that has the role",
            "remove it, unless the trust file in force is not the one that was looked at",
            subject=value,
        )


def _other(way: Way) -> Weakness:
    return way.weakness(
        "managed-other-principal",
        Severity.HIGH,
        "the trust file names this role, and somebody else may assume it as well: then neither its profiles "
        "nor its records say who has it",
        "let only the exchange function's role in, by its exact ARN",
    )


def _kept_out(policy: Policy, ways: list[Way], managed: ManagedRole) -> Iterator[Weakness]:
    """Yield what Sallyport needs and would be refused."""
    for value in sorted(managed.external_ids):
        if not any(_takes(way, value) for way in ways):
            yield _refused(
                "managed-external-id-missing",
                value,
                "no statement takes this profile's ExternalId, so STS will refuse its sessions",
                "list it under StringEquals on sts:ExternalId",
            )
    needed = [(ASSUME_ROLE, "managed-principal-missing")]
    if managed.needs_tags:
        needed.append((TAG_SESSION, "managed-no-tag-session"))
    if managed.needs_source_identity:
        needed.append((SET_SOURCE_IDENTITY, "managed-no-set-source-identity"))
    principals = managed.principals or {way.principal.value for way in ways if way.principal.kind == "AWS"}
    for arn in sorted(principals):
        for action, code in needed:
            let_in = policy.ways(action, "AWS", ANYBODY)
            if not any(is_among(Principal("AWS", arn), way.principal) for way in let_in):
                yield _refused(
                    code,
                    arn,
                    f"{action} is not allowed to this principal, so STS will refuse the profiles' sessions",
                    f"allow {action} to it",
                )


def _takes(way: Way, value: str) -> bool:
    """Tell whether a statement takes an ExternalId, as far as that can be told."""
    for clause in way.clauses:
        if len(clause) != 1 or clause[0].name != EXTERNAL_ID or not clause[0].is_wanting:
            continue
        test = clause[0]
        if not any(test.variables(one) or test.fits(one, value) for one in test.values):
            return False
    return True


def _refused(code: str, subject: str, text: str, cure: str) -> Weakness:
    return Weakness(
        code=code,
        severity=Severity.MEDIUM,
        verdict=Verdict.WEAK,
        subject=safe(subject),
        text=text,
        cure=cure,
    )
