"""``sallyport trust import-crl``: one list that the anchor in force declares, from file to exchanges."""

import difflib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sallyport.errors import UnavailableError
from sallyport.model import X509Anchor
from sallyport.trust.compile import load_anchor
from sallyport_cli.anchor_files import wrong_content
from sallyport_cli.anchor_warnings import of_list
from sallyport_cli.crl_check import MAX_FILE_BYTES, CheckedList, check_list, list_to_import
from sallyport_cli.crl_table import Brought, CrlTable, Outcome
from sallyport_cli.crl_view import ListRow, of_answer, of_brought, reasons, say_lists, told
from sallyport_cli.desk import Desk
from sallyport_cli.failure import CommandError
from sallyport_cli.output import progress, say, say_json, say_lines, shown, waiting
from sallyport_cli.refresh import refresh_keys
from sallyport_cli.trust_file import read
from sallyport_cli.trust_view import anchors_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What the command line says; ``name`` is what the anchor calls the list."""

    anchor: str
    file: Path
    name: str | None
    refresh_function: str | None
    as_json: bool


def import_list(desk: Desk, wanted: Import) -> None:
    """Check a list against the anchor in force, bring it, have it compiled, and say what came of it.

    Raises:
        CommandError: it was not taken; or it was, and is not in force yet.
    """
    now = datetime.now(UTC)
    anchor = _anchor(desk, wanted.anchor)
    name = wanted.name or wanted.file.name
    list_to_import(anchor, name)
    checked = _checked(wanted.file, name, anchor, now)
    with progress(f"uploading {name}") as update:
        brought = CrlTable(desk.aws.client("dynamodb"), desk.name).bring(
            checked, by=desk.caller.arn, at=now, again=True, progress=update
        )
    answer = told(brought)
    if brought.outcome is Outcome.OLDER:
        raise CommandError(
            "crl-older",
            brought.sentence,
            cure="An old list would give revoked certificates back. Bring the authority's newest.",
            more=answer,
        )
    if not wanted.as_json:
        say(shown(brought.sentence), style="green", hang=4)
        for warning in of_list(checked, now):
            say(f"warning: {warning.what}: {warning.text}", style="yellow", hang=4)
            say(f"    {warning.cure}", hang=4)
    rows = [of_brought(brought)]
    if wanted.refresh_function is not None:
        rows = _compiled(desk, wanted.refresh_function, anchor, brought, answer)
    if wanted.as_json:
        say_json(answer)
        return
    say_lists(rows)
    say_lines(reasons(rows))
    if wanted.refresh_function is None:
        say(
            "It comes into force with the next scheduled refresh; until then the list before is believed.",
            hang=0,
        )
        say(
            "To have it compiled at once, give --refresh-keys FUNCTION (the stack's outputs name it).", hang=0
        )


def _anchor(desk: Desk, name: str) -> X509Anchor:
    current = desk.table.current()
    found = {} if current is None else anchors_of(desk.table.items(current))
    document = found.get(name)
    if document is None:
        of_kind = [one for one in found if found[one]["kind"] == "x509"]
        near = difflib.get_close_matches(name, of_kind, n=1)
        raise CommandError(
            "no-such-name",
            f"No trust anchor in force is called {shown(name)}.",
            cure=f"Did you mean {near[0]}?" if near else "`sallyport trust show` lists them.",
        )
    anchor = load_anchor(document)
    if not isinstance(anchor, X509Anchor):
        raise CommandError(
            "not-x509",
            f"The trust anchor {name} is an OpenID Connect issuer, which has no revocation lists.",
            cure="Name an anchor of kind x509.",
        )
    return anchor


def _checked(file: Path, name: str, anchor: X509Anchor, now: datetime) -> CheckedList:
    data = read(file, MAX_FILE_BYTES)
    wrong = wrong_content(data, is_list=True)
    if wrong is not None:
        cure = f"{wrong[1][:1].upper()}{wrong[1][1:]}."
        raise CommandError("crl-file", f"The file {shown(file)} {wrong[0]}.", cure=cure)
    try:
        return check_list(data, name=name, file=shown(file), anchor=anchor, now=now)
    except UnavailableError as error:
        raise CommandError(error.reason, f"{shown(file)}: {error.detail}", cure=error.cure) from error


def _compiled(
    desk: Desk, function: str, anchor: X509Anchor, brought: Brought, answer: dict[str, Any]
) -> list[ListRow]:
    """Have the list compiled, and return what came of it.

    Raises:
        CommandError: the list is in the trust table, but exchanges do not believe it yet.
    """
    name = brought.list.state.id
    stays = f"The list {name} is in the trust table, but is NOT in force:"
    try:
        with waiting(f"{function} compiles {name}"):
            answer["refreshed"] = refresh_keys(desk.aws.client("lambda"), function, [anchor.id])
    except CommandError as error:
        raise CommandError(error.reason, f"{stays} {error.detail}", cure=error.cure, more=answer) from error
    rows = [row for row in of_answer(answer["refreshed"]) if row.name == name]
    if not rows or not rows[0].is_in_force or rows[0].number != str(brought.list.state.number):
        why = rows[0].why or rows[0].state if rows else "the function says nothing of it"
        raise CommandError(
            "crl-not-in-force",
            f"{stays} {why}.",
            cure="Look at refresh_keys' log; the schedule tries again by itself.",
            more=answer,
        )
    return rows
