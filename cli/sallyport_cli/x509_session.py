"""CreateSession as a client: sign, send, try again where that may help, and read the answer.

The bytes that are signed come from ``sallyport.proof.canonical``, which the exchange verifies with. ARNs
go into the body, and the path that is signed is the one that is sent.
Source: https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-sign-process.html.
"""

import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.errors import ProofError
from sallyport.model import Secret
from sallyport.proof import canonical
from sallyport.proof.create_session import MAX_DURATION, MIN_DURATION
from sallyport.web_address import WebAddress, parse_web_address
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import shown
from sallyport_cli.post import REQUEST_ID, Answer, UnreachableError, post, trust_store
from sallyport_cli.x509_identity import ClientIdentity

MAX_HEADER_BYTES: Final = 10_240
"""What API Gateway takes of request line and headers together; the quota cannot be raised.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html.
"""

ATTEMPTS: Final = 3
"""As many as AWS's own client makes."""

FIRST_PAUSE: Final = 0.5
"""Seconds between the first two attempts at the most; the next pause is twice as long."""

SKEW: Final = timedelta(minutes=5)
"""How far a request's date may be from the exchange's clock."""

_ANCHOR: Final = re.compile(
    r"arn:(?P<partition>[a-z0-9-]+):rolesanywhere:(?P<region>[a-z0-9-]{1,32}):[0-9]{12}"
    r":(?P<kind>trust-anchor|profile)/[A-Za-z0-9-]{1,64}"
)
_ROLE: Final = re.compile(r"arn:[a-z0-9-]+:iam::(?P<account>[0-9]{12}):role/[A-Za-z0-9_+=,.@/-]+")
_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")
# What needs no encoding, so that the path has one spelling to sign.
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")
_THROTTLED: Final = frozenset({"ThrottlingException", "TooManyRequestsException"})
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_OK: Final = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for, and of whom: everything but the identity that a session depends on.

    ``address`` is the endpoint with the path that is signed and sent. ``duration`` is in seconds;
    without one the profile decides.
    """

    address: WebAddress
    trust_anchor_arn: str
    profile_arn: str
    role_arn: str
    region: str
    duration: int | None = None
    session_name: str | None = None
    ca_bundle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPost:
    """A request ready to be sent. Its headers show nothing of themselves: until it is old it is a proof."""

    address: WebAddress
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def header_bytes(self) -> int:
        """Bytes of the request line and of all header lines, with their ends."""
        line = f"POST {self.address.target} HTTP/1.1\r\n"
        return len(line) + sum(len(f"{name}: {value}\r\n") for name, value in self.headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCredentials:
    """What was issued. Shows no secret."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    expiration: datetime
    account: str

    def to_credential_process(self) -> dict[str, object]:
        """Return what AWS's tools read.

        Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html.
        """
        return {
            "Version": 1,
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": self.secret_access_key.reveal(),
            "SessionToken": self.session_token.reveal(),
            "Expiration": f"{self.expiration:%Y-%m-%dT%H:%M:%SZ}",
            "AccountId": self.account,
        }


