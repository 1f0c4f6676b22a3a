"""A Detection Finding of OCSF 1.5 has what the class requires, in milliseconds."""

from dataclasses import replace
from datetime import timedelta

from sallyport.audit.finding import Finding, Severity
from sallyport.audit.ocsf import to_ocsf
from tests.support.audit_world import NOON
from tests.support.rule_samples import load

ONE = next(
    one
    for one in load()["session-without-record-59"].hits[0].run()[-1]
    if isinstance(one, Finding) and one.rule_id == "session-without-record-59"
)
# https://schema.ocsf.io/1.5.0/classes/detection_finding?profiles=cloud
REQUIRED = {
    "activity_id": int,
    "category_uid": int,
    "class_uid": int,
    "cloud": dict,
    "finding_info": dict,
    "metadata": dict,
    "severity_id": int,
    "time": int,
    "type_uid": int,
}


def test_it_has_what_the_class_requires() -> None:
    said = [one for samples in load().values() for one in samples.hits[0].run()[-1]]
    made = [one for one in said if isinstance(one, Finding)]
    assert len(made) >= len(load())
    for one in made:
        value = to_ocsf(one, version="1")
        assert {name: type(value[name]) for name in REQUIRED} == REQUIRED
        assert value["finding_info"]["uid"] == one.id
        assert value["metadata"]["version"] == "1.5.0"
        assert value["metadata"]["product"]["name"]
        assert value["cloud"]["provider"] == "AWS"
        assert value["type_uid"] == value["class_uid"] * 100 + value["activity_id"]


def test_times_are_milliseconds() -> None:
    assert to_ocsf(ONE, version="1")["time"] == int(NOON.timestamp() * 1000)


def test_what_is_seen_again_is_an_update() -> None:
    assert to_ocsf(ONE, version="1")["type_uid"] == 200401
    assert to_ocsf(replace(ONE, count=2), version="1")["type_uid"] == 200402


def test_what_has_ended_is_closed_and_alerts_nobody() -> None:
    ended = replace(ONE, count=3, ended=ONE.last_event + timedelta(hours=1))
    value = to_ocsf(ended, version="1")
    assert (value["activity_name"], value["type_uid"]) == ("Close", 200403)
    assert (value["status_id"], value["status"], value["is_alert"]) == (4, "Resolved", False)
    assert value["time"] - to_ocsf(ONE, version="1")["time"] == 3_600_000
    assert value["finding_info"]["last_seen_time"] == to_ocsf(ONE, version="1")["time"]


def test_severity_and_status_are_ocsf_s_numbers() -> None:
    assert [to_ocsf(replace(ONE, severity=one), version="1")["severity_id"] for one in Severity] == [
        1,
        2,
        3,
        4,
        5,
    ]
    value = to_ocsf(replace(ONE, suppressed_by="s"), version="1")
    assert (value["status_id"], value["is_alert"]) == (3, False)
    assert to_ocsf(ONE, version="1")["status_id"] == 1
