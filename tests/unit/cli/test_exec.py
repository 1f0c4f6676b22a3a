"""``sallyport exec``: a program with credentials, its own exit code and its own signals."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sallyport_cli.exec_environment import SECRETS, WINNING, container, keys, shadowed_by
from tests.support import pki
from tests.support.machine import CA, Machine, until
from tests.support.sessions import session
from tests.support.small_exchange import SECRET, TOKEN, SmallExchange, error

pytestmark = pytest.mark.enable_socket
BOTH = pytest.mark.parametrize("serve", [(), ("--serve",)], ids=["keys", "serve"])
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
ASK = (
    "import botocore.session as b, time; c = b.get_session().get_credentials();"
    "f = c.get_frozen_credentials(); print(c.method, f.access_key, f.secret_key, f.token)"
)


@pytest.fixture
def exchange() -> Iterator[SmallExchange]:
    with SmallExchange(anchor=pki.anchor(CA)) as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path, exchange: SmallExchange) -> Machine:
    return Machine(tmp_path, exchange.url)


def python(*serve: str, code: str) -> tuple[str, ...]:
    return ("exec", "--source", "x509", "--no-cache", *serve, "--", sys.executable, "-c", code)


@BOTH
def test_boto_uses_them_whatever_else_is_there(
    machine: Machine, exchange: SmallExchange, serve: tuple[str, ...]
) -> None:
    (machine.home / ".aws").mkdir()
    (machine.home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = x\n"
    )
    done = machine.run(
        *python(*serve, code=ASK),
        AWS_PROFILE="nobody",
        AWS_ACCESS_KEY_ID="AKIAOTHER",
        AWS_SECRET_ACCESS_KEY="x",
        AWS_ROLE_ARN="arn:x",
        AWS_WEB_IDENTITY_TOKEN_FILE="/nowhere",
    )
    assert done.returncode == 0, done.stderr
    method, key, secret, token = done.stdout.decode().split()
    assert method == ("container-role" if serve else "env")
    assert (key, secret, token) == ("ASIAEXAMPLEEXAMPLE00", SECRET, TOKEN)
    assert len(exchange.requests) == 1


@BOTH
@pytest.mark.parametrize("code", [0, 1, 3, 77])
def test_the_exit_code_is_the_programs(machine: Machine, serve: tuple[str, ...], code: int) -> None:
    assert machine.run(*python(*serve, code=f"raise SystemExit({code})")).returncode == code


@BOTH
@pytest.mark.parametrize(("program", "code"), [("/nowhere/at/all", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_started_ends_as_in_a_shell(
    machine: Machine, serve: tuple[str, ...], program: str, code: int
) -> None:
    done = machine.run("exec", "--source", "x509", "--no-cache", *serve, "--", program)
    assert done.returncode == code
    assert b"cannot be started" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_program_that_a_signal_ended_says_so(machine: Machine) -> None:
    done = machine.run(*python("--serve", code="import os; os.kill(os.getpid(), 9)"))
    assert done.returncode == 128 + 9


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_program(machine: Machine, serve: tuple[str, ...], number: int) -> None:
    code = (
        "import pathlib, signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(42))\n"
        "pathlib.Path('ready').touch()\n"
        "time.sleep(60)\n"
    )
    process = machine.start(*python(*serve, code=code))
    try:
        until((machine.home / "ready").exists)
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == 42
    finally:
        process.kill()


@BOTH
def test_arguments_arrive_as_they_are(machine: Machine, serve: tuple[str, ...]) -> None:
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    done = machine.run(*python(*serve, code=code), "--profile", "a b", "--", "$HOME", "--debug")
    assert json.loads(done.stdout) == ["--profile", "a b", "--", "$HOME", "--debug"]
    # Standard error is the program's own.
    assert done.stderr == b""


@BOTH
def test_a_refused_identity_runs_nothing(
    machine: Machine, exchange: SmallExchange, serve: tuple[str, ...]
) -> None:
    exchange.replies = [error(403, "AccessDeniedException", "no")]
    done = machine.run(*python(*serve, code="open('ran', 'w')"))
    assert done.returncode == 1
    assert b"exchange-1" in done.stderr
    assert not (machine.home / "ran").exists()


@BOTH
def test_the_program_is_not_given_the_key_that_they_were_had_with(
    machine: Machine, serve: tuple[str, ...]
) -> None:
    key = (machine.home / "host.key").read_text()
    done = machine.run(
        *python(*serve, code=SHOW), SALLYPORT_PRIVATE_KEY="", SALLYPORT_PRIVATE_KEY_PEM=key, KEPT="kept"
    )
    found = json.loads(done.stdout)
    assert found["KEPT"] == "kept"
    assert not SECRETS & found.keys()


def test_the_endpoint_is_gone_with_the_program(machine: Machine) -> None:
    done = machine.run(*python("--serve", code=SHOW))
    uri = json.loads(done.stdout)["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    url = urlsplit(uri)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((url.hostname, url.port), 5)


def test_what_would_win_is_taken_away() -> None:
    before = dict.fromkeys(WINNING | SECRETS, "other") | {"PATH": "p", "AWS_REGION": "r"}
    with_keys = keys(before, session())
    assert "other" not in with_keys.values()
    assert with_keys["AWS_ACCESS_KEY_ID"] == session().access_key_id
    with_uri = container(before, "http://127.0.0.1:1/credentials", "t")
    assert with_uri == {
        "PATH": "p",
        "AWS_REGION": "r",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "t",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def test_a_config_file_that_would_win_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "config"
    named = {"AWS_CONFIG_FILE": str(file)}
    assert shadowed_by(named) == ()
    file.write_text("[default]\nregion = eu-central-1\n")
    assert list(shadowed_by(named)) == []
    file.write_text("[default]\ncredential_process = x\n")
    assert "credential_process" in shadowed_by(named)[0]
    file.write_text("no file of that kind")
    assert shadowed_by(named) == ()


def test_without_a_program_it_is_wrong_usage(machine: Machine) -> None:
    assert machine.run("exec", "--source", "x509").returncode == 2


ANOTHER_THREADS_SIGNAL = """
import pathlib, signal, sys, threading, time
from sallyport_cli.exec_child import run_child

def send() -> None:
    while not pathlib.Path("ready").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

threading.Thread(target=send, daemon=True).start()
child = '''
import pathlib, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(42))
pathlib.Path("ready").touch()
time.sleep(60)
'''
sys.exit(run_child([sys.executable, "-c", child], {}))
"""


def test_a_signal_that_another_thread_was_given_reaches_the_program(tmp_path: Path) -> None:
    """As one that comes right before the wait, it wakes nobody by itself."""
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_THREADS_SIGNAL], cwd=tmp_path, timeout=30, check=False
    )
    assert done.returncode == 42
