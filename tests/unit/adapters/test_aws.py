"""Signed as botocore signs, tried again where that helps, and with the function's own credentials."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl

import botocore.auth
import botocore.session
import pytest
from botocore.compat import get_current_datetime
from botocore.credentials import ReadOnlyCredentials

from sallyport.adapters import aws
from sallyport.adapters.aws import AwsError, JsonService, SignedService, function_credentials
from sallyport.adapters.functions import key_refresher
from sallyport.adapters.http import HttpResponse, NetworkError, TimeLimits, Transport
from sallyport.errors import UnavailableError

CREDENTIALS = ReadOnlyCredentials("AKIAEXAMPLEEXAMPLE00", "secret", "session-token")
LIMITS = TimeLimits(0.1, 0.2)


def service(
    transport: Transport, name: str = "dynamodb", url: str = "https://dynamodb.eu-central-1.amazonaws.com"
) -> SignedService:
    return SignedService(
        name=name,
        region="eu-central-1",
        url=url,
        transport=transport,
        credentials=lambda: CREDENTIALS,
        limits=LIMITS,
    )


class Sent:
    """A transport that keeps what it was given."""

    def __init__(self, *answers: HttpResponse | Exception) -> None:
        self.answers = list(answers) or [HttpResponse(200, b"{}")]
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, limits: TimeLimits
    ) -> HttpResponse:
        assert limits == LIMITS
        self.requests.append((method, url, dict(headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """One instant for both signers, so that their signatures can be compared."""
    instant = get_current_datetime()
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: instant)


def botocores_own(
    name: str, operation: str, arguments: dict[str, Any], keep: tuple[str, ...]
) -> tuple[str, dict[str, str], bytes]:
    """What botocore's client would send; of its headers those that are also ours."""
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLEEXAMPLE00", "secret", "session-token")
    client: Any = session.create_client(name, region_name="eu-central-1")
    seen: list[Any] = []

    def answer(request: Any, **_more: Any) -> Any:
        seen.append(request)
        raise RuntimeError

    def fewer(request: Any, **_more: Any) -> None:
        for header in list(request.headers):
            if header.lower() not in keep:
                del request.headers[header]

    client.meta.events.register("before-sign", fewer)
    client.meta.events.register("before-send", answer)
    with pytest.raises(RuntimeError):
        client._make_api_call(operation, arguments)
    (request,) = seen
    headers = {
        key.lower(): value.decode() if isinstance(value, bytes) else value
        for key, value in request.headers.items()
    }
    return request.url, headers, request.body


SIGNED = (
    "authorization",
    "x-amz-date",
    "x-amz-security-token",
    "content-type",
    "x-amz-target",
    "x-amz-invocation-type",
)


@pytest.mark.usefixtures("_noon")
def test_dynamodb_is_sent_what_botocore_would_send() -> None:
    arguments = {"TableName": "trust", "Key": {"pk": {"S": "current"}}, "ConsistentRead": True}
    sent = Sent()
    JsonService(service(sent), target="DynamoDB_20120810").call("GetItem", arguments)
    ((method, url, headers, body),) = sent.requests
    _, expected, _ = botocores_own("dynamodb", "GetItem", arguments, ("content-type", "x-amz-target"))
    ours = {name.lower(): value for name, value in headers.items()}
    assert (method, url) == ("POST", "https://dynamodb.eu-central-1.amazonaws.com/")
    assert json.loads(body) == arguments
    # The body's spelling differs, so the signature is compared over the same bytes in the next test.
    for name in ("x-amz-date", "x-amz-security-token", "content-type", "x-amz-target"):
        assert ours[name] == expected[name]
    assert (
        ours["authorization"].partition("Signature=")[0]
        == expected["authorization"].partition("Signature=")[0]
    )


@pytest.mark.usefixtures("_noon")
def test_an_invocation_has_botocores_own_address_and_signature() -> None:
    """The colon before the alias, percent-encoded or not, decides about the signature."""
    sent = Sent()
    refresh = key_refresher(
        service(sent, "lambda", "https://lambda.eu-central-1.amazonaws.com"), "sallyport-refresh-keys:live"
    )
    refresh("5f0b7d6e-0000-5000-8000-000000000001")
    ((_, url, headers, body),) = sent.requests
    expected_url, expected, expected_body = botocores_own(
        "lambda",
        "Invoke",
        {
            "FunctionName": "sallyport-refresh-keys:live",
            "InvocationType": "RequestResponse",
            "Payload": body,
        },
        ("x-amz-invocation-type",),
    )
    assert (url, body) == (expected_url, expected_body)
    assert json.loads(body) == {"anchor_ids": ["5f0b7d6e-0000-5000-8000-000000000001"], "asked": True}
    ours = {name.lower(): value for name, value in headers.items()}
    resigned = service(sent, "lambda", "https://lambda.eu-central-1.amazonaws.com")
    resigned.post(url.partition(".com")[2], {"X-Amz-Invocation-Type": "RequestResponse"}, body)
    again = {name.lower(): value for name, value in sent.requests[-1][2].items()}
    assert again["authorization"] == expected["authorization"]
    assert set(ours) <= set(SIGNED)


