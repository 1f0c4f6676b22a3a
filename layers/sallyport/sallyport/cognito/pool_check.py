"""Whether a user pool lets its users choose what isolates them: read from the pool, not from a promise.

What the trigger reads is worth what the pool protects. A user holds a token with which every app client
lets him write the attributes in its ``WriteAttributes``, a stranger who signs up sends attributes along,
and an identity provider writes those that are mapped. Sources: the API reference of UserPoolClientType,
SchemaAttributeType, AdminCreateUserConfigType, LambdaConfigType and IdentityProviderType
(https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sallyport.cognito.mapping import SUB, Attribute, Constant, PoolRules, TagMapping, Use

Described = Mapping[str, Any]
"""Part of an answer of the Cognito API, as boto3 returns it."""

_V1: Final = "V1_0"
_V3: Final = "V3_0"

# Identity providers that a customer can have of his own. At all others (Google, Facebook, Apple, Amazon)
# everybody in the world has an account, and Cognito makes a profile for whoever comes.
_OF_CUSTOMERS: Final = frozenset({"SAML", "OIDC"})


class Severity(StrEnum):
    """Whether isolation can be broken, or somebody cannot sign in or could be surprised."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolProblem:
    """One thing that is wrong with a pool.

    ``code`` is stable and kebab-case; ``subject`` is the tag, attribute, app client or provider that it is
    about; ``text`` is a sentence and ``cure`` what would mend it.
    """

    code: str
    severity: Severity
    subject: str
    text: str
    cure: str


def check_pool(
    mapping: TagMapping,
    *,
    pool: Described,
    clients: Iterable[Described],
    providers: Iterable[Described],
    trigger_arn: str | None = None,
) -> tuple[PoolProblem, ...]:
    """Return what is wrong with a pool, errors first.

    What is missing from an answer counts as the worst that it could have been.

    Args:
        mapping: what is declared.
        pool: ``UserPool`` of DescribeUserPool.
        clients: ``UserPoolClient`` of DescribeUserPoolClient, for every app client of the pool: also for
            those that are not declared, because a user may sign in through any.
        providers: ``IdentityProvider`` of DescribeIdentityProvider, for every one.
        trigger_arn: the function that must be attached, as the pool names it; ``None`` accepts any.
    """
    declared = mapping.pools.get(str(pool.get("Id")))
    if declared is None:
        return (
            _error(
                "pool-undeclared",
                str(pool.get("Id")),
                "the trust file declares nothing for this pool, so the trigger refuses its tokens",
                "declare the pool, or detach the trigger from it",
            ),
        )
    described = tuple(clients)
    idps = tuple(providers)
    found = [
        *_trigger(declared, pool, trigger_arn),
        *_attributes(declared, pool, described, idps),
        *_clients(declared, described),
        *_providers(declared, idps),
        *_strangers(declared, pool, idps),
    ]
    return tuple(sorted(found, key=lambda problem: problem.severity is Severity.WARNING))


def _trigger(declared: PoolRules, pool: Described, trigger_arn: str | None) -> Iterator[PoolProblem]:
    config = pool.get("LambdaConfig") or {}
    versioned = config.get("PreTokenGenerationConfig") or {}
    arn = versioned.get("LambdaArn") or config.get("PreTokenGeneration")
    version = versioned.get("LambdaVersion") or _V1
    attach = "set LambdaConfig.PreTokenGenerationConfig to the trigger's ARN and version"
    if not arn:
        yield _error("trigger-missing", declared.id, "no pre token generation trigger is attached", attach)
        return
    if trigger_arn is not None and arn != trigger_arn:
        yield _error("trigger-other", declared.id, "another function is attached as the trigger", attach)
    if any(tag.transitive for rules in declared.rules() for tag in rules.tags) and version == _V1:
        yield _error(
            "trigger-version",
            declared.id,
            "tags are to be transitive, which version V1_0 cannot say; the trigger refuses its tokens",
            "attach the trigger with V2_0 or V3_0",
        )
    if any(rules.use is Use.MACHINE for rules in declared.rules()) and version != _V3:
        yield _error(
            "trigger-version",
            declared.id,
            f"machines are declared, and version {version} is not asked for their tokens",
            "attach the trigger with V3_0",
        )


def _attributes(
    declared: PoolRules, pool: Described, clients: tuple[Described, ...], idps: tuple[Described, ...]
) -> Iterator[PoolProblem]:
    feeding: dict[str, str] = {}
    named: dict[str, str] = {}
    for rules in declared.rules():
        for tag in rules.tags:
            if isinstance(tag.source, Attribute) and tag.source.name != SUB:
                named[tag.source.name] = tag.key
                if tag.isolates:
                    feeding[tag.source.name] = tag.key
    schema = {str(one.get("Name")): one for one in pool.get("SchemaAttributes") or ()}
    for name, key in named.items():
        if name not in schema:
            yield _problem(
                "attribute-unknown",
                Severity.ERROR if name in feeding else Severity.WARNING,
                name,
                f"the pool has no attribute {name}, of which the tag {key!r} is made",
                "add it to the pool's schema, or correct its name; custom attributes begin with custom:",
            )
    admin_only = (pool.get("AdminCreateUserConfig") or {}).get("AllowAdminCreateUserOnly") is True
    for name, key in feeding.items():
        writers = [str(client.get("ClientId")) for client in clients if _may_write(client, name)]
        yield from _written(name, key, writers, schema.get(name), admin_only=admin_only)
        for idp in idps:
            if name in (idp.get("AttributeMapping") or {}):
                provider = str(idp.get("ProviderName"))
                yield _error(
                    "attribute-mapped",
                    f"{provider}: {name}",
                    f"the identity provider {provider} writes {name}, of which the tag {key!r} is made",
                    f"remove {name} from the provider's attribute mapping; "
                    "its tenant is a constant under providers",
                )


