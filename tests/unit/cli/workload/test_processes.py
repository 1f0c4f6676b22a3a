"""The command as AWS's tools start it: many at once, killed half-way, on a full disk, with secrets."""

import json
import os
import random
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import botocore.session
import pytest

from sallyport_cli.workload.entry import load
from tests.support.token_exchange import (
    BROKEN,
    DENIED,
    HTML,
    SECRET,
    SESSION_TOKEN,
    Reply,
    TokenExchange,
    refusal,
    token,
)

pytestmark = pytest.mark.enable_socket

ROOT = Path(__file__).parents[4]
CANARY = "canary-signature-that-nobody-may-see"
Done = subprocess.CompletedProcess[bytes]


@dataclass
class Shell:
    """Starts the command with a home of its own."""

    home: Path
    exchange: TokenExchange

    @property
    def token_file(self) -> Path:
        return self.home / "token"

    @property
    def cache(self) -> Path:
        return self.home / ".cache" / "sallyport"

    def arguments(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "sallyport_cli", "credential-process", "token-file", *more]

    def environment(self, **variables: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'cli'}:{ROOT / 'layers' / 'sallyport'}",
            "HOME": str(self.home),
            "SALLYPORT_ENDPOINT": self.exchange.url,
            "SALLYPORT_ROLE_ARN": "arn:aws:iam::111122223333:role/sallyport/reader",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token_file),
        } | variables

    def start(self, *more: str, **variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.arguments(*more),
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *more: str, before: Callable[[], None] | None = None, **variables: str) -> Done:
        return subprocess.run(
            self.arguments(*more),
            env=self.environment(**variables),
            capture_output=True,
            check=False,
            timeout=60,
            preexec_fn=before,
        )

    def kept(self) -> list[Path]:
        return sorted(self.cache.glob("*.session"))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with TokenExchange() as exchange:
        one = Shell(tmp_path, exchange)
        one.token_file.write_text(token({"iss": "https://issuer", "sub": "somebody"}, CANARY))
        yield one


def sentence(done: Done) -> str:
    """Return the one sentence with which a call failed."""
    assert done.returncode == 1
    assert done.stdout == b""
    told = done.stderr.decode()
    assert "Traceback" not in told
    lines = told.splitlines()
    assert 1 <= len(lines) <= 2
    return lines[0]


def key(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["AccessKeyId"])


def at_once(shell: Shell, number: int) -> list[Done]:
    """Run so many calls, none of which is answered before all of them ask or wait."""
    shell.exchange.gate = threading.Event()
    files = [shell.home / f"stderr-{place}" for place in range(number)]
    running = []
    for file in files:
        with file.open("wb") as stream:
            running.append(
                subprocess.Popen(
                    shell.arguments("--debug"),
                    env=shell.environment(),
                    stdout=subprocess.PIPE,
                    stderr=stream,
                )
            )
    until = time.monotonic() + 40
    while time.monotonic() < until:
        told = [file.read_text() for file in files]
        if all("waiting" in one or "attempt" in one for one in told):
            break
        time.sleep(0.05)
    shell.exchange.gate.set()
    outs = [one.communicate(timeout=60)[0] for one in running]
    return [
        Done(one.args, one.returncode, out, file.read_bytes())
        for one, out, file in zip(running, outs, files, strict=True)
    ]


def test_awss_own_library_reads_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (shell.home / "aws").write_text(
        f"[profile reader]\ncredential_process = {shlex.join(shell.arguments())}\n"
    )
    for name, value in shell.environment(AWS_CONFIG_FILE=str(shell.home / "aws")).items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.delenv("AWS_WEB_IDENTITY_TOKEN_FILE")
    monkeypatch.setenv("SALLYPORT_TOKEN_FILE", str(shell.token_file))
    for _ in range(2):
        found = botocore.session.Session(profile="reader").get_credentials()
        assert found is not None
        assert found.get_frozen_credentials().secret_key == SECRET
        assert found.method == "custom-process"
    assert shell.exchange.asked == 1


def test_twenty_first_calls_are_one_exchange(shell: Shell) -> None:
    ended = at_once(shell, 20)
    assert [one.returncode for one in ended] == [0] * 20
    assert len({one.stdout for one in ended}) == 1
    assert shell.exchange.asked == 1


def test_calls_for_a_short_session_share_what_they_wait_for(shell: Shell) -> None:
    shell.exchange.lasting = timedelta(minutes=15)
    ended = at_once(shell, 6)
    assert len({key(one) for one in ended}) == 1
    assert shell.exchange.asked == 1
    assert key(shell.run()).endswith("2")


@pytest.mark.parametrize(("reply", "requests"), [(BROKEN, 3), (DENIED, 1)])
def test_calls_that_fail_share_their_failure(shell: Shell, reply: Reply, requests: int) -> None:
    shell.exchange.always = reply
    ended = at_once(shell, 6)
    assert {one.returncode for one in ended} == {1}
    assert {one.stdout for one in ended} == {b""}
    assert len({tuple(one.stderr.splitlines()[-2:]) for one in ended}) == 1
    assert shell.exchange.asked == requests


def test_whoever_is_killed_half_way_leaves_nothing_half_written(shell: Shell) -> None:
    chance = random.Random(8)  # noqa: S311 - for moments
    shell.exchange.delay = 0.05
    for _ in range(12):
        one = shell.start()
        time.sleep(chance.uniform(0.05, 0.7))
        one.send_signal(signal.SIGKILL)
        one.communicate(timeout=10)
        for file in shell.kept():
            assert load(file.read_bytes(), file.stem) is not None
    done = shell.run()
    assert json.loads(done.stdout)["SecretAccessKey"] == SECRET
    assert done.stderr == b""


