"""The endpoint's sockets, with AWS's own clients and with those that nobody wants."""

import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import botocore.session
import pytest
from botocore.credentials import ContainerProvider, InstanceMetadataProvider
from botocore.exceptions import CredentialRetrievalError
from botocore.utils import InstanceMetadataFetcher

from sallyport.model import Secret
from sallyport_cli.failure import CommandError
from sallyport_cli.serve import server as servers
from sallyport_cli.serve.answers import ROLES_PATH, Answers
from sallyport_cli.serve.holder import Holder
from sallyport_cli.serve.metadata_tokens import MetadataTokens
from sallyport_cli.serve.server import Server
from tests.support.sessions import Obtain, refused, session
from tests.support.small_sts import small_sts

TOKEN = "t0ken-t0ken"
AWS = Path(__file__).parents[4] / ".local" / "awscli" / "bin" / "aws"
KEY = session(1).access_key_id

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def obtain() -> Obtain:
    return Obtain()


@pytest.fixture
def holder(obtain: Obtain) -> Iterator[Holder]:
    one = Holder(obtain)
    one.first()
    one.start()
    yield one
    one.stop()


@pytest.fixture
def traced() -> list[str]:
    return []


@pytest.fixture
def answers(holder: Holder) -> Answers:
    return Answers(
        credentials=holder.credentials,
        authorization=Secret(TOKEN),
        metadata_tokens=MetadataTokens(),
        role_name="reader",
    )


@pytest.fixture(params=["127.0.0.1", "::1"])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(answers: Answers, address: str, traced: list[str]) -> Iterator[Server]:
    with Server(answers, addresses=[address], trace=traced.append) as running:
        yield running


def url(server: Server, address: str) -> str:
    return f"http://[{address}]:{server.port}" if ":" in address else f"http://{address}:{server.port}"


def variables(server: Server, address: str) -> dict[str, str]:
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url(server, address)}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN,
    }


# --- clients that there are


def test_botocore_reads_it_as_a_containers(server: Server, address: str, tmp_path: Path) -> None:
    found = ContainerProvider(variables(server, address)).load()
    assert found.access_key == KEY
    assert found.token == session(1).session_token.reveal()
    assert found.account_id == "111122223333"
    file = tmp_path / "token"
    file.write_text(TOKEN)
    named = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url(server, address)}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file),
    }
    assert ContainerProvider(named).load().access_key == KEY


def test_botocore_reads_it_as_an_instances(server: Server, address: str, traced: list[str]) -> None:
    fetcher = InstanceMetadataFetcher(base_url=url(server, address), env={})
    found = InstanceMetadataProvider(fetcher).load()
    assert found is not None
    assert found.access_key == KEY
    assert [line.partition(":")[0] for line in traced] == [
        "PUT /latest/api/token",
        f"GET {ROLES_PATH}/",
        f"GET {ROLES_PATH}/reader",
    ]


def test_a_wrong_token_gets_nothing(
    server: Server, address: str, monkeypatch: pytest.MonkeyPatch, obtain: Obtain
) -> None:
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    for wrong in ("", TOKEN + "x", f"Bearer {TOKEN}"):
        with pytest.raises(CredentialRetrievalError, match="401"):
            ContainerProvider(
                variables(server, address) | {"AWS_CONTAINER_AUTHORIZATION_TOKEN": wrong}
            ).load()
    assert obtain.calls == 1


def test_the_first_version_of_the_metadata_service_is_refused(server: Server, address: str) -> None:
    for target in (ROLES_PATH, f"{ROLES_PATH}/", f"{ROLES_PATH}/reader"):
        assert plain(server, address, target)[0] == 401


@pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not set up here")
@pytest.mark.parametrize("address", ["127.0.0.1"])
@pytest.mark.parametrize("protocol", ["container", "imds"])
def test_the_aws_cli_takes_its_credentials(
    server: Server, address: str, protocol: str, tmp_path: Path
) -> None:
    given = (
        variables(server, address)
        if protocol == "container"
        else {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url(server, address)}
    )
    with small_sts() as sts:
        done = subprocess.run(
            [
                *(str(AWS), "sts", "get-caller-identity", "--region", "eu-central-1"),
                *("--endpoint-url", sts.url),
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **given},
            capture_output=True,
            check=False,
            timeout=100,
        )
    assert done.returncode == 0, done.stderr
    (asked,) = sts.requests
    assert f"Credential={KEY}/" in asked["authorization"]
    assert asked["x-amz-security-token"] == session(1).session_token.reveal()


def test_boto3_as_it_is_finds_it_by_the_variables_alone(
    server: Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables(server, address).items():
        monkeypatch.setenv(name, value)
    found = botocore.session.get_session().get_credentials()
    assert found is not None
    assert found.method == "container-role"
    assert found.get_frozen_credentials().access_key == KEY


def test_twenty_clients_at_once_cause_one_exchange(answers: Answers) -> None:
    obtain = Obtain(gate=threading.Event())
    holder = Holder(obtain)
    slow = Answers(credentials=holder.credentials, authorization=answers.authorization)
    with Server(slow) as running, ThreadPoolExecutor(20) as pool:
        holder.start()
        found = [
            pool.submit(plain, running, "127.0.0.1", "/credentials", authorization=TOKEN) for _ in range(20)
        ]
        assert obtain.asked.acquire(timeout=10)
        assert obtain.gate is not None
        obtain.gate.set()
        replies = [one.result(10) for one in found]
    holder.stop()
    assert {status for status, _ in replies} == {200}
    assert {json.loads(body)["AccessKeyId"] for _, body in replies} == {KEY}
    assert obtain.calls == 1


def test_without_credentials_both_halves_say_so(answers: Answers) -> None:
    holder = Holder(Obtain(failing=refused("unreachable")))
    holder.first()
    tokens = MetadataTokens()
    empty = Answers(
        credentials=holder.credentials, authorization=answers.authorization, metadata_tokens=tokens
    )
    with Server(empty) as running:
        imds = {"x-aws-ec2-metadata-token": tokens.make(60, time.monotonic())}
        for target, headers in (
            ("/credentials", {"authorization": TOKEN}),
            (f"{ROLES_PATH}/", imds),
            (f"{ROLES_PATH}/sallyport", imds),
        ):
            status, body = plain(running, "127.0.0.1", target, **headers)
            assert status == 503
            said = json.loads(body)
            assert said["code"] == "CredentialsUnavailable"
            assert "unreachable" in said["message"]
            assert "Do something." in said["message"]


# --- clients that nobody wants


def plain(
    server: Server, address: str, target: str, method: str = "GET", **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, server.port, timeout=10)
    try:
        connection.request(method, target, headers={name.replace("_", "-"): v for name, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def raw(server: Server, address: str, data: bytes) -> bytes:
    with socket.create_connection((address, server.port), 10) as connection:
        connection.sendall(data)
        found = b""
        while piece := connection.recv(65_536):
            found += piece
        return found


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example.com"},
        {"host": "localhost"},
        {"origin": "http://example.com"},
        {"origin": "null"},
        {"referer": ""},
        {"x_forwarded_for": "203.0.113.1"},
        {"sec_fetch_site": "none"},
    ],
    ids=str,
)
def test_a_page_gets_nothing_though_it_has_the_token(
    server: Server, address: str, headers: dict[str, str]
) -> None:
    status, body = plain(server, address, "/credentials", authorization=TOKEN, **headers)
    assert status == 403
    assert KEY.encode() not in body


def test_no_answer_may_be_kept_or_read_by_a_page(server: Server, address: str) -> None:
    said = raw(
        server,
        address,
        f"GET /credentials HTTP/1.1\r\nhost: {url(server, address)[7:]}\r\n".encode()
        + f"authorization: {TOKEN}\r\n\r\n".encode(),
    )
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"cache-control: no-store" in head
    assert b"access-control-allow-origin" not in head.lower()
    assert json.loads(body)["AccessKeyId"] == KEY


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000, 431),
        (b"x" * 8_193, 431),
        (b"GET /credentials HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello", 413),
        (b"PUT /latest/api/token HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", 413),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    ],
    ids=["long header", "long line", "body", "chunks", "second request", "tls"],
)
def test_what_is_too_much_is_refused(server: Server, address: str, data: bytes, status: int) -> None:
    assert raw(server, address, data).startswith(f"HTTP/1.1 {status} ".encode())
    assert ContainerProvider(variables(server, address)).load().access_key == KEY


