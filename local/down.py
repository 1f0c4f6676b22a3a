"""``make down``: stop what ``make up`` started, and what a killed command may have left."""

import sys

from local import cloud as clouds
from local import env
from local.paths import RUN, TEST, UP
from local.progress import LocalCloudError, Progress, fail


def main() -> int:
    """Stop by process id, and only processes that are recorded as ours."""
    progress = Progress()
    stopped: list[str] = []
    left = env.exported_here(UP)
    try:
        for state in (UP, RUN, TEST):
            if not state.folder.exists():
                continue
            try:
                with clouds.sole_use(state):
                    stopped += clouds.stop(state)
            except LocalCloudError:
                # A run or a test at work with its own cloud stops it by itself.
                if state is UP:
                    raise
    except LocalCloudError as error:
        return fail(error)
    progress.say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    if left:
        progress.say("This shell still has what .local/env told it: open a new one, or type:")
        print(f"unset {' '.join(left)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
