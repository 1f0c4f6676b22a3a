"""``sallyport trust …``: what the trust file says, what it would change, and putting it in force."""

import json
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import epilog
from sallyport_cli.output import say, say_json, say_lines, shown, waiting

if TYPE_CHECKING:
    from sallyport_cli.trust_table import Tombstone

app = typer.Typer(
    name="trust",
    help="Declare who is trusted to vouch for whom, and who may have which role.",
    epilog=epilog(
        "sallyport trust validate trust.yaml",
        "sallyport trust plan trust.yaml --out plan.json",
        "sallyport trust apply plan.json --allow-widening",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Kind(StrEnum):
    """What can be disabled."""

    ANCHOR = "anchor"
    PROFILE = "profile"


Table = Annotated[
    str | None,
    typer.Option("--table", envvar="SALLYPORT_TRUST_TABLE", metavar="NAME", help="The trust table."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
Widening = Annotated[
    bool, typer.Option("--allow-widening", help="Also apply changes that are not plainly narrowing.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Compare with nothing, for a table whose content was damaged.")
]
RefreshFunction = Annotated[
    str | None,
    typer.Option(
        "--refresh-keys",
        envvar="SALLYPORT_REFRESH_FUNCTION",
        metavar="FUNCTION",
        help="Afterwards invoke this function once: issuers' keys and revocation lists are read at once.",
    ),
]
TriggerFunction = Annotated[
    str | None,
    typer.Option(
        "--trigger",
        envvar="SALLYPORT_TRIGGER_FUNCTION",
        metavar="FUNCTION",
        help="The user pools' trigger: the stack's output TriggerFunction.",
    ),
]
WithoutPoolCheck = Annotated[
    str | None,
    typer.Option(
        "--without-pool-check",
        metavar="REASON",
        help="Do not look at user pools and their trigger; why, goes into the table's journal.",
    ),
]
NameOfOne = Annotated[str, typer.Argument(metavar="NAME", help="Its name in the trust file.")]
KindOfOne = Annotated[Kind, typer.Argument(metavar="anchor|profile", help="What it is.")]


@app.command(
    epilog=epilog("sallyport trust validate trust.yaml", "sallyport trust validate trust.yaml --json")
)
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The trust file (YAML).")],
    *,
    check_roles: Annotated[
        bool,
        typer.Option("--check-roles", help="Ask IAM whether the account's own roles demand the ExternalId."),
    ] = False,
    check_pools: Annotated[
        bool,
        typer.Option(
            "--check-pools",
            help="Ask Cognito whether users could write what isolates them, and with --trigger whether the "
            "trigger carries what the file says.",
        ),
    ] = False,
    trigger: TriggerFunction = None,
    json_: Json = False,
) -> None:
    """Check a trust file. Changes nothing, and needs no AWS account unless asked to look at one."""
    with ending(as_json=json_, file=str(file)):
        from sallyport_cli import apply_words, desk, pool_desk  # noqa: PLC0415 - heavy

        if check_roles:
            checked, warnings = desk.check_with_roles(file)
        else:
            checked, warnings = desk.check_file(file, desk.offline()), []
        findings = desk.check_pools(checked.compiled.items, trigger or None) if check_pools else []
        counts = desk.counts(checked.compiled.items)
        counts |= {"lists": len(checked.lists)} if checked.lists else {}
        if json_:
            say_json(
                {
                    "file": str(file),
                    "valid": True,
                    "sha256": checked.sha256,
                    "problems": [],
                    "warnings": [
                        *(asdict(warning) for warning in warnings),
                        *(asdict(warning) for warning in checked.warnings),
                    ],
                    **({"user_pool_problems": [asdict(one) for one in findings]} if check_pools else {}),
                    **counts,
                }
            )
            pool_desk.end_with(findings)
            return
        for warning in warnings:
            text = f"warning: {warning.role} (profile {warning.profile}): {warning.text}"
            say(shown(text), style="yellow", hang=4)
            say(shown(f"    {warning.cure}"), hang=4)
        apply_words.say_warnings(checked.warnings)
        pool_desk.say_findings(findings, sys.stdout)
        pool_desk.end_with(findings, f"{shown(file)} is valid, but would not be applied.")
        say(f"{shown(file)} is valid: {desk.in_words(counts)}.", style="green")


@app.command(
    epilog=epilog("sallyport trust plan trust.yaml", "sallyport trust plan trust.yaml --out plan.json")
)
def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The trust file (YAML).")],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PLAN", help="Write the plan to this file, for `apply`.")
    ] = None,
    rebuild: Rebuild = False,
    table: Table = None,
    json_: Json = False,
) -> None:
    """Show what an apply would change, and which of it widens access. Changes nothing."""
    with ending(as_json=json_, file=str(file)):
        from sallyport_cli import apply_words, desk  # noqa: PLC0415 - heavy
        from sallyport_cli.plan import lines  # noqa: PLC0415 - with it

        counter = desk.Desk(table)
        checked = counter.checked(file)
        made = counter.prospect_of(checked, file=str(file), rebuild=rebuild).plan
        if out is not None:
            desk.write_plan(out, made)
        if json_:
            say_json(made.to_json())
            return
        say_lines(lines(made))
        apply_words.say_warnings(checked.warnings)
        if out is not None:
            widening = " --allow-widening" if made.needs_widening else ""
            say(f"Apply it with: sallyport trust apply {shown(out)}{widening}")
        if any(change.kind == "user_pool" for change in made.changes):
            say(f"Deploy the trigger's mapping before: sallyport trust tag-mapping {shown(file)}")


