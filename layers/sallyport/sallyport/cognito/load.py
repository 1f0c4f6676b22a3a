"""Reads the compiled mapping, whole and strictly: in init, and before it is deployed.

What could let a user choose his tenant is refused here, so that the trigger has nothing left to decide
but who is signing in.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from sallyport.cognito.mapping import (
    Attribute,
    ClientRules,
    Constant,
    DeclaredTag,
    FromProvider,
    GroupPrefix,
    Groups,
    Metadata,
    PoolRules,
    Source,
    TagMapping,
    Use,
)
from sallyport.errors import ConfigurationError, TrustFileError
from sallyport.model import JsonValue
from sallyport.proof.strict_json import parse_object
from sallyport.trust.limits import MAX_ARN_LENGTH, MAX_NAME_LENGTH, MAX_TAG_VALUE_LENGTH, MAX_TAGS
from sallyport.trust.mapping import compile_tag, fold_tag_key
from sallyport.trust.problems import Path, Problem, Problems, refuse
from sallyport.trust.wildcards import Pattern, pattern

FORMAT: Final = 1
"""The one form of a mapping that this code reads; another number is another form."""

MAX_BYTES: Final = 1_000_000
"""Ten thousand app clients. Read once, in init, which takes such a mapping a third of a second."""

MAX_VARIABLE_BYTES: Final = 3_000
"""A longer mapping comes in a file: a function's environment variables have 4 KB together, and
Powertools' need some."""

# A Cognito user's ``sub`` is 36 characters: with this prefix a source identity never has to be cut.
MAX_PREFIX_LENGTH: Final = MAX_NAME_LENGTH - 36
# A list that somebody can review, and that costs a sign-in nothing that could be measured.
MAX_ALLOWED: Final = 200
# STS's limit is on the whole token; AWS names no number of roles, and nobody reviews more than these.
MAX_ROLES: Final = 50

