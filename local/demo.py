"""The demonstration: other people's programs get AWS credentials, and wrong ones do not.

``demo_tokens`` is about workloads that hold a token, ``demo_certificates`` about servers that hold a
certificate, ``demo_tenants`` about the users of a SaaS, ``demo_audit`` about what is found, and
``demo_lineage`` about where an access key comes from. Each step says what it does, checks what came of it,
and says in a sentence what happened, or shows what a command printed.
"""

import sys

from botocore.exceptions import ClientError

from local import cloud as clouds
from local import demo_audit, demo_certificates, demo_lineage, demo_tenants, demo_tokens
from local.cloud import Cloud
from local.deploy import Deployment, read
from local.paths import UP
from local.progress import LocalCloudError, Progress, fail
from local.steps import Chapter, StepError, World

CHAPTERS: tuple[Chapter, ...] = (
    *demo_tokens.CHAPTERS,
    *demo_certificates.CHAPTERS,
    *demo_tenants.CHAPTERS,
    *demo_audit.CHAPTERS,
    *demo_lineage.CHAPTERS,
)


def show(world: World, progress: Progress) -> list[str]:
    """Run all steps; returns the titles of those that failed."""
    failed = []
    for heading, steps in CHAPTERS:
        progress.heading(heading)
        for step in steps:
            try:
                with progress.step(step.title):
                    sentence = step.action(world)
            except (StepError, ClientError, LookupError) as error:
                failed.append(step.title)
                sentence = f"{type(error).__name__}: {error}"
            for line in sentence.splitlines():
                progress.say(f"  {line}")
    return failed


def main() -> int:
    """Show the demonstration on the cloud that `make up` left running."""
    cloud = clouds.running(UP)
    if cloud is None:
        return fail(LocalCloudError("No local cloud is running; type: make up"))
    try:
        failed = show(world_of(cloud, read(cloud)), Progress())
    except LocalCloudError as error:
        return fail(error)
    return 1 if failed else 0


def world_of(cloud: Cloud, deployment: Deployment) -> World:
    """Return a world with an empty folder for the clients' files."""
    folder = cloud.state.folder / "demonstration"
    folder.mkdir(parents=True, exist_ok=True)
    return World(cloud, deployment, folder)


if __name__ == "__main__":
    sys.exit(main())
