"""Ways in for SAML assertions: at which sign-in endpoints they may be presented.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_saml.html and the AWS
Security Blog's advice to list several Regions' endpoints, so that people can sign in while one is down.
"""

import re
from collections.abc import Iterator
from typing import Final

from sallyport.audit.finding import Severity
from sallyport.audit.trust_policy.conditions import Family, Test
from sallyport.audit.trust_policy.document import ANYBODY, SAML, Policy, Way, equals
from sallyport.audit.trust_policy.reach import Reach, chosen, own_value, reach
from sallyport.audit.weakness import Verdict, Weakness

_PROVIDER: Final = re.compile(r"arn:[a-z0-9-]+:iam::(?P<account>[0-9]{12}):saml-provider/.+")
_SIGN_IN: Final = re.compile(
    r"https://(?:(?P<region>[a-z0-9*?-]+)\.)?"
    r"(?P<host>signin\.(?:aws\.amazon\.com|amazonaws-us-gov\.com|amazonaws\.cn))/saml(?:/acs/.+|\*)?"
)
# The address without a Region is that of one Region all the same.
_BARE: Final = {
    "signin.aws.amazon.com": "us-east-1",
    "signin.amazonaws-us-gov.com": "us-gov-west-1",
    "signin.amazonaws.cn": "cn-north-1",
}
_AUDIENCE: Final = "saml:aud"


def weaknesses(policy: Policy, *, account: str) -> Iterator[Weakness]:
    """Yield what is weak about the ways in by ``sts:AssumeRoleWithSAML``."""
    for way in policy.ways(SAML, "Federated", ANYBODY, "AWS"):
        provider = way.principal.value
        if provider == ANYBODY:
            yield way.weakness(
                "open-to-any-provider",
                Severity.HIGH,
                "whoever any SAML provider of the account vouches for could assume the role, if STS takes "
                "anybody for a principal here",
                "name the provider",
                verdict=Verdict.CANNOT_TELL,
            )
        elif found := _PROVIDER.fullmatch(provider):
            yield from _of_provider(way)
            if found["account"] != account:
                yield way.weakness(
                    "provider-elsewhere",
                    Severity.LOW,
                    "the provider is another account's, and for whom it vouches is decided there",
                    "name the provider of the role's own account",
                    verdict=Verdict.CANNOT_TELL,
                )


def _of_provider(way: Way) -> Iterator[Weakness]:
    elsewhere = reach(way.clauses, _presented_elsewhere)
    if elsewhere is not Reach.NOBODY:
        yield way.weakness(
            "saml-any-audience",
            Severity.MEDIUM,
            "where an assertion was to be presented is not looked at: one for another service would do",
            "demand AWS's sign-in endpoints as SAML:aud",
            subject="SAML:aud",
            verdict=elsewhere.verdict,
            set_to=(equals("SAML:aud"), ["<sign-in endpoint>", "<another Region's>"]),
        )
        return
    for test in way.statement.tests:
        if test.name == _AUDIENCE and test.is_wanting:
            yield from _endpoints(way, test)


def _presented_elsewhere(test: Test) -> Reach:
    """Return what the holder of an assertion for another service makes of a test."""
    if test.name == _AUDIENCE:
        return own_value(
            test,
            lambda value: Reach.NOBODY if _SIGN_IN.fullmatch(value) else Reach.SOMEBODY,
            may_be_absent=False,
        )
    if test.family is Family.UNKNOWN:
        return Reach.UNKNOWN
    return chosen(test) if test.name.startswith("saml:") else Reach.SOMEBODY


def _endpoints(way: Way, test: Test) -> Iterator[Weakness]:
    found = [_SIGN_IN.fullmatch(value) for value in test.values]
    if not all(found):
        yield way.weakness(
            "saml-audience-unknown",
            Severity.LOW,
            "SAML:aud lists what is not known here as a sign-in endpoint of AWS",
            "use the address that AWS publishes for each Region",
            subject=f"{test.operator} {test.key}",
            verdict=Verdict.CANNOT_TELL,
        )
        return
    regions = {one["region"] or _BARE[one["host"]] for one in found if one is not None}
    if len(regions) == 1 and not any(one in region for region in regions for one in "*?"):
        yield way.weakness(
            "saml-single-endpoint",
            Severity.LOW,
            f"one Region's endpoint alone lets people in ({min(regions)}), and while it is down none does",
            "list the endpoints of several Regions, and tell the identity provider of them",
            subject=f"{test.operator} {test.key}",
            set_to=(
                ("Condition", test.operator, test.key),
                [*test.values, "<another Region's sign-in endpoint>"],
            ),
        )
