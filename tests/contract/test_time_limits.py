"""Whatever is slow or away, an exchange answers before Lambda or API Gateway would end it.

The longest path is walked with every call to AWS taking all of its time, and the first try of each
failing after it. The time is the fake's; none of it passes.
"""

import json
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest

from sallyport.adapters import aws as adapter
from sallyport.adapters import fetch, sts
from sallyport.adapters.http import HttpResponse, NetworkError, TimeLimits
from sallyport.adapters.revocation_tables import MAX_BATCHES as REVOCATION_BATCHES
from sallyport.adapters.revocation_tables import MAX_PER_SECOND
from sallyport.adapters.tables import MAX_BATCHES
from sallyport.audit.ledger import LATE_AT_ONCE
from sallyport.keys import ANCHOR_SECONDS, TURN_SECONDS
from sallyport.refresh import LISTS_SHARE
from sallyport.revocation import BRING_SECONDS, FLIP_SECONDS, WRITES_PER_SECOND
from sallyport.settings import MAX_STS_REGIONS
from sallyport.trust.limits import MAX_PROFILES_PER_ROLE
from sallyport.wiring.clients import DYNAMODB_LIMITS, LISTS_LIMITS, REFRESH_LIMITS, STS_LIMITS
from tests.support import pki, tokens
from tests.support.certificate_world import LISTED, CertificateWorld
from tests.support.certificate_world import TRUST as CERTIFICATE_TRUST
from tests.support.cloudformation import resolved
from tests.support.fake_transport import unreachable
from tests.support.world import ACCOUNT, TRUST, Account, World

FUNCTIONS = resolved("template.yaml")
EXCHANGE_TIMEOUT = FUNCTIONS["Globals"]["Function"]["Timeout"]
# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html: the default for REST APIs.
GATEWAY_TIMEOUT = 29
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sallyport/crowded"
REGIONS = ("eu-central-1", "eu-west-1", "eu-north-1")

# With tokens: version, anchor, role; the keys, past the cache, and again; what is disabled; the counter, the
# proof; the record, and what is late. Each may be tried twice, with a pause between.
TABLE_CALLS = 3 + 3 + MAX_BATCHES + 2 + 1 + LATE_AT_ONCE
PAUSE_SECONDS = adapter.PAUSE_SECONDS
PAUSES = TABLE_CALLS * (adapter.ATTEMPTS - 1) * PAUSE_SECONDS


def crowded() -> dict[str, Any]:
    """As many profiles for one role as there may be, a limit on grants, and tags that can be dropped."""
    trust = deepcopy(TRUST)
    trust["trust_anchors"]["contoso"]["replay"] = "once"
    for number in range(MAX_PROFILES_PER_ROLE):
        trust["profiles"][f"p{number}"] = {
            "trust_anchor": "contoso",
            "roles": [ROLE],
            "condition": {"StringEquals": {"token:oid": tokens.OBJECT_ID}},
            "session_tags": {f"T{tag}": {"value": "${token:tid}", "optional": True} for tag in range(5)},
            "grants_per_minute": 10,
        }
    return trust


# With certificates: version, anchor, role; states of lists, what they name, what is disabled, each in
# batches; the counter, the proof; the record, and what is late.
CERTIFICATE_CALLS = 3 + 2 * REVOCATION_BATCHES + MAX_BATCHES + 2 + 1 + LATE_AT_ONCE


def crowded_with_certificates() -> dict[str, Any]:
    """The same for certificates: an anchor with as many lists as chains are long, and more."""
    trust = deepcopy(CERTIFICATE_TRUST)
    trust["trust_anchors"]["listed"]["replay"] = "once"
    del trust["profiles"]["patient"], trust["profiles"]["listed"]
    for number in range(MAX_PROFILES_PER_ROLE):
        trust["profiles"][f"p{number}"] = {
            "trust_anchor": "listed",
            "roles": [LISTED],
            "condition": {"StringEquals": {"x509:Subject/CN": "host.example.com"}},
            "session_tags": {f"T{tag}": {"value": "${x509:Serial}", "optional": True} for tag in range(5)},
            "grants_per_minute": 10,
        }
    return trust


