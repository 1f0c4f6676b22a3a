"""Names and tags for the holder of a certificate, in IAM Roles Anywhere's form where that is unambiguous.

Policies and searches that were written for IAM Roles Anywhere know its forms: ``CN=<common name>`` as the
source identity, the serial number in hex as the session's name, tags such as ``x509Subject/OU``. Here each
is kept where no two subjects can have the same, and encoded otherwise. What is given up, and why:

* a common name is somebody's name only if the subject has nothing else in it: ``CN=web, O=A`` and
  ``CN=web, O=B`` are two subjects, to which IAM Roles Anywhere gives one name;
* a common name of 62 to 64 characters loses its ``CN=`` there, and could then be any other name;
* serial numbers are an authority's own: one that is long enough to have been drawn at random is taken
  for unique, a counted one is not;
* two anchors may have subjects of one name, so only one anchor of an installation may go without its name
  in front (``bare_names``). Encoded names have it, and a ``+``, which no other name of ours has there
  without a comma behind it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from sallyport.errors import DeniedError
from sallyport.model import CertificateFacts, Identity, JsonValue, SessionTag
from sallyport.trust.limits import MAX_TAG_KEY_LENGTH, MAX_TAG_VALUE_LENGTH
from sallyport.trust.mapping import is_tag_text
from sallyport.trust.names import CALLER_MARK, encode, shorten
from sallyport.trust.problems import refuse

_COMMON_NAME: Final = "x509:Subject/CN"
_SUBJECT: Final = "x509:Subject/"

# What STS takes in a source identity; with "CN=" in front, what is longer has no room.
_LEGAL_COMMON_NAME: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{1,61}")
# 64 bits: what browsers ask of public authorities, in half as many hexadecimal digits as bits.
_RANDOM_DIGITS: Final = 16
# 128 bits of SHA-256, as in names that are too long.
_ISSUER_DIGITS: Final = 32


def source_identity(identity: Identity, *, bare_names: bool) -> str:
    """Return the source identity that a profile without a rule gives to a certificate's holder."""
    common = identity.attributes.get(_COMMON_NAME)
    serial = _certificate(identity).serial
    parts = [key for key in identity.attributes if key.startswith(_SUBJECT)]
    if bare_names and parts == [_COMMON_NAME] and isinstance(common, str):
        if _LEGAL_COMMON_NAME.fullmatch(common) is not None:
            return f"CN={common}"
    elif bare_names and common is None and len(serial) >= _RANDOM_DIGITS:
        return f"ID={serial}"
    return shorten(f"{identity.anchor_name}{CALLER_MARK}{encode(identity.subject)}")


def session_name(identity: Identity, *, bare_names: bool) -> str:
    """Return the session name that a profile without a rule gives to a certificate's holder."""
    certificate = _certificate(identity)
    if bare_names and len(certificate.serial) >= _RANDOM_DIGITS:
        return certificate.serial
    issuer = sha256(certificate.issuer.encode()).hexdigest()[:_ISSUER_DIGITS]
    return shorten(f"{identity.anchor_name}{CALLER_MARK}{certificate.serial}.{issuer}")


def _certificate(identity: Identity) -> CertificateFacts:
    if identity.certificate is None:
        raise DeniedError("certificate-missing", "only a certificate has a serial number")
    return identity.certificate


# --- tags -------------------------------------------------------------------------------------------


class Unfit(StrEnum):
    """What becomes of a value that STS would not take, or that could be taken for another."""

    ENCODE = "encode"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class MappingRule:
    """Which parts of one field become tags: one of them, or (``None``) all that there are."""

    field: str
    specifier: str | None = None

    def picks(self, key: str) -> bool:
        """Tell whether an attribute is meant."""
        prefix = _PREFIXES[self.field]
        return key == prefix + self.specifier if self.specifier is not None else key.startswith(prefix)


# IAM Roles Anywhere's fields, and what the attributes of such a field begin with.
_PREFIXES: Final[Mapping[str, str]] = {
    "x509Subject": "x509:Subject/",
    "x509Issuer": "x509:Issuer/",
    "x509SAN": "x509:SAN/",
    "x509SAN/Name": "x509:SAN/Name/",
}
_MAX_SPECIFIER_LENGTH: Final = 60
_SPECIFIER: Final = re.compile(r"[A-Za-z0-9.]+")
_DIRECTORY: Final = "Name/"


