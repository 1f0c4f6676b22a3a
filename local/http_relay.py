"""HTTP/1.1 as a proxy needs it: a message's head read, its body passed on as it comes."""

import socket
from dataclasses import dataclass

# A head beyond this is none that AWS's clients send.
MAX_HEAD_BYTES = 65_536
CHUNK_BYTES = 65_536


@dataclass(slots=True)
class Head:
    """The first line and the headers of a message, and what was read beyond them."""

    raw: bytes
    first: str
    headers: dict[str, str]
    rest: bytes

    @property
    def length(self) -> int | None:
        """The body's length, if it is told."""
        value = self.headers.get("content-length", "")
        return int(value) if value.isdecimal() else None

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this message."""
        return self.headers.get("connection", "").lower() == "close"


class BrokenError(Exception):
    """The other side ended the connection or sent something that is not HTTP."""


def read_head(stream: socket.socket, data: bytes = b"") -> Head | None:
    """Read a message's head; ``None`` where the connection ended before its first byte.

    Raises:
        BrokenError: it ended within the head, or the head does not end.
    """
    while (end := data.find(b"\r\n\r\n")) < 0:
        if len(data) > MAX_HEAD_BYTES:
            raise BrokenError
        more = stream.recv(CHUNK_BYTES)
        if not more:
            if data:
                raise BrokenError
            return None
        data += more
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Head(data[: end + 4], first, headers, data[end + 4 :])


def relay_body(source: socket.socket, target: socket.socket, head: Head) -> bytes:
    """Pass a body on as it comes; returns what was read beyond it.

    Raises:
        BrokenError: it ends too early.
    """
    if not head.chunked:
        left = (head.length or 0) - len(head.rest)
        target.sendall(head.rest)
        while left > 0:
            data = source.recv(min(CHUNK_BYTES, left))
            if not data:
                raise BrokenError
            target.sendall(data)
            left -= len(data)
        return b""
    data = head.rest
    while True:
        while (end := data.find(b"\r\n")) < 0:
            data += read_more(source)
        size = int(data[:end].partition(b";")[0], 16)
        # The chunk, its own line end, and for the last one the empty line (trailers are not used).
        needed = end + 2 + size + 2
        while len(data) < needed:
            data += read_more(source)
        target.sendall(data[:needed])
        data = data[needed:]
        if size == 0:
            return data


def read_more(source: socket.socket) -> bytes:
    """Return what comes next.

    Raises:
        BrokenError: nothing does.
    """
    data = source.recv(CHUNK_BYTES)
    if not data:
        raise BrokenError
    return data
