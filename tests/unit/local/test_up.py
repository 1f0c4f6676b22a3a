"""What `make up`, `make down` and `make deploy` say and write, without starting anything."""

import io
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from local import aws, env, paths
from local.cloud import Cloud
from local.deploy import Deployment
from local.paths import ROOT, State
from local.progress import LocalCloudError, Progress


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr(paths, "LOCAL", tmp_path)
    monkeypatch.setattr("local.cloud.HOME", tmp_path / "home")
    state = State("up")
    state.folder.mkdir(parents=True)
    (state.folder / "identity-header").write_text("secret")
    return Cloud(
        state,
        {"aws": 1, "proxy": 2, "faults": 3, "entra": 4, "front-door": 5, "front-door-tls": 6, "lists": 7},
    )


DEPLOYMENT = Deployment(
    {"RefreshKeysFunction": "refresh", "TrustTable": "trust"},
    "http://127.0.0.1:1/v1",
    "https://127.0.0.1:6/v1",
)


def test_a_workload_gets_the_addresses_and_a_token_file_but_no_key(cloud: Cloud) -> None:
    found = env.workload_variables(cloud, DEPLOYMENT)
    assert found["AWS_ENDPOINT_URL_STS"] == found["SALLYPORT_ENDPOINT"] == "http://127.0.0.1:1/v1"
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert found["AWS_WEB_IDENTITY_TOKEN_FILE"] == str(cloud.state.workload_token_file)
    assert "AWS_ACCESS_KEY_ID" not in found
    assert "SALLYPORT_TRUST_TABLE" not in found
    assert "LOCAL_APP_SERVICE_HEADER" not in found


def test_the_path_is_absolute_and_the_shells_own_stays_behind_it(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text(f"{env.PATH_LINE}\n")
    done = subprocess.run(
        ["sh", "-c", f'PATH="/a b:/c"; . {file}; echo "$PATH"'], capture_output=True, text=True, check=True
    )
    programs = f"{ROOT}/.venv/bin:{ROOT}/.local/awscli/bin"
    assert done.stdout == f"{programs}:/a b:/c\n"


def test_a_shell_that_has_the_settings_is_told_which_and_another_one_nothing(cloud: Cloud) -> None:
    cloud.state.env_file.write_text(
        "export AWS_ENDPOINT_URL=http://127.0.0.1:1\nexport AWS_REGION=us-east-1\n"
    )
    sourced = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "us-east-1", "AWS_PROFILE": "mine"}
    assert env.exported_here(cloud.state, sourced) == ["AWS_ENDPOINT_URL", "AWS_REGION"]
    assert env.exported_here(cloud.state, {**sourced, "AWS_REGION": "eu-central-1"}) == ["AWS_ENDPOINT_URL"]
    assert env.exported_here(cloud.state, {"AWS_REGION": "us-east-1"}) == []
    cloud.state.env_file.unlink()
    assert env.exported_here(cloud.state, sourced) == []


def test_sentences_are_folded_on_a_terminal_and_whole_in_a_pipe() -> None:
    text = "  " + "word " * 20 + "end"
    for terminal in (True, False):
        out = io.StringIO()
        Progress(Console(file=out, force_terminal=terminal, width=40, soft_wrap=True, highlight=False)).say(
            text
        )
        lines = out.getvalue().splitlines()
        assert all(line.startswith("    word") or line == "    end" for line in lines)
        assert (max(map(len, lines)) <= 40) is terminal
        assert (len(lines) > 1) is terminal


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.mark.usefixtures("nobody")
def test_a_deployment_without_region_or_credentials_ends_before_it_builds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(aws, "_sam", lambda arguments: ran.append(list(arguments)) or 0)
    monkeypatch.setattr(aws, "_publish", lambda _told: ran.append(["publish"]) or 0)
    assert aws.main(["deploy"]) == 1
    assert "No Region is configured; type: export AWS_REGION=<region>" in capsys.readouterr().err
    assert aws.main(["deploy", "--region", "eu-central-1"]) == 1
    assert "No AWS credentials" in capsys.readouterr().err
    assert aws.main(["deploy", "--profile", "nobody"]) == 1
    assert "nobody" in capsys.readouterr().err
    assert ran == []
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert aws.main(["deploy", "--config-env", "prod", "--guided"]) == 0
    assert ran == [
        ["build", "--config-env", "prod"],
        ["deploy", "--config-env", "prod", "--guided"],
        ["publish"],
    ]


@pytest.mark.usefixtures("nobody")
def test_the_region_of_samconfig_counts() -> None:
    with pytest.raises(LocalCloudError, match="credentials"):
        aws.check_account(aws._options(["--config-env", "local"]))
