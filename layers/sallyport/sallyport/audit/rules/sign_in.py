"""People at the door: console, ``aws login``, and the root user wherever it appears."""

from datetime import timedelta
from typing import Final

from sallyport.audit.events import Observed
from sallyport.audit.finding import Severity, window_of
from sallyport.audit.rules.context import GRACE, Context
from sallyport.audit.rules.rule import (
    NO_MATCH,
    Match,
    Rule,
    Selector,
    Unclear,
    Verdict,
    Where,
    caller_evidence,
    who,
)

# Every spelling that was seen; newer siblings of the same family begin alike.
AUTHORIZE: Final = ("AuthorizeOAuth2Access", "AuthorizeOauth2Access")
TOKEN: Final = ("CreateOAuth2Token", "CreateOauth2Token", "CreateOAuth2TokenWithIAM")
SAME_DEVICE: Final = "devtools/same-device"
CROSS_DEVICE: Final = "devtools/cross-device"
BURST_WINDOW: Final = timedelta(minutes=15)
LOGIN_FAILURES: Final = 5
ROOT_FAILURES: Final = 5
# An authorization is traded for a token while the person waits.
LOGIN_TAKES: Final = timedelta(minutes=15)

_ROOT: Final = Where("userIdentity.type", "equals", ("Root",))
_LOGIN: Final = "https://docs.aws.amazon.com/signin/latest/userguide/command-line-sign-in.html"
_ROOT_USER: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_root-user.html"
_CONSOLE_EVENTS: Final = "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aws-console-sign-in-events.html"


def _login_failed(event: Observed) -> bool | None:
    """Tell whether a step of ``aws login`` failed; it says so as text. ``None`` if it does not say."""
    if not event.succeeded:
        return True
    said = event.value("additionalEventData.success")
    if isinstance(said, bool):
        return not said
    return {"true": False, "false": True}.get(said.lower()) if isinstance(said, str) else None


def _root_login(event: Observed, _context: Context) -> Verdict:
    if event.caller.type is None:
        return Unclear("no-caller")
    if event.caller.type != "Root" or _login_failed(event):
        return NO_MATCH
    return Match(
        about=(event.caller.account or event.account or "",),
        why="The root user signed a command line in.",
        evidence=caller_evidence(event) | {"client": event.value("requestParameters.client_id")},
    )


def _cross_device(event: Observed, _context: Context) -> Verdict:
    if _login_failed(event):
        return NO_MATCH
    client = event.text("requestParameters.client_id")
    if client is None:
        return Unclear("no-client")
    if client.endswith(SAME_DEVICE):
        return NO_MATCH
    known = client.endswith(CROSS_DEVICE)
    return Match(
        about=(who(event), client),
        why=(
            "A command line was signed in across devices: whoever sends the link to somebody "
            "else gets the session."
            if known
            else "A client that is not the AWS CLI's signed in."
        ),
        evidence=caller_evidence(event)
        | {"client": client, "redirect": event.value("requestParameters.redirect_uri")},
        severity=None if known else Severity.LOW,
    )


def _split_login(event: Observed, context: Context) -> Verdict:
    failed = _login_failed(event)
    if failed:
        return NO_MATCH
    key = _login_key(event)
    if key is None:
        return Unclear("no-principal-or-client")
    if event.name.lower().startswith("authorize"):
        return _authorized(event, context, key)
    return _token(event, context, key)


def _login_key(event: Observed) -> str | None:
    principal = event.caller.arn or event.caller.principal_id
    client = event.text("requestParameters.client_id")
    return None if principal is None or client is None else f"{principal} {client}"


def _authorized(event: Observed, context: Context, key: str) -> Verdict:
    context.sign_ins.authorized(key, event.source_ip or "", event.time)
    if context.sign_ins.was_redeemed(key, event.time):
        return NO_MATCH
    due = event.time + LOGIN_TAKES + GRACE
    if context.now < due:
        return Unclear("token-may-come", due)
    return Match(
        about=(key, event.time.isoformat()),
        why="A sign-in of a command line was authorized, and no token was ever fetched for it here.",
        evidence=caller_evidence(event),
        severity=Severity.LOW,
    )


