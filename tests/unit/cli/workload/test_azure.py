"""Tokens of managed identities, through Microsoft's library against the local Entra and worse servers."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from local.entra import Entra
from local.entra_directory import AUDIENCE, READER, STRANGER, WEB_SHOP, WRITER, ManagedIdentity
from local.loopback import Server
from sallyport.model import Secret
from sallyport_cli.workload.config import Settings
from sallyport_cli.workload.marks import key_of, marks
from sallyport_cli.workload.problem import ExchangeError
from sallyport_cli.workload.sources import azure
from tests.support import loopback

pytestmark = [pytest.mark.enable_socket, pytest.mark.filterwarnings("ignore::ResourceWarning")]

HEADER = "only-the-app-knows"


@pytest.fixture
def entra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(0, Entra(tmp_path / "keys", HEADER))
    server.start()
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", server.url)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    # Microsoft's own pauses between tries are long.
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    monkeypatch.setattr(azure, "READ_TIMEOUT", 0.3)


def token(**more: str) -> Secret:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return azure.token(Settings("azure", {"audience": AUDIENCE} | named), lambda _text: None)


def claims(found: Secret) -> dict[str, object]:
    return dict(jwt.decode(found.reveal(), options={"verify_signature": False}))


def refused(**more: str) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        token(**more)
    return caught.value


@pytest.mark.usefixtures("entra")
def test_a_machines_identity() -> None:
    found = claims(token())
    assert (found["aud"], found["oid"]) == (AUDIENCE, READER.object_id)


@pytest.mark.usefixtures("entra")
def test_scope_and_resource_are_the_same_audience() -> None:
    assert claims(token(audience=f"{AUDIENCE}/.default"))["aud"] == AUDIENCE


@pytest.fixture
def several(entra: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"{entra.url}/vm/many")


@pytest.mark.usefixtures("several")
def test_several_identities_and_none_named_is_a_sentence() -> None:
    error = refused()
    assert error.reason == "identity-ambiguous"
    assert error.kind == "local"
    assert "none was named" in error.detail
    assert "--client-id" in error.cure


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("selector", ["client_id", "object_id", "mi_res_id"])
@pytest.mark.parametrize("identity", [STRANGER, WRITER])
def test_the_identity_that_is_named_is_the_one(selector: str, identity: ManagedIdentity) -> None:
    attribute = {"mi_res_id": "own_resource"}.get(selector, selector)
    assert claims(token(**{selector: getattr(identity, attribute)}))["oid"] == identity.object_id


@pytest.mark.usefixtures("several")
def test_naming_it_twice_is_refused_before_anybody_is_asked() -> None:
    error = refused(client_id=WRITER.client_id, object_id=STRANGER.object_id)
    assert error.reason == "identity-ambiguous"
    assert "--client-id and --object-id" in error.detail


@pytest.mark.usefixtures("several")
def test_an_identity_that_is_not_there_is_a_denial() -> None:
    error = refused(client_id="00000000-0000-4000-8000-000000000000")
    assert error.kind == "denied"
    assert "status 400" in error.detail


@pytest.mark.usefixtures("entra")
def test_an_audience_that_is_not_there_is_a_denial() -> None:
    error = refused(audience="api://nobody")
    assert error.kind == "denied"
    assert "--audience" in error.cure


def test_app_service(entra: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{entra.url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", HEADER)
    assert claims(token())["oid"] == WEB_SHOP.object_id
    assert claims(token(mi_res_id=str(WRITER.own_resource)))["oid"] == WRITER.object_id
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    assert refused().kind == "denied"


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (loopback.answer(b"<html>", status="200 OK"), "local"),
        (loopback.answer(b'{"error": "busy"}', status="503 Busy"), "server"),
        (loopback.answer(b"", status="500 No"), "server"),
        (loopback.answer(b'{"error": "slow down"}', status="429 Slow"), "throttled"),
        (loopback.answer(b'{"error": "gone"}', status="410 Gone"), "unreachable"),
        (loopback.raw(b"nonsense"), "unreachable"),
        (loopback.raw(b""), "unreachable"),
    ],
)
def test_whatever_answers_ends_in_a_sentence(
    behaviour: loopback.Behaviour,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with loopback.Server(behaviour) as server:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{server.port}")
        assert refused().kind == kind
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("variable", ["AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT"])
def test_an_answer_that_was_cut_off_does_not_show_its_token(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback.Server(loopback.answer(b'{"access_token": "not-to-be-seen", "expires_on": "17')) as server:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{server.port}")
        if variable == "IDENTITY_ENDPOINT":
            monkeypatch.setenv("IDENTITY_HEADER", HEADER)
        error = refused()
    assert (error.reason, error.kind) == ("azure-foreign", "local")
    assert "not-to-be-seen" not in f"{error.detail} {error.cure} {error.more}"


def test_a_machine_without_identities_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{port}")
    error = refused()
    assert (error.reason, error.kind) == ("azure-unreachable", "unreachable")
    assert error.is_temporary


def test_one_that_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert refused().kind == "unreachable"


def test_without_microsofts_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    error = refused()
    assert error.reason == "azure-missing"
    assert "sallyport[azure]" in error.cure


def test_the_variables_that_choose_an_identity_are_part_of_the_key() -> None:
    one = Settings("azure", {"audience": AUDIENCE})
    keys = {
        key_of(one, marks(one, environment))
        for environment in (
            {},
            {"IDENTITY_ENDPOINT": "http://127.0.0.1:1"},
            {"AZURE_CLIENT_ID": "a", "AZURE_FEDERATED_TOKEN_FILE": "/t"},
            {"AZURE_CLIENT_ID": "b", "AZURE_FEDERATED_TOKEN_FILE": "/t"},
            {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:2"},
        )
    }
    assert len(keys) == 5
    secret = {"IDENTITY_HEADER": "a secret", "MSI_SECRET": "another"}
    assert marks(one, secret) == marks(one, {})


def test_two_machines_that_share_a_home_are_two_identities(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Settings("azure", {"audience": AUDIENCE})
    here = marks(one, {})
    monkeypatch.setattr("sallyport_cli.workload.marks._BOOT", "/proc/self/comm")
    assert marks(one, {}) != here
