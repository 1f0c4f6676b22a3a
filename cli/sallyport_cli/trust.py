"""``sallyport trust …``: what the trust file says, what it would change, and putting it in force."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import EXIT_CODES, CommandError, Exit
from sallyport_cli.output import progress, say, say_json, shown

if TYPE_CHECKING:
    from sallyport_cli.aws import Aws, Caller
    from sallyport_cli.plan import Plan
    from sallyport_cli.trust_file import CheckedFile, Place
    from sallyport_cli.trust_table import TrustTable, Version

MAX_REASON = 500
"""A reason is a sentence or two, and everybody who looks at the table reads it."""

app = typer.Typer(
    name="trust",
    help="Declare who is trusted to vouch for whom, and who may have which role.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Kind(StrEnum):
    """What can be disabled."""

    ANCHOR = "anchor"
    PROFILE = "profile"


TableOption = Annotated[
    str | None,
    typer.Option("--table", envvar="SALLYPORT_TRUST_TABLE", metavar="NAME", help="The trust table."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The trust file (YAML).")]
WideningOption = Annotated[
    bool, typer.Option("--allow-widening", help="Apply changes that are not plainly narrowing.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RefreshOption = Annotated[
    str | None,
    typer.Option(
        "--refresh-keys",
        envvar="SALLYPORT_REFRESH_FUNCTION",
        metavar="FUNCTION",
        help="Invoke this function afterwards, so that new issuers' keys are fetched at once.",
    ),
]


@app.command(epilog=EXIT_CODES)
def validate(file: FileArgument, *, json_: JsonOption = False) -> None:
    """Check a trust file. Needs no AWS account and changes nothing.

    Example: sallyport trust validate trust.yaml
    """
    with ending(as_json=json_, file=str(file)):
        from sallyport_cli.trust_file import Place  # noqa: PLC0415 — loads the validator

        # Every rule is the same for every account; identifiers are not printed here.
        checked = _checked(file, Place(account="000000000000", region="us-east-1", local_cloud=_local()))
        counts = _counts(checked.compiled.items)
        if json_:
            say_json({"file": str(file), "valid": True, "sha256": checked.sha256, "problems": [], **counts})
            return
        say(f"{shown(file)} is valid: {_in_words(counts)}.", style="green")


@app.command(epilog=EXIT_CODES)
def plan(
    file: FileArgument,
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="PLAN", help="Write the plan for `apply` to this file.")
    ] = None,
    table: TableOption = None,
    rebuild: Annotated[
        bool, typer.Option(help="Compare with nothing: for a table whose content cannot be read.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Show what an apply would change, and which of it widens access. Changes nothing.

    Example: sallyport trust plan trust.yaml --out plan.json
    """
    with ending(as_json=json_, file=str(file)):
        from sallyport_cli.plan import lines  # noqa: PLC0415 — loaded with what needs it

        desk = _desk(table)
        checked = _checked(file, desk.place())
        _refuse_local_discovery(checked, desk.caller)
        made = desk.plan(checked.compiled.items, str(file), checked.sha256, rebuild=rebuild).plan
        if out is not None:
            _write(out, json.dumps(made.to_json(), indent=2) + "\n")
        if json_:
            say_json(made.to_json())
            return
        for text, style in lines(made):
            say(text, style=style)
        if out is not None:
            widening = " --allow-widening" if made.needs_widening else ""
            say(f"Apply it with `sallyport trust apply {shown(out)}{widening}`.")


