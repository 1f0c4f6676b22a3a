"""What operators see of findings."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from sallyport.adapters.findings_table import FindingsTable, Kept
from sallyport.audit.evaluate import evaluate
from sallyport.audit.events import Observed, read_event
from sallyport.audit.finding import Finding, Severity
from sallyport.audit.rules import RULES
from sallyport.audit.suppressions import load_suppressions
from sallyport_cli import aws as cli_aws
from sallyport_cli import findings_table
from sallyport_cli.failure import CommandError
from sallyport_cli.findings import say_findings, since_when
from sallyport_cli.findings_table import read
from sallyport_cli.findings_view import next_commands
from sallyport_cli.main import app
from tests.support.audit_world import MANAGED_ROLE, NOON, context
from tests.support.rule_samples.sample import assume, user

HOSTILE = "x\x1b[31m\u202e"


def finding(number: int = 1, after: timedelta = timedelta(0)) -> Finding:
    event = read_event(
        assume(user(HOSTILE), MANAGED_ROLE, number=number, key=f"ASIAISSUED{number:010d}", after=after)
    )
    assert isinstance(event, Observed)
    found = [one for one in evaluate(event, context()) if isinstance(one, Finding)]
    return next(one for one in found if one.rule_id == "session-without-record-59")


class Table:
    """A findings table: items by day, in pages of two."""

    def __init__(self, *found: Finding) -> None:
        self.items: list[dict[str, Any]] = []
        self.asked: set[str] = set()
        table = FindingsTable(
            SimpleNamespace(call=self._call),  # type: ignore[arg-type]  # the one call that it makes
            "findings",
            timedelta(days=400),
            lambda: NOON,
        )
        for one in found:
            table.observe(one)

    def query(self, **arguments: Any) -> dict[str, Any]:
        assert arguments["IndexName"] == "by_day"
        self.asked.add(arguments["TableName"])
        day = arguments["ExpressionAttributeValues"][":day"]["S"]
        items = [one for one in self.items if one["day"]["S"] == day]
        items.sort(key=lambda one: one["at"]["S"], reverse=True)
        start = arguments.get("ExclusiveStartKey", {"n": 0})["n"]
        page: dict[str, Any] = {"Items": items[start : start + 2]}
        if start + 2 < len(items):
            page["LastEvaluatedKey"] = {"n": start + 2}
        return page

    def _call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if operation == "TransactWriteItems":
            values = arguments["TransactItems"][0]["Update"]["ExpressionAttributeValues"]
            names = {"day": ":day", "at": ":at", "finding": ":finding", "revision": ":next"}
            self.items.append({name: values[place] for name, place in names.items()})
        return {}

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        self.asked.add(arguments["TableName"])
        wanted = arguments["Key"]["pk"]["S"].removeprefix("finding#")
        found = [one for one in self.items if json.loads(one["finding"]["S"])["id"] == wanted]
        return {"Item": found[0]} if found else {}

    def describe_stacks(self, **arguments: Any) -> dict[str, Any]:
        assert arguments == {"StackName": "sallyport"}
        return {"Stacks": [{"Outputs": [{"OutputKey": "FindingsTable", "OutputValue": "of-the-stack"}]}]}


def test_all_of_a_time_are_read_newest_first() -> None:
    table = Table(*(finding(n, timedelta(hours=-9 * n)) for n in range(9)))
    found, unreadable = read(table, "findings", since=NOON - timedelta(hours=50), until=NOON)
    times = [one.finding.last_event for one in found]
    assert times == sorted(times, reverse=True)
    assert (len(times), unreadable) == (6, 0)


def test_what_cannot_be_read_is_said() -> None:
    table = Table(finding())
    table.items.append({"day": table.items[0]["day"], "at": {"S": ""}, "finding": {"S": "{"}})
    found, unreadable = read(table, "findings", since=NOON - timedelta(days=1), until=NOON)
    assert (len(found), unreadable) == (1, 1)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("30m", NOON - timedelta(minutes=30)),
        ("7d", NOON - timedelta(days=7)),
        ("2026-11-19T12:00Z", NOON - timedelta(days=1)),
        ("2026-11-19", datetime(2026, 11, 19, tzinfo=UTC)),
        ("99999d", NOON - timedelta(days=400)),
        ("1970-01-01", NOON - timedelta(days=400)),
    ],
)
def test_since_is_a_span_or_a_time(text: str, start: datetime) -> None:
    assert since_when(text, NOON) == start


NEVER = ["", "7", "d", "-1d", "0d", "1w", "yesterday", "7d; drop", "2026-13-01", "0001-01-01T00:00+23:59"]


@pytest.mark.parametrize("text", [*NEVER, "2026-11-20T12:00Z", "2026-11-20T13:30+01:00", "2999-01-01"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(CommandError):
        since_when(text, NOON)


def run(monkeypatch: pytest.MonkeyPatch, table: Table, *options: str) -> tuple[int, str]:
    monkeypatch.setattr(cli_aws, "Aws", lambda: SimpleNamespace(client=lambda _name: table))
    done = CliRunner().invoke(
        app, ["findings", "--findings-table", "findings", "--since", "2026-11-01", *options]
    )
    return done.exit_code, done.output


def shown(monkeypatch: pytest.MonkeyPatch, table: Table, *options: str) -> str:
    status, output = run(monkeypatch, table, *options)
    assert status == 0, output
    return output


def test_a_finding_is_one_line_and_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    output = shown(monkeypatch, Table(finding()))
    (line,) = [one for one in output.splitlines() if "session-without-record-59" in one]
    assert "critical" in line
    assert MANAGED_ROLE in line
    assert "\x1b" not in output
    assert "\u202e" not in output


def test_on_a_terminal_a_finding_is_a_paragraph_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    found = Kept(replace(finding(), count=3, suppressed_by="drill\x1b", ended=NOON))
    quiet = Kept(replace(finding(), severity=Severity.INFORMATIONAL, title="x" * 200))
    say_findings([found, quiet], NOON, left_out=2, unreadable=1)
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == "CRITICAL  A session on a managed role that no exchange record explains"
    assert lines[1].startswith(f"          {MANAGED_ROLE}")
    facts = "UTC · 3 times · ended 2026-11-20 12:00 UTC · suppressed by drill\\x1b ·"
    assert facts in " ".join(said.split())
    assert "docs/findings.md#session-without-record-59" in said
    assert f"          id {finding().id[:12]}" in lines
    assert "INFO      xxx" in said
    assert "2 less severe or suppressed are not shown" in said
    assert "1 item(s) of the table cannot be read" in said
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in said


def test_ocsf_is_a_document_in_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(finding(), finding(2))
    printed = [json.loads(line) for line in shown(monkeypatch, table, "--ocsf").splitlines()]
    assert [one["class_uid"] for one in printed] == [2004] * 2
    assert {one["finding_info"]["uid"] for one in printed} == {finding().id, finding(2).id}
    assert printed[0]["metadata"]["product"]["version"] == version("sallyport")
    (one,) = shown(monkeypatch, table, "--id", finding().id, "--ocsf").splitlines()
    assert json.loads(one)["finding_info"]["uid"] == finding().id


def test_json_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = json.loads(shown(monkeypatch, Table(finding()), "--json"))["findings"]
    assert (one["id"], one["severity"], one["count"]) == (finding().id, "CRITICAL", 1)


def test_what_is_not_shown_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(replace(finding(), suppressed_by="drill"))
    assert "1 less severe or suppressed" in shown(monkeypatch, table)
    assert "(suppressed by drill)" in shown(monkeypatch, table, "--suppressed")
    table = Table(replace(finding(), suppressed_by="drill"))
    assert "Nothing to show since 2026-11-01 00:00 UTC." in shown(monkeypatch, table)
    assert "Nothing was found since 2026-11-01 00:00 UTC." in shown(monkeypatch, Table())


def test_a_list_that_was_cut_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(*(finding(number) for number in range(1, 4)))
    assert "were read" not in shown(monkeypatch, table)
    monkeypatch.setattr(findings_table, "MAX_FINDINGS", 2)
    assert "Only the latest 2 were read" in shown(monkeypatch, table)


def test_what_has_ended_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = replace(finding(), ended=NOON + timedelta(hours=1))
    assert f"(ended {ended.ended:%Y-%m-%dT%H:%MZ})" in shown(monkeypatch, Table(ended))
    (one,) = json.loads(shown(monkeypatch, Table(ended), "--json"))["findings"]
    assert one["ended"] == "2026-11-20T13:00:00.000Z"


def test_one_finding_is_shown_with_the_commands_that_look_further(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(finding(1), finding(2))
    whole = finding(2)
    for asked in (whole.id, whole.id[:12], whole.id[:8]):
        output = shown(monkeypatch, table, "--id", asked)
        lines = output.splitlines()
        assert lines[0] == "CRITICAL  A session on a managed role that no exchange record explains"
        assert f"  id {whole.id}" in lines
        assert "  last             2026-11-20 12:00 UTC" in lines
        assert "  alerted          nobody" in lines
        assert f"  first            {RULES[whole.rule_id].first}" in lines
        assert f"  then             {whole.remedy}" in lines
        assert f"  {whole.event_ids[0]}" in lines
        assert "  sallyport trace ASIAISSUED0000000002" in lines
        assert "ASIAISSUED0000000001" not in output
        assert not {"\x1b", "\u202e"} & set(output)
    (one,) = json.loads(shown(monkeypatch, table, "--id", whole.id, "--json"))["findings"]
    assert one["id"] == whole.id


def test_what_is_hidden_in_the_list_is_shown_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = replace(finding(), severity=Severity.INFORMATIONAL, suppressed_by="drill")
    assert "  suppressed by    drill" in shown(monkeypatch, Table(quiet), "--id", quiet.id)
    assert "  suppressed by    drill" in shown(monkeypatch, Table(quiet), "--id", quiet.id[:9])


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ("0" * 64, 1, "There is no finding 000"),
        ("0" * 8, 1, "since 2026-11-01 00:00 UTC has an id that begins with 00000000"),
        ("1" * 7, 2, "not the id of a finding"),
        ("1" * 65, 2, "not the id of a finding"),
        ("finding#" + "1" * 56, 2, "not the id of a finding"),
        ("aaaaaaaa", 1, "2 findings have an id"),
    ],
)
def test_an_id_that_names_no_single_finding_is_said(
    monkeypatch: pytest.MonkeyPatch, asked: str, status: int, said: str
) -> None:
    table = Table(*(replace(finding(), id=end.rjust(64, "a")) for end in "bc"))
    ended, output = run(monkeypatch, table, "--id", asked)
    assert ended == status
    assert said in output


def test_a_finding_that_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(finding())
    table.items[0]["finding"] = {"S": json.dumps({"id": finding().id})}
    status, output = run(monkeypatch, table, "--id", finding().id)
    assert status == 1
    assert "is there, and cannot be read" in output


def with_evidence(rule: str = "denial-burst-61", **evidence: str) -> Finding:
    evidence = {name.replace("_", " "): value for name, value in evidence.items()}
    return replace(finding(), rule_id=rule, dedupe=(), resources=(), event_ids=(), evidence=evidence)


TAKES_STACK = ("sallyport explain", "sallyport trace")
LOOKUP = "aws cloudtrail lookup-events --region eu-central-1"
EVENT = "5d7f7b6e-0a4c-4b8e-9d1f-2a3b4c5d6e7f"


@pytest.mark.parametrize(
    ("found", "commands"),
    [
        (with_evidence(exchange="0a" * 16), [f"sallyport explain {'0a' * 16}"]),
        (replace(with_evidence(), event_ids=("0a" * 16,)), [f"sallyport explain {'0a' * 16}"]),
        (with_evidence(exchange=f"{'0a' * 16}; true"), []),
        (replace(with_evidence(), event_ids=("$(true)",)), []),
        (with_evidence(source_identity="contoso.b0c1"), ["sallyport trace contoso.b0c1"]),
        (with_evidence(source_identity="a; rm -r $HOME"), []),
        (with_evidence(source_identity="a\x1b[31m"), []),
        (with_evidence(access_key="xASIAISSUED0000000001"), ["sallyport trace ASIAISSUED0000000001"]),
        (with_evidence(access_key="BASIAISSUED0000000001"), []),
        (
            with_evidence(event_id=EVENT, Region="eu-central-1"),
            [f"{LOOKUP} --lookup-attributes AttributeKey=EventId,AttributeValue={EVENT}"],
        ),
        (with_evidence(event_id=EVENT, Region="eu-central-1; true"), []),
        (with_evidence(event_id=f"{EVENT} --debug", Region="eu-central-1"), []),
        (with_evidence("trust-change-unexplained-64"), ["sallyport trust history"]),
        (with_evidence("posture-open-to-anybody"), ["sallyport posture"]),
    ],
)
def test_only_what_is_an_id_becomes_part_of_a_command(found: Finding, commands: list[str]) -> None:
    assert next_commands(found) == commands
    with_stack = [f"{one} --stack s" if one.startswith(TAKES_STACK) else one for one in commands]
    assert next_commands(found, "s") == with_stack


def test_a_stack_is_asked_for_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(finding())
    assert "session-without-record-59" in shown(monkeypatch, table, "--stack", "sallyport")
    assert table.asked == {"of-the-stack"}
    table.asked.clear()
    assert finding().id in shown(monkeypatch, table, "--stack", "sallyport", "--id", finding().id)
    assert table.asked == {"of-the-stack"}


def test_a_stack_that_is_none_of_ours_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table()
    monkeypatch.setattr(table, "describe_stacks", lambda **_arguments: {"Stacks": [{}]})
    status, output = run(monkeypatch, table, "--stack", "another")
    assert status == 1
    assert "The stack another has no output FindingsTable." in output


def test_without_a_name_the_command_says_which_is_missing() -> None:
    assert CliRunner().invoke(app, ["findings"], env={"SALLYPORT_FINDINGS_TABLE": ""}).exit_code == 2


SUPPRESSIONS = """
suppressions:
  - id: drill
    rule: session-without-record-59
    owner: security
    reason: a drill
    until: "{until}"
    about: ["arn:aws:iam::111122223333:role/sallyport/*"]
