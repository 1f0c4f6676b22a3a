"""A document comes from where it should, whole and in time, or not at all."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sallyport.adapters import fetch
from sallyport.adapters.fetch import MAX_BODY_BYTES, REASONS, JsonFetcher, ListFetcher, is_global
from sallyport.errors import UnavailableError
from tests.support.loopback import Authority, Behaviour, Server, answer, authority, drip, endless, raw

pytestmark = pytest.mark.enable_socket

NAME = "issuer.example"
URL = f"https://{NAME}/.well-known/openid-configuration?a=b"
ADDRESS = "93.184.215.14"
OTHER_ADDRESS = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
DOCUMENT = b'{"issuer": "https://issuer.example"}'


@dataclass
class Net:
    """A resolver and a way out that can be bent: every address leads to ``port`` on loopback, or nowhere."""

    port: int
    names: dict[str, Sequence[str]] = field(default_factory=lambda: {NAME: [ADDRESS]})
    dead: set[str] = field(default_factory=set)
    asked: list[tuple[str, int]] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return self.names[host]

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.connected.append((address, port))
        if address in self.dead:
            raise ConnectionRefusedError(address)
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def fetcher(self, tls: ssl.SSLContext | None = None, *, local: bool = False) -> JsonFetcher:
        return JsonFetcher(
            local=local,
            resolve=self.resolve,
            connect=self.connect,
            tls=tls or authority().client_context(),
        )

    def lists(self, tls: ssl.SSLContext | None = None, *, local: bool = False) -> ListFetcher:
        return ListFetcher(
            local=local,
            resolve=self.resolve,
            connect=self.connect,
            tls=tls or authority().client_context(),
        )


def refused(fetcher: JsonFetcher | ListFetcher, url: str = URL) -> str:
    """Return the reason for which the fetch fails; it has no other way to fail."""
    with pytest.raises(UnavailableError) as failure:
        fetcher(url)
    assert failure.value.reason in REASONS
    return failure.value.reason


@pytest.fixture
def certified(tmp_path: Path) -> ssl.SSLContext:
    return authority().server_context(tmp_path, NAME)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, a tenth as long, so that tests of slowness are not slow."""
    for name in ("CONNECT_SECONDS", "READ_SECONDS", "TOTAL_SECONDS"):
        monkeypatch.setattr(fetch, name, getattr(fetch, name) / 10)
    for name in ("LIST_CONNECT_SECONDS", "LIST_READ_SECONDS", "LIST_SECONDS"):
        monkeypatch.setattr(fetch, name, getattr(fetch, name) / 200)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


