"""Each weak trust policy is found, its good neighbour is not, and the change that is proposed mends it."""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from sallyport.audit.finding import Severity
from sallyport.audit.trust_policy.examine import OPEN, Surroundings, examine
from sallyport.audit.weakness import Change, Verdict, Weakness
from tests.support import trust_policies as t


def look(document: object, surroundings: Surroundings = t.KNOWN) -> tuple[Weakness, ...]:
    return examine(document, account=t.OWN, role=t.ROLE, surroundings=surroundings)


def codes(document: object, surroundings: Surroundings = t.KNOWN) -> list[str]:
    return [one.code for one in look(document, surroundings)]


def of_pair(pair: t.Pair) -> list[Weakness]:
    return [one for one in look(pair.bad, pair.surroundings) if one.code == pair.code]


def each_pair() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("pair", t.PAIRS, ids=lambda pair: pair.name)


@each_pair()
def test_the_weak_policy_is_found(pair: t.Pair) -> None:
    found = of_pair(pair)
    assert found
    assert {one.verdict for one in found} == {pair.verdict}


@each_pair()
def test_its_good_neighbour_does_not_have_the_weakness(pair: t.Pair) -> None:
    assert pair.code not in codes(pair.good, pair.surroundings)


@each_pair()
def test_the_same_policy_is_the_same_however_it_is_written(pair: t.Pair) -> None:
    if not isinstance(pair.bad, dict):
        return
    text = json.dumps(pair.bad)
    expected = look(pair.bad, pair.surroundings)
    for form in (text, quote(text), quote(text, safe=""), json.dumps(pair.bad, indent=4)):
        assert look(form, pair.surroundings) == expected


@each_pair()
def test_a_single_statement_is_read_as_a_list_of_one_is(pair: t.Pair) -> None:
    if not isinstance(pair.bad, dict) or len(pair.bad["Statement"]) != 1:
        return
    single = {**pair.bad, "Statement": pair.bad["Statement"][0]}
    found = [(one.code, one.statement, one.verdict) for one in look(single, pair.surroundings)]
    assert found == [(one.code, one.statement, one.verdict) for one in look(pair.bad, pair.surroundings)]


