"""Ways in for tokens: whose, for whom, and whether the conditions look at the token that is presented.

STS reads ``sub`` and ``aud`` of every token, and of some issuers other claims; each is a condition key that
begins with the issuer as its provider is called. Sources:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sallyport.audit.finding import Severity, safe
from sallyport.audit.trust_policy.conditions import Family, Test
from sallyport.audit.trust_policy.document import ANYBODY, WEB_IDENTITY, Policy, Way, equals
from sallyport.audit.trust_policy.reach import Reach, absent, chosen, is_of_proof, own_value, reach
from sallyport.audit.weakness import Verdict, Weakness
from sallyport.errors import TrustFileError
from sallyport.trust.issuers import MICROSOFT_HOSTS, Least, SharedIssuer, is_own, microsoft_tenant, shared
from sallyport.trust.wildcards import literal_prefix, matches_anything

_PROVIDER: Final = re.compile(r"arn:[a-z0-9-]+:iam::(?P<account>[0-9]{12}):oidc-provider/(?P<issuer>.+)")
# Providers that IAM knows without anybody having made them.
_BUILT_IN: Final = frozenset({"accounts.google.com", "graph.facebook.com", "www.amazon.com"})
COGNITO: Final = "cognito-identity.amazonaws.com"
_NO_PATH: Final[Mapping[str, SharedIssuer]] = {
    "graph.facebook.com": SharedIssuer("Facebook", {}),
    "www.amazon.com": SharedIssuer("Login with Amazon", {}),
}
# A token's holder has these from his own repository's settings, so whoever has a repository has them.
_CHOSEN_CLAIMS: Final = frozenset(
    {"ref", "ref_type", "base_ref", "head_ref", "environment", "event_name", "workflow", "runner_environment"}
)


@dataclass(frozen=True, slots=True)
class _Issuer:
    """The issuer of a way in: as its provider is called, and what is known about it."""

    name: str
    world: SharedIssuer | None

    @property
    def key(self) -> str:
        return self.name.lower() + ":"

    @property
    def host(self) -> str:
        return self.name.partition("/")[0].lower()

    def claim(self, test: Test) -> str | None:
        """Return which claim of this issuer's tokens a test is about."""
        return test.name.removeprefix(self.key) if test.name.startswith(self.key) else None


def weaknesses(policy: Policy, *, account: str) -> Iterator[Weakness]:
    """Yield what is weak about the ways in by ``sts:AssumeRoleWithWebIdentity``."""
    for way in policy.ways(WEB_IDENTITY, "Federated", ANYBODY, "AWS"):
        provider = way.principal.value
        if provider == ANYBODY:
            yield from _any_provider(way)
        elif way.principal.kind == "AWS":
            # Tokens come from a provider, and such a principal is none.
            continue
        elif provider.partition("/")[2] == COGNITO or provider == COGNITO:
            yield from _identity_pool(way)
        elif issuer := issuer_of(provider):
            yield from _of_issuer(way, _Issuer(issuer, _shared(issuer)))
            found = _PROVIDER.fullmatch(provider)
            if found is not None and found["account"] != account:
                yield way.weakness(
                    "provider-elsewhere",
                    Severity.LOW,
                    "the provider is another account's, and which issuers it stands for is decided there",
                    "name the provider of the role's own account",
                    verdict=Verdict.CANNOT_TELL,
                )
        elif ":saml-provider/" not in provider:
            yield way.weakness(
                "principal-unreadable",
                Severity.HIGH,
                "the provider has a form that is not known here",
                "look what it is, and name an OIDC provider by its ARN",
                verdict=Verdict.CANNOT_TELL,
            )


def issuer_of(provider: str) -> str | None:
    """Return the issuer, without its scheme, that an OIDC provider's ARN stands for."""
    found = _PROVIDER.fullmatch(provider)
    if found is not None:
        return found["issuer"]
    return provider if provider in _BUILT_IN else None


def _shared(issuer: str) -> SharedIssuer | None:
    host, _, path = issuer.partition("/")
    return _NO_PATH.get(host.lower()) or shared(host.lower(), path)


