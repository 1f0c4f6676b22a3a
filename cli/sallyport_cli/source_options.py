"""The settings of an identity and a role as options of any command that needs credentials."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.workload.options import OPTIONS, PROFILE, SOURCES, Option, options_of


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said on the command line about who asks and for what; the rest is in variables and profiles.

    Args:
        source: where the identity comes from, if it was said.
        flags: options by name.
    """

    source: str | None
    flags: Mapping[str, str]


def with_identity(command: Callable[..., None], source: str | None = None) -> Callable[..., None]:
    """Return a command with the options of an identity, and ``asked`` filled in from them.

    Args:
        command: has a keyword argument ``asked``.
        source: where the identity comes from; without one there is ``--source``, and every option.
    """
    options = (PROFILE, *(OPTIONS if source is None else options_of(source)))
    named = {one.name.replace("-", "_"): one for one in options}

    @wraps(command)
    def run(**given: Any) -> None:  # noqa: ANN401 - what typer gives
        said = source or given.pop("source", None)
        if said is not None and said not in SOURCES:
            raise CommandError(
                "wrong-usage",
                "There is no such source of identities.",
                cure=f"--source is one of {', '.join(SOURCES)}.",
                exit_code=Exit.USAGE,
            )
        flags = {one.name: given.pop(name) for name, one in named.items()}
        asked = Asked(said, {name: str(value) for name, value in flags.items() if value is not None})
        command(asked=asked, **given)

    own = [one for name, one in inspect.signature(command).parameters.items() if name != "asked"]
    extra = [_parameter(name, one) for name, one in named.items()]
    if source is None:
        which = typer.Option(
            "--source",
            metavar="|".join(SOURCES),
            help="Where the identity comes from; by default as the profile says.",
        )
        extra.insert(0, _keyword("source", which))
    whole = [*own, *extra]
    run.__signature__ = inspect.Signature(whole)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in whole}
    return run


def _parameter(name: str, option: Option) -> inspect.Parameter:
    return _keyword(name, typer.Option(f"--{option.name}", metavar=option.metavar, help=option.help))


def _keyword(name: str, option: Any) -> inspect.Parameter:  # noqa: ANN401 - typer's own
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )
