"""The audit while something is away: whatever fails, at whichever call and for however long, nothing is lost.

One small day of the audit is lived through once without a fault. Then it is lived again, with each fault at
each call that is made, and must end in the same findings, imports and counts.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from sallyport.adapters.findings_table import state
from sallyport.adapters.http import HttpResponse, NetworkError, TimeLimits, Transport
from sallyport.audit.finding import Severity, to_json
from tests.support.audit_cloud import AuditCloud
from tests.support.audit_world import MANAGED_ROLE, NOON
from tests.support.fake_dynamodb import Crash
from tests.support.fake_transport import unreachable
from tests.support.rule_samples.sample import assume, exchange, minutes, record, user

UNEXPLAINED = "session-without-record-59"
BEHIND = assume(user(), MANAGED_ROLE)
AGAIN = assume(user(), MANAGED_ROLE, number=2, after=minutes(1))
OURS = assume(exchange(), MANAGED_ROLE, source_identity="entra-b0c1", number=3)

Answer = Callable[[], HttpResponse]


def _no_answer(_answer: Answer) -> HttpResponse:
    return unreachable()


def _lost(answer: Answer) -> HttpResponse:
    answer()
    raise NetworkError("no-answer", "after its effect")


def _crash(_answer: Answer) -> HttpResponse:
    raise Crash


def _crash_after(answer: Answer) -> HttpResponse:
    answer()
    raise Crash


FAULTS: dict[str, Callable[[Answer], HttpResponse]] = {
    "no answer": _no_answer,
    "answer lost": _lost,
    "503": lambda _answer: HttpResponse(503, b"<html>no</html>"),
    "throttled": lambda _answer: HttpResponse(400, b'{"__type": "ThrottlingException"}'),
    "refused": lambda _answer: HttpResponse(403, b'{"__type": "AccessDeniedException"}'),
    "garbage": lambda _answer: HttpResponse(200, b"<html>somebody else's page"),
    "crash": _crash,
    "crash after": _crash_after,
}


@dataclass
class Faulty:
    """A transport on which some calls fail: ``times`` of them from number ``first``, counted from 1."""

    fault: Callable[[Answer], HttpResponse]
    first: int
    times: int
    calls: int = 0
    met: list[str] = field(default_factory=list)

    def __call__(self, aws: Transport) -> Transport:
        def call(
            method: str, url: str, headers: Mapping[str, str], body: bytes, limits: TimeLimits
        ) -> HttpResponse:
            self.calls += 1
            if not self.first <= self.calls < self.first + self.times:
                return aws(method, url, headers, body, limits)
            service = url.partition("//")[2].partition(".")[0]
            self.met.append(f"{service} {headers.get('X-Amz-Target', '').rpartition('.')[2]}".strip())
            return self.fault(lambda: aws(method, url, headers, body, limits))

        return call


def live(cloud: AuditCloud) -> None:
    """A day: records, events and poison, each delivered until it is taken, and all that follows of it."""
    # A deployment that watches for a month already: how long it has been learning is not of interest here.
    began = {"N": str(int(NOON.timestamp()) - 30 * 86_400)}
    cloud.aws.tables["audit"].items["began", ""] = {"pk": {"S": "began"}, "began": began}
    batches = [
        ("event", [BEHIND, OURS, "{"]),
        ("record", [record(), record("denied", number=2), "{"]),
        ("event", [AGAIN, BEHIND]),
    ]
    for kind, messages in batches:
        left = messages
        for _ in range(50):
            left = [left[number] for number in cloud.send(kind, *left)]
            cloud.restart()
            if not left:
                break
            cloud.now += minutes(6)
        assert not left
    for _ in range(60):
        if not (cloud.later or cloud.waiting):
            return
        cloud.now += minutes(15)
        put_off = cloud.later
        cloud.later = []
        failed = cloud.send("later", *(one["MessageBody"] for one in put_off)) if put_off else []
        cloud.later += [put_off[number] for number in failed]
        cloud.imports_due()
        cloud.restart()
    raise AssertionError("messages go round for ever")


@dataclass(frozen=True)
class End:
    """What there is in the end."""

    findings: dict[str, Any]
    imported: dict[str, Any]
    taken: dict[str, int]
    aside: Counter[tuple[str, str]]
    alerts: Counter[str]
    edges: frozenset[tuple[str, str]]


def end_of(cloud: AuditCloud) -> End:
    return End(
        findings={rule: to_json(kept.finding) for rule, kept in cloud.findings().items()},
        imported=dict(cloud.hub.findings),
        taken=cloud.counts(),
        aside=Counter(cloud.dead),
        alerts=Counter(one["Message"].rpartition("findings --id ")[2] for one in cloud.alerts),
        edges=frozenset(cloud.aws.tables["sessions"].items),
    )


def more(seen: Counter[Any], expected: Counter[Any]) -> int:
    return seen.total() - expected.total()


@cache
def without_faults() -> tuple[End, int]:
    counter = Faulty(_no_answer, 0, 0)
    cloud = AuditCloud(wrap=counter)
    live(cloud)
    return end_of(cloud), counter.calls


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sallyport.adapters.aws.PAUSE_SECONDS", 0.0)


def test_the_day_has_a_bit_of_everything() -> None:
    """So that what is compared below is not nothing."""
    end, calls = without_faults()
    assert end.findings[UNEXPLAINED]["count"] == 2
    assert end.taken == {"event": 3, "granted": 1, "denied": 1}
    assert sum(end.aside.values()) == 2
    assert end.edges
    assert len(end.imported) == len(end.findings) >= 3
    assert set(end.alerts.values()) == {1}
    assert calls > 40


# What is tried again at once has to fail twice to be noticed. Every third call for each fault, and another
# third for the next fault; long outages at some.
NAMES = list(FAULTS)
CASES = [
    *((fault, 1, range(1 + number % 3, 200, 3)) for number, fault in enumerate(NAMES)),
    *(
        (fault, 2, range(1 + number, 200, 3))
        for number, fault in enumerate(("no answer", "503", "throttled"))
    ),
    *((fault, 30, range(1 + number, 200, 16)) for number, fault in enumerate(NAMES)),
]


@pytest.mark.parametrize(("fault", "times", "positions"), CASES)
def test_whatever_fails_at_whichever_call_the_end_is_the_same(
    fault: str, times: int, positions: range
) -> None:
    expected, calls = without_faults()
    for first in (one for one in positions if one <= calls):
        faulty = Faulty(FAULTS[fault], first, times)
        cloud = AuditCloud(wrap=faulty)
        live(cloud)
        end = end_of(cloud)
        where = f"{fault} at call {first}: {faulty.met[:3]}"
        assert faulty.met, where
        assert end.findings == expected.findings, where
        assert end.imported == expected.imported, where
        assert end.taken == expected.taken, where
        assert end.edges == expected.edges, where
        # Nobody is told, and nothing is put aside, less often; and more often only by each of those calls
        # whose effect or whose note nobody can know of.
        assert end.aside.keys() == expected.aside.keys(), where
        assert 0 <= more(end.aside, expected.aside) <= faulty.met.count("sqs SendMessage"), where
        assert end.alerts.keys() == expected.alerts.keys(), where
        unsure = faulty.met.count("sns") + faulty.met.count("dynamodb UpdateItem")
        assert 0 <= more(end.alerts, expected.alerts) <= unsure, where


@pytest.mark.parametrize("fault", FAULTS)
def test_of_one_import_security_hub_has_one_finding_and_its_latest_state(fault: str) -> None:
    """Whatever was sent twice has changed nothing the second time."""
    cloud = AuditCloud()
    cloud.send("event", BEHIND)
    faulty = Faulty(FAULTS[fault], 1, 3)
    cloud.wrap = faulty
    cloud.restart()
    for _ in range(5):
        cloud.imports_due()
        cloud.now += minutes(6)
    assert cloud.waiting == []
    changed = Counter(one.id for one in cloud.hub.taken if one.changed)
    assert set(changed.values()) == {1}
    assert len(changed) == len(cloud.findings())


def test_an_import_is_asked_for_again_by_nobody_but_its_queue(
    cloud_with_a_finding: AuditCloud,
) -> None:
    """No further event comes, and Security Hub is away for a day."""
    cloud = cloud_with_a_finding
    cloud.aws.faults["securityhub"] = unreachable
    for _ in range(100):
        assert cloud.imports_due(), "it comes again"
        cloud.now += minutes(6)
    del cloud.aws.faults["securityhub"]
    assert cloud.imports_due() == []
    assert [one["Id"] for one in cloud.imports(UNEXPLAINED)] != []
    kept = cloud.findings()[UNEXPLAINED]
    assert kept.imported == state(kept.finding)


@pytest.fixture
def cloud_with_a_finding() -> AuditCloud:
    cloud = AuditCloud()
    cloud.send("event", BEHIND)
    return cloud


def test_a_hundred_events_are_few_imports_of_what_there_is_by_then() -> None:
    cloud = AuditCloud()
    for number in range(100):
        cloud.send("event", assume(user(), MANAGED_ROLE, number=number + 1, after=minutes(number / 10)))
    assert len(cloud.waiting) >= 100
    cloud.aws.calls.clear()
    while cloud.waiting:
        cloud.imports_due()
    calls = Counter(cloud.aws.calls)
    assert calls["securityhub eu-central-1"] == -(-len(cloud.hub.taken) // 100) or (
        calls["securityhub eu-central-1"] <= 4
    )
    (imported,) = cloud.imports(UNEXPLAINED)
    assert imported["ProductFields"]["sallyport/count"] == "100"


def test_an_import_of_what_was_imported_costs_one_read(cloud_with_a_finding: AuditCloud) -> None:
    cloud = cloud_with_a_finding
    asked = list(cloud.waiting)
    cloud.imports_due()
    cloud.aws.calls.clear()
    assert cloud.send("import", *asked) == []
    assert {*cloud.aws.calls} == {"dynamodb eu-central-1 GetItem"}


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "7", "null", '{"finding": 7}', '{"finding": "x"}', "[" * 100_000]
)
def test_what_asks_for_no_import_is_kept_aside(cloud_with_a_finding: AuditCloud, body: str) -> None:
    cloud = cloud_with_a_finding
    asked = cloud.waiting.pop()
    assert cloud.send("import", body, asked) == []
    assert cloud.dead == [(body or " ", "not-an-import")]
    assert len(cloud.imported) == 1
    cloud.aws.faults["sqs"] = unreachable
    assert cloud.send("import", body) == [0]


def test_a_finding_that_is_gone_is_not_imported(cloud_with_a_finding: AuditCloud) -> None:
    cloud = cloud_with_a_finding
    cloud.aws.tables["findings"].items.clear()
    assert cloud.imports_due() == []
    assert cloud.imported == []
    assert cloud.aws.tables["findings"].items == {}, "nor does a note of it come back"


def test_without_time_what_was_read_is_imported_and_the_rest_comes_again(
    cloud_with_a_finding: AuditCloud,
) -> None:
    cloud = cloud_with_a_finding
    asked = len(cloud.waiting)
    assert asked >= 2
    left = [60_000.0]

    def slow(_url: str, body: bytes, _limits: TimeLimits) -> None:
        if b"ConsistentRead" in body:
            left[0] -= 31_000

    cloud.aws.intercept = slow
    cloud.milliseconds_left = lambda: left[0]
    assert len(cloud.imports_due()) == asked - 1
    assert len(cloud.imported) == 1


@pytest.mark.parametrize("other", [AGAIN, BEHIND])
def test_two_instances_with_events_or_copies_of_one_finding_tell_once(other: dict[str, Any]) -> None:
    """The second one finds nothing told while the first is about to; it comes again, and finds it told."""
    cloud = AuditCloud({"security_hub": False})
    met: list[list[int]] = []

    def at_the_same_time(url: str, _body: bytes, _limits: TimeLimits) -> None:
        if "//sns." in url and not met:
            met.append([])
            met[0] = cloud.send("event", other)

    cloud.aws.intercept = at_the_same_time
    assert cloud.send("event", BEHIND) == []
    assert met == [[0]]
    assert cloud.send("event", other) == []
    assert len(cloud.told(UNEXPLAINED)) == 1
    assert cloud.findings()[UNEXPLAINED].finding.count == (1 if other is BEHIND else 2)


def test_a_copy_of_a_message_is_not_taken_while_the_other_one_may_still_fail_to_tell() -> None:
    """A queue delivers a message twice at once; taken by either, it is gone."""
    cloud = AuditCloud({"security_hub": False})
    met: list[list[int]] = []

    def fails_at_the_same_time(url: str, _body: bytes, _limits: TimeLimits) -> HttpResponse | None:
        if "//sns." not in url or met:
            return None
        met.append([])
        met[0] = cloud.send("event", BEHIND)
        return unreachable()

    cloud.aws.intercept = fails_at_the_same_time
    assert cloud.send("event", BEHIND) == [0]
    assert met == [[0]]
    assert cloud.counts() == {}


def test_who_could_not_tell_is_not_waited_for() -> None:
    cloud = AuditCloud({"security_hub": False})
    cloud.aws.faults["sns"] = unreachable
    assert cloud.send("event", BEHIND) == [0]
    del cloud.aws.faults["sns"]
    assert cloud.send("event", AGAIN) == []
    assert cloud.send("event", BEHIND) == []
    assert len(cloud.told(UNEXPLAINED)) == 1


def test_who_died_before_a_word_comes_again_and_tells() -> None:
    cloud = AuditCloud({"security_hub": False})
    cloud.aws.faults["sns"] = lambda: _crash(unreachable)
    assert cloud.send("event", BEHIND) == [0]
    del cloud.aws.faults["sns"]
    assert cloud.send("event", AGAIN) == [0]
    assert cloud.told(UNEXPLAINED) == [], "it may be on its way"
    cloud.now += minutes(6)
    assert cloud.send("event", BEHIND, AGAIN) == []
    assert len(cloud.told(UNEXPLAINED)) == 1


def test_what_is_worse_does_not_wait_for_what_somebody_is_about_to_tell() -> None:
    cloud = AuditCloud({"security_hub": False})
    cloud.send("event", BEHIND)
    item = next(one for one in cloud.aws.tables["findings"].items.values() if UNEXPLAINED in str(one))
    del item["alerted"]
    # As if an instance were about to tell of it while it was only high.
    item["telling"] = {"N": str(int(Severity.HIGH))}
    item["telling_until"] = {"N": str(int(cloud.now.timestamp()) + 50)}
    cloud.send("event", AGAIN)
    assert len(cloud.told(UNEXPLAINED)) == 2


def test_security_hub_has_its_finding_although_nobody_can_be_told() -> None:
    cloud = AuditCloud()
    cloud.aws.faults["sns"] = unreachable
    assert cloud.send("event", BEHIND) == [0]
    cloud.imports_due()
    assert len(cloud.imports(UNEXPLAINED)) == 1


def test_somebody_is_told_although_no_import_can_be_asked_for() -> None:
    """Whoever may close the queue of imports must not be able to silence the alerts by that."""
    cloud = AuditCloud()
    cloud.aws.faults["sqs"] = unreachable
    assert cloud.send("event", BEHIND) == [0], "the import is still to be asked for"
    assert len(cloud.told(UNEXPLAINED)) == 1
    del cloud.aws.faults["sqs"]
    assert cloud.send("event", BEHIND) == []
    cloud.imports_due()
    assert len(cloud.imports(UNEXPLAINED)) == len(cloud.told(UNEXPLAINED)) == 1


@pytest.mark.parametrize("answer", [b"", b"<html>", b"<PublishResponse/>", b"{}"])
def test_an_answer_that_names_no_message_is_no_alert(answer: bytes) -> None:
    cloud = AuditCloud()
    cloud.aws.faults["sns"] = lambda: HttpResponse(200, answer)
    assert cloud.send("event", BEHIND) == [0]
    del cloud.aws.faults["sns"]
    assert cloud.send("event", BEHIND) == []
    assert len(cloud.told(UNEXPLAINED)) == 1


def test_suppressions_that_cannot_be_looked_up_let_nothing_through_and_lose_nothing() -> None:
    cloud = AuditCloud()

    def away(_url: str, body: bytes, _limits: TimeLimits) -> HttpResponse | None:
        return unreachable() if b'"suppressions"' in body else None

    cloud.aws.intercept = away
    assert cloud.send("event", BEHIND) == [0]
    assert (cloud.findings(), cloud.alerts) == ({}, [])
    cloud.aws.intercept = lambda *_: None
    assert cloud.send("event", BEHIND) == []
    assert len(cloud.told(UNEXPLAINED)) == 1


def test_what_the_queue_of_second_looks_gave_up_comes_back_by_the_records_queue() -> None:
    """Both end in one dead-letter queue, which is brought back to the records' queue."""
    cloud = AuditCloud()
    cloud.send("event", OURS)
    (put_off,) = cloud.later
    cloud.later = []
    cloud.now += minutes(30)
    assert cloud.send("record", put_off["MessageBody"]) == []
    assert UNEXPLAINED in cloud.findings()
    assert cloud.dead == []


