"""The pre-token-generation trigger: an event of Cognito's in, the same event with the claims out.

Whatever is missing, unknown, doubled or illegal refuses the token. No value becomes part of a claim
unless it is a whole legal tag, and nothing else of the event has a say in what the claims are.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sallyport.cognito.claims import flattened, nested, tells_aws
from sallyport.cognito.mapping import (
    SUB,
    Attribute,
    ClientRules,
    Constant,
    DeclaredTag,
    FromProvider,
    GroupPrefix,
    Groups,
    Metadata,
    PoolRules,
    TagMapping,
    Use,
)
from sallyport.cognito.user import User, read_user
from sallyport.errors import TokenRefusedError
from sallyport.model import JsonValue, SessionTag
from sallyport.trust.names import encode, shorten

CLIENT_CREDENTIALS: Final = "TokenGeneration_ClientCredentials"
USER_SOURCES: Final = frozenset(
    {
        "TokenGeneration_HostedAuth",
        "TokenGeneration_Authentication",
        "TokenGeneration_NewPasswordChallenge",
        "TokenGeneration_AuthenticateDevice",
        "TokenGeneration_RefreshTokens",
    }
)
"""What the trigger is invoked for where a user signs in. Tokens that Cognito derives of other tokens are
none of these: nobody has thought about whose they are."""

VERSIONS: Final = ("1", "2", "3")

_DETAILS_1: Final = "claimsOverrideDetails"
_DETAILS: Final = "claimsAndScopeOverrideDetails"
_ID: Final = "idTokenGeneration"
_ACCESS: Final = "accessTokenGeneration"
_ADD: Final = "claimsToAddOrOverride"
_SUPPRESS: Final = "claimsToSuppress"


def respond(event: object, mapping: TagMapping) -> dict[str, JsonValue]:
    """Return the event with the claims in its response; everything else stays as it is.

    Groups above all: Cognito takes them from a user whose ``groupOverrideDetails`` is null, so that
    member is neither made nor changed.

    Args:
        event: what Cognito invokes the trigger with, version 1, 2 or 3.
        mapping: what is declared.

    Raises:
        TokenRefusedError: there is to be no token. Its text is what Cognito shows to the caller and is
            written for the pool's owner; no value of the user's is in it.
    """
    if not isinstance(event, dict):
        raise _malformed("it is not an object")
    version, is_machine = _occasion(event)
    pool, client_id, rules = _declared(event, mapping, is_machine=is_machine)
    request = _member(event, "request")
    user = None if is_machine else read_user(request)
    tags = tuple(
        SessionTag(tag.key, value, tag.optional, tag.transitive)
        for tag in rules.tags
        if (value := _value(tag, pool, user, request)) is not None
    )
    subject = client_id if user is None else user.attributes.get(SUB)
    source_identity = _source_identity(rules.source_identity, subject)
    response = _member(event, "response")
    if version == "1":
        _check_flat(tags)
        claims = flattened(tags, source_identity, rules.roles)
        response = _answer_1(response, claims)
    else:
        claims = nested(tags, source_identity, rules.roles)
        response = _answer(response, claims, (_ACCESS,) if is_machine else (_ID, _ACCESS))
    return {**event, "response": response} if claims else dict(event)


def _occasion(event: Mapping[str, JsonValue]) -> tuple[str, bool]:
    """Return the event's version, and whether it is about a machine's token."""
    version, source = event.get("version"), event.get("triggerSource")
    if not isinstance(version, str) or version not in VERSIONS:
        raise TokenRefusedError(
            "trigger-version-unknown", "attach the trigger with version V1_0, V2_0 or V3_0"
        )
    # Cognito asks for machines in version 3 alone.
    if source == CLIENT_CREDENTIALS and version == "3":
        return version, True
    if not isinstance(source, str) or source not in USER_SOURCES:
        raise TokenRefusedError("trigger-source-unknown", "tokens are not made for this occasion")
    return version, False


def _declared(
    event: Mapping[str, JsonValue], mapping: TagMapping, *, is_machine: bool
) -> tuple[PoolRules, str, ClientRules]:
    pool_id = event.get("userPoolId")
    pool = mapping.pools.get(pool_id) if isinstance(pool_id, str) else None
    if pool is None:
        raise TokenRefusedError(
            "trigger-pool-undeclared",
            "the trust file declares nothing for this user pool",
            cure="declare the pool, or detach the trigger from it",
        )
    client_id = _member(event, "callerContext").get("clientId")
    rules = pool.client(client_id) if isinstance(client_id, str) and client_id else None
    if not isinstance(client_id, str) or rules is None:
        raise TokenRefusedError(
            "trigger-client-undeclared",
            "the trust file declares nothing for this app client",
            cure="declare the client, with tags: {} if its tokens are not for AWS",
        )
    if (rules.use is Use.MACHINE) is not is_machine:
        raise TokenRefusedError(
            "trigger-client-use",
            "the trust file declares this app client for "
            + ("users, and a machine asks" if is_machine else "a machine, and a user signs in"),
        )
    return pool, client_id, rules


def _value(
    tag: DeclaredTag, pool: PoolRules, user: User | None, request: Mapping[str, JsonValue]
) -> str | None:
    """Return the value of a tag, or nothing for an optional one that has none."""
    found = _values(tag, pool, user, request)
    if len(found) > 1:
        raise TokenRefusedError(
            "trigger-tag-ambiguous",
            f"the user can sign in by ways that differ in the value of the tag {tag.key!r}",
            cure="unlink the identities, or give each the same value",
        )
    (value,) = found
    if value is None:
        if tag.optional:
            return None
        raise TokenRefusedError("trigger-tag-missing", f"nothing is in {_origin(tag)}")
    if not tag.takes(value):
        raise TokenRefusedError("trigger-tag-illegal", f"what is in {_origin(tag)} cannot be its value")
    if not tag.allows(value):
        raise TokenRefusedError("trigger-tag-not-allowed", f"what is in {_origin(tag)} is not among allowed")
    return value


def _values(
    tag: DeclaredTag, pool: PoolRules, user: User | None, request: Mapping[str, JsonValue]
) -> set[str | None]:
    """Return the values that a tag has by all the ways in which this user could have come.

    What keeps tenants apart is never what an identity provider says: neither attributes, which it may
    write, nor groups. A user with several ways must have the same value by all of them: an identity
    linked to somebody else's profile would otherwise carry its own tenant there.
    """
    if user is None or isinstance(tag.source, Constant) or tag.source == Attribute(SUB):
        return {_own_value(tag, user, request)}
    found: set[str | None] = set()
    for provider in user.providers:
        constant = pool.providers.get(provider, {}).get(tag.key)
        if constant is None and tag.isolates:
            raise TokenRefusedError(
                "trigger-provider-undeclared",
                f"the trust file has no value of the tag {tag.key!r} for the user's identity provider",
                cure="give the provider a constant under providers",
            )
        found.add(_own_value(tag, user, request) if constant is None else constant)
    if user.is_native:
        found.add(_own_value(tag, user, request))
    return found


def _own_value(tag: DeclaredTag, user: User | None, request: Mapping[str, JsonValue]) -> str | None:
    """Return what a tag's source says; an empty text says nothing."""
    source = tag.source
    if isinstance(source, Constant):
        return source.value
    if isinstance(source, Metadata):
        return _text(_member(request, "clientMetadata").get(source.key), tag)
    if user is None or isinstance(source, FromProvider):
        return None
    if isinstance(source, Attribute):
        return _text(user.attributes.get(source.name), tag)
    return _from_groups(source, user, tag)


