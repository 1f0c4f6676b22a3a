"""Whether the user pools of a trust file, and the trigger, are what the file relies on.

An apply is refused where they are not. The order is: plan, deploy the trigger's mapping, apply. What the
trigger does takes effect with its deployment, so an apply that went first would say of a source that is
taken away that it is gone, while tokens were still made of it.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

import typer

from sallyport.adapters.user_pools import problems
from sallyport.cognito.pool_check import Severity
from sallyport.trust.user_pools import POOL
from sallyport_cli.aws import Aws, asking
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, shown, waiting
from sallyport_cli.tag_mapping import TagMapping
from sallyport_cli.trigger_state import Trigger, read_trigger
from sallyport_cli.trust_table import Items

_DEPLOY = "Deploy it first: `sallyport trust tag-mapping FILE` prints the parameter. Then apply."


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """What the command line says of the check.

    ``trigger`` is the function's name or ARN with its alias; ``without`` the reason for which an apply
    goes without the check.
    """

    trigger: str | None = None
    without: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFinding:
    """One thing that is wrong: with a pool, by its name in the trust file, or with the trigger."""

    pool: str
    code: str
    severity: str
    subject: str
    text: str
    cure: str


def concerns_pools(items: Items, before: Items, options: PoolOptions) -> bool:
    """Tell whether there is anything to check: pools now or before, or a trigger that may carry some."""
    return bool(options.trigger) or any(key.startswith(POOL) for each in (items, before) for key in each)


def examine(aws: Aws, items: Items, trigger: str | None) -> list[PoolFinding]:
    """Read the pools and the trigger, and return what is wrong, errors first.

    Args:
        aws: makes clients.
        items: what would be in force.
        trigger: the function; ``None`` leaves out what it carries and whether it is attached.

    Raises:
        CommandError: something may not be looked at.
    """
    names = {str(one["id"]): str(one["name"]) for key, one in items.items() if key.startswith(POOL)}
    mapping = TagMapping.of(items) if names else None
    with waiting("looking at user pools"):
        deployed = read_trigger(aws.client("lambda"), trigger) if trigger else None
        found = list(_of_trigger(trigger, deployed, mapping)) if trigger else []
        if mapping is not None:
            found += _of_pools(aws, mapping, names, deployed)
    return sorted(found, key=lambda one: one.severity != Severity.ERROR.value)


def examine_for_apply(aws: Aws, items: Items, options: PoolOptions) -> list[PoolFinding]:
    """Do the same before an apply, which needs all of it.

    Raises:
        CommandError: the trigger is not named, something may not be looked at, or something is wrong.
    """
    if not options.trigger:
        raise CommandError(
            "no-trigger",
            "Nothing was applied: which function is the trigger of the user pools, is not said.",
            cure="Give --trigger or set SALLYPORT_TRIGGER_FUNCTION (the stack's outputs name it), or say why "
            "nothing shall be checked: --without-pool-check REASON.",
            exit_code=Exit.USAGE,
        )
    try:
        return examine(aws, items, options.trigger)
    except CommandError as error:
        raise CommandError(
            error.reason,
            f"{error.detail} Nothing was applied, because the user pools could not be checked.",
            cure=f"{error.cure} Or say why nothing shall be checked: --without-pool-check REASON.".strip(),
            exit_code=error.exit_code,
        ) from error


def refuse_errors(findings: Sequence[PoolFinding]) -> None:
    """Raise if anything of it keeps a file from being applied.

    Raises:
        CommandError: something is.
    """
    errors = [one for one in findings if one.severity == Severity.ERROR.value]
    if errors:
        first = errors[0]
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise CommandError(
            "user-pools-unsafe",
            f"Nothing was applied: {first.pool}: {first.text}{more}.",
            cure=f"{first.cure[:1].upper()}{first.cure[1:]}",
            more={"user_pool_problems": [asdict(one) for one in findings]},
        )


def end_with(findings: Iterable[PoolFinding], words: str = "") -> None:
    """End a check of its own if something is an error; all of it was printed before.

    Args:
        findings: what was found.
        words: what to say last; empty for a document.

    Raises:
        Exit: with the exit code of what is refused.
    """
    if any(one.severity == Severity.ERROR.value for one in findings):
        if words:
            say(words, style="bold red")
        raise typer.Exit(Exit.REFUSED)


def say_findings(findings: Iterable[PoolFinding], stream: TextIO | None = None) -> None:
    """Print findings, each with what would mend it."""
    for one in findings:
        style = "bold red" if one.severity == Severity.ERROR.value else "yellow"
        text = f"{one.severity}: {one.pool}: {one.subject}: {one.text} [{one.code}]"
        say(shown(text), style=style, hang=4, stream=stream or sys.stderr)
        say(shown(f"    {one.cure}"), hang=4, stream=stream or sys.stderr)


def _of_trigger(name: str, deployed: Trigger | None, mapping: TagMapping | None) -> Iterator[PoolFinding]:
    if deployed is None:
        if mapping is not None:
            yield _error(
                "trigger",
                "trigger-function-missing",
                name,
                "there is no such function",
                f"Check it. {_DEPLOY}",
            )
    elif not deployed.carries(mapping):
        if mapping is None:
            text = "the trigger carries a mapping, and the trust file declares no user pool"
        elif deployed.layers:
            text = "none of the trigger's layers is the mapping of the trust file"
        else:
            text = f"the trigger does not carry the trust file's mapping (sha256 {mapping.digest})"
            text += _which(deployed.text, mapping.text)
        yield _error("trigger", "trigger-differs", name, text, _DEPLOY)


def _which(carried: str | None, wanted: str) -> str:
    """Return which pools differ, if that can be told."""
    try:
        mine, other = json.loads(wanted)["pools"], json.loads(carried or "{}")["pools"]
        ids = sorted(one for one in {*mine, *other} if mine.get(one) != other.get(one))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f"; different: {', '.join(ids)}"


def _of_pools(
    aws: Aws, mapping: TagMapping, names: dict[str, str], deployed: Trigger | None
) -> Iterator[PoolFinding]:
    trigger = None if deployed is None else deployed.arn
    for name, one in problems(
        aws.client("cognito-idp"), mapping.text, names, region=aws.region, trigger=trigger, ask=asking
    ):
        yield PoolFinding(
            pool=name,
            code=one.code,
            severity=one.severity.value,
            subject=one.subject,
            text=one.text,
            cure=one.cure,
        )


def _error(pool: str, code: str, subject: str, text: str, cure: str) -> PoolFinding:
    return PoolFinding(
        pool=pool, code=code, severity=Severity.ERROR.value, subject=subject, text=text, cure=cure
    )
