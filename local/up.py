"""``make up``: start a local cloud, deploy into it, and leave it running."""

import argparse
import sys
from collections.abc import Sequence

from local import cloud as clouds
from local import deploy, env, tenants
from local.paths import UP, State
from local.progress import LocalCloudError, Progress, fail, interruptible


def bring_up(
    state: State, progress: Progress, *, reuse: bool = False, reset_trust: bool = False
) -> tuple[clouds.Cloud, deploy.Deployment]:
    """Start the cloud (or, with ``reuse``, find it), build, deploy and write its environment files.

    A trust file that is in force stays, unless ``reset_trust`` says that the sample is to replace it.
    """
    cloud = clouds.running(state) if reuse else None
    if cloud is None:
        if left := clouds.stop(state):
            progress.say(f"stopped what an earlier run had left behind: {', '.join(left)}")
        with progress.step("start MiniStack, the fault proxy, the local Entra and the front door"):
            cloud = clouds.start(state)
    with progress.step("build the functions and the layer"):
        built = deploy.build(state)
    with progress.step("deploy the stack"):
        deployment = deploy.deploy(cloud, built)
    with progress.step("deploy what the user pool's tokens are to say"):
        deployment = deploy.deploy_mapping(cloud, built, deployment)
    with progress.step("look at the trust in force, and apply local/trust.yaml where there is none"):
        applied = deploy.apply_trust(cloud, deployment, reset=reset_trust)
    if not applied:
        progress.say(
            "kept the version that is in force; ARGS=--reset-trust replaces it with local/trust.yaml"
        )
    with progress.step("prepare buckets, target roles, the pool's users and the files to source"):
        deployment = deploy.prepare(cloud, deployment)
        deployment = tenants.prepare(cloud, deployment)
        env.write(cloud, deployment)
    return cloud, deployment


def main(arguments: Sequence[str]) -> int:
    """Bring ``UP`` up and say how to use it."""
    parser = argparse.ArgumentParser(prog="make up", description=__doc__)
    parser.add_argument(
        "--reset-trust", action="store_true", help="apply local/trust.yaml, whatever trust file is in force"
    )
    reset_trust = parser.parse_args(arguments).reset_trust
    progress = Progress()
    interruptible()
    try:
        with clouds.sole_use(UP):
            # Found before this command, it stays if this command fails: it is somebody's.
            found = clouds.running(UP) is not None
            try:
                _, deployment = bring_up(UP, progress, reuse=True, reset_trust=reset_trust)
            except BaseException:
                if not found:
                    clouds.stop(UP)
                raise
        progress.say(f"endpoint: {deployment.endpoint}")
        folder = UP.env_file.parents[1]
        progress.say(f"type:     . {UP.env_file.relative_to(folder)}            (make down stops it)")
        progress.say(
            f"or:       . {UP.workload_env_file.relative_to(folder)}   (in another shell: a workload)"
        )
    except LocalCloudError as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail(LocalCloudError("interrupted; what this command had started is stopped again"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
