"""Rules that no type checker knows: who may do what, looked up in the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers" / "sallyport" / "sallyport"
HANDLERS = sorted(ROOT.glob("functions/*/handler.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_HANDLER = 25


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT if ROOT / "functions" in path.parents else PACKAGE))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, with the last part of what is called."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = node.func
            yield (function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")), node


@pytest.mark.parametrize("path", HANDLERS, ids=name_of)
def test_a_handler_is_wiring_and_one_expression(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_HANDLER
    (handler,) = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert handler.name == "handler"
    docstring, expression = handler.body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(expression, ast.Return)
    assert [one.name for one in path.parent.iterdir() if one.name != "__pycache__"] == ["handler.py"]


@pytest.mark.parametrize("path", [*HANDLERS, *MODULES], ids=name_of)
def test_nothing_captures_answers_or_exceptions(path: Path) -> None:
    """Powertools' decorators record what a function returns, and here that is the credentials."""
    text = path.read_text()
    for word in (
        "capture_method",
        "capture_lambda_handler",
        "inject_lambda_context",
        "log_event",
        "put_metadata",
    ):
        assert word not in text, word
    assert not re.search(r"capture_(response|error)\s*=\s*True", text)
    assert "patch_all" not in text
    for called, call in calls(path):
        if called == "Tracer":
            given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
            assert given.get("auto_patch") is False, "patched, it would record requests to AWS"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_a_verifier_constructs_an_identity(path: Path) -> None:
    if any(called == "Identity" for called, _ in calls(path)):
        assert path.parent == PACKAGE / "proof"


# Where a secret is asked for by name. Every new place is one to look at in a review.
MAY_REVEAL = {
    "identify_token.py": 1,  # the token, for the verifier
    "adapters/sts.py": 1,  # the token, for STS
    "gateway/sts_query.py": 2,  # the credentials, for the caller
    "gateway/credentials_json.py": 2,  # the same
    "gateway/roles_anywhere.py": 2,  # the same
}


def test_secrets_are_revealed_in_a_few_known_places() -> None:
    found = {
        name_of(path): count
        for path in MODULES
        if (count := sum(called == "reveal" for called, _ in calls(path)))
    }
    assert found == MAY_REVEAL


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


# The pure middle takes time, keys and trust as arguments and knows neither its rim nor its callers.
PURE = ("proof", "trust", "audit")
RIM = ("sallyport.adapters", "sallyport.gateway", "sallyport.wiring", "sallyport.settings")


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.parent.name in PURE or p.parent.parent.name in PURE], ids=name_of
)
def test_the_middle_knows_nothing_of_its_rim(path: Path) -> None:
    assert not [one for one in imports(path) if one.startswith(RIM)]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_rim_talks_to_the_world(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0]
    outside = {"boto3", "botocore", "urllib3", "socket", "requests", "http.client", "urllib.request", "ssl"}
    found = {one.split(".")[0] if one.split(".")[0] in outside else one for one in imports(path)} & outside
    if part not in {"adapters", "wiring"}:
        assert not found
    text = path.read_text()
    if path.name != "settings.py":
        assert "os.environ" not in text
        assert "getenv" not in text


def test_functions_share_no_code_but_the_package() -> None:
    for path in HANDLERS:
        assert all(
            one.split(".")[0] in {"typing", "sallyport", "aws_lambda_powertools"} for one in imports(path)
        )
