"""The deployed audit while something is away: all that went in comes out, once, and somebody is told."""

import pytest

from local.http_client import ask
from local.steps import World
from tests.support.live_audit import LiveAudit, name_of, until

TABLES = ("AuditTable", "FindingsTable", "SessionsTable")
OTHERS = ("sns", "sqs", "securityhub")
# How the proxy fails calls, and how often in a row: what is tried again at once is in vain as well.
# The other kinds of faults, at every position, are in tests/functional/test_audit_faults.py.
FAULTS = {"503": 3, "lost": 2}


@pytest.fixture(scope="module")
def audit(world: World) -> LiveAudit:
    return LiveAudit(world)


@pytest.mark.parametrize("fault", FAULTS)
def test_with_everything_failing_for_a_while_nothing_is_lost_and_nothing_is_double(
    audit: LiveAudit, faults: str, fault: str
) -> None:
    before, dead = audit.taken(), audit.waiting("EventsDeadLetterQueue")
    sessions = [audit.strangers_session() for _ in range(3)]
    record = audit.denial()
    with audit.impatient(), audit.inbox() as inbox:
        for one in (*TABLES, *OTHERS):
            target = (
                {"service": one} if one in OTHERS else {"service": "dynamodb", "resource": audit.outputs[one]}
            )
            ask("POST", f"{faults}/faults", {"fault": fault, "times": FAULTS[fault], **target})
        audit.record(record)
        audit.put_events(*sessions, *sessions)
        names = {name_of(one) for one in sessions} | {record["id"]}
        until(lambda: set(audit.taken() - before) == names, "not everything was taken")
        audit.settle("EventsQueue", "AuditQueue", "ImportsQueue")
        found = audit.findings_of(*sessions)
        assert [one["count"] for one in found] == [1] * len(sessions)
        alerts = [len(inbox.about(one)) for one in found]
    assert set(audit.taken() - before) == names
    assert [len(imports) for imports in audit.imports_of(found)] == [1] * len(sessions)
    assert audit.waiting("EventsDeadLetterQueue") == dead
    assert min(alerts) >= 1
    # One more at the most for each call to SNS, or for a note of it, of which nobody knows what came of it.
    assert sum(alerts) <= len(sessions) + 2 * FAULTS[fault]


def test_what_security_hub_refuses_for_long_waits_in_its_queue_and_nowhere_else(
    audit: LiveAudit, faults: str
) -> None:
    ask("POST", f"{faults}/faults", {"fault": "throttle", "service": "securityhub"})
    one = audit.strangers_session()
    with audit.impatient():
        audit.put_events(one)
        until(lambda: name_of(one) in audit.taken(), "it was not taken")
        audit.settle("EventsQueue")
        (finding,) = audit.findings_of(one)
        assert audit.waiting("ImportsQueue") >= 1
        assert audit.imports_of([finding]) == [[]]
        ask("DELETE", f"{faults}/faults?service=securityhub")
        audit.settle("ImportsQueue")
    assert [len(imports) for imports in audit.imports_of([finding])] == [1]
    assert audit.waiting("ImportsDeadLetterQueue") == 0