def make_order(  # noqa: PLR0913 - a request has that many members
    *,
    endpoint: str,
    trust_anchor_arn: str,
    profile_arn: str,
    role_arn: str,
    region: str | None = None,
    duration: int | None = None,
    session_name: str | None = None,
    ca_bundle: str | None = None,
) -> Order:
    """Return what is asked for, if an exchange could understand it.

    Raises:
        CommandError: something is malformed.
    """
    found = {
        kind: _ANCHOR.fullmatch(arn)
        for kind, arn in (("trust-anchor", trust_anchor_arn), ("profile", profile_arn))
    }
    for kind, match in found.items():
        if match is None or match["kind"] != kind:
            raise _usage(
                f"The {kind.replace('-', ' ')}'s ARN is not one.",
                f"It looks like arn:aws:rolesanywhere:<region>:<account>:{kind}/<id>; "
                "`sallyport trust show` prints it.",
            )
    account = _ROLE.fullmatch(role_arn)
    if account is None:
        raise _usage("The role's ARN is not one.", "It looks like arn:aws:iam::<account>:role/<path>/<name>.")
    regions = {match["region"] for match in found.values() if match is not None}
    if len(regions) > 1:
        raise _usage(
            "The trust anchor and the profile are in different Regions.",
            "Copy both ARNs from one `sallyport trust show`.",
        )
    region = region or regions.pop()
    if _REGION.fullmatch(region) is None:
        raise _usage(f"{shown(region)} is not the name of a Region.", "It looks like eu-central-1.")
    if duration is not None and not MIN_DURATION <= duration <= MAX_DURATION:
        raise _usage(
            f"A session cannot last {duration} seconds.", f"Ask for {MIN_DURATION} to {MAX_DURATION} seconds."
        )
    if session_name is not None and _SESSION_NAME.fullmatch(session_name) is None:
        raise _usage("This cannot be a session's name.", "Use 2 to 64 letters, digits and _ + = , . @ -.")
    return Order(
        address=_address(endpoint),
        trust_anchor_arn=trust_anchor_arn,
        profile_arn=profile_arn,
        role_arn=role_arn,
        region=region,
        duration=duration,
        session_name=session_name,
        ca_bundle=ca_bundle,
    )


def sign(order: Order, identity: ClientIdentity, now: datetime) -> SignedPost:
    """Return the request, signed at this time.

    Raises:
        CommandError: something in it cannot be signed.
    """
    members = {
        "durationSeconds": order.duration,
        "profileArn": order.profile_arn,
        "roleArn": order.role_arn,
        "roleSessionName": order.session_name,
        "trustAnchorArn": order.trust_anchor_arn,
    }
    body = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    signed = {
        "content-type": "application/json",
        "host": order.address.authority,
        "x-amz-date": f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        "x-amz-x509": _base64(identity.leaf),
    }
    if identity.chain:
        signed["x-amz-x509-chain"] = ",".join(map(_base64, identity.chain))
    try:
        authorization = canonical.authorize(
            uri=order.address.target,
            parameters=(),
            headers=signed,
            body=body,
            algorithm=identity.algorithm,
            serial=identity.leaf.serial_number,
            region=order.region,
            signer=identity.sign,
        )
    except ProofError as error:
        raise CommandError(
            "request-unsignable",
            f"The request cannot be signed: {shown(error)}.",
            cure="Check the endpoint and the certificates.",
        ) from None
    unsigned = (
        ("authorization", authorization),
        ("accept", "application/json"),
        ("content-length", str(len(body))),
        ("user-agent", "sallyport"),
    )
    return SignedPost(address=order.address, headers=(*signed.items(), *unsigned), body=body)


def check_size(request: SignedPost, identity: ClientIdentity) -> str | None:
    """Refuse a request that API Gateway would not take; towards this machine only return a warning.

    Raises:
        CommandError: it is too large, and the endpoint is not on this machine.
    """
    size = request.header_bytes
    if size <= MAX_HEADER_BYTES:
        return None
    sentence = (
        f"The request's headers have {size:,} bytes and API Gateway takes {MAX_HEADER_BYTES:,}; "
        f"{len(identity.chain)} intermediate(s) have {_bytes_of_chain(request):,} of them."
    )
    if request.address.is_loopback:
        return sentence
    raise CommandError(
        "headers-too-large",
        sentence,
        cure="Keep the intermediates at the trust anchor (`intermediates` in the trust file) and send none."
        if identity.chain
        else "Use a certificate with a smaller key, such as P-256, or one with fewer extensions.",
    )


Say = Callable[[str], None]
Clock = Callable[[], datetime]


