"""``sallyport doctor``: for every link that can break, it is the one that is named, with a cure."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from sallyport.model import Secret
from sallyport_cli.doctor import _fits
from sallyport_cli.doctor_identity import check_claims, claims_of
from sallyport_cli.doctor_links import Finding, Link, broken, examine
from sallyport_cli.failure import CommandError
from tests.support import loopback, pki
from tests.support.key_files import pem, private_pem
from tests.support.machine import CA, TODAY, Machine
from tests.support.sessions import session
from tests.support.small_exchange import SECRET, TOKEN, Reply, SmallExchange, error

pytestmark = pytest.mark.enable_socket

LINKS = ["dns", "tcp", "tls", "clock", "endpoint", "identity", "certificate", "size", "exchange"]


def probed(status: int = 403, **headers: str) -> Reply:
    """Return what an exchange says to a request without any proof."""
    return status, headers, json.dumps({"message": "no", "exchangeId": "probe-1"}).encode()


@pytest.fixture
def exchange() -> Iterator[SmallExchange]:
    with SmallExchange(anchor=pki.anchor(CA), replies=[probed()]) as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path, exchange: SmallExchange) -> Machine:
    return Machine(tmp_path, exchange.url)


def doctor(
    machine: Machine, source: str = "x509", *arguments: str, **changes: str
) -> tuple[int, dict[str, Any]]:
    done = machine.run("doctor", source, "--json", *arguments, **changes)
    assert b"Traceback" not in done.stderr, done.stderr
    for secret in (SECRET, TOKEN, "PRIVATE KEY"):
        assert secret.encode() not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)


def breaks_at(machine: Machine, link: str, source: str = "x509", *arguments: str, **changes: str) -> str:
    """See that a link and nothing else is broken; return what is said of it."""
    code, found = doctor(machine, source, *arguments, **changes)
    assert code == 1
    assert found["works"] is False
    states = {one["link"]: one["state"] for one in found["links"]}
    names = list(states)
    at = names.index(link)
    assert set(map(states.get, names[:at])) <= {"ok"}, found
    assert states[link] == "broken", found
    assert set(map(states.get, names[at + 1 :])) <= {"not looked at"}
    (told,) = (one for one in found["links"] if one["link"] == link)
    assert told["cure"]
    return f"{told['text']} {told['cure']}"


# --- a certificate's way


def test_a_whole_chain(machine: Machine, exchange: SmallExchange) -> None:
    code, found = doctor(machine)
    assert code == 0, found
    assert [one["link"] for one in found["links"]] == LINKS
    assert {one["state"] for one in found["links"]} == {"ok"}
    assert "CN=host.example.com" in found["links"][6]["text"]
    assert "ASIAEXAMPLEEXAMPLE00" in found["links"][8]["text"]
    # The look at the endpoint carries no proof of anything.
    assert "authorization" not in exchange.requests[0].headers


def test_as_people_read_it(machine: Machine) -> None:
    done = machine.run("doctor", "x509")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[-1] == "Everything works."


def test_a_name_that_leads_nowhere(machine: Machine) -> None:
    assert "getent" in breaks_at(machine, "dns", "x509", "--endpoint", "https://exchange.invalid/v1")


def test_a_port_where_nobody_listens(machine: Machine) -> None:
    assert "Connection refused" in breaks_at(machine, "tcp", "x509", "--endpoint", "https://127.0.0.1:9/v1")


def test_an_authority_that_is_not_trusted_is_named(machine: Machine, tmp_path: Path) -> None:
    authority = loopback.authority()
    with SmallExchange(
        anchor=pki.anchor(CA), tls=authority.server_context(tmp_path, "127.0.0.1"), replies=[probed()]
    ) as server:
        told = breaks_at(machine, "tls", SALLYPORT_ENDPOINT=server.url)
        assert authority.certificate.subject.rfc4514_string() in told
        (tmp_path / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
        code, found = doctor(machine, SALLYPORT_ENDPOINT=server.url, AWS_CA_BUNDLE=str(tmp_path / "ca.pem"))
    assert code == 0, found
    assert "signed by" in found["links"][2]["text"]


def test_a_certificate_for_another_name(machine: Machine, tmp_path: Path) -> None:
    authority = loopback.authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    with SmallExchange(tls=authority.server_context(tmp_path, "exchange.example.com")) as server:
        told = breaks_at(
            machine, "tls", SALLYPORT_ENDPOINT=server.url, AWS_CA_BUNDLE=str(tmp_path / "ca.pem")
        )
    assert "mismatch" in told


def test_a_server_without_tls(machine: Machine, exchange: SmallExchange) -> None:
    told = breaks_at(machine, "tls", SALLYPORT_ENDPOINT=exchange.url.replace("http:", "https:"))
    assert "does not speak TLS" in told


@pytest.mark.parametrize(
    ("away", "side"), [(timedelta(hours=1), "behind"), (-timedelta(hours=1), "ahead of")]
)
def test_a_wrong_clock(machine: Machine, exchange: SmallExchange, away: timedelta, side: str) -> None:
    exchange.replies = [probed(date=format_datetime(datetime.now(UTC) + away, usegmt=True))]
    assert side in breaks_at(machine, "clock")


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ((200, {"content-type": "text/html"}, b"<html>log in</html>"), "proxy"),
        ((404, {}, b"{}"), "Endpoint"),
        ((403, {"x-amzn-errortype": "MissingAuthenticationTokenException"}, b'{"message":"x"}'), "stage"),
        ((403, {"x-amzn-errortype": "ForbiddenException"}, b'{"message":"Forbidden"}'), "no exchange"),
        ((200, {}, b"[" * 10_000), "no exchange"),
    ],
    ids=["page", "nothing", "no route", "forbidden", "depth"],
)
def test_somebody_else_at_the_endpoint(
    machine: Machine, exchange: SmallExchange, reply: Reply, word: str
) -> None:
    exchange.replies = [reply]
    assert word in breaks_at(machine, "endpoint")


def test_a_key_of_another_certificate(machine: Machine) -> None:
    (machine.home / "host.key").write_bytes(private_pem(pki.root()))
    assert "does not belong" in breaks_at(machine, "identity")


def test_a_certificate_that_is_over(machine: Machine) -> None:
    day = timedelta(days=1)
    old = pki.leaf(CA, begins=TODAY - 3 * day, ends=TODAY - day)
    (machine.home / "host.pem").write_bytes(pem(old))
    (machine.home / "host.key").write_bytes(private_pem(old))
    assert "expired" in breaks_at(machine, "identity")


def test_a_refusal_has_its_exchange(machine: Machine, exchange: SmallExchange) -> None:
    exchange.replies = [probed(), error(403, "AccessDeniedException", "Unable to assume role for x")]
    assert "sallyport explain exchange-2" in breaks_at(machine, "exchange")


def test_headers_that_api_gateway_would_not_take() -> None:
    assert "10,240" in _fits(10_240, "cure")
    with pytest.raises(CommandError, match="10,241"):
        _fits(10_241, "cure")


# --- a managed identity's way


def jwt(**claims: object) -> str:
    def part(document: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

    whole = {"aud": "api://x", "oid": "o-1", "exp": int(time.time()) + 3600} | claims
    return f"{part({'alg': 'RS256'})}.{part({k: v for k, v in whole.items() if v is not None})}.c2lnbmF0dXJl"


@contextmanager
def app_service(token: str, status: int = 200) -> Iterator[dict[str, str]]:
    """Run App Service's token endpoint, and give the variables that lead there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            expires = str(int(time.time()) + 3600)
            found = {"access_token": token, "expires_on": expires, "resource": "x", "token_type": "Bearer"}
            body = json.dumps(found if status == 200 else {"error": "unauthorized_client"}).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}/msi/token",
            "IDENTITY_HEADER": "x",
            "SALLYPORT_AUDIENCE": "api://x",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_managed_identitys_whole_chain(machine: Machine, exchange: SmallExchange) -> None:
    exchange.replies = [probed(401), (200, {}, json.dumps(session().to_credential_process()).encode())]
    token = jwt(xms_mirid="/subscriptions/s", private="not shown")
    with app_service(token) as variables:
        code, found = doctor(machine, "azure", **variables)
    assert code == 0, found
    text = json.dumps(found)
    assert "oid=o-1" in text
    assert "not shown" not in text
    assert token not in text
    assert token.rpartition(".")[2] not in text


