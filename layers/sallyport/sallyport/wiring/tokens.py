"""Builds the pre-token-generation trigger. Cognito waits for it, so it imports as little as it can."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from sallyport.audit.display import display
from sallyport.cognito.load import load_mapping
from sallyport.cognito.trigger import respond
from sallyport.errors import ConfigurationError, TokenRefusedError
from sallyport.settings import TriggerSettings

OF_ONE_USER: Final = frozenset(
    {
        "trigger-tag-missing",
        "trigger-tag-illegal",
        "trigger-tag-not-allowed",
        "trigger-tag-ambiguous",
    }
)
"""Reasons that lie in the attributes or groups of whoever signs in. They are counted, and taken off the
errors that ring the alarm; every other reason is one that meets more than one user."""

# Where in an event stands what tells one sign-in from another. No attribute but Cognito's own id.
_LOGGED = {
    "version": ("version",),
    "trigger_source": ("triggerSource",),
    "user_pool": ("userPoolId",),
    "client": ("callerContext", "clientId"),
    "sub": ("request", "userAttributes", "sub"),
}


def token_trigger(
    settings: TriggerSettings, logger: Logger | None = None
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return the trigger, with its mapping read and checked.

    Raises:
        ConfigurationError: there is no mapping that may be used.
    """
    mapping = load_mapping(_mapping(settings))
    log, metrics = logger or Logger(location=None), Metrics()

    def run(event: dict[str, Any]) -> dict[str, Any]:
        try:
            return respond(event, mapping)
        except TokenRefusedError as error:
            log.warning(
                "token refused", extra={"reason": error.reason, "detail": error.detail, **_logged(event)}
            )
            if error.reason in OF_ONE_USER:
                metrics.add_metric(name="TokenRefused", unit=MetricUnit.Count, value=1)
                metrics.flush_metrics()
            raise

    return run


def _mapping(settings: TriggerSettings) -> bytes:
    if settings.tag_mapping:
        return settings.tag_mapping.encode("utf-8", "replace")
    try:
        return Path(settings.tag_mapping_file).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "tag-mapping-unreadable", "SALLYPORT_TAG_MAPPING_FILE cannot be read"
        ) from error


def _logged(event: object) -> dict[str, str]:
    found = {}
    for name, place in _LOGGED.items():
        value = event
        for step in place:
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, str):
            found[name] = display(value, markup=False)
    return found