@app.command(
    epilog=epilog(
        "sallyport trust apply plan.json --allow-widening", "sallyport trust apply trust.yaml --yes"
    )
)
def apply(  # noqa: PLR0913 - a command has as many arguments as options
    source: Annotated[
        Path, typer.Argument(metavar="PLAN|FILE", help="A plan that `plan --out` wrote, or a trust file.")
    ],
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Where the plan's trust file is now, if it was moved."),
    ] = None,
    allow_widening: Widening = False,
    yes: Yes = False,
    rebuild: Rebuild = False,
    refresh_keys: RefreshFunction = None,
    trigger: TriggerFunction = None,
    without_pool_check: WithoutPoolCheck = None,
    table: Table = None,
    json_: Json = False,
) -> None:
    """Put a trust file in force: all of it at once, or nothing.

    A plan is refused if the file or the version in force changed since. Changes that may widen access
    need --allow-widening. Applying the same again changes nothing. A trust file is shown and asked
    about first; a plan is not, because it was reviewed. With user pools the pools and their trigger are
    looked at first: deploy the trigger's mapping before you apply.
    """
    with ending(as_json=json_, file=str(file or source), applies=True) as end:
        from sallyport_cli import desk, pool_desk  # noqa: PLC0415 - heavy
        from sallyport_cli import plan as plans  # noqa: PLC0415 - with it

        planned = plans.read_plan_file(source)
        if planned is None:
            checked_file, name = source, str(source)
        else:
            checked_file, name = file or Path(planned["file"]), planned["file"]
        end.file = str(checked_file)
        counter = desk.Desk(table)
        checked = counter.checked(checked_file)
        prospect = counter.prospect_of(checked, file=name, rebuild=rebuild)
        if planned is not None:
            plans.check_files(planned, prospect.plan)
            if not prospect.plan.is_in_force:
                plans.check_unmoved(planned, prospect.plan)
        consent = desk.Consent(
            allow_widening=allow_widening,
            yes=yes or planned is not None,
            as_json=json_,
            reviewable=True,
        )
        pools = pool_desk.PoolOptions(trigger=trigger or None, without=without_pool_check)
        counter.put_in_force(prospect, consent, refresh_function=refresh_keys or None, pools=pools)


