"""`sallyport posture`: what it reads, what it says of what it may not read, and how it ends."""

import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from sallyport.adapters.account import REPORT_WAIT, read_keys, read_roles
from sallyport.errors import UnreadableError
from sallyport_cli.failure import Exit
from tests.support import trust_policies as t
from tests.support.fake_account import FakeIamAccount, FakeOrganizations
from tests.support.fake_aws import ACCOUNT, FakeAws, Run, Write

REPORT = (
    b"user,arn,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_2_active\n"
    b"<root_account>,arn:aws:iam::111122223333:root,true,2020-01-01T00:00:00+00:00,N/A,false\n"
)
TARGET = f"arn:aws:iam::{ACCOUNT}:role/sallyport/team-a-reader"


def role(name: str, *statements: Any, path: str = "/") -> dict[str, Any]:
    return {
        "Arn": f"arn:aws:iam::{ACCOUNT}:role{path}{name}",
        "Path": path,
        "AssumeRolePolicyDocument": t.policy(*statements),
        "MaxSessionDuration": 3_600,
    }


@pytest.fixture
def iam(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeIamAccount:
    for name in ("ASSUME_ROLE_ROLE_ARN", "CREATE_SESSION_ROLE_ARN", "TRIGGER_FUNCTION", "TRUST_TABLE"):
        monkeypatch.delenv(f"SALLYPORT_{name}", raising=False)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    fake = FakeIamAccount(roles=[role(f"sound-{n}", t.aws(ACCOUNT)) for n in range(3)], report=REPORT)
    aws.others["iam"] = fake
    aws.others["organizations"] = FakeOrganizations()
    return fake


def looked(run: Run, *options: str) -> dict[str, Any]:
    result = run("posture", "--json", *options)
    assert result.exit_code == Exit.OK, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def codes(run: Run, *options: str) -> list[str]:
    return [one["code"] for one in looked(run, *options)["observations"]]


def test_it_reads_every_page_of_roles_and_the_report(run: Run, iam: FakeIamAccount) -> None:
    iam.roles.append(role("open", t.aws("*")))
    found = looked(run)
    assert found["looked_at"]["roles"] == 4
    assert [one["code"] for one in found["observations"][:2]] == ["root-access-key", "open-to-anybody"]
    change = found["observations"][1]["change"]
    assert change["path"] == ["Statement", 0, "Condition", "StringEquals", "aws:PrincipalOrgID"]


def test_words_name_the_role_the_statement_and_the_cure(run: Run, iam: FakeIamAccount) -> None:
    iam.roles.append(role("open", t.aws("*")))
    result = run("posture")
    assert result.exit_code == Exit.OK
    assert (
        f"critical: arn:aws:iam::{ACCOUNT}:role/open, statement 0: anybody with an AWS account"
        in result.stdout
    )
    assert "set Statement[0].Condition.StringEquals.aws:PrincipalOrgID to" in result.stdout
    assert "[open-to-anybody]" in result.stdout
    assert f"Looked at 4 roles, 1 active access keys of account {ACCOUNT}." in result.stdout


def test_what_may_not_be_read_is_said_and_the_rest_is_looked_at(run: Run, iam: FakeIamAccount) -> None:
    iam.refuses = {"ListRoles", "GetAccountSummary"}
    found = looked(run)
    assert [one["code"] for one in found["observations"]].count("not-looked-at") == 2
    assert "root-access-key" in [one["code"] for one in found["observations"]]
    assert "roles" not in found["looked_at"]
    assert any("AccessDenied" in one["text"] for one in found["observations"])


def test_how_many_roles_there_are_need_not_be_known(run: Run, iam: FakeIamAccount) -> None:
    iam.refuses = {"GetAccountSummary"}
    assert looked(run)["looked_at"]["roles"] == 3


def test_the_exit_code_says_whether_something_is_too_severe(run: Run, iam: FakeIamAccount) -> None:
    assert run("posture", "--fail-from", "critical").exit_code == Exit.REFUSED
    iam.report = REPORT.replace(b"true", b"false")
    assert run("posture", "--fail-from", "critical").exit_code == Exit.OK


def test_what_is_less_severe_is_counted_and_not_shown(run: Run, iam: FakeIamAccount) -> None:
    result = run("posture", "--severity", "critical")
    assert "root-access-key" in result.stdout
    assert "access-key-old" not in result.stdout
    assert "below critical are not shown" in result.stdout
    assert codes(run, "--severity", "critical") == ["root-access-key"]


def test_the_organisation_says_who_is_no_stranger(run: Run, iam: FakeIamAccount, aws: FakeAws) -> None:
    iam.roles = [role("shared", t.aws(t.FRIEND))]
    verdicts = []
    for organizations in (
        FakeOrganizations(),
        FakeOrganizations(t.ORG),
        FakeOrganizations(t.ORG, [ACCOUNT]),
        FakeOrganizations(t.ORG, [ACCOUNT, t.FRIEND]),
    ):
        aws.others["organizations"] = organizations
        found = [one for one in looked(run)["observations"] if one["code"] == "foreign-account"]
        verdicts.append([one["verdict"] for one in found])
    assert verdicts == [["cannot-tell"], ["cannot-tell"], ["weak"], []]
    aws.others["organizations"] = FakeOrganizations()
    assert "foreign-account" not in codes(run, "--account", t.FRIEND)


def test_the_trust_table_says_which_roles_are_sallyports(
    run: Run, iam: FakeIamAccount, aws: FakeAws, write: Write
) -> None:
    assert (
        run("trust", "apply", write(), "--table", "trust", "--yes", "--allow-widening").exit_code == Exit.OK
    )
    options = ("--table", "trust", "--assume-role-role", t.FUNCTION)
    assert "role-missing" in codes(run, *options)
    iam.roles.append(role("team-a-reader", t.aws(t.CERTIFICATES), path="/sallyport/"))
    found = [one for one in looked(run, *options)["observations"] if one["resource"]["id"] == TARGET]
    assert {one["code"] for one in found} >= {
        "managed-no-external-id",
        "managed-other-principal",
        "managed-principal-missing",
    }
    # Without the table nothing is known of it.
    assert not [one for one in looked(run)["observations"] if one["resource"]["id"] == TARGET]


def test_a_report_that_is_being_made_is_waited_for() -> None:
    slept: list[float] = []
    report = b"user,arn,access_key_1_active,access_key_2_active\n<root_account>,arn,false,false\n"
    assert read_keys(FakeIamAccount(report=report, report_takes=3), sleep=slept.append) == []
    assert slept == [1.0] * 3


def test_a_report_that_is_never_ready_is_not_waited_for_for_ever() -> None:
    now = iter(range(0, 10_000, 7))
    with pytest.raises(UnreadableError, match="in time"):
        read_keys(FakeIamAccount(report_takes=10_000), clock=lambda: next(now), sleep=lambda _seconds: None)
    assert next(now) <= REPORT_WAIT + 21


def test_a_list_without_an_end_is_not_followed_for_ever() -> None:
    with pytest.raises(UnreadableError, match="end"):
        read_roles(FakeIamAccount(roles=[role("x", t.aws(ACCOUNT))], endless=True))


def test_that_aws_cannot_be_reached_is_no_finding(run: Run, iam: FakeIamAccount) -> None:
    def unreachable(**_arguments: Any) -> dict[str, Any]:
        raise EndpointConnectionError(endpoint_url="https://iam.amazonaws.com")

    iam.list_roles = unreachable  # type: ignore[method-assign]  # the fake is bent
    result = run("posture", "--json")
    assert result.exit_code == Exit.REFUSED
    assert json.loads(result.stdout)["error"]["reason"] == "aws-unreachable"
