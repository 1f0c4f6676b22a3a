"""What a profile in a trust file must be, beyond its form."""

import re
from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, Final

from sallyport.errors import TrustFileError
from sallyport.model import Anchor, Dialect, Effect, Issuance, OidcAnchor, Replay, X509Anchor
from sallyport.trust.anchor_rules import Place, check_name, seconds
from sallyport.trust.certificate_rules import (
    WHO_CHOICES,
    certificate_terms,
    check_certificate_key,
    check_holder_in_name,
    check_serial,
    names_certificate,
    who_of_certificate,
)
from sallyport.trust.conditions import MATCH, Condition, compile_condition
from sallyport.trust.facts import X509
from sallyport.trust.issuers import (
    Least,
    SharedIssuer,
    check_issuer,
    has_azp,
    is_own,
    shared,
    subject_keys,
    who_keys,
)
from sallyport.trust.limits import (
    MAX_ARN_LENGTH,
    MAX_CHAINED_DURATION,
    MAX_CONDITIONS,
    MAX_DURATION,
    MAX_POLICY_LENGTH,
    MAX_ROLE_PATH_LENGTH,
    MIN_DURATION,
)
from sallyport.trust.mapping import (
    compile_arn,
    compile_policy,
    compile_tag,
    fold_tag_key,
    tags_named_by,
)
from sallyport.trust.names import compile_name
from sallyport.trust.problems import Path, Problems, refuse
from sallyport.trust.profiles import FORMAT
from sallyport.trust.templates import Template
from sallyport.trust.wildcards import has_wildcard, literal_prefix, matches_anything

Declared = dict[str, Any]

# The word for sessions that nothing keeps to one tenant: for operators and reviewers alone.
ACROSS_TENANTS: Final = "across_tenants"
# What only a profile that issues something can have.
TERMS: Final = (
    "priority",
    "session_tags",
    "transitive_tags",
    "source_identity",
    "session_name",
    "session_policy",
    "managed_policies",
    "duration",
    "issuance",
    "accept_caller_policy",
    "accept_session_name",
    "advisory",
    "grants_per_minute",
    ACROSS_TENANTS,
    "attribute_mapping",
    "unfit_values",
)
# What these last two are stored as, with what the anchor says of names.
CERTIFICATE: Final = "certificate"
# Of the terms, what STS does not hear of when it is asked with the caller's own token.
_NOT_BINDING: Final = (
    "session_tags",
    "transitive_tags",
    "source_identity",
    "session_policy",
    "managed_policies",
    "grants_per_minute",
)
# What only certificates' holders have.
_FOR_CERTIFICATES: Final = ("attribute_mapping", "unfit_values")
# What a role's own trust policy can look at in such a token. Where there is an azp, it decides.
_BINDING_KEYS: Final = frozenset({"token:aud", "token:sub", "token:azp"})

# What to write where * and ? are meant as wildcards. IAM's ArnEquals takes them; its name does not say so.
_PATTERNS_INSTEAD: Final = {
    "StringEquals": "StringLike",
    "StringNotEquals": "StringNotLike",
    "StringEqualsIgnoreCase": "StringLike",
    "StringNotEqualsIgnoreCase": "StringNotLike",
    "ArnEquals": "ArnLike",
    "ArnNotEquals": "ArnNotLike",
}
# No request was ever made before there was a Sallyport.
_BEFORE_EVERY_REQUEST: Final = "2026-01-01T00:00:00Z"
# What Entra's verifier accepts as nothing but a GUID.
_GUIDS: Final = frozenset({"token:oid", "token:tid"})
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_WORD: Final = r"[A-Za-z0-9_+=,.@-]+"
_ROLE: Final = re.compile(
    rf"arn:(?P<partition>[a-z0-9-]+):iam::(?P<account>[0-9]{{12}}):role(?P<path>/(?:{_WORD}/)*)(?P<name>{_WORD})"
)
_MAX_ROLE_NAME_LENGTH: Final = 64
_ARN_COLONS: Final = 5


