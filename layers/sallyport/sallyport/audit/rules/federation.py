"""Sessions out of other providers' assertions: OIDC tokens and SAML."""

from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from sallyport.audit.events import Observed
from sallyport.audit.finding import Severity
from sallyport.audit.rules.context import Context
from sallyport.audit.rules.rule import (
    NO_MATCH,
    Match,
    Rule,
    Selector,
    Unclear,
    Verdict,
    caller_evidence,
    role_asked_for,
    role_resource,
)
from sallyport.audit.rules.sts import IDENTITY_CENTER

# Sign-ins over so long a time through one endpoint alone are what is configured, not chance.
SETTLED: Final = timedelta(days=14)

_OIDC: Final = "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"
_SAML: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_saml.html"


def _unregistered_identity(event: Observed, context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    provider = event.text("responseElements.provider") or event.caller.identity_provider
    audience = event.text("responseElements.audience")
    subject = event.text("responseElements.subjectFromWebIdentityToken") or event.caller.user_name
    if provider is None:
        return Unclear("no-provider")
    known = _audiences(context, provider)
    if known is None:
        # Not an issuer that the exchange is for.
        return NO_MATCH
    if audience is None:
        return Unclear("no-audience")
    made = event.value("responseElements.credentials.accessKeyId")
    record = context.issued.by_access_key(made) if isinstance(made, str) else None
    if audience in known and (record is None or record.subject in {subject, None}):
        return NO_MATCH
    role = role_asked_for(event)
    return Match(
        about=(provider, audience, subject or ""),
        why=(
            "A token for an audience that the exchange does not know was traded at STS."
            if audience not in known
            else "STS read another subject out of a token than the exchange."
        ),
        evidence=caller_evidence(event)
        | {"provider": provider, "audience": audience, "subject": subject, "role": role},
        resources=role_resource(role),
    )


def _audiences(context: Context, provider: str) -> frozenset[str] | None:
    known = context.estate.web_identities
    found = known.get(provider)
    if found is None and ":oidc-provider/" in provider:
        found = known.get(provider.partition(":oidc-provider/")[2])
    return found


def _one_endpoint(event: Observed, context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    provider = event.text("requestParameters.principalArn")
    audience = event.text("responseElements.audience")
    if provider is None or audience is None:
        return Unclear("no-provider-or-audience")
    # Identity Center makes and keeps its own providers.
    if "AWSSSO_" in provider or IDENTITY_CENTER in (role_asked_for(event) or ""):
        return NO_MATCH
    endpoint = _endpoint(audience)
    if endpoint is None:
        return Unclear("no-endpoint")
    places = context.history.places("saml-endpoint", provider, endpoint, event.time)
    first = context.history.first_seen("saml-provider", provider, event.occurrence, event.time)
    if len(places) > 1 or event.time - first < SETTLED:
        return NO_MATCH
    return Match(
        about=(provider,),
        why="All sign-ins of this provider go through the endpoint of one Region.",
        evidence=caller_evidence(event)
        | {"provider": provider, "endpoint": endpoint, "since": first.isoformat()},
    )


def _endpoint(audience: str) -> str | None:
    """Return the host of a sign-in address; the bare one is us-east-1's."""
    try:
        host = urlsplit(audience).hostname
    except ValueError:
        return None
    return "us-east-1.signin.aws.amazon.com" if host == "signin.aws.amazon.com" else host


RULES: Final = (
    Rule(
        id="web-identity-unregistered-17",
        title="A token was traded at STS past the exchange's register",
        severity=Severity.HIGH,
        meaning=(
            "The issuer is one of the exchange's, the audience or the subject is not. Some role trusts the "
            "issuer more widely than the trust file does."
        ),
        first="Read the trust policy of the role: which audiences and subjects does it name?",
        remedy="Narrow the trust policy, or declare the audience in the trust file.",
        references=(_OIDC,),
        selectors=(Selector("sts", ("AssumeRoleWithWebIdentity",)),),
        check=_unregistered_identity,
    ),
    Rule(
        id="saml-one-endpoint-19",
        title="SAML sign-ins always use one Region's endpoint",
        severity=Severity.LOW,
        meaning="When sign-in in that Region is away, nobody of this provider gets in.",
        first="Look which endpoints the identity provider is configured with.",
        remedy="Configure a second Region's endpoint, list it in `SAML:aud`, and try it.",
        references=(_SAML,),
        selectors=(Selector("sts", ("AssumeRoleWithSAML",)),),
        check=_one_endpoint,
        window=timedelta(days=30),
        gaps="Whether the trust policies list the endpoint in use is posture's question.",
    ),
)
