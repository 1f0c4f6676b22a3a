"""A certificate and its key: the request is signed, and no token leaves the machine."""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sallyport.model import Secret
from sallyport_cli import x509_session
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import say, shown
from sallyport_cli.workload.asking import Say
from sallyport_cli.workload.config import Settings
from sallyport_cli.workload.marks import CERTIFICATE_VARIABLE
from sallyport_cli.workload.options import PKCS11
from sallyport_cli.workload.session import SessionCredentials
from sallyport_cli.workload.token_session import duration
from sallyport_cli.x509_identity import (
    MAX_FILE_BYTES,
    ClientIdentity,
    Material,
    load_identity,
    load_with_signer,
    read_file,
    readable_by_everybody,
)

KEY_VARIABLE = "SALLYPORT_PRIVATE_KEY_PEM"
PASSWORD_VARIABLE = "SALLYPORT_PRIVATE_KEY_PASSWORD"  # noqa: S105 - the variable's name
"""Where a key and its password can be instead of in files. None is an option: what stands in a command
line can be read by everybody on the machine."""

_STDIN = "-"


def issue(
    settings: Settings, *, attempts: int | None, clock: Callable[[], datetime], trace: Say
) -> SessionCredentials:
    """Sign and exchange.

    Raises:
        CommandError: something about the certificate, the key or the request is wrong.
        ExchangeError: the exchange gave nothing.
    """
    order = x509_session.make_order(
        endpoint=settings.get("endpoint") or "",
        trust_anchor_arn=settings.get("trust-anchor-arn") or "",
        profile_arn=settings.get("profile-arn") or "",
        role_arn=settings.get("role-arn") or "",
        region=settings.get("region"),
        duration=duration(settings),
        session_name=settings.get("role-session-name"),
        ca_bundle=settings.get("ca-bundle"),
    )
    identity = identity_of(settings, clock())
    trace(f"certificate: {identity.describe()}; {len(identity.chain)} intermediate(s)")
    return x509_session.issue(order, identity, attempts=attempts, clock=clock, trace=trace)


def identity_of(settings: Settings, now: datetime) -> ClientIdentity:
    """Return the certificate with its key, from wherever they are.

    Raises:
        CommandError: one is missing or cannot be used.
    """
    pkcs12, certificate = settings.get("pkcs12"), settings.get("certificate")
    private_key, intermediates = settings.get("private-key"), settings.get("intermediates")
    if pkcs12 is not None and (certificate or private_key):
        raise _usage("--pkcs12 brings certificate and key, so neither can be given besides.")
    extra = b"" if intermediates is None else read_file(Path(intermediates), "the intermediates")
    password = _password(settings.get("private-key-password-file"))
    if private_key is not None and private_key.startswith(PKCS11):
        return _in_token(settings, private_key, extra, password, now)
    if pkcs12 is not None:
        _warn_if_open(Path(pkcs12))
        data = read_file(Path(pkcs12), "the PKCS #12 file")
        return load_identity(Material(pkcs12=data, intermediates=extra, password=password), now)
    # A file that is named beats a variable with the thing itself, which may be there for something else.
    pem = _certificate(certificate)
    key = _variable(KEY_VARIABLE) if private_key is None else _key(private_key)
    if pem is None or key is None:
        missing = "--certificate" if pem is None else "--private-key"
        raise _usage(f"{missing} is missing.", f"Give {missing}, or --pkcs12 instead of both.")
    return load_identity(
        Material(certificate=pem, private_key=key, intermediates=extra, password=password), now
    )


def _in_token(
    settings: Settings, uri: str, extra: bytes, password: Secret | None, now: datetime
) -> ClientIdentity:
    from sallyport_cli.workload.sources import pkcs11  # noqa: PLC0415 - an extra

    module = settings.get("pkcs11-module")
    if module is None:
        raise _usage("--pkcs11-module is missing.", "It is the library of the token's maker.")
    # Read from a file, so that it is known whose credentials are kept without asking the token.
    pem = _certificate(settings.get("certificate"))
    if pem is None:
        raise _usage("--certificate is missing.", "Give the certificate of the token's key as a file.")
    key = pkcs11.parse_uri(uri)
    return load_with_signer(
        Material(certificate=pem, intermediates=extra),
        lambda kind: pkcs11.signer(Path(module), key, password, kind),
        now,
    )


def _certificate(name: str | None) -> bytes | None:
    return _variable(CERTIFICATE_VARIABLE) if name is None else read_file(Path(name), "the certificate")


def _key(name: str) -> bytes:
    if name == _STDIN:
        return sys.stdin.buffer.read(MAX_FILE_BYTES)
    _warn_if_open(Path(name))
    return read_file(Path(name), "the private key")


def _variable(name: str) -> bytes | None:
    return os.environ.get(name, "").encode(errors="replace") or None


def _password(file: str | None) -> Secret | None:
    if file is None:
        said = os.environ.get(PASSWORD_VARIABLE)
        return Secret(said) if said else None
    line = read_file(Path(file), "the password").split(b"\n", 1)[0].removesuffix(b"\r")
    try:
        return Secret(line.decode())
    except UnicodeDecodeError:
        raise CommandError(
            "password-malformed", "The password is not text in UTF-8.", cure="Check the password's file."
        ) from None


def _warn_if_open(path: Path) -> None:
    if readable_by_everybody(path):
        say(
            f"warning: everybody on this machine can read {shown(path)}; run: chmod 600 {shown(path)}",
            stream=sys.stderr,
        )


def _usage(sentence: str, cure: str = "See sallyport credential-process x509 --help.") -> CommandError:
    return CommandError("wrong-usage", sentence, cure=cure, exit_code=Exit.USAGE)
