"""What is found is kept, and those who want to know are told: of events' findings and of what is the case.

Pure but for its ports. Everything can be done again: what was kept, told or asked for is found as done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from sallyport.audit.finding import Finding, Severity
from sallyport.errors import UnavailableError

# A first look at an account of some age has hundreds of findings. Nobody reads as many mails.
MOST_ALERTS_OF_A_LOOK: Final = 5


class Kept(Protocol):
    """A finding as it is kept, and what was done about it."""

    @property
    def finding(self) -> Finding:
        """Return all observations of it, put together."""

    @property
    def alerted(self) -> Severity | None:
        """Return the severity that somebody was told of."""

    @property
    def imported(self) -> str | None:
        """Return the state that was imported."""


class Findings(Protocol):
    """Where findings are kept. All raise ``UnavailableError`` if it is not known to be done."""

    def observe(self, seen: Finding) -> Kept:
        """Put an observation to its finding, unless its event was counted there before."""

    def end(self, finding_id: str, at: datetime) -> Kept | None:
        """Note that what a finding is about is gone; ``None`` if there is no such finding."""

    def may_tell(self, finding: Finding) -> bool:
        """Let one at a time tell of it; ``False`` while somebody else is about to."""

    def not_told(self, finding: Finding) -> None:
        """Let others tell, as whoever was about to could not."""

    def alerted(self, finding: Finding) -> None:
        """Note that somebody was told of it, with its severity."""


class Report(Protocol):
    """Counts and logs; never raises."""

    def found(self, finding: Finding, *, new: bool) -> None:
        """Count a finding."""

    def ended(self, finding: Finding) -> None:
        """Log that what a finding is about is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TellingPorts:
    """What ``Telling`` works with.

    ``suppress`` returns the id of the suppression that holds for a finding. ``alert`` tells somebody now, of
    one finding or of several at once; ``ask_import`` has a finding imported as it is then, however long that
    takes. Both are ``None`` where nobody wants to be told. ``state`` changes whenever an import would say
    something new.
    """

    findings: Findings
    suppress: Callable[[Finding], str | None]
    report: Report
    state: Callable[[Finding], str]
    alert: Callable[[Sequence[Finding]], None] | None = None
    alert_from: Severity = Severity.HIGH
    ask_import: Callable[[Finding], None] | None = None


class Telling:
    """Takes observations one by one."""

    def __init__(self, ports: TellingPorts) -> None:
        self._ports = ports

    def found(self, seen: Finding, *, later: list[Finding] | None = None) -> None:
        """Keep an observation, and tell of its finding.

        Args:
            seen: the observation.
            later: takes the finding if somebody must be told of it, for ``together``; ``None`` to tell now.

        Raises:
            UnavailableError: something is away; the same observation must come again.
        """
        ports = self._ports
        by = ports.suppress(seen)
        kept = ports.findings.observe(seen if by is None else replace(seen, suppressed_by=by))
        finding = kept.finding
        ports.report.found(finding, new=finding.count == seen.count)
        told = kept.alerted is not None and kept.alerted >= finding.severity
        wanted = finding.severity >= ports.alert_from and finding.suppressed_by is None
        # First what only has to be asked for, so that it waits for nobody who cannot be told. Nor does an
        # alert wait for it: whoever can close the queue of imports would close both.
        try:
            self._have_imported(kept)
        finally:
            if wanted and not told and later is not None:
                later.append(finding)
            elif wanted and not told:
                self._tell([finding])

    def together(self, found: Sequence[Finding]) -> None:
        """Tell of what one look has found: of a few one by one, of more in a single alert.

        Raises:
            UnavailableError: of some it is not known to be told; the same look must come again.
        """
        if len(found) > MOST_ALERTS_OF_A_LOOK:
            self._tell(found)
            return
        errors: list[UnavailableError] = []
        for one in found:
            try:
                self._tell([one])
            except UnavailableError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _tell(self, found: Sequence[Finding]) -> None:
        ports = self._ports
        if ports.alert is None:
            return
        ours = [one for one in found if ports.findings.may_tell(one)]
        if ours:
            try:
                ports.alert(ours)
            except UnavailableError:
                for one in ours:
                    ports.findings.not_told(one)
                raise
        for one in ours:
            # Told first and marked then: rather twice than never. A replay tells no more.
            ports.findings.alerted(one)
        if len(ours) < len(found):
            # Not left to whoever is about to: should it fail, and this be a copy of its message that is
            # taken, the queue would keep neither.
            raise UnavailableError("alert-under-way", "somebody else is about to tell of the finding")

    def ended(self, finding_id: str, at: datetime) -> None:
        """Close a finding whose cause is gone; seen again, it opens again, and is told of once more.

        Raises:
            UnavailableError: something is away; it is not known to be closed.
        """
        kept = self._ports.findings.end(finding_id, at)
        if kept is not None:
            self._ports.report.ended(kept.finding)
            self._have_imported(kept)

    def _have_imported(self, kept: Kept) -> None:
        ports = self._ports
        if ports.ask_import is not None and kept.imported != ports.state(kept.finding):
            ports.ask_import(kept.finding)
