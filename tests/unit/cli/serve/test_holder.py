"""Credentials that stay fresh: one exchange for many readers, and never any that are empty or over."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.model import Secret
from sallyport_cli.serve import holder as holders
from sallyport_cli.serve import schedule
from sallyport_cli.serve.holder import Holder
from sallyport_cli.serve.http_head import Refusal
from sallyport_cli.workload.problem import ExchangeError, Kind
from sallyport_cli.workload.session import SessionCredentials
from tests.support.sessions import START, Clock, Obtain, refused, session


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def obtain(clock: Clock) -> Obtain:
    return Obtain(clock=clock)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def holder(
    obtain: Obtain, clock: Clock, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Holder]:
    monkeypatch.setattr(schedule, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(schedule, "AFTER_DENIAL", 0.05)
    monkeypatch.setattr(holders, "LONGEST_SLEEP", 0.01)
    one = Holder(obtain, clock=clock, tell=told.append)
    yield one
    one.stop()


def key(holder: Holder, patience: float = 5) -> str:
    return holder.credentials(patience).access_key_id


def becomes(holder: Holder, number: int) -> None:
    """Wait until readers get the session with this number."""
    wanted = session(number).access_key_id
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if key(holder) == wanted:
                return
        except Refusal:
            pass
        time.sleep(0.005)
    raise AssertionError(f"readers never got {wanted}")


def loses(holder: Holder) -> str:
    """Wait until readers get nothing, and return why."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            holder.credentials(0)
        except Refusal as refusal:
            return refusal.message
        time.sleep(0.005)
    raise AssertionError("readers still get credentials")


def test_twenty_readers_cause_one_exchange(holder: Holder, obtain: Obtain) -> None:
    obtain.gate = threading.Event()
    holder.start()
    with ThreadPoolExecutor(20) as pool:
        found = [pool.submit(key, holder) for _ in range(20)]
        obtain.asked.acquire(timeout=10)
        obtain.gate.set()
        assert {one.result(10) for one in found} == {session(1).access_key_id}
    assert obtain.calls == 1


def test_credentials_are_replaced_before_clients_ask_for_newer_ones(
    holder: Holder, clock: Clock, obtain: Obtain
) -> None:
    holder.first()
    holder.start()
    clock.passes(minutes=39)
    time.sleep(0.05)
    assert obtain.calls == 1
    clock.passes(minutes=1)
    becomes(holder, 2)


def test_while_newer_ones_are_asked_for_readers_get_the_old(
    holder: Holder, clock: Clock, obtain: Obtain
) -> None:
    holder.first()
    obtain.asked.acquire()
    obtain.gate = threading.Event()
    holder.start()
    clock.passes(minutes=45)
    assert obtain.asked.acquire(timeout=10)
    assert key(holder, 0) == session(1).access_key_id
    obtain.gate.set()
    becomes(holder, 2)


def test_expired_credentials_are_never_handed_out(holder: Holder, clock: Clock) -> None:
    holder.first()
    clock.passes(minutes=59, seconds=49)
    assert key(holder, 0) == session(1).access_key_id
    clock.passes(seconds=1)
    with pytest.raises(Refusal) as caught:
        holder.credentials(0)
    assert caught.value.status == 503


def test_after_a_long_sleep_a_reader_wakes_the_refresh(
    holder: Holder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "LONGEST_SLEEP", 600.0)
    holder.first()
    holder.start()
    time.sleep(0.05)
    clock.passes(hours=9)
    assert key(holder) == session(2).access_key_id


def test_an_endpoint_that_is_away_costs_nothing_until_the_end(
    holder: Holder, clock: Clock, obtain: Obtain, told: list[str]
) -> None:
    holder.first()
    obtain.failing = refused("unreachable")
    holder.start()
    clock.passes(minutes=50)
    for _ in range(4):
        assert obtain.asked.acquire(timeout=10)
    assert key(holder, 0) == session(1).access_key_id
    clock.passes(minutes=10)
    with pytest.raises(Refusal, match="unreachable"):
        holder.credentials(0)
    obtain.failing = None
    end = time.monotonic() + 10
    while time.monotonic() < end and not told[-1].startswith("credentials"):
        time.sleep(0.01)
    assert key(holder) == session(obtain.calls).access_key_id


def test_a_denial_takes_the_credentials_away(holder: Holder, clock: Clock, obtain: Obtain) -> None:
    holder.first()
    obtain.failing = refused("denied")
    holder.start()
    clock.passes(minutes=41)
    assert "denied" in loses(holder)
    obtain.failing = None
    becomes(holder, obtain.calls + 1)


