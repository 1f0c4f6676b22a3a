"""Logs, metrics and traces with Powertools, in the forms that cannot hold a secret.

What comes in is a record's own fields, which are bounded and hold no proof and no credential.
Exceptions are named by type and place: their texts may repeat what somebody sent.
"""

import contextlib
import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ParamSpec

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sallyport.keys import RefreshOutcome
from sallyport.model import JsonValue

if TYPE_CHECKING:
    # Everybody logs, and nobody else who does so needs to load what reads certificates.
    from sallyport.revocation import ListOutcome

Span = Callable[[str], AbstractContextManager[None]]
"""Opens a named part of a trace."""

MAX_FRAMES = 12

_P = ParamSpec("_P")


def harmless(tell: Callable[_P, None]) -> Callable[_P, None]:
    """Let what is said about something never decide about it: no exception leaves ``tell``.

    A record that says *granted* must not be followed by an error because a metric could not be counted.
    What went wrong is one line of its own, by its type alone.
    """

    @functools.wraps(tell)
    def quietly(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever a logger raises
            said = {"level": "ERROR", "message": "TelemetryFailed", "exception": type(error).__name__}
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(json.dumps(said) + "\n")

    return quietly


class PowertoolsTelemetry:
    """One structured log line and a few metrics per exchange. Nothing here raises."""

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self._logger = logger
        self._metrics = metrics

    @harmless
    def finished(self, fields: Mapping[str, JsonValue], *, level: str) -> None:
        """Log one exchange and count its outcome."""
        outcome = str(fields.get("outcome", "unknown"))
        log = self._logger.info if level == "INFO" else self._logger.warning
        log("exchange", extra=dict(fields))
        self._count(outcome.capitalize())
        if fields.get("skipped_regions"):
            self._count("RegionSkipped")
        self._metrics.flush_metrics()

    @harmless
    def alarm(self, event: str, fields: Mapping[str, JsonValue]) -> None:
        """Log what must not happen, and count it under the metric that an alarm watches."""
        self._logger.error(event, extra=dict(fields))
        self._count(event)
        self._metrics.flush_metrics()

    @harmless
    def unexpected(self, error: Exception, fields: Mapping[str, JsonValue]) -> None:
        """Log a defect: the exception's type and where it came from."""
        frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
        places: list[JsonValue] = [
            f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}"  # noqa: PTH119 - a name, no path
            for frame in frames
        ]
        self.alarm("Unexpected", {**fields, "exception": type(error).__name__, "places": places})

    @harmless
    def refreshed(self, outcome: RefreshOutcome) -> None:
        """Log what became of one anchor's keys; keys that are getting old are an alarm."""
        if outcome.overdue:
            self.alarm("StaleKeys", outcome.for_log())
        else:
            self._logger.info("keys", extra=dict(outcome.for_log()))

    @harmless
    def list_refreshed(self, outcome: "ListOutcome") -> None:
        """Log what became of one revocation list; one that is late, or will be, is an alarm."""
        if outcome.overdue:
            self.alarm("StaleCrls", outcome.for_log())
        else:
            self._logger.info("crl", extra=dict(outcome.for_log()))

    def _count(self, name: str) -> None:
        self._metrics.add_metric(name=name, unit=MetricUnit.Count, value=1)


def telemetry() -> PowertoolsTelemetry:
    """Return telemetry as the environment's ``POWERTOOLS_…`` settings have it."""
    return PowertoolsTelemetry(Logger(location=None), Metrics())


def spans(*, tracing: bool) -> Span:
    """Return what opens parts of a trace; the X-Ray SDK is loaded only where tracing is on.

    The SDK's own context managers add an exception's text to the segment; these do not.
    """
    if not tracing:
        return lambda _name: contextlib.nullcontext()
    from aws_lambda_powertools import Tracer  # noqa: PLC0415 - its import costs as much as boto3's
    from aws_xray_sdk.core import xray_recorder  # noqa: PLC0415 - likewise

    Tracer(auto_patch=False)  # configures the recorder for Lambda

    @contextlib.contextmanager
    def span(name: str) -> Iterator[None]:
        xray_recorder.begin_subsegment(f"## {name}")
        try:
            yield
        finally:
            xray_recorder.end_subsegment()

    return span