@dataclass
class Slowness:
    """Every call takes all of its time, each first try fails after it, and reads are answered in part."""

    world: Account
    spent: float = 0.0
    calls: list[str] = field(default_factory=list)
    failed: set[bytes] = field(default_factory=set)
    partial: Counter[str] = field(default_factory=Counter)

    def __call__(self, url: str, body: bytes, limits: TimeLimits) -> HttpResponse | None:
        service = url.removeprefix("https://").partition(".")[0]
        self.calls.append(service)
        self.spent += limits.total
        self.world.advance(limits.total)
        if service == "sts" and REGIONS[-1] not in url:
            raise NetworkError("no-answer", "slow")
        if service == "dynamodb":
            # One read comes three times on the path, so failures take turns.
            self.failed ^= {body}
            if body in self.failed:
                raise NetworkError("no-answer", "slow")
            if b"RequestItems" in body:
                return self.one_left_over(json.loads(body)["RequestItems"])
        return None

    def one_left_over(self, asked: dict[str, Any]) -> HttpResponse | None:
        """Answer all but one of what is asked for, as often as is borne."""
        ((table, request),) = asked.items()
        *taken, left = request["Keys"]
        kind = left["pk"]["S"].partition("#")[0]
        self.partial[kind] += 1
        if self.partial[kind] >= MAX_BATCHES:
            return None
        found = [self.world.aws.tables[table].get_item(TableName=table, Key=key).get("Item") for key in taken]
        answer = {
            "Responses": {table: [item for item in found if item is not None]},
            "UnprocessedKeys": {table: {**request, "Keys": [left]}},
        }
        return HttpResponse(200, json.dumps(answer).encode())


@pytest.fixture
def world() -> World:
    world = World(trust=crowded(), changes={"sts_regions": REGIONS})
    world.aws.sts.roles[ROLE] = None
    return world


ROTATED = tokens.token(key=tokens.rsa_key("two"), headers=tokens.header(kid="key-two"))


def rotate(world: World) -> None:
    """Let refresh_keys find another key than the one in the table."""

    def invoke(_payload: object) -> None:
        world.publish_keys(world.anchor("contoso"), tokens.jwk(tokens.rsa_key("two"), kid="key-two"), age=0)

    world.aws.invoke = invoke


def let_records_wait(world: World) -> None:
    """More than one exchange catches up with, and a summary that is due."""
    world.query("a.b.c")
    with world.fault("dynamodb/PutItem", unreachable):
        for _ in range(LATE_AT_ONCE + 1):
            world.query(tokens.token(tokens.good_entra_v1(oid=tokens.TENANT)))
    world.advance(61)


def test_the_longest_path_of_a_grant_is_shorter_than_both_timeouts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "PAUSE_SECONDS", 0)
    let_records_wait(world)
    rotate(world)
    world.apply(crowded())
    slow = world.aws.intercept = Slowness(world)
    answer = world.query(ROTATED, RoleArn=ROLE)
    assert answer["statusCode"] == 200, answer["body"]
    assert slow.calls.count("lambda") == 1, "the path goes by refresh_keys"
    assert slow.calls.count("sts") == MAX_STS_REGIONS, "and by every Region"
    assert slow.calls.count("dynamodb") == adapter.ATTEMPTS * TABLE_CALLS
    # STS can take a little longer than here, by asking again with fewer tags.
    longest_sts = sts.LAST_TRY_SECONDS + STS_LIMITS.total
    assert longest_sts >= MAX_STS_REGIONS * STS_LIMITS.total
    own = adapter._OwnCredentialsFetcher
    total = (
        slow.spent
        - MAX_STS_REGIONS * STS_LIMITS.total
        + longest_sts
        + own.TIMEOUT_SECONDS * own.RETRY_ATTEMPTS
        + PAUSES
    )
    assert total < EXCHANGE_TIMEOUT
    assert total < GATEWAY_TIMEOUT


