"""docs/posture.md has a heading for every code, and none that nothing has."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
AUDIT = ROOT / "layers/sallyport/sallyport/audit"
MODULES = sorted({*AUDIT.glob("trust_*.py"), *AUDIT.glob("p*.py"), AUDIT / "access_keys.py"})
# Texts of the same form that are no codes.
OTHERS = {"sha256", "cannot-tell"}


def codes_in(source: Path) -> set[str]:
    texts = {
        node.value
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if re.fullmatch(r"[a-z]+(?:-[a-z]+)+", text)} - OTHERS


def test_every_code_has_its_heading() -> None:
    written = set(re.findall(r"^### ([a-z-]+)$", (ROOT / "docs/posture.md").read_text(), re.MULTILINE))
    modules = [one for one in MODULES if one.name != "publish.py"]
    used = set().union(*map(codes_in, modules)) - {"utf-8"}
    known = {one for one in used if one not in {"aws-reserved", "trust-anchor"}}
    assert written == known
