"""The handler of the trigger, driven with every event that Cognito has for it."""

import importlib.util
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sallyport.errors import ConfigurationError, TokenRefusedError
from tests.support.cognito_events import (
    EVENTS,
    SUB,
    USER_SOURCES,
    added,
    document,
    read_by_sts,
    with_attributes,
)

HANDLER = Path(__file__).parents[2] / "functions" / "pre_token_generation" / "handler.py"
FILES = sorted(EVENTS.glob("pre_token_generation_*.json"))
MAPPING = document(client={"source_identity": "saas."})

Handler = Callable[[dict[str, Any], object], dict[str, Any]]


def start(monkeypatch: pytest.MonkeyPatch, **env: str) -> Handler:
    """Import the function's file as Lambda does, with these settings."""
    for name in ("SALLYPORT_TAG_MAPPING", "SALLYPORT_TAG_MAPPING_FILE"):
        monkeypatch.setenv(name, env.get(name, ""))
    spec = importlib.util.spec_from_file_location("trigger_under_test", HANDLER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Handler = module.handler
    return handler


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Handler:
    return start(monkeypatch, SALLYPORT_TAG_MAPPING=json.dumps(MAPPING))


def load(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_there_is_an_event_for_every_version_and_occasion() -> None:
    found = {(one["version"], one["triggerSource"]) for one in map(load, FILES)}
    of_users = set(itertools.product("123", USER_SOURCES))
    assert found == of_users | {("3", "TokenGeneration_ClientCredentials")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem.removeprefix("pre_token_generation_"))
def test_every_token_says_whose_it_is_and_nothing_else_changes(handler: Handler, file: Path) -> None:
    event = load(file)
    answer = handler(load(file), None)
    tenant = "globex" if "federated" in file.stem else "acme"
    is_machine = "client_credentials" in file.stem
    sections = added(answer)
    assert len(sections) == (1 if is_machine or event["version"] == "1" else 2)
    for claims in sections:
        said = read_by_sts(claims)
        assert said["tags"] == {"tenantid": tenant}
        subject = event["request"]["userAttributes"].get("sub")
        assert said["source_identity"] == (None if is_machine else f"saas.{subject}")
    assert {key: value for key, value in answer.items() if key != "response"} == {
        key: value for key, value in event.items() if key != "response"
    }
    # Lambda turns the answer into JSON.
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem.removeprefix("pre_token_generation_"))
def test_no_event_of_another_pool_gets_a_token(handler: Handler, file: Path) -> None:
    with pytest.raises(TokenRefusedError) as caught:
        handler(load(file) | {"userPoolId": "eu-central-1_Another01"}, None)
    assert caught.value.reason == "trigger-pool-undeclared"


def test_a_refusal_says_why_without_the_value_and_is_logged(
    handler: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TokenRefusedError) as caught:
        handler(with_attributes(tenant="acme/../globex"), None)
    (logged,) = map(vars, caplog.records)
    assert logged["reason"] == caught.value.reason == "trigger-tag-illegal"
    assert logged["sub"] == SUB
    assert "globex" not in str(logged) + str(caught.value)


def test_a_long_mapping_comes_in_a_layers_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "tag-mapping.json"
    file.write_text(json.dumps(MAPPING))
    handler = start(monkeypatch, SALLYPORT_TAG_MAPPING_FILE=str(file))
    assert added(handler(load(FILES[0]), None))


@pytest.mark.parametrize("mapping", ["", "{}", '{"format":2,"pools":{}}'])
def test_without_a_mapping_that_may_be_used_the_function_does_not_start(
    monkeypatch: pytest.MonkeyPatch, mapping: str
) -> None:
    with pytest.raises(ConfigurationError):
        start(monkeypatch, SALLYPORT_TAG_MAPPING=mapping)
