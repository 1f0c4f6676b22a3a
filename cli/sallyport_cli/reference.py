"""The reference of all commands, made from the command itself.

``python -m sallyport_cli.reference`` prints it, ``--check FILE`` compares it with a file.
"""

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from sallyport_cli.failure import EXIT_CODES, Exit

ADVICE: Final = "write it anew: python -m sallyport_cli.reference > docs/command-line.md"

_HEAD: Final = """\
# The command line

<!-- Made by `python -m sallyport_cli.reference`; `make lint` compares. -->

`sallyport COMMAND --help` says the same. Install the command from a clone with `pipx install .` or `uv tool
install .`; in a checkout, `make setup` puts it into `.venv/bin`.

## All commands

- **Output.** Every command that tells something takes `--json`: one JSON document on the standard output,
  in ASCII, also where it fails (`{"error": …, "exit_code": …}`; options that do not exist are told in
  words). Without it, words: on a terminal in colours and tables that fit 80 columns, into a pipe plain lines
  that are never folded. `NO_COLOR` switches colours off, `COLUMNS` says how wide the terminal is. Whatever
  others have written (claims, reasons, names) is shown with everything escaped that is more than a visible
  character. Times are UTC, and say so.
- **Errors** go to the standard error: one sentence and the next step, never a stack trace. With
  `SALLYPORT_DEBUG=1` a defect of the command shows where it happened.
- **Names** of tables and functions come from options or from the environment, as listed below; the stack's
  outputs have them, and where there is `--stack`, it asks for those. Account and Region are those of the AWS
  configuration.
- **Completion** for bash, zsh, fish and PowerShell: `sallyport --install-completion`, or `sallyport
  --show-completion` to put it where your shell looks.

| exit code | means |
|---|---|
"""

_Shown = Any
"""A command or a parameter of typer's, whose classes are its own business."""

_MEANINGS: Final = {
    Exit.OK: "done; of `simulate`: credentials would be given",
    Exit.REFUSED: "refused or failed; of `trust test`: a case came otherwise than expected; of `posture "
    "--fail-from`: something is so severe",
    Exit.USAGE: "wrong usage",
    Exit.WIDENING: "the change would widen access and `--allow-widening` was not given",
    Exit.DENIED: "a simulated exchange would give no credentials",
    Exit.INTERRUPTED: "interrupted",
}


_KINDS: Final[dict[object, str]] = {int: "NUMBER", float: "NUMBER", Path: "FILE"}

_EVERYWHERE: Final = frozenset({"help", "install_completion", "show_completion"})
"""Options that the head of the reference tells of."""


def reference() -> str:
    """Return the whole reference as Markdown. The same on every machine, however wide its terminal is."""
    from sallyport_cli.main import app  # noqa: PLC0415 - it may import this module one day

    root = get_command(app)
    rows = "".join(f"| {int(code)} | {_MEANINGS.get(code, code.name.lower())} |\n" for code in Exit)
    parts = [_HEAD + rows]
    parts += ["\n".join(_section(command, path)) for path, command in _commands(root, ("sallyport",))]
    return "\n".join(parts)


def _commands(command: _Shown, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], _Shown]]:
    if command.hidden:
        return
    yield path, command
    for name, one in getattr(command, "commands", {}).items():
        yield from _commands(one, (*path, name))


def _section(command: _Shown, path: tuple[str, ...]) -> Iterator[str]:
    yield f"## {' '.join(path)}\n"
    yield from _prose(command.help or "")
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    children = [one for one in getattr(command, "commands", {}).values() if not one.hidden]
    words = [*path, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)]
    yield "```text"
    yield " ".join([*words, *(["COMMAND"] if children else [])])
    yield "```\n"
    if children:
        yield "| command | does |"
        yield "|---|---|"
        for one in children:
            title = (one.help or "").strip().partition("\n\n")[0].replace("\n", " ")
            yield f"| [`{one.name}`](#{'-'.join([*path, one.name])}) | {_cell(title)} |"
        yield ""
    rows = [(f"`{_argument(one)}`", one) for one in arguments]
    rows += [(_spelling(one), one) for one in options if one.name not in _EVERYWHERE and not one.hidden]
    if rows:
        yield "| option | meaning |"
        yield "|---|---|"
        yield from (f"| {_cell(spelling)} | {_cell(_meaning(one))} |" for spelling, one in rows)
        yield ""
    yield from _examples(command.epilog or "")


def _prose(text: str) -> Iterator[str]:
    for paragraph in text.strip().split("\n\n"):
        if paragraph.strip():
            yield " ".join(paragraph.split()) + "\n"


def _argument(one: _Shown) -> str:
    name = str(one.metavar or one.human_readable_name)
    name = name if one.nargs == 1 else f"{name}..."
    return name if one.required else f"[{name}]"


def _spelling(one: _Shown) -> str:
    names = sorted(one.opts, key=len, reverse=True)
    text = ", ".join(f"`{name}`" for name in names)
    if one.secondary_opts:
        text += " / " + ", ".join(f"`{name}`" for name in one.secondary_opts)
    if one.is_flag:
        return text
    return f"{text} `{one.metavar or _kind(one.type_descriptor.annotation)}`"


def _kind(annotation: object) -> str:
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "|".join(str(choice.value) for choice in annotation)
    return _KINDS.get(annotation, "TEXT")


def _meaning(one: _Shown) -> str:
    parts = [str(one.help or "").strip()]
    if one.param_type_name == "option":
        if one.required:
            parts.append("Required.")
        elif not one.is_flag and isinstance(one.default, str | int | float) and one.default != "":
            parts.append(f"Default: `{one.default}`.")
        if one.multiple and "more than once" not in parts[0] and "repeated" not in parts[0]:
            parts.append("May be given several times.")
        names = [one.envvar] if isinstance(one.envvar, str) else list(one.envvar or ())
        parts += [f"Environment: `{name}`." for name in names]
    return " ".join(part for part in parts if part)


def _examples(epilog: str) -> Iterator[str]:
    """Yield the examples below a help; the exit codes behind them are the same everywhere."""
    lines = epilog.replace(EXIT_CODES, "").replace("\b", "").strip().splitlines()
    if lines[:1] == ["Examples:"]:
        yield "```text"
        yield from (line.removeprefix("  ") for line in lines[1:] if line.strip())
        yield "```\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Print the reference, or compare it with a file."""
    if arguments[:1] == ["--check"]:
        file = Path(arguments[1])
        if not file.exists() or file.read_text(encoding="utf-8") != reference():
            print(f"{file} is not what the command says of itself; {ADVICE}")
            return 1
        return 0
    sys.stdout.write(reference())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
