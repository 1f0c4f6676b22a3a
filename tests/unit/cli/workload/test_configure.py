"""``sallyport configure`` and ``sallyport logout``, as they are typed."""

import json
import os
import shlex
import stat
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from typer.testing import CliRunner, Result

from sallyport_cli.main import app
from sallyport_cli.workload.cache import Cache
from sallyport_cli.workload.request import make_wish
from tests.support.token_exchange import ROLE, TokenExchange, token

pytestmark = pytest.mark.enable_socket

Run = Callable[..., Result]
AZURE = ("--endpoint", "https://a.example/v1", "--role-arn", ROLE, "--audience", "api://a")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(app, [*words])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / ".config" / "sallyport" / "config.toml"


@pytest.fixture
def aws(tmp_path: Path) -> Path:
    return tmp_path / ".aws" / "config"


def profiles(file: Path) -> dict[str, Any]:
    return dict(tomllib.loads(file.read_text())["profiles"])


def process(profile: str) -> list[str]:
    """Return the command that botocore would run for a profile."""
    session = botocore.session.Session(profile=profile)
    return shlex.split(session.get_scoped_config()["credential_process"])


def test_both_files_are_written_for_their_owner_alone(run: Run, config: Path, aws: Path) -> None:
    before = os.umask(0)
    try:
        done = run("configure", "azure", "--profile", "reader", *AZURE)
    finally:
        os.umask(before)
    assert done.exit_code == 0, done.output
    assert profiles(config) == {
        "reader": {
            "source": "azure",
            "endpoint": "https://a.example/v1",
            "role-arn": ROLE,
            "audience": "api://a",
        }
    }
    assert process("reader")[1:] == ["credential-process", "azure", "--profile", "reader"]
    assert Path(process("reader")[0]).is_absolute()
    for file in (config, aws):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_what_is_there_is_kept(run: Run, config: Path, aws: Path) -> None:
    config.parent.mkdir(parents=True)
    config.write_text('# mine\n[profiles.other]\nsource = "x509"  # why\n')
    aws.parent.mkdir()
    aws.write_text("[default]\nregion = eu-central-1\n\n[profile reader]\n# mine too\nregion = eu-west-1\n")
    aws.chmod(0o644)
    assert run("configure", "azure", "--profile", "reader", *AZURE).exit_code == 0
    assert config.read_text().startswith('# mine\n[profiles.other]\nsource = "x509"  # why\n')
    session = botocore.session.Session(profile="reader")
    assert session.get_scoped_config()["region"] == "eu-west-1"
    assert "# mine too" in aws.read_text()
    assert stat.S_IMODE(aws.stat().st_mode) == 0o644


def test_paths_work_from_anywhere(
    run: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(
        "configure", "token-file", "--endpoint", "https://a.example", "--role-arn", ROLE,
        "--token-file", "tokens/mine", "--session-duration", "900",
    )  # fmt: skip
    assert profiles(config)["default"]["token-file"] == str(tmp_path / "tokens" / "mine")
    assert profiles(config)["default"]["session-duration"] == 900
    assert process("default")[-2:] == ["--profile", "default"]


def test_nothing_is_replaced_without_being_asked_to(run: Run, config: Path, aws: Path) -> None:
    run("configure", "azure", "--profile", "reader", *AZURE)
    before = config.read_text(), aws.read_text()
    changed = ("configure", "azure", "--profile", "reader", *AZURE, "--client-id", "c")
    done = run(*changed)
    assert done.exit_code == 1
    assert "profile reader" in done.output
    assert (config.read_text(), aws.read_text()) == before
    assert run("configure", "azure", "--profile", "reader", *AZURE).exit_code == 0
    told = json.loads(run(*changed, "--yes", "--json").output)
    assert told["replaced"] == [f"profile reader in {config}"]
    assert profiles(config)["reader"]["client-id"] == "c"


def test_another_process_is_not_replaced_without_being_asked_to(run: Run, config: Path, aws: Path) -> None:
    aws.parent.mkdir()
    aws.write_text("[profile reader]\ncredential_process = something else\n")
    assert run("configure", "azure", "--profile", "reader", *AZURE).exit_code == 1
    assert not config.exists()
    assert run("configure", "azure", "--profile", "reader", *AZURE, "--no-aws").exit_code == 0
    assert process("reader") == ["something", "else"]
    assert run("configure", "azure", "--profile", "reader", *AZURE, "--yes").exit_code == 0
    assert process("reader")[1] == "credential-process"


def test_the_file_that_aws_is_told_to_use(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "elsewhere"))
    run("configure", "azure", "--profile", "reader", "--aws-profile", "work", *AZURE)
    assert (tmp_path / "elsewhere").read_text().startswith("[profile work]\ncredential_process = /")


def test_a_link_stays_a_link(run: Run, tmp_path: Path, aws: Path) -> None:
    (tmp_path / "dotfiles").write_text("[default]\nregion = eu-central-1\n")
    aws.parent.mkdir()
    aws.symlink_to(tmp_path / "dotfiles")
    run("configure", "azure", "--profile", "reader", *AZURE)
    assert aws.is_symlink()
    assert "credential_process" in (tmp_path / "dotfiles").read_text()


