"""What the ``sallyport trust`` commands work with: the table, the caller, and an apply from plan to end.

Loaded by the commands that need it and by no ``--help``: boto3 and the compiler are heavy.
"""

import difflib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from sallyport.model import OidcAnchor
from sallyport.settings import is_loopback
from sallyport.trust.changes import classify
from sallyport.trust.schema import NAME_PATTERN
from sallyport.trust.user_pools import POOL
from sallyport_cli.anchor_warnings import AnchorWarning
from sallyport_cli.apply_words import say_applied, say_brought, say_warnings, say_what_waits
from sallyport_cli.aws import Aws, Caller
from sallyport_cli.crl_check import CheckedList
from sallyport_cli.crl_table import Brought, CrlTable, Outcome, state_in_force
from sallyport_cli.crl_view import TableList, of_answer, of_brought, reasons, say_lists, told
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import progress, say_json, say_lines, shown, waiting
from sallyport_cli.plan import Plan, is_plan, lines
from sallyport_cli.pool_desk import (
    PoolFinding,
    PoolOptions,
    concerns_pools,
    examine,
    examine_for_apply,
    refuse_errors,
    say_findings,
)
from sallyport_cli.refresh import refresh_keys, sentences
from sallyport_cli.role_check import RoleWarning
from sallyport_cli.role_check import warnings as role_warnings
from sallyport_cli.strict_yaml import MAX_FILE_BYTES
from sallyport_cli.trust_file import CheckedFile, Place, check, read
from sallyport_cli.trust_table import (
    INCOMPLETE,
    Author,
    Items,
    Tombstone,
    TrustTable,
    Version,
    content_digest,
)
from sallyport_cli.trust_view import anchors_of, names_of

MAX_REASON = 500
"""A reason is a sentence or two, and everybody who looks at the table reads it."""

NO_POOL_OPTIONS = PoolOptions()
"""What the command line says where it says nothing of user pools."""

OFFLINE_ACCOUNT, OFFLINE_REGION = "000000000000", "us-east-1"
"""Where nobody asks AWS: good for every check, of no use for identifiers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """A plan with what it would write and what that was compared with.

    ``lists`` are the revocation lists that come with it, ``warnings`` what should be mended, ``restores``
    the version whose content it is.
    """

    plan: Plan
    items: Items
    before: Items
    base: Version | None
    lists: tuple[CheckedList, ...] = ()
    warnings: tuple[AnchorWarning, ...] = ()
    restores: str | None = None

    def anchor_ids(self, *, changed_only: bool) -> list[str]:
        """Return the identifiers of the anchors, or of those that are new or other than before."""
        return sorted(
            key.removeprefix("anchor#")
            for key, document in self.items.items()
            if key.startswith("anchor#") and not (changed_only and self.before.get(key) == document)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What the operator agreed to on the command line.

    ``reviewable`` says that the change could have come as a plan, for somebody else to review.
    """

    allow_widening: bool
    yes: bool
    as_json: bool
    reviewable: bool = False


