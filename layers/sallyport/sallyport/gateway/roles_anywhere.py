"""``POST /sessions``: IAM Roles Anywhere's CreateSession, for its clients as they are.

The ARNs come in the query or in the body, the answer and the errors are restJson1's: the error's code in
``x-amzn-errortype``, its text as ``message``. Texts are AWS's own where it has one, because operators of
these clients know them and search for them.
Source: https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-create-session.html.
"""

import json
from uuid import UUID, uuid5

from sallyport.errors import (
    DeniedError,
    ProofError,
    RequestError,
    SallyportError,
    SessionNameError,
    ThrottledError,
    UnavailableError,
)
from sallyport.gateway import fields
from sallyport.gateway.http import Answer, HttpRequest, answer
from sallyport.gateway.sts_query import iso
from sallyport.model import Exchanged, ExchangeId, ExchangeRequest, Identity, SignedRequest
from sallyport.proof.create_session import MAX_BODY_BYTES, parse_parameters

__all__ = ["MAX_BODY_BYTES", "ROUTE", "grant", "read", "refuse"]

ROUTE = "POST /sessions"
_CONTENT_TYPE = "application/json"
_CREATED = 201
_ACCESS_DENIED = "AccessDeniedException"
_OURS = "InternalServerException"
# Clients try again by code, not by status: these are the ones that their SDK knows.
_RETRIED = ((ThrottledError, "ThrottlingException"), (UnavailableError, "ServiceUnavailableException"))


def read(request: HttpRequest) -> ExchangeRequest:
    """Return what is asked for; raises ``RequestError``.

    The whole request is the proof, and the verifier reads what is asked for out of the very bytes that
    were signed; what is read here is the same, by the same function.
    """
    asked = parse_parameters(request.query, request.body)
    return ExchangeRequest(
        proof=SignedRequest(
            method=request.method,
            paths=tuple(path for path in (request.stage_path, request.path) if path),
            query=request.query,
            headers=request.headers,
            body=request.body,
            api_id=request.api_id,
        ),
        role_arn=fields.role_arn(asked.role_arn),
        route=ROUTE,
        source_ip=request.source_ip,
        user_agent=request.user_agent,
        duration=asked.duration,
        session_name=asked.session_name,
        profile=asked.profile_arn,
        instance_properties=asked.instance_properties,
    )


def grant(exchanged: Exchanged) -> Answer:
    """Return the session. Clients differ in which members they insist on, so that none is left out."""
    one = exchanged.credentials
    body = {
        "credentialSet": [
            {
                "assumedRoleUser": {"arn": one.assumed_role_arn, "assumedRoleId": one.assumed_role_id},
                "credentials": {
                    "accessKeyId": one.access_key_id,
                    "secretAccessKey": one.secret_access_key.reveal(),
                    "sessionToken": one.session_token.reveal(),
                    "expiration": iso(one.expiration),
                },
                "packedPolicySize": one.packed_policy_size or 0,
                "roleArn": exchanged.grant.role_arn,
                "sourceIdentity": one.source_identity or exchanged.grant.source_identity or "",
            }
        ],
        "subjectArn": subject_arn(exchanged.identity),
    }
    return answer(_CREATED, _CONTENT_TYPE, json.dumps(body), exchanged.exchange_id)


def refuse(error: SallyportError, exchange_id: ExchangeId, request: ExchangeRequest | None) -> Answer:
    """Return an error in AWS's words. Of the request it repeats the role's ARN, whose form was checked.

    The exchange's id is in the body as well: API Gateway puts an id of its own into the header that clients
    show, and ours into ``x-amzn-remapped-x-amzn-requestid``.
    """
    code, message = _words(error, request)
    body = json.dumps({"message": message, "exchangeId": exchange_id})
    return answer(error.status, _CONTENT_TYPE, body, exchange_id, **{"x-amzn-errortype": code})


def subject_arn(identity: Identity) -> str:
    """Return an ARN in the form that clients expect, the same for every request of one subject."""
    subject = uuid5(UUID(identity.anchor_id), identity.subject)
    return f"{identity.anchor_arn.rpartition(':')[0]}:subject/{subject}"


def _words(error: SallyportError, request: ExchangeRequest | None) -> tuple[str, str]:
    match error:
        case RequestError():
            return "ValidationException", error.detail
        case ProofError():
            return error.code, error.public
        case SessionNameError():
            return _ACCESS_DENIED, "Not authorized to set roleSessionName."
        case DeniedError():
            role = "the role" if request is None else request.role_arn
            return _ACCESS_DENIED, f"Unable to assume role for {role}"
        case _:
            code = next((code for kind, code in _RETRIED if isinstance(error, kind)), _OURS)
            return code, error.public
