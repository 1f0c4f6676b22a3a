"""docs/posture.md has a heading for every code, and none that nothing has."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
AUDIT = ROOT / "layers/sallyport/sallyport/audit"
MODULES = [
    *AUDIT.glob("trust_*.py"),
    *AUDIT.glob("policy_*.py"),
    AUDIT / "posture.py",
    AUDIT / "access_keys.py",
]
# Texts of the same form that are no codes.
OTHERS = {"aws-reserved", "cannot-tell", "trust-anchor", "utf-8"}


def codes_in(source: Path) -> set[str]:
    texts = {
        node.value
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if re.fullmatch(r"[a-z]+(?:-[a-z]+)+", text)} - OTHERS


def test_every_code_has_its_heading() -> None:
    written = set(re.findall(r"^### ([a-z-]+)$", (ROOT / "docs/posture.md").read_text(), re.MULTILINE))
    assert written == set().union(*map(codes_in, MODULES))
