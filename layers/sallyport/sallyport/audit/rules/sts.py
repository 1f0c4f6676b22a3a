"""Sessions: which endpoint, whose identity, in which chain, and what is tried in vain."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from sallyport.audit.account_ids import account_in
from sallyport.audit.events import Observed
from sallyport.audit.finding import Severity, window_of
from sallyport.audit.rules.context import Context
from sallyport.audit.rules.rule import (
    NO_MATCH,
    Match,
    Rule,
    Selector,
    Unclear,
    Verdict,
    caller_evidence,
    is_new,
    key_resource,
    learning,
    role_asked_for,
    role_resource,
    who,
)

ASSUME: Final = ("AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity")
CALLS: Final = (
    *ASSUME,
    "AssumeRoot",
    "GetCallerIdentity",
    "GetFederationToken",
    "GetSessionToken",
    "GetAccessKeyInfo",
    "DecodeAuthorizationMessage",
)
BURST_WINDOW: Final = timedelta(minutes=15)
# Denied AssumeRole calls of one caller: a wrong configuration retries a few times; whoever looks for a
# role that lets it in does not stop.
DENIALS: Final = 10
IDENTITY_CENTER: Final = ":role/aws-reserved/sso.amazonaws.com/"

_ENDPOINTS: Final = "https://docs.aws.amazon.com/sdkref/latest/guide/feature-sts-regionalized-endpoints.html"
_SOURCE_IDENTITY: Final = (
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html"
)
_CHAINING: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html"
_FEDERATION_TOKEN: Final = "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html"  # noqa: S105 - an address
_SESSION_TOKEN: Final = "https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html"  # noqa: S105 - an address
_ROOT: Final = "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoot.html"


def _is_service(event: Observed) -> bool:
    return event.caller.type == "AWSService" or event.caller.invoked_by is not None


def _global_endpoint(event: Observed, _context: Context) -> Verdict:
    if _is_service(event) or event.vpc_endpoint is not None:
        return NO_MATCH
    details = event.value("additionalEventData.RequestDetails")
    kind = details.get("endpointType") if isinstance(details, Mapping) else None
    host = event.text("tlsDetails.clientProvidedHostHeader")
    # awsRegion says nothing here: calls to the global endpoint and to us-east-1's look alike in it.
    if kind != "global" and (host is None or not _is_global_host(host)):
        return NO_MATCH if host is not None or kind is not None else Unclear("no-endpoint")
    served = details.get("awsServingRegion") if isinstance(details, Mapping) else None
    return Match(
        # Not the user agent: it is the caller's to choose, and would make as many findings as it likes.
        about=(who(event),),
        why="STS was asked through its global endpoint, which depends on one Region.",
        evidence=caller_evidence(event) | {"host": host, "endpoint": kind, "served in": served},
    )


def _is_global_host(host: str) -> bool:
    name = host.lower().partition(":")[0]
    return name == "sts.amazonaws.com" or name.startswith("sts-global.")


def _without_source_identity(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded or _is_service(event):
        return NO_MATCH
    if _session_source_identity(event) is not None:
        return NO_MATCH
    role = role_asked_for(event)
    if event.request is None or role is None:
        return Unclear("no-request")
    # Identity Center's own roles name the person in the session's name.
    if IDENTITY_CENTER in role:
        return NO_MATCH
    return Match(
        about=(who(event), role),
        why="A role session was made without a source identity, so its actions name a role and no origin.",
        evidence=caller_evidence(event) | {"role": role},
        resources=role_resource(role),
    )


def _session_source_identity(event: Observed) -> str | None:
    return (
        event.text("requestParameters.sourceIdentity")
        or event.text("responseElements.sourceIdentity")
        or event.caller.source_identity
    )


def _strange_source_identity(event: Observed, context: Context) -> Verdict:
    given = event.text("requestParameters.sourceIdentity")
    caller = event.caller
    if not event.succeeded or given is None or _is_service(event):
        return NO_MATCH
    if caller.role_arn in context.estate.exchange_roles or caller.source_identity == given:
        return NO_MATCH
    if context.estate.expects_source_identity(given):
        return NO_MATCH
    if caller.type is None:
        return Unclear("no-caller")
    if caller.type == "AWSAccount" and caller.account == context.estate.account:
        # The copy in the role's account; the one of the caller's account names the caller.
        return Unclear("callers-copy-decides")
    borrowed = context.issued.knows_source_identity(given)
    role = role_asked_for(event)
    return Match(
        about=(who(event), given),
        why=(
            "Somebody other than the exchange set a source identity that the exchange has issued."
            if borrowed
            else "A source identity was set that the exchange never issued and nobody declared."
        ),
        evidence=caller_evidence(event) | {"given source identity": given, "role": role},
        resources=role_resource(role),
    )


def _broken_chain(event: Observed, context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    caller, estate = event.caller, context.estate
    role = role_asked_for(event)
    if caller.type == "AWSAccount":
        return _other_side(event, context, role)
    if caller.type != "AssumedRole" or _is_service(event):
        return NO_MATCH
    if caller.role_arn in estate.exchange_roles or _session_source_identity(event) is not None:
        return NO_MATCH
    if role is None or caller.role_arn is None:
        return Unclear("no-role")
    crosses = account_in(role) != caller.account
    if not crosses and not is_new(event, context, "chain", f"{caller.role_arn} {role}"):
        return NO_MATCH
    return Match(
        about=(caller.role_arn, role),
        why=(
            "A role session without a source identity assumed a role of another account."
            if crosses
            else "For the first time a session of this role, without a source identity, assumed that role."
        ),
        evidence=caller_evidence(event) | {"role": role},
        resources=role_resource(role),
        **(learning(event, context) if not crosses else {}),
    )


def _other_side(event: Observed, context: Context, role: str | None) -> Verdict:
    if _session_source_identity(event) is not None:
        return NO_MATCH
    if event.caller.account is None or role is None:
        return Unclear("no-caller")
    if context.estate.is_own_account(event.caller.account):
        return NO_MATCH if event.shared_event_id is not None else Unclear("no-shared-event-id")
    return Match(
        about=(event.caller.account, role),
        why="A foreign account assumed a role without a source identity: who it was stays in its own trail.",
        evidence=caller_evidence(event) | {"role": role, "shared event": event.shared_event_id},
        resources=role_resource(role),
    )


def _first_federation_token(event: Observed, context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    if event.caller.arn is None:
        return Unclear("no-caller")
    if not is_new(event, context, "federation-token", event.caller.arn):
        return NO_MATCH
    return Match(
        about=(event.caller.arn,),
        why="This caller asked for a federation token for the first time; it outlives the caller's own key.",
        evidence=caller_evidence(event)
        | {"federated user": event.value("responseElements.federatedUser.arn")},
        resources=key_resource(event.caller.access_key),
        **learning(event, context),
    )


def _administrative_federation_token(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    if event.request is None:
        return Unclear("no-request")
    arns = event.value("requestParameters.policyArns")
    named = [
        arn
        for one in (arns if isinstance(arns, tuple) else ())
        if isinstance(arn := one.get("arn") if isinstance(one, Mapping) else one, str)
    ]
    text = event.text("requestParameters.policy")
    broad = next(
        (arn for arn in named if arn.endswith((":policy/AdministratorAccess", ":policy/IAMFullAccess"))), None
    )
    if broad is None:
        if text is None:
            return NO_MATCH if named else Unclear("no-policy")
        allowed = _allows_everything(text)
        if allowed is None:
            return Unclear("policy-unreadable")
        if not allowed:
            return NO_MATCH
    return Match(
        about=(who(event), event.text("requestParameters.name") or ""),
        why="A federation token was made whose policy allows everything, or all of IAM.",
        evidence=caller_evidence(event)
        | {"policy": broad or "inline", "name": event.value("requestParameters.name")},
        resources=key_resource(event.caller.access_key),
    )


def _allows_everything(text: str) -> bool | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    statements = document.get("Statement") if isinstance(document, dict) else None
    return any(_is_broad(one) for one in (statements if isinstance(statements, list) else [statements]))


def _is_broad(statement: Any) -> bool:  # noqa: ANN401 - a JSON value
    if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
        return False
    actions, resources = (
        value if isinstance(value, list) else [value]
        for value in (statement.get("Action", ()), statement.get("Resource", ()))
    )
    broad = any(isinstance(one, str) and one.lower() in {"*", "*:*", "iam:*"} for one in actions)
    return (broad or "NotAction" in statement) and ("*" in resources or "NotResource" in statement)


def _session_token(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    if event.caller.type is None:
        return Unclear("no-caller")
    if event.caller.type != "IAMUser":
        return NO_MATCH
    return Match(
        about=(who(event),),
        why="An IAM user traded its long-term key for a session token.",
        evidence=caller_evidence(event),
        resources=key_resource(event.caller.access_key),
    )


def _assume_root(event: Observed, context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    if event.caller.name is None:
        return Unclear("no-caller")
    target = event.text("requestParameters.targetPrincipal")
    new = is_new(event, context, "assume-root", who(event))
    subdued = learning(event, context) if new else {"severity": Severity.MEDIUM}
    return Match(
        about=(who(event), target or ""),
        why=(
            "A root session of a member account was made, by this caller for the first time."
            if new
            else "A root session of a member account was made."
        ),
        evidence=caller_evidence(event)
        | {"target": target, "task": event.value("requestParameters.taskPolicyArn.arn")},
        **subdued,
    )


def _denied_burst(event: Observed, context: Context) -> Verdict:
    if event.succeeded or _is_service(event):
        return NO_MATCH
    if event.error_code not in {"AccessDenied", "AccessDeniedException"}:
        return NO_MATCH
    caller = event.caller.name or event.source_ip
    if caller is None:
        return Unclear("no-caller")
    start = window_of(event.time, BURST_WINDOW)
    count = context.counter.add("assume-role-denied", caller, start, event.occurrence)
    if count < DENIALS:
        return NO_MATCH
    return Match(
        about=(caller,),
        why=f"{count} attempts to assume roles were denied within {BURST_WINDOW.seconds // 60} minutes.",
        # What was asked for is in the text of the error alone.
        evidence=caller_evidence(event) | {"message": event.error_message, "denials": count},
        weight=count if count == DENIALS else 1,
    )


RULES: Final = (
    Rule(
        id="global-sts-endpoint-1",
        title="STS is asked through its global endpoint",
        severity=Severity.LOW,
        meaning=(
            "The global endpoint `sts.amazonaws.com` is one Region's service under a worldwide name. "
            "Sessions depend on that Region, and their events may be found in us-east-1 alone."
        ),
        first="Look at user agent and caller: an old SDK, or a client with the endpoint written out.",
        remedy="Update the SDK, or set `AWS_STS_REGIONAL_ENDPOINTS=regional` or the regional endpoint's URL.",
        references=(_ENDPOINTS,),
        selectors=(Selector("sts", CALLS),),
        check=_global_endpoint,
        gaps="Calls of AWS services and of console sessions carry no endpoint; nothing can be said of them.",
    ),
    Rule(
        id="session-without-source-identity-2",
        title="A role session has no source identity",
        severity=Severity.LOW,
        meaning=(
            "Without a source identity CloudTrail names the role in everything the session does, and no "
            "origin. It can only be traced by its access key, hop by hop."
        ),
        first="See who assumes the role. A person? A pipeline? An application that should ask the exchange?",
        remedy=(
            "Demand `sts:SourceIdentity` in the role's trust policy; let callers set it, or use the exchange."
        ),
        references=(_SOURCE_IDENTITY,),
        selectors=(Selector("sts", ASSUME),),
        check=_without_source_identity,
    ),
    Rule(
        id="unknown-source-identity-3",
        title="A source identity that the exchange did not issue",
        severity=Severity.HIGH,
        meaning=(
            "Somebody who may call `sts:SetSourceIdentity` chose a source identity. Either "
            "it is one that the "
            "exchange issued to somebody else, and the trace now lies, or nobody knows what it stands for."
        ),
        first="Ask the owner of the calling principal. Treat a borrowed identity as an attempt to hide.",
        remedy=(
            "Allow `sts:SetSourceIdentity` to the exchange's roles alone, or declare the other values in "
            "the deployment's list."
        ),
        references=(_SOURCE_IDENTITY,),
        selectors=(Selector("sts", ("AssumeRole",)),),
        check=_strange_source_identity,
        gaps="SAML and OIDC providers that set a source identity in their own assertions are not looked at.",
    ),
    Rule(
        id="chain-broken-4",
        title="A chain of roles loses its origin",
        severity=Severity.MEDIUM,
        meaning=(
            "A role session assumed another role without carrying a source identity. Across accounts the two "
            "halves of the event share one id and nothing else; if one trail is not ours, "
            "the trace ends there."
        ),
        first="Run `sallyport trace` on the new session's access key: it says where the chain is broken.",
        remedy="Have the first session made with a source identity: it is carried through the whole chain.",
        references=(_CHAINING, _SOURCE_IDENTITY),
        selectors=(Selector("sts", ("AssumeRole",)),),
        check=_broken_chain,
        gaps="Within one account only the first chain between two roles is reported.",
    ),
    Rule(
        id="federation-token-first-seen-23",
        title="A federation token by a caller that never asked for one",
        severity=Severity.HIGH,
        meaning=(
            "`GetFederationToken` makes credentials of up to 36 hours that stay valid when the key behind "
            "them is deactivated. Intruders use it to outlive a clean-up."
        ),
        first=(
            "Ask the user. If it was not them: deactivate the key and deny all actions to the "
            "user for 36 hours."
        ),
        remedy="Deny `sts:GetFederationToken` where nobody needs it.",
        references=(_FEDERATION_TOKEN,),
        selectors=(Selector("sts", ("GetFederationToken",)),),
        check=_first_federation_token,
    ),
    Rule(
        id="federation-token-administrative-24",
        title="A federation token that may do everything",
        severity=Severity.HIGH,
        meaning="The session policy of a federation token allows all actions, or all of IAM, on everything.",
        first="Find out who needs such a session; if nobody, deny all actions to the user for 36 hours.",
        remedy="Use roles with the permissions that are needed; deny `sts:GetFederationToken`.",
        references=(_FEDERATION_TOKEN,),
        selectors=(Selector("sts", ("GetFederationToken",)),),
        check=_administrative_federation_token,
        gaps="A policy that names many single actions is not weighed.",
    ),
    Rule(
        id="session-token-by-user-25",
        title="An IAM user makes a session token",
        severity=Severity.LOW,
        meaning=(
            "`GetSessionToken` is how a user proves a second factor. It is also how a stolen key is turned "
            "into credentials that look short-lived."
        ),
        first="See whether the user works with a second factor, and from where the call came.",
        remedy="Let people sign in through Identity Center, and workloads through the exchange.",
        references=(_SESSION_TOKEN,),
        selectors=(Selector("sts", ("GetSessionToken",)),),
        check=_session_token,
    ),
    Rule(
        id="assume-root-30",
        title="A root session of a member account",
        severity=Severity.HIGH,
        meaning=(
            "`AssumeRoot` gives the management account, or a delegated administrator, a short root session "
            "in a member account. It is rare and powerful."
        ),
        first="Ask the caller for the task. Look at what the session did in the target account.",
        remedy="Allow `sts:AssumeRoot` to one role that nobody holds by default.",
        references=(_ROOT,),
        selectors=(Selector("sts", ("AssumeRoot",)),),
        check=_assume_root,
    ),
    Rule(
        id="assume-role-denied-burst-36",
        title="Many attempts to assume roles are denied",
        severity=Severity.MEDIUM,
        meaning="One caller was denied again and again. A broken configuration, or somebody trying doors.",
        first="Read the error messages: they name the roles. Many different ones mean a search.",
        remedy="Mend the configuration; else take the caller's credentials away.",
        references=("https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html",),
        selectors=(Selector("sts", ASSUME),),
        check=_denied_burst,
        window=BURST_WINDOW,
        gaps="Windows do not overlap: a burst across their border may need nearly twice as many denials.",
    ),
)
