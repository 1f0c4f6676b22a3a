"""Tokens of a user pool: what is asked, where the secrets come from, and a refresh token that is replaced."""

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from sallyport.model import Secret
from sallyport_cli.failure import CommandError
from sallyport_cli.workload.config import Settings
from sallyport_cli.workload.problem import ExchangeError
from sallyport_cli.workload.sources import cognito
from tests.support import loopback

pytestmark = pytest.mark.enable_socket

CLIENT = "1example23456789"
SECRET = "a/secret+of=the%client"


class Pool(loopback.Server):
    """A token endpoint that answers with what it is told to."""

    def __init__(self) -> None:
        super().__init__(lambda _connection: None)
        self.says({"access_token": "access-1", "expires_in": 3600, "token_type": "Bearer"})

    def says(self, document: Any, status: str = "200 OK") -> None:
        self.behaviour = loopback.answer(json.dumps(document).encode(), status=status)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool() as running:
        yield running


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the bodies that are sent: the server reads headers alone."""
    sent: list[bytes] = []
    real = cognito.post

    def post(address: Any, headers: Any, body: bytes, tls: Any) -> Any:
        sent.append(body)
        return real(address, headers, body, tls)

    monkeypatch.setattr(cognito, "post", post)
    return sent


def token(pool: Pool, told: list[str] | None = None, **more: str) -> Secret:
    values = {"client-id": CLIENT, "token-endpoint": f"http://127.0.0.1:{pool.port}/oauth2/token"}
    values |= {name.replace("_", "-"): value for name, value in more.items()}
    return cognito.token(Settings("cognito", values), (told if told is not None else []).append)


def form(body: bytes) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(body.decode()).items()}


def authorization(pool: Pool) -> str:
    lines = pool.requests[-1].decode().split("\r\n")
    (found,) = [line for line in lines if line.lower().startswith("authorization: basic ")]
    return base64.b64decode(found.split()[-1]).decode()


def test_an_app_client_itself(pool: Pool, asked: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    told: list[str] = []
    found = token(pool, told, client_secret_file=str(tmp_path / "secret"), scope="files/read files/write")
    assert found.reveal() == "access-1"
    assert form(asked[0]) == {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "scope": "files/read files/write",
    }
    # RFC 6749 §2.3.1
    assert authorization(pool) == f"{CLIENT}:a%2Fsecret%2Bof%3Dthe%25client"
    assert not any(SECRET in one or "access-1" in one for one in told)


def test_the_secret_from_the_environment(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALLYPORT_CLIENT_SECRET", "plain")
    token(pool)
    assert authorization(pool) == f"{CLIENT}:plain"


def test_without_a_secret_nobody_is_asked(pool: Pool) -> None:
    with pytest.raises(ExchangeError, match="no secret") as caught:
        token(pool)
    assert caught.value.kind == "local"
    assert pool.requests == []


def test_a_user_by_refresh_token(pool: Pool, asked: list[bytes], tmp_path: Path) -> None:
    file = tmp_path / "refresh"
    file.write_text("refresh-1\n")
    pool.says({"access_token": "access-1", "id_token": "id-1"})
    assert token(pool, refresh_token_file=str(file)).reveal() == "id-1"
    assert token(pool, refresh_token_file=str(file), token_use="access").reveal() == "access-1"
    assert form(asked[0]) == {
        "grant_type": "refresh_token",
        "client_id": CLIENT,
        "refresh_token": "refresh-1",
    }
    assert file.read_text() == "refresh-1\n"


def test_a_refresh_token_that_the_pool_replaces_is_kept(pool: Pool, tmp_path: Path) -> None:
    file = tmp_path / "refresh"
    file.write_text("refresh-1")
    pool.says({"id_token": "id-1", "refresh_token": "refresh-2"})
    token(pool, refresh_token_file=str(file))
    assert file.read_text() == "refresh-2\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["refresh"]


def test_a_replaced_refresh_token_that_cannot_be_kept_is_said(pool: Pool, tmp_path: Path) -> None:
    file = tmp_path / "refresh"
    file.write_text("refresh-1")
    pool.says({"id_token": "id-1", "refresh_token": "réfresh"})
    with pytest.raises(ExchangeError, match="replaced the refresh token") as caught:
        token(pool, refresh_token_file=str(file))
    assert "réfresh" not in str(caught.value)
    assert file.read_text() == "refresh-1"
    assert [one.name for one in tmp_path.iterdir()] == ["refresh"]


@pytest.mark.parametrize(
    ("status", "document", "kind", "word"),
    [
        ("400 Bad", {"error": "invalid_grant"}, "denied", "sign in again"),
        ("400 Bad", {"error": "invalid_client"}, "denied", "--client-id"),
        ("400 Bad", {"error": 1}, "local", "--token-endpoint"),
        ("404 Not", ["x"], "local", "--token-endpoint"),
        ("302 Found", {}, "local", "--token-endpoint"),
        ("429 Slow", {}, "throttled", "minute"),
        ("500 No", {}, "server", "minute"),
        ("200 OK", {"access_token": "a"}, "local", "openid"),
        ("200 OK", {"id_token": ""}, "local", "openid"),
        ("200 OK", {"id_token": ["x"]}, "local", "openid"),
    ],
)
def test_whatever_the_pool_says_ends_in_a_sentence(
    pool: Pool, tmp_path: Path, status: str, document: Any, kind: str, word: str
) -> None:
    (tmp_path / "refresh").write_text("refresh-1")
    pool.says(document, status)
    with pytest.raises(ExchangeError) as caught:
        token(pool, refresh_token_file=str(tmp_path / "refresh"))
    assert caught.value.kind == kind
    assert word in caught.value.cure
    assert "refresh-1" not in f"{caught.value} {caught.value.cure}"


@pytest.mark.parametrize("use", ["", "ID", "refresh"])
def test_uses_that_do_not_exist(pool: Pool, tmp_path: Path, use: str) -> None:
    (tmp_path / "refresh").write_text("refresh-1")
    pool.says({"id_token": "id-1"})
    if not use:
        assert token(pool, refresh_token_file=str(tmp_path / "refresh"), token_use=use)
        return
    with pytest.raises(ExchangeError, match="--token-use"):
        token(pool, refresh_token_file=str(tmp_path / "refresh"), token_use=use)


def test_an_app_client_has_no_id_token(pool: Pool) -> None:
    with pytest.raises(ExchangeError, match="access tokens alone"):
        token(pool, token_use="id")


@pytest.mark.parametrize("content", [b"\n", b"\xff", b"", b"\x07"])
def test_what_is_no_secret_is_not_sent(pool: Pool, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(CommandError):
        token(pool, client_secret_file=str(tmp_path / "secret"))
    assert pool.requests == []


def test_a_secret_does_not_travel_in_the_open(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALLYPORT_CLIENT_SECRET", "plain")
    with pytest.raises(CommandError, match="Without TLS"):
        token(pool, token_endpoint="http://pool.example.com/oauth2/token")
