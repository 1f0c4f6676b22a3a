"""From an account's IAM Roles Anywhere to a trust file, its files, and what the roles must say.

What is written never lets anybody in whom AWS kept out. Profiles of IAM Roles Anywhere are bound to no
trust anchor and have no condition; both come from the roles' trust policies, so that one profile there
can become several here. Whatever could not be translated stands in the file as ``untranslated``, which
``sallyport trust validate`` refuses with what stands there.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sallyport.errors import TrustFileError
from sallyport.trust.anchor_rules import Place
from sallyport.trust.limits import MAX_CHAINED_DURATION
from sallyport.trust.names import encode
from sallyport.trust.x509_terms import DEFAULT_SPECIFIERS, MappingRule, compile_mapping
from sallyport_cli.import_account import SeenAccount, SeenAnchor, SeenProfile
from sallyport_cli.import_conditions import Conditions, Way, ways_in
from sallyport_cli.output import shown

UNTRANSLATED: Final = "untranslated"
"""The key that no trust file may have."""

TO_FILL_IN: Final = "FILL-IN"

CREATE_SESSION_ROLE: Final = "<the stack's output CreateSessionRoleArn>"
"""Stands in roles' policies where the ARN was not given. IAM refuses it."""

_NAMES: Final = ("aws:SourceIdentity", "sts:SourceIdentity", "sts:RoleSessionName", "aws:userid")
_TAGS: Final = "aws:PrincipalTag/x509"
"""Keys whose values are not those of IAM Roles Anywhere; tags are the same mostly."""

