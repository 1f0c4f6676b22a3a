"""Anchors and profiles as an exchange uses them: read from the trust table, compiled once, immutable.

The documents were made by ``compile``, which has checked everything; what is read here is compiled
with the same functions, so the two cannot disagree. A document that this version does not understand
in full is refused: half understood, it could allow what it was meant to deny.
"""

from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sallyport.errors import TrustFileError, UnavailableError
from sallyport.model import Anchor, Dialect, Effect, Issuance, OidcAnchor, Replay, StaleCrls, X509Anchor
from sallyport.trust.conditions import Condition, compile_condition
from sallyport.trust.mapping import (
    PolicyTemplate,
    TagRule,
    compile_arn,
    compile_policy,
    compile_tag,
    fold_tag_key,
    tags_named_by,
)
from sallyport.trust.names import NameTemplate, compile_name
from sallyport.trust.templates import Template
from sallyport.trust.x509_terms import MappingRule, Unfit, compile_mapping

# Raised with every change that an older version would misread.
FORMAT: Final = 1

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateTerms:
    """What a profile makes of a certificate by itself: names and tags in IAM Roles Anywhere's form.

    ``bare_names`` says that names go without the anchor's in front where they are unambiguous.
    """

    bare_names: bool
    mapping: tuple[MappingRule, ...]
    unfit: Unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Which roles may be had through one anchor, by whom, and on what terms.

    ``droppable`` names the optional tags that may be left out when STS says the token is too large.
    ``certificate`` is set where the anchor is of kind ``x509``; then names may do without a template.
    """

    name: str
    id: str
    arn: str
    anchor_name: str
    anchor_id: str
    roles: frozenset[str]
    effect: Effect = Effect.ALLOW
    priority: int = 0
    conditions: tuple[Condition, ...] = ()
    tags: tuple[TagRule, ...] = ()
    source_identity: NameTemplate | None = None
    session_name: NameTemplate | None = None
    policy: PolicyTemplate | None = None
    certificate: CertificateTerms | None = None
    policy_arns: tuple[Template, ...] = ()
    duration: int = 3_600
    issuance: Issuance = Issuance.ASSUME_ROLE
    accept_caller_policy: bool = False
    accept_session_name: bool = False
    advisory: bool = False
    grants_per_minute: int | None = None
    droppable: tuple[str, ...] = ()
    external_id: str = ""
    looks_at_azp: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class RoleProfiles:
    """The profiles of one role, as one trust anchor sees them: its own, and the names of the others."""

    own: tuple[Profile, ...] = ()
    others: tuple[str, ...] = ()


def load_anchor(document: Document) -> Anchor:
    """Make an anchor of what the trust table holds.

    Raises:
        UnavailableError: the document is not one that this version wrote or understands.
    """
    try:
        _check_format(document)
        return _ANCHORS[document["kind"]](document)
    except (TrustFileError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _malformed(error) from error


def _oidc_anchor(document: Document) -> OidcAnchor:
    return OidcAnchor(
        name=document["name"],
        id=document["id"],
        arn=document["arn"],
        issuer=document["issuer"],
        dialect=Dialect(document["dialect"]),
        audiences=frozenset(document["audiences"]),
        algorithms=tuple(document["algorithms"]),
        replay=Replay(document["replay"]),
        tenant=document["tenant"],
        allow_arm_audience=document["allow_arm_audience"],
        keys_max_age=document["keys_max_age"],
        jwks_hosts=tuple(document["jwks_hosts"]),
        local_discovery=document["local_discovery"],
    )


def _x509_anchor(document: Document) -> X509Anchor:
    return X509Anchor(
        name=document["name"],
        id=document["id"],
        arn=document["arn"],
        certificates=_certificates(document["certificates"]),
        intermediates=_certificates(document["intermediates"]),
        crls=tuple(document["crls"]),
        crl_urls=tuple(document["crl_urls"]),
        stale_crls=StaleCrls(document["stale_crls"]),
        any_extended_key_usage=document["any_extended_key_usage"],
        replay=Replay(document["replay"]),
    )


def _certificates(texts: Iterable[str]) -> tuple[bytes, ...]:
    return tuple([b64decode(text, validate=True) for text in texts])


_ANCHORS: Final[Mapping[str, Callable[[Document], Anchor]]] = {"oidc": _oidc_anchor, "x509": _x509_anchor}


def load_profile(document: Document) -> Profile:
    """Make a profile of what the trust table holds.

    Raises:
        UnavailableError: the document is not one that this version wrote or understands.
    """
    try:
        _check_format(document)
        return _profile(document)
    except (TrustFileError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _malformed(error) from error


def load_role(document: Document, anchor_id: str) -> RoleProfiles:
    """Make of a role's item the profiles that one anchor's identities can have.

    The others are not even loaded: how long a denial takes must not tell a stranger how much of
    somebody else's there is under a role's name.

    Raises:
        UnavailableError: the document is not one that this version wrote or understands.
    """
    try:
        profiles: list[Document] = [*document["profiles"]]
        own = [one for one in profiles if one["anchor_id"] == anchor_id]
        others = tuple(str(one["name"]) for one in profiles if one["anchor_id"] != anchor_id)
    except (KeyError, TypeError) as error:
        raise _malformed(error) from error
    return RoleProfiles(tuple([load_profile(one) for one in own]), others)


def compile_conditions(blocks: Mapping[str, Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Compile a ``condition`` block: every operator on every key must be met.

    Raises:
        TrustFileError: one of them is not a condition.
    """
    return tuple(
        compile_condition(operator, key, expected)
        for operator, block in blocks.items()
        for key, expected in block.items()
    )


