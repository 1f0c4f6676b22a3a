"""Whether somebody of a kind could get past a condition: nobody, everybody, or it cannot be told.

The somebody is given by what he has a hold on: keys whose values he chooses, keys in which he always has a
value that is his own, keys that he never has. Keys are looked at one by one, so a pair of conditions that
nobody could meet together counts as one that somebody meets: too many ways in are reported, never too few.
Source of the keys:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from ipaddress import ip_network
from typing import Final

from sallyport.audit.account_ids import is_account_id
from sallyport.audit.trust_policy.conditions import Clause, Family, Test
from sallyport.audit.weakness import Verdict
from sallyport.trust.wildcards import literal_prefix


class Reach(IntEnum):
    """Whether somebody of a kind gets past."""

    NOBODY = 0
    UNKNOWN = 1
    SOMEBODY = 2

    @property
    def verdict(self) -> Verdict:
        """How sure it is that somebody gets in, where he is not kept out."""
        return Verdict.WEAK if self is Reach.SOMEBODY else Verdict.CANNOT_TELL


Grip = Callable[[Test], Reach]
"""What a kind of somebody makes of one test."""


def reach(clauses: Iterable[Clause], grip: Grip) -> Reach:
    """Return whether somebody gets past all clauses; each is passed by meeting one of its tests."""
    return min((max(map(grip, clause), default=Reach.NOBODY) for clause in clauses), default=Reach.SOMEBODY)


def demands(clauses: Iterable[Clause], *names: str) -> bool:
    """Tell whether nobody gets past without one of some keys (in lower case)."""
    return any(
        clause and all(test.name in names and test.demands_presence for test in clause) for clause in clauses
    )


def is_of_proof(name: str) -> bool:
    """Tell whether a key (in lower case) is a claim of some issuer's tokens, or of a SAML assertion."""
    service, _, rest = name.partition(":")
    return service == "saml" or ("." in service and rest != "")


# --- grips on one key -----------------------------------------------------------------------------


def chosen(test: Test) -> Reach:
    """Return what somebody makes of a test on a key whose value he chooses, or leaves out."""
    if test.family is Family.UNKNOWN:
        return Reach.UNKNOWN
    if test.missing or test.negated or test.family is Family.NULL:
        return Reach.SOMEBODY
    if not test.values:
        return Reach.NOBODY
    if test.family not in (Family.DATE, Family.BINARY):
        return Reach.SOMEBODY
    # A date may be past; nobody tells the time here.
    return Reach.UNKNOWN


def absent(test: Test) -> Reach:
    """Return what somebody makes of a test on a key that he never has."""
    if test.family is Family.UNKNOWN:
        return Reach.UNKNOWN
    return Reach.SOMEBODY if test.missing else Reach.NOBODY


def own_value(
    test: Test, fits: Callable[[str], Reach], *, may_be_absent: bool, ours: Iterable[str] = ()
) -> Reach:
    """Return what somebody makes of a test on a key in which he has a value of his own.

    Args:
        test: the test.
        fits: says of one expected pattern whether a stranger's value could fit it. What is written out is
            somebody's value, and not a stranger's.
        may_be_absent: whether he may lack the key as well.
        ours: variables that stand for a value of the role's own account, which no stranger has.
    """
    if test.family is Family.UNKNOWN:
        return Reach.UNKNOWN
    if test.family is Family.NULL:
        return Reach.SOMEBODY if may_be_absent or not test.negated else Reach.NOBODY
    if may_be_absent and test.missing:
        return Reach.SOMEBODY
    if test.negated:
        return _gets_past_others(test, fits)
    return max((_fits(test, value, fits, frozenset(ours)) for value in test.values), default=Reach.NOBODY)


def _fits(test: Test, value: str, fits: Callable[[str], Reach], ours: frozenset[str]) -> Reach:
    variables = test.variables(value)
    if variables:
        whole = (
            len(variables) == 1 and value.startswith("${") and value.endswith("}") and value.count("{") == 1
        )
        return Reach.NOBODY if whole and variables[0] in ours else Reach.UNKNOWN
    if test.is_pattern(value):
        return fits(value)
    return Reach.NOBODY if test.family in (Family.STRING, Family.LIKE, Family.ARN) else Reach.UNKNOWN


def _gets_past_others(test: Test, fits: Callable[[str], Reach]) -> Reach:
    """Return whether a stranger has a value that none of those excluded fits: he does, unless all fit."""
    if any(test.has_patterns and value.strip("*") == "" for value in test.values):
        return Reach.NOBODY
    if any(test.is_pattern(value) and fits(value) is not Reach.NOBODY for value in test.values):
        return Reach.UNKNOWN
    return Reach.SOMEBODY


def account_fits(value: str) -> Reach:
    """Tell whether a stranger's account or organisation could fit a pattern: part of an id is anybody's."""
    return Reach.NOBODY if "/" in literal_prefix(value) else Reach.SOMEBODY


_ACCOUNT: Final = 4
_COLONS: Final = 5


