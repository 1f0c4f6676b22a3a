"""What operators see of findings."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
from sallyport_cli.failure import CommandError
from sallyport_cli.findings import say_findings, since_when
from sallyport_cli.findings_table import read
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
        table = FindingsTable(
            SimpleNamespace(call=self._call),  # type: ignore[arg-type]
            "findings",
            timedelta(days=400),
            lambda: NOON,
        )
        for one in found:
            table.observe(one)

    def query(self, **arguments: Any) -> dict[str, Any]:
        assert arguments["IndexName"] == "by_day"
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


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "0d", "1w", "yesterday", "7d; drop", "2026-13-01"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(CommandError):
        since_when(text, NOON)


def shown(monkeypatch: pytest.MonkeyPatch, table: Table, *options: str) -> str:
    monkeypatch.setattr(cli_aws, "Aws", lambda: SimpleNamespace(client=lambda _name: table))
    done = CliRunner().invoke(
        app, ["findings", "--findings-table", "findings", "--since", "2026-11-01", *options]
    )
    assert done.exit_code == 0, done.output
    return done.output


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
    say_findings([found, quiet], left_out=2, unreadable=1, as_json=False)
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == "CRITICAL  A session on a managed role that no exchange record explains"
    assert lines[1].startswith(f"          {MANAGED_ROLE}")
    facts = "UTC · 3 times · ended 2026-11-20 12:00 UTC · suppressed by drill\\x1b ·"
    assert facts in " ".join(said.split())
    assert "docs/findings.md#session-without-record-59" in said
    assert "INFO      xxx" in said
    assert "2 less severe or suppressed are not shown" in said
    assert "1 item(s) of the table cannot be read" in said
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in said


def test_json_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = json.loads(shown(monkeypatch, Table(finding()), "--json"))["findings"]
    assert (one["id"], one["severity"], one["count"]) == (finding().id, "CRITICAL", 1)


def test_what_is_not_shown_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(replace(finding(), suppressed_by="drill"))
    assert "1 less severe or suppressed" in shown(monkeypatch, table)
    assert "(suppressed by drill)" in shown(monkeypatch, table, "--suppressed")
    assert "Nothing was found." in shown(monkeypatch, Table())


def test_what_has_ended_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = replace(finding(), ended=NOON + timedelta(hours=1))
    assert f"(ended {ended.ended:%m-%d %H:%M})" in shown(monkeypatch, Table(ended))
    (one,) = json.loads(shown(monkeypatch, Table(ended), "--json"))["findings"]
    assert one["ended"] == "2026-11-20T13:00:00.000Z"


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
    client = SimpleNamespace(put_item=lambda **arguments: put.append(arguments))
    monkeypatch.setattr(cli_aws, "Aws", lambda: SimpleNamespace(client=lambda _name: client))
    file = tmp_path / "suppressions.yaml"
    file.write_text(text)
    done = CliRunner().invoke(app, ["suppress", str(file), "--findings-table", "findings"])
    assert done.exit_code == status, done.output
    assert len(put) == (1 if status == 0 else 0)
    if put:
        document = json.loads(put[0]["Item"]["document"]["S"])
        assert load_suppressions(document, rules=RULES, today=datetime.now(UTC).date())[0].id == "drill"


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["suppress", str(tmp_path / "none"), "--findings-table", "findings"])
    assert done.exit_code == 1
