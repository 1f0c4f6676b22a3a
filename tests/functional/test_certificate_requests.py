"""Whatever is sent to ``POST /sessions``: an answer in AWS's form, small, with an id, and without an echo."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sallyport.proof.x509_reasons import REASONS
from tests.support import pki
from tests.support.certificate_world import CertificateWorld, event_of
from tests.support.world import Answer, exchange_id, lines, with_headers

WORLD = CertificateWorld()
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.text(max_size=200) | st.text(alphabet="\x00\x1b\ud800\udfff\u202e<>&\"'%+=;.{}[]aA0", max_size=60)
ANY_TEXT = TEXTS | st.binary(max_size=200).map(lambda data: data.decode("latin-1"))
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)

WORDS = {
    "Untrusted signing certificate",
    "Untrusted certificate. Insufficient certificate",
    "The request could not be authenticated.",
}


def check(answer: Answer) -> None:
    """The answer is a refusal as clients parse it; a stack trace or an echo is none."""
    said = json.loads(answer["body"])
    assert set(said) == {"message", "exchangeId"}
    assert said["exchangeId"] == exchange_id(answer)
    if answer["statusCode"] == 400:
        assert answer["headers"]["x-amzn-errortype"] == "ValidationException"
        assert len(said["message"]) < 100
    else:
        assert answer["statusCode"] == 403
        assert answer["headers"]["x-amzn-errortype"] == "AccessDeniedException"
        assert said["message"] in WORDS


def refused_in_log(capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    """The reasons of the exchanges that were refused since the last look."""
    for line in lines(capsys):
        if line.get("message") == "exchange":
            assert line["outcome"] == "refused"
            yield line["reason"]


# One byte changed

FORM = {"parameter-missing", "parameter-malformed", "role-arn-invalid", "body-not-json"}


def flipped(text: str, position: int) -> str:
    return text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1 :]


def flips(one: pki.Presentation) -> Iterator[pki.Presentation]:
    """The request with each byte of what was signed, and of the signature, changed."""
    request = one.request
    signed_too = {name for name in request.headers if name != "user-agent"}
    for name in signed_too:
        (value,) = request.headers[name]
        for position in range(len(value)):
            yield pki.with_header(one, name, flipped(value, position))
    for name, (value,) in request.query.items():
        for position in range(len(value)):
            query = {**request.query, name: (flipped(value, position),)}
            yield replace(one, request=replace(request, query=query))
        for position in range(len(name)):
            query = {key: values for key, values in request.query.items() if key != name}
            query[flipped(name, position)] = (value,)
            yield replace(one, request=replace(request, query=query))
    body = request.body.decode()
    for position in range(len(body)):
        yield replace(one, request=replace(request, body=flipped(body, position).encode()))


@pytest.mark.parametrize("in_body", [False, True])
def test_no_byte_of_a_signed_request_can_be_changed(
    holders: CertificateWorld, capsys: pytest.CaptureFixture[str], *, in_body: bool
) -> None:
    by = pki.leaf(pki.issuing())
    one = holders.signed(by, chain=(pki.issuing(),), in_body=in_body)
    assert holders.send(one)["statusCode"] == 201
    capsys.readouterr()
    count = 0
    for changed in flips(one):
        check(holders.send(changed))
        count += 1
    assert count > 1_500
    reasons = list(refused_in_log(capsys))
    assert len(reasons) == count
    assert set(reasons) <= REASONS.keys() | FORM
    assert "signature-invalid" in reasons
    assert len(holders.aws.sts.forms) == 1


# More, less and other than was signed


def test_a_header_or_parameter_that_came_twice_is_never_dropped(
    holders: CertificateWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    one = holders.signed()
    request = one.request
    for name in (*request.headers, *request.query):
        if name == "user-agent":
            continue
        if name in request.query:
            twice = {**request.query, name: (*request.query[name], *request.query[name])}
            changed = replace(one, request=replace(request, query=twice))
        else:
            changed = pki.with_header(one, name, *request.headers[name], *request.headers[name])
        check(holders.send(changed))
        if name in request.headers:
            # The emulator makes one value of them, which nobody has signed.
            check(holders.send(changed, emulator=True))
    reasons = set(refused_in_log(capsys))
    assert {"header-twice", "authorization-missing", "parameter-twice", "signature-invalid"} <= reasons


def test_one_header_in_two_spellings_came_twice(holders: CertificateWorld) -> None:
    event = event_of(holders.signed())
    event["multiValueHeaders"]["host"] = ["attacker.example"]
    check(holders.routes(event))


def test_a_parameter_that_was_not_signed_does_not_get_in(holders: CertificateWorld) -> None:
    one = holders.signed()
    more = {**one.request.query, "durationSeconds": ("43200",)}
    check(holders.send(replace(one, request=replace(one.request, query=more))))


def test_a_get_is_no_post(holders: CertificateWorld) -> None:
    one = holders.signed()
    check(holders.send(replace(one, request=replace(one.request, method="GET"))))


def test_a_token_is_no_signature(holders: CertificateWorld) -> None:
    check(holders.send(pki.with_header(holders.signed(), "authorization", "Bearer e30.e30.AA")))


@pytest.mark.parametrize("case", pki.CASES, ids=lambda case: case.name)
def test_what_the_verifier_refuses_the_route_refuses(case: pki.Case) -> None:
    """The verifier's own table; here its requests also name a trust anchor that is none of ours."""
    one = case.make()
    check(WORLD.send(replace(one, request=printable(one))))


