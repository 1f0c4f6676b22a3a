"""Asking an exchange: try again where that may help, and say what its answer means.

The same for requests that bring a token and for those that a key signs.
"""

import json
import secrets
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from sallyport.web_address import WebAddress, parse_web_address
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import shown
from sallyport_cli.post import REQUEST_ID, Answer, UnreachableError, post
from sallyport_cli.workload.problem import ExchangeError, Kind
from sallyport_cli.workload.session import SessionCredentials

ATTEMPTS: Final = 3
"""As many as AWS's own client makes."""

FIRST_PAUSE: Final = 0.5
"""Seconds between the first two attempts at the most; the next pause is twice as long."""

SKEW: Final = timedelta(minutes=5)
"""How far a request's date may be from the exchange's clock."""

_THROTTLED: Final = frozenset({"ThrottlingException", "TooManyRequestsException", "Throttling"})
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_OK: Final = range(200, 300)

Say = Callable[[str], None]
Clock = Callable[[], datetime]
Pause = Callable[[float], None]


def the_time() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)


def silence(_text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A request ready to be sent. Shows nothing of itself: it is, or holds, a proof."""

    address: WebAddress
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def header_bytes(self) -> int:
        """Bytes of the request line and of all header lines, with their ends."""
        line = f"POST {self.address.target} HTTP/1.1\r\n"
        return len(line) + sum(len(f"{name}: {value}\r\n") for name, value in self.headers)


Reader = Callable[[Mapping[str, Any], str], SessionCredentials]
"""What takes the credentials out of an answer whose status says that there are some: is given its document
and the exchange's id; raises ``ValueError``, ``KeyError``, ``IndexError`` or ``TypeError``."""


def usage(sentence: str, cure: str) -> CommandError:
    """Return the error for what is malformed before anybody is asked."""
    return ExchangeError("wrong-usage", sentence, cure=cure, kind="local", exit_code=Exit.USAGE)


def address_of(endpoint: str) -> WebAddress:
    """Return where an exchange is, if requests can go there.

    Raises:
        CommandError: it is no address, or one to which a proof would travel in the open.
    """
    address = parse_web_address(endpoint)
    if address is None:
        raise usage(
            f"{shown(endpoint)} is not an address that requests can go to.",
            "It looks like https://<id>.execute-api.<region>.amazonaws.com/v1: "
            "the output Endpoint of the stack.",
        )
    if not address.secure and not address.is_loopback:
        raise usage(
            "Without TLS everybody on the way could read the credentials.",
            "Begin the endpoint with https://; http is for this machine alone.",
        )
    return address


def ask(  # noqa: PLR0913 - what a test exchanges for its own
    request: Callable[[], Post],
    read: Reader,
    *,
    tls: ssl.SSLContext | None,
    cures: Mapping[str, str],
    attempts: int | None = None,
    clock: Clock = the_time,
    pause: Pause = time.sleep,
    trace: Say = silence,
) -> SessionCredentials:
    """Ask until there is an answer that asking again would not change.

    An endpoint that cannot be reached, an answer of 5xx and throttling are asked again; a refusal
    never is.

    Args:
        request: makes the request, anew for each attempt.
        read: takes the credentials out of the answer.
        tls: from ``trust_store``; ``None`` with an http address.
        cures: what to do, by the exchange's words.
        attempts: how often at the most; three times by default.
        clock: tells the time.
        pause: waits for some seconds.
        trace: is told what happens, for ``--debug``; never a secret.

    Raises:
        ExchangeError: there are no credentials; says why, with the exchange's id and what to do.
    """
    attempts = attempts or ATTEMPTS
    for attempt in range(1, attempts + 1):
        one = request()
        trace(_shown_request(one, attempt))
        is_last = attempt == attempts
        try:
            answer = post(one.address, one.headers, one.body, tls)
        except UnreachableError as error:
            trace(f"no answer: {error.detail}")
            if is_last or not error.again:
                raise
        else:
            trace(f"status {answer.status}, exchange {exchange_id(answer)}, {len(answer.body)} bytes")
            if is_last or not _is_worth_another(answer):
                return _read(answer, read, cures, clock())
        pause(_pause(attempt))
    raise AssertionError  # pragma: no cover - the last attempt ended in one way or the other


def exchange_id(answer: Answer) -> str:
    """Return the id under which the exchange recorded the request, or ``unknown``."""
    # A refusal says it. API Gateway keeps the header's name for its own id, and passes ours on under another.
    said = _object(answer.body).get("exchangeId")
    names = (f"x-amzn-remapped-{REQUEST_ID}", REQUEST_ID)
    told = [said if isinstance(said, str) else "", *(answer.headers.get(name, "") for name in names)]
    return shown(next(filter(None, told), "unknown"), 64)


def _pause(attempt: int) -> float:
    """Return a random time up to a limit that doubles: many clients must not come back together."""
    return secrets.SystemRandom().uniform(0, FIRST_PAUSE * 2 ** (attempt - 1))


def _shown_request(request: Post, attempt: int) -> str:
    sizes: Sequence[str] = [f"{name} ({len(value)})" for name, value in request.headers]
    return (
        f"attempt {attempt}: POST {request.address.scheme}://{request.address.authority}"
        f"{request.address.target}, {request.header_bytes} bytes of headers: {', '.join(sizes)}"
    )


# --- reading the answer ----------------------------------------------------------------------------


def _is_worth_another(answer: Answer) -> bool:
    return answer.status not in _OK and _kind(answer.status, _code(answer, _object(answer.body))) in {
        "server",
        "throttled",
    }


def _kind(status: int, code: str) -> Kind:
    if status == _TOO_MANY or code in _THROTTLED:
        return "throttled"
    return "server" if status >= _SERVER_ERROR else "denied"


def _read(answer: Answer, read: Reader, cures: Mapping[str, str], now: datetime) -> SessionCredentials:
    document = _object(answer.body)
    if answer.status not in _OK:
        raise _refusal(answer, document, cures, now)
    identifier = exchange_id(answer)
    try:
        found = read(document, identifier)
    except (KeyError, IndexError, TypeError, ValueError):
        raise ExchangeError(
            "answer-malformed",
            f"The endpoint answered with status {answer.status} but without a session (exchange "
            f"{identifier}).",
            cure="Check that --endpoint is an exchange.",
            kind="local",
            exchange_id=identifier,
        ) from None
    if found.expiration <= now:
        raise ExchangeError(
            "answer-expired",
            f"The exchange gave credentials that have ended by this machine's clock (exchange {identifier}).",
            cure=_skew(answer, now) or "Check this machine's clock.",
            kind="local",
            exchange_id=identifier,
        )
    return found.seen(now, _date(answer))


def _refusal(
    answer: Answer, document: Mapping[str, Any], cures: Mapping[str, str], now: datetime
) -> ExchangeError:
    identifier = exchange_id(answer)
    code = _code(answer, document)
    said = document.get("message") or document.get("Message")
    if not isinstance(said, str) or not code:
        what = f"status {answer.status}" + (f" and {shown(said, 200)!r}" if isinstance(said, str) else "")
        kind = _kind(answer.status, "")
        return ExchangeError(
            "answer-foreign",
            f"The endpoint answered with {what}, which is not an exchange's answer (exchange {identifier}).",
            cure="Check --endpoint: it is the stack's output Endpoint, without /sessions behind it."
            if answer.status < _SERVER_ERROR
            else "Try again; if it stays, look at the exchange's alarms.",
            # Who did not say it in an exchange's words is no exchange, and has nothing to deny.
            kind="local" if kind == "denied" else kind,
            exchange_id=identifier,
        )
    return ExchangeError(
        f"exchange-{shown(code, 64)}",
        f"The exchange refused: {shown(code, 64)}: {shown(said, 500).rstrip('.')} (exchange {identifier}).",
        cure=_skew(answer, now) or _cure(answer.status, cures.get(said, ""), identifier),
        kind=_kind(answer.status, code),
        exchange_id=identifier,
        more={"status": answer.status},
    )


def _cure(status: int, known: str, identifier: str) -> str:
    explained = f"Whoever runs the exchange learns more from: sallyport explain {identifier}"
    if status == _TOO_MANY:
        return "Wait a minute and try again; credentials can be used until they expire."
    if status >= _SERVER_ERROR:
        return f"Try again later. {explained}"
    return f"{known} {explained}" if known else explained


def _skew(answer: Answer, now: datetime) -> str:
    """Return the cure for a clock that is wrong, as far as the answer's date shows it."""
    theirs = _date(answer)
    if theirs is None or abs(now - theirs) <= SKEW:
        return ""
    minutes = round(abs(now - theirs) / timedelta(minutes=1))
    return (
        f"This machine's clock is {minutes} minutes {'ahead of' if now > theirs else 'behind'} "
        "the endpoint's: set it right."
    )


def _date(answer: Answer) -> datetime | None:
    try:
        found = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    # A date without a zone is not one that RFC 9110 §5.6.7 allows.
    return found if found.tzinfo is not None else None


def _code(answer: Answer, document: Mapping[str, Any]) -> str:
    """Return the error's code, wherever restJson1 allows it to be."""
    said = answer.headers.get("x-amzn-errortype") or document.get("__type") or document.get("code")
    return said.partition(":")[0].rpartition("#")[2] if isinstance(said, str) else ""


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
