"""How every command ends: exit code, sentence, next step. Never with a stack trace."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from sallyport.errors import SallyportError, TrustFileError
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, say_json, shown
from sallyport_cli.strict_yaml import LocatedProblem

_DEBUG = "SALLYPORT_DEBUG"


@contextmanager
def ending(*, as_json: bool, file: str = "") -> Iterator[None]:
    """Turn whatever goes wrong in the block into words and an exit code.

    Args:
        as_json: whether the words are a JSON document.
        file: the trust file's name, for the places of its problems.
    """
    try:
        yield
    except TrustFileError as error:
        _report_problems(error, file, as_json=as_json)
        raise typer.Exit(Exit.REFUSED) from None
    except SallyportError as error:
        exit_code = error.exit_code if isinstance(error, CommandError) else Exit.REFUSED
        _report(error.reason, error.detail or error.reason, error.cure, exit_code, as_json=as_json)
        raise typer.Exit(exit_code) from None
    except KeyboardInterrupt:
        _report("interrupted", "Interrupted.", "", Exit.INTERRUPTED, as_json=as_json)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; there is nobody left to tell.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 — lives until exit
        raise typer.Exit(Exit.REFUSED) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        _report(
            "unexpected",
            f"This should not have happened: {type(error).__name__}: {error}.",
            f"Please report it; with {_DEBUG}=1 the command shows where it happened.",
            Exit.REFUSED,
            as_json=as_json,
        )
        raise typer.Exit(Exit.REFUSED) from None


def problem_as_json(problem: LocatedProblem, file: str) -> dict[str, object]:
    """Return a problem for ``--json``."""
    return {
        "file": file,
        "line": problem.line,
        "column": problem.column,
        "path": list(problem.path),
        "text": problem.text,
        "cure": problem.cure,
    }


def _report(reason: str, text: str, cure: str, exit_code: Exit, *, as_json: bool) -> None:
    if as_json:
        say_json({"error": {"reason": reason, "text": text, "cure": cure}, "exit_code": int(exit_code)})
        return
    say(shown(text), style="bold red", stream=sys.stderr)
    if cure:
        say(shown(cure), stream=sys.stderr)


def _report_problems(error: TrustFileError, file: str, *, as_json: bool) -> None:
    problems = [problem for problem in error.problems if isinstance(problem, LocatedProblem)]
    if as_json:
        say_json(
            {
                "file": file,
                "valid": False,
                "problems": [problem_as_json(problem, file) for problem in problems],
                "exit_code": int(Exit.REFUSED),
            }
        )
        return
    for problem in problems:
        place = f"{shown(file)}:{problem.line}:{problem.column}"
        say(f"{place}: {problem.text}", style="bold", stream=sys.stderr)
        if problem.cure:
            say(f"    {problem.cure}", stream=sys.stderr)
    count = len(problems)
    say(
        f"{count} problem{'s' if count != 1 else ''}; nothing was applied.",
        style="bold red",
        stream=sys.stderr,
    )
