"""The cache: when an exchange happens, what stands in for one, and what is never handed out."""

import fcntl
import json
import os
import stat
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sallyport_cli.post import Answer, post
from sallyport_cli.workload import folder as folders
from sallyport_cli.workload.entry import MAX_ENTRY_BYTES, Entry, dump, load
from sallyport_cli.workload.problem import ExchangeError
from tests.support.token_exchange import (
    BROKEN,
    DENIED,
    HTML,
    HTML_REFUSED,
    THROTTLED,
    Reply,
    token,
)
from tests.unit.cli.workload.conftest import Workload

pytestmark = pytest.mark.enable_socket


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sallyport_cli.workload.asking.FIRST_PAUSE", 0)


# --- when there is an exchange ---------------------------------------------------------------------


def test_a_second_call_asks_nobody(workload: Workload) -> None:
    first = workload.obtain()
    workload.passes(minutes=39)
    assert workload.obtain().access_key_id == first.access_key_id
    assert workload.exchange.asked == 1


def test_credentials_are_renewed_ahead_of_the_last_quarter_of_an_hour(workload: Workload) -> None:
    workload.obtain()
    workload.passes(minutes=40)
    assert workload.obtain().access_key_id.endswith("2")
    assert workload.exchange.asked == 2


@pytest.mark.parametrize("left", [15, 14, 1])
def test_what_has_a_quarter_of_an_hour_left_or_less_is_not_handed_out(workload: Workload, left: int) -> None:
    workload.obtain()
    workload.passes(minutes=60 - left)
    assert workload.obtain().access_key_id.endswith("2")


def test_a_session_of_a_quarter_of_an_hour_never_comes_from_the_cache(workload: Workload) -> None:
    workload.exchange.lasting = timedelta(minutes=15)
    assert workload.obtain().access_key_id.endswith("1")
    workload.passes(seconds=1)
    assert workload.obtain().access_key_id.endswith("2")


def test_a_session_a_little_longer_does_for_the_little(workload: Workload) -> None:
    workload.exchange.lasting = timedelta(minutes=20)
    workload.obtain()
    workload.passes(minutes=3)
    assert workload.obtain().access_key_id.endswith("1")
    workload.passes(minutes=1)
    assert workload.obtain().access_key_id.endswith("2")


def test_a_new_token_is_a_new_exchange(workload: Workload) -> None:
    for number in range(3):
        claims = {"iss": "https://issuer", "sub": "somebody", "jti": str(number)}
        workload.token_file.write_text(token(claims))
        workload.obtain()
        workload.obtain()
    assert workload.exchange.asked == 3


@pytest.mark.parametrize("signature", ["", "AAAA", "c2lnbmF0dXJf"])
def test_a_token_with_somebodys_claims_and_no_good_signature_is_shown_to_the_exchange(
    workload: Workload, signature: str
) -> None:
    header, payload, signed = workload.token_file.read_text().split(".")
    assert signed != signature
    workload.obtain()
    workload.exchange.always = DENIED
    workload.token_file.write_text(f"{header}.{payload}.{signature}")
    with pytest.raises(ExchangeError) as caught:
        workload.obtain()
    assert caught.value.kind == "denied"
    assert len(workload.files()) == 1, "the denial of one token is not another's"


