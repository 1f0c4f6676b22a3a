"""What a version of the trust says, for people: anchors, profiles, what is disabled, and the history."""

import base64
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sallyport.trust.authorities import describe
from sallyport.trust.user_pools import POOL
from sallyport_cli.anchor_warnings import CERTIFICATE_FIELDS, NEAR_THE_END, day
from sallyport_cli.crl_view import ListRow, TableList, say_lists
from sallyport_cli.output import details, say, say_json, shown
from sallyport_cli.trust_table import Items, Tombstone, Version

_VALUES_SHOWN = 3
"""How many expected values of a condition the summary names; the rest is a count."""

Row = tuple[str, str]
"""What it is, and its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One version, with what is disabled now, and the anchors' revocation lists.

    ``now`` is the time, for what has ended.
    """

    version: Version | None
    is_current: bool
    items: Items
    tombstones: Sequence[Tombstone]
    lists: Sequence[TableList]
    now: datetime

    def to_json(self) -> dict[str, Any]:
        """Return everything, with whole documents."""
        return {
            "version": None if self.version is None else asdict(self.version),
            "in_force": self.is_current and self.version is not None,
            "anchors": [
                {
                    **one,
                    **self._x509_facts(one),
                    "disabled": self._is_disabled("anchor", one["name"]),
                }
                for one in self._anchors()
            ],
            "profiles": [
                {
                    **one,
                    "external_id": external_id(one),
                    **({"helper_flags": flags} if (flags := self._helper_flags(one)) else {}),
                    "disabled": self._is_disabled("profile", one["name"]),
                }
                for one in self._profiles()
            ],
            "user_pools": pools_of(self.items),
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
            self._say_lists()
            details("Profiles", [self._profile_rows(one) for one in self._profiles()])
            self._say_helper_flags()
            if pools := pools_of(self.items):
                details("User pools", [_pool_rows(one) for one in pools])
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
        yield from self._certificate_rows(one) if one.get("kind") == "x509" else self._issuer_rows(one)
        if one["replay"] != "allow":
            yield "replay", one["replay"]

    @staticmethod
    def _issuer_rows(one: Mapping[str, Any]) -> Iterable[Row]:
        yield "issuer", one["issuer"]
        yield "dialect", one["dialect"]
        yield from (("audience", audience) for audience in one["audiences"])
        if one["local_discovery"]:
            yield "local discovery", one["local_discovery"]

    def _certificate_rows(self, one: Mapping[str, Any]) -> Iterable[Row]:
        for field, title in CERTIFICATE_FIELDS.items():
            for der in one[field]:
                found = describe(base64.b64decode(der))
                yield title, found.subject
                yield "  until", day(found.not_after) + self._age(found.not_after)
        if one["crls"]:
            late = "refused" if one["stale_crls"] == "deny" else "believed all the same"
            yield "stale lists", f"{one['stale_crls']}: where a list is late or missing, callers are {late}"
        if one["any_extended_key_usage"]:
            yield "key usage", "any extended key usage is accepted"
        if one["bare_names"]:
            yield "names", "as IAM Roles Anywhere has them, where they are unambiguous"

    def _age(self, ends: datetime) -> str:
        if ends < self.now:
            return "  EXPIRED"
        left = ends - self.now
        return f"  (in {left.days} day{'' if left.days == 1 else 's'})" if left <= NEAR_THE_END else ""

    def _x509_facts(self, one: Mapping[str, Any]) -> dict[str, Any]:
        """Return what ``--json`` says of certificates and lists besides the document."""
        if one.get("kind") != "x509":
            return {}
        facts = [
            {"role": title, "subject": found.subject, "sha256": found.fingerprint}
            | {"not_before": found.not_before.isoformat(), "not_after": found.not_after.isoformat()}
            for field, title in CERTIFICATE_FIELDS.items()
            for found in (describe(base64.b64decode(der)) for der in one[field])
        ]
        rows = [asdict(row) for row in self._rows_of_lists() if row.anchor == one["name"]]
        return {"certificate_facts": facts, "lists": rows}

    def _rows_of_lists(self) -> list[ListRow]:
        return [one.row(self.now) for one in self.lists]

    def _say_lists(self) -> None:
        if not self.lists:
            return
        print()
        say("Revocation lists", style="bold underline")
        say_lists(self._rows_of_lists())
        if not any(one.is_read for one in self.lists):
            say(
                "What exchanges believe is in the keys table: name it with --keys-table (the stack's outputs "
                "do).",
                style="dim",
                hang=0,
            )

    def _helper_flags(self, one: Mapping[str, Any]) -> list[str]:
        """Return what a client of IAM Roles Anywhere is told; nothing where there are several roles."""
        anchor = anchors_of(self.items).get(one["trust_anchor"], {})
        if anchor.get("kind") != "x509" or one["effect"] == "deny" or len(one["roles"]) != 1:
            return []
        return [
            f"--trust-anchor-arn {anchor['arn']}",
            f"--profile-arn {one['arn']}",
            f"--role-arn {one['roles'][0]}",
        ]

    def _say_helper_flags(self) -> None:
        """Print what can be copied. Whole lines, also on a terminal: a folded ARN is none."""
        blocks = [(one, flags) for one in self._profiles() if (flags := self._helper_flags(one))]
        if not blocks:
            return
        print()
        say("For clients of IAM Roles Anywhere", style="bold underline")
        for one, flags in blocks:
            print()
            say(f"# {shown(one['name'])}", style="dim")
            say("aws_signing_helper credential-process \\")
            say('  --certificate cert.pem --private-key key.pem --endpoint "$SALLYPORT_ENDPOINT" \\')
            say(" \\\n".join(f"  {shown(flag)}" for flag in flags))

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
        certificate = one.get("certificate")
        unset = "(from the certificate)" if certificate else ""
        if one["session_name"] or unset:
            yield "session name", one["session_name"] or unset
        if one["source_identity"] or unset:
            yield "source identity", one["source_identity"] or unset
        if certificate:
            mapped = ", ".join(f"{field}/{specifier}" for field, specifier in certificate["mapping"])
            yield "tags from", mapped or "(nothing of the certificate)"
            yield (
                "unfit values",
                f"{certificate['unfit']}d" if certificate["unfit"] == "encode" else "dropped",
            )
        yield from (("tag", _tag(tag, one["transitive_tags"])) for tag in one["session_tags"])
        if one["session_policy"]:
            yield "session policy", json.dumps(one["session_policy"], sort_keys=True)
        yield from (("managed policy", arn) for arn in one["managed_policies"])
        if one.get("across_tenants"):
            yield "tenants", "sessions reach across tenants"
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


def pools_of(items: Items) -> list[Mapping[str, Any]]:
    """Return the user pools of a version, by name."""
    return sorted(
        (one for key, one in items.items() if key.startswith(POOL)), key=lambda one: str(one["name"])
    )


def _pool_rows(one: Mapping[str, Any]) -> Iterable[Row]:
    yield "user pool", one["name"]
    yield "id", one["id"]
    rules = [*sorted(one["clients"].items()), *([("(others)", one["default"])] if "default" in one else [])]
    for client, rule in rules:
        yield "app client", f"{client}  ({rule['use']})"
        if not rule["tags"]:
            yield "  tag", "(none: its tokens are not for AWS)"
        for key, tag in sorted(rule["tags"].items()):
            yield "  tag", f"{key} = {_source(tag)}"
        if "source_identity" in rule:
            subject = "<client id>" if rule["use"] == "machine" else "<sub>"
            yield "  source identity", f"{rule['source_identity']}{subject}"
        yield from (("  role", role) for role in rule.get("roles", ()))
    for name, constants in sorted(one.get("providers", {}).items()):
        yield "provider", f"{name}: " + ", ".join(f"{key} = {value}" for key, value in constants.items())


def _source(tag: Mapping[str, Any]) -> str:
    """Return what a pool's tag is made of, and what it is worth."""
    options = {"isolates", "optional", "transitive", "allowed"}
    ((name, value),) = [(name, value) for name, value in tag.items() if name not in options]
    texts = {
        "provider": "the identity provider's constant",
        "groups": "groups " + ", ".join(f"{k}: {v}" for k, v in value.items()) if name == "groups" else "",
        "constant": str(value),
    }
    marks = ["isolates"] if tag.get("isolates", True) else []
    marks += [mark for mark in ("optional", "transitive") if tag.get(mark)]
    marks += [f"one of {', '.join(tag['allowed'])}"] if "allowed" in tag else []
    text = texts.get(name, f"{name.replace('_', ' ')} {value}")
    return text + (f"  ({'; '.join(marks)})" if marks else "")


def _tag(tag: Mapping[str, Any], transitive: Collection[str]) -> str:
    marks = ["optional"] if tag["optional"] else []
    if tag["key"] in transitive:
        marks.append("transitive")
    return f"{tag['key']} = {tag['value']}" + (f"  ({', '.join(marks)})" if marks else "")


def _tombstone_rows(one: Tombstone) -> Iterable[Row]:
    yield one.kind, one.name
    yield "since", f"{one.at} by {one.by}"
    yield "reason", one.reason
