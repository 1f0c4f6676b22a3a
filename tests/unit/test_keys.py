"""Keys come from the right place, at the right time, and a failure costs nothing."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from sallyport.errors import UnavailableError
from sallyport.keys import (
    ANCHOR_SECONDS,
    ASK_EVERY,
    REASONS,
    FetchedKeys,
    RefreshKeys,
    RefreshOutcome,
    RefreshStatus,
    may_ask,
    refresh_anchor,
    usable_keys,
)
from sallyport.model import OidcAnchor
from sallyport.proof.oidc import UnknownKeyError, parse, verify
from tests.support import tokens
from tests.support.tokens import jwk, jwks, rsa_key

NOW = tokens.NOW
V1_DISCOVERY = f"https://login.microsoftonline.com/{tokens.TENANT}/.well-known/openid-configuration"
V1_KEYS = f"https://login.microsoftonline.com/{tokens.TENANT}/discovery/keys"
PLAIN_DISCOVERY = f"{tokens.PLAIN}/.well-known/openid-configuration"
PLAIN_KEYS = f"{tokens.PLAIN}/oauth/discovery/keys"


@dataclass(frozen=True)
class Stored:
    """An item of the keys table."""

    issuer: str = ""
    jwks: str = ""
    fetched_at: int = 0
    asked_at: int = 0


@dataclass
class World:
    """The ports, as fakes that can be bent: a web of documents and a table of keys."""

    web: dict[str, bytes | UnavailableError] = field(default_factory=dict)
    table: dict[str, Stored] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    table_down: bool = False

    def publish(self, issuer: str, discovery: str, uri: object, *keys: dict[str, Any]) -> None:
        self.web[discovery] = json.dumps({"issuer": issuer, "jwks_uri": uri}).encode()
        if isinstance(uri, str):
            self.web[uri] = jwks(*(keys or (jwk(rsa_key()),)))

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        answer = self.web.get(url, UnavailableError("fetch-status", "404"))
        if isinstance(answer, UnavailableError):
            raise answer
        return answer

    def read(self, anchor_id: str) -> Stored | None:
        if self.table_down:
            raise UnavailableError("table-refused")
        return self.table.get(anchor_id)

    def write(self, keys: FetchedKeys, /) -> None:
        if self.table_down:
            raise UnavailableError("table-refused")
        before = self.table.get(keys.anchor_id, Stored())
        if before.fetched_at <= keys.fetched_at:
            self.table[keys.anchor_id] = Stored(keys.issuer, keys.jwks, keys.fetched_at, before.asked_at)

    def claim_ask(self, anchor_id: str, now: datetime, /) -> bool:
        before = self.table.get(anchor_id, Stored())
        if int(now.timestamp()) - before.asked_at < ASK_EVERY.total_seconds():
            return False
        self.table[anchor_id] = replace(before, asked_at=int(now.timestamp()))
        return True

    def refresh(
        self, anchor: OidcAnchor, *, now: datetime = NOW, asked: bool = False, local: bool = False
    ) -> RefreshOutcome:
        return refresh_anchor(
            anchor,
            fetch=self.fetch,
            read=self.read,
            write=self.write,
            claim_ask=self.claim_ask,
            now=now,
            asked=asked,
            local=local,
        )

    def stored(self, anchor: OidcAnchor) -> Stored | None:
        return self.table.get(anchor.id)


@pytest.fixture
def world() -> World:
    world = World()
    world.publish(tokens.ENTRA_V1, V1_DISCOVERY, V1_KEYS)
    world.publish(tokens.PLAIN, PLAIN_DISCOVERY, PLAIN_KEYS)
    return world


class TestWhereKeysMayComeFrom:
    def test_refreshed_keys_verify_a_token(self, world: World) -> None:
        anchor = tokens.anchor()
        outcome = world.refresh(anchor)
        assert (outcome.status, outcome.keys, outcome.age, outcome.overdue) == (
            RefreshStatus.REFRESHED,
            1,
            0,
            False,
        )
        assert outcome.source == V1_KEYS
        keys = usable_keys(world.stored(anchor), anchor, NOW)
        assert verify(parse(tokens.good_token()), anchor, keys, NOW).subject == tokens.OBJECT_ID

    @pytest.mark.parametrize(
        ("anchor", "discovery", "uri"),
        [
            (tokens.anchor(), V1_DISCOVERY, V1_KEYS),
            (
                tokens.entra_v2_anchor(),
                f"{tokens.ENTRA_V2}/.well-known/openid-configuration",
                f"https://login.microsoftonline.com/{tokens.TENANT}/discovery/v2.0/keys",
            ),
            (
                tokens.anchor(),
                f"https://login.microsoftonline.us/{tokens.TENANT}/.well-known/openid-configuration",
                f"https://login.microsoftonline.us/{tokens.TENANT}/discovery/keys",
            ),
            (
                tokens.anchor(f"https://sts.chinacloudapi.cn/{tokens.TENANT}/"),
                f"https://login.partner.microsoftonline.cn/{tokens.TENANT}/.well-known/openid-configuration",
                f"https://login.partner.microsoftonline.cn/{tokens.TENANT}/discovery/keys",
            ),
            (
                tokens.plain_anchor(issuer="https://accounts.google.com"),
                "https://accounts.google.com/.well-known/openid-configuration",
                "https://www.googleapis.com/oauth2/v3/certs",
            ),
            (
                tokens.plain_anchor(issuer="https://example.com:8443/realm/"),
                "https://example.com:8443/realm/.well-known/openid-configuration",
                "https://example.com:8443/keys?p=1",
            ),
            (
                tokens.plain_anchor(jwks_hosts=("keys.example.net",)),
                PLAIN_DISCOVERY,
                "https://keys.example.net/gitlab",
            ),
        ],
        ids=["entra v1", "entra v2", "government", "china", "google", "own port", "listed host"],
    )
    def test_an_issuers_keys_are_found(self, anchor: OidcAnchor, discovery: str, uri: str) -> None:
        world = World()
        world.publish(anchor.issuer, discovery, uri)
        outcome = world.refresh(anchor)
        assert (outcome.status, outcome.source) == (RefreshStatus.REFRESHED, uri), outcome
        assert world.fetched[-2:] == [discovery, uri]

    @pytest.mark.parametrize(
        "uri",
        [
            "https://attacker.example/keys",
            "https://gitlab.example.com.attacker.example/keys",
            "https://gitlab.example.com@attacker.example/keys",
            "https://attacker.example#gitlab.example.com/keys",
            "https://attacker.example\\.gitlab.example.com/keys",
            "https://sub.gitlab.example.com/keys",
            "https://gitlab.example.com./keys",
            "http://gitlab.example.com/keys",
            "http://gitlab.example.com:443/keys",
            "https://gitlab.example.com:8443/keys",
            "https://gitlab.example.com:80/keys",
            "https://192.0.2.7/keys",
            "https://[2001:db8::7]/keys",
            "https://169.254.169.254/latest",
            "file:///etc/passwd",
            "//gitlab.example.com/keys",
            "/keys",
            "",
            None,
            7,
            ["https://gitlab.example.com/keys"],
        ],
    )
    def test_a_jwks_uri_elsewhere_is_not_even_asked(self, uri: object) -> None:
        world = World()
        world.publish(tokens.PLAIN, PLAIN_DISCOVERY, uri)
        outcome = world.refresh(tokens.plain_anchor())
        assert (outcome.status, outcome.reason) == (RefreshStatus.FAILED, "keys-url")
        assert world.fetched == [PLAIN_DISCOVERY]

    def test_an_address_is_no_host_even_where_it_is_the_issuers(self) -> None:
        world = World()
        issuer = "https://192.0.2.7"
        world.publish(issuer, f"{issuer}/.well-known/openid-configuration", f"{issuer}/keys")
        assert world.refresh(tokens.plain_anchor(issuer=issuer)).reason == "keys-url"

    def test_an_issuer_that_is_no_address_has_no_host_for_keys(self) -> None:
        world = World()
        world.publish("gitlab", "gitlab/.well-known/openid-configuration", PLAIN_KEYS)
        assert world.refresh(tokens.plain_anchor(issuer="gitlab")).reason == "keys-url"

    @pytest.mark.parametrize(
        "issuer", [tokens.PLAIN + "/", tokens.PLAIN.upper(), "https://attacker.example", [tokens.PLAIN], None]
    )
    def test_a_document_about_another_issuer_is_refused(self, issuer: Any) -> None:
        world = World()
        world.publish(issuer, PLAIN_DISCOVERY, PLAIN_KEYS)
        outcome = world.refresh(tokens.plain_anchor())
        assert (outcome.status, outcome.reason) == (RefreshStatus.FAILED, "discovery-issuer")
        assert PLAIN_KEYS not in world.fetched

    @pytest.mark.parametrize("document", [b"", b"[]", b"<html>", b'{"issuer": "a", "issuer": "b"}', b"\xff"])
    def test_a_document_that_is_none_is_refused(self, world: World, document: bytes) -> None:
        world.web[PLAIN_DISCOVERY] = document
        assert world.refresh(tokens.plain_anchor()).reason == "discovery-malformed"

    def test_an_issuer_that_is_not_microsofts_has_no_entra_document(self) -> None:
        outcome = World().refresh(tokens.anchor("https://sts.windows.net.attacker.example/common/"))
        assert outcome.reason == "discovery-unknown"

    def test_when_nobody_answers_every_host_that_was_asked_is_named(self) -> None:
        outcome = World().refresh(tokens.anchor())
        assert (outcome.status, outcome.reason) == (RefreshStatus.FAILED, "fetch-status")
        assert outcome.detail == "404 404"


class TestFailure:
    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            (b"<html>", "keys-malformed"),
            (b"{}", "keys-malformed"),
            (b'{"keys": null}', "keys-malformed"),
            (UnavailableError("fetch-timeout"), "fetch-timeout"),
        ],
        ids=["not json", "no list", "null", "timeout"],
    )
    def test_a_failed_refresh_keeps_the_old_keys(
        self, world: World, document: bytes | UnavailableError, reason: str
    ) -> None:
        anchor = tokens.anchor()
        world.refresh(anchor)
        before = world.stored(anchor)
        world.web[V1_KEYS] = document
        later = NOW + timedelta(hours=1)
        outcome = world.refresh(anchor, now=later)
        assert (outcome.status, outcome.reason, outcome.age) == (RefreshStatus.FAILED, reason, 3_600)
        assert world.stored(anchor) == before
        assert usable_keys(before, anchor, later).keys

    def test_a_successful_refresh_replaces_the_key_set(self, world: World) -> None:
        anchor = tokens.anchor()
        world.refresh(anchor)
        world.web[V1_KEYS] = jwks(jwk(rsa_key("two"), kid="key-two"))
        world.refresh(anchor, now=NOW + timedelta(minutes=1))
        keys = usable_keys(world.stored(anchor), anchor, NOW + timedelta(minutes=1))
        assert [key.kid for key in keys.keys] == ["key-two"]

    @pytest.mark.parametrize(
        "document",
        [b'{"keys": []}', jwks(jwk(rsa_key(), use="enc")), jwks(jwk(rsa_key()), jwk(rsa_key("two")))],
        ids=["empty", "for encryption", "one kid twice"],
    )
    def test_an_issuer_that_publishes_no_usable_key_takes_back_what_it_had(
        self, world: World, document: bytes
    ) -> None:
        anchor = tokens.anchor()
        world.refresh(anchor)
        world.web[V1_KEYS] = document
        later = NOW + timedelta(hours=1)
        outcome = world.refresh(anchor, now=later)
        assert (outcome.status, outcome.reason, outcome.keys) == (RefreshStatus.REFRESHED, "keys-empty", 0)
        assert outcome.overdue, "an alarm"
        keys = usable_keys(world.stored(anchor), anchor, later)
        with pytest.raises(UnknownKeyError):
            verify(parse(tokens.good_token()), anchor, keys, later)

    def test_no_keys_from_the_wrong_place_take_nothing_back(self, world: World) -> None:
        anchor = tokens.anchor()
        world.refresh(anchor)
        world.publish(tokens.ENTRA_V1, V1_DISCOVERY, "https://attacker.example/keys")
        world.web["https://attacker.example/keys"] = b'{"keys": []}'
        assert world.refresh(anchor, now=NOW + timedelta(hours=1)).status is RefreshStatus.FAILED
        assert usable_keys(world.stored(anchor), anchor, NOW).keys

    def test_keys_that_stay_unconfirmed_for_half_their_age_are_overdue(self, world: World) -> None:
        anchor = tokens.anchor()
        world.refresh(anchor)
        world.web.clear()
        assert not world.refresh(anchor, now=NOW + timedelta(hours=12)).overdue
        assert world.refresh(anchor, now=NOW + timedelta(hours=12, seconds=1)).overdue

    def test_keys_that_never_came_are_overdue(self) -> None:
        outcome = World().refresh(tokens.anchor())
        assert (outcome.age, outcome.overdue) == (None, True)

    def test_a_table_that_is_away_is_a_failure_and_not_a_crash(self, world: World) -> None:
        world.table_down = True
        outcome = world.refresh(tokens.anchor())
        assert (outcome.status, outcome.reason, outcome.overdue) == (
            RefreshStatus.FAILED,
            "table-refused",
            True,
        )

    def test_only_what_a_verifier_looks_at_is_stored(self, world: World) -> None:
        world.web[V1_KEYS] = jwks(jwk(rsa_key(), x5c=["A" * 2_000]), {"kty": "AKP", "pub": "A" * 2_000})
        world.refresh(tokens.anchor())
        stored = world.stored(tokens.anchor())
        assert stored is not None
        assert "AAAA" not in stored.jwks


class TestAsking:
    def test_an_unknown_key_causes_one_fetch_in_five_minutes(self, world: World) -> None:
        anchor = tokens.anchor()
        statuses = [
            world.refresh(anchor, now=NOW + timedelta(seconds=seconds), asked=True).status
            for seconds in (0, 1, 299, 300, 301)
        ]
        refreshed, not_due = RefreshStatus.REFRESHED, RefreshStatus.NOT_DUE
        assert statuses == [refreshed, not_due, not_due, refreshed, not_due]
        assert world.fetched.count(V1_KEYS) == 2

    def test_a_failed_fetch_uses_up_the_turn_as_well(self, world: World) -> None:
        world.web.clear()
        assert world.refresh(tokens.anchor(), asked=True).status is RefreshStatus.FAILED
        assert world.refresh(tokens.anchor(), asked=True).status is RefreshStatus.NOT_DUE

    def test_the_schedule_does_not_wait_for_a_turn(self, world: World) -> None:
        world.refresh(tokens.anchor(), asked=True)
        assert world.refresh(tokens.anchor()).status is RefreshStatus.REFRESHED

    def test_an_exchange_can_tell_that_asking_is_of_no_use(self) -> None:
        asked = Stored(asked_at=tokens.EPOCH)
        assert may_ask(None, NOW)
        assert may_ask(Stored(), NOW)
        assert not may_ask(asked, NOW + ASK_EVERY - timedelta(seconds=1))
        assert may_ask(asked, NOW + ASK_EVERY)


class TestHowLongKeysAreBelieved:
    def item(self, **changes: Any) -> Stored:
        values = {
            "issuer": tokens.ENTRA_V1,
            "jwks": jwks(jwk(rsa_key())).decode(),
            "fetched_at": tokens.EPOCH,
        }
        return Stored(**(values | changes))

    @pytest.mark.parametrize("age", [-60, 0, 86_400])
    def test_they_are_believed_for_the_anchors_greatest_age(self, age: int) -> None:
        assert usable_keys(self.item(), tokens.anchor(), NOW + timedelta(seconds=age)).keys

    @pytest.mark.parametrize(
        ("item", "age", "reason"),
        [
            ({}, 86_401, "keys-too-old"),
            ({}, -61, "keys-from-the-future"),
            ({"fetched_at": 0}, 0, "keys-missing"),
            ({"jwks": ""}, 0, "keys-missing"),
            ({"issuer": tokens.ENTRA_V2}, 0, "keys-of-another-issuer"),
            ({"issuer": ""}, 0, "keys-of-another-issuer"),
            ({"jwks": "{"}, 0, "keys-malformed"),
        ],
        ids=["old", "future", "never fetched", "only asked for", "other issuer", "no issuer", "broken"],
    )
    def test_otherwise_they_are_not(self, item: dict[str, Any], age: int, reason: str) -> None:
        with pytest.raises(UnavailableError) as refused:
            usable_keys(self.item(**item), tokens.anchor(), NOW + timedelta(seconds=age))
        assert refused.value.reason == reason
        assert reason in REASONS

    def test_no_item_is_no_keys(self) -> None:
        with pytest.raises(UnavailableError, match="keys-missing"):
            usable_keys(None, tokens.anchor(), NOW)

    def test_an_anchor_may_believe_them_for_less(self) -> None:
        with pytest.raises(UnavailableError, match="keys-too-old"):
            usable_keys(self.item(), tokens.anchor(keys_max_age=60), NOW + timedelta(seconds=61))


class TestLocalCloud:
    discovery = "http://127.0.0.1:8400/tenant/.well-known/openid-configuration"

    def anchor(self) -> OidcAnchor:
        return tokens.anchor(local_discovery=self.discovery)

    def test_an_issuers_stand_in_serves_its_document_and_keys_on_loopback(self) -> None:
        world = World()
        world.publish(tokens.ENTRA_V1, self.discovery, "http://127.0.0.1:8400/keys")
        assert world.refresh(self.anchor(), local=True).status is RefreshStatus.REFRESHED

    def test_elsewhere_such_an_anchor_is_refused_before_anything_is_fetched(self) -> None:
        world = World()
        world.publish(tokens.ENTRA_V1, self.discovery, "http://127.0.0.1:8400/keys")
        outcome = world.refresh(self.anchor())
        assert (outcome.reason, world.fetched) == ("discovery-local", [])

    def test_the_stand_in_must_itself_be_on_loopback(self) -> None:
        for discovery in ("http://192.168.0.7/.well-known/openid-configuration", "127.0.0.1", "file:///keys"):
            world = World()
            anchor = tokens.anchor(local_discovery=discovery)
            assert (world.refresh(anchor, local=True).reason, world.fetched) == ("discovery-local", [])

    def test_its_keys_must_be_on_loopback_too(self) -> None:
        for uri in ("http://192.168.0.7/keys", V1_KEYS, "http://localhost.attacker.example/keys"):
            world = World()
            world.publish(tokens.ENTRA_V1, self.discovery, uri)
            assert world.refresh(self.anchor(), local=True).reason == "keys-url"

    def test_it_must_speak_of_the_anchors_issuer(self) -> None:
        world = World()
        world.publish("http://127.0.0.1:8400/tenant", self.discovery, "http://127.0.0.1:8400/keys")
        assert world.refresh(self.anchor(), local=True).reason == "discovery-issuer"

    def test_the_local_cloud_does_not_loosen_other_anchors(self) -> None:
        world = World()
        world.publish(tokens.PLAIN, PLAIN_DISCOVERY, "http://127.0.0.1:8400/keys")
        assert world.refresh(tokens.plain_anchor(), local=True).reason == "keys-url"


class TestRun:
    def use_case(self, world: World, *anchors: OidcAnchor) -> tuple[RefreshKeys, list[RefreshOutcome]]:
        reported: list[RefreshOutcome] = []
        use_case = RefreshKeys(
            anchors=lambda: anchors,
            fetch=world.fetch,
            read=world.read,
            write=world.write,
            claim_ask=world.claim_ask,
            report=reported.append,
        )
        return use_case, reported

    def anchors(self, count: int) -> list[OidcAnchor]:
        return [
            tokens.plain_anchor(name=f"a{n}", id=f"id-{n}", issuer=f"https://issuer-{n}.example")
            for n in range(count)
        ]

    def publish(self, world: World, *anchors: OidcAnchor) -> None:
        for anchor in anchors:
            world.publish(
                anchor.issuer, f"{anchor.issuer}/.well-known/openid-configuration", f"{anchor.issuer}/keys"
            )

    def test_one_issuers_failure_is_not_the_others(self, world: World) -> None:
        good, bad = self.anchors(2)
        self.publish(world, good)
        use_case, reported = self.use_case(world, bad, good)
        outcomes = use_case(now=NOW, time_left=lambda: 60.0)
        assert {outcome.anchor_name: outcome.status.value for outcome in outcomes} == {
            "a0": "refreshed",
            "a1": "failed",
        }
        assert tuple(reported) == outcomes

    def test_what_nobody_foresaw_is_loud_and_still_not_the_others(self, world: World) -> None:
        anchors = self.anchors(3)
        self.publish(world, *anchors)

        def fetch(url: str) -> bytes:
            if "issuer-1" in url:
                raise KeyError(url)
            return world.fetch(url)

        use_case, reported = self.use_case(world, *anchors)
        with pytest.raises(ExceptionGroup) as crashed:
            replace(use_case, fetch=fetch)(now=NOW, time_left=lambda: 60.0)
        assert [type(error) for error in crashed.value.exceptions] == [KeyError]
        assert {outcome.anchor_name for outcome in reported} == {"a0", "a2"}

    def test_a_run_ends_before_its_time_does_and_says_whom_it_left_out(self, world: World) -> None:
        anchors = self.anchors(3)
        self.publish(world, *anchors)
        use_case, _ = self.use_case(world, *anchors)
        outcomes = use_case(now=NOW, time_left=iter([ANCHOR_SECONDS, 1.0, 1.0]).__next__)
        assert [outcome.status.value for outcome in outcomes] == ["refreshed", "skipped", "skipped"]
        assert outcomes[1].reason == "out-of-time"

    @pytest.mark.parametrize("count", [2, 3, 12, 60])
    def test_those_left_out_are_others_in_the_next_hourly_run(self, world: World, count: int) -> None:
        anchors = self.anchors(count)
        use_case, _ = self.use_case(world, *anchors)
        first = {
            use_case(now=NOW + timedelta(hours=hour), time_left=lambda: 60.0)[0].anchor_name
            for hour in range(count)
        }
        assert len(first) == count

    def test_one_anchor_can_be_asked_for(self, world: World) -> None:
        anchors = self.anchors(3)
        self.publish(world, *anchors)
        use_case, _ = self.use_case(world, *anchors)
        (outcome,) = use_case(now=NOW, time_left=lambda: 60.0, anchor_ids=["id-1"], asked=True)
        assert (outcome.anchor_name, outcome.status) == ("a1", RefreshStatus.REFRESHED)
        (again,) = use_case(now=NOW, time_left=lambda: 60.0, anchor_ids=["id-1"], asked=True)
        assert again.status is RefreshStatus.NOT_DUE

    def test_an_anchor_that_is_gone_is_named_and_causes_nothing(self, world: World) -> None:
        use_case, reported = self.use_case(world, *self.anchors(1))
        (outcome,) = use_case(now=NOW, time_left=lambda: 60.0, anchor_ids=["gone"], asked=True)
        assert (outcome.anchor_id, outcome.reason, world.fetched, world.table) == (
            "gone",
            "anchor-unknown",
            [],
            {},
        )
        assert reported == [outcome]

    def test_asking_for_nobody_is_not_asking_for_everybody(self, world: World) -> None:
        use_case, _ = self.use_case(world, *self.anchors(1))
        assert use_case(now=NOW, time_left=lambda: 60.0, anchor_ids=[]) == ()

    def test_an_outcome_can_be_logged(self, world: World) -> None:
        line = json.dumps(world.refresh(tokens.anchor()).for_log())
        assert '"status": "refreshed"' in line