_SLUG_LENGTH: Final = 26
"""Names have at most 32 characters; this leaves room for a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProfile:
    """A profile of the trust file, with what it was made of."""

    name: str
    source: SeenProfile
    anchor: SeenAnchor | None
    anchor_name: str
    roles: tuple[str, ...]
    conditions: Conditions
    tags: Conditions
    problems: tuple[str, ...]
    drops_unfit: bool
    priority: int | None = None

    @property
    def is_off(self) -> bool:
        """Whether it, or its anchor, is disabled at IAM Roles Anywhere."""
        return not self.source.enabled or (self.anchor is not None and not self.anchor.enabled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What is to be written, by name, and what is to be told."""

    files: Mapping[str, bytes]
    anchors: Mapping[str, SeenAnchor]
    profiles: tuple[NewProfile, ...]
    place: Place = field(repr=False)

    @property
    def problems(self) -> int:
        """How many things a person has to translate."""
        told = [one.problems for one in self.anchors.values()] + [one.problems for one in self.profiles]
        return sum(map(len, told))

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN that an anchor or a profile will have here."""
        return self.place.arn(kind, self.place.stable_id(kind, name))


def import_account(seen: SeenAccount, create_session_role: str = CREATE_SESSION_ROLE) -> Imported:
    """Return the trust file and everything beside it.

    Args:
        seen: the account, as it was read.
        create_session_role: the ARN of the role whose function will ask STS.
    """
    place = Place(account=seen.account, region=seen.region, partition=seen.partition, local_cloud=False)
    names = _unique([anchor.name for anchor in seen.anchors])
    anchors = dict(zip(names, seen.anchors, strict=True))
    profiles = _profiles(seen, anchors)
    lists = _lists(seen, anchors)
    files = {f"{name}.pem": one.certificates for name, one in anchors.items() if one.certificates}
    files |= {f"crls/{file}": one.data for of_anchor in lists.values() for file, one in of_anchor.items()}
    text = _trust_file(seen, anchors, lists, profiles)
    files["trust.yaml"] = text.encode()
    made = Imported(files=files, anchors=anchors, profiles=tuple(profiles), place=place)
    policies = _role_policies(made, create_session_role)
    return Imported(files={**files, **policies}, anchors=anchors, profiles=made.profiles, place=place)


# --- profiles --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Group:
    """Roles of one profile that everything else is the same for."""

    way: Way
    anchor: str | None
    roles: list[str]


def _profiles(seen: SeenAccount, anchors: Mapping[str, SeenAnchor]) -> list[NewProfile]:
    by_arn = {anchor.arn: name for name, anchor in anchors.items()}
    found: list[NewProfile] = []
    taken: set[str] = set()
    for profile in seen.profiles:
        groups = _groups(profile, seen, list(by_arn))
        for number, group in enumerate(groups, 1):
            wanted = _slug(profile.name) + (f"-{number}" if len(groups) > 1 else "")
            anchor_name = TO_FILL_IN if group.anchor is None else by_arn[group.anchor]
            found.append(
                NewProfile(
                    name=_free(wanted, taken),
                    source=profile,
                    anchor=None if group.anchor is None else anchors[anchor_name],
                    anchor_name=anchor_name,
                    roles=tuple(group.roles),
                    conditions=group.way.conditions,
                    tags=group.way.tags,
                    problems=group.way.problems,
                    drops_unfit=group.way.drops_unfit,
                )
            )
    return _with_priorities(found)


def _groups(profile: SeenProfile, seen: SeenAccount, anchors: Sequence[str]) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for role in profile.roles:
        policy = seen.roles.get(role, "It was not read.")
        if isinstance(policy, str):
            ways: Iterable[Way] = (_nobody(f"{role}: {policy}"),)
        else:
            ways = (_checked(way, profile, role, anchors) for way in ways_in(policy, seen.account, anchors))
        for way in ways:
            named: list[str | None] = [one for one in anchors if one in way.anchors]
            for anchor in named or [None]:
                key = json.dumps([anchor, way.conditions, way.tags, way.problems], sort_keys=True)
                roles = groups.setdefault(key, _Group(way, anchor, [])).roles
                # Two statements can say the same.
                if role not in roles:
                    roles.append(role)
    if not profile.roles:
        groups["none"] = _Group(_nobody("this profile has no role"), None, [TO_FILL_IN])
    return list(groups.values())


def _nobody(problem: str) -> Way:
    return Way(anchors=frozenset(), conditions={}, tags={}, problems=(problem,))


def _checked(way: Way, profile: SeenProfile, role: str, anchors: Sequence[str]) -> Way:
    """Add what is wrong with a way for this profile, and say of which role all of it is."""
    problems = list(way.problems)
    rules = _rules(profile)
    # What is not mapped makes no tag: no condition on it held, but a negated one always did.
    unmapped = {
        tag
        for operator, block in way.tags.items()
        for tag, values in block.items()
        if not ("Not" in operator or values == ("true",)) and not any(rule.picks(_key(tag)) for rule in rules)
    }
    problems += [
        f"the profile makes no tag {tag}, so no certificate met the condition on it"
        for tag in sorted(unmapped)
    ]
    if not way.conditions and not way.problems:
        problems.append(
            "the trust policy admits every certificate of its trust anchors; say in `condition` who is meant"
        )
    if not way.anchors and not way.problems:
        problems.append("the trust policy names no trust anchor of this account and Region")
    elif not way.names_anchor and len(anchors) > 1:
        problems.append(
            "the trust policy does not say which trust anchor (aws:SourceArn), so each has a profile here; "
            "keep those that are meant"
        )
    problems += [
        f"the session policy looks at {key}, whose values are others here; write those of Sallyport"
        for key in _keys_with_other_values(profile.session_policy)
    ]
    if way.drops_unfit and _has_encoded(way.tags):
        problems.append(
            "a pattern and an expected value with = or / cannot be in one profile: such tags are encoded here"
        )
    return replace(way, problems=tuple(f"{role}: {text}" for text in problems))


def _keys_with_other_values(policy: str) -> list[str]:
    """Return what of a session policy would mean something else: a Deny by a name that nobody has any more.

    Source identities and session names are encoded here where AWS's are ambiguous, and so are tags, which AWS
    leaves out: that matters to a policy that denies by them.
    """
    text = policy.lower()
    tags = (_TAGS,) if '"deny"' in text else ()
    return [key for key in (*_NAMES, *tags) if key.lower() in text]


def _key(tag: str) -> str:
    return tag.replace("x509", "x509:", 1)


def _has_encoded(tags: Conditions) -> bool:
    return any(
        _is_encoded(tag, value)
        for block in tags.values()
        for tag, values in block.items()
        for value in values
    )


def _rules(profile: SeenProfile) -> list[MappingRule]:
    rules = []
    for member, specifiers in profile.mapping.items():
        for specifier in specifiers:
            try:
                rules.append(compile_mapping(member, specifier))
            except TrustFileError:
                continue
    return rules


def _with_priorities(profiles: Sequence[NewProfile]) -> list[NewProfile]:
    """Number the profiles that share a role and an anchor, which a trust file wants told apart.

    It decides nothing for clients of CreateSession: they always name the profile.
    """
    sharing: dict[tuple[str, str], list[int]] = {}
    for at, one in enumerate(profiles):
        for role in one.roles:
            sharing.setdefault((role, one.anchor_name), []).append(at)
    shared = {at for group in sharing.values() if len(group) > 1 for at in group}
    return [
        one if at not in shared else replace(one, priority=10 * (len(profiles) - at))
        for at, one in enumerate(profiles)
    ]


# --- lists -----------------------------------------------------------------------------------------


def _lists(seen: SeenAccount, anchors: Mapping[str, SeenAnchor]) -> dict[str, dict[str, Any]]:
    """Return each anchor's revocation lists by the names of their files."""
    by_arn = {anchor.arn: name for name, anchor in anchors.items()}
    names = [f"{name}.crl" for name in _unique([one.name for one in seen.lists])]
    found: dict[str, dict[str, Any]] = {}
    for file, one in zip(names, seen.lists, strict=True):
        if one.anchor in by_arn:
            found.setdefault(by_arn[one.anchor], {})[file] = one
    return found


