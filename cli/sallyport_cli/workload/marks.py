"""Whose credentials these are: what tells one identity from another, without asking for a token.

A cache that mixed up two identities would give one of them the other's rights, so whatever is unknown
here separates. No mark is a secret; where it comes from something long, it is a digest.

- x509: the certificate's bytes. A renewed one is another identity: one exchange more.
- token-file: every claim of the token in the file, but for those that each token has anew. The same
  subject with other groups, another audience or another environment is another identity.
- azure: the machine and its start, besides the selectors: two machines that share a home directory,
  or were made from one image, have different managed identities under the same settings.
- cognito: the app client (a setting), and the refresh token's digest where there is one.
"""

from __future__ import annotations

import os
from binascii import Error as Base64Error
from binascii import a2b_base64

from sallyport_cli.workload.digest import digest
from sallyport_cli.workload.options import AZURE, COGNITO, TOKEN_FILE, X509

TYPE_CHECKING = False
if TYPE_CHECKING:  # `collections` is not for free
    from collections.abc import Mapping

    from sallyport_cli.workload.config import Settings

UNREADABLE = "unreadable"
"""The mark of what cannot be read now; nothing is cached under it."""

MAX_BYTES = 1_048_576
"""Of a file that identifies somebody. A bundle of certificates has some thousands."""

CERTIFICATE_VARIABLE = "SALLYPORT_CERTIFICATE_PEM"
"""Where a certificate can be instead of in a file."""

EACH_TOKEN_ANEW = frozenset(
    {
        # RFC 7519 §4.1, OpenID Connect Core §2 and §3.1.3.6
        "exp", "nbf", "iat", "jti", "auth_time", "nonce", "at_hash", "c_hash",
        # Entra: unique id and opaque values
        "uti", "aio", "rh", "xms_ftd",
        # Cognito: of one sign-in or one refresh
        "event_id", "origin_jti",
    }
)  # fmt: skip
"""Claims that say nothing about who somebody is. All others tell identities apart."""

# Where azure-identity and the hosts it knows find out which identity to be. IDENTITY_HEADER and
# MSI_SECRET are secrets and not here.
_AZURE_VARIABLES = (
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "IDENTITY_ENDPOINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
)
_BOOT = "/proc/sys/kernel/random/boot_id"


def marks(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what tells this identity from all others that the settings could stand for."""
    if settings.source == X509:
        named = settings.get("pkcs12") or settings.get("certificate")
        if named:
            return {"certificate-sha256": _digest_of(named)}
        return {"certificate-sha256": digest(environment.get(CERTIFICATE_VARIABLE, "").encode())}
    if settings.source == TOKEN_FILE:
        return {"claims-sha256": _claims(_read(settings.get("token-file")))}
    if settings.source == AZURE:
        found = {name: environment[name] for name in _AZURE_VARIABLES if environment.get(name)}
        return found | {"boot": (_read(_BOOT) or b"").decode(errors="replace"), "host": os.uname().nodename}
    if settings.source == COGNITO and settings.get("refresh-token-file"):
        return {"refresh-token-sha256": _digest_of(settings.get("refresh-token-file"))}
    return {}


def key_of(settings: Settings, found: Mapping[str, str]) -> str:
    """Return the SHA-256 of everything that credentials depend on, in hexadecimal.

    Names and values stand with their lengths, so that no value can pass for two.
    """
    parts = [b"sallyport workload 1", settings.source.encode()]
    for kind, mapping in ((b"setting", settings.values), (b"mark", found)):
        for name in sorted(mapping):
            parts += [kind, name.encode(), mapping[name].encode(errors="surrogateescape")]
    return digest(b"".join(b"%d:%b," % (len(part), part) for part in parts))


def _claims(token: bytes | None) -> str:
    if token is None:
        return UNREADABLE
    import json  # noqa: PLC0415 - only for tokens

    try:
        payload = token.strip().split(b".")[1]
        claims = json.loads(a2b_base64(payload.translate(_URL_SAFE) + b"=="))
    except (IndexError, ValueError, RecursionError, Base64Error):
        claims = None
    if not isinstance(claims, dict):
        # Not a token that can be looked into: then each is its own identity.
        return digest(token)
    kept = {name: value for name, value in claims.items() if name not in EACH_TOKEN_ANEW}
    cluster = kept.get("kubernetes.io")
    if isinstance(cluster, dict):
        # A time, set anew with each token.
        kept["kubernetes.io"] = {name: value for name, value in cluster.items() if name != "warnafter"}
    return digest(json.dumps(kept, sort_keys=True).encode())


_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _digest_of(path: str | None) -> str:
    data = _read(path)
    return UNREADABLE if data is None else digest(data)


def _read(path: str | None) -> bytes | None:
    try:
        with open(path or "", "rb") as stream:  # noqa: PTH123 - pathlib is not for free
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError):
        return None
    return data if 0 < len(data) <= MAX_BYTES else None