@pytest.mark.parametrize("kind", ["denied", "local"])
def test_what_waiting_does_not_help_ends_it_at_the_start(holder: Holder, obtain: Obtain, kind: Kind) -> None:
    obtain.failing = refused(kind)
    with pytest.raises(ExchangeError, match=kind):
        holder.first()


@pytest.mark.parametrize("kind", ["unreachable", "throttled", "server"])
def test_what_passes_is_waited_for(holder: Holder, obtain: Obtain, kind: Kind) -> None:
    obtain.failing = refused(kind)
    holder.first()
    with pytest.raises(Refusal, match=kind):
        holder.credentials(0)
    obtain.failing = None
    holder.start()
    becomes(holder, 2)


@pytest.mark.parametrize("reason", ["pin-wrong", "pin-locked"])
def test_a_wrong_pin_is_not_tried_again(
    holder: Holder, clock: Clock, obtain: Obtain, told: list[str], reason: str
) -> None:
    holder.first()
    holder.start()
    obtain.failing = ExchangeError(reason, "The token does not take the PIN.", kind="local")
    clock.passes(minutes=41)
    end = time.monotonic() + 10
    while not any("not tried again" in one for one in told) and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.1)
    assert obtain.calls == 2
    assert key(holder, 0) == session(1).access_key_id, "what there is can be used until it ends"
    clock.passes(minutes=19)
    with pytest.raises(Refusal, match="PIN"):
        holder.credentials(0)


def test_where_nobody_reads_beside_it_a_wrong_pin_ends_it(holder: Holder, obtain: Obtain) -> None:
    obtain.failing = ExchangeError("pin-wrong", "The token does not take the PIN.", kind="local")
    with pytest.raises(ExchangeError, match="PIN"):
        holder.run()
    assert obtain.calls == 1


def broken(**changes: object) -> SessionCredentials:
    whole = session(1, START + timedelta(hours=1))
    fields = {name: getattr(whole, name) for name in whole.__dataclass_fields__}
    return SessionCredentials(**{**fields, **changes})


@pytest.mark.parametrize(
    "empty",
    [
        broken(access_key_id=""),
        broken(secret_access_key=Secret("")),
        broken(session_token=Secret("")),
        broken(expiration=START),
    ],
    ids=["key", "secret", "token", "over"],
)
def test_what_is_no_session_is_an_error_and_not_handed_out(clock: Clock, empty: SessionCredentials) -> None:
    holder = Holder(lambda: empty, clock=clock)
    holder.first()
    with pytest.raises(Refusal) as caught:
        holder.credentials(0)
    assert caught.value.status == 503


def test_an_unforeseen_error_does_not_end_the_refresh(holder: Holder, clock: Clock, obtain: Obtain) -> None:
    holder.first()
    obtain.failing = ZeroDivisionError("token/1==")
    holder.start()
    clock.passes(minutes=45)
    obtain.asked.acquire()
    assert obtain.asked.acquire(timeout=10)
    assert obtain.asked.acquire(timeout=10)
    obtain.failing = None
    end = time.monotonic() + 10
    while time.monotonic() < end and key(holder) == session(1).access_key_id:
        time.sleep(0.005)
    assert key(holder) != session(1).access_key_id


def test_what_is_told_has_no_secret(holder: Holder, clock: Clock, obtain: Obtain, told: list[str]) -> None:
    holder.first()
    obtain.failing = refused("server")
    holder.start()
    clock.passes(minutes=45)
    end = time.monotonic() + 10
    while time.monotonic() < end and len(told) < 2:
        time.sleep(0.005)
    assert told[0].startswith("credentials ASIAEXAMPLE000000001 until 2026-")
    assert "secret/" not in "".join(told)
    assert "token/" not in "".join(told)


@given(st.integers(900, 43_200), st.integers(0, 43_200))
def test_credentials_are_fetched_in_their_second_half_and_before_their_end(lasting: int, passed: int) -> None:
    end = START + timedelta(seconds=lasting)
    due = schedule.refresh_at(START, end)
    assert START + timedelta(seconds=lasting) / 2 <= due < end
    if lasting >= 2_400:
        assert end - due == schedule.AHEAD
    now = START + timedelta(seconds=passed)
    assert schedule.is_usable(end, now) == (passed < lasting - 10)


@given(st.integers(1, 10_000), st.booleans(), st.floats(0, 1))
def test_pauses_are_bounded(failures: int, denied: bool, chance: float) -> None:  # noqa: FBT001 - drawn
    pause = schedule.pause_after(failures, denied=denied, chance=chance)
    assert 0.5 <= pause <= 60
    if denied:
        assert pause >= 30