def test_no_managed_identity(machine: Machine) -> None:
    told = breaks_at(
        machine,
        "identity",
        "azure",
        IDENTITY_ENDPOINT="http://127.0.0.1:9/x",
        IDENTITY_HEADER="x",
        SALLYPORT_AUDIENCE="api://x",
    )
    assert "managed identity" in told


@pytest.mark.parametrize(
    ("token", "word"),
    [
        (lambda: "opaque", "JWT"),
        (lambda: jwt(exp=int(time.time()) - 60), "ended"),
        (lambda: jwt(exp=None), "no end"),
        (lambda: jwt(nbf=int(time.time()) + 600), "not valid before"),
        (lambda: jwt(scp="user_impersonation"), "user"),
    ],
    ids=["opaque", "ended", "endless", "not yet", "a user's"],
)
def test_a_token_that_no_exchange_takes(machine: Machine, token: Callable[[], str], word: str) -> None:
    with app_service(token()) as variables:
        assert word in breaks_at(machine, "claims", "azure", **variables)


def test_a_token_beyond_the_gateway(machine: Machine) -> None:
    with app_service(jwt(groups=["g" * 36] * 300)) as variables:
        assert "10,240" in breaks_at(machine, "size", "azure", **variables)


def test_a_token_that_was_refused(machine: Machine, exchange: SmallExchange) -> None:
    body = json.dumps({"code": "AccessDenied", "message": "no", "exchangeId": "denied-1"}).encode()
    exchange.replies = [probed(401), (403, {}, body)]
    with app_service(jwt()) as variables:
        assert "sallyport explain denied-1" in breaks_at(machine, "exchange", "azure", **variables)


# --- the parts


@given(
    st.text(max_size=60)
    | st.builds(lambda p: f"a.{base64.urlsafe_b64encode(p).decode()}.b", st.binary(max_size=60))
)
def test_any_text_has_claims_or_a_sentence(text: str) -> None:
    try:
        found = claims_of(Secret(text))
        check_claims(found, TODAY)
    except CommandError:
        return


@given(
    st.dictionaries(
        st.sampled_from(["exp", "nbf", "aud", "oid", "roles"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
            st.lists,
            max_leaves=4,
        ),
    )
)
def test_any_claims_are_described_or_refused(claims: dict[str, Any]) -> None:
    try:
        text = check_claims(claims, TODAY)
    except CommandError:
        return
    assert text.isprintable()


def test_what_hangs_on_a_broken_link_is_not_looked_at() -> None:
    def never() -> str:
        raise AssertionError

    def bad() -> str:
        raise broken("x", "It is bad.", "Do something.")

    links = [Link("one", lambda: "fine"), Link("two", bad), Link("three", never)]
    assert list(examine(links)) == [
        Finding("one", "ok", "fine"),
        Finding("two", "broken", "It is bad.", "Do something."),
        Finding("three", "not looked at"),
    ]
