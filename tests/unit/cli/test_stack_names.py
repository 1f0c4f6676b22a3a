"""Where a stack is named, its outputs say what things are called, and nothing else does."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from sallyport_cli import aws as cli_aws
from sallyport_cli.failure import CommandError
from sallyport_cli.main import app
from sallyport_cli.stack_names import named

OUTPUTS = {
    "RecordsTable": "records-of-the-stack",
    "SessionsTable": "sessions-of-the-stack",
    "FindingsTable": "findings-of-the-stack",
    "AssumeRoleLogGroup": "log-of-the-stack",
}
OTHERS = {
    "SALLYPORT_RECORDS_TABLE": "another",
    "SALLYPORT_SESSIONS_TABLE": "another",
    "SALLYPORT_FINDINGS_TABLE": "another",
    "SALLYPORT_ASSUME_ROLE_LOG_GROUP": "another",
    "SALLYPORT_CREATE_SESSION_LOG_GROUP": "another",
}


class Cloud:
    """Every client in one: it has nothing, and knows what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def client(self, _name: str) -> "Cloud":
        return self

    def describe_stacks(self, **arguments: Any) -> dict[str, Any]:
        if arguments["StackName"] != "sallyport":
            fault = {"Code": "ValidationError", "Message": f"Stack {arguments['StackName']} does not exist"}
            raise ClientError({"Error": fault}, "DescribeStacks")  # type: ignore[typeddict-item]
        found = [{"OutputKey": name, "OutputValue": value} for name, value in OUTPUTS.items()]
        return {"Stacks": [{"Outputs": found}]}

    def _note(self, **arguments: Any) -> dict[str, Any]:
        self.asked.add(arguments.get("TableName") or arguments["logGroupName"])
        return {}

    get_item = put_item = query = scan = filter_log_events = _note


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (["explain", "0" * 32], {OUTPUTS["RecordsTable"], OUTPUTS["AssumeRoleLogGroup"]}),
        (["trace", "ASIAIOSFODNN7EXAMPLE"], {OUTPUTS["SessionsTable"]}),
        (
            ["trace", "ASIAIOSFODNN7EXAMPLE", "--scan-records"],
            {OUTPUTS["SessionsTable"], OUTPUTS["RecordsTable"]},
        ),
        (["findings"], {OUTPUTS["FindingsTable"]}),
        (["suppress", "FILE"], {OUTPUTS["FindingsTable"]}),
    ],
)
def test_no_name_of_another_stack_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str], asked: set[str]
) -> None:
    file = tmp_path / "suppressions.yaml"
    file.write_text("suppressions: []")
    command = [str(file) if one == "FILE" else one for one in command]
    cloud = Cloud()
    monkeypatch.setattr(cli_aws, "Aws", lambda: cloud)
    CliRunner().invoke(app, [*command, "--stack", "sallyport"], env=OTHERS)
    assert cloud.asked == asked
    done = CliRunner().invoke(app, [*command, "--stack", "nope", "--json"], env=OTHERS)
    assert done.exit_code == 1
    assert json.loads(done.output)["error"]["cure"].startswith("Check the name, the account and the Region")
    assert cloud.asked == asked


def test_without_a_stack_names_are_what_was_given() -> None:
    nobody: Any = SimpleNamespace()
    assert named(nobody, "", {"FindingsTable": "given", "RecordsTable": None}) == {"FindingsTable": "given"}


def test_an_output_that_a_stack_lacks_is_left_out_and_none_at_all_is_an_error() -> None:
    cloud: Any = Cloud()
    given = {"FindingsTable": "given", "CreateSessionLogGroup": "given"}
    assert named(cloud, "sallyport", given) == {"FindingsTable": "findings-of-the-stack"}
    with pytest.raises(CommandError, match="has no output CreateSessionLogGroup"):
        named(cloud, "sallyport", {"CreateSessionLogGroup": "given"})
