"""A deployment for the audit's rules: its facts, and fakes for everything that rules may ask.

The fakes implement the ports, remember what they were asked, and can be bent: ``away`` makes one raise.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sallyport.audit.events import RecordEvent
from sallyport.audit.rules.context import Context, Estate
from sallyport.audit.trust_policy.examine import Surroundings
from sallyport.errors import UnavailableError

ACCOUNT = "111122223333"
MEMBER = "222233334444"
FOREIGN = "999988887777"
REGION = "eu-central-1"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
EXCHANGE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport-assume-role"
EXCHANGE_ROLE_ID = "AROAEXCHANGE00000001"
MANAGED_ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport/team-a-reader"
MEMBER_ROLE = f"arn:aws:iam::{MEMBER}:role/sallyport/team-b-writer"
ISSUER = "sts.windows.net/0b1f6471-1bf0-4dda-aec3-111122223333/"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"
ANCHOR = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:trust-anchor/0c52f3ab-0000-4000-8000-000000000001"
PROFILE = f"arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:profile/0c52f3ab-0000-4000-8000-000000000002"
TRUST_TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/sallyport-TrustTable"

ESTATE = Estate(
    account=ACCOUNT,
    region=REGION,
    exchange_roles=frozenset({EXCHANGE_ROLE}),
    exchange_role_ids=frozenset({EXCHANGE_ROLE_ID}),
    managed_roles=("arn:aws:iam::*:role/sallyport/*",),
    own_resources=(
        *("*:sallyport-*", "*/sallyport-*", "sallyport-*"),
        *("a1b2c3d4e5", "*/restapis/a1b2c3d4e5", "*/restapis/a1b2c3d4e5/*"),
    ),
    accounts=frozenset({ACCOUNT, MEMBER}),
    web_identities={ISSUER: frozenset({"api://sallyport"})},
    other_source_identities=("person-*",),
    surroundings=Surroundings(org_accounts=frozenset({ACCOUNT, MEMBER})),
)


class FakeHistory:
    """Remembers the earliest time, as the table does."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, str], datetime] = {}
        self.seen: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.away = False

    def first_seen(self, topic: str, key: str, occurrence: str, when: datetime) -> datetime:
        if self.away:
            raise UnavailableError("history-away")
        earliest = min(when, self.first.get((topic, key), when))
        self.first[topic, key] = earliest
        return earliest

    def places(self, topic: str, key: str, place: str, when: datetime) -> frozenset[str]:
        if self.away:
            raise UnavailableError("history-away")
        self.seen[topic, key].add(place)
        return frozenset(self.seen[topic, key])


class FakeCounter:
    """Counts each occurrence once."""

    def __init__(self) -> None:
        self.weights: dict[tuple[str, str, datetime], dict[str, int]] = defaultdict(dict)
        self.away = False

    def add(self, topic: str, key: str, window_start: datetime, occurrence: str, weight: int = 1) -> int:
        if self.away:
            raise UnavailableError("counter-away")
        self.weights[topic, key, window_start][occurrence] = weight
        return sum(self.weights[topic, key, window_start].values())


class FakeIssued:
    """The records that came by the records rule."""

    def __init__(self, records: Sequence[RecordEvent] = ()) -> None:
        self.records = list(records)

    def by_access_key(self, access_key: str) -> RecordEvent | None:
        return next((one for one in self.records if one.access_key == access_key), None)

    def knows_source_identity(self, source_identity: str) -> bool:
        return any(one.source_identity == source_identity for one in self.records)


class FakeSessions:
    def __init__(self, made: Sequence[str] = ()) -> None:
        self.made = set(made)

    def was_made(self, access_key: str) -> bool:
        return access_key in self.made


class FakeSignIns:
    def __init__(self) -> None:
        self.given: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        self.tokens: dict[str, list[datetime]] = defaultdict(list)

    def authorized(self, key: str, where: str, when: datetime) -> None:
        self.given[key].append((when, where))

    def last_authorized(self, key: str, when: datetime) -> tuple[str, datetime] | None:
        before = [one for one in self.given[key] if one[0] <= when]
        return None if not before else (max(before)[1], max(before)[0])

    def redeemed(self, key: str, when: datetime) -> None:
        self.tokens[key].append(when)

    def was_redeemed(self, key: str, when: datetime) -> bool:
        return any(one >= when for one in self.tokens[key])


class FakeTrust:
    def __init__(
        self,
        items: Mapping[str, Mapping[str, str]] | None = None,
        entries: Sequence[Mapping[str, str]] = (),
        moved: Mapping[str, datetime] | None = None,
        held: Mapping[str, str | None] | None = None,
    ) -> None:
        self.held = dict(held or {})
        self.items = dict(items or {})
        self.entries = list(entries)
        self.moves = dict(moved or {})

    def item(self, key: str) -> Mapping[str, str] | None:
        return self.items.get(key)

    def journal(self, around: datetime) -> Sequence[Mapping[str, str]]:
        return self.entries

    def content_digest(self, version: str, most: int) -> str | None:
        # What was applied is what is there, unless the test says otherwise.
        return self.held.get(version, self.items.get(f"apply#{version}", {}).get("content_digest"))

    def moved(self, version: str, when: datetime) -> None:
        self.moves.setdefault(version, when)

    def in_force_since(self, version: str) -> datetime | None:
        return self.moves.get(version)


def context(**changes: Any) -> Context:
    """Return a context an hour after noon, whose look-ups have nothing unless they are given."""
    estate = {name: changes.pop(name) for name in list(changes) if name in Estate.__dataclass_fields__}
    known = {
        "now": NOON + timedelta(hours=1),
        "estate": replace(ESTATE, **estate),
        "history": FakeHistory(),
        "counter": FakeCounter(),
        "issued": FakeIssued(),
        "sessions": FakeSessions(),
        "sign_ins": FakeSignIns(),
        "trust": FakeTrust(),
    }
    return Context(**{**known, **changes})
