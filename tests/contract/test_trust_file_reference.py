"""The trust file's published schema and reference say what the code does."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sallyport.trust.conditions import OPERATORS
from sallyport.trust.issuers import shared
from sallyport.trust.schema import SCHEMA
from sallyport_cli.main import app
from sallyport_cli.strict_yaml import MAX_DEPTH, MAX_FILE_BYTES, MAX_VALUES
from sallyport_cli.trust_file import Place, check

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "trust-file.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)


def test_the_published_schema_is_the_one_that_validates() -> None:
    published = (ROOT / "docs" / "trust.schema.json").read_text()
    assert published == CliRunner().invoke(app, ["trust", "schema"]).stdout, (
        "write it anew: sallyport trust schema > docs/trust.schema.json"
    )
    assert json.loads(published) == SCHEMA


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_of_the_reference_is_a_valid_trust_file(number: int) -> None:
    checked = check(
        EXAMPLES[number].encode(), path="example", place=Place(account="111122223333", region="eu-central-1")
    )
    assert checked.compiled.anchors
    assert any(key.startswith("role#") for key in checked.compiled.items)


def test_the_reference_has_an_example_for_each_promised_issuer() -> None:
    for issuer in ("sts.windows.net", "token.actions.githubusercontent.com", "cluster-a", "gitlab.com"):
        assert any(issuer in example for example in EXAMPLES), issuer


@pytest.mark.parametrize("part", ["oidc", "profile"])
def test_every_field_stands_in_the_reference(part: str) -> None:
    for field in SCHEMA["$defs"][part]["properties"]:
        assert f"| `{field}` |" in REFERENCE, field


def test_every_condition_operator_stands_in_the_reference() -> None:
    for operator in (*OPERATORS, "Null", "IfExists", "ForAnyValue:", "ForAllValues:"):
        assert f"`{operator}`" in REFERENCE, operator


def test_the_limits_of_the_reference_are_those_of_the_code() -> None:
    assert f"{MAX_FILE_BYTES // 2**20} MiB, {MAX_DEPTH} levels, {MAX_VALUES:,} values" in REFERENCE


def test_every_command_of_the_reference_exists() -> None:
    for command in set(re.findall(r"`sallyport ((?:trust )?[a-z]+)", REFERENCE)):
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0, command


def test_the_issuers_that_the_reference_calls_shared_are_known() -> None:
    for host in ("token.actions.githubusercontent.com", "gitlab.com", "accounts.google.com"):
        known = shared(host)
        assert known is not None
        assert known.title.removesuffix(".com").lower() in REFERENCE.lower()
