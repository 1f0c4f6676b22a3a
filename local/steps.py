"""What a demonstration is made of: steps that check themselves, and the world that they share."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from local import env
from local.cloud import Cloud
from local.deploy import Deployment
from local.paths import VENV

# The longest wait of a single program: a cold function behind a Region that does not answer.
PROGRAM_SECONDS = 60
# Stream, bus, rule and queue together take a second or two; after a fault the stream tries again.
ARRIVAL_SECONDS = 60.0
POLL_SECONDS = 0.25

T = TypeVar("T")


class StepError(Exception):
    """A step did not do what it should have done."""


@dataclass
class World:
    """What the steps share: where things are, and what earlier steps left for later ones."""

    cloud: Cloud
    deployment: Deployment
    folder: Path
    tokens: dict[str, str] = field(default_factory=dict)
    exchanges: list[str] = field(default_factory=list)

    @property
    def role(self) -> str:
        """The role that is wanted."""
        return self.deployment.outputs["TargetRoleArn"]

    def environment(self) -> dict[str, str]:
        """Return a client's environment: a Region and nothing that says who it is."""
        env = self.cloud.environment()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del env[name]
        return env

    def token_file(self) -> Path:
        """Return a file with the managed identity's token, as SDKs want it."""
        path = self.folder / "token"
        path.touch(mode=0o600)
        path.write_text(self.tokens["imds"])
        return path


Action = Callable[[World], str]


@dataclass(frozen=True, slots=True)
class Step:
    """A title, and what to do; the action returns a sentence about what happened, or raises."""

    title: str
    action: Action


Chapter = tuple[str, tuple[Step, ...]]
"""A heading, and what stands under it."""


def check(condition: object, otherwise: str) -> None:
    """Raise ``StepError`` unless the condition holds."""
    if not condition:
        raise StepError(otherwise)


def program(command: Sequence[str], variables: Mapping[str, str], *, status: int | None = 0) -> str:
    """Run somebody's program and return what it printed.

    Raises:
        StepError: it ended with another status, or not in time.
    """
    try:
        done = subprocess.run(
            list(command),
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROGRAM_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StepError(f"{Path(command[0]).name} took more than {PROGRAM_SECONDS} s") from None
    if status is not None and done.returncode != status:
        said = (done.stderr or done.stdout).strip()
        raise StepError(f"{Path(command[0]).name} ended with {done.returncode}: {said[-600:]}")
    return done.stdout


def explain(world: World, exchange_id: str) -> dict[str, Any]:
    """Return what ``sallyport explain`` knows of an exchange."""
    variables = world.cloud.environment() | env.variables(world.cloud, world.deployment)
    command = [str(VENV / "bin" / "sallyport"), "explain", exchange_id, "--json"]
    deadline = time.monotonic() + ARRIVAL_SECONDS / 4
    while True:
        try:
            return dict(json.loads(program(command, variables))["record"])
        except StepError:
            # What was refused before anything was verified is in the log alone, which comes later.
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def explanation(world: World, exchange_id: str) -> str:
    """Return the end of what ``sallyport explain`` prints of a denial: profile by profile, and the remedy."""
    variables = world.cloud.environment() | env.variables(world.cloud, world.deployment)
    said = program([str(VENV / "bin" / "sallyport"), "explain", exchange_id], variables)
    _, heading, rest = said.partition("profiles looked at\n")
    return (heading + rest).strip()


def why(record: Mapping[str, Any]) -> str:
    """Return a record's reason, and the detail where there is one."""
    detail = record.get("detail")
    return f"{record.get('reason')}" + (f" ({detail})" if detail else "")


def wait(what: Callable[[], T], otherwise: str) -> T:
    """Ask until the answer is true, and return it; raises ``StepError`` when that takes too long."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while not (found := what()):
        check(time.monotonic() < deadline, f"{otherwise} after {ARRIVAL_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    return found
