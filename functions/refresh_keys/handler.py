"""Fetch issuers' keys and revocation lists: all on a schedule, some anchors' when somebody asks."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sallyport.settings import RefreshSettings
from sallyport.wiring import background

refresh = background.key_refresh(RefreshSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Refresh and say what became of each anchor's keys and of each list."""
    return refresh(event, context)
