"""Revocation lists from where they are published to the exchange that is refused because of them."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from sallyport.adapters import revocation_tables
from sallyport.adapters.fetch import ListFetcher
from sallyport.adapters.http import HttpResponse, TimeLimits
from sallyport.errors import UnavailableError
from sallyport.revocation import list_key
from sallyport.settings import AwsSettings, RefreshSettings
from sallyport.wiring import background
from sallyport_cli.crl_check import check_list
from sallyport_cli.crl_table import CrlTable
from tests.support import pki
from tests.support.certificate_world import TRUST, CertificateWorld
from tests.support.fake_transport import unreachable
from tests.support.lambda_context import lambda_context
from tests.support.loopback import Server, answer
from tests.support.world import OWN, REGION, lines, load_event

URL = "http://pki.example.com/root.crl"
FILE = "root.crl"
WEEK = timedelta(days=7)
Published = Callable[[], bytes]
"""What an authority's address answers."""


def trust(**lists: Any) -> dict[str, Any]:
    """The anchor ``datacenter`` with lists, and no other that has any."""
    document = deepcopy(TRUST)
    for name in ("listed", "patient"):
        del document["trust_anchors"][name]
        del document["profiles"][name]
    document["trust_anchors"]["datacenter"] |= lists
    return document


class Estate:
    """An anchor, the place where its authority publishes, and the function that looks there."""

    def __init__(self, **lists: Any) -> None:
        self.world = CertificateWorld(trust=trust(**lists))
        self.anchor = self.world.anchor("datacenter")
        self.published: Published = lambda: pki.crl(pki.root(), ends=pki.NOW + WEEK)
        self.context = lambda_context()
        self.world.routes  # noqa: B018 - the logger's output from here on
        self.run = background.key_refresh(
            RefreshSettings(aws=AwsSettings(region=REGION), trust_table="trust", keys_table="keys"),
            transport=self.world.aws,
            credentials=lambda: OWN,
            fetch=self.no_keys,
            fetch_list=lambda url: self.published() if url == URL else b"",
            clock=lambda: self.world.now,
        )

    def no_keys(self, _url: str) -> bytes:
        raise UnavailableError("fetch-connect", "no issuer here")

    def publish(self, *serials: int, **fields: Any) -> bytes:
        data = pki.crl(pki.root(), *serials, **({"ends": pki.NOW + WEEK} | fields))
        self.published = lambda: data
        return data

    def bring(self, *serials: int, **fields: Any) -> None:
        """Do what ``sallyport trust import-crl`` does with a file, down to the table."""
        data = pki.crl(pki.root(), *serials, **({"ends": pki.NOW + WEEK} | fields))
        checked = check_list(data, name=FILE, file=FILE, anchor=self.anchor, now=self.world.now)
        CrlTable(self.world.aws.tables["trust"], "trust").bring(checked, by="alice", at=self.world.now)

    def refresh(self, event: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        done = self.run(event or {}, self.context)
        crls: list[dict[str, Any]] = done["crls"]
        return crls

    def one(self) -> dict[str, Any]:
        (crl,) = self.refresh()
        return crl

    def asks(self, serial: int) -> int | str:
        """A workload whose certificate has this number, asking an instance that has nothing cached."""
        self.world.advance(10)
        answer = self.world.ask(pki.leaf(serial=serial))
        if answer["statusCode"] in {201, 503}:
            return int(answer["statusCode"])
        return str(json.loads(answer["body"])["message"])


@pytest.fixture
def fetched() -> Estate:
    return Estate(crl_urls=[URL])


@pytest.fixture
def brought() -> Estate:
    return Estate(crls=[FILE])


REVOKED = "Certificate revoked"


class TestFetched:
    def test_before_the_first_refresh_nobody_gets_in(self, fetched: Estate) -> None:
        assert fetched.asks(7) == 503

    def test_what_was_published_is_in_force(self, fetched: Estate) -> None:
        fetched.publish(7)
        crl = fetched.one()
        assert (crl["status"], crl["number"], crl["entries"]) == ("refreshed", "1", 1)
        assert crl["next_update"] == (pki.NOW + WEEK).isoformat()
        assert fetched.asks(7) == REVOKED
        assert fetched.asks(8) == 201

    def test_a_thousand_are_revoked_and_their_neighbours_are_not(self, fetched: Estate) -> None:
        fetched.publish(*range(1_001, 3_001, 2))
        fetched.one()
        for serial in (1_001, 1_999, 2_999):
            assert fetched.asks(serial) == REVOKED
            assert fetched.asks(serial + 1) == 201
        assert fetched.asks(1_000) == 201

    def test_a_new_list_takes_the_place_of_the_old_one_whole(self, fetched: Estate) -> None:
        fetched.publish(7, 8)
        fetched.one()
        fetched.publish(8, 9, number=2)
        assert fetched.one()["status"] == "refreshed"
        assert [fetched.asks(serial) for serial in (7, 8, 9)] == [201, REVOKED, REVOKED]

    def test_an_old_list_does_not_come_back(self, fetched: Estate) -> None:
        old = fetched.publish(number=1)
        fetched.one()
        fetched.publish(7, number=2)
        fetched.one()
        fetched.published = lambda: old
        assert fetched.one()["reason"] == "crl-older"
        assert fetched.asks(7) == REVOKED

    def test_a_place_that_is_away_changes_nothing_until_the_list_ends(self, fetched: Estate) -> None:
        fetched.publish(7)
        fetched.one()

        def away() -> bytes:
            raise UnavailableError("fetch-timeout", "away")

        fetched.published = away
        assert fetched.one()["reason"] == "fetch-timeout"
        assert [fetched.asks(7), fetched.asks(8)] == [REVOKED, 201]
        fetched.world.advance(WEEK.total_seconds())
        assert [fetched.asks(7), fetched.asks(8)] == [REVOKED, 503]

    def test_a_list_that_fails_too_long_is_an_alarm(self, capsys: pytest.CaptureFixture[str]) -> None:
        fetched = Estate(crl_urls=[URL])
        fetched.publish(7)
        fetched.one()
        fetched.published = lambda: b"<html>"
        capsys.readouterr()
        fetched.one()
        assert [one["message"] for one in lines(capsys) if one.get("list_id")] == ["crl"]
        fetched.world.advance(timedelta(days=4.1).total_seconds())
        fetched.one()
        (alarm,) = [one for one in lines(capsys) if one.get("list_id")]
        assert (alarm["message"], alarm["level"]) == ("StaleCrls", "ERROR")
        assert (alarm["reason"], alarm["list_id"]) == ("crl-malformed", URL)

    def test_an_address_is_asked_over_real_http(self, fetched: Estate) -> None:
        """The wiring's own fetcher speaks to loopback in the local cloud alone, and so not here."""
        with Server(answer(fetched.publish(7))) as server:
            local = f"http://127.0.0.1:{server.port}/root.crl"
            fetched.published = lambda: ListFetcher(local=True)(local)
            assert fetched.one()["status"] == "refreshed"
            fetched.published = lambda: ListFetcher()(local)
            assert fetched.one()["reason"] == "fetch-url"
        assert fetched.asks(7) == REVOKED


class TestBrought:
    def test_a_list_that_nobody_brought_is_missing(self, brought: Estate) -> None:
        assert brought.one()["reason"] == "crl-not-brought"
        assert brought.asks(7) == 503

    def test_what_was_imported_is_in_force_once_it_was_refreshed(self, brought: Estate) -> None:
        brought.bring(7)
        assert brought.asks(8) == 503
        event = {"anchor_ids": [brought.anchor.id]}
        (crl,) = brought.refresh(event)
        assert crl["status"] == "refreshed"
        assert [brought.asks(7), brought.asks(8)] == [REVOKED, 201]

    def test_a_piece_that_somebody_changed_is_seen(self, brought: Estate) -> None:
        brought.bring(7)
        brought.one()
        brought.bring(8, number=2)
        items = brought.world.aws.tables["trust"].items
        pointer = items[list_key(brought.anchor.id, FILE), "-"]
        items[f"crl-data#{pointer['digest']['S']}", "0000"]["data"] = {"B": b"other"}
        assert brought.one()["reason"] == "crl-damaged"
        assert [brought.asks(7), brought.asks(8)] == [REVOKED, 201]

    def test_an_old_list_imported_beside_the_fetched_one_takes_nothing_back(self) -> None:
        both = Estate(crl_urls=[URL], crls=[FILE])
        both.publish(7, 8, number=5)
        both.refresh()
        both.bring(7, number=4)
        assert {crl["status"] for crl in both.refresh()} == {"confirmed", "refreshed"}
        assert [both.asks(7), both.asks(8), both.asks(9)] == [REVOKED, REVOKED, 201]


class TestRun:
    def test_a_run_that_dies_before_the_flip_has_changed_nothing(self, fetched: Estate) -> None:
        class DiedError(BaseException):
            pass

        def die(_url: str, body: bytes, _limits: TimeLimits) -> HttpResponse | None:
            if b"UpdateExpression" in body and b"crl#" in body:
                raise DiedError
            return None

        fetched.publish(7)
        fetched.one()
        fetched.publish(*range(100, 200), number=2)
        fetched.world.aws.intercept = die
        with pytest.raises(DiedError):
            fetched.one()
        fetched.world.aws.intercept = lambda _url, _body, _limits: None
        assert [fetched.asks(7), fetched.asks(150)] == [REVOKED, 201]
        assert fetched.one()["status"] == "refreshed"
        assert [fetched.asks(7), fetched.asks(150)] == [201, REVOKED]

    def test_a_table_that_takes_nothing_leaves_the_old_list(
        self, fetched: Estate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(revocation_tables, "PAUSES", (0.0, 0.0))
        monkeypatch.setattr("sallyport.adapters.aws.PAUSE_SECONDS", 0)
        fetched.publish(7)
        fetched.one()
        fetched.publish(8, number=2)
        with fetched.world.fault("dynamodb/BatchWriteItem", unreachable):
            assert fetched.one()["reason"] == "crl-not-written"
        assert [fetched.asks(7), fetched.asks(8)] == [REVOKED, 201]

    def test_what_the_table_leaves_over_is_written_too(
        self, fetched: Estate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(revocation_tables, "PAUSES", (0.0,) * 10)
        fetched.world.aws.tables["keys"].leave_over = 24
        fetched.publish(*range(100, 150))
        assert fetched.one()["status"] == "refreshed"
        assert [fetched.asks(serial) for serial in (99, 100, 123, 149, 150)] == [
            201,
            REVOKED,
            REVOKED,
            REVOKED,
            201,
        ]

    def test_the_schedule_does_keys_and_lists(self, fetched: Estate) -> None:
        done = fetched.run(load_event("refresh_keys_schedule"), fetched.context)
        assert [one["anchor_name"] for one in done["anchors"]] == ["gitlab"]
        assert [one["anchor_name"] for one in done["crls"]] == ["datacenter"]

    def test_an_exchange_that_asks_for_keys_waits_for_no_list(self, fetched: Estate) -> None:
        gitlab = "3f0b7d6e-0000-5000-8000-000000000003"
        done = fetched.run({"anchor_ids": [gitlab], "asked": True}, fetched.context)
        assert done["crls"] == []
        assert [one["reason"] for one in done["anchors"]] == ["anchor-unknown"]

    def test_an_anchor_with_lists_is_not_taken_for_an_unknown_one(self, fetched: Estate) -> None:
        other = "3f0b7d6e-0000-5000-8000-000000000003"
        event = {"anchor_ids": [fetched.anchor.id, other]}
        done = fetched.run(event, fetched.context)
        assert [one["anchor_id"] for one in done["anchors"]] == [other]
        assert [one["anchor_id"] for one in done["crls"]] == [fetched.anchor.id]

    def test_nobody_is_everybody_only_by_saying_nothing(self, fetched: Estate) -> None:
        done = fetched.run({"anchor_ids": []}, fetched.context)
        assert done == {"anchors": [], "crls": []}

    def test_a_defect_with_keys_costs_no_list(self, fetched: Estate) -> None:
        fetched.publish(7)

        def bug(_url: str) -> bytes:
            raise RuntimeError("bug")

        estate = fetched
        run = background.key_refresh(
            RefreshSettings(aws=AwsSettings(region=REGION), trust_table="trust", keys_table="keys"),
            transport=estate.world.aws,
            credentials=lambda: OWN,
            fetch=bug,
            fetch_list=lambda _url: estate.published(),
            clock=lambda: estate.world.now,
        )
        with pytest.raises(ExceptionGroup):
            run({}, estate.context)
        assert estate.asks(7) == REVOKED

    def test_only_the_keys_table_is_written(self, brought: Estate) -> None:
        brought.bring(7)
        brought.one()
        for _, headers, body in brought.world.aws.requests:
            operation = headers["X-Amz-Target"].rpartition(".")[2]
            if operation == "BatchWriteItem":
                (table,) = json.loads(body)["RequestItems"]
                (request,) = json.loads(body)["RequestItems"][table]
                assert table == "keys"
                assert request["PutRequest"]["Item"]["pk"]["S"].startswith("revoked#")
            elif not operation.startswith(("Get", "BatchGet", "Query")):
                assert json.loads(body)["TableName"] == "keys"
