"""Whatever edges there are, a tree of them ends and is whole; whatever they say stays text."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.audit.events import Observed, read_event
from sallyport.audit.lineage.edges import Edge, Origin, OriginKind, edges_of, join
from sallyport.audit.lineage.items import collect, from_item, from_json, to_item, to_json
from sallyport.audit.lineage.page import page
from sallyport.audit.lineage.tree import End, Root, Step, Trace, tree
from sallyport.audit.lineage.tree import to_json as trace_to_json
from sallyport_cli.trace_view import lines
from tests.support.fake_sessions import FakeSessions
from tests.support.lineage_world import abroad, chained, exchanged, roles_anywhere
from tests.support.page_reader import read_page
from tests.support.rule_samples.sample import paths, without
from tests.unit.audit.test_lineage import find_in

BEGINNING = datetime(2026, 11, 20, tzinfo=UTC)
KEYS = st.sampled_from([f"ASIA{number:016d}" for number in range(8)] + ["AKIA0000000000000000"])
NAMES = st.sampled_from(["alice", "bob", "ASIA0000000000000001"])
HOSTILE = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=60),
    st.sampled_from(
        [
            "</script><script>alert(1)</script>",
            "--><img src=x onerror=alert(1)>",
            '" onload="alert(1)',
            "</style><style>*{display:none}",
            "]]><svg onload=alert(1)>",
            "</title><base href=//x>",
            "&lt;b&gt;&#60;",
            "\u202egnirts\u2028\x1b]0;x\x07",
            "'><a href=javascript:alert(1)>",
            "<!--<script>",
        ]
    ),
)


def some_edges(names: st.SearchStrategy[str], keys: st.SearchStrategy[str] = KEYS) -> st.SearchStrategy[Edge]:
    maybe = st.none() | names
    return st.builds(
        Edge,
        child=keys,
        time=st.integers(0, 5).map(lambda minutes: BEGINNING + timedelta(minutes=minutes)),
        call=names,
        parent=st.none() | keys,
        origin=st.none() | st.builds(Origin, st.sampled_from(OriginKind), names, maybe),
        caller=maybe,
        caller_type=st.sampled_from([None, "AssumedRole", "IAMUser", "AWSAccount"]),
        role=maybe,
        session_name=maybe,
        source_identity=maybe,
        tags=st.dictionaries(names, names, max_size=2).map(lambda tags: tuple(sorted(tags.items()))),
        exchange_id=maybe,
        outcome=maybe,
        from_console=st.booleans(),
        event_ids=st.integers(0, 20).map(lambda number: (f"event-{number}",)),
        occurrence=st.sampled_from([None, "one", "two"]),
    )


MANY = st.lists(some_edges(NAMES), max_size=20)
STARTS = KEYS | NAMES


def expected(known: tuple[Edge, ...], trace: Trace) -> set[Edge]:
    """Return what belongs to a trace, in the simplest way to say it."""
    asked = [edge for edge in known if edge.child == trace.start] or [
        edge for edge in known if edge.parent == trace.start
    ]
    if not asked:
        asked = [edge for edge in known if trace.start in {edge.source_identity, edge.session_name}]
    found = set(asked)
    for leads in (
        lambda one, other: (
            other.child == one.parent and not (one.origin is not None and one.origin.is_outside)
        ),
        lambda one, other: other.parent == one.child,
    ):
        reached = set(asked)
        while more := {two for one in reached for two in known if leads(one, two)} - reached:
            reached |= more
        found |= reached
    return found


@given(MANY, STARTS)
def test_every_edge_that_belongs_to_a_trace_is_shown_once(many: list[Edge], start: str) -> None:
    trace = tree(many, start)
    shown = [step.edge for step in trace.steps]
    assert len(shown) == len(set(shown))
    assert set(shown) == expected(join(many), trace)


@given(MANY, STARTS)
def test_every_row_hangs_from_a_row_before_it_that_is_what_it_came_from(many: list[Edge], start: str) -> None:
    trace = tree(many, start)
    for number, row in enumerate(trace.rows):
        if row.above is None:
            assert isinstance(row.what, Root)
            assert row.depth == 0
            continue
        above = trace.rows[row.above]
        assert row.above < number
        assert row.depth == above.depth + 1
        assert isinstance(row.what, Step)
        if isinstance(above.what, Step):
            assert above.what.edge.child == row.what.edge.parent
    if trace.arrives:
        assert trace.rows
        assert not any(isinstance(r.what, Root) and r.what.end is not End.OUTSIDE for r in trace.rows)


@given(MANY, STARTS, st.randoms(use_true_random=False), st.data())
def test_order_and_repetition_change_nothing(many, start, random, data) -> None:
    again = many + data.draw(st.lists(st.sampled_from(many), max_size=5)) if many else many
    random.shuffle(again)
    assert tree(again, start) == tree(many, start)


@given(MANY)
def test_what_was_joined_is_joined_once(many: list[Edge]) -> None:
    known = join(many)
    assert {edge.child for edge in known} == {edge.child for edge in many}
    assert sum(len(edge.event_ids) for edge in known) <= sum(len(edge.event_ids) for edge in many)


@given(MANY, STARTS)
def test_collecting_always_ends_and_finds_no_less_than_the_start(many: list[Edge], start: str) -> None:
    table = FakeSessions().put(*many)
    kept = [from_item(item) for item in table.items.values()]
    found = collect(find_in(table), start)
    assert set(found.edges) <= set(kept)
    assert bool(tree(found.edges, start).rows) is bool(tree(kept, start).rows)


@given(some_edges(HOSTILE))
def test_an_edge_comes_back_as_it_was_kept(edge: Edge) -> None:
    assert from_item(to_item(edge, expires_at=1)) == edge
    assert from_json(json.loads(json.dumps(to_json(edge)))) == edge


@given(st.data())
def test_no_field_that_is_missing_raises(data) -> None:
    event = data.draw(st.sampled_from([exchanged(), chained(), *abroad(), roles_anywhere()]))
    for path in paths(event):
        read = read_event(without(event, path))
        if isinstance(read, Observed):
            tree(edges_of(read), "ASIAISSUED0000000001")


@settings(max_examples=150)
@given(st.lists(some_edges(HOSTILE), min_size=1, max_size=6), HOSTILE)
def test_no_string_leaves_its_place_on_the_page(many: list[Edge], name: str) -> None:
    for start in (many[0].child, name):
        hostile, plain = tree(many, start), page(tree(many, start))
        read = read_page(plain)
        assert read.unbalanced == []
        assert read.comments == []
        names = [element for element, _ in read.elements]
        assert set(names) <= _ELEMENTS
        for single in ("script", "style", "body", "svg", "table", "h1"):
            assert names.count(single) == 1
        assert names.count("g") == len(hostile.rows)
        assert {attribute for _, found in read.elements for attribute in found} <= _ATTRIBUTES
        assert set(read.values("class")) <= _CLASSES
        (data,) = read.inside("script")
        assert json.loads(data) == json.loads(json.dumps(trace_to_json(hostile)))
        assert plain.isascii() or all(c.isprintable() or c == "\n" for c in plain)


@settings(max_examples=150)
@given(st.lists(some_edges(HOSTILE), min_size=1, max_size=12))
def test_the_terminal_gets_visible_characters_in_eighty_columns(many: list[Edge]) -> None:
    for line in lines(tree(many, many[0].child), width=80):
        assert line.text.isprintable()
        assert len(line.text) <= 80


_ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "div", "svg", "g"),
    *("rect", "path", "text", "table", "thead", "tbody", "tr", "th", "td", "strong", "span", "dl", "dt"),
    *("dd", "script"),
}
_ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "xmlns", "width", "height", "viewbox"),
    *("role", "aria-label", "x", "y", "rx", "d", "type", "id"),
}
_CLASSES = {
    *("gaps", "picture", "name", "mark", "session", "session asked", "outside", "aws-service"),
    *("long-term-key", "console-session", "broken", "cycle", "cut", "label", "label wrong"),
}
