"""A private key in a token (a smart card, a security key, an HSM), by its RFC 7512 URI.

The key stays where it is. A wrong PIN is tried once and not again: tokens lock themselves.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sallyport.model import Secret
from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import shown
from sallyport_cli.workload.options import PKCS11

_TOKEN: Final = {"token": "label", "serial": "serial", "manufacturer": "manufacturer_id", "model": "model"}
_KEY: Final = frozenset({"object", "id"})


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Which key of which token. ``label`` and ``key_id`` are ``None`` where the URI does not say them."""

    token: tuple[tuple[str, str], ...]
    label: str | None
    key_id: bytes | None


def parse_uri(uri: str) -> TokenKey:
    """Return what a URI names.

    Raises:
        CommandError: it is malformed, repeats itself, names no key, or says what is not understood here.
            RFC 7512 §2.4 has unknown attributes refused.
    """
    path, _, query = uri.removeprefix(PKCS11).partition("?")
    said: dict[str, bytes] = {}
    for part in path.split(";"):
        name, equals, value = part.partition("=")
        if not equals or name in said or name not in {*_TOKEN, *_KEY, "type"}:
            raise _usage(f"The key's URI has an attribute that is not understood: {shown(name, 32)}.")
        said[name] = unquote_to_bytes(value)
    if query:
        raise _usage(
            "The key's URI has a question mark: neither a PIN nor a library is taken from behind it."
        )
    if said.pop("type", b"private") != b"private":
        raise _usage("The key's URI is not of a private key.")
    if not said.keys() & _KEY or not said.keys() & _TOKEN.keys():
        raise _usage("The key's URI must name a token and an object or id.")
    try:
        texts = {name: value.decode() for name, value in said.items() if name != "id"}
    except UnicodeDecodeError:
        raise _usage("The key's URI is not in UTF-8.") from None
    token = tuple((_TOKEN[name], texts[name]) for name in _TOKEN if name in texts)
    return TokenKey(token, texts.get("object"), said.get("id"))


def signer(module: Path, key: TokenKey, pin: Secret | None, kind: str) -> Callable[[bytes], bytes]:
    """Return what signs with the token's key, SHA-256 over the data.

    Args:
        module: the library that talks to the token.
        key: which one.
        pin: the user's; without one only what the token shows to everybody is found.
        kind: ``RSA`` or ``ECDSA``.

    Raises:
        CommandError: there is no such key, or the token does not let us use it.
    """
    try:
        import pkcs11  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - an extra
    except ImportError:
        raise CommandError(
            "pkcs11-missing",
            "The library python-pkcs11 is not installed.",
            cure="Install it: pipx install 'sallyport[pkcs11]', or pip install python-pkcs11.",
        ) from None
    if kind not in {"RSA", "ECDSA"}:
        raise CommandError(
            "key-unusable",
            "Keys of this kind are not used from tokens yet.",
            cure="Use RSA or a curve P-256, P-384 or P-521.",
        )
    said = None if pin is None else pin.reveal()

    def sign(data: bytes) -> bytes:
        with _talking(pkcs11), _token(pkcs11, module, key).open(user_pin=said) as session:
            private = _private(pkcs11, session, key)
            if kind == "RSA":
                return bytes(private.sign(data, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS))
            # Not every token hashes for ECDSA itself, and what it answers is r and s side by side.
            pair = bytes(private.sign(hashlib.sha256(data).digest(), mechanism=pkcs11.Mechanism.ECDSA))
            half = len(pair) // 2
            return encode_dss_signature(int.from_bytes(pair[:half]), int.from_bytes(pair[half:]))

    return sign


def _token(pkcs11: Any, module: Path, key: TokenKey) -> Any:  # noqa: ANN401 - an extra's types
    wanted = dict(key.token)
    found = [
        token
        for token in pkcs11.lib(str(module)).get_tokens()
        if all(_text(getattr(token, name)) == value for name, value in wanted.items())
    ]
    return _one(found, "token", "p11tool --list-tokens")


def _private(pkcs11: Any, session: Any, key: TokenKey) -> Any:  # noqa: ANN401 - an extra's types
    wanted: dict[Any, Any] = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
    if key.label is not None:
        wanted[pkcs11.Attribute.LABEL] = key.label
    if key.key_id is not None:
        wanted[pkcs11.Attribute.ID] = key.key_id
    return _one(
        list(session.get_objects(wanted)), "private key", "p11tool --login --list-privkeys <token's URI>"
    )


def _one(found: list[Any], what: str, how: str) -> Any:  # noqa: ANN401 - an extra's types
    if len(found) != 1:
        raise CommandError(
            "pkcs11-not-found" if not found else "pkcs11-ambiguous",
            f"The key's URI fits {len(found) or 'no'} {what}s, and it must fit one.",
            cure=f"See what there is: {how}. Private keys are only seen with the PIN.",
        )
    return found[0]


def _text(value: Any) -> str:  # noqa: ANN401 - an extra's types
    return (
        value.decode(errors="replace").rstrip("\0 ") if isinstance(value, bytes) else str(value).rstrip("\0 ")
    )


@contextmanager
def _talking(pkcs11: Any) -> Iterator[None]:  # noqa: ANN401 - an extra's types
    """Put what a token refuses into a sentence; its library's own words are the names of errors."""
    errors = pkcs11.exceptions
    try:
        yield
    except (errors.PinIncorrect, errors.PinInvalid, errors.PinLenRange, errors.PinExpired):
        raise CommandError(
            "pin-wrong",
            "The token does not take the PIN; it was tried once.",
            cure="Check the PIN before you try again: tokens lock themselves after a few wrong ones.",
        ) from None
    except errors.PinLocked:
        raise CommandError(
            "pin-locked", "The token has locked itself.", cure="Unlock it with its maker's tool."
        ) from None
    except (errors.PKCS11Error, RuntimeError, OSError) as error:
        raise CommandError(
            "pkcs11-failed",
            f"The token or its library failed: {shown(type(error).__name__)} {shown(error, 200)}".rstrip()
            + ".",
            cure="Check --pkcs11-module, and that the token is there; p11tool --list-tokens shows it.",
        ) from None


def _usage(sentence: str) -> CommandError:
    return CommandError(
        "wrong-usage",
        sentence,
        cure="Write pkcs11:token=<label>;object=<label>, and the PIN into --private-key-password-file.",
        exit_code=Exit.USAGE,
    )
