"""From the bytes of a trust file to something that may be applied, or to a list of problems.

The YAML itself is ``strict_yaml``'s business; form (the published JSON Schema) and meaning are
``trust.compile``'s. Here they meet, and every problem gets its place in the file.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path as FilePath

from sallyport.audit.display import display
from sallyport.errors import TrustFileError
from sallyport.trust.compile import CompiledTrust, compile_trust
from sallyport.trust.problems import Problem
from sallyport_cli.failure import CommandError
from sallyport_cli.strict_yaml import MAX_PROBLEMS, LocatedProblem, Positions, parse

_SHOWN = 2_000
"""Longer than any sentence about a trust file, whatever value it repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """For which account a trust file is compiled; identifiers and ARNs depend on it.

    ``local_cloud`` is true only where AWS itself is a program on this machine.
    """

    account: str
    region: str
    partition: str = "aws"
    local_cloud: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """A trust file without problems."""

    path: str
    sha256: str
    compiled: CompiledTrust


def read(path: FilePath, limit: int) -> bytes:
    """Return a file's bytes, at most one more than ``limit``.

    Raises:
        CommandError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name is not one"
        raise CommandError(
            "file-unreadable",
            f"The file {display(str(path), markup=False)} cannot be read: {reason}.",
            cure="Check the path and its permissions.",
        ) from error


def check(data: bytes, *, path: str, place: Place) -> CheckedFile:
    """Pass a file through all gates.

    Raises:
        TrustFileError: with every problem found, as ``LocatedProblem``, in the order of the file.
    """
    parsed = parse(data)
    if parsed.problems:
        raise TrustFileError(tuple(sorted(parsed.problems)))
    try:
        compiled = compile_trust(
            parsed.document,
            account=place.account,
            region=place.region,
            partition=place.partition,
            local_cloud=place.local_cloud,
        )
    except TrustFileError as error:
        located = [_located(one, parsed.positions) for one in error.problems if isinstance(one, Problem)]
        raise TrustFileError(tuple(sorted(located)[:MAX_PROBLEMS])) from error
    return CheckedFile(path=path, sha256=hashlib.sha256(data).hexdigest(), compiled=compiled)


def _located(problem: Problem, positions: Positions) -> LocatedProblem:
    line, column = positions.of(problem.path)
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in problem.path)
    where = f"{steps.removeprefix('.')}: " if steps else ""
    return LocatedProblem(
        line=line,
        column=column,
        text=display(f"{where}{problem.text}", limit=_SHOWN, markup=False),
        cure=display(problem.cure, limit=_SHOWN, markup=False),
        path=problem.path,
    )
