"""Ports for the servers: free ones by default, consecutive ones where somebody wants to know them."""

import os
import secrets
import socket
from collections.abc import Sequence

from local.progress import LocalCloudError

VARIABLE = "SALLYPORT_LOCAL_PORT"

# Below the ports that Linux hands to outgoing connections, so that nothing takes one meanwhile.
LOWEST, HIGHEST = 20_000, 32_000
TRIES = 200


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port at loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(names: Sequence[str], first: str | None = None) -> dict[str, int]:
    """Give each name a port: consecutive from ``first`` on, or free ones.

    Raises:
        LocalCloudError: a wanted port is taken, or the wish is not a port.
    """
    first = first if first is not None else os.environ.get(VARIABLE, "")
    if first:
        return _consecutive(names, first)
    chosen: dict[str, int] = {}
    for name in names:
        for _ in range(TRIES):
            port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
            if port not in chosen.values() and is_free(port):
                chosen[name] = port
                break
        else:
            raise LocalCloudError(f"No free port between {LOWEST} and {HIGHEST} could be found.")
    return chosen


def _consecutive(names: Sequence[str], first: str) -> dict[str, int]:
    highest = 65_535 - len(names)
    if not (first.isdecimal() and 1024 <= int(first) <= highest):  # noqa: PLR2004 - below are root's
        raise LocalCloudError(f"{VARIABLE}={first} is not a port between 1024 and {highest}.")
    wanted = {name: int(first) + offset for offset, name in enumerate(names)}
    for name, port in wanted.items():
        if not is_free(port):
            raise LocalCloudError(
                f"Port {port} of 127.0.0.1, meant for {name}, is in use. Set {VARIABLE} to the first of "
                f"{len(names)} consecutive free ports, or unset it and free ones are chosen."
            )
    return wanted
