"""What a role's trust policy says of IAM Roles Anywhere, as conditions of a trust file.

The rule for everything here: whoever is admitted by what comes out was admitted by the policy. What cannot
be translated so is a problem in words, and who reads on must refuse until a person has looked at it.

IAM Roles Anywhere asks STS with the certificate's fields as session tags, which a trust policy sees as
``aws:PrincipalTag/x509Subject/CN`` and the like, with the trust anchor as ``aws:SourceArn`` and with
``CN=<common name>`` as source identity. A tag is there only if the profile maps it and STS takes its value.
Source: https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from sallyport.errors import TrustFileError
from sallyport.trust.conditions import MATCH, compile_condition
from sallyport.trust.limits import MAX_TAG_VALUE_LENGTH
from sallyport.trust.mapping import is_tag_text
from sallyport.trust.wildcards import WILDCARDS, has_wildcard, matches_anything, pattern
from sallyport_cli.output import shown

SERVICE: Final = "rolesanywhere.amazonaws.com"
ACTIONS: Final = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
"""What a policy must allow, all three, for IAM Roles Anywhere to get the role."""

MAX_WAYS: Final = 50
"""As many profiles as a role may be in."""

Conditions = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Operator, key, expected values."""

# What IAM Roles Anywhere documents of its names; how it calls other parts is published nowhere.
_PARTS: Final = frozenset({"C", "O", "OU", "ST", "L", "CN", "UID"})
_FIELDS: Final = {"x509subject": "Subject", "x509issuer": "Issuer"}
_ALTERNATIVES: Final = {"dns": "DNS", "uri": "URI"}
_TAG: Final = "aws:principaltag/"