def waits(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_a_drip_does_not_hold_the_line(
    server: Server, address: str, monkeypatch: pytest.MonkeyPatch, traced: list[str]
) -> None:
    monkeypatch.setattr(servers, "HEAD_SECONDS", 0.3)
    with socket.create_connection((address, server.port), 10) as connection:
        # A timeout that began anew with every byte would never come.
        try:
            for byte in b"GET /credentials HTTP/1.1\r\n" + b"x: y\r\n" * 100:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
                if traced:
                    break
        except OSError:
            pass
    assert traced == ["a request: 408"]


def test_more_connections_than_there_are_places_are_turned_away_and_the_endpoint_recovers(
    server: Server, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "HEAD_SECONDS", 1.0)
    idle = [socket.create_connection((address, server.port), 10) for _ in range(servers.MAX_CONNECTIONS + 20)]
    try:
        turned_away = idle[-1].recv(65_536)
        assert turned_away.startswith(b"HTTP/1.1 503 ")
        assert threading.active_count() <= servers.MAX_CONNECTIONS + 30
        assert waits(lambda: plain(server, address, "/credentials", authorization=TOKEN)[0] == 200)
    finally:
        for one in idle:
            one.close()


def test_who_hangs_up_leaves_nothing_behind(server: Server, address: str) -> None:
    for data in (b"", b"GET /cred", b"GET /credentials HTTP/1.1\r\n\r\n"):
        for _ in range(100):
            with socket.create_connection((address, server.port), 10) as connection:
                connection.sendall(data)
    assert waits(lambda: not server._working)
    assert plain(server, address, "/credentials", authorization=TOKEN)[0] == 200


def test_what_is_traced_has_no_secret(server: Server, address: str, traced: list[str]) -> None:
    plain(server, address, "/credentials", authorization=TOKEN)
    plain(server, address, "/credentials", authorization="guess-guess")
    plain(server, address, "/\x1b[31m".replace("\x1b", "%1b"))
    text = "\n".join(traced)
    assert "GET /credentials: 200" in text
    assert TOKEN not in text
    assert "guess" not in text


def test_it_stops_though_somebody_is_connected(answers: Answers) -> None:
    running = Server(answers)
    with running, socket.create_connection(("127.0.0.1", running.port), 10):
        pass
    with pytest.raises(OSError):  # noqa: PT011 - refused or reset
        socket.create_connection(("127.0.0.1", running.port), 1)


def test_a_port_that_is_taken_is_a_sentence(server: Server, address: str, answers: Answers) -> None:
    with pytest.raises(CommandError, match="Cannot listen"):
        Server(answers, addresses=[address], port=server.port)


def test_both_loopback_addresses_on_one_port(answers: Answers) -> None:
    with Server(answers, addresses=["127.0.0.1", "::1"]) as running:
        for address in ("127.0.0.1", "::1"):
            assert plain(running, address, "/credentials", authorization=TOKEN)[0] == 200


def test_packets_to_loopback_go_no_further(server: Server) -> None:
    (listener,) = server._listeners
    if listener.family == socket.AF_INET6:
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) == 1
    else:
        assert listener.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 1
