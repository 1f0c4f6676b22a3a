"""``sallyport update``: one profile fresh, everything else as it was, and a whole file at any moment."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import botocore.session
import pytest

from sallyport_cli import update_file
from sallyport_cli.failure import CommandError
from sallyport_cli.update import refuse_long_term, write_profile
from sallyport_cli.update_file import change_file
from tests.support import pki
from tests.support.machine import CA, ROOT, Machine, until
from tests.support.sessions import session
from tests.support.small_exchange import SECRET, SmallExchange, error

pytestmark = pytest.mark.enable_socket

MINE = "# mine\n[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = x\n\n[other]\nregion=  x ; y\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".aws" / "credentials"


@pytest.fixture
def mine(file: Path) -> Path:
    file.parent.mkdir()
    file.write_text(MINE)
    return file


@pytest.fixture
def exchange() -> Iterator[SmallExchange]:
    with SmallExchange(anchor=pki.anchor(CA)) as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path, exchange: SmallExchange) -> Machine:
    return Machine(tmp_path, exchange.url)


def boto_reads(file: Path, profile: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    found = botocore.session.Session(profile=profile).get_credentials()
    assert found is not None
    return str(found.get_frozen_credentials().secret_key)


def test_once_writes_what_boto_reads(machine: Machine, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = machine.run("update", "--source", "x509", "--once", "--aws-profile", "sallyport")
    assert done.returncode == 0, done.stderr
    assert boto_reads(mine, "sallyport", monkeypatch) == SECRET
    assert mine.read_text().startswith(MINE)
    assert stat.S_IMODE(mine.stat().st_mode) == 0o600
    assert SECRET.encode() not in done.stdout + done.stderr


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(machine: Machine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "new" / "file"
    done = machine.run("update", "--source", "x509", "--once", AWS_SHARED_CREDENTIALS_FILE=str(elsewhere))
    assert done.returncode == 0, done.stderr
    assert elsewhere.read_text().startswith("[default]\naws_access_key_id = ASIA")
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600
    assert stat.S_IMODE(elsewhere.parent.stat().st_mode) == 0o700


def test_it_goes_on_until_it_is_stopped(machine: Machine, file: Path) -> None:
    process = machine.start("update", "--source", "x509")
    try:
        until(file.exists)
        assert process.stdout is not None
        assert b"profile default until" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    finally:
        process.kill()


def test_long_term_keys_are_not_lost_by_accident(
    machine: Machine, mine: Path, exchange: SmallExchange
) -> None:
    done = machine.run("update", "--source", "x509", "--once", "--aws-profile", "work")
    assert done.returncode == 1
    assert b"long-term" in done.stderr
    assert mine.read_text() == MINE
    assert not exchange.requests
    done = machine.run("update", "--source", "x509", "--once", "--aws-profile", "work", "--overwrite")
    assert done.returncode == 0
    assert "AKIAWORK" not in mine.read_text()


def test_a_refused_identity_changes_nothing(machine: Machine, mine: Path, exchange: SmallExchange) -> None:
    exchange.replies = [error(403, "AccessDeniedException", "no")]
    done = machine.run("update", "--source", "x509", "--once")
    assert done.returncode == 1
    assert mine.read_text() == MINE


@pytest.mark.parametrize("name", ["DEFAULT", "a]b", ""])
def test_a_name_that_cannot_be_is_wrong_usage(machine: Machine, name: str) -> None:
    assert machine.run("update", "--source", "x509", "--once", "--aws-profile", name).returncode == 2


def test_a_link_is_followed_and_stays(tmp_path: Path, mine: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(mine)
    write_profile(link, "new", session())
    assert link.is_symlink()
    assert "[new]" in mine.read_text()


def test_a_malformed_file_is_left_alone(mine: Path) -> None:
    mine.write_text("[a]\n[a]\ns3cret\n")
    with pytest.raises(CommandError) as caught:
        write_profile(mine, "new", session())
    assert "s3cret" not in caught.value.detail
    assert mine.read_text() == "[a]\n[a]\ns3cret\n"


def test_a_pipe_in_the_files_place_is_left_alone_and_not_waited_for(mine: Path) -> None:
    mine.unlink()
    os.mkfifo(mine)
    refuse_long_term(mine, "new", overwrite=False)
    with pytest.raises(CommandError, match="no plain file"):
        write_profile(mine, "new", session())
    assert stat.S_ISFIFO(mine.stat().st_mode)


def test_twenty_writers_lose_nothing(mine: Path) -> None:
    def write(number: int) -> None:
        write_profile(mine, f"p{number}", session(number))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(write, range(20)))
    text = mine.read_text()
    assert text.startswith(MINE)
    for number in range(20):
        assert f"[p{number}]\naws_access_key_id = {session(number).access_key_id}\n" in text
    assert sorted(one.name for one in mine.parent.iterdir()) == [".credentials.sallyport.lock", "credentials"]


def test_a_writer_that_knows_no_lock_is_not_overwritten(mine: Path) -> None:
    others = iter([MINE + "[theirs]\nx = 1\n", None])

    def change(data: bytes) -> bytes:
        if (text := next(others, None)) is not None:
            mine.write_text(text)
        return data + b"[ours]\n"

    change_file(mine, change)
    assert mine.read_text() == MINE + "[theirs]\nx = 1\n[ours]\n"


def test_a_reader_never_sees_half_a_file(mine: Path) -> None:
    stop = threading.Event()
    seen = []

    def read() -> None:
        while not stop.is_set():
            seen.append(mine.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        write_profile(mine, "new", session(number))
    stop.set()
    reader.join(10)
    whole = {MINE.encode()} | {one for one in seen if one.startswith(MINE.encode() + b"\n[new]\n")}
    assert set(seen) == whole
    assert all(one == MINE.encode() or one.count(b"\n") == MINE.count("\n") + 6 for one in seen)


def test_whoever_is_killed_half_way_leaves_a_whole_file_and_no_lock(mine: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sallyport_cli.update_file import change_file\n"
        "while True:\n    change_file(Path(sys.argv[1]), lambda data: data)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'cli'}:{ROOT / 'layers' / 'sallyport'}"}
    for moment in range(5):
        process = subprocess.Popen([sys.executable, "-c", code, str(mine)], env=environment)
        until((mine.parent / ".credentials.sallyport.lock").exists)
        time.sleep(0.05 + moment * 0.013)
        process.kill()
        process.wait(10)
        assert mine.read_text() == MINE
        write_profile(mine, "new", session(moment))
        assert mine.read_text().startswith(MINE)
        assert not (mine.parent / ".credentials.sallyport.new").exists()
        mine.write_text(MINE)


def test_a_lock_that_somebody_keeps_is_a_sentence(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update_file, "LOCK_SECONDS", 0.1)
    with update_file._locked(mine), pytest.raises(CommandError, match="Somebody else"):
        write_profile(mine, "new", session())


def test_a_full_disk_is_a_sentence_and_the_file_stays(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CommandError, match="No space left"):
        write_profile(mine, "new", session())
    assert mine.read_text() == MINE
    assert not (mine.parent / ".credentials.sallyport.new").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_a_sentence(mine: Path) -> None:
    mine.parent.chmod(0o500)
    try:
        with pytest.raises(CommandError, match="cannot be changed"):
            write_profile(mine, "new", session())
    finally:
        mine.parent.chmod(0o700)