def _token(event: Observed, context: Context, key: str) -> Verdict:
    grant = event.text("requestParameters.grant_type")
    if grant is not None and "refresh" in grant:
        return NO_MATCH
    context.sign_ins.redeemed(key, event.time)
    last = context.sign_ins.last_authorized(key, event.time)
    if last is None:
        due = event.time + GRACE
        return (
            Unclear("authorization-may-come", due) if context.now < due else Unclear("no-authorization-seen")
        )
    place, when = last
    if not place or event.source_ip is None:
        return Unclear("no-address")
    # Without a grant type, a token long after any authorization is the renewal of an old one.
    if place == event.source_ip or event.time - when > LOGIN_TAKES:
        return NO_MATCH
    return Match(
        about=(key,),
        why="A sign-in was authorized at one address, and its token was fetched from another.",
        evidence=caller_evidence(event) | {"authorized from": place, "authorized at": when.isoformat()},
    )


def _login_failures(event: Observed, context: Context) -> Verdict:
    failed = _login_failed(event)
    if failed is None:
        return Unclear("no-outcome")
    caller = event.caller.name or event.source_ip
    if not failed or caller is None:
        return Unclear("no-caller") if failed else NO_MATCH
    start = window_of(event.time, BURST_WINDOW)
    count = context.counter.add("login-failed", caller, start, event.occurrence)
    if count < LOGIN_FAILURES:
        return NO_MATCH
    return Match(
        about=(caller,),
        why=f"{count} sign-ins of a command line failed within {BURST_WINDOW.seconds // 60} minutes.",
        evidence=caller_evidence(event) | {"failures": count},
        weight=count if count == LOGIN_FAILURES else 1,
    )


def _console_outcome(event: Observed) -> str | None:
    return event.text("responseElements.ConsoleLogin")


def _root_sign_in(event: Observed, _context: Context) -> Verdict:
    if event.caller.type is None:
        return Unclear("no-caller")
    if event.caller.type != "Root":
        return NO_MATCH
    outcome = _console_outcome(event)
    if outcome is None:
        return Unclear("no-outcome")
    if outcome != "Success":
        return NO_MATCH
    mfa = event.text("additionalEventData.MFAUsed")
    without = mfa is not None and mfa.lower() == "no"
    return Match(
        about=(event.caller.account or event.account or "",),
        why=f"The root user signed in to the console{', without a second factor' if without else ''}.",
        evidence=caller_evidence(event) | {"second factor": mfa},
        severity=Severity.HIGH if without else None,
    )


def _root_brute_force(event: Observed, context: Context) -> Verdict:
    if event.caller.type is None:
        return Unclear("no-caller")
    if event.caller.type != "Root":
        return NO_MATCH
    outcome = _console_outcome(event)
    if outcome is None:
        return Unclear("no-outcome")
    if outcome != "Failure":
        return NO_MATCH
    account = event.caller.account or event.account
    if account is None:
        return Unclear("no-account")
    start = window_of(event.time, BURST_WINDOW)
    count = context.counter.add("root-sign-in-failed", account, start, event.occurrence)
    if count < ROOT_FAILURES:
        return NO_MATCH
    return Match(
        about=(account,),
        why=f"{count} sign-ins as root failed within {BURST_WINDOW.seconds // 60} minutes.",
        evidence=caller_evidence(event) | {"failures": count},
        weight=count if count == ROOT_FAILURES else 1,
    )


def _root_activity(event: Observed, _context: Context) -> Verdict:
    if event.caller.type != "Root" or event.caller.invoked_by is not None:
        return NO_MATCH
    # Signing in has rules of its own, and a root session made by AssumeRoot is somebody's task.
    if event.kind == "AwsServiceEvent" or event.source == "signin":
        return NO_MATCH
    if event.read_only is None:
        return Unclear("read-only-unknown")
    if event.read_only:
        return NO_MATCH
    return Match(
        about=(event.caller.account or event.account or "", event.source, event.name),
        why="The root user changed something."
        if event.succeeded
        else "The root user tried to change something, in vain.",
        evidence=caller_evidence(event),
        severity=None if event.succeeded else Severity.MEDIUM,
    )


