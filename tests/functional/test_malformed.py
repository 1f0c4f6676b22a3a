"""Whatever is sent: an answer in the route's own protocol, small, and with an id. Never an exception."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support import tokens
from tests.support.sts_client import error_code
from tests.support.world import (
    READER,
    Answer,
    World,
    credentials_event,
    exchange_id,
    lines,
    query_event,
    sts_form,
    with_headers,
)

WORLD = World()
CODES = {"MissingAction", "InvalidAction", "ValidationError", "InvalidIdentityToken", "AccessDenied"}
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXTS = st.text(max_size=200) | st.text(alphabet="\x00\x1b\ud800\udfff\u202e<>&\"'%+=;.{}[]aA0", max_size=60)
BODIES = TEXTS | st.binary(max_size=200).map(lambda data: data.decode("latin-1")) | st.none()
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(["Authorization", "authorization", "Content-Type", "content-type", "User-Agent", "X-Odd"])
    | TEXTS,
    TEXTS,
    max_size=5,
)


def check(answer: Answer) -> None:
    """The answer is a refusal in the route's protocol; a stack trace or an echo is none."""
    assert 400 <= answer["statusCode"] < 500
    assert len(answer["body"]) < 1_000
    if answer["headers"]["Content-Type"] == "text/xml":
        assert error_code(answer) in CODES
    else:
        said = json.loads(answer["body"])
        assert said["code"] in CODES
        assert said["exchangeId"] == exchange_id(answer)
    assert exchange_id(answer) in answer["body"]


def events(
    body: str | None, headers: dict[str, str], query: dict[str, str] | None, *, encoded: bool
) -> list[Any]:
    """Both routes' events with all of this in them."""
    change: dict[str, Any] = {
        "body": body,
        "isBase64Encoded": encoded,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": query and {name: [value] for name, value in query.items()},
    }
    return [
        with_headers(query_event("") | change, headers),
        with_headers(credentials_event("x.y.z", "") | change, headers),
    ]


def test_no_parameter_may_come_in_the_address(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Addresses end in logs. All else of these requests is as it should be."""
    query = {"queryStringParameters": {"a": "b"}, "multiValueQueryStringParameters": {"a": ["b"]}}
    good = (query_event(sts_form()), credentials_event(tokens.good_token(), {"roleArn": READER}))
    for event in good:
        assert world.routes(event)["statusCode"] == 200
        capsys.readouterr()
        assert world.routes(event | query)["statusCode"] == 400
        assert [line["reason"] for line in lines(capsys) if "reason" in line] == ["parameters-in-query"]


@SLOW
@given(
    body=BODIES,
    headers=HEADERS,
    query=st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2),
    encoded=st.booleans(),
)
def test_any_event_is_answered(
    body: str | None, headers: dict[str, str], query: dict[str, str] | None, *, encoded: bool
) -> None:
    for event in events(body, headers, query, encoded=encoded):
        check(WORLD.routes(event))


PARAMETERS = [*sts_form(), "Policy", "DurationSeconds", "PolicyArns.member.1.arn", "PolicyArns.member.01.arn"]


@SLOW
@given(changes=st.dictionaries(st.sampled_from(PARAMETERS) | TEXTS, TEXTS, min_size=1, max_size=4))
@example(changes={"PolicyArns.member.0.arn": "arn:aws:iam::aws:policy/A"})
@example(changes={"PolicyArns.member.1.arn.": "x"})
def test_any_form_is_answered(changes: dict[str, str]) -> None:
    # The token is bad in any case, so that no example can be a good request.
    form = sts_form("e30.e30.AA") | changes
    check(WORLD.routes(query_event(urlencode(form, errors="surrogatepass"))))


@SLOW
@given(
    body=JSONS
    | st.dictionaries(st.sampled_from(["roleArn", "durationSeconds", "sessionName", "profile"]), JSONS)
)
def test_any_json_is_answered(body: object) -> None:
    check(WORLD.routes(credentials_event("e30.e30.AA", json.dumps(body))))


@SLOW
@given(token=TEXTS | st.lists(TEXTS, min_size=3, max_size=3).map(".".join))
def test_any_token_is_answered(token: str) -> None:
    check(WORLD.query(token))
    check(WORLD.credentials(token))


JSON_CLAIMS = st.dictionaries(
    st.sampled_from(
        ["iss", "aud", "sub", "oid", "tid", "exp", "nbf", "iat", "ver", "azp", "uti", "idtyp", "scp"]
    ),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats(allow_nan=False, allow_infinity=False)
        | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=6,
    ),
    min_size=1,
    max_size=5,
)


@SLOW
@given(
    claims=JSON_CLAIMS, changed=st.sampled_from([READER, "arn:aws:iam::111122223333:role/sallyport/deployer"])
)
def test_any_claims_are_answered_though_they_are_signed(claims: dict[str, Any], changed: str) -> None:
    token = tokens.token({**tokens.good_entra_v1(), **claims})
    answer = WORLD.query(token, RoleArn=changed)
    assert answer["statusCode"] in {200, 400, 403}
    if answer["statusCode"] != 200:
        check(answer)


HOSTILE_EVENTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no context": lambda event: event.pop("requestContext"),
    "an empty context": lambda event: event.update(requestContext=None),
    "no identity": lambda event: event["requestContext"].update(identity=None),
    "no address": lambda event: event["requestContext"]["identity"].update(sourceIp=None),
    "no headers": lambda event: event.update(headers=None, multiValueHeaders=None),
    "headers without values": lambda event: event.update(multiValueHeaders={"Content-Type": None}),
    "no body": lambda event: event.update(body=None),
    "half a body": lambda event: event.update(body=event["body"][:50]),
    "a large body": lambda event: event.update(body="a" * 6_000_000),
    "a large body in base64": lambda event: event.update(body="QUFB" * 1_500_000, isBase64Encoded=True),
    "base64 that is none": lambda event: event.update(body="Ä", isBase64Encoded=True),
    "a great many parameters": lambda event: event.update(body="a=b&" * 20_000),
    "percent signs": lambda event: event.update(body="%" * 90_000),
    "a null byte": lambda event: event.update(body="Action=\x00"),
    "half a surrogate pair": lambda event: event.update(body="Action=\ud800"),
}


@pytest.mark.parametrize("case", HOSTILE_EVENTS)
@pytest.mark.parametrize(
    "event", [query_event(sts_form("x.y.z")), credentials_event("x.y.z", {"roleArn": READER})]
)
def test_an_event_that_no_gateway_sends_is_answered_as_well(case: str, event: dict[str, Any]) -> None:
    event = json.loads(json.dumps(event))
    HOSTILE_EVENTS[case](event)
    check(WORLD.routes(event))
