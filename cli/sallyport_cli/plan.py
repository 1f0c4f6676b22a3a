"""What an apply would change, as a value: made from two versions, shown to a reviewer, kept in a file.

A plan holds digests and changes, not the trust itself. Whoever applies it reads the trust file
again, and everything must come out as the reviewer saw it: same file, same base version, same
account and table, same changes.
"""

import base64
import difflib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

from sallyport.audit.display import display
from sallyport.model import JsonValue
from sallyport.trust.authorities import describe
from sallyport.trust.changes import NARROWS, NEITHER, UNKNOWN, WIDENS, Change
from sallyport_cli.anchor_warnings import CERTIFICATE_FIELDS, day
from sallyport_cli.failure import CommandError
from sallyport_cli.output import Line
from sallyport_cli.trust_file import read

FORMAT = "sallyport-plan-1"
"""Names the form of a plan file, so that one of another version of the command is refused."""

MAX_PLAN_BYTES = 64 * 1024 * 1024
"""A plan that changes every field of the largest trust file stays below."""

_STYLES = {NARROWS: "green", WIDENS: "yellow", UNKNOWN: "magenta", NEITHER: ""}
_DIFF_STYLES = {"-": "red", "+": "green", "@": "dim"}
_INTERNAL = frozenset({"format", "id", "name", "anchor_id"})
_SAYS_NOTHING: tuple[JsonValue, ...] = (None, [], {}, False, "")
_SHOWN = 2_400
"""How much of a value the terminal shows; the longest session policy that STS takes fits."""

_AROUND = 10_000
"""Lines of context in a diff: all of them, since a policy has at most 2,048 characters."""

