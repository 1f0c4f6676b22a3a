"""Whose credentials these are: what tells one identity from another, without asking for a token.

A cache that mixed up two identities would give one of them the other's rights, so whatever is unknown
here separates. No mark is a secret; where it comes from something long, it is a digest.

- x509: the certificate's bytes. A renewed one is another identity: one exchange more.
- token-file: the token itself, whole. Nobody has verified it here: by its claims alone, whoever writes
  a token with somebody's claims would be handed what that one's verified token was given.
- azure: the machine and its start, besides the selectors: two machines that share a home directory,
  or were made from one image, have different managed identities under the same settings.
- cognito: the app client (a setting), and the refresh token's digest where there is one.
"""

from __future__ import annotations

import os
import stat

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
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_BOOT = "/proc/sys/kernel/random/boot_id"


def marks(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what tells this identity from all others that the settings could stand for."""
    if settings.source == X509:
        named = settings.get("pkcs12") or settings.get("certificate")
        if named:
            return {"certificate-sha256": _digest_of(named)}
        return {"certificate-sha256": digest(environment.get(CERTIFICATE_VARIABLE, "").encode())}
    if settings.source == TOKEN_FILE:
        return {"token-sha256": _digest_of(settings.get("token-file"))}
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


def _digest_of(path: str | None) -> str:
    data = _read(path)
    return UNREADABLE if data is None else digest(data)


def _read(path: str | None) -> bytes | None:
    try:
        # A pipe gives what it holds once, and whoever writes into it notices that it was opened: both are for
        # whoever needs the thing itself.
        if not stat.S_ISREG(os.stat(path or "").st_mode):  # noqa: PTH116 - pathlib is not for free
            return None
        descriptor = os.open(path or "", _FLAGS)
    except (OSError, ValueError):
        return None
    try:
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return data if 0 < len(data) <= MAX_BYTES else None
