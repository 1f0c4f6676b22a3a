"""Small files that only their owner reads, put in place as a whole."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sallyport.model import Secret
from sallyport_cli.failure import CommandError
from sallyport_cli.output import shown


def new_token() -> Secret:
    """Return an authorization token: 256 random bits in characters that a header takes."""
    return Secret(secrets.token_urlsafe(32))


@contextmanager
def private_file(path: Path, text: str) -> Iterator[Path]:
    """Keep a file with this text for the length of a ``with``; it goes when the block ends.

    Clients send a token file's whole content, so that there is no line end in it but what is given.

    Raises:
        CommandError: it cannot be written.
    """
    write_private(path, text)
    try:
        yield path
    finally:
        # A newer process may have put its own in the place meanwhile; that one stays.
        with suppress(OSError):
            if path.read_text() == text:
                path.unlink()


def write_private(path: Path, text: str) -> None:
    """Put a file in place at once, readable by its owner alone.

    Raises:
        CommandError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:  # noqa: PTH123 - a descriptor
            stream.write(text)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise CommandError(
            "file-unwritable",
            f"{shown(path)} cannot be written: {error.strerror or type(error).__name__}.",
            cure="Name a file in a directory of your own, with room left.",
        ) from None
