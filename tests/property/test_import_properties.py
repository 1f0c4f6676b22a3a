"""Nobody gets in through an imported trust file whom IAM Roles Anywhere would have kept out.

Random trust policies are translated; random certificates ask. On our side stand the translated condition
and the role's new policy, on AWS's a small evaluator of what its guides say: tags of the mapped fields,
first alternatives, repeated parts joined by slashes, values that STS does not take left out without a word.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from sallyport.trust.conditions import MATCH, compile_condition
from sallyport.trust.mapping import is_tag_text
from sallyport.trust.wildcards import pattern
from sallyport.trust.x509_terms import Unfit, compile_mapping, map_tags
from sallyport_cli.import_account import SeenAccount, SeenAnchor, SeenProfile
from sallyport_cli.import_roles_anywhere import Imported, import_account
from tests.support.fake_roles_anywhere import ACCOUNT, PREFIX, REGION, anchor_arn, role_arn, uuid
from tests.support.key_files import pem
from tests.support.pki import root

Attributes = Mapping[str, Any]

TAGS = ["x509Subject/CN", "x509Subject/OU", "x509Issuer/CN", "x509SAN/DNS", "x509SAN/URI", "x509SAN/Name/O"]


def mostly(common: list[Any], rare: list[Any]) -> st.SearchStrategy[Any]:
    """Draw what can be translated most of the time, or nobody would ever be admitted."""
    return st.integers(0, 15).flatmap(lambda number: st.sampled_from(common if number else rare))


# Few, so that policies and certificates often speak of the same; with what tags, STS and names trip over.
VALUES = mostly(
    ["web", "web", "Web", "web-1", "web/1", "w"], ["a=b", "web,1", "web*", "x" * 62, "CN=web", "%"]
)
PATTERNS = mostly(["web", "web*", "*1", "we?", "?*", "w*b", "web-?"], ["x*", "*", "${*}", "web,*"])
PRESENTED = st.sampled_from(
    [
        "web",
        "web",
        "Web",
        "web-1",
        "web/1",
        "w",
        "a=b",
        "web,1",
        "web*",
        "web,",
        "x" * 62,
        "CN=web",
        "ä",
        "web" + "x" * 60,
    ]
)


def listed(values: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


KEYS = mostly(
    [f"aws:PrincipalTag/{tag}" for tag in [TAGS[0], TAGS[0], *TAGS]] + ["AWS:principaltag/X509subject/cn"],
    ["aws:PrincipalTag/Team", "aws:SourceIp"],
)
OPERATORS = mostly(
    [
        "StringEquals",
        "StringEquals",
        "StringLike",
        "StringNotEquals",
        "StringEqualsIgnoreCase",
        "StringNotLike",
    ],
    ["StringNotEqualsIgnoreCase", "StringEqualsIfExists", "ForAnyValue:StringEquals", "ArnLike"],
)
ARNS = st.sampled_from([anchor_arn(1), anchor_arn(2), anchor_arn(9), anchor_arn(1)[:-1] + "*"])


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for operator in draw(st.lists(OPERATORS, min_size=1, max_size=2)):
        values = PATTERNS if operator.endswith("Like") else VALUES
        found.setdefault(operator, {})[draw(KEYS)] = draw(listed(values))
    rare = st.integers(0, 9).map(lambda number: number == 0)
    if draw(rare):
        names = mostly(["CN=web", "CN=web-1", "CN=w"], ["CN=web,1", "CN=" + "x" * 62, "x" * 62, "ID=01"])
        found.setdefault("StringEquals", {})["sts:SourceIdentity"] = draw(listed(names))
    if draw(rare):
        found.setdefault("Null", {})[draw(KEYS)] = draw(st.sampled_from(["true", "false", True, False]))
    if not draw(rare):
        operator = draw(mostly(["ArnEquals", "ArnLike", "StringEquals"], ["StringLike", "ArnNotEquals"]))
        found.setdefault(operator, {})["aws:SourceArn"] = draw(listed(ARNS))
    return found


STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": mostly(["Allow"], ["Deny"]),
        "Principal": mostly(
            [{"Service": "rolesanywhere.amazonaws.com"}],
            [
                {"Service": ["ec2.amazonaws.com", "rolesanywhere.amazonaws.com"]},
                {"Service": "ec2.amazonaws.com"},
            ],
        ),
        "Action": mostly(
            [["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], "sts:*"],
            ["sts:AssumeRole", ["sts:TagSession", "sts:setsourceidentity"], "sts:Tag*"],
        ),
        "Condition": conditions(),
    }
)
# One condition, with everything that is rare above as likely as the rest.
EVERY_VALUE = st.sampled_from(
    ["web", "a=b", "web,1", "x" * 62, "x" * 257, "CN=web", "web*", "*1", "we?", "*"]
)
SIMPLE = st.builds(
    lambda operator, key, value: {
        "Effect": "Allow",
        "Principal": {"Service": "rolesanywhere.amazonaws.com"},
        "Action": "sts:*",
        "Condition": {operator: {key: value}, "ArnEquals": {"aws:SourceArn": anchor_arn(1)}},
    },
    st.sampled_from(
        ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"]
    ),
    st.sampled_from([f"aws:PrincipalTag/{tag}" for tag in TAGS]),
    EVERY_VALUE,
)
POLICIES = st.one_of(
    SIMPLE.map(lambda one: {"Statement": [one]}),
    st.lists(STATEMENTS, min_size=1, max_size=2).map(lambda each: {"Statement": each}),
)
_DEFAULT = {"x509Subject": ("*",), "x509Issuer": ("*",), "x509SAN": ("DNS", "URI", "Name/*")}
MAPPINGS = st.sampled_from(
    [_DEFAULT, _DEFAULT, _DEFAULT, {"x509Subject": ("CN",), "x509SAN": ("DNS",)}, {"x509Subject": ("*",)}, {}]
)
CERTIFICATES = st.dictionaries(
    st.sampled_from([tag.replace("x509", "x509:", 1) for tag in TAGS]),
    st.one_of(PRESENTED, PRESENTED, PRESENTED, st.lists(PRESENTED, min_size=2, max_size=2)),
    min_size=2,
).map(lambda found: {"x509:Serial": "01", **found})


def made_for(policy: Mapping[str, Any]) -> list[Attributes]:
    """Certificates that look as if each statement were about them, with odd things where wildcards are."""
    found = []
    for one in policy["Statement"]:
        for filling in ("", "1", ",", "x" * 62):
            certificate = {"x509:Serial": "01"}
            for operator, block in one["Condition"].items():
                for key, expected in block.items():
                    value = expected[0] if isinstance(expected, list) else expected
                    tag = next((tag for tag in TAGS if key.lower().endswith(tag.lower())), None)
                    if tag is not None and operator in (
                        "StringEquals",
                        "StringLike",
                        "StringEqualsIgnoreCase",
                    ):
                        text = value.replace("*", filling).replace("?", filling[:1] or "x")
                        certificate[tag.replace("x509", "x509:", 1)] = text
            found.append(certificate)
    return found


# --- AWS -------------------------------------------------------------------------------------------


def aws_context(certificate: Attributes, profile: SeenProfile, anchor: str) -> dict[str, str]:
    """What IAM Roles Anywhere tells STS, by lower-case key."""
    rules = [compile_mapping(member, one) for member, each in profile.mapping.items() for one in each]
    found = {"aws:sourcearn": anchor, "aws:sourceaccount": ACCOUNT}
    for key, value in certificate.items():
        values = value if isinstance(value, list) else [value]
        text = values[0] if key in ("x509:SAN/DNS", "x509:SAN/URI") else "/".join(values)
        if any(rule.picks(key) for rule in rules) and is_tag_text(text) and len(text) <= 256:
            found[f"aws:principaltag/{key.replace('x509:', 'x509', 1)}".lower()] = text
    common = certificate.get("x509:Subject/CN")
    if common is None:
        found["sts:sourceidentity"] = f"ID={certificate['x509:Serial']}"
    elif isinstance(common, str):
        found["sts:sourceidentity"] = f"CN={common}" if len(common) <= 61 else common
    return found


def aws_holds(operator: str, key: str, expected: Any, context: Mapping[str, str]) -> bool:
    actual = context.get(key.lower())
    values = expected if isinstance(expected, list) else [expected]
    if operator == "Null":
        return (actual is None) == (str(values[0]).lower() == "true")
    # A statement with IAM's own sets or IfExists is never translated: as if nobody ever met it.
    if ":" in operator or operator.endswith("IfExists"):
        return False
    negated = "Not" in operator
    if actual is None:
        return negated
    base = operator.replace("Not", "")
    fits = {
        "StringEquals": lambda one: actual == one,
        "StringEqualsIgnoreCase": lambda one: actual.lower() == one.lower(),
        "StringLike": lambda one: _like(one, actual),
        "ArnLike": lambda one: _like(one, actual),
        "ArnEquals": lambda one: _like(one, actual),
    }[base]
    return any(map(fits, values)) is not negated


def _like(wanted: str, actual: str) -> bool:
    escaped = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in wanted)
    return re.fullmatch(escaped, actual, re.DOTALL) is not None


def aws_admits(policy: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Evaluate a policy of statements whose operators are all known here."""
    allowed = set()
    for one in policy["Statement"]:
        services = one["Principal"]["Service"]
        if "rolesanywhere.amazonaws.com" not in (services if isinstance(services, list) else [services]):
            continue
        if not all(
            aws_holds(operator, key, expected, context)
            for operator, block in one["Condition"].items()
            for key, expected in block.items()
        ):
            continue
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        for action in ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"):
            if any(pattern(name.lower()).matches(action.lower()) for name in actions):
                if one["Effect"] == "Deny":
                    return False
                allowed.add(action)
    return len(allowed) == 3


