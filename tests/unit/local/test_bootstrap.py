"""Setting up takes packages from where the machine's pip does, and says what it cannot do."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from local import bootstrap, env
from local.bootstrap import BootstrapError, Environment, locked, uv_environment


def test_pips_index_becomes_uvs() -> None:
    told = uv_environment("global.index-url='https://mirror.example/simple'\n", {"PATH": "/bin"})
    assert told == {"PATH": "/bin", "UV_DEFAULT_INDEX": "https://mirror.example/simple"}


def test_what_uv_was_told_itself_stays() -> None:
    told = uv_environment(":env:.index-url='https://a.example'\n", {"UV_DEFAULT_INDEX": "https://b.example"})
    assert told["UV_DEFAULT_INDEX"] == "https://b.example"


def test_a_folder_of_wheels_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    told = uv_environment(f"global.find-links='{tmp_path} /not/there'\n", {})
    assert told == {"UV_FIND_LINKS": str(tmp_path)}


def test_an_activated_environment_does_not_catch_the_packages() -> None:
    assert uv_environment("", {"VIRTUAL_ENV": "/elsewhere", "PYTHONPATH": "x"}) == {}


def test_settings_that_mean_nothing_to_uv_are_left_alone() -> None:
    assert uv_environment("global.disable-pip-version-check='1'\nnonsense\n", {}) == {}


def test_a_packages_own_lines_of_a_lock_carry_its_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "a==1 \\\n    --hash=sha256:aa\n"
        "uv==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n    # via x\nz==3\n"
    )
    assert locked("uv", lock) == "uv==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    with pytest.raises(BootstrapError, match="make lock"):
        locked("missing", lock)


def test_an_environment_is_current_until_its_lock_changes(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("a==1\n")
    one = Environment("a tool", tmp_path / "env", lock)
    one.python.parent.mkdir(parents=True)
    one.python.touch()
    assert not one.is_current()
    one.stamp.write_text(one.digest())
    assert one.is_current()
    lock.write_text("a==2\n")
    assert not one.is_current()


def test_a_checkout_that_was_moved_is_installed_anew(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.touch()
    assert Environment("", tmp_path / "a", lock).digest() != Environment("", tmp_path / "b", lock).digest()


def test_a_program_that_fails_says_its_last_words() -> None:
    with pytest.raises(BootstrapError, match="the last words"):
        bootstrap.run([sys.executable, "-c", "print('the last words'); raise SystemExit(3)"], {})


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(BootstrapError, match="more than"):
        bootstrap.run([sys.executable, "-c", "import time; time.sleep(60)"], {}, seconds=0.5)


def test_every_lock_is_hashed_and_names_no_index() -> None:
    locks = [*bootstrap.LOCKS.glob("*.txt"), bootstrap.ROOT / "layers" / "sallyport" / "requirements.txt"]
    assert len(locks) >= 5
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, lock
        pinned = re.findall(r"(?m)^[a-z0-9].*\n.*$", text)
        assert pinned, lock
        assert all(re.search(r"==.* \\\n    --hash=sha256:", one) for one in pinned), lock


def test_the_environment_file_is_read_as_a_shell_reads_it(tmp_path: Path) -> None:
    value = 'it\'s $HOME `and` "more"'

    file = tmp_path / "env"
    file.write_text(f"# comment\nexport ODD={shlex.quote(value)}\n")
    shell = subprocess.run(
        ["sh", "-c", f'. {file}; printf %s "$ODD"'], capture_output=True, text=True, check=True
    )
    assert env.read(file.read_text()) == {"ODD": shell.stdout}
    assert shell.stdout == value
