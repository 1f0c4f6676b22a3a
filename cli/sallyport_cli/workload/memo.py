"""What ``config.toml`` says, kept in a form that is read at once.

Reading TOML takes longer than all the rest of a cached call. What is kept lies under the SHA-256 of the
file that it was read from, so that it is right or not found; there is no second reader of TOML.
"""

from __future__ import annotations

from sallyport_cli.workload.config import ConfigError, read_config
from sallyport_cli.workload.digest import digest
from sallyport_cli.workload.folder import read_file, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:  # `collections` is not for free
    from sallyport_cli.workload.config import Profiles

VERSION = "sallyport profiles 1"

ENDING = ".profiles"


def kept_profiles(folder: int, path: str) -> Profiles:
    """Return every profile of a file.

    Raises:
        ConfigError: they are not kept, or the file cannot be read.
    """
    data = read_config(path)
    if data is None:
        return {}
    name = _name(data)
    found = read_file(folder, name)
    profiles = None if found is None else _load(found)
    if profiles is None:
        raise ConfigError("not-kept", "", "")
    return profiles


def keep_profiles(folder: int, data: bytes, profiles: Profiles) -> None:
    """Keep what a file says, unless it is kept already or cannot be told line by line.

    Args:
        folder: the cache's.
        data: the file.
        profiles: what it says.

    Raises:
        OSError: it cannot be written.
    """
    lines = [VERSION]
    for name, values in profiles.items():
        lines.append(f"[{name}")
        lines += [f"{key}={value}" for key, value in values.items()]
    written = _dump(lines)
    if all(line.isprintable() for line in lines) and read_file(folder, _name(data)) != written:
        write_file(folder, _name(data), written)


def _name(data: bytes) -> str:
    return digest(data) + ENDING


def _dump(lines: list[str]) -> bytes:
    text = "".join(f"{line}\n" for line in lines).encode(errors="surrogatepass")
    return text + digest(text).encode() + b"\n"


def _load(data: bytes) -> Profiles | None:
    try:
        lines = data.decode().split("\n")[:-2]
    except ValueError:
        return None
    if not lines or lines[0] != VERSION or _dump(lines) != data:
        return None
    profiles: dict[str, dict[str, str]] = {}
    values: dict[str, str] = {}
    for line in lines[1:]:
        if line.startswith("["):
            values = profiles[line[1:]] = {}
        else:
            key, _, value = line.partition("=")
            values[key] = value
    return profiles
