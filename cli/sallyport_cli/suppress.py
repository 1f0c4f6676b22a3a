"""``sallyport suppress``: which findings need nobody's attention, from a reviewed file."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, say_json, shown, waiting
from sallyport_cli.stack_names import Stack, named

MAX_FILE: Final = 300_000
"""Bytes; as one item of the table has 400 KB."""


def suppress(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The suppressions, YAML or JSON.")],
    *,
    table: Annotated[
        str | None,
        typer.Option(
            "--findings-table", envvar="SALLYPORT_FINDINGS_TABLE", metavar="NAME", help="The findings table."
        ),
    ] = None,
    stack: Stack = "",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Put a file of suppressions in force, in place of the one before.

    Each has an owner, a reason and an end. Suppressed findings are still made and kept; nobody is alerted.
    """
    with ending(as_json=json_):
        from sallyport.adapters.suppressions_item import KEY  # noqa: PLC0415 - not for --help
        from sallyport.audit.rules import RULES  # noqa: PLC0415 - the same
        from sallyport.audit.suppressions import SuppressionsError, load_suppressions  # noqa: PLC0415
        from sallyport_cli.aws import Aws, asking  # noqa: PLC0415 - loads boto3
        from sallyport_cli.strict_yaml import parse  # noqa: PLC0415 - loads yaml

        if not (table or stack):
            raise CommandError(
                "no-table",
                "No findings table is named.",
                exit_code=Exit.USAGE,
                cure="Give --stack, --findings-table or SALLYPORT_FINDINGS_TABLE (the output FindingsTable).",
            )
        data = _bytes(file)
        if not data.strip():
            raise CommandError(
                "suppressions-refused",
                f"Nothing was changed: {file} is empty.",
                cure="To suppress nothing, write suppressions: []",
            )
        parsed = parse(data)
        if parsed.problems:
            first = parsed.problems[0]
            raise CommandError(
                "suppressions-refused",
                f"Nothing was changed: {file}, line {first.line}: {first.text}.",
                cure=f"{first.cure[:1].upper()}{first.cure[1:]}." if first.cure else "Mend the file.",
            )
        document = parsed.document
        try:
            found = load_suppressions(document, rules=RULES, today=datetime.now(UTC).date())
        except SuppressionsError as error:
            raise CommandError(
                "suppressions-refused",
                f"Nothing was changed: {'; '.join(error.problems)}.",
                cure="Mend the file; docs/findings.md says what an entry has.",
            ) from error
        aws = Aws()
        with waiting("writing to the findings table"):
            table = named(aws, stack, {"FindingsTable": table})["FindingsTable"]
            with asking(f"write to the findings table {table} (dynamodb:PutItem)"):
                answer = aws.client("dynamodb").put_item(
                    TableName=table,
                    Item={"pk": {"S": KEY}, "document": {"S": json.dumps(document)}},
                    ReturnValues="ALL_OLD",
                )
        gone = sorted(_ids(answer.get("Attributes", {})) - {one.id for one in found})
        if json_:
            say_json({"in_force": [one.id for one in found], "no_longer": gone})
            return
        say(f"{len(found)} suppression(s) in force within a minute.")
        if gone:
            say(f"No longer in force: {', '.join(map(shown, gone))}.", hang=0)


def _ids(item: Mapping[str, Any]) -> set[str]:
    """Return the ids of the suppressions that an item holds, as far as they can be read."""
    try:
        entries = json.loads(item["document"]["S"])["suppressions"]
        return {str(one["id"]) for one in entries}
    except (KeyError, TypeError, ValueError, RecursionError):
        return set()


def _bytes(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        why = error.strerror or "it cannot be read"
    else:
        if len(data) <= MAX_FILE:
            return data
        why = "it is too large"
    raise CommandError("file-unreadable", f"Could not read {file}: {why}.", cure="Give a YAML file.")
