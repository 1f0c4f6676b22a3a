"""All commands behave alike, and what the documentation says of them is what they are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from sallyport_cli import reference
from sallyport_cli.failure import EXIT_CODES, Exit
from sallyport_cli.main import app
from sallyport_cli.trust_cases import SCHEMA

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TRUST_TEST = (DOCS / "trust-test.md").read_text()

ANOTHER_OUTPUT = {
    "exec": "the program's own output",
    "serve": "credentials go out over HTTP",
    "credential-process": "what it prints is JSON by itself",
}
"""Commands that need no ``--json``, and why."""


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    command = command or get_command(app)
    children = getattr(command, "commands", {})
    if not children:
        yield " ".join(path), command
    for name, one in children.items():
        yield from commands(one, (*path, name))


COMMANDS = dict(commands())


def test_the_reference_is_what_the_command_says_of_itself() -> None:
    assert (DOCS / "command-line.md").read_text() == reference.reference(), reference.ADVICE


def test_the_reference_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reference.reference()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERMINAL_WIDTH", "40")
    monkeypatch.setenv("SALLYPORT_TRUST_TABLE", "somebodys")
    assert reference.reference() == before


def test_a_reference_that_is_not_up_to_date_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reference.md"
    assert reference.main(["--check", str(file)]) == 1
    file.write_text(reference.reference())
    assert reference.main(["--check", str(file)]) == 0
    file.write_text(file.read_text() + "\n")
    assert reference.main(["--check", str(file)]) == 1
    assert reference.ADVICE in capsys.readouterr().out


def test_every_exit_code_is_documented() -> None:
    page = (DOCS / "command-line.md").read_text()
    for code in Exit:
        assert re.search(rf"^\| {int(code)} \| .+ \|$", page, re.MULTILINE), code
        assert str(int(code)) in EXIT_CODES


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_takes_json(name: str) -> None:
    if name.split(maxsplit=1)[0] in ANOTHER_OUTPUT:
        return
    assert any("--json" in one.opts for one in COMMANDS[name].params)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_a_sentence_examples_and_a_meaning_for_each_option(name: str) -> None:
    command = COMMANDS[name]
    assert (command.help or "").strip()
    assert f"  sallyport {name.split(maxsplit=1)[0]}" in (command.epilog or "")
    for one in command.params:
        if one.name != "help":
            assert (one.help or "").strip(), one.name


@pytest.mark.parametrize("name", list(COMMANDS))
def test_an_option_of_one_name_means_the_same_everywhere(name: str) -> None:
    """A table is named by an option and by one variable of the environment."""
    variables = {
        "--keys-table": "SALLYPORT_KEYS_TABLE",
        "--records-table": "SALLYPORT_RECORDS_TABLE",
        "--sessions-table": "SALLYPORT_SESSIONS_TABLE",
        "--table": "SALLYPORT_TRUST_TABLE",
        "--refresh-keys": "SALLYPORT_REFRESH_FUNCTION",
    }
    for one in COMMANDS[name].params:
        for option, variable in variables.items():
            if one.opts[0] == option:
                assert one.envvar == variable


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_help_can_be_shown(name: str) -> None:
    result = CliRunner().invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    result = CliRunner().invoke(app, ["--show-completion", shell], prog_name="sallyport")
    assert result.exit_code == 0
    assert "_SALLYPORT_COMPLETE" in result.stdout


# --- the table of cases -------------------------------------------------------------------------------


def test_the_published_schema_of_cases_is_the_one_that_validates() -> None:
    published = (DOCS / "trust-cases.schema.json").read_text()
    assert published == CliRunner().invoke(app, ["trust", "schema", "--cases"]).stdout, (
        "write it anew: sallyport trust schema --cases > docs/trust-cases.schema.json"
    )
    assert json.loads(published) == SCHEMA


def test_the_example_of_the_documentation_passes_strictly(tmp_path: Path) -> None:
    trust, cases = re.findall(r"```yaml\n(.*?)```", TRUST_TEST, re.DOTALL)
    (tmp_path / "trust.yaml").write_text(trust)
    (tmp_path / "cases.yaml").write_text(cases)
    result = CliRunner().invoke(app, ["trust", "test", str(tmp_path / "cases.yaml"), "--strict", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert 2 * found["refusals"] >= found["passed"]


@pytest.mark.parametrize("part", ["identity", "case"])
def test_every_field_of_a_case_stands_in_the_documentation(part: str) -> None:
    for field in SCHEMA["$defs"][part]["properties"]:
        assert f"`{field}`" in TRUST_TEST, field


def test_everything_that_can_be_expected_stands_in_the_documentation() -> None:
    for field in SCHEMA["$defs"]["expect"]["properties"]["granted"]["properties"]:
        assert f"`{field}`" in TRUST_TEST, field
