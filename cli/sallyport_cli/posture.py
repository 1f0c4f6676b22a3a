"""``sallyport posture``: what the account's roles, access keys and user pools let happen, right now."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import progress, say, say_json, shown, waiting

if TYPE_CHECKING:
    from sallyport.adapters.account import Organization
    from sallyport.audit.finding import Severity
    from sallyport.audit.posture.scan import Inventory, Posture
    from sallyport.audit.trust_policy.examine import Surroundings
    from sallyport.audit.weakness import Observation
    from sallyport_cli.aws import Aws
    from sallyport_cli.trust_table import Items

_T = TypeVar("_T")

_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "", "informational": "dim"}


class Level(StrEnum):
    """How severe, on the command line."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    def severity(self) -> "Severity":
        """Return the finding's severity of this name."""
        from sallyport.audit.finding import Severity  # noqa: PLC0415 - not for --help

        return Severity[self.name]


def posture(  # noqa: PLR0913 - a command has as many arguments as options
    *,
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            envvar="SALLYPORT_TRUST_TABLE",
            metavar="NAME",
            help="The trust table: which roles are Sallyport's, and what their owners were told.",
        ),
    ] = None,
    assume_role_role: Annotated[
        str,
        typer.Option(
            "--assume-role-role",
            envvar="SALLYPORT_ASSUME_ROLE_ROLE_ARN",
            metavar="ARN",
            help="The role of assume_role, who alone may assume roles for tokens.",
        ),
    ] = "",
    create_session_role: Annotated[
        str,
        typer.Option(
            "--create-session-role",
            envvar="SALLYPORT_CREATE_SESSION_ROLE_ARN",
            metavar="ARN",
            help="The role of create_session, the same for certificates.",
        ),
    ] = "",
    organization: Annotated[
        str,
        typer.Option("--organization", metavar="ID", help="The own organisation, if AWS does not say."),
    ] = "",
    accounts: Annotated[
        list[str] | None,
        typer.Option("--account", metavar="ID", help="An account that is no stranger; more than once."),
    ] = None,
    trigger: Annotated[
        str | None,
        typer.Option(
            "--trigger",
            envvar="SALLYPORT_TRIGGER_FUNCTION",
            metavar="NAME",
            help="The user pools' trigger, to compare what it carries with the trust file.",
        ),
    ] = None,
    severity: Annotated[
        Level, typer.Option("--severity", help="Show what is at least so severe.")
    ] = Level.INFORMATIONAL,
    fail_from: Annotated[
        Level | None, typer.Option("--fail-from", help="End with exit code 1 if something is so severe.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
) -> None:
    """Look at the account's roles, access keys and user pools, with the caller's own credentials.

    Nothing is changed. What may not be read is reported as not looked at, and what cannot be judged as
    "cannot tell": neither is a pass.
    """
    with ending(as_json=json_):
        from sallyport.audit.posture.scan import scan  # noqa: PLC0415 - not for --help
        from sallyport_cli.aws import Aws  # noqa: PLC0415 - loads boto3

        aws = Aws()
        account = aws.caller().account
        items = _items(aws, table)
        known = _organization(aws, organization, accounts or ())
        inventory = _inventory(aws, account, items, trigger)
        surroundings = _surroundings(
            items, known, account, assume_role=assume_role_role, create_session=create_session_role
        )
        found = scan(inventory, now=datetime.now(UTC), surroundings=surroundings)
        if json_:
            say_json(to_json(found, account=account, region=aws.region, least=severity.severity()))
        else:
            _say(found, account, severity.severity())
        if fail_from is not None and found.from_severity(fail_from.severity()):
            raise typer.Exit(Exit.REFUSED)


def to_json(found: "Posture", *, account: str, region: str, least: "Severity") -> dict[str, Any]:
    """Return a look at an account as ``--json`` prints it."""
    return {
        "account": account,
        "region": region,
        "looked_at": dict(found.looked_at),
        "observations": [_observation(one) for one in found.from_severity(least)],
    }


def _observation(one: "Observation") -> dict[str, Any]:
    weakness = one.weakness
    change = weakness.change
    return {
        "resource": {"type": one.resource.type, "id": one.resource.id},
        "code": weakness.code,
        "severity": weakness.severity.name.lower(),
        "verdict": weakness.verdict.value,
        "statement": weakness.statement,
        "subject": weakness.subject,
        "text": weakness.text,
        "cure": weakness.cure,
        "change": None if change is None else {"path": list(change.path), "value": change.value},
    }


def _items(aws: "Aws", table: str | None) -> "Items":
    if not table:
        return {}
    from sallyport_cli.trust_table import TrustTable  # noqa: PLC0415 - not for --help

    trust = TrustTable(aws.client("dynamodb"), table)
    with waiting("reading the trust table"):
        current = trust.current()
        return {} if current is None else trust.items(current)


def _organization(aws: "Aws", organization: str, accounts: Iterable[str]) -> "Organization":
    from sallyport.adapters.account import Organization, read_organization  # noqa: PLC0415 - loads boto3
    from sallyport_cli.posture_reading import reading  # noqa: PLC0415 - the same

    named = frozenset(accounts)
    known = Organization()
    if not (organization and named):
        with waiting("asking for the organisation"):
            known = read_organization(aws.client("organizations"), ask=reading)
    if known.accounts is not None or named:
        return Organization(id=organization or known.id, accounts=(known.accounts or frozenset()) | named)
    return Organization(id=organization or known.id)


def _surroundings(
    items: "Items", known: "Organization", account: str, *, assume_role: str, create_session: str
) -> "Surroundings":
    from sallyport.audit.trust_policy.examine import Surroundings  # noqa: PLC0415 - the same
    from sallyport.audit.trust_policy.managed import FunctionRoles, managed_roles  # noqa: PLC0415 - not for --help

    functions = FunctionRoles(assume_role=assume_role, create_session=create_session)
    return Surroundings(
        org_accounts=None if known.accounts is None else known.accounts | {account},
        organization=known.id,
        managed=managed_roles(items, functions),
    )


def _inventory(aws: "Aws", account: str, items: "Items", trigger: str | None) -> "Inventory":
    from sallyport.adapters.account import read_keys, read_roles  # noqa: PLC0415 - loads boto3
    from sallyport.audit.posture.scan import Inventory  # noqa: PLC0415 - not for --help
    from sallyport_cli.posture_reading import reading  # noqa: PLC0415 - loads boto3

    iam = aws.client("iam")
    reasons: dict[str, str] = {}
    with progress("reading roles") as update:
        roles = _unless_refused(lambda: read_roles(iam, update, ask=reading), reasons, "roles")
    with waiting("waiting for IAM's credential report"):
        keys = _unless_refused(lambda: read_keys(iam, ask=reading), reasons, "keys")
    return Inventory(
        account=account, roles=roles, keys=keys, pools=_pools(aws, items, trigger, reasons), reasons=reasons
    )


def _unless_refused(read: Callable[[], _T], reasons: dict[str, str], name: str) -> _T | None:
    from sallyport.errors import UnreadableError  # noqa: PLC0415 - not for --help

    try:
        return read()
    except UnreadableError as error:
        reasons[name] = error.detail
        return None


def _pools(
    aws: "Aws", items: "Items", trigger: str | None, reasons: dict[str, str]
) -> Mapping[str, list[Any]] | None:
    from sallyport.cognito.pool_check import PoolProblem, Severity  # noqa: PLC0415 - not for --help
    from sallyport_cli.pool_desk import examine  # noqa: PLC0415 - the same
    from sallyport_cli.trust_view import pools_of  # noqa: PLC0415 - the same

    declared = [str(one["name"]) for one in pools_of(items)]
    found: dict[str, list[PoolProblem]] = {name: [] for name in declared}
    if not items:
        reasons["pools"] = "which there are stands in the trust file, and no trust table was named"
        return None
    if not declared and not trigger:
        return found
    try:
        problems = examine(aws, items, trigger)
    except CommandError as error:
        reasons["pools"] = error.detail
        return None
    for one in problems:
        problem = PoolProblem(
            code=one.code, severity=Severity(one.severity), subject=one.subject, text=one.text, cure=one.cure
        )
        found.setdefault(one.pool, []).append(problem)
    return found


def _say(found: "Posture", account: str, least: "Severity") -> None:
    kept = found.from_severity(least)
    for one in kept:
        weakness = one.weakness
        level = weakness.severity.name.lower()
        doubt = "" if weakness.is_certain else "cannot tell: "
        place = "" if weakness.statement is None else f", statement {weakness.statement}"
        say(
            f"{level}: {one.resource.id}{place}: {doubt}{weakness.text} [{weakness.code}]",
            style=_STYLES[level],
            hang=4,
        )
        if weakness.subject and weakness.subject != one.resource.id:
            say(f"    about {weakness.subject}", hang=4)
        say(f"    {weakness.cure}", hang=4)
        if weakness.change is not None:
            # Left whole: somebody copies it into the policy.
            say(f"    {shown(weakness.change)}")
    looked_at = ", ".join(f"{number:,} {what}" for what, number in found.looked_at.items() if number)
    unsure = sum(not one.weakness.is_certain for one in found.observations)
    more = len(found.observations) - len(kept)
    say(f"Looked at {looked_at or 'nothing'} of account {account}.", hang=0)
    say(
        f"{len(found.observations) - unsure} found weak, {unsure} that cannot be told from here"
        + (f"; {more} of them below {least.name.lower()} are not shown." if more else "."),
        hang=0,
    )