def test_what_was_issued_while_the_token_was_replaced_is_nobodys(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = workload.token_file.read_text()
    wish = workload.wish()

    def replaced(*arguments: Any) -> Answer:
        workload.token_file.write_text(token({"iss": "https://issuer", "sub": "somebody-else"}))
        return post(*arguments)

    monkeypatch.setattr("sallyport_cli.workload.asking.post", replaced)
    workload.cache().obtain(wish, workload.clock)
    assert workload.files() == []
    monkeypatch.setattr("sallyport_cli.workload.asking.post", post)
    for text in (mine, workload.token_file.read_text()):
        workload.token_file.write_text(text)
        workload.obtain()
    assert workload.exchange.asked == 3


@pytest.mark.parametrize(
    "change",
    [
        {"sub": "somebody-else"},
        {"iss": "https://other"},
        {"aud": "another"},
        {"groups": ["admins"]},
        {"environment": "production"},
        {"unheard-of": 1},
    ],
)
def test_another_identity_in_the_same_file_gets_its_own(
    workload: Workload, change: dict[str, object]
) -> None:
    workload.obtain()
    workload.token_file.write_text(token({"iss": "https://issuer", "sub": "somebody", "jti": "1"} | change))
    assert workload.obtain().access_key_id.endswith("2")


@pytest.mark.parametrize(
    "change",
    [
        {"role-arn": "arn:aws:iam::111122223333:role/sallyport/writer"},
        {"session-duration": "1800"},
        {"role-session-name": "nightly"},
        {"trust-profile": "other"},
    ],
)
def test_another_wish_is_another_exchange(workload: Workload, change: dict[str, str]) -> None:
    workload.obtain()
    assert workload.obtain(**change).access_key_id.endswith("2")


def test_what_is_no_token_is_its_own_identity(workload: Workload) -> None:
    for text in ("opaque-1", "opaque-2", "a.b.c", "a.W10.c"):
        workload.token_file.write_text(text)
        workload.obtain()
    assert workload.exchange.asked == 4


# --- what stands in --------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [BROKEN, THROTTLED, (500, b"<html>"), (502, b"")])
@pytest.mark.parametrize("left", [19, 10, 2])
def test_what_is_still_valid_stands_in_for_a_failed_renewal(
    workload: Workload, reply: Reply, left: int
) -> None:
    workload.obtain()
    workload.passes(minutes=60 - left)
    workload.exchange.always = reply
    assert workload.obtain().access_key_id.endswith("1")
    assert workload.exchange.asked == 2


def test_what_is_still_valid_stands_in_for_an_endpoint_that_is_away(workload: Workload) -> None:
    workload.obtain()
    workload.passes(minutes=50)
    workload.exchange.__exit__(None, None, None)
    assert workload.obtain().access_key_id.endswith("1")
    workload.exchange.__enter__()
    workload.passes(seconds=31)
    assert workload.obtain().access_key_id.endswith("2")


def test_after_a_failed_renewal_nobody_tries_for_half_a_minute(workload: Workload) -> None:
    workload.obtain()
    workload.passes(minutes=50)
    workload.exchange.always = BROKEN
    for _ in range(5):
        workload.obtain()
        workload.passes(seconds=5)
    assert workload.exchange.asked == 2
    workload.passes(seconds=6)
    workload.obtain()
    assert workload.exchange.asked == 3


def test_nothing_stands_in_when_it_is_over(workload: Workload) -> None:
    workload.obtain()
    workload.passes(minutes=59, seconds=1)
    workload.exchange.always = BROKEN
    with pytest.raises(ExchangeError) as caught:
        workload.obtain()
    assert caught.value.kind == "server"


def test_a_denial_deletes_what_there_is(workload: Workload) -> None:
    workload.obtain()
    workload.passes(minutes=41)
    workload.exchange.replies = [DENIED]
    workload.exchange.always = BROKEN
    with pytest.raises(ExchangeError, match="ex-refused") as caught:
        workload.obtain()
    assert caught.value.kind == "denied"
    assert workload.files() == []
    workload.passes(seconds=1)
    with pytest.raises(ExchangeError) as again:
        workload.obtain()
    assert again.value.kind == "server"


@pytest.mark.parametrize("reply", [HTML, HTML_REFUSED, (302, b""), (200, b"{}"), (200, b"[" * 9_999)])
def test_what_is_no_exchange_neither_denies_nor_is_stood_in_for(workload: Workload, reply: Reply) -> None:
    workload.obtain()
    workload.passes(minutes=41)
    workload.exchange.always = reply
    with pytest.raises(ExchangeError) as caught:
        workload.obtain()
    assert caught.value.kind == "local"
    workload.passes(seconds=1)
    workload.exchange.always = BROKEN
    assert workload.obtain().access_key_id.endswith("1")


def test_without_the_token_nothing_is_handed_out(workload: Workload) -> None:
    workload.obtain()
    workload.token_file.unlink()
    with pytest.raises(ExchangeError, match="cannot be read") as caught:
        workload.obtain()
    assert caught.value.kind == "local"
    assert len(workload.files()) == 1


def test_a_pipe_is_read_once_by_whoever_needs_the_token(workload: Workload) -> None:
    text = workload.token_file.read_text()
    workload.token_file.unlink()
    os.mkfifo(workload.token_file)
    writer = threading.Thread(target=workload.token_file.write_text, args=(text,), daemon=True)
    writer.start()
    assert workload.obtain().access_key_id.endswith("1")
    writer.join(5)
    assert workload.exchange.tokens == [text]
    assert workload.files() == []


def test_a_pipe_that_nobody_writes_into_is_a_sentence(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sallyport_cli.open_file.PIPE_SECONDS", 0.05)
    workload.token_file.unlink()
    os.mkfifo(workload.token_file)
    with pytest.raises(ExchangeError, match="nobody writes"):
        workload.obtain()


def test_nothing_is_kept_for_an_identity_that_was_not_known_at_first(workload: Workload) -> None:
    text = workload.token_file.read_text()
    workload.token_file.unlink()
    wish = workload.wish()
    workload.token_file.write_text(text)
    assert workload.cache().obtain(wish, workload.clock).access_key_id.endswith("1")
    assert workload.files() == []


# --- what cannot be believed -----------------------------------------------------------------------


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _fifo(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    os.mkfifo(path, 0o600)
    # Stays open: somebody writes what the file had.
    os.write(os.open(path, os.O_RDWR | os.O_NONBLOCK), data)


def _linked(path: Path) -> None:
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def _other_name(path: Path) -> None:
    key = "f" * 64
    entry = load(path.read_bytes(), path.stem)
    assert entry is not None
    path.write_bytes(dump(Entry(key, entry.obtained, entry.ends, entry.about, entry.document)))


def _longer(path: Path) -> None:
    entry = load(path.read_bytes(), path.stem)
    assert entry is not None
    path.write_bytes(dump(Entry(entry.key, entry.obtained, entry.ends + 10**9, entry.about, entry.document)))


def _other_document(path: Path) -> None:
    entry = load(path.read_bytes(), path.stem)
    assert entry is not None
    path.write_bytes(dump(Entry(entry.key, entry.obtained, entry.ends, entry.about, '{"Version": 2}')))


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "one bit": _flipped,
    "not text": lambda path: path.write_bytes(b"\xff\x00" * 99),
    "huge": lambda path: path.write_bytes(b"x" * (MAX_ENTRY_BYTES + 1)),
    "readable by the group": lambda path: path.chmod(0o640),
    "writable by everybody": lambda path: path.chmod(0o602),
    "a link": _linked,
    "with a second name": lambda path: path.with_suffix(".second").hardlink_to(path),
    "a pipe": _fifo,
    "of another key": _other_name,
    "longer than any session": _longer,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_not_as_it_should_be_is_ignored_and_replaced(workload: Workload, damage: str) -> None:
    workload.obtain()
    entry = workload.entry()
    DAMAGE[damage](entry)
    assert workload.obtain().access_key_id.endswith("2")
    assert stat.S_IMODE(entry.lstat().st_mode) == 0o600
    assert workload.obtain().access_key_id.endswith("2")
    assert workload.said == []


def test_what_a_link_leads_to_is_not_written(workload: Workload) -> None:
    workload.obtain()
    target = workload.folder / "precious"
    target.write_text("mine")
    entry = workload.entry()
    entry.unlink()
    entry.symlink_to(target)
    workload.obtain()
    assert target.read_text() == "mine"
    assert not entry.is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_somebody_elses_file_is_ignored(workload: Workload) -> None:
    workload.obtain()
    os.chown(workload.entry(), 12_345, -1)
    assert workload.obtain().access_key_id.endswith("2")


def test_a_document_that_is_none_is_not_handed_out(workload: Workload) -> None:
    workload.obtain()
    _other_document(workload.entry())
    assert workload.obtain().access_key_id.endswith("2")


def test_a_directory_in_a_files_place_does_not_stop_anybody(workload: Workload) -> None:
    workload.obtain()
    entry = workload.entry()
    entry.unlink()
    entry.mkdir()
    assert workload.obtain().access_key_id.endswith("2")
    assert "cannot be kept" in workload.said[0]


def test_a_file_from_the_future_is_ignored(workload: Workload) -> None:
    workload.obtain()
    workload.passes(minutes=-2)
    assert workload.obtain().access_key_id.endswith("2")


# --- the folder ------------------------------------------------------------------------------------


def test_files_and_folder_are_for_their_owner_alone(workload: Workload) -> None:
    before = os.umask(0)
    try:
        workload.obtain()
    finally:
        os.umask(before)
    assert stat.S_IMODE(workload.cache_folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in workload.cache_folder.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_can_look_into_keeps_nothing(workload: Workload, mode: int) -> None:
    workload.cache_folder.mkdir()
    workload.cache_folder.chmod(mode)
    workload.obtain()
    workload.obtain()
    assert workload.exchange.asked == 2
    assert list(workload.cache_folder.iterdir()) == []
    assert "cannot be kept" in workload.said[0]


def test_a_folder_that_is_a_link_keeps_nothing(workload: Workload) -> None:
    (workload.folder / "elsewhere").mkdir(mode=0o700)
    workload.cache_folder.symlink_to(workload.folder / "elsewhere")
    workload.obtain()
    assert list((workload.folder / "elsewhere").iterdir()) == []
    assert "cannot be kept" in workload.said[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_somebody_elses_folder_keeps_nothing(workload: Workload) -> None:
    workload.cache_folder.mkdir(mode=0o700)
    os.chown(workload.cache_folder, 12_345, -1)
    workload.obtain()
    assert list(workload.cache_folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_stops_nobody(workload: Workload) -> None:
    workload.cache_folder.write_text("a file")
    assert workload.obtain().access_key_id.endswith("1")
    assert "cannot be kept" in workload.said[0]


def test_half_written_files_are_swept_when_they_are_old(workload: Workload) -> None:
    workload.obtain()
    old, young = workload.cache_folder / "a.new", workload.cache_folder / "b.new"
    for one in (old, young):
        one.touch()
    os.utime(old, (1, 1))
    workload.passes(minutes=50)
    workload.obtain()
    assert not old.exists()
    assert young.exists()


def test_sessions_that_are_over_are_swept(workload: Workload) -> None:
    workload.obtain()
    old = workload.entry()
    os.utime(old, (1, 1))
    workload.token_file.write_text(token({"iss": "https://issuer", "sub": "somebody", "jti": "2"}))
    workload.obtain()
    assert not old.exists()
    assert len(workload.files()) == 1


def test_the_file_holds_no_token(workload: Workload) -> None:
    workload.obtain()
    shown = workload.token_file.read_text()
    assert all(part not in workload.entry().read_text() for part in shown.split("."))


# --- several at once -------------------------------------------------------------------------------


def test_threads_at_once_are_one_exchange(workload: Workload) -> None:
    workload.exchange.delay = 0.3
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(workload.obtain().access_key_id)) for _ in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert workload.exchange.asked == 1
    assert len(set(found)) == 1
    assert len(found) == 8


def _holding(workload: Workload) -> int:
    workload.cache_folder.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(
        workload.cache_folder / folders.lock_name(workload.wish().key()), os.O_RDWR | os.O_CREAT, 0o600
    )
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def test_who_hangs_with_the_lock_does_not_hang_others(workload: Workload) -> None:
    lock = _holding(workload)
    workload.lock_wait = 0.2
    assert workload.obtain().access_key_id.endswith("1")
    os.close(lock)


def test_while_somebody_renews_others_go_on_with_what_there_is(workload: Workload) -> None:
    workload.obtain()
    workload.passes(minutes=42)
    lock = _holding(workload)
    began = time.monotonic()
    assert workload.obtain().access_key_id.endswith("1")
    assert time.monotonic() - began < workload.lock_wait
    os.close(lock)
    assert workload.obtain().access_key_id.endswith("2")


def test_a_lock_that_was_taken_away_locks_nobody_out(workload: Workload) -> None:
    lock = _holding(workload)
    (workload.cache_folder / folders.lock_name(workload.wish().key())).unlink()
    workload.lock_wait = 30
    assert workload.obtain().access_key_id.endswith("1")
    os.close(lock)


def test_a_lock_that_goes_between_opening_and_locking_it_is_opened_anew(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, flock = workload.cache_folder / folders.lock_name(workload.wish().key()), fcntl.flock
    gone: list[int] = []

    def late(descriptor: int, operation: int) -> None:
        if not gone:
            lock.unlink()
            gone.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    workload.obtain()
    assert gone
    assert lock.exists()


@pytest.mark.parametrize("content", [b"\xff", b"{", b"[]", b'{"at": 1}', b'{"at": "x"}', b"{" * 9_999])
def test_a_note_that_cannot_be_read_is_ignored(workload: Workload, content: bytes) -> None:
    lock = _holding(workload)
    os.write(lock, content)
    os.close(lock)
    assert workload.obtain().access_key_id.endswith("1")


def test_a_lock_that_is_a_link_is_not_followed(workload: Workload) -> None:
    target = workload.folder / "precious"
    target.write_text("mine")
    workload.cache_folder.mkdir(mode=0o700)
    (workload.cache_folder / folders.lock_name(workload.wish().key())).symlink_to(target)
    workload.exchange.always = BROKEN
    with pytest.raises(ExchangeError):
        workload.obtain()
    assert target.read_text() == "mine"
    assert any(one.startswith("no lock") for one in workload.traced)


# --- clocks ----------------------------------------------------------------------------------------


def test_a_clock_that_is_behind_does_not_stretch_a_session(workload: Workload) -> None:
    here = workload.clock.now
    workload.exchange.clock = lambda: workload.clock.now + timedelta(hours=2)
    workload.obtain()
    entry = load(workload.entry().read_bytes(), workload.entry().stem)
    assert entry is not None
    assert entry.ends == round((here + timedelta(hours=1)).timestamp() * 1_000)


def test_a_clock_that_is_ahead_is_named(workload: Workload) -> None:
    workload.exchange.clock = lambda: workload.clock.now - timedelta(hours=2)
    with pytest.raises(ExchangeError) as caught:
        workload.obtain()
    assert caught.value.reason == "answer-expired"
    assert "120 minutes ahead of" in caught.value.cure


def test_an_entry_is_what_was_written() -> None:
    entry = Entry("k" * 64, 1_000, 2_000, json.dumps({"a": "ü"}), "{}")
    again = load(dump(entry), "k" * 64)
    assert again is not None
    assert (again.obtained, again.ends, again.about, again.document) == (1_000, 2_000, entry.about, "{}")
    assert "{}" not in repr(entry)
