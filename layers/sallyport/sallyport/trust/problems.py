"""What is wrong with a trust file: where, what, and what to do about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sallyport.errors import TrustFileError

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a trust file may not be applied.

    ``path`` leads to the place within the document, ``cure`` says what would mend it.
    """

    path: Path
    text: str
    cure: str


def refuse(text: str, cure: str, *path: str | int) -> TrustFileError:
    """Make the error for a single problem; whoever knows the outer path puts it in front."""
    return TrustFileError((Problem(path, text, cure),))


def at(error: TrustFileError, *path: str | int) -> TrustFileError:
    """Return the same problems with ``path`` in front of each one's own."""
    return TrustFileError(
        tuple(
            replace(problem, path=(*path, *problem.path))
            for problem in error.problems
            if isinstance(problem, Problem)
        )
    )


class Problems:
    """Collects problems, so that an operator sees all of them at once."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(self, path: Path, text: str, cure: str) -> None:
        """Note one problem."""
        self._found.append(Problem(path, text, cure))

    @contextmanager
    def at(self, *path: str | int) -> Iterator[None]:
        """Collect what the block refuses, with ``path`` in front, and go on after the block."""
        try:
            yield
        except TrustFileError as error:
            self._found += [p for p in at(error, *path).problems if isinstance(p, Problem)]

    def __len__(self) -> int:
        return len(self._found)

    def raise_if_any(self) -> None:
        """Raise everything found as one error; do nothing if nothing was found."""
        if self._found:
            raise TrustFileError(tuple(dict.fromkeys(self._found)))
