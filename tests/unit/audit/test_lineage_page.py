"""The page of a trace: complete, readable without a browser, and deaf to what stands in it."""

import base64
import json
import re
from hashlib import sha256

from sallyport.audit.lineage_page import page
from sallyport.audit.lineage_tree import to_json, tree
from tests.support.lineage_world import FAR, ISSUED, chained, edges, everything
from tests.support.page_reader import read_page


def test_the_page_shows_the_identity_every_session_and_what_is_asked_for() -> None:
    read = read_page(page(tree(edges(*everything()), FAR)))
    assert read.unbalanced == []
    assert read.inside("h1") == [f"Trace of {FAR}"]
    assert len(read.inside("rect")) == 0
    assert [name for name, _ in read.elements].count("rect") == 4
    assert [name for name, _ in read.elements].count("path") == 3
    assert "session asked" in read.values("class")
    assert "outside" in read.values("class")
    assert "token b0c1, vouched for by entra" in read.inside("title")


def test_what_is_missing_stands_on_top() -> None:
    trace = tree(edges(chained()), ISSUED)
    read = read_page(page(trace))
    assert read.inside("li") == list(trace.gaps)
    assert "broken" in read.values("class")


def test_the_policy_allows_the_pages_own_style_and_nothing_else() -> None:
    text = page(tree(edges(*everything()), FAR))
    read = read_page(text)
    (policy,) = [
        found["content"]
        for name, found in read.elements
        if name == "meta" and found.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(sha256(style[0].encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    # A policy holds only for what comes after it.
    assert text.index("Content-Security-Policy") < text.index("<style") < text.index("<script")


def test_nothing_on_the_page_runs_or_comes_from_elsewhere() -> None:
    read = read_page(page(tree(edges(*everything()), FAR)))
    assert [found for name, found in read.elements if name == "script"] == [
        {"type": "application/json", "id": "trace"}
    ]
    for name, found in read.elements:
        assert name not in {"link", "img", "iframe", "object", "embed", "base", "form", "a", "foreignobject"}
        for attribute in found:
            assert not attribute.startswith("on")
            assert attribute not in {"href", "src", "style", "srcset", "action", "xlink:href"}


def test_the_trace_stands_in_the_page_for_programs() -> None:
    trace = tree(edges(*everything()), FAR)
    (data,) = read_page(page(trace)).inside("script")
    assert json.loads(data) == to_json(trace)
