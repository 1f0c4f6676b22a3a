"""Requests that other people's clients made, byte for byte as they arrived on loopback.

Each file has one, with the root of a throwaway hierarchy; the keys are gone. What a client sends is the
protocol, and a change of ours that no longer takes it shows here without the client.
"""

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from sallyport.model import SignedRequest
from sallyport.proof.x509 import Endpoint
from tests.support import pki

CAPTURED = sorted((Path(__file__).parents[2] / "support" / "captured").glob("*.json"))


def presentation(captured: dict[str, Any]) -> pki.Presentation:
    target = urlsplit(captured["target"])
    query: dict[str, tuple[str, ...]] = {}
    for pair in filter(None, target.query.split("&")):
        name, _, value = pair.partition("=")
        # No plus stands for a space here.
        query[unquote(name)] = (*query.get(unquote(name), ()), unquote(value))
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in captured["headers"]:
        headers[name] = (*headers.get(name, ()), value)
    request = SignedRequest(
        method="POST", paths=(target.path,), query=query, headers=headers, body=captured["body"].encode()
    )
    return pki.Presentation(
        request=request,
        anchor=pki.anchor(certificates=(base64.b64decode(captured["root"]),)),
        endpoint=Endpoint(hosts=frozenset({"127.0.0.1"}), region=pki.REGION),
        now=datetime.fromisoformat(captured["received"]),
    )


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_a_request_of_an_unchanged_client_is_verified(path: Path) -> None:
    identity = presentation(json.loads(path.read_text(encoding="utf-8"))).verify()
    assert identity.subject == "CN=host.example.com"


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_its_signature_covers_host_date_and_certificate(path: Path) -> None:
    captured = json.loads(path.read_text(encoding="utf-8"))
    authorization = dict(captured["headers"])["authorization"]
    names = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-x509"} <= set(names)


def test_there_are_some() -> None:
    assert {path.stem.partition("-")[0] for path in CAPTURED} == {"helper", "session"}