def _any_provider(way: Way) -> Iterator[Weakness]:
    def token(test: Test) -> Reach:
        # Some provider or other: of whose keys is not said.
        return Reach.SOMEBODY if test.missing and test.family is not Family.UNKNOWN else Reach.UNKNOWN

    if reach(way.clauses, token) is not Reach.NOBODY:
        yield way.weakness(
            "open-to-any-provider",
            Severity.HIGH,
            "whoever has a token of any provider in the account could assume the role, if STS takes anybody "
            "for a principal here",
            "name the provider, and demand its aud and sub",
            verdict=Verdict.CANNOT_TELL,
        )


# --- one issuer -----------------------------------------------------------------------------------


def _of_issuer(way: Way, issuer: _Issuer) -> Iterator[Weakness]:
    anybody = reach(way.clauses, lambda test: _other_subject(test, issuer))
    any_audience = reach(way.clauses, lambda test: _other_audience(test, issuer))
    if everybody := _many_tenants(issuer):
        yield way.weakness(
            "oidc-many-tenants",
            Severity.CRITICAL,
            everybody,
            "make a provider for the address of your own tenant, with its GUID",
            subject=issuer.name,
        )
    if anybody is not Reach.NOBODY:
        yield _any_subject(way, issuer, anybody, also_audience=any_audience is not Reach.NOBODY)
    if any_audience is not Reach.NOBODY:
        yield way.weakness(
            "oidc-any-audience",
            Severity.HIGH if anybody is not Reach.NOBODY else Severity.MEDIUM,
            "tokens for any audience are taken: the provider's list of client ids is the only filter, and "
            "others use it as well",
            "demand the audience with StringEquals",
            subject=f"{issuer.name}:aud",
            verdict=any_audience.verdict,
            set_to=(equals(f"{issuer.name}:aud"), "<audience>"),
        )
    for test in way.statement.tests:
        yield from _of_test(way, issuer, test, is_open=anybody is not Reach.NOBODY)


def _any_subject(way: Way, issuer: _Issuer, found: Reach, *, also_audience: bool) -> Weakness:
    wanted = [test for test in way.statement.tests if issuer.claim(test) == "sub" and test.values]
    if wanted:
        text = "the condition on sub lets subjects in that nobody has named: every value of a list counts"
    elif issuer.world is not None:
        text = "nothing says whose tokens are meant"
    elif also_audience:
        text = "whoever has a token of the issuer's may assume the role: neither aud nor sub is demanded"
    else:
        text = (
            "whoever gets a token for this audience from the issuer may assume the role: sub is not demanded"
        )
    severity = Severity.HIGH
    if issuer.world is not None:
        text += f"; {issuer.world.title} gives tokens to everybody in the world"
        severity = Severity.CRITICAL if found is Reach.SOMEBODY else Severity.HIGH
    elif issuer.host in MICROSOFT_HOSTS:
        text += "; in Azure that is any managed identity or application of the tenant"
    if found is Reach.UNKNOWN:
        text = f"it cannot be told from here whether this is so: {text}"
    return way.weakness(
        "oidc-any-subject",
        severity,
        text,
        "demand the subject with StringEquals, for Azure the object id of the managed identity",
        subject=f"{issuer.name}:sub",
        verdict=found.verdict,
        set_to=(equals(f"{issuer.name}:sub"), "<subject>"),
    )


def _other_subject(test: Test, issuer: _Issuer) -> Reach:
    """Return what somebody makes of a test who has a token of the issuer's for himself."""
    claim = issuer.claim(test)
    if claim is None:
        return _no_claim(test)
    if claim == "aud":
        return chosen(test)
    least = _least(issuer, claim)
    if claim == "sub" or least is not None:
        return _of_who(test, least, may_be_absent=claim != "sub")
    if issuer.world is not None and claim in _CHOSEN_CLAIMS:
        return chosen(test)
    # What an issuer assigns and what its customers choose is not known of other claims.
    return Reach.SOMEBODY if test.missing and test.family is not Family.UNKNOWN else Reach.UNKNOWN


