"""Options of commands, made from the table: a command says which source it is for and gets what was typed."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from sallyport_cli.output import say
from sallyport_cli.workload.options import Option, options_of

Flags = Mapping[str, str]
"""What was typed, by option name; flags that are set have the value ``yes``."""


def with_options(source: str, *switches: Option) -> Callable[[Callable[[Flags], None]], Callable[..., None]]:
    """Make a command out of what takes flags.

    Values stay the texts that were typed: who reads arguments the quick way must come to the same.

    Args:
        source: whose settings become options.
        switches: options besides.
    """
    options = (*options_of(source), *switches)

    def decorate(run: Callable[[Flags], None]) -> Callable[..., None]:
        def command(**typed: Any) -> None:  # noqa: ANN401 - texts and switches
            said = {name.replace("_", "-"): value for name, value in typed.items()}
            run({name: "yes" if value is True else str(value) for name, value in said.items() if value})

        _describe(command, run, options)
        return command

    return decorate


def _describe(command: Any, run: Any, options: Sequence[Option]) -> None:  # noqa: ANN401 - functions' attributes
    parameters = [
        inspect.Parameter(
            one.name.replace("-", "_"),
            inspect.Parameter.KEYWORD_ONLY,
            default=False if one.kind == "flag" else None,
            annotation=_annotation(one),
        )
        for one in options
    ]
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    command.__doc__ = run.__doc__
    command.__name__ = run.__name__


def _annotation(option: Option) -> Any:  # noqa: ANN401 - a type
    if option.kind == "flag":
        return Annotated[bool, typer.Option(f"--{option.name}", help=option.help)]
    text = f"{option.help} [{', '.join(option.variables)}]"
    return Annotated[str | None, typer.Option(f"--{option.name}", metavar=option.metavar, help=text)]


def tell(text: str) -> None:
    """Say something on standard error."""
    say(text, stream=sys.stderr)


def tracer(flags: Flags) -> Callable[[str], None]:
    """Return whom to tell what happens: standard error under ``--debug``, else nobody."""
    return tell if flags.get("debug") else lambda _text: None
