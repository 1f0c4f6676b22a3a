"""The page of a trace: complete, readable without a browser, and deaf to what stands in it."""

import base64
import json
import re
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from sallyport.audit.lineage.edges import Edge, Origin, OriginKind
from sallyport.audit.lineage.page import MAX_IN_BOX, MAX_TEXT, page
from sallyport.audit.lineage.tree import to_json, tree
from tests.support.audit_world import NOON
from tests.support.lineage_world import FAR, ISSUED, chained, edges, everything
from tests.support.page_reader import read_page

HOSTILE = "</title></script><b onclick='x'>\"&amp;\u202e\x1b\\"
SHOWN = "</title></script><b onclick='x'>\"&amp;\\u202e\\x1b\\\\"


def session(number: int, **said: object) -> Edge:
    """A session that an outside identity, or the one before it, made."""
    origin = Origin(OriginKind.TOKEN, "b0c1", "entra") if number == 1 else None
    parent = None if number == 1 else f"ASIA{number - 1:016d}"
    one = Edge(
        child=f"ASIA{number:016d}",
        time=NOON + timedelta(minutes=number),
        call="AssumeRole",
        parent=parent,
        origin=origin,
    )
    return replace(one, **said)  # type: ignore[arg-type]  # fields of an edge, by name


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


def test_the_key_that_was_asked_for_is_named_beside_its_box_and_not_by_colour_alone() -> None:
    texts = read_page(page(tree(edges(*everything()), FAR))).inside("text")
    assert texts.count("◀ asked for") == 1
    assert texts[texts.index("◀ asked for") - 3] == f"AssumeRole → {FAR}"
    assert "! disputed" not in texts


def test_what_contradicts_itself_is_marked_in_picture_and_table() -> None:
    trace = tree([session(1, role="one"), session(1, role="other")], f"ASIA{1:016d}")
    read = read_page(page(trace))
    assert read.inside("text").count("! disputed") == 2
    assert read.inside("dt").count("disputed") == 2
    assert read.inside("li") == list(trace.gaps)


def test_a_box_names_the_role_and_its_account_and_the_table_the_whole_arn() -> None:
    arn = "arn:aws:iam::111122223333:role/sallyport/team-a-reader"
    read = read_page(page(tree([session(1, role=arn)], f"ASIA{1:016d}")))
    assert "sallyport/team-a-reader in 111122223333" in read.inside("text")
    assert arn in read.inside("dd")


@pytest.mark.parametrize(
    "arn", ["arn:aws:sts::1:role/x", "arn:aws:iam::1:user/x", "role/x", "arn:aws:iam::1"]
)
def test_what_is_no_roles_arn_stands_in_the_box_as_it_is(arn: str) -> None:
    assert arn in read_page(page(tree([session(1, role=arn)], f"ASIA{1:016d}"))).inside("text")


def test_no_text_is_wider_than_its_box_and_both_ends_of_a_name_are_seen() -> None:
    wide = "begin" + "x" * 3_000 + "end"
    many = [
        session(1, origin=Origin(OriginKind.TOKEN, wide), role=wide, session_name=wide),
        session(2, role="\x1b" * 3_000, session_name="\x1b" * 3_000, call=wide),
    ]
    texts = read_page(page(tree(many, f"ASIA{2:016d}"))).inside("text")
    assert all(len(text) <= MAX_IN_BOX for text in texts)
    assert sum(text.startswith("begin") and text.endswith("end") for text in texts) == 1
    # A name gives way to the time beside it.
    assert any(re.fullmatch(r"begin.*\.\.x*end 2026-11-20T12:01:00Z", text) for text in texts)


def test_a_beginning_that_is_too_long_for_a_line_is_broken_between_words() -> None:
    origin = Origin(OriginKind.TOKEN, "b0c1d2e3-f4a5-4b67-8c89-0d1e2f3a", "entra")
    texts = read_page(page(tree([session(1, origin=origin)], f"ASIA{1:016d}"))).inside("text")
    assert texts[1:3] == ["token b0c1d2e3-f4a5-4b67-8c89-0d1e2f3a,", "vouched for by entra"]


