"""``sallyport update``: keep a profile of the shared credentials file fresh, for tools that read it."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, say_json, shown
from sallyport_cli.source_options import Asked, keeps_asking, with_identity
from sallyport_cli.workload.options import NO_CACHE

if TYPE_CHECKING:
    from sallyport_cli.workload.session import SessionCredentials

FILE_VARIABLE = "AWS_SHARED_CREDENTIALS_FILE"
LONG_TERM = "AKIA"
"""What the ids of keys begin with that do not end by themselves. There is no second copy of their secret."""


@with_identity
def update(  # noqa: PLR0913 - a command has as many arguments as options
    *,
    asked: Asked,
    aws_profile: Annotated[
        str, typer.Option("--aws-profile", metavar="NAME", help="The profile in the shared credentials file.")
    ] = "default",
    once: Annotated[bool, typer.Option("--once", help="Write once, and end.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also where the profile has long-term keys, which are lost.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one document for each write.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Tell on standard error what happens; never a secret.")
    ] = False,
) -> None:
    """Write credentials into ~/.aws/credentials, and again well before they end.

    Everything else in the file stays byte for byte; AWS_SHARED_CREDENTIALS_FILE names another file.
    Programs read the file when they start: what runs for longer than a session uses `sallyport serve`.
    """
    with ending(as_json=as_json):
        from sallyport_cli.update_profile import is_name  # noqa: PLC0415 - only here

        if not is_name(aws_profile):
            raise CommandError(
                "wrong-usage",
                f"A profile cannot be called {shown(aws_profile)}.",
                cure="Use letters, digits and . _ - + @ : /",
                exit_code=Exit.USAGE,
            )
        if not once:
            keeps_asking(asked)
        _update(asked, aws_profile, once=once, overwrite=overwrite, as_json=as_json, debug=debug)


def _update(  # noqa: PLR0913 - the command's own
    asked: Asked, profile: str, *, once: bool, overwrite: bool, as_json: bool, debug: bool
) -> None:
    # Not at the top: `--help` must not wait for them.
    from sallyport_cli.serve.holder import Holder  # noqa: PLC0415
    from sallyport_cli.serve.stopping import until_stopped  # noqa: PLC0415
    from sallyport_cli.workload.command import tell  # noqa: PLC0415
    from sallyport_cli.workload.supply import supply  # noqa: PLC0415

    path = Path(os.environ.get(FILE_VARIABLE) or Path.home() / ".aws" / "credentials").expanduser()
    trace = tell if debug else lambda _text: None
    obtain = supply(asked.source, {**asked.flags, NO_CACHE.name: "yes"}, say=tell, trace=trace)

    def write(found: "SessionCredentials") -> None:
        write_profile(path, profile, found, overwrite=overwrite)
        if as_json:
            say_json({"file": str(path), "profile": profile, "expiration": _until(found)})
        else:
            say(f"{shown(path)}: profile {profile} until {_until(found)}")
        sys.stdout.flush()

    # Nothing is asked for that could not be written anyway.
    refuse_long_term(path, profile, overwrite=overwrite)
    if once:
        write(obtain())
        return
    holder = Holder(obtain, tell=tell, renewed=write)
    with until_stopped():
        holder.first()
        holder.run()


def write_profile(path: Path, profile: str, found: "SessionCredentials", *, overwrite: bool = False) -> None:
    """Put credentials into a profile.

    Raises:
        CommandError: the file cannot be changed, or the profile has long-term keys.
    """
    from sallyport_cli.update_file import change_file  # noqa: PLC0415 - only here
    from sallyport_cli.update_profile import key_of, with_profile  # noqa: PLC0415 - the same

    given = found.to_environment()
    values = (
        given["AWS_ACCESS_KEY_ID"],
        given["AWS_SECRET_ACCESS_KEY"],
        given["AWS_SESSION_TOKEN"],
        _until(found),
    )

    def change(data: bytes) -> bytes:
        if not overwrite and (key_of(data, profile) or "").startswith(LONG_TERM):
            raise _long_term(path, profile)
        return with_profile(data, profile, values)

    change_file(path, change)


def refuse_long_term(path: Path, profile: str, *, overwrite: bool) -> None:
    """Refuse a profile whose keys nobody could bring back.

    Raises:
        CommandError: it has some.
    """
    from sallyport_cli.update_file import read_credentials  # noqa: PLC0415 - only here
    from sallyport_cli.update_profile import UnreadableError, key_of  # noqa: PLC0415 - the same

    try:
        found = key_of(read_credentials(path) or b"", profile)
    except (OSError, UnreadableError):
        # Whoever writes says what is wrong.
        return
    if not overwrite and (found or "").startswith(LONG_TERM):
        raise _long_term(path, profile)


def _long_term(path: Path, profile: str) -> CommandError:
    return CommandError(
        "long-term-keys",
        f"Profile {profile} in {shown(path)} has long-term keys, which would be lost.",
        cure="Name another with --aws-profile, or give --overwrite.",
    )


def _until(found: "SessionCredentials") -> str:
    return found.to_environment()["AWS_CREDENTIAL_EXPIRATION"]
