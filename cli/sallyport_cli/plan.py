"""What an apply would change, as a value: made from two versions, shown to a reviewer, kept in a file.

A plan holds digests and changes, not the trust itself. Whoever applies it reads the trust file
again, and everything must come out as the reviewer saw it: same file, same base version, same
account and table, same changes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sallyport.audit.display import display
from sallyport.model import JsonValue
from sallyport_cli.failure import CommandError

FORMAT = "sallyport-plan-1"
"""Names the form of a plan file, so that one of another version of the command is refused."""

MAX_PLAN_BYTES = 64 * 1024 * 1024
"""A plan that changes every field of the largest trust file stays below."""

NARROWS, WIDENS, UNKNOWN = "narrows", "widens", "unknown"

_STYLES = {NARROWS: "green", WIDENS: "yellow", UNKNOWN: "magenta"}
_SHOWN = 2_400
"""How much of a value the terminal shows; the longest session policy that STS takes fits."""

Line = tuple[str, str]
"""Text and style."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One thing that an apply would make different.

    ``kind`` and ``name`` say of what; ``field`` is empty where the whole is new or gone. ``before``
    and ``after`` are JSON values, ``None`` where there was or will be none.
    """

    kind: str
    name: str
    field: str
    before: JsonValue
    after: JsonValue
    effect: str
    why: str = ""

    def to_json(self) -> dict[str, JsonValue]:
        """Return the change as a plan file holds it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "field": self.field,
            "before": self.before,
            "after": self.after,
            "effect": self.effect,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that must be the same when it is applied."""

    account: str
    region: str
    table: str
    file: str
    sha256: str
    base: str | None
    content_digest: str
    changes: tuple[FieldChange, ...]

    @property
    def needs_widening(self) -> bool:
        """Whether any change is other than a narrowing one."""
        return any(change.effect != NARROWS for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as its file holds it."""
        return {
            "format": FORMAT,
            "account": self.account,
            "region": self.region,
            "table": self.table,
            "file": self.file,
            "sha256": self.sha256,
            "base": self.base,
            "content_digest": self.content_digest,
            "needs_allow_widening": self.needs_widening,
            "changes": [change.to_json() for change in self.changes],
        }

    def summary(self) -> str:
        """Return how many changes there are of each class."""
        counts = {effect: 0 for effect in (WIDENS, UNKNOWN, NARROWS)}
        for change in self.changes:
            counts[change.effect] += 1
        return f"{counts[WIDENS]} widening, {counts[UNKNOWN]} unknown, {counts[NARROWS]} narrowing"


def looks_like_plan(data: bytes) -> bool:
    """Tell a plan file from a trust file; a JSON object that names a plan's form is one."""
    return data.lstrip()[:1] == b"{" and b'"sallyport-plan-' in data[:200]


def read_plan(data: bytes) -> Mapping[str, Any]:
    """Return what a plan file says.

    Raises:
        CommandError: it is not a plan of this version of the command.
    """
    try:
        value = json.loads(data) if len(data) <= MAX_PLAN_BYTES else None
    except (ValueError, RecursionError):
        value = None
    wanted = ("account", "region", "table", "file", "sha256", "content_digest")
    if (
        not isinstance(value, dict)
        or value.get("format") != FORMAT
        or not all(isinstance(value.get(name), str) for name in wanted)
        or not isinstance(value.get("base"), str | None)
        or not isinstance(value.get("changes"), list)
    ):
        raise CommandError(
            "not-a-plan",
            "This is not a plan that this version of the command wrote.",
            cure="Make it anew with `sallyport trust plan FILE --out plan.json`.",
        )
    return value


def check_unmoved(planned: Mapping[str, Any], now: Plan) -> None:
    """Compare what was reviewed with what would be done now.

    Raises:
        CommandError: they differ; the message says in what.
    """
    fresh = now.to_json()
    differences = (
        ("account", "another account", "Sign in to the account of the plan."),
        ("region", "another Region", "Set AWS_REGION to the plan's."),
        ("table", "another trust table", "Name the plan's table with --table."),
        ("sha256", "another trust file than was planned: it changed since", "Plan again and review it."),
        ("base", "another base version: somebody applied meanwhile", "Plan again and review it."),
        ("content_digest", "other content than was planned", "Plan again with this version of the command."),
        ("changes", "other changes than the plan shows", "Plan again with this version of the command."),
    )
    for name, what, cure in differences:
        if planned[name] != fresh[name]:
            text = f"The plan is refused, because this is {what}."
            if name not in {"changes"}:
                shown = (display(str(value), markup=False) for value in (planned[name], fresh[name]))
                text += " Planned: {}; now: {}.".format(*shown)
            raise CommandError("plan-moved", text, cure=cure)


def lines(plan: Plan) -> Iterable[Line]:
    """Yield a plan like a diff: what changes, from what to what, and what that means for access."""
    yield f"Plan for account {plan.account}, {plan.region}, table {_shown(plan.table)}", "bold"
    yield f"  file  {_shown(plan.file)}", ""
    yield f"        sha256 {plan.sha256}", "dim"
    yield f"  base  {plan.base or 'nothing: this is the first apply'}", ""
    for (kind, name), group in groupby(plan.changes, key=lambda change: (change.kind, change.name)):
        changes = list(group)
        yield "", ""
        whole = next((change for change in changes if not change.field), None)
        sign = "~" if whole is None else "+" if whole.before is None else "-"
        effects = {change.effect for change in changes}
        effect = next(e for e in (UNKNOWN, WIDENS, NARROWS) if e in effects)
        yield f"{sign} {kind} {_shown(name)}  [{effect}]", f"bold {_STYLES[effect]}"
        for change in changes:
            yield from _change_lines(change)
    yield "", ""
    yield (plan.summary() if plan.changes else "no changes"), "bold"


def _change_lines(change: FieldChange) -> Iterable[Line]:
    style = _STYLES[change.effect]
    if change.field:
        yield f"    {_shown(change.field)}  [{change.effect}]", style
        yield f"      - {_value(change.before)}", "red"
        yield f"      + {_value(change.after)}", "green"
    else:
        whole = change.after if change.before is None else change.before
        sign = "+" if change.before is None else "-"
        if isinstance(whole, Mapping):
            for field, value in whole.items():
                if value not in (None, [], {}, False):
                    yield f"    {sign} {_shown(field)}: {_value(value)}", ""
    if change.why:
        yield f"      {_shown(change.why)}", "dim"


def _value(value: JsonValue) -> str:
    if value is None:
        return "(nothing)"
    if isinstance(value, str):
        return _shown(value)
    return _shown(json.dumps(value, sort_keys=True, ensure_ascii=False))


def _shown(text: str) -> str:
    return display(text, limit=_SHOWN, markup=False)
