"""Cognito's pre token generation: put what is declared for a user pool into its tokens, or refuse them."""

from typing import Any

from sallyport.settings import TriggerSettings
from sallyport.wiring import tokens

trigger = tokens.token_trigger(TriggerSettings.from_env())  # once, in init: SnapStart's snapshot holds it


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Return Cognito's event (version 1, 2 or 3) with the claims; raise where there is to be no token."""
    return trigger(event)