def profile_document(
    name: str, declared: Declared, anchor: Anchor, place: Place, *, bare_names: bool = False
) -> Declared:
    """Return the form in which a profile is stored, with all its roles.

    Args:
        name: the profile's.
        declared: what the trust file says of it.
        anchor: the one that it is about.
        place: what the trust file is for.
        bare_names: whether names go without the anchor's, where they are a certificate's own.

    Raises:
        TrustFileError: it may not be one; carries every problem found.
    """
    problems = Problems()
    with problems.at():
        check_name(name)
    effect = Effect(declared.get("effect", Effect.ALLOW))
    issuance = Issuance(declared.get("issuance", Issuance.ASSUME_ROLE))
    for index, role in enumerate(declared["roles"]):
        with problems.at("roles", index):
            _check_role(role, place)
    conditions = _conditions(declared, anchor, problems)
    identifier = place.stable_id("profile", name)
    document: Declared = {
        "format": FORMAT,
        "name": name,
        "id": identifier,
        "arn": place.arn("profile", identifier),
        "trust_anchor": anchor.name,
        "anchor_id": anchor.id,
        "effect": effect.value,
        "roles": sorted(declared["roles"]),
        "condition": declared.get("condition", {}),
        "unconditional": declared.get("unconditional", False),
        "description": declared.get("description", ""),
    }
    if effect is Effect.DENY:
        _check_denying(declared, conditions, problems)
    else:
        _check_who(declared, conditions, anchor, issuance, problems)
        document |= _terms(declared, anchor, issuance, problems)
        if isinstance(anchor, X509Anchor):
            _check_asks_itself(issuance, problems)
            document[CERTIFICATE] = certificate_terms(
                declared, bare_names=bare_names, tags=document["session_tags"], problems=problems
            )
        elif issuance is Issuance.WEB_IDENTITY:
            _check_web_identity(declared, conditions, anchor, problems)
        if issuance is not Issuance.WEB_IDENTITY and declared.get("advisory", False):
            problems.add(("advisory",), "with issuance assume-role everything binds", "leave advisory out")
    problems.raise_if_any()
    return document


def _check_role(arn: str, place: Place) -> None:
    found = _ROLE.fullmatch(arn)
    if found is None or len(arn) > MAX_ARN_LENGTH:
        wild = " without wildcards" if "*" in arn or "?" in arn else ""
        raise refuse(
            f"{arn!r} is not the ARN of one role",
            f"write arn:{place.partition}:iam::<account>:role/<path>/<name>{wild}",
        )
    if len(found["path"]) > MAX_ROLE_PATH_LENGTH or len(found["name"]) > _MAX_ROLE_NAME_LENGTH:
        raise refuse(f"{arn!r} is longer than a role's ARN can be", "copy the ARN from IAM")
    if found["partition"] != place.partition:
        raise refuse(
            f"the role is in the partition {found['partition']} and this deployment in {place.partition}",
            "no credentials reach across partitions; deploy there as well",
        )


# --- conditions -----------------------------------------------------------------------------------


def _conditions(declared: Declared, anchor: Anchor, problems: Problems) -> list[Condition]:
    """Compile the conditions, and note each that is none, excludes nobody or can never be met."""
    found: list[Condition] = []
    for operator, block in declared.get("condition", {}).items():
        for key, expected in block.items():
            path = ("condition", operator, key)
            with problems.at(*path):
                condition = compile_condition(operator, key, expected)
                _check_reachable([key, *(k for value in condition.values for k in value.keys)], anchor)
                found.append(condition)
                _check_exact(condition, anchor)
                if _says_nothing(condition, anchor):
                    raise refuse(
                        "this can never be met" if condition.negated else "this excludes nobody",
                        "name what is expected, or leave the condition out; "
                        "that something is there at all says Null: false",
                    )
    if len(found) > MAX_CONDITIONS:
        problems.add(("condition",), f"{len(found)} conditions are too many", f"at most {MAX_CONDITIONS}")
    _check_possible(found, declared, anchor, problems)
    return found


