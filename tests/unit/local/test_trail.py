"""The local trail's events are read as CloudTrail's are, and keep no secret."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local import demo_audit, trail
from sallyport.audit.evaluate import evaluate
from sallyport.audit.events import Observed, read_event
from sallyport.audit.finding import Finding
from sallyport.audit.lineage.edges import edges_of
from tests.support.audit_world import NOON, context
from tests.support.world import load_event

READER = "arn:aws:iam::111122223333:role/sallyport/team-a-reader"
FURTHER = "arn:aws:iam::111122223333:role/report-archive"
LATE = datetime(2026, 11, 20, 12, tzinfo=UTC)


def answer(key: str, role: str, **more: str) -> dict[str, Any]:
    """What STS answers."""
    name = role.rpartition("/")[2]
    return {
        "Credentials": {"AccessKeyId": key, "SecretAccessKey": "a-secret", "SessionToken": "a-token"},
        "AssumedRoleUser": {
            "Arn": f"arn:aws:sts::111122223333:assumed-role/{name}/a-name",
            "AssumedRoleId": "AROALOCAL00000000001:a-name",
        },
        **more,
    }


FIRST = trail.session(READER, answer("ASIAFIRST00000000001", READER, SourceIdentity="contoso.b0c1"))


def read(event: dict[str, Any]) -> Observed:
    found = read_event(event)
    assert isinstance(found, Observed), found
    return found


def test_an_access_to_s3_names_the_session_and_its_source_identity() -> None:
    call = trail.Call("s3", "GetObject", {"Bucket": "reports", "Key": "a.txt", "Body": b"x"}, {})
    event = read(trail.called(FIRST, call, when=LATE))
    assert (event.source, event.name, event.category) == ("s3", "GetObject", "Data")
    assert event.caller.access_key == "ASIAFIRST00000000001"
    assert event.caller.role_arn == READER
    assert event.caller.session_name == "a-name"
    assert event.caller.source_identity == "contoso.b0c1"
    assert event.request == {"bucketName": "reports", "key": "a.txt"}
    assert event.response is None
    assert event.time == LATE


def test_a_further_role_is_an_edge_from_the_one_key_to_the_other() -> None:
    onward = answer("ASIASECOND0000000001", FURTHER)
    call = trail.Call("sts", "AssumeRole", {"RoleArn": FURTHER, "RoleSessionName": "a-name"}, onward)
    (edge,) = edges_of(read(trail.called(FIRST, call)))
    assert (edge.parent, edge.child) == ("ASIAFIRST00000000001", "ASIASECOND0000000001")
    assert (edge.role, edge.source_identity) == (FURTHER, "contoso.b0c1")
    assert trail.session(FURTHER, onward, FIRST).source_identity == "contoso.b0c1"


def test_what_was_denied_says_so_and_has_no_parameters() -> None:
    denied = {"Error": {"Code": "AccessDenied", "Message": "no"}}
    event = read(trail.called(FIRST, trail.Call("s3", "PutObject", {"Bucket": "archive"}, denied)))
    assert (event.error_code, event.request, event.read_only) == ("AccessDenied", None, False)


def test_no_secret_is_in_an_event_or_shows_itself() -> None:
    call = trail.Call("sts", "AssumeRole", {"RoleArn": FURTHER}, answer("ASIASECOND0000000001", FURTHER))
    told = json.dumps(trail.called(FIRST, call)) + repr(FIRST) + repr(call)
    assert "a-secret" not in told
    assert "a-token" not in told


def test_an_event_that_is_told_again_is_another_event() -> None:
    sample = load_event(demo_audit.SAMPLE.stem)
    one, other = read(trail.again(sample)), read(trail.again(sample))
    assert one.event_id != other.event_id != read(sample).event_id
    assert one.caller == read(sample).caller


@pytest.mark.parametrize("when", [NOON, NOON + timedelta(days=1)])
def test_the_sample_is_found_by_the_rule_on_the_global_endpoint_and_by_no_other(when: datetime) -> None:
    event = read(trail.again(load_event(demo_audit.SAMPLE.stem), when))
    found = [one.rule_id for one in evaluate(event, context()) if isinstance(one, Finding)]
    assert found == [demo_audit.GLOBAL_ENDPOINT]