def exact_values(document: Document) -> dict[str, frozenset[str]]:
    """Return the values that keys must have exactly, as far as they are the same for everybody."""
    exact = {name: block for name, block in document["condition"].items() if name == "StringEquals"}
    return {
        condition.key: frozenset(value.source for value in condition.values)
        for condition in compile_conditions(exact)
        if condition.is_static
    }


def compile_tags(rules: Sequence[Document], transitive: Sequence[str]) -> tuple[TagRule, ...]:
    """Compile the session tags of a profile, in declared order.

    Raises:
        TrustFileError: STS would not take one of them.
    """
    passed_on = frozenset(map(fold_tag_key, transitive))
    return tuple(
        compile_tag(
            rule["key"],
            rule["value"],
            optional=rule["optional"],
            transitive=fold_tag_key(rule["key"]) in passed_on,
        )
        for rule in rules
    )


def _profile(document: Document) -> Profile:
    anchor = document["trust_anchor"]
    effect = Effect(document["effect"])
    identity = {
        "name": document["name"],
        "id": document["id"],
        "arn": document["arn"],
        "anchor_name": anchor,
        "anchor_id": document["anchor_id"],
        "roles": frozenset(document["roles"]),
        "effect": effect,
        "conditions": compile_conditions(document["condition"]),
    }
    if effect is Effect.DENY:
        return Profile(**identity)
    tags = compile_tags(document["session_tags"], document["transitive_tags"])
    policy = document["session_policy"]
    source_identity, session_name = document["source_identity"], document["session_name"]
    certificate = _certificate_terms(document)
    if session_name is None and certificate is None:
        # Only a certificate has a name for its sessions by itself.
        raise ValueError("session_name")
    return Profile(
        **identity,
        priority=document["priority"] or 0,
        tags=tags,
        source_identity=source_identity and compile_name(source_identity, anchor=anchor),
        session_name=session_name and compile_name(session_name, anchor=anchor),
        certificate=certificate,
        policy=policy and compile_policy(policy),
        policy_arns=tuple(map(compile_arn, document["managed_policies"])),
        duration=document["duration"],
        issuance=Issuance(document["issuance"]),
        accept_caller_policy=document["accept_caller_policy"],
        accept_session_name=document["accept_session_name"],
        advisory=document["advisory"],
        grants_per_minute=document["grants_per_minute"],
        droppable=_droppable(tags, document),
        external_id=f"sallyport:{document['anchor_id']}:{document['id']}",
        looks_at_azp=any(
            condition.key == "token:azp" and not condition.negated and condition.null is None
            for condition in identity["conditions"]
        ),
    )


def _certificate_terms(document: Document) -> CertificateTerms | None:
    terms = document.get("certificate")
    if terms is None:
        return None
    return CertificateTerms(
        bare_names=terms["bare_names"],
        mapping=tuple([compile_mapping(field, specifier) for field, specifier in terms["mapping"]]),
        unfit=Unfit(terms["unfit"]),
    )


def _droppable(tags: tuple[TagRule, ...], document: Document) -> tuple[str, ...]:
    """Return the tags that nothing can depend on: a policy that misses one may deny less than it should.

    What managed policies look at cannot be seen from here, so beside them nothing is dropped.
    """
    if document["managed_policies"]:
        return ()
    named = tags_named_by(document["session_policy"])
    return tuple(
        tag.key for tag in tags if tag.optional and not tag.transitive and fold_tag_key(tag.key) not in named
    )


def _check_format(document: Document) -> None:
    if document["format"] != FORMAT:
        raise ValueError("format")


def _malformed(error: Exception) -> UnavailableError:
    return UnavailableError(
        "trust-malformed",
        f"an item of the trust table cannot be read ({type(error).__name__})",
        cure="apply the trust file again with the version that is deployed",
    )
