"""What the audit tells others, and what it remembers, at the limits of those who take it."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.adapters.alerts import (
    MAX_TEXT,
    MOST_NAMED,
    Alerts,
    subject,
    subject_of_many,
    text,
    text_of_many,
)
from sallyport.adapters.audit_memory import (
    HISTORY,
    MAX_PLACES,
    Memory,
    TableCounter,
    TableHistory,
    TableIssued,
    TableSignIns,
)
from sallyport.adapters.aws import JsonService, SignedService
from sallyport.adapters.findings_table import FindingsTable
from sallyport.adapters.http import HttpResponse, TimeLimits
from sallyport.adapters.security_hub import MAX_CALLS, SecurityHub, batches
from sallyport.audit.events import RecordEvent, read_record
from sallyport.audit.finding import Finding, Resource, Severity, finding_id, safe
from sallyport.errors import UnavailableError
from tests.support.audit_world import ACCOUNT, NOON, REGION
from tests.support.fake_transport import FakeAws, FakeTable
from tests.support.rule_samples.sample import record
from tests.support.world import OWN


def service(name: str, aws: Any) -> SignedService:
    return SignedService(
        name=name,
        region=REGION,
        url=f"https://{name}.{REGION}.amazonaws.com",
        transport=aws,
        credentials=lambda: OWN,
        limits=TimeLimits(0.5, 2.0),
    )


@pytest.fixture
def aws() -> FakeAws:
    tables = {name: FakeTable(sort_key=None) for name in ("audit", "findings")}
    return FakeAws(now=lambda: NOON, tables=tables)


@pytest.fixture
def memory(aws: FakeAws) -> Memory:
    return Memory(JsonService(service("dynamodb", aws), target="DynamoDB_20120810"), "audit", lambda: NOON)


def made(number: int = 1, said: str = "it happened", after: timedelta = timedelta(0)) -> Finding:
    return Finding(
        id=finding_id("rule", ACCOUNT, ("x",), NOON),
        rule_id="rule",
        account=ACCOUNT,
        region=REGION,
        title=safe(said),
        description=safe(said),
        severity=Severity.HIGH,
        dedupe=("x",),
        window_start=NOON,
        first_event=NOON + after,
        last_event=NOON + after,
        resources=(Resource("Other", safe(said)),),
        evidence={"said": safe(said)},
        event_ids=(f"event-{number}",),
        first="Look.",
        remedy="Mend it.",
        runbook="docs/findings.md#rule",
    )


# Alerts


@given(st.text(max_size=400))
@settings(max_examples=60)
def test_an_alert_is_plain_text_whatever_somebody_wrote(said: str) -> None:
    head, body = subject(made(said=said)), text(made(said=said))
    assert 0 < len(head) < 100
    assert head.isascii()
    assert head.isprintable()
    assert len(body) <= MAX_TEXT
    assert all(line.isprintable() for line in body.split("\n"))
    assert not {"<", ">"} & {*body}
    # Nobody forges a line: there are as many as for a word.
    assert body.count("\n") == text(made()).count("\n")


def test_an_alert_says_what_to_do_and_where_to_go_on() -> None:
    one = made(after=timedelta(minutes=5))
    lines = text(replace(one, first_event=NOON, count=2), "https://wiki.example.com/").split("\n")
    assert "First: Look." in lines
    assert "Then: Mend it." in lines
    assert "Runbook: https://wiki.example.com/docs/findings.md#rule" in lines
    assert f"When: {NOON:%Y-%m-%d} 12:00:00 UTC to {NOON:%Y-%m-%d} 12:05:00 UTC, 2 event(s)" in lines
    assert lines[-1] == f"All of it: sallyport findings --id {one.id}"
    plain = text(replace(one, first="")).split("\n")
    assert {"What to do: Mend it.", "Runbook: docs/findings.md#rule"} <= {*plain}
    assert f"When: {NOON:%Y-%m-%d} 12:05:00 UTC, 1 event(s)" in plain, "one time is said once"


@pytest.mark.parametrize("count", [2, MOST_NAMED, MOST_NAMED + 1, 900])
def test_many_findings_are_one_message_with_the_worst_first(count: int) -> None:
    some = [
        replace(
            made(said=f"<b>{n}\x1b" + "<" * 400),
            severity=Severity.CRITICAL if n == count - 1 else Severity.HIGH,
        )
        for n in range(count)
    ]
    head, body = subject_of_many(some), text_of_many(some)
    lines = body.split("\n")
    assert head == f"Sallyport CRITICAL: {count} findings"
    assert len(body) <= MAX_TEXT
    assert all(line.isprintable() for line in lines)
    assert not {"<", ">"} & {*body}
    named = [line for line in lines if line.startswith(("CRITICAL: ", "HIGH: "))]
    assert len(named) == min(count, MOST_NAMED)
    assert named[0].startswith("CRITICAL: ")
    assert (f"and {count - MOST_NAMED} more" in lines) == (count > MOST_NAMED)
    assert lines[-1] == "All of them: sallyport findings"


def test_an_alert_goes_to_its_topic_and_a_refusal_is_no_success() -> None:
    sent: list[dict[str, str]] = []
    answers = [
        HttpResponse(200, b"<MessageId>1</MessageId>"),
        HttpResponse(403, b""),
        HttpResponse(200, b"<html>"),
    ]

    def sns(_method: str, _url: str, _headers: Any, body: bytes, _limits: TimeLimits) -> HttpResponse:
        sent.append(dict(parse_qsl(body.decode())))
        return answers.pop(0)

    alert = Alerts(service("sns", sns), "arn:topic")
    alert([made()])
    assert (sent[0]["Action"], sent[0]["TopicArn"]) == ("Publish", "arn:topic")
    for _ in range(2):
        with pytest.raises(UnavailableError):
            alert([made()])


# Security Hub


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_a_batch_has_a_hundred_findings_at_most(count: int) -> None:
    found = batches([{"Id": str(n)} for n in range(count)])
    assert [one for batch in found for one in batch] == [{"Id": str(n)} for n in range(count)]
    assert all(1 <= len(batch) <= 100 for batch in found)


def test_a_batch_is_no_larger_than_security_hub_takes() -> None:
    found = batches([{"Id": str(n), "x": "y" * 240_000} for n in range(100)])
    assert all(len(json.dumps(batch)) < 6_000_000 for batch in found)


class Hub:
    """Refuses so many at each call; or answers something else."""

    def __init__(self, *refusals: int, answer: bytes | None = None, status: int = 200) -> None:
        self.refusals = list(refusals)
        self.answer = answer
        self.status = status
        self.calls: list[list[str]] = []

    def __call__(self, _method: str, _url: str, _headers: Any, body: bytes, _limits: Any) -> HttpResponse:
        ids = [one["Id"] for one in json.loads(body)["Findings"]]
        self.calls.append(ids)
        failed = ids[: self.refusals.pop(0)] if self.refusals else []
        answer = {
            "SuccessCount": len(ids) - len(failed),
            "FailedCount": len(failed),
            "FailedFindings": [{"Id": one, "ErrorCode": "InternalError"} for one in failed],
        }
        return HttpResponse(self.status, json.dumps(answer).encode() if self.answer is None else self.answer)


def hub_of(hub: Hub, refused: list[str] | None = None) -> SecurityHub:
    said = [] if refused is None else refused
    return SecurityHub(
        service("securityhub", hub),
        lambda finding: {"Id": f"x/{finding.id}"},
        lambda name, code: said.append(f"{name} {code}"),
    )


def named(*names: str) -> list[Finding]:
    return [replace(made(), id=name) for name in names]


def test_only_what_was_refused_is_tried_again() -> None:
    hub = Hub(2)
    assert hub_of(hub)(named(*"abcd")) == frozenset()
    assert hub.calls == [["x/a", "x/b", "x/c", "x/d"], ["x/a", "x/b"]]


def test_what_is_refused_twice_is_said_to_be_missed_and_why() -> None:
    hub, refused = Hub(2, 1), []
    assert hub_of(hub, refused)(named(*"abcd")) == {"a"}
    assert len(hub.calls) == 2
    assert refused == ["a InternalError"]


@pytest.mark.parametrize(
    "hub",
    [
        Hub(1, 1),
        Hub(status=403),
        Hub(status=429),
        Hub(status=500),
        Hub(answer=b""),
        Hub(answer=b"[]"),
        Hub(answer=b"{}"),
        Hub(answer=b"[" * 100_000),
        Hub(answer=b'{"SuccessCount": 0, "FailedFindings": []}'),
        Hub(answer=b'{"SuccessCount": 1, "FailedFindings": [{}]}'),
        Hub(answer=b'{"SuccessCount": 0, "FailedFindings": [{"Id": "x/b", "ErrorCode": "x"}]}'),
    ],
)
def test_what_is_not_known_to_be_imported_is_not_taken_for_it(hub: Hub) -> None:
    assert hub_of(hub)(named("a")) == {"a"}
    assert len(hub.calls) <= 2


def test_one_finding_that_cannot_be_read_is_found_and_the_others_are_imported() -> None:
    """Of a whole batch Security Hub says only that something in it is wrong."""
    calls: list[int] = []

    def hub(_method: str, _url: str, _headers: Any, body: bytes, _limits: Any) -> HttpResponse:
        ids = [one["Id"] for one in json.loads(body)["Findings"]]
        calls.append(len(ids))
        if "x/bad" in ids:
            return HttpResponse(400, b'{"Code": "InvalidInputException"}')
        return HttpResponse(200, json.dumps({"SuccessCount": len(ids), "FailedFindings": []}).encode())

    names = [f"n{number}" for number in range(99)]
    assert hub_of(hub)(named(*names[:40], "bad", *names[40:])) == {"bad"}  # type: ignore[arg-type]  # a transport, as a function
    assert len(calls) <= MAX_CALLS


def test_a_hub_that_can_read_nothing_is_not_asked_for_ever() -> None:
    hub, names = Hub(status=400), [str(number) for number in range(100)]
    assert hub_of(hub)(named(*names)) == {*names}
    assert len(hub.calls) == MAX_CALLS


# What is remembered


def test_what_goes_on_being_seen_is_remembered_and_costs_a_read(aws: FakeAws) -> None:
    now = [NOON]
    memory = Memory(
        JsonService(service("dynamodb", aws), target="DynamoDB_20120810"), "audit", lambda: now[0]
    )
    history = TableHistory(memory)
    history.first_seen("t", "k", "e", NOON)
    history.places("t", "k", "here", NOON)
    for day in range(1, 200):
        now[0] = NOON + timedelta(days=day)
        aws.calls.clear()
        assert history.first_seen("t", "k", "e", now[0]) == NOON
        assert history.places("t", "k", "here", now[0]) == {"here"}
        assert len(aws.calls) <= 4
        aws.calls.clear()
        history.first_seen("t", "k", "e", now[0])
        history.places("t", "k", "here", now[0])
        assert aws.calls == ["dynamodb eu-central-1 GetItem"] * 2
        for item in aws.tables["audit"].items.values():
            assert int(item["expires_at"]["N"]) >= int((now[0] + HISTORY - timedelta(days=1)).timestamp())


def test_the_earliest_time_is_kept_in_any_order(memory: Memory) -> None:
    history = TableHistory(memory)
    times = [NOON + timedelta(hours=hours) for hours in (3, 1, 2)]
    assert [history.first_seen("t", "k", "e", when) for when in times] == [times[0], times[1], times[1]]
    assert history.first_seen("t", "other", "e", times[0]) == times[0]
    (expires,) = {
        item["expires_at"]["N"]
        for item in memory._dynamodb._service.transport.tables["audit"].items.values()  # type: ignore[attr-defined]  # the fake behind the port
    }
    assert int(expires) == int((NOON + HISTORY).timestamp())


def test_places_are_kept_and_bounded(memory: Memory) -> None:
    history = TableHistory(memory)
    for number in range(MAX_PLACES + 5):
        found = history.places("t", "k", f"place-{number}", NOON)
        assert f"place-{number}" in found
    assert len(history.places("t", "k", "place-0", NOON)) == MAX_PLACES


def test_an_occurrence_is_counted_once(memory: Memory) -> None:
    counter = TableCounter(memory)
    assert [counter.add("t", "k", NOON, one) for one in ("a", "b", "a")] == [1, 2, 1]
    assert counter.add("t", "k", NOON, "c", 5) == 7
    assert counter.add("t", "k", NOON + timedelta(minutes=15), "a") == 1
    assert counter.add("t", "other", NOON, "a") == 1


def test_no_two_that_count_at_once_are_told_the_same(memory: Memory, aws: FakeAws) -> None:
    """Or nobody, or several, would be who reached the threshold, and stand for all before."""
    counter, others, told = TableCounter(memory), iter("bcd"), []

    def in_between(_url: str, body: bytes, _limits: TimeLimits) -> None:
        if b"TransactItems" in body and (other := next(others, None)) is not None:
            told.append(counter.add("t", "k", NOON, other))

    aws.intercept = in_between
    told.append(counter.add("t", "k", NOON, "a"))
    assert sorted(told) == [1, 2, 3, 4]


def test_what_was_issued_is_found_by_its_key_and_the_first_word_stands(memory: Memory) -> None:
    issued = TableIssued(memory, timedelta(days=400))
    ours, other = read_record(record()), read_record(record(number=2, session="another"))
    assert isinstance(ours, RecordEvent)
    assert isinstance(other, RecordEvent)
    assert issued.by_access_key("ASIAISSUED0000000001") is None
    issued.note(ours)
    issued.note(other)
    found = issued.by_access_key("ASIAISSUED0000000001")
    assert found is not None
    assert (found.record_id, found.session_name, found.role_arn, found.time, found.issued_region) == (
        *(ours.record_id, ours.session_name, ours.role_arn, ours.time),
        ours.issued_region,
    )
    assert issued.knows_source_identity("entra-b0c1")
    assert not issued.knows_source_identity("entra-b0c2")


def test_a_denial_issues_nothing(memory: Memory) -> None:
    denied = read_record(record("denied"))
    assert isinstance(denied, RecordEvent)
    TableIssued(memory, timedelta(days=400)).note(denied)
    assert not TableIssued(memory, timedelta(days=400)).knows_source_identity("entra-b0c1")


def test_sign_ins_are_found_across_midnight(memory: Memory) -> None:
    sign_ins = TableSignIns(memory)
    late = NOON + timedelta(hours=11, minutes=59)
    sign_ins.authorized("k", "192.0.2.7", late)
    sign_ins.authorized("k", "192.0.2.8", late - timedelta(hours=1))
    assert sign_ins.last_authorized("k", late + timedelta(minutes=5)) == ("192.0.2.7", late)
    assert sign_ins.last_authorized("k", late - timedelta(minutes=1)) == (
        "192.0.2.8",
        late - timedelta(hours=1),
    )
    assert sign_ins.last_authorized("other", late) is None
    sign_ins.redeemed("k", late + timedelta(minutes=5))
    assert sign_ins.was_redeemed("k", late)
    assert not sign_ins.was_redeemed("k", late + timedelta(minutes=6))


# Findings


def test_two_writers_at_once_lose_no_count(aws: FakeAws) -> None:
    dynamodb = JsonService(service("dynamodb", aws), target="DynamoDB_20120810")
    table = FindingsTable(dynamodb, "findings", timedelta(days=400), lambda: NOON)
    table.observe(made(1))
    begun = [False]

    def meanwhile(_url: str, body: bytes, _limits: Any) -> None:
        if b"TransactItems" in body and not begun[0]:
            begun[0] = True
            table.observe(made(2, after=timedelta(minutes=2)))

    aws.intercept = meanwhile
    kept = table.observe(made(3, after=timedelta(minutes=1)))
    assert kept.finding.count == 3
    assert kept.finding.last_event == NOON + timedelta(minutes=2)


def test_what_was_done_about_a_finding_survives_its_next_event(aws: FakeAws) -> None:
    dynamodb = JsonService(service("dynamodb", aws), target="DynamoDB_20120810")
    table = FindingsTable(dynamodb, "findings", timedelta(days=400), lambda: NOON)
    table.alerted(table.observe(made(1)).finding)
    table.imported(made(1))
    kept = table.observe(made(2))
    assert (kept.alerted, kept.imported is not None) == (Severity.HIGH, True)
    again = table.observe(made(2))
    assert (again.finding.count, again.alerted) == (2, Severity.HIGH)


def test_a_finding_that_cannot_be_read_is_not_overwritten(aws: FakeAws) -> None:
    dynamodb = JsonService(service("dynamodb", aws), target="DynamoDB_20120810")
    aws.tables["findings"].items[f"finding#{made().id}", ""] = {"finding": {"S": "{"}, "revision": {"N": "1"}}
    with pytest.raises(UnavailableError):
        FindingsTable(dynamodb, "findings", timedelta(days=400), lambda: NOON).observe(made())
