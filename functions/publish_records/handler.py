"""Put every new record from the records table's stream on the records bus."""

from typing import Any

from sallyport.settings import PublishSettings
from sallyport.wiring import background

publish = background.publisher(PublishSettings.from_env())


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Publish; what could not be put is named, so that the stream tries again from there."""
    return publish(event)
