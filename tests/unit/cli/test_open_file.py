"""Files that somebody named are read to their end or to a limit, and never waited for without an end."""

import os
import threading
import time
from pathlib import Path

import pytest

from sallyport_cli import open_file
from sallyport_cli.open_file import read_bytes


def test_one_byte_more_than_the_limit_tells_that_it_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_bytes(path, 10) == b"x" * 10
    assert read_bytes(path, 5) == b"x" * 6
    assert read_bytes(Path("/dev/zero"), 1_000) == bytes(1_001)


@pytest.mark.parametrize("wrong", ["nothing", "", "a\0b"])
def test_what_cannot_be_read_is_an_error_of_the_system(tmp_path: Path, wrong: str) -> None:
    with pytest.raises((OSError, ValueError)):
        read_bytes(tmp_path / wrong, 10)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def writes(path: Path, *pieces: bytes) -> threading.Thread:
    def run() -> None:
        with path.open("wb", buffering=0) as stream:
            for piece in pieces:
                stream.write(piece)
                time.sleep(0.05)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_a_pipe_is_read_to_its_end_however_slowly_it_comes(pipe: Path) -> None:
    writer = writes(pipe, b"one ", b"two ", b"three")
    assert read_bytes(pipe, 100) == b"one two three"
    writer.join(5)


def test_a_pipe_without_an_end_is_read_to_the_limit(pipe: Path) -> None:
    keeper = os.open(pipe, os.O_RDWR)
    os.write(keeper, b"x" * 100)
    assert read_bytes(pipe, 50) == b"x" * 51
    os.close(keeper)


@pytest.mark.parametrize("held", [True, False])
def test_a_pipe_that_nobody_writes_into_is_given_up(
    pipe: Path, monkeypatch: pytest.MonkeyPatch, *, held: bool
) -> None:
    monkeypatch.setattr(open_file, "PIPE_SECONDS", 0.05)
    keeper = os.open(pipe, os.O_RDWR) if held else None
    with pytest.raises(OSError, match="nobody writes"):
        read_bytes(pipe, 50)
    if keeper is not None:
        os.close(keeper)
