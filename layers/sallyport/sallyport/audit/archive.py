"""Which events an archive keeps, so that the rules can look at them once more."""

from collections.abc import Mapping
from typing import Any, Final

# Every call of these is kept: naming them as the rules do would make the pattern longer than it may be.
_WHOLE: Final = "calls-"
_NAMED: Final = "calls-own-parts"


def archive_pattern(patterns: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return one pattern that lets through whatever any of the event patterns does, and somewhat more.

    What is replayed goes to the bus, whose rules look at it again: more does no harm, less would.

    Args:
        patterns: as ``event_patterns.event_patterns`` returns them.
    """
    sources: set[str] = set()
    alternatives: list[dict[str, Any]] = []
    for name, pattern in patterns.items():
        detail = pattern.get("detail")
        if detail is None:
            alternatives.append({"detail-type": pattern["detail-type"]})
        elif name.startswith(_WHOLE) and name != _NAMED:
            sources.update(detail["eventSource"])
    for pattern in patterns.values():
        detail = pattern.get("detail", {})
        # Calls of a service that is kept whole are kept, whatever else is asked of them.
        if detail and not sources.issuperset(detail.get("eventSource", [""])):
            alternatives.append({"detail": dict(detail)})
    if sources:
        alternatives.append({"detail": {"eventSource": sorted(sources)}})
    return {"source": [{"prefix": "aws."}], "$or": alternatives}
