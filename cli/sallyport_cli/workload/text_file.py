"""Changing a file that somebody else wrote too: only what is ours, and whole or not at all."""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from sallyport_cli.failure import CommandError
from sallyport_cli.output import shown

MAX_BYTES: Final = 1_048_576
"""Thousands of profiles; more is another file by mistake."""


def read_text(path: Path) -> str:
    """Return a file's text; empty if there is none.

    Raises:
        CommandError: it cannot be read, or is no text.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) <= MAX_BYTES:
            return data.decode()
        reason = "it is too large"
    except FileNotFoundError:
        return ""
    except OSError as error:
        reason = error.strerror or "unknown"
    except UnicodeDecodeError:
        reason = "it is not text in UTF-8"
    raise CommandError(
        "file-unreadable", f"{shown(path)} cannot be read: {reason}.", cure="Look at the file."
    )


def write_text(path: Path, text: str) -> None:
    """Put a text in a file's place; for its owner alone, and never wider than it was.

    Where the file is a link, as tools for dotfiles make them, what it leads to is written.

    Raises:
        CommandError: it cannot be written; what was there before is there still.
    """
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = 0o600
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(place.stat().st_mode)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode & 0o600)
        with open(descriptor, "w", encoding="utf-8", newline="") as stream:  # noqa: PTH123 - with a mode
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(mode)
        temporary.replace(place)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise CommandError(
            "file-unwritable",
            f"{shown(path)} cannot be written: {error.strerror}.",
            cure="Check the folder and the disk.",
        ) from None
