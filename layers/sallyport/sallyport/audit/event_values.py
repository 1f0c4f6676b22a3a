"""Single values of events: cut to a bound, visible, of the type that is asked for, and without secrets.

Pure. Whoever made a call wrote much of what its event says. Nothing here raises for it: what is of another
type or form is ``None`` or empty.
"""

import ipaddress
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

# The longest values that AWS itself lets through (an ARN, 2048). More is padding.
MAX_TEXT: Final = 2_048
# CloudTrail's own cap for request and response
# (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html).
MAX_DOCUMENT: Final = 100_000
# Of one event, as it is read: real events have a few dozen fields, and nest four deep.
MAX_DEPTH: Final = 8
MAX_ENTRIES: Final = 100
MAX_NODES: Final = 1_000

# Policy documents are text of their own inside an event; rules look into them, nobody stores them.
DOCUMENTS: Final = frozenset({"assumeRolePolicyDocument", "policyDocument", "policy", "sAMLMetadataDocument"})
# Never kept, whatever carries them; compared in lower case.
SECRETS: Final = frozenset(
    {
        "sessiontoken",
        "secretaccesskey",
        "samlassertion",
        "samlassertionid",
        "webidentitytoken",
        "tokencode",
        "password",
        "newpassword",
        "oldpassword",
        "code",
        "codeverifier",
        "code_verifier",
        "accesstoken",
        "refreshtoken",
        "idtoken",
        "signintoken",
        "privatekey",
    }
)

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Copy:
    """Copies JSON values, bounded and without secrets; all that one copies have ``MAX_NODES`` together."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_NODES

    def optional(self, value: object) -> Mapping[str, Any] | None:
        """Return a copy of an object; ``None`` if it is none."""
        return self.mapping(value) if isinstance(value, Mapping) else None

    def mapping(self, value: Mapping[Any, Any], depth: int = 0) -> Mapping[str, Any]:
        """Return a read-only copy of an object."""
        kept: dict[str, Any] = {}
        # Last of all what has members of its own: a caller's long list must not push out plain values.
        nested: list[tuple[str, object]] = []
        for number, (key, inner) in enumerate(value.items()):
            if number == MAX_ENTRIES or self._left <= 0 or not isinstance(key, str):
                break
            self._left -= 1
            if key.lower() in SECRETS:
                continue
            name = key if len(key) <= MAX_TEXT and key.isprintable() else bounded(key)
            if isinstance(inner, str):
                kept[name] = inner[:MAX_DOCUMENT] if key in DOCUMENTS else bounded(inner)
            elif inner is None or isinstance(inner, (bool, int, float)):
                kept[name] = inner
            else:
                nested.append((name, inner))
        for name, inner in nested:
            kept[name] = self._value(inner, depth + 1)
        return MappingProxyType(kept)

    def _value(self, value: object, depth: int) -> Any:  # noqa: ANN401 - a JSON value
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return bounded(value)
        if depth > MAX_DEPTH:
            return None
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, list | tuple):
            kept = []
            for inner in value[:MAX_ENTRIES]:
                if self._left <= 0:
                    break
                self._left -= 1
                kept.append(self._value(inner, depth + 1))
            return tuple(kept)
        return None


def part_of(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object at a name; an empty one if there is none."""
    found = value.get(name)
    return found if isinstance(found, Mapping) else NOTHING


def bounded(text: str) -> str:
    """Return text that is cut and has only visible characters; what is ordinary stays as it is.

    Others stand as ``⟨1b⟩`` and what was cut off as ``⟨+7⟩``, without a backslash: whoever shows the text
    escapes it (``display``), and would escape that one again. So that no two texts become one, a bracket
    of this kind is never left as it is.
    """
    if len(text) <= MAX_TEXT and text.isprintable() and "⟨" not in text:
        return text
    kept = "".join(one if one.isprintable() and one != "⟨" else f"⟨{ord(one):x}⟩" for one in text[:MAX_TEXT])
    missing = len(text) - MAX_TEXT
    return f"{kept}⟨+{missing}⟩" if missing > 0 else kept


def text_of(value: object) -> str | None:
    """Return text, ``bounded``; ``None`` if it is empty or none."""
    if not isinstance(value, str) or not value:
        return None
    return bounded(value)


def texts_of(value: object) -> tuple[str, ...]:
    """Return the texts in a list."""
    if not isinstance(value, list | tuple):
        return ()
    return tuple(text for one in value[:MAX_ENTRIES] if (text := text_of(one)) is not None)


def flag_of(value: object) -> bool | None:
    """Return a truth, which CloudTrail writes as a boolean here and as text there."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return None


def address_of(value: object) -> str | None:
    """Return an IP address; over a tenth of real events hold a service's name instead."""
    # The longest address, IPv4 in IPv6, has 45 characters; no zone is ever logged.
    if not isinstance(value, str) or len(value) > 45 or "%" in value:  # noqa: PLR2004 - see above
        return None
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return None


def time_of(value: object) -> datetime | None:
    """Return the time of an ISO 8601 text, in UTC."""
    if not isinstance(value, str) or len(value) > 40:  # noqa: PLR2004 - an ISO time with all there can be
        return None
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    # Before AWS, or so late that no window of time fits behind it.
    if not 2000 <= when.year <= 9000:  # noqa: PLR2004 - see above
        return None
    # A time without a zone is CloudTrail's own, which is UTC.
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def time_of_epoch(value: object) -> datetime:
    """Return the time of seconds since 1970; 1970 if they are none."""
    # Bounded as every other time is; a stream's entries are never without one.
    if not isinstance(value, int | float) or not 946_684_800 <= value <= 221_845_392_000:  # noqa: PLR2004 - the years 2000 to 9000
        return _EPOCH
    return datetime.fromtimestamp(float(value), UTC)


def attributes(image: object) -> Mapping[str, str]:
    """Return the attributes of a DynamoDB image as texts; what is long or no text is its SHA-256.

    So a change that is not shown is still a change.
    """
    if not isinstance(image, Mapping):
        return NOTHING
    found: dict[str, str] = {}
    for name, typed in islice(image.items(), MAX_ENTRIES):
        if isinstance(name, str) and isinstance(typed, Mapping):
            value = typed.get("S", typed.get("N"))
            if not isinstance(value, str) or len(value) > MAX_TEXT:
                value = _digest(typed)
            if value:
                found[bounded(name)] = bounded(value)
    return MappingProxyType(found)


def _digest(value: object) -> str:
    try:
        return sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
    except (ValueError, TypeError, RecursionError):
        # Nested deeper than anything that DynamoDB takes.
        return "unreadable"
