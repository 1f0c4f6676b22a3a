"""Servers on loopback that behave as badly as a test wants, with real TLS from a local CA."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Behaviour = Callable[[socket.socket], None]
"""What a server does with a connection whose request it has read."""


def answer(body: bytes, *, status: str = "200 OK", headers: str = "") -> Behaviour:
    """Answer properly."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    )
    return raw(head.encode() + body)


def raw(data: bytes) -> Behaviour:
    """Send these bytes, and close."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(data)

    return behave


def drip(first: bytes, rest: bytes, pause: threading.Event, *, seconds: float = 0.05) -> Behaviour:
    """Send ``first``, and then one byte of ``rest`` at a time, until ``pause`` is set."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(first)
        for byte in rest:
            if pause.wait(seconds):
                return
            connection.sendall(bytes([byte]))

    return behave


def endless(first: bytes, piece: bytes) -> Behaviour:
    """Send ``first``, and then ``piece`` for as long as anybody listens."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(piece)

    return behave


@dataclass
class Server:
    """A server on a port of its own, for the length of a ``with``.

    Without ``tls`` it speaks plain text. It keeps what it was asked: requests, and the names in
    TLS handshakes.
    """

    behaviour: Behaviour
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        if self.tls is not None:
            self.tls.sni_callback = lambda _connection, name, _context: self.names.append(name)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _t: type[BaseException] | None, _v: BaseException | None, _b: TracebackType | None
    ) -> None:
        # Closing a listener does not wake who waits in accept(); shutting it down does.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), self._spoken(connection) as spoken:
                spoken.settimeout(5)
                self.requests.append(_request(spoken))
                self.behaviour(spoken)

    @contextlib.contextmanager
    def _spoken(self, connection: socket.socket) -> Iterator[socket.socket]:
        with connection:
            if self.tls is None:
                yield connection
                return
            connection.settimeout(5)
            with self.tls.wrap_socket(connection, server_side=True) as secured:
                yield secured


def _request(connection: socket.socket) -> bytes:
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        piece = connection.recv(4_096)
        if not piece:
            break
        request += piece
    return request


class Authority:
    """A certification authority that lives for the tests."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        self.certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def client_context(self) -> ssl.SSLContext:
        """Return a client's context that trusts this authority and nobody else."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def server_context(self, directory: Path, *names: str) -> ssl.SSLContext:
        """Return a server's context with a certificate for ``names``; its files are put in ``directory``."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(x509.Name([]), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=True
            )
            .sign(self._key, hashes.SHA256())
        )
        chain = directory / f"{names[0]}.pem"
        chain.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )


@cache
def authority() -> Authority:
    """Return the tests' one authority."""
    return Authority()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