_POOL: Final = re.compile(r"[A-Za-z0-9-]{1,40}_[A-Za-z0-9]{1,55}")
_CLIENT: Final = re.compile(r"[A-Za-z0-9_+]{1,128}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.@-]+")
_ROLE: Final = re.compile(
    r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/(?:[A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,64}"
)
# What Cognito takes for the longest of its names, a group's.
_MAX_NAME: Final = 128


def load_mapping(data: bytes) -> TagMapping:
    """Read the mapping that a function carries with it.

    Args:
        data: UTF-8 JSON, at most ``MAX_BYTES``.

    Raises:
        ConfigurationError: it is not one that may be used; the function must not start.
    """
    if len(data) > MAX_BYTES:
        raise ConfigurationError("tag-mapping-malformed", f"it is longer than {MAX_BYTES} bytes")
    try:
        document = parse_object(data)
    except ValueError as error:
        raise ConfigurationError("tag-mapping-malformed", "it is not JSON, or takes liberties") from error
    try:
        return read_mapping(document)
    except TrustFileError as error:
        first = next(problem for problem in error.problems if isinstance(problem, Problem))
        raise ConfigurationError(
            "tag-mapping-malformed",
            f"{'.'.join(map(str, first.path)) or 'the mapping'}: {first.text}",
            cure=first.cure,
        ) from error


def read_mapping(document: JsonValue) -> TagMapping:
    """Check a mapping's document and return what it says.

    Raises:
        TrustFileError: it may not be used; with every problem found and where it is.
    """
    top = _object(document, required=("format", "pools"))
    if type(top["format"]) is not int or top["format"] != FORMAT:
        raise refuse("the mapping has another format", f"compile it for format {FORMAT}", "format")
    found = Problems()
    pools: dict[str, PoolRules] = {}
    with found.at("pools"):
        declared = _object(top["pools"], any_member=True)
        if not declared:
            raise refuse("no user pool is declared", "declare at least one")
        for pool_id, rules in declared.items():
            with found.at("pools", pool_id):
                pools[pool_id] = _pool(pool_id, rules)
    found.raise_if_any()
    return TagMapping(pools)


def write_mapping(document: JsonValue) -> str:
    """Check a mapping's document and return the text to deploy: ASCII, and the same for the same content.

    Raises:
        TrustFileError: it may not be used, or is longer than ``MAX_BYTES``.
    """
    read_mapping(document)
    text = json.dumps(document, separators=(",", ":"), sort_keys=True)
    if len(text) > MAX_BYTES:
        raise refuse(f"the mapping is longer than {MAX_BYTES} bytes", "declare less for each app client")
    return text


def _pool(pool_id: str, document: JsonValue) -> PoolRules:
    if _POOL.fullmatch(pool_id) is None:
        raise refuse("this is not a user pool's id", "write it as Cognito does: eu-central-1_AbCdEf123")
    members = _object(document, required=("clients",), optional=("default", "providers"))
    found = Problems()
    clients: dict[str, ClientRules] = {}
    default: ClientRules | None = None
    providers: dict[str, Mapping[str, str]] = {}
    with found.at("clients"):
        for client_id, rules in _object(members["clients"], any_member=True).items():
            with found.at("clients", client_id):
                if _CLIENT.fullmatch(client_id) is None:
                    raise refuse("this is not an app client's id", "write the id, not the name")
                clients[client_id] = _client(rules)
    if "default" in members:
        with found.at("default"):
            default = _client(members["default"])
            if default.use is not Use.USERS:
                raise refuse("a machine's client cannot stand for others", "list it under clients")
    with found.at("providers"):
        for name, constants in _object(members.get("providers", {}), any_member=True).items():
            with found.at("providers", name):
                _check_name(name)
                providers[name] = _texts(constants)
    found.raise_if_any()
    pool = PoolRules(id=pool_id, clients=clients, default=default, providers=providers)
    _check_keys(pool)
    _check_constants(pool)
    _check_providers(pool)
    return pool


def _client(document: JsonValue) -> ClientRules:
    members = _object(document, required=("use", "tags"), optional=("source_identity", "roles"))
    use = members["use"]
    if use not in ("users", "machine"):
        raise refuse("this is neither users nor machine", "say who gets tokens through the client", "use")
    found = Problems()
    tags: list[DeclaredTag] = []
    for key, rule in _object(members["tags"], path=("tags",), any_member=True).items():
        with found.at("tags", key):
            tags.append(_tag(key, rule, Use(use)))
    with found.at("tags"):
        if len(tags) > MAX_TAGS:
            raise refuse(f"STS takes {MAX_TAGS} tags", "declare fewer")
    found.raise_if_any()
    return ClientRules(
        use=Use(use),
        tags=tuple(tags),
        source_identity=_prefix(members.get("source_identity")),
        roles=_roles(members.get("roles")),
    )


_SOURCES: Final = ("attribute", "groups", "group_prefix", "constant", "metadata", "provider")
_ONE_TEXT: Final[Mapping[str, Callable[[str], Source]]] = {
    "attribute": Attribute,
    "group_prefix": GroupPrefix,
    "constant": Constant,
    "metadata": Metadata,
}
_FLAGS: Final = {"isolates": True, "optional": False, "transitive": False}


def _tag(key: str, document: JsonValue, use: Use) -> DeclaredTag:
    # The same rules for keys as for the tags of a profile.
    compile_tag(key, "")
    members = _object(document, optional=(*_SOURCES, *_FLAGS, "allowed"))
    flags = {name: members.get(name, default) for name, default in _FLAGS.items()}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise refuse("this is neither true nor false", "write true or false", name)
    tag = DeclaredTag(
        key=key,
        source=_source(members),
        isolates=flags["isolates"] is True,
        optional=flags["optional"] is True,
        transitive=flags["transitive"] is True,
        allowed=_allowed(members.get("allowed")),
    )
    _check_tag(tag, use)
    return tag


def _source(members: Mapping[str, JsonValue]) -> Source:
    named = [name for name in _SOURCES if name in members]
    if len(named) != 1:
        raise refuse("a tag has exactly one source", f"give one of {', '.join(_SOURCES)}")
    (name,) = named
    value = members[name]
    if name == "provider":
        if value is not True:
            raise refuse("this says nothing", "write true, or another source", name)
        return FromProvider()
    if name == "groups":
        values = _texts(value, name)
        for group in values:
            _check_name(group, name)
        return Groups(values)
    if not isinstance(value, str):
        raise refuse("this is not text", "write text", name)
    if name != "constant":
        _check_name(value, name)
    if name == "attribute" and (value == "identities" or value.startswith("cognito:")):
        raise refuse("Cognito keeps this attribute for itself", "name an attribute of the users", name)
    return _ONE_TEXT[name](value)


def _check_tag(tag: DeclaredTag, use: Use) -> None:
    if tag.isolates and tag.optional:
        raise refuse("without a tag that isolates there is no isolation", "leave out optional")
    if tag.isolates and isinstance(tag.source, Metadata):
        raise refuse(
            "the caller writes the client metadata, so he would choose his tenant",
            "use another source, or say isolates: false",
        )
    if use is Use.MACHINE and not isinstance(tag.source, Constant | Metadata):
        raise refuse("a machine has no user's attributes and groups", "give it a constant")
    constants: list[str] = []
    if isinstance(tag.source, Constant):
        constants = [tag.source.value]
    elif isinstance(tag.source, Groups):
        constants = list(tag.source.values.values())
    for value in constants:
        _check_constant(tag, value)


def _check_constant(tag: DeclaredTag, value: str, *path: str) -> None:
    if not tag.takes(value):
        raise refuse(
            f"the tag {tag.key!r} cannot have this value",
            "use letters, digits and _ . @ = + -" if tag.isolates else "use what STS takes in a tag",
            *path,
        )
    if not tag.allows(value):
        raise refuse(f"the tag {tag.key!r} does not allow this value", "add it to allowed", *path)


def _check_keys(pool: PoolRules) -> None:
    """A user chooses the app client, so a tag must mean the same through every one of them.

    Keys that differ in case only are the same to STS, within an app client too.
    """
    seen: dict[str, DeclaredTag] = {}
    for rules in pool.rules():
        for tag in rules.tags:
            other = seen.setdefault(fold_tag_key(tag.key), tag)
            if other.key != tag.key:
                raise refuse(
                    f"{tag.key!r} and {other.key!r} differ in case only", "write one of them everywhere"
                )
            if other.isolates is not tag.isolates:
                raise refuse(
                    f"the tag {tag.key!r} isolates through one app client and not through another",
                    "a user would take the other client: say the same everywhere",
                )


def _check_constants(pool: PoolRules) -> None:
    """An app client's id is no secret: a constant may isolate users only if no client has another value."""
    sources: dict[str, set[Source | None]] = {}
    users = [rules for rules in pool.rules() if rules.use is Use.USERS]
    for rules in users:
        for tag in rules.tags:
            if tag.isolates:
                kept = tag.source if isinstance(tag.source, Constant) else None
                sources.setdefault(tag.key, set()).add(kept)
    for key, found in sources.items():
        if len(found) > 1:
            raise refuse(
                f"users would choose their value of {key!r} by signing in through another app client",
                "give all clients of users the same constant, or none",
            )
        if found != {None} and any(key in constants for constants in pool.providers.values()):
            raise refuse(f"{key!r} is a constant of the pool and of a provider", "keep one of them")


def _check_providers(pool: PoolRules) -> None:
    declared: dict[str, list[DeclaredTag]] = {}
    for rules in pool.rules():
        if rules.use is Use.USERS:
            for tag in rules.tags:
                declared.setdefault(tag.key, []).append(tag)
    for name, constants in pool.providers.items():
        for key, value in constants.items():
            if key not in declared:
                raise refuse(f"no client of users has a tag {key!r}", "declare it", "providers", name, key)
            for tag in declared[key]:
                _check_constant(tag, value, "providers", name, key)
    given = {key for constants in pool.providers.values() for key in constants}
    for key, tags in declared.items():
        if key not in given and any(isinstance(tag.source, FromProvider) for tag in tags):
            raise refuse(f"no provider has a constant for {key!r}", "add one under providers")


def _prefix(value: JsonValue) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_PREFIX_LENGTH or _PREFIX.fullmatch(value) is None:
        raise refuse(
            "this cannot stand before a user's sub",
            f"use 1 to {MAX_PREFIX_LENGTH} letters, digits and _ . @ -",
            "source_identity",
        )
    return value


def _roles(value: JsonValue) -> tuple[str, ...]:
    if value is None:
        return ()
    roles = _list(value, "roles", most=MAX_ROLES)
    for role in roles:
        if len(role) > MAX_ARN_LENGTH or _ROLE.fullmatch(role) is None:
            raise refuse("one of these is not a role's ARN", "STS knows no wildcards here", "roles")
    return roles


def _allowed(value: JsonValue) -> tuple[Pattern, ...]:
    if value is None:
        return ()
    texts = _list(value, "allowed", most=MAX_ALLOWED)
    if any(not 1 <= len(text) <= MAX_TAG_VALUE_LENGTH for text in texts):
        raise refuse(f"a value has 1 to {MAX_TAG_VALUE_LENGTH} characters", "shorten it", "allowed")
    return tuple(map(pattern, texts))


def _list(value: JsonValue, name: str, *, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise refuse(f"this is not a list of 1 to {most}", "correct it, or leave it out", name)
    texts = tuple(item for item in value if isinstance(item, str))
    if len(set(texts)) != len(value):
        raise refuse("a member is not text, or stands here twice", "correct it", name)
    return texts


def _texts(value: JsonValue, *path: str) -> Mapping[str, str]:
    members = _object(value, path=path, any_member=True)
    texts = {key: text for key, text in members.items() if isinstance(text, str)}
    if not texts or len(texts) != len(members):
        raise refuse("a member is missing, or not text", "write at least one, and all as text", *path)
    return texts


def _check_name(name: str, *path: str) -> None:
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise refuse(
            "this cannot be a name in Cognito", f"use at most {_MAX_NAME} printable characters", *path
        )


def _object(
    value: JsonValue,
    *,
    path: Path = (),
    required: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
    any_member: bool = False,
) -> dict[str, JsonValue]:
    if not isinstance(value, dict):
        raise refuse("this is not an object", "write an object", *path)
    missing = [name for name in required if name not in value]
    if missing:
        raise refuse(f"{missing[0]} is missing", "add it", *path)
    unknown = [] if any_member else [name for name in value if name not in (*required, *optional)]
    if unknown:
        raise refuse(f"{unknown[0][:_MAX_NAME]!r} is unknown here", "correct the name", *path)
    return value
