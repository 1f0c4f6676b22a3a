"""A known-answer test in init: one good token must be granted, its altered twin refused.

It runs the exchange as deployed over a transport that answers from ``rehearsal.json`` and reaches
nothing. A function that fails it refuses to start. What it leaves is warm code, which is what
SnapStart's snapshot should hold; the objects it builds are thrown away, so no cache of the real
exchange has ever seen the rehearsal's trust or keys. The key that signed its token was never kept.

``python -m tests.support.make_rehearsal`` writes the file; a contract test holds that the compiler
still writes such documents.
"""

import json
from collections.abc import Callable, Mapping
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

SCRIPT = Path(__file__).with_name("rehearsal.json")

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


def rehearse(build: Callable[[Stage], Routes]) -> None:
    """Build an exchange over the script and hold it to the known answers.

    Raises:
        ConfigurationError: it gave another one.
    """
    script = json.loads(SCRIPT.read_text())
    now = datetime.fromtimestamp(script["now"], UTC)
    stage = Stage(
        transport=_scripted(script),
        credentials=throwaway_credentials,
        clock=lambda: now,
        monotonic=lambda: 0.0,
        telemetry=Silence(),
    )
    routes = build(stage)
    token: str = script["token"]
    # One character of the signature: all that makes this token another.
    start = token.rindex(".") + 1
    altered = token[:start] + ("A" if token[start] != "A" else "B") + token[start + 1 :]
    for presented, status in ((token, 200), (altered, 400)):
        for event in (_query(script["role"], presented), _json(script["role"], presented)):
            if routes(event)["statusCode"] != status:
                raise ConfigurationError(
                    "rehearsal-failed",
                    f"the known answer is {status}",
                    cure="Deploy a release that was built whole.",
                )


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
        if operation == "GetItem":
            item = items.get(json.loads(body)["Key"]["pk"]["S"])
            return HttpResponse(200, json.dumps({} if item is None else {"Item": item}).encode())
        return HttpResponse(200, b'{"Responses":{},"UnprocessedKeys":{}}')

    return send
