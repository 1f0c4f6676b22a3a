"""The known-answer test in init: it holds, and it notices."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sallyport import rehearsal
from sallyport.errors import ConfigurationError
from sallyport.wiring import exchanges
from tests.support import make_rehearsal
from tests.support.world import settings


def rehearse() -> None:
    exchanges.token_routes(settings(), transport=_unreachable)


def _unreachable(*_arguments: object) -> Any:
    raise AssertionError("init reached for the network")


def test_the_rehearsal_passes_and_reaches_nothing() -> None:
    rehearse()


def test_its_documents_are_what_the_compiler_writes() -> None:
    items = json.loads(rehearsal.SCRIPT.read_text())["items"]
    for name, document in make_rehearsal.documents().items():
        if not name.startswith("anchor#"):
            assert json.loads(items[name]["document"]["S"]) == document, "run tests.support.make_rehearsal"


def _without_trust(script: dict[str, Any]) -> None:
    script["items"].pop("current")


def _after_its_expiry(script: dict[str, Any]) -> None:
    script["now"] += 86_400


def _with_another_token(script: dict[str, Any]) -> None:
    script["token"] = make_rehearsal.script()["token"]


@pytest.mark.parametrize("spoil", [_without_trust, _after_its_expiry, _with_another_token])
def test_a_function_whose_known_answers_differ_does_not_start(
    spoil: Callable[[dict[str, Any]], None], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = json.loads(rehearsal.SCRIPT.read_text())
    spoil(script)
    (tmp_path / "rehearsal.json").write_text(json.dumps(script))
    monkeypatch.setattr(rehearsal, "SCRIPT", tmp_path / "rehearsal.json")
    with pytest.raises(ConfigurationError, match="rehearsal-failed"):
        rehearse()


def test_a_verifier_that_accepts_everything_does_not_start() -> None:
    """The altered twin must be refused: build an exchange that says yes to all."""

    def say_yes(_event: dict[str, Any]) -> dict[str, Any]:
        return {"statusCode": 200}

    with pytest.raises(ConfigurationError, match="rehearsal-failed"):
        rehearsal.rehearse(lambda _stage: say_yes)  # type: ignore[arg-type, return-value]
