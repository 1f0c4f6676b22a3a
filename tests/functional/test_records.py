"""No credentials without a record, and no records for anybody who only makes noise."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from aws_lambda_powertools import Metrics

from sallyport.adapters.http import HttpResponse
from sallyport.audit import ledger
from tests.support import tokens
from tests.support.fake_transport import answers_503, times, unreachable
from tests.support.world import (
    NIGHTLY,
    PLAIN_ROLE,
    READER,
    World,
    credentials_event,
    exchange_id,
    lines,
    passed_on,
    query_event,
    sts_form,
)

DENIED = tokens.good_entra_v1(oid="99999999-1111-4222-8333-444455556666")
BAD = "a.b.c"
RECORDS = "dynamodb/PutItem"


def puts(calls: list[str]) -> int:
    return sum(call.endswith("PutItem") for call in calls)


@pytest.mark.parametrize("fault", [unreachable, answers_503])
def test_without_a_record_there_are_no_credentials(
    world: World, capsys: pytest.CaptureFixture[str], fault: Callable[[], HttpResponse]
) -> None:
    with world.fault(RECORDS, fault):
        answer = world.query()
    assert answer["statusCode"] == 503
    assert len(world.aws.sts.forms) == 1, "a session was made"
    assert "canary" not in json.dumps(answer)
    assert "ASIA" not in json.dumps(answer)
    alarms = [line for line in lines(capsys) if line.get("message") == "SessionNotReleased"]
    assert [(one["exchange_id"], one["access_key_id"]) for one in alarms] == [
        (exchange_id(answer), "ASIA0000000000000001")
    ]
    assert world.records == {}


def test_what_is_recorded_as_granted_is_released_though_no_metric_can_be_counted(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that says granted, and a caller without credentials, would be two truths."""

    def fail(*_arguments: Any, **_named: Any) -> None:
        raise ValueError("no metric")

    monkeypatch.setattr(Metrics, "add_metric", fail)
    answer = world.query()
    assert answer["statusCode"] == 200
    assert world.record_of(answer)["outcome"] == "granted"
    assert "SessionNotReleased" not in capsys.readouterr().out


def test_the_next_exchange_records_what_was_not_released(world: World) -> None:
    with world.fault(RECORDS, unreachable):
        first = world.query()
    second = world.query()
    assert second["statusCode"] == 200
    record = world.record_of(first)
    assert (record["outcome"], record["reason"]) == ("failed", "record-failed")
    assert record["issued"]["access_key_id"] == "ASIA0000000000000001"
    assert world.record_of(second)["outcome"] == "granted"


def test_a_denial_also_records_what_was_not_released(world: World) -> None:
    with world.fault(RECORDS, unreachable):
        first = world.query()
    world.query(tokens.token(DENIED))
    assert world.record_of(first)["outcome"] == "failed"


def test_a_put_whose_answer_was_lost_is_corrected_and_does_not_block_what_follows(world: World) -> None:
    """The record says granted, the caller got nothing: records never change, so a second one says so."""
    table = world.aws.tables["records"]
    table.after_effect = True
    with world.fault(
        RECORDS, lambda: (table.put_item(**json.loads(world.aws.requests[-1][2])), unreachable())[1]
    ):
        lost = world.query()
    table.after_effect = False
    assert lost["statusCode"] == 503
    assert world.record_of(lost)["outcome"] == "granted"
    with world.fault(RECORDS, unreachable):
        other = world.query()
    for _ in range(3):
        world.query()
    correction = world.records[f"{exchange_id(lost)}-correction"]
    assert (correction["corrects"], correction["outcome"]) == (exchange_id(lost), "failed")
    assert world.record_of(other)["outcome"] == "failed"


