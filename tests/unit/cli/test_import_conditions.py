"""Trust policies of roles as conditions: a table of what is translated, and of what is refused."""

from typing import Any

import pytest

from sallyport_cli.import_conditions import Way, ways_in
from tests.support.fake_roles_anywhere import ACCOUNT, anchor_arn, trust

ANCHORS = [anchor_arn(1), anchor_arn(2)]
HERE = {"aws:SourceArn": ANCHORS[0]}
CN = "aws:PrincipalTag/x509Subject/CN"


def ways(policy: Any) -> tuple[Way, ...]:
    return ways_in(policy, ACCOUNT, ANCHORS)


def only(policy: Any) -> Way:
    (way,) = ways(policy)
    return way


TRANSLATED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a common name": (
        {"StringEquals": {CN: "web"}},
        {"StringEquals": {"x509:Subject/CN": ("web",)}},
    ),
    "case of keys": (
        {"StringEquals": {"AWS:principaltag/X509subject/cn": "web"}},
        {"StringEquals": {"x509:Subject/CN": ("web",)}},
    ),
    "one of several": (
        {"StringEquals": {CN: ["web", "db"]}},
        {"StringEquals": {"x509:Subject/CN": ("web", "db")}},
    ),
    "all operators": (
        {
            "StringLike": {"aws:PrincipalTag/x509SAN/URI": "spiffe://example.org/ns/a/*"},
            "StringNotEquals": {"aws:PrincipalTag/x509Subject/OU": ["Test", "Lab"]},
            "StringNotLike": {"aws:PrincipalTag/x509SAN/DNS": "*.test"},
            "StringEqualsIgnoreCase": {"aws:PrincipalTag/x509Subject/O": "example"},
            "Null": {"aws:PrincipalTag/x509SAN/Name/UID": "true"},
        },
        {
            "StringLike": {"x509:SAN/URI": ("spiffe://example.org/ns/a/*",)},
            "StringNotEquals": {"x509:Subject/OU": ("Test", "Lab")},
            "StringNotLike": {"x509:SAN/DNS": ("*.test",)},
            "StringEqualsIgnoreCase": {"x509:Subject/O": ("example",)},
            "Null": {"x509:SAN/Name/UID": ("true",)},
        },
    ),
    "the issuer": (
        {"StringEquals": {CN: "web", "aws:PrincipalTag/x509Issuer/CN": "Issuing 01"}},
        {"StringEquals": {"x509:Subject/CN": ("web",), "x509:Issuer/CN": ("Issuing 01",)}},
    ),
    "the source identity": (
        {"StringEquals": {"sts:SourceIdentity": "CN=web"}},
        {"StringEquals": {"x509:Subject/CN": ("web",)}},
    ),
    "source identity and common name": (
        {"StringEquals": {"sts:SourceIdentity": ["CN=web", "CN=db"], CN: ["db", "mail"]}},
        {"StringEquals": {"x509:Subject/CN": ("db",)}},
    ),
    "the account, which says nothing": (
        {"StringEquals": {CN: "web", "aws:SourceAccount": ACCOUNT}},
        {"StringEquals": {"x509:Subject/CN": ("web",)}},
    ),
}


@pytest.mark.parametrize(("condition", "expected"), TRANSLATED.values(), ids=TRANSLATED)
def test_conditions_become_ours(condition: dict[str, Any], expected: dict[str, Any]) -> None:
    way = only(trust(**condition, ArnEquals=HERE))
    assert way.problems == ()
    assert way.conditions == expected
    assert way.anchors == {ANCHORS[0]}