@pytest.mark.usefixtures("_noon")
def test_a_form_has_botocores_own_signature() -> None:
    arguments = {"RoleArn": "arn:aws:iam::111122223333:role/sallyport/r", "RoleSessionName": "a+b=c,d.e@f-g"}
    _, expected, body = botocores_own("sts", "AssumeRole", arguments, ("content-type",))
    sent = Sent()
    sts = service(sent, "sts", "https://sts.eu-central-1.amazonaws.com")
    form = {"Action": "AssumeRole", "Version": "2011-06-15", **arguments}
    encoded = str(body).encode()
    assert dict(parse_qsl(encoded.decode())) == form
    sts.post("/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, encoded)
    ours = {name.lower(): value for name, value in sent.requests[0][2].items()}
    assert ours["authorization"] == expected["authorization"]
    assert ours["x-amz-security-token"] == "session-token"


# Trying again

DOWN = NetworkError("no-answer", "reset")
THROTTLED = HttpResponse(400, b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}')
BROKEN = HttpResponse(503, b"<html>")
REFUSED = HttpResponse(400, b'{"__type":"x#ConditionalCheckFailedException"}')
GOOD = HttpResponse(200, b'{"Item":{}}')


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "PAUSE_SECONDS", 0)


@pytest.mark.parametrize("first", [DOWN, THROTTLED, BROKEN, HttpResponse(500, b"")])
def test_one_more_try_finds_what_a_moment_cost(first: Any) -> None:
    sent = Sent(first, GOOD)
    assert JsonService(service(sent), target="T").call("GetItem", {}) == {"Item": {}}
    assert len(sent.requests) == 2


@pytest.mark.parametrize("always", [DOWN, THROTTLED, BROKEN])
def test_after_the_last_try_it_is_unavailable(always: Any) -> None:
    sent = Sent(always)
    with pytest.raises(UnavailableError):
        JsonService(service(sent), target="T").call("PutItem", {})
    assert len(sent.requests) == aws.ATTEMPTS


def test_a_refusal_is_not_tried_again() -> None:
    sent = Sent(REFUSED)
    with pytest.raises(AwsError) as refusal:
        JsonService(service(sent), target="T").call("PutItem", {})
    assert (refusal.value.reason, len(sent.requests)) == ("ConditionalCheckFailedException", 1)


NONSENSE = [b"[]", b"7", b"{", b"\xff", b"x" * 100_000]


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, body) for body in NONSENSE]
    + [(status, body) for status in (301, 400, 404) for body in (*NONSENSE, b"", b'{"__type":7}')],
)
def test_an_answer_that_is_none_is_one_of_our_errors(status: int, body: bytes) -> None:
    client = JsonService(service(Sent(HttpResponse(status, body))), target="T")
    with pytest.raises((AwsError, UnavailableError)) as failure:
        client.call("GetItem", {})
    assert len(failure.value.reason) <= 64


@pytest.mark.parametrize("status", [201, 202, 204, 302, 403, 404, 429, 500, 503])
def test_only_an_invocation_that_was_waited_for_counts(status: int) -> None:
    refresh = key_refresher(service(Sent(HttpResponse(status, b"{}")), "lambda"), "f:live")
    with pytest.raises(UnavailableError):
        refresh("id")


# The function's own credentials


@contextmanager
def container(answer: Callable[[], tuple[int, bytes]]) -> Iterator[str]:
    """Lambda's endpoint after a SnapStart restore."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Authorization"] == "container-token"
            status, body = answer()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/creds"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def restored(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token")


KEYS = {
    "AccessKeyId": "ASIARESTORED",
    "SecretAccessKey": "restored-secret",
    "Token": "restored-token",
    "Expiration": "2099-01-01T00:00:00Z",
}


def test_after_a_restore_credentials_come_from_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def answer() -> tuple[int, bytes]:
        asked.append(1)
        return 200, json.dumps(KEYS).encode()

    credentials = function_credentials()
    with container(answer) as url:
        assert asked == [], "nothing is asked in init: the snapshot would freeze the answer"
        restored(monkeypatch, url)
        found = [credentials() for _ in range(3)]
    assert {one.access_key for one in found} == {"ASIARESTORED"}
    assert len(asked) == 1


def test_otherwise_they_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = function_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAENVIRONMENT")
    assert credentials().access_key == "ASIAENVIRONMENT"


@pytest.mark.parametrize(
    "answer", [(500, b"boom"), (200, b"{}"), (200, b"secret-canary"), (404, b"secret-canary")]
)
def test_a_container_that_has_none_is_one_of_our_errors_without_its_text(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes]
) -> None:
    with container(lambda: answer) as url:
        restored(monkeypatch, url)
        with pytest.raises(UnavailableError) as failure:
            function_credentials()()
    assert failure.value.reason == "no-credentials"
    assert "canary" not in str(failure.value)


def test_without_any_there_is_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    sent = Sent()
    bare = SignedService(
        name="sts",
        region="eu-central-1",
        url="https://x",
        transport=sent,
        credentials=function_credentials(),
        limits=LIMITS,
    )
    with pytest.raises(UnavailableError):
        bare.post("/", {}, b"")
    assert sent.requests == []
