"""What proves an identity, and what is given for it, is in no log line, no item and no refusal."""

import json
from typing import Any

import pytest

from sallyport.audit.record import RecordDraft
from sallyport.exchange import Arrival
from sallyport.gateway import roles_anywhere
from sallyport.gateway.http import read_event
from sallyport.model import ExchangeId
from sallyport.proof.x509 import parse, verify_chain
from tests.support import pki
from tests.support.certificate_world import DEPLOYER, LISTED, NAMED, CertificateWorld, event_of
from tests.support.fake_transport import answers_503, sts_error, unreachable
from tests.support.world import Answer


def secrets_of(one: pki.Presentation) -> list[str]:
    """What of a request must not be found: its signature, its certificates."""
    headers = one.request.headers
    found = [
        headers["authorization"][0],
        headers["authorization"][0].rpartition("=")[2],
        headers["x-amz-x509"][0],
    ]
    for chain in headers.get("x-amz-x509-chain", ()):
        found += chain.split(",")
    # A part is enough to be found by.
    return [text for whole in found for text in (whole, whole[40:80])]


GIVEN = [f"{kind}-{number}-canary" for kind in ("secret", "session") for number in range(1, 60)]
OWN = ["own-secret-canary", "own-session-canary"]


def run(world: CertificateWorld) -> tuple[list[Answer], list[str]]:
    """Exchanges that end in every way there is, and what must be found nowhere."""
    answers: list[Answer] = []
    secrets: list[str] = [*GIVEN, *OWN]

    def send(one: pki.Presentation) -> None:
        secrets.extend(secrets_of(one))
        answers.append(world.send(one))

    chain = {"chain": (pki.issuing(), pki.root())}
    send(world.signed(pki.leaf(pki.issuing()), **chain))
    send(world.signed(in_body=True))
    send(world.signed(role=NAMED, members={"roleSessionName": "deploy-7"}))
    once = world.signed(role=DEPLOYER)
    send(once)
    send(once)
    send(world.signed(pki.leaf(subject="other.example.com")))
    send(world.signed(pki.leaf(pki.stranger())))
    send(world.signed(pki.leaf(kind="rsa-1024")))
    send(world.signed(headers={"host": "elsewhere.example.com"}))
    send(world.signed(role=LISTED))
    send(pki.with_header(world.signed(), "x-amz-date", "20261120T120001Z"))
    send(world.signed(members={"durationSeconds": 1}))

    def defect() -> Any:
        raise RuntimeError(f"secret-1-canary {once.request.headers['authorization'][0]}")

    for name, fault in (
        ("sts", unreachable),
        ("sts", lambda: sts_error(400, "Throttling", "x")),
        ("sts", defect),
        ("dynamodb/PutItem", unreachable),
        ("dynamodb/BatchGetItem", answers_503),
    ):
        world.advance(11)
        with world.fault(name, fault):
            send(world.signed())
    world.advance(61)
    send(world.signed())
    return answers, secrets


def test_no_log_line_no_item_and_no_refusal_holds_a_secret(
    holders: CertificateWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    answers, secrets = run(holders)
    assert {answer["statusCode"] for answer in answers} == {201, 400, 403, 429, 500, 503}
    captured = capsys.readouterr()
    for metric in ("Granted", "Denied", "Refused", "Failed", "SessionNotReleased", "Unexpected"):
        assert f'"Name":"{metric}"' in captured.out, f"this run has met no {metric}"
    everything = [captured.out, captured.err]
    everything += [
        json.dumps(table.items[key])
        for table in holders.aws.tables.values()
        for key in table.items
        if not is_anchor(key)
    ]
    everything += [json.dumps(answer) for answer in answers if answer["statusCode"] != 201]
    for text in everything:
        assert [secret for secret in secrets if secret in text] == []
    granted = next(answer for answer in answers if answer["statusCode"] == 201)
    assert any(secret in granted["body"] for secret in GIVEN), "the canary would be found"


def is_anchor(key: tuple[str, str]) -> bool:
    """A trust anchor's own certificates are in the trust table, where operators have put them."""
    return key[0].startswith("anchor#")


def test_nobody_but_the_one_who_asked_is_told(holders: CertificateWorld) -> None:
    _, secrets = run(holders)
    for url, headers, body in holders.aws.requests:
        told = f"{url} {json.dumps(dict(headers))} {body.decode()}"
        assert [secret for secret in secrets if secret in told and secret != "own-session-canary"] == []


def test_nothing_shows_its_proof_in_repr(holders: CertificateWorld) -> None:
    one = holders.signed(pki.leaf(pki.issuing()), chain=(pki.issuing(),))
    request = read_event(event_of(one), roles_anywhere.MAX_BODY_BYTES)
    asked = roles_anywhere.read(request)
    draft = RecordDraft(
        id=ExchangeId("0" * 32),
        time=holders.now,
        route="POST /sessions",
        source_ip="192.0.2.7",
        request=asked,
    )
    arrival = Arrival("POST /sessions", "192.0.2.7", "", lambda: asked)
    exchanged = holders.routes.exchange(arrival, ExchangeId("1" * 32), holders.now)
    parsed = parse(one.request)
    chain = verify_chain(parsed, one.endpoint, holders.anchor("datacenter"), holders.now)
    draft.credentials = exchanged.credentials
    shown = [request, asked, asked.proof, draft, exchanged, exchanged.credentials, parsed, chain]
    for value in shown:
        text = f"{value!r} {value}"
        assert [secret for secret in [*secrets_of(one), *GIVEN] if secret in text] == [], type(value)
