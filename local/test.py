"""``make test``: build, then all suites; the local-cloud one starts and stops a cloud of its own.

Arguments go to pytest: ``make test ARGS="tests/unit -k proof"``.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from local import cloud as clouds
from local import deploy
from local.paths import ROOT, TEST, VENV
from local.progress import LocalCloudError, Progress, fail, interruptible

# The whole of it takes two minutes on two idle cores.
TESTS_SECONDS = 1_500
# pytest's own exit status for an interrupt.
INTERRUPTED = 2

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
    # Nothing of the caller's AWS configuration may reach a test, whatever it forgets to set.
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    pytest = subprocess.Popen([str(VENV / "bin" / "python"), "-m", "pytest", *arguments], cwd=ROOT, env=env)
    try:
        return pytest.wait(TESTS_SECONDS)
    except subprocess.TimeoutExpired:
        # As by Ctrl-C: fixtures get to tear down what they made.
        pytest.send_signal(signal.SIGINT)
        pytest.wait(60)
        raise LocalCloudError(f"the tests took more than {TESTS_SECONDS} s and were interrupted") from None
    except KeyboardInterrupt:
        # The terminal sent it to pytest as well.
        pytest.wait(60)
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
