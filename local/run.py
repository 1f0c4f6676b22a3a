"""``make run``: start everything, show the demonstration, stop everything."""

import sys
import time

from local import cloud as clouds
from local import demo, demo_lineage
from local.paths import RUN
from local.progress import LocalCloudError, Progress, fail, interruptible
from local.up import bring_up


def main() -> int:
    """Return 0 only if every step did what it should."""
    interruptible()
    progress = Progress()
    began = time.monotonic()
    try:
        with clouds.sole_use(RUN):
            try:
                progress.heading("A local AWS, the local Entra, and the stack")
                cloud, deployment = bring_up(RUN, progress)
                world = demo.world_of(cloud, deployment)
                failed = demo.show(world, progress)
            finally:
                with progress.step("stop everything"):
                    clouds.stop(RUN)
    except LocalCloudError as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail(LocalCloudError("interrupted; everything is stopped"))
    progress.heading(f"{time.monotonic() - began:.0f} s")
    if failed:
        progress.say(f"These steps did not do what they should: {'; '.join(failed)}.")
        progress.say(f"The servers' logs are in {RUN.logs}.")
        return 1
    progress.say("Every step did what it should. `make up` keeps the local cloud running to try more.")
    progress.say(f"The last trace as a page, to open in a browser: {demo_lineage.shown_page(world)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
