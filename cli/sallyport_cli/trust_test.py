"""``sallyport trust test``: does a trust file decide as a table of cases says?"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sallyport_cli import junit
from sallyport_cli.ending import Ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import Line, progress, say, say_json, say_lines, shown
from sallyport_cli.simulation_inputs import source_of_file
from sallyport_cli.strict_yaml import MAX_FILE_BYTES
from sallyport_cli.trust_cases import Result, read_cases, run, warnings
from sallyport_cli.trust_file import read


def run_cases(  # noqa: PLR0913 - the command's own options
    file: Path, end: Ending, *, trust_file: Path | None, junit_file: Path | None, strict: bool, as_json: bool
) -> Exit:
    """Run a file of cases, print what came of them, and return the exit code.

    Raises:
        TrustFileError: one of the two files has problems.
        CommandError: one cannot be read or written, or no trust file is named.
    """
    cases = read_cases(read(file, MAX_FILE_BYTES), file)
    trusted = trust_file or cases.trust_file
    if trusted is None:
        raise CommandError(
            "no-trust",
            "No trust file is named.",
            cure="Write trust_file: FILE into the file of cases, or give --trust-file.",
            exit_code=Exit.USAGE,
        )
    end.file = str(trusted)
    source = source_of_file(trusted)
    results = []
    with progress("running the cases") as update:
        for number, case in enumerate(cases.cases, 1):
            results.append(run(case, source))
            update(number, len(cases.cases))
    remarks = list(warnings(results, source))
    if junit_file is not None:
        _write(junit_file, junit.report(cases.path, results))
    failed = sum(not one.passed for one in results)
    code = Exit.REFUSED if failed or (strict and remarks) else Exit.OK
    if as_json:
        say_json(
            {
                "file": cases.path,
                "trust_file": str(trusted),
                "passed": len(results) - failed,
                "failed": failed,
                "refusals": sum(one.case.denied is not None for one in results),
                "cases": [_told(one) for one in results],
                "warnings": remarks,
                "exit_code": int(code),
            }
        )
        return code
    say_lines(_lines(cases.path, results))
    say_lines(Line(f"warning: {shown(text)}", "yellow", 4) for text in remarks)
    style = "bold red" if failed else "green"
    say(f"{_count(len(results), 'case')}: {len(results) - failed} as expected, {failed} not.", style=style)
    return code


def _lines(path: str, results: Sequence[Result]) -> Iterator[Line]:
    for one in results:
        if one.passed:
            what = f"denied ({one.case.denied})" if one.case.denied is not None else "granted"
            yield Line(f"✓ {shown(one.case.name)}: {shown(what)}", "green", 4)
            continue
        yield Line(f"✗ {shown(one.case.name)} ({shown(path)}:{one.case.line})", "bold red", 4)
        yield from (Line(f"    {shown(text)}", "", 6) for text in one.differences)
        if one.simulated is not None and one.simulated.error is not None:
            error = one.simulated.error
            yield from (Line(f"    {shown(text)}", "dim", 6) for text in (error.detail, error.cure) if text)


def _told(one: Result) -> dict[str, Any]:
    found = one.simulated
    expected: Any = (
        {"denied": one.case.denied} if one.case.denied is not None else {"granted": one.case.granted}
    )
    return {
        "name": one.case.name,
        "line": one.case.line,
        "passed": one.passed,
        "expected": expected,
        "outcome": None if found is None else found.outcome,
        "reason": "" if found is None else found.reason,
        "differences": list(one.differences),
        "simulation": None if found is None else found.record(),
    }


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CommandError(
            "report-unwritable",
            f"The report cannot be written to {shown(path)}: {error.strerror}.",
            cure="Check the path and its permissions.",
        ) from error


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
