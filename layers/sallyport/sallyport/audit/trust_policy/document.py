"""A role's trust policy, taken apart into what can be reasoned about, whatever it was written as.

Nothing here raises: what is not understood becomes a reason, and whoever asks has to say "cannot tell".
Source of the grammar: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from sallyport.audit.account_ids import is_account_id
from sallyport.audit.finding import Severity, safe
from sallyport.audit.trust_policy.conditions import Clause, Family, Test, read_test
from sallyport.audit.weakness import Change, PathOfChange, Verdict, Weakness
from sallyport.model import JsonValue
from sallyport.proof.strict_json import parse_object
from sallyport.trust.wildcards import pattern

MAX_TEXT: Final = 65_536
"""IAM takes 4,096 characters of trust policy beside white space; percent-encoding makes three of one."""

MAX_STATEMENTS: Final = 100
"""The shortest statement takes more than 40 of those characters."""

MAX_WORK: Final = 150_000
"""Statements, times principals, times principals and expected values: what comparing each with each takes.
One statement for 300 accounts has 90,000. CloudTrail also has policies that IAM has refused, so whoever may
call IAM could write one that keeps us busy."""

ASSUME_ROLE: Final = "sts:AssumeRole"
WEB_IDENTITY: Final = "sts:AssumeRoleWithWebIdentity"
SAML: Final = "sts:AssumeRoleWithSAML"
TAG_SESSION: Final = "sts:TagSession"
SET_SOURCE_IDENTITY: Final = "sts:SetSourceIdentity"

ANYBODY: Final = "*"

_MEMBERS: Final = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"}
)
_KINDS: Final = ("AWS", "Service", "Federated", "CanonicalUser")
_VERSIONS: Final = ("2012-10-17", "2008-10-17")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who: ``kind`` is ``AWS``, ``Service``, ``Federated``, ``CanonicalUser``, or ``*`` for all of them."""

    kind: str
    value: str