def _from_groups(source: Groups | GroupPrefix, user: User, tag: DeclaredTag) -> str | None:
    if user.groups is None:
        return None
    if not isinstance(user.groups, list):
        raise _malformed("the user's groups are not a list")
    names = [name for name in user.groups if isinstance(name, str)]
    if len(names) != len(user.groups):
        raise _malformed("the user's groups are not names")
    if isinstance(source, Groups):
        found = {source.values[name] for name in names if name in source.values}
    else:
        found = {name.removeprefix(source.prefix) for name in names if name.startswith(source.prefix)}
    if len(found) > 1:
        raise TokenRefusedError(
            "trigger-tag-ambiguous", f"the user's groups give more than one value of the tag {tag.key!r}"
        )
    return next(iter(found), None)


def _text(value: JsonValue, tag: DeclaredTag) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise TokenRefusedError("trigger-tag-illegal", f"what is in {_origin(tag)} is not text")
    return value


def _origin(tag: DeclaredTag) -> str:
    source = tag.source
    if isinstance(source, Attribute):
        place = f"the user's attribute {source.name}"
    elif isinstance(source, Groups | GroupPrefix):
        place = "the user's groups"
    elif isinstance(source, Metadata):
        place = f"the client metadata's {source.key}"
    else:
        place = "the trust file for this user"
    return f"{place}, of which the tag {tag.key!r} is made"


