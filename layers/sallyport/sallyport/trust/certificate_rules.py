"""What a profile of certificate holders must be, where that differs from one of tokens.

Only ``compile_trust`` needs this module.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from sallyport.proof.subject import SPECIFIERS
from sallyport.trust.conditions import Condition
from sallyport.trust.facts import CERTIFICATE_ISSUER, CERTIFICATE_SUBJECT, TOKEN, X509
from sallyport.trust.issuers import EXACT, Least
from sallyport.trust.mapping import fold_tag_key, tags_named_by
from sallyport.trust.problems import Problems, refuse
from sallyport.trust.x509_terms import DEFAULT_SPECIFIERS, MappingRule, Unfit, compile_mapping, tag_key

Declared = dict[str, Any]

SERIAL: Final = "x509:Serial"
_ISSUER_PARTS: Final = "x509:Issuer/"
_DIRECTORY: Final = "x509:SAN/Name/"

# --- keys -----------------------------------------------------------------------------------------

_WHOLE: Final = frozenset({CERTIFICATE_SUBJECT, CERTIFICATE_ISSUER, SERIAL, "x509:SAN/DNS", "x509:SAN/URI"})
_PART: Final = re.compile(r"x509:(?:Subject|Issuer|SAN/Name)/(?P<part>.+)", re.DOTALL)
_SHORT: Final = {oid.dotted_string: short for oid, short in SPECIFIERS.items()}
_PARTS: Final = frozenset(SPECIFIERS.values())
_OID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,38})){1,32}")


def check_certificate_key(key: str) -> None:
    """Refuse a key that no certificate's holder has.

    Raises:
        TrustFileError: it is a token's, or none that a verifier of certificates establishes.
    """
    if key.startswith(TOKEN):
        raise refuse(f"a certificate has no {key}", "use x509:Subject/CN and the like with this anchor")
    if not key.startswith(X509) or key in _WHOLE:
        return
    found = _PART.fullmatch(key)
    part = found["part"] if found else ""
    if part in _SHORT:
        raise refuse(f"{key} goes by another name", f"write {key.removesuffix(part)}{_SHORT[part]}")
    if part not in _PARTS and _OID.fullmatch(part) is None:
        raise refuse(
            f"no certificate has {key!r}; case matters",
            "use x509:Subject, x509:Issuer, x509:Serial, x509:SAN/DNS, x509:SAN/URI, or x509:Subject/<part>, "
            f"x509:Issuer/<part>, x509:SAN/Name/<part> with one of {', '.join(sorted(_PARTS))} or an object "
            "identifier",
        )


_SERIAL_TEXT: Final = re.compile(r"(?:[0-9a-f]{2}){1,20}")


def check_serial(condition: Condition) -> None:
    """Refuse a serial number that is written as no verifier writes it, so that nothing can equal it.

    Raises:
        TrustFileError: it is.
    """
    if condition.key != SERIAL or condition.base != "StringEquals":
        return
    for value in condition.values:
        if value.is_literal and _SERIAL_TEXT.fullmatch(value.source) is None:
            raise refuse(
                f"{value.source!r} is not a serial number as it is compared",
                "write it in lower-case hexadecimal digits, an even number of them, without colons",
            )


# --- who ------------------------------------------------------------------------------------------

_OWN: Final = Least(beginning=r".+", own=True)
# A path below the trust domain or the host, and below the "ns" of Kubernetes: what comes before is shared by
# all. As elsewhere, four characters or a whole segment.
_URI: Final = Least(
    beginning=r"[A-Za-z][A-Za-z0-9+.-]*://[^/]+/(?:ns/|(?!ns(?:/|$)))(?:.{4,}|[^/]+/)|urn:[^:]+:.{4,}"
)
# A country or a title is nobody's alone, and a first name is many people's.
_NOBODYS: Final = frozenset({"C", "ST", "L", "STREET", "T", "GN", "SN"})


def who_of_certificate(key: str) -> Least | None:
    """Return what must stand in a key to name somebody; ``None`` where nothing in it does."""
    if key == CERTIFICATE_SUBJECT:
        # Its parts come last first, so that a beginning says little.
        return EXACT
    if key == "x509:SAN/DNS":
        return _OWN
    if key == "x509:SAN/URI":
        return _URI
    if key.startswith(("x509:Subject/", _DIRECTORY)):
        return None if key.rpartition("/")[2] in _NOBODYS else _OWN
    return None


WHO_CHOICES: Final = (
    CERTIFICATE_SUBJECT,
    "x509:Subject/CN",
    "x509:Subject/OU",
    "x509:SAN/DNS",
    "x509:SAN/URI",
)
"""What a cure proposes."""


def names_certificate(conditions: Sequence[Condition]) -> bool:
    """Tell whether conditions name certificates one by one: by their numbers, and by who gave these.

    A number alone is somebody else's at the next authority, and an authority alone is everybody's.
    """
    exact = {
        condition.key
        for condition in conditions
        if condition.base == "StringEquals"
        and not condition.if_exists
        and condition.quantifier is None
        and all(value.is_literal for value in condition.values)
    }
    return SERIAL in exact and any(
        key == CERTIFICATE_ISSUER or key.startswith(_ISSUER_PARTS) for key in exact
    )


# --- names ----------------------------------------------------------------------------------------


def check_holder_in_name(keys: Sequence[str]) -> None:
    """Refuse a template in which two certificates' holders could have one name.

    Raises:
        TrustFileError: neither the whole subject is in it nor what names one certificate.
    """
    if CERTIFICATE_SUBJECT not in keys and not {CERTIFICATE_ISSUER, SERIAL} <= set(keys):
        raise refuse(
            "two subjects could have the same name: a part of a subject, or a number, can be in several "
            "certificates",
            f"add ${{{CERTIFICATE_SUBJECT}}}, the whole subject, or leave the template out: then the name is "
            "in IAM Roles Anywhere's form where that is unambiguous",
        )


# --- tags -----------------------------------------------------------------------------------------


def certificate_terms(
    declared: Declared, *, bare_names: bool, tags: Sequence[Declared], problems: Problems
) -> Declared:
    """Return what a profile stores of how certificates become names and tags.

    Args:
        declared: the profile.
        bare_names: whether its anchor's names go without the anchor's in front.
        tags: the profile's own session tags.
        problems: where what is wrong is noted.
    """
    mapping: list[list[str]] = []
    rules: list[MappingRule] = []
    for field, specifiers in declared.get("attribute_mapping", DEFAULT_SPECIFIERS).items():
        for index, specifier in enumerate(specifiers):
            with problems.at("attribute_mapping", field, index):
                rules.append(compile_mapping(field, specifier))
                mapping.append([field, specifier])
    for tag in tags:
        if any(may_make(rule, tag["key"]) for rule in rules):
            problems.add(
                ("session_tags", tag["key"]),
                "the certificate makes a tag of this name already, and STS takes each once",
                "choose another key, or map less with attribute_mapping ({} maps nothing)",
            )
    unfit = Unfit(declared.get("unfit_values", Unfit.ENCODE))
    named = tags_named_by(declared.get("session_policy"))
    if unfit is Unfit.DROP and any(may_make(rule, key) for rule in rules for key in named):
        problems.add(
            ("unfit_values",),
            "the session policy looks at a tag that the certificate makes, so it may not be dropped",
            "use unfit_values: encode",
        )
    # Their order means nothing, so it is no change either.
    return {"bare_names": bare_names, "mapping": sorted(mapping), "unfit": unfit.value}


def may_make(rule: MappingRule, key: str) -> bool:
    """Tell whether a rule may make a tag that STS takes for one of this key."""
    tag, folded = fold_tag_key(tag_key(rule)), fold_tag_key(key)
    return folded == tag if rule.specifier is not None else folded.startswith(tag)
