"""One deployed stack for the whole suite: a running `make up`, or a cloud of the suite's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local import cloud as clouds
from local import demo_tokens, deploy, env
from local.http_client import ask
from local.paths import TEST, UP
from local.progress import Progress
from local.steps import World
from local.up import bring_up

HERE = Path(__file__).parent

# Starting and deploying count against the first test that asks for the stack.
STARTING_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder talks to servers on loopback, and may wait for them."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.local_cloud)
            item.add_marker(pytest.mark.enable_socket)
            item.add_marker(pytest.mark.timeout(STARTING_SECONDS))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The stack, with what the demonstration's steps share.

    A cloud that `make up` left running is used as it is, if a stack is deployed in it: whoever
    works on one thing need not wait for a deployment every time. `make test` starts its own.
    """
    folder = tmp_path_factory.mktemp("clients")
    running = clouds.running(UP) if UP.env_file.exists() and not TEST.processes.exists() else None
    if running is not None:
        yield World(running, deploy.read(running), folder)
        return
    try:
        cloud, deployment = bring_up(TEST, Progress())
        yield World(cloud, deployment, folder)
    finally:
        clouds.stop(TEST)


@pytest.fixture(scope="session")
def variables(world: World) -> dict[str, str]:
    """What `.local/env` exports."""
    return env.variables(world.cloud, world.deployment)


@pytest.fixture(scope="session")
def reader_token(world: World) -> str:
    """The token that azure-identity gets for the identity that the sample trust file allows."""
    demo_tokens.token_from_imds(world)
    return world.tokens["imds"]


@pytest.fixture
def faults(world: World) -> Iterator[str]:
    """The fault proxy's address; whatever a test sets there is gone after it."""
    yield world.cloud.faults
    ask("DELETE", f"{world.cloud.faults}/faults")
