import pytest

from tests.support.world import World


@pytest.fixture
def world(capsys: pytest.CaptureFixture[str]) -> World:  # noqa: ARG001 - its logger writes to what this puts in place
    return World()
