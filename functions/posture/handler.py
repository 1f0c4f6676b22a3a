"""Look at what could happen, once a day, and every few minutes whether the audit still hears."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sallyport.settings import PostureSettings
from sallyport.wiring import posturing

posture = posturing.posture(PostureSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Look at what ``look`` names (``account`` or ``chain``), or at both, and say how much was found."""
    return posture(event, context)
