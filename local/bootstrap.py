"""Prepare a fresh machine: uv into ``.venv``, then one environment per tool, each from hashed locks.

Runs with the system's Python and its standard library alone; ``make`` calls it before anything
else, and it does nothing where everything is in place.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCAL = ROOT / ".local"
LOCKS = ROOT / "requirements"

OLDEST_PYTHON = (3, 11)

# Debian's packages for what its python3 comes without.
PACKAGES = {"venv": "python3-venv", "curl": "curl"}

# A slow mirror and a slow disk together stay below these; a hang does not.
APT_SECONDS = 300
INSTALL_SECONDS = 600

# pip's settings that uv knows under another name. A machine that says where packages come from says
# it to pip, in its environment or its configuration file; uv reads neither.
UV_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
}


class BootstrapError(Exception):
    """What is missing and the command to type, in one sentence."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment and the lock that it is made from."""

    name: str
    folder: Path
    lock: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Holds the digest of what was installed last."""
        return self.folder / ".installed"

    def digest(self) -> str:
        """Return the digest of all that decides what the environment holds.

        The folder is part of it, since scripts carry it in their first line: a checkout that was
        moved is installed anew.
        """
        parts = [self.lock.read_bytes(), sys.version.encode(), str(self.folder).encode()]
        if self.folder == VENV:
            parts.append((ROOT / "pyproject.toml").read_bytes())
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def is_current(self) -> bool:
        """Tell whether nothing need be done."""
        try:
            return self.python.exists() and self.stamp.read_text() == self.digest()
        except OSError:
            return False


PROJECT = Environment("project and its tools", VENV, LOCKS / "dev.txt")
TOOLS = (
    Environment("MiniStack", LOCAL / "ministack", LOCKS / "ministack.txt"),
    Environment("SAM CLI", LOCAL / "sam", LOCKS / "sam.txt"),
    Environment("AWS CLI", LOCAL / "awscli", LOCKS / "awscli.txt"),
    Environment("iam-rolesanywhere-session", LOCAL / "rolesanywhere", LOCKS / "rolesanywhere.txt"),
)


def say(text: str) -> None:
    """Print a line at once; setting up is when people wonder whether anything happens."""
    print(f"setup: {text}", flush=True)


def check_python() -> None:
    """Refuse an interpreter that is too old."""
    if sys.version_info < OLDEST_PYTHON:
        have, want = (".".join(map(str, v)) for v in (sys.version_info[:2], OLDEST_PYTHON))
        raise BootstrapError(
            f"Python {want} or newer is needed, and {sys.executable} is {have}: make PYTHON=…"
        )


def missing_packages() -> list[str]:
    """Return the Debian packages without which this machine cannot go on."""
    missing = []
    # Debian's python3 has the venv module but not the wheels that it installs from.
    check = [sys.executable, "-c", "import ensurepip, venv"]
    if not VENV.exists() and subprocess.run(check, capture_output=True, check=False, timeout=30).returncode:
        missing.append(PACKAGES["venv"])
    if shutil.which("curl") is None:
        missing.append(PACKAGES["curl"])
    return missing


def install_packages(packages: Sequence[str]) -> None:
    """Install Debian packages as root, or say what to type."""
    names = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BootstrapError(f"This machine lacks {names}; type: sudo apt-get install {names}")
    say(f"installing {names} with apt-get, which Python and the demonstration need")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "--yes", "--no-install-recommends", *packages],
    ):
        try:
            run(command, env, APT_SECONDS)
        except BootstrapError as error:
            raise BootstrapError(f"{error}\nType: apt-get update && apt-get install {names}") from None


def run(command: Sequence[str], env: Mapping[str, str], seconds: float = INSTALL_SECONDS) -> str:
    """Run a command quietly; where it fails, its last words are the error."""
    try:
        done = subprocess.run(
            list(command),
            env=dict(env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BootstrapError(f"{command[0]} took more than {seconds:.0f} s and was ended.") from None
    except OSError as error:
        raise BootstrapError(f"{command[0]} cannot be run: {error}") from None
    if done.returncode:
        words = "\n".join(done.stdout.splitlines()[-15:])
        raise BootstrapError(f"{Path(command[0]).name} failed:\n{words}")
    return done.stdout


def uv_environment(pip_settings: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return ``env`` with pip's settings under uv's names; what uv was told itself stays.

    Args:
        pip_settings: what ``pip config list`` prints, lines such as ``global.timeout='60'``.
        env: the environment to add to.
    """
    told = dict(env)
    for line in pip_settings.splitlines():
        found = re.fullmatch(r"(?:global|install|:env:)\.([a-z-]+)='(.*)'", line.strip())
        if found is None or found[1] not in UV_SETTINGS:
            continue
        name = UV_SETTINGS[found[1]]
        if name in env:
            continue
        if name == "UV_FIND_LINKS":
            # uv refuses a folder that is not there; pip looks and goes on.
            places = [p for p in found[2].split() if "://" in p or Path(p).is_dir()]
            if places:
                told[name] = ",".join(places)
        elif found[2]:
            told[name] = found[2]
    # The commands below name their interpreter; an activated environment must not.
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"):
        told.pop(name, None)
    return told