def _of_who(test: Test, least: Least | None, *, may_be_absent: bool) -> Reach:
    found = own_value(test, lambda value: _subject_fits(value, least), may_be_absent=may_be_absent)
    written_out = [one for one in test.values if not test.is_pattern(one)] if test.is_wanting else []
    if found is Reach.NOBODY and least is not None:
        names_somebody = all(re.fullmatch(least.value, one, re.DOTALL) for one in written_out)
        return Reach.NOBODY if names_somebody else Reach.UNKNOWN
    return found


def _least(issuer: _Issuer, claim: str) -> Least | None:
    """Return what a claim must say at least to name a customer of a shared issuer."""
    if issuer.world is None:
        return None
    who = {key.removeprefix("token:").lower(): least for key, least in issuer.world.who.items()}
    return who.get(claim)


def _subject_fits(value: str, least: Least | None) -> Reach:
    """Tell whether a pattern of subjects fits those of strangers."""
    if matches_anything(value):
        return Reach.SOMEBODY
    beginning = literal_prefix(value)
    if least is None:
        return Reach.NOBODY if is_own(beginning) else Reach.SOMEBODY
    if least.beginning is None or re.fullmatch(least.beginning, beginning, re.DOTALL) is None:
        return Reach.SOMEBODY
    return Reach.NOBODY if not least.own or is_own(beginning) else Reach.SOMEBODY


def _other_audience(test: Test, issuer: _Issuer) -> Reach:
    """Return what the holder of a token for another audience makes of a test."""
    claim = issuer.claim(test)
    if claim is None:
        return _no_claim(test)
    if claim == "aud":
        return own_value(test, lambda _value: Reach.SOMEBODY, may_be_absent=False)
    if claim in ("azp", "oaud"):
        return Reach.SOMEBODY if test.missing else Reach.UNKNOWN
    return chosen(test)


def _no_claim(test: Test) -> Reach:
    """Return what somebody with a token makes of a test on something else."""
    if is_of_proof(test.name):
        # Another issuer's key: no token of this one has it.
        return absent(test)
    if test.name in ("aws:sourceip", "sts:rolesessionname", "aws:useragent", "aws:referer"):
        return chosen(test)
    if test.name in ("aws:securetransport", "aws:requestedregion", "sts:durationseconds"):
        return chosen(test)
    return Reach.SOMEBODY if test.missing and test.family is not Family.UNKNOWN else Reach.UNKNOWN


# --- one condition --------------------------------------------------------------------------------


def _of_test(way: Way, issuer: _Issuer, test: Test, *, is_open: bool) -> Iterator[Weakness]:
    claim = issuer.claim(test)
    if claim is None:
        if is_of_proof(test.name):
            yield _mismatch(way, issuer, test)
        return
    subject = safe(f"{test.operator} {test.key}")
    path = ("Condition", test.operator, test.key)
    if test.key.rpartition(":")[0] != issuer.name and test.key[: len(issuer.name)] != issuer.name:
        yield way.weakness(
            "oidc-issuer-case",
            Severity.INFORMATIONAL,
            "the key's issuer is written in other letters than the provider's",
            f"write {safe(issuer.name)}:{safe(claim)}",
            subject=subject,
            verdict=Verdict.CANNOT_TELL,
        )
    if test.missing and not test.negated and test.family not in (Family.NULL, Family.UNKNOWN):
        yield way.weakness(
            "oidc-condition-optional",
            Severity.MEDIUM,
            "a token without the claim meets the condition: ForAllValues and IfExists say nothing of what "
            "is missing",
            "use StringEquals, or ForAnyValue for a claim with several values",
            subject=subject,
            set_to=(path, None),
        )
    if claim in ("aud", "sub") and any(map(test.variables, test.values)):
        yield way.weakness(
            "policy-variable",
            Severity.MEDIUM,
            "the expected value is made of the request itself, which could say whatever fits",
            "write the value out",
            subject=subject,
            verdict=Verdict.CANNOT_TELL,
        )
    if claim == "sub" and test.is_wanting and not is_open and any(map(test.is_pattern, test.values)):
        yield way.weakness(
            "oidc-subject-wildcard",
            Severity.LOW if issuer.world is not None else Severity.MEDIUM,
            "the condition on sub is a pattern, so subjects that do not exist yet may assume the role",
            "list the subjects with StringEquals",
            subject=subject,
        )
    if test.family is Family.LIKE and test.values and not any(map(test.is_pattern, test.values)):
        yield way.weakness(
            "oidc-exact-pattern",
            Severity.INFORMATIONAL,
            "StringLike has no wildcard to look for: the next change of a value could bring one in unnoticed",
            "use StringEquals",
            subject=subject,
        )


