"""Who may assume a role: trust policies and identity providers as they are written."""

from collections.abc import Callable
from typing import Final

from sallyport.audit.events import Observed
from sallyport.audit.finding import Resource, Severity
from sallyport.audit.rules.context import Context
from sallyport.audit.rules.rule import (
    NO_MATCH,
    Match,
    Rule,
    Selector,
    Unclear,
    Verdict,
    caller_evidence,
    role_resource,
)
from sallyport.audit.trust_policy.examine import LACKING, examine
from sallyport.audit.weakness import Weakness

# What CloudTrail writes in the place of what it does not show.
_HIDDEN: Final = "HIDDEN_DUE_TO_SECURITY_REASONS"
DOCUMENT_CALLS: Final = ("CreateRole", "UpdateAssumeRolePolicy")

_OIDC: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html"
_SAML: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_saml.html"
_PRINCIPALS: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"
)
_SOURCE_IDENTITY: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html"
)


def _policy_rule(concerns: Callable[[Weakness], bool], why: str) -> Callable[[Observed, Context], Verdict]:
    def check(event: Observed, context: Context) -> Verdict:
        if not event.succeeded:
            return NO_MATCH
        # CreateRole and UpdateAssumeRolePolicy name the same thing differently.
        text = event.text("requestParameters.assumeRolePolicyDocument") or event.text(
            "requestParameters.policyDocument"
        )
        name = event.text("requestParameters.roleName")
        if text is None or name is None or event.account is None:
            return Unclear("no-document")
        if text == _HIDDEN:
            return Unclear("document-hidden")
        role = event.text("responseElements.role.arn") or _role_arn(event, name)
        found = [
            one
            for one in examine(
                text, account=event.account, role=role, surroundings=context.estate.surroundings
            )
            if concerns(one)
        ]
        weak = [one for one in found if one.is_certain]
        unsure = max((one.severity for one in found), default=Severity.INFORMATIONAL)
        if not weak and unsure < Severity.MEDIUM:
            return Unclear("policy-cannot-be-told") if found else NO_MATCH
        if not weak:
            # Somebody has to look: what cannot be understood from here may be as open as can be.
            return _match(
                event, role, found, f"It could not be told from here whether this holds: {why}", unsure
            )
        return _match(event, role, weak, why, max(one.severity for one in weak))

    return check


def _match(event: Observed, role: str, found: list[Weakness], why: str, severity: Severity) -> Match:
    is_certain = found[0].is_certain
    return Match(
        about=(role, *sorted({one.code for one in found}), *(() if is_certain else ("cannot-tell",))),
        why=why,
        evidence=caller_evidence(event)
        | {"role": role}
        | {one.code: f"{one.text} ({one.subject})" for one in found[:5]}
        | {"cure": found[0].cure},
        resources=role_resource(role),
        severity=severity if is_certain else min(severity, Severity.MEDIUM),
    )


def _role_arn(event: Observed, name: str) -> str:
    """Return what is known of a role's ARN; an update does not say the path."""
    listed = next((arn for arn in event.resources if ":role/" in arn), None)
    return listed or f"arn:aws:iam::{event.account or ''}:role/{name}"


def _is_oidc(one: Weakness) -> bool:
    # What is only a matter of style is posture's to say.
    return one.code.startswith("oidc-") and one.severity > Severity.INFORMATIONAL


def _is_saml(one: Weakness) -> bool:
    return one.code.startswith("saml-")


def _is_source_identity(one: Weakness) -> bool:
    return "source-identity" in one.code


def _is_open(one: Weakness) -> bool:
    if one.code.startswith("oidc-") or _is_saml(one) or _is_source_identity(one):
        return False
    # Who is kept out, or gone, is nobody to whom the role was opened.
    return one.code not in LACKING and one.code != "principal-gone"


