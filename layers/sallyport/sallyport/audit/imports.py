"""Findings on their way into another system: asked for one by one, taken there in batches.

Whoever finds something only asks for the import, on a queue. What fails comes back to that queue alone, so
that a finding that nothing further happens to is still imported; and what is imported is the finding as it
is by then, once for all who asked.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sallyport.audit.finding import Finding
from sallyport.errors import UnavailableError

# Seconds that importing and noting what was read may take; whatever is not read by then comes again.
SECONDS_TO_IMPORT: Final = 30.0

_FINDING_ID: Final = re.compile(r"[0-9a-f]{64}")


class Kept(Protocol):
    """A finding as it is kept, and the state that was imported."""

    @property
    def finding(self) -> Finding:
        """Return all observations of it, put together."""

    @property
    def imported(self) -> str | None:
        """Return the state that was imported."""


class Findings(Protocol):
    """Where findings are kept. Both raise ``UnavailableError`` if it is not known to be done."""

    def read(self, finding_id: str) -> Kept | None:
        """Return a finding, or ``None``."""

    def imported(self, finding: Finding) -> None:
        """Note that it was imported as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPorts:
    """What ``Imports`` works with.

    ``send`` imports findings and returns the ids of those that are not known to be imported; it raises
    nothing. ``state`` changes whenever an import would say something new. ``keep`` puts aside what is no
    request for an import, with its reason. ``report`` counts what was imported, what comes again and what
    was put aside.
    """

    findings: Findings
    state: Callable[[Finding], str]
    send: Callable[[Sequence[Finding]], Collection[str]]
    keep: Callable[[str, str, str], None]
    report: Callable[[int, int, int], None]


def request(finding: Finding) -> str:
    """Return the message that asks for a finding's import."""
    return json.dumps({"finding": finding.id})


class Imports:
    """Takes batches of requests."""

    def __init__(self, ports: ImportPorts) -> None:
        self._ports = ports

    def take(self, requests: Mapping[str, str], seconds_left: Callable[[], float]) -> list[str]:
        """Import what is asked for.

        Args:
            requests: messages by their ids.
            seconds_left: how long this may still take.

        Returns:
            Ids of the messages that must come again, because it is not known to be done.
        """
        asked: dict[str, list[str]] = {}
        again: list[str] = []
        aside = 0
        for name, body in requests.items():
            finding_id = _asked(body)
            if finding_id is not None:
                asked.setdefault(finding_id, []).append(name)
            elif self._keep_aside(body):
                aside += 1
            else:
                again.append(name)
        found, unread = self._read(asked, seconds_left)
        missed = {*unread, *(self._ports.send(found) if found else ())}
        done = [one for one in found if one.id not in missed]
        missed.update(one.id for one in done if not self._note(one))
        again += [name for finding_id in asked if finding_id in missed for name in asked[finding_id]]
        self._ports.report(len(done), len(again), aside)
        return again

    def _read(
        self, asked: Collection[str], seconds_left: Callable[[], float]
    ) -> tuple[list[Finding], list[str]]:
        """Return the findings to import, and the ids of those that could not be read."""
        found: list[Finding] = []
        unread: list[str] = []
        for finding_id in asked:
            # With a slow or absent table: what was read is imported, instead of being read again later.
            if seconds_left() < SECONDS_TO_IMPORT:
                unread.append(finding_id)
                continue
            try:
                kept = self._ports.findings.read(finding_id)
            except UnavailableError:
                unread.append(finding_id)
                continue
            if kept is not None and kept.imported != self._ports.state(kept.finding):
                found.append(kept.finding)
        return found, unread

    def _note(self, finding: Finding) -> bool:
        try:
            self._ports.findings.imported(finding)
        except UnavailableError:
            return False
        return True

    def _keep_aside(self, body: str) -> bool:
        try:
            self._ports.keep(body, "not-an-import", "the message asks for no import")
        except UnavailableError:
            return False
        return True


def _asked(body: str) -> str | None:
    try:
        finding_id = json.loads(body)["finding"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return finding_id if isinstance(finding_id, str) and _FINDING_ID.fullmatch(finding_id) else None
