"""What the audit logs and counts. Findings' own words are harmless; messages are named, never shown."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sallyport.adapters.telemetry import harmless
from sallyport.audit.finding import CannotTell, Finding


class AuditTelemetry:
    """Log lines and metrics; every count is flushed with its message, as batches may end early.

    Nothing here raises.
    """

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self._logger = logger
        self._metrics = metrics

    @harmless
    def taken(self, kind: str, *, new: bool) -> None:
        """Count a message: new, or one that was there before."""
        self._count(f"{kind.capitalize()}{'Counted' if new else 'SeenAgain'}")

    @harmless
    def unusable(self, kind: str, reason: str) -> None:
        """Count what was kept aside."""
        self._logger.warning("unusable", extra={"kind": kind, "reason": reason})
        self._count("Unusable")

    @harmless
    def found(self, finding: Finding, *, new: bool) -> None:
        """Log a finding, and count it once."""
        fields = {
            "finding": finding.id,
            "rule": finding.rule_id,
            "severity": finding.severity.name,
            "count": finding.count,
            "suppressed_by": finding.suppressed_by,
        }
        self._logger.info("finding", extra=fields)
        if new:
            self._count(f"Finding{finding.severity.name.capitalize()}")

    @harmless
    def ended(self, finding: Finding) -> None:
        """Log that what a finding is about is gone."""
        self._logger.info("finding-ended", extra={"finding": finding.id, "rule": finding.rule_id})

    @harmless
    def cannot_tell(self, said: CannotTell) -> None:
        """Count a rule that could not decide. One that threw is an alarm, not a silence."""
        fields = {"rule": said.rule_id, "reason": said.reason, "event_id": said.event_id}
        if said.is_error:
            self._logger.error("RuleFailed", extra=fields)
            self._count("RuleFailed")
            return
        self._logger.info("cannot-tell", extra=fields)
        self._count("CannotTell")

    @harmless
    def heartbeat(self) -> None:
        """Count a heartbeat that came the whole way."""
        self._count("Heartbeat")

    @harmless
    def imports(self, done: int, again: int, aside: int) -> None:
        """Count findings that were imported, requests that come again, and what was put aside."""
        for name, value in (("Imported", done), ("ImportAgain", again), ("Unusable", aside)):
            if value:
                self._count(name, value)

    @harmless
    def import_refused(self, finding_id: str, code: str) -> None:
        """Log why a finding was not imported."""
        self._logger.warning("import-refused", extra={"finding": finding_id, "code": code})

    @harmless
    def suppressions_refused(self, problems: str) -> None:
        """Say that suppressions cannot be used: none holds until they can."""
        self._logger.error("SuppressionsRefused", extra={"problems": problems})
        self._count("SuppressionsRefused")

    def _count(self, name: str, value: int = 1) -> None:
        self._metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
        self._metrics.flush_metrics()


def audit_telemetry() -> AuditTelemetry:
    """Return telemetry as the environment's ``POWERTOOLS_…`` settings have it."""
    return AuditTelemetry(Logger(location=None), Metrics())