def _check_reachable(keys: Iterable[str], anchor: Anchor) -> None:
    for key in keys:
        if isinstance(anchor, X509Anchor):
            check_certificate_key(key)
        elif key.startswith(X509):
            raise refuse(
                f"an identity of an OpenID Connect issuer has no {key}", "use token:<claim> with this anchor"
            )


def _check_exact(condition: Condition, anchor: Anchor) -> None:
    """Refuse a value that looks like a pattern where none is, or that nothing can equal."""
    like = _PATTERNS_INSTEAD.get(condition.base)
    if like is not None and any(has_wildcard(part) for value in condition.values for part in value.literals):
        raise refuse("* and ? are no wildcards here", f"no wildcard here; write {like}")
    if isinstance(anchor, X509Anchor):
        check_serial(condition)
    elif anchor.dialect is Dialect.ENTRA and condition.key in _GUIDS and condition.base == "StringEquals":
        for value in condition.values:
            if value.is_literal and _GUID.fullmatch(value.source) is None:
                raise refuse(
                    f"{value.source!r} is not a GUID, and {condition.key} is always one",
                    "copy the object's or the tenant's id from Entra: lower-case digits in five groups",
                )


def _says_nothing(condition: Condition, anchor: Anchor) -> bool:
    """Tell whether the expected values together are met by everything."""
    if _is_given(condition, anchor):
        return True
    if condition.base in ("StringLike", "StringNotLike"):
        return any(
            matches_anything(value.source) or _is_itself(value, condition) for value in condition.values
        )
    if condition.base.startswith("Arn"):
        return any(
            all(matches_anything(part) or part == "arn" for part in value.source.split(":", _ARN_COLONS))
            for value in condition.values
        )
    if condition.base.endswith("IpAddress"):
        return _is_everywhere([value.source for value in condition.values])
    if condition.base == "Bool":
        return {"true", "false"} <= {value.source.lower() for value in condition.values}
    return condition.base.startswith("String") and any(
        _is_itself(value, condition) for value in condition.values
    )


def _is_given(condition: Condition, anchor: Anchor) -> bool:
    """Tell whether everybody meets a condition on what is known of every request to an anchor."""
    if isinstance(anchor, OidcAnchor):
        if condition.key == "token:iss":
            return _takes_all(condition, [anchor.issuer])
        if condition.key == "token:aud":
            # An exact audience says something: a list of audiences does not meet it.
            patterns = any(has_wildcard(value.source) for value in condition.values)
            return patterns and _takes_all(condition, anchor.audiences)
    return (
        condition.key == "request:Time"
        and condition.base.startswith("DateGreaterThan")
        and _takes_all(condition, [_BEFORE_EVERY_REQUEST])
    )


def _takes_all(condition: Condition, values: Iterable[str]) -> bool:
    return all(condition.judge(value, condition.test) == MATCH for value in values)


def _is_everywhere(networks: Iterable[str]) -> bool:
    """Tell whether networks together are all addresses of one version of IP."""
    each = [ip_network(network) for network in networks]
    v4 = collapse_addresses(one for one in each if isinstance(one, IPv4Network))
    v6 = collapse_addresses(one for one in each if isinstance(one, IPv6Network))
    return any(one.prefixlen == 0 for one in v4) or any(one.prefixlen == 0 for one in v6)


def _is_itself(value: Template, condition: Condition) -> bool:
    return value.parts == ("", condition.key, "")


