"""``make up``: start a local cloud, deploy into it, and leave it running."""

import sys

from local import cloud as clouds
from local import deploy, env
from local.paths import UP, State
from local.progress import LocalCloudError, Progress, fail, interruptible


def bring_up(
    state: State, progress: Progress, *, reuse: bool = False
) -> tuple[clouds.Cloud, deploy.Deployment]:
    """Start the cloud (or, with ``reuse``, find it), build, deploy and write its environment file."""
    cloud = clouds.running(state) if reuse else None
    if cloud is None:
        if left := clouds.stop(state):
            progress.say(f"stopped what an earlier run had left behind: {', '.join(left)}")
        with progress.step("start MiniStack, the fault proxy and the local Entra"):
            cloud = clouds.start(state)
    with progress.step("build the functions and the layer"):
        built = deploy.build(state)
    with progress.step("deploy the stack"):
        deployment = deploy.deploy(cloud, built)
    with progress.step("prepare the target role, the trust file and the schedules' first run"):
        deployment = deploy.prepare(cloud, deployment)
        env.write(cloud, deployment)
    return cloud, deployment


def main() -> int:
    """Bring ``UP`` up and say how to use it."""
    progress = Progress()
    interruptible()
    try:
        with clouds.sole_use(UP):
            # Found before this command, it stays if this command fails: it is somebody's.
            found = clouds.running(UP) is not None
            try:
                _, deployment = bring_up(UP, progress, reuse=True)
            except BaseException:
                if not found:
                    clouds.stop(UP)
                raise
        progress.say(f"endpoint: {deployment.endpoint}")
        progress.say(
            f"type:     . {UP.env_file.relative_to(UP.env_file.parents[1])}      (make down stops it)"
        )
    except LocalCloudError as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail(LocalCloudError("interrupted; what this command had started is stopped again"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
