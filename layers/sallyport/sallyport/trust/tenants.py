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
from sallyport.trust.templates import Template, parse
from sallyport.trust.user_pools import DeclaredPool

Document = Mapping[str, Any]

ACROSS_TENANTS: Final = "across_tenants"
"""The profile's own word for sessions that nothing keeps to one tenant."""

_ISSUER: Final = re.compile(r"https://(?:[a-z0-9-]+\.)*cognito-idp\.(?P<region>[a-z0-9-]+)\.[^/]+/(?P<pool>[^/]+)")
# What an ID token says of the user's attributes: whether he writes them, only a declared tag has checked.
_ATTRIBUTE: Final = "token:custom:"
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
        if profile["effect"] != Effect.ALLOW.value:
            continue
        of_anchor = known.get(profile["trust_anchor"])
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
        tag = next(
            (one for one in profile["session_tags"] if fold_tag_key(one["key"]) == fold_tag_key(key)), None
        )
        if tag is not None and tag["value"] != tenant and not _is_claim(parse(tag["value"]), key):
            problems.add(
                (*path, "session_tags", tag["key"]),
                f"this tag keeps the tenants of {pool.name!r} apart, and here it is not the token's own",
                f"write ${{{claim}}}",
            )
        elif tag is not None and tag["optional"]:
            problems.add(
                (*path, "session_tags", tag["key"]),
                f"this tag keeps the tenants of {pool.name!r} apart, so it may not be missing",
                "make it required",
            )
        elif (
            tag is None
            and tenant is None
            and not _policy_isolates(profile["session_policy"], key)
            and not profile.get(ACROSS_TENANTS)
        ):
            problems.add(
                path,
                f"nothing keeps the sessions of different tenants apart: in {pool.name!r} the tag {key!r} does",
                f'add {key}: "${{{claim}}}" to session_tags, or put it into every Allow of the session policy; '
                f"or say {ACROSS_TENANTS}: true",
            )


def _only_tenant(profile: Document, key: str) -> str | None:
    """Return the one value of a tag that a profile's condition lets in."""
    for name, expected in profile["condition"].get("StringEquals", {}).items():
        values = expected if isinstance(expected, list) else [expected]
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


def _policy_isolates(policy: Document | None, key: str) -> bool:
    """Tell whether every Allow of a session policy is filled from a tag: all its resources, or a condition."""
    if policy is None:
        return False
    statements = policy["Statement"]
    each = statements if isinstance(statements, list) else [statements]
    allows = [one for one in each if one["Effect"] == "Allow"]
    return bool(allows) and all(_statement_isolates(one, key) for one in allows)


def _statement_isolates(statement: Document, key: str) -> bool:
    resources = statement.get("Resource", [])
    listed = resources if isinstance(resources, list) else [resources]
    if listed and all(_filled_from(one, key) for one in listed):
        return True
    return any(
        not operator.endswith("IfExists")
        and not operator.startswith("ForAllValues:")
        and "Not" not in operator
        and all(_filled_from(one, key) for one in (value if isinstance(value, list) else [value]))
        for operator, block in statement.get("Condition", {}).items()
        for value in block.values()
        if value != []
    )


def _filled_from(value: object, key: str) -> bool:
    return isinstance(value, str) and any(
        _names_tag(name, key) for name in parse(value, leave_aws=True).keys
    )


# --- sources --------------------------------------------------------------------------------------


def _check_sources(profile: Document, pool: DeclaredPool, problems: Problems) -> None:
    """Note where a decision hangs on what the caller or the user could have written."""
    path = ("profiles", profile["name"])
    tags = _tags(pool.rules)
    for field, name in _deciding(profile):
        key = _tag_in(name)
        if name.startswith(_ATTRIBUTE):
            problems.add(
                (*path, field),
                f"whether users can write {name.removeprefix('token:')}, nothing has checked",
                f"declare a tag of it that isolates under user_pools.{pool.name}, and use ${{{TAG_CLAIM_PREFIX}…}}",
            )
        elif key is not None and key not in tags:
            problems.add(
                (*path, field),
                f"no token of the user pool {pool.name!r} has the tag {name.removeprefix(TAG_CLAIM_PREFIX)!r}",
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
    found: dict[tuple[str, str], None] = {}
    for block in profile["condition"].values():
        found |= {("condition", name): None for name in block}
    if profile["session_policy"] is not None:
        found |= {("session_policy", name): None for name in compile_policy(profile["session_policy"]).text.keys}
    for arn in profile["managed_policies"]:
        found |= {("managed_policies", name): None for name in parse(arn).keys}
    return list(found)


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
            wanted = {str(one) for one in (expected if isinstance(expected, list) else [expected])}
            clients = [one for one in clients if one in wanted]
    return [rules for one in clients if (rules := pool.rules.client(one)) is not None]