def package_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return ``env`` in which uv takes packages from where pip would."""
    pip = [str(PROJECT.python), "-m", "pip", "--disable-pip-version-check", "config", "list"]
    return uv_environment(run(pip, env), env)


def locked(package: str, lock: Path) -> str:
    """Return a package's own lines of a lock, with the hashes."""
    found = re.search(rf"(?m)^{re.escape(package)}==(?:.*\\\n)*.*\n", lock.read_text())
    if found is None:
        raise BootstrapError(f"{lock} does not name {package}; type: make lock")
    return found[0]


def make_venv() -> None:
    """Make ``.venv`` with pip and, by pip and the lock's hashes, uv."""
    if not _works(PROJECT.python):
        shutil.rmtree(VENV, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(VENV)], os.environ)
    if (VENV / "bin" / "uv").exists() and _works(VENV / "bin" / "uv", "--version"):
        return
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "uv.txt"
        wanted.write_text(locked("uv", PROJECT.lock))
        pip = [str(PROJECT.python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        run([*pip, "--no-deps", "--require-hashes", "-r", str(wanted)], os.environ)


def _works(program: Path, argument: str = "-c pass") -> bool:
    command = [str(program), *argument.split(" ", 1)]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except OSError:
        return False


def install(environment: Environment, uv: str, env: Mapping[str, str]) -> str:
    """Bring one environment to exactly its lock; returns a line about it."""
    began = time.monotonic()
    if not _works(environment.python):
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment.folder)], env)
    environment.stamp.unlink(missing_ok=True)
    # SAM CLI, the AWS CLI and MiniStack are programs to start often: compiled once, here.
    python = ["--quiet", "--python", str(environment.python)]
    run([uv, "pip", "sync", *python, "--compile-bytecode", "--require-hashes", str(environment.lock)], env)
    if environment.folder == VENV:
        run([uv, "pip", "install", *python, "--no-deps", "--no-build-isolation", "--editable", "."], env)
    environment.stamp.write_text(environment.digest())
    return f"{environment.name}: installed in {time.monotonic() - began:.0f} s"


def main(wanted: Sequence[str]) -> None:
    """Install what is missing.

    Args:
        wanted: ``project`` for ``.venv`` alone, ``tools`` for the other environments too.
    """
    check_python()
    environments = [PROJECT, *(TOOLS if "tools" in wanted else ())]
    stale = [environment for environment in environments if not environment.is_current()]
    missing = missing_packages()
    if missing:
        install_packages(missing)
    if not stale:
        return
    began = time.monotonic()
    say(f"installing {', '.join(e.name for e in stale)} into this checkout")
    make_venv()
    say(f"uv is ready after {time.monotonic() - began:.0f} s")
    uv = str(VENV / "bin" / "uv")
    env = package_environment(os.environ)
    with ThreadPoolExecutor(max_workers=len(stale)) as pool:
        for line in pool.map(lambda environment: install(environment, uv, env), stale):
            say(line)
    say(f"done in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BootstrapError as problem:
        sys.exit(f"setup: {problem}")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; run it again and it goes on where it stopped")
