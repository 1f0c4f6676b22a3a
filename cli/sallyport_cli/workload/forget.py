"""Taking kept credentials away."""

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sallyport_cli.failure import CommandError
from sallyport_cli.output import shown
from sallyport_cli.workload import folder as folders
from sallyport_cli.workload.memo import ENDING

_OURS = {folders.SESSION, ".lock", folders.HALF_WRITTEN, ENDING}


def forget(path: Path, wanted: Mapping[str, str]) -> list[Mapping[str, str]]:
    """Delete the kept credentials that are for what is wanted, and say which they were.

    With nothing wanted everything goes: files that cannot be read, half-written ones and locks too.
    A link is taken away and what it leads to is left alone.

    Args:
        path: the cache's folder.
        wanted: what ``about`` must say of them.

    Raises:
        CommandError: the folder is not this user's alone, or a file stays.
    """
    try:
        folder = folders.open_folder(str(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CommandError(
            "cache-foreign",
            f"The folder {shown(path)} is not looked into: {error.strerror}.",
            cure="Look at it, and take it away by hand: it should be a folder of yours with mode 0700.",
        ) from None
    gone: list[Mapping[str, str]] = []
    try:
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - through the descriptor
            ending = name[name.rfind(".") :] if "." in name else ""
            about = _about(folder, name) if ending == folders.SESSION else {}
            is_wanted = not wanted or (
                ending == folders.SESSION and all(about.get(key) == value for key, value in wanted.items())
            )
            if ending in _OURS and is_wanted and _unlink(folder, name) and ending == folders.SESSION:
                gone.append(about)
    except OSError as error:
        raise CommandError(
            "cache-stays",
            f"Something in {shown(path)} cannot be deleted: {error.strerror}.",
            cure="Take the folder away by hand.",
        ) from None
    finally:
        os.close(folder)
    return gone


def _unlink(folder: int, name: str) -> bool:
    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return False
        os.unlink(name, dir_fd=folder)
        return True
    return False


def _about(folder: int, name: str) -> Mapping[str, str]:
    entry = folders.read_entry(folder, name.removesuffix(folders.SESSION))
    try:
        found: Any = None if entry is None else json.loads(entry.about)
    except ValueError:
        found = None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
