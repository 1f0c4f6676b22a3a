"""What a CreateSession request asks for: ARNs in its query or in its body, the rest in its body.

Looked at before the proof, because it names the trust anchor that the proof is held against. What is
wrong here is the request's form, and its sender is told what.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sallyport.errors import RequestError
from sallyport.model import JsonValue
from sallyport.proof import strict_json

MAX_BODY_BYTES = 131_072
"""Fifty instance properties of twice 200 characters, each written as an escape of six, are 120,000."""

MAX_ANCHOR_ARN_CHARS = 1_011
"""The service model's limit for the ARNs of trust anchors and profiles."""

MAX_ROLE_ARN_CHARS = 2_048
MIN_DURATION = 900
MAX_DURATION = 43_200
MAX_PROPERTIES = 50
MAX_PROPERTY_CHARS = 200

_ARN = re.compile(r"arn:[\x21-\x7e]+")
_SESSION_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_ARNS: Mapping[str, int] = {
    "trustAnchorArn": MAX_ANCHOR_ARN_CHARS,
    "profileArn": MAX_ANCHOR_ARN_CHARS,
    "roleArn": MAX_ROLE_ARN_CHARS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParameters:
    """The members of a CreateSession request, checked for form and for nothing else."""

    trust_anchor_arn: str
    profile_arn: str
    role_arn: str
    duration: int | None = None
    session_name: str | None = None
    instance_properties: Mapping[str, str]


def parse_parameters(query: Mapping[str, Sequence[str]], body: bytes) -> SessionParameters:
    """Return what is asked for.

    Members that are JSON's null count as absent, and unknown ones are ignored: clients send both. An
    ARN may be in the query and in the body if it is the same one.

    Raises:
        RequestError: something is missing, said twice or malformed.
    """
    members = _members(body)
    anchor, profile, role = (_arn(name, query, members) for name in _ARNS)
    return SessionParameters(
        trust_anchor_arn=anchor,
        profile_arn=profile,
        role_arn=role,
        duration=_duration(members.get("durationSeconds")),
        session_name=_session_name(members.get("roleSessionName")),
        instance_properties=_properties(members.get("instanceProperties")),
    )


def _members(body: bytes) -> Mapping[str, JsonValue]:
    if len(body) > MAX_BODY_BYTES:
        raise RequestError("body-too-large", f"The body is larger than {MAX_BODY_BYTES} bytes.")
    if not body:
        return {}
    try:
        return strict_json.parse_object(body)
    except ValueError:
        raise RequestError("body-not-json", "The body is not one strict JSON object.") from None


def _arn(name: str, query: Mapping[str, Sequence[str]], members: Mapping[str, JsonValue]) -> str:
    given = [*query.get(name, ())]
    if len(given) > 1:
        raise RequestError("parameter-twice", f"The query has {name} more than once.")
    member = members.get(name)
    if member is not None:
        if not isinstance(member, str):
            raise RequestError("parameter-malformed", f"{name} is not a string.")
        given.append(member)
    if not given:
        raise RequestError("parameter-missing", f"{name} is missing.")
    if len(set(given)) > 1:
        raise RequestError("parameter-twice", f"{name} is in the query and in the body, and differs.")
    if len(given[0]) > _ARNS[name] or _ARN.fullmatch(given[0]) is None:
        raise RequestError("parameter-malformed", f"{name} is not an ARN.")
    return given[0]


def _duration(value: JsonValue) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not MIN_DURATION <= value <= MAX_DURATION:
        raise RequestError(
            "parameter-malformed", f"durationSeconds is not a number from {MIN_DURATION} to {MAX_DURATION}."
        )
    return value


def _session_name(value: JsonValue) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or _SESSION_NAME.fullmatch(value) is None:
        raise RequestError(
            "parameter-malformed", "roleSessionName is not 2 to 64 letters, digits and _ + = , . @ -."
        )
    return value


def _properties(value: JsonValue) -> Mapping[str, str]:
    if value is None:
        return MappingProxyType({})
    if not isinstance(value, dict) or len(value) > MAX_PROPERTIES:
        raise RequestError(
            "parameter-malformed", f"instanceProperties is not an object of at most {MAX_PROPERTIES} members."
        )
    properties: dict[str, str] = {}
    for name, text in value.items():
        if not (isinstance(text, str) and all(0 < len(one) <= MAX_PROPERTY_CHARS for one in (name, text))):
            raise RequestError(
                "parameter-malformed",
                f"instanceProperties has a name or value that is not 1 to {MAX_PROPERTY_CHARS} characters.",
            )
        properties[name] = text
    return MappingProxyType(properties)
