"""Suppressions in force: one item of the findings table, which operators put there."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sallyport.adapters.aws import JsonService
from sallyport.adapters.tables import Recent, ask
from sallyport.audit.finding import Finding
from sallyport.audit.rules import RULES
from sallyport.audit.suppressions import (
    Suppression,
    SuppressionsError,
    load_suppressions,
    suppressed_by,
)

KEY: Final = "suppressions"
# A suppression may take its time; a burst of findings should not read it for each.
CACHE_SECONDS: Final = 60.0


class SuppressionsItem:
    """Tells which suppression holds for a finding. What cannot be read suppresses nothing."""

    def __init__(
        self,
        dynamodb: JsonService,
        table: str,
        *,
        clock: Callable[[], datetime],
        age: Callable[[], float],
        refused: Callable[[str], None],
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock
        self._refused = refused
        self._held: Recent[tuple[Suppression, ...]] = Recent(age, seconds=CACHE_SECONDS)

    def __call__(self, finding: Finding) -> str | None:
        """Return the id of the suppression that holds for a finding, if any does."""
        return suppressed_by(finding, self._held.get("all", self._read) or ())

    def _read(self) -> tuple[Suppression, ...]:
        arguments = {"TableName": self._table, "Key": {"pk": {"S": KEY}}, "ConsistentRead": True}
        item = ask(self._dynamodb, "GetItem", arguments).get("Item")
        if item is None:
            return ()
        try:
            document = json.loads(item["document"]["S"])
            return load_suppressions(document, rules=RULES, today=self._clock().date())
        except SuppressionsError as error:
            self._refused(error.detail)
        except (KeyError, TypeError, ValueError, RecursionError):
            self._refused("the item is no document")
        return ()
