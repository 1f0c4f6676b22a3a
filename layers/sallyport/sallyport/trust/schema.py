"""The JSON Schema of the trust file: what editors complete from and what validation starts with.

It describes the form. What a form cannot say (which issuers need what, which profiles overlap) is
``compile``'s.
"""

from typing import Any, Final

from sallyport.cognito.load import MAX_ALLOWED
from sallyport.cognito.load import MAX_ROLES as MAX_TOKEN_ROLES
from sallyport.trust.conditions import operator_names
from sallyport.trust.limits import (
    MAX_AUDIENCE_LENGTH,
    MAX_AUDIENCES,
    MAX_CRL_URL_LENGTH,
    MAX_CRLS,
    MAX_DESCRIPTION_LENGTH,
    MAX_GRANTS_PER_MINUTE,
    MAX_ISSUER_LENGTH,
    MAX_JWKS_HOSTS,
    MAX_POLICY_ARNS,
    MAX_PRIORITY,
    MAX_SPECIFIERS,
    MAX_TAG_VALUE_LENGTH,
    MAX_TAGS,
)

Schema = dict[str, Any]

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")

# Names go into session names, which have 64 characters, and into keys of the trust table.
NAME_PATTERN: Final = "^[a-z0-9][a-z0-9-]{0,31}$"
POOL_PATTERN: Final = "^[A-Za-z0-9-]{1,40}_[A-Za-z0-9]{1,55}$"
DURATION_PATTERN: Final = "^[1-9][0-9]{0,5}[smhd]$"


def _text(title: str, description: str, **more: object) -> Schema:
    return {"type": "string", "title": title, "description": description, **more}


def _flag(title: str, description: str) -> Schema:
    return {"type": "boolean", "title": title, "description": description, "default": False}


def _list(title: str, description: str, items: Schema | None = None, **more: object) -> Schema:
    return {
        "type": "array",
        "title": title,
        "description": description,
        "items": items or {"type": "string", "minLength": 1},
        "uniqueItems": True,
        **more,
    }


