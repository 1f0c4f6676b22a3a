"""No claim value changes what a policy is, and no two subjects go by one name."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from sallyport.errors import DeniedError
from sallyport.model import Grant, JsonValue
from sallyport.trust.decide import authorize
from sallyport.trust.mapping import compile_policy
from sallyport.trust.names import callers_name, encode, is_legal, shorten
from tests.support.trust_files import (
    NOW,
    ROLE,
    compiled,
    facts,
    identity,
    plain,
    problems,
    profile,
    profiles_of,
    request,
    trust_file,
)

HOSTILE = st.sampled_from(
    [
        "*",
        "?",
        ".",
        "..",
        "/",
        ":",
        '"',
        "\\",
        "${",
        "${aws:userid}",
        "${token:b}",
        "},{",
        "a/b",
        "a*",
        "../x",
        "\n",
    ]
)
VALUE = st.text(st.characters(), max_size=20) | HOSTILE | st.text('a./*:-@=+"\\${}', max_size=10)
POLICY: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [
                "arn:aws:s3:::b-${token:a}/x.${token:b}/*",
                "arn:aws:s3:::c/${aws:PrincipalTag/T}/*",
            ],
            "Condition": {"StringLike": {"s3:prefix": ["${token:a}/*", "*/${token:b}"]}},
        },
        {"Effect": "Deny", "NotAction": "s3:*", "NotResource": "arn:aws:s3:::${token:a}"},
    ],
}


def shape(value: JsonValue) -> Iterator[Any]:
    """Yield everything about a document that a value must not change."""
    if isinstance(value, dict):
        yield len(value)
        for key, item in value.items():
            yield key
            yield from shape(item)
    elif isinstance(value, list):
        yield len(value)
        for item in value:
            yield from shape(item)
    elif isinstance(value, str):
        yield [value.count(c) for c in '*?/:${}"\\']
        yield [segment in (".", "..") for segment in value.split("/")]
    else:
        yield value


@given(VALUE, VALUE)
def test_no_claim_changes_statements_keys_wildcards_or_segments(a: str, b: str) -> None:
    try:
        rendered = compile_policy(POLICY).render(facts(a=a, b=b))
    except DeniedError:
        return
    plain_one = json.loads(compile_policy(POLICY).render(facts(a="x", b="y")))
    assert list(shape(json.loads(rendered))) == list(shape(plain_one))
    expected = json.dumps(POLICY).replace("${token:a}", a).replace("${token:b}", b)
    assert json.loads(rendered) == json.loads(expected)


@given(st.text(st.characters()), st.text(st.characters()))
def test_encoding_is_injective_and_leaves_no_separator(first: str, second: str) -> None:
    assert (encode(first) == encode(second)) == (first == second)
    assert not set(encode(first)) & set(",+")
    assert "==" not in encode(first)


@given(st.text(st.characters(), min_size=1), st.text(st.characters(), min_size=1), st.data())
def test_callers_names_are_legal_and_belong_to_one_subject(one: str, two: str, data: st.DataObject) -> None:
    wishes = st.sampled_from(["x", "x" * 64, one, f"{one},{two}"])
    subjects = st.sampled_from([one, two, f"{two},{one}", "x"])
    first, second = data.draw(st.tuples(wishes, subjects)), data.draw(st.tuples(wishes, subjects))
    names = [callers_name(anchor="a", wish=wish, subject=subject) for wish, subject in (first, second)]
    assert all(map(is_legal, names))
    assert (names[0] == names[1]) == (first == second)


@given(st.text("ab=", max_size=80), st.text("ab=", max_size=80))
def test_shortening_keeps_different_names_different(first: str, second: str) -> None:
    assume("==" not in first)
    assume("==" not in second)
    assert (shorten(first) == shorten(second)) == (first == second)


ANCHOR = st.sampled_from(["a", "a-a", "a-", "aa", "ab", "a-b", "a-a-a"])
TEMPLATE = st.sampled_from(
    [
        "{}-${{token:sub}}",
        "{}.${{token:sub}}",
        "{}-a-${{token:sub}}",
        "{}@${{token:sub}},${{token:x}}",
        "{}@${{token:x}},${{token:sub}}",
        "{},${{token:x}}-,${{token:sub}}",
        "{}_${{token:sub}},",
        None,
    ]
)
SUBJECT = st.text("a-,.=+@/", min_size=1, max_size=6) | st.text("a-,", min_size=30, max_size=70)


@given(
    first=ANCHOR,
    second=ANCHOR,
    templates=st.lists(TEMPLATE, min_size=2, max_size=2),
    accept=st.booleans(),
    data=st.data(),
)
def test_two_subjects_never_get_one_session_name_or_source_identity(
    first: str, second: str, templates: list[str | None], *, accept: bool, data: st.DataObject
) -> None:
    anchors = {first: plain("https://one.example.com"), second: plain("https://two.example.com")}
    declared = {}
    for index, (anchor, template) in enumerate(zip((first, second), templates, strict=True)):
        name = template and template.format(anchor)
        declared[f"p{index}"] = profile(
            trust_anchor=anchor,
            condition=None,
            unconditional=True,
            session_name=name,
            source_identity=name,
            accept_session_name=accept,
            priority=index,
        )
    document = trust_file(declared, anchors)
    if problems(document):
        return
    trust = compiled(document)
    names: dict[str, tuple[str, str]] = {}
    identities: dict[str, tuple[str, str]] = {}
    for _ in range(6):
        anchor = data.draw(st.sampled_from(sorted(anchors)))
        subject = data.draw(SUBJECT)
        who = identity(trust, anchor, sub=subject, x=data.draw(SUBJECT))
        asks = request(
            profile=data.draw(st.sampled_from(["p0", "p1"])), session_name=data.draw(st.none() | SUBJECT)
        )
        outcome = authorize(who, asks, profiles_of(trust), disabled=(), now=NOW).outcome
        if isinstance(outcome, Grant):
            assert is_legal(outcome.session_name)
            assert names.setdefault(outcome.session_name, (anchor, subject)) == (anchor, subject)
            if outcome.source_identity is not None:
                assert is_legal(outcome.source_identity)
                found = identities.setdefault(outcome.source_identity, (anchor, subject))
                assert found == (anchor, subject)


@given(st.dictionaries(st.sampled_from(["sub", "x", "y"]), VALUE | st.lists(VALUE) | st.integers()))
def test_whatever_the_claims_a_grant_is_within_stss_limits(claims: dict[str, Any]) -> None:
    assume(claims.get("sub"))
    declared = profile(
        trust_anchor="a",
        condition=None,
        unconditional=True,
        session_tags={"X": {"value": "${token:x}", "optional": True}, "Y": "${token:y}"},
        source_identity="a-${token:sub}",
        session_policy={
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::b/${token:y}/*"},
        },
    )
    trust = compiled(trust_file({"p": declared}, {"a": plain()}))
    who = identity(trust, "a", **claims)
    outcome = authorize(who, request(), profiles_of(trust), disabled=(), now=NOW).outcome
    if isinstance(outcome, Grant):
        assert outcome.role_arn == ROLE
        assert is_legal(outcome.session_name)
        assert outcome.policy is not None
        assert len(outcome.policy) <= 2_048
        assert all(len(tag.value) <= 256 for tag in outcome.tags)
