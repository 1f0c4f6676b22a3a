"""Our own client against a server that verifies with the exchange's own verifier, over real HTTP."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.workload.asking import ATTEMPTS
from sallyport_cli.workload.session import SessionCredentials
from sallyport_cli.x509_identity import ClientIdentity, Material, load_identity
from sallyport_cli.x509_session import (
    MAX_HEADER_BYTES,
    Order,
    issue,
    make_order,
    sign,
)
from tests.support import loopback, pki
from tests.support.key_files import pem, private_pem
from tests.support.small_exchange import SECRET, TOKEN, Reply, SmallExchange, error, raw_endpoint, session

LIMIT = pki.NOW + timedelta(hours=1)


def identity(kind: str = "p-256", *chain: pki.Holder, by: pki.Holder | None = None) -> ClientIdentity:
    holder = pki.leaf(by, kind=kind)
    return load_identity(Material(certificate=pem(holder, *chain), private_key=private_pem(holder)), pki.NOW)


def order(endpoint: str, **changes: Any) -> Order:
    said: dict[str, Any] = {
        "endpoint": endpoint,
        "trust_anchor_arn": pki.ANCHOR_ARN,
        "profile_arn": pki.PROFILE_ARN,
        "role_arn": pki.ROLE_ARN,
    }
    return make_order(**(said | changes))


class Ticking:
    """A clock that is a second later whenever somebody looks."""

    def __init__(self) -> None:
        self.now = pki.NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def ask(wanted: Order, who: ClientIdentity | None = None, **more: Any) -> SessionCredentials:
    return issue(wanted, who or identity(), clock=Ticking(), pause=lambda _seconds: None, **more)


def exchange(*replies: Reply, **fields: Any) -> SmallExchange:
    return SmallExchange(replies=list(replies), clock=lambda: pki.NOW, **fields)


# --- what is sent is what is verified --------------------------------------------------------------


@pytest.mark.parametrize("kind", pki.GOOD_KINDS)
def test_every_kind_of_key_gets_credentials(kind: str) -> None:
    with exchange() as server:
        found = ask(order(server.url), identity(kind))
    assert [one.subject for one in server.identities] == ["CN=host.example.com"]
    assert found.secret_access_key.reveal() == SECRET
    assert found.expiration == LIMIT


def test_the_path_below_a_stage_is_signed_as_it_is_sent() -> None:
    with exchange() as server:
        ask(order(server.url + "/v1/"))
    assert server.requests[0].paths == ("/v1/sessions",)
    assert len(server.identities) == 1


def test_intermediates_are_sent_and_help() -> None:
    with exchange() as server:
        ask(order(server.url), identity("p-256", pki.issuing(), by=pki.issuing()))
        assert len(server.identities) == 1
        with pytest.raises(CommandError, match="Untrusted signing certificate"):
            ask(order(server.url), identity("p-256", by=pki.issuing()))


def test_the_root_and_repetitions_stay_at_home() -> None:
    who = identity("p-256", pki.issuing(), pki.root(), pki.issuing(), by=pki.issuing())
    assert [one.subject for one in who.chain] == [pki.issuing().certificate.subject]


def test_the_arns_and_wishes_are_in_the_body() -> None:
    with exchange() as server:
        ask(order(server.url, duration=900, session_name="nightly"))
    assert json.loads(server.requests[0].body) == {
        "durationSeconds": 900,
        "profileArn": pki.PROFILE_ARN,
        "roleArn": pki.ROLE_ARN,
        "roleSessionName": "nightly",
        "trustAnchorArn": pki.ANCHOR_ARN,
    }
    assert server.requests[0].query == {}


def test_what_is_not_asked_for_is_not_in_the_body() -> None:
    with exchange() as server:
        ask(order(server.url))
    assert set(json.loads(server.requests[0].body)) == {"profileArn", "roleArn", "trustAnchorArn"}


def test_the_computed_size_is_what_arrives() -> None:
    # RSA, because ECDSA's signatures differ in length.
    who = identity("rsa-2048", pki.issuing())
    with exchange() as server:
        wanted = order(server.url + "/v1")
        ask(wanted, who)
    assert server.header_bytes == [sign(wanted, who, pki.NOW).header_bytes]


def test_over_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    authority = loopback.authority()
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    with exchange(tls=authority.server_context(tmp_path, "127.0.0.1")) as server:
        found = ask(order(server.url + "/v1", ca_bundle=str(bundle)))
        assert found.access_key_id.startswith("ASIA")
        assert len(server.identities) == 1


def test_a_server_nobody_vouches_for_hears_nothing(tmp_path: Path) -> None:
    with exchange(tls=loopback.authority().server_context(tmp_path, "127.0.0.1")) as server:
        with pytest.raises(CommandError, match="not trusted here") as caught:
            ask(order(server.url))
        assert server.requests == []
    assert "--ca-bundle" in caught.value.cure


def test_a_server_with_another_name_hears_nothing(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(loopback.authority().certificate.public_bytes(Encoding.PEM))
    with exchange(tls=loopback.authority().server_context(tmp_path, "other.example.com")) as server:
        with pytest.raises(CommandError, match="not trusted here"):
            ask(order(server.url, ca_bundle=str(bundle)))
        assert server.requests == []


def test_a_bundle_without_authorities_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("nothing")
    with pytest.raises(CommandError) as caught:
        ask(order("https://127.0.0.1:9", ca_bundle=str(bundle)))
    assert caught.value.reason == "ca-bundle-unreadable"


# --- asking again ------------------------------------------------------------------------------------

AGAIN = {
    "500": error(500, "InternalServerException", "The request could not be completed."),
    "502": (502, {}, b"<html>Bad Gateway</html>"),
    "503": error(503, "ServiceUnavailableException", "The service is temporarily unable to answer."),
    "504": (504, {}, b'{"message": "Endpoint request timed out"}'),
    "throttled": error(429, "ThrottlingException", "Rate exceeded."),
    "throttled with 400": error(400, "ThrottlingException", "Rate exceeded."),
    "the gateway's own 429": (429, {}, b'{"message": "Too Many Requests"}'),
}


@pytest.mark.parametrize("reply", AGAIN.values(), ids=AGAIN)
def test_what_may_pass_is_asked_again_with_a_new_signature(reply: Reply) -> None:
    with exchange(reply, reply) as server:
        found = ask(order(server.url))
    assert found.session_token.reveal() == TOKEN
    assert len(server.requests) == ATTEMPTS
    for header in ("x-amz-date", "authorization"):
        assert len({request.headers[header] for request in server.requests}) == ATTEMPTS


@pytest.mark.parametrize("reply", AGAIN.values(), ids=AGAIN)
def test_it_is_given_up_in_the_end(reply: Reply) -> None:
    with exchange(*[reply] * 9) as server, pytest.raises(CommandError, match="exchange-3"):
        ask(order(server.url))
    assert len(server.requests) == ATTEMPTS


NEVER_AGAIN = {
    "denied": error(403, "AccessDeniedException", f"Unable to assume role for {pki.ROLE_ARN}"),
    "revoked": error(403, "AccessDeniedException", "Certificate revoked"),
    "malformed": error(400, "ValidationException", "roleArn is not an ARN."),
    "not found": (404, {}, b'{"message": "Not Found"}'),
    "moved": (302, {"location": "http://127.0.0.1:1/"}, b""),
    "no session": (201, {}, b"{}"),
    "html": (200, {}, b"<html>Sign in</html>"),
}


@pytest.mark.parametrize("reply", NEVER_AGAIN.values(), ids=NEVER_AGAIN)
def test_a_refusal_is_final(reply: Reply) -> None:
    with exchange(reply) as server, pytest.raises(CommandError, match="exchange-1") as caught:
        ask(order(server.url))
    assert len(server.requests) == 1
    assert caught.value.exit_code is Exit.REFUSED
    assert caught.value.cure


def test_an_endpoint_that_is_away_is_tried_three_times() -> None:
    with exchange() as server:
        gone = order(server.url)
    pauses: list[float] = []
    told: list[str] = []
    with pytest.raises(CommandError, match="cannot be reached") as caught:
        issue(gone, identity(), clock=Ticking(), pause=pauses.append, trace=told.append)
    assert caught.value.reason == "endpoint-unreachable"
    assert len(pauses) == ATTEMPTS - 1
    assert sum(line.startswith("no answer") for line in told) == ATTEMPTS


@pytest.mark.parametrize(
    "garbage", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{"]
)
def test_what_is_no_http_is_one_clear_sentence(garbage: bytes) -> None:
    with raw_endpoint(garbage) as (url, received), pytest.raises(CommandError) as caught:
        ask(order(url))
    assert caught.value.reason == "endpoint-unreachable"
    assert len(received) == ATTEMPTS


def test_an_endless_answer_ends() -> None:
    head = b"HTTP/1.1 201 Created\r\n\r\n"
    with raw_endpoint(head, b"x" * 65_536) as (url, received), pytest.raises(CommandError, match="too long"):
        ask(order(url))
    assert len(received) == ATTEMPTS


def test_an_answer_that_never_ends_is_cut_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sallyport_cli.post.READ_TIMEOUT", 0.3)
    head = b"HTTP/1.1 201 Created\r\ncontent-length: 9999\r\n\r\n"
    # Every byte is in time; only all of them together are not.
    with (
        raw_endpoint(head, b" ", pause=0.02) as (url, received),
        pytest.raises(CommandError, match="in time"),
    ):
        ask(order(url))
    assert len(received) == ATTEMPTS


# --- what answers say ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"accessKeyId": ""},
        {"secretAccessKey": None},
        {"sessionToken": 1},
        {"expiration": "soon"},
        {"expiration": "2026-11-20T13:00:00"},
        # In UTC this is before the first year, or after the last.
        {"expiration": "0001-01-01T00:00:00+23:59"},
        {"expiration": "9999-12-31T23:59:59-23:59"},
    ],
)
def test_half_a_session_is_none(change: dict[str, Any]) -> None:
    status, headers, body = session(LIMIT)
    document = json.loads(body)
    document["credentialSet"][0]["credentials"].update(change)
    reply = (status, headers, json.dumps(document).encode())
    with exchange(reply) as server, pytest.raises(CommandError) as caught:
        ask(order(server.url))
    assert caught.value.reason == "answer-malformed"
    assert SECRET not in str(caught.value)


def test_a_session_that_is_over_is_none_and_the_clock_is_named() -> None:
    with exchange(session(pki.NOW - timedelta(seconds=1))) as server, pytest.raises(CommandError) as caught:
        ask(order(server.url))
    assert caught.value.reason == "answer-expired"
    assert "clock" in caught.value.cure


def test_a_wrong_clock_is_named() -> None:
    late = pki.NOW + timedelta(minutes=42)
    reply = error(403, "AccessDeniedException", "The request could not be authenticated.")
    reply = (reply[0], {**reply[1], "date": f"{late:%a, %d %b %Y %H:%M:%S} GMT"}, reply[2])
    with exchange(reply) as server, pytest.raises(CommandError) as caught:
        ask(order(server.url))
    assert "42 minutes behind" in caught.value.cure


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999",
        "Mon, 01 Jan 1000 00:00:00 GMT",
        "soon",
    ],
)
def test_a_date_out_of_this_world_is_no_date(date: str) -> None:
    status, headers, body = session(datetime.fromisoformat("9999-12-31T23:59:59Z"))
    with exchange((status, {**headers, "date": date}, body)) as server:
        assert ask(order(server.url)).ends.year >= 9999


def test_what_the_endpoint_says_cannot_act_on_a_terminal() -> None:
    reply = error(403, "Access\x1b[2JDenied", "no\x1b[31m" + "x" * 9_000)
    reply = (reply[0], {"x-amzn-errortype": "Denied"}, reply[2])
    with exchange(reply) as server, pytest.raises(CommandError) as caught:
        ask(order(server.url))
    assert "\x1b" not in caught.value.detail
    assert len(caught.value.detail) < 1_000


def test_nothing_that_is_told_is_secret() -> None:
    told: list[str] = []
    with exchange(AGAIN["503"]) as server:
        who = identity()
        found = ask(order(server.url), who, trace=told.append)
    authorization = server.requests[0].headers["authorization"][0]
    text = "\n".join(told) + repr(found) + repr(who) + repr(sign(order(server.url), who, pki.NOW))
    assert "attempt 2" in text
    for secret in (SECRET, TOKEN, authorization.rpartition("=")[2]):
        assert secret not in text


# --- what is refused before anything is sent -------------------------------------------------------


def test_headers_beyond_the_gateways_limit_are_refused_with_the_cure() -> None:
    chain = [
        pki.authority(f"Issuing {at}", pki.root("rsa-4096"), kind="rsa-4096", key_name="x") for at in range(5)
    ]
    who = identity("rsa-4096", *chain)
    far = order("https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com/v1")
    with pytest.raises(CommandError, match=r"10,240") as caught:
        ask(far, who)
    assert "at the trust anchor" in caught.value.cure
    assert sign(far, who, pki.NOW).header_bytes > MAX_HEADER_BYTES


def test_towards_this_machine_they_are_a_warning() -> None:
    told: list[str] = []
    with exchange() as server:
        ask(order(server.url), identity("ml-dsa-87"), trace=told.append)
    assert any("10,240" in line for line in told)


WRONG = {
    "plain http": {"endpoint": "http://exchange.example.com"},
    "no scheme": {"endpoint": "exchange.example.com"},
    "a user": {"endpoint": "https://me@exchange.example.com"},
    "a query": {"endpoint": "https://exchange.example.com/v1?x=y"},
    "an escape": {"endpoint": "https://exchange.example.com/v%31"},
    "a fragment": {"endpoint": "https://exchange.example.com/#x"},
    "another scheme": {"endpoint": "file:///etc/passwd"},
    "profile for anchor": {"trust_anchor_arn": pki.PROFILE_ARN},
    "anchor for profile": {"profile_arn": pki.ANCHOR_ARN},
    "a line end": {"profile_arn": pki.PROFILE_ARN + "\n"},
    "a user's role": {"role_arn": "arn:aws:iam::111122223333:user/x"},
    "other Region": {"profile_arn": pki.PROFILE_ARN.replace("eu-central-1", "us-east-1")},
    "no Region": {"region": "Frankfurt am Main"},
    "too short": {"duration": 899},
    "too long": {"duration": 43_201},
    "no name": {"session_name": "a b"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_wrong_usage_is_told_from_refusal(change: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as caught:
        order(**({"endpoint": "https://exchange.example.com"} | change))
    assert caught.value.exit_code is Exit.USAGE
    assert caught.value.cure


def test_the_region_is_the_anchors_unless_said_otherwise() -> None:
    assert order("https://exchange.example.com").region == "eu-central-1"
    assert order("https://exchange.example.com", region="us-east-1").region == "us-east-1"
