"""From a trust file to the items of the trust table, or to everything that is wrong with it.

``load_anchor`` and ``load_profile`` (from ``profiles``) read the same items back at run time;
``classify`` (from ``changes``) says what the difference between two files means.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sallyport.errors import TrustFileError
from sallyport.model import Anchor
from sallyport.trust.anchor_rules import SALLYPORT_NAMESPACE, Place, anchor_document
from sallyport.trust.changes import Change, classify
from sallyport.trust.conditions import HEAVY, weight
from sallyport.trust.limits import MAX_ITEM_BYTES, MAX_PROFILES_PER_ROLE, MAX_ROLE_WEIGHT
from sallyport.trust.names import compile_name
from sallyport.trust.problems import Path, Problem, Problems, refuse
from sallyport.trust.profile_rules import CERTIFICATE, TERMS, profile_document
from sallyport.trust.profiles import FORMAT, Profile, exact_values, load_anchor, load_profile
from sallyport.trust.tenants import LeavesBehind, check_tenants, left_behind
from sallyport.trust.user_pools import compile_user_pools

__all__ = [
    "SALLYPORT_NAMESPACE",
    "Change",
    "CompiledTrust",
    "Problem",
    "Profile",
    "classify",
    "compile_trust",
    "load_anchor",
    "load_profile",
]

Document = dict[str, Any]

# Where two profiles differ in what they grant, it matters which one wins.
_GRANTED: Final = tuple(term for term in (*TERMS, CERTIFICATE) if term != "priority")


_NO_FILES: Final[Mapping[str, bytes]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CompiledTrust:
    """A trust file that may be applied: its anchors, and its items by their keys in the trust table.

    ``left_behind`` are tags that isolate and that role chaining would not pass on.
    """

    anchors: tuple[Anchor, ...]
    items: Mapping[str, Mapping[str, Any]]
    left_behind: tuple[LeavesBehind, ...] = ()


def compile_trust(  # noqa: PLR0913 - all by name
    document: object,
    *,
    account: str,
    region: str,
    partition: str,
    local_cloud: bool,
    files: Mapping[str, bytes] = _NO_FILES,
) -> CompiledTrust:
    """Check a trust file and return what is stored of it.

    Args:
        document: the parsed file.
        account: the account that the trust table is in.
        region: its Region.
        partition: its partition, ``aws`` mostly.
        local_cloud: whether this is for the local cloud, where keys may come from this machine.
        files: the contents of the files that ``files_named`` names, by the names that it returns.

    Raises:
        TrustFileError: it may not be applied; carries every problem that was found.
    """
    # Operators alone come here; a function that loads this module must not pay for the validator.
    from sallyport.trust.shape import problems_of_form  # noqa: PLC0415 - as said

    wrong = problems_of_form(document)
    if wrong or not isinstance(document, dict):
        raise TrustFileError(wrong)
    place = Place(account=account, region=region, partition=partition, local_cloud=local_cloud)
    problems = Problems()
    anchors = _anchors(document.get("trust_anchors", {}), place, files, problems)
    profiles = _profiles(document.get("profiles", {}), anchors, place, problems)
    _check_names(profiles, problems)
    pools, stored_pools = compile_user_pools(document.get("user_pools", {}), problems)
    loaded = _loaded(anchors)
    check_tenants(pools, loaded, profiles, problems)
    by_role = _by_role(profiles)
    for role, of_role in by_role.items():
        _check_role(role, of_role, problems)
    problems.raise_if_any()
    items: dict[str, Mapping[str, Any]] = {}
    for stored in anchors.values():
        if stored is not None:
            if stored["kind"] == "oidc":
                items[f"issuer#{stored['issuer']}"] = stored
            items[f"anchor#{stored['id']}"] = stored
    for role, of_role in by_role.items():
        items[f"role#{role}"] = _role_item(role, of_role)
    items |= stored_pools
    return CompiledTrust(tuple(loaded.values()), items, tuple(left_behind(pools, loaded.values(), profiles)))


def _anchors(
    declared: Mapping[str, Document], place: Place, files: Mapping[str, bytes], problems: Problems
) -> dict[str, Document | None]:
    """Compile the anchors; ``None`` stands for one that has problems."""
    found: dict[str, Document | None] = {}
    owner: dict[str, str] = {}
    bare: str | None = None
    for name, one in declared.items():
        found[name] = None
        path: Path = ("trust_anchors", name)
        with problems.at(*path):
            stored = anchor_document(name, one, place, files)
            size = _size(stored)
            if stored["kind"] == "x509" and size > MAX_ITEM_BYTES:
                raise refuse(
                    f"this trust anchor takes {size:,} bytes as stored and may take {MAX_ITEM_BYTES:,}",
                    "list fewer certificates, or use several trust anchors",
                )
            found[name] = stored
        if one.get("bare_names", False):
            if bare is not None:
                problems.add(
                    (*path, "bare_names"),
                    f"{bare!r} has bare names already, and the names of both could be the same",
                    "leave bare_names out of one of them",
                )
            bare = bare or name
        issuer = one.get("issuer")
        if issuer is None:
            continue
        if issuer in owner:
            problems.add(
                (*path, "issuer"),
                f"this issuer already belongs to {owner[issuer]!r}",
                "use one anchor with all audiences, and a condition on token:aud in the profiles",
            )
        owner.setdefault(issuer, name)
    return found


def _loaded(anchors: Mapping[str, Document | None]) -> dict[str, Anchor]:
    return {name: load_anchor(stored) for name, stored in anchors.items() if stored is not None}


def _profiles(
    declared: Mapping[str, Document],
    anchors: Mapping[str, Document | None],
    place: Place,
    problems: Problems,
) -> list[Document]:
    found: list[Document] = []
    loaded = _loaded(anchors)
    for name, one in declared.items():
        anchor = loaded.get(one["trust_anchor"])
        if one["trust_anchor"] not in anchors:
            known = ", ".join(anchors) or "none is declared"
            problems.add(
                ("profiles", name, "trust_anchor"),
                f"there is no trust anchor {one['trust_anchor']!r}",
                f"declare it under trust_anchors (there: {known})",
            )
        # What belongs to an anchor with problems is looked at once those are mended.
        if anchor is not None:
            with problems.at("profiles", name):
                stored = anchors[one["trust_anchor"]] or {}
                bare_names = stored.get("bare_names", False)
                found.append(profile_document(name, one, anchor, place, bare_names=bare_names))
    return found


def _check_names(profiles: list[Document], problems: Problems) -> None:
    """Refuse templates of which one's names could be another's.

    Sorted, everything that begins with a text stands behind it without a gap, so one walk with the
    texts that are still beginnings is enough.
    """
    for field in ("session_name", "source_identity"):
        first: dict[tuple[str, str], Document] = {}
        for profile in profiles:
            if profile.get(field) is not None:
                first.setdefault((profile[field], profile["trust_anchor"]), profile)
        named = sorted(
            (compile_name(source, anchor=anchor).prefix, profile["name"])
            for (source, anchor), profile in first.items()
        )
        open_prefixes: list[tuple[str, str]] = []
        for prefix, name in named:
            while open_prefixes and not prefix.startswith(open_prefixes[-1][0]):
                open_prefixes.pop()
            if open_prefixes:
                other, owner = open_prefixes[-1]
                problems.add(
                    ("profiles", name, field),
                    f"begins with {prefix!r} as names of {owner!r} can (they begin with {other!r}), "
                    "so two subjects could have the same",
                    "use the same template in both, or beginnings of which none begins the other",
                )
            open_prefixes.append((prefix, name))


def _by_role(profiles: list[Document]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = {}
    for profile in sorted(profiles, key=lambda one: str(one["name"])):
        for role in profile["roles"]:
            found.setdefault(role, []).append(profile)
    return found


def _role_item(role: str, profiles: list[Document]) -> Document:
    """Return the item of one role. Its profiles name this role alone: the others have items of their own."""
    return {"format": FORMAT, "role": role, "profiles": [{**one, "roles": [role]} for one in profiles]}


def _size(item: Document) -> int:
    return len(json.dumps(item, ensure_ascii=False).encode())


def _check_role(role: str, profiles: list[Document], problems: Problems) -> None:
    last = profiles[-1]
    path: Path = ("profiles", last["name"], "roles", last["roles"].index(role))
    if len(profiles) > MAX_PROFILES_PER_ROLE:
        problems.add(
            path,
            f"{role} is in {len(profiles)} profiles and may be in {MAX_PROFILES_PER_ROLE}",
            "unite profiles with equal terms: a condition takes a list of values",
        )
        return
    size = _size(_role_item(role, profiles))
    if size > MAX_ITEM_BYTES:
        problems.add(
            path,
            f"the profiles of {role} take {size} bytes and may take {MAX_ITEM_BYTES}",
            "shorten their policies and lists, or use several roles",
        )
    values = sum(weight(one["condition"]) for one in profiles)
    if values > MAX_ROLE_WEIGHT:
        problems.add(
            path,
            f"the conditions of {role} expect {values} values (a pattern, an ARN or a network counts for "
            f"{HEAVY}) and may expect {MAX_ROLE_WEIGHT}",
            "expect something that many have in common, such as a group or an app role",
        )
    _check_overlaps(role, [one for one in profiles if one["effect"] == "allow"], problems)


def _check_overlaps(role: str, profiles: list[Document], problems: Problems) -> None:
    terms = [json.dumps([one.get(term) for term in _GRANTED], sort_keys=True) for one in profiles]
    exact = [exact_values(one) for one in profiles]
    for i, one in enumerate(profiles):
        for j in range(i):
            other = profiles[j]
            if (
                terms[i] == terms[j]
                or one["trust_anchor"] != other["trust_anchor"]
                or any(exact[i][key].isdisjoint(exact[j][key]) for key in exact[i].keys() & exact[j].keys())
            ):
                continue
            priorities = (one["priority"], other["priority"])
            if None in priorities or priorities[0] == priorities[1]:
                problems.add(
                    ("profiles", one["name"], "priority"),
                    f"both this profile and {other['name']!r} could match for {role}, on different terms",
                    "give both a priority, and not the same; the higher one wins",
                )
