"""The way of a cached call: read the arguments, find the file, pass it on. Everything else is for others.

It understands less than the command line and never something else: what it does not know for sure, it
leaves to the command, which then does all of it again.
"""

from __future__ import annotations

from sallyport_cli.workload.config import ConfigError, settle
from sallyport_cli.workload.folder import cache_folder, open_folder, read_entry
from sallyport_cli.workload.marks import UNREADABLE, key_of, marks
from sallyport_cli.workload.memo import kept_profiles
from sallyport_cli.workload.options import PROFILE, SOURCES, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:  # `collections` is not for free
    from collections.abc import Mapping, Sequence

COMMAND = "credential-process"


def answer(arguments: Sequence[str], environment: Mapping[str, str], now: int) -> str | None:
    """Return what the command would print, or ``None`` if it has to be run for that.

    Args:
        arguments: without the program's name.
        environment: variables.
        now: milliseconds since 1970.
    """
    read = read_arguments(arguments)
    if read is None:
        return None
    source, flags = read
    try:
        # Its descriptor ends with the process, which is about to.
        folder = open_folder(cache_folder(environment))
        settings = settle(source, flags, environment, lambda path: kept_profiles(folder, path))
        found = marks(settings, environment)
        if UNREADABLE in found.values():
            return None
        key = key_of(settings, found)
        entry = read_entry(folder, key)
    except (ConfigError, OSError, ValueError):
        return None
    return entry.document if entry is not None and entry.is_fresh(now) else None


def read_arguments(arguments: Sequence[str]) -> tuple[str, Mapping[str, str]] | None:
    """Return the source and the options; ``None`` for more than ``--name value`` and ``--name=value``."""
    if len(arguments) < 2 or arguments[0] != COMMAND or arguments[1] not in SOURCES:  # noqa: PLR2004 - a command and its source
        return None
    source, rest = arguments[1], list(arguments[2:])
    known = {f"--{one.name}" for one in (*options_of(source), PROFILE)}
    flags: dict[str, str] = {}
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not equals:
            if not rest:
                return None
            value = rest.pop(0)
        if name not in known:
            return None
        # Said twice, the last counts, as on every command line.
        flags[name[2:]] = value
    return source, flags
