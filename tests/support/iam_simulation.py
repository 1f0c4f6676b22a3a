"""What IAM answers to a request, by its documented rules and in the plainest way: for comparing with.

It shares no line with what it is compared with. Written from
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html and the page on
condition operators; only what the generated policies use.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any


@dataclass(frozen=True)
class Request:
    """``kind`` and ``principal`` are as a policy would name him; ``context`` has keys in lower case."""

    kind: str
    principal: str
    account: str
    action: str
    context: Mapping[str, str | list[str]]


def allowed(document: Mapping[str, Any], request: Request) -> bool:
    effects = {one["Effect"] for one in document["Statement"] if _applies(one, request)}
    return effects == {"Allow"}


def _applies(statement: Mapping[str, Any], request: Request) -> bool:
    if "Principal" in statement:
        named = _is_named(statement["Principal"], request)
    else:
        named = not _is_named(statement["NotPrincipal"], request)
    if "Action" in statement:
        acts = any(_wild(one, request.action) for one in _several(statement["Action"]))
    else:
        acts = not any(_wild(one, request.action) for one in _several(statement["NotAction"]))
    return (
        named
        and acts
        and all(
            _holds(operator, key, _several(values), request.context)
            for operator, block in statement.get("Condition", {}).items()
            for key, values in block.items()
        )
    )


def _is_named(principal: Any, request: Request) -> bool:
    if principal == "*":
        return True
    for one in _several(principal.get(request.kind, [])):
        if one in ("*", request.principal):
            return True
        if request.kind == "AWS" and one in (request.account, f"arn:aws:iam::{request.account}:root"):
            return True
    return False


def _several(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _wild(text: str, value: str) -> bool:
    return _like(text.lower(), value.lower())


def _like(text: str, value: str) -> bool:
    parts = ["." if one == "?" else ".*" if one == "*" else re.escape(one) for one in text]
    return re.fullmatch("".join(parts), value, re.DOTALL) is not None


def _holds(operator: str, key: str, expected: list[Any], context: Mapping[str, str | list[str]]) -> bool:
    actual = context.get(key.lower())
    if operator == "Null":
        return (actual is None) is (expected[0] == "true")
    quantifier, _, plain = operator.rpartition(":")
    base = plain.removesuffix("IfExists")
    if actual is None and base != plain:
        return True
    if actual is None and quantifier:
        return quantifier == "ForAllValues"
    negated = "Not" in base
    if actual is None:
        return negated
    fits = [
        any(_one(base.replace("Not", ""), str(one), value, context) for one in expected) is not negated
        for value in _several(actual)
    ]
    return all(fits) if quantifier == "ForAllValues" else any(fits)


def _one(base: str, expected: str, actual: str, context: Mapping[str, str | list[str]]) -> bool:
    def value_of(found: re.Match[str]) -> str:
        value = context.get(found[1].lower())
        return value if isinstance(value, str) else "\0"

    wanted = re.sub(r"\$\{([^}]+)\}", value_of, expected)
    if base in ("StringLike", "ArnLike", "ArnEquals"):
        return _like(wanted, actual)
    if base == "IpAddress":
        return ip_address(actual) in ip_network(wanted, strict=False)
    return wanted == actual
