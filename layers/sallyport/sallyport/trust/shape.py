"""Checks the form of a trust file, and says what is wrong with it in words.

Only ``compile_trust`` needs this module, and only operators run that: a function never loads
``jsonschema``.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from math import isfinite
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from sallyport.trust.facts import shown
from sallyport.trust.limits import MAX_DEPTH, MAX_NUMBER_BITS
from sallyport.trust.problems import Path, Problem
from sallyport.trust.schema import DURATION_PATTERN, SCHEMA

_VALIDATOR: Final = Draft202012Validator(SCHEMA)

_TYPE_NAMES: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}

# Where `trust import-roles-anywhere` says what it could not translate. No schema has it, so that no file
# with it is ever applied.
_UNTRANSLATED: Final = "untranslated"
# In the schema's order.
_KINDS: Final = ("oidc", "x509")

# As many possible keys as a person still reads.
_MAX_CHOICES: Final = 30
_DURATION_CURE: Final = "write a number and s, m, h or d, such as 1h"
_NAME_CURE: Final = "use lower-case letters, digits and -, at most 32, the first no -"
# What is wrong and what to do, by the schema's keyword.
_WORDS: Final = {
    "pattern": ("{said!r} is not in the right form", "it must match {expected}"),
    "minItems": ("this is empty", "write at least one"),
    "minProperties": ("this is empty", "write at least one"),
    "minLength": ("this is empty", "write at least one character"),
    "maxItems": ("these are too many", "at most {expected}"),
    "maxProperties": ("these are too many", "at most {expected}"),
    "maxLength": ("this is too long", "at most {expected} characters"),
    "uniqueItems": ("the same value stands here twice", "write it once"),
    "minimum": ("{said} is too small", "at least {expected}"),
    "maximum": ("{said} is too large", "at most {expected}"),
    "oneOf": (
        "exactly one of two belongs here",
        "Action or NotAction, and Resource or NotResource, once each",
    ),
}


def problems_of_form(document: object) -> tuple[Problem, ...]:
    """Return everything that is wrong with the form of a document, in its own order."""
    # What is not JSON, or endlessly deep, is nothing that a validator could walk through.
    foreign = tuple(_not_json(document))
    if foreign:
        return foreign
    errors = sorted(_VALIDATOR.iter_errors(document), key=lambda error: [str(p) for p in error.absolute_path])
    return tuple(dict.fromkeys(problem for error in errors for problem in _problems(error)))


def _not_json(document: object) -> Iterator[Problem]:
    waiting: list[tuple[Path, object]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > MAX_DEPTH:
            yield Problem(path, f"this is more than {MAX_DEPTH} deep", "a trust file needs no such depth")
            return
        if isinstance(value, dict):
            waiting += [((*path, key), item) for key, item in value.items()]
            if not all(isinstance(key, str) and _is_text(key) for key in value):
                yield Problem(path, "a key is not a plain string", "put it in quotes")
        elif isinstance(value, list):
            waiting += [((*path, index), item) for index, item in enumerate(value)]
        elif (complaint := _complaint(value)) is not None:
            yield Problem(path, *complaint)


def _complaint(value: object) -> tuple[str, str] | None:
    if isinstance(value, str):
        return None if _is_text(value) else ("this contains what no file can", "write plain Unicode text")
    if isinstance(value, float):
        return None if isfinite(value) else ("this is not a number", "write a number")
    if isinstance(value, int):
        fits = value.bit_length() <= MAX_NUMBER_BITS
        return None if fits else ("this number is larger than any that is needed", "write a smaller one")
    if value is None:
        return None
    return f"YAML takes this for a {type(value).__name__}, not for a string", "put it in quotes"


def _is_text(text: str) -> bool:
    """Tell whether a string has neither halves of surrogate pairs nor NUL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _problems(error: ValidationError) -> Iterator[Problem]:
    path: Path = tuple(error.absolute_path)
    keyword = str(error.validator)
    expected: Any = error.validator_value
    instance: Any = error.instance
    if keyword == "oneOf" and "$ref" in expected[0]:
        yield from _problems_of_kind(error, path)
    elif keyword == "additionalProperties":
        yield from _unknown_keys(error, path)
    elif keyword == "required":
        # The validator reports each missing key on its own, and only its text would say which.
        missing = [key for key in expected if key not in instance]
        known: Any = error.schema["properties"] if isinstance(error.schema, dict) else {}
        yield from (Problem(path, f"{key} is missing", f"add {_only(known, key)}") for key in missing)
    elif isinstance(error.schema, dict) and error.schema.get("pattern") == DURATION_PATTERN:
        yield Problem(path, f"{shown(instance)!r} is not a duration", _duration_cure(instance))
    elif keyword == "const":
        yield Problem(path, f"{shown(instance)} is not possible here", f"write {path[-1]}: {shown(expected)}")
    elif "propertyNames" in error.absolute_schema_path:
        yield Problem((*path, instance), f"{shown(instance)!r} cannot be a name", _NAME_CURE)
    else:
        yield Problem(path, *_words(keyword, expected, shown(instance)))


