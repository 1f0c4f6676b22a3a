"""Tags and policies from claims: what a value may be, and what it may never do."""

import json
from typing import Any

import pytest

from sallyport.errors import DeniedError
from sallyport.model import SessionTag
from sallyport.trust.mapping import (
    callers_policies,
    check_policies,
    compile_policy,
    compile_tag,
    render_tags,
    tags_named_by,
)
from tests.support.trust_files import facts, request

POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": 'quote"d',
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::b/${token:tid}/${token:oid}/*", "arn:aws:s3:::${aws:PrincipalTag/B}"],
            "Condition": {
                "StringLike": {"s3:prefix": "${token:tid}/*"},
                "Bool": {"aws:SecureTransport": True},
            },
        }
    ],
}


def test_a_policy_is_the_declared_one_with_the_values_in_their_places() -> None:
    rendered = compile_policy(POLICY).render(facts(tid="t", oid="o"))
    expected = json.dumps(POLICY).replace("${token:tid}", "t").replace("${token:oid}", "o")
    assert json.loads(rendered) == json.loads(expected)
    assert ": " not in rendered


@pytest.mark.parametrize(
    "value",
    ["*", "?", "t*", "../x", "..", ".", "a/b", "a:b", 'a"b', "a\\b", "${aws:userid}", "a b", "ä", "t\n"],
)
def test_a_value_that_could_mean_more_than_itself_is_denied_in_a_policy(value: str) -> None:
    with pytest.raises(DeniedError) as caught:
        compile_policy(POLICY).render(facts(tid=value, oid="o"))
    assert caught.value.reason == "claim-illegal-in-policy"
    assert value not in caught.value.detail or value in "token:tid"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "claim-missing"),
        ("", "claim-empty"),
        (["t"], "claim-not-a-string"),
        (5, "claim-not-a-string"),
        (True, "claim-not-a-string"),
        ({"t": "t"}, "claim-not-a-string"),
    ],
)
def test_a_value_is_one_string_that_is_not_empty(value: Any, reason: str) -> None:
    with pytest.raises(DeniedError) as caught:
        compile_policy(POLICY).render(facts(tid=value, oid="o"))
    assert caught.value.reason == reason
    assert "token:tid" in caught.value.detail


def test_what_was_put_in_is_never_looked_at_again() -> None:
    tag = compile_tag("A", "${token:a}/${token:b}")
    with pytest.raises(DeniedError):
        render_tags((tag,), facts(a="${token:b}", b="x"))
    tags, _ = render_tags((compile_tag("A", "${token:a}"),), facts(a="token:b", b="x"))
    assert tags[0].value == "token:b"


def test_tags_named_in_keys_and_in_variables_are_found() -> None:
    assert tags_named_by(POLICY) == {"b"}
    assert tags_named_by({"Condition": {"Null": {"AWS:principaltag/Tenant": "true"}}}) == {"tenant"}
    assert tags_named_by(["${aws:PrincipalTag/A}-${aws:PrincipalTag/C, 'x'}"]) == {"a", "c"}


def test_tags_keep_their_declared_order() -> None:
    rules = (
        compile_tag("B", "${token:b}"),
        compile_tag("A", "a", optional=True),
        compile_tag("C", "c", transitive=True),
    )
    tags, notes = render_tags(rules, facts(b="b"))
    assert tags == (
        SessionTag("B", "b"),
        SessionTag("A", "a", optional=True),
        SessionTag("C", "c", transitive=True),
    )
    assert notes == ()


@pytest.mark.parametrize("value", ["a;b", "a\tb", "\ud800", "x" * 257, "💥"])
def test_a_tag_value_that_sts_does_not_take_denies(value: str) -> None:
    with pytest.raises(DeniedError) as caught:
        render_tags((compile_tag("A", "${token:a}"),), facts(a=value))
    assert caught.value.reason == "tag-value-illegal"


def test_an_optional_tag_without_a_legal_value_is_left_out_with_a_note() -> None:
    rules = (compile_tag("A", "${token:a}", optional=True), compile_tag("B", "${token:b}", optional=True))
    tags, notes = render_tags(rules, facts(b="a;b"))
    assert tags == ()
    assert notes == ("optional-tag-left-out:A:claim-missing", "optional-tag-left-out:B:tag-value-illegal")


@pytest.mark.parametrize(
    "claims",
    [
        {"https://aws.amazon.com/tags/principal_tags/TenantID": "t"},
        {"https://aws.amazon.com/tags/principal_tags/tenantid": "t"},
        {"https://aws.amazon.com/tags": {"principal_tags": {"TenantID": ["t"]}}},
        {"https://aws.amazon.com/tags": {"principal_tags": {"TENANTID": ["t"], "Other": ["o"]}}},
        {
            "https://aws.amazon.com/tags/principal_tags/TenantID": "t",
            "https://aws.amazon.com/tags/principal_tags/Other": "o",
            "TenantID": "x",
        },
    ],
)
def test_a_tags_claim_is_mapped_key_by_key_without_case(claims: dict[str, Any]) -> None:
    tag = compile_tag("Tenant", "${token:https://aws.amazon.com/tags/principal_tags/TenantID}")
    assert render_tags((tag,), facts(**claims))[0][0].value == "t"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"https://aws.amazon.com/tags": "t"},
        {"https://aws.amazon.com/tags": {"principal_tags": ["t"]}},
        {"https://aws.amazon.com/tags": {"principal_tags": {"TenantID": "t"}}},
        {"https://aws.amazon.com/tags": {"principal_tags": {"TenantID": ["t", "u"]}}},
        {"https://aws.amazon.com/tags": {"principal_tags": {"TenantID": ["t"], "tenantid": ["t"]}}},
        {
            "https://aws.amazon.com/tags": {"principal_tags": {"TenantID": ["t"]}},
            "https://aws.amazon.com/tags/principal_tags/TenantID": "u",
        },
    ],
)
def test_a_tags_claim_without_one_answer_denies(claims: dict[str, Any]) -> None:
    tag = compile_tag("Tenant", "${token:https://aws.amazon.com/tags/principal_tags/TenantID}")
    with pytest.raises(DeniedError):
        render_tags((tag,), facts(**claims))


def test_a_callers_policy_passes_verbatim_only_where_it_is_accepted() -> None:
    brought = request(policy=' {"Statement": []} ', policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess",))
    assert callers_policies(brought, has_own=False, accept=True) == (brought.policy, brought.policy_arns)
    for has_own, accept, reason in (
        (True, True, "caller-policy-refused"),
        (True, False, "caller-policy-refused"),
        (False, False, "caller-policy-not-accepted"),
    ):
        for one in (brought, request(policy=""), request(policy_arns=("arn:aws:iam::aws:policy/X",))):
            with pytest.raises(DeniedError) as caught:
                callers_policies(one, has_own=has_own, accept=accept)
            assert caught.value.reason == reason
    assert callers_policies(request(), has_own=True, accept=False) == (None, ())


def test_a_callers_policy_that_sts_would_call_malformed_is_denied() -> None:
    for policy in ("", "\x00", "{\u2028}"):
        with pytest.raises(DeniedError):
            callers_policies(request(policy=policy), has_own=False, accept=True)


@pytest.mark.parametrize(
    ("policy", "arns", "reason"),
    [
        ("x" * 2_049, (), "policy-too-large"),
        ("x" * 2_000, ("arn:aws:iam::aws:policy/" + "p" * 60,), "policy-too-large"),
        (None, ("arn:aws:iam::aws:policy/p",) * 11, "too-many-policies"),
        (None, ("arn:aws:iam::aws:policy/*",), "policy-arn-illegal"),
        (None, ("arn:aws:iam::aws:policy/p\n",), "policy-arn-illegal"),
    ],
)
def test_stss_limits_are_checked_before_the_call(
    policy: str | None, arns: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(DeniedError) as caught:
        check_policies(policy, arns)
    assert caught.value.reason == reason
