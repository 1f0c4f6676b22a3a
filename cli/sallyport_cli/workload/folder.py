"""The cache's folder: 0700, ours, and no link on the way to a file.

Every file is opened relative to the folder's descriptor and looked at through its own, so that nothing
can be exchanged between a look and a use. What is not as it should be is as good as not there.
"""

import os
import stat
from collections.abc import Mapping

from sallyport_cli.workload.entry import MAX_ENTRY_BYTES, Entry, load

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = os.O_RDONLY | _NO_LINKS | getattr(os, "O_DIRECTORY", 0)
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
    with open(descriptor, "rb") as stream:  # noqa: PTH123
        found = os.fstat(descriptor)
        if (
            not stat.S_ISREG(found.st_mode)
            or found.st_uid != os.geteuid()
            or stat.S_IMODE(found.st_mode) & 0o077
            or found.st_nlink != 1
            or found.st_size > MAX_ENTRY_BYTES
        ):
            return None
        try:
            data = stream.read(MAX_ENTRY_BYTES + 1)
        except OSError:
            return None
    return data if len(data) <= MAX_ENTRY_BYTES else None


def read_entry(folder: int, key: str) -> Entry | None:
    """Return what is kept under a key, or ``None``."""
    data = read_file(folder, file_name(key))
    return None if data is None else load(data, key)


def file_name(key: str) -> str:
    """Return the name of the file with a key's credentials."""
    return f"{key}.session"


def lock_name(key: str) -> str:
    """Return the name of the file that is locked while a key's credentials are renewed."""
    return f"{key}.lock"