# --- ours ------------------------------------------------------------------------------------------


def holds(condition: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any], *, missing: bool) -> bool:
    """Evaluate conditions of ours; ``missing`` tells what a negated one says of nothing, as IAM does."""
    for operator, block in condition.items():
        for key, expected in block.items():
            one = compile_condition(operator, key, expected if isinstance(expected, str) else list(expected))
            actual = values.get(key)
            if actual is None and missing and one.negated:
                continue
            if one.judge(actual, one.test) != MATCH:
                return False
    return True


def role_admits(made: Imported, profile: Any, certificate: Attributes) -> bool:
    """Evaluate what the role's new policy says of the tags that Sallyport makes."""
    statements = json.loads(made.files["roles/reader.json"])["Statement"]
    anchor = made.place.stable_id("trust-anchor", profile.anchor_name)
    external = f"sallyport:{anchor}:{made.place.stable_id('profile', profile.name)}"
    (own,) = [
        one
        for one in statements
        if one.get("Condition", {}).get("StringEquals", {}).get("sts:ExternalId") == external
    ]
    rules = [compile_mapping(member, one) for member, each in profile.source.mapping.items() for one in each]
    tags, _ = map_tags(certificate, rules, Unfit.DROP if profile.drops_unfit else Unfit.ENCODE)
    values = {f"x509:{tag.key}": tag.value for tag in tags}
    told = {
        operator: {
            key.replace("aws:RequestTag/", "x509:"): expected
            for key, expected in block.items()
            if key.startswith("aws:RequestTag/")
        }
        for operator, block in own["Condition"].items()
    }
    return holds(told, values, missing=True)