def test_an_instance_catches_up_a_few_records_at_a_time(world: World) -> None:
    with world.fault(RECORDS, unreachable):
        for _ in range(7):
            world.query(tokens.token(DENIED))
    assert world.records == {}
    assert puts(world.calls(world.query)) == 1 + ledger.LATE_AT_ONCE
    for _ in range(3):
        world.query()
    assert len(world.records) == 7 + 4


def test_denials_do_not_push_out_a_session_that_was_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sallyport.adapters.aws.PAUSE_SECONDS", 0)
    denied = tokens.token(DENIED)
    with world.fault(RECORDS, unreachable):
        made = world.query()
        for number in range(ledger.MAX_WAITING + 5):
            # One identity has only so many records a minute; what is beyond them does not wait.
            if number % ledger.MAX_PER_SUBJECT == 0:
                world.advance(61)
            world.query(denied)
    world.query()
    assert world.record_of(made)["outcome"] == "failed"


def test_a_session_that_sts_gave_for_another_subject_is_not_released_and_on_record_at_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.aws.sts.subject = "somebody else"
    answer = world.query(tokens.token(tokens.good_entra_v2()), RoleArn=NIGHTLY)
    assert answer["statusCode"] == 403
    assert world.record_of(answer)["reason"] == "sts-subject-differs"
    assert any(line.get("message") == "SessionNotReleased" for line in lines(capsys))


def test_a_second_try_of_the_same_put_is_no_other_record(world: World) -> None:
    table = world.aws.tables["records"]

    def done_but_unheard() -> HttpResponse:
        table.put_item(**json.loads(world.aws.requests[-1][2]))
        return unreachable()

    with world.fault(RECORDS, times(1, done_but_unheard, then=passed_on(world))):
        answer = world.query()
    assert answer["statusCode"] == 200
    assert len(world.records) == 1


def test_records_end_with_their_time(world: World) -> None:
    answer = world.query()
    item = world.aws.tables["records"].items[exchange_id(answer), ""]
    assert int(item["expires_at"]["N"]) == int((world.now + timedelta(days=400)).timestamp())


# Noise


@pytest.mark.parametrize(
    "noise", [BAD, "", "no token at all", tokens.expired(), tokens.signed_by_somebody_else()]
)
def test_a_flood_of_bad_proofs_costs_one_record_a_minute(world: World, noise: str) -> None:
    calls = []
    for second in range(180):
        calls += world.calls(lambda: world.query(noise))
        world.advance(1)
        if second in {58, 118, 178}:
            assert len(world.records) == second // 60
    assert puts(calls) == len(world.records) == 2
    (first, _) = world.records.values()
    assert (first["kind"], first["outcome"], first["total"]) == ("unverified-summary", "refused", 61)
    assert first["addresses"] == {"192.0.2.7": 61}
    assert sum(first["counts"].values()) == 61


def test_the_summary_stays_small_whoever_comes(world: World) -> None:
    for number in range(1_000):
        event = credentials_event(BAD, {"roleArn": READER})
        event["requestContext"]["identity"]["sourceIp"] = f"2001:db8::{number:x}"
        world.routes(event)
    world.advance(61)
    world.credentials(BAD)
    (record,) = world.records.values()
    assert len(record["addresses"]) <= 50
    assert record["addresses"]["others"] == 1_001 - ledger.MAX_ADDRESSES
    assert record["total"] == 1_001