def test_so_is_the_longest_path_of_a_grant_to_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "PAUSE_SECONDS", 0)
    assert REVOCATION_BATCHES == MAX_BATCHES
    world = CertificateWorld(trust=crowded_with_certificates(), changes={"sts_regions": REGIONS})
    by = pki.leaf(pki.issuing())
    for name, authority in (("root.crl", pki.root()), ("issuing.crl", pki.issuing())):
        world.keep_list("listed", name, pki.crl(authority))
    assert world.ask(pki.leaf(pki.stranger()))["statusCode"] == 403
    with world.fault("dynamodb/PutItem", unreachable):
        for _ in range(LATE_AT_ONCE + 1):
            world.ask(pki.leaf(subject="other.example.com"))
    world.advance(61)
    world.apply(world.trust)
    asked = world.signed(by, LISTED)
    slow = world.aws.intercept = Slowness(world)
    answer = world.send(asked)
    assert answer["statusCode"] == 201, answer["body"]
    assert slow.calls.count("lambda") == 0
    assert slow.calls.count("sts") == MAX_STS_REGIONS
    assert slow.calls.count("dynamodb") == adapter.ATTEMPTS * CERTIFICATE_CALLS
    own = adapter._OwnCredentialsFetcher
    total = (
        slow.spent
        - MAX_STS_REGIONS * STS_LIMITS.total
        + (sts.LAST_TRY_SECONDS + STS_LIMITS.total)
        + own.TIMEOUT_SECONDS * own.RETRY_ATTEMPTS
        + CERTIFICATE_CALLS * (adapter.ATTEMPTS - 1) * PAUSE_SECONDS
    )
    assert total < min(EXCHANGE_TIMEOUT, GATEWAY_TIMEOUT)


def test_so_is_the_longest_path_of_a_refusal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """STS has given what may not be released: there is a record to put here as well."""
    monkeypatch.setattr(adapter, "PAUSE_SECONDS", 0)
    let_records_wait(world)
    slow = world.aws.intercept = Slowness(world)
    with world.fault("dynamodb/PutItem", unreachable):
        assert world.query(RoleArn=ROLE)["statusCode"] == 503
    assert slow.spent < EXCHANGE_TIMEOUT


def test_asking_sts_has_an_end_whatever_it_answers(world: World) -> None:
    world.query("a.b.c")
    world.aws.sts.max_tag_bytes = 0
    slow = world.aws.intercept = Slowness(world)
    assert world.query(RoleArn=ROLE)["statusCode"] == 503
    assert slow.calls.count("sts") * STS_LIMITS.total <= sts.LAST_TRY_SECONDS + STS_LIMITS.total


def test_an_exchange_waits_for_new_keys_long_enough_to_get_them() -> None:
    """Discovery and keys, which are two fetches, in the usual case far from their limits."""
    assert REFRESH_LIMITS.total > fetch.TOTAL_SECONDS
    assert REFRESH_LIMITS.total < EXCHANGE_TIMEOUT


def test_one_anchor_fits_into_what_refresh_keys_reckons_with() -> None:
    tables = 3 * adapter.ATTEMPTS * DYNAMODB_LIMITS.total
    refresh = FUNCTIONS["Resources"]["RefreshKeysFunction"]["Properties"]["Timeout"]
    assert 2 * fetch.TOTAL_SECONDS + tables <= ANCHOR_SECONDS
    assert refresh > 2 * ANCHOR_SECONDS


def test_anchors_take_turns_by_the_step_of_the_schedule() -> None:
    (event,) = FUNCTIONS["Resources"]["RefreshKeysFunction"]["Properties"]["Events"].values()
    assert event["Properties"]["Schedule"] == "rate(1 hour)"
    assert TURN_SECONDS == 3_600


def test_a_list_with_a_million_entries_fits_into_what_a_run_leaves_for_lists() -> None:
    refresh = FUNCTIONS["Resources"]["RefreshKeysFunction"]["Properties"]
    million = 1_000_000 / WRITES_PER_SECOND + BRING_SECONDS + FLIP_SECONDS
    assert million <= refresh["Timeout"] * LISTS_SHARE
    assert WRITES_PER_SECOND < MAX_PER_SECOND, "it plans with less than it can do"
    # What keys had when the function was theirs alone.
    assert refresh["Timeout"] * (1 - LISTS_SHARE) > 120
    assert fetch.LIST_SECONDS < BRING_SECONDS
    # A batch that is under way when nothing more is begun comes to its end.
    assert adapter.ATTEMPTS * LISTS_LIMITS.total + adapter.PAUSE_SECONDS < FLIP_SECONDS
