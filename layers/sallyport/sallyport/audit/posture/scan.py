"""What an account's configuration lets happen that no event would show: roles, keys, user pools, drift.

Pure: inventories go in as boto3 returns them, weaknesses come out, each with what it is about. What was not
looked at is said as well; nobody may read silence about it as a pass.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sallyport.audit.finding import (
    ALWAYS,
    Finding,
    Resource,
    Severity,
    bounded_evidence,
    finding_id,
    safe,
)
from sallyport.audit.posture import access_keys
from sallyport.audit.posture.codes import RULE_PREFIX
from sallyport.audit.trust_policy.document import account_of
from sallyport.audit.trust_policy.examine import NOTHING_KNOWN, Surroundings, examine
from sallyport.audit.trust_policy.managed import ManagedRole
from sallyport.audit.weakness import Observation, Verdict, Weakness
from sallyport.cognito.pool_check import PoolProblem
from sallyport.cognito.pool_check import Severity as PoolSeverity

RUNBOOK: Final = "docs/posture.md"

# Nobody but AWS can write a role or its trust policy there.
_AWS_OWN: Final = ("/aws-service-role/", "/aws-reserved/")
# Of the roles of one account elsewhere; the count says how many there are.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What was read of an account. ``None`` is what nobody looked at, or was not allowed to.

    Attributes:
        account: the account, 12 digits.
        roles: ``Roles`` of ListRoles, all pages, or ``Role`` of GetRole.
        keys: the active keys, as ``access_keys`` reads them.
        pools: by a user pool's name in the trust file, what ``check_pool`` says of it.
        reasons: why something is missing, by the name of the attribute.
    """

    account: str
    roles: Sequence[Mapping[str, Any]] | None = None
    keys: Sequence[access_keys.Key] | None = None
    pools: Mapping[str, Sequence[PoolProblem]] | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """What a look at an account found, the worst first, and how much was looked at, by what it is.

    ``parts`` are those that were looked at: what was found of another one before may still be there.
    """

    observations: tuple[Observation, ...]
    looked_at: Mapping[str, int]
    parts: frozenset[str] = frozenset()

    def from_severity(self, least: Severity) -> tuple[Observation, ...]:
        """Return what is at least so severe."""
        return tuple(one for one in self.observations if one.weakness.severity >= least)


def scan(inventory: Inventory, *, now: datetime, surroundings: Surroundings = NOTHING_KNOWN) -> Posture:
    """Return what is weak in an account, and what could not be told; never raises for what was read."""
    found: list[Observation] = []
    looked_at: dict[str, int] = {}
    parts = {LOOKS}
    for name, what in _PARTS.items():
        part = getattr(inventory, name)
        if part is None:
            found.append(not_looked_at(inventory.account, what, inventory.reasons.get(name, "")))
        else:
            looked_at[what] = len(part)
            parts.add(name)
    if inventory.roles is not None:
        own = [role for role in inventory.roles if not str(role.get("Path")).startswith(_AWS_OWN)]
        looked_at["roles"] = len(own)
        looked_at["roles that are AWS's own"] = len(inventory.roles) - len(own)
        for role in own:
            found += _of_role(role, inventory.account, surroundings)
        found += drift(inventory.roles, inventory.account, surroundings.managed)
        if any(one.external_ids and not one.principals for one in surroundings.managed.values()):
            found.append(_nobody_said_who_comes(inventory.account))
    for key in inventory.keys or ():
        found += _of_key(key, inventory.account, now)
    for name, problems in (inventory.pools or {}).items():
        found += [_of_pool(name, problem) for problem in problems]
    found.sort(key=lambda one: (-one.weakness.severity, one.resource, one.weakness.statement or 0))
    return Posture(observations=tuple(found), looked_at=MappingProxyType(looked_at), parts=frozenset(parts))


POOLS: Final = "pools"
_PARTS: Final = {"roles": "roles", "keys": "active access keys", "pools": "user pools"}


LOOKS: Final = "looks"
"""What there is to say of the look itself: a part for itself, which every look has."""


def not_looked_at(account: str, what: str, reason: str) -> Observation:
    """Return that a part was not looked at.

    Args:
        account: whose.
        what: the part, in words, in the plural.
        reason: why; empty if nobody has asked.
    """
    weakness = Weakness(
        code="not-looked-at",
        severity=Severity.LOW,
        verdict=Verdict.CANNOT_TELL,
        subject=what,
        text=f"{what} were not looked at: {safe(reason) or 'nobody has asked'}",
        cure="look again with permission to read them",
    )
    return Observation(part=LOOKS, resource=Resource("AwsAccount", account), weakness=weakness)


def _nobody_said_who_comes(account: str) -> Observation:
    weakness = Weakness(
        code="managed-principal-unknown",
        severity=Severity.LOW,
        verdict=Verdict.CANNOT_TELL,
        subject="exchange functions",
        text="which roles are the exchange functions' own was not said: whether managed roles let anybody "
        "else in cannot be told",
        cure="name them, as the stack's outputs AssumeRoleRoleArn and CreateSessionRoleArn do",
    )
    return Observation(part="roles", resource=Resource("AwsAccount", account), weakness=weakness)


def _of_role(role: Mapping[str, Any], account: str, surroundings: Surroundings) -> Iterator[Observation]:
    arn = str(role.get("Arn"))
    for one in examine(
        role.get("AssumeRolePolicyDocument"), account=account, role=arn, surroundings=surroundings
    ):
        yield Observation(part="roles", resource=_role(arn), weakness=one)


