"""From a trail's log files to the queue: everything is counted, and only what rules want is sent."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sallyport.audit.event_patterns import event_patterns
from sallyport.audit.events import Observed, Unusable, read_event
from sallyport.audit.rules import RULES
from sallyport.audit.selection import wanted_by_any
from sallyport_cli import replay_job
from sallyport_cli.failure import CommandError
from sallyport_cli.main import app
from sallyport_cli.replay_trail import LOOK_EVERY, MAX_WAITING, Choice, Counts, ToQueue, send_trail
from sallyport_cli.replay_view import say_trail
from sallyport_cli.trail_file import CHUNK, MAX_EVENT, BrokenFileError, envelope, events, unpacked
from sallyport_cli.trail_places import LogFile, Wanted, in_bucket, in_folder
from tests.support.audit_world import ACCOUNT, ESTATE, MANAGED_ROLE, MEMBER, NOON, REGION
from tests.support.event_patterns import matches
from tests.support.fake_queues import Queues
from tests.support.log_files import Bucket, key, log_file
from tests.support.rule_samples import load
from tests.support.rule_samples.sample import assume, event, role, user

DAY = timedelta(days=1)
WANTED = Wanted(first=NOON - DAY, last=NOON + DAY)
GOOD = assume(user(), MANAGED_ROLE)
GOODS = [assume(user(), MANAGED_ROLE, number=number)["detail"] for number in range(1, 6)]
DULL = event("s3", "ListBuckets", user(), number=9)["detail"]
WANTS = wanted_by_any(ESTATE.managed_roles)


def read(data: bytes, size: int = CHUNK) -> list[object]:
    return list(events(unpacked(data[at : at + size] for at in range(0, len(data), size))))


def files(*contents: bytes) -> Iterator[LogFile]:
    for number, data in enumerate(contents):
        yield LogFile(f"file-{number}", number / len(contents), lambda data=data: iter([data]))  # type: ignore[misc]  # bound now, in a loop


def sent(*contents: bytes, wanted: Wanted = WANTED, queues: Queues | None = None) -> Any:
    queues = queues or Queues()
    to_queue = ToQueue(queues, "events", lambda _: None)
    return send_trail(files(*contents), Choice(wanted, WANTS, "sallyport-trail-1"), to_queue)


# --- files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 1000, CHUNK])
def test_a_file_is_read_in_pieces_of_any_size(size: int) -> None:
    assert read(log_file(*GOODS, DULL), size) == [*GOODS, DULL]


def test_what_is_not_packed_is_read_as_it_is() -> None:
    text = json.dumps({"a": [1, 2], "Records": GOODS, "b": -12.5, "c": "ü"}, indent=2, ensure_ascii=False)
    assert read(text.encode(), 3) == GOODS


def test_a_gzip_file_may_have_several_members() -> None:
    text = json.dumps({"Records": GOODS}).encode()
    assert read(gzip.compress(text[:99]) + gzip.compress(text[99:]), 10) == GOODS


BROKEN = {
    "cut-off": log_file(*GOODS)[:-20],
    "cut off in its last bytes": log_file(*GOODS)[:-1],
    "nothing": b"",
    "not gzip": log_file(*GOODS)[:100] + b"\0" * 200,
    "changed": log_file(*GOODS)[:-8] + b"12345678",
    "garbage": bytes(range(256)),
    "no object": gzip.compress(b"[]"),
    "no records": gzip.compress(b'{"digestStartTime": "x"}'),
    "records are none": gzip.compress(b'{"Records": {}}'),
    "more behind it": gzip.compress(b'{"Records": []} {}'),
    "no comma": gzip.compress(b'{"Records": [{} {}]}'),
    "not UTF-8": gzip.compress(b'{"Records": ["\xff"]}'),
    "NaN": gzip.compress(b'{"Records": [NaN]}'),
    "deep": gzip.compress(b'{"Records": [' + b"[" * 100_000),
    "html": b"<html>",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_an_error_of_ours(name: str) -> None:
    with pytest.raises(BrokenFileError):
        read(BROKEN[name])


def test_what_stands_before_the_break_is_used() -> None:
    data = json.dumps({"Records": GOODS}).encode()
    whole: list[object] = []

    def take() -> None:
        for one in events([data[:-30]]):
            whole.append(one)  # noqa: PERF402 - kept when the next one raises

    with pytest.raises(BrokenFileError, match="middle"):
        take()
    assert whole == GOODS[:-1]


def test_a_small_file_that_becomes_a_large_one_is_stopped() -> None:
    bomb = gzip.compress(b'{"Records": [' + b" " * 50_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(BrokenFileError, match="more than"):
        list(events(unpacked([bomb], limit=1_000_000)))


def test_an_event_has_a_limit_of_its_own() -> None:
    with pytest.raises(BrokenFileError, match="an event"):
        read(gzip.compress(b'{"Records": ["' + b"x" * (MAX_EVENT + CHUNK) + b'"]}'))


def test_memory_does_not_grow_with_the_file() -> None:
    def much() -> Iterator[bytes]:
        one = json.dumps(GOODS[0]).encode()
        yield b'{"Records": [' + one
        for _ in range(5_000):
            yield b"," + one
        yield b"]}"

    tracemalloc.start()
    count = sum(1 for _ in events(unpacked(much())))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 5_001
    assert peak < 2_000_000, "the file has eight million bytes"


# --- envelopes -----------------------------------------------------------------------------------------


def test_an_event_is_read_as_if_eventbridge_had_brought_it() -> None:
    wrapped = envelope(GOOD["detail"], "sallyport-trail-1")
    assert not isinstance(wrapped, Unusable)
    by_trail, by_bus = read_event(wrapped), read_event(GOOD)
    assert isinstance(by_trail, Observed)
    assert isinstance(by_bus, Observed)
    assert by_trail.replay == "sallyport-trail-1"
    assert {
        name for name in Observed.__dataclass_fields__ if getattr(by_trail, name) != getattr(by_bus, name)
    } == {"replay"}
    assert wrapped["account"] == wrapped["detail"]["recipientAccountId"] == ACCOUNT
    assert (wrapped["source"], wrapped["detail-type"]) == ("aws.sts", "AWS API Call via CloudTrail")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"eventType": "AwsCloudTrailInsight"}, "other-event-type"),
        ({"eventType": None}, "other-event-type"),
        ({"eventType": ["AwsApiCall"]}, "other-event-type"),
        ({"eventSource": "evil.example.com"}, "no-source"),
        ({"eventSource": "sts.amazonaws.com.evil.example"}, "no-source"),
        ({"eventSource": ".amazonaws.com"}, "no-source"),
        ({"eventSource": None}, "no-source"),
        ({"recipientAccountId": None}, "no-account"),
        ({"recipientAccountId": "1111"}, "no-account"),
        ({"recipientAccountId": 111122223333}, "no-account"),
        ({"recipientAccountId": "111122223333\n"}, "no-account"),
    ],
)
def test_what_says_too_little_gets_no_envelope(change: dict[str, Any], reason: str) -> None:
    found = envelope(GOOD["detail"] | change, "r")
    assert isinstance(found, Unusable)
    assert found.reason == reason


# --- what rules want -----------------------------------------------------------------------------------


def every_sample() -> Iterator[dict[str, Any]]:
    for rule_id, samples in load().items():
        if RULES[rule_id].on == "event":
            for sample in (*samples.hits, *samples.near_misses, *samples.null_heavy):
                yield from sample.events


def test_a_managed_role_in_another_spelling_is_wanted_all_the_same() -> None:
    observed = read_event(event("s3", "ListBuckets", role(MANAGED_ROLE.replace("sallyport", "SallyPort"))))
    assert isinstance(observed, Observed)
    assert WANTS(observed)


def test_the_choice_lets_through_all_that_the_event_patterns_do() -> None:
    patterns = event_patterns(ESTATE.managed_roles)
    chosen = passed = 0
    for raw in every_sample():
        observed = read_event(raw)
        if not isinstance(observed, Observed):
            continue
        by_bus = any(matches(pattern, raw) for pattern in patterns.values())
        chosen += WANTS(observed)
        passed += by_bus
        assert WANTS(observed) or not by_bus, raw
    assert chosen >= passed > 100


def test_what_no_rule_wants_is_not_chosen() -> None:
    for raw in (event("s3", "ListBuckets", user()), event("ec2", "RunInstances", user())):
        observed = read_event(raw)
        assert isinstance(observed, Observed)
        assert not WANTS(observed)


# --- counts --------------------------------------------------------------------------------------------


def test_as_many_events_are_told_of_as_were_read() -> None:
    late = GOODS[0] | {"eventTime": "2026-11-25T12:00:00Z"}
    queues = Queues()
    counts = sent(
        log_file(*GOODS, *GOODS, DULL, late, "no event", None, {}),
        json.dumps({"Records": GOODS[:2]}).encode()[:-30],
        b"garbage",
        log_file(*GOODS),
        queues=queues,
    )
    assert (counts.files, counts.sent) == (4, 16)
    assert counts.skipped == {
        "no-rule-wants-it": 1,
        "other-time": 1,
        "not-an-object": 2,
        "other-event-type": 1,
    }
    assert counts.events == counts.sent + counts.skipped.total() + counts.refused.total()
    assert counts.broken.total() == 2
    assert [name for name, _ in counts.named] == ["file-1", "file-2"]
    assert not counts.complete
    assert len(queues.bodies("events")) == 16
    assert {len(one["Entries"]) for one in queues.requests} == {10, 6}
    assert all(isinstance(read_event(json.loads(body)), Observed) for body in queues.bodies("events"))


def test_an_event_that_no_message_can_hold_is_named() -> None:
    large = GOODS[0] | {"padding": "x" * 300_000}
    counts = sent(log_file(large, GOODS[1]))
    assert (counts.sent, dict(counts.refused), counts.named) == (
        1,
        {"too-large": 1},
        [(f"event {large['eventID']}", "too-large")],
    )


def test_nothing_but_ascii_is_sent() -> None:
    queues = Queues()
    sent(log_file(GOODS[0] | {"userAgent": "\ud800 \x00 \ufffe ü"}), queues=queues)
    (body,) = queues.bodies("events")
    assert body.isascii()
    assert body.isprintable()


def test_accounts_and_regions_are_those_of_the_event() -> None:
    other = assume(user(), MANAGED_ROLE, number=7, account=MEMBER, region="us-east-1")["detail"]
    wanted = Wanted(first=NOON - DAY, last=NOON + DAY, accounts=frozenset({ACCOUNT}))
    assert sent(log_file(GOODS[0], other), wanted=wanted).skipped == {"other-account": 1}
    wanted = Wanted(first=NOON - DAY, last=NOON + DAY, regions=frozenset({REGION}))
    assert sent(log_file(GOODS[0], other), wanted=wanted).skipped == {"other-region": 1}


def test_it_is_not_faster_than_the_audit() -> None:
    waiting = iter([MAX_WAITING + 1, MAX_WAITING + 1, 0])
    pauses: list[float] = []
    queues = Queues()
    queues.get_queue_attributes = lambda **_: {  # type: ignore[method-assign]  # the fake is bent
        "Attributes": {"ApproximateNumberOfMessages": str(next(waiting))}
    }
    to_queue = ToQueue(queues, "events", pauses.append)
    for _ in range(LOOK_EVERY // 10):
        to_queue(["x"] * 10)
    assert len(pauses) == 2
    assert len(queues.bodies("events")) == LOOK_EVERY


# --- places --------------------------------------------------------------------------------------------


def trail(*days: int, root: str = "AWSLogs") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for account in (ACCOUNT, MEMBER):
        for region in (REGION, "us-east-1"):
            for day in days:
                for number in range(2):
                    when = NOON + day * DAY
                    name = key(number, when, account=account, region=region, root=root)
                    found[name] = log_file(*GOODS)
            digest = key(0, NOON, account=account, region=region, root=root)
            found[digest.replace("/CloudTrail/", "/CloudTrail-Digest/")] = b"digest"
            found[f"{root}/{account}/CloudTrail/{region}/note.txt"] = b"note"
    return found | {"other/thing.json.gz": b"", f"{root}/Config/x.json.gz": b""}


@pytest.mark.parametrize(
    ("address", "root"),
    [
        ("s3://company-trail", "AWSLogs"),
        ("s3://company-trail/", "AWSLogs"),
        ("s3://company-trail/AWSLogs/", "AWSLogs"),
        ("s3://company-trail/security/trails", "security/trails/AWSLogs"),
        ("s3://company-trail", "AWSLogs/o-abcdefghij"),
        ("s3://company-trail/AWSLogs/o-abcdefghij", "AWSLogs/o-abcdefghij"),
    ],
)
def test_files_of_the_time_are_found_and_no_others(address: str, root: str) -> None:
    bucket = Bucket(trail(-3, -1, 0, 1, 2, 5, root=root))
    found = list(in_bucket(bucket, address, Wanted(first=NOON - DAY, last=NOON)))
    expected = [
        f"s3://company-trail/{key(number, NOON + day * DAY, account=account, region=region, root=root)}"
        for account in sorted((ACCOUNT, MEMBER))
        for region in sorted((REGION, "us-east-1"))
        for day in (-1, 0, 1)
        for number in range(2)
    ]
    assert [one.name for one in found] == expected, "and those of the next day, which may hold late events"
    done = [one.done for one in found]
    assert done == sorted(done)
    assert 0 <= done[0] <= done[-1] < 1
    assert bucket.read == []
    assert read(b"".join(found[0].read())) == GOODS


def test_accounts_and_regions_spare_listing() -> None:
    bucket = Bucket(trail(0))
    wanted = Wanted(
        first=NOON, last=NOON + DAY, accounts=frozenset({MEMBER}), regions=frozenset({"us-east-1"})
    )
    found = [one.name for one in in_bucket(bucket, "s3://company-trail", wanted)]
    assert len(found) == 2
    assert all(f"/{MEMBER}/CloudTrail/us-east-1/" in name for name in found)
    assert not [one for one in bucket.listed if ACCOUNT in one]


@pytest.mark.parametrize(
    "address",
    [
        "s3://",
        "s3:///x",
        f"s3://company-trail/AWSLogs/{ACCOUNT}",
        f"s3://company-trail/AWSLogs/o-abcdefghij/{ACCOUNT}/CloudTrail",
        "s3://company-trail/nothing/here",
    ],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(CommandError):
        list(in_bucket(Bucket(trail(0)), address, WANTED))


def test_a_file_that_may_not_be_read_is_named_and_the_others_are_read() -> None:
    contents = trail(0)
    denied = key(0, NOON)
    bucket = Bucket(contents, denied=frozenset({denied}))
    found = in_bucket(bucket, "s3://company-trail", WANTED)
    counts = send_trail(found, Choice(WANTED, WANTS, "r"), None)
    assert (counts.files, dict(counts.broken), counts.sent) == (8, {"cannot-be-read": 1}, 35)
    assert counts.named == [(f"s3://company-trail/{denied}", "cannot-be-read")]


def test_a_folder_is_read_as_the_bucket_is(tmp_path: Path) -> None:
    for name, data in trail(-3, 0, 5).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "own.json").write_text(json.dumps({"Records": GOODS}))
    found = [one.name.removeprefix(f"{tmp_path}/") for one in in_folder(tmp_path, WANTED)]
    assert len(found) == 8 + 3, "those of the day, and what has no day"
    assert "own.json" in found
    assert not [one for one in found if "Digest" in one or one.startswith("loop")]
    (one,) = in_folder(tmp_path / "own.json", WANTED)
    assert read(b"".join(one.read())) == GOODS
    with pytest.raises(CommandError):
        list(in_folder(tmp_path / "none", WANTED))


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "device.json").symlink_to("/dev/zero")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nothing")
    counts = send_trail(in_folder(tmp_path, WANTED), Choice(WANTED, WANTS, "again"), None)
    assert dict(counts.broken) == {"cannot-be-read": 2}


def test_names_of_files_do_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever may write to the trail's bucket has chosen them."""
    counts = Counts(files=1)
    counts.name("s3://company-trail/\x1b]0;title\x07\x1b[2J\nall is well\ud800.json", "cut-off")
    say_trail(counts, is_dry=False)
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert len(said.splitlines()) == 2