class Desk:
    """The trust table, and who stands before it."""

    def __init__(self, table: str | None) -> None:
        if not table:
            raise CommandError(
                "no-trust-table",
                "No trust table is named.",
                cure="Give --table or set SALLYPORT_TRUST_TABLE; the stack's outputs name it.",
                exit_code=Exit.USAGE,
            )
        self.aws = Aws()
        self.name = table
        self.table = TrustTable(self.aws.client("dynamodb"), table)
        self._caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Who runs the command, as AWS says."""
        if self._caller is None:
            self._caller = self.aws.caller()
        return self._caller

    def checked(self, file: Path) -> CheckedFile:
        """Read and compile a trust file for the caller's account."""
        caller = self.caller
        checked = check_file(file, _place(caller))
        # The compiler refuses this as well; here stands what it must never be talked out of.
        local = [
            anchor.name
            for anchor in checked.compiled.anchors
            if isinstance(anchor, OidcAnchor) and anchor.local_discovery is not None
        ]
        if local and not caller.local_cloud:
            raise CommandError(
                "local-discovery",
                f"The trust anchor {local[0]} has local_discovery, and AWS is not on this machine.",
                cure="Remove local_discovery; for the local cloud set AWS_ENDPOINT_URL to it.",
            )
        return checked

    def prospect_of(self, checked: CheckedFile, *, file: str, rebuild: bool) -> Prospect:
        """Compare a trust file with what is in force, or with nothing in order to ``rebuild``."""
        found = self.prospect(checked.compiled.items, file=file, sha256=checked.sha256, rebuild=rebuild)
        return replace(
            found,
            plan=replace(found.plan, files=checked.files),
            lists=checked.lists,
            warnings=checked.warnings,
        )

    def prospect(self, items: Items, *, file: str, sha256: str, rebuild: bool = False) -> Prospect:
        """Compare ``items`` with what is in force, or with nothing in order to ``rebuild``."""
        base = self.table.current()
        before = self.table.items(base) if base is not None and not rebuild else {}
        digest = content_digest(items)
        made = Plan(
            account=self.caller.account,
            region=self.caller.region,
            table=self.name,
            file=file,
            sha256=sha256,
            base=None if base is None else base.id,
            content_digest=digest,
            changes=classify(before, items),
            is_in_force=base is not None and not rebuild and base.content_digest == digest,
        )
        return Prospect(plan=made, items=items, before=before, base=base)

    def put_in_force(
        self,
        prospect: Prospect,
        consent: Consent,
        *,
        refresh_function: str | None,
        pools: PoolOptions = NO_POOL_OPTIONS,
    ) -> None:
        """Check user pools, show, ask, bring lists, write, tidy up, refresh keys, and say what happened.

        Raises:
            CommandError: nothing was applied; or it was, and says so, but keys were not refreshed.
        """
        version = prospect.base
        changed = not prospect.plan.is_in_force
        removed, warnings = 0, list[str]()
        findings: list[PoolFinding] = []
        if changed:
            findings = self._pools_checked(prospect, consent, pools)
            self._ask(prospect, consent)
        elif not consent.as_json:
            say_warnings(prospect.warnings, sys.stderr)
        # Before the version that asks for them: where a list is missing, exchanges are refused.
        brought = self._bring(prospect.lists)
        if changed:
            self._note_unchecked(prospect, pools)
            version = self._publish(prospect)
            removed, warnings = self._tidied(version)
        if not consent.as_json:
            say_brought(brought)
            say_applied(version, changed=changed, removed=removed, warnings=warnings)
        answer: dict[str, Any] = {
            "changed": changed,
            "version": None if version is None else version.id,
            "plan": prospect.plan.to_json(),
            "removed_versions": removed,
            "lists": [told(one) for one in brought],
            "user_pool_problems": [asdict(one) for one in findings],
            "warnings": [*warnings, *(f"{one.anchor}: {one.what}: {one.text}" for one in prospect.warnings)],
        }
        new_lists = {one.list.anchor.id for one in brought if one.outcome is Outcome.UPLOADED}
        fresh = sorted({*(prospect.anchor_ids(changed_only=True) if changed else ()), *new_lists})
        if refresh_function is not None:
            answer["refreshed"] = self._refreshed(refresh_function, prospect, fresh, answer)
        if consent.as_json:
            say_json(answer)
            return
        rows = [of_brought(one) for one in brought]
        if refresh_function is not None:
            say_lines(sentences(answer["refreshed"]))
            compiled = {(row.anchor, row.name): row for row in of_answer(answer["refreshed"])}
            # Of a list that was left the function tells what is in force in its place.
            rows = [*compiled.values(), *(row for row in rows if (row.anchor, row.name) not in compiled)]
        say_lists(rows)
        say_lines(reasons(rows))
        if refresh_function is None:
            say_what_waits(prospect.items, fresh, new_lists)

    def _pools_checked(self, prospect: Prospect, consent: Consent, options: PoolOptions) -> list[PoolFinding]:
        """Refuse what is not safe about user pools; return what is worth a word."""
        if not concerns_pools(prospect.items, prospect.before, options):
            return []
        if options.without is not None:
            check_reason(options.without)
            return []
        findings = examine_for_apply(self.aws, prospect.items, options)
        if not consent.as_json:
            say_findings(findings)
        refuse_errors(findings)
        return findings

    def _note_unchecked(self, prospect: Prospect, options: PoolOptions) -> None:
        """Leave a trace of an apply without a check, before it and not after: it may not get lost."""
        if options.without is not None and concerns_pools(prospect.items, prospect.before, options):
            self.table.note(
                "without-pool-check",
                f"content#{prospect.plan.content_digest[:16]}",
                by=self.caller.arn,
                at=_now(),
                reason=options.without,
            )

    def _bring(self, lists: Sequence[CheckedList]) -> list[Brought]:
        """Bring revocation lists into the table, each unless what is there is the same or newer."""
        table = CrlTable(self.aws.client("dynamodb"), self.name)
        found = []
        for one in lists:
            with progress(f"uploading {one.state.id}") as update:
                found.append(table.bring(one, by=self.caller.arn, at=datetime.now(UTC), progress=update))
        return found

    def check_known(self, kind: str, name: str) -> None:
        """Refuse a name that nothing in force has: a typing error must not pass for a stop."""
        current = self.table.current()
        try:
            names = names_of({} if current is None else self.table.items(current), kind)
        except CommandError as error:
            if error.reason != INCOMPLETE:
                raise
            # A stop must not wait until a damaged version can be read; at worst it stops nothing.
            return
        if name in names:
            return
        near = difflib.get_close_matches(name, names, n=1)
        raise CommandError(
            "no-such-name",
            f"No {kind} in force is called {name}.",
            cure=f"Did you mean {near[0]}?"
            if near
            else "`sallyport trust show` lists them; --force insists.",
        )

    def lists(self, items: Items, keys_table: str | None) -> list[TableList]:
        """Return what the tables say of the revocation lists that anchors declare, by anchor and name.

        Args:
            items: a version of the trust.
            keys_table: where exchanges read; ``None`` if nobody has named it.
        """
        client = self.aws.client("dynamodb")
        brought = CrlTable(client, self.name)
        return [
            TableList(
                anchor=str(document["name"]),
                name=name,
                is_fetched=name in document["crl_urls"],
                pointer=None if name in document["crl_urls"] else brought.pointer(document["id"], name),
                state=state_in_force(client, keys_table, document["id"], name) if keys_table else None,
                is_read=bool(keys_table),
            )
            for _, document in sorted(anchors_of(items).items())
            for name in document.get("crls", ())
        ]

    def tombstone(self, kind: str, name: str, reason: str) -> Tombstone:
        """Return a tombstone as of now, signed by the caller."""
        if re.fullmatch(NAME_PATTERN, name) is None:
            # The name becomes a part of a key of the table.
            raise CommandError(
                "not-a-name",
                "No anchor and no profile can have that name.",
                cure="Names have lower-case letters, digits and -, at most 32.",
                exit_code=Exit.USAGE,
            )
        check_reason(reason)
        return Tombstone(kind=kind, name=name, by=self.caller.arn, at=_now(), reason=reason)

    def _ask(self, prospect: Prospect, consent: Consent) -> None:
        made = prospect.plan
        if not consent.as_json:
            say_lines(lines(made))
            say_warnings(prospect.warnings, sys.stderr)
        if made.needs_widening and not consent.allow_widening:
            raise CommandError(
                "would-widen",
                f"Nothing was applied: not every change is a narrowing one ({made.summary()}).",
                cure="Have the plan reviewed, then add --allow-widening."
                if consent.reviewable
                else "If that is meant, add --allow-widening.",
                exit_code=Exit.WIDENING,
                more={"plan": made.to_json()},
            )
        confirm("Put this in force?", consent)

    def _publish(self, prospect: Prospect) -> Version:
        author = Author(
            by=self.caller.arn,
            at=datetime.now(UTC),
            digest=prospect.plan.sha256,
            summary=prospect.plan.summary(),
            restores=prospect.restores,
        )
        with progress("writing the new version") as update:
            return self.table.publish(prospect.items, prospect.base, author, update)

    def _tidied(self, version: Version) -> tuple[int, list[str]]:
        """Remove old versions; that this failed is worth a word, but the apply has succeeded."""
        try:
            return self.table.clean_up(version, datetime.now(UTC)), []
        except CommandError as error:
            return 0, [f"{error.detail} The next apply tries again."]

    def _refreshed(
        self, function: str, prospect: Prospect, fresh: list[str], answer: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        wanted = fresh or prospect.anchor_ids(changed_only=False)
        try:
            with waiting(f"waiting for {function}"):
                return refresh_keys(self.aws.client("lambda"), function, wanted)
        except CommandError as error:
            raise CommandError(
                error.reason,
                f"Version {answer['version']} is in force, but: {error.detail}",
                cure=error.cure,
                more=answer,
            ) from error


def check_file(file: Path, place: Place) -> CheckedFile:
    """Read and compile a trust file.

    Raises:
        CommandError: it cannot be read, or it is a plan.
    """
    data = read(file, MAX_FILE_BYTES)
    if is_plan(data):
        raise CommandError(
            "a-plan",
            f"{file} is no trust file: this is a plan.",
            cure=f"sallyport trust apply {file}",
            exit_code=Exit.USAGE,
        )
    return check(data, path=str(file), place=place, now=datetime.now(UTC))


def check_reason(reason: str) -> None:
    """Refuse a reason that says nothing, or that nobody would read.

    Raises:
        CommandError: it is one.
    """
    if not reason.strip() or len(reason) > MAX_REASON:
        raise CommandError(
            "no-reason",
            f"The reason must have 1 to {MAX_REASON} characters.",
            cure='Say why, as in --reason "key leaked, INC-1234".',
            exit_code=Exit.USAGE,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def check_pools(items: Items, trigger: str | None) -> list[PoolFinding]:
    """Return what is wrong with the user pools of a trust file, and with the trigger if it is named."""
    return examine(Aws(), items, trigger)


def check_with_roles(file: Path) -> tuple[CheckedFile, list[RoleWarning]]:
    """Compile a trust file for the caller's account and look at that account's roles."""
    aws = Aws()
    caller = aws.caller()
    checked = check_file(file, _place(caller))
    return checked, list(role_warnings(aws.client("iam"), checked.compiled.items, caller.account))


def _place(caller: Caller) -> Place:
    return Place(
        account=caller.account,
        region=caller.region,
        partition=caller.partition,
        local_cloud=caller.local_cloud,
    )


def offline() -> Place:
    """Return the place for which a file is checked when nobody asks AWS."""
    local = is_loopback(os.environ.get("AWS_ENDPOINT_URL", ""))
    return Place(account=OFFLINE_ACCOUNT, region=OFFLINE_REGION, local_cloud=local)


def counts(items: Items) -> dict[str, int]:
    """Return how much a trust file declares."""
    pools = sum(key.startswith(POOL) for key in items)
    return {
        "anchors": len(names_of(items, "anchor")),
        "profiles": len(names_of(items, "profile")),
        "roles": sum(key.startswith("role#") for key in items),
        **({"user_pools": pools} if pools else {}),
    }


def in_words(numbers: Mapping[str, int]) -> str:
    """Return counts as a part of a sentence."""
    words = {
        "anchors": "trust anchor",
        "profiles": "profile",
        "roles": "role",
        "user_pools": "user pool",
        "lists": "revocation list",
    }
    return ", ".join(
        f"{number} {words[name]}{'' if number == 1 else 's'}" for name, number in numbers.items()
    )


def confirm(question: str, consent: Consent) -> None:
    """Ask, unless the command line has answered.

    Raises:
        CommandError: the answer is no, or there is nobody to ask.
    """
    if consent.yes:
        return
    if consent.as_json or not sys.stdin.isatty():
        raise CommandError(
            "not-confirmed",
            "Nothing was changed: there is nobody to ask.",
            cure="Add --yes, or apply a reviewed plan." if consent.reviewable else "Add --yes.",
            exit_code=Exit.USAGE,
        )
    if not typer.confirm(question):
        raise CommandError("not-confirmed", "Nothing was changed.")


def write_plan(path: Path, made: Plan) -> None:
    """Write a plan file.

    Raises:
        CommandError: it cannot be written.
    """
    try:
        path.write_text(json.dumps(made.to_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(
            "plan-unwritable",
            f"The plan cannot be written to {shown(path)}: {error.strerror}.",
            cure="Check the path and its permissions.",
        ) from error
