"""Asking the stack's refresh function to fetch issuers' keys and to compile revocation lists now."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from sallyport.audit.display import display
from sallyport_cli.aws import asking
from sallyport_cli.failure import CommandError
from sallyport_cli.output import Line, shown

MAX_ANSWER_BYTES = 1_000_000
"""More than an answer about every anchor that a trust file can hold."""


class Lambda(Protocol):
    """The part of boto3's Lambda client that is used here."""

    def invoke(self, **arguments: object) -> dict[str, Any]:
        """Invoke a function and wait for its answer."""


def sentences(answer: Mapping[str, Any]) -> Iterator[Line]:
    """Yield one line for each anchor: whether its keys were fetched, from where, or why not."""
    outcomes = answer.get("anchors")
    for outcome in outcomes if isinstance(outcomes, list) else []:
        if not isinstance(outcome, Mapping):
            continue
        said = {key: shown(outcome.get(key) or "") for key in ("anchor_name", "anchor_id", "source")}
        name = said["anchor_name"] or said["anchor_id"]
        why = [shown(outcome[key]) for key in ("reason", "detail") if outcome.get(key)]
        if outcome.get("status") == _REFRESHED:
            count = outcome.get("keys")
            plural = "" if count == 1 else "s"
            but = f"; but {', '.join(why)}" if why else ""
            text = f"{name}: keys refreshed ({shown(count)} key{plural} from {said['source']}){but}"
            yield Line(text, "yellow" if why else "green")
            continue
        yield Line(f"{name}: keys NOT refreshed: {', '.join(why) or shown(outcome.get('status'))}", "yellow")
    if not outcomes and not answer.get("crls"):
        yield Line("No keys were refreshed: the function knows none of the anchors.", "yellow")


_REFRESHED = "refreshed"
"""What the function says of an anchor whose keys it has stored."""


def refresh_keys(client: Lambda, function: str, anchor_ids: Sequence[str]) -> Mapping[str, Any]:
    """Invoke the refresh function once and return what it answers.

    Raises:
        CommandError: it cannot be invoked, or it failed.
    """
    with asking(f"invoke the refresh function {function}"):
        answer = client.invoke(
            FunctionName=function,
            InvocationType="RequestResponse",
            Payload=json.dumps({"anchor_ids": list(anchor_ids)}).encode(),
        )
        payload = answer["Payload"].read(MAX_ANSWER_BYTES)
    if "FunctionError" in answer:
        raise CommandError(
            "refresh-failed",
            f"The refresh function failed: {display(payload.decode('utf-8', 'replace'), markup=False)}",
            cure="Look at its log; the schedule tries again by itself.",
        )
    try:
        value = json.loads(payload or b"null")
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"answer": value}
