"""What a trace says of itself, in words."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from sallyport.audit.lineage.edges import EXCHANGE, Edge, Origin, OriginKind
from sallyport.audit.lineage.tree import Step, Trace, tree
from sallyport.audit.lineage.words import facts, omission, title, verdict, when
from tests.support.audit_world import NOON

ISSUED, CHAINED = "ASIA0000000000000001", "ASIA0000000000000002"
FIRST = Edge(child=ISSUED, time=NOON, call=EXCHANGE, origin=Origin(OriginKind.TOKEN, "b0c1", "entra"))
SECOND = Edge(child=CHAINED, time=NOON, call="AssumeRole", parent=ISSUED)


def told(edge: Edge, *, is_disputed: bool = False) -> dict[str, str]:
    return dict(facts(Step(edge, is_disputed=is_disputed)))


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        ([], "nothing is known"),
        ([FIRST], "1 session; goes back to an outside identity"),
        ([FIRST, SECOND], "2 sessions; every one of them goes back to an outside identity"),
        ([SECOND], "1 session; the chain is broken or contradicts itself in 1 place"),
        (
            [replace(SECOND, parent="AKIA0000000000000001")],
            "1 session; does not go back to an outside identity",
        ),
    ],
)
def test_the_verdict_says_whether_it_arrives(edges: list[Edge], said: str) -> None:
    start = edges[-1].child if edges else ISSUED
    assert verdict(tree(edges, start)) == said


def test_several_gaps_are_places() -> None:
    assert verdict(Trace(ISSUED, tree([FIRST], ISSUED).rows, ("one", "two"))).endswith("in 2 places")


def test_only_what_is_left_out_is_said_to_be() -> None:
    trace = tree([FIRST], ISSUED)
    assert omission(trace) is None
    assert omission(replace(trace, omitted=3)) == "3 more session(s) belong to this trace and are not shown"


@pytest.mark.parametrize("outcome", ["failed", "denied"])
def test_credentials_that_were_not_given_out_are_said_first(outcome: str) -> None:
    edge = replace(FIRST, exchange_id="0" * 32, outcome=outcome)
    first, *_ = facts(Step(edge))
    assert first == ("outcome", f"{outcome}: the credentials were not given out")


@pytest.mark.parametrize("outcome", ["granted", None])
def test_of_credentials_that_were_given_out_nothing_is_said(outcome: str | None) -> None:
    assert "outcome" not in told(replace(FIRST, exchange_id="0" * 32, outcome=outcome))
    assert "outcome" not in told(replace(FIRST, outcome="failed"))


def test_what_is_disputed_says_so_and_what_nobody_said_is_left_out() -> None:
    assert list(told(FIRST)) == ["at"]
    assert list(told(FIRST, is_disputed=True)) == ["disputed", "at"]


def test_who_called_is_told_by_name_and_key_or_by_key_alone() -> None:
    assert told(SECOND)["by"] == f"key {ISSUED}"
    assert told(replace(SECOND, caller="arn:x"))["by"] == f"arn:x, with key {ISSUED}"
    assert told(replace(FIRST, caller="arn:x"))["by"] == "arn:x"


def test_the_records_own_id_is_not_among_the_events() -> None:
    edge = replace(FIRST, exchange_id="record-1", event_ids=("record-1", "event-1", "event-2"))
    assert told(edge)["events"] == "event-1, event-2"
    assert told(edge)["exchange"] == "record-1"


def test_a_time_is_in_utc_and_a_session_is_named_by_how_it_was_made() -> None:
    assert when(datetime(2026, 11, 20, 14, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-20T12:00:00Z"
    assert title(Step(FIRST)) == f"exchange → {ISSUED}"
    assert title(Step(SECOND)) == f"AssumeRole → {CHAINED}"
