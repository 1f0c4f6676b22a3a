"""``POST /``: AWS STS's Query protocol, for every AWS SDK and the AWS CLI as they are.

One action is served, ``AssumeRoleWithWebIdentity``; every other is ``InvalidAction`` and nothing is
ever proxied. Parameters count in the body only: a query string ends in logs.
Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html.
"""

import html
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from sallyport.errors import InvalidActionError, RequestError, SallyportError, ThrottledError
from sallyport.gateway import fields
from sallyport.gateway.http import Answer, HttpRequest, answer
from sallyport.model import Exchanged, ExchangeId, ExchangeRequest, Secret

ROUTE = "POST /"
# A web identity token (20,000), a policy (2,048) and ten ARNs, percent-encoded at the worst, fit.
MAX_BODY_BYTES = 98_304
ACTION = "AssumeRoleWithWebIdentity"
VERSION = "2011-06-15"

# Every parameter of the action, ten policies and some room; more is nobody's honest request.
MAX_PARAMETERS = 32

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_CONTENT_TYPE = "text/xml"
_FORM = "application/x-www-form-urlencoded"
_POLICY_ARN = re.compile(r"PolicyArns\.member\.([1-9][0-9]?)\.arn")
_KNOWN = frozenset(
    {"Action", "Version", "RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds", "Policy"}
)
# What XML 1.0 §2.2 does not let a document contain, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(request: HttpRequest) -> ExchangeRequest:
    """Return what is asked for; raises ``RequestError``."""
    if request.query:
        raise RequestError("parameters-in-query", "Parameters belong into the body of the request.")
    content_type = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if content_type != _FORM:
        raise RequestError("content-type", f"The content type must be {_FORM}.")
    form = _form(request.body)
    action = form.get("Action")
    if action is None:
        raise _MissingActionError("action-missing", "An Action must be given.")
    if action != ACTION or form.get("Version") != VERSION:
        raise InvalidActionError("action", f"Only {ACTION}, version {VERSION}, is served here.")
    arns = _policy_arns(form)
    if not form.get("RoleSessionName"):
        raise RequestError("session-name-missing", "roleSessionName must be given.")
    if form.keys() - _KNOWN - arns.keys():
        raise RequestError("parameter-unknown", f"A parameter is none of {ACTION}'s, or not for OIDC.")
    return ExchangeRequest(
        proof=Secret(fields.token(form.get("WebIdentityToken"))),
        role_arn=fields.role_arn(form.get("RoleArn")),
        route=ROUTE,
        source_ip=request.source_ip,
        user_agent=request.user_agent,
        duration=fields.duration(_number(form.get("DurationSeconds"))),
        session_name=fields.session_name(form["RoleSessionName"]),
        policy=fields.policy(form.get("Policy")),
        policy_arns=fields.policy_arns([form[name] for name in sorted(arns, key=arns.__getitem__)]),
    )


def grant(exchanged: Exchanged) -> Answer:
    """Return the action's XML answer."""
    one = exchanged.credentials
    identity = exchanged.identity
    audience = identity.attributes.get("token:aud")
    source = one.source_identity or exchanged.grant.source_identity
    result = (
        f"<SubjectFromWebIdentityToken>{_text(identity.subject)}</SubjectFromWebIdentityToken>"
        f"<Audience>{_text(audience if isinstance(audience, str) else '')}</Audience>"
        f"<AssumedRoleUser><Arn>{_text(one.assumed_role_arn)}</Arn>"
        f"<AssumedRoleId>{_text(one.assumed_role_id)}</AssumedRoleId></AssumedRoleUser>"
        f"<Credentials><AccessKeyId>{_text(one.access_key_id)}</AccessKeyId>"
        f"<SecretAccessKey>{_text(one.secret_access_key.reveal())}</SecretAccessKey>"
        f"<SessionToken>{_text(one.session_token.reveal())}</SessionToken>"
        f"<Expiration>{iso(one.expiration)}</Expiration></Credentials>"
        f"<Provider>{_text(identity.anchor_arn)}</Provider>"
    )
    if source:
        result += f"<SourceIdentity>{_text(source)}</SourceIdentity>"
    if one.packed_policy_size is not None:
        result += f"<PackedPolicySize>{one.packed_policy_size}</PackedPolicySize>"
    body = (
        f'<{ACTION}Response xmlns="{_NAMESPACE}"><{ACTION}Result>{result}</{ACTION}Result>'
        f"<ResponseMetadata><RequestId>{exchanged.exchange_id}</RequestId></ResponseMetadata>"
        f"</{ACTION}Response>"
    )
    return answer(200, _CONTENT_TYPE, body, exchanged.exchange_id)


def refuse(error: SallyportError, exchange_id: ExchangeId, _request: ExchangeRequest | None) -> Answer:
    """Return STS's error answer. SDKs retry by code, so throttling has STS's status for it."""
    status = 400 if isinstance(error, ThrottledError) else error.status
    kind = "Sender" if status < 500 else "Receiver"  # noqa: PLR2004 - HTTP's own line
    message = error.detail if isinstance(error, RequestError) else error.public
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>{kind}</Type><Code>{error.code}</Code>'
        f"<Message>{_text(message)} (exchange {exchange_id})</Message></Error>"
        f"<RequestId>{exchange_id}</RequestId></ErrorResponse>"
    )
    return answer(status, _CONTENT_TYPE, body, exchange_id)


def iso(when: datetime) -> str:
    """Return a time as AWS writes it: UTC, no fraction, ``Z``."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _MissingActionError(RequestError):
    code = "MissingAction"


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        raise RequestError("body-not-form", "The body is not a form.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise RequestError("parameter-twice", "A parameter was given more than once.")
    return form


def _policy_arns(form: dict[str, str]) -> dict[str, int]:
    found = {}
    for name in form:
        match = _POLICY_ARN.fullmatch(name)
        if match:
            found[name] = int(match[1])
    return found


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII):
        raise RequestError("duration-invalid", "durationSeconds must be a whole number.")
    return int(text)


def _text(value: str) -> str:
    return html.escape(_NOT_XML.sub("\ufffd", value), quote=False)
