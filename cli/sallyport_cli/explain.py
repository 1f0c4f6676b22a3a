"""``sallyport explain``: why an exchange ended as it did, and what would have let it through.

Everything in a record may have been chosen by the caller, so that all of it passes
``audit.display`` before it is printed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sallyport_cli import output, x509_hints
from sallyport_cli.ending import ending
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import NAME_WIDTH, Line, say_json, say_lines, waiting
from sallyport_cli.stack_names import Stack, named

if TYPE_CHECKING:
    from sallyport_cli.aws import Aws

_CORRECTION = "-correction"
"""Ends the id of a record that says what became of a session after its own record was put."""

EXCHANGE_ID = re.compile(rf"[0-9a-f]{{32}}(?:{_CORRECTION})?|unverified-[0-9a-f]{{32}}")
"""What the functions make, corrections of theirs, and the records of a minute's unverified exchanges."""

_GATEWAY_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""What API Gateway calls a request. Some clients show it, where it takes the place of ours."""

_MAX_NAMED = 5

MAX_SHOWN = 512
"""The longest text of a record: its details. What is longer was not written by our functions."""

_FORM = frozenset({"ValidationError", "InvalidAction", "MissingAction"})
"""The public codes of a request that was refused for its form, before anybody looked at a token."""

_MARKS = {"match": "✓", "no-match": "✗", "missing": "-", "error": "!"}

_STYLES = {"granted": "bold green", "denied": "bold red", "refused": "bold red", "failed": "bold yellow"}

_OUTCOMES = {
    "granted": "GRANTED: credentials were issued",
    "denied": "DENIED: the identity was verified, but may not have this",
    "refused": "REFUSED: the proof did not verify, so nobody is known to have asked",
    "failed": "FAILED: on our side; no credentials were given",
}
_SIMULATED = {
    "granted": "WOULD BE GRANTED: nothing was issued, this is a simulation",
    "denied": "WOULD BE DENIED: whoever this is may not have this",
    "refused": "WOULD BE REFUSED: the proof would not verify",
    "failed": "WOULD FAIL on our side (503), so that no credentials would be given",
}
_INVALID = "INVALID: the request's form; no token was looked at"
_HANG = NAME_WIDTH + 3
"""Where the value of a field begins."""


def explain(  # noqa: PLR0913 - one argument for each option
    exchange_id: Annotated[
        str, typer.Argument(metavar="EXCHANGE_ID", help="As the caller got it in the answer.")
    ],
    table: Annotated[
        str | None,
        typer.Option(
            "--records-table",
            "--table",
            envvar="SALLYPORT_RECORDS_TABLE",
            help="The records table.",
            metavar="NAME",
        ),
    ] = None,
    log_group: Annotated[
        str | None,
        typer.Option(
            envvar="SALLYPORT_ASSUME_ROLE_LOG_GROUP",
            help="Where to look if there is no record: assume_role's log group.",
            metavar="NAME",
        ),
    ] = None,
    session_log_group: Annotated[
        str | None,
        typer.Option(
            envvar="SALLYPORT_CREATE_SESSION_LOG_GROUP",
            help="The same of create_session, where certificates come.",
            metavar="NAME",
        ),
    ] = None,
    *,
    stack: Stack = "",
    json_: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Say why an exchange was granted or refused.

    Prints the outcome, who asked, for what, every profile and condition that was looked at with what was
    expected and what was there, and what would have allowed it.
    """
    with ending(as_json=json_):
        from sallyport_cli import records  # noqa: PLC0415 - loads boto3
        from sallyport_cli.aws import Aws  # noqa: PLC0415 - the same

        is_gateways = _GATEWAY_ID.fullmatch(exchange_id) is not None
        if EXCHANGE_ID.fullmatch(exchange_id) is None and not is_gateways:
            raise CommandError(
                "not-an-exchange-id",
                "That is not an exchange id: an exchange id has 32 hexadecimal digits.",
                cure="It is in the error message the caller got; API Gateway's request id, a UUID, will do.",
                exit_code=Exit.USAGE,
            )
        if not (table or log_group or session_log_group or stack):
            raise CommandError(
                "no-records-table",
                "No records table is named.",
                cure="Give --stack, --records-table or SALLYPORT_RECORDS_TABLE (the output RecordsTable).",
                exit_code=Exit.USAGE,
            )
        aws = Aws()
        given = {
            "RecordsTable": table,
            "AssumeRoleLogGroup": log_group,
            "CreateSessionLogGroup": session_log_group,
        }
        with waiting("looking for the exchange"):
            names = named(aws, stack, given)
            table = names.pop("RecordsTable", None)
            log_groups = list(names.values())
            if is_gateways:
                exchange_id = _behind(exchange_id, aws, log_groups)
            found = records.from_table(aws.client("dynamodb"), table, exchange_id) if table else None
            for name in log_groups:
                if found is None:
                    found = records.from_log(aws.client("logs"), name, exchange_id.removesuffix(_CORRECTION))
        if found is None:
            raise CommandError(
                "no-such-exchange",
                f"Nothing is known of the exchange {exchange_id}.",
                cure="Check the id, the account and the Region. An exchange whose proof did not verify is in "
                "the function's log only: give --stack, or --log-group and --session-log-group as well."
                if not log_groups
                else "Check the id, the account and the Region; records and logs are kept for a stated time.",
            )
        # Records never change: a session that was dropped after its record was put has a second one.
        correction = None
        if table and found.source == "table" and "corrects" not in found.record:
            correction = records.from_table(aws.client("dynamodb"), table, exchange_id + _CORRECTION)
        if json_:
            corrected = {"correction": correction.record} if correction else {}
            say_json({"source": found.source, "record": found.record, **corrected})
            return
        last = correction or found
        say_lines(explanation(last.record, source=last.source))