def issue(
    order: Order,
    identity: ClientIdentity,
    *,
    clock: Clock = lambda: datetime.now(UTC),
    pause: Callable[[float], None] = time.sleep,
    trace: Say = lambda _text: None,
) -> SessionCredentials:
    """Ask for a session until there is an answer that asking again would not change.

    An endpoint that cannot be reached, an answer of 5xx and throttling are asked again, each time with a
    new signature; a refusal never is.

    Args:
        order: what is asked for.
        identity: who asks.
        clock: tells the time.
        pause: waits for some seconds.
        trace: is told what happens, for ``--debug``; never a secret, and never the signature.

    Raises:
        CommandError: there are no credentials; says why, with the exchange's id and what to do.
    """
    tls = trust_store(order.ca_bundle) if order.address.secure else None
    for attempt in range(1, ATTEMPTS + 1):
        request = sign(order, identity, clock())
        if attempt == 1 and (warning := check_size(request, identity)):
            trace(f"warning: {warning}")
        trace(_shown_request(request, attempt))
        last = attempt == ATTEMPTS
        try:
            answer = post(request.address, request.headers, request.body, tls)
        except UnreachableError as error:
            trace(f"no answer: {error.detail}")
            if last or not error.again:
                raise
        else:
            trace(_shown_answer(answer))
            if last or not _is_worth_another(answer):
                return _read(answer, order, clock())
        pause(_pause(attempt))
    raise AssertionError  # pragma: no cover - the last attempt ended in one way or the other


# --- asking ----------------------------------------------------------------------------------------


def _usage(sentence: str, cure: str) -> CommandError:
    return CommandError("wrong-usage", sentence, cure=cure, exit_code=Exit.USAGE)


def _address(endpoint: str) -> WebAddress:
    address = parse_web_address(endpoint)
    if address is None or _PATH.fullmatch(address.target) is None:
        raise _usage(
            f"{shown(endpoint)} is not an address that requests can go to.",
            "It looks like https://<id>.execute-api.<region>.amazonaws.com/v1: "
            "the output Endpoint of the stack.",
        )
    if not address.secure and not address.is_loopback:
        raise _usage(
            "Without TLS everybody on the way could read the credentials.",
            "Begin the endpoint with https://; http is for this machine alone.",
        )
    return replace(address, target=address.target.rstrip("/") + canonical.PATH)


def _base64(certificate: Any) -> str:  # noqa: ANN401 - the library's stubs say it differently across kinds
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def _bytes_of_chain(request: SignedPost) -> int:
    return sum(len(value) for name, value in request.headers if name == "x-amz-x509-chain")


def _pause(attempt: int) -> float:
    """Return a random time up to a limit that doubles: many clients must not come back together."""
    return secrets.SystemRandom().uniform(0, FIRST_PAUSE * 2 ** (attempt - 1))


def _shown_request(request: SignedPost, attempt: int) -> str:
    sizes = ", ".join(f"{name} ({len(value)})" for name, value in request.headers)
    return (
        f"attempt {attempt}: POST {request.address.scheme}://{request.address.authority}"
        f"{request.address.target}, {request.header_bytes} bytes of headers: {sizes}"
    )


def _shown_answer(answer: Answer) -> str:
    return f"status {answer.status}, exchange {_exchange_id(answer)}, {len(answer.body)} bytes"


# --- reading the answer ----------------------------------------------------------------------------


def _is_worth_another(answer: Answer) -> bool:
    return (
        answer.status >= _SERVER_ERROR
        or answer.status == _TOO_MANY
        or (answer.status not in _OK and _code(answer, _object(answer.body)) in _THROTTLED)
    )


