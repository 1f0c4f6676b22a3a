"""What the emulator's STS leaves out of an answer to AssumeRoleWithWebIdentity.

STS reads subject, provider and audience from the token and reports them; the emulator reports
constants. Sallyport compares them with what it verified, so the fault proxy puts in what STS would.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape


def correct(answer: bytes, form: bytes) -> bytes:
    """Return the answer (XML) with the three elements filled in from the request's token."""
    asked = {name: values[0] for name, values in parse_qs(form.decode("latin-1")).items()}
    claims = _claims(asked.get("WebIdentityToken", ""))
    if claims is None:
        return answer
    account = (asked.get("RoleArn", "").split(":") + [""] * 5)[4]
    issuer = str(claims.get("iss", "")).partition("://")[2]
    # Where there is azp, STS goes by it; a single aud in a list counts as itself.
    audience = claims.get("azp") or claims.get("aud")
    if isinstance(audience, list):
        audience = audience[0] if len(audience) == 1 else ""
    said = {
        "SubjectFromWebIdentityToken": str(claims.get("sub", "")),
        "Provider": f"arn:aws:iam::{account}:oidc-provider/{issuer}",
        "Audience": str(audience),
    }
    return _put(answer, said)


def _put(answer: bytes, said: Mapping[str, str]) -> bytes:
    for name, value in said.items():
        element = f"<{name}>{escape(value)}</{name}>".encode()
        head, found, rest = answer.partition(f"<{name}>".encode())
        if found:
            answer = head + element + rest.partition(f"</{name}>".encode())[2]
    return answer


def _claims(token: str) -> dict[str, Any] | None:
    try:
        payload = token.split(".")[1]
        value = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return None
    return value if isinstance(value, dict) else None