@app.command(epilog=epilog("sallyport trust show --versions", "sallyport trust rollback 000012-5f0c9a3e"))
def rollback(  # noqa: PLR0913 - the same
    version: Annotated[str, typer.Argument(metavar="VERSION", help="As `show --versions` names it.")],
    *,
    allow_widening: Widening = False,
    yes: Yes = False,
    refresh_keys: RefreshFunction = None,
    trigger: TriggerFunction = None,
    without_pool_check: WithoutPoolCheck = None,
    table: Table = None,
    json_: Json = False,
) -> None:
    """Put the content of an earlier version in force again, as a new version.

    What is disabled stays so. Your trust file is not changed: its next apply undoes the rollback.
    """
    with ending(as_json=json_):
        from sallyport_cli import desk, pool_desk  # noqa: PLC0415 - heavy

        counter = desk.Desk(table)
        wanted = counter.table.version(version)
        items = counter.table.items(wanted)
        found = counter.prospect(items, file=f"version {wanted.id}", sha256=wanted.digest)
        prospect = replace(found, restores=wanted.id)
        consent = desk.Consent(allow_widening=allow_widening, yes=yes, as_json=json_)
        pools = pool_desk.PoolOptions(trigger=trigger or None, without=without_pool_check)
        counter.put_in_force(prospect, consent, refresh_function=refresh_keys or None, pools=pools)


@app.command(epilog=epilog("sallyport trust show", "sallyport trust show | grep external"))
def show(
    *,
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Not the one in force but this.")
    ] = None,
    versions: Annotated[bool, typer.Option("--versions", help="List the versions instead.")] = False,
    keys_table: Annotated[
        str | None,
        typer.Option(
            "--keys-table",
            envvar="SALLYPORT_KEYS_TABLE",
            metavar="NAME",
            help="The keys table, to see which revocation lists are in force.",
        ),
    ] = None,
    table: Table = None,
    json_: Json = False,
) -> None:
    """Show what is in force: anchors and profiles with their ARNs and ExternalIds.

    On a terminal long values are folded at 80 columns; into a pipe each stays on its line.
    """
    with ending(as_json=json_):
        from sallyport_cli import desk, trust_view  # noqa: PLC0415 - heavy

        counter = desk.Desk(table)
        trusted = counter.table
        current = trusted.current()
        if versions:
            trust_view.say_versions(trusted.history(current), as_json=json_)
            return
        wanted = current if version is None else trusted.version(version)
        items = {} if wanted is None else trusted.items(wanted)
        view = trust_view.View(
            version=wanted,
            is_current=wanted == current or (current is not None and version == current.id),
            items=items,
            tombstones=trusted.tombstones(),
            lists=counter.lists(items, keys_table or None),
            now=datetime.now(UTC),
        )
        view.say(as_json=json_)


@app.command(
    epilog=epilog(
        "sallyport trust disable profile team-a-reader --reason INC-1234",
        "sallyport trust disable anchor contoso --reason 'tenant taken over'",
    )
)
def disable(  # noqa: PLR0913 - the same
    kind: KindOfOne,
    name: NameOfOne,
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; everybody who looks will read it.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Even if nothing in force has that name.")] = False,
    table: Table = None,
    json_: Json = False,
) -> None:
    """Stop an anchor or a profile at once, whatever is applied afterwards, until `enable`.

    Takes effect within 10 seconds. A disabled profile that would have matched denies, so that no
    other one steps in. Sessions that were issued already live on until they end.
    """
    with ending(as_json=json_):
        from sallyport_cli import desk  # noqa: PLC0415 - heavy

        counter = desk.Desk(table)
        stone = counter.tombstone(kind.value, name, reason)
        there = counter.table.tombstone(stone.kind, stone.name)
        if there is None and not force:
            counter.check_known(stone.kind, stone.name)
        if there is None:
            counter.table.disable(stone)
            words = (
                f"The {stone.kind} {stone.name} is disabled. Exchanges stop within 10 seconds; sessions that "
                "were issued already live on until they end."
            )
        else:
            words = (
                f"The {there.kind} {there.name} is disabled already, since {shown(there.at)} by "
                f"{shown(there.by)}: {shown(there.reason)}"
            )
        _say_tombstone(words, there or stone, changed=there is None, as_json=json_)