def _behind(gateway_id: str, aws: "Aws", log_groups: list[str]) -> str:
    """Return the id of the exchange that API Gateway gave another id, which clients may have shown."""
    from sallyport_cli import records  # noqa: PLC0415 - loads boto3

    found: set[str] = set()
    for name in log_groups:
        found |= records.ids_behind(aws.client("logs"), name, gateway_id)
    if len(found) == 1:
        return found.pop()
    if found:
        raise CommandError(
            "several-exchanges",
            f"{len(found)} exchanges have this request id of API Gateway's, which callers can choose: "
            f"{', '.join(sorted(found)[:_MAX_NAMED])}.",
            cure="Explain them one by one.",
        )
    raise CommandError(
        "no-such-exchange",
        f"Nothing is known of a request that API Gateway called {gateway_id}.",
        cure="Such an id is looked up in the functions' logs: give --log-group and --session-log-group."
        if not log_groups
        else "Check the id, the account and the Region; logs are kept for a stated time.",
    )


def explanation(record: Mapping[str, Any], *, source: str = "table") -> Iterable[Line]:
    """Yield a record in words, line by line; any field may be missing or of another type.

    Args:
        record: as an exchange left it, or ``simulation.Simulated`` has it.
        source: where it is from: ``table``, ``log`` or ``simulation``.
    """
    outcome = _text(record.get("outcome"))
    of_form = _text(record.get("code")) in _FORM
    outcomes = _SIMULATED if source == "simulation" else _OUTCOMES
    heading = outcomes.get(outcome, f"outcome: {shown(outcome) or 'not recorded'}")
    yield Line(_INVALID if of_form else heading, _STYLES.get(outcome, "bold"), 2)
    yield from _fields(record, ("id", "time", "route", "source_ip", "user_agent"))
    if record.get("corrects"):
        yield Line(
            f"  (corrects the record {shown(_text(record['corrects']))}, which was put first)", "dim", 2
        )
    if source == "log":
        yield Line("  (from the function's log, which says less than a record)", "dim", 2)
    yield from _why(record)
    if record.get("kind") == "unverified-summary":
        yield from _summary(record)
        return
    if not of_form:
        yield from _who(record)
    yield from _asked(_mapping(record, "request"))
    yield from _profiles(record)
    yield from _remedy(record)
    yield from _hints(record)
    yield from _given(record, is_simulated=source == "simulation")
    notes = [shown(_text(note)) for note in _list(record, "notes")]
    if notes:
        yield from _heading("notes")
        yield from (Line(f"  {note}", "", 4) for note in notes)


def _summary(record: Mapping[str, Any]) -> Iterable[Line]:
    """Yield what a minute's record of unverified exchanges counts; no single one is in the table."""
    yield from _heading("one minute of exchanges whose proof did not verify")
    yield from _fields(record, ("total",))
    for name, counts in (("reason", "counts"), ("address", "addresses")):
        for key, count in _mapping(record, counts).items():
            yield _row(name, f"{shown(_text(key))}: {shown(_text(count))}")
    denied = _mapping(record, "denied")
    if denied:
        yield from _heading("and of verified identities that got nothing, beyond those with a record each")
        yield from _fields({"total": record.get("denied_total")}, None)
        for key, count in denied.items():
            yield _row("anchor, reason", f"{shown(_text(key))}: {shown(_text(count))}")


def _why(record: Mapping[str, Any]) -> Iterable[Line]:
    if not any(record.get(key) for key in ("reason", "detail", "cure")):
        return
    yield from _heading("why")
    # Where profiles were looked at and none fits, the last part says the cure condition by condition.
    by_condition = record.get("reason") == "no-profile-matched" and bool(_list(record, "trace"))
    yield from _fields(record, ("reason", "detail") if by_condition else ("reason", "detail", "cure"))
    yield from _fields({"the caller heard": x509_hints.heard(record)}, None)


