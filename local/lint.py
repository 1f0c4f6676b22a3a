"""``make lint``: format, style, types, templates and documentation; all is looked at before it fails."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.cloud import REGION, sam_home
from local.paths import ROOT, SAM_COMMAND, VENV
from local.progress import Progress

CHECK_SECONDS = 300

# Folders of Python code, as far as they are there.
TYPED = ("layers/sallyport/sallyport", "cli/sallyport_cli", "local", "bench")
TEMPLATES = ("template.yaml", "member-account.yaml", "observability.yaml", "queries.yaml")

# What no file of the repository may say: where somebody's packages come from, where somebody's
# checkout is. The pattern is put together so that it does not find itself.
FORBIDDEN = {
    "an index address": re.compile(
        "pypi" + r"\.org|files\.python" + r"hosted\.org|index-url\s*=", re.IGNORECASE
    ),
    "a path of somebody's machine": re.compile(r"/(?:home|Users)/[a-z]" + r"|/root/\.|/wor" + "k/"),
}
# Files that name pip's settings in order to understand them.
MAY_NAME_INDEXES = frozenset({"local/bootstrap.py", "tests/unit/local/test_bootstrap.py"})

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_MAKE = re.compile(r"(?m)^\s*(?:\$ )?make ([a-z]+)|`make ([a-z]+)")
_TARGET = re.compile(r"(?m)^([a-z]+):")


@dataclass(frozen=True, slots=True)
class Result:
    """How a check went; ``text`` is worth reading only if it failed."""

    title: str
    passed: bool
    text: str
    seconds: float


def command(title: str, *arguments: str) -> Callable[[], Result]:
    """Return a check that runs a program of ``.venv`` or of the SAM environment."""

    def check() -> Result:
        began = time.monotonic()
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        if arguments[0] == str(SAM_COMMAND):
            env |= {"HOME": str(sam_home()), "AWS_DEFAULT_REGION": REGION, "SAM_CLI_TELEMETRY": "0"}
        try:
            done = subprocess.run(
                arguments,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=CHECK_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Result(title, False, f"took more than {CHECK_SECONDS} s", time.monotonic() - began)
        return Result(title, done.returncode == 0, done.stdout, time.monotonic() - began)

    return check


def documentation() -> Result:
    """Check that links lead somewhere, that named targets exist and that nothing local is told."""
    began = time.monotonic()
    problems = [*_broken_links(), *_unknown_targets(), *_forbidden()]
    return Result("documentation", not problems, "\n".join(problems), time.monotonic() - began)


def tracked() -> list[Path]:
    """Return all files that git would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def _markdown() -> Iterator[Path]:
    return (path for path in tracked() if path.suffix == ".md")


def _broken_links() -> Iterable[str]:
    for path in _markdown():
        for target in _LINK.findall(path.read_text()):
            place = target.partition("#")[0]
            if (
                place
                and "://" not in place
                and not place.startswith("mailto:")
                and not (path.parent / place).exists()
            ):
                yield f"{path.relative_to(ROOT)}: the link to {target} leads nowhere"


def _unknown_targets() -> Iterable[str]:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text()))
    for path in _markdown():
        for found in _MAKE.findall(path.read_text()):
            name = found[0] or found[1]
            if name not in targets:
                yield f"{path.relative_to(ROOT)}: there is no make {name}"


def _forbidden() -> Iterable[str]:
    for path in tracked():
        name = str(path.relative_to(ROOT))
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for what, pattern in FORBIDDEN.items():
            if name not in MAY_NAME_INDEXES and (found := pattern.search(text)):
                yield f"{name}: names {what}: {found[0]}"


def checks() -> list[Callable[[], Result]]:
    """Return all checks, the slowest first."""
    ruff, mypy = str(VENV / "bin" / "ruff"), str(VENV / "bin" / "mypy")
    folders = [folder for folder in TYPED if any((ROOT / folder).rglob("*.py"))]
    # Runs side by side, so each has a cache of its own: two that share one crash mypy now and then.
    caches = ROOT / ".mypy_cache"
    found = [command("types", mypy, "--cache-dir", str(caches / "all"), *folders, "layers/sallyport/trim.py")]
    # Each function's file is called handler.py, so that mypy can only look at one at a time.
    handlers = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("functions/*/handler.py"))
    found += [
        command(f"types of {name}", mypy, "--cache-dir", str(caches / Path(name).parent.name), name)
        for name in handlers
    ]
    for template in TEMPLATES:
        if (ROOT / template).exists():
            sam = [str(SAM_COMMAND), "validate", "--lint", "--region", REGION]
            found.append(command(f"sam validate --lint {template}", *sam, "--template-file", template))
    found.append(command("style", ruff, "check", "--quiet", "."))
    found.append(command("format", ruff, "format", "--check", "--quiet", "."))
    python = str(VENV / "bin" / "python")
    reference = ["-m", "sallyport_cli.reference", "--check", "docs/command-line.md"]
    found.append(command("reference of the command", python, *reference))
    found.append(documentation)
    return found


def main() -> int:
    """Run all checks, two at a time, and say what failed."""
    progress = Progress()
    failed = False
    with ThreadPoolExecutor(max_workers=2) as pool:
        for result in pool.map(lambda check: check(), checks()):
            with_time = f"{result.title} {result.seconds:.1f} s"
            progress.say(f"{'✓' if result.passed else '✗'} {with_time}")
            if not result.passed:
                failed = True
                print(result.text.rstrip(), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
