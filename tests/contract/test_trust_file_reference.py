"""The trust file's published schema and reference say what the code does."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sallyport.proof.subject import SPECIFIERS
from sallyport.trust.conditions import OPERATORS
from sallyport.trust.issuers import shared
from sallyport.trust.limits import MAX_AUTHORITIES, MAX_BUNDLE_BYTES, MAX_CRLS, MAX_ITEM_BYTES
from sallyport.trust.schema import SCHEMA
from sallyport_cli.main import app
from sallyport_cli.strict_yaml import MAX_DEPTH, MAX_FILE_BYTES, MAX_VALUES, parse
from tests.support.trust_files import compiled

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
    parsed = parse(EXAMPLES[number].encode())
    assert not parsed.problems
    trust = compiled(parsed.document)
    assert trust.anchors
    assert any(key.startswith("role#") for key in trust.items)


def test_the_reference_has_an_example_for_each_promised_issuer_and_for_certificates() -> None:
    promised = (
        "sts.windows.net",
        "token.actions.githubusercontent.com",
        "cluster-a",
        "gitlab.com",
        "cognito-idp",
    )
    for anchor in (*promised, "kind: x509"):
        assert any(anchor in example for example in EXAMPLES), anchor


@pytest.mark.parametrize("part", ["oidc", "x509", "profile", "user_pool", "pool_client", "pool_tag"])
def test_every_field_stands_in_the_reference(part: str) -> None:
    for field in SCHEMA["$defs"][part]["properties"]:
        assert f"| `{field}` |" in REFERENCE, field


def test_every_part_of_a_name_stands_in_the_reference() -> None:
    listed = ", ".join(sorted(SPECIFIERS.values()))
    assert listed in REFERENCE.replace("\n", " ")


def test_every_condition_operator_stands_in_the_reference() -> None:
    for operator in (*OPERATORS, "Null", "IfExists", "ForAnyValue:", "ForAllValues:"):
        assert f"`{operator}`" in REFERENCE, operator


def test_the_limits_of_the_reference_are_those_of_the_code() -> None:
    assert f"{MAX_FILE_BYTES // 2**20} MiB, {MAX_DEPTH} levels, {MAX_VALUES:,} values" in REFERENCE
    assert f"At most {MAX_AUTHORITIES} certificates" in REFERENCE
    assert f"{MAX_BUNDLE_BYTES:,} bytes in a file and {MAX_ITEM_BYTES:,} as stored" in REFERENCE
    assert f"at most {MAX_CRLS} of both" in REFERENCE


def test_every_command_of_the_reference_exists() -> None:
    for command in set(re.findall(r"`sallyport ((?:trust )?[a-z][a-z-]+)", REFERENCE)):
        assert CliRunner().invoke(app, [*command.split(), "--help"]).exit_code == 0, command


def test_the_issuers_that_the_reference_calls_shared_are_known() -> None:
    for host in ("token.actions.githubusercontent.com", "gitlab.com", "accounts.google.com"):
        known = shared(host)
        assert known is not None
        assert known.title.removesuffix(".com").lower() in REFERENCE.lower()
