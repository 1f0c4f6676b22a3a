"""What a change of a user pool's declaration means: does anybody get a tenant that he did not have?

Conservative: only what plainly leaves fewer people with a token is called narrowing.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from sallyport.trust.mapping import fold_tag_key

Effect = Literal["narrows", "widens", "unknown", "neither"]
Document = Mapping[str, Any]

_POOL: Final = "user-pool#"
_CLIENT: Final = "client "
_PROVIDER: Final = "provider "
_DEFAULT: Final = "default"
_FLAGS: Final = {"isolates": True, "optional": False, "transitive": False}
_OPTIONS: Final = (*_FLAGS, "allowed")


def pools(items: Mapping[str, Document]) -> dict[str, Document]:
    """Return the user pools of a version by name, with each app client and provider as a field of its own."""
    found: dict[str, Document] = {}
    for key, item in items.items():
        if key.startswith(_POOL):
            one: dict[str, Any] = {"name": item["name"], "pool": item["id"]}
            one |= {_CLIENT + client: rules for client, rules in item["clients"].items()}
            if _DEFAULT in item:
                one[_DEFAULT] = item[_DEFAULT]
            one |= {_PROVIDER + name: constants for name, constants in item.get("providers", {}).items()}
            found[str(item["name"])] = one
    return found


def judge(field: str, before: Document, after: Document) -> Effect:
    """Return what the change of one field of a pool means."""
    old, new = before.get(field), after.get(field)
    if field.startswith(_PROVIDER):
        return _provider(old, new, before)
    if old is None:
        return "widens"
    if new is None:
        # What was a client's own falls to the default, if there is one.
        return "unknown" if _DEFAULT in after and field != _DEFAULT else "narrows"
    if field.startswith(_CLIENT) or field == _DEFAULT:
        return _rules(old, new)
    return "widens"


def _provider(old: Document | None, new: Document | None, before: Document) -> Effect:
    if new is None and old is not None:
        # Without its constant a provider's users get no tokens where the tag isolates; else their own value.
        isolating = {key for key, tag in _tags_of(before) if tag.get("isolates", True)}
        return "narrows" if set(map(fold_tag_key, old)) <= isolating else "unknown"
    return "widens"


def _tags_of(pool: Document) -> Iterable[tuple[str, Document]]:
    for field, rules in pool.items():
        if field.startswith(_CLIENT) or field == _DEFAULT:
            yield from ((fold_tag_key(key), tag) for key, tag in rules["tags"].items())


def _rules(old: Document, new: Document) -> Effect:
    effects: list[Effect] = []
    if old["use"] != new["use"]:
        effects.append("widens")
    for key in old["tags"].keys() | new["tags"].keys():
        effects += _tag(old["tags"].get(key), new["tags"].get(key))
    if old.get("source_identity") != new.get("source_identity"):
        effects.append("widens" if "source_identity" not in new else "unknown")
    effects += _list(old.get("roles"), new.get("roles"))
    return _worst(effects)


def _tag(old: Document | None, new: Document | None) -> list[Effect]:
    if old is None or new is None:
        # A tag that goes may be what a policy denies by; what a new one opens cannot be seen from here.
        return ["widens" if new is None else "unknown"]
    effects: list[Effect] = []
    if {name: value for name, value in old.items() if name not in _OPTIONS} != {
        name: value for name, value in new.items() if name not in _OPTIONS
    }:
        effects.append("widens")
    for name, lost in (("isolates", False), ("optional", True), ("transitive", False)):
        was, now = old.get(name, _FLAGS[name]), new.get(name, _FLAGS[name])
        if was != now:
            narrowing: Effect = "unknown" if name == "transitive" else "narrows"
            effects.append("widens" if now is lost else narrowing)
    return effects + _list(old.get("allowed"), new.get("allowed"))


def _list(old: Iterable[str] | None, new: Iterable[str] | None) -> list[Effect]:
    """Judge a list of what is allowed; without it everything is."""
    if old is None or new is None:
        return [] if old == new else ["narrows" if old is None else "widens"]
    come, gone = set(new) - set(old), set(old) - set(new)
    return ["widens"] if come else ["narrows"] if gone else []


def _worst(effects: Iterable[Effect]) -> Effect:
    found = set(effects)
    order: tuple[Effect, ...] = ("widens", "unknown", "narrows")
    return next((one for one in order if one in found), "neither")
