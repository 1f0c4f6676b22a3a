"""Refreshing a revocation list with a million entries: time and peak memory.

The table takes everything at once. How fast DynamoDB takes it is its own affair, and at the most
``MAX_PER_SECOND``, which is not waited for here. ``python -m bench.refresh FILE ANCHOR`` is the process
that is measured.
"""

import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from botocore.credentials import ReadOnlyCredentials

from bench import certificates
from bench import world as worlds
from bench.table import Row
from sallyport.adapters.http import HttpResponse, TimeLimits
from sallyport.adapters.revocation_tables import MAX_PER_SECOND, StoredListsTable
from sallyport.revocation import BroughtList, ListStatus, RefreshLists
from sallyport.settings import ExchangeSettings
from sallyport.wiring.clients import Aws

URL = "http://crl.example.com/issuing.crl"
MEMORY_MB = 1_024
"""What refresh_keys has."""


def measure(entries: int) -> list[Row]:
    """Make a list, refresh it in a process of its own."""
    estate = certificates.estate(with_list=True)
    with tempfile.TemporaryDirectory() as temporary:
        file, anchor = Path(temporary, "list.crl"), Path(temporary, "anchor")
        file.write_bytes(certificates.revocation_list(estate.issuing, entries))
        anchor.write_bytes(pickle.dumps(replace(estate.anchor, crls=(URL,), crl_urls=(URL,))))
        size = file.stat().st_size
        run = subprocess.run(
            [sys.executable, "-m", "bench.refresh", str(file), str(anchor)],
            check=True,
            timeout=600,
            stdout=subprocess.PIPE,
            text=True,
        )
    found = json.loads(run.stdout)
    assert found["entries"] == entries
    return [
        Row(
            f"refresh, {entries:,} entries",
            budget="reported",
            measured=f"{found['seconds']:.1f} s",
            note=(
                f"{size / 1e6:.0f} MB, written to a table that takes it at once; DynamoDB is given "
                f"{MAX_PER_SECOND:,} a second, and so it takes {entries / MAX_PER_SECOND:.0f} s there"
            ),
        ),
        Row(
            "refresh, peak memory",
            budget=f"≤ {MEMORY_MB:,} MB",
            measured=f"{found['memory_kb'] / 1024:.0f} MB",
            met=found["memory_kb"] / 1024 <= MEMORY_MB,
        ),
    ]


class Sink:
    """A DynamoDB that takes everything at once, and counts what is put."""

    taken = 0

    def __call__(
        self, _method: str, _url: str, headers: Mapping[str, str], body: bytes, _limits: TimeLimits
    ) -> HttpResponse:
        """Answer as a transport does."""
        if headers["X-Amz-Target"].endswith("BatchWriteItem"):
            self.taken += body.count(b"PutRequest")
        return HttpResponse(200, b"{}")


class Nobody:
    """Operators who brought nothing."""

    def pointer(self, _anchor_id: str, _list_id: str) -> BroughtList | None:
        """Return that there is none."""
        return None

    def chunk(self, _digest: str, _number: int) -> bytes | None:
        """Return that there is none."""
        return None


def main(file: Path, saved: Path) -> None:
    """Refresh the list in ``file`` and print what that took."""
    anchor = pickle.loads(saved.read_bytes())  # noqa: S301 - written by the parent process
    sink = Sink()
    aws = Aws(
        ExchangeSettings.from_env(worlds.ENVIRONMENT).aws,
        sink,
        lambda: ReadOnlyCredentials("ASIABENCH", "bench", "t" * 900),
    )
    refresh = RefreshLists(
        fetch=lambda _url: file.read_bytes(),
        brought=Nobody(),
        lists=StoredListsTable(aws.dynamodb(), "keys", pause=lambda _seconds: None),
        report=lambda _outcome: None,
    )
    begin = time.perf_counter()
    outcomes = refresh([anchor], now=datetime.now(UTC), time_left=lambda: 900.0)
    seconds = time.perf_counter() - begin
    assert [one.status for one in outcomes] == [ListStatus.REFRESHED], outcomes
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "memory_kb": memory, "entries": sink.taken}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
