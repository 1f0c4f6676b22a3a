"""What is the case, told as findings that end: those of this look, and those of earlier ones that are gone.

Pure but for its ports.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from sallyport.audit.finding import Finding
from sallyport.audit.telling import Telling
from sallyport.errors import UnavailableError

# A topic that takes nothing must not keep the other findings from being kept; a table that is away keeps all.
MAX_FAILURES: Final = 20


class Open(Protocol):
    """Which findings are open, by part. All raise ``UnavailableError`` if it is not known to be done."""

    def ids(self, part: str) -> frozenset[str]:
        """Return the ids of a part's open findings."""

    def add(self, part: str, ids: frozenset[str]) -> None:
        """Note that findings are open."""

    def remove(self, part: str, ids: frozenset[str]) -> None:
        """Note that findings are open no more."""


@dataclass(frozen=True, slots=True)
class Told:
    """How many findings a look has, and how many of earlier ones it has closed."""

    found: int
    ended: int


class Standing:
    """Tells of whole looks. What it could not finish, the next one does."""

    def __init__(self, telling: Telling, still_open: Open) -> None:
        self._telling = telling
        self._open = still_open

    def tell(self, found: Iterable[tuple[str, Finding]], *, parts: frozenset[str], at: datetime) -> Told:
        """Tell of what was found, and close what was found earlier in these parts and is not there now.

        Args:
            found: findings with the part that each was found in, which must be one of those looked at.
            parts: what was looked at as a whole. Of other parts nothing is closed.
            at: when it was looked at.

        Raises:
            UnavailableError: something is away; the same look must come again.
        """
        by_part: dict[str, dict[str, Finding]] = {part: {} for part in sorted(parts)}
        for part, finding in found:
            by_part[part][finding.id] = finding
        ended = 0
        failed = _Failures()
        untold: list[Finding] = []
        for part, findings in by_part.items():
            now = frozenset(findings)
            before = self._open.ids(part)
            # Noted before anything is told, so that whatever is told can be closed.
            if now - before:
                self._open.add(part, now - before)
            for finding in findings.values():
                with failed.gathered():
                    self._telling.found(finding, later=untold)
            gone: set[str] = set()
            for finding_id in sorted(before - now):
                with failed.gathered():
                    self._telling.ended(finding_id, at)
                    gone.add(finding_id)
            if gone:
                self._open.remove(part, frozenset(gone))
            ended += len(gone)
        with failed.gathered():
            self._telling.together(untold)
        failed.end()
        return Told(sum(map(len, by_part.values())), ended)


class _Failures:
    """What failed, so that it keeps nothing else from being told; too much of it is the end."""

    def __init__(self) -> None:
        self._errors: list[UnavailableError] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        try:
            yield
        except UnavailableError as error:
            self._errors.append(error)
            if len(self._errors) >= MAX_FAILURES:
                raise

    def end(self) -> None:
        if self._errors:
            raise self._errors[0]
