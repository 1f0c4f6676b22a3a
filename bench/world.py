"""One estate for all measurements: an Entra anchor, a profile with everything on it, a real token."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from sallyport.trust.compile import CompiledTrust, compile_trust

REGION = "us-east-1"
ACCOUNT = "111122223333"
VERSION = "000001-0badcafe"
TENANT = "3d0af1a2-53a6-4c1b-9f0e-6f1d2c3b4a59"
ISSUER = f"https://sts.windows.net/{TENANT}/"
AUDIENCE = "urn://dev-aws-account-team-a"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport/team-a-reader"
OID = "b0c1d2e3-1111-4222-8333-444455556666"
KID = "bench-key"
HOST = "sallyport.example.com"


def session_policy(name: str) -> dict[str, Any]:
    """Return a policy with something of the caller's in it."""
    resource = f"arn:aws:s3:::reports/${{{name}}}/*"
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [allow]}


TRUST = {
    "version": 1,
    "trust_anchors": {
        "contoso": {"kind": "oidc", "issuer": ISSUER, "dialect": "entra", "audiences": [AUDIENCE]}
    },
    "profiles": {
        "team-a-reader": {
            "trust_anchor": "contoso",
            "roles": [ROLE],
            "condition": {"StringEquals": {"token:oid": OID, "token:idtyp": "app"}},
            "session_tags": {
                "TenantID": "${token:tid}",
                "App": {"value": "${token:appid}", "optional": True},
            },
            "transitive_tags": ["TenantID"],
            "source_identity": "contoso.${token:oid}",
            "session_name": "contoso-${token:oid}",
            "session_policy": session_policy("token:oid"),
            "duration": "1h",
        }
    },
}

_SECRET = "s" * 40
_SESSION_TOKEN = "t" * 900
STS_ANSWER = (
    '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>'
    "<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:contoso-b0c1</AssumedRoleId>"
    "<Arn>arn:aws:sts::111122223333:assumed-role/team-a-reader/contoso-b0c1</Arn></AssumedRoleUser>"
    f"<Credentials><AccessKeyId>ASIAEXAMPLEEXAMPLE00</AccessKeyId><SecretAccessKey>{_SECRET}</SecretAccessKey>"
    f"<SessionToken>{_SESSION_TOKEN}</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials>"
    "<PackedPolicySize>6</PackedPolicySize></AssumeRoleResult></AssumeRoleResponse>"
).encode()

ENVIRONMENT = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "ASIABENCHBENCHBENCH0",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_SESSION_TOKEN": "t" * 900,
    "POWERTOOLS_SERVICE_NAME": "sallyport",
    "POWERTOOLS_METRICS_NAMESPACE": "Sallyport",
    "SALLYPORT_TRUST_TABLE": "trust",
    "SALLYPORT_KEYS_TABLE": "keys",
    "SALLYPORT_SPENT_TABLE": "spent",
    "SALLYPORT_RECORDS_TABLE": "records",
    "SALLYPORT_RECORD_DAYS": "400",
    "SALLYPORT_REFRESH_FUNCTION": "refresh",
    "SALLYPORT_DOMAIN_NAME": HOST,
    "SALLYPORT_STS_REGIONS": REGION,
}


@dataclass(frozen=True, slots=True)
class World:
    """A token, the key that verifies it, the event that carries it, and the tables' items."""

    token: str
    key: rsa.RSAPublicKey
    event: dict[str, Any]
    trust: dict[tuple[str, str], dict[str, Any]]
    keys: dict[str, dict[str, Any]]

    def answer(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Answer as DynamoDB would."""
        return answer(self.trust, self.keys, operation, arguments)


def answer(
    trust: dict[tuple[str, str], dict[str, Any]],
    keys: dict[str, dict[str, Any]],
    operation: str,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    """Answer as DynamoDB would, with these items in the tables."""
    if operation == "BatchGetItem":
        return {"Responses": {name: [] for name in arguments["RequestItems"]}, "UnprocessedKeys": {}}
    if operation == "GetItem":
        key = arguments["Key"]
        table: dict[Any, Any] = trust if "version" in key else keys
        item = table.get((key["pk"]["S"], key["version"]["S"]) if "version" in key else key["pk"]["S"])
        return {} if item is None else {"Item": item}
    return {}


def build() -> World:
    """Make a world whose token is valid now, for an hour."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    token = jwt.encode(claims(now), private, algorithm="RS256", headers={"kid": KID})
    compiled = compile_trust(TRUST, account=ACCOUNT, region=REGION, partition="aws", local_cloud=False)
    anchor = compiled.anchors[0]
    trust = trust_items(compiled)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())) | {"kid": KID, "use": "sig"}
    jwk.pop("key_ops", None)
    keys = {
        f"anchor#{anchor.id}": {
            "pk": {"S": f"anchor#{anchor.id}"},
            "issuer": {"S": ISSUER},
            "jwks": {"S": json.dumps({"keys": [jwk]})},
            "fetched_at": {"N": str(now)},
        }
    }
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "bench",
        "DurationSeconds": "3600",
        "WebIdentityToken": token,
    }
    event = {
        "resource": "/",
        "path": "/",
        "httpMethod": "POST",
        "multiValueHeaders": {
            "Content-Type": ["application/x-www-form-urlencoded"],
            "User-Agent": ["bench"],
            "Host": [HOST],
        },
        "requestContext": {"identity": {"sourceIp": "203.0.113.7"}, "path": "/v1/"},
        "body": urlencode(form),
        "isBase64Encoded": False,
    }
    return World(token, private.public_key(), event, trust, keys)


def trust_items(compiled: CompiledTrust) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the trust table's items by their keys."""
    trust = {
        (key, VERSION): {"pk": {"S": key}, "version": {"S": VERSION}, "document": {"S": json.dumps(document)}}
        for key, document in compiled.items.items()
    }
    trust["current", "-"] = {"pk": {"S": "current"}, "version": {"S": "-"}, "current": {"S": VERSION}}
    return trust


def claims(now: int) -> dict[str, Any]:
    """Return the claims of a v1.0 token of a managed identity, as Azure issues them."""
    return {
        "aud": AUDIENCE,
        "iss": ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + 86_400,
        "aio": "E2ZgYPj4" * 4,
        "appid": "c0ffee00-1111-4222-8333-444455556666",
        "appidacr": "2",
        "idp": ISSUER,
        "idtyp": "app",
        "oid": OID,
        "rh": "1.AXkA",
        "sub": OID,
        "tid": TENANT,
        "uti": "Zm9vYmFyYmF6cXV4AAAA",
        "ver": "1.0",
        "xms_mirid": (
            "/subscriptions/00000000-1111-2222-3333-444444444444/resourcegroups/team-a/providers/"
            "Microsoft.Compute/virtualMachines/app-server"
        ),
    }


def bare_decode(world: World) -> None:
    """Do the floor: verify the same token with PyJWT alone."""
    jwt.decode(world.token, world.key, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