def test_a_word_that_is_longer_than_a_line_is_broken_where_the_line_ends() -> None:
    origin = Origin(OriginKind.TOKEN, "x" * 60)
    texts = read_page(page(tree([session(1, origin=origin)], f"ASIA{1:016d}"))).inside("text")
    assert texts[1:3] == ["token " + "x" * (MAX_IN_BOX - 6), "x" * (66 - MAX_IN_BOX)]


def test_the_page_says_how_it_is_written_and_tells_nobody_where_it_was() -> None:
    found = [one for name, one in read_page(page(tree([], "x"))).elements if name == "meta"]
    # The first thing, before any text: no browser guesses.
    assert found[0] == {"charset": "utf-8"}
    assert {"name": "referrer", "content": "no-referrer"} in found


def test_long_texts_end_in_the_table_and_say_how_much_is_missing() -> None:
    read = read_page(page(tree([session(1, role="y" * (MAX_TEXT + 5))], f"ASIA{1:016d}")))
    assert "y" * MAX_TEXT + "…(+5)" in read.inside("dd")


def test_what_somebody_else_wrote_is_text_wherever_it_stands() -> None:
    origin = Origin(OriginKind.TOKEN, HOSTILE, HOSTILE)
    hostile = session(
        1, origin=origin, role=HOSTILE, session_name=HOSTILE, source_identity=HOSTILE, call=HOSTILE,
        caller=HOSTILE, tags=((HOSTILE, HOSTILE),), region=HOSTILE, event_ids=(HOSTILE,),
    )  # fmt: skip
    broken = session(3, caller=HOSTILE, caller_account=HOSTILE, role=HOSTILE)
    for many in ([hostile], [broken]):
        text = page(tree(many, many[0].child))
        read = read_page(text)
        assert read.unbalanced == []
        assert "b" not in {name for name, _ in read.elements}
        assert not {"\u202e", "\x1b"} & set(text)
        # The rows' titles, the gaps, the facts and the words before them.
        assert any(SHOWN in one for one in read.inside("title"))
        assert SHOWN in read.inside("dd")
        assert json.loads(read.inside("script")[0])["rows"]
    assert any(SHOWN in one for one in read_page(page(tree([broken], broken.child))).inside("li"))
    start = read_page(page(tree([hostile], HOSTILE)))
    assert start.inside("h1") == [f"Trace of {SHOWN}"]
    assert start.inside("title")[0] == f"Trace of {SHOWN}"


def test_nothing_ends_the_element_that_holds_the_data() -> None:
    text = page(tree([session(1, role="</script><!--<script>&")], f"ASIA{1:016d}"))
    data = text.partition('id="trace">')[2].partition("</script>")[0]
    assert not {"<", ">", "&"} & set(data)
    assert json.loads(data)["rows"][1]["session"]["role"] == "</script><!--<script>&"


def test_more_sessions_than_are_shown_are_counted_and_deep_ones_stay_within_reach() -> None:
    trace = tree([session(number) for number in range(1, 521)], f"ASIA{1:016d}")
    read = read_page(page(trace))
    assert "20 more session(s) belong to this trace and are not shown." in read.inside("p")
    assert [name for name, _ in read.elements].count("rect") == 501
    (width,) = [found["width"] for name, found in read.elements if name == "svg"]
    assert int(width or 0) < 2_500
    places = [(found["x"], found["width"]) for name, found in read.elements if name == "rect"]
    assert all(int(x or 0) + int(box or 0) < int(width or 0) for x, box in places)


def test_a_trace_of_nothing_is_a_page_that_says_so() -> None:
    read = read_page(page(tree([], "nobody")))
    assert read.inside("p") == ["nothing is known."]
    assert read.unbalanced == []