@app.command(epilog=epilog("sallyport trust enable profile team-a-reader --reason INC-1234"))
def enable(  # noqa: PLR0913 - the same
    kind: KindOfOne,
    name: NameOfOne,
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the table's journal.")
    ],
    yes: Yes = False,
    table: Table = None,
    json_: Json = False,
) -> None:
    """Undo `disable`."""
    with ending(as_json=json_):
        from sallyport_cli import desk  # noqa: PLC0415 - heavy

        counter = desk.Desk(table)
        stone = counter.tombstone(kind.value, name, reason)
        there = counter.table.tombstone(stone.kind, stone.name)
        words = f"The {stone.kind} {stone.name} is not disabled; nothing changed."
        if there is not None:
            if not json_:
                say(f"Disabled since {shown(there.at)} by {shown(there.by)}: {shown(there.reason)}")
            desk.confirm(
                f"Enable the {stone.kind} {stone.name}?",
                desk.Consent(allow_widening=True, yes=yes, as_json=json_),
            )
            counter.table.enable(stone)
            words = f"The {stone.kind} {stone.name} is enabled."
        _say_tombstone(words, stone, changed=there is not None, as_json=json_)


@app.command(
    name="import-crl",
    epilog=epilog(
        "sallyport trust import-crl datacenter ca.crl",
        "sallyport trust import-crl datacenter /tmp/download.crl --as ca.crl --refresh-keys FUNCTION",
    ),
)
def import_crl(  # noqa: PLR0913 - the same
    anchor: Annotated[str, typer.Argument(metavar="ANCHOR", help="The trust anchor's name.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The revocation list, PEM or DER.")],
    *,
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="What the anchor calls the list, if not as the file."),
    ] = None,
    refresh_keys: RefreshFunction = None,
    table: Table = None,
    json_: Json = False,
) -> None:
    """Bring a new revocation list of an anchor that is in force, without applying anything.

    The list is checked first; one that is older than what is there is refused. Applying the trust file
    brings its lists as well.
    """
    with ending(as_json=json_, file=str(file)):
        from sallyport_cli import crl_desk, desk  # noqa: PLC0415 - heavy

        crl_desk.import_list(
            desk.Desk(table),
            crl_desk.Import(
                anchor=anchor,
                file=file,
                name=name,
                refresh_function=refresh_keys or None,
                as_json=json_,
            ),
        )


