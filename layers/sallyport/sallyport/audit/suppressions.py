"""Which findings need nobody's attention: data with an owner, a reason and an end.

Pure. A suppressed finding is still made and kept; when its suppression has ended, what comes after is
a finding like any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from sallyport.audit.account_ids import is_account_id
from sallyport.audit.display import display
from sallyport.audit.finding import Finding, Severity
from sallyport.audit.posture.codes import CODES, POOL_CODES, RULE_PREFIX
from sallyport.audit.rules.rule import Rule
from sallyport.errors import SallyportError
from sallyport.trust.wildcards import Pattern, literal_prefix, pattern

# Longer, and nobody remembers why.
LONGEST: Final = timedelta(days=400)
MAX_SUPPRESSIONS: Final = 500
MAX_TEXT: Final = 500
MAX_ABOUT: Final = 20
# What an entry says; ``about`` and ``account`` may be left out.
FIELDS: Final = frozenset({"id", "rule", "owner", "reason", "until", "about", "account"})
_TEXTS: Final = ("id", "rule", "owner", "reason", "until")
# Short enough to be everything, for what is at least high: such a suppression would hide an attack.
_LEAST_PREFIX: Final = 8
# Of an ARN, after account and type: all of role/* is every role of the account.
_LEAST_NAME: Final = 4


class SuppressionsError(SallyportError):
    """The suppressions may not be used; ``problems`` says everything that is wrong with them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("suppressions-refused", "; ".join(problems)[:2_000])
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """One entry.

    ``about`` are patterns, of which one must fit what the finding is about (any part of its dedupe
    key); empty means whatever it is about. It holds for events before the end of the day ``until``.
    """

    id: str
    rule: str
    owner: str
    reason: str
    until: date
    about: tuple[str, ...] = ()
    account: str | None = None
    _patterns: tuple[Pattern, ...] = field(default=(), repr=False)

    def covers(self, finding: Finding) -> bool:
        """Tell whether it holds for a finding, by the time of the finding's last event."""
        return (
            finding.rule_id == self.rule
            and self.account in {None, finding.account}
            and finding.last_event.date() <= self.until
            and (
                not self._patterns
                or any(one.matches(part) for one in self._patterns for part in finding.dedupe)
            )
        )


def suppressed_by(finding: Finding, suppressions: Sequence[Suppression]) -> str | None:
    """Return the id of the first suppression that holds for a finding, if any does."""
    return next((one.id for one in suppressions if one.covers(finding)), None)


def load_suppressions(document: object, *, rules: Mapping[str, Rule], today: date) -> tuple[Suppression, ...]:
    """Return the suppressions of a document: ``{"suppressions": [{…}, …]}``.

    Entries that have ended are kept: they hold for events of their time, should one come late.

    Args:
        document: as parsed; no value of it needs to be what it should be.
        rules: those that there are.
        today: no entry may end more than ``LONGEST`` after it.

    Raises:
        SuppressionsError: anything is not as it should be; nothing of the document is used.
    """
    if not isinstance(document, Mapping) or document.keys() != {"suppressions"}:
        raise SuppressionsError(["the document has one member: suppressions"])
    entries = document["suppressions"]
    if not isinstance(entries, list) or len(entries) > MAX_SUPPRESSIONS:
        raise SuppressionsError([f"suppressions is a list of at most {MAX_SUPPRESSIONS} entries"])
    problems: list[str] = []
    found: list[Suppression] = []
    for number, entry in enumerate(entries, 1):
        one = _entry(entry, rules=rules, today=today)
        if isinstance(one, Suppression):
            found.append(one)
        else:
            problems += [f"entry {number}: {problem}" for problem in one]
    ids = [one.id for one in found]
    problems += [f"two entries have the id {display(one)}" for one in sorted({*ids}) if ids.count(one) > 1]
    if problems:
        raise SuppressionsError(problems)
    return tuple(found)


def _entry(entry: Any, *, rules: Mapping[str, Rule], today: date) -> Suppression | list[str]:  # noqa: ANN401 - as parsed
    if not isinstance(entry, Mapping):
        return ["it is no object"]
    problems = [f"unknown field {display(str(name), limit=40)}" for name in entry.keys() - FIELDS]
    problems += [f"{name} is missing or no text" for name in _TEXTS if not _is_text(entry.get(name))]
    about = entry.get("about", [])
    if not isinstance(about, list) or len(about) > MAX_ABOUT or not all(map(_is_text, about)):
        problems.append(f"about is a list of at most {MAX_ABOUT} patterns")
    account = entry.get("account")
    if "account" in entry and not is_account_id(account):
        problems.append("account has twelve digits")
    if problems:
        return problems
    rule = entry["rule"]
    severity = _severity(rule, rules)
    if severity is None:
        return [f"there is no rule {display(entry['rule'], limit=80)}"]
    until = _day(entry["until"])
    if until is None or until > today + LONGEST:
        return [f"until is a day, YYYY-MM-DD, within {LONGEST.days} days"]
    vague = not about or any(map(_is_vague, about))
    if severity >= Severity.HIGH and vague:
        return [f"about is needed for {rule}, which is {severity.name}: name what is meant"]
    return Suppression(
        id=entry["id"],
        rule=rule,
        owner=entry["owner"],
        reason=entry["reason"],
        until=until,
        about=tuple(about),
        account=account,
        _patterns=tuple(map(pattern, about)),
    )


def _severity(rule: str, rules: Mapping[str, Rule]) -> Severity | None:
    """Return how bad it is what a rule finds, or ``None`` where there is no such rule."""
    if rule in rules:
        return rules[rule].severity
    # A weakness of the configuration can be as bad as what has it, so what is meant has to be named.
    code = rule.removeprefix(RULE_PREFIX)
    return Severity.HIGH if code != rule and code in CODES | POOL_CODES else None


def _is_vague(text: str) -> bool:
    """Tell whether a pattern names nothing: what every ARN of an account begins with is no name."""
    named = literal_prefix(text)
    if named == text:
        return False
    if named.startswith("arn:"):
        # arn:partition:service:Region:account:type/path/name; whatever comes after type and account counts.
        resource = named.split(":", 5)[5] if named.count(":") >= 5 else ""  # noqa: PLR2004 - an ARN's parts
        kind = next((one for one in "/:" if one in resource), "/")
        return len(resource.partition(kind)[2]) < _LEAST_NAME
    return len(named) < _LEAST_PREFIX


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= MAX_TEXT and value.isprintable()


def _day(text: str) -> date | None:
    # Exactly this form: fromisoformat reads several.
    if len(text) != 10:  # noqa: PLR2004 - YYYY-MM-DD
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None
    return day.date()
