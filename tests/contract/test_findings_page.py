"""``docs/findings.md`` says what the rules say."""

import re
from pathlib import Path

from sallyport.audit.findings_page import findings_page
from sallyport.audit.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
BEGIN = "<!-- generated from the rules: python -m tests.support.make_findings_page -->\n"


def test_the_page_is_what_the_rules_say() -> None:
    before, mark, rest = PAGE.partition(BEGIN)
    assert before.startswith("# Findings")
    assert mark
    assert rest == findings_page(), "run: python -m tests.support.make_findings_page"


def test_every_rule_has_one_heading_and_no_heading_has_no_rule() -> None:
    headings = re.findall(r"^## (\S+-\d+)$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(RULES)


def test_every_finding_leads_to_its_heading() -> None:
    for rule in RULES.values():
        page, _, anchor = rule.runbook.partition("#")
        assert page == "docs/findings.md"
        assert f"\n## {anchor}\n" in PAGE
