"""How the trigger gets its mapping, and what it logs."""

import io
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from sallyport.errors import ConfigurationError, TokenRefusedError
from sallyport.settings import TriggerSettings
from sallyport.wiring.tokens import OF_ONE_USER, token_trigger
from tests.support.cloudformation import ROOT
from tests.support.cognito_events import POOL, SUB, WEB, document, event, with_attributes

MAPPING = json.dumps(document())
COUNT = itertools.count()


def settings(**env: str) -> TriggerSettings:
    return TriggerSettings.from_env({f"SALLYPORT_{name}": value for name, value in env.items()})


def test_the_mapping_comes_in_the_environment_or_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tags.json"
    file.write_text(MAPPING)
    answers = [
        token_trigger(given)(event())
        for given in (settings(TAG_MAPPING=MAPPING), settings(TAG_MAPPING_FILE=str(file)))
    ]
    assert answers[0] == answers[1] != event()


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({}, "tag-mapping-missing"),
        ({"TAG_MAPPING": " ", "TAG_MAPPING_FILE": ""}, "tag-mapping-missing"),
        ({"TAG_MAPPING": MAPPING, "TAG_MAPPING_FILE": "x"}, "tag-mapping-missing"),
        ({"TAG_MAPPING": "{}"}, "tag-mapping-malformed"),
        ({"TAG_MAPPING": "\ud800"}, "tag-mapping-malformed"),
        ({"TAG_MAPPING_FILE": "/nowhere/tags.json"}, "tag-mapping-unreadable"),
        ({"TAG_MAPPING_FILE": "\x00"}, "tag-mapping-unreadable"),
    ],
)
def test_without_one_mapping_the_function_does_not_start(env: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        token_trigger(settings(**env))
    assert caught.value.reason == reason


def logged(given: Any) -> dict[str, Any]:
    stream = io.StringIO()
    # Powertools keeps one logger for each name, and the stream that it was first given.
    logger = Logger(service=f"trigger-{next(COUNT)}", stream=stream, location=None)
    run = token_trigger(settings(TAG_MAPPING=MAPPING), logger)
    with pytest.raises(TokenRefusedError):
        run(given)
    (line,) = stream.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_refusal_is_logged_without_what_the_user_wrote() -> None:
    line = logged(with_attributes(tenant="acme;globex", email="somebody@example.com"))
    assert line["level"] == "WARNING"
    assert line["reason"] == "trigger-tag-illegal"
    assert (line["user_pool"], line["client"], line["sub"]) == (POOL, WEB, SUB)
    for word in ("globex", "somebody"):
        assert word not in json.dumps(line)


def test_a_refusal_that_one_user_explains_is_counted_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not counted rings the alarm."""
    for given in (with_attributes(tenant="acme;globex"), with_attributes(tenant=None)):
        logged(given)
        counted = json.loads(capsys.readouterr().out)
        assert counted["TokenRefused"] == [1.0]
        assert counted["service"] == os.environ["POWERTOOLS_SERVICE_NAME"], "the dimension of all metrics"
    for given in (None, event(userPoolId="eu-central-1_Unknown01"), event(version="9")):
        logged(given)
        assert capsys.readouterr().out == ""


def test_every_reason_of_one_user_is_one_that_there_is() -> None:
    source = (ROOT / "layers/sallyport/sallyport/cognito/trigger.py").read_text()
    assert all(f'"{reason}"' in source for reason in OF_ONE_USER)


@pytest.mark.parametrize("given", [None, [], {"request": 7}, event(userPoolId="\x1b[31m" + "x" * 10_000)])
def test_a_log_line_is_bounded_whatever_comes(given: Any) -> None:
    line = json.dumps(logged(given))
    assert len(line) < 2_000
    assert "\\u001b" not in line
