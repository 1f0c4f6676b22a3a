"""From an identity to session tags and session policies.

Substitution happens in one pass over the parsed document and only inside string values. A policy is
written out once, when its profile is loaded, with the places left open; what is put in consists of
characters that JSON, IAM and ARNs give no meaning, so no value can change its structure.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sallyport.errors import DeniedError, TrustFileError
from sallyport.model import ExchangeRequest, JsonValue, SessionTag
from sallyport.trust.facts import Facts
from sallyport.trust.limits import (
    MAX_ARN_LENGTH,
    MAX_POLICY_ARNS,
    MAX_POLICY_LENGTH,
    MAX_TAG_KEY_LENGTH,
    MAX_TAG_VALUE_LENGTH,
    MIN_ARN_LENGTH,
)
from sallyport.trust.names import encode
from sallyport.trust.problems import Path, at, refuse
from sallyport.trust.templates import Template, check_plain, fill, fill_plain, parse

__all__ = [
    "PolicyTemplate",
    "TagRule",
    "callers_policies",
    "check_policies",
    "compile_arn",
    "compile_policy",
    "compile_tag",
    "encode",
    "fold_tag_key",
    "render_tags",
    "tags_named_by",
]

# --- session tags ---------------------------------------------------------------------------------

# AWS's own, and ours: a tag of ours must never be taken for something an issuer said.
_RESERVED_TAG_PREFIXES: Final = ("aws:", "sallyport:")
_PLAIN_TAG: Final = re.compile(r"[A-Za-z0-9 _.:/=+@-]*")
_TAG_PUNCTUATION: Final = frozenset("_.:/=+-@")
# Unicode's letters, separators and numbers.
_TAG_CATEGORIES: Final = frozenset("LZN")


def fold_tag_key(key: str) -> str:
    """Return what two tag keys have in common that STS takes for the same."""
    return key.casefold()


def is_tag_text(text: str) -> bool:
    if _PLAIN_TAG.fullmatch(text) is not None:
        return True
    return all(c in _TAG_PUNCTUATION or unicodedata.category(c)[0] in _TAG_CATEGORIES for c in text)


@dataclass(frozen=True, slots=True)
class TagRule:
    """How one session tag is made."""

    key: str
    value: Template
    optional: bool = False
    transitive: bool = False


def compile_tag(key: str, source: str, *, optional: bool = False, transitive: bool = False) -> TagRule:
    """Compile one session tag of a profile.

    Raises:
        TrustFileError: STS would not take the key or the value, whatever the identity.
    """
    if not 1 <= len(key) <= MAX_TAG_KEY_LENGTH or not is_tag_text(key):
        raise refuse(
            f"{key!r} cannot be a tag key",
            f"use 1 to {MAX_TAG_KEY_LENGTH} letters, digits, spaces and _ . : / = + - @",
        )
    if key.lower().startswith(_RESERVED_TAG_PREFIXES):
        raise refuse(f"tag keys that begin as {key!r} does are reserved", "choose another key")
    value = parse(source)
    length = sum(map(len, value.literals))
    if length > MAX_TAG_VALUE_LENGTH or not all(map(is_tag_text, value.literals)):
        raise refuse(
            "STS would not take this tag value",
            f"use at most {MAX_TAG_VALUE_LENGTH} letters, digits, spaces and _ . : / = + - @",
        )
    return TagRule(key, value, optional=optional, transitive=transitive)


def render_tags(rules: tuple[TagRule, ...], facts: Facts) -> tuple[tuple[SessionTag, ...], tuple[str, ...]]:
    """Return the tags for one identity, and a note for each optional one that had to be left out.

    Raises:
        DeniedError: a required tag has no value that STS would take.
    """
    tags: list[SessionTag] = []
    notes: list[str] = []
    for rule in rules:
        try:
            value = _tag_value(rule, facts)
        except DeniedError as error:
            if not rule.optional:
                raise
            notes.append(f"optional-tag-left-out:{rule.key}:{error.reason}")
        else:
            tags.append(SessionTag(rule.key, value, rule.optional, rule.transitive))
    return tuple(tags), tuple(notes)


def _tag_value(rule: TagRule, facts: Facts) -> str:
    value = fill(rule.value, facts)
    if len(value) > MAX_TAG_VALUE_LENGTH or not is_tag_text(value):
        raise DeniedError(
            "tag-value-illegal",
            f"STS does not take the value of the tag {rule.key!r}",
            cure=f"it must be at most {MAX_TAG_VALUE_LENGTH} letters, digits, spaces and _ . : / = + - @",
        )
    return value


# --- policies -------------------------------------------------------------------------------------

# Where in a statement a claim may take part: never in what is allowed, only in to what it applies.
_OPEN_ELEMENTS: Final = frozenset({"Resource", "NotResource", "Condition"})
_PRINCIPAL_TAG: Final = re.compile(r"aws:principaltag/([^},]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PolicyTemplate:
    """A session policy, written out as JSON with the places left open."""

    text: Template

    @property
    def least_length(self) -> int:
        """How long the policy is at least, whoever it is made for."""
        return sum(map(len, self.text.literals)) + len(self.text.keys)

    def render(self, facts: Facts) -> str:
        """Return the policy for one identity.

        Raises:
            DeniedError: a value is missing, or could change more than the place it is meant for.
        """
        return fill_plain(self.text, facts)


def compile_policy(document: Mapping[str, JsonValue]) -> PolicyTemplate:
    """Write a session policy out once; its form has been checked against the schema.

    Raises:
        TrustFileError: a substitution stands where a value could change what is allowed.
    """
    writer = _Writer()
    writer.write(dict(document), (), is_open=False)
    parts = tuple(writer.parts)
    return PolicyTemplate(Template("".join(parts), parts))


class _Writer:
    """Writes compact JSON into alternating texts and keys."""

    def __init__(self) -> None:
        self.parts = [""]

    def write(self, value: JsonValue, path: Path, *, is_open: bool) -> None:
        if isinstance(value, dict):
            self._object(value, path, is_open=is_open)
        elif isinstance(value, list):
            self.parts[-1] += "["
            for index, item in enumerate(value):
                self.parts[-1] += "," if index else ""
                self.write(item, (*path, index), is_open=is_open)
            self.parts[-1] += "]"
        elif isinstance(value, str):
            self._string(value, path, is_open=is_open)
        else:
            self.parts[-1] += json.dumps(value)

    def _object(self, value: dict[str, JsonValue], path: Path, *, is_open: bool) -> None:
        self.parts[-1] += "{"
        for index, (key, item) in enumerate(value.items()):
            if "${" in key:
                raise refuse("nothing is replaced in keys", "write the key itself", *path, key)
            self.parts[-1] += f"{',' if index else ''}{json.dumps(key)}:"
            self.write(item, (*path, key), is_open=is_open or key in _OPEN_ELEMENTS)
        self.parts[-1] += "}"

    def _string(self, value: str, path: Path, *, is_open: bool) -> None:
        try:
            template = parse(value, leave_aws=True)
            check_plain(template)
        except TrustFileError as error:
            raise at(error, *path) from None
        if template.keys and not is_open:
            raise refuse(
                "a claim may not decide what is allowed",
                "substitute only in Resource, NotResource and the values of Condition",
                *path,
            )
        first, *rest = (part if i % 2 else json.dumps(part)[1:-1] for i, part in enumerate(template.parts))
        self.parts[-1] += f'"{first}'
        self.parts += rest
        self.parts[-1] += '"'


def tags_named_by(document: JsonValue) -> frozenset[str]:
    """Return the (folded) keys of all principal tags that a policy looks at, in conditions or variables."""
    if isinstance(document, dict):
        parts = [frozenset(map(_folded, _PRINCIPAL_TAG.findall(key))) for key in document]
        return frozenset().union(*parts, *map(tags_named_by, document.values()))
    if isinstance(document, list):
        return frozenset().union(*map(tags_named_by, document))
    if isinstance(document, str):
        return frozenset(map(_folded, _PRINCIPAL_TAG.findall(document)))
    return frozenset()


def _folded(key: str) -> str:
    return fold_tag_key(key.strip())


_POLICY_ARN: Final = re.compile(
    r"arn:[a-z0-9-]+:iam::([0-9]{12}|aws):policy/(?:[A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,128}"
)


def _is_policy_arn(arn: str) -> bool:
    return MIN_ARN_LENGTH <= len(arn) <= MAX_ARN_LENGTH and _POLICY_ARN.fullmatch(arn) is not None


def compile_arn(source: str) -> Template:
    """Compile the ARN of a managed policy.

    Raises:
        TrustFileError: it is none, whatever is put into its places.
    """
    template = parse(source)
    check_plain(template)
    if not _is_policy_arn("x".join(template.literals)):
        raise refuse(
            f"{source!r} is not the ARN of a managed policy",
            "write arn:aws:iam::<account>:policy/<name>, without wildcards",
        )
    return template


def check_policies(policy: str | None, arns: tuple[str, ...]) -> None:
    """Check an inline policy and managed ones against what STS takes, all together.

    Raises:
        DeniedError: they are too many, too long, or not what they should be.
    """
    if len(arns) > MAX_POLICY_ARNS:
        raise DeniedError("too-many-policies", f"STS takes {MAX_POLICY_ARNS} managed policies")
    if not all(map(_is_policy_arn, arns)):
        raise DeniedError("policy-arn-illegal", "one of the ARNs is not that of a managed policy")
    length = len(policy or "") + sum(map(len, arns))
    if length > MAX_POLICY_LENGTH:
        raise DeniedError(
            "policy-too-large",
            f"the policies are {length} characters long and STS takes {MAX_POLICY_LENGTH}",
            cure="shorten the profile's policy, or attach its parts to the role",
        )


# What STS's model lets through in a policy's text.
_POLICY_TEXT: Final = re.compile(r"[\t\n\r\x20-\xff]+")


def callers_policies(
    request: ExchangeRequest, *, has_own: bool, accept: bool
) -> tuple[str | None, tuple[str, ...]]:
    """Return the policies that the caller brought, verbatim, if the profile lets them pass.

    STS unites session policies, so one that a caller adds beside the profile's could only widen.

    Raises:
        DeniedError: the caller brought some and may not.
    """
    if request.policy is None and not request.policy_arns:
        return None, ()
    if has_own:
        raise DeniedError(
            "caller-policy-refused",
            "the request carries session policies and the profile has its own; STS would unite them",
            cure="send the request without Policy and PolicyArns",
        )
    if not accept:
        raise DeniedError(
            "caller-policy-not-accepted",
            "the request carries session policies and the profile does not take any",
            cure="send none, or set accept_caller_policy: true in the profile",
        )
    if request.policy is not None and _POLICY_TEXT.fullmatch(request.policy) is None:
        raise DeniedError("caller-policy-malformed", "the caller's policy contains what STS does not take")
    return request.policy, request.policy_arns
