"""`sallyport trust …` as an operator meets it: words, JSON and exit codes."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from sallyport.trust.schema import SCHEMA
from sallyport_cli.failure import Exit
from sallyport_cli.output import WIDTH, say_grid
from sallyport_cli.refresh import sentences
from sallyport_cli.trust_table import content_digest
from sallyport_cli.trust_view import condition_summary
from tests.support.fake_aws import CALLER, FakeAws, Run, Write
from tests.support.fake_dynamodb import FakeDynamoDb

LONGER = ("duration: 30m", "duration: 45m")
SHORTER = ("duration: 30m", "duration: 20m")
SECOND_PROFILE = (
    "    duration: 30m\n",
    """    duration: 30m
  team-b-reader:
    trust_anchor: contoso
    roles: ["arn:aws:iam::111122223333:role/sallyport/team-b-reader"]
    condition:
      StringEquals: {"token:oid": "c0c1d2e3-1111-2222-3333-444455556666"}
""",
)


def applied(run: Run, file: Path) -> str:
    """Apply a file and return the version."""
    result = run("trust", "apply", file, "--yes", "--allow-widening", "--json")
    assert result.exit_code == Exit.OK, result.output
    return str(json.loads(result.stdout)["version"])


def stored(aws: FakeAws) -> Mapping[tuple[str, str], Any]:
    return dict(aws.dynamodb.items)


# --- validate -------------------------------------------------------------------------------------


def test_a_valid_file_is_counted_and_needs_no_aws(run: Run, write: Write, aws: FakeAws) -> None:
    aws.sts.failure = NoCredentialsError()
    result = run("trust", "validate", write())
    assert result.exit_code == Exit.OK
    assert "1 trust anchor, 1 profile, 1 role" in result.stdout


def test_a_problem_is_printed_with_file_line_column_and_cure(run: Run, write: Write) -> None:
    file = write(("audiences:", "audience:"))
    result = run("trust", "validate", file)
    assert result.exit_code == Exit.REFUSED
    assert f"{file}:7:5: trust_anchors.contoso.audience" in result.stderr
    assert "did you mean audiences?" in result.stderr
    assert result.stderr.endswith("\n2 problems.\n")


def test_a_pipe_that_nobody_writes_into_is_given_up(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sallyport_cli.open_file.PIPE_SECONDS", 0.05)
    os.mkfifo(tmp_path / "trust.yaml")
    result = run("trust", "validate", tmp_path / "trust.yaml")
    assert result.exit_code == Exit.REFUSED
    assert "nobody writes into it" in result.stderr


def test_only_an_apply_says_that_nothing_was_applied(run: Run, write: Write) -> None:
    file = write(("audiences:", "audience:"))
    assert "2 problems; nothing was applied.\n" in run("trust", "apply", file).stderr
    assert "nothing was applied" not in run("trust", "plan", file).stderr


@pytest.mark.parametrize(
    ("change", "cure"),
    [
        (("30m", "3600"), "write 3600s or 1h"),
        (("30m", '"5400"'), "write 5400s or 90m"),
        (("30m", "901"), "write 901s\n"),
        (("30m", "soon"), "write a number and s, m, h or d, such as 1h"),
        (("    kind:", "\tkind:"), "a tab; indent with spaces"),
        (("version: 1", 'version: "1"'), "write version: 1"),
        (("version: 1\n", ""), "add version: 1"),
        (("sallyport/team-a-reader", "sallyport/*"), "<account>:role/<path>/<name> without wildcards"),
        (("https://sts", "http://sts"), "exactly as the tokens do: https://<host>/..."),
    ],
)
def test_a_common_mistake_has_a_cure_that_can_be_typed(
    run: Run, write: Write, change: tuple[str, str], cure: str
) -> None:
    result = run("trust", "validate", write(change))
    assert result.exit_code == Exit.REFUSED
    assert cure in result.stderr
    assert "\\" not in result.stderr


def test_a_file_without_a_byte_is_refused_and_one_with_a_version_denies_everybody(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "trust.yaml"
    file.write_bytes(b"")
    assert "write version: 1, which alone denies everybody" in run("trust", "validate", file).stderr
    file.write_text("version: 1\n")
    assert "0 trust anchors, 0 profiles, 0 roles" in run("trust", "validate", file).stdout


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_a_plan_is_no_trust_file_and_the_next_step_is_named(
    run: Run, write: Write, tmp_path: Path, command: str
) -> None:
    plan = tmp_path / "plan.json"
    run("trust", "plan", write(), "--out", plan)
    result = run("trust", command, plan)
    assert result.exit_code == Exit.USAGE
    assert "this is a plan" in result.stderr
    assert f"sallyport trust apply {plan}\n" in result.stderr


def test_a_problem_of_meaning_has_its_line_as_well(run: Run, write: Write) -> None:
    result = run("trust", "validate", write(("role/sallyport/team-a-reader", "role/sallyport/*")), "--json")
    assert result.exit_code == Exit.REFUSED
    (problem,) = json.loads(result.stdout)["problems"]
    assert (problem["line"], problem["column"]) == (11, 13)
    assert problem["path"] == ["profiles", "team-a-reader", "roles", 0]
    assert problem["cure"]


def test_every_problem_is_reported_at_once_in_the_order_of_the_file(run: Run, write: Write) -> None:
    file = write(("role/sallyport/team-a-reader", "role/*"), ("duration: 30m", "duration: 2h"))
    problems = json.loads(run("trust", "validate", file, "--json").stdout)["problems"]
    assert [problem["line"] for problem in problems] == [11, 14]


def test_a_file_that_is_not_there_is_one_sentence(run: Run, tmp_path: Path) -> None:
    result = run("trust", "validate", tmp_path / "nowhere.yaml")
    assert result.exit_code == Exit.REFUSED
    assert "cannot be read: No such file or directory." in result.stderr
    assert "Traceback" not in result.output


def test_a_directory_is_not_a_file(run: Run, tmp_path: Path) -> None:
    assert run("trust", "validate", tmp_path).exit_code == Exit.REFUSED


def test_what_a_hostile_file_says_cannot_act_on_the_terminal(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "trust.yaml"
    file.write_text('version: 1\n"\\u202e[bold]x": 1\n')
    result = run("trust", "validate", file)
    assert "\u202e" not in result.output
    assert r": \u202e[bold]x: " in result.output


def role_policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(**changes: Any) -> dict[str, Any]:
    principal = {"AWS": "arn:aws:iam::111122223333:role/assume-role"}
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **changes}


def external_id_of(run: Run, write: Write) -> str:
    applied(run, write())
    return str(json.loads(run("trust", "show", "--json").stdout)["profiles"][0]["external_id"])


ROLE = "arn:aws:iam::111122223333:role/sallyport/team-a-reader"


def test_a_role_that_demands_the_external_id_gives_no_warning(run: Run, write: Write, aws: FakeAws) -> None:
    wanted = {"StringEquals": {"sts:ExternalId": ["another", external_id_of(run, write)]}}
    service = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    aws.iam.roles[ROLE] = role_policy(statement(Condition=wanted), service)
    result = run("trust", "validate", write(), "--check-roles", "--json")
    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout)["warnings"] == []


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (None, "there is no such role"),
        (role_policy(), "does not list"),
        (role_policy(statement()), "does not demand an ExternalId"),
        (role_policy(statement(Action=["sts:TagSession", "sts:*"])), "does not demand an ExternalId"),
        (role_policy(statement(Condition={"StringLike": {"sts:ExternalId": "*"}})), "does not demand"),
        (
            role_policy(statement(Condition={"StringEqualsIfExists": {"sts:ExternalId": "x"}})),
            "does not demand",
        ),
        (role_policy(statement(Condition={"StringEquals": {"sts:ExternalId": "x"}})), "does not list"),
    ],
)
def test_a_role_without_the_external_id_is_warned_of_and_the_file_stays_valid(
    run: Run, write: Write, aws: FakeAws, policy: Mapping[str, Any] | None, text: str
) -> None:
    if policy is not None:
        aws.iam.roles[ROLE] = policy
    result = run("trust", "validate", write(), "--check-roles")
    assert result.exit_code == Exit.OK
    assert f"{ROLE} (profile team-a-reader)" in result.stdout
    assert text in result.stdout


def test_a_role_of_another_path_is_not_the_role_that_is_meant(run: Run, write: Write, aws: FakeAws) -> None:
    aws.iam.roles["arn:aws:iam::111122223333:role/team-a-reader"] = role_policy()
    assert "no such role" in run("trust", "validate", write(), "--check-roles").stdout


def test_roles_of_other_accounts_are_not_asked_for(run: Run, write: Write, aws: FakeAws) -> None:
    other = write(("111122223333:role", "444455556666:role"))
    assert json.loads(run("trust", "validate", other, "--check-roles", "--json").stdout)["warnings"] == []
    assert not aws.iam.asked


# --- plan -----------------------------------------------------------------------------------------


def test_a_plan_shows_every_field_before_and_after_with_its_class(run: Run, write: Write) -> None:
    applied(run, write())
    result = run("trust", "plan", write(LONGER))
    assert result.exit_code == Exit.OK
    assert "~ profile team-a-reader  [widens]" in result.stdout
    assert "duration  [widens]\n      - 1800\n      + 2700\n" in result.stdout
    assert "1 widening, 0 unknown, 0 narrowing" in result.stdout


def test_a_plan_changes_nothing(run: Run, write: Write, aws: FakeAws) -> None:
    applied(run, write())
    before = stored(aws)
    run("trust", "plan", write(SECOND_PROFILE))
    assert stored(aws) == before


def test_a_plan_names_digests_base_and_what_it_needs(run: Run, write: Write, tmp_path: Path) -> None:
    version = applied(run, write())
    run("trust", "plan", write(SHORTER), "--out", tmp_path / "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["base"] == version
    assert plan["needs_allow_widening"] is False
    assert len(plan["sha256"]) == 64
    assert [(change["field"], change["effect"]) for change in plan["changes"]] == [("duration", "narrows")]


def test_a_plan_that_cannot_be_written_is_one_sentence(run: Run, write: Write, tmp_path: Path) -> None:
    result = run("trust", "plan", write(), "--out", tmp_path / "no" / "plan.json")
    assert result.exit_code == Exit.REFUSED
    assert "cannot be written" in result.stderr


# --- apply ----------------------------------------------------------------------------------------


def test_widening_needs_to_be_allowed(run: Run, write: Write, aws: FakeAws) -> None:
    result = run("trust", "apply", write(), "--yes")
    assert result.exit_code == Exit.WIDENING
    assert "--allow-widening" in result.stderr
    assert not stored(aws)


def test_narrowing_needs_no_permission(run: Run, write: Write) -> None:
    applied(run, write())
    result = run("trust", "apply", write(SHORTER), "--yes")
    assert result.exit_code == Exit.OK
    assert "Version 000002-" in result.stdout


def test_a_change_whose_effect_is_unknown_counts_as_widening(run: Run, write: Write) -> None:
    applied(run, write())
    changed = write(("duration: 30m", "duration: 30m\n    session_name: contoso-x,${token:oid}"))
    assert run("trust", "apply", changed, "--yes").exit_code == Exit.WIDENING


def test_what_would_widen_is_part_of_the_json_answer(run: Run, write: Write) -> None:
    answer = json.loads(run("trust", "apply", write(), "--yes", "--json").stdout)
    assert answer["exit_code"] == Exit.WIDENING
    assert answer["error"]["reason"] == "would-widen"
    assert {change["effect"] for change in answer["plan"]["changes"]} == {"widens"}


def test_applying_the_same_again_changes_nothing(run: Run, write: Write, aws: FakeAws) -> None:
    version = applied(run, write())
    before = stored(aws)
    result = run("trust", "apply", write(("version: 1", "version: 1  # a comment")), "--yes")
    assert result.exit_code == Exit.OK
    assert f"Nothing to change: version {version}" in result.stdout
    assert stored(aws) == before


def test_an_empty_trust_file_can_be_applied_once_and_then_changes_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("version: 1\n")
    run("trust", "apply", file, "--yes", "--allow-widening")
    assert "Nothing to change" in run("trust", "apply", file, "--yes").stdout


def test_a_reviewed_plan_is_applied_without_a_question(run: Run, write: Write, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    run("trust", "plan", write(), "--out", plan)
    result = run("trust", "apply", plan, "--allow-widening")
    assert result.exit_code == Exit.OK, result.output
    assert "is in force" in result.stdout


def test_a_plan_applied_twice_changes_nothing_the_second_time(run: Run, write: Write, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    run("trust", "plan", write(), "--out", plan)
    run("trust", "apply", plan, "--allow-widening")
    result = run("trust", "apply", plan, "--allow-widening")
    assert result.exit_code == Exit.OK
    assert "Nothing to change" in result.stdout


def test_a_plan_is_refused_when_the_file_changed_since(run: Run, write: Write, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    run("trust", "plan", write(), "--out", plan)
    write(LONGER)
    result = run("trust", "apply", plan, "--allow-widening")
    assert result.exit_code == Exit.REFUSED
    assert "another trust file than was planned" in result.stderr


def test_a_plan_is_refused_when_somebody_applied_meanwhile(
    run: Run, write: Write, aws: FakeAws, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    applied(run, write())
    run("trust", "plan", write(LONGER), "--out", plan)
    applied(run, write(SHORTER))
    write(LONGER)
    before = stored(aws)
    result = run("trust", "apply", plan, "--allow-widening")
    assert result.exit_code == Exit.REFUSED
    assert "another base version" in result.stderr
    assert stored(aws) == before


@pytest.mark.parametrize("name", ["account", "region", "table"])
def test_a_plan_is_refused_elsewhere(run: Run, write: Write, tmp_path: Path, name: str) -> None:
    plan = tmp_path / "plan.json"
    run("trust", "plan", write(), "--out", plan)
    value = json.loads(plan.read_text())
    plan.write_text(json.dumps({**value, name: "elsewhere"}))
    assert "The plan is refused" in run("trust", "apply", plan, "--allow-widening").stderr


def test_a_plan_whose_changes_were_edited_is_refused(run: Run, write: Write, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    run("trust", "plan", write(), "--out", plan)
    value = json.loads(plan.read_text())
    value["changes"][0]["effect"] = "narrows"
    plan.write_text(json.dumps(value))
    assert "other changes" in run("trust", "apply", plan, "--allow-widening").stderr


@pytest.mark.parametrize(
    "text",
    ['{"format": "sallyport-plan-1"}', '{"format": "sallyport-plan-9", "base": null}', '{"sallyport-plan-'],
)
def test_something_like_a_plan_is_refused(run: Run, tmp_path: Path, text: str) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(text)
    result = run("trust", "apply", plan)
    assert result.exit_code == Exit.REFUSED
    assert "plan" in result.stderr


def test_a_trust_file_is_shown_and_asked_about_and_without_anybody_to_ask_refused(
    run: Run, write: Write, aws: FakeAws
) -> None:
    result = run("trust", "apply", write(), "--allow-widening")
    assert result.exit_code == Exit.USAGE
    assert "nobody to ask" in result.stderr
    assert "Add --yes, or apply a reviewed plan." in result.stderr
    assert not stored(aws)


@pytest.mark.parametrize("command", ["disable", "enable"])
def test_usage_says_what_can_be_switched(run: Run, command: str) -> None:
    assert "{anchor|profile}" in run("trust", command, "--help").stdout


def test_somebody_else_who_was_faster_is_named(run: Run, write: Write, aws: FakeAws) -> None:
    applied(run, write())
    other = FakeDynamoDb(items=aws.dynamodb.items)

    def interfere(name: str, arguments: Mapping[str, Any]) -> None:
        if name == "PutItem" and arguments["Item"]["pk"]["S"].startswith("apply#"):
            aws.dynamodb.before_call = lambda _name, _arguments: None
            item = other.items[("current", "-")]
            item["current"], item["applied_by"] = {"S": "000002-aaaaaaaa"}, {"S": "bob"}

    aws.dynamodb.before_call = interfere
    result = run("trust", "apply", write(SHORTER), "--yes")
    assert result.exit_code == Exit.REFUSED
    assert "000002-aaaaaaaa is in force now, applied by bob" in result.stderr


def test_old_versions_are_removed_along_the_way(run: Run, write: Write, aws: FakeAws) -> None:
    for minutes in range(15, 40):
        applied(run, write(("30m", f"{minutes}m")))
    assert len({version for (_, version) in stored(aws)} - {"-"}) == 21


def test_that_old_versions_could_not_be_removed_does_not_undo_the_apply(
    run: Run, write: Write, aws: FakeAws
) -> None:
    applied(run, write())

    def refuse(name: str, _arguments: Mapping[str, Any]) -> None:
        if name == "DeleteItem":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, name)

    aws.dynamodb.before_call = refuse
    result = run("trust", "apply", write(SHORTER), "--yes")
    assert result.exit_code == Exit.OK
    assert "The next apply tries again" in result.stderr


def test_local_discovery_is_refused_for_a_real_account(run: Run, write: Write, aws: FakeAws) -> None:
    local = write(
        ("dialect: entra", 'dialect: entra\n    local_discovery: "http://127.0.0.1:9/.well-known/x"')
    )
    result = run("trust", "apply", local, "--yes", "--allow-widening")
    assert result.exit_code == Exit.REFUSED
    assert "local_discovery" in result.stderr
    assert not stored(aws)


@pytest.mark.parametrize("remote", ["sts", "dynamodb", "variable"])
def test_local_discovery_is_refused_where_any_part_of_aws_is_not_on_this_machine(
    run: Run, write: Write, aws: FakeAws, monkeypatch: pytest.MonkeyPatch, remote: str
) -> None:
    local, real = "http://127.0.0.1:4566", "https://dynamodb.eu-central-1.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL", real if remote == "variable" else local)
    aws.sts.endpoint_url = real if remote == "sts" else local
    aws.dynamodb.meta.endpoint_url = real if remote == "dynamodb" else local
    file = write(("dialect: entra", f'dialect: entra\n    local_discovery: "{local}/x"'))
    assert run("trust", "apply", file, "--yes", "--allow-widening").exit_code == Exit.REFUSED


def test_local_discovery_is_accepted_in_the_local_cloud(
    run: Run, write: Write, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = "http://127.0.0.1:4566"
    monkeypatch.setenv("AWS_ENDPOINT_URL", local)
    aws.sts.endpoint_url = aws.dynamodb.meta.endpoint_url = local
    file = write(("dialect: entra", f'dialect: entra\n    local_discovery: "{local}/x"'))
    assert run("trust", "validate", file).exit_code == Exit.OK
    assert run("trust", "apply", file, "--yes", "--allow-widening").exit_code == Exit.OK


def test_new_anchors_come_with_a_hint_and_nothing_is_invoked_unasked(
    run: Run, write: Write, aws: FakeAws
) -> None:
    result = run("trust", "apply", write(), "--yes", "--allow-widening")
    assert "next scheduled refresh" in result.stdout
    assert not aws.functions.invocations


REFRESHED = {
    "anchor_id": "1",
    "anchor_name": "contoso",
    "status": "refreshed",
    "reason": "",
    "detail": "",
    "keys": 2,
    "source": "https://login.example/keys",
}
NOT_REFRESHED = {
    "anchor_id": "2",
    "anchor_name": "fabrikam",
    "status": "failed",
    "reason": "fetch-resolve",
    "detail": "The host (a). The host (b).",
}


@pytest.mark.parametrize(
    "answer", [{}, {"anchors": 3}, {"anchors": [None, 7]}, {"anchors": [{}]}, {"answer": None}]
)
def test_an_answer_of_another_form_is_no_mistake_of_ours(answer: dict[str, Any]) -> None:
    assert not any("refreshed (" in line.text for line in sentences(answer))


def test_keys_are_refreshed_once_for_the_anchors_that_are_new(run: Run, write: Write, aws: FakeAws) -> None:
    aws.functions.answer = json.dumps({"anchors": [REFRESHED, NOT_REFRESHED]}).encode()
    result = run("trust", "apply", write(), "--yes", "--allow-widening", "--refresh-keys", "refresh")
    assert result.exit_code == Exit.OK
    ids = [pk.removeprefix("anchor#") for (pk, _) in stored(aws) if pk.startswith("anchor#")]
    assert aws.functions.invocations == [("refresh", {"anchor_ids": ids})]
    assert "contoso: keys refreshed (2 keys from https://login.example/keys)\n" in result.stdout
    assert "fabrikam: keys NOT refreshed: fetch-resolve, The host (a). The host (b).\n" in result.stdout
    assert "{" not in result.stdout.partition("is in force")[2]


def test_a_refresh_that_fails_is_a_failure_that_says_what_is_in_force(
    run: Run, write: Write, aws: FakeAws
) -> None:
    aws.functions.function_error = "Unhandled"
    result = run("trust", "apply", write(), "--yes", "--allow-widening", "--refresh-keys", "refresh")
    assert result.exit_code == Exit.REFUSED
    assert "is in force, but: The refresh function failed" in result.stderr
    assert ("current", "-") in stored(aws)


def test_a_damaged_version_can_be_replaced_by_a_rebuild_and_then_everything_widens(
    run: Run, write: Write, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    version = applied(run, write())
    next(item for (_, v), item in aws.dynamodb.items.items() if v == version)["document"] = {"S": "{}"}
    damaged = run("trust", "apply", write(SHORTER), "--yes", "--allow-widening")
    assert damaged.exit_code == Exit.REFUSED
    assert run("trust", "apply", write(), "--yes", "--rebuild").exit_code == Exit.WIDENING
    rebuilt = run("trust", "apply", write(), "--yes", "--rebuild", "--allow-widening")
    assert rebuilt.exit_code == Exit.OK, rebuilt.output


# --- show and rollback ----------------------------------------------------------------------------


def test_show_names_what_clients_and_role_owners_need(run: Run, write: Write, aws: FakeAws) -> None:
    applied(run, write())
    view = json.loads(run("trust", "show", "--json").stdout)
    words = run("trust", "show").stdout
    anchor, profile = view["anchors"][0], view["profiles"][0]
    assert profile["external_id"] == f"sallyport:{anchor['id']}:{profile['id']}"
    for value in (
        anchor["arn"],
        profile["arn"],
        profile["external_id"],
        profile["roles"][0],
        anchor["issuer"],
    ):
        assert f" {value}\n" in words
    assert "StringEquals token:oid: b0c1d2e3-1111-2222-3333-444455556666" in words


def test_on_a_terminal_everything_fits_eighty_columns_and_nothing_is_cut(capsys: Any) -> None:
    arn = "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/27c793c5-ce0b-5b23-a0aa-d2ad2ddae8a2"
    say_grid([("anchor", "contoso"), ("arn", arn), ("policy", "x" * 500)], sys.stdout)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= WIDTH
    assert arn in "".join(line[17:].strip() for line in out.splitlines())


def test_what_is_disabled_is_marked(run: Run, write: Write) -> None:
    applied(run, write())
    run("trust", "disable", "profile", "team-a-reader", "--reason", "INC-1")
    words = run("trust", "show").stdout
    assert "team-a-reader  [DISABLED]" in words
    assert "contoso  [DISABLED]" not in words
    assert "INC-1" in words


def test_what_a_version_from_before_certificates_says_is_still_shown(
    run: Run, write: Write, aws: FakeAws
) -> None:
    version = applied(run, write())
    now = run("trust", "show").stdout
    documents = {}
    for (pk, sk), item in aws.dynamodb.items.items():
        if sk == version:
            document = json.loads(item["document"]["S"])
            for profile in document.get("profiles", ()):
                profile.pop("certificate", None)
            documents[pk] = document
            item["document"] = {"S": json.dumps(document)}
    for key in (("current", "-"), (f"apply#{version}", "-")):
        aws.dynamodb.items[key]["content_digest"] = {"S": content_digest(documents)}
    assert run("trust", "show").stdout == now
    plan = json.loads(run("trust", "plan", write(), "--json").stdout)
    assert plan["changes"] == []


def test_a_profile_with_several_roles_is_shown_once_with_all_of_them(run: Run, write: Write) -> None:
    other = "arn:aws:iam::111122223333:role/sallyport/other"
    applied(run, write(('team-a-reader"]', f'team-a-reader", "{other}"]')))
    (profile,) = json.loads(run("trust", "show", "--json").stdout)["profiles"]
    assert len(profile["roles"]) == 2


def test_before_the_first_apply_show_says_that_everything_is_denied(run: Run) -> None:
    result = run("trust", "show")
    assert result.exit_code == Exit.OK
    assert "every exchange is denied" in result.stdout
    assert json.loads(run("trust", "show", "--json").stdout)["version"] is None


def test_an_earlier_version_can_be_shown_listed_and_put_in_force_again(run: Run, write: Write) -> None:
    first = applied(run, write())
    second = applied(run, write(SHORTER))
    listed = json.loads(run("trust", "show", "--versions", "--json").stdout)["versions"]
    assert [one["id"] for one in listed] == [second, first]
    assert second in run("trust", "show", "--versions").stdout
    shown = json.loads(run("trust", "show", "--version", first, "--json").stdout)
    assert shown["in_force"] is False
    assert shown["profiles"][0]["duration"] == 1800
    refused = run("trust", "rollback", first, "--yes")
    assert refused.exit_code == Exit.WIDENING
    assert refused.stderr.endswith("\nIf that is meant, add --allow-widening.\n")
    assert run("trust", "rollback", first, "--yes", "--allow-widening").exit_code == Exit.OK
    now = json.loads(run("trust", "show", "--json").stdout)
    assert now["version"]["id"].startswith("000003-")
    assert now["profiles"][0]["duration"] == 1800


def test_a_version_that_never_was_is_refused(run: Run, write: Write) -> None:
    applied(run, write())
    result = run("trust", "show", "--version", "000009-00000000")
    assert result.exit_code == Exit.REFUSED
    assert "--versions" in result.stderr


def test_a_long_list_of_expected_values_is_summed_up() -> None:
    lines = list(condition_summary({"StringEquals": {"token:oid": ["a", "b", "c", "d", "e"]}}))
    assert lines == ["StringEquals token:oid: a or b or c or 2 more"]


# --- disable and enable ---------------------------------------------------------------------------


def test_disable_says_who_when_and_why_and_a_second_time_changes_nothing(
    run: Run, write: Write, aws: FakeAws
) -> None:
    applied(run, write())
    first = json.loads(run("trust", "disable", "anchor", "contoso", "--reason", "INC-1", "--json").stdout)
    assert first["changed"] is True
    assert first["by"] == CALLER
    before = stored(aws)
    again = run("trust", "disable", "anchor", "contoso", "--reason", "INC-2")
    assert again.exit_code == Exit.OK
    assert "disabled already" in again.stdout
    assert "INC-1" in again.stdout
    assert stored(aws) == before


def test_a_typing_error_does_not_pass_for_a_stop(run: Run, write: Write, aws: FakeAws) -> None:
    applied(run, write())
    before = stored(aws)
    result = run("trust", "disable", "profile", "team-a-readr", "--reason", "INC-1")
    assert result.exit_code == Exit.REFUSED
    assert "Did you mean team-a-reader?" in result.stderr
    assert stored(aws) == before
    assert run("trust", "disable", "profile", "later", "--reason", "x", "--force").exit_code == Exit.OK


@pytest.mark.parametrize("name", ["a#b", "", "A", "x" * 33, "a\n"])
def test_a_name_that_could_be_another_key_is_refused(run: Run, aws: FakeAws, name: str) -> None:
    result = run("trust", "disable", "profile", name, "--reason", "x", "--force")
    assert result.exit_code == Exit.USAGE
    assert not stored(aws)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_a_reason_is_needed_and_bounded(run: Run, reason: str) -> None:
    assert run("trust", "disable", "profile", "p", "--reason", reason, "--force").exit_code == Exit.USAGE


def test_enable_asks_and_then_removes_the_tombstone(run: Run, write: Write, aws: FakeAws) -> None:
    applied(run, write())
    run("trust", "disable", "profile", "team-a-reader", "--reason", "INC-1")
    unasked = run("trust", "enable", "profile", "team-a-reader", "--reason", "ok")
    assert unasked.exit_code == Exit.USAGE
    assert unasked.stderr.endswith("\nAdd --yes.\n")
    assert ("disabled#profile#team-a-reader", "-") in stored(aws)
    result = run("trust", "enable", "profile", "team-a-reader", "--reason", "ok", "--yes")
    assert result.exit_code == Exit.OK
    assert "INC-1" in result.stdout
    assert ("disabled#profile#team-a-reader", "-") not in stored(aws)
    again = run("trust", "enable", "profile", "team-a-reader", "--reason", "ok", "--yes")
    assert "nothing changed" in again.stdout


def test_an_emergency_stop_works_even_where_the_version_cannot_be_read(
    run: Run, write: Write, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    version = applied(run, write())
    next(item for (_, v), item in aws.dynamodb.items.items() if v == version)["document"] = {"S": "{}"}
    result = run("trust", "disable", "profile", "team-a-reader", "--reason", "INC-1")
    assert result.exit_code == Exit.OK
    assert ("disabled#profile#team-a-reader", "-") in stored(aws)


# --- the rest -------------------------------------------------------------------------------------


def test_the_schema_that_is_printed_is_the_one_that_validates(run: Run) -> None:
    assert json.loads(run("trust", "schema").stdout) == SCHEMA


def test_without_a_table_the_next_step_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SALLYPORT_TRUST_TABLE")
    result = run("trust", "show")
    assert result.exit_code == Exit.USAGE
    assert "SALLYPORT_TRUST_TABLE" in result.stderr


def test_without_a_region_the_next_step_is_named(
    run: Run, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION")
    aws.region_name = None
    assert "AWS_REGION" in run("trust", "show").stderr


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (NoCredentialsError(), "no AWS credentials"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "cannot be reached"),
        (ClientError({"Error": {"Code": "ExpiredToken", "Message": "old"}}, "x"), "Sign in again"),
    ],
)
def test_what_keeps_aws_from_answering_is_one_sentence(
    run: Run, write: Write, aws: FakeAws, failure: Exception, words: str
) -> None:
    aws.sts.failure = failure
    result = run("trust", "plan", write())
    assert result.exit_code == Exit.REFUSED
    assert words in result.stderr
    assert "Traceback" not in result.output
    as_json = json.loads(run("trust", "plan", write(), "--json").stdout)
    assert as_json["error"]["text"]


def test_a_mistake_of_ours_is_loud_but_no_stack_trace(run: Run, write: Write, aws: FakeAws) -> None:
    aws.sts.failure = ZeroDivisionError("boom")
    result = run("trust", "plan", write())
    assert result.exit_code == Exit.REFUSED
    assert "ZeroDivisionError" in result.stderr
    assert "boom" not in result.output
    assert "Traceback" not in result.output


def test_interrupting_says_so(run: Run, write: Write, aws: FakeAws) -> None:
    def interrupt(_name: str, _arguments: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    aws.dynamodb.before_call = interrupt
    assert run("trust", "apply", write(), "--yes", "--allow-widening").exit_code == Exit.INTERRUPTED


@pytest.mark.parametrize(
    "path",
    [["explain"]]
    + [["trust", name] for name in ("validate", "plan", "apply", "rollback", "show", "disable", "enable")],
)
def test_every_help_has_an_example_that_names_the_command_and_the_exit_codes(
    run: Run, path: list[str]
) -> None:
    result = run(*path, "--help")
    assert f"  sallyport {' '.join(path)}" in result.stdout
    assert "Exit codes:" in result.stdout
    assert "--json" in result.stdout


def test_wrong_usage_has_its_own_exit_code(run: Run) -> None:
    assert run("trust", "validate").exit_code == Exit.USAGE
    assert run("trust", "disable", "role", "x", "--reason", "y").exit_code == Exit.USAGE