"""


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (SUPPRESSIONS.format(until=(datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%d")), 0),
        (SUPPRESSIONS.format(until="2999-01-01"), 1),
        ("suppressions: [{}]", 1),
        ("suppressions: [", 1),
        ("", 1),
    ],
)
def test_suppressions_are_put_in_force_whole_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, status: int
) -> None:
    put: list[dict[str, Any]] = []

    def put_item(**arguments: Any) -> dict[str, Any]:
        put.append(arguments)
        return {}

    client = SimpleNamespace(put_item=put_item)
    monkeypatch.setattr(cli_aws, "Aws", lambda: SimpleNamespace(client=lambda _name: client))
    file = tmp_path / "suppressions.yaml"
    file.write_text(text)
    done = CliRunner().invoke(app, ["suppress", str(file), "--findings-table", "findings"])
    assert done.exit_code == status, done.output
    assert len(put) == (1 if status == 0 else 0)
    if put:
        document = json.loads(put[0]["Item"]["document"]["S"])
        assert load_suppressions(document, rules=RULES, today=datetime.now(UTC).date())[0].id == "drill"


@pytest.mark.parametrize(
    ("before", "gone"),
    [
        ({"document": {"S": '{"suppressions": [{"id": "drill"}, {"id": "old"}]}'}}, ["old"]),
        ({"document": {"S": '{"suppressions": [{"id": "drill"}]}'}}, []),
        ({"document": {"S": '{"suppressions": 7}'}}, []),
        ({"document": {"S": "{"}}, []),
        ({}, []),
    ],
)
def test_what_the_file_before_suppressed_and_this_one_does_not_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: dict[str, Any], gone: list[str]
) -> None:
    client = SimpleNamespace(put_item=lambda **_arguments: {"Attributes": before})
    monkeypatch.setattr(cli_aws, "Aws", lambda: SimpleNamespace(client=lambda _name: client))
    file = tmp_path / "suppressions.yaml"
    file.write_text(SUPPRESSIONS.format(until=(datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%d")))
    arguments = ["suppress", str(file), "--findings-table", "findings"]
    assert ("No longer in force: old." in CliRunner().invoke(app, arguments).output) is bool(gone)
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(done.output) == {"in_force": ["drill"], "no_longer": gone}


def test_an_empty_file_is_told_how_to_suppress_nothing(tmp_path: Path) -> None:
    file = tmp_path / "suppressions.yaml"
    file.write_text("\n")
    done = CliRunner().invoke(app, ["suppress", str(file), "--findings-table", "findings"])
    assert done.exit_code == 1
    assert "suppressions: []" in done.output


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["suppress", str(tmp_path / "none"), "--findings-table", "findings"])
    assert done.exit_code == 1