def _may_write(client: Described, name: str) -> bool:
    """Tell whether users may write an attribute through an app client.

    Without a list a client has Cognito's default. AWS describes that as the standard attributes, pools
    have been seen to let custom ones be written, and a list without members is no list.
    """
    listed = client.get("WriteAttributes")
    return not listed or name in listed


def _written(
    name: str, key: str, writers: list[str], attribute: Described | None, *, admin_only: bool
) -> Iterator[PoolProblem]:
    if not writers:
        return
    through = f"through the app client {writers[0]}" + (
        f" and {len(writers) - 1} more" if len(writers) > 1 else ""
    )
    cure = f"give every app client WriteAttributes without {name}"
    is_mutable = attribute is None or attribute.get("Mutable") is not False
    if is_mutable:
        yield _error(
            "attribute-writable",
            name,
            f"users can write {name}, of which the tag {key!r} is made, {through}",
            cure,
        )
    if not admin_only:
        yield _error(
            "attribute-at-sign-up",
            name,
            f"whoever signs up can choose {name}, of which the tag {key!r} is made, {through}",
            f"{cure}, or allow administrators alone to create users",
        )
    if not is_mutable and admin_only:
        yield _warning(
            "attribute-writable-once",
            name,
            f"a user who was created without {name} may be able to set it {through}",
            f"{cure}, or never create a user without it",
        )


def _clients(declared: PoolRules, clients: tuple[Described, ...]) -> Iterator[PoolProblem]:
    known = {str(client.get("ClientId")): client for client in clients}
    for client_id in declared.clients:
        if client_id not in known:
            yield _warning(
                "client-unknown", client_id, "the pool has no such app client", "correct the id, or remove it"
            )
    for client_id, client in known.items():
        rules = declared.client(client_id)
        if rules is None:
            yield _warning(
                "client-undeclared",
                client_id,
                "nothing is declared for this app client, so the trigger refuses its tokens",
                "declare it, with tags: {} if its tokens are not for AWS",
            )
        elif (rules.use is Use.MACHINE) is not _is_machines(client):
            yield _warning(
                "client-use",
                client_id,
                f"the app client is declared for use {rules.use.value}, and set up for the other",
                "correct use, or the client's flows",
            )


def _is_machines(client: Described) -> bool:
    return "client_credentials" in (client.get("AllowedOAuthFlows") or ()) or "ALLOW_CLIENT_TOKEN_AUTH" in (
        client.get("ExplicitAuthFlows") or ()
    )


def _providers(declared: PoolRules, idps: tuple[Described, ...]) -> Iterator[PoolProblem]:
    names = {str(idp.get("ProviderName")) for idp in idps}
    for name in declared.providers.keys() - names:
        yield _warning(
            "provider-unknown",
            name,
            "the pool has no such identity provider",
            "correct the name; case matters",
        )
    needed = {
        tag.key
        for rules in declared.rules()
        for tag in rules.tags
        if rules.use is Use.USERS
        and tag.isolates
        and not isinstance(tag.source, Constant)
        and tag.source != Attribute(SUB)
    }
    for name in sorted(names):
        for key in sorted(needed - declared.providers.get(name, {}).keys()):
            yield _warning(
                "provider-undeclared",
                name,
                f"the provider has no constant for the tag {key!r}, so the trigger refuses its users' tokens",
                "add it under providers",
            )


def _strangers(declared: PoolRules, pool: Described, idps: tuple[Described, ...]) -> Iterator[PoolProblem]:
    """Yield where somebody whom nobody has invited would have a tenant at once."""
    isolating = declared.isolating
    for idp in idps:
        name = str(idp.get("ProviderName"))
        keys = sorted(isolating & declared.providers.get(name, {}).keys())
        if keys and idp.get("ProviderType") not in _OF_CUSTOMERS:
            yield _error(
                "provider-public",
                name,
                f"everybody in the world can have an account at {name}, and so would get the tag {keys[0]!r}",
                "remove its constants, and have the customer's own provider (SAML or OIDC) instead",
            )
    constants = sorted(
        {
            tag.key
            for rules in declared.rules()
            for tag in rules.tags
            if rules.use is Use.USERS and tag.isolates and isinstance(tag.source, Constant)
        }
    )
    if constants and (pool.get("AdminCreateUserConfig") or {}).get("AllowAdminCreateUserOnly") is not True:
        yield _warning(
            "constant-at-sign-up",
            constants[0],
            f"whoever signs up is given the tag {constants[0]!r}, because it is the same for all users",
            "allow administrators alone to create users, unless a trigger at sign-up turns strangers away",
        )


def _problem(code: str, severity: Severity, subject: str, text: str, cure: str) -> PoolProblem:
    return PoolProblem(code=code, severity=severity, subject=subject, text=text, cure=cure)


def _error(code: str, subject: str, text: str, cure: str) -> PoolProblem:
    return _problem(code, Severity.ERROR, subject, text, cure)


def _warning(code: str, subject: str, text: str, cure: str) -> PoolProblem:
    return _problem(code, Severity.WARNING, subject, text, cure)
