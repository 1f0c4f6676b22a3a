"""What `sallyport trust disable` writes stops tokens and certificates within the stated time."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from sallyport.adapters.tables import CACHE_SECONDS
from sallyport_cli.main import app
from tests.support.certificate_world import CertificateWorld
from tests.support.fake_aws import REGION, FakeAws
from tests.support.world import Account, Answer, World

STATED_SECONDS = 10.0
"""What the command promises, and docs/trust-file.md."""


def of_a_token(world: Account) -> Answer:
    assert isinstance(world, World)
    return world.query()


def of_a_certificate(world: Account) -> Answer:
    assert isinstance(world, CertificateWorld)
    return world.ask()


CALLERS: dict[str, tuple[type[Account], Callable[[Account], Answer], str]] = {
    "token": (World, of_a_token, "contoso"),
    "certificate": (CertificateWorld, of_a_certificate, "datacenter"),
}


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs the command on the table that the functions read."""
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("SALLYPORT_TRUST_TABLE", "trust")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    def run(world: Account, *arguments: str) -> str:
        fake = FakeAws()
        fake.dynamodb.items = world.aws.tables["trust"].items
        monkeypatch.setattr("boto3.Session", fake)
        result = CliRunner().invoke(app, ["trust", *arguments])
        assert result.exit_code == 0, result.output
        # A transaction that is refused puts a copy back; what was written counts.
        world.aws.tables["trust"].items = fake.dynamodb.items
        return result.stdout

    return run


@pytest.mark.parametrize("kind", ["anchor", "profile"])
@pytest.mark.parametrize("caller", list(CALLERS))
def test_what_is_disabled_gives_no_session_after_the_stated_time(
    operator: Callable[..., str], caller: str, kind: str
) -> None:
    make, ask, anchor = CALLERS[caller]
    world = make()
    name = {"anchor": anchor, "profile": "reader"}[kind]
    assert ask(world)["statusCode"] in {200, 201}
    said = operator(world, "disable", kind, name, "--reason", "INC-1", "--force")
    assert f"within {STATED_SECONDS:.0f} seconds" in said
    world.advance(STATED_SECONDS)
    answer = ask(world)
    assert answer["statusCode"] == 403
    assert world.record_of(answer)["reason"] == f"{kind}-disabled"
    # No later apply gives it back, only `enable` does.
    world.apply(world.trust)
    world.advance(STATED_SECONDS)
    assert ask(world)["statusCode"] == 403
    operator(world, "enable", kind, name, "--reason", "INC-1", "--yes")
    world.advance(STATED_SECONDS)
    assert ask(world)["statusCode"] in {200, 201}


def test_the_stated_time_is_that_of_the_caches() -> None:
    assert CACHE_SECONDS <= STATED_SECONDS