def _object(title: str, description: str, properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "title": title,
        "description": description,
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _texts(title: str, description: str) -> Schema:
    return {
        "type": "object",
        "title": title,
        "description": description,
        "minProperties": 1,
        "additionalProperties": {"type": "string"},
    }


def _specifiers(title: str, description: str, *examples: list[str]) -> Schema:
    return _list(title, description, minItems=1, maxItems=MAX_SPECIFIERS, examples=list(examples))


def _duration(title: str, description: str, default: str) -> Schema:
    return _text(
        title, description, pattern=DURATION_PATTERN, default=default, examples=["900s", "15m", "1h", "24h"]
    )


def _named(title: str, description: str, of: Schema) -> Schema:
    return {
        "type": "object",
        "title": title,
        "description": description,
        "propertyNames": {"pattern": NAME_PATTERN},
        "additionalProperties": of,
    }


_OIDC_ANCHOR: Final = _object(
    "OpenID Connect issuer",
    "An issuer of JSON Web Tokens that is trusted to vouch for identities.",
    {
        "kind": {"const": "oidc", "title": "Kind", "description": "This anchor is an OpenID Connect issuer."},
        "issuer": _text(
            "Issuer",
            "The tokens' iss, byte for byte. An issuer belongs to one anchor.",
            maxLength=MAX_ISSUER_LENGTH,
            examples=["https://sts.windows.net/00000000-0000-0000-0000-000000000000/"],
        ),
        "dialect": _text(
            "Dialect",
            "Whose own rules apply besides those for every token. Microsoft's issuers need entra.",
            enum=["plain", "entra", "github", "cognito"],
            default="plain",
        ),
        "audiences": _list(
            "Audiences",
            "The values of aud that are accepted, each exactly. List none that others receive as well.",
            {"type": "string", "minLength": 1, "maxLength": MAX_AUDIENCE_LENGTH},
            minItems=1,
            maxItems=MAX_AUDIENCES,
        ),
        "algorithms": _list(
            "Algorithms",
            "The signature algorithms that are accepted.",
            {"enum": list(ALGORITHMS)},
            minItems=1,
            default=["RS256"],
        ),
        "replay": _text(
            "Replay",
            "Whether a token may be used again while it is valid (allow) or only once (once). "
            "Azure hands out one token for about a day, so once breaks honest callers there.",
            enum=["allow", "once"],
            default="allow",
        ),
        "allow_arm_audience": _flag(
            "Allow the audience of Azure Resource Manager",
            "Accept tokens for Azure Resource Manager, which every receiver of such tokens could replay. "
            "For dialect entra; an app registration of your own is better.",
        ),
        "keys_max_age": _duration(
            "Keys' longest age",
            "How long keys are believed that no fetch has confirmed: 3h to 7d.",
            "24h",
        ),
        "jwks_hosts": _list(
            "Hosts of keys",
            "Hosts besides the issuer's own that may serve its keys.",
            maxItems=MAX_JWKS_HOSTS,
        ),
        "local_discovery": _text(
            "Local discovery",
            "For the local cloud alone: an http address of this machine that stands in for the issuer.",
        ),
        "description": _text("Description", "For people.", maxLength=MAX_DESCRIPTION_LENGTH),
    },
    ("kind", "issuer", "audiences"),
)

_X509_ANCHOR: Final = _object(
    "X.509 certificate authority",
    "A certificate authority that is trusted to vouch for identities. It must be your own: whoever lists a "
    "public one lets everybody in who can buy from it.",
    {
        "kind": {"const": "x509", "title": "Kind", "description": "This anchor is a certificate authority."},
        "certificates": _text(
            "Certificates",
            "PEM file with the trusted certificates, relative to the trust file; roots or intermediates.",
            minLength=1,
            examples=["ca.pem"],
        ),
        "intermediates": _text(
            "Intermediates",
            "PEM file with certificates of authorities in between, so that clients need not send them.",
            minLength=1,
            examples=["issuing.pem"],
        ),
        "crls": _list(
            "Revocation lists",
            "Files with certificate revocation lists, in PEM or DER, one for each authority. A list goes by "
            "its file's name without its folder.",
            maxItems=MAX_CRLS,
            examples=[["ca.crl"]],
        ),
        "crl_urls": _list(
            "Addresses of revocation lists",
            "http or https; fetched on a schedule.",
            {"type": "string", "minLength": 1, "maxLength": MAX_CRL_URL_LENGTH},
            maxItems=MAX_CRLS,
            examples=[["http://pki.example.com/ca.crl"]],
        ),
        "stale_crls": _text(
            "Stale revocation lists",
            "What it means that a list is late or was never read: deny stops everybody whom it could be "
            "about, allow takes the risk that somebody revoked gets in.",
            enum=["deny", "allow"],
            default="deny",
        ),
        "any_extended_key_usage": _flag(
            "Any extended key usage",
            "Accept certificates whose extended key usage leaves clients out, those for servers say.",
        ),
        "replay": _text(
            "Replay",
            "Whether a signed request may be used again within its five minutes (allow) or only once (once).",
            enum=["allow", "once"],
            default="allow",
        ),
        "bare_names": _flag(
            "Bare names",
            "Source identities and session names as IAM Roles Anywhere makes them, where they are "
            "unambiguous, without the anchor's name in front. One anchor alone can have them.",
        ),
        "description": _text("Description", "For people.", maxLength=MAX_DESCRIPTION_LENGTH),
    },
    ("kind", "certificates"),
)

_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}
_CONDITION_KEYS: Final[Schema] = {
    "type": "object",
    "description": "Key (token:<claim> or x509:<name>, request:SourceIp, request:RoleArn, request:Time) and "
    "expected value, or a list of values of which one suffices.",
    "propertyNames": {"minLength": 1},
    "additionalProperties": {"type": ["string", "number", "boolean", "array"], "items": _SCALAR},
}

