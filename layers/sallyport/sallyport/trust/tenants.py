"""Whether profiles keep apart the tenants that a user pool's tags tell apart.

A user pool that is declared says which tags isolate. Whoever trades its tokens through an anchor must
then end in a session that carries each of them, unchanged, or whose policy is filled from it, or that is
for one tenant alone; or the profile says that its sessions reach across tenants. What the caller or the
user could have written himself decides nothing.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sallyport.cognito.mapping import ClientRules, DeclaredTag, Metadata, PoolRules
from sallyport.model import Anchor, Dialect, Effect, Issuance, OidcAnchor
from sallyport.trust.facts import TAG_CLAIM_PREFIX
from sallyport.trust.mapping import compile_policy, fold_tag_key
from sallyport.trust.problems import Problems
from sallyport.trust.profile_rules import ACROSS_TENANTS
from sallyport.trust.templates import Template, parse
from sallyport.trust.user_pools import DeclaredPool
from sallyport.trust.wildcards import has_wildcard

Document = Mapping[str, Any]

_ISSUER: Final = re.compile(
    r"https://(?:[a-z0-9-]+\.)*cognito-idp\.(?P<region>[a-z0-9-]+)\.[^/]+/(?P<pool>[^/]+)"
)
# What an ID token says of the user's attributes: whether he writes them, only a declared tag has checked.
# Cognito's standard ones are OpenID Connect's (Core, §5.1) but for those that it sets itself.
_CUSTOM: Final = "token:custom:"
_STANDARD: Final = frozenset(
    f"token:{name}"
    for name in (
        "address", "birthdate", "email", "family_name", "gender", "given_name", "locale", "middle_name",
        "name", "nickname", "phone_number", "picture", "preferred_username", "profile", "website", "zoneinfo",
    )
)  # fmt: skip
# Operators that compare with the tenant and nothing else.
_ISOLATING_OPERATORS: Final = frozenset({"StringEquals", "StringLike", "ArnEquals", "ArnLike"})
_ARN_COLONS: Final = 5
# What the session says about itself, or whoever sends a request chooses: any value would do for it.
_OF_THE_REQUEST: Final = (
    "aws:principal", "aws:referer", "aws:requesttag/", "aws:sourceidentity", "aws:tagkeys", "aws:useragent",
    "aws:userid", "aws:username", "sts:",
)  # fmt: skip
_AWS_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")
_UP_TO_WILDCARD: Final = re.compile(r"[^*?]*")
# What no value that isolates contains. Another claim's value stands as NUL here: it could be anything.
_SEPARATOR: Final = re.compile(r"[^A-Za-z0-9_.@=+\0-]")
_CLIENT_KEYS: Final = frozenset({"token:aud", "token:client_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavesBehind:
    """A profile whose sessions, assuming a further role, leave a tag behind that isolates."""

    anchor: str
    profile: str
    tag: str


def check_tenants(
    pools: Sequence[DeclaredPool],
    anchors: Mapping[str, Anchor],
    profiles: Iterable[Document],
    problems: Problems,
) -> None:
    """Note what of anchors and profiles does not go together with the user pools.

    Args:
        pools: the file's user pools.
        anchors: its anchors by name, as far as they have no problems of their own.
        profiles: the documents of its profiles.
        problems: where everything that is wrong goes.
    """
    known = {name: pool for name, anchor in anchors.items() if (pool := _pool_of(anchor, pools))}
    for name, pool in known.items():
        _check_anchor(anchors[name], pool, problems)
    for profile in profiles:
        of_anchor = known.get(profile["trust_anchor"])
        # Whom a profile denies, must not be able to write himself out of it either.
        if _is_cognitos(anchors.get(profile["trust_anchor"])):
            _check_attributes(profile, of_anchor, problems)
        if profile["effect"] != Effect.ALLOW.value:
            continue
        if of_anchor is None or not of_anchor.rules.isolating:
            if profile.get(ACROSS_TENANTS):
                problems.add(
                    ("profiles", profile["name"], ACROSS_TENANTS),
                    "no tag of this anchor's tokens keeps tenants apart",
                    "leave it out, or declare the user pool under user_pools",
                )
        else:
            _check_isolation(profile, of_anchor, problems)
        if of_anchor is not None:
            _check_sources(profile, of_anchor, problems)
            if profile["issuance"] == Issuance.WEB_IDENTITY.value:
                _check_terms(profile, of_anchor, anchors[profile["trust_anchor"]], problems)


def left_behind(
    pools: Sequence[DeclaredPool], anchors: Iterable[Anchor], profiles: Iterable[Document]
) -> Iterator[LeavesBehind]:
    """Yield the tags that isolate and that profiles do not pass on.

    A role that such a session may assume sees no tenant, or one of the session's choosing: only a
    transitive tag cannot be given another value.
    """
    known = {anchor.name: pool for anchor in anchors if (pool := _pool_of(anchor, pools))}
    for profile in profiles:
        pool = known.get(profile["trust_anchor"])
        if pool is None or profile["effect"] != Effect.ALLOW.value:
            continue
        passed_on = set(map(fold_tag_key, profile["transitive_tags"]))
        isolating = set(map(fold_tag_key, pool.rules.isolating))
        for tag in profile["session_tags"]:
            if fold_tag_key(tag["key"]) in isolating - passed_on:
                yield LeavesBehind(anchor=profile["trust_anchor"], profile=profile["name"], tag=tag["key"])


def _pool_of(anchor: Anchor, pools: Sequence[DeclaredPool]) -> DeclaredPool | None:
    found = _ISSUER.fullmatch(anchor.issuer) if isinstance(anchor, OidcAnchor) else None
    if found is None:
        return None
    return next((pool for pool in pools if pool.rules.id == found["pool"]), None)


def _is_cognitos(anchor: Anchor | None) -> bool:
    """Tell whether an anchor is for a user pool, declared or not."""
    return isinstance(anchor, OidcAnchor) and (
        anchor.dialect is Dialect.COGNITO or _ISSUER.fullmatch(anchor.issuer) is not None
    )


def _check_anchor(anchor: Anchor, pool: DeclaredPool, problems: Problems) -> None:
    found = _ISSUER.fullmatch(anchor.issuer) if isinstance(anchor, OidcAnchor) else None
    if found is None or not isinstance(anchor, OidcAnchor):
        return
    path = ("trust_anchors", anchor.name)
    if anchor.dialect is not Dialect.COGNITO:
        problems.add(
            (*path, "dialect"),
            f"this is the user pool {pool.name!r}, whose access tokens name their client in client_id",
            "write dialect: cognito",
        )
    region = pool.rules.id.partition("_")[0]
    if found["region"] != region:
        problems.add(
            (*path, "issuer"),
            f"the user pool {pool.name!r} is in {region}, and this issuer in {found['region']}",
            f"write https://cognito-idp.{region}.amazonaws.com/{pool.rules.id}, as the tokens do",
        )
    for audience in sorted(anchor.audiences):
        if pool.rules.client(audience) is None:
            problems.add(
                (*path, "audiences"),
                f"the user pool {pool.name!r} declares no app client {audience!r}, so that it gets no tokens",
                f"declare it under user_pools.{pool.name}.clients, or leave it out here",
            )


# --- isolation ------------------------------------------------------------------------------------


def _check_isolation(profile: Document, pool: DeclaredPool, problems: Problems) -> None:
    path = ("profiles", profile["name"])
    for key in sorted(pool.rules.isolating):
        claim = f"{TAG_CLAIM_PREFIX}{key}"
        tenant = _only_tenant(profile, key)
        carried = [one for one in profile["session_tags"] if _is_claim(parse(one["value"]), key)]
        named = [one for one in profile["session_tags"] if fold_tag_key(one["key"]) == fold_tag_key(key)]
        for tag in named:
            if tag not in carried and tag["value"] != tenant:
                problems.add(
                    (*path, "session_tags", tag["key"]),
                    f"this tag keeps the tenants of {pool.name!r} apart, and here it is not the token's own",
                    f"write ${{{claim}}}",
                )
        optional = [tag for tag in carried if tag["optional"]]
        for tag in optional:
            problems.add(
                (*path, "session_tags", tag["key"]),
                f"this tag keeps the tenants of {pool.name!r} apart, so it may not be missing",
                "make it required",
            )
        if not (
            carried
            or named
            or tenant is not None
            or profile.get(ACROSS_TENANTS)
            or _policies_isolate(profile, key)
        ):
            problems.add(
                path,
                f"nothing keeps sessions of different tenants apart: in {pool.name!r} the tag {key!r} does",
                f'add {key}: "${{{claim}}}" to session_tags, or fill every Allow of the session policy from '
                f"it; or say {ACROSS_TENANTS}: true",
            )


def _only_tenant(profile: Document, key: str) -> str | None:
    """Return the one value of a tag that a profile's condition lets in."""
    for name, expected in profile["condition"].get("StringEquals", {}).items():
        values = _listed(expected)
        if _names_tag(name, key) and len(values) == 1 and parse(str(values[0])).is_literal:
            return str(values[0])
    return None


