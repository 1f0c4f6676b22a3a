"""``POST /credentials``: JSON, for ``curl`` and scripts.

The token comes as ``Authorization: Bearer``; the answer is exactly what ``credential_process``
prints (https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html).
"""

import json
import re
from typing import Any

from sallyport.errors import RequestError, SallyportError
from sallyport.gateway import fields
from sallyport.gateway.http import Answer, HttpRequest, answer
from sallyport.gateway.sts_query import iso
from sallyport.model import Exchanged, ExchangeId, ExchangeRequest, JsonValue, Secret
from sallyport.proof.strict_json import parse_object

ROUTE = "POST /credentials"
# The token is in a header. The longest ARN and the names of a session and a profile take about half of this.
MAX_BODY_BYTES = 4_096
_CONTENT_TYPE = "application/json"
_BEARER = re.compile(r"Bearer ([A-Za-z0-9_.=~+/-]+)", re.IGNORECASE)
_KNOWN = frozenset({"roleArn", "durationSeconds", "sessionName", "profile"})


def read(request: HttpRequest) -> ExchangeRequest:
    """Return what is asked for; raises ``RequestError``."""
    if request.query:
        raise RequestError("parameters-in-query", "Parameters belong into the body of the request.")
    bearer = _BEARER.fullmatch(request.header("authorization") or "")
    if bearer is None:
        raise RequestError("token-missing", "Send the token as 'Authorization: Bearer <token>'.")
    try:
        body = parse_object(request.body)
    except (ValueError, RecursionError):
        raise RequestError("body-not-json", "The body is not one JSON object.") from None
    if body.keys() - _KNOWN:
        raise RequestError("member-unknown", f"Only these members are known: {', '.join(sorted(_KNOWN))}.")
    return ExchangeRequest(
        proof=Secret(fields.token(bearer[1])),
        role_arn=fields.role_arn(_string(body, "roleArn")),
        route=ROUTE,
        source_ip=request.source_ip,
        user_agent=request.user_agent,
        duration=fields.duration(_integer(body, "durationSeconds")),
        session_name=fields.session_name(_string(body, "sessionName")),
        profile=fields.profile(_string(body, "profile")),
    )


def grant(exchanged: Exchanged) -> Answer:
    """Return what ``credential_process`` prints."""
    one = exchanged.credentials
    body = {
        "Version": 1,
        "AccessKeyId": one.access_key_id,
        "SecretAccessKey": one.secret_access_key.reveal(),
        "SessionToken": one.session_token.reveal(),
        "Expiration": iso(one.expiration),
        "AccountId": exchanged.grant.role_arn.split(":")[4],
    }
    return answer(200, _CONTENT_TYPE, json.dumps(body), exchanged.exchange_id)


def refuse(error: SallyportError, exchange_id: ExchangeId, _request: ExchangeRequest | None) -> Answer:
    """Return an error with its code, one sentence and the exchange's id."""
    body: dict[str, Any] = {
        "code": error.code,
        "message": error.detail if isinstance(error, RequestError) else error.public,
        "exchangeId": exchange_id,
    }
    return answer(error.status, _CONTENT_TYPE, json.dumps(body), exchange_id)


def _string(body: dict[str, JsonValue], name: str) -> str | None:
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    raise RequestError("member-type", f"{name} must be a string.")


def _integer(body: dict[str, JsonValue], name: str) -> int | None:
    value = body.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise RequestError("member-type", f"{name} must be a whole number.")
