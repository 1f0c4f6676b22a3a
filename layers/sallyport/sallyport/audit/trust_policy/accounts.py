"""Ways in for AWS principals: anybody, other accounts, and sessions that nobody can trace."""

from collections.abc import Collection, Iterator
from typing import Final

from sallyport.audit.finding import Severity, safe
from sallyport.audit.trust_policy.conditions import Family, Test
from sallyport.audit.trust_policy.document import (
    ANYBODY,
    ASSUME_ROLE,
    SET_SOURCE_IDENTITY,
    Policy,
    Principal,
    Way,
    account_of,
    is_whole_account,
)
from sallyport.audit.trust_policy.reach import (
    SOURCE_IP,
    Reach,
    account_fits,
    by_service,
    demands,
    is_everywhere,
    own_value,
    reach,
    stranger,
)
from sallyport.audit.weakness import Change, Verdict, Weakness

EXTERNAL_ID: Final = "sts:externalid"
SOURCE_IDENTITY: Final = ("sts:sourceidentity", "aws:sourceidentity")

_ORGANIZATIONS: Final = ("aws:principalorgid", "aws:principalorgpaths")
_UNIQUE_IDS: Final = ("AIDA", "AROA", "AGPA", "ANPA")


def weaknesses(
    policy: Policy,
    *,
    account: str,
    org_accounts: Collection[str] | None,
    organization: str,
    expected: Collection[str],
) -> Iterator[Weakness]:
    """Yield what is weak about the ways in by ``sts:AssumeRole``.

    Args:
        policy: the role's trust policy.
        account: the role's account.
        org_accounts: the own organisation's accounts; ``None`` if nobody has said.
        organization: its id; empty if nobody has said.
        expected: principals that are meant to come, wherever they are.
    """
    for way in policy.ways(ASSUME_ROLE, "CanonicalUser"):
        yield _not_a_principal(way)
    may_set = {way.principal for way in policy.ways(SET_SOURCE_IDENTITY, "AWS", ANYBODY)}
    for way in policy.ways(ASSUME_ROLE, "AWS", ANYBODY):
        principal = way.principal.value
        if principal == ANYBODY:
            yield from _anybody(way, account, org_accounts, organization)
        elif not account_of(principal):
            yield _not_a_principal(way)
            continue
        elif account_of(principal) != account and principal not in expected:
            yield from _foreign(way, org_accounts, organization)
        yield from _untraceable(way, may_set)


def _anybody(
    way: Way, account: str, org_accounts: Collection[str] | None, organization: str
) -> Iterator[Weakness]:
    found = reach(way.clauses, stranger)
    if way.statement.is_all_but:
        text = "everybody in AWS but a few may assume the role"
    else:
        text = "anybody with an AWS account may assume the role"
    if found is Reach.NOBODY and reach(way.clauses, by_service) is not Reach.NOBODY:
        found = Reach.UNKNOWN
        text = (
            "whoever comes by a service, as certificates do by IAM Roles Anywhere, may assume the "
            "role, if services are among those who are let in"
        )
    elif found is Reach.UNKNOWN:
        text = f"whether {text}, hangs on conditions that cannot be judged from here"
    if found is not Reach.NOBODY:
        hurdle = _hurdle(way)
        yield Weakness(
            code="open-to-anybody",
            severity=Severity.HIGH if hurdle or found is Reach.UNKNOWN else Severity.CRITICAL,
            verdict=found.verdict,
            statement=way.statement.index,
            subject=ANYBODY,
            text=f"{text}{hurdle}",
            cure="name the roles that are meant, or demand the own organisation with aws:PrincipalOrgID",
            change=_organization_only(way, organization),
        )
        return
    yield from _named_by_conditions(way, account, org_accounts, organization)


def _hurdle(way: Way) -> str:
    """Return what stands in a stranger's way without stopping him, as a part of a sentence."""
    if any(
        test.name == EXTERNAL_ID and test.is_wanting and not any(map(test.is_pattern, test.values))
        for clause in way.clauses
        for test in clause
        if len(clause) == 1
    ):
        return ", if he knows the ExternalId, which is no secret: it stands in policies and in records"
    if any(
        test.name == SOURCE_IP and test.is_wanting and not is_everywhere(test)
        for clause in way.clauses
        for test in clause
        if len(clause) == 1
    ):
        return ", from certain networks, which others may share"
    return ""


def _organization_only(way: Way, organization: str) -> Change:
    path = (*way.statement.path, "Condition", "StringEquals", "aws:PrincipalOrgID")
    return Change(path=path, value=organization or "<organisation id>")


def _named_by_conditions(
    way: Way, account: str, org_accounts: Collection[str] | None, organization: str
) -> Iterator[Weakness]:
    """Yield the accounts and organisations that conditions name in place of the principal."""
    for test in (clause[0] for clause in way.clauses if len(clause) == 1):
        if not test.is_wanting:
            continue
        for value in test.values:
            if test.name in _ORGANIZATIONS and not _is_own_organization(test, value, organization):
                yield _foreign_organization(way, value, organization)
            if test.variables(value):
                continue
            # A pattern of ARNs names an account as well, as far as that is written out.
            named = account_of(value) if test.name in ("aws:principalaccount", "aws:principalarn") else ""
            if named and named != account and not _keeps_out(way, named, org_accounts, organization):
                yield _foreign_account(way, value, org_accounts)


def _foreign_organization(way: Way, value: str, organization: str) -> Weakness:
    return Weakness(
        code="foreign-organization",
        severity=Severity.MEDIUM if organization else Severity.INFORMATIONAL,
        verdict=Verdict.WEAK if organization else Verdict.CANNOT_TELL,
        statement=way.statement.index,
        subject=safe(value),
        text="every account of another organisation may assume the role"
        if organization
        else "every account of an organisation may assume the role, and which is the own one nobody has said",
        cure="name the own organisation's id, or the accounts and roles that are meant",
    )


