"""Which rules want to see an event: their selectors, asked by the audit and by whoever replays a trail.

Pure. The event patterns are made of the same selectors (``event_patterns``). Rules are found by service and
name of the call, so that an event costs what the few rules cost that are for it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from sallyport.audit.events import Observed
from sallyport.audit.rules import RULES
from sallyport.audit.rules.context import is_managed_by
from sallyport.audit.rules.rule import Rule, Where

Manages = Callable[[str], bool]
"""Tells whether a role is one that only the exchange may assume (``Estate.manages``)."""

Wants = Callable[[Observed], bool]
"""Tells whether any rule wants to see an event."""

_Test = Callable[[Observed, Manages], bool]

# Where a selector's condition looks. CloudTrail's names, since queries and patterns use them too.
FIELDS: Final[Mapping[str, Callable[[Observed], object]]] = MappingProxyType(
    {
        "userIdentity.type": lambda event: event.caller.type,
        "userIdentity.accessKeyId": lambda event: event.caller.access_key,
        "userIdentity.sessionContext.sessionIssuer.arn": lambda event: event.caller.role_arn,
    }
)


class Selection:
    """Rules by what they select. Build it once; it keeps nothing of what it sees."""

    def __init__(self, rules: Mapping[str, Rule] = RULES) -> None:
        named: dict[tuple[str, str], list[tuple[Rule, tuple[_Test, ...]]]] = {}
        everywhere: list[tuple[str, Rule, tuple[_Test, ...]]] = []
        for rule in rules.values():
            for selector in rule.selectors:
                tests = tuple(map(_test, selector.where))
                for name in selector.names:
                    # Services spell the same call differently in different places.
                    named.setdefault((selector.source, name.lower()), []).append((rule, tests))
                if not selector.names:
                    everywhere.append((selector.source, rule, tests))
        self._named = {call: tuple(found) for call, found in named.items()}
        self._everywhere = tuple(everywhere)

    def __call__(self, event: Observed, manages: Manages) -> Collection[Rule]:
        """Return the rules that want to see an event, each once."""
        found: dict[str, Rule] = {}
        for rule, tests in self._named.get((event.source, event.name.lower()), ()):
            if all(test(event, manages) for test in tests):
                found[rule.id] = rule
        for source, rule, tests in self._everywhere:
            if source in ("", event.source) and all(test(event, manages) for test in tests):
                found[rule.id] = rule
        return found.values()


def wanted_by_any(managed_roles: Iterable[str]) -> Wants:
    """Return what tells whether an event is for any rule, for whoever has no deployment at hand.

    Args:
        managed_roles: ARN patterns of the roles that only the exchange may assume.
    """
    select = Selection()
    manages = is_managed_by(managed_roles)
    return lambda event: bool(select(event, manages))


def _test(where: Where) -> _Test:
    field, values = FIELDS[where.path], where.values
    if where.operator == "equals":
        wanted = frozenset(values)
        return lambda event, _manages: field(event) in wanted
    if where.operator == "prefix":
        prefixes = tuple(map(str, values))
        return lambda event, _manages: isinstance(text := field(event), str) and text.startswith(prefixes)
    if where.operator == "exists":
        return lambda event, _manages: field(event) is not None
    return lambda event, manages: isinstance(text := field(event), str) and manages(text)