_HEADERS = 3
"""What difflib puts in front of the only hunk: both names and the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that must be the same when it is applied.

    ``files`` has the SHA-256 (hex) of each file that the trust file names.
    """

    account: str
    region: str
    table: str
    file: str
    sha256: str
    base: str | None
    content_digest: str
    changes: tuple[Change, ...]
    is_in_force: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_unexplained(self) -> bool:
        """Whether something differs that no change names: the stored form, after an upgrade."""
        return not self.changes and not self.is_in_force

    @property
    def needs_widening(self) -> bool:
        """Whether anything is other than a narrowing change."""
        return self.is_unexplained or any(change.effect not in (NARROWS, NEITHER) for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as its file holds it."""
        return {
            "format": FORMAT,
            "account": self.account,
            "region": self.region,
            "table": self.table,
            "file": self.file,
            "sha256": self.sha256,
            "files": dict(self.files),
            "base": self.base,
            "content_digest": self.content_digest,
            "needs_allow_widening": self.needs_widening,
            "changes": [asdict(change) for change in self.changes],
        }

    def summary(self) -> str:
        """Return how many changes there are of each class."""
        if self.is_unexplained:
            return "only the stored form differs"
        counts = Counter(change.effect for change in self.changes)
        rest = f", {counts[NEITHER]} neither" if counts[NEITHER] else ""
        return f"{counts[WIDENS]} widening, {counts[UNKNOWN]} unknown, {counts[NARROWS]} narrowing{rest}"


def is_plan(data: bytes) -> bool:
    """Tell whether a file is a plan, if only of another version of the command.

    A trust file never begins so: flow style at the top is legal YAML, but this key is unknown there.
    """
    return data.lstrip()[:1] == b"{" and b'"sallyport-plan-' in data[:200]


def read_plan_file(path: Path) -> Mapping[str, Any] | None:
    """Return what a plan file says, or ``None`` for a file that is no plan: a trust file, then.

    Raises:
        CommandError: it is a plan, but not one of this version of the command.
    """
    data = read(path, MAX_PLAN_BYTES)
    if not is_plan(data):
        return None
    try:
        value = json.loads(data) if len(data) <= MAX_PLAN_BYTES else None
    except (ValueError, RecursionError):
        value = None
    texts = ("account", "region", "table", "file", "sha256", "content_digest")
    if (
        not isinstance(value, dict)
        or value.get("format") != FORMAT
        or not all(isinstance(value.get(name), str) for name in texts)
        or not isinstance(value.get("base"), str | None)
        or not isinstance(value.get("changes"), list)
        # Absent in plans from before there were such files.
        or not isinstance(value.get("files", {}), dict)
    ):
        raise CommandError(
            "not-a-plan",
            "This is not a plan that this version of the command wrote.",
            cure="Make it anew with `sallyport trust plan FILE --out plan.json`.",
        )
    return value


def check_files(planned: Mapping[str, Any], now: Plan) -> None:
    """Compare the files that the trust file names with those that were reviewed.

    Raises:
        CommandError: one of them changed since; the message says which.
    """
    before = planned.get("files", {})
    for name in sorted(before.keys() | now.files.keys()):
        if before.get(name) != now.files.get(name):
            raise CommandError(
                "plan-moved",
                f"The plan is refused, because the file {_shown(name)} is another than was planned: it "
                f"changed since. Planned: {_shown(str(before.get(name)))}; now: {now.files.get(name)}.",
                cure="Plan again and review it.",
            )


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
        if planned.get(name) != fresh[name]:
            text = f"The plan is refused, because this is {what}."
            if name != "changes":
                shown = (display(str(value), markup=False) for value in (planned.get(name), fresh[name]))
                text += " Planned: {}; now: {}.".format(*shown)
            raise CommandError("plan-moved", text, cure=cure)


def lines(plan: Plan) -> Iterable[Line]:
    """Yield a plan like a diff: what changes, from what to what, and what that means for access."""
    yield Line(f"Plan for account {plan.account}, {plan.region}, table {_shown(plan.table)}", "bold", 2)
    yield Line(f"  file  {_shown(plan.file)}", "", 8)
    yield Line(f"        sha256 {plan.sha256}", "dim", 8)
    for name, digest in plan.files.items():
        yield Line(f"  with  {_shown(name)}", "", 8)
        yield Line(f"        sha256 {digest}", "dim", 8)
    yield Line(f"  base  {plan.base or 'nothing: this is the first apply'}", "", 8)
    for (kind, name), group in groupby(plan.changes, key=lambda change: (change.kind, change.name)):
        changes = list(group)
        yield Line("")
        whole = next((change for change in changes if not change.field), None)
        sign = "~" if whole is None else "+" if whole.before is None else "-"
        effects = {change.effect for change in changes}
        effect = next(e for e in (UNKNOWN, WIDENS, NARROWS, NEITHER) if e in effects)
        yield Line(
            f"{sign} {kind.replace('_', ' ')} {_shown(name)}  [{effect}]", f"bold {_STYLES[effect]}".strip()
        )
        for change in changes:
            yield from _change_lines(change)
    yield Line("")
    yield Line("no changes: this is in force" if plan.is_in_force else plan.summary(), "bold")


def _change_lines(change: Change) -> Iterable[Line]:
    if change.field:
        yield Line(f"    {_shown(change.field)}  [{change.effect}]", _STYLES[change.effect])
        if isinstance(change.before, Mapping) or isinstance(change.after, Mapping):
            yield from _diff(change.before, change.after)
            return
        yield Line(f"      - {_value(_readable(change.field, change.before))}", "red", 8)
        yield Line(f"      + {_value(_readable(change.field, change.after))}", "green", 8)
    else:
        whole = change.after if change.before is None else change.before
        sign = "+" if change.before is None else "-"
        if isinstance(whole, Mapping):
            for field, value in whole.items():
                if field not in _INTERNAL and value not in _SAYS_NOTHING:
                    yield Line(f"    {sign} {_shown(field)}: {_value(_readable(field, value))}", "", 8)


def _diff(before: JsonValue, after: JsonValue) -> Iterable[Line]:
    """Yield what became of a mapping as a unified diff of its JSON; of a policy, statement by statement."""
    old, new = _statements(before), _statements(after)
    yield from _unified("", _rest(before), _rest(after))
    matcher = difflib.SequenceMatcher(a=[_json(one) for one in old], b=[_json(one) for one in new])
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        for gone, come in zip_longest(range(start, end), range(new_start, new_end)):
            what = old[gone] if gone is not None else new[come]
            number = come if come is not None else gone
            sid = what.get("Sid") if isinstance(what, Mapping) else None
            title = f"Statement {number + 1}" + (f" ({_shown(str(sid))})" if sid is not None else "")
            yield from _unified(
                title,
                _pretty(old[gone]) if gone is not None else [],
                _pretty(new[come]) if come is not None else [],
            )


def _unified(title: str, before: list[str], after: list[str]) -> Iterable[Line]:
    if before == after:
        return
    if title:
        yield Line(f"      @ {title}", _DIFF_STYLES["@"], 8)
    # Enough around a change for the whole of a statement: a reviewer has to see what the change is in.
    found = list(difflib.unified_diff(before, after, n=_AROUND, lineterm=""))
    for line in found[_HEADERS:]:
        yield Line(f"      {line[:1]} {_shown(line[1:])}", _DIFF_STYLES.get(line[:1], ""), 10)


def _statements(policy: JsonValue) -> list[JsonValue]:
    found = policy.get("Statement", []) if isinstance(policy, Mapping) else []
    return found if isinstance(found, list) else [found]


def _rest(policy: JsonValue) -> list[str]:
    """Return what a mapping says besides statements, line by line."""
    if not isinstance(policy, Mapping):
        return []
    return _pretty({key: value for key, value in policy.items() if key != "Statement"})


def _pretty(value: JsonValue) -> list[str]:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _json(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _readable(field: str, value: JsonValue) -> JsonValue:
    """Return certificates as a reviewer can compare them, and anything else as it is."""
    if field not in CERTIFICATE_FIELDS or not isinstance(value, list):
        return value
    try:
        found = [describe(base64.b64decode(str(one), validate=True)) for one in value]
    except ValueError:
        return value
    return [f"{one.subject}, until {day(one.not_after)}, sha256 {one.fingerprint}" for one in found]


def _value(value: JsonValue) -> str:
    if value is None:
        return "(nothing)"
    return _shown(value if isinstance(value, str) else _json(value))


def _shown(text: str) -> str:
    return display(text, limit=_SHOWN, markup=False)
