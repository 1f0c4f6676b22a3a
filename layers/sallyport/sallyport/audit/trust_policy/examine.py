"""Who may assume a role, and whom its trust policy lets in besides: an evaluator of our own.

Pure. ``docs/posture.md`` has the table of codes. What is read is what IAM or CloudTrail gave, and somebody
else wrote it: nothing in it makes ``examine`` raise.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from sallyport.audit.finding import Severity, safe
from sallyport.audit.trust_policy import accounts, managed, oidc, saml, services
from sallyport.audit.trust_policy.document import Gap, Policy, read_policy
from sallyport.audit.trust_policy.managed import ManagedRole
from sallyport.audit.weakness import Verdict, Weakness

OPEN: Final = frozenset(
    {
        "open-to-anybody",
        "open-to-any-provider",
        "foreign-account",
        "foreign-organization",
        "oidc-any-subject",
        "oidc-any-audience",
        "oidc-many-tenants",
        "cognito-any-pool",
        "cognito-guests",
        "saml-any-audience",
        "anywhere-any-anchor",
        "anywhere-any-certificate",
        "service-for-anybody",
        "service-for-other-account",
    }
)
"""Codes that mean: somebody may come whom nobody has named."""


LACKING: Final = frozenset(
    {
        "source-identity-impossible",
        "anywhere-no-set-source-identity",
        "anywhere-no-tag-session",
        "managed-external-id-missing",
        "managed-issuer-missing",
        "managed-no-set-source-identity",
        "managed-no-tag-session",
        "managed-principal-missing",
    }
)
"""Codes that mean: no statement allows it. A statement that was not understood could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known beside the policy itself. Everything may be unknown; then more cannot be told.

    Attributes:
        org_accounts: the accounts of the own organisation; ``None`` if nobody has said.
        organization: the own organisation's id, ``o-…``; empty if nobody has said.
        managed: roles that the trust file names, by ARN (``managed.managed_roles`` makes it).
    """

    org_accounts: Collection[str] | None = None
    organization: str = ""
    managed: Mapping[str, ManagedRole] = field(default_factory=dict)


NOTHING_KNOWN: Final = Surroundings()


def examine(
    document: object, *, account: str, role: str = "", surroundings: Surroundings = NOTHING_KNOWN
) -> tuple[Weakness, ...]:
    """Return what is weak about a role's trust policy, the worst first; never raises.

    An empty answer says that nothing was found, in a document that was understood in full.

    Args:
        document: the policy as IAM returns it (an object, or its text, percent-encoded or not), or as
            CloudTrail has it in ``assumeRolePolicyDocument`` and ``policyDocument``.
        account: the role's account, 12 digits.
        role: the role's ARN, as far as it is known; looked up in ``surroundings.managed``.
        surroundings: what else is known.
    """
    policy = read_policy(document)
    known = surroundings.managed.get(role)
    found: dict[tuple[str, int | None, str], Weakness] = {}
    is_partial = any(gap.code != "condition-unreadable" for gap in policy.gaps)
    for one in _weaknesses(policy, account, known, surroundings):
        unsure = is_partial and one.code in LACKING
        # One statement can be several ways in for the same principal.
        found.setdefault(
            (one.code, one.statement, one.subject),
            replace(one, verdict=Verdict.CANNOT_TELL) if unsure else one,
        )
    return tuple(sorted(found.values(), key=_worst_first))


def _worst_first(one: Weakness) -> tuple[int, int, str, str]:
    return -one.severity, -1 if one.statement is None else one.statement, one.code, one.subject


def _weaknesses(
    policy: Policy, account: str, role: ManagedRole | None, surroundings: Surroundings
) -> Iterator[Weakness]:
    yield from map(_cannot_tell, policy.gaps)
    yield from accounts.weaknesses(
        policy,
        account=account,
        org_accounts=surroundings.org_accounts,
        organization=surroundings.organization,
        expected=frozenset() if role is None else role.principals,
    )
    yield from oidc.weaknesses(policy, account=account)
    yield from saml.weaknesses(policy, account=account)
    yield from services.weaknesses(policy, account=account, org_accounts=surroundings.org_accounts)
    if role is not None:
        yield from managed.weaknesses(policy, role)


def _cannot_tell(gap: Gap) -> Weakness:
    return Weakness(
        code=gap.code,
        severity=Severity.MEDIUM if gap.code == "condition-unreadable" else Severity.HIGH,
        verdict=Verdict.CANNOT_TELL,
        statement=gap.statement,
        subject=safe(gap.subject),
        text=gap.text,
        cure="look at it yourself, and write it so that there is one way to read it",
    )
