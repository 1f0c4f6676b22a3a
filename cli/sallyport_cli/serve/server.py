"""The endpoint's sockets: one request to a connection, bounded in bytes, in time and in number."""

import ipaddress
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

from sallyport.web_address import is_loopback
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import shown
from sallyport_cli.serve.answers import Answers, Reply, refused
from sallyport_cli.serve.http_head import END, MAX_HEAD_BYTES, Head, Refusal, read_head

MAX_CONNECTIONS: Final = 64
"""At a time. Twenty parallel commands are many; what is beyond gets 503 at once."""

HEAD_SECONDS: Final = 2.0
"""For a whole head, however its bytes drip in. AWS's clients send theirs in one piece and wait one second."""

WRITE_SECONDS: Final = 2.0
"""For the answer, which fits the system's buffer."""

STOP_SECONDS: Final = 5.0
"""For those that are being answered when the endpoint stops; more than both of the above."""

BACKLOG: Final = 128
LOOPBACK_HOPS: Final = 1
"""What is on this machine needs no further hop, and nothing that forwards packets may pass it on."""

_BUSY: Final = Refusal(503, "Busy", "There are too many connections; try again.")

Clock = Callable[[], datetime]
Trace = Callable[[str], None]


class Server:
    """Answers on some addresses for the length of a ``with``.

    Args:
        answers: decides.
        addresses: IP addresses, each without a port.
        port: of all of them; 0 for one that is free.
        clock: tells the time.
        trace: is told of each request in a line without secrets.
    """

    def __init__(
        self,
        answers: Answers,
        *,
        addresses: Sequence[str] = ("127.0.0.1",),
        port: int = 0,
        clock: Clock = lambda: datetime.now(UTC),
        trace: Trace = lambda _text: None,
    ) -> None:
        self._answers = answers
        self._clock = clock
        self._trace = trace
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._working: set[threading.Thread] = set()
        self._listeners: list[socket.socket] = []
        try:
            for address in addresses:
                self._listeners.append(_listen(address, port))
                port = self._listeners[0].getsockname()[1]
        except OSError as error:
            self.close()
            raise CommandError(
                "cannot-listen",
                f"Cannot listen on {shown(address)} port {port}: {error.strerror or type(error).__name__}.",
                cure="Give another --port (0 takes a free one) or an address of this machine to --bind.",
                exit_code=Exit.REFUSED,
            ) from None
        self.port: int = port
        self._wake, self._waker = socket.socketpair()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._accept, name="accept", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _t: type[BaseException] | None, _v: BaseException | None, _b: TracebackType | None
    ) -> None:
        self._waker.close()
        self._thread.join()
        self.close()
        self._wake.close()
        end = time.monotonic() + STOP_SECONDS
        for thread in list(self._working):
            thread.join(max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """Give the addresses back; also where there was no ``with``."""
        for listener in self._listeners:
            listener.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            for listener in self._listeners:
                selector.register(listener, selectors.EVENT_READ)
            while True:
                for key, _events in selector.select():
                    if key.fileobj is self._wake:
                        return
                    assert isinstance(key.fileobj, socket.socket)  # noqa: S101 - what was registered
                    # The client may be gone again, or this process have too many files open.
                    with suppress(OSError):
                        self._begin(key.fileobj.accept()[0])

    def _begin(self, connection: socket.socket) -> None:
        if not self._slots.acquire(blocking=False):
            with connection:
                connection.setblocking(False)
                connection.sendall(_bytes(refused(_BUSY)))
            return
        thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
        self._working.add(thread)
        try:
            thread.start()
        except RuntimeError:
            self._end(thread, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            # Whoever hangs up needs no answer.
            with suppress(OSError):
                own = connection.getsockname()[:2]
                reply, head = self._reply(connection, own)
                self._trace(_line(head, reply))
                connection.settimeout(WRITE_SECONDS)
                connection.sendall(_bytes(reply))
                # A close with bytes unread would take the answer back from who still sends.
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(0.1)
                connection.recv(MAX_HEAD_BYTES)
        finally:
            self._end(threading.current_thread(), connection)

    def _end(self, thread: threading.Thread, connection: socket.socket) -> None:
        connection.close()
        self._working.discard(thread)
        self._slots.release()

    def _reply(self, connection: socket.socket, own: tuple[str, int]) -> tuple[Reply, Head | None]:
        head: Head | None = None
        try:
            head = read_head(_receive(connection))
            return self._answers(head, own, now=self._clock(), uptime=time.monotonic()), head
        except Refusal as refusal:
            return refused(refusal), head


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET  # noqa: PLR2004 - of IP
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if is_loopback(address):
            _keep_on_this_machine(listener, family)
        listener.bind((address, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _keep_on_this_machine(listener: socket.socket, family: socket.AddressFamily) -> None:
    # Connections inherit it. Where a system does not know the option, the address alone must do.
    with suppress(OSError, AttributeError):
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, LOOPBACK_HOPS)
        else:
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, LOOPBACK_HOPS)


def _receive(connection: socket.socket) -> bytes:
    """Return a head's bytes.

    Raises:
        Refusal: it is too long, or takes too long.
        OSError: the client is gone.
    """
    end = time.monotonic() + HEAD_SECONDS
    data = b""
    while END not in data:
        left = end - time.monotonic()
        if left <= 0:
            raise _late()
        connection.settimeout(left)
        try:
            # One more than is allowed tells too long from just enough.
            piece = connection.recv(MAX_HEAD_BYTES + 1 - len(data))
        except TimeoutError:
            raise _late() from None
        if not piece:
            raise ConnectionError
        data += piece
        if len(data) > MAX_HEAD_BYTES:
            break
    head, end_of_head, rest = data.partition(END)
    if end_of_head and rest:
        raise Refusal(413, "BodyRefused", "A request must not have a body.")
    return head + end_of_head


def _late() -> Refusal:
    return Refusal(408, "TooSlow", "The request took too long.")


def _line(head: Head | None, reply: Reply) -> str:
    asked = "a request" if head is None else f"{head.method} {shown(head.target, 128)}"
    return f"{asked}: {reply.status}"


def _bytes(reply: Reply) -> bytes:
    headers = {
        "content-type": reply.kind,
        "content-length": str(len(reply.body)),
        "cache-control": "no-store",
        "connection": "close",
        # No page may show or read it, whatever its browser thinks of the address.
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + reply.body