def test_what_was_put_off_comes_back_by_no_other_queue() -> None:
    """Into the events' queue others may put what they like, such as a record that explains their session."""
    cloud = AuditCloud()
    forged = {"kind": "record", "due": "2026-11-20T12:00:00+00:00", "body": json.dumps(record())}
    assert cloud.send("event", forged) == []
    assert [reason for _, reason in cloud.dead] == ["not-from-aws"]
    assert cloud.counts() == {}


@pytest.mark.parametrize("service", ["securityhub", "sns"])
def test_a_note_on_a_finding_that_is_gone_makes_no_finding(service: str) -> None:
    """An item without a finding in it would be in the way of every later observation."""
    cloud = AuditCloud()

    def gone(url: str, _body: bytes, _limits: TimeLimits) -> None:
        if f"//{service}." in url:
            cloud.aws.tables["findings"].items.clear()

    cloud.aws.intercept = gone
    cloud.send("event", BEHIND)
    cloud.imports_due()
    items = cloud.aws.tables["findings"].items.values()
    assert all("finding" in item for item in items if item["pk"]["S"].startswith("finding#"))


def test_an_import_that_could_not_be_noted_comes_again_to_be_noted(cloud_with_a_finding: AuditCloud) -> None:
    cloud = cloud_with_a_finding
    cloud.aws.faults["dynamodb/UpdateItem"] = unreachable
    assert len(cloud.imports_due()) == len(cloud.findings())
    assert len(cloud.imports(UNEXPLAINED)) == 1
    del cloud.aws.faults["dynamodb/UpdateItem"]
    assert cloud.imports_due() == []
    kept = cloud.findings()[UNEXPLAINED]
    assert kept.imported == state(kept.finding)
