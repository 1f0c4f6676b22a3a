"""Writes ``rehearsal.json`` and ``rehearsal_session.json``: a proof, and the trust that grants it.

The one has a token and the key that verifies it, the other a signed request and its certificates. The
private keys live for as long as this takes.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from sallyport.model import X509Anchor
from sallyport.proof.crl import read_crl
from sallyport.rehearsal import SESSION_HOST, SESSION_REGION, SESSIONS, TOKENS
from sallyport.trust.compile import CompiledTrust, compile_trust
from tests.support import pki
from tests.support.certificate_world import put_state
from tests.support.fake_transport import FakeAws, FakeTable

# A time long past, in a world of its own: the proofs are worth nothing anywhere, ever.
NOW = 978_310_800
TENANT = "00000000-0000-4000-8000-000000000001"
OBJECT = "00000000-0000-4000-8000-000000000002"
ROLE = "arn:aws:iam::000000000000:role/sallyport/rehearsal"
VERSION = "000000-rehearse"


def _policy(who: str) -> dict[str, Any]:
    resource = f"arn:aws:s3:::rehearsal/{who}/*"
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


TRUST: dict[str, Any] = {
    "version": 1,
    "trust_anchors": {
        "rehearsal": {
            "kind": "oidc",
            "issuer": f"https://sts.windows.net/{TENANT}/",
            "dialect": "entra",
            "audiences": ["urn:sallyport:rehearsal"],
        }
    },
    "profiles": {
        "rehearsal": {
            "trust_anchor": "rehearsal",
            "roles": [ROLE],
            "condition": {
                "StringEquals": {"token:oid": OBJECT},
                "StringLike": {"token:xms_mirid": "/subscriptions/*/virtualMachines/rehearsal"},
            },
            "session_tags": {"Tenant": "${token:tid}", "App": {"value": "${token:appid}", "optional": True}},
            "transitive_tags": ["Tenant"],
            "source_identity": "rehearsal.${token:oid}",
            "session_policy": _policy("${token:oid}"),
        }
    },
}

# The revocation list names nobody of the chain; it is there to be looked at.
LIST = "rehearsal.crl"
SESSION_TRUST: dict[str, Any] = {
    "version": 1,
    "trust_anchors": {"rehearsal": {"kind": "x509", "certificates": "ca.pem", "crls": [LIST]}},
    "profiles": {
        "rehearsal": {
            "trust_anchor": "rehearsal",
            "roles": [ROLE],
            "condition": {
                "StringEquals": {"x509:Subject/CN": "rehearsal"},
                "StringLike": {"x509:SAN/DNS": "rehearsal.*"},
            },
            "session_tags": {"Host": "${x509:SAN/DNS}"},
            "session_policy": _policy("${x509:Subject/CN}"),
        }
    },
}


def compiled(trust: dict[str, Any], *, authority: bytes = b"") -> CompiledTrust:
    """Return trust as it is applied at the rehearsal's place; ``authority`` is PEM."""
    return compile_trust(
        trust,
        account="000000000000",
        region=SESSION_REGION,
        partition="aws",
        local_cloud=False,
        files={"ca.pem": authority},
    )


def documents(found: CompiledTrust) -> dict[str, Any]:
    """Return the trust's items as the table would hold them."""
    return {key: json.loads(json.dumps(document)) for key, document in found.items.items()}


def script() -> dict[str, Any]:
    """Return a new script with a token, signed with a new key."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = {
        "iss": f"https://sts.windows.net/{TENANT}/",
        "aud": "urn:sallyport:rehearsal",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 3600,
        "oid": OBJECT,
        "sub": OBJECT,
        "tid": TENANT,
        "appid": "00000000-0000-4000-8000-000000000003",
        "idtyp": "app",
        "uti": "rehearsal",
        "ver": "1.0",
        "xms_mirid": "/subscriptions/none/resourcegroups/none/virtualMachines/rehearsal",
    }
    key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())) | {"kid": "r", "use": "sig"}
    key.pop("key_ops", None)
    items = _items(compiled(TRUST))
    anchor = next(
        json.loads(item["document"]["S"]) for name, item in items.items() if name.startswith("issuer#")
    )
    # The trust table's `anchor#…` item is read for certificates alone; the keys table's has the same name.
    items[f"anchor#{anchor['id']}"] = {
        "issuer": {"S": anchor["issuer"]},
        "jwks": {"S": json.dumps({"keys": [key]})},
        "fetched_at": {"N": str(NOW)},
    }
    token = jwt.encode(claims, private, algorithm="RS256", headers={"kid": "r"})
    return {"now": NOW + 60, "role": ROLE, "token": token, "items": items}


def session_script() -> dict[str, Any]:
    """Return a new script with a request, signed with a new key of a new certificate."""
    now = datetime.fromtimestamp(NOW, UTC)
    valid: dict[str, Any] = {"begins": now - timedelta(days=30), "ends": now + timedelta(days=30)}
    root = pki.authority("Rehearsal", **valid)
    issuing = pki.authority("Rehearsal Issuing", root, **valid)
    name = x509.SubjectAlternativeName([x509.DNSName(SESSION_HOST.removeprefix("sallyport."))])
    leaf = pki.leaf(issuing, (name, False), subject="rehearsal", **valid)
    found = compiled(SESSION_TRUST, authority=root.certificate.public_bytes(Encoding.PEM))
    items = _items(found)
    (anchor,) = found.anchors
    assert isinstance(anchor, X509Anchor)
    state = read_crl(pki.crl(root, **valid), LIST, anchor, now).state
    aws = FakeAws(now=lambda: now, tables={"keys": FakeTable(sort_key=None)})
    put_state(aws, anchor.id, state, now)
    items |= {key: item for (key, _), item in aws.tables["keys"].items.items()}
    profile = json.loads(items[f"role#{ROLE}"]["document"]["S"])["profiles"][0]
    asked = (("profileArn", profile["arn"]), ("roleArn", ROLE), ("trustAnchorArn", anchor.arn))
    request = pki.signed(
        leaf, chain=(issuing,), query=asked, headers={"host": SESSION_HOST}, when=now, region=SESSION_REGION
    ).request
    event = {
        "resource": "/sessions",
        "path": "/sessions",
        "httpMethod": request.method,
        "requestContext": {"path": "/v1/sessions", "apiId": "rehearsal"},
        "multiValueHeaders": {name.title(): list(values) for name, values in request.headers.items()},
        "multiValueQueryStringParameters": {name: list(values) for name, values in request.query.items()},
        "body": request.body.decode(),
    }
    return {"now": NOW + 60, "event": event, "items": items}


def _items(found: CompiledTrust) -> dict[str, Any]:
    items: dict[str, Any] = {
        name: {"pk": {"S": name}, "version": {"S": VERSION}, "document": {"S": json.dumps(document)}}
        for name, document in documents(found).items()
    }
    items["current"] = {"pk": {"S": "current"}, "version": {"S": "-"}, "current": {"S": VERSION}}
    return items


if __name__ == "__main__":
    for play, written in ((TOKENS, script()), (SESSIONS, session_script())):
        play.script.write_text(json.dumps(written, indent=1) + "\n")
