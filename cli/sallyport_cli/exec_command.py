"""``sallyport exec -- command``: run one program with credentials."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.exec_environment import container, keys, shadowed_by
from sallyport_cli.failure import CommandError
from sallyport_cli.output import say, shown
from sallyport_cli.source_options import Asked, keeps_asking, with_identity
from sallyport_cli.workload.options import NO_CACHE

NOT_EXECUTABLE = 126
NOT_FOUND = 127
"""What shells say of a program that cannot be started."""


@with_identity
def exec_command(
    *,
    asked: Asked,
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="The program and its arguments, behind --.")
    ],
    serve: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="Keep credentials fresh for as long as it runs, over an endpoint that it alone can ask.",
        ),
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Ask the exchange whatever is kept, and keep nothing.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Tell on standard error what happens; never a secret.")
    ] = False,
) -> None:
    """Run a program with credentials in its environment, and nothing there that AWS's tools would prefer.

    The program takes this one's place, so that signals and its exit code are its own. Variables cannot be
    renewed: for what runs longer than a session there is --serve.

    Exit codes: the program's own, 128 and the number where a signal ended it, 126 and 127 where it cannot
    be started; without credentials 1, wrong usage 2.
    """
    with ending(as_json=False):
        # Not at the top: `--help` must not wait for them.
        from sallyport_cli.workload.command import tell  # noqa: PLC0415
        from sallyport_cli.workload.supply import supply  # noqa: PLC0415

        trace = tell if debug else lambda _text: None
        flags = {**asked.flags, NO_CACHE.name: "yes"} if no_cache or serve else asked.flags
        if serve:
            keeps_asking(asked)
        obtain = supply(asked.source, flags, say=tell, trace=trace)
        if not serve:
            become(command, keys(os.environ, obtain()))
        from sallyport_cli.serve.answers import Answers  # noqa: PLC0415
        from sallyport_cli.serve.holder import Holder  # noqa: PLC0415
        from sallyport_cli.serve.server import Server  # noqa: PLC0415
        from sallyport_cli.serve.token_file import new_token  # noqa: PLC0415

        for one in shadowed_by(os.environ):
            tell(f"warning: {one}")
        holder, token = Holder(obtain, tell=tell, note=trace), new_token()
        holder.first()
        with ExitStack() as stack:
            stack.callback(holder.stop)
            answers = Answers(credentials=holder.credentials, authorization=token)
            server = stack.enter_context(Server(answers, trace=trace))
            holder.start()
            environment = container(os.environ, f"http://127.0.0.1:{server.port}/credentials", token.reveal())
            code = run(command, environment)
        raise typer.Exit(code)


def become(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Turn this process into a program; on a system without that, run it and end as it does.

    Raises:
        typer.Exit: it cannot be started, or has ended.
    """
    if os.name != "posix":  # pragma: no cover - Windows cannot become another program
        raise typer.Exit(run(command, environment))
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606 - what was asked for
    except OSError as error:
        raise typer.Exit(_not_started(command[0], error)) from None
    except ValueError:
        raise CommandError("wrong-usage", "A program's arguments cannot have a zero byte.") from None


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program to its end, pass signals on to it, and return its exit code as a shell would."""
    from sallyport_cli.exec_child import run_child  # noqa: PLC0415 - only here

    try:
        return run_child(command, environment)
    except OSError as error:
        return _not_started(command[0], error)


def _not_started(name: str, error: OSError) -> int:
    say(f"{shown(name)} cannot be started: {error.strerror}.", stream=sys.stderr)
    return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
