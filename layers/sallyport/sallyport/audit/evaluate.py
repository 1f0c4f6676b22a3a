"""One event, all rules: which of them look, and what becomes of what they say.

Pure but for the look-ups that the context offers. Which rules want to see an event, ``selection`` says.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sallyport.audit.events import Observed, RecordEvent, TrustChange
from sallyport.audit.finding import (
    MAX_DESCRIPTION,
    MAX_IDENTIFIER,
    MAX_RESOURCES,
    MAX_TITLE,
    CannotTell,
    Finding,
    Resource,
    bounded_evidence,
    finding_id,
    safe,
    window_of,
)
from sallyport.audit.rules import RULES
from sallyport.audit.rules.context import Context
from sallyport.audit.rules.rule import NO_MATCH, Match, Rule, Unclear, Verdict
from sallyport.audit.selection import Selection
from sallyport.errors import UnavailableError


class Evaluator:
    """Rules, indexed. Build it once; it keeps nothing of what it sees."""

    def __init__(self, rules: Mapping[str, Rule] = RULES) -> None:
        self._select = Selection(rules)
        self._records = tuple(rule for rule in rules.values() if rule.on == "record")
        self._trust = tuple(rule for rule in rules.values() if rule.on == "trust")

    def __call__(
        self, event: Observed | RecordEvent | TrustChange, context: Context
    ) -> list[Finding | CannotTell]:
        """Return what the rules say of one event.

        A rule that throws is a ``CannotTell`` with ``is_error``, which whoever calls must count and
        alarm; the other rules are not disturbed.

        Raises:
            UnavailableError: a look-up's table is away. The event must come again.
        """
        said: list[Finding | CannotTell] = []
        for rule in self._for(event, context):
            verdict = _verdict(rule, event, context)
            if verdict is NO_MATCH:
                continue
            if isinstance(verdict, CannotTell):
                said.append(verdict)
            elif isinstance(verdict, Match):
                said.append(_finding(rule, verdict, event, context))
            elif isinstance(verdict, tuple):
                said.extend(_finding(rule, match, event, context) for match in verdict)
        return said

    def _for(self, event: Observed | RecordEvent | TrustChange, context: Context) -> Iterable[Rule]:
        if isinstance(event, RecordEvent):
            return self._records
        if isinstance(event, TrustChange):
            return self._trust
        return self._select(event, context.estate.manages)


def _verdict(rule: Rule, event: Any, context: Context) -> Verdict | CannotTell:  # noqa: ANN401 - by the rule's kind
    try:
        verdict = rule.check(event, context)
        if isinstance(verdict, Unclear):
            return CannotTell(rule.id, verdict.reason, _occurrence(event), again_at=verdict.again_at)
    except UnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a rule raises, the others must still look
        return CannotTell(rule.id, type(error).__name__, _occurrence(event), is_error=True)
    return verdict


def _occurrence(event: Observed | RecordEvent | TrustChange) -> str:
    if isinstance(event, Observed):
        return event.occurrence
    return event.record_id if isinstance(event, RecordEvent) else event.event_id


def _finding(
    rule: Rule, match: Match, event: Observed | RecordEvent | TrustChange, context: Context
) -> Finding:
    account = match.account or event.account or context.estate.account
    start = window_of(event.time, rule.window)
    return Finding(
        id=finding_id(rule.id, account, match.about, start),
        rule_id=rule.id,
        account=safe(account, 64),
        region=safe(event.region or context.estate.region, 64),
        title=rule.title[:MAX_TITLE],
        description=match.why[:MAX_DESCRIPTION],
        severity=rule.severity if match.severity is None else match.severity,
        dedupe=tuple(map(safe, match.about)),
        window_start=start,
        first_event=event.time,
        last_event=event.time,
        count=match.weight,
        resources=tuple(
            sorted({Resource(one.type, safe(one.id)[:MAX_IDENTIFIER]) for one in match.resources})
        )[:MAX_RESOURCES],
        evidence=bounded_evidence(match.evidence),
        event_ids=(safe(_occurrence(event), 128),),
        first=rule.first,
        remedy=rule.remedy,
        runbook=rule.runbook,
        references=rule.references,
        subdued=match.subdued,
    )


_EVALUATOR: Final = Evaluator()


def evaluate(event: Observed | RecordEvent | TrustChange, context: Context) -> list[Finding | CannotTell]:
    """Return what all rules say of one event; see ``Evaluator``."""
    return _EVALUATOR(event, context)
