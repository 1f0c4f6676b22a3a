"""The known-answer tests in init: they hold, and they notice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sallyport import rehearsal
from sallyport.errors import ConfigurationError
from sallyport.rehearsal import SESSIONS, TOKENS, Play
from sallyport.settings import SessionSettings
from sallyport.wiring import exchanges
from tests.support import make_rehearsal
from tests.support.world import exchange_settings, settings


def start_tokens() -> None:
    exchanges.token_routes(settings(), transport=_unreachable)


def start_sessions() -> None:
    own = SessionSettings(exchange=exchange_settings(), domain_name="")
    exchanges.session_routes(own, transport=_unreachable)


def _unreachable(*_arguments: object) -> Any:
    raise AssertionError("init reached for the network")


@pytest.mark.parametrize("start", [start_tokens, start_sessions])
def test_the_rehearsal_passes_and_reaches_nothing(start: Callable[[], None]) -> None:
    start()


def authority() -> bytes:
    """The rehearsed trust anchor's certificate, as PEM."""
    items = json.loads(SESSIONS.script.read_text())["items"]
    anchor = next(item for name, item in items.items() if name.startswith("anchor#"))
    (certificate,) = json.loads(anchor["document"]["S"])["certificates"]
    return f"-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n".encode()


@pytest.mark.parametrize(
    ("play", "trust"), [(TOKENS, make_rehearsal.TRUST), (SESSIONS, make_rehearsal.SESSION_TRUST)]
)
def test_its_documents_are_what_the_compiler_writes(play: Play, trust: dict[str, Any]) -> None:
    items = json.loads(play.script.read_text())["items"]
    found = make_rehearsal.documents(make_rehearsal.compiled(trust, authority=authority()))
    assert found
    for name, document in found.items():
        # The token's keys are under the name that its anchor has in the other table.
        if play is SESSIONS or not name.startswith("anchor#"):
            assert json.loads(items[name]["document"]["S"]) == document, "run tests.support.make_rehearsal"


def test_the_rehearsed_request_has_its_revocation_looked_up() -> None:
    items = json.loads(SESSIONS.script.read_text())["items"]
    assert any(name.startswith("crl#") for name in items)


def _without_trust(script: dict[str, Any]) -> None:
    script["items"].pop("current")


def _after_its_expiry(script: dict[str, Any]) -> None:
    script["now"] += 86_400


def _with_another_token(script: dict[str, Any]) -> None:
    script["token"] = make_rehearsal.script()["token"]


def _with_another_request(script: dict[str, Any]) -> None:
    script["event"] = make_rehearsal.session_script()["event"]


def _without_the_list(script: dict[str, Any]) -> None:
    script["items"] = {name: item for name, item in script["items"].items() if not name.startswith("crl#")}


@pytest.mark.parametrize(
    ("name", "start", "spoil"),
    [
        ("TOKENS", start_tokens, _without_trust),
        ("TOKENS", start_tokens, _after_its_expiry),
        ("TOKENS", start_tokens, _with_another_token),
        ("SESSIONS", start_sessions, _without_trust),
        ("SESSIONS", start_sessions, _after_its_expiry),
        ("SESSIONS", start_sessions, _with_another_request),
        ("SESSIONS", start_sessions, _without_the_list),
    ],
)
def test_a_function_whose_known_answers_differ_does_not_start(
    name: str,
    start: Callable[[], None],
    spoil: Callable[[dict[str, Any]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    play: Play = getattr(rehearsal, name)
    script = json.loads(play.script.read_text())
    spoil(script)
    (tmp_path / "script.json").write_text(json.dumps(script))
    monkeypatch.setattr(exchanges, name, play._replace(script=tmp_path / "script.json"))
    with pytest.raises(ConfigurationError, match="rehearsal-failed"):
        start()


@pytest.mark.parametrize(("play", "yes"), [(TOKENS, 200), (SESSIONS, 201)])
def test_a_verifier_that_accepts_everything_does_not_start(play: Play, yes: int) -> None:
    """The altered twin must be refused: build an exchange that says yes to all."""

    def say_yes(_event: dict[str, Any]) -> dict[str, Any]:
        return {"statusCode": yes}

    with pytest.raises(ConfigurationError, match="rehearsal-failed"):
        rehearsal.rehearse(lambda _stage: say_yes, play)  # type: ignore[arg-type, return-value]  # as narrow as the test needs
