"""The context that Lambda hands to a function, as far as ours look at it."""

from types import SimpleNamespace
from typing import Any


def lambda_context(seconds_left: float = 900.0) -> Any:
    """A context of an invocation that may still take so long."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: int(seconds_left * 1_000))