@app.command(epilog=EXIT_CODES)
def apply(
    source: Annotated[
        Path, typer.Argument(metavar="PLAN|FILE", help="A plan that `plan --out` wrote, or a trust file.")
    ],
    *,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the plan's trust file is, if not where it was."),
    ] = None,
    allow_widening: WideningOption = False,
    yes: YesOption = False,
    table: TableOption = None,
    refresh_keys: RefreshOption = None,
    rebuild: Annotated[
        bool, typer.Option(help="Compare with nothing: for a table whose content cannot be read.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Put a trust file in force: all of it at once, or nothing.

    Refused if the file or the version in force changed since the plan, and if a change may widen
    access and --allow-widening is not given. Applying the same again changes nothing.

    Examples: sallyport trust apply plan.json --allow-widening; sallyport trust apply trust.yaml --yes
    """
    with ending(as_json=json_, file=str(file or source)) as end:
        from sallyport_cli.plan import (  # noqa: PLC0415 — loaded with what needs it
            MAX_PLAN_BYTES,
            check_unmoved,
            looks_like_plan,
            read_plan,
        )
        from sallyport_cli.trust_file import read  # noqa: PLC0415 — the same

        data = read(source, MAX_PLAN_BYTES)
        planned = read_plan(data) if looks_like_plan(data) else None
        trust_file = source if planned is None else file or Path(planned["file"])
        end.file = str(trust_file)
        desk = _desk(table)
        checked = _checked(trust_file, desk.place())
        _refuse_local_discovery(checked, desk.caller)
        name = str(trust_file) if planned is None else planned["file"]
        prospect = desk.plan(checked.compiled.items, name, checked.sha256, rebuild=rebuild)
        if planned is not None and not prospect.is_in_force:
            check_unmoved(planned, prospect.plan)
        _put_in_force(
            desk,
            prospect,
            allow_widening=allow_widening,
            # A plan was reviewed already.
            yes=yes or planned is not None,
            refresh_keys=refresh_keys,
            as_json=json_,
        )


@app.command(epilog=EXIT_CODES)
def rollback(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="As `show --versions` names it.")],
    *,
    allow_widening: WideningOption = False,
    yes: YesOption = False,
    table: TableOption = None,
    refresh_keys: RefreshOption = None,
    json_: JsonOption = False,
) -> None:
    """Put the content of an earlier version in force again, as a new version.

    Your repository's trust file is not changed: the next apply of it undoes the rollback.

    Example: sallyport trust rollback 000012-5f0c9a3e --yes
    """
    with ending(as_json=json_):
        desk = _desk(table)
        wanted = desk.table.version(version)
        items = desk.table.items(wanted)
        prospect = desk.plan(items, f"version {version}", wanted.digest)
        _put_in_force(
            desk,
            prospect,
            allow_widening=allow_widening,
            yes=yes,
            refresh_keys=refresh_keys,
            as_json=json_,
        )


@app.command(epilog=EXIT_CODES)
def show(
    *,
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Another version than the one in force.")
    ] = None,
    versions: Annotated[bool, typer.Option("--versions", help="List the versions instead.")] = False,
    table: TableOption = None,
    json_: JsonOption = False,
) -> None:
    """Show what is in force: anchors and profiles with their ARNs and ExternalIds.

    On a terminal long values are folded at 80 columns; into a pipe every value stays on one line.

    Examples: sallyport trust show; sallyport trust show | grep external
    """
    with ending(as_json=json_):
        from sallyport_cli import trust_view  # noqa: PLC0415 — loaded with what needs it

        desk = _desk(table, ask_account=False)
        current = desk.table.current()
        if versions:
            history = desk.table.history(current)
            if json_:
                say_json({"versions": [trust_view.version_as_json(one, current) for one in history]})
            else:
                trust_view.say_versions(history)
            return
        wanted = desk.table.version(version) if version is not None else current
        if wanted is None:
            if json_:
                say_json({"version": None, "anchors": [], "profiles": [], "disabled": []})
            else:
                say("Nothing was applied yet, so that every exchange is denied.")
            return
        view = trust_view.View(
            version=wanted,
            is_current=current is not None and wanted.id == current.id,
            items=desk.table.items(wanted),
            tombstones=desk.table.tombstones(),
        )
        if json_:
            say_json(view.to_json())
        else:
            view.say()


@app.command(epilog=EXIT_CODES)
def disable(
    kind: Annotated[Kind, typer.Argument(help="What it is.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name in the trust file.")],
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; everybody who looks will read it.")],
    force: Annotated[
        bool, typer.Option("--force", help="Even if nothing in force has that name.")
    ] = False,
    table: TableOption = None,
    json_: JsonOption = False,
) -> None:
    """Stop an anchor or a profile at once, whatever is applied afterwards, until `enable`.

    Takes effect within 10 seconds. A disabled profile that would have matched denies, so that no
    other profile steps in. Sessions that were issued already live on until they end.

    Example: sallyport trust disable profile team-a-reader --reason "key leaked, INC-1234"
    """
    with ending(as_json=json_):
        from sallyport_cli.trust_table import Tombstone  # noqa: PLC0415 — loads boto3

        _check_reason(reason)
        _check_name(name)
        desk = _desk(table)
        there = desk.table.tombstone(kind.value, name)
        if there is not None:
            _say_tombstone(
                f"The {kind.value} {name} is disabled already, since {shown(there.at)} by {shown(there.by)}: "
                f"{shown(there.reason)}",
                there,
                changed=False,
                as_json=json_,
            )
            return
        if not force:
            _check_known(desk.table, kind, name)
        stone = Tombstone(kind=kind.value, name=name, by=desk.caller.arn, at=_stamp(), reason=reason)
        desk.table.disable(stone)
        _say_tombstone(
            f"The {kind.value} {name} is disabled. Exchanges stop within 10 seconds; sessions that were "
            "issued already live on until they end.",
            stone,
            changed=True,
            as_json=json_,
        )


@app.command(epilog=EXIT_CODES)
def enable(
    kind: Annotated[Kind, typer.Argument(help="What it is.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name in the trust file.")],
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it goes into the table's journal.")],
    yes: YesOption = False,
    table: TableOption = None,
    json_: JsonOption = False,
) -> None:
    """Undo `disable`.

    Example: sallyport trust enable profile team-a-reader --reason "key replaced, INC-1234"
    """
    with ending(as_json=json_):
        from sallyport_cli.trust_table import Tombstone  # noqa: PLC0415 — loads boto3

        _check_reason(reason)
        _check_name(name)
        desk = _desk(table)
        there = desk.table.tombstone(kind.value, name)
        stone = Tombstone(kind=kind.value, name=name, by=desk.caller.arn, at=_stamp(), reason=reason)
        if there is None:
            _say_tombstone(
                f"The {kind.value} {name} is not disabled; nothing changed.", stone, changed=False, as_json=json_
            )
            return
        if not json_:
            say(f"Disabled since {shown(there.at)} by {shown(there.by)}: {shown(there.reason)}")
        _confirm(f"Enable the {kind.value} {name}?", yes=yes, as_json=json_)
        desk.table.enable(stone)
        _say_tombstone(f"The {kind.value} {name} is enabled.", stone, changed=True, as_json=json_)


@app.command(epilog=EXIT_CODES)
def schema(*, json_: JsonOption = False) -> None:
    """Print the JSON Schema of the trust file, for editors. It is always JSON.

    Example: sallyport trust schema > trust.schema.json
    """
    with ending(as_json=json_):
        from sallyport.trust.schema import SCHEMA  # noqa: PLC0415 — loaded with what needs it

        print(json.dumps(SCHEMA, indent=2, ensure_ascii=True))


