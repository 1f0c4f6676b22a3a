"""Long-term keys of users, and keys that are used where they should not be."""

from typing import Final

from sallyport.audit.events import Observed
from sallyport.audit.finding import Severity
from sallyport.audit.rules.context import Context
from sallyport.audit.rules.rule import (
    MANAGED_ROLES,
    NO_MATCH,
    Match,
    Rule,
    Selector,
    Unclear,
    Verdict,
    Where,
    caller_evidence,
    is_new,
    key_resource,
    learning,
    who,
)

# Two addresses are one laptop on two networks, or one host with IPv4 and IPv6.
SEVERAL_ADDRESSES: Final = 3

_USER: Final = Where("userIdentity.type", "equals", ("IAMUser",))
_LONG_TERM: Final = Where("userIdentity.accessKeyId", "prefix", ("AKIA",))
_TEMPORARY: Final = Where("userIdentity.accessKeyId", "prefix", ("ASIA",))
_MANAGED: Final = Where("userIdentity.sessionContext.sessionIssuer.arn", "arn-like", (MANAGED_ROLES,))
_KEYS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html"
_ROOT_KEYS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/root-user-best-practices.html"


def _long_term_key(event: Observed, context: Context) -> Verdict:
    # The prefix alone would not do: redacted logs show it under other types.
    caller = event.caller
    if caller.type != "IAMUser" or caller.access_key is None or not caller.access_key.startswith("AKIA"):
        return NO_MATCH
    found = Match(
        about=(caller.access_key,),
        why="A user's long-term key is in use.",
        evidence=caller_evidence(event) | {"user": caller.user_name},
        resources=key_resource(caller.access_key),
        severity=Severity.INFORMATIONAL,
    )
    if event.source_ip is None or not is_new(
        event, context, "key-address", f"{caller.access_key} {event.source_ip}"
    ):
        return found
    return Match(
        about=(caller.access_key,),
        why="A user's long-term key is in use from an address it was never used from.",
        evidence=found.evidence,
        resources=found.resources,
        **learning(event, context),
    )