# --- other accounts -------------------------------------------------------------------------------


def _keeps_out(way: Way, foreign: str, org_accounts: Collection[str] | None, organization: str) -> bool:
    """Tell whether an account is the own organisation's, or kept out unless it is."""
    if org_accounts is not None and foreign in org_accounts:
        return True

    def outsider(test: Test) -> Reach:
        # Whoever owns an account decides on everything else in it.
        is_own = test.name in _ORGANIZATIONS and test.is_wanting and bool(test.values)
        is_own = is_own and all(_is_own_organization(test, value, organization) for value in test.values)
        return Reach.NOBODY if is_own else Reach.SOMEBODY

    return reach(way.clauses, outsider) is Reach.NOBODY


def _is_own_organization(test: Test, value: str, organization: str) -> bool:
    if test.variables(value):
        return value.lower() == "${aws:resourceorgid}"
    return organization != "" and value.partition("/")[0] == organization


def _foreign(way: Way, org_accounts: Collection[str] | None, organization: str) -> Iterator[Weakness]:
    principal = way.principal.value
    if _keeps_out(way, account_of(principal), org_accounts, organization):
        return
    yield _foreign_account(way, principal, org_accounts)
    found = reach(way.clauses, without_external_id)
    if found is Reach.NOBODY:
        return
    whole = is_whole_account(principal)
    yield Weakness(
        code="foreign-no-external-id",
        severity=Severity.HIGH if whole else Severity.MEDIUM,
        verdict=Verdict.CANNOT_TELL if org_accounts is None else found.verdict,
        statement=way.statement.index,
        subject=safe(principal),
        text="a principal of another account may assume the role without an ExternalId, so that a service of "
        "that account could be talked into doing it for somebody else",
        cure="agree on an ExternalId with the account's owner and demand it with StringEquals",
        change=Change(
            path=(*way.statement.path, "Condition", "StringEquals", "sts:ExternalId"), value="<external id>"
        ),
    )


def _foreign_account(way: Way, principal: str, org_accounts: Collection[str] | None) -> Weakness:
    whole = is_whole_account(principal)
    known = org_accounts is not None
    who = "everybody to whom another account gives permission" if whole else "a principal of another account"
    return Weakness(
        code="foreign-account",
        severity=Severity.MEDIUM if whole else Severity.LOW,
        verdict=Verdict.WEAK if known else Verdict.CANNOT_TELL,
        statement=way.statement.index,
        subject=safe(principal),
        text=f"{who} may assume the role"
        + ("" if known else ", and which accounts are the own organisation's nobody has said"),
        cure="if that account is not meant, remove it; if it is, name one role of it, not the account",
    )


def without_external_id(test: Test) -> Reach:
    """Return what somebody makes of a test who brings no ExternalId, or one that nobody has written out."""
    if test.name != EXTERNAL_ID:
        return Reach.UNKNOWN if test.family is Family.UNKNOWN else Reach.SOMEBODY
    return own_value(test, account_fits, may_be_absent=True)


def _not_a_principal(way: Way) -> Weakness:
    principal = way.principal.value
    if principal.startswith(_UNIQUE_IDS):
        return Weakness(
            code="principal-gone",
            severity=Severity.INFORMATIONAL,
            verdict=Verdict.WEAK,
            statement=way.statement.index,
            subject=safe(principal),
            text="the principal was deleted: IAM shows its unique id, and nobody can be it again",
            cure="remove it",
        )
    return Weakness(
        code="principal-unreadable",
        severity=Severity.HIGH,
        verdict=Verdict.CANNOT_TELL,
        statement=way.statement.index,
        subject=safe(principal),
        text="the principal has a form that is not known here",
        cure="look whom it means, and name an account, a role or a user by its ARN",
    )


# --- tracing --------------------------------------------------------------------------------------


def _untraceable(way: Way, may_set: Collection[Principal]) -> Iterator[Weakness]:
    if not any(is_among(way.principal, one) for one in may_set):
        yield Weakness(
            code="source-identity-impossible",
            severity=Severity.LOW,
            verdict=Verdict.WEAK,
            statement=way.statement.index,
            subject=safe(way.principal.value),
            text="sts:SetSourceIdentity is not allowed, so sessions have no source identity, and whoever has "
            "one is refused",
            cure="allow sts:SetSourceIdentity to the principal that may sts:AssumeRole",
        )
    elif not demands(way.clauses, *SOURCE_IDENTITY):
        unsure = any(test.family is Family.UNKNOWN for clause in way.clauses for test in clause)
        yield Weakness(
            code="source-identity-omittable",
            severity=Severity.LOW,
            verdict=Verdict.CANNOT_TELL if unsure else Verdict.WEAK,
            statement=way.statement.index,
            subject=safe(way.principal.value),
            text="the caller may leave the source identity out, and then nobody can say later who it was",
            cure='demand it with "Null": {"sts:SourceIdentity": "false"}',
            change=Change(
                path=(*way.statement.path, "Condition", "Null", "sts:SourceIdentity"), value="false"
            ),
        )


def is_among(principal: Principal, others: Principal) -> bool:
    """Tell whether a principal is one of those that another one stands for."""
    if others in (principal, Principal(ANYBODY, ANYBODY)):
        return True
    if principal.kind != "AWS" or others.kind != "AWS":
        return False
    return others.value == ANYBODY or (
        is_whole_account(others.value) and account_of(others.value) == account_of(principal.value) != ""
    )