def _who(record: Mapping[str, Any]) -> Iterable[Line]:
    yield from _heading("who")
    anchor = _mapping(record, "anchor")
    if anchor or record.get("subject") is not None:
        assumed = _text(record.get("assumed"))
        if assumed:
            yield Line(f"  ASSUMED, NOT VERIFIED: {shown(assumed)}", "bold yellow", 2)
        else:
            yield Line("  verified", "green")
        yield from _fields({"anchor": anchor.get("name"), "anchor arn": anchor.get("arn")}, None)
        yield from _fields(record, ("subject",))
        for key, value in _mapping(record, "attributes").items():
            yield _row(shown(_text(key)), shown(_text(value)))
        yield from _certificate(_mapping(record, "certificate"))
    claimed = _mapping(record, "claimed")
    if claimed:
        yield Line("  UNVERIFIED: this is only what the caller claims, and may be a lie", "bold yellow", 2)
        for key, value in claimed.items():
            yield _row(f"claimed {shown(_text(key))}", shown(_text(value)), "yellow")
    if not anchor and record.get("subject") is None and not claimed:
        yield Line("  unknown: nothing was verified and nothing readable was claimed", "", 2)
    yield from _fields({"proof sha256": record.get("proof_sha256")}, None)


def _certificate(certificate: Mapping[str, Any]) -> Iterable[Line]:
    yield from _fields(
        {
            "serial": certificate.get("serial"),
            "issuer": certificate.get("issuer"),
            "certificate ends": certificate.get("not_after"),
            "cert sha256": certificate.get("fingerprint"),
        },
        None,
    )


def _asked(request: Mapping[str, Any]) -> Iterable[Line]:
    if not request:
        return
    yield from _heading("asked for")
    yield from _fields(
        {
            "role": request.get("role_arn"),
            "profile": request.get("profile"),
            "duration": f"{request['duration']} s" if "duration" in request else None,
            "session name": request.get("session_name"),
            "own policy": "yes" if request.get("policy") or request.get("policy_sha256") else None,
            "own policy arns": request.get("policy_arns"),
            "instance": [
                f"{_text(name)}={_text(value)}"
                for name, value in _mapping(request, "instance_properties").items()
            ],
        },
        None,
    )


def _profiles(record: Mapping[str, Any]) -> Iterable[Line]:
    trace = [entry for entry in _list(record, "trace") if isinstance(entry, Mapping)]
    if not trace and not record.get("trace_omitted"):
        return
    yield from _heading("profiles looked at")
    for entry in trace:
        outcome = _text(entry.get("outcome"))
        words = [shown(_text(entry.get("profile"))), shown(outcome)]
        if entry.get("reason"):
            words.append(f"({shown(_text(entry['reason']))})")
        yield Line(f"  {' '.join(words)}", "green" if outcome == "allowed" else "", 4)
        if entry.get("detail") and not _list(entry, "conditions"):
            yield Line(f"      {shown(_text(entry['detail']))}", "dim", 6)
        for condition in _list(entry, "conditions"):
            if isinstance(condition, Mapping):
                yield from _condition(condition)
        yield from _omitted(entry.get("conditions_omitted"), "conditions", indent=6)
    yield from _omitted(record.get("trace_omitted"), "profiles", indent=2)


def _condition(condition: Mapping[str, Any]) -> Iterable[Line]:
    outcome = _text(condition.get("outcome"))
    mark = _MARKS.get(outcome, "?")
    style = "green" if outcome == "match" else "red"
    operator, key = shown(_text(condition.get("operator"))), shown(_text(condition.get("key")))
    yield Line(f"    {mark} {operator} {key}: {shown(outcome)}", style, 8)
    yield Line(f"        expected {_expected(condition)}", "", 17)
    actual = condition.get("actual")
    yield Line(f"        actual   {'nothing' if actual is None else shown(_text(actual))}", "", 17)


def _expected(condition: Mapping[str, Any]) -> str:
    values = [shown(_text(value)) for value in _list(condition, "expected")]
    more = condition.get("expected_omitted")
    if isinstance(more, int) and more > 0:
        values.append(f"{more} more")
    return " or ".join(values) or "nothing"


def _remedy(record: Mapping[str, Any]) -> Iterable[Line]:
    """Say what would have allowed it, by profile: the conditions that did not hold, and no more."""
    outcome = _text(record.get("outcome"))
    if outcome not in {"denied", "refused"}:
        return
    trace = [entry for entry in _list(record, "trace") if isinstance(entry, Mapping)]
    ways = [way for entry in trace if (way := _way(entry))]
    if not trace and outcome == "denied" and not record.get("trace_omitted"):
        ways.append("a profile that names this role and matches this identity; none was looked at")
    if ways:
        yield from _heading("what would have allowed it")
        yield from (Line(f"  {way}", "", 4) for way in ways)


