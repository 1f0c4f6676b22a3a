"""Tokens of a user pool: what is asked, where the secrets come from, and a refresh token that is replaced."""

import base64
import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

import pytest

from sallyport.model import Secret
from sallyport_cli.failure import CommandError
from sallyport_cli.workload.config import Settings
from sallyport_cli.workload.problem import ExchangeError
from sallyport_cli.workload.sources import cognito

pytestmark = pytest.mark.enable_socket

CLIENT = "1example23456789"
SECRET = "a/secret+of=the%client"


class Pool:
    """A token endpoint that answers with what it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.says({"access_token": "access-1", "expires_in": 3600, "token_type": "Bearer"})

    def says(self, document: Any, status: int = 200) -> None:
        self.answer = status, json.dumps(document).encode()

    def __enter__(self) -> Self:
        pool = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                pool.requests.append((headers, self.rfile.read(int(headers["content-length"]))))
                status, content = pool.answer
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool() as running:
        yield running


def token(pool: Pool, told: list[str] | None = None, **more: str) -> Secret:
    values = {"client-id": CLIENT, "token-endpoint": f"http://127.0.0.1:{pool.port}/oauth2/token"}
    values |= {name.replace("_", "-"): value for name, value in more.items()}
    return cognito.token(Settings("cognito", values), (told if told is not None else []).append)


def form(pool: Pool) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(pool.requests[-1][1].decode()).items()}


def authorization(pool: Pool) -> str:
    scheme, _, pair = pool.requests[-1][0]["authorization"].partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(pair).decode()


def test_an_app_client_itself(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    told: list[str] = []
    found = token(pool, told, client_secret_file=str(tmp_path / "secret"), scope="files/read files/write")
    assert found.reveal() == "access-1"
    assert form(pool) == {
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


def test_a_user_by_refresh_token(pool: Pool, tmp_path: Path) -> None:
    file = tmp_path / "refresh"
    file.write_text("refresh-1\n")
    pool.says({"access_token": "access-1", "id_token": "id-1"})
    assert token(pool, refresh_token_file=str(file)).reveal() == "id-1"
    assert token(pool, refresh_token_file=str(file), token_use="access").reveal() == "access-1"
    assert form(pool) == {
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
        (400, {"error": "invalid_grant"}, "denied", "sign in again"),
        (400, {"error": "invalid_client"}, "denied", "--client-id"),
        (400, {"error": 1}, "local", "--token-endpoint"),
        (404, ["x"], "local", "--token-endpoint"),
        (302, {}, "local", "--token-endpoint"),
        (429, {}, "throttled", "minute"),
        (500, {}, "server", "minute"),
        (200, {"access_token": "a"}, "local", "openid"),
        (200, {"id_token": ""}, "local", "openid"),
        (200, {"id_token": ["x"]}, "local", "openid"),
    ],
)
def test_whatever_the_pool_says_ends_in_a_sentence(  # noqa: PLR0913, PLR0917 - columns of a table
    pool: Pool, tmp_path: Path, status: int, document: Any, kind: str, word: str
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
        assert token(pool, refresh_token_file=str(tmp_path / "refresh"), token_use=use).reveal() == "id-1"
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
