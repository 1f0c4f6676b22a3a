"""How every command ends: exit code, sentence, next step. Never with a stack trace."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

from sallyport.errors import SallyportError, TrustFileError
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, say_json, shown

_DEBUG = "SALLYPORT_DEBUG"


@dataclass(slots=True)
class Ending:
    """What an unhappy end needs to know.

    ``file`` is the trust file whose problems are reported; ``applies`` whether it was to be applied.
    """

    as_json: bool
    file: str = ""
    applies: bool = False


@contextmanager
def ending(*, as_json: bool, file: str = "", applies: bool = False) -> Iterator[Ending]:
    """Turn whatever goes wrong in the block into words and an exit code.

    Args:
        as_json: whether the words are a JSON document.
        file: the trust file's name, for the places of its problems.
        applies: whether the command would have put it in force.
    """
    end = Ending(as_json, file, applies)
    try:
        yield end
    except TrustFileError as error:
        _report_problems(error, end)
        raise typer.Exit(Exit.REFUSED) from None
    except SallyportError as error:
        known = (
            error
            if isinstance(error, CommandError)
            else CommandError(error.reason, str(error), cure=error.cure)
        )
        _report(known, end)
        raise typer.Exit(known.exit_code) from None
    except KeyboardInterrupt:
        _report(CommandError("interrupted", "Interrupted.", exit_code=Exit.INTERRUPTED), end)
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.REFUSED) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        # Nobody has looked at its own words, and they may have a secret in them.
        text = f"This should not have happened: {type(error).__name__}."
        cure = f"Please report it; with {_DEBUG}=1 the command shows where, and words that may be secret."
        _report(CommandError("unexpected", text, cure=cure), end)
        raise typer.Exit(Exit.REFUSED) from None


def _report(error: CommandError, end: Ending) -> None:
    if end.as_json:
        told = {"reason": error.reason, "text": error.detail, "cure": error.cure}
        say_json({"error": told, "exit_code": int(error.exit_code), **error.more})
        return
    say(shown(error.detail), style="bold red", hang=0, stream=sys.stderr)
    if error.cure:
        # Left whole, because it may be a command to copy.
        say(shown(error.cure), stream=sys.stderr)


def _report_problems(error: TrustFileError, end: Ending) -> None:
    problems = [_as_json(problem, end.file) for problem in error.problems]
    if end.as_json:
        say_json({"file": end.file, "valid": False, "problems": problems, "exit_code": int(Exit.REFUSED)})
        return
    for problem in problems:
        # Text and cure are escaped already; once more, and every backslash would be two.
        place = f"{shown(problem['file'])}:{problem['line']}:{problem['column']}"
        say(f"{place}: {problem['text']}", style="bold", hang=4, stream=sys.stderr)
        if problem["cure"]:
            say(f"    {problem['cure']}", hang=4, stream=sys.stderr)
    count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    say(f"{count}{'; nothing was applied' * end.applies}.", style="bold red", stream=sys.stderr)


def _as_json(problem: object, file: str) -> Mapping[str, Any]:
    """Return a located problem for ``--json``; one without a place stands at the file's beginning."""
    return {
        "file": file,
        "line": getattr(problem, "line", 1),
        "column": getattr(problem, "column", 1),
        "path": list(getattr(problem, "path", ())),
        "text": getattr(problem, "text", shown(problem)),
        "cure": getattr(problem, "cure", ""),
    }