# --- the trust file --------------------------------------------------------------------------------


def _trust_file(
    seen: SeenAccount,
    anchors: Mapping[str, SeenAnchor],
    lists: Mapping[str, Mapping[str, Any]],
    profiles: Sequence[NewProfile],
) -> str:
    lines = [
        f"# Imported from IAM Roles Anywhere in account {seen.account}, Region {seen.region}.",
        f"# What stands under {UNTRANSLATED} needs a person: write what it meant, then delete it.",
        "version: 1",
        "trust_anchors:" if anchors else "trust_anchors: {}",
    ]
    for name, anchor in anchors.items():
        lines += _entry(
            name, anchor.name, anchor.arn, _anchor_body(name, anchor, lists), off=not anchor.enabled
        )
    lines.append("profiles:" if profiles else "profiles: {}")
    for one in profiles:
        lines += _entry(one.name, one.source.name, one.source.arn, _profile_body(one), off=one.is_off)
    # A section whose entries are all switched off has none.
    text = "\n".join(lines) + "\n"
    for section, live in (
        ("trust_anchors", any(one.enabled for one in anchors.values())),
        ("profiles", any(not one.is_off for one in profiles)),
    ):
        if not live:
            text = text.replace(f"\n{section}:\n", f"\n{section}: {{}}\n", 1)
    return text


def _entry(name: str, title: str, arn: str, body: Sequence[str], *, off: bool) -> list[str]:
    lines = [f"# {shown(title)}: {shown(arn)}"]
    if off:
        lines.append("# Disabled at IAM Roles Anywhere, so it is switched off here as well.")
    entry = [f"{name}:", *(f"  {line}" for line in body)]
    return ["", *(f"  {line}" for line in lines), *(f"  {'# ' if off else ''}{line}" for line in entry)]


def _anchor_body(name: str, anchor: SeenAnchor, lists: Mapping[str, Mapping[str, Any]]) -> list[str]:
    body = ["kind: x509", f"certificates: {_flow(name + '.pem')}"]
    live = [f"crls/{file}" for file, one in lists.get(name, {}).items() if one.enabled]
    body += [
        f"# Disabled at IAM Roles Anywhere: crls/{file}"
        for file, one in lists.get(name, {}).items()
        if not one.enabled
    ]
    if live:
        body.append(f"crls: {_flow(live)}")
    return [*body, *_untranslated(anchor.problems)]


def _profile_body(one: NewProfile) -> list[str]:
    source = one.source
    body = [f"trust_anchor: {_flow(one.anchor_name)}", f"roles: {_flow(one.roles)}"]
    if one.conditions:
        body.append("condition:")
        body += [f"  {_flow(operator)}: {_flow(dict(block))}" for operator, block in one.conditions.items()]
    body += _mapping(source)
    if one.drops_unfit:
        body += [
            "# A pattern looks at the value itself; so the role's own policy refuses what AWS refused.",
            "unfit_values: drop",
        ]
    problems = list(one.problems)
    if source.session_policy:
        try:
            body.append(f"session_policy: {_flow(json.loads(source.session_policy))}")
        except ValueError:
            problems.append("the session policy is not JSON")
    if source.managed_policies:
        body.append(f"managed_policies: {_flow(source.managed_policies)}")
    if source.duration > MAX_CHAINED_DURATION:
        body.append(f"# {source.duration} seconds at IAM Roles Anywhere; AWS allows no more than 1h here.")
    body.append(f"duration: {min(source.duration, MAX_CHAINED_DURATION)}s")
    if source.accepts_session_name:
        body.append("accept_session_name: true")
    if one.priority is not None:
        body += [
            "# For requests that name no profile, which those of CreateSession always do.",
            f"priority: {one.priority}",
        ]
    return [*body, *_untranslated(problems)]


