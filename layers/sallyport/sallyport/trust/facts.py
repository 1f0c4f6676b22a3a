"""What conditions and templates may look at, and how it is called."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from sallyport.errors import DeniedError
from sallyport.model import ExchangeRequest, Identity, JsonValue
from sallyport.trust.limits import MAX_KEY_LENGTH, MAX_SHOWN_LENGTH, MAX_SHOWN_VALUES
from sallyport.trust.problems import refuse

TOKEN: Final = "token:"  # noqa: S105 - the prefix of names, nothing secret
X509: Final = "x509:"
REQUEST: Final = "request:"

# A certificate's whole names, after RFC 4514: what no part of them is, unique.
CERTIFICATE_SUBJECT: Final = "x509:Subject"
CERTIFICATE_ISSUER: Final = "x509:Issuer"

# API Gateway's own view and what the caller asked for; nothing from headers is ever in here.
REQUEST_KEYS: Final = frozenset({"request:SourceIp", "request:RoleArn", "request:Time"})

# The two forms in which a token carries AWS session tags: one claim that nests them all, or one
# claim for each. A key of the second form reads either.
AWS_CLAIMS: Final = "token:https://aws.amazon.com/"
TAGS_CLAIM: Final = "token:https://aws.amazon.com/tags"
TAG_CLAIM_PREFIX: Final = "token:https://aws.amazon.com/tags/principal_tags/"

# Bits of the largest number that is written out in a trace; printing larger ones costs quadratic time.
_MAX_SHOWN_BITS: Final = 128


def check_key(key: str) -> None:
    """Refuse a name that no verifier will ever establish.

    Raises:
        TrustFileError: the prefix is unknown, nothing follows it, or the name cannot be one.
    """
    if len(key) > MAX_KEY_LENGTH or not key.isprintable() or any(c in key for c in "${}"):
        raise refuse(
            "this cannot be the name of a value", f"use at most {MAX_KEY_LENGTH} printable characters"
        )
    if key.startswith(REQUEST):
        if key not in REQUEST_KEYS:
            raise refuse(
                f"there is no {key!r}", f"use one of {', '.join(sorted(REQUEST_KEYS))}; case matters"
            )
    elif not any(key.startswith(prefix) and key != prefix for prefix in (TOKEN, X509)):
        raise refuse(
            f"{key!r} names nothing that is verified",
            "write token:<claim>, or x509:Subject/CN and the like, or request:SourceIp, request:RoleArn, "
            "request:Time; case matters",
        )


class Facts:
    """The verified attributes of one identity and the facts of one request, by their keys."""

    __slots__ = ("_attributes", "_now", "_request")

    def __init__(self, attributes: Mapping[str, JsonValue], request: ExchangeRequest, now: datetime) -> None:
        self._attributes = attributes
        self._request = request
        self._now = now

    @classmethod
    def of(cls, identity: Identity, request: ExchangeRequest, now: datetime) -> "Facts":
        """Return the facts of one identity; of a certificate's holder with the names as a whole."""
        attributes = identity.attributes
        if identity.certificate is not None:
            whole = {CERTIFICATE_SUBJECT: identity.subject, CERTIFICATE_ISSUER: identity.certificate.issuer}
            attributes = {**attributes, **whole}
        return cls(attributes, request, now)

    def value(self, key: str) -> JsonValue:
        """Return the value of ``key``; ``None`` where there is none, or where it is JSON's null."""
        from_request = _FROM_REQUEST.get(key)
        if from_request is not None:
            return from_request(self)
        if key.startswith(TAG_CLAIM_PREFIX):
            return self._tag(key.removeprefix(TAG_CLAIM_PREFIX))
        return self._attributes.get(key)

    def text(self, key: str) -> str:
        """Return the value of ``key``, which must be one string that is not empty.

        Raises:
            DeniedError: it is missing, empty, or something else than one string.
        """
        value = self.value(key)
        if isinstance(value, str) and value:
            return value
        if value is None:
            raise DeniedError("claim-missing", f"{key} is needed and missing")
        if value == "":
            raise DeniedError("claim-empty", f"{key} is needed and empty")
        raise DeniedError("claim-not-a-string", f"{key} is needed as one string and is {shown(value)}")

    def names(self, prefix: str) -> list[str]:
        """Return the names of all verified attributes that begin with ``prefix``."""
        return [key for key in self._attributes if key.startswith(prefix)]

    def source_ip(self) -> JsonValue:
        """Return the caller's address as API Gateway saw it."""
        return self._request.source_ip or None

    def role_arn(self) -> JsonValue:
        """Return the role that is asked for."""
        return self._request.role_arn

    def time(self) -> JsonValue:
        """Return the time of the request in IAM's own form."""
        return self._now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _tag(self, wanted: str) -> JsonValue:
        """Return what the token says for one AWS tag, whose key is compared without case, as AWS does.

        A token that says it twice has no single answer; the list that is returned then fits nowhere.
        """
        folded = wanted.lower()
        said: list[JsonValue] = [
            value
            for key, value in self._attributes.items()
            if key.startswith(TAG_CLAIM_PREFIX) and key[len(TAG_CLAIM_PREFIX) :].lower() == folded
        ]
        nested = self._attributes.get(TAGS_CLAIM)
        tags = nested.get("principal_tags") if isinstance(nested, dict) else None
        if isinstance(tags, dict):
            # STS wants exactly one string in a list here; anything else stays what it is and fits nowhere.
            said += [
                value[0] if isinstance(value, list) and len(value) == 1 else [value]
                for key, value in tags.items()
                if key.lower() == folded
            ]
        if len(said) == 1:
            return said[0]
        return said or None


_FROM_REQUEST: Final[Mapping[str, Callable[[Facts], JsonValue]]] = {
    "request:SourceIp": Facts.source_ip,
    "request:RoleArn": Facts.role_arn,
    "request:Time": Facts.time,
}


def shown(value: JsonValue) -> str:
    """Return ``value`` for a trace: bounded, whatever a token contains, and never an exception."""
    if isinstance(value, list):
        text = ", ".join(_scalar(item) for item in value[:MAX_SHOWN_VALUES])
        text = f"[{text}{', ...' if len(value) > MAX_SHOWN_VALUES else ''}]"
    else:
        text = _scalar(value)
    return text if len(text) <= MAX_SHOWN_LENGTH else text[: MAX_SHOWN_LENGTH - 3] + "..."


def _scalar(value: JsonValue) -> str:
    if isinstance(value, str):
        return value[: MAX_SHOWN_LENGTH + 1]
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= _MAX_SHOWN_BITS else "a very large number"
    if isinstance(value, float):
        return repr(value)
    return "[...]" if isinstance(value, list) else "{...}"
