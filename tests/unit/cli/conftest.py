"""The command with AWS replaced at boto3's port."""

import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sallyport_cli.main import app
from tests.support.fake_aws import REGION, FakeAws, Run, Write

TRUST_FILE = """
    version: 1
    trust_anchors:
      contoso:
        kind: oidc
        issuer: https://sts.windows.net/3d0af1a2-1111-2222-3333-444455556666/
        dialect: entra
        audiences: ["urn://dev-aws-account-team-a"]
    profiles:
      team-a-reader:
        trust_anchor: contoso
        roles: ["arn:aws:iam::111122223333:role/sallyport/team-a-reader"]
        condition:
          StringEquals: {"token:oid": "b0c1d2e3-1111-2222-3333-444455556666"}
        duration: 30m
"""


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    fake = FakeAws()
    monkeypatch.setattr("boto3.Session", fake)
    # Sourced in many a shell here, and each would change what a command does.
    for name in (
        "REFRESH_FUNCTION",
        "KEYS_TABLE",
        "ASSUME_ROLE_LOG_GROUP",
        "CREATE_SESSION_LOG_GROUP",
        "DEBUG",
    ):
        monkeypatch.delenv(f"SALLYPORT_{name}", raising=False)
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("SALLYPORT_TRUST_TABLE", "trust")
    monkeypatch.setenv("SALLYPORT_RECORDS_TABLE", "records")
    return fake


@pytest.fixture
def run(aws: FakeAws) -> Run:
    runner = CliRunner()

    def run_command(*arguments: str | Path, answer: str | None = None) -> Result:
        return runner.invoke(app, [str(argument) for argument in arguments], input=answer)

    return run_command


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a trust file; replacements are pairs of texts."""

    def write_file(*replacements: tuple[str, str], name: str = "trust.yaml") -> Path:
        text = textwrap.dedent(TRUST_FILE).lstrip()
        for before, after in replacements:
            assert before in text
            text = text.replace(before, after)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_file
