"""A cached ``sallyport credential-process``: what every start of AWS's tools waits for."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from bench.table import Row
from sallyport_cli.workload import folder as folders
from sallyport_cli.workload.config import config_file, parse_profiles, settle
from sallyport_cli.workload.entry import Entry, dump
from sallyport_cli.workload.marks import key_of, marks
from sallyport_cli.workload.memo import keep_profiles

ROOT = Path(__file__).resolve().parent.parent
CALLS = 40
BUDGET = 3.0

PROFILES = """\
[profiles.machine]
source = "azure"
endpoint = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/v1"
role-arn = "arn:aws:iam::111122223333:role/sallyport/reader"
audience = "api://00000000-0000-4000-8000-000000000000"

[profiles.pod]
source = "token-file"
endpoint = "https://abcdefghij.execute-api.eu-central-1.amazonaws.com/v1"
role-arn = "arn:aws:iam::111122223333:role/sallyport/reader"
token-file = "../../token"
"""


def measure() -> list[Row]:
    """Start the command and an empty Python in turn, as the installed script starts it."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        environment = {
            "HOME": name,
            "XDG_CONFIG_HOME": f"{name}/config",
            "XDG_CACHE_HOME": f"{name}/cache",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(ROOT / "cli"), str(ROOT / "layers" / "sallyport")]),
        }
        claims = base64.urlsafe_b64encode(json.dumps({"iss": "i", "sub": "s" * 500}).encode()).decode()
        (home / "token").write_text(f"e30.{claims.rstrip('=')}.c2ln")
        script = home / "sallyport"
        # What an installer writes for the entry point.
        script.write_text("import sys\nfrom sallyport_cli.entry import main\nsys.exit(main())\n")
        _configure(environment)
        return [
            _row("a machine's", "azure", "machine", script, environment),
            _row("a pod's", "token-file", "pod", script, environment),
        ]


def _configure(environment: Mapping[str, str]) -> None:
    file = Path(config_file(environment))
    file.parent.mkdir(parents=True)
    file.write_text(PROFILES)
    path = Path(folders.cache_folder(environment))
    path.mkdir(parents=True, mode=0o700)
    folder = folders.open_folder(str(path))
    keep_profiles(folder, file.read_bytes(), parse_profiles(file.read_bytes(), str(file)))
    for source, profile in (("azure", "machine"), ("token-file", "pod")):
        settings = settle(source, {"profile": profile}, environment)
        key = key_of(settings, marks(settings, environment))
        now = int(time.time() * 1_000)
        document = json.dumps({"Version": 1, "SessionToken": "x" * 1_200})
        entry = Entry(key, now, now + 3_600_000, "{}", document)
        folders.write_file(folder, folders.file_name(key), dump(entry))
    os.close(folder)


def _row(what: str, source: str, profile: str, script: Path, environment: Mapping[str, str]) -> Row:
    command = [sys.executable, str(script), "credential-process", source, "--profile", profile]
    floors, calls = [], []
    for _ in range(CALLS):
        floors.append(_start([sys.executable, "-c", "pass"], environment))
        calls.append(_start(command, environment))
    ratio = median(calls) / median(floors)
    return Row(
        f"cached call, {what}",
        budget=f"≤ {BUDGET:g} × python -c pass",
        measured=f"{median(calls) * 1e3:.0f} ms",
        floor=f"{median(floors) * 1e3:.0f} ms",
        ratio=ratio,
        met=ratio <= BUDGET,
        note="with a profile in config.toml",
    )


def _start(command: Sequence[str], environment: Mapping[str, str]) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True)
    took = time.perf_counter() - begin
    assert not done.stderr, done.stderr
    return took


if __name__ == "__main__":
    for one in measure():
        print(f"{one.what}: {one.measured}, floor {one.floor}, ratio {one.ratio:.2f}")
