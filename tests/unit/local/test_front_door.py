"""The front door passes requests on as they were signed, refuses what AWS would, and holds nobody up."""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from local import front_door, loopback, pki
from local.front_door import DistributionPoint, Door
from local.loopback import Answer, Request

pytestmark = pytest.mark.enable_socket


@dataclass
class House:
    """A door, and what came through it."""

    door: Door
    tls: ssl.SSLContext
    api: Path
    came: list[Request]

    def connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.door.port, context=self.tls, timeout=10)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str]]:
        connection = self.connection()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.Pki:
    return pki.ensure(tmp_path_factory.mktemp("state") / "pki")


@pytest.fixture
def house(tmp_path: Path, authority: pki.Pki) -> Iterator[House]:
    came: list[Request] = []

    def aws(request: Request) -> Answer:
        came.append(request)
        return Answer(201, {"path": request.path}, {"x-amzn-errortype": "None"})

    emulator = loopback.Server(0, aws)
    emulator.start()
    api = tmp_path / "api"
    api.write_text("/_aws/execute-api/abc/v1")
    tls = front_door.tls_of(authority.holder(pki.FRONT_DOOR))
    door = Door(0, upstream=emulator.server_address[1], api=api, tls=tls)
    door.start()
    yield House(door, ssl.create_default_context(cafile=str(authority.root)), api, came)
    door.stop()
    emulator.stop()


PATHS = {
    "/v1/sessions": "/_aws/execute-api/abc/v1/sessions",
    "/v1": "/_aws/execute-api/abc/v1",
    "/sessions": "/_aws/execute-api/abc/v1/sessions",
    "/": "/_aws/execute-api/abc/v1/",
    "/v10/sessions": "/_aws/execute-api/abc/v1/v10/sessions",
}


@pytest.mark.parametrize("path", PATHS)
def test_the_stages_path_and_that_of_a_domain_lead_to_the_api(house: House, path: str) -> None:
    assert house.ask("POST", path) == (201, {"path": PATHS[path]})


def test_everything_that_may_be_signed_arrives_as_it_was_sent(house: House) -> None:
    body = bytes(range(256))
    signed = "AWS4-X509-RSA-SHA256 Credential=1/x, SignedHeaders=host, Signature=00"
    house.ask("POST", "/v1/sessions?a=1%2F2&b=%C3%BC", body, Authorization=signed, Odd="a  b")
    (request,) = house.came
    assert request.headers["host"] == f"127.0.0.1:{house.door.port}"
    assert request.headers["authorization"] == signed
    assert request.headers["odd"] == "a  b"
    assert request.body == body
    assert request.query == {"a": "1/2", "b": "ü"}


def test_a_deployment_changes_the_way_at_once_and_without_one_there_is_none(house: House) -> None:
    house.api.write_text("/_aws/execute-api/def/v1")
    assert house.ask("POST", "/v1/sessions")[1] == {"path": "/_aws/execute-api/def/v1/sessions"}
    house.api.unlink()
    status, said = house.ask("POST", "/v1/sessions")
    assert (status, said["message"]) == (503, "Nothing is deployed into the local cloud; type: make up")


def test_heads_are_as_long_as_at_aws_and_no_longer(house: House) -> None:
    own = len("POST /v1/sessions HTTP/1.1") + len(f"127.0.0.1:{house.door.port}") + len("identity") + len("0")
    fits = "x" * (front_door.MAX_HEAD_BYTES - own)
    assert house.ask("POST", "/v1/sessions", Long=fits)[0] == 201
    status, said = house.ask("POST", "/v1/sessions", Long=fits + "x")
    assert status == 431
    assert "10240" in said["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Content-Length: 99999999\r\n", 413),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", 400),
        ("Transfer-Encoding: gzip\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\nno number\r\n", 400),
    ],
)
def test_a_body_that_is_too_long_or_of_no_length_is_not_read(house: House, headers: str, status: int) -> None:
    plain = socket.create_connection(("127.0.0.1", house.door.port), timeout=10)
    with house.tls.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(f"POST /v1/sessions HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        assert connection.recv(12) == f"HTTP/1.1 {status}".encode()
    assert house.came == []


def test_a_body_in_chunks_is_passed_on_whole(house: House) -> None:
    connection = house.connection()
    connection.request("POST", "/v1/sessions", iter([b"one", b"two" * 9_000]), encode_chunked=True)
    assert connection.getresponse().status == 201
    connection.close()
    assert house.came[0].body == b"one" + b"two" * 9_000
    assert house.came[0].headers["content-length"] == "27003"
    assert "transfer-encoding" not in house.came[0].headers


def test_without_tls_it_is_the_same_door(house: House) -> None:
    door = Door(0, upstream=house.door.upstream, api=house.api)
    door.start()
    connection = http.client.HTTPConnection(urlsplit(door.url).netloc, timeout=10)
    connection.request("POST", "/v1/sessions")
    assert json.loads(connection.getresponse().read()) == {"path": PATHS["/v1/sessions"]}
    connection.close()
    door.stop()


def test_one_that_does_not_speak_tls_holds_up_nobody_else(house: House) -> None:
    with socket.create_connection(("127.0.0.1", house.door.port), timeout=10) as silent:
        assert house.ask("POST", "/v1/sessions")[0] == 201
        silent.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert house.ask("POST", "/v1/sessions")[0] == 201


def test_several_requests_may_share_a_connection(house: House) -> None:
    connection = house.connection()
    for _ in range(3):
        connection.request("POST", "/v1/sessions", b"x")
        assert connection.getresponse().read()
    connection.close()
    assert len(house.came) == 3


def test_an_emulator_that_is_away_is_said_in_a_sentence(
    tmp_path: Path, authority: pki.Pki, house: House
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        house.door.upstream = nobody.getsockname()[1]
    status, said = house.ask("POST", "/v1/sessions")
    assert (status, said["message"]) == (502, "The local cloud does not answer; type: make up")


def test_lists_are_published_in_der_and_nothing_else_of_the_folder_is(authority: pki.Pki) -> None:
    server = loopback.Server(0, DistributionPoint(authority.folder))
    server.start()
    try:

        def get(path: str) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            found = answer.status, answer.read()
            connection.close()
            return found

        status, data = get("/issuing.crl")
        assert status == 200
        listed = x509.load_der_x509_crl(data)
        assert listed == x509.load_pem_x509_crl(authority.revocation_list(pki.ISSUING).read_bytes())
        assert get("/health")[0] == 200
        for other in ("/root-key.pem", "/../root-key.pem", "/root.pem", "/nobody.crl", "/"):
            assert get(other)[0] == 404
    finally:
        server.stop()
