"""A shared credentials file that several write: one after the other, and each its whole content at once."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sallyport_cli.failure import CommandError
from sallyport_cli.output import shown
from sallyport_cli.update_profile import MAX_FILE_BYTES, UnreadableError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no such locks
    fcntl = None  # type: ignore[assignment]  # Windows has none

LOCK_SECONDS: Final = 10.0
"""To wait for other writers: each needs some milliseconds."""

LOCK_POLL: Final = 0.02

CHANGES: Final = 20
"""How often to begin anew because somebody who knows no lock has changed the file meanwhile."""

Change = Callable[[bytes], bytes]


def change_file(path: Path, change: Change) -> None:
    """Change a file's content, keep everything that others write, and leave it whole whatever happens.

    Args:
        path: the file; where it is a link, what it leads to is changed. Made if it is not there.
        change: returns the new content; may raise ``UnreadableError``.

    Raises:
        CommandError: it cannot be read or written, or is not in the expected form.
    """
    real = Path(os.path.realpath(path))
    try:
        real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(real):
            for _ in range(CHANGES):
                before = read_credentials(real)
                if _put(real, before, change(before or b"")):
                    return
    except UnreadableError as error:
        raise CommandError(
            "credentials-file-malformed",
            f"{shown(path)} was left as it is: {error}.",
            cure="Correct the file, or name another with AWS_SHARED_CREDENTIALS_FILE.",
        ) from None
    except OSError as error:
        raise CommandError(
            "credentials-file-unwritable",
            f"{shown(path)} cannot be changed: {error.strerror or type(error).__name__}.",
            cure="Check who may write there, and that there is room left.",
        ) from None
    raise CommandError(
        "credentials-file-busy",
        f"{shown(path)} is changed by somebody else all the time.",
        cure="Try again.",
    )


def read_credentials(path: Path) -> bytes | None:
    """Return a shared credentials file; ``None`` if there is none.

    Raises:
        UnreadableError: it is no plain file, or too large.
        OSError: it cannot be read.
    """
    try:
        # A pipe in its place would be waited for, and could not be written back.
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableError("it is no plain file")
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableError("it is too large")
    return data


def _put(path: Path, before: bytes | None, after: bytes) -> bool:
    """Replace a file's content at once; tell whether it was still the one that was read."""
    # One name, so that somebody who is killed half-way leaves one file and the next one takes it away.
    temporary = path.with_name(f".{path.name}.sallyport.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor
            stream.write(after)
            stream.flush()
            os.fsync(stream.fileno())
        if read_credentials(path) != before:
            return False
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock, which ends with its holder. It is another file: the one itself is replaced."""
    name = path.with_name(f".{path.name}.sallyport.lock")
    lock = os.open(name, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        end = time.monotonic() + LOCK_SECONDS
        while not _try(lock):
            if time.monotonic() >= end:
                raise CommandError(
                    "credentials-file-locked",
                    f"Somebody else has been changing {shown(path)} for {LOCK_SECONDS:.0f} seconds.",
                    cure="See who: fuser " + shown(name),
                )
            time.sleep(LOCK_POLL)
        yield
    finally:
        os.close(lock)


def _try(lock: int) -> bool:
    if fcntl is None:  # pragma: no cover
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
