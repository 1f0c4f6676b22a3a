"""A token of an Amazon Cognito user pool, for an app client itself or for the user of a refresh token.

Signing a user in needs a browser and somebody in front of it; whatever does that can leave its token in
a file for ``token-file``, or its refresh token for here.
Source: https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html (RFC 6749 §4.4, §6).
"""

import base64
import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from sallyport.model import Secret
from sallyport_cli.output import shown
from sallyport_cli.post import Answer, post, trust_store
from sallyport_cli.workload.asking import Post, Say, address_of
from sallyport_cli.workload.config import Settings
from sallyport_cli.workload.problem import ExchangeError, Kind
from sallyport_cli.x509_identity import read_file

SECRET_VARIABLE: Final = "SALLYPORT_CLIENT_SECRET"  # noqa: S105 - the variable's name
"""Where an app client's secret can be instead of in a file."""

USES: Final[Mapping[str, str]] = {"id": "id_token", "access": "access_token"}

_OK: Final = 200
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


def token(settings: Settings, trace: Say) -> Secret:
    """Ask the user pool for a token.

    A refresh token that the pool replaced is written back into its file before anything else happens.

    Raises:
        CommandError: a file cannot be read.
        ExchangeError: the pool gave no token.
    """
    refresh = settings.get("refresh-token-file")
    use = settings.get("token-use") or ("access" if refresh is None else "id")
    if use not in USES or (refresh is None and use != "access"):
        raise _wrong(
            "token-use-wrong",
            "--token-use is id or access." if use not in USES else "An app client has access tokens alone.",
            "Leave --token-use out, or give --refresh-token-file.",
        )
    known = None if refresh is None else _line(Path(refresh), "the refresh token")
    answer = _ask(settings, _form(settings, known), trace)
    document = _object(answer.body)
    if answer.status != _OK:
        raise _refusal(answer, document, is_user=refresh is not None)
    replaced = document.get("refresh_token")
    if refresh is not None and isinstance(replaced, str) and replaced and replaced != known:
        _replace(Path(refresh), replaced)
        trace(f"the pool replaced the refresh token; it is in {shown(refresh)}")
    found = document.get(USES[use])
    if not isinstance(found, str) or not found:
        raise _wrong(
            "token-missing",
            f"The user pool answered without an {use} token.",
            "Check --token-endpoint; an id token needs the scope openid.",
        )
    trace(f"token: {len(found)} characters from the user pool")
    return Secret(found)


def _form(settings: Settings, refresh: str | None) -> Mapping[str, str]:
    client = settings.get("client-id") or ""
    if refresh is not None:
        return {"grant_type": "refresh_token", "client_id": client, "refresh_token": refresh}
    form = {"grant_type": "client_credentials", "client_id": client}
    scope = settings.get("scope")
    return form | ({"scope": scope} if scope else {})


def _ask(settings: Settings, form: Mapping[str, str], trace: Say) -> Answer:
    address = address_of(settings.get("token-endpoint") or "")
    body = urlencode(form).encode()
    headers = [
        ("host", address.authority),
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
        ("content-length", str(len(body))),
        ("user-agent", "sallyport"),
    ]
    file = settings.get("client-secret-file")
    secret = os.environ.get(SECRET_VARIABLE) if file is None else _line(Path(file), "the client secret")
    if secret:
        # RFC 6749 §2.3.1: both encoded as in a form before they are joined.
        pair = f"{quote(settings.get('client-id') or '', safe='')}:{quote(secret, safe='')}"
        headers.append(("authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
    elif form["grant_type"] == "client_credentials":
        raise _wrong(
            "client-secret-missing",
            "There is no secret of the app client.",
            f"Give --client-secret-file, or set {SECRET_VARIABLE}; or be a user with --refresh-token-file.",
        )
    request = Post(address=address, headers=tuple(headers), body=body)
    tls = trust_store(settings.get("ca-bundle")) if address.secure else None
    trace(f"asking {address.authority} for a token ({form['grant_type']})")
    return post(request.address, request.headers, request.body, tls)


def _refusal(answer: Answer, document: Mapping[str, Any], *, is_user: bool) -> ExchangeError:
    code = document.get("error")
    if answer.status == _TOO_MANY or answer.status >= _SERVER_ERROR:
        kind: Kind = "throttled" if answer.status == _TOO_MANY else "server"
        return ExchangeError(
            "cognito-busy",
            f"The user pool answered with status {answer.status}.",
            cure="Try again in a minute.",
            kind=kind,
        )
    if not isinstance(code, str):
        return _wrong(
            "cognito-foreign",
            f"The token endpoint answered with status {answer.status}, but not as a user pool does.",
            "Check --token-endpoint: it is https://<domain>/oauth2/token.",
        )
    cures = {
        "invalid_client": "Check --client-id and the app client's secret.",
        "invalid_grant": "The refresh token has ended or was revoked: sign in again."
        if is_user
        else "Check the app client's settings.",
        "unauthorized_client": "Allow this grant for the app client in the user pool.",
        "invalid_scope": "Check --scope against the app client's scopes.",
    }
    return ExchangeError(
        f"cognito-{shown(code, 64)}",
        f"The user pool refused: {shown(code, 64)}.",
        cure=cures.get(code, "Look the code up in RFC 6749 §5.2."),
        kind="denied",
    )


def _line(path: Path, what: str) -> str:
    line = read_file(path, what).split(b"\n", 1)[0].strip()
    try:
        text = line.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise _wrong("secret-malformed", f"The first line of {shown(path)} is not {what}.", "Check the path.")
    return text


def _replace(path: Path, text: str) -> None:
    """Put a new refresh token in the place of the old one, which may already be of no use."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:  # noqa: PTH123 - opened with a mode
            stream.write(f"{text}\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except (OSError, UnicodeEncodeError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        reason = getattr(error, "strerror", None) or "it is not one"
        raise _wrong(
            "refresh-token-lost",
            f"The pool replaced the refresh token, and the new one cannot be written to {shown(path)}: "
            f"{reason}.",
            "Make the file's folder writable and sign in again.",
        ) from None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _wrong(reason: str, sentence: str, cure: str) -> ExchangeError:
    return ExchangeError(reason, sentence, cure=cure, kind="local")
