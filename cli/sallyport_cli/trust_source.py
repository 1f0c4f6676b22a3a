"""Where a simulation takes trust, keys and revocation from: a trust file, or the tables.

Both end in the same documents that exchanges read, loaded by the same functions.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from sallyport.errors import UnavailableError
from sallyport.keys import StoredKeys
from sallyport.model import Anchor, OidcAnchor, X509Anchor
from sallyport.proof.crl import CrlState, Link, read_crl
from sallyport.revocation import serial_key
from sallyport.trust.profiles import RoleProfiles, load_anchor, load_role
from sallyport_cli.aws import asking
from sallyport_cli.crl_check import CheckedList
from sallyport_cli.crl_table import state_in_force
from sallyport_cli.stand_in import PresumedKeys
from sallyport_cli.trust_table import DynamoDb, Items


class KnownLists:
    """Revocation lists beside a trust file; the port ``revocation.Revocations``."""

    def __init__(self, lists: Sequence[CheckedList], read_at: datetime) -> None:
        self._lists = lists
        self._read_at = read_at

    def states(self, anchor: X509Anchor) -> tuple[CrlState, ...]:
        """Return the states of the anchor's lists that are files."""
        return tuple(one.state for one in self._lists if one.anchor.id == anchor.id)

    def revoked(
        self, anchor: X509Anchor, states: Collection[CrlState], links: Sequence[Link]
    ) -> frozenset[Link]:
        """Return those of the links that one of the lists names."""
        wanted, found = frozenset(links), set[Link]()
        for one in self._lists:
            if one.anchor.id == anchor.id and one.state in states:
                # By the anchor that it was checked against, and when it was.
                read = read_crl(one.der, one.state.id, one.anchor, self._read_at)
                found |= {link for link in read.links() if link in wanted}
        return frozenset(found)


class ListsInForce:
    """Revocation lists as exchanges see them, in the keys table; the port ``revocation.Revocations``."""

    def __init__(self, client: DynamoDb, keys_table: str) -> None:
        self._client = client
        self._table = keys_table

    def states(self, anchor: X509Anchor) -> tuple[CrlState, ...]:
        """Return the states of the anchor's lists that are in force."""
        found = (state_in_force(self._client, self._table, anchor.id, name) for name in anchor.crls)
        return tuple(state for state in found if state is not None)

    def revoked(
        self, anchor: X509Anchor, states: Collection[CrlState], links: Sequence[Link]
    ) -> frozenset[Link]:
        """Return those of the links that a list in one of these states names."""
        return frozenset(
            link
            for state in states
            for link in links
            if state.issuer == link.issuer and self._is_there(serial_key(anchor.id, state, link.serial))
        )

    def _is_there(self, key: str) -> bool:
        with asking(f"read the keys table {self._table}"):
            answer = self._client.get_item(
                TableName=self._table, Key={"pk": {"S": key}}, ConsistentRead=True, ProjectionExpression="pk"
            )
        return "Item" in answer


class NoLists:
    """Nothing is known of revocation; the port ``revocation.Revocations``."""

    def states(self, anchor: X509Anchor) -> tuple[CrlState, ...]:  # noqa: ARG002 - a port
        """Return none."""
        return ()

    def revoked(
        self,
        anchor: X509Anchor,  # noqa: ARG002 - a port
        states: Collection[CrlState],  # noqa: ARG002 - the same
        links: Sequence[Link],  # noqa: ARG002 - the same
    ) -> frozenset[Link]:
        """Return none."""
        return frozenset()


class KeysOf:
    """Issuers' keys, from a file or the keys table."""

    def __init__(self, jwks: str | None = None, table: tuple[DynamoDb, str] | None = None) -> None:
        self._jwks = jwks
        self._table = table

    def of(self, anchor: OidcAnchor, now: datetime, *, is_now: bool) -> StoredKeys:
        """Return an anchor's keys.

        Args:
            anchor: whose.
            now: the time of the simulation.
            is_now: whether that is the present, so that the keys' age means something.
        """
        seconds = int(now.timestamp())
        # As if they had been asked for just now: a simulation has nothing fetched.
        if self._jwks is not None:
            return PresumedKeys(issuer=anchor.issuer, jwks=self._jwks, fetched_at=seconds, asked_at=seconds)
        item = _item(*self._table, f"anchor#{anchor.id}") if self._table is not None else None
        if item is None:
            return PresumedKeys(issuer="", jwks="", fetched_at=0, asked_at=seconds)
        fetched_at = int(item.get("fetched_at", {}).get("N", "0"))
        return PresumedKeys(
            issuer=str(item.get("issuer", {}).get("S", "")),
            jwks=str(item.get("jwks", {}).get("S", "")),
            fetched_at=fetched_at if is_now or not fetched_at else seconds,
            asked_at=seconds,
        )


