"""A known secret goes in; it must come out of the answer to a grant, and nowhere else."""

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from sallyport import exchange, model
from sallyport.adapters.http import HttpResponse
from sallyport.audit.record import RecordDraft
from sallyport.gateway import sts_query
from sallyport.gateway.http import read_event
from sallyport.model import ExchangeId, ExchangeRequest, Secret
from sallyport.proof.oidc import parse
from tests.support import canary, tokens
from tests.support.world import ROOT, World, query_event, sts_form


def test_the_canary_would_be_found() -> None:
    """What is looked for is what is sent and given: otherwise nothing would ever be found."""
    world = World()
    granted = world.query(canary.TOKENS["good"])
    assert "secret-1-canary" in canary.found_in(granted["body"])
    assert "session-1-canary" in canary.found_in(granted["body"])
    head, payload, signature = tokens.good_token().split(".")
    for text in (head, payload, signature, f"Bearer {tokens.good_token()}"):
        assert canary.found_in(text)


def test_no_log_line_no_item_and_no_error_holds_a_secret(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = canary.run(world)
    captured = capsys.readouterr()
    assert captured.out.count('"message":"exchange"') == len(answers)
    for metric in ("Granted", "Denied", "Refused", "Failed", "SessionNotReleased", "Unexpected"):
        assert f'"Name":"{metric}"' in captured.out, f"this run has met no {metric}"
    for line in (captured.out + captured.err).splitlines():
        assert canary.found_in(line) == [], line[:200]
    for name, table in world.aws.tables.items():
        for item in table.items.values():
            assert canary.found_in(json.dumps(item)) == [], name
    assert len(world.records) > 20
    for way, answer in answers:
        if answer["statusCode"] != 200:
            assert canary.found_in(json.dumps(answer)) == [], way
    assert {answer["statusCode"] for _, answer in answers} == {200, 400, 403, 429, 500, 503}


def test_only_sts_and_the_one_who_asked_are_told(world: World) -> None:
    canary.run(world)
    meant_for_sts = {canary.TOKENS["v2"], *canary.TOKENS["v2"].split("."), "policycanary"}
    for url, headers, body in world.aws.requests:
        told = canary.found_in(f"{url} {json.dumps(dict(headers))} {body.decode()}")
        # The session token of the function's own credentials is part of every signed request.
        told = [secret for secret in told if secret != canary.OWN_SESSION]
        if "//sts." not in url:
            assert told == [], url
        else:
            assert meant_for_sts.issuperset(told)


def test_nothing_shows_its_secret_in_repr(world: World) -> None:
    token = canary.TOKENS["good"]
    event = query_event(sts_form(token))
    request = read_event(event, sts_query.MAX_BODY_BYTES)
    asked = sts_query.read(request)
    draft = RecordDraft(
        id=ExchangeId("0" * 32), time=world.now, route="POST /", source_ip="192.0.2.7", request=asked
    )
    arrival = exchange.Arrival("POST /", "192.0.2.7", "", lambda: asked)
    exchanged = world.routes.exchange(arrival, ExchangeId("1" * 32), world.now)
    draft.credentials = exchanged.credentials
    parsed = parse(token)
    shown = [
        request,
        asked,
        draft,
        exchanged,
        exchanged.credentials,
        parsed,
        HttpResponse(200, token.encode()),
    ]
    for one in shown:
        for text in (repr(one), str(one), f"{one}", f"{one!r}", "%s" % (one,)):  # noqa: UP031 - one way of showing it
            assert canary.found_in(text) == [], type(one)


@pytest.mark.parametrize(
    "how", [repr, str, "{}".format, "{:>20}".format, "%s".__mod__, lambda s: json.dumps([f"{s}"])]
)
def test_a_secret_has_to_be_asked_for_by_name(how: Any) -> None:
    assert "canary" not in how(Secret("canary"))
    assert Secret("canary").reveal() == "canary"


def test_the_nouns_hold_proofs_and_credentials_as_secrets() -> None:
    """A plain string under such a name would be shown by every repr and every log line."""
    suspicious = re.compile(r"token$|secret|proof$|password|raw$")
    for value in vars(model).values():
        if isinstance(value, type) and is_dataclass(value):
            for one in fields(value):
                if suspicious.search(one.name):
                    assert one.type in (Secret, model.Proof), f"{value.__name__}.{one.name}"
    assert ExchangeRequest.__dataclass_fields__["proof"].type is model.Proof


def test_no_segment_of_a_trace_holds_a_secret() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sallyport")]),
            "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:%d" % daemon.getsockname()[1],  # noqa: UP031 - an address
            "AWS_LAMBDA_FUNCTION_NAME": "sallyport-assume-role",
            "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_REGION": "eu-central-1",
        }
        command = [sys.executable, "-m", "tests.support.canary"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr[-2_000:]
        daemon.settimeout(0.2)
        segments = []
        while True:
            try:
                segments.append(daemon.recv(65_536).decode())
            except TimeoutError:
                break
    names = {json.loads(segment.partition("\n")[2])["name"] for segment in segments}
    assert {"## verify", "## authorize", "## issue", "## record"} <= names
    for text in (*segments, *(done.stdout + done.stderr).splitlines()):
        assert canary.found_in(text) == [], text[:300]
    assert not any('"cause"' in segment or '"exceptions"' in segment for segment in segments)
