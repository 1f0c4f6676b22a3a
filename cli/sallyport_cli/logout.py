"""``sallyport logout``: take kept credentials away from this machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, say_json, shown


def logout(
    *,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Those of this profile in config.toml; by default the one called default.",
        ),
    ] = None,
    role_arn: Annotated[
        str | None, typer.Option("--role-arn", metavar="ARN", help="Those of this role.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that this user has here.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Delete kept credentials, so that the next call is an exchange.

    They stay valid until they end for whoever has a copy: what stops sessions is
    `sallyport trust disable`, and a deny on aws:TokenIssueTime for those that were issued.
    """
    with ending(as_json=as_json):
        from sallyport_cli.workload.config import ConfigError, settle  # noqa: PLC0415 - only here
        from sallyport_cli.workload.folder import cache_folder  # noqa: PLC0415 - only here
        from sallyport_cli.workload.forget import forget  # noqa: PLC0415 - only here

        wanted: dict[str, str] = {}
        if every:
            if profile or role_arn:
                raise CommandError(
                    "wrong-usage",
                    "--all leaves nothing to choose.",
                    exit_code=Exit.USAGE,
                    cure="Give it alone.",
                )
        elif role_arn and not profile:
            wanted = {"role-arn": role_arn}
        else:
            flags = {"profile": profile or "", "role-arn": role_arn or ""}
            try:
                settings = settle(None, flags, os.environ)
            except ConfigError as error:
                raise CommandError(
                    error.reason,
                    shown(error.sentence),
                    cure="Name a profile, give --role-arn, or --all.",
                    exit_code=Exit.USAGE,
                ) from None
            wanted = {"source": settings.source}
            wanted |= {name: value for name in ("endpoint", "role-arn") if (value := settings.get(name))}
        folder = Path(cache_folder(os.environ))
        gone = forget(folder, wanted)
        if as_json:
            say_json({"folder": str(folder), "deleted": gone})
            return
        for one in gone:
            say(f"deleted: {shown(one.get('source', ''))} {shown(one.get('role-arn', ''))}".rstrip())
        say(f"{len(gone) or 'No'} kept credentials deleted." if len(gone) != 1 else "Deleted.")