def _is_claim(value: Template, key: str) -> bool:
    return value.literals == ("", "") and _names_tag(value.keys[0], key)


def _names_tag(name: str, key: str) -> bool:
    return _tag_in(name) == fold_tag_key(key)


def _tag_in(name: str) -> str | None:
    """Return the (folded) key of the tag that a name of a value reads."""
    return fold_tag_key(name.removeprefix(TAG_CLAIM_PREFIX)) if name.startswith(TAG_CLAIM_PREFIX) else None


def _policies_isolate(profile: Document, key: str) -> bool:
    """Tell whether each Allow of a session policy is filled from a tag: its resources, or a condition.

    STS unites session policies, so that a managed one beside it, whose text nobody sees here, could allow
    anything.
    """
    policy: Document = profile["session_policy"] or {}
    allows = [one for one in _listed(policy.get("Statement")) if one["Effect"] == "Allow"]
    return (
        bool(allows)
        and not profile["managed_policies"]
        and all(_statement_isolates(one, key) for one in allows)
    )


def _statement_isolates(statement: Document, key: str) -> bool:
    resources = _listed(statement.get("Resource"))
    if resources and all(_keeps_to(one, key) for one in resources):
        return True
    conditions: Document = statement.get("Condition", {})
    never_missing = {name for name, value in conditions.get("Null", {}).items() if _is_false(value)}
    for operator, block in conditions.items():
        quantifier, _, plain = operator.rpartition(":")
        for name, expected in block.items():
            # Over no values at all every value meets a condition.
            if (
                plain in _ISOLATING_OPERATORS
                and (not quantifier or (quantifier == "ForAllValues" and name in never_missing))
                and not name.lower().startswith(_OF_THE_REQUEST)
                and _listed(expected)
                and all(_keeps_to(one, key) for one in _listed(expected))
            ):
                return True
    return False


