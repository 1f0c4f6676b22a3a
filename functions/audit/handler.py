"""Count the records that the records rule brings to the audit queue."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sallyport.settings import AuditSettings
from sallyport.wiring import background

count = background.auditor(AuditSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> object:
    """Count a batch; messages that could not be counted go back to the queue alone."""
    return count(event, context)