def compile_mapping(field: str, specifier: str) -> MappingRule:
    """Return the rule for a field and a specifier as IAM Roles Anywhere writes them.

    Raises:
        TrustFileError: there is no such field, or nothing in it could be called so.
    """
    if len(specifier) > _MAX_SPECIFIER_LENGTH:
        raise refuse("the specifier is too long", f"use at most {_MAX_SPECIFIER_LENGTH} characters")
    if field in ("x509Subject", "x509Issuer"):
        if specifier == "*":
            return MappingRule(field)
        if _SPECIFIER.fullmatch(specifier) is not None:
            return MappingRule(field, specifier)
    if field == "x509SAN":
        if specifier in ("DNS", "URI"):
            return MappingRule(field, specifier)
        if specifier in ("Name", "Name/", "Name/*"):
            return MappingRule("x509SAN/Name")
        if specifier.startswith(_DIRECTORY) and _SPECIFIER.fullmatch(specifier.removeprefix(_DIRECTORY)):
            return MappingRule(field, specifier)
    raise refuse(
        f"there is no {specifier!r} in {field!r}",
        "use x509Subject or x509Issuer with * or a part (CN, OU, …), or x509SAN with DNS, URI or Name/*",
    )


DEFAULT_SPECIFIERS: Final[Mapping[str, Sequence[str]]] = {
    "x509Subject": ("*",),
    "x509Issuer": ("*",),
    "x509SAN": ("DNS", "URI", "Name/*"),
}
"""What a new profile of IAM Roles Anywhere has, as it writes it."""

DEFAULT_MAPPING: Final = tuple(
    compile_mapping(field, specifier) for field, each in DEFAULT_SPECIFIERS.items() for specifier in each
)


def tag_key(rule: MappingRule) -> str:
    """Return the key of the tag that a rule for one part makes, or what all keys of a rule begin with."""
    return _tag_key(_PREFIXES[rule.field] + (rule.specifier or ""))


def _tag_key(key: str) -> str:
    return "x509" + key.removeprefix("x509:")


def map_tags(
    attributes: Mapping[str, JsonValue], rules: Sequence[MappingRule], unfit: Unfit
) -> tuple[tuple[SessionTag, ...], tuple[str, ...]]:
    """Return a session tag for every attribute that a rule picks, and a note for each that is not as it was.

    Parts of a name that are repeated are joined by slashes; of several host names or URIs the first
    counts. Nothing is left out in silence: a missing tag makes ``StringNotEquals`` true.

    Raises:
        DeniedError: a value is too long even so, and may not be dropped.
    """
    tags: list[SessionTag] = []
    notes: list[str] = []
    for key, value in attributes.items():
        if not any(rule.picks(key) for rule in rules):
            continue
        name = _tag_key(key)
        text, is_fit = _joined(key, value)
        if len(name) > MAX_TAG_KEY_LENGTH or len(text) > MAX_TAG_VALUE_LENGTH:
            is_fit = False
        if not is_fit and unfit is Unfit.DROP:
            notes.append(f"tag-dropped:{name}")
            continue
        if not is_fit:
            text = "/".join(map(encode, _values(key, value)))
            notes.append(f"tag-encoded:{name}")
        if len(name) > MAX_TAG_KEY_LENGTH or len(text) > MAX_TAG_VALUE_LENGTH:
            raise DeniedError(
                "tag-value-illegal",
                f"STS does not take the value of the tag {name!r}",
                cure="map fewer parts of the certificate, or drop what does not fit",
            )
        tags.append(SessionTag(name, text))
    return tuple(tags), tuple(notes)


_FIRST_ONLY: Final = frozenset({"x509:SAN/DNS", "x509:SAN/URI"})


def _values(key: str, value: JsonValue) -> list[str]:
    values = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
    return values[:1] if key in _FIRST_ONLY else values


def _joined(key: str, value: JsonValue) -> tuple[str, bool]:
    """Return what IAM Roles Anywhere makes of a value, and whether it may stay so.

    It may if STS takes it and it cannot be mistaken: an encoded value always has an ``=``, a plain one
    never; and where several can be joined by slashes, none has a slash of its own, not even alone:
    ``CN=a/b`` is not ``CN=a, CN=b``.
    """
    values = _values(key, value)
    text = "/".join(values)
    mistaken = "=" in text or (key not in _FIRST_ONLY and any("/" in one for one in values))
    return text, is_tag_text(text) and not mistaken