def _mismatch(way: Way, issuer: _Issuer, test: Test) -> Weakness:
    host = test.name.rpartition(":")[0]
    slash = host.strip("/") == issuer.name.lower().strip("/")
    holds = test.missing
    why = "but for the slash at its end it is the provider's" if slash else "it is another issuer's"
    return way.weakness(
        "oidc-issuer-mismatch",
        Severity.MEDIUM if holds else Severity.LOW,
        f"no token of this provider has the key ({why}), so the condition "
        + ("says nothing" if holds else "is never met, and nobody gets in by this statement"),
        f"begin the key with {safe(issuer.name)} exactly",
        subject=f"{test.operator} {test.key}",
    )


def _many_tenants(issuer: _Issuer) -> str:
    """Return what is to say of a Microsoft issuer that is not one tenant's; an empty text if it is."""
    if issuer.host not in MICROSOFT_HOSTS:
        return ""
    try:
        microsoft_tenant(f"https://{issuer.name}", issuer.host)
    except TrustFileError:
        return "the provider's address is not one Microsoft tenant's: everybody could be meant, or nobody"
    return ""


# --- Cognito identity pools -----------------------------------------------------------------------


def _identity_pool(way: Way) -> Iterator[Weakness]:
    issuer = _Issuer(COGNITO, None)
    any_pool = reach(way.clauses, lambda test: _of_pool(test, issuer, "aud"))
    guests = reach(way.clauses, lambda test: _of_pool(test, issuer, "amr"))
    if any_pool is not Reach.NOBODY:
        yield way.weakness(
            "cognito-any-pool",
            Severity.CRITICAL if any_pool is Reach.SOMEBODY else Severity.HIGH,
            "any identity pool of any AWS account may assume the role: which pool is meant, is not demanded",
            "demand the pool's id as aud with StringEquals",
            subject=f"{COGNITO}:aud",
            verdict=any_pool.verdict,
            set_to=(equals(f"{COGNITO}:aud"), "<identity pool id>"),
        )
    if guests is not Reach.NOBODY:
        yield way.weakness(
            "cognito-guests",
            Severity.MEDIUM,
            "the pool's guests may assume the role, who have not signed in",
            "demand authenticated as amr",
            subject=f"{COGNITO}:amr",
            verdict=guests.verdict,
            set_to=(("Condition", "ForAnyValue:StringLike", f"{COGNITO}:amr"), "authenticated"),
        )
    for test in way.statement.tests:
        if issuer.claim(test) is None and is_of_proof(test.name):
            yield _mismatch(way, issuer, test)


def _of_pool(test: Test, issuer: _Issuer, about: str) -> Reach:
    claim = issuer.claim(test)
    if claim is None:
        return _no_claim(test)
    if claim != about:
        return chosen(test)
    if claim == "amr":
        return _guest(test)
    return own_value(
        test,
        lambda value: Reach.NOBODY if ":" in literal_prefix(value) else Reach.SOMEBODY,
        may_be_absent=False,
    )


def _guest(test: Test) -> Reach:
    """Return what a guest makes of a test on ``amr``: his is one value, ``unauthenticated``."""
    if test.family not in (Family.STRING, Family.LIKE) or any(map(test.variables, test.values)):
        return Reach.SOMEBODY if test.family is Family.NULL and not test.negated else Reach.UNKNOWN
    fits = any(test.fits(value, "unauthenticated") for value in test.values)
    return Reach.SOMEBODY if fits is not test.negated else Reach.NOBODY
