"""The settings of an identity and a role as options of any command that needs credentials."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Literal

import typer

from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.workload.options import OPTIONS, PROFILE, Option, options_of

Source = Literal["azure", "x509", "token-file", "cognito"]
"""The sources of ``workload.options``, as a command's option takes them."""


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
        flags = {one.name: given.pop(name) for name, one in named.items()}
        asked = Asked(said, {name: str(value) for name, value in flags.items() if value is not None})
        command(asked=asked, **given)

    own = [one for name, one in inspect.signature(command).parameters.items() if name != "asked"]
    extra = [_parameter(name, one) for name, one in named.items()]
    if source is None:
        text = "Where the identity comes from; by default as the profile says."
        extra.insert(0, _keyword("source", typer.Option("--source", help=text), Source))
    whole = [*own, *extra]
    run.__signature__ = inspect.Signature(whole)  # type: ignore[attr-defined]  # typer reads it, typing does not know it
    run.__annotations__ = {one.name: one.annotation for one in whole}
    return run


def keeps_asking(asked: Asked) -> None:
    """Refuse what can be read only once, for a command that asks again and again.

    Raises:
        CommandError: the key comes from standard input.
    """
    if asked.flags.get("private-key") == "-":
        raise CommandError(
            "wrong-usage",
            "A private key from standard input is gone when credentials are renewed.",
            cure="Give a file to --private-key, or the key's text in SALLYPORT_PRIVATE_KEY_PEM.",
            exit_code=Exit.USAGE,
        )


def _parameter(name: str, option: Option) -> inspect.Parameter:
    text = f"{option.help} [{', '.join(option.variables)}]"
    return _keyword(name, typer.Option(f"--{option.name}", metavar=option.metavar, help=text))


def _keyword(name: str, option: Any, kind: Any = str) -> inspect.Parameter:  # noqa: ANN401 - typer's own
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )
