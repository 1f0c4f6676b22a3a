"""A whole certificate exchange in memory: real requests, the real wiring, and AWS at the transport.

Beside ``world``: the same account, but whoever calls has a certificate and signs its requests with its key.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.adapters.revocation_tables import StoredListsTable
from sallyport.gateway.http import Routes
from sallyport.model import X509Anchor
from sallyport.proof.crl import CrlState, read_crl
from sallyport.revocation import list_key, serial_key
from sallyport.settings import AwsSettings, SessionSettings
from sallyport.wiring import exchanges
from sallyport.wiring.clients import Aws
from tests.support import pki
from tests.support.fake_transport import FakeAws
from tests.support.world import (
    ACCOUNT,
    OWN,
    REGION,
    Account,
    Answer,
    compiled,
    exchange_settings,
    load_event,
)

API_ID = "a1b2c3d4e5"
API_HOST = f"{API_ID}.execute-api.{REGION}.amazonaws.com"
DOMAIN = "exchange.example.com"

READER = f"arn:aws:iam::{ACCOUNT}:role/sallyport/reader"
NAMED = f"arn:aws:iam::{ACCOUNT}:role/sallyport/named"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/sallyport/deployer"
LIMITED = f"arn:aws:iam::{ACCOUNT}:role/sallyport/limited"
LISTED = f"arn:aws:iam::{ACCOUNT}:role/sallyport/listed"

WHO = {"StringEquals": {"x509:Subject/CN": "host.example.com"}}

FILES = {
    "ca.pem": pki.root().certificate.public_bytes(Encoding.PEM),
    "issuing.pem": pki.issuing().certificate.public_bytes(Encoding.PEM),
}

TRUST: dict[str, Any] = {
    "version": 1,
    "trust_anchors": {
        "datacenter": {"kind": "x509", "certificates": "ca.pem"},
        "once": {"kind": "x509", "certificates": "ca.pem", "replay": "once"},
        "listed": {
            "kind": "x509",
            "certificates": "ca.pem",
            "intermediates": "issuing.pem",
            "crls": ["root.crl", "issuing.crl"],
        },
        "patient": {"kind": "x509", "certificates": "ca.pem", "crls": ["root.crl"], "stale_crls": "allow"},
        "gitlab": {
            "kind": "oidc",
            "issuer": "https://gitlab.example.com",
            "audiences": ["urn:sallyport"],
        },
    },
    "profiles": {
        "reader": {
            "trust_anchor": "datacenter",
            "roles": [READER],
            "condition": WHO,
            "session_policy": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::reports/*"}
                ],
            },
        },
        "named": {
            "trust_anchor": "datacenter",
            "roles": [NAMED],
            "condition": WHO,
            "accept_session_name": True,
        },
        "limited": {
            "trust_anchor": "datacenter",
            "roles": [LIMITED],
            "condition": WHO,
            "grants_per_minute": 2,
        },
        "deployer": {"trust_anchor": "once", "roles": [DEPLOYER], "condition": WHO},
        "listed": {"trust_anchor": "listed", "roles": [LISTED], "condition": WHO},
        "patient": {"trust_anchor": "patient", "roles": [LISTED], "condition": WHO},
    },
}


def event_of(
    one: pki.Presentation,
    *,
    api_id: str = API_ID,
    stage: str = "/v1",
    emulator: bool = False,
    base: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The event that API Gateway makes of a request; what it adds by itself is taken from ``base``."""
    event = deepcopy(dict(base or load_event("create_session_emulator" if emulator else "create_session")))
    request = one.request
    own = {name: values for name, values in event["multiValueHeaders"].items() if name.startswith("X-F")}
    sent = own | {(name if emulator else name.title()): list(many) for name, many in request.headers.items()}
    if emulator:
        # It joins what came more than once.
        sent = {name: [", ".join(many)] for name, many in sent.items()}
    asked = {name: list(many) for name, many in request.query.items()}
    event |= {
        "resource": "/sessions",
        "path": "/sessions",
        "httpMethod": request.method,
        "headers": {name: many[-1] for name, many in sent.items()},
        "multiValueHeaders": sent,
        "queryStringParameters": {name: many[-1] for name, many in asked.items()} or None,
        "multiValueQueryStringParameters": asked or None,
        "body": request.body.decode() if request.body else None,
    }
    event["requestContext"] |= {
        "apiId": api_id,
        "path": f"{stage}/sessions",
        "resourcePath": "/sessions",
        "httpMethod": request.method,
    }
    return event


def put_state(aws: FakeAws, anchor_id: str, state: CrlState, now: datetime) -> None:
    """Put a revocation list in force, by what ``refresh_keys`` does it with."""
    dynamodb = Aws(AwsSettings(region=REGION), aws, lambda: OWN).dynamodb()
    assert StoredListsTable(dynamodb, "keys").flip(anchor_id, state, None, now)


@dataclass
class CertificateWorld(Account):
    """An account in which requests signed with certificates are traded."""

    now: datetime = pki.NOW
    trust: dict[str, Any] = field(default_factory=lambda: deepcopy(TRUST))
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    roles: tuple[str, ...] = (READER, NAMED, DEPLOYER, LIMITED, LISTED)
    domain: str = DOMAIN

    def start(self) -> Routes:
        return exchanges.session_routes(
            SessionSettings(exchange=exchange_settings(**self.changes), domain_name=self.domain),
            transport=self.aws,
            credentials=lambda: OWN,
            clock=lambda: self.now,
            monotonic=lambda: self.seconds,
        )

    # Operators

    def anchor(self, name: str) -> X509Anchor:
        found = next(one for one in compiled(self.trust, self.files).anchors if one.name == name)
        assert isinstance(found, X509Anchor)
        return found

    def arns(self, role: str = READER, **changes: str | None) -> dict[str, str]:
        """What a client must name for a role; a change to ``None`` takes one away."""
        name, profile = next((n, p) for n, p in self.trust["profiles"].items() if role in p["roles"])
        stored = compiled(self.trust, self.files).items[f"role#{role}"]["profiles"]
        arn = next(one["arn"] for one in stored if one["name"] == name)
        named = {
            "profileArn": arn,
            "roleArn": role,
            "trustAnchorArn": self.anchor(profile["trust_anchor"]).arn,
        } | changes
        return {name: value for name, value in named.items() if value is not None}

    def keep_list(self, anchor: str, name: str, der: bytes, *, read_at: datetime | None = None) -> None:
        """Put a revocation list where ``refresh_keys`` puts it."""
        trusted, now = self.anchor(anchor), read_at or self.now
        read = read_crl(der, name, trusted, now)
        items = self.aws.tables["keys"].items
        for link in read.links():
            key = serial_key(trusted.id, read.state, link.serial)
            items[key, ""] = {"pk": {"S": key}, "expires_at": {"N": "0"}}
        items.pop((list_key(trusted.id, name), ""), None)
        put_state(self.aws, trusted.id, read.state, now)

    # Callers

    def signed(self, by: pki.Holder | None = None, role: str = READER, **options: Any) -> pki.Presentation:
        """A request as AWS's client makes it: ARNs in the query, or in the body (``in_body=True``)."""
        arns = options.pop("arns", None) or self.arns(role)
        members = options.pop("members", {})
        if options.get("in_body"):
            options.setdefault("content", pki.body(**arns, **members))
        elif members:
            options.setdefault("content", json.dumps(members).encode())
        options.setdefault("query", () if options.get("in_body") else tuple(arns.items()))
        return pki.signed(by, **({"when": self.now} | options))

    def ask(
        self,
        by: pki.Holder | None = None,
        role: str = READER,
        *,
        routes: Routes | None = None,
        **options: Any,
    ) -> Answer:
        """``POST /sessions`` of the holder of a certificate."""
        return self.send(self.signed(by, role, **options), routes=routes)

    def send(self, one: pki.Presentation, *, routes: Routes | None = None, **event: Any) -> Answer:
        """Send a request that was signed before."""
        return (routes or self.routes)(event_of(one, **event))
