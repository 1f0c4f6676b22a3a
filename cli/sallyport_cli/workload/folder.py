"""The cache's folder: 0700, ours, and no link on the way to a file.

Every file is opened relative to the folder's descriptor and looked at through its own, so that nothing
can be exchanged between a look and a use. What is not as it should be is as good as not there.
"""

from __future__ import annotations

import os
import stat

from sallyport_cli.workload.entry import MAX_ENTRY_BYTES, Entry, load

TYPE_CHECKING = False
if TYPE_CHECKING:  # `collections` is not for free
    from collections.abc import Mapping

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = os.O_RDONLY | _NO_LINKS | getattr(os, "O_DIRECTORY", 0)
HALF_WRITTEN = ".new"
"""How files end until they are whole."""

SESSION = ".session"
"""How files with credentials end."""

# Without O_NONBLOCK a pipe of that name would wait for a writer.
_FILE = os.O_RDONLY | _NO_LINKS | getattr(os, "O_NONBLOCK", 0)


def cache_folder(environment: Mapping[str, str]) -> str:
    """Return where credentials are kept: ``$XDG_CACHE_HOME/sallyport``, or ``$SALLYPORT_CACHE_DIR``.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/.
    """
    own = environment.get("SALLYPORT_CACHE_DIR", "")
    if os.path.isabs(own):  # noqa: PTH117 - pathlib is not for free
        return own
    base = environment.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # noqa: PTH117
        base = os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118
    return os.path.join(base, "sallyport")  # noqa: PTH118


def open_folder(path: str) -> int:
    """Return the folder's descriptor.

    Raises:
        OSError: it is not there, a link, or not a folder.
        PermissionError: it is somebody else's, or somebody else may look into it.
    """
    folder = os.open(path, _FOLDER)
    found = os.fstat(folder)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        os.close(folder)
        raise PermissionError(1, "it is not this user's alone", path)
    return folder


def read_file(folder: int, name: str) -> bytes | None:
    """Return a file's bytes, or ``None`` unless it is a plain file of ours that nobody else may read."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if (
            not stat.S_ISREG(found.st_mode)
            or found.st_uid != os.geteuid()
            or stat.S_IMODE(found.st_mode) & 0o077
            or found.st_nlink != 1
            or found.st_size > MAX_ENTRY_BYTES
        ):
            return None
        # Whole files are written and put in their place, so that one call reads one.
        return os.read(descriptor, MAX_ENTRY_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def read_entry(folder: int, key: str) -> Entry | None:
    """Return what is kept under a key, or ``None``."""
    data = read_file(folder, file_name(key))
    return None if data is None else load(data, key)


def file_name(key: str) -> str:
    """Return the name of the file with a key's credentials."""
    return f"{key}{SESSION}"


def lock_name(key: str) -> str:
    """Return the name of the file that is locked while a key's credentials are renewed."""
    return f"{key}.lock"


def write_file(folder: int, name: str, data: bytes) -> None:
    """Put a file in its place, whole or not at all, whatever happens on the way.

    Raises:
        OSError: it could not be written, as on a full disk; what was there before is there still.
    """
    temporary = f"{name}.{os.urandom(8).hex()}{HALF_WRITTEN}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS
    try:
        with open(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as stream:  # noqa: PTH123
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    except OSError:
        try:  # noqa: SIM105 - `contextlib` is not for free
            os.unlink(temporary, dir_fd=folder)
        except OSError:
            pass
        raise
