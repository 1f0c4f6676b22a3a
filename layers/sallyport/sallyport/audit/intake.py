"""The first form of audit: count every record that comes by bus, rule and queue, once.

The queue delivers at least once and the stream may publish twice; the record's id decides.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sallyport.audit.publish import DETAIL_TYPE, SOURCE
from sallyport.errors import SallyportError

Count = Callable[[str, str], bool]
"""Counts a record by its id and outcome; ``False`` if it was counted before."""


def take(body: str, count: Count) -> bool:
    """Count the record in one queue message; ``False`` if it was there before.

    Raises:
        SallyportError: the message is no record that came by the records rule.
    """
    try:
        event: Mapping[str, Any] = json.loads(body)
        source, kind, detail = event["source"], event["detail-type"], event["detail"]
        record_id, outcome = detail["id"], detail["outcome"]
    except (ValueError, KeyError, TypeError):
        raise SallyportError("not-a-record", "the message is not a record's event") from None
    if source != SOURCE or kind != DETAIL_TYPE or not isinstance(record_id, str):
        raise SallyportError("not-a-record", "the message did not come by the records rule")
    return count(record_id, str(outcome))
