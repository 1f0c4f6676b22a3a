"""Every reason that the code can give is explained to operators."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers" / "sallyport" / "sallyport"
PAGES = ("docs/reasons.md", "docs/verification.md", "docs/verification-x509.md")
# Functions that make an error of their first argument, besides the error classes themselves.
MAKERS = {"refusal", "_unavailable", "Denial"}
REASON = re.compile(r"[a-z]+(?:-[a-z]+)*")


def reasons() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if not (name.endswith("Error") or name in MAKERS) or name in {"ValueError", "TypeError"}:
                continue
            given = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "reason")]
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value, path.name


@pytest.mark.parametrize("reason", sorted({reason for reason, _ in reasons()}))
def test_a_reason_is_explained(reason: str) -> None:
    assert REASON.fullmatch(reason), "reasons are stable, kebab-case and no sentences"
    assert any(f"`{reason}`" in (ROOT / page).read_text() for page in PAGES)


def test_the_reasons_are_found_at_all() -> None:
    assert len(set(reasons())) > 100