EVERYBODY: Final = Principal(ANYBODY, ANYBODY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement. ``principals`` are those named; with ``is_all_but`` it is about everybody else."""

    index: int
    path: PathOfChange
    allows: bool
    principals: tuple[Principal, ...]
    is_all_but: bool
    actions: tuple[str, ...]
    is_all_actions_but: bool
    tests: tuple[Test, ...]

    def has_action(self, action: str) -> bool:
        """Tell whether it is about a call."""
        listed = any(pattern(one).matches(action.lower()) for one in self.actions)
        return listed is not self.is_all_actions_but

    @property
    def subjects(self) -> tuple[Principal, ...]:
        """Whom it lets in: with ``NotPrincipal`` everybody, but for a few."""
        return (EVERYBODY,) if self.is_all_but else self.principals


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A part that was not understood. ``statement`` is its index, ``None`` for the whole document."""

    code: str
    statement: int | None
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in: a statement that lets a principal make a call.

    ``clauses`` are what the statement demands and what the Deny statements leave of it; each must be met.
    """

    statement: Statement
    principal: Principal
    action: str
    clauses: tuple[Clause, ...]

    def weakness(  # noqa: PLR0913 - what a weakness is made of
        self,
        code: str,
        severity: Severity,
        text: str,
        cure: str,
        *,
        subject: str = "",
        verdict: Verdict = Verdict.WEAK,
        set_to: tuple[PathOfChange, JsonValue] | None = None,
    ) -> Weakness:
        """Return a weakness of this way in.

        Args:
            code: its code.
            severity: how urgent it is.
            text: what it means.
            cure: what would mend it.
            subject: what it is about, if not the principal.
            verdict: how sure it is.
            set_to: where in the statement something would have to stand, and what.
        """
        change = None if set_to is None else Change(path=(*self.statement.path, *set_to[0]), value=set_to[1])
        return Weakness(
            code=code,
            severity=severity,
            verdict=verdict,
            statement=self.statement.index,
            subject=safe(subject or self.principal.value),
            text=text,
            cure=cure,
            change=change,
        )


def equals(key: str) -> PathOfChange:
    """Return where in a statement a value for ``StringEquals`` stands."""
    return ("Condition", "StringEquals", key)


@dataclass(frozen=True, slots=True)
class Policy:
    """A trust policy as far as it was understood, and where it was not."""

    statements: tuple[Statement, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def ways(self, action: str, *kinds: str) -> Iterator[Way]:
        """Yield the ways in by a call, for principals of some kinds; ``*`` is a kind of its own."""
        for statement in self.statements:
            if not (statement.allows and statement.has_action(action)):
                continue
            for principal in self._subjects(statement, action):
                if principal.kind not in kinds:
                    continue
                left = self._left(principal, action)
                if left is not None:
                    demanded = tuple((test,) for test in statement.tests)
                    yield Way(
                        statement=statement, principal=principal, action=action, clauses=demanded + left
                    )

    def _subjects(self, statement: Statement, action: str) -> Iterator[Principal]:
        """Yield whom a statement lets in: of everybody, also those whom a Deny of all others spares."""
        found = dict.fromkeys(statement.subjects)
        if any(one.value == ANYBODY for one in statement.subjects):
            for other in self.statements:
                if not other.allows and other.is_all_but and other.has_action(action):
                    found |= dict.fromkeys(other.principals)
        yield from found

    def _left(self, principal: Principal, action: str) -> tuple[Clause, ...] | None:
        """Return what the Deny statements leave to a principal; ``None`` if that is nothing."""
        found: list[Clause] = []
        for statement in self.statements:
            if statement.allows or not statement.has_action(action):
                continue
            covers = _covers(statement, principal)
            if covers is False:
                continue
            if covers is None:
                found.append((_UNKNOWN,))
            elif not statement.tests:
                return None
            else:
                # Denied is who meets every test; left is who does not meet one of them.
                found.append(tuple(test.turned() for test in statement.tests))
        return tuple(found)


_UNKNOWN: Final = Test(operator="", key="", name="", family=Family.UNKNOWN)


def account_of(principal: str) -> str:
    """Return the account of an AWS principal, or an empty text if it has none of the known forms."""
    if is_account_id(principal):
        return principal
    parts = principal.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2] not in ("iam", "sts") or parts[3]:  # noqa: PLR2004 - an ARN
        return ""
    account = parts[4]
    return account if is_account_id(account) else ""


def is_whole_account(principal: str) -> bool:
    """Tell whether an AWS principal stands for everybody to whom its account gives permission."""
    return account_of(principal) == principal != "" or (
        account_of(principal) != "" and principal.endswith(":root")
    )


def _covers(statement: Statement, principal: Principal) -> bool | None:
    """Tell whether a Deny is about all that a principal stands for; ``None`` if that cannot be told."""
    if statement.is_all_but:
        return _covers_all_but(statement, principal)
    for one in statement.principals:
        if one in (principal, EVERYBODY) or (one == Principal("AWS", ANYBODY) and principal.kind == "AWS"):
            return True
        if (
            one.kind == principal.kind == "AWS"
            and is_whole_account(one.value)
            and account_of(one.value) == account_of(principal.value) != ""
        ):
            return True
    if principal.value == ANYBODY:
        # Whether services are AWS principals is not said. Where a few are taken away, strangers stay.
        return None if Principal("AWS", ANYBODY) in statement.principals else False
    same_kind = any(one.kind in (principal.kind, ANYBODY) for one in statement.principals)
    everybody = any(one.value == ANYBODY for one in statement.principals)
    accounts = {account_of(one.value) for one in statement.principals}
    if everybody or (
        same_kind and is_whole_account(principal.value) and account_of(principal.value) in accounts
    ):
        return None
    return False


def _covers_all_but(statement: Statement, principal: Principal) -> bool | None:
    """Do the same for ``NotPrincipal``: whether IAM spares somebody hangs on more than his own ARN."""
    if EVERYBODY in statement.principals or Principal("AWS", ANYBODY) in statement.principals:
        return False if principal.kind in ("AWS", ANYBODY) else None
    if principal.value == ANYBODY:
        return True
    if principal in statement.principals:
        return False
    same = {account_of(one.value) for one in statement.principals if one.kind == "AWS"}
    return None if principal.kind == "AWS" and account_of(principal.value) in same else True


# --- reading --------------------------------------------------------------------------------------


def read_policy(document: object) -> Policy:
    """Take a trust policy apart.

    Args:
        document: an object as boto3 returns it, or its text, percent-encoded or not.
    """
    parsed = _parsed(document)
    if parsed is None:
        return Policy(gaps=(_gap("policy-unreadable", None, "", _UNREADABLE),))
    gaps: list[Gap] = []
    version = parsed.get("Version", "2008-10-17")
    strange = sorted(parsed.keys() - {"Version", "Id", "Statement"})
    if version not in _VERSIONS or strange:
        what = f"the member {strange[0]}" if strange else "its version"
        gaps.append(_gap("policy-unreadable", None, what, "the policy has a form that is not known here"))
    listed = parsed.get("Statement")
    single = isinstance(listed, dict)
    statements: list[JsonValue] = [listed] if single else listed if isinstance(listed, list) else []
    if not statements or len(statements) > MAX_STATEMENTS:
        text = "the policy has no statements that could be read" if not statements else "it has too many"
        return Policy(gaps=(*gaps, _gap("policy-unreadable", None, "Statement", text)))
    found: list[Statement] = []
    for index, one in enumerate(statements):
        path: PathOfChange = ("Statement",) if single else ("Statement", index)
        statement = _statement(one, index, path, gaps, literal=version != _VERSIONS[0])
        if statement is not None:
            found.append(statement)
    if _work(found) > MAX_WORK:
        text = "the policy is longer and more entangled than any that IAM would take"
        return Policy(gaps=(*gaps, _gap("policy-unreadable", None, "Statement", text)))
    return Policy(tuple(found), tuple(gaps))


def _work(statements: Sequence[Statement]) -> int:
    principals = sum(len(one.principals) for one in statements)
    values = sum(len(test.values) + 1 for one in statements for test in one.tests)
    return len(statements) * principals * (principals + values)


_UNREADABLE: Final = (
    "the policy cannot be read: it is missing, too long, no JSON, or says one thing twice, which two readers "
    "could understand in two ways"
)


def _parsed(document: object) -> dict[str, JsonValue] | None:
    """Return a document as strict JSON has it: one way of reading, whoever gave it."""
    text = document
    try:
        if isinstance(document, str) and len(document) <= MAX_TEXT:
            text = document if document.lstrip()[:1] == "{" else unquote(document, errors="strict")
        elif isinstance(document, dict):
            # Objects come from clients that have read them already; what they read is looked at again.
            text = json.dumps(document)
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            return None
        return parse_object(text.encode("utf-8"))
    except (ValueError, TypeError, RecursionError):
        return None


def _statement(
    document: JsonValue, index: int, path: PathOfChange, gaps: list[Gap], *, literal: bool
) -> Statement | None:
    def cannot(subject: str, text: str) -> None:
        gaps.append(_gap("statement-unreadable", index, subject, text))

    if not isinstance(document, dict):
        cannot("Statement", "the statement is not an object")
        return None
    strange = sorted(document.keys() - _MEMBERS)
    effect = document.get("Effect")
    if strange or effect not in ("Allow", "Deny"):
        cannot(strange[0] if strange else "Effect", "the statement has a form that is not known here")
        return None
    if ("Principal" in document) is ("NotPrincipal" in document) or ("Action" in document) is (
        "NotAction" in document
    ):
        cannot("Principal", "it is not said once who may do what")
        return None
    is_all_but, is_all_actions_but = "NotPrincipal" in document, "NotAction" in document
    principals = _principals(document["NotPrincipal" if is_all_but else "Principal"])
    actions = _strings(document["NotAction" if is_all_actions_but else "Action"])
    if principals is None or not actions:
        cannot("Principal" if principals is None else "Action", "it cannot be read who may do what")
        return None
    tests = _tests(document.get("Condition"), index, gaps, literal=literal)
    return Statement(
        index=index,
        path=path,
        allows=effect == "Allow",
        principals=principals,
        is_all_but=is_all_but,
        actions=tuple(one.strip().lower() for one in actions),
        is_all_actions_but=is_all_actions_but,
        tests=tests,
    )


def _principals(document: JsonValue) -> tuple[Principal, ...] | None:
    if document == ANYBODY:
        return (EVERYBODY,)
    if not isinstance(document, dict) or not document or document.keys() - set(_KINDS):
        return None
    found: list[Principal] = []
    for kind, values in document.items():
        listed = _strings(values)
        if not listed:
            return None
        found += [Principal(kind, one) for one in listed]
    return tuple(dict.fromkeys(found))


def _tests(document: JsonValue, index: int, gaps: list[Gap], *, literal: bool) -> tuple[Test, ...]:
    if document is None or document == {}:
        return ()
    if not isinstance(document, dict):
        gaps.append(_gap("condition-unreadable", index, "Condition", "the condition is not an object"))
        return (_UNKNOWN,)
    found: list[Test] = []
    seen: set[tuple[str, str]] = set()
    for operator, block in document.items():
        if not isinstance(block, dict):
            gaps.append(_gap("condition-unreadable", index, operator, "what it compares is not an object"))
            found.append(_UNKNOWN)
            continue
        for key, expected in block.items():
            test = read_test(operator, key, expected, literal=literal)
            same = (operator.strip().lower(), test.name)
            if test.family is Family.UNKNOWN or same in seen:
                why = "is not known here" if same not in seen else "stands there twice, in different letters"
                gaps.append(_gap("condition-unreadable", index, f"{operator} {key}", f"the comparison {why}"))
                test = _UNKNOWN
            seen.add(same)
            found.append(test)
    return tuple(found)


def _strings(document: JsonValue) -> Sequence[str] | None:
    listed: list[Any] = document if isinstance(document, list) else [document]
    found = [one for one in listed if isinstance(one, str) and one.strip()]
    return found if len(found) == len(listed) else None


def _gap(code: str, statement: int | None, subject: str, text: str) -> Gap:
    return Gap(code=code, statement=statement, subject=subject, text=text)
