"""What a version of the trust says, for people: anchors, profiles, what is disabled, and the history."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sallyport_cli.output import details, say, say_json, shown
from sallyport_cli.trust_table import Items, Tombstone, Version

_VALUES_SHOWN = 3
"""How many expected values of a condition the summary names; the rest is a count."""

Row = tuple[str, str]
"""What it is, and its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One version, with what is disabled now."""

    version: Version | None
    is_current: bool
    items: Items
    tombstones: Sequence[Tombstone]

    def to_json(self) -> dict[str, Any]:
        """Return everything, with whole documents."""
        return {
            "version": None if self.version is None else asdict(self.version),
            "in_force": self.is_current and self.version is not None,
            "anchors": [
                {**one, "disabled": self._is_disabled("anchor", one["name"])} for one in self._anchors()
            ],
            "profiles": [
                {
                    **one,
                    "external_id": external_id(one),
                    "disabled": self._is_disabled("profile", one["name"]),
                }
                for one in self._profiles()
            ],
            "disabled": [asdict(one) for one in self.tombstones],
        }

    def say(self, *, as_json: bool) -> None:
        """Print the view."""
        if as_json:
            say_json(self.to_json())
            return
        if self.version is None:
            say("Nothing was applied yet, so that every exchange is denied.")
        else:
            state = "in force" if self.is_current else "superseded"
            by, at = shown(self.version.applied_by), shown(self.version.applied_at)
            say(f"Version {shown(self.version.id)} ({state}), applied {at}", style="bold")
            say(f"by {by}")
            details("Trust anchors", [self._anchor_rows(one) for one in self._anchors()])
            details("Profiles", [self._profile_rows(one) for one in self._profiles()])
        if self.tombstones:
            details("Disabled", [_tombstone_rows(one) for one in self.tombstones])

    def _anchors(self) -> list[Mapping[str, Any]]:
        return sorted(anchors_of(self.items).values(), key=lambda one: str(one["name"]))

    def _profiles(self) -> list[Mapping[str, Any]]:
        return sorted(profiles_of(self.items).values(), key=lambda one: str(one["name"]))

    def _is_disabled(self, kind: str, name: str) -> bool:
        return any(one.kind == kind and one.name == name for one in self.tombstones)

    def _anchor_rows(self, one: Mapping[str, Any]) -> Iterable[Row]:
        yield "anchor", one["name"] + self._mark("anchor", one["name"])
        yield "arn", one["arn"]
        yield "issuer", one["issuer"]
        yield "dialect", one["dialect"]
        yield from (("audience", audience) for audience in one["audiences"])
        if one["replay"] != "allow":
            yield "replay", one["replay"]
        if one["local_discovery"]:
            yield "local discovery", one["local_discovery"]

    def _profile_rows(self, one: Mapping[str, Any]) -> Iterable[Row]:
        yield "profile", one["name"] + self._mark("profile", one["name"])
        yield "arn", one["arn"]
        yield "trust anchor", one["trust_anchor"]
        yield from (("role", role) for role in one["roles"])
        yield from (("if", text) for text in condition_summary(one["condition"]))
        if not one["condition"]:
            yield "if", "(everybody whom the anchor vouches for)"
        if one["effect"] == "deny":
            yield "effect", "DENY, whatever other profiles allow"
            return
        yield "external id", external_id(one) or "(none: the caller's own token goes to STS)"
        yield "duration", f"{one['duration']} s"
        yield "issuance", one["issuance"] + (" (advisory)" if one["advisory"] else "")
        yield "session name", one["session_name"]
        if one["source_identity"]:
            yield "source identity", one["source_identity"]
        yield from (("tag", _tag(tag, one["transitive_tags"])) for tag in one["session_tags"])
        if one["session_policy"]:
            yield "session policy", json.dumps(one["session_policy"], sort_keys=True)
        yield from (("managed policy", arn) for arn in one["managed_policies"])
        if one["priority"] is not None:
            yield "priority", str(one["priority"])

    def _mark(self, kind: str, name: str) -> str:
        return "  [DISABLED]" if self._is_disabled(kind, name) else ""


def names_of(items: Items, kind: str) -> Collection[str]:
    """Return the names of all anchors or of all profiles of a version."""
    return (anchors_of(items) if kind == "anchor" else profiles_of(items)).keys()


def external_id(profile: Mapping[str, Any]) -> str | None:
    """Return what a role's trust policy should demand; none where STS is not asked by our own role."""
    if profile["effect"] == "deny" or profile["issuance"] == "web-identity":
        return None
    return f"sallyport:{profile['anchor_id']}:{profile['id']}"


def condition_summary(condition: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """Yield one line for every operator and key."""
    for operator, block in condition.items():
        for key, expected in block.items():
            values = expected if isinstance(expected, list) else [expected]
            texts = [
                value if isinstance(value, str) else json.dumps(value) for value in values[:_VALUES_SHOWN]
            ]
            if (more := len(values) - _VALUES_SHOWN) > 0:
                texts.append(f"{more} more")
            yield f"{operator} {key}: {' or '.join(texts)}"


def say_versions(history: Sequence[Version], *, as_json: bool) -> None:
    """Print the versions that were in force, newest first."""
    if as_json:
        say_json(
            {"versions": [{**asdict(one), "in_force": number == 0} for number, one in enumerate(history)]}
        )
        return
    if not history:
        say("Nothing was applied yet.")
    details(
        "Versions",
        [
            [
                ("version", one.id + ("  (in force)" if number == 0 else "")),
                ("applied", f"{one.applied_at} by {one.applied_by}"),
                ("changes", one.summary),
                ("items", f"{one.items:,}"),
                ("file sha256", one.digest),
            ]
            for number, one in enumerate(history)
        ],
    )


def anchors_of(items: Items) -> dict[str, Mapping[str, Any]]:
    """Return the anchors of a version by name."""
    return {str(one["name"]): one for key, one in items.items() if key.startswith("anchor#")}


def profiles_of(items: Items) -> dict[str, Mapping[str, Any]]:
    """Return the profiles of a version by name, with all their roles; a role's item names that one alone."""
    found: dict[str, dict[str, Any]] = {}
    for key in sorted(items):
        if key.startswith("role#"):
            for one in items[key]["profiles"]:
                found.setdefault(one["name"], {**one, "roles": []})["roles"] += one["roles"]
    return dict(found)


def _tag(tag: Mapping[str, Any], transitive: Collection[str]) -> str:
    marks = ["optional"] if tag["optional"] else []
    if tag["key"] in transitive:
        marks.append("transitive")
    return f"{tag['key']} = {tag['value']}" + (f"  ({', '.join(marks)})" if marks else "")


def _tombstone_rows(one: Tombstone) -> Iterable[Row]:
    yield one.kind, one.name
    yield "since", f"{one.at} by {one.by}"
    yield "reason", one.reason
