"""EventBridge's patterns, made of the rules' selectors, so that they cannot drift from what the rules see.

Pure. Made of the same selectors are the archive's pattern (``archive``), the queries (``queries``) and what
each rule's heading says it looks at (``findings_page``).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sallyport.audit.events import CLOUDTRAIL_DETAIL_TYPES
from sallyport.audit.rules import RULES
from sallyport.audit.rules.rule import Rule, Where

# EventBridge's limit for a pattern (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html).
MAX_PATTERN: Final = 2_048
# Services whose calls have a pattern of their own. The rest are parts of Sallyport that somebody
# changes; one pattern sees them all.
OWN_PATTERN: Final = frozenset({"sts", "iam", "signin", "rolesanywhere", "securityhub", "cloudtrail"})

Pattern = Mapping[str, Any]


def event_patterns(
    managed_roles: Iterable[str], rules: Mapping[str, Rule] = RULES
) -> dict[str, dict[str, Any]]:
    """Return EventBridge patterns by name; together they let through all that any rule wants to see.

    All demand a source of AWS's own: only AWS can put such events, so nobody can invent some.

    Args:
        managed_roles: ARN patterns of the roles that only the exchange may assume.
        rules: whose selectors to take.
    """
    calls: dict[str, tuple[set[str], set[str]]] = {}
    conditions: dict[tuple[Where, ...], set[str]] = {}
    native: dict[str, set[str]] = {}
    for selector in (one for rule in rules.values() for one in rule.selectors):
        if selector.source.startswith("aws."):
            native.setdefault(selector.source, set()).update(selector.names)
        elif selector.names and not selector.where:
            name = selector.source if selector.source in OWN_PATTERN else "own-parts"
            sources, names = calls.setdefault(name, (set(), set()))
            sources.add(selector.source)
            names.update(selector.names)
        else:
            conditions.setdefault(selector.where, set()).add(selector.source)
    managed = sorted(managed_roles)
    patterns: dict[str, dict[str, Any]] = {}
    for name, (sources, names) in sorted(calls.items()):
        detail: dict[str, Any] = {"eventSource": _hosts(sources), "eventName": sorted(names)}
        patterns[f"calls-{name}"] = _cloudtrail(detail)
    for where, sources in conditions.items():
        detail = {} if "" in sources else {"eventSource": _hosts(sources)}
        for one in where:
            _put(detail, one.path, _alternatives(one, managed))
        patterns[_name_of(where)] = _cloudtrail(detail)
    for source, names in native.items():
        patterns[f"from-{source.removeprefix('aws.')}"] = {
            "source": [source],
            "detail-type": sorted(names),
        }
    return patterns


def forwarded_pattern(rules: Mapping[str, Rule] = RULES) -> dict[str, Any]:
    """Return the pattern of what other accounts and Regions forward: any kind of event that rules look at.

    Which of them is said where they are sent, by the patterns above; here it is said once more whose they
    are: services' own.

    Args:
        rules: whose selectors to take.
    """
    native = {
        name
        for rule in rules.values()
        for selector in rule.selectors
        if selector.source.startswith("aws.")
        for name in selector.names
    }
    return {"source": [{"prefix": "aws."}], "detail-type": sorted(CLOUDTRAIL_DETAIL_TYPES | native)}


def _cloudtrail(detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "source": [{"prefix": "aws."}],
        "detail-type": sorted(CLOUDTRAIL_DETAIL_TYPES),
        "detail": detail,
    }


def _hosts(sources: Iterable[str]) -> list[str]:
    return [f"{source}.amazonaws.com" for source in sorted(sources)]


def _alternatives(where: Where, managed: list[str]) -> list[Any]:
    if where.operator == "equals":
        return list(where.values)
    if where.operator == "prefix":
        return [{"prefix": value} for value in where.values]
    if where.operator == "exists":
        return [{"exists": True}]
    return [{"wildcard": arn} for arn in managed]


def _put(detail: dict[str, Any], path: str, value: list[Any]) -> None:
    *steps, last = path.split(".")
    for step in steps:
        detail = detail.setdefault(step, {})
    detail[last] = value


def _name_of(where: tuple[Where, ...]) -> str:
    """Return a pattern's name: what its conditions look for."""
    words = (
        str(value).strip("{}").replace(" ", "-").lower() for one in where for value in one.values or ("any",)
    )
    return "where-" + "-".join(words)
