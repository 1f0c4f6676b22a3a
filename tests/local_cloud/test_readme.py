"""The README's first page, run as it is written."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import env, steps
from local.deploy import client
from local.paths import ROOT, VENV
from local.steps import PROGRAM_SECONDS, World

HEADING = "## Try it yourself\n"
SALLYPORT = str(VENV / "bin" / "sallyport")

# What comes out, block by block and in this order. `make up` prints nothing here: it has been done.
PRINTED = (
    (
        r"\+ +\"d2e3f4a5-b6c7-4d89-8eab-2f3a4b5c6d7e\"",
        r"1 widening, 0 unknown, 0 narrowing",
        r"Version \S+ is in force",
        r"PRE atlas/",
        r"AccessDenied: Not authorized to assume the requested role \(exchange ([0-9a-f]{32})\)",
        r"DENIED: the identity was verified",
        r"reason +no-profile-matched",
        r"✗ StringEquals token:oid: no-match",
        r"what would have allowed it",
        r"critical +\d+ +[0-9a-f]{12} +trust-change-unexplained-64 .*anchor#mine",
        r"\d+ sessions?; (every one of them )?goes back to an outside identity",
        r"outside identity: token d2e3f4a5-b6c7-4d89-8eab-2f3a4b5c6d7e, vouched for by contoso",
        r"└─ exchange → ASIA\w+  ◀ asked for",
        r"role +arn:aws:iam::\d+:role/sallyport/team-a-reader",
        r"The page is in \.local/trace\.html\.",
    ),
    (
        r'"AccessKeyId": *"\w+"',
        r'"AccessKeyId": *"\w+"',
        r"Certificate revoked \(exchange [0-9a-f]{32}\)",
    ),
)

# What the page writes into the trust table by hand, to have it found.
ADDED = "anchor#mine"

# How long exchanges may go on with the version of the trust that they read before.
FORMER_VERSION_SECONDS = 11


def first_page() -> list[str]:
    """Return the commands, block by block."""
    text = (ROOT / "README.md").read_text()
    section = text.partition(HEADING)[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


@pytest.fixture
def checkout(world: World, tmp_path: Path) -> Iterator[Path]:
    """A folder in which this cloud's file to source is where the README says; trust is put back."""
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "env").symlink_to(world.cloud.state.env_file)
    operator = world.cloud.environment() | env.variables(world.cloud, world.deployment)
    file = Path(operator["LOCAL_TRUST_FILE"])
    before = file.read_bytes()
    in_force = json.loads(steps.program([SALLYPORT, "trust", "show", "--json"], operator))["version"]["id"]
    try:
        yield tmp_path
    finally:
        file.write_bytes(before)
        client(world.cloud, "dynamodb").delete_item(
            TableName=operator["SALLYPORT_TRUST_TABLE"], Key={"pk": {"S": ADDED}, "version": {"S": "-"}}
        )
        steps.program([SALLYPORT, "trust", "rollback", in_force, "--yes", "--allow-widening"], operator)


def test_the_commands_of_the_first_page_do_what_it_says(checkout: Path) -> None:
    """In one shell after the other, as somebody types them who has sourced the file."""
    blocks = first_page()
    assert len(blocks) == len(PRINTED)
    assert "make up" in blocks[0].splitlines()
    # The rest of the suite may have asked a moment ago; who reads the README has not.
    time.sleep(FORMER_VERSION_SECONDS)
    for block, patterns in zip(blocks, PRINTED, strict=True):
        # What `make up` does has been done by the suite, by the same function.
        script = f'make() {{ test "$*" = up; }}\n. .local/env\n{block}'
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=checkout,
            env={"PATH": "/usr/bin:/bin", "HOME": str(checkout)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PROGRAM_SECONDS,
            check=False,
        )
        rest = done.stdout
        for pattern in patterns:
            found = re.search(pattern, rest)
            assert found is not None, f"{pattern} is not in what is left of:\n{done.stdout}"
            rest = rest[found.end() :]
        assert "not found" not in done.stdout
    assert "d2e3f4a5-b6c7-4d89-8eab-2f3a4b5c6d7e" in (checkout / ".local" / "trace.html").read_text()
