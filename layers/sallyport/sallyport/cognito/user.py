"""Who is signing in, and by which ways he could have come."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sallyport.errors import TokenRefusedError
from sallyport.model import JsonValue
from sallyport.proof.strict_json import parse_object

# What Cognito says of a profile that an identity provider's sign-in has made.
_EXTERNAL: Final = "EXTERNAL_PROVIDER"
# Cognito's longest attribute value. It links five identities to a profile at the most.
_MAX_IDENTITIES_LENGTH: Final = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user as Cognito describes him to the trigger.

    ``providers`` are the identity providers through which he can sign in, ``is_native`` says that he can
    also do so with what the pool itself keeps. The trigger is not told which way he has come.
    """

    attributes: Mapping[str, JsonValue]
    groups: JsonValue
    is_native: bool
    providers: tuple[str, ...]


def read_user(request: Mapping[str, JsonValue]) -> User:
    """Read who signs in from the trigger's request.

    A profile is the pool's own unless Cognito says otherwise. One that identities were linked to has
    several ways in, and an identity that was linked has not made it one of the provider's.

    Raises:
        TokenRefusedError: it cannot be told.
    """
    attributes = request.get("userAttributes")
    if not isinstance(attributes, dict):
        raise TokenRefusedError("trigger-event-malformed", "Cognito sent no attributes of the user")
    configuration = request.get("groupConfiguration")
    providers = _providers(attributes.get("identities"))
    is_native = attributes.get("cognito:user_status") != _EXTERNAL
    if not is_native and not providers:
        raise TokenRefusedError(
            "trigger-identities-malformed", "an identity provider's user without a word on which provider's"
        )
    return User(
        attributes=attributes,
        groups=configuration.get("groupsToOverride") if isinstance(configuration, dict) else None,
        is_native=is_native,
        providers=providers,
    )


def _providers(identities: JsonValue) -> tuple[str, ...]:
    """Return the names in ``identities``, which is JSON within a string."""
    if identities is None:
        return ()
    names = [
        identity.get("providerName") if isinstance(identity, dict) else None
        for identity in _identities(identities)
    ]
    found = tuple(name for name in names if isinstance(name, str) and name)
    if len(found) != len(names):
        raise _malformed()
    return found


def _identities(text: JsonValue) -> list[JsonValue]:
    if not isinstance(text, str) or len(text) > _MAX_IDENTITIES_LENGTH:
        raise _malformed()
    try:
        # The parser takes an object, and refuses what could be read in two ways.
        document = parse_object(b'{"identities":%b}' % text.encode("utf-8"))
    except ValueError:
        raise _malformed() from None
    identities = document["identities"]
    if len(document) != 1 or not isinstance(identities, list):
        raise _malformed()
    return identities


def _malformed() -> TokenRefusedError:
    return TokenRefusedError(
        "trigger-identities-malformed", "the user's attribute identities is not what Cognito writes there"
    )