def _check_possible(
    conditions: Sequence[Condition], declared: Declared, anchor: Anchor, problems: Problems
) -> None:
    """Note every key of which no value meets all conditions on it."""
    by_key: dict[str, list[Condition]] = {}
    for condition in conditions:
        by_key.setdefault(condition.key, []).append(condition)
    known = {"request:RoleArn": list(declared["roles"])}
    if isinstance(anchor, OidcAnchor):
        known |= {"token:iss": [anchor.issuer], "token:aud": sorted(anchor.audiences)}
        if anchor.tenant is not None:
            known["token:tid"] = [anchor.tenant]
    for key, on_key in by_key.items():
        path = ("condition", on_key[-1].operator, key)
        needed = [c for c in on_key if c.null is None and not c.if_exists]
        if needed and any(c.null for c in on_key):
            problems.add(path, f"{key} cannot be missing and have a value", "leave one of the two out")
            continue
        single = [c for c in on_key if c.quantifier is None and c.is_static]
        candidates: Sequence[str] | None = known.get(key)
        if candidates is None:
            exact = [c for c in single if c.operator == "StringEquals"]
            candidates = [value.source for value in exact[0].values] if exact else None
        if candidates is not None and not any(
            all(c.judge(value, c.test) == MATCH for c in single) for value in candidates
        ):
            problems.add(
                path,
                f"no value of {key} meets all conditions on it",
                "two of them contradict each other, or the anchor or the list of roles",
            )


# --- who ------------------------------------------------------------------------------------------


def _check_denying(declared: Declared, conditions: Sequence[Condition], problems: Problems) -> None:
    for term in TERMS:
        if term in declared:
            problems.add((term,), "a profile that denies issues nothing", f"leave {term} out")
    unconditional = declared.get("unconditional", False)
    if unconditional and conditions:
        problems.add(("unconditional",), "this profile has conditions", "leave one of the two out")
    # One that is wrong is a problem of its own.
    if not unconditional and not any(declared.get("condition", {}).values()):
        problems.add((), "without a condition everybody is denied", "add one, or unconditional: true")


def _check_who(
    declared: Declared,
    conditions: Sequence[Condition],
    anchor: Anchor,
    issuance: Issuance,
    problems: Problems,
) -> None:
    world: SharedIssuer | None = None
    if isinstance(anchor, X509Anchor):
        choices: Iterable[str] = WHO_CHOICES
        says_who = names_certificate(conditions) or any(
            _names_somebody(condition, who_of_certificate(condition.key)) for condition in conditions
        )
    else:
        try:
            host = check_issuer(anchor.issuer)
        except TrustFileError:
            return
        world = shared(host, anchor.issuer.partition("//")[2].partition("/")[2])
        keys = who_keys(anchor.dialect, world, issuance)
        choices = keys
        says_who = any(
            _names_somebody(condition, keys.get(condition.key), anchor.audiences) for condition in conditions
        )
    unconditional = declared.get("unconditional", False)
    cure = f"one of {', '.join(choices)}"
    if world is not None and not says_who:
        path: Path = ("unconditional",) if unconditional else ("condition",) if conditions else ()
        problems.add(
            path,
            f"{world.title} vouches for the whole world, and this profile does not say for whom it is",
            f"add StringEquals, or StringLike that fixes the owner, on {cure}",
        )
    elif unconditional and says_who:
        problems.add(("unconditional",), "the condition says who is meant", "leave unconditional out")
    elif not unconditional and not says_who:
        problems.add(
            ("condition",) if conditions else (),
            "no condition says who is meant, on a key that the issuer assigns",
            f"add StringEquals, or StringLike with a beginning of its own, on {cure}; "
            "or say unconditional: true",
        )


def _names_somebody(
    condition: Condition, least: Least | None, audiences: Collection[str] = frozenset()
) -> bool:
    """Tell whether a condition is one on who: positive, and every value of it fixes enough."""
    if (
        least is None
        or condition.base not in ("StringEquals", "StringLike", "ArnEquals", "ArnLike")
        or condition.if_exists
        or condition.quantifier == "ForAllValues"
        or (condition.key == "token:aud" and _takes_all(condition, audiences))
    ):
        return False
    return all(value.is_literal and _fixes(condition, value.source, least) for value in condition.values)


