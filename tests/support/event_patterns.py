"""A small reader of EventBridge patterns: the operators that ours use, and no other."""

from collections.abc import Mapping
from typing import Any

from sallyport.trust.wildcards import pattern as compiled


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Tell whether an event gets through; an operator that is not known is an error."""
    if not isinstance(event, Mapping):
        return False
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches(one, event) for one in wanted):
                return False
            continue
        found = event.get(name)
        if isinstance(wanted, Mapping):
            if not matches(wanted, found):
                return False
        elif not any(_fits(one, value) for one in wanted for value in _values(found)):
            return False
    return True


def _values(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _fits(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return value is not None and wanted == value
    ((operator, operand),) = wanted.items()
    if operator == "prefix":
        return isinstance(value, str) and value.startswith(operand)
    if operator == "wildcard":
        return isinstance(value, str) and compiled(operand).matches(value)
    raise NotImplementedError(operator)
