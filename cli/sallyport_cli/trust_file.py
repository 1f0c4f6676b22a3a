"""From the bytes of a trust file to something that may be applied, or to a list of problems.

The YAML itself is ``strict_yaml``'s business; form (the published JSON Schema) and meaning are
``trust.compile``'s. Here they meet, and every problem gets its place in the file.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from typing import Any

from sallyport.audit.display import display
from sallyport.errors import TrustFileError, UnavailableError
from sallyport.model import X509Anchor
from sallyport.trust.compile import CompiledTrust, compile_trust
from sallyport.trust.problems import Path, Problem
from sallyport_cli.anchor_files import AnchorFiles, read_files
from sallyport_cli.anchor_warnings import AnchorWarning, of_certificates, of_list, of_tag_left_behind
from sallyport_cli.crl_check import CheckedList, check_list
from sallyport_cli.failure import CommandError
from sallyport_cli.open_file import read_bytes
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
    """A trust file without problems.

    ``files`` has the SHA-256 (hex) of every file that it names, by that name; ``lists`` are the
    revocation lists among them.
    """

    path: str
    sha256: str
    compiled: CompiledTrust
    files: Mapping[str, str] = field(default_factory=dict)
    lists: tuple[CheckedList, ...] = ()
    warnings: tuple[AnchorWarning, ...] = ()


def read(path: FilePath, limit: int) -> bytes:
    """Return a file's bytes, at most one more than ``limit``.

    Raises:
        CommandError: the file cannot be read.
    """
    try:
        return read_bytes(path, limit)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the name is not one"
        raise CommandError(
            "file-unreadable",
            f"The file {display(str(path), markup=False)} cannot be read: {reason}.",
            cure="Check the path and its permissions.",
        ) from error


def check(data: bytes, *, path: str, place: Place, now: datetime) -> CheckedFile:
    """Pass a file, and those that it names, through all gates.

    Args:
        data: the file's bytes.
        path: where it lies; what it names is relative to that.
        place: for which account.
        now: the time, to see which revocation lists and certificates are near their end.

    Raises:
        TrustFileError: with every problem found, as ``LocatedProblem``, in the order of the file.
    """
    parsed = parse(data)
    if parsed.problems:
        raise TrustFileError(tuple(sorted(parsed.problems)))
    files = read_files(parsed.document, FilePath(path).parent)
    problems = list(files.problems)
    lists: list[CheckedList] = []
    compiled = None
    try:
        compiled = compile_trust(
            parsed.document,
            account=place.account,
            region=place.region,
            partition=place.partition,
            local_cloud=place.local_cloud,
            files=files.certificates,
        )
    except TrustFileError as error:
        # Of a file that could not be read, the compiler knows no more than that it is not there.
        known = {problem.path for problem in problems}
        problems += [one for one in error.problems if isinstance(one, Problem) and one.path not in known]
    else:
        for anchor in compiled.anchors:
            if isinstance(anchor, X509Anchor):
                good, bad = _lists(parsed.document, anchor, files, now)
                lists += good
                problems += bad
    if problems or compiled is None:
        located = sorted(_located(one, parsed.positions) for one in problems)
        raise TrustFileError(tuple(located[:MAX_PROBLEMS]))
    return CheckedFile(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        compiled=compiled,
        files=files.digests,
        lists=tuple(lists),
        warnings=tuple(_warnings(compiled, lists, now)),
    )


def _lists(
    document: Any,  # noqa: ANN401 - YAML that the compiler took
    anchor: X509Anchor,
    files: AnchorFiles,
    now: datetime,
) -> tuple[list[CheckedList], list[Problem]]:
    """Check the lists that an anchor has as files; a file that could not be read was complained of before."""
    good: list[CheckedList] = []
    bad: list[Problem] = []
    for index, name in enumerate(document["trust_anchors"][anchor.name].get("crls", ())):
        if name not in files.lists:
            continue
        path: Path = ("trust_anchors", anchor.name, "crls", index)
        data, file = files.lists[name], display(name, markup=False)
        try:
            good.append(check_list(data, name=PurePosixPath(name).name, file=file, anchor=anchor, now=now))
        except UnavailableError as error:
            bad.append(Problem(path, f"{name}: {error.detail}", error.cure))
    return good, bad


def _warnings(compiled: CompiledTrust, lists: list[CheckedList], now: datetime) -> Iterator[AnchorWarning]:
    for anchor in compiled.anchors:
        if isinstance(anchor, X509Anchor):
            yield from of_certificates(anchor, now)
    for one in lists:
        yield from of_list(one, now)
    yield from map(of_tag_left_behind, compiled.left_behind)


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