_STATEMENT: Final = _object(
    "Statement",
    "One statement of a session policy.",
    {
        "Sid": {"type": "string"},
        "Effect": {"enum": ["Allow", "Deny"]},
        "Action": {"$ref": "#/$defs/strings"},
        "NotAction": {"$ref": "#/$defs/strings"},
        "Resource": {"$ref": "#/$defs/strings"},
        "NotResource": {"$ref": "#/$defs/strings"},
        "Condition": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": {
                    "type": ["string", "number", "boolean", "array"],
                    "items": _SCALAR,
                },
            },
        },
    },
    ("Effect",),
) | {
    "allOf": [
        {"oneOf": [{"required": ["Action"]}, {"required": ["NotAction"]}]},
        {"oneOf": [{"required": ["Resource"]}, {"required": ["NotResource"]}]},
    ]
}

_PROFILE: Final = _object(
    "Profile",
    "Which roles may be had through a trust anchor, by whom and on what terms. "
    "Profiles are alternatives: one that allows suffices, unless another denies.",
    {
        "trust_anchor": _text("Trust anchor", "The name of the anchor whose identities this is about."),
        "effect": _text(
            "Effect",
            "allow, or deny: a profile with deny that matches beats every other.",
            enum=["allow", "deny"],
            default="allow",
        ),
        "priority": {
            "type": "integer",
            "title": "Priority",
            "description": "Of several profiles that allow, the highest wins. "
            "Needed in both where two with different terms could match for one role.",
            "minimum": 0,
            "maximum": MAX_PRIORITY,
        },
        "roles": _list("Roles", "The exact ARNs of the roles; no wildcards.", minItems=1),
        "condition": {
            "type": "object",
            "title": "Condition",
            "description": "IAM's condition operators over what was verified; all must be met. "
            "An allowing profile must say who, on a key that the issuer assigns.",
            "properties": {name: {"$ref": "#/$defs/keys"} for name in operator_names()},
            "additionalProperties": False,
        },
        "unconditional": _flag(
            "Unconditional",
            "Says on purpose that everybody whom the anchor vouches for is meant.",
        ),
        "session_tags": {
            "type": "object",
            "title": "Session tags",
            "description": "Key and value of each tag; ${token:<claim>} and ${x509:<name>} are replaced. "
            "The optional ones are left out in this order if STS says that the session token is too large.",
            "maxProperties": MAX_TAGS,
            "propertyNames": {"minLength": 1},
            "additionalProperties": {
                "type": ["string", "object"],
                "minLength": 1,
                "properties": {
                    "value": _text("Value", "As for a tag without options.", minLength=1),
                    "optional": _flag("Optional", "Whether the tag may be missing."),
                },
                "required": ["value"],
                "additionalProperties": False,
            },
        },
        "transitive_tags": _list("Transitive tags", "Keys of the tags that role chaining passes on."),
        "source_identity": _text(
            "Source identity",
            "Stays with the session through every further role. Begins with the anchor's name and one "
            "of . , @ _ - and contains the subject, for example contoso.${token:oid} or dc.${x509:Subject}.",
            minLength=1,
        ),
        "session_name": _text(
            "Session name",
            "In the same form as the source identity; by default the anchor's name, - and the subject, or "
            "what IAM Roles Anywhere makes of a certificate.",
            minLength=1,
        ),
        "session_policy": _object(
            "Session policy",
            "An IAM policy that narrows what the role allows. Claims may take part in Resource, "
            "NotResource and the values of Condition.",
            {
                "Version": {"const": "2012-10-17", "description": "The only one that knows variables."},
                "Id": {"type": "string"},
                "Statement": {
                    "type": ["array", "object"],
                    "minItems": 1,
                    "items": {"$ref": "#/$defs/statement"},
                    "if": {"type": "object"},
                    "then": {"$ref": "#/$defs/statement"},
                },
            },
            ("Version", "Statement"),
        ),
        "managed_policies": _list(
            "Managed policies", "ARNs of managed policies that narrow as well.", maxItems=MAX_POLICY_ARNS
        ),
        "duration": _duration(
            "Duration",
            "The longest and the usual duration of a session: 15m to 1h with issuance assume-role, "
            "to 12h with web-identity.",
            "1h",
        ),
        "issuance": _text(
            "Issuance",
            "assume-role: STS is asked by Sallyport's own role, with tags, source identity and policies. "
            "web-identity: with the caller's own token, for longer sessions; nothing decided here binds.",
            enum=["assume-role", "web-identity"],
            default="assume-role",
        ),
        "accept_caller_policy": _flag(
            "Accept the caller's policy",
            "Pass on session policies that a request carries. Not beside policies of the profile.",
        ),
        "accept_session_name": _flag(
            "Accept the caller's session name",
            "Use the name that a request asks for, with the anchor's in front and the subject behind.",
        ),
        "advisory": _flag(
            "Advisory",
            "For issuance web-identity: admits that tags, policies and conditions of this profile can be "
            "evaded by asking STS directly.",
        ),
        "grants_per_minute": {
            "type": "integer",
            "title": "Grants per minute",
            "description": "How many grants one identity may have in a minute; costs a write per exchange.",
            "minimum": 1,
            "maximum": MAX_GRANTS_PER_MINUTE,
        },
        "across_tenants": _flag(
            "Across tenants",
            "For anchors of a user pool that is declared: says on purpose that nothing keeps these sessions "
            "to one tenant.",
        ),
        "attribute_mapping": _object(
            "Attribute mapping",
            "For anchors of kind x509: what of a certificate becomes session tags, as in IAM Roles Anywhere. "
            "Without it all parts of subject and issuer, the first host name and URI and the first directory "
            "name; {} maps nothing.",
            {
                "x509Subject": _specifiers("Subject", "Parts of the subject.", ["*"], ["CN", "OU"]),
                "x509Issuer": _specifiers("Issuer", "Parts of the issuer's name.", ["*"], ["CN"]),
                "x509SAN": _specifiers(
                    "Alternative names",
                    "DNS, URI, Name/* or Name/<part>: the first of each.",
                    ["DNS", "URI", "Name/*"],
                    ["URI"],
                ),
            },
        ),
        "unfit_values": _text(
            "Unfit values",
            "For anchors of kind x509: whether a value that STS would not take as a tag, or that could be "
            "taken for another, is encoded or dropped. The record tells either.",
            enum=["encode", "drop"],
            default="encode",
        ),
        "description": _text("Description", "For people.", maxLength=MAX_DESCRIPTION_LENGTH),
    },
    ("trust_anchor", "roles"),
)