def printable(one: pki.Presentation) -> Any:
    """The request with a body that an event can hold."""
    return replace(one.request, body=one.request.body.decode("utf-8", "replace").encode())


# Nothing is echoed

CANARY = "canary-4f1f3c62"


def in_every_header(holders: CertificateWorld) -> Iterator[dict[str, Any]]:
    one = holders.signed()
    for name in one.request.headers:
        yield event_of(pki.with_header(one, name, CANARY))
        yield event_of(pki.with_header(one, name, f"{one.request.headers[name][0]}{CANARY}"))
    yield with_headers(event_of(one), {CANARY: CANARY, "Authorization": CANARY})


def in_every_parameter(holders: CertificateWorld) -> Iterator[dict[str, Any]]:
    for name, arn in holders.arns().items():
        yield event_of(holders.signed(arns=holders.arns(**{name: CANARY})))
        yield event_of(holders.signed(arns=holders.arns(**{name: f"{arn}/<{CANARY}>"})))
    yield event_of(holders.signed(query=((CANARY, CANARY), *holders.arns().items()), uri="/x"))


def in_the_body(holders: CertificateWorld) -> Iterator[dict[str, Any]]:
    for members in (
        {"durationSeconds": CANARY},
        {"roleSessionName": f"<{CANARY}>"},
        {"instanceProperties": CANARY},
        {"instanceProperties": {CANARY: 1}},
        {"roleArn": CANARY},
        {"trustAnchorArn": [CANARY]},
    ):
        yield event_of(holders.signed(members=members))
    yield event_of(holders.signed(content=CANARY.encode()))


def elsewhere(holders: CertificateWorld) -> Iterator[dict[str, Any]]:
    event = event_of(holders.signed(uri="/x"))
    event["requestContext"] |= {"path": f"/{CANARY}", "apiId": CANARY, "stage": CANARY}
    yield event | {"path": f"/{CANARY}"}
    # Of a stranger's own making: its name, its host.
    yield event_of(holders.signed(pki.leaf(pki.stranger(), subject=CANARY)))
    yield event_of(holders.signed(pki.leaf(subject=CANARY)))
    yield event_of(holders.signed(headers={"host": f"{CANARY}.example.com"}))
    yield event_of(holders.signed(region=CANARY))


@pytest.mark.parametrize("make", [in_every_header, in_every_parameter, in_the_body, elsewhere])
def test_nothing_that_was_sent_comes_back(
    holders: CertificateWorld, make: Callable[[CertificateWorld], Iterator[dict[str, Any]]]
) -> None:
    for event in make(holders):
        answer = holders.routes(event)
        assert CANARY not in json.dumps(answer)
        assert answer["statusCode"] in {201, 400, 403}


def test_but_the_role_that_a_well_formed_request_asks_for(holders: CertificateWorld) -> None:
    role = f"arn:aws:iam::111122223333:role/{CANARY}"
    body = json.loads(holders.ask(arns=holders.arns(roleArn=role))["body"])
    assert body["message"] == f"Unable to assume role for {role}"
    unproven = pki.with_header(
        holders.signed(arns=holders.arns(roleArn=role)), "x-amz-date", "20261120T120001Z"
    )
    assert CANARY not in json.dumps(holders.send(unproven))