def apply(change: Change, document: Mapping[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(dict(document))
    place: Any = changed
    for member in change.path[:-1]:
        place = place.setdefault(str(member), {}) if isinstance(place, dict) else place[member]
    if change.value is None:
        del place[change.path[-1]]
    else:
        place[change.path[-1]] = change.value
    return changed


@each_pair()
def test_the_change_that_is_proposed_mends_it(pair: t.Pair) -> None:
    for one in of_pair(pair):
        if one.change is None or not one.is_certain:
            continue
        if one.code in {"saml-single-endpoint", "saml-any-audience"}:
            # What takes the place of the brackets only the owner knows.
            change = Change(path=one.change.path, value=[t.sign_in(), t.sign_in("eu-west-1")])
        elif one.code == "anywhere-any-anchor":
            change = Change(path=one.change.path, value=t.ANCHOR)
        elif one.code == "oidc-any-subject":
            change = Change(path=one.change.path, value="repo:me/app:ref:refs/heads/main")
        else:
            change = one.change
        found = [
            (left.code, left.subject)
            for left in look(apply(change, pair.bad), pair.surroundings)
            if left.is_certain
        ]
        assert (one.code, one.subject) not in found


def test_the_example_role_for_member_accounts_has_nothing() -> None:
    document = t.policy(
        {
            "Sid": "SallyportForThisProfile",
            **t.allow(
                {"AWS": t.FUNCTION},
                "sts:AssumeRole",
                {
                    "StringEquals": {"sts:ExternalId": t.EXTERNAL_ID, "aws:RequestTag/TenantID": "acme"},
                    "Null": {"sts:SourceIdentity": "false"},
                },
            ),
        },
        {
            "Sid": "WithTagsAndSourceIdentity",
            **t.allow({"AWS": t.FUNCTION}, ["sts:TagSession", "sts:SetSourceIdentity"]),
        },
    )
    assert look(document, t.MANAGED) == ()


@pytest.mark.parametrize(
    "document",
    [
        t.policy(t.aws(t.FUNCTION)),
        t.policy(t.aws(t.OWN), t.aws(t.FRIEND)),
        t.policy(t.token(t.V1, t.azure())),
        t.policy(t.token(t.V2, t.azure([t.OBJECT, t.TENANT], issuer=t.V2))),
        t.policy(t.token(t.GITHUB, t.github("repo:me/app:ref:refs/heads/main", "StringEquals"))),
        t.policy(t.assertion(t.sign_in("eu-west-1"), t.sign_in("eu-central-1"))),
        t.policy(t.assertion(t.sign_in("eu-west-1") + "/acs/SAMLSP123", t.sign_in("eu-central-1"))),
        t.policy(t.allow({"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"]})),
        t.policy(t.aws("*", {"StringEquals": {"aws:PrincipalOrgID": "${aws:ResourceOrgID}"}})),
    ],
)
def test_sound_policies_have_nothing_at_all(document: object) -> None:
    assert look(document) == ()


def test_without_aud_and_sub_is_worse_than_without_aud() -> None:
    (first,) = [one for one in look(t.policy(t.token(t.V1, None))) if one.code == "oidc-any-audience"]
    sub = {"StringEquals": {f"{t.V1}:sub": t.OBJECT}}
    (second,) = look(t.policy(t.token(t.V1, sub)))
    assert (first.severity, second.severity) == (Severity.HIGH, Severity.MEDIUM)


def test_a_shared_issuer_is_critical_where_a_tenants_is_high() -> None:
    severities = {
        issuer: max(one.severity for one in look(t.policy(t.token(issuer, None))))
        for issuer in (t.V1, t.GITHUB)
    }
    assert severities == {t.V1: Severity.HIGH, t.GITHUB: Severity.CRITICAL}


def test_an_external_id_makes_anybody_no_less_than_high() -> None:
    for condition, expected in (
        (None, Severity.CRITICAL),
        ({"StringEquals": {"sts:ExternalId": "x"}}, Severity.HIGH),
        ({"StringLike": {"sts:ExternalId": "*"}}, Severity.CRITICAL),
        ({"IpAddress": {"aws:SourceIp": "198.51.100.7/32"}}, Severity.HIGH),
        ({"IpAddress": {"aws:SourceIp": ["198.51.100.7/32", "0.0.0.0/0"]}}, Severity.CRITICAL),
    ):
        (found,) = [one for one in look(t.policy(t.aws("*", condition))) if one.code == "open-to-anybody"]
        assert found.severity is expected


def test_variables_are_text_in_policies_of_2008() -> None:
    document = t.policy(t.token(t.V1, t.azure("${aws:username}")))
    assert "policy-variable" in codes(document)
    assert look({**document, "Version": "2008-10-17"}) == ()


def test_an_escaped_asterisk_is_an_asterisk() -> None:
    document = t.policy(t.token(t.V1, {"StringLike": {f"{t.V1}:aud": "a", f"{t.V1}:sub": "${*}"}}))
    assert "oidc-any-subject" not in codes(document)


def test_the_statement_is_named_by_its_index() -> None:
    found = look(t.policy(t.aws(t.FUNCTION), t.aws("*"), t.aws(t.FOREIGN)))
    assert [(one.code, one.statement) for one in found] == [
        ("open-to-anybody", 1),
        ("foreign-no-external-id", 2),
        ("foreign-account", 2),
    ]


def test_what_somebody_wrote_is_harmless_to_show() -> None:
    hostile = "\x1b[2J<script>" + "x" * 5_000
    document = t.policy(t.aws(hostile), {**t.aws(t.FUNCTION), hostile: 1})
    found = look(document)
    assert {one.code for one in found} == {"principal-unreadable", "statement-unreadable"}
    assert all("\x1b" not in one.subject and "<" not in one.subject for one in found)
    assert all(len(one.subject) < 600 for one in found)


@pytest.mark.parametrize(
    "document", [None, 3, [], "", "[]", "null", b"{}", {}, {"Statement": 3}, "%zz", "{" * 900]
)
def test_what_is_no_policy_cannot_be_told(document: object) -> None:
    (found,) = look(document)
    assert (found.code, found.verdict) == ("policy-unreadable", Verdict.CANNOT_TELL)


def test_too_long_or_too_many_cannot_be_told() -> None:
    for document in (json.dumps(t.policy(t.aws("x" * 70_000))), t.policy(*[t.aws(t.FUNCTION)] * 101)):
        assert codes(document) == ["policy-unreadable"]
    accounts = [f"{n:012}" for n in range(420)]
    assert codes(t.policy(t.aws(accounts))) == ["policy-unreadable"]
    assert "policy-unreadable" not in codes(t.policy(t.aws(accounts[:300])))
    subjects = t.token(t.V1, t.azure([f"5d1f0c9e-{n}" for n in range(900)]))
    assert codes(t.policy(subjects)) == []
    assert codes(t.policy(subjects, *[t.aws(accounts[:80])] * 3)) == ["policy-unreadable"]


def test_an_unreadable_statement_does_not_hide_the_others() -> None:
    assert codes(t.policy({"Effect": "Maybe"}, t.aws("*"))) == ["open-to-anybody", "statement-unreadable"]


def test_every_code_of_an_opening_is_in_the_table_of_pairs() -> None:
    assert {pair.code for pair in t.PAIRS} >= OPEN


def test_a_role_that_the_file_does_not_name_is_not_held_to_it() -> None:
    document = t.policy(t.aws(t.CERTIFICATES))
    assert codes(document, t.MANAGED) != []
    assert examine(document, account=t.OWN, role=t.ROLE + "x", surroundings=t.MANAGED) == ()


def test_a_key_of_another_issuer_lets_nobody_in_and_says_so() -> None:
    found = look(t.policy(t.token(t.V1, t.azure(issuer=t.V2))))
    assert {(one.code, one.severity) for one in found} == {("oidc-issuer-mismatch", Severity.LOW)}


def test_a_negated_key_of_another_issuer_lets_everybody_in() -> None:
    condition = {"StringNotEquals": {f"{t.V2}:sub": t.OBJECT}, "StringEquals": {f"{t.V1}:aud": "a"}}
    found = look(t.policy(t.token(t.V1, condition)))
    assert [(one.code, one.severity, one.verdict) for one in found] == [
        ("oidc-any-subject", Severity.HIGH, Verdict.WEAK),
        ("oidc-issuer-mismatch", Severity.MEDIUM, Verdict.WEAK),
    ]


def test_whom_a_deny_spares_by_name_is_let_in() -> None:
    spared = {"Effect": "Deny", "NotPrincipal": {"AWS": t.FOREIGN}, "Action": "*"}
    verdicts = {one.code: one.verdict for one in look(t.policy(t.aws(t.FOREIGN), spared))}
    assert verdicts["foreign-no-external-id"] is Verdict.WEAK
    assert look(t.policy(t.aws("222233334444"), spared)) == ()


def test_a_tag_with_a_dot_in_its_name_is_no_issuers_key() -> None:
    condition = {**t.azure(), "StringLike": {"aws:RequestTag/team.name:x": "a*"}}
    assert look(t.policy(t.token(t.V1, condition))) == ()


@pytest.mark.parametrize("principal", ["*", t.OWN, f"arn:aws:iam::{t.OWN}:root"])
def test_a_whole_account_is_never_the_one_function_even_if_nobody_has_named_it(principal: str) -> None:
    unnamed = replace(t.MANAGED.managed[t.ROLE], principals=frozenset())
    surroundings = replace(t.MANAGED, managed={t.ROLE: unnamed})
    assert "managed-other-principal" in codes(t.policy(t.managed(principal)), surroundings)
    assert look(t.policy(t.managed(t.CERTIFICATES)), surroundings) == ()


def test_a_condition_that_is_not_understood_leaves_a_doubt() -> None:
    strange = {"StringMatches": {"sts:ExternalId": "x"}}
    for document, code, surroundings in (
        (t.aws(t.FOREIGN, strange), "foreign-no-external-id", t.KNOWN),
        (t.aws(t.FUNCTION, strange), "managed-no-external-id", t.MANAGED),
        (t.aws("*", strange), "open-to-anybody", t.KNOWN),
        (t.token(t.V1, strange), "oidc-any-subject", t.KNOWN),
        (t.certificate(strange), "anywhere-any-anchor", t.KNOWN),
        ({**t.assertion(), "Condition": strange}, "saml-any-audience", t.KNOWN),
    ):
        verdicts = {one.code: one.verdict for one in look(t.policy(document), surroundings)}
        assert verdicts[code] is Verdict.CANNOT_TELL
        assert verdicts["condition-unreadable"] is Verdict.CANNOT_TELL


def test_what_an_unreadable_statement_could_allow_is_not_said_to_be_lacking() -> None:
    lacking = {"managed-external-id-missing", "managed-principal-missing", "managed-no-tag-session"}
    for document, verdict in (
        ("{", Verdict.CANNOT_TELL),
        (t.policy({"Effect": "Maybe"}), Verdict.CANNOT_TELL),
        (t.policy(t.deny("*")), Verdict.WEAK),
    ):
        found = {one.code: one.verdict for one in look(document, t.MANAGED)}
        assert {found[code] for code in lacking} == {verdict}
