"""`pipx install .` of a clone gives the command with all that it imports, and nothing more."""

import importlib.metadata
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 120

TRUST = """\
version: 1
trust_anchors:
  cluster-a: {kind: oidc, issuer: "https://oidc.cluster-a.example.com", audiences: [sallyport]}
profiles:
  batch:
    trust_anchor: cluster-a
    roles: ["arn:aws:iam::111122223333:role/sallyport/batch"]
    condition:
      StringEquals: {"token:sub": "system:serviceaccount:batch:runner"}
"""
CASES = """\
version: 1
trust_file: trust.yaml
identities:
  runner: {trust_anchor: cluster-a, claims: {sub: "system:serviceaccount:batch:runner"}}
cases:
  - name: it runs
    identity: runner
    role: "arn:aws:iam::111122223333:role/sallyport/batch"
    expect: {granted: {}}
  - name: others do not
    identity: runner
    claims: {sub: "system:serviceaccount:batch:other"}
    role: "arn:aws:iam::111122223333:role/sallyport/batch"
    expect: {denied: no-profile-matched}
"""

# Loads every module of the command, but for what an extra brings.
IMPORTS = """
import importlib, pkgutil, sallyport_cli
for one in pkgutil.walk_packages(sallyport_cli.__path__, "sallyport_cli."):
    if not one.name.endswith("__main__"):
        importlib.import_module(one.name)
print(sallyport_cli.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as `pip` builds it, with the build backend of the checkout: nothing is fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=SECONDS)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment that has the package and what it declares, and nothing else.

    No index is asked: what the package needs is linked from where these tests run.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        needs = importlib.metadata.Distribution.at(next(site.glob("*.dist-info"))).requires or []
    for name in _closure(needs):
        _link(importlib.metadata.distribution(name), site)
    script = folder / "bin" / "sallyport"
    (entry,) = importlib.metadata.Distribution.at(next(site.glob("sallyport-*.dist-info"))).entry_points
    module, function = entry.value.split(":")
    assert entry.name == "sallyport"
    script.write_text(
        f"#!{folder}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
    )
    script.chmod(0o755)
    return script.parent


def _closure(needs: list[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(needs)
    while waiting:
        need = waiting.pop()
        name = re.match(r"[A-Za-z0-9._-]+", need)
        assert name is not None
        if "extra ==" in need or name[0].lower() in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name[0])
        except importlib.metadata.PackageNotFoundError:
            # For another platform or version of Python.
            continue
        found.add(name[0].lower())
        waiting += distribution.requires or []
    return found


def _link(distribution: importlib.metadata.Distribution, site: Path) -> None:
    for file in distribution.files or ():
        first = file.parts[0]
        if first not in {"..", "__pycache__"} and not (site / first).exists():
            (site / first).symlink_to(Path(str(distribution.locate_file(first))))


def run(installed: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed / arguments[0], *arguments[1:]],
        # Without the checkout on any path.
        cwd=installed,
        env={"PATH": str(installed), "HOME": str(installed)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_the_package_holds_the_command_and_what_it_shares_with_the_functions(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"sallyport", "sallyport_cli"}
    for name in ("sallyport/proof/canonical.py", "sallyport/trust/schema.py", "sallyport/model.py"):
        assert name in names
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_command_says_its_version(installed: Path) -> None:
    done = run(installed, "sallyport", "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"sallyport {importlib.metadata.version('sallyport')}\n"


def test_the_installed_command_checks_and_tests_a_trust_file(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "trust.yaml").write_text(TRUST)
    (tmp_path / "cases.yaml").write_text(CASES)
    done = run(installed, "sallyport", "trust", "validate", tmp_path / "trust.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    done = run(installed, "sallyport", "trust", "test", tmp_path / "cases.yaml", "--strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 cases: 2 as expected" in done.stdout


def test_every_module_of_the_command_can_be_loaded_with_what_the_package_declares(installed: Path) -> None:
    done = run(installed, "python", "-I", "-c", IMPORTS)
    assert done.returncode == 0, done.stderr
    assert str(ROOT) not in done.stdout
    done = run(installed, "python", "-I", "-c", "import aws_lambda_powertools")
    assert "No module named" in done.stderr, "the functions' own needs are not the command's"


def test_the_layer_knows_nothing_of_the_command() -> None:
    own = re.compile(r"^\s*(?:import|from) (?:sallyport_cli|typer|rich|yaml)\b", re.MULTILINE)
    for file in (ROOT / "layers" / "sallyport" / "sallyport").rglob("*.py"):
        assert not own.search(file.read_text()), file
