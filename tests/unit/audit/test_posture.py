"""Inventories become observations: roles, drift, access keys, user pools, and what nobody looked at."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from sallyport.audit.finding import Severity, from_json, merge, to_json
from sallyport.audit.posture import access_keys
from sallyport.audit.posture.scan import Inventory, as_finding, scan
from sallyport.audit.suppressions import SuppressionsError, load_suppressions
from sallyport.audit.trust_policy.examine import Surroundings
from sallyport.audit.trust_policy.managed import FunctionRoles, ManagedRole, managed_roles
from sallyport.audit.weakness import Observation, Verdict
from sallyport.cognito.pool_check import PoolProblem
from sallyport.cognito.pool_check import Severity as PoolSeverity
from tests.support import trust_policies as t
from tests.support.trust_files import compiled

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(days=400), NOW - timedelta(days=3)
HEADER = (
    "user,arn,user_creation_time,mfa_active,access_key_1_active,access_key_1_last_rotated,"
    "access_key_1_last_used_date,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date"
)


def role(
    *statements: Any, arn: str = t.ROLE, path: str = "/sallyport/", longest: Any = 3_600
) -> dict[str, Any]:
    document = t.policy(*(statements or (t.managed(),)))
    return {"Arn": arn, "Path": path, "AssumeRolePolicyDocument": document, "MaxSessionDuration": longest}


def nothing(**parts: Any) -> Inventory:
    return Inventory(account=t.OWN, **{"roles": [], "keys": [], "pools": {}, **parts})


def codes(inventory: Inventory, surroundings: Surroundings = t.KNOWN) -> list[tuple[str, str]]:
    found = scan(inventory, now=NOW, surroundings=surroundings).observations
    return [(one.weakness.code, one.resource.id) for one in found]


# --- roles and drift --------------------------------------------------------------------------------


def test_an_account_as_it_should_be_has_nothing() -> None:
    assert codes(nothing(roles=[role()]), t.MANAGED) == []


def test_weak_roles_are_named_the_worst_first() -> None:
    roles = [
        role(t.allow({"AWS": t.FUNCTION}, t.THREE), arn="arn:low", path="/"),
        role(t.aws("*"), arn="arn:critical", path="/"),
    ]
    assert codes(nothing(roles=roles)) == [
        ("open-to-anybody", "arn:critical"),
        ("source-identity-omittable", "arn:low"),
    ]


def test_roles_that_only_aws_can_write_are_counted_and_left_alone() -> None:
    roles = [role(t.aws("*"), path=path) for path in ("/aws-service-role/x/", "/aws-reserved/sso/", "/aws/")]
    found = scan(nothing(roles=roles), now=NOW, surroundings=t.KNOWN)
    assert [one.weakness.code for one in found.observations] == ["open-to-anybody"]
    assert (found.looked_at["roles"], found.looked_at["roles that are AWS's own"]) == (1, 2)


def test_a_role_that_there_is_not() -> None:
    assert codes(nothing(), t.MANAGED) == [("role-missing", t.ROLE)]
    # Another path is another role, whatever its name.
    elsewhere = role(arn=t.ROLE.replace("/sallyport/", "/"))
    assert ("role-missing", t.ROLE) in codes(nothing(roles=[elsewhere]), t.MANAGED)


def managed(**changes: Any) -> Surroundings:
    return replace(t.MANAGED, managed={t.ROLE: replace(t.MANAGED.managed[t.ROLE], **changes)})


@pytest.mark.parametrize(
    ("longest", "expected"),
    [(7_200, []), (7_199, ["role-session-too-short"]), (None, ["role-session-unknown"])],
)
def test_a_role_whose_sessions_are_too_short(longest: int | None, expected: list[str]) -> None:
    found = codes(nothing(roles=[role(longest=longest)]), managed(duration=7_200))
    assert [code for code, _ in found] == expected


def test_another_accounts_role_cannot_be_told() -> None:
    arn = t.ROLE.replace(t.OWN, t.FRIEND)
    others = {f"{arn}-{number}": ManagedRole() for number in range(20)}
    surroundings = replace(t.MANAGED, managed={arn: ManagedRole(), **others})
    (found,) = scan(nothing(), now=NOW, surroundings=surroundings).observations
    assert (found.weakness.code, found.weakness.verdict) == ("role-elsewhere", Verdict.CANNOT_TELL)
    assert found.resource.id == t.FRIEND
    assert "21 role(s)" in found.weakness.text


def test_who_may_come_cannot_be_compared_where_nobody_said_who_comes() -> None:
    unknown = codes(nothing(roles=[role()]), managed(principals=frozenset()))
    assert unknown == [("managed-principal-unknown", t.OWN)]


def test_a_member_account_knows_the_function_of_another() -> None:
    function = t.FUNCTION.replace(t.OWN, t.FOREIGN)
    surroundings = managed(principals=frozenset({function}))
    assert codes(nothing(roles=[role(t.managed(function))]), surroundings) == []


# --- what the trust file says -------------------------------------------------------------------------


def trust_file(**profile: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "trust_anchors": {
            "contoso": {
                "kind": "oidc",
                "issuer": f"https://{t.V1}",
                "dialect": "entra",
                "audiences": ["api://a"],
            }
        },
        "profiles": {
            "reader": {
                "trust_anchor": "contoso",
                "roles": [t.ROLE],
                "condition": {"StringEquals": {"token:oid": t.OBJECT}},
                **profile,
            }
        },
    }


FUNCTIONS = FunctionRoles(assume_role=t.FUNCTION, create_session=t.CERTIFICATES)


def test_what_a_role_needs_comes_from_the_compiled_file() -> None:
    items = compiled(trust_file(session_tags={"TenantID": "acme"})).items
    (document,) = [one["profiles"][0] for key, one in items.items() if key.startswith("role#")]
    assert managed_roles(items, FUNCTIONS) == {
        t.ROLE: ManagedRole(
            external_ids=frozenset({f"sallyport:{document['anchor_id']}:{document['id']}"}),
            principals=frozenset({t.FUNCTION}),
            needs_tags=True,
            needs_source_identity=document["source_identity"] is not None,
        )
    }


def test_what_a_role_needs_for_web_identity() -> None:
    profile = trust_file(
        issuance="web-identity",
        duration="2h",
        advisory=True,
        condition={"StringEquals": {"token:sub": t.OBJECT, "token:aud": "api://a"}},
    )
    found = managed_roles(compiled(profile).items, FUNCTIONS)[t.ROLE]
    assert found == ManagedRole(issuers=frozenset({f"https://{t.V1}"}), duration=7_200)


def test_without_the_functions_roles_their_names_are_not_demanded() -> None:
    found = managed_roles(compiled(trust_file()).items, FunctionRoles(create_session=t.CERTIFICATES))
    assert found[t.ROLE].principals == frozenset()


# --- access keys ----------------------------------------------------------------------------------


def rows(*lines: str) -> list[access_keys.Key]:
    return list(access_keys.of_report(access_keys.read_report("\n".join([HEADER, *lines]).encode())))


def key_codes(*keys: access_keys.Key) -> list[str]:
    return [code for code, _ in codes(nothing(keys=keys))]


def line(user: str = "ci", *, active: str = "true", created: str, used: str) -> str:
    return f"{user},arn:aws:iam::1:user/{user},N/A,false,{active},{created},{used},false,N/A,N/A"


def test_keys_of_a_credential_report() -> None:
    old, young = OLD.isoformat(), YOUNG.isoformat()
    assert key_codes(*rows(line(created=young, used=young))) == ["access-key-in-use"]
    assert key_codes(*rows(line(created=old, used=young))) == ["access-key-old", "access-key-in-use"]
    assert key_codes(*rows(line(created=old, used="N/A"))) == ["access-key-old", "access-key-idle"]
    assert key_codes(*rows(line(created=old, used=old))) == ["access-key-old", "access-key-idle"]
    assert key_codes(*rows(line(created=young, used="N/A"))) == []
    assert key_codes(*rows(line(active="false", created=old, used=young))) == []


def test_roots_key_is_critical_even_if_nothing_else_is_known() -> None:
    (key,) = rows(line("<root_account>", created="not_supported", used="no_information"))
    found = scan(nothing(keys=[key]), now=NOW).observations
    assert (found[0].weakness.code, found[0].weakness.severity) == ("root-access-key", Severity.CRITICAL)


def test_what_a_report_does_not_say_cannot_be_told() -> None:
    for created, used in (("N/A", YOUNG.isoformat()), (YOUNG.isoformat(), "no_information"), ("soon", "N/A")):
        (first, *_) = scan(nothing(keys=rows(line(created=created, used=used))), now=NOW).observations[::-1]
        assert first.weakness.code in {"access-key-unreadable", "access-key-in-use"}
    # What is not said to be inactive counts as active.
    assert len(rows(line(active="", created=OLD.isoformat(), used="N/A"))) == 1


@pytest.mark.parametrize("content", [b"", b"\xff", b"user,arn\nx,y\n", HEADER.encode(), b'user,"'])
def test_what_is_no_report_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        access_keys.read_report(content)


# --- pools, and what was not looked at --------------------------------------------------------------


def problem(severity: PoolSeverity) -> PoolProblem:
    return PoolProblem(code="client-writes", severity=severity, subject="web", text="it can", cure="stop it")


def test_pools_problems_are_passed_on() -> None:
    pools = {"main": [problem(PoolSeverity.WARNING), problem(PoolSeverity.ERROR)]}
    found = scan(nothing(pools=pools), now=NOW)
    assert [one.weakness.severity for one in found.observations] == [Severity.HIGH, Severity.LOW]
    assert found.looked_at["user pools"] == 1


def test_what_nobody_looked_at_is_said() -> None:
    found = scan(Inventory(account=t.OWN, reasons={"keys": "AWS says no\x1b[2J"}), now=NOW)
    assert [one.weakness.verdict for one in found.observations] == [Verdict.CANNOT_TELL] * 3
    texts = {one.weakness.subject: one.weakness.text for one in found.observations}
    assert set(texts) == {"roles", "active access keys", "user pools"}
    assert "AWS says no\\x1b" in texts["active access keys"]
    assert found.looked_at == {}


def test_a_role_without_anything_is_no_reason_to_stop() -> None:
    assert ("policy-unreadable", "None") in codes(nothing(roles=[{}]))


# --- findings -------------------------------------------------------------------------------------


def one_observation(at_index: int = 0) -> Observation:
    return scan(nothing(roles=[role(t.aws("*"))]), now=NOW, surroundings=t.KNOWN).observations[at_index]


def test_the_same_weakness_is_one_finding_at_every_look() -> None:
    where = {"account": t.OWN, "region": "eu-central-1"}
    first = as_finding(one_observation(), **where, at=NOW, look="one")
    second = as_finding(one_observation(), **where, at=NOW + timedelta(days=1), look="two")
    both = merge(first, second)
    assert (both.first_event, both.last_event) == (NOW, NOW + timedelta(days=1))
    assert (both.rule_id, both.severity) == ("posture-open-to-anybody", Severity.CRITICAL)
    assert "PrincipalOrgID" in both.evidence["change"]


def test_whether_it_has_ended_does_not_depend_on_the_order_of_what_is_known() -> None:
    base = as_finding(one_observation(), account=t.OWN, region="", at=NOW, look="one")
    day = timedelta(days=1)
    for ends, expected in (
        ((None, 2, None), NOW + 2 * day),
        ((None, 0.5, None), None),
        ((1, 3, 2), NOW + 3 * day),
    ):
        parts = [
            replace(
                base,
                event_ids=(f"look-{number}",),
                last_event=NOW + (number % 2) * day,
                ended=None if end is None else NOW + end * day,
            )
            for number, end in enumerate(ends)
        ]
        results = {merge(merge(a, b), c).ended for a, b, c in permutations(parts)}
        assert results == {expected}


def test_an_ended_finding_survives_its_store_and_one_from_before_there_was_an_end_too() -> None:
    base = as_finding(one_observation(), account=t.OWN, region="", at=NOW, look="one")
    ended = replace(base, ended=NOW + timedelta(days=1))
    assert from_json(to_json(ended)).ended == ended.ended
    assert from_json({name: value for name, value in to_json(base).items() if name != "ended"}) == base


@pytest.mark.parametrize(
    ("rule", "about", "problem"),
    [
        ("posture-open-to-anybody", [t.ROLE], None),
        ("posture-pool-missing", ["eu-central-1_*"], None),
        ("posture-open-to-nobody", [t.ROLE], "no rule"),
        ("open-to-anybody", [t.ROLE], "no rule"),
        ("posture-", [t.ROLE], "no rule"),
        ("posture-open-to-anybody", [], "about is needed"),
    ],
)
def test_a_suppression_names_a_weakness_that_there_is_and_what_has_it(
    rule: str, about: list[str], problem: str | None
) -> None:
    entry = {"id": "s", "rule": rule, "owner": "o", "reason": "r", "until": "2026-12-24", "about": about}
    document = {"suppressions": [entry]}
    if problem is None:
        assert load_suppressions(document, rules={}, today=NOW.date())[0].rule == rule
    else:
        with pytest.raises(SuppressionsError, match=problem):
            load_suppressions(document, rules={}, today=NOW.date())


def test_different_weaknesses_are_different_findings() -> None:
    found = scan(nothing(roles=[role(t.aws([t.FOREIGN, "222233334444"]))]), now=NOW, surroundings=t.KNOWN)
    ids = {as_finding(one, account=t.OWN, region="", at=NOW, look="one").id for one in found.observations}
    assert len(ids) == len(found.observations) == 4