@dataclass(frozen=True, kw_only=True)
class TrustSource:
    """One version of trust with what stands beside it.

    Args:
        items: its documents by key, as ``trust.compile`` makes them.
        version: its id, empty for a file.
        disabled: names as ``profile#<name>`` and ``anchor#<name>``.
        keys: of issuers; ``None`` where tokens' signatures cannot be checked.
        revocations: what is known.
        known_lists: the ids of the lists that could be looked at, by anchor's name; ``None`` means all.
        has_ids: whether ids and ARNs are those of the account, not of a stand-in for it.
    """

    items: Items
    version: str = ""
    disabled: frozenset[str] = frozenset()
    keys: KeysOf | None = None
    revocations: KnownLists | ListsInForce | NoLists = field(default_factory=NoLists)
    known_lists: Mapping[str, frozenset[str]] | None = None
    has_ids: bool = True

    @cached_property
    def anchors(self) -> tuple[Anchor, ...]:
        """All anchors, by name."""
        found = [load_anchor(value) for key, value in self.items.items() if key.startswith("anchor#")]
        return tuple(sorted(found, key=lambda one: one.name))

    def anchor_of_issuer(self, issuer: str) -> OidcAnchor | None:
        """Return the anchor that this issuer, byte for byte, belongs to."""
        document = self.items.get(f"issuer#{issuer}")
        found = None if document is None else load_anchor(document)
        return found if isinstance(found, OidcAnchor) else None

    def anchor_named(self, name: str) -> Anchor | None:
        """Return the anchor with this name."""
        return next((one for one in self.anchors if one.name == name), None)

    def profiles_of_role(self, role_arn: str, anchor_id: str) -> RoleProfiles:
        """Return the profiles that name this role: an anchor's own, and the names of the others."""
        document = self.items.get(f"role#{role_arn}")
        return RoleProfiles() if document is None else load_role(document, anchor_id)

    def without_unknown_lists(self, anchor: X509Anchor) -> tuple[X509Anchor, tuple[str, ...]]:
        """Return the anchor as if it expected only lists that can be looked at, and the ids of the others."""
        if self.known_lists is None:
            return anchor, ()
        known = self.known_lists.get(anchor.name, frozenset())
        unknown = tuple(name for name in anchor.crls if name not in known)
        return replace(anchor, crls=tuple(name for name in anchor.crls if name in known)), unknown


def of_file(items: Items, lists: Sequence[CheckedList], *, jwks: str | None, now: datetime) -> TrustSource:
    """Return what a trust file, and the revocation lists beside it, say."""
    known: dict[str, frozenset[str]] = {}
    for one in lists:
        known[one.anchor.name] = known.get(one.anchor.name, frozenset()) | {one.state.id}
    return TrustSource(
        items=items,
        keys=None if jwks is None else KeysOf(jwks),
        revocations=KnownLists(lists, now),
        known_lists=known,
        has_ids=False,
    )


def of_tables(  # noqa: PLR0913 - all but two of them by name
    client: DynamoDb,
    items: Items,
    *,
    version: str,
    disabled: frozenset[str],
    keys_table: str | None,
    jwks: str | None,
) -> TrustSource:
    """Return what is in force."""
    keys = None
    if jwks is not None:
        keys = KeysOf(jwks)
    elif keys_table:
        keys = KeysOf(table=(client, keys_table))
    return TrustSource(
        items=items,
        version=version,
        disabled=disabled,
        keys=keys,
        revocations=ListsInForce(client, keys_table) if keys_table else NoLists(),
        known_lists=None if keys_table else {},
    )


def _item(client: DynamoDb, table: str, key: str) -> Mapping[str, Any] | None:
    with asking(f"read the keys table {table}"):
        answer = client.get_item(TableName=table, Key={"pk": {"S": key}}, ConsistentRead=True)
    found: Mapping[str, Any] | None = answer.get("Item")
    return found


def not_refreshed(_anchor_id: str) -> None:
    """Refuse to fetch keys: a simulation only looks."""
    raise UnavailableError("simulated", "A simulation has no keys fetched.")
