"""Ways in for AWS services: on whose behalf they come, and which certificates Roles Anywhere vouches for.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html and
https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html.
"""

from collections.abc import Collection, Iterator
from typing import Final

from sallyport.audit.finding import Severity
from sallyport.audit.trust_policy.conditions import Family, Test
from sallyport.audit.trust_policy.document import (
    ASSUME_ROLE,
    SET_SOURCE_IDENTITY,
    TAG_SESSION,
    Policy,
    Way,
    equals,
)
from sallyport.audit.trust_policy.reach import (
    CERTIFICATE_TAG,
    Reach,
    account_fits,
    certificate_fits,
    chosen,
    own_value,
    reach,
    stranger,
)
from sallyport.audit.weakness import Verdict, Weakness
from sallyport.trust.wildcards import WILDCARDS, literal_prefix

ROLES_ANYWHERE: Final = "rolesanywhere.amazonaws.com"

# Services that act for resources of many accounts, and whose own guides say that a role's trust policy
# should name the account or the resource. For others a role has to be passed to them, which asks for
# iam:PassRole in the role's own account.
_DEPUTIES: Final = frozenset(
    {
        "backup.amazonaws.com",
        "bedrock.amazonaws.com",
        "cloudtrail.amazonaws.com",
        "cognito-idp.amazonaws.com",
        "config.amazonaws.com",
        "datasync.amazonaws.com",
        "delivery.logs.amazonaws.com",
        "events.amazonaws.com",
        "firehose.amazonaws.com",
        "glue.amazonaws.com",
        "imagebuilder.amazonaws.com",
        "logs.amazonaws.com",
        "pipes.amazonaws.com",
        "scheduler.amazonaws.com",
        "ssm.amazonaws.com",
        "states.amazonaws.com",
        "transfer.amazonaws.com",
        "vpc-flow-logs.amazonaws.com",
    }
)
_SOURCES: Final = frozenset({"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths"})
_RESOURCE: Final = 5
_ACCOUNT_DIGITS: Final = 12


def weaknesses(
    policy: Policy, *, account: str, org_accounts: Collection[str] | None = None
) -> Iterator[Weakness]:
    """Yield what is weak about the ways in of services.

    Args:
        policy: the role's trust policy.
        account: the role's account.
        org_accounts: the own organisation's accounts; ``None`` if nobody has said.
    """
    for way in policy.ways(ASSUME_ROLE, "Service"):
        service = way.principal.value.lower()
        if any(one in service for one in WILDCARDS):
            yield way.weakness(
                "principal-unreadable",
                Severity.HIGH,
                "which services are meant, is not written out: IAM Roles Anywhere is one as well",
                "name the service",
                verdict=Verdict.CANNOT_TELL,
            )
        elif service == ROLES_ANYWHERE:
            yield from _of_certificates(policy, way)
        elif _without_region(service) in _DEPUTIES:
            found = reach(way.clauses, _for_somebody_else)
            if found is not Reach.NOBODY:
                yield way.weakness(
                    "service-for-anybody",
                    Severity.LOW,
                    "the service may assume the role on behalf of any account's resources",
                    "demand the own account with aws:SourceAccount, or the resource with aws:SourceArn",
                    verdict=found.verdict,
                    set_to=(equals("aws:SourceAccount"), account),
                )
            else:
                yield from _for_others(way, account, org_accounts)


def _for_others(way: Way, account: str, org_accounts: Collection[str] | None) -> Iterator[Weakness]:
    """Yield the accounts for which a service may come, and which are not the own one."""
    own = {account, *(org_accounts or ())}
    for test in (clause[0] for clause in way.clauses if len(clause) == 1):
        if test.name not in ("aws:sourceaccount", "aws:sourcearn") or not test.is_wanting:
            continue
        for value in test.values:
            named = value if test.name == "aws:sourceaccount" else _account_in(value)
            if len(named) == _ACCOUNT_DIGITS and named.isdigit() and named not in own:
                yield way.weakness(
                    "service-for-other-account",
                    Severity.LOW,
                    "the service may assume the role on behalf of another account's resources",
                    "remove that account unless it is meant",
                    subject=value,
                    verdict=Verdict.CANNOT_TELL if org_accounts is None else Verdict.WEAK,
                )