def _problems_of_kind(error: ValidationError, path: Path) -> Iterator[Problem]:
    """Report what keeps an anchor from being what it says it is, not from being something else."""
    instance: Any = error.instance
    if not isinstance(instance, dict):
        yield Problem(path, *_words("type", "object", shown(instance)))
        return
    if "kind" not in instance:
        yield Problem(
            path, "what kind of trust anchor this is, is not said", f"add kind: {' or kind: '.join(_KINDS)}"
        )
        return
    kind = instance["kind"]
    if kind not in _KINDS:
        yield Problem((*path, "kind"), *_words("enum", _KINDS, shown(kind)))
        return
    for inner in error.context or ():
        if inner.relative_schema_path[0] == _KINDS.index(kind):
            yield from _problems(inner)


def _only(known: dict[str, Any], key: str) -> str:
    """Return a key, with its value where only one is possible."""
    return f"{key}: {known[key]['const']}" if "const" in known.get(key, ()) else key


def _duration_cure(said: object) -> str:
    """Say how a bare number of seconds is written."""
    if isinstance(said, bool) or not isinstance(said, int | str) or not str(said).isdecimal():
        return _DURATION_CURE
    longer = next(
        ((unit, size) for unit, size in (("h", 3_600), ("m", 60)) if int(said) and int(said) % size == 0),
        None,
    )
    return f"write {said}s" + (f" or {int(said) // longer[1]}{longer[0]}" if longer else "")


def _unknown_keys(error: ValidationError, path: Path) -> Iterator[Problem]:
    known = sorted(error.schema["properties"]) if isinstance(error.schema, dict) else []
    instance: Any = error.instance
    for key in instance:
        if key == _UNTRANSLATED:
            yield from _untranslated(instance[key], (*path, key))
        elif key not in known:
            other = _kind_that_knows(key, instance) if "kind" in known else None
            if other is not None:
                yield Problem(
                    (*path, key),
                    f"{shown(key)} is for trust anchors of kind {other}, and this one is of kind "
                    f"{instance['kind']}",
                    f"leave it out, or write kind: {other}",
                )
                continue
            near = get_close_matches(key, known, n=1)
            cure = f"did you mean {near[0]}?" if near else f"use one of {', '.join(known[:_MAX_CHOICES])}"
            yield Problem((*path, key), f"{shown(key)!r} is unknown here", cure)


def _untranslated(reasons: object, path: Path) -> Iterator[Problem]:
    """Report what an import could not translate, in its own words."""
    for index, reason in enumerate(reasons if isinstance(reasons, list) else [reasons]):
        yield Problem(
            (*path, index) if isinstance(reasons, list) else path,
            f"not translated: {shown(reason)}",
            "write here what it meant, and delete the remark",
        )


def _kind_that_knows(key: str, instance: dict[str, Any]) -> str | None:
    """Return the other kind of trust anchor that has such a key."""
    said = instance.get("kind")
    if said not in _KINDS:
        return None
    return next(
        (kind for kind in _KINDS if kind != said and key in SCHEMA["$defs"][kind]["properties"]), None
    )


def _words(keyword: str, expected: Any, said: str) -> tuple[str, str]:  # noqa: ANN401 - any part of a schema
    if keyword == "type":
        types = [expected] if isinstance(expected, str) else expected
        return f"{said} does not fit here", f"write {' or '.join(_TYPE_NAMES[one] for one in types)}"
    if keyword == "enum":
        return f"{said} is none of the possible values", f"use one of {', '.join(map(shown, expected))}"
    text, cure = _WORDS.get(keyword, _WORDS["oneOf"])
    return text.format(said=said), cure.format(expected=expected)
