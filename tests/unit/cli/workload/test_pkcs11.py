"""A key that stays in a token: a real one, of software, if this machine has SoftHSM."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sallyport.model import Secret
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.workload.config import Settings
from sallyport_cli.workload.sources import pkcs11, x509
from tests.support import pki
from tests.support.key_files import pem, private_pem
from tests.support.small_exchange import SECRET, SmallExchange

pytestmark = pytest.mark.enable_socket

PIN = "4711-pin"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
MODULE = next((one for one in MODULES if Path(one).exists()), None)
HOLDERS = {"rsa-2048": "01", "p-256": "02", "p-384": "03", "p-521": "04"}

needs_token = pytest.mark.skipif(
    MODULE is None or shutil.which("softhsm2-util") is None, reason="there is no SoftHSM on this machine"
)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with certificates, whose keys are in a token; its library is configured once."""
    pytest.importorskip("pkcs11")
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    run = ("softhsm2-util", "--token", "hosts", "--pin", PIN)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "hosts", "--pin", PIN, "--so-pin", "so-pin-1"],
        check=True,
        capture_output=True,
    )
    for kind, number in HOLDERS.items():
        holder = pki.leaf(kind=kind)
        (folder / f"{kind}.pem").write_bytes(pem(holder))
        (folder / "key").write_bytes(private_pem(holder))
        subprocess.run(
            [*run, "--import", str(folder / "key"), "--label", kind, "--id", number],
            check=True,
            capture_output=True,
        )
    (folder / "key").unlink()
    (folder / "pin").write_text(f"{PIN}\n")
    return folder


def settings(folder: Path, url: str, kind: str = "p-256", **more: str) -> Settings:
    values = {
        "endpoint": url,
        "role-arn": pki.ROLE_ARN,
        "trust-anchor-arn": pki.ANCHOR_ARN,
        "profile-arn": pki.PROFILE_ARN,
        "certificate": str(folder / f"{kind}.pem"),
        "private-key": f"pkcs11:token=hosts;object={kind};type=private",
        "private-key-password-file": str(folder / "pin"),
        "pkcs11-module": str(MODULE),
    }
    values |= {name.replace("_", "-"): value for name, value in more.items()}
    return Settings("x509", {name: value for name, value in values.items() if value})


def issue(wanted: Settings) -> str:
    found = x509.issue(wanted, attempts=1, clock=lambda: pki.NOW, trace=lambda _text: None)
    return found.secret_access_key.reveal()


def refused(wanted: Settings) -> CommandError:
    with pytest.raises(CommandError) as caught:
        issue(wanted)
    assert PIN not in f"{caught.value} {caught.value.cure}"
    return caught.value


@needs_token
@pytest.mark.parametrize("kind", HOLDERS)
def test_a_request_signed_in_the_token_verifies(token: Path, kind: str) -> None:
    with SmallExchange(clock=lambda: pki.NOW) as server:
        assert issue(settings(token, server.url, kind)) == SECRET
        number = settings(token, server.url, kind, private_key=f"pkcs11:id=%{HOLDERS[kind]};token=hosts")
        assert issue(number) == SECRET
    assert len(server.identities) == 2


@needs_token
def test_another_keys_certificate_is_refused(token: Path) -> None:
    wanted = settings(token, "https://a.example", "p-256", certificate=str(token / "p-384.pem"))
    assert refused(wanted).reason == "key-mismatch"


@needs_token
def test_a_wrong_pin_is_tried_once(token: Path, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("wrong-pin")
    wanted = settings(token, "https://a.example", private_key_password_file=str(tmp_path / "pin"))
    assert refused(wanted).reason == "pin-wrong"
    with SmallExchange(clock=lambda: pki.NOW) as server:
        assert issue(settings(token, server.url)) == SECRET


@needs_token
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("pkcs11:token=hosts;object=nobody", "pkcs11-not-found"),
        ("pkcs11:token=others;object=p-256", "pkcs11-not-found"),
        ("pkcs11:token=hosts;id=%77", "pkcs11-not-found"),
        ("pkcs11:token=hosts;object=p-256;id=%01", "pkcs11-not-found"),
    ],
)
def test_a_key_that_is_not_there(token: Path, uri: str, reason: str) -> None:
    assert refused(settings(token, "https://a.example", private_key=uri)).reason == reason


@needs_token
def test_without_the_pin_the_key_is_not_seen(token: Path) -> None:
    wanted = settings(token, "https://a.example", private_key_password_file="")
    assert refused(wanted).reason in {"pkcs11-not-found", "pkcs11-failed"}


@needs_token
def test_a_library_that_is_none(token: Path, tmp_path: Path) -> None:
    (tmp_path / "module.so").write_text("nothing")
    wanted = settings(token, "https://a.example", pkcs11_module=str(tmp_path / "module.so"))
    assert refused(wanted).reason == "pkcs11-failed"


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:",
        "pkcs11:token=a",
        "pkcs11:object=a",
        "pkcs11:token=a;token=b;object=c",
        "pkcs11:token=a;object=c;x-new=1",
        "pkcs11:token=a;object=c;type=cert",
        "pkcs11:token=a;object",
        "pkcs11:token=%ff;object=c",
        f"pkcs11:token=a;object=c?pin-value={PIN}",
        "pkcs11:token=a;object=c?module-path=/tmp/x.so",
    ],
)
def test_uris_that_are_not_understood(uri: str) -> None:
    with pytest.raises(CommandError) as caught:
        pkcs11.parse_uri(uri)
    assert caught.value.exit_code is Exit.USAGE
    assert PIN not in str(caught.value)


def test_what_a_uri_says() -> None:
    found = pkcs11.parse_uri("pkcs11:token=my%20token;serial=1;id=%01%ff;object=host")
    assert found.token == (("label", "my token"), ("serial", "1"))
    assert (found.label, found.key_id) == ("host", b"\x01\xff")


def test_without_its_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    key = pkcs11.parse_uri("pkcs11:token=a;object=b")
    with pytest.raises(CommandError, match="python-pkcs11"):
        pkcs11.signer(tmp_path / "module.so", key, Secret(PIN), "RSA")


def test_the_certificate_is_needed_as_a_file(tmp_path: Path) -> None:
    wanted = settings(
        tmp_path, "https://a.example", certificate="", private_key_password_file="", pkcs11_module="x"
    )
    with pytest.raises(CommandError, match="--certificate") as caught:
        x509.identity_of(wanted, pki.NOW)
    assert caught.value.exit_code is Exit.USAGE