def _account_in(arn: str) -> str:
    parts = arn.split(":", _RESOURCE)
    return parts[4] if len(parts) > _RESOURCE else ""


def _without_region(service: str) -> str:
    """Return a service principal as it is called where it has no Region in it."""
    parts = service.split(".")
    # Name, Region, amazonaws, com.
    has_region = len(parts) == 4 and "-" in parts[1]  # noqa: PLR2004 - as above
    return f"{parts[0]}.{'.'.join(parts[-2:])}" if has_region else service


def _for_somebody_else(test: Test) -> Reach:
    """Return what a service makes of a test that comes for a stranger."""
    if test.name in _SOURCES:
        return stranger(test)
    if test.name == "sts:externalid":
        # Cognito brings one, by which its pool is known.
        return own_value(test, account_fits, may_be_absent=True)
    return Reach.UNKNOWN if test.family is Family.UNKNOWN else Reach.SOMEBODY


# --- IAM Roles Anywhere ---------------------------------------------------------------------------


def _of_certificates(policy: Policy, way: Way) -> Iterator[Weakness]:
    any_anchor = reach(way.clauses, _of_another_anchor)
    any_certificate = reach(way.clauses, _of_another_holder)
    both = any_anchor is not Reach.NOBODY and any_certificate is not Reach.NOBODY
    severity = Severity.HIGH if both else Severity.MEDIUM
    if any_anchor is not Reach.NOBODY:
        yield way.weakness(
            "anywhere-any-anchor",
            severity,
            "certificates of every trust anchor in the account are taken, also of those to come; names are "
            "unique for one authority alone",
            "demand the trust anchor with aws:SourceArn",
            verdict=any_anchor.verdict,
            set_to=(("Condition", "ArnEquals", "aws:SourceArn"), "<trust anchor ARN>"),
        )
    if any_certificate is not Reach.NOBODY:
        yield way.weakness(
            "anywhere-any-certificate",
            severity,
            "whoever has a certificate of the authority may assume the role: nothing of the certificate is "
            "looked at",
            "demand a field of it, as with aws:PrincipalTag/x509Subject/CN",
            verdict=any_certificate.verdict,
            set_to=(equals("aws:PrincipalTag/x509Subject/CN"), "<common name>"),
        )
    for action, code, why in (
        (SET_SOURCE_IDENTITY, "anywhere-no-set-source-identity", "the session has none, or is refused"),
        (TAG_SESSION, "anywhere-no-tag-session", "the certificate's fields cannot become tags"),
    ):
        if not any(one.principal == way.principal for one in policy.ways(action, "Service")):
            yield way.weakness(
                code,
                Severity.LOW,
                f"{action} is not allowed to IAM Roles Anywhere: {why}",
                f"allow {action} beside sts:AssumeRole",
            )


def _of_another_anchor(test: Test) -> Reach:
    """Return what the holder of a certificate of another anchor in this account makes of a test."""
    if test.name == "aws:sourcearn":
        return own_value(test, _anchor_fits, may_be_absent=False)
    # The account is that of every anchor that could bring somebody here.
    return Reach.UNKNOWN if test.family is Family.UNKNOWN else chosen(test)


def _anchor_fits(value: str) -> Reach:
    parts = value.split(":", _RESOURCE)
    resource = parts[_RESOURCE] if len(parts) > _RESOURCE else ""
    identifier = resource.removeprefix("trust-anchor/")
    return Reach.NOBODY if len(literal_prefix(identifier)) == len(identifier) > 0 else Reach.SOMEBODY


def _of_another_holder(test: Test) -> Reach:
    """Return what the holder of another certificate makes of a test."""
    if test.name.startswith(CERTIFICATE_TAG) or test.name == "sts:sourceidentity":
        return own_value(test, certificate_fits, may_be_absent=True)
    if test.name == "sts:rolesessionname":
        # A certificate's serial number, unless its profile lets the holder choose.
        return Reach.SOMEBODY if test.missing or test.negated else Reach.UNKNOWN
    return Reach.UNKNOWN if test.family is Family.UNKNOWN else chosen(test)
