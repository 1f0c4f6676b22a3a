"""The one transport towards AWS: verified, bounded, patient for a stated time, and without redirects."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography.hazmat.primitives import serialization

from sallyport.adapters import http
from sallyport.adapters.http import MAX_RESPONSE_BYTES, NetworkError, TimeLimits, pooled_transport
from tests.support.loopback import Server, answer, authority, drip, endless, raw

LIMITS = TimeLimits(connect=0.5, read=0.5)


@pytest.fixture(autouse=True)
def _closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A pool lives as long as its function; a test's must not leave sockets to the tests after it."""
    made: list[urllib3.PoolManager] = []
    real = urllib3.PoolManager

    def pool_manager(*arguments: Any, **named: Any) -> urllib3.PoolManager:
        made.append(real(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(urllib3, "PoolManager", pool_manager)
    yield
    for one in made:
        one.clear()


def send(url: str, limits: TimeLimits = LIMITS) -> http.HttpResponse:
    return pooled_transport()("POST", url, {"X-A": "b"}, b"", limits)


def test_status_and_body_come_back() -> None:
    with Server(answer(b"{}", status="400 Bad Request")) as server:
        found = send(f"http://127.0.0.1:{server.port}/path")
    assert (found.status, found.body) == (400, b"{}")
    assert server.requests[0].startswith(b"POST /path HTTP/1.1\r\n")
    assert "{}" not in repr(found)


def test_a_server_that_nobody_vouches_for_is_told_nothing(tmp_path: Path) -> None:
    tls = authority().server_context(tmp_path, "localhost", "127.0.0.1")
    with Server(answer(b"{}"), tls=tls) as server, pytest.raises(NetworkError):
        send(f"https://localhost:{server.port}/")
    assert server.requests == []


def _trusting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(authority().certificate.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setattr(http, "_ca_bundle", lambda: str(bundle))


def test_a_server_with_somebody_elses_name_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _trusting(monkeypatch, tmp_path)
    tls = authority().server_context(tmp_path, "sts.attacker.example")
    with Server(answer(b"{}"), tls=tls) as server, pytest.raises(NetworkError):
        send(f"https://localhost:{server.port}/")
    assert server.requests == []


def test_a_server_that_is_vouched_for_is_spoken_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _trusting(monkeypatch, tmp_path)
    tls = authority().server_context(tmp_path, "localhost")
    with Server(answer(b"{}"), tls=tls) as server:
        assert send(f"https://localhost:{server.port}/").status == 200


def test_no_redirect_is_followed() -> None:
    with Server(answer(b"elsewhere")) as other:
        to = f"Location: http://127.0.0.1:{other.port}/\r\n"
        with Server(answer(b"", status="307 Temporary Redirect", headers=to)) as server:
            assert send(f"http://127.0.0.1:{server.port}/").status == 307
    assert other.requests == []


@pytest.mark.timeout(30)
def test_silence_ends_with_the_time_limit() -> None:
    stop = threading.Event()
    with Server(drip(b"", b"late", stop, seconds=60)) as server:
        with pytest.raises(NetworkError):
            send(f"http://127.0.0.1:{server.port}/", TimeLimits(0.5, 0.2))
        stop.set()


def test_nobody_there_is_no_answer() -> None:
    with Server(answer(b"")) as server:
        port = server.port
    with pytest.raises(NetworkError):
        send(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        pytest.param(b"\x00\xff" * 50, id="bytes"),
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
)
def test_nonsense_is_no_answer(nonsense: bytes) -> None:
    with Server(raw(nonsense)) as server, pytest.raises(NetworkError):
        send(f"http://127.0.0.1:{server.port}/")


def test_an_endless_answer_is_cut_off() -> None:
    flood = endless(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 65_536)
    with Server(flood) as server, pytest.raises(NetworkError) as failure:
        send(f"http://127.0.0.1:{server.port}/", TimeLimits(1, 5))
    assert failure.value.reason == "answer-too-large"


def test_what_is_left_of_a_large_answer_is_not_the_next_one() -> None:
    big = b"x" * (MAX_RESPONSE_BYTES + 10)
    with Server(answer(big)) as server:
        transport = pooled_transport(connections=1)
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(NetworkError):
            transport("POST", url, {}, b"", TimeLimits(1, 5))
        server.behaviour = answer(b'{"good": 1}')
        assert transport("POST", url, {}, b"", TimeLimits(1, 5)).body == b'{"good": 1}'


def test_the_bundle_is_botocores() -> None:
    assert Path(http._ca_bundle()).read_text().count("BEGIN CERTIFICATE") > 50
