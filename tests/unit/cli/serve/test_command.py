"""``sallyport serve`` as a process: what it prints, how it starts without an endpoint, and how it stops."""

import json
import shlex
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.credentials import ContainerProvider, InstanceMetadataProvider
from botocore.exceptions import CredentialRetrievalError
from botocore.utils import InstanceMetadataFetcher

from tests.support import pki
from tests.support.machine import CA, Machine, until
from tests.support.small_exchange import SECRET, TOKEN, SmallExchange, error, session

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def exchange() -> Iterator[SmallExchange]:
    with SmallExchange(anchor=pki.anchor(CA)) as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path, exchange: SmallExchange) -> Machine:
    return Machine(tmp_path, exchange.url)


@contextmanager
def serving(machine: Machine, *arguments: str, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    process = machine.start("serve", "--source", "x509", "--port", "0", *arguments, **changes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def exports(process: subprocess.Popen[bytes], count: int = 2) -> dict[str, str]:
    assert process.stdout is not None
    lines = [process.stdout.readline().decode() for _ in range(count)]
    words = [shlex.split(line) for line in lines]
    assert all(one[:1] == ["export"] for one in words), lines
    return {name: value for name, _, value in (one[1].partition("=") for one in words)}


def test_what_it_prints_is_what_clients_need(machine: Machine, exchange: SmallExchange) -> None:
    with serving(machine) as process:
        said = exports(process)
        assert ContainerProvider(said).load().secret_key == SECRET
        token = Path(said["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
        for _ in range(3):
            ContainerProvider(said).load()
    assert len(exchange.requests) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_stops_cleanly(machine: Machine, number: int) -> None:
    with serving(machine, "--ready-file", "ready") as process:
        said = exports(process)
        assert (machine.home / "ready").read_text().splitlines() == [
            f"export {name}={value}" for name, value in said.items()
        ]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert out == b""
        assert not Path(said["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).parent.exists()
        assert not (machine.home / "ready").exists()
        assert b"Traceback" not in err


def test_a_token_file_where_one_wants_it(machine: Machine) -> None:
    with serving(machine, "--authorization-file", "token", "--bind", "::1") as process:
        said = exports(process)
        assert said["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] == str(machine.home / "token")
        assert said["AWS_CONTAINER_CREDENTIALS_FULL_URI"].startswith("http://[::1]:")
        assert ContainerProvider(said).load().token == TOKEN


def test_as_an_instance_only_if_asked(machine: Machine) -> None:
    with serving(machine) as process:
        base = exports(process)["AWS_CONTAINER_CREDENTIALS_FULL_URI"].removesuffix("/credentials")
        assert InstanceMetadataProvider(InstanceMetadataFetcher(base_url=base, env={})).load() is None
    with serving(machine, "--imds", "--json") as process:
        assert process.stdout is not None
        text = b""
        while not text.endswith(b"}\n}\n"):
            text += process.stdout.readline()
        base = json.loads(text)["environment"]["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
        found = InstanceMetadataProvider(InstanceMetadataFetcher(base_url=base, env={})).load()
        assert found is not None
        assert found.get_frozen_credentials().secret_key == SECRET


def test_a_denied_identity_ends_it_at_the_start(machine: Machine, exchange: SmallExchange) -> None:
    exchange.replies = [error(403, "AccessDeniedException", "no")]
    with serving(machine, "--ready-file", "ready") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == b""
    assert b"exchange-1" in err
    assert not (machine.home / "ready").exists()


def test_an_endpoint_that_is_away_is_waited_for(
    machine: Machine, exchange: SmallExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.RETRY_ATTEMPTS", 1)
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    exchange.replies = [error(503, "ServiceUnavailableException", "later")] * 9
    with serving(machine, "--ready-file", "ready") as process:
        said = exports(process)
        assert not (machine.home / "ready").exists()
        with pytest.raises(CredentialRetrievalError, match="503"):
            ContainerProvider(said).load()
        until((machine.home / "ready").exists)
        assert ContainerProvider(said).load().secret_key == SECRET
    assert len(exchange.requests) >= 9


def test_a_session_that_is_at_its_end_is_not_served(machine: Machine, exchange: SmallExchange) -> None:
    exchange.replies = [session(datetime.now(UTC) + timedelta(seconds=8))]
    with serving(machine) as process:
        said = exports(process)
        until(lambda: len(exchange.requests) > 1)
        found = until(lambda: ContainerProvider(said).load())
        assert found._expiry_time > datetime.now(UTC) + timedelta(minutes=50)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--imds", "--bind", "192.0.2.1"),
        ("--bind", "0.0.0.0"),  # noqa: S104 - which is refused
        ("--bind", "::"),
        ("--bind", "localhost"),
        ("--private-key", "-"),
        ("--source", "nobody"),
    ],
    ids=" ".join,
)
def test_what_would_not_be_safe_is_wrong_usage(machine: Machine, arguments: tuple[str, ...]) -> None:
    with serving(machine, *arguments) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == b""
    assert b"Traceback" not in err


def test_an_address_elsewhere_is_warned_of(machine: Machine) -> None:
    with serving(machine, "--bind", "192.0.2.1") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"unencrypted" in err
    assert b"Cannot listen" in err


def test_debug_tells_no_secret(machine: Machine) -> None:
    with serving(machine, "--debug") as process:
        said = exports(process)
        token = Path(said["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read_text()
        ContainerProvider(said).load()
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert b"GET /credentials: 200" in err
    for secret in (SECRET, TOKEN, token):
        assert secret.encode() not in err