def test_whoever_waits_for_one_that_is_killed_goes_on_at_once(shell: Shell) -> None:
    shell.exchange.delay = 20
    first = shell.start()
    while shell.exchange.asked == 0:
        time.sleep(0.02)
    second = shell.start()
    time.sleep(0.5)
    shell.exchange.delay = 0
    first.kill()
    first.communicate(timeout=10)
    out, _ = second.communicate(timeout=15)
    assert json.loads(out)["AccessKeyId"].endswith("2")


@pytest.mark.parametrize("limit", [0, 200])
def test_a_full_disk_is_a_warning_and_not_a_file(shell: Shell, limit: int) -> None:
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = shell.run(before=no_room)
    assert key(done).endswith("1")
    assert b"cannot be kept" in done.stderr
    assert b"Traceback" not in done.stderr
    assert shell.kept() == []
    assert list(shell.cache.glob("*.new")) == []


@pytest.mark.parametrize("cached", [False, True])
def test_a_full_standard_output_is_a_sentence(shell: Shell, *, cached: bool) -> None:
    if cached:
        shell.run()
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            shell.arguments(), env=shell.environment(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") <= 2


def test_without_a_home_that_can_be_written_it_still_works(shell: Shell) -> None:
    done = shell.run(HOME="/proc/nowhere")
    assert key(done).endswith("1")
    assert done.stderr.count(b"\n") == 1


def test_nothing_is_kept_if_nothing_is_to_be_kept(shell: Shell) -> None:
    shell.run("--no-cache")
    assert not shell.cache.exists()
    shell.run()
    assert key(shell.run("--no-cache")).endswith("3")


def test_a_token_that_ended_between_two_calls(shell: Shell) -> None:
    first = key(shell.run())
    shell.exchange.always = refusal(400, "InvalidIdentityToken", "The identity token could not be accepted.")
    assert key(shell.run()) == first
    told = sentence(shell.run("--no-cache"))
    assert "ex-refused" in told


@pytest.mark.parametrize("reply", [HTML, DENIED, BROKEN, (200, b""), (404, b"<html>")])
def test_an_error_is_a_sentence_with_the_exchange(shell: Shell, reply: Reply) -> None:
    shell.exchange.always = reply
    assert "exchange ex-" in sentence(shell.run())


def test_an_endpoint_that_is_down_is_a_sentence(shell: Shell) -> None:
    assert "127.0.0.1:9 cannot be reached" in sentence(shell.run("--endpoint", "http://127.0.0.1:9"))


@pytest.mark.parametrize(
    "content",
    ["", "two words", "line\nline", "tökén", "\x00", 'Bearer "x"', pytest.param("x" * 30_000, id="too long")],
)
def test_what_is_no_token_is_not_sent(shell: Shell, content: str) -> None:
    shell.token_file.write_text(content)
    told = sentence(shell.run())
    assert shell.exchange.asked == 0
    assert "x" * 100 not in told


def test_microsofts_library_says_nothing_besides(shell: Shell) -> None:
    command = [*shell.arguments()[:-1], "azure", "--audience", "api://a"]
    environment = shell.environment(AZURE_POD_IDENTITY_AUTHORITY_HOST="http://127.0.0.1:9")
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert sentence(done) == "No managed identity answers on this machine."


def test_debug_never_prints_a_secret(shell: Shell) -> None:
    for _ in range(2):
        done = shell.run("--debug")
        told = done.stderr.decode()
        assert key(done)
        assert told
        for secret in (CANARY, SECRET, SESSION_TOKEN, shell.token_file.read_text()):
            assert secret not in told
    assert "from the cache" in told


def test_a_corrupt_configuration_is_a_sentence(shell: Shell) -> None:
    file = shell.home / ".config" / "sallyport" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[profiles.default\n")
    done = shell.run()
    assert done.returncode == 2
    assert b"is not TOML" in done.stderr
    assert done.stdout == b""


def test_a_profile_says_what_is_not_said(shell: Shell) -> None:
    file = shell.home / ".config" / "sallyport" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(
        '[profiles.reader]\nsource = "token-file"\nsession-duration = 1800\ntoken-file = "../../token"\n'
    )
    done = shell.run("--profile", "reader", AWS_WEB_IDENTITY_TOKEN_FILE="")
    assert key(done).endswith("1")
    assert shell.exchange.bodies[0]["durationSeconds"] == 1800
    assert key(shell.run("--profile", "reader", AWS_WEB_IDENTITY_TOKEN_FILE="")).endswith("1")
    assert key(shell.run("--profile", "reader", "--session-duration", "900")).endswith("2")
    assert shell.exchange.bodies[1]["durationSeconds"] == 900


def test_a_cached_call_imports_next_to_nothing(shell: Shell) -> None:
    file = shell.home / ".config" / "sallyport" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[profiles.reader]\nsource = "token-file"\n')
    shell.run("--profile", "reader")
    command = shell.arguments("--profile", "reader")
    command[1:1] = ["-X", "importtime"]
    done = subprocess.run(command, env=shell.environment(), capture_output=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert json.loads(done.stdout)["SecretAccessKey"] == SECRET
    assert "sallyport_cli.workload.fast" in imported
    assert not imported & {
        "typer", "click", "rich", "boto3", "cryptography", "dataclasses", "pathlib", "tomllib", "hashlib",
        "ssl", "socket", "http.client", "sallyport", "sallyport.model", "sallyport_cli.main",
    }  # fmt: skip
