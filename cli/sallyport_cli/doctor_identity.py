"""What a machine would show to an exchange: a token's claims, a certificate's fields. Never the secret."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from sallyport.model import Secret
from sallyport.proof.certificates import read
from sallyport_cli.doctor_links import broken
from sallyport_cli.output import shown
from sallyport_cli.x509_identity import ClientIdentity

CLAIMS: Final = ("iss", "aud", "tid", "oid", "appid", "azp", "idtyp", "roles", "xms_mirid")
"""What trust files ask for. Everything else in a token is nobody's business on a terminal."""

_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")


def claims_of(token: Secret) -> Mapping[str, Any]:
    """Return a token's claims, unverified: whether they are true is the exchange's to say.

    Raises:
        CommandError: it is no JWT (RFC 7519).
    """
    payload = _JWT.fullmatch(token.reveal())
    try:
        padded = "" if payload is None else payload[1] + "=" * (-len(payload[1]) % 4)
        document = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise broken(
            "token-form",
            "The identity's token is not a JWT, so nobody but Azure can read it.",
            "Ask for a token of your own app registration with --audience, not for one of Microsoft's APIs.",
        )
    return document


def check_claims(claims: Mapping[str, Any], now: datetime) -> str:
    """Return what a token says.

    Raises:
        CommandError: no exchange would take it.
    """
    ends, begins = _moment(claims.get("exp")), _moment(claims.get("nbf"))
    if ends is None or ends <= now:
        when = "says no end" if ends is None else f"ended at {ends:%Y-%m-%d %H:%M:%S}Z"
        raise broken(
            "token-over",
            f"The token {when}.",
            "Check this machine's clock; Azure's own cache gives a new one when the old one ends.",
        )
    if begins is not None and begins > now:
        raise broken(
            "token-early",
            f"The token is not valid before {begins:%Y-%m-%d %H:%M:%S}Z.",
            "Check this machine's clock.",
        )
    if "scp" in claims:
        raise broken(
            "token-of-a-user",
            "The token is a user's (it has the claim scp), and exchanges take a machine's alone.",
            "Use the machine's managed identity.",
        )
    said = [f"{name}={shown(_text(claims[name]), 200)}" for name in CLAIMS if name in claims]
    return f"{'; '.join(said)}; until {ends:%Y-%m-%d %H:%M:%S}Z"


def describe(identity: ClientIdentity) -> str:
    """Return a certificate's fields."""
    leaf = identity.leaf
    parts = [
        identity.describe(),
        f"issuer {shown(read(leaf.issuer.rfc4514_string), 200)}",
        f"from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M}Z",
        f"signs with {identity.algorithm}",
        f"{len(identity.chain)} intermediate(s)",
    ]
    return "; ".join([*parts, *_for_what(leaf)])


def _for_what(leaf: x509.Certificate) -> list[str]:
    """Return what most exchanges would not like about a certificate; an anchor may allow it."""
    try:
        purposes = list(read(lambda: leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)).value)
    except (ValueError, x509.ExtensionNotFound):
        return []
    if ExtendedKeyUsageOID.CLIENT_AUTH in purposes:
        return []
    return ["not for clients (clientAuth), which only any_extended_key_usage at the anchor allows"]


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
