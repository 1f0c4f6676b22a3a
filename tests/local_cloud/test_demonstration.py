"""The demonstration's steps, one test each: what `make run` shows is what must go on working."""

import pytest

from local import demo
from local.steps import Step, World

STEPS = [step for _, steps in demo.CHAPTERS for step in steps]


@pytest.mark.parametrize("step", STEPS, ids=[step.title for step in STEPS])
def test_the_step_does_what_it_should(world: World, reader_token: str, step: Step) -> None:
    """Every step checks itself and raises where something else came of it."""
    assert world.tokens["imds"] == reader_token
    assert step.action(world)