class TestGoodAnswer:
    def test_a_document_is_fetched_from_the_address_that_was_checked(self, certified: ssl.SSLContext) -> None:
        with Server(answer(DOCUMENT), certified) as server:
            net = Net(server.port)
            assert net.fetcher()(URL) == DOCUMENT
        assert net.asked == [(NAME, 443)]
        assert net.connected == [(ADDRESS, 443)]
        assert server.names == [NAME]

    def test_the_request_says_no_more_than_it_must(self, certified: ssl.SSLContext) -> None:
        with Server(answer(DOCUMENT), certified) as server:
            Net(server.port).fetcher()(URL)
        lines = server.requests[0].decode().split("\r\n")
        assert lines[0] == "GET /.well-known/openid-configuration?a=b HTTP/1.1"
        assert lines[1] == f"Host: {NAME}"
        assert {line.partition(":")[0] for line in lines[1:] if line} == {
            "Host",
            "Accept",
            "Accept-Encoding",
            "User-Agent",
            "Connection",
        }

    def test_a_port_of_its_own_is_part_of_the_host(self, certified: ssl.SSLContext) -> None:
        with Server(answer(DOCUMENT), certified) as server:
            net = Net(server.port)
            net.fetcher()(f"https://{NAME}:8443/")
        assert net.connected == [(ADDRESS, 8443)]
        assert f"Host: {NAME}:8443\r\n".encode() in server.requests[0]

    def test_nothing_is_kept_between_two_fetches(self, certified: ssl.SSLContext) -> None:
        with Server(answer(DOCUMENT, headers="Set-Cookie: a=b\r\n"), certified) as server:
            fetcher = Net(server.port).fetcher()
            fetcher(URL)
            fetcher(URL)
        assert len(server.names) == 2
        assert b"cookie" not in server.requests[1].lower()

    def test_an_address_that_does_not_answer_is_followed_by_the_next(self, certified: ssl.SSLContext) -> None:
        with Server(answer(DOCUMENT), certified) as server:
            net = Net(server.port, names={NAME: [OTHER_ADDRESS, ADDRESS]}, dead={OTHER_ADDRESS})
            assert net.fetcher()(URL) == DOCUMENT
        assert net.connected == [(OTHER_ADDRESS, 443), (ADDRESS, 443)]

    def test_a_proxy_in_the_environment_is_not_used(
        self, certified: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        with Server(answer(DOCUMENT), certified) as server:
            assert Net(server.port).fetcher()(URL) == DOCUMENT

    def test_a_chunked_answer_is_read(self, certified: ssl.SSLContext) -> None:
        chunks = b'8\r\n{"a": 1,\r\n8\r\n "b": 2}\r\n0\r\n\r\n'
        with Server(raw(_ok(chunks, "Transfer-Encoding: chunked\r\n")), certified) as server:
            assert Net(server.port).fetcher()(URL) == b'{"a": 1, "b": 2}'

    def test_the_largest_document_is_read(self, certified: ssl.SSLContext) -> None:
        document = b"{" + b" " * (MAX_BODY_BYTES - 2) + b"}"
        with Server(answer(document), certified) as server:
            assert Net(server.port).fetcher()(URL) == document


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            "0.0.0.0",  # noqa: S104 - which is refused
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:93.184.215.14",
            "64:ff9b::a00:1",
            "64:ff9b::5db8:d70e",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2001:20::1",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fe80::1%eth0",
            "fec0::1",
            "ff02::1",
            "",
            "localhost",
            "010.0.0.1",
        ],
    )
    def test_an_address_that_is_not_global_is_not_connected_to(self, address: str) -> None:
        assert not is_global(address)
        net = Net(9, names={NAME: [address]})
        assert refused(net.fetcher()) == "fetch-address"
        assert net.connected == []

    @pytest.mark.parametrize(
        "address",
        [ADDRESS, OTHER_ADDRESS, "8.8.8.8", "2a00:1450:4001::1", "2001:4860:4860::8888", "100.128.0.1"],
    )
    def test_a_global_address_is_one(self, address: str) -> None:
        assert is_global(address)

    def test_one_bad_address_spoils_the_others(self) -> None:
        for addresses in ([ADDRESS, "127.0.0.1"], ["127.0.0.1", ADDRESS], [ADDRESS, OTHER_ADDRESS, "::1"]):
            net = Net(9, names={NAME: addresses})
            assert refused(net.fetcher()) == "fetch-address"
            assert net.connected == []

    def test_a_name_is_resolved_once(self, certified: ssl.SSLContext) -> None:
        """A second look could give another answer: DNS rebinding."""
        with Server(answer(DOCUMENT), certified) as server:
            net = Net(server.port)
            net.fetcher()(URL)
        assert len(net.asked) == 1

    def test_a_name_that_does_not_resolve_is_said_to(self) -> None:
        assert refused(Net(9, names={}).fetcher()) == "fetch-resolve"
        assert refused(Net(9, names={NAME: []}).fetcher()) == "fetch-resolve"
        assert refused(Net(9, names={NAME: [ADDRESS] * 17}).fetcher()) == "fetch-resolve"

    def test_a_host_that_nobody_answers_for_is_said_to(self) -> None:
        assert refused(Net(9, dead={ADDRESS}).fetcher()) == "fetch-connect"

    @pytest.mark.parametrize(
        "url",
        [
            "http://issuer.example/",
            "http://127.0.0.1/",
            "https://93.184.215.14/",
            "https://[::1]/",
            "https://127.1/",
            "https://2130706433/",
            "https://user@issuer.example/",
            "https://issuer.example/#a",
            "https://issuer.example/a b",
            "https://issuer.example/\r\nHost: other",
            "https://issuer.example:0/",
            "file:///etc/passwd",
            "issuer.example",
            "",
        ],
    )
    def test_an_address_of_another_form_is_not_even_resolved(self, url: str) -> None:
        net = Net(9)
        assert refused(net.fetcher(), url) == "fetch-url"
        assert net.asked == []


