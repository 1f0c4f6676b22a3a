"""What all routes share: API Gateway's event in, API Gateway's answer out, errors by class.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
(REST API, payload 1.0). The local emulator differs in the case of header names and joins
duplicates with ``, ``; both spellings are read here, and a duplicate is never silently dropped.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from sallyport.errors import RequestError, SallyportError
from sallyport.exchange import Arrival, Exchange, new_exchange_id
from sallyport.model import Exchanged, ExchangeId, ExchangeRequest

MAX_USER_AGENT = 256

# A UUID on AWS; the letters, digits and length that a search in a log can name without quoting anything.
_GATEWAY_ID = re.compile(r"[A-Za-z0-9-]{8,64}")

Event = Mapping[str, Any]
Answer = dict[str, Any]


class HttpRequest(NamedTuple):
    """A request as it came: nothing decoded but the body's transport encoding.

    ``path`` is without the stage, ``stage_path`` with it; ``api_id`` is the gateway's own id of the API.
    """

    path: str
    headers: Mapping[str, tuple[str, ...]]
    query: Mapping[str, tuple[str, ...]]
    body: bytes
    source_ip: str = ""
    user_agent: str = ""
    method: str = ""
    stage_path: str = ""
    api_id: str = ""

    def __repr__(self) -> str:
        # Headers and body hold the proof.
        return f"HttpRequest({self.path!r}, …)"

    def header(self, name: str) -> str | None:
        """Return a header's one value; raises ``RequestError`` if it was given twice."""
        values = self.headers.get(name, ())
        if len(values) > 1:
            raise RequestError("header-twice", f"The {name} header was given more than once.")
        return values[0] if values else None


class Protocol_(Protocol):  # noqa: N801 - typing has the plain name
    """One protocol's words, each a function of a module in this package."""

    ROUTE: str

    def read(self, request: HttpRequest) -> ExchangeRequest:
        """Check the request's form; raises ``RequestError``."""

    def grant(self, exchanged: Exchanged) -> Answer:
        """Say yes."""

    def refuse(
        self, error: SallyportError, exchange_id: ExchangeId, request: ExchangeRequest | None
    ) -> Answer:
        """Say no, in the words of the error's class; ``request`` is there once its form was accepted."""


Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Routes:
    """Answers events by their route; every error becomes an answer here and nowhere else."""

    protocols: Mapping[str, Protocol_ | ModuleType]
    exchange: Exchange
    clock: Clock

    def __call__(self, event: Event) -> Answer:
        """Return API Gateway's answer for one event."""
        protocol: Any = self.protocols[event["resource"]]
        exchange_id = new_exchange_id()
        request: ExchangeRequest | None = None

        def read() -> ExchangeRequest:
            nonlocal request
            found: ExchangeRequest = protocol.read(read_event(event, protocol.MAX_BODY_BYTES))
            request = found
            return found

        arrival = Arrival(
            route=protocol.ROUTE,
            source_ip=_source_ip(event),
            user_agent=_user_agent(event),
            read=read,
            gateway_id=_gateway_id(event),
        )
        try:
            answer: Answer = protocol.grant(self.exchange(arrival, exchange_id, self.clock()))
        except SallyportError as error:
            answer = protocol.refuse(error, exchange_id, request)
        return answer


def read_event(event: Event, max_body: int) -> HttpRequest:
    """Return the request in an event; raises ``RequestError`` where its body cannot be read."""
    text = event.get("body") or ""
    # Base64 needs four characters for three bytes; nothing is decoded before it is bounded.
    if len(text) > max_body * 4 // 3 + 4:
        raise RequestError("body-too-large", f"The body is larger than {max_body} bytes.")
    try:
        body = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, ValueError):
        raise RequestError("body-encoding", "The body cannot be read.") from None
    if len(body) > max_body:
        raise RequestError("body-too-large", f"The body is larger than {max_body} bytes.")
    context = event.get("requestContext") or {}
    return HttpRequest(
        path=str(event.get("path", "")),
        headers=_multi(event, "multiValueHeaders", "headers", str.lower),
        query=_multi(event, "multiValueQueryStringParameters", "queryStringParameters", str),
        body=body,
        source_ip=_source_ip(event),
        user_agent=_user_agent(event),
        method=str(event.get("httpMethod", "")),
        stage_path=str(context.get("path") or ""),
        # API Gateway writes the request context, of the API that it routed the request to. Nothing that a
        # client sends gets there, and the function's own policy lets no other API invoke it.
        api_id=str(context.get("apiId") or ""),
    )


def answer(status: int, content_type: str, body: str, exchange_id: str, **headers: str) -> Answer:
    """Return an answer that nobody may store and that carries the exchange's id."""
    return {
        "statusCode": status,
        "headers": {
            "Content-Type": content_type,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "x-amzn-RequestId": exchange_id,
            **headers,
        },
        "body": body,
        "isBase64Encoded": False,
    }


def _multi(event: Event, many: str, one: str, name: Callable[[str], str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, values in (event.get(many) or {}).items():
        found[name(key)] = found.get(name(key), ()) + tuple(str(value) for value in values or ())
    if not found:
        for key, value in (event.get(one) or {}).items():
            found[name(key)] = (*found.get(name(key), ()), str(value))
    return found


def _source_ip(event: Event) -> str:
    # The gateway's own view; X-Forwarded-For is whatever the client liked to write.
    identity = (event.get("requestContext") or {}).get("identity") or {}
    return str(identity.get("sourceIp") or "unknown")[:64]


def _gateway_id(event: Event) -> str:
    found = str((event.get("requestContext") or {}).get("requestId") or "")
    return found if _GATEWAY_ID.fullmatch(found) else ""


def _user_agent(event: Event) -> str:
    for name, value in (event.get("headers") or {}).items():
        if name.lower() == "user-agent":
            return str(value)[:MAX_USER_AGENT]
    return ""