REFUSED: dict[str, dict[str, Any]] = {
    "IfExists": {"StringEqualsIfExists": {CN: "web"}},
    "ForAnyValue": {"ForAnyValue:StringEquals": {CN: "web"}},
    "ForAllValues": {"ForAllValues:StringEquals": {"aws:TagKeys": "x509Subject/CN"}},
    "an unknown key": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
    "a request tag": {"StringEquals": {"aws:RequestTag/x509Subject/CN": "web"}},
    "another tag": {"StringEquals": {"aws:PrincipalTag/Team": "web"}},
    "an undocumented part": {"StringEquals": {"aws:PrincipalTag/x509Subject/DC": "web"}},
    "an alternative nobody maps": {"StringEquals": {"aws:PrincipalTag/x509SAN/Email": "a@example.com"}},
    "a variable": {"StringEquals": {CN: "${aws:PrincipalTag/x509Subject/OU}"}},
    "a variable beside a wildcard": {"StringLike": {CN: "${aws:username}*"}},
    "an escaped wildcard": {"StringLike": {CN: "web${*}"}},
    "a pattern for everything": {"StringLike": {CN: "*"}},
    "a value that is never a tag": {"StringEquals": {CN: "web, db"}},
    "too long a value": {"StringEquals": {CN: "x" * 257}},
    "an empty value": {"StringEquals": {CN: ""}},
    "no values": {"StringEquals": {CN: []}},
    "a number": {"StringEquals": {CN: 7}},
    "an operator for others": {"ArnLike": {"aws:PrincipalTag/x509SAN/URI": "arn:aws:s3:::x"}},
    "numbers": {"NumericEquals": {CN: "7"}},
    "Null with something else": {"Null": {CN: "maybe"}},
    "a source identity by serial": {"StringEquals": {"sts:SourceIdentity": "ID=0123"}},
    "a source identity by pattern": {"StringLike": {"sts:SourceIdentity": "CN=web*"}},
    "a source identity that is not": {"StringNotEquals": {"sts:SourceIdentity": "CN=web"}},
    "a source identity that STS refuses": {"StringEquals": {"sts:SourceIdentity": "CN=a b"}},
    "a source identity without room": {"StringEquals": {"sts:SourceIdentity": "CN=" + "x" * 62}},
    "a contradiction": {"StringEquals": {CN: "web", "sts:SourceIdentity": "CN=db"}},
    "no keys": {"StringEquals": "web"},
    "an anchor by Null": {"Null": {"aws:SourceArn": "false"}},
}


