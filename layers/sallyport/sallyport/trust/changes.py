"""What the difference between two trust files means: does anybody get more than before?

``narrows`` says that nobody does, ``widens`` that somebody may, ``unknown`` that it cannot be told,
``neither`` that it is for people alone. In doubt a change is never called narrowing.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sallyport.trust import pool_changes
from sallyport.trust.conditions import OPERATORS
from sallyport.trust.profiles import exact_values

Kind = Literal["anchor", "profile", "user_pool"]
EffectOfChange = Literal["narrows", "widens", "unknown", "neither"]
Document = Mapping[str, Any]
Items = Mapping[str, Mapping[str, Any]]

NARROWS: Final[EffectOfChange] = "narrows"
WIDENS: Final[EffectOfChange] = "widens"
UNKNOWN: Final[EffectOfChange] = "unknown"
NEITHER: Final[EffectOfChange] = "neither"

_OPPOSITE: Final[Mapping[EffectOfChange, EffectOfChange]] = {
    NARROWS: WIDENS,
    WIDENS: NARROWS,
    UNKNOWN: UNKNOWN,
    NEITHER: NEITHER,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``field`` is empty where the whole anchor, profile or user pool came or went."""

    kind: Kind
    name: str
    field: str
    before: Any
    after: Any
    effect: EffectOfChange


Judge = Callable[[Any, Any], EffectOfChange]


def classify(old: Items | None, new: Items) -> tuple[Change, ...]:
    """Return every difference between two sets of items, with what each means.

    Args:
        old: what is applied now; ``None`` where nothing is.
        new: what would be applied.
    """
    before, after = old or {}, new
    anchors = _compare("anchor", _anchors(before), _anchors(after), _anchor_judge)
    old_profiles, new_profiles = _profiles(before), _profiles(after)
    return (
        *anchors,
        *_compare("profile", old_profiles, new_profiles, _profile_judge),
        *_compare("user_pool", pool_changes.pools(before), pool_changes.pools(after), pool_changes.judge),
    )


def _anchors(items: Items) -> dict[str, Document]:
    return {str(one["name"]): one for key, one in items.items() if key.startswith("anchor#")}


def _profiles(items: Items) -> dict[str, Document]:
    """Put the profiles together again: each role's item names that role alone."""
    found: dict[str, dict[str, Any]] = {}
    roles: dict[str, list[str]] = {}
    for key, item in items.items():
        if key.startswith("role#"):
            for one in item["profiles"]:
                found[one["name"]] = dict(one)
                roles.setdefault(one["name"], []).extend(one["roles"])
    return {name: {**one, "roles": sorted(roles[name])} for name, one in found.items()}


def _compare(
    kind: Kind,
    old: Mapping[str, Document],
    new: Mapping[str, Document],
    judge: Callable[[str, Document, Document], EffectOfChange | None],
) -> Iterable[Change]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None and after is not None:
            denies = after.get("effect") == "deny"
            yield Change(kind, name, "", None, after, NARROWS if denies else WIDENS)
        elif after is None and before is not None:
            yield Change(kind, name, "", before, None, _removed(before, old, new))
        elif before is not None and after is not None:
            for field in sorted(before.keys() | after.keys()):
                if not _same(before.get(field), after.get(field)):
                    effect = judge(field, before, after)
                    if effect == NARROWS and _lifts(field, before, after, old, new):
                        effect = UNKNOWN
                    if effect is not None:
                        yield Change(kind, name, field, before.get(field), after.get(field), effect)


def _removed(gone: Document, old: Mapping[str, Document], new: Mapping[str, Document]) -> EffectOfChange:
    if gone.get("effect") == "deny":
        return WIDENS
    if "pool" in gone:
        # Nothing looks any longer at what its tokens are made of.
        return UNKNOWN
    return UNKNOWN if "roles" in gone and _remains(gone, gone["roles"], old, new) else NARROWS


def _lifts(
    field: str, before: Document, after: Document, old: Mapping[str, Document], new: Mapping[str, Document]
) -> bool:
    """Tell whether somebody whom an allowing profile no longer means may now be had by another.

    Equal terms are no exception: this profile may be disabled, and then it denies whomever it means.
    """
    if field not in _WHO_FIELDS or before.get("effect") != "allow":
        return False
    roles = set(before["roles"])
    return _remains(before, roles - set(after["roles"]) if field == "roles" else roles, old, new)


