"""Keys and lists share one run, and neither takes the other's turn."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from sallyport.errors import UnavailableError
from sallyport.keys import ANCHOR_SECONDS, FetchedKeys, RefreshKeys, RefreshStatus
from sallyport.model import X509Anchor
from sallyport.refresh import LISTS_SHARE, Refresh, Refreshed
from sallyport.revocation import BRING_SECONDS, ListStatus, RefreshLists
from tests.support import pki, tokens
from tests.unit.test_revocation import URL, Shelf, Store

LISTED = pki.anchor(crls=(URL,), crl_urls=(URL,))


@dataclass
class Run:
    """A run with many issuers, all of which take as long as they may and then fail."""

    issuers: int = 100
    anchors: tuple[X509Anchor, ...] = (LISTED,)
    left: float = 900.0
    left_for_lists: list[float] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    broken: type[Exception] = UnavailableError

    def key(self, url: str) -> bytes:
        self.left -= ANCHOR_SECONDS
        self.fetched.append(url)
        raise self.broken("fetch-timeout")

    def list(self, url: str) -> bytes:
        self.left_for_lists.append(self.left)
        if self.broken is not UnavailableError and self.issuers == 0:
            raise self.broken("fetch-timeout")
        return pki.crl(pki.root(), 7)

    def write(self, _keys: FetchedKeys, /) -> None:
        raise AssertionError("nothing was fetched")

    def claim_ask(self, _anchor_id: str, _now: datetime, /) -> bool:
        return True

    def __call__(self, **event: Any) -> Refreshed:
        oidc = [
            replace(tokens.anchor(), id=f"issuer-{number}", name=f"issuer-{number}")
            for number in range(self.issuers)
        ]
        refresh = Refresh(
            anchors=lambda: self.anchors,
            keys=RefreshKeys(
                anchors=lambda: oidc,
                fetch=self.key,
                read=lambda _anchor_id: None,
                write=self.write,
                claim_ask=self.claim_ask,
                report=lambda _outcome: None,
            ),
            lists=RefreshLists(fetch=self.list, brought=Shelf(), lists=Store(), report=lambda _outcome: None),
        )
        return refresh(now=pki.NOW, time_left=lambda: self.left, **event)


def test_slow_issuers_leave_a_lists_time_to_lists() -> None:
    run = Run()
    done = run()
    (left,) = run.left_for_lists
    assert left >= 900 * LISTS_SHARE > 600
    assert [one.status for one in done.lists] == [ListStatus.REFRESHED]
    assert {one.reason for one in done.keys if one.status is RefreshStatus.SKIPPED} == {"out-of-time"}


@pytest.mark.parametrize("anchors", [(), (pki.anchor(),)], ids=["no anchor", "no list"])
def test_without_lists_keys_have_all_of_the_time(anchors: tuple[X509Anchor, ...]) -> None:
    run = Run(anchors=anchors)
    run()
    assert run.left < 2 * ANCHOR_SECONDS


def test_somebody_who_waits_for_a_key_waits_for_nothing_else() -> None:
    run = Run(issuers=1)
    done = run(anchor_ids=["issuer-0", LISTED.id], asked=True)
    assert run.left_for_lists == []
    assert [one.anchor_id for one in done.keys] == ["issuer-0", LISTED.id]
    assert done.keys[1].reason == "anchor-unknown"


def test_whose_is_asked_for_is_done_and_nobody_elses() -> None:
    other = replace(LISTED, id="other", name="other")
    run = Run(issuers=2, anchors=(LISTED, other))
    done = run(anchor_ids=["issuer-1", "other", "nobody"])
    assert [(one.anchor_id, one.reason) for one in done.keys] == [
        ("issuer-1", "fetch-timeout"),
        ("nobody", "anchor-unknown"),
    ]
    assert [one.anchor_id for one in done.lists] == ["other"]


def test_nobody_is_not_everybody() -> None:
    assert Run()(anchor_ids=[]) == Refreshed((), ())


def test_a_defect_here_costs_nothing_there() -> None:
    run = Run(issuers=1, broken=RuntimeError)
    with pytest.raises(ExceptionGroup) as group:
        run()
    assert len(group.value.exceptions) == 1
    assert len(run.left_for_lists) == 1


def test_a_defect_with_lists_is_as_loud() -> None:
    run = Run(issuers=0, broken=RuntimeError)
    with pytest.raises(ExceptionGroup) as group:
        run()
    assert [type(one) for one in group.value.exceptions] == [RuntimeError]


def test_with_little_time_left_nothing_is_begun() -> None:
    run = Run(issuers=1, left=min(BRING_SECONDS, ANCHOR_SECONDS) - 1)
    done = run()
    assert {one.reason for one in done.keys} == {"out-of-time"}
    assert {one.reason for one in done.lists} == {"crl-out-of-time"}