# --- the command ---------------------------------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, bucket: Bucket, queues: Queues, *options: str) -> Result:
    clients = {"sqs": queues, "s3": bucket}
    monkeypatch.setattr(replay_job, "Aws", lambda: SimpleNamespace(client=clients.__getitem__))
    span = ["--from", "2026-11-19", "--to", "2026-11-21"]
    names = {
        "SALLYPORT_EVENTS_QUEUE": "events",
        "SALLYPORT_MANAGED_ROLES": "arn:aws:iam::*:role/sallyport/*,",
    }
    return CliRunner().invoke(app, ["replay", "--trail", "s3://company-trail", *span, *options], env=names)


def test_the_command_sends_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = Queues()
    done = run(monkeypatch, Bucket(trail(0)), queues, "--json", "--account", ACCOUNT)
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert (said["complete"], said["files"], said["events"], said["sent"]) == (True, 4, 20, 20)
    assert said["by_name"] == {"sts AssumeRole": 20}
    assert len(queues.bodies("events")) == 20
    (name,) = {json.loads(body)["replay-name"] for body in queues.bodies("events")}
    assert name == said["replay"]


def test_a_dry_run_reads_and_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = Queues()
    done = run(monkeypatch, Bucket(trail(0)), queues, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "40 would be sent" in done.output
    assert queues.requests == []


def test_a_broken_file_is_told_by_words_and_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    files_ = trail(0) | {key(9, NOON): b"garbage \x1b[31m"}
    done = run(monkeypatch, Bucket(files_), Queues())
    assert done.exit_code == 1
    assert "1 file(s) were not read to their end" in done.output
    assert f"{key(9, NOON)}: not-json" in done.output
    said = json.loads(run(monkeypatch, Bucket(files_), Queues(), "--json").output)
    assert (said["error"]["reason"], said["sent"], said["broken_files"]) == (
        "incomplete",
        40,
        {"not-json": 1},
    )


def test_times_are_in_utc() -> None:
    wanted = Wanted(first=datetime(2026, 11, 19, 23, 59, tzinfo=UTC), last=datetime(2026, 11, 20, tzinfo=UTC))
    assert wanted.days == 3
