"""Writing a profile into ``config.toml``: one table is replaced, and every other line stays what it was.

The result is read before it is used: it must say what was wanted, and about everybody else the same.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from sallyport_cli.failure import CommandError
from sallyport_cli.output import shown
from sallyport_cli.workload.config import ConfigError, parse_profiles
from sallyport_cli.workload.options import OPTIONS

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A profile's name that needs no quotes in TOML, in a shell and in AWS's files."""

_TABLE: Final = re.compile(r"\s*\[")
_NUMBERS: Final = frozenset(one.name for one in OPTIONS if one.kind == "number")


def with_profile(text: str, name: str, values: Mapping[str, str], path: str) -> str:
    """Return the file's text with this profile in it.

    Args:
        text: the file as it is.
        name: the profile.
        values: its settings, ``source`` among them.
        path: the file, for sentences.

    Raises:
        CommandError: the file cannot be understood, or the profile is written in a way that is left alone.
    """
    lines = text.splitlines(keepends=True)
    start, end = _place(lines, name)
    table = [f"[profiles.{name}]\n", *(f"{key} = {_value(key, value)}\n" for key, value in values.items())]
    before, after = lines[:start], lines[end:]
    if before and not before[-1].endswith("\n"):
        before[-1] += "\n"
    if start == end and before and before[-1].strip():
        table.insert(0, "\n")
    if after and after[0].strip():
        table.append("\n")
    changed = "".join([*before, *table, *after])
    try:
        was = dict(parse_profiles(text.encode(), path))
        now = parse_profiles(changed.encode(), path)
    except ConfigError as error:
        raise CommandError(error.reason, shown(error.sentence), cure=shown(error.cure)) from None
    if now != was | {name: values}:
        raise CommandError(
            "config-untouched",
            f"Profile {name} in {shown(path)} is not a table of its own, so it is left alone.",
            cure=f"Write it as [profiles.{name}] with a line for each setting, or choose another name.",
        )
    return changed


def _place(lines: list[str], name: str) -> tuple[int, int]:
    """Return where the profile's table begins and ends; at the file's end if there is none."""
    heading = re.compile(rf"\s*\[\s*profiles\s*\.\s*(?:{name}|\"{name}\"|'{name}')\s*\]\s*(?:#.*)?")
    start = next((at for at, line in enumerate(lines) if heading.fullmatch(line.rstrip("\r\n"))), len(lines))
    end = next((at for at in range(start + 1, len(lines)) if _TABLE.match(lines[at])), len(lines))
    # What stands right above the next table is about that one.
    while end > start + 1 and end < len(lines) and lines[end - 1].strip()[:1] in {"#", ""}:
        end -= 1
    return start, end


def _value(key: str, value: str) -> str:
    # Where a text is printable, TOML and JSON write it alike.
    return value if key in _NUMBERS else json.dumps(value, ensure_ascii=False)