def _key_created(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded or event.caller.type == "Root":
        return NO_MATCH
    created = event.text("responseElements.accessKey.accessKeyId")
    user = event.text("responseElements.accessKey.userName") or event.text("requestParameters.userName")
    if created is None and user is None:
        return Unclear("no-key")
    return Match(
        about=(created or "", user or ""),
        why="A long-term access key was created.",
        evidence=caller_evidence(event) | {"new key": created, "user": user},
        resources=key_resource(created),
    )


def _root_credentials(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded:
        return NO_MATCH
    if event.caller.type is None:
        return Unclear("no-caller")
    if event.caller.type != "Root" or event.text("requestParameters.userName") is not None:
        return NO_MATCH
    is_key = event.name.lower() == "createaccesskey"
    created = event.text("responseElements.accessKey.accessKeyId") if is_key else None
    return Match(
        about=(event.name.lower(), created or event.caller.account or ""),
        why="A root user made an access key for itself." if is_key else "A root user got a sign-in profile.",
        evidence=caller_evidence(event) | {"new key": created},
        resources=key_resource(created),
        severity=Severity.CRITICAL if is_key else Severity.HIGH,
    )


def _key_for_another(event: Observed, _context: Context) -> Verdict:
    if not event.succeeded or event.caller.type not in {"IAMUser", "Root"}:
        return NO_MATCH if event.caller.type is not None else Unclear("no-caller")
    target = event.text("requestParameters.userName") or event.text("responseElements.accessKey.userName")
    if target is None:
        # Without a name the key is the caller's own.
        return NO_MATCH
    own = event.caller.user_name
    if event.caller.type == "IAMUser" and own is None:
        return Unclear("no-user-name")
    # The values, not the names of the fields; IAM's names differ by case alone nowhere.
    if own is not None and own.lower() == target.lower():
        return NO_MATCH
    return Match(
        about=(who(event), target),
        why="A user made an access key for another user.",
        evidence=caller_evidence(event)
        | {"for user": target, "new key": event.value("responseElements.accessKey.accessKeyId")},
        resources=key_resource(event.text("responseElements.accessKey.accessKeyId")),
    )


def _several_addresses(event: Observed, context: Context) -> Verdict:
    key = event.caller.access_key
    if event.caller.invoked_by is not None or event.caller.from_console or event.caller.type == "AWSService":
        return NO_MATCH
    if context.estate.is_own_heartbeat(event):
        # One session of a function comes from wherever Lambda runs it.
        return NO_MATCH
    if key is None or event.source_ip is None:
        return Unclear("no-key" if key is None else "no-address")
    if not key.startswith("ASIA"):
        return NO_MATCH
    places = context.history.places("session-address", key, event.source_ip, event.time)
    if len(places) < SEVERAL_ADDRESSES:
        return NO_MATCH
    return Match(
        about=(key,),
        why=f"One session's credentials were used from {len(places)} addresses.",
        evidence=caller_evidence(event) | {"addresses": tuple(sorted(places))},
        resources=key_resource(key),
    )


RULES: Final = (
    Rule(
        id="long-term-key-in-use-20",
        title="A user's long-term key is in use",
        severity=Severity.MEDIUM,
        meaning=(
            "An access key that never expires signed a call. It is informational where the key is always "
            "used from, and medium from an address that is new."
        ),
        first="If the address is new, ask the user. If nobody knows it, deactivate the key.",
        remedy="Let the workload use the exchange, and delete the key.",
        references=(_KEYS,),
        selectors=(
            Selector("sts", where=(_USER, _LONG_TERM)),
            Selector("iam", where=(_USER, _LONG_TERM)),
        ),
        check=_long_term_key,
        gaps=(
            "Only calls to STS and IAM: every call of every service would cost too much. The query sees all."
        ),
    ),
    Rule(
        id="long-term-key-created-21",
        title="A long-term access key was created",
        severity=Severity.MEDIUM,
        meaning="A key that never expires now exists. It will be copied, and it will be forgotten.",
        first="Ask who made it what it is for, and whether the exchange cannot give the same.",
        remedy="Delete the key; deny `iam:CreateAccessKey` by a service control policy.",
        references=(_KEYS,),
        selectors=(Selector("iam", ("CreateAccessKey",)),),
        check=_key_created,
    ),
    Rule(
        id="root-credentials-created-42",
        title="The root user got credentials",
        severity=Severity.CRITICAL,
        meaning="A key of the root user can do everything in the account, forever, without a second factor.",
        first=(
            "Delete the key at once, from a session that you know; change the root password and "
            "its second factor."
        ),
        remedy="Remove root credentials of member accounts through the organisation.",
        references=(_ROOT_KEYS,),
        selectors=(Selector("iam", ("CreateAccessKey", "CreateLoginProfile")),),
        check=_root_credentials,
    ),
    Rule(
        id="key-for-another-user-48",
        title="A key was made for another user",
        severity=Severity.HIGH,
        meaning=(
            "Whoever may make keys for others may become them. It is a common way to stay: a key of somebody "
            "who has more rights, or whom nobody watches."
        ),
        first="Ask both users. If neither knows, deactivate both keys.",
        remedy="Allow `iam:CreateAccessKey` on `user/${aws:username}` alone, or to nobody.",
        references=(_KEYS,),
        selectors=(Selector("iam", ("CreateAccessKey",)),),
        check=_key_for_another,
        gaps=(
            "Keys made by roles are in long-term-key-created-21: administrators make them for "
            "others by trade."
        ),
    ),
    Rule(
        id="session-from-several-addresses-45",
        title="One session is used from several addresses",
        severity=Severity.MEDIUM,
        meaning=(
            f"The same temporary key came from {SEVERAL_ADDRESSES} or more addresses: it may have "
            "been copied."
        ),
        first="Are the addresses one company's outgoing ones? If not, revoke the role's sessions.",
        remedy=(
            "Bind the role to its networks (`aws:SourceIp`, `aws:SourceVpc`), or declare the "
            "addresses' owner."
        ),
        references=("https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html",),
        selectors=(
            Selector("sts", where=(_TEMPORARY,)),
            Selector("iam", where=(_TEMPORARY,)),
            Selector("", where=(_MANAGED,)),
        ),
        check=_several_addresses,
        gaps="Of sessions that are not of managed roles only calls to STS and IAM are seen.",
    ),
)
