"""The form of a file of test cases for a trust file; `docs/trust-cases.schema.json` is printed from here."""

from typing import Any, Final

from sallyport.trust.schema import NAME_PATTERN

MAX_CASES: Final = 5_000
"""More than anybody reads, at some milliseconds each."""

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 2_048}
_SHORT: Final = {"type": "string", "minLength": 1, "maxLength": 256}
_TIME: Final = {**_SHORT, "description": 'With its time zone, in quotes: "2026-11-20T12:00:00Z".'}
_NAME: Final = {"type": "string", "pattern": f"^(?:{NAME_PATTERN})$"}
_CLAIMS: Final = {
    "type": "object",
    "description": "Claims of the token, by name. iss, iat and exp are added where they are left out, and "
    "aud where the anchor has one audience.",
}

SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Cases for `sallyport trust test`",
    "type": "object",
    "required": ["version", "identities", "cases"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": 1},
        "trust_file": {**_TEXT, "description": "Relative to this file; --trust-file has precedence."},
        "at": {**_TIME, "description": f"When all cases happen, if not now. {_TIME['description']}"},
        "identities": {
            "type": "object",
            "description": "Who asks, by a name of your own.",
            "minProperties": 1,
            "propertyNames": {"pattern": f"^(?:{NAME_PATTERN})$"},
            "additionalProperties": {"$ref": "#/$defs/identity"},
        },
        "cases": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_CASES,
            "items": {"$ref": "#/$defs/case"},
        },
    },
    "$defs": {
        "identity": {
            "type": "object",
            "required": ["trust_anchor"],
            "additionalProperties": False,
            "properties": {
                "trust_anchor": {**_NAME, "description": "The trust anchor's name in the trust file."},
                "claims": _CLAIMS,
                "certificate": {**_TEXT, "description": "A certificate (PEM), relative to this file."},
                "intermediates": {
                    **_TEXT,
                    "description": "What a client would send with it (PEM), relative to this file.",
                },
            },
        },
        "case": {
            "type": "object",
            "required": ["name", "identity", "role", "expect"],
            "additionalProperties": False,
            "properties": {
                "name": {**_SHORT, "description": "A sentence; no two cases have the same."},
                "identity": {**_NAME, "description": "One of the identities."},
                "claims": {**_CLAIMS, "description": "Other claims than the identity's, for this case."},
                "without": {
                    "type": "array",
                    "items": _SHORT,
                    "uniqueItems": True,
                    "description": "Claims that the token does not have in this case.",
                },
                "role": {**_TEXT, "description": "The ARN of the role that is asked for."},
                "profile": {**_SHORT, "description": "The profile that the request names."},
                "duration": {"type": "integer", "description": "Seconds that are asked for."},
                "session_name": {**_SHORT, "description": "The session name that is asked for."},
                "at": _TIME,
                "source_ip": {**_SHORT, "description": "The address as API Gateway sees it."},
                "expect": {"$ref": "#/$defs/expect"},
            },
        },
        "expect": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {
                "denied": {
                    **_SHORT,
                    "description": "The reason: docs/reasons.md has all of them. A refusal for another "
                    "reason is a mismatch.",
                },
                "granted": {
                    "type": "object",
                    "description": "What is written here must be so; {} asks for no more than a grant.",
                    "additionalProperties": False,
                    "properties": {
                        "profile": {**_NAME, "description": "The profile that wins."},
                        "tags": {
                            "type": "object",
                            "additionalProperties": {"type": "string"},
                            "description": "All session tags and no others.",
                        },
                        "transitive_tags": {"type": "array", "items": _SHORT, "uniqueItems": True},
                        "source_identity": {"type": "string"},
                        "session_name": {"type": "string"},
                        "duration": {"type": "integer", "description": "Seconds."},
                        "policy_sha256": {
                            "type": "string",
                            "pattern": "^[0-9a-f]{64}$",
                            "description": "Of the inline session policy as it would go to STS; "
                            "`sallyport simulate --json` prints it.",
                        },
                        "policy_arns": {"type": "array", "items": _TEXT, "uniqueItems": True},
                    },
                },
            },
        },
    },
}