def _fixes(condition: Condition, value: str, least: Least) -> bool:
    beginning = literal_prefix(value)
    if condition.base == "StringEquals" or beginning == value:
        return re.fullmatch(least.value, value, re.DOTALL) is not None
    if least.beginning is None or re.fullmatch(least.beginning, beginning, re.DOTALL) is None:
        return False
    if beginning.startswith("arn:") and beginning.count(":") < _ARN_COLONS:
        return False
    return not least.own or is_own(beginning)


# --- terms ----------------------------------------------------------------------------------------


def _terms(declared: Declared, anchor: Anchor, issuance: Issuance, problems: Problems) -> Declared:
    tags = _tags(declared, anchor, problems)
    _check_policies(declared, anchor, problems)
    _check_tags_of_policy(declared, tags, problems)
    session_name = declared.get("session_name")
    if isinstance(anchor, OidcAnchor):
        session_name = session_name or f"{anchor.name}-${{{subject_keys(anchor.dialect)[0]}}}"
        for term in _FOR_CERTIFICATES:
            if term in declared:
                problems.add((term,), "a token has no certificate", f"leave {term} out; use session_tags")
    for field, source in (
        ("session_name", session_name),
        ("source_identity", declared.get("source_identity")),
    ):
        if source is not None:
            with problems.at(field):
                _check_name_template(source, anchor)
    duration = 0
    with problems.at("duration"):
        duration = _duration(declared.get("duration", "1h"), issuance)
    priority = declared.get("priority")
    grants = declared.get("grants_per_minute")
    return {
        "priority": None if priority is None else int(priority),
        "session_tags": tags,
        "transitive_tags": list(declared.get("transitive_tags", ())),
        "source_identity": declared.get("source_identity"),
        "session_name": session_name,
        "session_policy": declared.get("session_policy"),
        "managed_policies": list(declared.get("managed_policies", ())),
        "duration": duration,
        "issuance": issuance.value,
        "accept_caller_policy": declared.get("accept_caller_policy", False),
        "accept_session_name": declared.get("accept_session_name", False),
        "advisory": declared.get("advisory", False),
        "grants_per_minute": None if grants is None else int(grants),
        # Stored where it says something: no function reads it, and items written before have none.
        **({ACROSS_TENANTS: True} if declared.get(ACROSS_TENANTS, False) else {}),
    }


def _tags(declared: Declared, anchor: Anchor, problems: Problems) -> list[Declared]:
    """Return the tags as a list, because their order means something and JSON's readers may lose it."""
    tags: list[Declared] = []
    seen: dict[str, str] = {}
    for key, value in declared.get("session_tags", {}).items():
        rule = {"value": value} if isinstance(value, str) else value
        folded = fold_tag_key(key)
        with problems.at("session_tags", key):
            tag = compile_tag(key, rule["value"])
            _check_reachable(tag.value.keys, anchor)
        if folded in seen:
            problems.add(
                ("session_tags", key), f"STS takes {key!r} and {seen[folded]!r} for the same", "keep one"
            )
        seen[folded] = key
        tags.append({"key": key, "value": rule["value"], "optional": rule.get("optional", False)})
    optional = {fold_tag_key(tag["key"]) for tag in tags if tag["optional"]}
    for index, key in enumerate(declared.get("transitive_tags", ())):
        path = ("transitive_tags", index)
        if fold_tag_key(key) not in seen:
            problems.add(path, f"there is no session tag {key!r}", "add it to session_tags")
        if fold_tag_key(key) in optional:
            problems.add(
                path,
                f"{key!r} is optional, and what later roles rely on may not be missing",
                "make it required",
            )
    return tags