@pytest.mark.parametrize("condition", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_translated_is_a_problem(condition: dict[str, Any]) -> None:
    assert only(trust(**condition)).problems
    # And so it stays beside something that can.
    assert only(trust(**condition, StringEqualsIgnoreCase={CN: "x"})).problems


SOURCES: dict[str, tuple[dict[str, Any], set[str], bool]] = {
    "one": ({"ArnEquals": HERE}, {ANCHORS[0]}, True),
    "one as text": ({"StringEquals": HERE}, {ANCHORS[0]}, True),
    "both": ({"ArnLike": {"aws:sourcearn": ANCHORS}}, set(ANCHORS), True),
    "a pattern": ({"ArnLike": {"aws:SourceArn": ANCHORS[0][:-2] + "*"}}, set(ANCHORS), True),
    "a wildcard that is none": ({"StringEquals": {"aws:SourceArn": ANCHORS[0][:-2] + "*"}}, set(), True),
    "not one": ({"ArnNotEquals": HERE}, {ANCHORS[1]}, False),
    "another Region's": ({"ArnEquals": {"aws:SourceArn": ANCHORS[0].replace("eu", "us")}}, set(), True),
    "another account's": ({"StringEquals": {"aws:SourceAccount": "999999999999"}}, set(), False),
    "none said": ({}, set(ANCHORS), False),
}


@pytest.mark.parametrize(("condition", "anchors", "says"), SOURCES.values(), ids=SOURCES)
def test_the_source_is_the_anchor(condition: dict[str, Any], anchors: set[str], *, says: bool) -> None:
    way = only(trust(**condition))
    assert (way.problems, way.anchors, way.names_anchor) == ((), anchors, says)


def statement(policy: dict[str, Any], **changes: Any) -> dict[str, Any]:
    first = {**policy["Statement"][0], **changes}
    return {key: value for key, value in first.items() if value is not None}


GOOD = trust(StringEquals={CN: "web"}, ArnEquals=HERE)

STATEMENTS: dict[str, dict[str, Any]] = {
    "Deny": statement(GOOD, Effect="Deny"),
    "Deny for everybody": statement(GOOD, Effect="Deny", Principal="*"),
    "Deny for every AWS principal": statement(GOOD, Effect="Deny", Principal={"AWS": "*"}),
    "Deny for nobody in particular": statement(GOOD, Effect="Deny", Principal=None),
    "Deny of everything else": statement(GOOD, Effect="Deny", Action=None, NotAction="sts:GetCallerIdentity"),
    "NotPrincipal": statement(GOOD, Principal=None, NotPrincipal={"AWS": "arn:aws:iam::1:root"}),
    "NotAction": statement(GOOD, Action=None, NotAction="iam:*"),
    "an effect of its own": statement(GOOD, Effect="Maybe"),
    "a condition that is none": statement(GOOD, Condition=[]),
}


@pytest.mark.parametrize("other", STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_that_may_matter_spoils_the_policy(other: dict[str, Any]) -> None:
    assert all(way.problems for way in ways({"Statement": [*GOOD["Statement"], other]}))


HARMLESS: dict[str, dict[str, Any]] = {
    "another service": statement(GOOD, Principal={"Service": "ec2.amazonaws.com"}, Condition={}),
    "an account": statement(GOOD, Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, Condition={}),
    "everybody": statement(GOOD, Principal="*", Condition={}),
    "Deny for another service": statement(GOOD, Effect="Deny", Principal={"Service": "ec2.amazonaws.com"}),
    "Deny of another action": statement(
        GOOD, Effect="Deny", Principal="*", Action="sts:AssumeRoleWithWebIdentity"
    ),
    "only a part of the actions": statement(GOOD, Action=["sts:AssumeRole", "sts:TagSession"], Condition={}),
}


@pytest.mark.parametrize("other", HARMLESS.values(), ids=HARMLESS)
def test_a_statement_for_others_lets_nobody_else_in(other: dict[str, Any]) -> None:
    found = ways({"Statement": [*GOOD["Statement"], other]})
    assert [way.conditions for way in found if not way.problems] == [only(GOOD).conditions] * len(found)


def test_without_all_three_actions_there_is_no_way() -> None:
    for missing in ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"):
        actions = [one for one in GOOD["Statement"][0]["Action"] if one != missing]
        assert only({"Statement": [statement(GOOD, Action=actions)]}).problems
    for action in ("sts:*", "*", ["STS:assumerole", "sts:Tag*", "sts:SetSource?dentity"]):
        assert only({"Statement": statement(GOOD, Action=action)}).problems == ()


def test_actions_in_two_statements_demand_both_conditions() -> None:
    policy = {
        "Statement": [
            statement(GOOD, Action="sts:AssumeRole"),
            statement(
                GOOD,
                Action=["sts:TagSession", "sts:SetSourceIdentity"],
                Condition={"StringEquals": {CN: ["web", "db"], "aws:PrincipalTag/x509Subject/O": "Example"}},
            ),
        ]
    }
    assert only(policy).conditions == {
        "StringEquals": {"x509:Subject/CN": ("web",), "x509:Subject/O": ("Example",)}
    }


def test_statements_beside_each_other_are_two_ways() -> None:
    other = trust(StringEquals={CN: "db"}, ArnEquals={"aws:SourceArn": ANCHORS[1]})
    found = ways({"Statement": [*GOOD["Statement"], *other["Statement"]]})
    assert [(sorted(way.anchors), way.problems) for way in found] == [([one], ()) for one in ANCHORS]


@pytest.mark.parametrize(
    "policy", [{}, {"Statement": None}, {"Statement": "x"}, {"Statement": [[]]}, {"Statement": {}}]
)
def test_a_policy_that_is_none_admits_nobody(policy: dict[str, Any]) -> None:
    assert only(policy).problems
