"""Whether any rule wants to see an event: the rules' selectors, asked at a desk instead of on a bus.

The event patterns are made of the same selectors (``derive``). Pure.
"""

from collections.abc import Callable, Iterable, Mapping

from sallyport.audit.evaluate import FIELDS
from sallyport.audit.events import Observed
from sallyport.audit.rules import RULES
from sallyport.audit.rules.rule import Rule, Where
from sallyport.trust.wildcards import pattern

Wants = Callable[[Observed], bool]


def selection(managed_roles: Iterable[str], rules: Mapping[str, Rule] = RULES) -> Wants:
    """Return what tells whether an event is for any rule.

    Args:
        managed_roles: ARN patterns of the roles that only the exchange may assume.
        rules: whose selectors to take.
    """
    managed = tuple(map(pattern, managed_roles))
    named: dict[tuple[str, str], list[tuple[Wants, ...]]] = {}
    everywhere: list[tuple[str, tuple[Wants, ...]]] = []
    for selector in (one for rule in rules.values() for one in rule.selectors):
        tests = tuple(
            _test(where, lambda arn: any(one.matches(arn) for one in managed)) for where in selector.where
        )
        for name in selector.names:
            named.setdefault((selector.source, name.lower()), []).append(tests)
        if not selector.names:
            everywhere.append((selector.source, tests))

    def wants(event: Observed) -> bool:
        alternatives = named.get((event.source, event.name.lower()), ())
        return any(all(test(event) for test in tests) for tests in alternatives) or any(
            source in ("", event.source) and all(test(event) for test in tests)
            for source, tests in everywhere
        )

    return wants


def _test(where: Where, manages: Callable[[str], bool]) -> Wants:
    field, values = FIELDS[where.path], where.values
    if where.operator == "equals":
        return lambda event: field(event) in values
    if where.operator == "exists":
        return lambda event: field(event) is not None
    if where.operator == "prefix":
        prefixes = tuple(map(str, values))
        return lambda event: isinstance(text := field(event), str) and text.startswith(prefixes)
    return lambda event: isinstance(text := field(event), str) and manages(text)