def imported(policy: Mapping[str, Any], mapping: Mapping[str, Any]) -> Imported:
    profile = SeenProfile(
        arn=f"{PREFIX}:profile/{uuid(1)}",
        name="p",
        enabled=True,
        roles=(role_arn("reader"),),
        duration=3600,
        mapping=mapping,
    )
    anchors = tuple(
        SeenAnchor(arn=anchor_arn(number), name=f"a{number}", enabled=True, certificates=pem(root()))
        for number in (1, 2)
    )
    return import_account(
        SeenAccount(
            account=ACCOUNT,
            region=REGION,
            partition="aws",
            anchors=anchors,
            profiles=(profile,),
            roles={role_arn("reader"): policy},
        )
    )


@settings(max_examples=400)
@given(POLICIES, MAPPINGS, st.lists(CERTIFICATES, min_size=1, max_size=5))
def test_whoever_is_admitted_here_was_admitted_by_aws(
    policy: dict[str, Any], mapping: dict[str, Any], certificates: list[Attributes]
) -> None:
    made = imported(policy, mapping)
    for profile in made.profiles:
        event("untranslated" if profile.problems else "translated")
        if profile.problems:
            continue
        for certificate in (*certificates, *made_for(policy)):
            if not holds(profile.conditions, certificate, missing=False):
                continue
            if not role_admits(made, profile, certificate):
                continue
            event("admitted")
            assert profile.anchor is not None
            assert aws_admits(policy, aws_context(certificate, profile.source, profile.anchor.arn))


@settings(max_examples=300)
@given(POLICIES, MAPPINGS, st.lists(CERTIFICATES, min_size=1, max_size=5))
def test_without_patterns_the_profile_alone_suffices(
    policy: dict[str, Any], mapping: dict[str, Any], certificates: list[Attributes]
) -> None:
    for profile in imported(policy, mapping).profiles:
        if profile.problems or profile.drops_unfit:
            continue
        for certificate in (*certificates, *made_for(policy)):
            if holds(profile.conditions, certificate, missing=False):
                assert profile.anchor is not None
                assert aws_admits(policy, aws_context(certificate, profile.source, profile.anchor.arn))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
ODD = st.fixed_dictionaries(
    {},
    optional={
        "Effect": st.sampled_from(["Allow", "Deny"]) | JSON,
        "Principal": st.sampled_from([{"Service": "rolesanywhere.amazonaws.com"}]) | JSON,
        "NotPrincipal": JSON,
        "Action": st.sampled_from(["sts:*"]) | JSON,
        "Condition": JSON | st.dictionaries(OPERATORS, st.dictionaries(KEYS, JSON, max_size=2)),
    },
)


@given(st.fixed_dictionaries({"Statement": st.lists(ODD, max_size=3) | JSON}))
def test_any_document_is_a_trust_file(policy: dict[str, Any]) -> None:
    made = imported(policy, {"x509Subject": ("*",)})
    assert made.profiles
    assert b"unconditional" not in made.files["trust.yaml"]
    for profile in made.profiles:
        assert profile.problems or profile.conditions