@app.command(
    name="import-roles-anywhere",
    epilog=epilog(
        "sallyport trust import-roles-anywhere --out trust/",
        "sallyport trust import-roles-anywhere --out trust/ --region eu-central-1 --profile production",
    ),
)
def import_roles_anywhere(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A directory that is new or empty.")],
    region: Annotated[
        str | None, typer.Option("--region", metavar="REGION", help="If not the configured one.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="The AWS profile to read with.")
    ] = None,
    create_session_role: Annotated[
        str | None,
        typer.Option(
            "--create-session-role",
            envvar="SALLYPORT_CREATE_SESSION_ROLE",
            metavar="ARN",
            help="The stack's output CreateSessionRoleArn, for the roles' trust policies.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Write a trust file from an account's IAM Roles Anywhere. Changes nothing in the account.

    Conditions come from the roles' trust policies. What cannot be translated without letting somebody in
    whom AWS keeps out is written down as such, and `validate` refuses the file until it is gone.
    """
    with ending(as_json=json_):
        from sallyport_cli import import_command  # noqa: PLC0415 - heavy

        import_command.run(
            out, region=region, profile=profile, create_session_role=create_session_role, as_json=json_
        )


@app.command(
    epilog=epilog(
        "sallyport trust history",
        "sallyport trust history --limit 100 --json",
    )
)
def history(
    *,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="NUMBER", help="How many entries, the newest first.")
    ] = 20,
    table: Table = None,
    json_: Json = False,
) -> None:
    """Show who did what to the trust, and when: applies, rollbacks, stops, their ends, revocation lists.

    An apply that was begun and came to nothing is shown as well. Exchanges are not: `explain` shows them.
    """
    with ending(as_json=json_):
        from sallyport_cli import desk  # noqa: PLC0415 - heavy
        from sallyport_cli import history as told  # noqa: PLC0415 - with it

        with waiting("reading the trust table"):
            entries = told.entries(desk.Desk(table).table.chronicle())
        told.say_history(entries, limit, as_json=json_)


@app.command(
    name="test",
    epilog=epilog(
        "sallyport trust test cases.yaml",
        "sallyport trust test cases.yaml --trust-file trust.yaml --junit report.xml",
        "sallyport trust test cases.yaml --strict --json",
    ),
)
def run_cases(
    file: Annotated[Path, typer.Argument(metavar="CASES", help="The table of cases (YAML).")],
    *,
    trust_file: Annotated[
        Path | None,
        typer.Option("--trust-file", metavar="FILE", help="Instead of the one that the cases name."),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Also write the results as JUnit XML, for CI."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail for warnings too: too few refusals, an untested profile.")
    ] = False,
    json_: Json = False,
) -> None:
    """Check that a trust file gives and refuses what a table of cases says. Needs no AWS account.

    Each case has an identity, what it asks for and what is to come of it; docs/trust-test.md describes
    the table. Ends with 1 if one case came otherwise.
    """
    with ending(as_json=json_, file=str(file)) as end:
        from sallyport_cli import trust_test  # noqa: PLC0415 - heavy

        code = trust_test.run_cases(
            file, end, trust_file=trust_file, junit_file=junit, strict=strict, as_json=json_
        )
        raise typer.Exit(code)


@app.command(
    name="tag-mapping",
    epilog=epilog(
        "sallyport trust tag-mapping trust.yaml > tag-mapping.json",
        "sallyport trust tag-mapping trust.yaml --out tag-mapping.zip",
    ),
)
def tag_mapping(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The trust file (YAML).")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="OUT",
            help="Write it there; into a file that ends in .zip, as a layer's archive.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Print what the user pools' trigger must carry: one line, and how it gets there. Needs no AWS account.

    The line goes to the standard output or into OUT, what to do with it to the standard error.
    """
    with ending(as_json=json_, file=str(file)):
        from sallyport_cli import desk  # noqa: PLC0415 - heavy
        from sallyport_cli.tag_mapping import TagMapping  # noqa: PLC0415 - with it

        mapping = TagMapping.of(desk.check_file(file, desk.offline()).compiled.items)
        if out is not None:
            mapping.write(out)
        if json_:
            say_json(mapping.to_json())
            return
        if out is None:
            typer.echo(mapping.text)
        for line in mapping.directions(shown(file)):
            say(line, stream=sys.stderr)


@app.command(
    epilog=epilog(
        "sallyport trust schema > trust.schema.json", "sallyport trust schema --cases > cases.schema.json"
    )
)
def schema(
    *,
    cases: Annotated[
        bool, typer.Option("--cases", help="Of the table of cases for `trust test` instead.")
    ] = False,
    json_: Json = False,
) -> None:
    """Print the JSON Schema of the trust file, for editors. It is JSON with --json and without."""
    with ending(as_json=json_):
        from sallyport.trust.schema import SCHEMA  # noqa: PLC0415 - heavy
        from sallyport_cli.trust_cases_schema import SCHEMA as CASES  # noqa: PLC0415 - with it

        typer.echo(json.dumps(CASES if cases else SCHEMA, indent=2, ensure_ascii=True))


def _say_tombstone(words: str, stone: "Tombstone", *, changed: bool, as_json: bool) -> None:
    if not as_json:
        say(words)
        return
    say_json(
        {
            "changed": changed,
            "kind": stone.kind,
            "name": stone.name,
            "by": stone.by,
            "at": stone.at,
            "reason": stone.reason,
        }
    )
