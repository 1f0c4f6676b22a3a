"""What becomes a tag: the nouns of the compiled mapping that the trigger carries with it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sallyport.trust.limits import MAX_TAG_VALUE_LENGTH
from sallyport.trust.mapping import is_tag_text
from sallyport.trust.wildcards import Pattern

SUB: Final = "sub"
"""The one attribute that neither user, app client nor identity provider can write: Cognito makes it."""

# What the substitution in session policies takes too: no wildcard, no separator of paths or ARNs.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.@=+-]+")
_CLIMBING: Final = frozenset({".", ".."})


def is_isolating(value: str) -> bool:
    """Tell whether a tag with this value can keep tenants apart.

    It ends up in S3 prefixes, DynamoDB keys and session policies, where a ``/`` would make one tenant
    part of another, and an empty value would make a tenant of everybody.
    """
    return (
        len(value) <= MAX_TAG_VALUE_LENGTH and _PLAIN.fullmatch(value) is not None and value not in _CLIMBING
    )


class Use(StrEnum):
    """Who gets tokens through an app client: people who sign in, or one program with the client's secret."""

    USERS = "users"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Attribute:
    """The value of a user attribute, named as Cognito names it: ``custom:tenant_id``, ``sub``."""

    name: str


@dataclass(frozen=True, slots=True)
class Groups:
    """The value that stands beside the one group of these that the user is in."""

    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GroupPrefix:
    """What follows ``prefix`` in the name of the one group of the user's that begins with it."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Constant:
    """Always this value."""

    value: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the caller said in ``ClientMetadata``: anything at all, so it isolates nothing."""

    key: str


@dataclass(frozen=True, slots=True)
class FromProvider:
    """The identity provider's constant and nothing else: users of the pool's own have no value."""


Source = Attribute | Groups | GroupPrefix | Constant | Metadata | FromProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTag:
    """One tag of one app client.

    ``isolates`` says that access to a tenant's data hangs on it. ``optional`` says that a token may be
    made without it; never together with ``isolates``. ``allowed`` holds patterns one of which the value
    must fit as a whole; none means any legal value.
    """

    key: str
    source: Source
    isolates: bool = True
    optional: bool = False
    transitive: bool = False
    allowed: tuple[Pattern, ...] = ()

    def takes(self, value: str) -> bool:
        """Tell whether STS takes the value, and isolation allows it."""
        if self.isolates:
            return is_isolating(value)
        return 1 <= len(value) <= MAX_TAG_VALUE_LENGTH and is_tag_text(value)

    def allows(self, value: str) -> bool:
        """Tell whether the value is one of those declared."""
        return not self.allowed or any(one.matches(value) for one in self.allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRules:
    """What the tokens of one app client say to AWS.

    ``source_identity`` is what stands before the user's ``sub``, or before the client's id in a machine's
    token; ``None`` means no such claim. ``roles`` are the only ones that STS gives for these tokens.
    """

    use: Use
    tags: tuple[DeclaredTag, ...]
    source_identity: str | None = None
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRules:
    """What is declared for one user pool.

    ``providers`` maps the name of an identity provider to its constants, by tag key. ``default`` stands
    for app clients of users that are not listed; without it they get no tokens.
    """

    id: str
    clients: Mapping[str, ClientRules]
    default: ClientRules | None = None
    providers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def rules(self) -> Iterator[ClientRules]:
        """Yield all rules of the pool."""
        yield from self.clients.values()
        if self.default is not None:
            yield self.default

    def client(self, client_id: str) -> ClientRules | None:
        """Return what is declared for one app client."""
        return self.clients.get(client_id, self.default)

    @property
    def isolating(self) -> frozenset[str]:
        """The keys of all tags that isolate."""
        return frozenset(tag.key for rules in self.rules() for tag in rules.tags if tag.isolates)


@dataclass(frozen=True, slots=True)
class TagMapping:
    """Everything that the trigger knows: what is declared for each user pool, by its id."""

    pools: Mapping[str, PoolRules]
