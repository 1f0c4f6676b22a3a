"""Queries over CloudTrail's logs: what each rule looks at, and what one access key or person did.

Pure. A rule's queries are made of its selectors, as the event patterns are (``event_patterns``), so that all
three let through the same. They are made of constants alone: what only a deployment knows stands in them as
``${…}``, which CloudFormation fills in from parameters with a strict form, and what only the reader knows is
an execution parameter, ``?``, which Athena never reads as a part of the query.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from sallyport.audit.rules.rule import Rule, Selector

# What CloudFormation fills in: where managed roles live, the table as ``database.table``, and its column
# that a time is compared with.
MANAGED_PATH: Final = "${TargetRolePath}"
TRAIL_TABLE: Final = "${TrailTable}"
TIME_COLUMN: Final = "${TimeColumn}"

# Enough for one look; whoever needs all narrows the time.
MAX_ROWS: Final = 200

# Without quotes, backslashes and brackets: nothing of it means anything to a query but itself.
_SAFE: Final = re.compile(r"[A-Za-z0-9 ._:/*-]+")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_SHOWN: Final = (
    "eventID",
    "awsRegion",
    "recipientAccountId",
    "eventSource",
    "eventName",
    "errorCode",
    "userIdentity.type",
    "userIdentity.arn",
    "userIdentity.accessKeyId",
    "sourceIPAddress",
    "userAgent",
)


def logs_insights(rule: Rule) -> str | None:
    """Return a query for CloudWatch Logs Insights that finds what a rule looks at; ``None`` if no events.

    Syntax: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-Filter.html.
    """
    filters = _filters(rule, _insights)
    if not filters:
        return None
    return "\n".join(
        (
            f"fields @timestamp, {', '.join(_SHOWN)}",
            f"| filter {' or '.join(filters)}",
            "| sort @timestamp desc",
            f"| limit {MAX_ROWS}",
        )
    )


def athena(rule: Rule) -> str | None:
    """Return a query for Athena that finds what a rule looks at; ``None`` if it looks at no events.

    Its parameters are the first and the last time, in the form of the time column
    (https://docs.aws.amazon.com/athena/latest/ug/querying-with-prepared-statements.html).
    """
    filters = _filters(rule, _sql)
    return _select(f"({' or '.join(filters)})") if filters else None


def _select(condition: str) -> str:
    return "\n".join(
        (
            f"select eventtime, {', '.join(name.lower() for name in _SHOWN)}",
            f"from {TRAIL_TABLE}",
            f"where {condition}",
            f"  and {TIME_COLUMN} between ? and ?",
            "order by eventtime desc",
            f"limit {MAX_ROWS}",
        )
    )


def _extract(column: str, path: str) -> str:
    return f"json_extract_scalar({column}, '$.{path}')"


# Prepared statements, by name. The first parameter is what is looked for, then come two times.
BY_ACCESS_KEY: Final = _select(
    "? in (useridentity.accesskeyid, "
    # The call that issued it: STS's answer, and that of IAM Roles Anywhere.
    + _extract("responseelements", "credentials.accessKeyId")
    + ", "
    + _extract("responseelements", "credentialSet[0].credentials.accessKeyId")
    + ")"
)
BY_SOURCE_IDENTITY: Final = _select(
    "? in (useridentity.sessioncontext.sourceidentity, "
    # The call that set it.
    + _extract("requestparameters", "sourceIdentity")
    + ", "
    + _extract("responseelements", "sourceIdentity")
    + ")"
)
PREPARED: Final[Mapping[str, str]] = {
    "access_key": BY_ACCESS_KEY,
    "source_identity": BY_SOURCE_IDENTITY,
}

_Condition = Callable[[str, str, tuple[str, ...]], str]


def _filters(rule: Rule, condition: _Condition) -> list[str]:
    # A service's own events are no calls: no trail has them.
    return [_both(one, condition) for one in rule.selectors if not one.source.startswith("aws.")]


def _both(selector: Selector, condition: _Condition) -> str:
    """Return one selector as a condition of a query."""
    parts = []
    if selector.source:
        parts.append(condition("eventSource", "equals", (f"{selector.source}.amazonaws.com",)))
    if selector.names:
        parts.append(condition("eventName", "equals", selector.names))
    parts += [condition(one.path, one.operator, tuple(map(str, one.values))) for one in selector.where]
    joined = " and ".join(parts)
    return f"({joined})"


def _insights(field: str, operator: str, values: tuple[str, ...]) -> str:
    if operator == "exists":
        return f"ispresent({field})"
    if operator == "arn-like":
        # "like" with a text finds it anywhere. In a role's ARN this much stands before its path alone.
        return f'{field} like ":role{MANAGED_PATH}"'
    if operator == "prefix":
        # In a regular expression a dot, a star and a slash mean something too.
        return "(" + " or ".join(f"{field} like /^{_constant(value, _WORD)}/" for value in values) + ")"
    quoted = (f'"{_constant(value)}"' for value in values)
    return f"{field} in [{', '.join(quoted)}]"


def _sql(field: str, operator: str, values: tuple[str, ...]) -> str:
    column = field.lower()
    if operator == "exists":
        return f"{column} is not null"
    if operator == "arn-like":
        # Not LIKE: a path may have an underscore, which would stand for any character.
        return f"strpos({column}, ':role{MANAGED_PATH}') > 0"
    if operator == "prefix":
        return "(" + " or ".join(f"strpos({column}, '{_constant(value)}') = 1" for value in values) + ")"
    quoted = (f"'{_constant(value)}'" for value in values)
    return f"{column} in ({', '.join(quoted)})"


def _constant(value: str, safe: re.Pattern[str] = _SAFE) -> str:
    """Return a constant of a rule, which cannot mean anything to a query.

    Raises:
        ValueError: it could. A rule has to be changed then.
    """
    if not safe.fullmatch(value):
        raise ValueError(f"{value!r} is no plain constant")
    return value