def arn_fits(value: str, *, in_parts: bool = False) -> Reach:
    """Tell whether an ARN of a stranger's account could fit a pattern.

    Args:
        value: the pattern.
        in_parts: whether its parts are compared one by one, as the operators for ARNs do.
    """
    if literal_prefix(value).count(":") >= _COLONS:
        # Without an account in it (an S3 bucket's ARN has none) it could be anybody's.
        return Reach.NOBODY if value.split(":")[_ACCOUNT] else Reach.UNKNOWN
    parts = value.split(":", _COLONS)
    if len(parts) > _ACCOUNT and is_account_id(parts[_ACCOUNT]):
        # An asterisk before it may stretch over colons, but for the operators for ARNs.
        return Reach.NOBODY if in_parts else Reach.UNKNOWN
    return Reach.SOMEBODY


_UNIQUE_ID: Final = 16


def unique_id_fits(value: str) -> Reach:
    """Tell whether a stranger's ``aws:userid`` could fit: it begins with an id that AWS never gives twice."""
    return Reach.NOBODY if len(literal_prefix(value)) >= _UNIQUE_ID else Reach.SOMEBODY


# --- networks -------------------------------------------------------------------------------------

SOURCE_IP: Final = "aws:sourceip"


def is_everywhere(test: Test) -> bool:
    """Tell whether a test of addresses lets every address through."""
    return not test.negated and any(map(_is_everywhere, test.values))


def _is_everywhere(value: str) -> bool:
    try:
        return ip_network(value, strict=False).prefixlen == 0
    except ValueError:
        return False


# --- strangers with an AWS account ----------------------------------------------------------------

_CHOSEN: Final = frozenset(
    {
        "sts:externalid",
        "sts:rolesessionname",
        "sts:sourceidentity",
        "sts:durationseconds",
        "sts:transitivetagkeys",
        "aws:sourceidentity",
        "aws:username",
        "aws:useragent",
        "aws:referer",
        "aws:tagkeys",
        "aws:principaltype",
        "aws:multifactorauthpresent",
        "aws:multifactorauthage",
        "aws:securetransport",
        "aws:requestedregion",
        "aws:currenttime",
        "aws:epochtime",
        "aws:tokenissuetime",
        SOURCE_IP,
    }
)
_CHOSEN_BEGINNINGS: Final = ("aws:requesttag/", "aws:principaltag/")
_OF_ACCOUNTS: Final = frozenset(
    {"aws:principalaccount", "aws:sourceaccount", "aws:vpceaccount", "aws:principalorgid"}
    | {"aws:principalorgpaths", "aws:sourceorgid", "aws:sourceorgpaths", "aws:vpceorgid", "aws:vpceorgpaths"}
    | {"aws:sourcevpc", "aws:sourcevpce"}
)
_ALWAYS_THERE: Final = frozenset({"aws:principalaccount", "aws:principalarn", "aws:userid"})
_OURS: Final = {
    "aws:principalaccount": ("aws:resourceaccount",),
    "aws:sourceaccount": ("aws:resourceaccount",),
    "aws:vpceaccount": ("aws:resourceaccount",),
    "aws:principalorgid": ("aws:resourceorgid",),
    "aws:sourceorgid": ("aws:resourceorgid",),
    "aws:vpceorgid": ("aws:resourceorgid",),
}


def stranger(test: Test) -> Reach:
    """Return what anybody with an AWS account of his own makes of a test.

    He may know an ExternalId, may sit in any network, and tags his own users and roles as he likes.
    """
    name = test.name
    if name in _CHOSEN or name.startswith(_CHOSEN_BEGINNINGS):
        return chosen(test)
    if name in _OF_ACCOUNTS:
        return own_value(
            test, account_fits, may_be_absent=name not in _ALWAYS_THERE, ours=_OURS.get(name, ())
        )
    if name in ("aws:principalarn", "aws:sourcearn"):
        in_parts = test.family is Family.ARN
        return own_value(
            test, lambda value: arn_fits(value, in_parts=in_parts), may_be_absent=name not in _ALWAYS_THERE
        )
    if name == "aws:userid":
        return own_value(test, unique_id_fits, may_be_absent=False)
    if is_of_proof(name):
        # Claims and assertions come with calls of their own, never with sts:AssumeRole.
        return absent(test)
    return Reach.UNKNOWN


# --- whoever comes by a service -------------------------------------------------------------------

# Where a service calls for somebody, it is the service that has called, and it has none of these.
_OF_CALLERS: Final = frozenset(
    {"aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn"}
    | {"aws:userid", "aws:username", "aws:sourcevpc", "aws:sourcevpce"}
)
CERTIFICATE_TAG: Final = "aws:principaltag/x509"


def by_service(test: Test) -> Reach:
    """Return what somebody makes of a test who comes by a service that the role's own account uses.

    Above all the holder of a certificate, by IAM Roles Anywhere: of any certificate that nobody has named.
    """
    name = test.name
    if name in _OF_CALLERS or is_of_proof(name):
        return absent(test)
    if name.startswith(CERTIFICATE_TAG) or name == "sts:sourceidentity":
        return own_value(test, certificate_fits, may_be_absent=True)
    return chosen(test)


def certificate_fits(value: str) -> Reach:
    """Tell whether a part of a stranger's certificate could fit a pattern."""
    fixed = literal_prefix(value).removeprefix("CN=")
    return Reach.SOMEBODY if not fixed and not value.removeprefix("CN=").strip("*?") else Reach.NOBODY
