"""A known-answer test in init: one good proof must be granted, its altered twin refused.

It runs the exchange as deployed over a transport that answers from a file (``rehearsal.json``,
``rehearsal_session.json``) and reaches nothing. A function that fails it refuses to start. What it
leaves is warm code, which is what SnapStart's snapshot should hold; the objects it builds are thrown
away, so no cache of the real exchange has ever seen the rehearsal's trust or keys. The keys that signed
its token and its request were never kept.

``python -m tests.support.make_rehearsal`` writes the files; a contract test holds that the compiler
still writes such documents.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from sallyport.adapters.aws import CredentialSource, throwaway_credentials
from sallyport.adapters.http import HttpResponse, TimeLimits, Transport
from sallyport.errors import ConfigurationError
from sallyport.exchange import Telemetry
from sallyport.gateway.http import Routes
from sallyport.model import JsonValue

SESSION_HOST = "sallyport.rehearsal.invalid"
SESSION_REGION = "us-east-1"
"""What the rehearsed request was signed for; no name below .invalid is ever anybody's (RFC 6761 §6.4)."""

Event = dict[str, Any]
Script = Mapping[str, Any]

_STS_ANSWER = (
    b'<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
    b"<AssumedRoleUser><AssumedRoleId>AROAREHEARSAL:name</AssumedRoleId>"
    b"<Arn>arn:aws:sts::000000000000:assumed-role/rehearsal/name</Arn></AssumedRoleUser>"
    b"<Credentials><AccessKeyId>ASIAREHEARSAL</AccessKeyId><SecretAccessKey>none</SecretAccessKey>"
    b"<SessionToken>none</SessionToken><Expiration>2001-01-01T01:00:00Z</Expiration></Credentials>"
    b"</AssumeRoleResult></AssumeRoleResponse>"
)


class Silence:
    """Telemetry of exchanges that never were."""

    def finished(self, fields: Mapping[str, JsonValue], *, level: str) -> None:
        """Say nothing."""

    def alarm(self, event: str, fields: Mapping[str, JsonValue]) -> None:
        """Say nothing."""

    def unexpected(self, error: Exception, fields: Mapping[str, JsonValue]) -> None:
        """Say nothing; the answer is not the known one, and the function does not start."""


class Stage(NamedTuple):
    """What an exchange is built over for a rehearsal."""

    transport: Transport
    credentials: CredentialSource
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    telemetry: Telemetry


class Play(NamedTuple):
    """A script, and the events that are made of it with the status that each must get."""

    script: Path
    known_answers: Callable[[Script], Iterator[tuple[Event, int]]]


def rehearse(build: Callable[[Stage], Routes], play: Play) -> None:
    """Build an exchange over a script and hold it to the known answers.

    Raises:
        ConfigurationError: it gave another one.
    """
    script = json.loads(play.script.read_text())
    now = datetime.fromtimestamp(script["now"], UTC)
    stage = Stage(
        transport=_scripted(script),
        credentials=throwaway_credentials,
        clock=lambda: now,
        monotonic=lambda: 0.0,
        telemetry=Silence(),
    )
    routes = build(stage)
    for event, status in play.known_answers(script):
        if routes(event)["statusCode"] != status:
            raise ConfigurationError(
                "rehearsal-failed",
                f"the known answer is {status}",
                cure="Deploy a release that was built whole.",
            )


def _tokens(script: Script) -> Iterator[tuple[Event, int]]:
    token: str = script["token"]
    # One character of the signature: all that makes this token another.
    start = token.rindex(".") + 1
    altered = token[:start] + ("A" if token[start] != "A" else "B") + token[start + 1 :]
    for presented, status in ((token, 200), (altered, 400)):
        yield _query(script["role"], presented), status
        yield _json(script["role"], presented), status


def _sessions(script: Script) -> Iterator[tuple[Event, int]]:
    event: Event = script["event"]
    headers = event["multiValueHeaders"]
    (authorization,) = headers["Authorization"]
    # One digit of the signature, well within its second number.
    altered = authorization[:-2] + ("0" if authorization[-2] != "0" else "1") + authorization[-1]
    yield event, 201
    yield event | {"multiValueHeaders": headers | {"Authorization": [altered]}}, 403


def _query(role: str, token: str) -> dict[str, Any]:
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": "rehearsal",
        "WebIdentityToken": token,
    }
    headers = {"Content-Type": ["application/x-www-form-urlencoded"]}
    return {"resource": "/", "path": "/", "multiValueHeaders": headers, "body": urlencode(form)}


def _json(role: str, token: str) -> dict[str, Any]:
    headers = {"Authorization": [f"Bearer {token}"]}
    body = json.dumps({"roleArn": role})
    return {"resource": "/credentials", "path": "/credentials", "multiValueHeaders": headers, "body": body}


def _scripted(script: Mapping[str, Any]) -> Transport:
    items: Mapping[str, Any] = script["items"]

    def send(
        _method: str, _url: str, headers: Mapping[str, str], body: bytes, _limits: TimeLimits
    ) -> HttpResponse:
        operation = headers.get("X-Amz-Target", "").rpartition(".")[2]
        if not operation:
            return HttpResponse(200, _STS_ANSWER)
        asked = json.loads(body)
        answer: dict[str, Any] = {}
        if operation == "GetItem":
            item = items.get(asked["Key"]["pk"]["S"])
            answer = {} if item is None else {"Item": item}
        elif operation == "BatchGetItem":
            keys = {
                name: [key["pk"]["S"] for key in one["Keys"]] for name, one in asked["RequestItems"].items()
            }
            answer = {
                "Responses": {
                    name: [items[key] for key in many if key in items] for name, many in keys.items()
                }
            }
        return HttpResponse(200, json.dumps(answer).encode())

    return send


TOKENS = Play(Path(__file__).with_name("rehearsal.json"), _tokens)
SESSIONS = Play(Path(__file__).with_name("rehearsal_session.json"), _sessions)