def _is_false(value: object) -> bool:
    return value is False or value == "false"


def _keeps_to(value: object, key: str) -> bool:
    """Tell whether what a pattern fits is one tenant's alone.

    Between the tenant and what may be anything there must be something that no tenant's name contains:
    ``acme-*`` would be ``acme-2`` as well. And before it nothing may be anything.
    """
    if not isinstance(value, str):
        return False
    parts = parse(value, leave_aws=True).parts
    for index in range(1, len(parts), 2):
        if not _names_tag(parts[index], key):
            continue
        before, after = "".join(parts[:index:2]), "\0".join(parts[index + 1 :: 2])
        if before.startswith("arn:"):
            before = "".join(before.split(":", _ARN_COLONS)[_ARN_COLONS:])
        # What IAM itself puts in could be anything as well.
        fixed = _UP_TO_WILDCARD.match(_AWS_VARIABLE.sub("\0", after))
        if not has_wildcard(before) and (
            fixed is None or not has_wildcard(after) or _SEPARATOR.search(fixed[0]) is not None
        ):
            return True
    return False


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - JSON that may be one or several
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


# --- sources --------------------------------------------------------------------------------------


def _check_attributes(profile: Document, pool: DeclaredPool | None, problems: Problems) -> None:
    """Note where a user's own attributes decide, of which nothing has checked who writes them."""
    # A profile that denies has conditions alone.
    grants = profile["effect"] == Effect.ALLOW.value
    deciding = [
        ((field,), name)
        for field, name in (_deciding(profile) if grants else _in_condition(profile))
        if name.startswith(_CUSTOM) or name in _STANDARD
    ]
    # A tag that isolates must be the token's own in any case.
    isolating = set() if pool is None else set(map(fold_tag_key, pool.rules.isolating))
    tagged = [
        (("session_tags", tag["key"]), name)
        for tag in (profile["session_tags"] if grants else ())
        for name in parse(tag["value"]).keys
        if name.startswith(_CUSTOM) and fold_tag_key(tag["key"]) not in isolating
    ]
    where = "its user pool under user_pools, with" if pool is None else f"under user_pools.{pool.name}"
    for place, name in (*deciding, *tagged):
        problems.add(
            ("profiles", profile["name"], *place),
            f"whether users can write {name.removeprefix('token:')}, nothing has checked",
            f"declare {where} a tag of it (isolates: false if nobody's access hangs on it), and use "
            f"{TAG_CLAIM_PREFIX}<key>",
        )


