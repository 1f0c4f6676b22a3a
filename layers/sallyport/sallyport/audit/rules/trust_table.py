"""The trust table: every change has to be explained by an apply, a journal entry or a clean-up."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sallyport.audit.events import TrustChange
from sallyport.audit.finding import Resource, Severity
from sallyport.audit.rules.context import GRACE, Context
from sallyport.audit.rules.rule import NO_MATCH, Match, Rule, Unclear, Verdict

UNVERSIONED: Final = "-"
# What pointer and apply record both say of a version.
FACTS: Final = (
    "sequence",
    "applied_at",
    "applied_by",
    "digest",
    "content_digest",
    "items",
    "summary",
    "base",
    "restores",
)
# Of a version that are counted once more when it comes into force: some megabytes, read in seconds.
MAX_ITEMS: Final = 2_000
# The one thing that is ever added to an apply record.
_ADDED: Final = "items_deleted_at"
# The stream tells times to the second.
STREAM_SECONDS: Final = timedelta(seconds=2)
# Beyond this no apply is still writing; the command itself gives up long before.
APPLY_TAKES: Final = timedelta(hours=1)


def _unexplained_change(change: TrustChange, context: Context) -> Verdict:
    if not change.key:
        return Unclear("no-key")
    if change.by_service is not None and change.change == "REMOVE":
        return _unexplained(change, "It was removed by time to live, which this table does not have.")
    kind = change.key.partition("#")[0]
    if kind == "crl-data":
        return _piece(change)
    if change.version != UNVERSIONED:
        return _of_a_version(change, context)
    explain = _EXPLAIN.get(kind)
    if explain is None:
        return _unexplained(change, "Nothing of Sallyport writes such an item.")
    return explain(change, context)


def _pointer(change: TrustChange, context: Context) -> Verdict:
    if change.key != "current":
        return _unexplained(change, "Nothing of Sallyport writes such an item.")
    if change.change == "REMOVE":
        return _unexplained(change, "The pointer to the version in force was removed.")
    version, before = change.after.get("current"), change.before.get("current")
    if change.change == "MODIFY" and version == before:
        return _unexplained(change, "What the pointer says of the version in force was changed.")
    # Every version names the one it replaced. So an old one, whose apply record is as good as ever, cannot
    # come into force once more: a rollback is a version of its own.
    if change.after.get("base") != before:
        return _unexplained(
            change, "The pointer moved to a version that was not made to replace the last one."
        )
    if version is not None:
        context.trust.moved(version, change.time)
    record = None if version is None else context.trust.item(f"apply#{version}")
    if version is None or record is None:
        return _late(change, context, "No apply record has the version that is in force now.")
    if any(record.get(name) != change.after.get(name) for name in FACTS):
        return _unexplained(change, "The pointer says something else than the apply record of its version.")
    held = context.trust.content_digest(version, MAX_ITEMS)
    if held is None:
        return Unclear("too-many-items")
    if held != record.get("content_digest"):
        # The index may lag behind; and what an apply wrote is complete before the pointer moves.
        return _late(change, context, "The version holds other items than its apply record says.")
    return NO_MATCH


def _of_a_version(change: TrustChange, context: Context) -> Verdict:
    current = context.trust.item("current") or {}
    if change.change == "MODIFY":
        return _unexplained(change, "An item of a version was changed; versions never change.")
    if change.change == "REMOVE":
        if current.get("current") == change.version:
            return _unexplained(change, "An item of the version in force was removed.")
        return NO_MATCH
    applied = context.trust.item(f"apply#{change.version}")
    if applied is not None and _came_too_late(change, applied, context):
        return _unexplained(change, "An item was added to a version that was complete and in force.")
    if applied is not None or context.trust.item(f"attempt#{change.version}") is not None:
        return NO_MATCH
    return _late(change, context, "No apply, begun or done, has the version of this item.")


def _came_too_late(change: TrustChange, applied: Mapping[str, str], context: Context) -> bool:
    """Tell whether an item came after its version: all of them are written before the pointer moves."""
    since = context.trust.in_force_since(change.version)
    if since is not None:
        return change.time > since + STREAM_SECONDS
    # Applied before anybody watched; then an apply's own longest time decides.
    began = applied.get("applied_at", "")
    try:
        return change.time > datetime.fromisoformat(began) + APPLY_TAKES
    except (ValueError, TypeError):
        return True


def _apply_record(change: TrustChange, _context: Context) -> Verdict:
    if change.change == "INSERT":
        return NO_MATCH
    if change.change == "REMOVE":
        return _unexplained(change, "An apply record was removed; they stay for good.")
    if {**change.before, _ADDED: ""} == {**change.after, _ADDED: ""}:
        return NO_MATCH
    return _unexplained(change, "An apply record was changed.")


def _tombstone(change: TrustChange, context: Context) -> Verdict:
    target = change.key.partition("#")[2]
    if change.change == "MODIFY":
        return _unexplained(change, "A tombstone was changed.")
    is_new = change.change == "INSERT"
    action = "disable" if is_new else "enable"
    for entry in context.trust.journal(change.time):
        if (entry.get("action"), entry.get("target")) != (action, target):
            continue
        at = entry.get("at", "")
        # Both are written in one transaction, with one time; what removes it comes after it.
        if at == change.after.get("at") if is_new else at >= change.before.get("at", ""):
            return NO_MATCH
    return _late(change, context, f"The journal has no entry that says: {action}.")


def _piece(change: TrustChange) -> Verdict:
    """Pieces are named by the digest of the whole list, which whoever reads them checks."""
    if change.change == "MODIFY":
        return _unexplained(change, "A piece of a revocation list was changed.")
    return NO_MATCH


def _list(change: TrustChange, context: Context) -> Verdict:
    if change.change == "REMOVE":
        return _unexplained(change, "The pointer to a revocation list was removed.")
    digest = change.after.get("digest")
    for entry in context.trust.journal(change.time):
        if entry.get("action") == "import-crl" and digest is not None and entry.get("digest") == digest:
            return NO_MATCH
    return _late(change, context, "The journal has no entry that says: import-crl.")


def _late(change: TrustChange, context: Context, why: str) -> Verdict:
    """What explains a change may be written in the same moment; look once more before saying so."""
    due = change.time + GRACE / 10
    return Unclear("explanation-may-come", due) if context.now < due else _unexplained(change, why)


def _unexplained(change: TrustChange, why: str) -> Match:
    return Match(
        about=(change.key, change.version, change.change),
        why=f"The trust table was changed, and nothing explains it. {why}",
        evidence={
            "item": change.key,
            "version": change.version,
            "change": change.change,
            "stream event": change.event_id,
            "in force before": change.before.get("current"),
            "in force after": change.after.get("current"),
            "says it was applied by": change.after.get("applied_by"),
        },
        resources=(Resource("AwsDynamoDbTable", f"trust table item {change.key}"),),
    )


def _journal(change: TrustChange, _context: Context) -> Verdict:
    return NO_MATCH if change.change == "INSERT" else _unexplained(change, "A journal entry was changed.")


def _attempt(_change: TrustChange, _context: Context) -> Verdict:
    """Made and removed by every apply; nothing is decided by them alone."""
    return NO_MATCH


# What explains an item that belongs to no version, by what its key begins with.
_EXPLAIN: Final = {
    "current": _pointer,
    "apply": _apply_record,
    "disabled": _tombstone,
    "crl": _list,
    "journal": _journal,
    "attempt": _attempt,
}


RULES: Final = (
    Rule(
        id="trust-change-unexplained-64",
        title="The trust table was changed, and no apply explains it",
        severity=Severity.CRITICAL,
        meaning=(
            "The trust table decides who gets credentials. `sallyport trust` leaves a record of everything "
            "it does; this change has none, or contradicts it."
        ),
        first=(
            "Apply the trust file from your repository (`sallyport trust apply FILE --rebuild "
            "--allow-widening`), then find who can write the table: `TrustWriters`, and the roles' own "
            "policies."
        ),
        remedy="Set the parameter `TrustWriters`, so that nobody but the operators' roles can write.",
        references=("https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-overview.html",),
        on="trust",
        check=_unexplained_change,
        gaps=(
            "Whoever may write the table can also write an apply record, a journal entry, and digests that "
            "fit: nothing in the table tells them from an operator. What does is `TrustWriters`, a trail "
            "with data events of the table, and `sallyport trust plan` with the file from your repository, "
            "which shows every difference. The items of a version with more than 2,000 are not compared "
            "with its digest."
        ),
    ),
)
