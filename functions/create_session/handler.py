"""POST /sessions: trade a request signed with an X.509 key for AWS credentials."""

from typing import Any

from sallyport.settings import SessionSettings
from sallyport.wiring import exchanges

routes = exchanges.session_routes(SessionSettings.from_env())  # once, in init: SnapStart's snapshot holds it


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request of API Gateway's REST API (payload 1.0)."""
    return routes(event)
