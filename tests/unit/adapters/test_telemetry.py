"""What reaches logs and metrics: names and places, never the text of an exception."""

import json
import subprocess
import sys
from typing import Any

import pytest
from aws_lambda_powertools import Logger, Metrics

from sallyport.adapters.telemetry import PowertoolsTelemetry, spans, telemetry
from sallyport.keys import RefreshOutcome, RefreshStatus
from tests.support.world import ROOT, lines

_number = iter(range(1_000))


@pytest.fixture
def _own_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    # Powertools keeps one logger per service, with the standard output of the day it was made.
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"telemetry-{next(_number)}")


pytestmark = pytest.mark.usefixtures("_own_logger")


def metrics(found: list[dict[str, Any]]) -> list[str]:
    return [
        metric["Name"]
        for line in found
        if "_aws" in line
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    ]


@pytest.mark.parametrize(
    ("outcome", "level", "expected"),
    [("granted", "INFO", "Granted"), ("denied", "WARNING", "Denied"), ("failed", "WARNING", "Failed")],
)
def test_one_line_and_one_count_per_exchange(
    capsys: pytest.CaptureFixture[str], outcome: str, level: str, expected: str
) -> None:
    telemetry().finished({"outcome": outcome, "exchange_id": "1"}, level=level)
    found = lines(capsys)
    assert [(line["level"], line["exchange_id"]) for line in found if "level" in line] == [(level, "1")]
    assert metrics(found) == [expected]


def test_a_failover_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry().finished({"outcome": "granted", "skipped_regions": ["eu-central-1"]}, level="INFO")
    assert "RegionSkipped" in metrics(lines(capsys))


def test_an_alarm_is_loud_and_counted_under_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry().alarm("SessionNotReleased", {"exchange_id": "1"})
    found = lines(capsys)
    assert [line["message"] for line in found if line.get("level") == "ERROR"] == ["SessionNotReleased"]
    assert metrics(found) == ["SessionNotReleased"]


def test_an_exception_is_named_by_type_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    def deep(levels: int) -> None:
        if levels == 0:
            raise ValueError("secret-1-canary")
        deep(levels - 1)

    try:
        deep(50)
    except ValueError as error:
        telemetry().unexpected(error, {"exchange_id": "1"})
    out = capsys.readouterr().out
    (line, _) = [json.loads(one) for one in out.splitlines()]
    assert line["exception"] == "ValueError"
    assert len(line["places"]) == 12
    assert line["places"][-1].startswith("test_telemetry.py:")
    assert "canary" not in out


@pytest.mark.parametrize(("overdue", "metric"), [(False, []), (True, ["StaleKeys"])])
def test_keys_that_get_old_are_an_alarm(
    capsys: pytest.CaptureFixture[str], *, overdue: bool, metric: list[str]
) -> None:
    outcome = RefreshOutcome(anchor_id="a", anchor_name="b", status=RefreshStatus.FAILED, overdue=overdue)
    telemetry().refreshed(outcome)
    assert metrics(lines(capsys)) == metric


def test_a_hostile_value_stays_within_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry().finished(
        {"outcome": "refused", "user_agent": 'x"}\n{"message":"exchange","outcome":"granted'}, level="WARNING"
    )
    assert sum(line.get("message") == "exchange" for line in lines(capsys)) == 1


class Broken:
    """A logger, or metrics, whose every use raises something with somebody's words in it."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_arguments: Any, **_named: Any) -> None:
            raise KeyError("secret-1-canary")

        return fail


@pytest.mark.parametrize("broken", ["logger", "metrics"])
def test_what_cannot_be_told_decides_about_nothing(capsys: pytest.CaptureFixture[str], broken: str) -> None:
    """An exchange whose record says granted must not end in an error because a metric was not counted."""
    parts: dict[str, Any] = {"logger": Logger(), "metrics": Metrics(), broken: Broken()}
    one = PowertoolsTelemetry(**parts)
    one.finished({"outcome": "granted"}, level="INFO")
    one.alarm("SessionNotReleased", {"exchange_id": "1"})
    one.unexpected(ValueError("secret-1-canary"), {"exchange_id": "1"})
    captured = capsys.readouterr()
    said = [json.loads(line) for line in captured.err.splitlines()]
    assert said == [{"level": "ERROR", "message": "TelemetryFailed", "exception": "KeyError"}] * 3
    assert "canary" not in captured.out + captured.err


def test_without_tracing_nothing_of_x_ray_is_loaded() -> None:
    program = (
        "import sys; from sallyport.adapters.telemetry import spans\n"
        "with spans(tracing=False)('x'): pass\n"
        "assert 'aws_xray_sdk' not in sys.modules and 'boto3' not in sys.modules"
    )
    path = str(ROOT / "layers" / "sallyport")
    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": path}, check=True, timeout=30)


def test_a_span_lets_an_exception_through() -> None:
    with pytest.raises(KeyError), spans(tracing=False)("issue"):
        raise KeyError