@pytest.mark.parametrize("setting", ["role_arn = x", "sso_session = x", "web_identity_token_file = x"])
def test_what_aws_would_look_at_first_is_said(run: Run, aws: Path, setting: str) -> None:
    aws.parent.mkdir()
    aws.write_text(f"[profile reader]\n{setting}\n")
    told = json.loads(run("configure", "azure", "--profile", "reader", *AZURE, "--json").output)
    assert setting.split(maxsplit=1)[0] in told["notes"][0]


def test_keys_that_aws_would_take_first_are_said(run: Run, aws: Path) -> None:
    aws.parent.mkdir()
    aws.with_name("credentials").write_text("[other]\nx = 1\n[reader]\naws_access_key_id = a\n")
    told = json.loads(run("configure", "azure", "--profile", "reader", *AZURE, "--json").output)
    assert "keys of reader" in told["notes"][0]
    assert json.loads(run("configure", "azure", "--profile", "b", *AZURE, "--json").output)["notes"] == []


@pytest.mark.parametrize(
    "words",
    [
        ("azure", "--endpoint", "https://a.example"),
        ("azure", *AZURE, "--profile", "a b"),
        ("azure", *AZURE, "--profile", "a]"),
        ("azure", *AZURE, "--aws-profile", "x\ny"),
        ("azure", *AZURE, "--role-session-name", "a\nb"),
        ("azure", *AZURE, "--session-duration", "soon"),
    ],
)
def test_wrong_usage_writes_nothing(run: Run, config: Path, aws: Path, words: tuple[str, ...]) -> None:
    done = run("configure", *words)
    assert done.exit_code == 2
    assert not config.exists()
    assert not aws.exists()


@pytest.mark.parametrize(
    "text",
    [
        "profiles = {reader = {source = 'azure'}}\n",
        'profiles.reader.source = "azure"\n',
        "[profiles]\nreader = {source = 'azure'}\n",
        "not toml\n",
        '[profiles.other]\nsource = "azure"\naudience = """\n[profiles.reader]\n[x]"""\n',
    ],
)
def test_a_file_of_another_make_is_left_alone(run: Run, config: Path, text: str) -> None:
    config.parent.mkdir(parents=True)
    config.write_text(text)
    done = run("configure", "azure", "--profile", "reader", *AZURE, "--yes")
    assert done.exit_code in {1, 2}
    assert config.read_text() == text
    assert "Traceback" not in done.output


def test_a_full_disk_leaves_what_was_there(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("configure", "azure", *AZURE)
    before = config.read_text()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = run("configure", "azure", *AZURE, "--client-id", "c", "--yes")
    assert done.exit_code == 1
    assert "No space left" in done.output
    assert config.read_text() == before
    assert len(list(config.parent.iterdir())) == 1


# --- logout ----------------------------------------------------------------------------------------


@pytest.fixture
def kept(run: Run, tmp_path: Path, config: Path) -> Path:
    """Keep credentials of two roles, one of them the profile reader's."""
    (tmp_path / "token").write_text(token({"sub": "x"}))
    folder = tmp_path / ".cache" / "sallyport"
    folder.parent.mkdir()
    with TokenExchange(lasting=timedelta(hours=1)) as exchange:
        for role in (ROLE, f"{ROLE}-2"):
            flags = exchange.settings(tmp_path / "token") | {"role-arn": role}
            Cache(folder).obtain(make_wish("token-file", flags, {}), lambda: datetime.now(UTC))
        run(
            "configure", "token-file", "--profile", "reader", "--endpoint", exchange.url, "--role-arn", ROLE,
            "--token-file", str(tmp_path / "token"),
        )  # fmt: skip
    return folder


def sessions(folder: Path) -> int:
    return len(list(folder.glob("*.session")))


def test_a_profile_is_logged_out_even_when_its_token_is_gone(run: Run, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "token").unlink()
    done = run("logout", "--profile", "reader")
    assert done.exit_code == 0
    assert ROLE in done.output
    assert sessions(kept) == 1


def test_a_role_is_logged_out(run: Run, kept: Path) -> None:
    told = json.loads(run("logout", "--role-arn", f"{ROLE}-2", "--json").output)
    assert [one["role-arn"] for one in told["deleted"]] == [f"{ROLE}-2"]
    assert sessions(kept) == 1


def test_everything_is_logged_out(run: Run, kept: Path) -> None:
    (kept / "broken.session").write_text("x")
    (kept / "half.new").write_text("x")
    (kept / "link.session").symlink_to(kept.parent)
    (kept / "mine.txt").write_text("not ours")
    assert run("logout", "--all").exit_code == 0
    assert [one.name for one in kept.iterdir()] == ["mine.txt"]
    assert kept.parent.exists()


def test_without_anything_named_nothing_is_deleted(run: Run, kept: Path) -> None:
    assert run("logout").exit_code == 2
    assert run("logout", "--profile", "nobody").exit_code == 2
    assert run("logout", "--all", "--profile", "reader").exit_code == 2
    assert sessions(kept) == 2


def test_somebody_elses_folder_is_not_looked_into(run: Run, kept: Path) -> None:
    kept.chmod(0o755)
    assert run("logout", "--all").exit_code == 1
    assert sessions(kept) == 2


def test_where_nothing_is_kept_there_is_nothing_to_do(run: Run) -> None:
    assert run("logout", "--all").exit_code == 0