def test_noise_leaves_a_line_in_the_log_with_what_it_claims(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = tokens.good_entra_v1(sub="\u202eroot" + "a" * 500, aud=[tokens.AUDIENCE] * 100)
    world.query(tokens.token(claims, key=tokens.rsa_key("attacker")))
    (line,) = [one for one in lines(capsys) if one.get("message") == "exchange"]
    assert (line["outcome"], line["reason"]) == ("refused", "signature-invalid")
    assert line["claimed"]["oid"] == tokens.OBJECT_ID
    assert all(len(value) <= 256 for value in line["claimed"].values())
    assert "subject" not in line


def test_a_request_that_is_none_is_noise_too(world: World) -> None:
    assert world.calls(lambda: world.query(Action="ListUsers")) == []


def test_a_token_of_an_unknown_issuer_causes_no_call_but_reads_of_trust(world: World) -> None:
    stranger = tokens.token(tokens.good_plain(iss="https://attacker.example"))
    for ask in (world.query, world.credentials):
        assert ask(stranger)["statusCode"] == 400
    assert world.aws.calls == ["dynamodb eu-central-1 GetItem"], "the version, with its issuers"
    assert {json.loads(body)["TableName"] for _, _, body in world.aws.requests} == {"trust"}


def test_any_number_of_unknown_issuers_causes_no_more_reads_than_one(world: World) -> None:
    def flood() -> None:
        for number in range(600):
            stranger = tokens.token(tokens.good_plain(iss=f"https://x{number}.example"))
            assert world.query(stranger)["statusCode"] == 400

    assert world.calls(flood) == ["dynamodb eu-central-1 GetItem"]
    assert world.query()["statusCode"] == 200


@pytest.mark.parametrize("marks", [None, "", "000009-0badcafe", "000009-0badcafe 0123456789abcdef"])
def test_where_the_version_has_no_list_of_its_issuers_they_are_looked_up(
    world: World, marks: str | None
) -> None:
    pointer = world.aws.tables["trust"].items["current", "-"]
    del pointer["issuers"]
    if marks is not None:
        pointer["issuers"] = {"S": marks}
    assert world.query()["statusCode"] == 200
    stranger = tokens.token(tokens.good_plain(iss="https://attacker.example"))
    assert world.calls(lambda: world.query(stranger)) == ["dynamodb eu-central-1 GetItem"]
    assert world.calls(lambda: world.query(stranger)) == []


@pytest.mark.parametrize("issuer", ["https://" + "a" * 500, "https://" + "\U0001f600" * 500])
def test_an_issuer_longer_than_a_key_of_the_table_is_refused_and_not_looked_up(
    world: World, issuer: str
) -> None:
    answer = world.query(tokens.token(tokens.good_plain(iss=issuer)))
    assert answer["statusCode"] == 400
    assert world.aws.calls == [], "not even the version"


def test_a_denial_costs_one_record(world: World) -> None:
    world.query()
    assert puts(world.calls(lambda: world.query(tokens.token(DENIED)))) == 1


def stranger(number: int) -> str:
    """Verified, as everybody is at an issuer that serves the whole world, and entitled to nothing."""
    return tokens.token(tokens.good_entra_v1(oid=f"99999999-1111-4222-8333-{number:012}"))


def summaries(world: World) -> list[dict[str, Any]]:
    return [record for record in world.records.values() if record["kind"] == "unverified-summary"]


def test_a_flood_of_denials_of_one_identity_costs_ten_records_a_minute_and_a_summary(world: World) -> None:
    for _ in range(200):
        assert world.query(stranger(1))["statusCode"] == 403
    assert len(world.records) == ledger.MAX_PER_SUBJECT
    world.advance(60)
    later = world.query(stranger(1))
    assert world.record_of(later)["outcome"] == "denied"
    (one,) = summaries(world)
    assert one["denied"] == {"contoso no-profile-matched": 200 - ledger.MAX_PER_SUBJECT}
    assert (one["denied_total"], one["total"]) == (200 - ledger.MAX_PER_SUBJECT, 0)


def test_many_identities_of_one_anchor_cost_no_more_than_fifty_records(world: World) -> None:
    for number in range(300):
        world.query(stranger(number))
    assert len(world.records) == ledger.MAX_PER_ANCHOR
    allowance: Any = world.routes.exchange._ledger._allowance
    assert len(allowance._subjects) <= ledger.MAX_PER_ANCHOR
    # Strangers at one issuer do not use up what explains denials at another.
    elsewhere = world.query(tokens.token(tokens.good_plain(sub="nobody")), RoleArn=PLAIN_ROLE)
    assert world.record_of(elsewhere)["outcome"] == "denied"
    world.advance(61)
    world.query(stranger(1))
    assert summaries(world)[0]["denied_total"] == 300 - ledger.MAX_PER_ANCHOR


def test_a_summary_is_put_though_nobody_but_the_flood_comes(world: World) -> None:
    for second in range(130):
        for _ in range(3):
            world.query(stranger(1))
        world.advance(1)
        assert len(world.records) <= (second // 60 + 1) * (ledger.MAX_PER_SUBJECT + 2)
    assert summaries(world)


def test_one_identitys_flood_leaves_room_for_another(world: World) -> None:
    for _ in range(50):
        world.query(stranger(1))
    assert world.record_of(world.query(stranger(2)))["outcome"] == "denied"


def test_grants_and_sessions_that_were_made_are_on_record_however_many_there_are(world: World) -> None:
    for number in range(ledger.MAX_PER_MINUTE + 5):
        world.query(stranger(number))
    granted = [world.query() for _ in range(ledger.MAX_PER_SUBJECT + 5)]
    assert {world.record_of(answer)["outcome"] for answer in granted} == {"granted"}
    world.aws.sts.subject = "somebody else"
    for _ in range(ledger.MAX_PER_SUBJECT + 5):
        made = world.query(tokens.token(tokens.good_entra_v2()), RoleArn=NIGHTLY)
        assert world.record_of(made)["reason"] == "sts-subject-differs"


def test_a_denial_that_is_only_counted_still_has_its_line_in_the_log(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(ledger.MAX_PER_SUBJECT):
        world.query(stranger(1))
    capsys.readouterr()
    answer = world.query(stranger(1))
    assert exchange_id(answer) not in world.records
    (line,) = [one for one in lines(capsys) if one.get("message") == "exchange"]
    assert (line["exchange_id"], line["reason"]) == (exchange_id(answer), "no-profile-matched")


# Defects of our own


def test_what_nobody_planned_for_is_a_500_without_a_word_and_on_record(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def defect() -> HttpResponse:
        raise RuntimeError("secret-1-canary in a text")

    with world.fault("sts", defect):
        for ask in (world.query, world.credentials):
            answer = ask()
            assert answer["statusCode"] == 500
            assert "InternalFailure" in answer["body"]
            assert "canary" not in answer["body"]
            assert "RuntimeError" not in answer["body"]
            record = world.record_of(answer)
            assert (record["outcome"], record["reason"], record["detail"]) == (
                "failed",
                "unexpected",
                "RuntimeError",
            )
    (one, _) = [line for line in lines(capsys) if line.get("message") == "Unexpected"]
    assert one["exception"] == "RuntimeError"
    assert one["places"][-1].endswith(" defect")
    assert "canary" not in json.dumps(one)


def test_an_unreadable_answer_of_sts_is_not_taken_for_credentials(world: World) -> None:
    for body in (b"", b"<a/>", b"<a", b"[]", b"\xff"):
        world.aws.faults["sts"] = partial(HttpResponse, 200, body)
        assert world.query()["statusCode"] == 503


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("5f0b7d6e-1c2d-4e3f-8a9b-0123456789ab", "5f0b7d6e-1c2d-4e3f-8a9b-0123456789ab"),
        ('x" || "exchange_id', ""),
        ("short", ""),
        ("a" * 65, ""),
        (None, ""),
    ],
)
def test_what_the_gateway_calls_a_request_is_on_record_and_in_the_log(
    world: World, capsys: pytest.CaptureFixture[str], given: str | None, kept: str
) -> None:
    event = query_event(sts_form())
    event["requestContext"]["requestId"] = given
    answer = world.routes(event)
    assert world.record_of(answer)["gateway_id"] == kept
    assert [line["gateway_id"] for line in lines(capsys) if "outcome" in line] == [kept]