_TAG: Final = _object(
    "Tag",
    "How one tag is made, of exactly one source: attribute, groups, group_prefix, constant, provider or "
    "metadata.",
    {
        "attribute": _text(
            "Attribute",
            "The user's attribute. If the tag isolates, nobody outside may be able to write it.",
            minLength=1,
            examples=["custom:tenant_id", "sub"],
        ),
        "groups": _texts("Groups", "The value beside the one of these groups that the user is in."),
        "group_prefix": _text(
            "Group prefix",
            "The value is what follows the prefix in the name of the one such group.",
            minLength=1,
            examples=["tenant-"],
        ),
        "constant": _text(
            "Constant",
            "Always this value. For users, if it isolates, the same in all app clients.",
            minLength=1,
        ),
        "provider": {
            "const": True,
            "title": "Provider",
            "description": "The identity provider's constant, and nothing else.",
        },
        "metadata": _text(
            "Metadata",
            "What the caller said in ClientMetadata under this key: anything at all, so it cannot isolate.",
            minLength=1,
        ),
        "isolates": {
            "type": "boolean",
            "title": "Isolates",
            "description": "Whether access to a tenant's data hangs on the tag.",
            "default": True,
        },
        "optional": _flag("Optional", "Whether a token may be made without it. Not beside isolates."),
        "transitive": _flag("Transitive", "Whether it stays through role chaining. Not with trigger V1_0."),
        "allowed": _list(
            "Allowed values",
            "Values with * and ?, one of which must fit as a whole.",
            {"type": "string", "minLength": 1, "maxLength": MAX_TAG_VALUE_LENGTH},
            minItems=1,
            maxItems=MAX_ALLOWED,
        ),
    },
)

