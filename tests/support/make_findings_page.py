"""Writes the generated part of ``docs/findings.md`` anew; what stands before its mark is kept."""

from pathlib import Path

from sallyport.audit.findings_page import findings_page

PAGE = Path("docs/findings.md")
MARK = "<!-- generated from the rules: python -m tests.support.make_findings_page -->\n"


def main() -> None:
    before = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(before + MARK + findings_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