def _check_policies(declared: Declared, anchor: Anchor, problems: Problems) -> None:
    policy = declared.get("session_policy")
    length = 0
    if policy is not None:
        with problems.at("session_policy"):
            compiled = compile_policy(policy)
            _check_reachable(compiled.text.keys, anchor)
            length = compiled.least_length
    accounts = {role.split(":")[4] for role in declared["roles"] if role.count(":") >= _ARN_COLONS}
    for index, arn in enumerate(declared.get("managed_policies", ())):
        with problems.at("managed_policies", index):
            template = compile_arn(arn)
            _check_reachable(template.keys, anchor)
            length += len(arn) if template.is_literal else sum(map(len, template.literals))
            account = arn.split(":")[4]
            if account != "aws" and accounts - {account}:
                raise refuse(
                    "STS takes managed policies of the role's own account only",
                    "use a profile for each account, or one of AWS's own policies",
                )
    if length > MAX_POLICY_LENGTH:
        problems.add(
            ("session_policy",) if policy is not None else ("managed_policies",),
            f"the policies are at least {length} characters long and STS takes {MAX_POLICY_LENGTH}",
            "shorten them, or attach their parts to the role",
        )
    has_own = policy is not None or declared.get("managed_policies")
    if has_own and declared.get("accept_caller_policy", False):
        problems.add(
            ("accept_caller_policy",),
            "STS unites session policies, so a caller's could only widen this profile's",
            "leave it out, or use a second profile without policies",
        )


def _check_tags_of_policy(declared: Declared, tags: Sequence[Declared], problems: Problems) -> None:
    named = tags_named_by(declared.get("session_policy"))
    for tag in tags:
        if tag["optional"] and fold_tag_key(tag["key"]) in named:
            problems.add(
                ("session_tags", tag["key"]),
                "the session policy looks at this tag, so it may not be missing",
                "make it required",
            )


def _check_name_template(source: str, anchor: Anchor) -> None:
    keys = compile_name(source, anchor=anchor.name).template.keys
    _check_reachable(keys, anchor)
    if isinstance(anchor, X509Anchor):
        check_holder_in_name(keys)
        return
    subject = subject_keys(anchor.dialect)
    if not set(keys) & set(subject):
        raise refuse(
            "two subjects could have the same name",
            f"add ${{{subject[0]}}}, which tells this anchor's subjects apart",
        )


def _duration(text: str, issuance: Issuance) -> int:
    duration = seconds(text)
    if duration < MIN_DURATION:
        raise refuse(f"{text} is shorter than STS allows", "choose at least 15m")
    if issuance is Issuance.ASSUME_ROLE and duration > MAX_CHAINED_DURATION:
        raise refuse(
            f"{text} is more than AWS allows for a role that another role assumes",
            "choose at most 1h, or issuance: web-identity, which allows up to 12h",
        )
    if duration > MAX_DURATION:
        raise refuse(f"{text} is longer than STS allows", "choose at most 12h")
    return duration


def _check_asks_itself(issuance: Issuance, problems: Problems) -> None:
    if issuance is Issuance.WEB_IDENTITY:
        problems.add(
            ("issuance",),
            "with web-identity STS is asked with the caller's token, and a certificate's holder has none",
            "use issuance: assume-role",
        )


def _check_web_identity(
    declared: Declared, conditions: Sequence[Condition], anchor: OidcAnchor, problems: Problems
) -> None:
    # STS takes azp for the audience wherever there is one, whatever aud says.
    if has_azp(anchor.issuer, check_issuer(anchor.issuer)) and not any(
        c.key == "token:azp" and not c.negated and c.null is None for c in conditions
    ):
        problems.add(
            ("condition",) if conditions else (),
            "STS takes this issuer's azp for the audience, and this profile does not look at it",
            "add StringEquals on token:azp",
        )
    if declared.get("advisory", False):
        return
    cure = "use issuance: assume-role, or admit with advisory: true that it does not bind"
    evaded = "with web-identity the caller can ask STS directly and evade this"
    for term in _NOT_BINDING:
        if declared.get(term):
            problems.add((term,), evaded, cure)
    if anchor.replay is Replay.ONCE:
        problems.add(("issuance",), f"the anchor says replay: once; {evaded}", cure)
    for condition in conditions:
        if condition.key not in _BINDING_KEYS:
            problems.add(("condition", condition.operator, condition.key), evaded, cure)