def _read(answer: Answer, order: Order, now: datetime) -> SessionCredentials:
    document = _object(answer.body)
    if answer.status not in _OK:
        raise _refusal(answer, document, now)
    try:
        given = document["credentialSet"][0]["credentials"]
        texts = [given[name] for name in ("accessKeyId", "secretAccessKey", "sessionToken", "expiration")]
        expiration = datetime.fromisoformat(texts[3])
    except (KeyError, IndexError, TypeError, ValueError):
        texts, expiration = [], now
    if (
        not all(isinstance(one, str) and one for one in texts)
        or expiration.tzinfo is None
        or expiration <= now
    ):
        raise CommandError(
            "answer-malformed",
            f"The endpoint answered with status {answer.status} but without a session (exchange "
            f"{_exchange_id(answer)}).",
            cure="Check that --endpoint is an exchange; and this machine's clock.",
        )
    return SessionCredentials(
        access_key_id=texts[0],
        secret_access_key=Secret(texts[1]),
        session_token=Secret(texts[2]),
        expiration=expiration.astimezone(UTC),
        account=order.role_arn.split(":")[4],
    )


def _refusal(answer: Answer, document: Mapping[str, Any], now: datetime) -> CommandError:
    identifier = _exchange_id(answer)
    code = _code(answer, document)
    said = document.get("message") or document.get("Message")
    if not isinstance(said, str) or not code:
        what = f"status {answer.status}" + (f" and {shown(said, 200)!r}" if isinstance(said, str) else "")
        return CommandError(
            "answer-foreign",
            f"The endpoint answered with {what}, which is not an exchange's answer (exchange {identifier}).",
            cure="Check --endpoint: it is the stack's output Endpoint, without /sessions behind it."
            if answer.status < _SERVER_ERROR
            else "Try again; if it stays, look at the exchange's alarms.",
        )
    return CommandError(
        f"exchange-{shown(code, 64)}",
        f"The exchange refused: {shown(code, 64)}: {shown(said, 500).rstrip('.')} (exchange {identifier}).",
        cure=_skew(answer, now) or _cure(answer.status, said, identifier),
        more={"exchange_id": identifier, "status": answer.status},
    )


# What AWS's texts, which exchanges use too, mean to whoever holds the certificate.
_CURES: Final[Mapping[str, str]] = {
    "Untrusted signing certificate": "Compare the certificate's issuer with the trust anchor of this ARN; an "
    "intermediate may be missing: give --intermediates, or keep it at the anchor.",
    "Untrusted certificate. Insufficient certificate": "Look at the certificate: it must be valid, for "
    "digital signatures and for clients, not an authority, and have a subject.",
    "Certificate revoked": "Have a new certificate issued.",
    "Not authorized to set roleSessionName.": "Leave --role-session-name out, or ask for "
    "`accept_session_name: true` in the profile.",
}


def _cure(status: int, said: str, identifier: str) -> str:
    explained = f"Whoever runs the exchange learns more from: sallyport explain {identifier}"
    if status == _TOO_MANY:
        return "Wait a minute and try again; credentials can be used until they expire."
    if status >= _SERVER_ERROR:
        return f"Try again later. {explained}"
    return f"{_CURES[said]} {explained}" if said in _CURES else explained


def _skew(answer: Answer, now: datetime) -> str:
    """Return the cure for a clock that is wrong, as far as the answer's date shows it."""
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
        away = now - theirs
    except (ValueError, TypeError):
        return ""
    if abs(away) <= SKEW:
        return ""
    minutes = round(abs(away) / timedelta(minutes=1))
    return (
        f"This machine's clock is {minutes} minutes {'ahead of' if away > timedelta() else 'behind'} "
        "the endpoint's: set it right."
    )


def _code(answer: Answer, document: Mapping[str, Any]) -> str:
    """Return the error's code, wherever restJson1 allows it to be."""
    said = answer.headers.get("x-amzn-errortype") or document.get("__type") or document.get("code")
    return said.partition(":")[0].rpartition("#")[2] if isinstance(said, str) else ""


def _exchange_id(answer: Answer) -> str:
    # A refusal says it. API Gateway keeps the header's name for its own id, and passes ours on under another.
    said = _object(answer.body).get("exchangeId")
    names = (f"x-amzn-remapped-{REQUEST_ID}", REQUEST_ID)
    told = [said if isinstance(said, str) else "", *(answer.headers.get(name, "") for name in names)]
    return shown(next(filter(None, told), "unknown"), 64)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
