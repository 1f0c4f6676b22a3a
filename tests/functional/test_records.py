"""No credentials without a record, and no records for anybody who only makes noise."""

import json
from datetime import timedelta
from functools import partial

import pytest

from sallyport.adapters.http import HttpResponse
from sallyport.audit import ledger
from tests.support import tokens
from tests.support.fake_transport import answers_503, times, unreachable
from tests.support.world import NIGHTLY, READER, World, credentials_event, exchange_id, lines, passed_on

DENIED = tokens.good_entra_v1(oid="99999999-1111-4222-8333-444455556666")
BAD = "a.b.c"
RECORDS = "dynamodb/PutItem"


def puts(calls: list[str]) -> int:
    return sum(call.endswith("PutItem") for call in calls)


@pytest.mark.parametrize("fault", [unreachable, answers_503])
def test_without_a_record_there_are_no_credentials(
    world: World, capsys: pytest.CaptureFixture[str], fault: object
) -> None:
    with world.fault(RECORDS, fault):  # type: ignore[arg-type]
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
        for _ in range(ledger.MAX_WAITING + 5):
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

    def done_but_unheard() -> object:
        table.put_item(**json.loads(world.aws.requests[-1][2]))
        return unreachable()

    with world.fault(RECORDS, times(1, done_but_unheard, then=passed_on(world))):  # type: ignore[arg-type]
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
    assert world.aws.calls == ["dynamodb eu-central-1 GetItem"] * 2, "the version, and the issuer once"
    assert {json.loads(body)["TableName"] for _, _, body in world.aws.requests} == {"trust"}


@pytest.mark.parametrize("issuer", ["https://" + "a" * 500, "https://" + "\U0001f600" * 500])
def test_an_issuer_longer_than_a_key_of_the_table_is_refused_and_not_looked_up(
    world: World, issuer: str
) -> None:
    answer = world.query(tokens.token(tokens.good_plain(iss=issuer)))
    assert answer["statusCode"] == 400
    assert len(world.aws.calls) == 1, "the version"


def test_a_denial_costs_one_record(world: World) -> None:
    world.query()
    assert puts(world.calls(lambda: world.query(tokens.token(DENIED)))) == 1


# Defects of our own


def test_what_nobody_planned_for_is_a_500_without_a_word_and_on_record(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def defect() -> object:
        raise RuntimeError("secret-1-canary in a text")

    with world.fault("sts", defect):  # type: ignore[arg-type]
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