_POSITIVE: Final = ("StringEquals", "StringEqualsIgnoreCase", "StringLike")
_NEGATED: Final = ("StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike")
_ARNS: Final = ("ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike")
_NULL: Final = "Null"
_SOURCE_IDENTITY: Final = re.compile(r"CN=([A-Za-z0-9_+=,.@-]{1,61})")
# ArnEquals takes wildcards at IAM; here ArnLike is the one that does.
_OURS: Final = {"ArnEquals": "ArnLike", "ArnNotEquals": "ArnNotLike"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in: all of it must be so.

    Args:
        anchors: the ARNs of the trust anchors that the policy admits here.
        names_anchor: whether it says so, and does not just admit all that there are.
        conditions: what a trust file says, over ``x509:…``.
        tags: the same as a role's trust policy can say it of Sallyport's tags, without ``aws:RequestTag/``.
        problems: what could not be translated; with any, this must not be put in force.
    """

    anchors: frozenset[str]
    names_anchor: bool = False
    conditions: Conditions
    tags: Conditions
    problems: tuple[str, ...] = ()

    @property
    def drops_unfit(self) -> bool:
        """Whether the profile must drop values that STS would not take.

        At IAM Roles Anywhere such a value makes no tag, so a pattern never fits it. A trust file's
        pattern looks at the value itself; the role's own policy then refuses for lack of the tag.
        """
        return any(
            operator == _NULL or (operator == "StringLike" and any(map(has_wildcard, values)))
            for operator, block in self.tags.items()
            for values in block.values()
        )


def ways_in(policy: Mapping[str, Any], account: str, anchors: Iterable[str]) -> tuple[Way, ...]:
    """Return the ways in which IAM Roles Anywhere gets a role; none without a problem that says why.

    Args:
        policy: the role's trust policy.
        account: the role's account and the anchors'.
        anchors: the ARNs of all trust anchors that are known.
    """
    every = frozenset(anchors)
    statements: list[tuple[Mapping[str, Any], Way]] = []
    problems: list[str] = []
    for number, one in enumerate(_list(policy.get("Statement")), 1):
        if not isinstance(one, Mapping):
            problems.append(f"statement {number} is none")
            continue
        place = f"statement {shown(one.get('Sid') or number, 64)}"
        complaint = _complaint(one)
        if complaint:
            problems.append(f"{place}: {complaint}")
        elif one["Effect"] == "Allow" and _is_ours(one):
            statements.append((one, _translated(one, place, account, every)))
    found = list(_combined(statements))
    if not found:
        problems.append("no statement lets IAM Roles Anywhere assume the role with tags and source identity")
        found = [Way(anchors=every, conditions={}, tags={})]
    if len(found) > MAX_WAYS:
        problems.append(f"{len(found)} combinations of statements are too many")
        found = found[:MAX_WAYS]
    return tuple(replace(way, problems=(*problems, *way.problems)) for way in found)


# --- statements ------------------------------------------------------------------------------------


def _complaint(statement: Mapping[str, Any]) -> str:
    """Return why a statement that may matter cannot be understood; nothing if it can, or does not matter."""
    denies = statement.get("Effect") == "Deny"
    matters = _may_be_ours(statement) if denies else _is_ours(statement)
    if denies and "NotAction" not in statement:
        matters = matters and any(_names(statement, action) for action in ACTIONS)
    complaints = {
        "NotPrincipal cannot be translated": "NotPrincipal" in statement,
        "it neither allows nor denies": statement.get("Effect") not in ("Allow", "Deny"),
        "Deny cannot be translated; say what it means with a profile of `effect: deny`": matters and denies,
        "NotAction cannot be translated": matters and "NotAction" in statement,
        "its Condition is none": matters and not isinstance(statement.get("Condition", {}), Mapping),
    }
    return next((text for text, is_so in complaints.items() if is_so), "")


def _principals(statement: Mapping[str, Any]) -> dict[str, list[Any]]:
    principal = statement.get("Principal")
    if isinstance(principal, Mapping):
        return {str(kind): _list(named) for kind, named in principal.items()}
    return {"*": _list(principal)}


def _is_ours(statement: Mapping[str, Any]) -> bool:
    return SERVICE in _principals(statement).get("Service", ())


def _may_be_ours(statement: Mapping[str, Any]) -> bool:
    """Tell whether a principal is, or could stand for, IAM Roles Anywhere; in doubt it does."""
    for kind, named in _principals(statement).items():
        for one in named:
            text = str(one)
            if kind == "Service" and text != SERVICE and not has_wildcard(text):
                continue
            if kind in ("AWS", "Federated", "CanonicalUser") and not has_wildcard(text):
                continue
            return True
    return not any(_principals(statement).values())


def _combined(statements: Sequence[tuple[Mapping[str, Any], Way]]) -> Iterator[Way]:
    """Yield every choice of statements that together allow all three actions."""
    allowing = [[at for at, (one, _) in enumerate(statements) if _names(one, action)] for action in ACTIONS]
    seen: set[frozenset[int]] = set()
    for choice in product(*allowing):
        chosen = frozenset(choice)
        # A choice with more statements than another one only admits fewer.
        if chosen in seen or any(other < chosen for other in seen):
            continue
        seen.add(chosen)
        way: Way | None = None
        for at in sorted(chosen):
            way = statements[at][1] if way is None else _both(way, statements[at][1])
        if way is not None:
            yield way


def _names(statement: Mapping[str, Any], action: str) -> bool:
    return any(pattern(str(one).lower()).matches(action.lower()) for one in _list(statement.get("Action")))


def _both(one: Way, other: Way) -> Way:
    problems = [*one.problems, *(text for text in other.problems if text not in one.problems)]
    conditions, wrong = _merged(one.conditions, other.conditions)
    tags, _ = _merged(one.tags, other.tags)
    return Way(
        anchors=one.anchors & other.anchors,
        names_anchor=one.names_anchor or other.names_anchor,
        conditions=conditions,
        tags=tags,
        problems=(*problems, *wrong),
    )


def _merged(one: Conditions, other: Conditions) -> tuple[Conditions, list[str]]:
    """Return what demands both, and a problem for each key where one condition cannot."""
    found = {operator: dict(block) for operator, block in one.items()}
    problems = []
    for operator, block in other.items():
        for key, values in block.items():
            before = found.setdefault(operator, {}).get(key)
            if before is None or before == values:
                found[operator][key] = values
            elif operator in _NEGATED:
                found[operator][key] = tuple(dict.fromkeys((*before, *values)))
            elif operator == "StringEquals" and (common := tuple(v for v in before if v in values)):
                found[operator][key] = common
            else:
                problems.append(f"two conditions with {operator} on {key} cannot be one")
    return found, problems


# --- conditions ------------------------------------------------------------------------------------


def _translated(statement: Mapping[str, Any], place: str, account: str, anchors: frozenset[str]) -> Way:
    """Return one statement's conditions."""
    way = Way(anchors=anchors, conditions={}, tags={})
    for operator, block in statement.get("Condition", {}).items():
        if not isinstance(block, Mapping):
            way = replace(way, problems=(*way.problems, f"{place}: {shown(operator, 64)} has no keys"))
            continue
        for key, expected in block.items():
            try:
                way = _both(way, _one(str(operator), str(key), expected, account, anchors))
            except _UntranslatableError as error:
                text = f"{place}: {shown(operator, 64)} on {shown(key, 128)}: {error}"
                way = replace(way, problems=(*way.problems, text))
    return way


class _UntranslatableError(Exception):
    """Says why, as the end of a sentence."""


def _one(operator: str, key: str, expected: object, account: str, anchors: frozenset[str]) -> Way:
    if ":" in operator or operator.endswith("IfExists"):
        raise _UntranslatableError("sets and IfExists cannot be translated")
    values = _values(operator, expected)
    name = key.lower()
    if name == "aws:sourcearn":
        kept = frozenset(
            one for one in anchors if _holds(operator, values, one, (*_POSITIVE, *_NEGATED, *_ARNS))
        )
        return Way(anchors=kept, names_anchor="Not" not in operator, conditions={}, tags={})
    if name == "aws:sourceaccount":
        holds = _holds(operator, values, account, (*_POSITIVE, *_NEGATED))
        return Way(anchors=anchors if holds else frozenset(), conditions={}, tags={})
    if name == "sts:sourceidentity":
        return Way(
            anchors=anchors,
            conditions={"StringEquals": {"x509:Subject/CN": _common_names(operator, values)}},
            tags={},
        )
    if name.startswith(_TAG):
        attribute = _attribute(name.removeprefix(_TAG))
        _check_tag(operator, values)
        return Way(
            anchors=anchors,
            conditions={operator: {attribute: values}},
            tags={operator: {attribute.replace("x509:", "x509", 1): values}},
        )
    raise _UntranslatableError("this key is not known here, or means something else to Sallyport")


def _values(operator: str, expected: object) -> tuple[str, ...]:
    given = _list(expected)
    if operator == _NULL:
        given = [str(one).lower() for one in given]
    if not given or not all(isinstance(one, str) and one for one in given):
        raise _UntranslatableError("what is expected is not text, or nothing")
    if any("${" in one for one in given):
        raise _UntranslatableError("variables cannot be translated")
    return tuple(dict.fromkeys(given))


def _holds(operator: str, values: tuple[str, ...], actual: str, known: Sequence[str]) -> bool:
    """Evaluate a condition on something that is known already."""
    if operator not in known:
        raise _UntranslatableError("this operator cannot be translated here")
    try:
        condition = compile_condition(_OURS.get(operator, operator), "request:RoleArn", list(values))
    except TrustFileError:
        raise _UntranslatableError("what is expected cannot be compared") from None
    return condition.judge(actual, condition.test) == MATCH


def _common_names(operator: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if operator not in ("StringEquals", "StringLike"):
        raise _UntranslatableError("only StringEquals can be translated here")
    found = [_SOURCE_IDENTITY.fullmatch(one) for one in values]
    # With a wildcard, a common name of 62 characters and more would fit, to which AWS gives no "CN=".
    if any(one is None for one in found):
        raise _UntranslatableError("only CN= and a common name can be translated, without wildcards")
    return tuple(one[1] for one in found if one is not None)


def _attribute(tag: str) -> str:
    """Return the attribute behind a tag, which IAM takes in any case."""
    field, _, part = tag.partition("/")
    if field in _FIELDS and part.upper() in _PARTS:
        return f"x509:{_FIELDS[field]}/{part.upper()}"
    if field == "x509san" and part in _ALTERNATIVES:
        return f"x509:SAN/{_ALTERNATIVES[part]}"
    if field == "x509san" and part.startswith("name/") and part.removeprefix("name/").upper() in _PARTS:
        return f"x509:SAN/Name/{part.removeprefix('name/').upper()}"
    raise _UntranslatableError(
        "IAM Roles Anywhere documents no such tag; if a certificate's part of this name is meant, write it "
        "by hand (x509:Subject/<part>)"
    )


def _check_tag(operator: str, values: tuple[str, ...]) -> None:
    if operator == _NULL:
        if len(values) != 1 or values[0] not in ("true", "false"):
            raise _UntranslatableError("Null takes true or false")
        return
    if operator not in (*_POSITIVE, *_NEGATED):
        raise _UntranslatableError("this operator cannot be translated")
    patterns = operator.endswith("Like")
    for one in values:
        literal = one.translate(dict.fromkeys(map(ord, WILDCARDS))) if patterns else one
        # IAM Roles Anywhere makes no tag of such a value, so the policy never admitted it.
        if not is_tag_text(literal) or len(literal) > MAX_TAG_VALUE_LENGTH:
            raise _UntranslatableError("STS takes no tag with a value like that, so this never fits at AWS")
        if patterns and matches_anything(one):
            raise _UntranslatableError("a pattern for everything says nothing")


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - JSON that IAM wrote
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
