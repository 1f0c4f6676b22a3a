"""Starting servers that outlive their starter, and stopping exactly those.

A server is stopped by its process id, and only if that process still is the one that was started:
same command line and, where the system tells it, same start time. Ids are reused.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from local.paths import State
from local.progress import LocalCloudError, tail

# MiniStack is up in about 3 s on an idle machine; ten times that on one that is not.
START_SECONDS = 45.0
STOP_SECONDS = 8.0
# What was killed is gone at once; a zombie that nobody asks for is not waited for.
GROUP_SECONDS = 2.0
POLL_SECONDS = 0.05
HEALTH_SECONDS = 2.0

# /proc/<pid>/stat, counted after the name in parentheses: the process's start in clock ticks.
_STAT_START_TIME = 19


# This program's own children: they stay on as zombies until they are asked for.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class Process:
    """A server that was started: its id, and how to recognise it."""

    name: str
    pid: int
    program: str
    started: str
    health: str


def start(  # noqa: PLR0913 - each is one property of a server
    state: State, name: str, command: Sequence[str], *, env: Mapping[str, str], health: str, cwd: Path
) -> Process:
    """Start a server in a session of its own and record it; does not wait until it is up."""
    for folder in (state.processes, state.logs, state.temporary):
        folder.mkdir(parents=True, exist_ok=True)
    with (state.logs / f"{name}.log").open("wb") as log:
        popen = subprocess.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[popen.pid] = popen
    process = Process(name, popen.pid, command[0], _start_time(popen.pid), health)
    (state.processes / f"{name}.json").write_text(json.dumps(asdict(process)))
    return process


def recorded(state: State) -> list[Process]:
    """Return the servers that this state has on file, running or not."""
    found = []
    for path in sorted(state.processes.glob("*.json")):
        try:
            found.append(Process(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):
            path.unlink(missing_ok=True)
    return found


def is_running(process: Process) -> bool:
    """Tell whether the process with this id still is the one that was started."""
    if (child := _children.get(process.pid)) is not None:
        # Our own child: its id cannot be somebody else's before we have asked for its end.
        if child.poll() is None:
            return process.program in str(child.args) and process.started in ("", _start_time(process.pid))
        del _children[process.pid]
        return False
    command = _command_line(process.pid)
    if process.program not in command:
        return False
    return not process.started or _start_time(process.pid) == process.started


def answers(process: Process) -> bool:
    """Tell whether the server's health address answers."""
    # Loopback is never behind a proxy, whatever the environment says of proxies.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(process.health, timeout=HEALTH_SECONDS) as response:
            return bool(response.status == 200)  # noqa: PLR2004 - HTTP's OK
    except (URLError, OSError):
        return False


def wait_until_up(state: State, processes: Sequence[Process], seconds: float = START_SECONDS) -> None:
    """Wait until all of them answer.

    Raises:
        LocalCloudError: one has ended or does not answer in time, with the end of its log.
    """
    deadline = time.monotonic() + seconds
    for process in processes:
        while not answers(process):
            log = state.logs / f"{process.name}.log"
            if not is_running(process):
                raise LocalCloudError(f"{process.name} ended right away. Its log, {log}, says:\n{tail(log)}")
            if time.monotonic() > deadline:
                raise LocalCloudError(
                    f"{process.name} did not answer in {seconds:.0f} s. Its log, {log}, says:\n{tail(log)}"
                )
            time.sleep(POLL_SECONDS)


def stop(state: State, process: Process) -> bool:
    """Stop a server and whatever it started; returns whether it was still running."""
    running = is_running(process)
    if running:
        _signal(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while is_running(process) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        # Its own session, so the group holds it and its children and nobody else.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        while _group_exists(process.pid) and time.monotonic() < deadline + GROUP_SECONDS:
            is_running(process)
            time.sleep(POLL_SECONDS)
    (state.processes / f"{process.name}.json").unlink(missing_ok=True)
    return running


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        if Path("/proc").is_dir():
            return ""
    # Systems without /proc.
    answer = subprocess.run(
        ["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False, timeout=5
    )
    return answer.stdout


def _start_time(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[_STAT_START_TIME]
