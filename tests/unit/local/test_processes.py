"""Servers are started apart from their starter and stopped by nothing but their own id."""

import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local import cloud, ports, processes
from local.paths import State
from local.processes import Process
from local.progress import LocalCloudError

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    monkeypatch.setattr("local.paths.LOCAL", tmp_path)
    one = State("one")
    yield one
    for process in processes.recorded(one):
        processes.stop(one, process)


def started(state: State, code: str, health: str = "http://127.0.0.1:9/") -> Process:
    command = [sys.executable, "-c", code]
    return processes.start(
        state, "server", command, env={"PATH": "/usr/bin:/bin"}, health=health, cwd=state.folder.parent
    )


SLEEP = "import time; time.sleep(60)"


@pytest.fixture(autouse=True)
def folder(state: State) -> None:
    state.folder.parent.mkdir(parents=True, exist_ok=True)


def test_a_server_is_on_file_until_it_is_stopped(state: State) -> None:
    process = started(state, SLEEP)
    assert processes.recorded(state) == [process]
    assert processes.is_running(process)
    assert processes.stop(state, process)
    assert not processes.is_running(process)
    assert processes.recorded(state) == []


def test_what_a_server_started_goes_with_it(state: State) -> None:
    code = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); time.sleep(60)"
    )
    process = started(state, code)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 10
    while not children.read_text().split() and time.monotonic() < deadline:
        time.sleep(0.02)
    (child,) = children.read_text().split()
    processes.stop(state, process)
    assert not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes()


def test_a_server_that_ignores_the_signal_is_ended_all_the_same(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.5)
    process = started(state, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}")
    time.sleep(0.2)
    processes.stop(state, process)
    assert not processes.is_running(process)


def test_somebody_elses_process_with_the_same_id_is_left_alone(state: State) -> None:
    process = started(state, SLEEP)
    for other in (replace(process, started="1"), replace(process, program="/some/other/program")):
        assert not processes.stop(state, other)
    assert processes.is_running(process)
    processes.stop(state, process)


def test_a_server_that_ends_at_once_is_named_with_its_last_words(state: State) -> None:
    process = started(state, "raise SystemExit('no such port')")
    with pytest.raises(LocalCloudError, match="no such port"):
        processes.wait_until_up(state, [process], seconds=10)


def test_a_server_that_never_answers_is_not_waited_for_for_ever(state: State) -> None:
    process = started(state, SLEEP)
    with pytest.raises(LocalCloudError, match="did not answer"):
        processes.wait_until_up(state, [process], seconds=0.3)


def test_a_cloud_is_held_by_one_command_at_a_time(state: State) -> None:
    with (
        cloud.sole_use(state),
        pytest.raises(LocalCloudError, match="Another command"),
        cloud.sole_use(state),
    ):
        pass
    with cloud.sole_use(state):
        pass


def test_a_dead_cloud_is_not_taken_for_a_running_one(state: State) -> None:
    started(state, SLEEP)
    assert cloud.running(state) is None
    assert cloud.stop(state) == ["server"]


def test_ports_are_free_and_different_by_default() -> None:
    chosen = ports.choose(["a", "b", "c"], first="")
    assert len(set(chosen.values())) == 3
    assert all(ports.is_free(port) for port in chosen.values())


def test_a_port_in_use_is_named_with_the_variable_that_changes_it() -> None:

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalCloudError, match=rf"Port {port} .* {ports.VARIABLE}"):
            ports.choose(["a"], first=str(port))


@pytest.mark.parametrize("wish", ["http", "80", "65535", "-1"])
def test_a_wish_that_is_no_port_is_refused(wish: str) -> None:
    with pytest.raises(LocalCloudError, match=ports.VARIABLE):
        ports.choose(["a", "b"], first=wish)