def drift(
    roles: Iterable[Mapping[str, Any]], account: str, managed: Mapping[str, ManagedRole]
) -> Iterator[Observation]:
    """Yield where the roles that the trust file names are not what its profiles need.

    Args:
        roles: the account's roles, all of them.
        account: the account.
        managed: what the trust file says of roles, by ARN.
    """
    by_arn = {str(role.get("Arn")): role for role in roles}
    elsewhere: dict[str, list[str]] = {}
    for arn, wanted in sorted(managed.items()):
        role = by_arn.get(arn)
        if account_of(arn) != account:
            elsewhere.setdefault(account_of(arn) or "", []).append(arn)
        elif role is None:
            yield _drift(
                arn,
                "role-missing",
                Severity.MEDIUM,
                "the trust file names a role that there is not: whoever may create one of that name and path "
                "decides what the profiles' identities can do",
                "create it, or take it out of the trust file",
            )
        else:
            longest = role.get("MaxSessionDuration")
            if not isinstance(longest, int):
                yield _drift(
                    arn,
                    "role-session-unknown",
                    Severity.INFORMATIONAL,
                    "how long the role's sessions may be is not said",
                    "look at it in IAM",
                    Verdict.CANNOT_TELL,
                )
            elif longest < wanted.duration:
                yield _drift(
                    arn,
                    "role-session-too-short",
                    Severity.MEDIUM,
                    f"a profile asks for {wanted.duration} seconds and the role allows {longest}",
                    f"set its MaxSessionDuration to {wanted.duration}, or the profile's duration lower",
                )
    for owner, arns in elsewhere.items():
        yield _elsewhere(owner, arns)


def _elsewhere(account: str, arns: Sequence[str]) -> Observation:
    shown = ", ".join(arn.partition(":role/")[2] for arn in arns[:_NAMED])
    weakness = Weakness(
        code="role-elsewhere",
        severity=Severity.INFORMATIONAL,
        verdict=Verdict.CANNOT_TELL,
        subject=safe(account),
        text=f"the trust file names {len(arns)} role(s) of this account, which cannot be looked at from "
        f"here: {safe(shown)}{' and more' if len(arns) > _NAMED else ''}",
        cure="run `sallyport posture` there as well",
    )
    return Observation(part="roles", resource=Resource("AwsAccount", safe(account)), weakness=weakness)


def _drift(  # noqa: PLR0913, PLR0917 - what a weakness is made of
    arn: str, code: str, severity: Severity, text: str, cure: str, verdict: Verdict = Verdict.WEAK
) -> Observation:
    weakness = Weakness(
        code=code, severity=severity, verdict=verdict, subject=safe(arn), text=text, cure=cure
    )
    return Observation(part="roles", resource=_role(arn), weakness=weakness)


def _role(arn: str) -> Resource:
    return Resource("AwsIamRole", safe(arn))


def _of_key(key: access_keys.Key, account: str, now: datetime) -> Iterator[Observation]:
    user = "root" if key.user == access_keys.ROOT else f"user {key.user}"
    resource = Resource("AwsIamAccessKey", safe(f"{account} {user} {key.name}"))
    for one in access_keys.weaknesses(key, now):
        yield Observation(part="keys", resource=resource, weakness=one)


_POOL_SEVERITIES: Final = {PoolSeverity.ERROR: Severity.HIGH, PoolSeverity.WARNING: Severity.LOW}


def _of_pool(name: str, problem: PoolProblem) -> Observation:
    weakness = Weakness(
        code=problem.code,
        severity=_POOL_SEVERITIES[problem.severity],
        verdict=Verdict.WEAK,
        subject=safe(problem.subject),
        text=safe(problem.text),
        cure=problem.cure,
    )
    return Observation(part=POOLS, resource=Resource("AwsCognitoUserPool", safe(name)), weakness=weakness)


def as_finding(one: Observation, *, account: str, region: str, at: datetime, look: str) -> Finding:
    """Return an observation as a finding that is the same one at every look, for as long as it is there.

    Args:
        one: what was found.
        account: the account that was looked at.
        region: where the look was taken from; IAM itself has none.
        at: when.
        look: the look's own id; a finding counts each look once.
    """
    weakness = one.weakness
    rule = f"{RULE_PREFIX}{weakness.code}"
    statement = "" if weakness.statement is None else str(weakness.statement)
    about = (one.resource.type, one.resource.id, statement, weakness.subject)
    unsure = "" if weakness.is_certain else "cannot tell: "
    return Finding(
        id=finding_id(rule, account, about, ALWAYS),
        rule_id=rule,
        account=account,
        region=region,
        title=safe(f"{weakness.code.replace('-', ' ').capitalize()}: {one.resource.id}", 256),
        description=f"{unsure}{weakness.text}",
        severity=weakness.severity,
        dedupe=tuple(dict.fromkeys(filter(None, (one.resource.id, weakness.subject)))),
        window_start=ALWAYS,
        first_event=at,
        last_event=at,
        resources=(one.resource,),
        event_ids=(safe(one.occurrence or look, 128),),
        evidence=bounded_evidence(
            {
                "verdict": weakness.verdict.value,
                "statement": statement,
                "subject": weakness.subject,
                "change": "" if weakness.change is None else str(weakness.change),
            }
        ),
        remedy=weakness.cure,
        runbook=f"{RUNBOOK}#{'user-pools' if one.part == POOLS else weakness.code}",
    )