def _sign_in_token(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    if event.caller.type is None:
        return Unclear("no-caller")
    name = event.caller.session_name or ""
    instance = event.caller.type == "AssumedRole" and name.startswith("i-")
    agent = event.user_agent
    if not instance:
        if agent is None:
            return Unclear("no-user-agent")
        # Browsers, and what Identity Center and the federation endpoint themselves send.
        if agent.startswith(("Mozilla/", "Jakarta Commons-HttpClient", "AWS Internal", "aws-internal")):
            return NO_MATCH
    return Match(
        # Not the user agent: it is the caller's to choose, and could choose what is suppressed.
        about=(who(event),),
        why=(
            "An instance's role made a link to sign in to the console."
            if instance
            else "A program turned credentials into a link to sign in to the console."
        ),
        evidence=caller_evidence(event),
        severity=Severity.HIGH if instance else None,
    )


RULES: Final = (
    Rule(
        id="root-login-6",
        title="The root user uses `aws login`",
        severity=Severity.HIGH,
        meaning="A command line holds a session of the root user, and renews it for hours.",
        first="Ask whoever holds the root password. If nobody did it, change it and end the session.",
        remedy="Give people a role through Identity Center; use root for nothing that others can do.",
        references=(_LOGIN, _ROOT_USER),
        selectors=(Selector("signin", (*AUTHORIZE, *TOKEN)),),
        check=_root_login,
    ),
    Rule(
        id="login-cross-device-7",
        title="A command line was signed in across devices",
        severity=Severity.MEDIUM,
        meaning=(
            "One device shows a link, another authorizes it. Whoever is talked into following a stranger's "
            "link hands over a session."
        ),
        first="Ask the person whether the command line was theirs.",
        remedy="Deny the cross-device flow (`signin:` actions) where nobody needs it.",
        references=(_LOGIN,),
        selectors=(Selector("signin", (*AUTHORIZE, *TOKEN)),),
        check=_cross_device,
    ),
    Rule(
        id="login-in-two-places-8",
        title="A sign-in was authorized in one place and used in another",
        severity=Severity.MEDIUM,
        meaning=(
            "Authorization and token of one `aws login` came from different addresses, or there was no token "
            "at all: the sign-in may have been taken over, or was given up."
        ),
        first="Compare the two addresses: a company's proxies, or a stranger's network?",
        remedy="Deny the cross-device flow; teach people to follow no sign-in links.",
        references=(_LOGIN,),
        selectors=(Selector("signin", (*AUTHORIZE, *TOKEN)),),
        check=_split_login,
        gaps="Both steps must have been logged in Regions that are forwarded.",
    ),
    Rule(
        id="login-failures-9",
        title="Sign-ins of a command line fail again and again",
        severity=Severity.MEDIUM,
        meaning="Several steps of `aws login` failed for one caller in a short time.",
        first="Look at the caller and the address: a person in trouble, or somebody guessing?",
        remedy="Help the person; block the address otherwise.",
        references=(_LOGIN,),
        selectors=(Selector("signin", (*AUTHORIZE, *TOKEN)),),
        check=_login_failures,
        window=BURST_WINDOW,
        gaps="Windows do not overlap: a burst across their border may need nearly twice as many failures.",
    ),
    Rule(
        id="root-console-sign-in-10",
        title="The root user signed in to the console",
        severity=Severity.MEDIUM,
        meaning="Somebody has root's password, and its second factor if there is one.",
        first="Ask whoever holds it. If nobody did it, change it at once and look at rule root-activity-11.",
        remedy=(
            "Remove root credentials of member accounts; keep those of the management account locked away."
        ),
        references=(_ROOT_USER, _CONSOLE_EVENTS),
        selectors=(Selector("signin", ("ConsoleLogin",)),),
        check=_root_sign_in,
    ),
    Rule(
        id="root-activity-11",
        title="The root user changes something",
        severity=Severity.HIGH,
        meaning="A call that is not only reading was signed with root credentials, and no service made it.",
        first="Ask whoever holds them for the task. If there is none, this account is somebody else's.",
        remedy="Use roles for everything that roles can do.",
        references=(_ROOT_USER,),
        selectors=(Selector("", where=(_ROOT,)),),
        check=_root_activity,
    ),
    Rule(
        id="root-brute-force-40",
        title="Many sign-ins as root fail",
        severity=Severity.HIGH,
        meaning="Somebody is guessing the root password, or has it and lacks the second factor.",
        first="See that root has a second factor, and change its password.",
        remedy="Remove root credentials of member accounts: there is nothing to guess then.",
        references=(_ROOT_USER, _CONSOLE_EVENTS),
        selectors=(Selector("signin", ("ConsoleLogin",)),),
        check=_root_brute_force,
        window=BURST_WINDOW,
        gaps="Windows do not overlap: a burst across their border may need nearly twice as many failures.",
    ),
    Rule(
        id="sign-in-token-43",
        title="Credentials become a console session",
        severity=Severity.MEDIUM,
        meaning=(
            "`GetSigninToken` makes a console link out of credentials. From a program that is no browser it "
            "is how stolen keys are used by hand; an instance's role has no business there."
        ),
        first="Find out what the caller's program is. For an instance: look for what runs on it.",
        remedy="Revoke the role's sessions; let people reach the console through Identity Center.",
        references=(
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_enable-console-custom-url.html",
        ),
        selectors=(Selector("signin", ("GetSigninToken",)),),
        check=_sign_in_token,
        gaps="A program that calls itself a browser is taken for one.",
    ),
)