def _remains(
    gone: Document, roles: Iterable[str], old: Mapping[str, Document], new: Mapping[str, Document]
) -> bool:
    """Tell whether another profile remains for one of the roles, that may win now, on other terms."""
    return any(
        one.get("effect") == "allow"
        and name in old
        and name != gone["name"]
        and one["trust_anchor"] == gone["trust_anchor"]
        and not set(one["roles"]).isdisjoint(roles)
        and not _apart(gone, one)
        for name, one in new.items()
    )


def _apart(one: Document, other: Document) -> bool:
    """Tell whether nobody can meet the conditions of both."""
    mine, theirs = exact_values(one), exact_values(other)
    return any(mine[key].isdisjoint(theirs[key]) for key in mine.keys() & theirs.keys())


def _plainly(value: Any) -> str:  # noqa: ANN401 - any part of a document
    # To Python true is 1 and false is 0; to the operators they are not.
    return json.dumps(value, sort_keys=True)


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any part of a document
    return _plainly(one) == _plainly(other)


# --- fields ---------------------------------------------------------------------------------------


def _more_is_wider(before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - a list of the document
    old, new = set(before or ()), set(after or ())
    if new - old:
        return UNKNOWN if old - new else WIDENS
    return NARROWS


def _longer_is_wider(before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - a number of the document
    return WIDENS if after > before else NARROWS


def _true_is_wider(_before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - a flag of the document
    return WIDENS if after else NARROWS


def _always(effect: EffectOfChange) -> Judge:
    return lambda _before, _after: effect


def _lost_is_wider(_before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - a field of the document
    # A role may open only to a session that has one.
    return WIDENS if after is None else UNKNOWN


def _limit(before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - a number of the document, or none
    if before is None or after is None:
        return NARROWS if before is None else WIDENS
    return _longer_is_wider(before, after)


def _tags(before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - the tags of the document
    old = {tag["key"]: tag for tag in before or ()}
    new = {tag["key"]: tag for tag in after or ()}
    if old.keys() - new.keys():
        return WIDENS
    if any(tag["optional"] and not old[key]["optional"] for key, tag in new.items() if key in old):
        return WIDENS
    # What a tag opens is said by policies that cannot be seen from here.
    changed = new.keys() - old.keys() or any(new[key]["value"] != tag["value"] for key, tag in old.items())
    return UNKNOWN if changed or list(old) != list(new) else NARROWS


def _transitive(before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - a list of the document
    return WIDENS if set(before or ()) - set(after or ()) else UNKNOWN


def _fewer_is_wider(before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - a list of the document
    return _OPPOSITE[_more_is_wider(before, after)]


def _intermediates(before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - a list of the document
    # One that goes may have signed a revocation list as well.
    return WIDENS if set(before or ()) < set(after or ()) else UNKNOWN


def _certificate_terms(before: Any, after: Any) -> EffectOfChange:  # noqa: ANN401 - terms of the document
    old, new = before or {}, after or {}
    lost = [rule for rule in old.get("mapping", ()) if rule not in new.get("mapping", ())]
    drops = new.get("unfit") == "drop" and old.get("unfit") != "drop"
    # Without a tag, policies that deny by it no longer do; what one opens cannot be seen from here.
    return WIDENS if lost or drops else UNKNOWN


_ANCHOR_FIELDS: Final[Mapping[str, Judge]] = {
    "audiences": _more_is_wider,
    "algorithms": _more_is_wider,
    "jwks_hosts": _more_is_wider,
    "keys_max_age": _longer_is_wider,
    "allow_arm_audience": _true_is_wider,
    "replay": lambda _before, after: NARROWS if after == "once" else WIDENS,
    "certificates": _more_is_wider,
    "intermediates": _intermediates,
    "crls": _fewer_is_wider,
    "crl_urls": _fewer_is_wider,
    "stale_crls": lambda _before, after: WIDENS if after == "allow" else NARROWS,
    "any_extended_key_usage": _true_is_wider,
    "local_discovery": lambda _before, after: UNKNOWN if after is None else WIDENS,
}
_PROFILE_FIELDS: Final[Mapping[str, Judge]] = {
    "priority": _always(WIDENS),
    "issuance": _always(WIDENS),
    "session_tags": _tags,
    "transitive_tags": _transitive,
    "source_identity": _lost_is_wider,
    "duration": _longer_is_wider,
    "accept_caller_policy": _true_is_wider,
    "across_tenants": _true_is_wider,
    # A template's names are other names, so that either way somebody gets one he could not have before.
    "accept_session_name": lambda _before, after: WIDENS if after else UNKNOWN,
    "advisory": _true_is_wider,
    "grants_per_minute": _limit,
    "certificate": _certificate_terms,
}
# Who is meant: for a profile that denies, the other way round.
_WHO_FIELDS: Final[Mapping[str, Judge]] = {
    "roles": _more_is_wider,
    "unconditional": _true_is_wider,
    "condition": lambda before, after: _conditions(before or {}, after or {}),
}
_FOR_PEOPLE: Final = "description"
_AZP: Final = "token:azp"


def _anchor_judge(field: str, before: Document, after: Document) -> EffectOfChange | None:
    if field == _FOR_PEOPLE:
        return NEITHER
    if before["kind"] != after["kind"]:
        # One line says it all: another anchor stands under this name, as if it were new.
        return WIDENS if field == "kind" else None
    judge = _ANCHOR_FIELDS.get(field)
    if field == "certificates" and after["crls"] and set(before[field]) - set(after[field]):
        # One that goes may have signed a revocation list, which nothing follows up then.
        return UNKNOWN
    return judge(before.get(field), after.get(field)) if judge else UNKNOWN


def _profile_judge(field: str, before: Document, after: Document) -> EffectOfChange | None:
    if field == _FOR_PEOPLE:
        return NEITHER
    if before["effect"] != after["effect"]:
        # One line says it all: terms come and go with the effect.
        if field != "effect":
            return None
        return WIDENS if after["effect"] == "allow" else UNKNOWN
    if field in ("session_policy", "managed_policies"):
        return _policies(before, after)
    who = _WHO_FIELDS.get(field)
    if who is not None:
        effect = who(before.get(field), after.get(field))
        if field == "condition" and _azp_decides(before, after):
            effect = UNKNOWN
        return _OPPOSITE[effect] if after["effect"] == "deny" else effect
    judge = _PROFILE_FIELDS.get(field)
    return judge(before.get(field), after.get(field)) if judge else UNKNOWN


def _azp_decides(before: Document, after: Document) -> bool:
    """Tell whether a web-identity profile looks at ``azp`` in another way.

    Without a look at it a token that has one is denied, so a condition on it may let somebody in.
    """
    old, new = (
        {name: expected for name, expected in _flat(one["condition"]).items() if name[1] == _AZP}
        for one in (before, after)
    )
    return old != new and "web-identity" in (before.get("issuance"), after.get("issuance"))


def _policies(before: Document, after: Document) -> EffectOfChange:
    """Judge inline and managed policies together: without any all is allowed, and several are united.

    One that goes takes its denials with it. What a managed one denies cannot be seen from here.
    """
    old, new = _all_policies(before), _all_policies(after)
    if not old:
        return NARROWS
    if not new or old.keys() <= new.keys():
        return WIDENS
    gone = [one for text, one in old.items() if text not in new]
    return NARROWS if new.keys() <= old.keys() and all(map(_only_allows, gone)) else UNKNOWN


def _only_allows(policy: Any) -> bool:  # noqa: ANN401 - an inline policy, or the ARN of a managed one
    if isinstance(policy, str):
        return False
    statements = policy["Statement"]
    each = statements if isinstance(statements, list) else [statements]
    return all(statement["Effect"] == "Allow" for statement in each)


def _all_policies(profile: Document) -> dict[str, Any]:
    own = profile.get("session_policy")
    found = [*([own] if own is not None else []), *profile.get("managed_policies", ())]
    return {_plainly(one): one for one in found}


def _conditions(before: Document, after: Document) -> EffectOfChange:
    old, new = _flat(before), _flat(after)
    effects = {NARROWS for one in new if one not in old} | {WIDENS for one in old if one not in new}
    effects |= {_values(one[0], old[one], new[one]) for one in old if one in new and old[one] != new[one]}
    return effects.pop() if len(effects) == 1 else UNKNOWN


def _flat(blocks: Document) -> dict[tuple[str, str], frozenset[Any]]:
    return {
        (operator, key): frozenset(map(_plainly, expected if isinstance(expected, list) else [expected]))
        for operator, block in blocks.items()
        for key, expected in block.items()
    }


def _values(name: str, before: frozenset[Any], after: frozenset[Any]) -> EffectOfChange:
    """Judge a changed list of expected values: any one suffices, or with a negated operator none may be."""
    operator = OPERATORS.get(name.rpartition(":")[2].removesuffix("IfExists"))
    if operator is None or any("${" in str(value) for value in before ^ after):
        # A value that cannot be filled makes the whole condition fail, so that taking it away admits.
        return UNKNOWN
    if before < after:
        return NARROWS if operator.negated else WIDENS
    if after < before:
        return WIDENS if operator.negated else NARROWS
    return UNKNOWN