class TestTls:
    def test_a_certificate_for_another_name_is_refused(self, tmp_path: Path) -> None:
        other = authority().server_context(tmp_path, "other.example")
        with Server(answer(DOCUMENT), other) as server:
            assert refused(Net(server.port).fetcher()) == "fetch-tls"
        assert server.requests == []

    def test_a_certificate_for_the_address_is_not_one_for_the_name(self, tmp_path: Path) -> None:
        other = authority().server_context(tmp_path, ADDRESS)
        with Server(answer(DOCUMENT), other) as server:
            assert refused(Net(server.port).fetcher()) == "fetch-tls"

    def test_a_certificate_of_another_authority_is_refused(self, tmp_path: Path) -> None:
        other = Authority().server_context(tmp_path, NAME)
        with Server(answer(DOCUMENT), other) as server:
            assert refused(Net(server.port).fetcher()) == "fetch-tls"

    def test_the_systems_authorities_are_the_default_and_ours_is_none_of_them(
        self, certified: ssl.SSLContext
    ) -> None:
        with Server(answer(DOCUMENT), certified) as server:
            net = Net(server.port)
            assert refused(JsonFetcher(resolve=net.resolve, connect=net.connect)) == "fetch-tls"

    def test_plain_text_is_no_tls(self, short: None) -> None:
        with Server(raw(b"HTTP/1.1 200 OK\r\n\r\n{}")) as server:
            assert refused(Net(server.port).fetcher()) in {"fetch-tls", "fetch-timeout"}

    def test_the_default_context_demands_what_it_says(self) -> None:
        context = fetch._tls_context()
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def _ok(body: bytes, headers: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\n{headers}\r\n".encode() + body


class TestBadAnswer:
    @pytest.mark.parametrize(
        "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
    )
    def test_a_redirect_is_not_followed(self, certified: ssl.SSLContext, status: str) -> None:
        behaviour = answer(DOCUMENT, status=status, headers=f"Location: https://{NAME}/other\r\n")
        with Server(behaviour, certified) as server:
            assert refused(Net(server.port).fetcher()) == "fetch-redirect"
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "status", ["201 Created", "204 No Content", "206 Partial", "404 Not Found", "500 Oops"]
    )
    def test_only_200_is_an_answer(self, certified: ssl.SSLContext, status: str) -> None:
        with Server(answer(DOCUMENT, status=status), certified) as server:
            assert refused(Net(server.port).fetcher()) == "fetch-status"

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "fetch-broken"),
            pytest.param(b"\x00" * 100, "fetch-broken", id="zeroes"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "fetch-broken"),
            (b"HTTP/1.1 two hundred\r\n\r\n", "fetch-broken"),
            (b"HTTP/9.9 200 OK\r\n\r\n{}", "fetch-broken"),
            (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n{}", "fetch-broken"),
            (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n{}", "fetch-broken"),
            (_ok(b'{"a": 1}', "Content-Length: 9\r\n"), "fetch-broken"),
            (_ok(b"{}", "Content-Encoding: gzip\r\n"), "fetch-broken"),
            (_ok(b"zz\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n"), "fetch-broken"),
            (_ok(b"-1\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n"), "fetch-broken"),
            (_ok(b"2\r\n{}", "Transfer-Encoding: chunked\r\n"), "fetch-broken"),
            (_ok(b""), "fetch-not-json"),
            (_ok(b"<html></html>"), "fetch-not-json"),
            (_ok(b"[]"), "fetch-not-json"),
            (_ok(b'{"a": 1, "a": 2}'), "fetch-not-json"),
            (_ok(b"\xff\xfe{}"), "fetch-not-json"),
            (_ok(b'{"a": ' + b"[" * 100_000), "fetch-not-json"),
            (_ok(b"{}", f"Content-Length: {MAX_BODY_BYTES + 1}\r\n"), "fetch-size"),
            (_ok(b"{" + b" " * MAX_BODY_BYTES + b"}"), "fetch-size"),
        ],
        ids=lambda value: repr(value[-40:]) if isinstance(value, bytes) else value,
    )
    def test_an_answer_that_is_not_one_is_refused(
        self, certified: ssl.SSLContext, data: bytes, reason: str
    ) -> None:
        with Server(raw(data), certified) as server:
            assert refused(Net(server.port).fetcher()) == reason

    @pytest.mark.parametrize(
        ("first", "piece"),
        [
            (_ok(b"{"), b" " * 65_536),
            (_ok(b"", "Transfer-Encoding: chunked\r\n"), b"1000\r\n" + b" " * 4_096 + b"\r\n"),
            (_ok(b"", "Transfer-Encoding: chunked\r\n"), b"1;" + b"e" * 60_000 + b"\r\n \r\n"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
        ],
        ids=["body", "chunks", "extensions", "continue"],
    )
    def test_an_answer_without_end_is_cut_off(
        self, certified: ssl.SSLContext, first: bytes, piece: bytes
    ) -> None:
        with Server(endless(first, piece), certified) as server:
            assert refused(Net(server.port).fetcher()) == "fetch-size"


class TestSlowAnswer:
    def within(self, net: Net) -> None:
        """Hold the total limit: the server would go on for ever, and the suite's timeout is minutes away."""
        assert refused(net.fetcher()) == "fetch-timeout"

    @pytest.mark.parametrize(
        ("first", "rest"),
        [(b"", b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100), (_ok(b"{", "Content-Length: 100\r\n"), b" " * 100)],
        ids=["header", "body"],
    )
    def test_a_byte_now_and_then_does_not_hold_the_time_still(
        self, certified: ssl.SSLContext, short: None, stop: threading.Event, first: bytes, rest: bytes
    ) -> None:
        with Server(drip(first, rest, stop), certified) as server:
            self.within(Net(server.port))
            stop.set()

    def test_a_server_that_says_nothing_is_left(
        self, certified: ssl.SSLContext, short: None, stop: threading.Event
    ) -> None:
        silent: Behaviour = lambda _connection: (stop.wait(5), None)[1]  # noqa: E731 - shorter than a function
        with Server(silent, certified) as server:
            self.within(Net(server.port))
            stop.set()

    def test_a_handshake_that_does_not_begin_is_left(self, short: None, stop: threading.Event) -> None:
        silent: Behaviour = lambda _connection: (stop.wait(5), None)[1]  # noqa: E731 - shorter than a function
        listener = socket.create_server(("127.0.0.1", 0))
        with listener, Server(silent):
            self.within(Net(listener.getsockname()[1]))
            stop.set()

    def test_a_handshake_of_single_bytes_is_left(self, short: None, stop: threading.Event) -> None:
        # A record that promises 16 KB of handshake, and then comes a byte at a time.
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for byte in b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(200):
                    if stop.wait(0.05):
                        return
                    try:
                        connection.sendall(bytes([byte]))
                    except OSError:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with listener:
            self.within(Net(listener.getsockname()[1]))
            stop.set()
            thread.join(5)

    def test_a_resolver_that_does_not_answer_is_left(self, short: None, stop: threading.Event) -> None:
        def resolve(_host: str, _port: int) -> Sequence[str]:
            stop.wait(5)
            return [ADDRESS]

        net = Net(9)
        net.resolve = resolve  # type: ignore[method-assign]  # the fake is bent
        self.within(net)
        assert net.connected == []

    def test_many_addresses_that_do_not_answer_share_the_time(self, short: None) -> None:
        net = Net(9, names={NAME: [f"93.184.215.{n}" for n in range(16)]})

        def connect(address: str, port: int, seconds: float) -> socket.socket:
            net.connected.append((address, port))
            time.sleep(seconds)
            raise TimeoutError

        net.connect = connect  # type: ignore[method-assign]  # the fake is bent
        self.within(net)
        assert 2 <= len(net.connected) <= 4


class TestLocalCloud:
    def test_plain_http_on_loopback_is_fetched(self) -> None:
        with Server(answer(DOCUMENT)) as server:
            assert JsonFetcher(local=True)(f"http://127.0.0.1:{server.port}/a") == DOCUMENT
            assert JsonFetcher(local=True)(f"http://localhost:{server.port}/a") == DOCUMENT

    def test_plain_http_to_anywhere_else_is_not(self) -> None:
        for addresses in (["10.0.0.1"], [ADDRESS], ["127.0.0.1", ADDRESS], ["0.0.0.0"], ["::ffff:10.0.0.1"]):  # noqa: S104 - which is refused
            net = Net(9, names={NAME: addresses})
            assert refused(net.fetcher(local=True), f"http://{NAME}/") == "fetch-address"
            assert net.connected == []

    def test_https_is_as_strict_as_elsewhere(self) -> None:
        net = Net(9, names={NAME: ["127.0.0.1"]})
        assert refused(net.fetcher(local=True)) == "fetch-address"
        assert refused(net.fetcher(local=True), "https://127.0.0.1/") == "fetch-url"

    def test_without_the_setting_there_is_no_plain_http(self) -> None:
        with Server(answer(DOCUMENT)) as server:
            assert refused(JsonFetcher(), f"http://127.0.0.1:{server.port}/") == "fetch-url"
            assert refused(JsonFetcher(), f"http://localhost:{server.port}/") == "fetch-url"
        assert server.requests == []


LIST_URL = f"http://{NAME}/root.crl"


class TestLists:
    """Revocation lists: larger, slower and in plain text, and otherwise with every fence that keys have."""

    @pytest.mark.parametrize("secure", [True, False])
    def test_a_list_is_fetched_from_the_address_that_was_checked(
        self, certified: ssl.SSLContext, *, secure: bool
    ) -> None:
        with Server(answer(b"\x30\x00\xff"), certified if secure else None) as server:
            net = Net(server.port)
            url = LIST_URL.replace("http:", "https:") if secure else LIST_URL
            assert net.lists()(url) == b"\x30\x00\xff"
        assert net.asked == [(NAME, 443 if secure else 80)]
        assert net.connected == [(ADDRESS, 443 if secure else 80)]
        assert server.requests[0].startswith(f"GET /root.crl HTTP/1.1\r\nHost: {NAME}\r\n".encode())
        assert b"Accept: application/pkix-crl, */*\r\n" in server.requests[0]

    def test_a_list_may_be_longer_than_any_key_set(self) -> None:
        data = bytes(4 * MAX_BODY_BYTES)
        with Server(answer(data)) as server:
            assert Net(server.port).lists()(LIST_URL) == data

    def test_the_largest_list_may_come_in_small_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Their framing takes more than headers ever do."""
        size = 16 * 1_048_576
        monkeypatch.setattr(fetch, "MAX_CRL_BYTES", size)
        chunks = (b"200\r\n" + bytes(512) + b"\r\n") * (size // 512)
        data = _ok(chunks + b"0\r\n\r\n", "Transfer-Encoding: chunked\r\n")
        with Server(raw(data)) as server:
            assert Net(server.port).lists()(LIST_URL) == bytes(size)

    def test_the_largest_list_is_read_and_one_byte_more_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fetch, "MAX_CRL_BYTES", 200_000)
        for headers in ("", "Content-Length: {}\r\n"):
            for size, fits in ((200_000, True), (200_001, False)):
                with Server(raw(_ok(bytes(size), headers.format(size)))) as server:
                    fetcher = Net(server.port).lists()
                    if fits:
                        assert len(fetcher(LIST_URL)) == size
                    else:
                        assert refused(fetcher, LIST_URL) == "fetch-size"

    @pytest.mark.parametrize(
        ("first", "piece"),
        [
            (_ok(b""), bytes(65_536)),
            (_ok(b"", "Transfer-Encoding: chunked\r\n"), b"1000\r\n" + bytes(4_096) + b"\r\n"),
            (_ok(b"", "Transfer-Encoding: chunked\r\n"), b"1;" + b"e" * 60_000 + b"\r\n \r\n"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
        ],
        ids=["body", "chunks", "extensions", "continue"],
    )
    def test_a_list_without_end_is_cut_off(
        self, first: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fetch, "MAX_CRL_BYTES", 1_000_000)
        with Server(endless(first, piece)) as server:
            assert refused(Net(server.port).lists(), LIST_URL) == "fetch-size"

    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
    def test_a_redirect_is_not_followed(self, status: str) -> None:
        behaviour = answer(b"", status=status, headers=f"Location: http://{NAME}/other.crl\r\n")
        with Server(behaviour) as server:
            assert refused(Net(server.port).lists(), LIST_URL) == "fetch-redirect"
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "fetch-broken"),
            (b"HTTP/1.1 404 Not Found\r\n\r\n", "fetch-status"),
            (_ok(b"\x30", "Content-Length: 9\r\n"), "fetch-broken"),
            (_ok(b"\x30", "Content-Encoding: gzip\r\n"), "fetch-broken"),
            (_ok(b"2\r\n\x30", "Transfer-Encoding: chunked\r\n"), "fetch-broken"),
        ],
    )
    def test_an_answer_that_is_not_one_is_refused(self, data: bytes, reason: str) -> None:
        with Server(raw(data)) as server:
            assert refused(Net(server.port).lists(), LIST_URL) == reason

    def test_a_byte_now_and_then_does_not_hold_the_time_still(
        self, short: None, stop: threading.Event
    ) -> None:
        with Server(
            drip(_ok(b"\x30", "Content-Length: 1000\r\n"), bytes(1_000), stop, seconds=0.02)
        ) as server:
            assert refused(Net(server.port).lists(), LIST_URL) == "fetch-timeout"
            stop.set()

    def test_a_list_may_take_longer_than_keys(self, stop: threading.Event) -> None:
        assert fetch.LIST_SECONDS > fetch.TOTAL_SECONDS
        with Server(drip(_ok(b"\x30", "Content-Length: 4\r\n"), bytes(3), stop, seconds=0.01)) as server:
            assert Net(server.port).lists()(LIST_URL) == b"\x30\0\0\0"

    @pytest.mark.parametrize("url", [LIST_URL, LIST_URL.replace("http:", "https:")])
    @pytest.mark.parametrize("local", [True, False])
    def test_an_address_that_is_not_global_is_not_connected_to(self, url: str, *, local: bool) -> None:
        for addresses in (["10.0.0.1"], ["127.0.0.1"], ["169.254.169.254"], [ADDRESS, "::1"], ["fd00::1"]):
            net = Net(9, names={NAME: addresses})
            assert refused(net.lists(local=local), url) == "fetch-address"
            assert net.connected == []

    @pytest.mark.parametrize(
        "url",
        [
            f"http://{NAME}:8080/root.crl",
            f"http://{NAME}:443/root.crl",
            "http://93.184.215.14/root.crl",
            "https://93.184.215.14/root.crl",
            "http://127.0.0.1/root.crl",
            "http://127.0.0.1:8080/root.crl",
            "http://localhost:8080/root.crl",
            "http://[::1]/root.crl",
            f"http://user@{NAME}/root.crl",
            f"ldap://{NAME}/cn=root",
            f"ftp://{NAME}/root.crl",
            "file:///etc/passwd",
            "",
        ],
    )
    def test_an_address_of_another_form_is_not_even_resolved(self, url: str) -> None:
        net = Net(9)
        assert refused(net.lists(), url) == "fetch-url"
        assert net.asked == []

    def test_localhost_is_a_name_that_leads_nowhere_global(self) -> None:
        net = Net(9, names={"localhost": ["127.0.0.1"]})
        assert refused(net.lists(), "http://localhost/root.crl") == "fetch-address"

    def test_in_the_local_cloud_loopback_may_be_asked_on_any_port(self) -> None:
        with Server(answer(b"\x30")) as server:
            for host in ("127.0.0.1", "localhost"):
                assert ListFetcher(local=True)(f"http://{host}:{server.port}/root.crl") == b"\x30"
        assert refused(ListFetcher(local=True), "https://127.0.0.1/root.crl") == "fetch-url"

    def test_in_the_local_cloud_localhost_leads_to_loopback_or_nowhere(self) -> None:
        net = Net(9, names={"localhost": [ADDRESS]})
        assert refused(net.lists(local=True), "http://localhost:8080/root.crl") == "fetch-address"
        assert net.connected == []

    def test_for_keys_plain_http_stays_refused(self) -> None:
        assert refused(Net(9).fetcher(), LIST_URL) == "fetch-url"
