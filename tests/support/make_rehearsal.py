"""Writes ``rehearsal.json``: a token, the key that verifies it and the trust that grants it.

The private key lives for as long as this takes.
"""

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from sallyport.rehearsal import SCRIPT
from sallyport.trust.compile import compile_trust

# A time long past, in a world of its own: the token is worth nothing anywhere, ever.
NOW = 978_310_800
TENANT = "00000000-0000-4000-8000-000000000001"
OBJECT = "00000000-0000-4000-8000-000000000002"
ROLE = "arn:aws:iam::000000000000:role/sallyport/rehearsal"
VERSION = "000000-rehearse"

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
            "session_policy": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "s3:GetObject",
                        "Resource": "arn:aws:s3:::rehearsal/${token:oid}/*",
                    }
                ],
            },
        }
    },
}


def documents() -> dict[str, Any]:
    """Return the trust's items as the table would hold them."""
    compiled = compile_trust(
        TRUST, account="000000000000", region="us-east-1", partition="aws", local_cloud=False
    )
    return {key: json.loads(json.dumps(document)) for key, document in compiled.items.items()}


def script() -> dict[str, Any]:
    """Return a new script, signed with a new key."""
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
    items: dict[str, Any] = {
        name: {"pk": {"S": name}, "version": {"S": VERSION}, "document": {"S": json.dumps(document)}}
        for name, document in documents().items()
    }
    items["current"] = {"pk": {"S": "current"}, "version": {"S": "-"}, "current": {"S": VERSION}}
    anchor = next(
        json.loads(item["document"]["S"]) for name, item in items.items() if name.startswith("issuer#")
    )
    # The trust table's `anchor#…` item is never read by an exchange; the keys table's has the same name.
    items[f"anchor#{anchor['id']}"] = {
        "issuer": {"S": anchor["issuer"]},
        "jwks": {"S": json.dumps({"keys": [key]})},
        "fetched_at": {"N": str(NOW)},
    }
    token = jwt.encode(claims, private, algorithm="RS256", headers={"kid": "r"})
    return {"now": NOW + 60, "role": ROLE, "token": token, "items": items}


if __name__ == "__main__":
    SCRIPT.write_text(json.dumps(script(), indent=1) + "\n")
