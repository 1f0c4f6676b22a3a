"""What the ``sallyport trust`` commands do: plans, applies and tombstones on one table.

Loaded by the commands that need it and by no ``--help``: boto3 and the compiler are heavy.
"""

import difflib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from sallyport.settings import is_loopback
from sallyport.trust.schema import NAME_PATTERN
from sallyport_cli.aws import Aws, Caller
from sallyport_cli.changes import changes_between
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import progress, say, say_json, shown
from sallyport_cli.plan import Plan, lines
from sallyport_cli.refresh import refresh_keys
from sallyport_cli.strict_yaml import MAX_FILE_BYTES
from sallyport_cli.trust_file import CheckedFile, Place, check, read
from sallyport_cli.trust_table import Author, Tombstone, TrustTable, Version, content_digest
from sallyport_cli.trust_view import names_of

MAX_REASON = 500
"""A reason is a sentence or two, and everybody who looks at the table reads it."""

OFFLINE_ACCOUNT, OFFLINE_REGION = "000000000000", "us-east-1"
"""Where nobody asks AWS: good for every check, of no use for identifiers."""

Items = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """A plan, what it would write, and whether just that is in force already."""

    plan: Plan
    items: Items
    before: Items
    base: Version | None

    @property
    def is_in_force(self) -> bool:
        """Whether an apply would change nothing."""
        return self.base is not None and self.base.content_digest == self.plan.content_digest


class Desk:
    """The table and the caller that a command works with."""

    def __init__(self, aws: Aws, table: TrustTable, name: str, *, ask_account: bool) -> None:
        self.aws = aws
        self.table = table
        self.name = name
        self._caller = aws.caller() if ask_account else None

    @property
    def caller(self) -> Caller:
        """Who runs the command."""
        if self._caller is None:
            self._caller = self.aws.caller()
        return self._caller

    def place(self) -> Place:
        """Return for which account files are compiled."""

        return Place(
            account=self.caller.account,
            region=self.caller.region,
            partition=self.caller.partition,
            local_cloud=self.caller.local_cloud,
        )

    def plan(
        self, items: Items, file: str, sha256: str, *, rebuild: bool = False
    ) -> Prospect:
        """Compare ``items`` with what is in force."""

        base = self.table.current()
        before: Items = {}
        if base is not None and not rebuild:
            before = self.table.items(base)
        made = Plan(
            account=self.caller.account,
            region=self.caller.region,
            table=self.name,
            file=file,
            sha256=sha256,
            base=None if base is None else base.id,
            content_digest=content_digest(items),
            changes=changes_between(before, items),
        )
        return Prospect(plan=made, items=items, before=before, base=base)


def _put_in_force(
    desk: Desk,
    prospect: Prospect,
    *,
    allow_widening: bool,
    yes: bool,
    refresh_keys: str | None,
    as_json: bool,
) -> None:
    """Show, ask, write, tidy up and say what happened."""

    made = prospect.plan
    if prospect.is_in_force and prospect.before:
        version = prospect.base
        refreshed = _refresh(desk, refresh_keys, _anchor_ids(prospect.items)) if refresh_keys else None
        if as_json:
            say_json(_applied_as_json(version, made, changed=False, removed=0, refreshed=refreshed))
        else:
            say(f"Nothing to change: version {version.id if version else ''} says the same already.")
            _say_refreshed(refreshed)
        return
    if not as_json:
        for text, style in lines(made):
            say(text, style=style)
    if made.needs_widening and not allow_widening:
        raise CommandError(
            "would-widen",
            f"Nothing was applied: the plan has changes that are not plainly narrowing ({made.summary()}).",
            cure="Have them reviewed, then add --allow-widening.",
            exit_code=Exit.WIDENING,
        )
    _confirm("Put this in force?", yes=yes, as_json=as_json)
    version = _publish(desk, prospect)
    removed, complaint = _tidied(desk, version)
    new_anchors = _changed_anchors(prospect)
    refreshed = None
    if refresh_keys:
        refreshed = _refresh(desk, refresh_keys, new_anchors or _anchor_ids(prospect.items))
    if as_json:
        answer = _applied_as_json(version, made, changed=True, removed=removed, refreshed=refreshed)
        say_json({**answer, "warnings": [complaint] if complaint else []})
        return
    say(f"Version {version.id} is in force; exchanges see it within 10 seconds.", style="bold green")
    if removed:
        say(f"{removed} superseded version{'s' if removed > 1 else ''} removed.", style="dim")
    if complaint:
        say(complaint, style="yellow", stream=sys.stderr)
    _say_refreshed(refreshed)
    if new_anchors and refreshed is None:
        say(
            "Keys of new issuers come with the next scheduled refresh; until then their tokens are refused. "
            "To fetch them at once, give --refresh-keys FUNCTION (the stack's output names it)."
        )


def _publish(desk: Desk, prospect: Prospect) -> Version:

    author = Author(
        by=desk.caller.arn,
        at=datetime.now(UTC),
        digest=prospect.plan.sha256,
        summary=prospect.plan.summary(),
    )
    with progress("writing the new version") as update:
        return desk.table.publish(prospect.items, prospect.base, author, update)


