"""Who may assume a role, and whom its trust policy lets in besides: an evaluator of our own.

Pure. ``docs/posture.md`` has the table of codes. What is read is what IAM or CloudTrail gave, and somebody
else wrote it: nothing in it makes ``examine`` raise.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sallyport.audit.weakness import Weakness


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedRole:
    """What the trust file says of one role.

    Attributes:
        external_ids: what its statements may demand as ExternalId, one for each profile that has the role
            by issuance ``assume-role``.
        principals: ARNs of the exchange functions' roles that may come, empty where nobody has said.
        issuers: issuers, as their tokens write them, whose tokens may come by issuance ``web-identity``.
        duration: seconds, the longest that a profile asks for by ``web-identity``; with ``assume-role``
            one hour is the most, which every role allows.
        needs_tags: whether a profile sets session tags.
        needs_source_identity: whether a profile sets a source identity.
    """

    external_ids: frozenset[str] = frozenset()
    principals: frozenset[str] = frozenset()
    issuers: frozenset[str] = frozenset()
    duration: int = 3_600
    needs_tags: bool = False
    needs_source_identity: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known beside the policy itself. Everything may be unknown; then more cannot be told.

    Attributes:
        org_accounts: the accounts of the own organisation; ``None`` if nobody has said.
        organization: the own organisation's id, ``o-…``; empty if nobody has said.
        managed: roles that the trust file names, by ARN (``managed_roles`` makes it).
    """

    org_accounts: Collection[str] | None = None
    organization: str = ""
    managed: Mapping[str, ManagedRole] = field(default_factory=dict)


NOTHING_KNOWN = Surroundings()


def examine(
    document: object, *, account: str, role: str = "", surroundings: Surroundings = NOTHING_KNOWN
) -> tuple[Weakness, ...]:
    """Return what is weak about a role's trust policy, the worst first; never raises.

    An empty answer says that nothing was found, in a document that was understood in full.

    Args:
        document: the policy as IAM returns it (an object, or its text, percent-encoded or not), or as
            CloudTrail has it in ``assumeRolePolicyDocument`` and ``policyDocument``.
        account: the role's account, 12 digits.
        role: the role's ARN, as far as it is known; looked up in ``surroundings.managed``.
        surroundings: what else is known.
    """
    raise NotImplementedError
