"""Reading a file that somebody named: bounded in bytes, and in time where it is a pipe."""

import errno
import os
import stat
import time
from pathlib import Path
from typing import Final

PIPE_SECONDS: Final = 10.0
"""For whoever writes into a pipe. A password manager may ask its owner first; nobody must wait for ever."""

_POLL: Final = 0.02
# Without it a pipe that nobody writes into would be waited for by the system, without an end.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def read_bytes(path: Path, limit: int) -> bytes:
    """Return a file's bytes, at most one more than ``limit``, so that too long can be told.

    Pipes are read to their end, as shells make them of ``<(command)``.

    Raises:
        OSError: it cannot be read, or it is a pipe into which nobody writes.
        ValueError: the name is not one.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return _from_pipe(descriptor, limit)
        os.set_blocking(descriptor, True)
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(limit + 1)
    finally:
        os.close(descriptor)


def _from_pipe(descriptor: int, limit: int) -> bytes:
    end = time.monotonic() + PIPE_SECONDS
    data = b""
    while len(data) <= limit:
        try:
            piece = os.read(descriptor, limit + 1 - len(data))
        except BlockingIOError:
            piece = None
        if piece:
            data += piece
            continue
        # Nothing at all is also what a pipe says before its writer has come.
        if piece is not None and data:
            return data
        if time.monotonic() >= end:
            raise OSError(errno.ETIMEDOUT, "it is a pipe, and nobody writes into it")
        time.sleep(_POLL)
    return data