# Anything at all


SIGNED = WORLD.signed()
NAMES = [*SIGNED.request.headers, "x-amz-x509-chain", "x-odd", "content-length"]


@SLOW
@given(headers=st.dictionaries(st.sampled_from(NAMES) | TEXTS, ANY_TEXT, min_size=1, max_size=5))
def test_any_headers_are_answered(headers: dict[str, str]) -> None:
    event = with_headers(event_of(SIGNED), headers)
    # What nobody signed does not count; so that no example is a good request, this one always does.
    event = with_headers(event, {"X-Amz-Date": "20261120T120001Z"})
    check(WORLD.routes(event))


@SLOW
@given(
    changes=st.dictionaries(
        st.sampled_from(list(SIGNED.request.query)) | TEXTS,
        st.lists(TEXTS, max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_any_query_is_answered(changes: dict[str, list[str]]) -> None:
    event = event_of(SIGNED)
    event["multiValueQueryStringParameters"] |= changes | {"unsigned": ["x"]}
    check(WORLD.routes(event))


MEMBERS = [
    "roleArn",
    "profileArn",
    "trustAnchorArn",
    "durationSeconds",
    "roleSessionName",
    "instanceProperties",
]


@SLOW
@given(
    body=ANY_TEXT
    | (JSONS | st.dictionaries(st.sampled_from(MEMBERS), JSONS)).map(json.dumps).map(lambda text: f" {text}"),
    encoded=st.booleans(),
)
def test_any_body_is_answered(body: str, *, encoded: bool) -> None:
    check(WORLD.routes(event_of(SIGNED) | {"body": body + " ", "isBase64Encoded": encoded}))


@SLOW
@given(text=ANY_TEXT | st.builds("AWS4-X509-RSA-SHA256 Credential={}".format, TEXTS))
def test_any_authorization_is_answered(text: str) -> None:
    check(WORLD.send(pki.with_header(SIGNED, "authorization", text)))


@SLOW
@given(data=st.binary(max_size=400))
def test_any_certificate_is_answered(data: bytes) -> None:
    check(WORLD.send(pki.with_header(SIGNED, "x-amz-x509", pki.b64(data))))


HOSTILE_EVENTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "no context": lambda event: event.pop("requestContext"),
    "an empty context": lambda event: event.update(requestContext=None),
    "a context of other kinds": lambda event: event["requestContext"].update(apiId=7, path=["x"]),
    "no method": lambda event: event.pop("httpMethod"),
    "no path": lambda event: (event.pop("path"), event["requestContext"].pop("path")),
    "no headers": lambda event: event.update(headers=None, multiValueHeaders=None),
    "headers without values": lambda event: event.update(multiValueHeaders={"Authorization": None}),
    "no query": lambda event: event.update(queryStringParameters=None, multiValueQueryStringParameters=None),
    "a large body": lambda event: event.update(body="a" * 6_000_000),
    "a large body in base64": lambda event: event.update(body="QUFB" * 1_500_000, isBase64Encoded=True),
    "base64 that is none": lambda event: event.update(body="Ä", isBase64Encoded=True),
    "half a surrogate pair": lambda event: event.update(body="\ud800"),
    "a body of brackets": lambda event: event.update(body="[" * 130_000),
    "a great many parameters": lambda event: event.update(
        multiValueQueryStringParameters={f"p{number}": ["x"] for number in range(5_000)}
    ),
    "a great many headers": lambda event: event.update(
        multiValueHeaders={f"h{number}": ["x"] for number in range(5_000)}
    ),
    "a large header": lambda event: event["multiValueHeaders"].update({"X-Amz-X509": ["A" * 6_000_000]}),
    "a chain of commas": lambda event: event["multiValueHeaders"].update(
        {"X-Amz-X509-Chain": ["," * 1_000_000]}
    ),
}


@pytest.mark.parametrize("case", HOSTILE_EVENTS)
def test_an_event_that_no_gateway_sends_is_answered_as_well(case: str) -> None:
    event = event_of(
        WORLD.signed(
            headers={"host": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"}, uri="/v1/sessions"
        )
    )
    HOSTILE_EVENTS[case](event)
    check(WORLD.routes(event))
