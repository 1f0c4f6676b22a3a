"""The maps for newcomers, ``docs/architecture.md`` and ``CONTRIBUTING.md``, name what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "layers" / "sallyport" / "sallyport"


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_a_map_names_is_there(page: str) -> None:
    named = set(re.findall(r"(?<![\w/-])[\w/*-]+\.py\b", (ROOT / page).read_text(encoding="utf-8")))
    assert len(named) >= 4
    assert {name for name in named if not [*PACKAGE.glob(f"**/{name}"), *ROOT.glob(name)]} == set()


def test_every_step_of_a_message_is_drawn() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = text.partition("## The way of a message")[2].partition("\n## ")[0]
    used = re.findall(
        r"^from sallyport\.audit\.(\w+) import",
        (PACKAGE / "wiring" / "auditing.py").read_text() + (PACKAGE / "audit" / "pipeline.py").read_text(),
        re.MULTILINE,
    )
    # What a finding is, every step knows.
    assert {name for name in used if f"audit/{name}.py" not in drawn} == {"finding"}