def _oidc_provider(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    url = event.text("requestParameters.url")
    arn = event.text("responseElements.openIDConnectProviderArn")
    if url is None and arn is None:
        return Unclear("no-provider")
    clients = event.value("requestParameters.clientIDList")
    return Match(
        about=(arn or url or "",),
        why="The account now trusts another OIDC provider.",
        evidence=caller_evidence(event)
        | {"provider": url, "clients": clients if isinstance(clients, tuple) else None},
        resources=() if arn is None else (Resource("Other", arn),),
    )


def _saml_provider(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded or _is_identity_center(event):
        return NO_MATCH
    arn = event.text("responseElements.sAMLProviderArn") or event.text("requestParameters.sAMLProviderArn")
    name = event.text("requestParameters.name")
    if arn is None and name is None:
        return Unclear("no-provider")
    created = event.name == "CreateSAMLProvider"
    return Match(
        about=(arn or name or "",),
        why=f"A SAML provider was {'created' if created else 'changed'}, and not by Identity Center.",
        evidence=caller_evidence(event) | {"provider": arn or name},
        resources=() if arn is None else (Resource("Other", arn),),
        severity=Severity.HIGH if created else Severity.MEDIUM,
    )


def _is_identity_center(event: Observed) -> bool:
    return (
        event.caller.invoked_by in {"sso.amazonaws.com", "AWS Internal"} and event.source_service is not None
    )


RULES: Final = (
    Rule(
        id="source-identity-optional-5",
        title="A role's trust policy does not demand a source identity",
        severity=Severity.LOW,
        meaning="Sessions of the role may leave out who they are for, and then nothing later can tell.",
        first="See whether the role is for people or workloads whose origin must be known.",
        remedy="Add a condition on `sts:SourceIdentity`, and allow `sts:SetSourceIdentity`.",
        references=(_SOURCE_IDENTITY,),
        selectors=(Selector("iam", DOCUMENT_CALLS),),
        check=_policy_rule(_is_source_identity, "The trust policy lets the source identity be left out."),
    ),
    Rule(
        id="oidc-trust-open-16",
        title="A role trusts an OIDC provider without saying for whom",
        severity=Severity.HIGH,
        meaning=(
            "Without conditions on audience and subject everybody whom the provider gives a token to may "
            "have the role. Of an Azure tenant that is every application and every managed identity in it."
        ),
        first="See which tokens were used for the role: `AssumeRoleWithWebIdentity`, subject and audience.",
        remedy="Demand exactly one audience and exactly the subjects that are meant, with `StringEquals`.",
        references=(_OIDC,),
        selectors=(Selector("iam", DOCUMENT_CALLS),),
        check=_policy_rule(_is_oidc, "The trust policy does not say which subjects or audiences it is for."),
    ),
    Rule(
        id="saml-trust-one-region-18",
        title="A SAML role can be had through one Region alone",
        severity=Severity.LOW,
        meaning="When sign-in in that Region is away, nobody gets in, and that is when people need to.",
        first="Read `SAML:aud` in the role's trust policy; the bare host is us-east-1's.",
        remedy="List the sign-in endpoints of several Regions in `SAML:aud`, and at the identity provider.",
        references=(_SAML,),
        selectors=(Selector("iam", DOCUMENT_CALLS),),
        check=_policy_rule(_is_saml, "The trust policy allows SAML through the endpoint of one Region."),
    ),
    Rule(
        id="oidc-provider-created-31",
        title="An OIDC provider was created",
        severity=Severity.HIGH,
        meaning="Whoever runs the provider can have every role whose trust policy names it.",
        first="Ask who made it and what it is for; look which roles trust it.",
        remedy="Delete it if nobody needs it; allow its creation to a pipeline alone.",
        references=(_OIDC,),
        selectors=(Selector("iam", ("CreateOpenIDConnectProvider",)),),
        check=_oidc_provider,
    ),
    Rule(
        id="saml-provider-changed-32",
        title="A SAML provider was created or changed",
        severity=Severity.HIGH,
        meaning="Whoever has the signing key in the provider's metadata can be anybody.",
        first="Compare the metadata's certificate with that of your identity provider.",
        remedy="Put the old metadata back; allow the change to a pipeline alone.",
        references=(_SAML,),
        selectors=(Selector("iam", ("CreateSAMLProvider", "UpdateSAMLProvider")),),
        check=_saml_provider,
    ),
    Rule(
        id="trust-widened-33",
        title="A role was opened to outsiders",
        severity=Severity.MEDIUM,
        meaning=(
            "The trust policy lets a foreign account, everybody, or certificates of anybody have the role."
        ),
        first="Read the statement: is the account a partner's, and does it demand an external id?",
        remedy="Name exact principals and demand conditions that only they can meet.",
        references=(_PRINCIPALS,),
        selectors=(Selector("iam", DOCUMENT_CALLS),),
        check=_policy_rule(_is_open, "The trust policy admits principals that are not of this organisation."),
        gaps=(
            "Without the parameter `AuditAccounts` nobody has said which accounts are the organisation's: "
            "every other one is then a finding of at most medium severity that says so."
        ),
    ),
)
