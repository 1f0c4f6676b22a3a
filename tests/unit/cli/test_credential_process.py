"""``sallyport credential-process x509``, as a shell runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support import loopback, pki
from tests.support.key_files import container, pem, private_pem
from tests.support.small_exchange import SECRET, TOKEN, SmallExchange, error

ROOT = Path(__file__).parents[3]
Command = Callable[..., subprocess.CompletedProcess[bytes]]

# The command reads the real clock, so its certificates are of today.
_DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(microsecond=0)
CA = pki.authority("Root of today", begins=TODAY - _DAY, ends=TODAY + _DAY)
HOLDER = pki.leaf(CA, begins=TODAY - _DAY, ends=TODAY + _DAY)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "host.pem").write_bytes(pem(HOLDER))
    (tmp_path / "host.key").write_bytes(private_pem(HOLDER))
    (tmp_path / "host.key").chmod(0o600)
    return tmp_path


@pytest.fixture
def server() -> Iterator[SmallExchange]:
    with SmallExchange(anchor=pki.anchor(CA)) as running:
        yield running


@pytest.fixture
def command(files: Path, server: SmallExchange) -> Command:
    def run(
        *arguments: str, given: bytes = b"", pair: bool = True, endpoint: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "SALLYPORT_", "PYTHON", "XDG_"))
        }
        environment |= {
            "PYTHONPATH": f"{ROOT / 'cli'}:{ROOT / 'layers' / 'sallyport'}",
            "HOME": str(files / "home"),
            "SALLYPORT_ENDPOINT": endpoint or server.url,
            "SALLYPORT_TRUST_ANCHOR_ARN": pki.ANCHOR_ARN,
            "SALLYPORT_PROFILE_ARN": pki.PROFILE_ARN,
            "SALLYPORT_ROLE_ARN": pki.ROLE_ARN,
        }
        if pair:
            environment |= {
                "SALLYPORT_CERTIFICATE": str(files / "host.pem"),
                "SALLYPORT_PRIVATE_KEY": str(files / "host.key"),
            }
        return subprocess.run(
            [sys.executable, "-m", "sallyport_cli", "credential-process", "x509", *arguments],
            env=environment | variables,
            input=given,
            capture_output=True,
            check=False,
            timeout=60,
        )

    return run


def credentials(done: subprocess.CompletedProcess[bytes]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == {
        "Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AccountId",
    }  # fmt: skip
    return dict(found)


def test_it_prints_what_aws_reads(command: Command) -> None:
    done = command()
    found = credentials(done)
    assert found["Version"] == 1
    assert found["SecretAccessKey"] == SECRET
    assert found["AccountId"] == "111122223333"
    assert datetime.fromisoformat(str(found["Expiration"])).tzinfo is not None
    assert done.stderr == b""


def test_options_beat_variables(command: Command, server: SmallExchange) -> None:
    credentials(command("--session-duration", "900", SALLYPORT_SESSION_DURATION="1800"))
    assert json.loads(server.requests[0].body)["durationSeconds"] == 900


def test_the_key_from_standard_input(command: Command, files: Path) -> None:
    done = command("--private-key", "-", given=(files / "host.key").read_bytes())
    credentials(done)


def test_the_pair_from_the_environment(command: Command) -> None:
    credentials(
        command(
            pair=False,
            SALLYPORT_CERTIFICATE_PEM=pem(HOLDER).decode(),
            SALLYPORT_PRIVATE_KEY_PEM=private_pem(HOLDER).decode(),
        )
    )


def test_an_encrypted_key_with_its_password_in_a_file(command: Command, files: Path) -> None:
    (files / "host.key").write_bytes(private_pem(HOLDER, password=b"correct horse"))
    (files / "password").write_text("correct horse\n")
    credentials(command("--private-key-password-file", str(files / "password")))
    credentials(command(SALLYPORT_PRIVATE_KEY_PASSWORD="correct horse"))
    assert command("--no-cache").returncode == 1


def test_a_container(command: Command, files: Path) -> None:
    (files / "host.p12").write_bytes(container(HOLDER, CA, password=b"correct horse"))
    credentials(
        command(
            "--pkcs12", str(files / "host.p12"), pair=False, SALLYPORT_PRIVATE_KEY_PASSWORD="correct horse"
        )
    )
    assert command("--pkcs12", str(files / "host.p12")).returncode == 2


def test_over_tls_with_the_bundle_of_awss_own_tools(files: Path, command: Command) -> None:
    authority = loopback.authority()
    (files / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    tls = authority.server_context(files, "127.0.0.1")
    with SmallExchange(anchor=pki.anchor(CA), tls=tls) as server:
        credentials(command(endpoint=server.url + "/v1", AWS_CA_BUNDLE=str(files / "ca.pem")))
        assert command(endpoint=server.url).returncode == 1


def test_a_refusal_is_one_sentence_with_its_exchange_and_a_next_step(
    command: Command, server: SmallExchange
) -> None:
    server.replies = [error(403, "AccessDeniedException", f"Unable to assume role for {pki.ROLE_ARN}")]
    done = command()
    assert done.returncode == 1
    assert done.stdout == b""
    sentence, cure = done.stderr.decode().splitlines()
    assert "Unable to assume role" in sentence
    assert "exchange-1" in sentence
    assert cure.endswith("sallyport explain exchange-1")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--endpoint", "http://exchange.example.com"], 2),
        (["--role-arn", "nobody"], 2),
        (["--session-duration", "x"], 2),
        (["--certificate", "none.pem"], 1),
        (["--endpoint", "http://127.0.0.1:9"], 1),
    ],
)
def test_exit_codes_are_those_of_every_command(command: Command, arguments: list[str], code: int) -> None:
    done = command(*arguments)
    assert done.returncode == code
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


def test_half_a_pair_is_wrong_usage(command: Command) -> None:
    done = command(pair=False, SALLYPORT_CERTIFICATE_PEM=pem(HOLDER).decode())
    assert done.returncode == 2
    assert b"--private-key" in done.stderr


def test_debug_shows_everything_but_secrets(command: Command, files: Path, server: SmallExchange) -> None:
    (files / "host.key").write_bytes(private_pem(HOLDER, password=b"correct horse"))
    server.replies = [error(503, "ServiceUnavailableException", "later")]
    done = command("--debug", SALLYPORT_PRIVATE_KEY_PASSWORD="correct horse")
    credentials(done)
    told = done.stderr.decode()
    assert "attempt 2" in told
    assert "CN=host.example.com" in told
    signature = server.requests[0].headers["authorization"][0].rpartition("=")[2]
    for secret in (SECRET, TOKEN, signature, "correct horse", "PRIVATE"):
        assert secret not in told


def test_a_key_that_everybody_can_read_is_a_warning(command: Command, files: Path) -> None:
    (files / "host.key").chmod(0o644)
    done = command()
    credentials(done)
    assert b"chmod 600" in done.stderr


def test_without_anything_it_says_what_is_missing(command: Command) -> None:
    done = command(pair=False, SALLYPORT_ENDPOINT="")
    assert done.returncode == 2
    assert b"SALLYPORT_ENDPOINT" in done.stderr or b"--endpoint" in done.stderr