def _tidied(desk: Desk, version: Version) -> tuple[int, str]:
    """Remove old versions; that this failed is worth a word, but the apply has succeeded."""
    try:
        return desk.table.clean_up(version, datetime.now(UTC)), ""
    except CommandError as error:
        return 0, f"{error.detail} The next apply tries again."


def _refresh(desk: Desk, function: str, anchor_ids: list[str]) -> Mapping[str, Any]:

    return refresh_keys(desk.aws.client("lambda"), function, anchor_ids)


def _say_refreshed(refreshed: Mapping[str, Any] | None) -> None:
    if refreshed is not None:
        say(f"Keys: {shown(json.dumps(refreshed, sort_keys=True))}")


def _applied_as_json(
    version: Version | None, made: Plan, *, changed: bool, removed: int, refreshed: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "changed": changed,
        "version": None if version is None else version.id,
        "plan": made.to_json(),
        "removed_versions": removed,
        "refreshed": refreshed,
    }


def _desk(table: str | None, *, ask_account: bool = True) -> Desk:

    if not table:
        raise CommandError(
            "no-trust-table",
            "No trust table is named.",
            cure="Give --table or set SALLYPORT_TRUST_TABLE; the stack's outputs name it.",
            exit_code=Exit.USAGE,
        )
    aws = Aws()
    return Desk(aws, TrustTable(aws.client("dynamodb"), table), table, ask_account=ask_account)


def _checked(file: Path, place: Place) -> CheckedFile:

    return check(read(file, MAX_FILE_BYTES), path=str(file), place=place)


def _refuse_local_discovery(checked: CheckedFile, caller: Caller) -> None:
    """Refuse for a real account what only a machine's own cloud may have; the compiler does so as well."""
    names = [anchor.name for anchor in checked.compiled.anchors if anchor.local_discovery is not None]
    if names and not caller.local_cloud:
        raise CommandError(
            "local-discovery",
            f"The trust anchor {names[0]} has local_discovery, and AWS is not on this machine.",
            cure="Remove local_discovery; for the local cloud set AWS_ENDPOINT_URL to it.",
        )


def _local() -> bool:


    return is_loopback(os.environ.get("AWS_ENDPOINT_URL", ""))


def _confirm(question: str, *, yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise CommandError(
            "not-confirmed",
            "Nothing was changed: there is nobody to ask.",
            cure="Add --yes, or apply a reviewed plan.",
            exit_code=Exit.USAGE,
        )
    if not typer.confirm(question):
        raise CommandError("not-confirmed", "Nothing was changed.")


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > MAX_REASON:
        raise CommandError(
            "no-reason",
            f"The reason must have 1 to {MAX_REASON} characters.",
            cure='Say why, as in --reason "key leaked, INC-1234".',
            exit_code=Exit.USAGE,
        )


def _check_name(name: str) -> None:
    """A name goes into a key of the table, so it must have the form that the trust file demands."""


    if re.fullmatch(NAME_PATTERN, name) is None:
        raise CommandError(
            "not-a-name",
            "No anchor and no profile can have that name.",
            cure="Names have lower-case letters, digits and -, at most 32.",
            exit_code=Exit.USAGE,
        )


def _check_known(table: TrustTable, kind: Kind, name: str) -> None:
    """Refuse a name that nothing in force has: a typing error must not pass for a stop."""


    current = table.current()
    names = names_of({} if current is None else table.items(current), kind.value)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    raise CommandError(
        "no-such-name",
        f"No {kind.value} in force is called {name}.",
        cure=f"Did you mean {near[0]}?" if near else "`sallyport trust show` lists the names; --force insists.",
    )


def _say_tombstone(text: str, stone: Any, *, changed: bool, as_json: bool) -> None:  # noqa: ANN401
    if as_json:
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
        return
    say(text)


def _stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(
            "plan-unwritable",
            f"The plan cannot be written to {shown(path)}: {error.strerror}.",
            cure="Check the path and its permissions.",
        ) from error


def _counts(items: Items) -> dict[str, int]:

    return {
        "anchors": len(names_of(items, "anchor")),
        "profiles": len(names_of(items, "profile")),
        "roles": sum(key.startswith("role#") for key in items),
    }


def _in_words(counts: Mapping[str, int]) -> str:
    words = {"anchors": "trust anchor", "profiles": "profile", "roles": "role"}
    return ", ".join(f"{count} {words[name]}{'' if count == 1 else 's'}" for name, count in counts.items())


def _anchor_ids(items: Items) -> list[str]:
    return sorted(key.removeprefix("anchor#") for key in items if key.startswith("anchor#"))


def _changed_anchors(prospect: Prospect) -> list[str]:
    return [
        anchor_id
        for anchor_id in _anchor_ids(prospect.items)
        if prospect.before.get(f"anchor#{anchor_id}") != prospect.items[f"anchor#{anchor_id}"]
    ]