def _check_sources(profile: Document, pool: DeclaredPool, problems: Problems) -> None:
    """Note where a decision hangs on what the caller or the user could have written."""
    path = ("profiles", profile["name"])
    tags = _tags(pool.rules)
    for field, name in _deciding(profile):
        key = _tag_in(name)
        if key is not None and key not in tags:
            problems.add(
                (*path, field),
                f"no token of the user pool {pool.name!r} has the tag "
                f"{name.removeprefix(TAG_CLAIM_PREFIX)!r}",
                f"declare it under user_pools.{pool.name}",
            )
        elif key is not None and any(isinstance(tag.source, Metadata) for tag in tags[key]):
            problems.add(
                (*path, field),
                f"the caller himself chooses the tag {name.removeprefix(TAG_CLAIM_PREFIX)!r}, so it can "
                "decide nothing",
                "use a tag with another source",
            )


def _deciding(profile: Document) -> list[tuple[str, str]]:
    """Return the names of the values on which it hangs who gets what, each with the field that has it."""
    found = dict.fromkeys(_in_condition(profile))
    if profile["session_policy"] is not None:
        found |= {
            ("session_policy", name): None for name in compile_policy(profile["session_policy"]).text.keys
        }
    for arn in profile["managed_policies"]:
        found |= {("managed_policies", name): None for name in parse(arn).keys}
    return list(found)


def _in_condition(profile: Document) -> list[tuple[str, str]]:
    return [("condition", name) for block in profile["condition"].values() for name in block]


def _tags(rules: PoolRules) -> dict[str, list[DeclaredTag]]:
    found: dict[str, list[DeclaredTag]] = {}
    for one in rules.rules():
        for tag in one.tags:
            found.setdefault(fold_tag_key(tag.key), []).append(tag)
    return found


# --- web identity ---------------------------------------------------------------------------------


def _check_terms(profile: Document, pool: DeclaredPool, anchor: Anchor, problems: Problems) -> None:
    """Note what the tokens say to STS that the profile does not allow, so that it would always deny."""
    mine = {fold_tag_key(tag["key"]) for tag in profile["session_tags"]}
    passed_on = set(map(fold_tag_key, profile["transitive_tags"]))
    lacking: dict[tuple[str, str], None] = {}
    for rules in _asked_with(profile, pool, anchor):
        for tag in rules.tags:
            if not tag.optional and fold_tag_key(tag.key) not in mine:
                lacking["session_tags", f"the tag {tag.key!r}"] = None
            elif tag.transitive and not tag.optional and fold_tag_key(tag.key) not in passed_on:
                lacking["transitive_tags", f"that {tag.key!r} is transitive"] = None
        if rules.source_identity is not None and profile["source_identity"] is None:
            lacking["source_identity", "a source identity"] = None
    for field, what in lacking:
        problems.add(
            ("profiles", profile["name"]),
            f"with web-identity STS reads {what} from the tokens of {pool.name!r}, and this profile does not "
            "allow it",
            f"declare it under {field}, with advisory: true, or not in the user pool",
        )


def _asked_with(profile: Document, pool: DeclaredPool, anchor: Anchor) -> list[ClientRules]:
    """Return the rules of the app clients whose tokens a profile can mean."""
    clients: Collection[str] = anchor.audiences if isinstance(anchor, OidcAnchor) else ()
    for name, expected in profile["condition"].get("StringEquals", {}).items():
        if name in _CLIENT_KEYS:
            wanted = set(map(str, _listed(expected)))
            clients = [one for one in clients if one in wanted]
    return [rules for one in clients if (rules := pool.rules.client(one)) is not None]
