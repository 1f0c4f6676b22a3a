"""Results of test cases as JUnit XML, which CI systems show."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sallyport_cli.output import shown
from sallyport_cli.trust_cases import Result


def report(name: str, results: Sequence[Result]) -> bytes:
    """Return a report in UTF-8, the same for the same results.

    What XML cannot hold (control characters) is escaped as on a terminal.
    """
    failed = sum(not one.passed for one in results)
    counts = {"tests": str(len(results)), "failures": str(failed), "errors": "0", "skipped": "0"}
    root = Element("testsuites", {"name": "sallyport trust test", **counts})
    suite = SubElement(root, "testsuite", {"name": shown(name), **counts})
    for one in results:
        case = SubElement(
            suite,
            "testcase",
            {"classname": shown(one.case.anchor), "name": shown(one.case.name), "line": str(one.case.line)},
        )
        if not one.passed:
            texts = [shown(text) for text in one.differences]
            failure = SubElement(case, "failure", {"type": "mismatch", "message": texts[0]})
            detail = one.simulated.error.detail if one.simulated and one.simulated.error else ""
            failure.text = "\n".join([*texts, *([shown(detail)] if detail else [])])
    indent(root)
    found: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return found + b"\n"