def _hints(record: Mapping[str, Any]) -> Iterable[Line]:
    hints = x509_hints.of(record)
    if hints:
        yield from _heading("what to look at")
        yield from (Line(f"  {hint}", "", 4) for hint in hints)


_STANDS_BY_ITSELF = {
    "disabled": "profile {name} matched but is disabled: "
    'sallyport trust enable profile {name} --reason "..."',
    "denied": "profile {name} denies this identity, whatever others allow",
    "not-named": "profile {name} was not considered, because the request named another",
    "allowed": "",
    "outranked": "",
}
"""What an outcome of a profile says without its conditions."""


def _way(entry: Mapping[str, Any]) -> str:
    """Say what one profile would have needed; nothing where it is no way to what was asked for."""
    name = shown(_text(entry.get("profile")))
    outcome, reason = _text(entry.get("outcome")), _text(entry.get("reason"))
    if outcome in _STANDS_BY_ITSELF:
        return _STANDS_BY_ITSELF[outcome].format(name=name)
    if reason == "other-anchor":
        return f"profile {name} allows the role through another trust anchor only"
    detail = shown(_text(entry.get("detail")))
    unmet = [
        f"{shown(_text(one.get('operator')))} {shown(_text(one.get('key')))} {_expected(one)}"
        for one in _list(entry, "conditions")
        if isinstance(one, Mapping) and one.get("outcome") != "match"
    ]
    # A denying profile that did not match has no detail, and meeting it would have allowed nothing.
    if outcome == "not-matched" and unmet and detail:
        return f"profile {name}, with {'; and '.join(unmet)}"
    return f"profile {name}: {detail}" if detail and outcome != "not-matched" else ""


def _given(record: Mapping[str, Any], *, is_simulated: bool) -> Iterable[Line]:
    profile, grant, issued = (_mapping(record, key) for key in ("profile", "grant", "issued"))
    if not (profile or grant or issued):
        return
    granted = "would be granted" if is_simulated else "granted"
    yield from _heading(granted if record.get("outcome") == "granted" else "decided, but not released")
    tags = _mapping(grant, "tags")
    yield from _fields(
        {
            "profile": profile.get("name"),
            "profile arn": profile.get("arn"),
            "role": grant.get("role_arn"),
            "session name": grant.get("session_name"),
            "source identity": grant.get("source_identity"),
            "duration": f"{grant['duration']} s" if "duration" in grant else None,
            "issuance": grant.get("issuance"),
            "external id": grant.get("external_id"),
            "tags": [f"{_text(key)}={_text(value)}" for key, value in tags.items()],
            "transitive": grant.get("transitive"),
            "policy sha256": grant.get("policy_sha256"),
            "policy arns": grant.get("policy_arns"),
        },
        None,
    )
    if grant.get("advisory"):
        yield Line("  advisory: the caller's own token went to STS, so these limits do not bind", "yellow", 2)
    skipped = _list(issued, "skipped_regions")
    yield from _fields(
        {
            "access key id": issued.get("access_key_id"),
            "assumed role": issued.get("assumed_role_arn"),
            "expires": issued.get("expiration"),
            "sts region": issued.get("region"),
            "failed over from": skipped,
            "dropped tags": issued.get("dropped_tags"),
            "token size used": f"{issued['packed_policy_size']} %"
            if "packed_policy_size" in issued
            else None,
        },
        None,
    )


def _heading(title: str) -> Iterable[Line]:
    yield Line("")
    yield Line(title, "bold")


def _fields(values: Mapping[str, Any], names: Sequence[str] | None) -> Iterable[Line]:
    """Yield one line for each field that is there."""
    for name in names if names is not None else list(values):
        value = values.get(name)
        if value is None or value in ("", []):
            continue
        items = value if isinstance(value, list) else [value]
        yield _row(name.replace("_", " "), ", ".join(shown(_text(item)) for item in items))


def _row(name: str, value: str, style: str = "") -> Line:
    return Line(f"  {name:<{NAME_WIDTH}} {value}", style, _HANG)


def shown(text: str) -> str:
    """Return a record's text as it may be printed."""
    return output.shown(text, MAX_SHOWN)


def _omitted(count: object, what: str, *, indent: int) -> Iterable[Line]:
    if count is True:
        text = f"… all {what} were left out: the record would have been too large"
        yield Line(f"{' ' * indent}{text}", "dim", indent + 2)
    elif isinstance(count, int) and count > 0:
        yield Line(f"{' ' * indent}… and {count} more {what}; the record keeps no more", "dim", indent + 2)


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(holder: Mapping[str, Any], key: str) -> list[Any]:
    value = holder.get(key)
    return value if isinstance(value, list) else []
