"""``make test``: build, then all suites; the local-cloud one starts and stops a cloud of its own.

Arguments go to pytest: ``make test ARGS="tests/unit -k proof"``.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from local import cloud as clouds
from local import deploy
from local.paths import ROOT, TEST, VENV
from local.progress import LocalCloudError, Progress, fail, interruptible

# The whole of it takes some nine minutes on two idle cores.
TESTS_SECONDS = 1_500
# pytest's own exit status for an interrupt.
INTERRUPTED = 2
# And for a selection that no test meets.
NOTHING_SELECTED = 5

LOCAL_SUITE = "tests/local_cloud"

# Suites that need what `sam build` makes.
BUILT_SUITES = ("tests/contract", "tests/local_cloud")


def main(arguments: Sequence[str]) -> int:
    """Run pytest and return its status."""
    progress = Progress()
    interruptible()
    try:
        with clouds.sole_use(TEST):
            # What an interrupted run left would be in this one's way.
            clouds.stop(TEST)
            try:
                if _needs_build(arguments):
                    with progress.step("build the functions and the layer"):
                        deploy.build(TEST)
                return _pytest(arguments)
            finally:
                clouds.stop(TEST)
    except LocalCloudError as error:
        return fail(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def _needs_build(arguments: Sequence[str]) -> bool:
    named = [argument for argument in arguments if argument.startswith("tests")]
    return not named or any(one.startswith(BUILT_SUITES) for one in named)


def _pytest(arguments: Sequence[str]) -> int:
    if any(argument.startswith("tests") for argument in arguments):
        with _started(arguments) as one:
            return _wait({one: None})
    # Two processes for two cores: the local cloud's suite mostly waits for other programs. What it says
    # is shown when both have ended.
    with NamedTemporaryFile("w+") as said, _started([*arguments, LOCAL_SUITE], said) as beside:
        print("the suite against the local cloud runs beside the others; what it says follows", flush=True)
        with _started([*arguments, "tests", f"--ignore={LOCAL_SUITE}"]) as others:
            return _wait({others: None, beside: said.name})


def _wait(running: "Mapping[subprocess.Popen[bytes], str | None]") -> int:
    """Wait for all of them, show what was kept of one, and return the first status that is not well."""
    ends = time.monotonic() + TESTS_SECONDS
    statuses: list[int] = []
    try:
        for pytest, said in running.items():
            status = pytest.wait(max(ends - time.monotonic(), 0))
            statuses.append(status)
            if said is not None:
                print(Path(said).read_text(errors="replace"), flush=True)
    except subprocess.TimeoutExpired:
        _interrupt(running)
        raise LocalCloudError(f"the tests took more than {TESTS_SECONDS} s and were interrupted") from None
    except KeyboardInterrupt:
        _interrupt(running)
        raise
    # A selection (-k) may be in one of the two alone.
    return next((status for status in statuses if status not in (0, NOTHING_SELECTED)), min(statuses))


def _interrupt(running: "Iterable[subprocess.Popen[bytes]]") -> None:
    """End them as by Ctrl-C: fixtures get to tear down what they made."""
    for pytest in running:
        if pytest.poll() is None:
            pytest.send_signal(signal.SIGINT)
    for pytest in running:
        pytest.wait(60)


def _started(arguments: Sequence[str], out: IO[str] | None = None) -> "subprocess.Popen[bytes]":
    # Nothing of the caller's AWS configuration may reach a test, whatever it forgets to set.
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [str(VENV / "bin" / "python"), "-m", "pytest", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out and subprocess.STDOUT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