def _source_identity(prefix: str | None, subject: JsonValue) -> str | None:
    if prefix is None:
        return None
    if not isinstance(subject, str) or not subject:
        raise TokenRefusedError("trigger-subject-missing", "Cognito sent no sub of the user")
    # Legal for STS whatever the subject: the prefix was checked when the mapping was read.
    return shorten(prefix + encode(subject))


def _check_flat(tags: Iterable[SessionTag]) -> None:
    if any(tag.transitive for tag in tags):
        raise TokenRefusedError(
            "trigger-transitive-tags",
            "version V1_0 carries no lists, so no tag can be transitive",
            cure="attach the trigger with V2_0 or V3_0, or declare no transitive tags",
        )


def _answer_1(response: Mapping[str, JsonValue], claims: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    details = _details(response, _DETAILS_1, _DETAILS)
    return {**response, _DETAILS_1: _section(details, claims)}


def _answer(
    response: Mapping[str, JsonValue], claims: Mapping[str, JsonValue], ours: tuple[str, ...]
) -> dict[str, JsonValue]:
    details = _details(response, _DETAILS, _DETAILS_1)
    sections = {
        # What another trigger said of the other token is looked at as well.
        name: _section(_member(details, name), claims if name in ours else {})
        for name in (_ID, _ACCESS)
        if name in ours or details.get(name) is not None
    }
    return {**response, _DETAILS: {**details, **sections}}


def _details(response: Mapping[str, JsonValue], name: str, other: str) -> Mapping[str, JsonValue]:
    """Return what another trigger answered; one of another version's form would be nobody's answer."""
    if response.get(other) is not None:
        raise _malformed(f"{other} is not of its version")
    return _member(response, name)


def _section(section: Mapping[str, JsonValue], claims: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a section with our claims added, refusing one in which another trigger speaks to AWS."""
    added = _member(section, _ADD)
    suppressed = section.get(_SUPPRESS)
    if suppressed is not None and not isinstance(suppressed, list):
        raise _malformed("claimsToSuppress is not a list")
    if any(map(tells_aws, added)) or any(map(tells_aws, suppressed or ())):
        raise TokenRefusedError(
            "trigger-claims-present",
            "another trigger has set or suppressed claims for AWS, which are Sallyport's alone",
            cure="have it leave out everything that begins with https://aws.amazon.com/",
        )
    return {**section, _ADD: {**added, **claims}} if claims else dict(section)


def _member(parent: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    """Return a member that is an object; one that is absent or null is an empty one."""
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _malformed(f"{name} is not an object")
    return value


def _malformed(detail: str) -> TokenRefusedError:
    return TokenRefusedError("trigger-event-malformed", f"Cognito's event is not what it should be: {detail}")
