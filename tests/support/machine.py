"""A machine with a certificate, a home of its own and the command, which runs as a process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support import pki
from tests.support.key_files import pem, private_pem

ROOT = Path(__file__).parents[2]

# The command reads the real clock, so its certificates are of today.
_DAY = timedelta(days=1)
TODAY = datetime.now(UTC).replace(microsecond=0)
CA = pki.authority("Root of today", begins=TODAY - _DAY, ends=TODAY + _DAY)
HOLDER = pki.leaf(CA, begins=TODAY - _DAY, ends=TODAY + _DAY)


@dataclass
class Machine:
    """Where the command runs.

    Args:
        home: an empty folder.
        endpoint: the exchange that its variables name.
    """

    home: Path
    endpoint: str
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the certificate there."""
        (self.home / "host.pem").write_bytes(pem(HOLDER))
        (self.home / "host.key").write_bytes(private_pem(HOLDER))
        (self.home / "host.key").chmod(0o600)

    def environment(self, **changes: str) -> dict[str, str]:
        """Return its variables, none of which is the tests' own."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "SALLYPORT_", "PYTHON", "XDG_"))
        }
        return kept | {
            "HOME": str(self.home),
            "PYTHONPATH": f"{ROOT / 'cli'}:{ROOT / 'layers' / 'sallyport'}",
            "SALLYPORT_ENDPOINT": self.endpoint,
            "SALLYPORT_TRUST_ANCHOR_ARN": pki.ANCHOR_ARN,
            "SALLYPORT_PROFILE_ARN": pki.PROFILE_ARN,
            "SALLYPORT_ROLE_ARN": pki.ROLE_ARN,
            "SALLYPORT_CERTIFICATE": str(self.home / "host.pem"),
            "SALLYPORT_PRIVATE_KEY": str(self.home / "host.key"),
            **self.variables,
            **changes,
        }

    def start(self, *arguments: str, **changes: str) -> subprocess.Popen[bytes]:
        """Start the command."""
        return subprocess.Popen(
            [sys.executable, "-m", "sallyport_cli", *arguments],
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.home,
        )

    def run(self, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[bytes]":
        """Run the command to its end."""
        process = self.start(*arguments, **changes)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait for something to be so, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it never came to be")
