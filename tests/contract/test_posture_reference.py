"""docs/posture.md has a heading for every code, and none that nothing has."""

import ast
import re
from pathlib import Path

from sallyport.audit.posture.codes import CODES, POOL_CODES

ROOT = Path(__file__).parents[2]
AUDIT = ROOT / "layers/sallyport/sallyport/audit"
MODULES = [
    *(AUDIT / "trust_policy").glob("*.py"),
    *(AUDIT / "posture" / f"{name}.py" for name in ("scan", "access_keys", "chain", "coverage")),
]
POOLS = [AUDIT.parent / "cognito/pool_check.py", AUDIT.parent / "adapters/user_pools.py"]
# Texts of the same form that are no codes.
OTHERS = {"aws-cn", "aws-reserved", "aws-us-gov", "cannot-tell", "trust-anchor", "user-pools", "utf-8"}


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


def test_every_code_can_be_suppressed() -> None:
    assert set().union(*map(codes_in, MODULES)) == CODES
    made = {
        node.args[0].value
        for path in POOLS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"_error", "_warning", "_problem"}
        and isinstance(node.args[0], ast.Constant)
    }
    assert made == POOL_CODES
