"""The two looks of the posture's function: at an account, once a day, and at whether the audit still hears.

Pure but for its ports. A part that may not be read is said to be so, and nothing that was found in it earlier
counts as gone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from sallyport.audit.posture import access_keys, chain, coverage
from sallyport.audit.posture.chain import Way, silence
from sallyport.audit.posture.coverage import Sight, Trail, blind_spots
from sallyport.audit.posture.scan import Inventory, not_looked_at, scan
from sallyport.audit.trust_policy.document import account_of
from sallyport.audit.trust_policy.examine import Surroundings
from sallyport.audit.trust_policy.managed import FunctionRoles, ManagedRole, managed_roles
from sallyport.audit.weakness import Observation
from sallyport.cognito.pool_check import PoolProblem
from sallyport.errors import UnreadableError
from sallyport.trust.user_pools import POOL, tag_mapping

_T = TypeVar("_T")

KINDS: Final = ("anchor#", POOL, "role#")
"""What the keys of the trust's items begin with that are read: anchors first, which roles refer to."""


class Look(NamedTuple):
    """What a look saw: weaknesses, which parts were seen as a whole, and how much of what."""

    observations: Sequence[Observation]
    parts: frozenset[str]
    looked_at: Mapping[str, int]


class Organization(Protocol):
    """What an account knows of its organisation."""

    @property
    def id(self) -> str:
        """Return its id; empty if that is not known."""

    @property
    def accounts(self) -> frozenset[str] | None:
        """Return its accounts, or ``None``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the trust in force says of roles and user pools.

    ``managed`` are the roles that it names; those of other accounts without what is said of them.
    ``mapping`` is the compiled tag mapping, and ``pools`` are their names by id.
    """

    managed: Mapping[str, ManagedRole] = field(default_factory=dict)
    mapping: str | None = None
    pools: Mapping[str, str] = field(default_factory=dict)


def read_trust(
    items: Iterable[tuple[str, Mapping[str, Any]]], account: str, functions: FunctionRoles
) -> Trust:
    """Return what the trust in force says, of items by key in the order of ``KINDS``.

    Of an estate with a million roles in other accounts only their names are held.
    """
    anchors: dict[str, Mapping[str, Any]] = {}
    pools: dict[str, Mapping[str, Any]] = {}
    managed: dict[str, ManagedRole] = {}
    for key, item in items:
        if key.startswith("anchor#"):
            anchors[key] = item
        elif key.startswith(POOL):
            pools[key] = item
        elif account_of(str(item["role"])) == account:
            managed |= managed_roles({**anchors, key: item}, functions)
        else:
            managed[str(item["role"])] = ManagedRole()
    return Trust(
        managed=managed,
        mapping=tag_mapping(pools),
        pools={str(one["id"]): str(one["name"]) for one in pools.values()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPorts:
    """What a look at the account works with.

    Those that read raise ``UnreadableError`` for what may not be read, and ``UnavailableError`` where AWS
    cannot be asked: then the look has to be taken again. ``seen`` returns the Regions from which events of
    an account came, ``began`` since when the deployment watches.
    """

    account: str
    region: str
    partition: str
    accounts: frozenset[str]
    is_open: bool
    trust: Callable[[], Trust]
    roles: Callable[[], Sequence[Mapping[str, Any]]]
    keys: Callable[[], Sequence[access_keys.Key]]
    organization: Callable[[], Organization]
    pools: Callable[[str, Mapping[str, str]], Iterable[tuple[str, PoolProblem]]]
    trails: Callable[[], Sequence[Trail]]
    seen: Callable[[str], frozenset[str]]
    began: Callable[[datetime], datetime]


class AccountLook:
    """Looks at roles, keys, user pools and what the audit can see."""

    def __init__(self, ports: AccountPorts) -> None:
        self._ports = ports

    def __call__(self, now: datetime) -> Look:
        """Look at the account.

        Raises:
            UnavailableError: AWS cannot be asked for something.
        """
        ports = self._ports
        reasons: dict[str, str] = {}
        trust = ports.trust()
        known = ports.organization()
        accounts = (known.accounts or frozenset()) | ports.accounts
        inventory = Inventory(
            account=ports.account,
            roles=_unless_refused(ports.roles, reasons, "roles"),
            keys=_unless_refused(ports.keys, reasons, "keys"),
            pools=_unless_refused(lambda: self._pools(trust), reasons, "pools"),
            reasons=reasons,
        )
        surroundings = Surroundings(
            org_accounts=accounts | {ports.account} if accounts else None,
            organization=known.id,
            managed=trust.managed,
        )
        found = scan(inventory, now=now, surroundings=surroundings)
        return Look(
            (*found.observations, *self._coverage(now)), found.parts | {coverage.PART}, found.looked_at
        )

    def _pools(self, trust: Trust) -> dict[str, list[PoolProblem]]:
        found: dict[str, list[PoolProblem]] = {name: [] for name in trust.pools.values()}
        if trust.mapping is not None:
            for name, problem in self._ports.pools(trust.mapping, trust.pools):
                found[name].append(problem)
        return found

    def _coverage(self, now: datetime) -> Iterator[Observation]:
        ports = self._ports
        reasons: dict[str, str] = {}
        trails = _unless_refused(ports.trails, reasons, "trails")
        if trails is None:
            yield not_looked_at(ports.account, "trails", reasons["trails"])
        accounts = ports.accounts | {ports.account}
        seen = {one: regions for one in sorted(accounts) if (regions := ports.seen(one))}
        yield from blind_spots(
            Sight(
                account=ports.account,
                region=ports.region,
                partition=ports.partition,
                is_open=ports.is_open,
                since=ports.began(now),
                trails=trails,
                accounts=ports.accounts,
                seen=seen,
            ),
            now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPorts:
    """What a look at the chain works with.

    ``ways`` are those that something is sent by. ``heard`` returns when the last sign of life was sent that
    came, ``watched_since`` notes that somebody looks and returns since when somebody has.
    """

    account: str
    ways: tuple[Way, ...]
    heard: Callable[[Way], datetime | None]
    watched_since: Callable[[Way, datetime], datetime]


class ChainLook:
    """Looks whether the audit still hears."""

    def __init__(self, ports: ChainPorts) -> None:
        self._ports = ports

    def __call__(self, now: datetime) -> Look:
        """Look at every way. Of one by which nothing is sent, whatever was found is gone."""
        ports = self._ports
        found = [
            one
            for way in ports.ways
            if (
                one := silence(
                    way, heard=ports.heard(way), watched_since=ports.watched_since(way, now), now=now
                )
            )
        ]
        return Look(
            [one.observation(ports.account) for one in found],
            frozenset(map(chain.part, Way)),
            {"ways": len(ports.ways)},
        )


def _unless_refused(read: Callable[[], _T], reasons: dict[str, str], name: str) -> _T | None:
    try:
        return read()
    except UnreadableError as error:
        reasons[name] = error.detail
        return None
