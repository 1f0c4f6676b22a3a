"""Make findings of what records, CloudTrail and the trust table's stream bring."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from sallyport.settings import AuditSettings
from sallyport.wiring import auditing

audit = auditing.auditor(AuditSettings.from_env())


def handler(event: dict[str, Any], context: LambdaContext) -> object:
    """Take a batch; messages that could not be taken go back to their queue alone."""
    return audit(event, context)