def _mapping(source: SeenProfile) -> list[str]:
    if {key: set(values) for key, values in source.mapping.items()} == {
        key: set(values) for key, values in DEFAULT_SPECIFIERS.items()
    }:
        return []
    mapping = {member: specifiers for member, specifiers in source.mapping.items() if specifiers}
    return [f"attribute_mapping: {_flow(mapping)}"]


def _untranslated(problems: Sequence[str]) -> list[str]:
    if not problems:
        return []
    return [f"{UNTRANSLATED}:", *(f"  - {_flow(shown(text))}" for text in problems)]


def _flow(value: Any) -> str:  # noqa: ANN401 - whatever JSON can say
    """Return a value in YAML's flow style: JSON, with everything escaped that an editor does not show."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(str(key))}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    return json.dumps(value)


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isascii() and character.isprintable():
        return character
    point = ord(character)
    return f"\\U{point:08x}" if point > 0xFFFF else f"\\u{point:04x}"  # noqa: PLR2004 - the escapes' widths


# --- the roles' side -------------------------------------------------------------------------------


def _role_policies(made: Imported, principal: str) -> dict[str, bytes]:
    """Return for each role the statements that let Sallyport in for its profiles, and nobody else.

    What is switched off or not translated yet has none.
    """
    by_role: dict[str, list[NewProfile]] = {}
    for one in made.profiles:
        if not one.is_off and not one.problems:
            for role in one.roles:
                by_role.setdefault(role, []).append(one)
    found = {}
    for role, profiles in by_role.items():
        statements = [_statement(one, made, principal) for one in profiles]
        statements.append(
            {
                "Sid": "SallyportTagsAndSourceIdentity",
                "Effect": "Allow",
                "Principal": {"AWS": principal},
                "Action": ["sts:TagSession", "sts:SetSourceIdentity"],
            }
        )
        policy = {"Version": "2012-10-17", "Statement": statements}
        found[f"roles/{role.rpartition('/')[2]}.json"] = (json.dumps(policy, indent=2) + "\n").encode()
    return found


def _statement(one: NewProfile, made: Imported, principal: str) -> dict[str, Any]:
    anchor = made.place.stable_id("trust-anchor", one.anchor_name)
    profile = made.place.stable_id("profile", one.name)
    condition: dict[str, dict[str, Any]] = {
        "StringEquals": {"sts:ExternalId": f"sallyport:{anchor}:{profile}"}
    }
    for operator, block in one.tags.items():
        for tag, values in block.items():
            condition.setdefault(operator, {})[f"aws:RequestTag/{tag}"] = [_as_tag(tag, v) for v in values]
    condition.setdefault("Null", {})["sts:SourceIdentity"] = "false"
    return {
        "Sid": "Sallyport" + "".join(part.capitalize() for part in one.name.split("-")),
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "sts:AssumeRole",
        "Condition": condition,
    }


def _as_tag(tag: str, value: str) -> str:
    """Return a value as Sallyport writes it into a tag: encoded, if it could be taken for another."""
    return encode(value) if _is_encoded(tag, value) else value


def _is_encoded(tag: str, value: str) -> bool:
    # Repeated parts of a name are joined by slashes; of host names and URIs the first one counts.
    return "=" in value or ("/" in value and tag not in ("x509SAN/DNS", "x509SAN/URI"))


# --- names -----------------------------------------------------------------------------------------


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SLUG_LENGTH].strip("-") or "imported"


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted[:_SLUG_LENGTH]}-{number}"
    taken.add(name)
    return name


def _unique(names: Iterable[str]) -> list[str]:
    taken: set[str] = set()
    return [_free(_slug(name), taken) for name in names]
