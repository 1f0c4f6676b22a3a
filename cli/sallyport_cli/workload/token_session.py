"""``POST /credentials`` as a client: a token goes there, and credentials come back."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from sallyport.model import Secret
from sallyport_cli.post import trust_store
from sallyport_cli.workload.asking import Clock, Post, Say, address_of, ask, usage
from sallyport_cli.workload.config import Settings
from sallyport_cli.workload.problem import ExchangeError
from sallyport_cli.workload.session import SessionCredentials

TokenSource = Callable[[Settings, Say], Secret]
"""What gets a token: is given the settings and whom to tell what happens; raises ``ExchangeError``."""

MAX_TOKEN_CHARS: Final = 20_000
"""What STS takes, and an exchange as well."""

MIN_DURATION: Final = 900
MAX_DURATION: Final = 43_200
"""Seconds. STS's own limits."""

_PATH: Final = "/credentials"
# The form in which RFC 6750 §2.1 has tokens in a header; anything else could end the header.
_TOKEN: Final = re.compile(r"[A-Za-z0-9_.~+/-]+=*")
_ROLE: Final = re.compile(r"arn:aws[a-z-]{0,16}:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,1024}")
_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_PROFILE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

_CURES: Final[Mapping[str, str]] = {
    "The identity token could not be accepted.": "The token may have ended, or be for another audience.",
}


def issue(
    settings: Settings, source: TokenSource, attempts: int | None, clock: Clock, trace: Say
) -> SessionCredentials:
    """Get a token and exchange it.

    Raises:
        ExchangeError: there are no credentials.
    """
    address = address_of(settings.get("endpoint") or "")
    address = replace(address, target=address.target.rstrip("/") + _PATH)
    body = _body(settings)
    tls = trust_store(settings.get("ca-bundle")) if address.secure else None
    token = checked(source(settings, trace))
    request = Post(
        address=address,
        headers=(
            ("host", address.authority),
            ("authorization", f"Bearer {token.reveal()}"),
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("content-length", str(len(body))),
            ("user-agent", "sallyport"),
        ),
        body=body,
    )

    def read(document: Mapping[str, Any], identifier: str) -> SessionCredentials:
        return SessionCredentials.from_credential_process(document, exchange_id=identifier)

    return ask(lambda: request, read, tls=tls, cures=_CURES, attempts=attempts, clock=clock, trace=trace)


def checked(token: Secret) -> Secret:
    """Return a token that can stand in a header.

    Raises:
        ExchangeError: it cannot.
    """
    text = token.reveal()
    if len(text) > MAX_TOKEN_CHARS or _TOKEN.fullmatch(text) is None:
        raise ExchangeError(
            "token-malformed",
            f"What was found is no token: {len(text):,} characters"
            + (", some of which no token has." if len(text) <= MAX_TOKEN_CHARS else "."),
            cure="Check that the token alone is there, without quotes, names or other lines.",
            kind="local",
        )
    return token


def _body(settings: Settings) -> bytes:
    role = settings.get("role-arn") or ""
    if _ROLE.fullmatch(role) is None:
        raise usage("The role's ARN is not one.", "It looks like arn:aws:iam::<account>:role/<path>/<name>.")
    name = settings.get("role-session-name")
    if name is not None and _SESSION_NAME.fullmatch(name) is None:
        raise usage("This cannot be a session's name.", "Use 2 to 64 letters, digits and _ + = , . @ -.")
    profile = settings.get("trust-profile")
    if profile is not None and _PROFILE.fullmatch(profile) is None:
        raise usage(
            "This cannot be a profile's name.", "It is the name in the trust file: a-z, 0-9 and dashes."
        )
    members = {
        "roleArn": role,
        "durationSeconds": duration(settings),
        "sessionName": name,
        "profile": profile,
    }
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def duration(settings: Settings) -> int | None:
    """Return how long a session is asked for, in seconds.

    Raises:
        CommandError: it is not a number, or too small or too large.
    """
    said = settings.get("session-duration")
    if said is None:
        return None
    if not (said.isascii() and said.isdigit()) or not MIN_DURATION <= int(said) <= MAX_DURATION:
        raise usage(
            "A session's duration is a number of seconds.", f"Ask for {MIN_DURATION} to {MAX_DURATION}."
        )
    return int(said)