_CLIENT: Final = _object(
    "App client",
    "What the tokens of one app client say to AWS.",
    {
        "use": _text(
            "Use",
            "users sign in through the client, or a machine has its secret (client credentials).",
            enum=["users", "machine"],
        ),
        "tags": {
            "type": "object",
            "title": "Tags",
            "description": "By tag key. {} for an app client whose tokens are not for AWS.",
            "maxProperties": MAX_TAGS,
            "additionalProperties": {"$ref": "#/$defs/pool_tag"},
        },
        "source_identity": _text(
            "Source identity",
            "What stands before the user's sub, or before a machine's client id. Absent: no claim.",
            minLength=1,
            examples=["saas."],
        ),
        "roles": _list(
            "Roles",
            "The only roles that STS gives for these tokens. Absent: no claim.",
            minItems=1,
            maxItems=MAX_TOKEN_ROLES,
        ),
    },
    ("use", "tags"),
)

_USER_POOL: Final = _object(
    "User pool",
    "A Cognito user pool whose pre token generation trigger is Sallyport's, and what becomes a tag there.",
    {
        "id": _text(
            "Id",
            "The pool's id, as Cognito writes it.",
            pattern=POOL_PATTERN,
            examples=["eu-central-1_ExaMPle01"],
        ),
        "clients": {
            "type": "object",
            "title": "App clients",
            "description": "By app client id. One that is neither here nor meant by default gets no tokens.",
            "additionalProperties": {"$ref": "#/$defs/pool_client"},
        },
        "default": {
            "$ref": "#/$defs/pool_client",
            "description": "For users of all other app clients.",
        },
        "providers": {
            "type": "object",
            "title": "Identity providers",
            "description": "Constants by the provider's name (case matters) and tag key: the tenant of a "
            "federated user, whatever his provider says.",
            "additionalProperties": _texts("Constants", "Values by tag key."),
        },
    },
    ("id", "clients"),
)

SCHEMA: Final[Schema] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:sallyport:trust-file:1",
    **_object(
        "Sallyport trust file",
        "Who is trusted to vouch for identities, and which roles these may have. "
        "What is not declared is denied.",
        {
            "version": {
                "const": 1,
                "title": "Version",
                "description": "The version of this format.",
            },
            "trust_anchors": _named(
                "Trust anchors",
                "By name: lower-case letters, digits and -, at most 32.",
                {"oneOf": [{"$ref": "#/$defs/oidc"}, {"$ref": "#/$defs/x509"}]},
            ),
            "profiles": _named(
                "Profiles",
                "By name: lower-case letters, digits and -, at most 32.",
                {"$ref": "#/$defs/profile"},
            ),
            "user_pools": _named(
                "User pools",
                "By name: lower-case letters, digits and -, at most 32.",
                {"$ref": "#/$defs/user_pool"},
            ),
        },
        ("version",),
    ),
    "$defs": {
        "oidc": _OIDC_ANCHOR,
        "x509": _X509_ANCHOR,
        "profile": _PROFILE,
        "user_pool": _USER_POOL,
        "pool_client": _CLIENT,
        "pool_tag": _TAG,
        "keys": _CONDITION_KEYS,
        "statement": _STATEMENT,
        "strings": {
            "type": ["string", "array"],
            "minLength": 1,
            "minItems": 1,
            "items": {"type": "string", "minLength": 1},
        },
    },
}
