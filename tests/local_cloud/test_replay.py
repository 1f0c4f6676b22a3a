"""Replays on the deployed stack: from an archive, from dead-letter queues, and from a trail's log files."""

import gzip
import json
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import demo_tokens
from local.cloud import ACCOUNT, REGION
from local.deploy import client
from local.entra_directory import WRITER
from local.paths import ROOT, VENV
from local.steps import World, wait
from tests.support.live_audit import LiveAudit

UNEXPLAINED = "session-without-record-59"
BURST = "denial-burst-61"
DENIALS = 22
WINDOW = 15 * 60


def replay(variables: Mapping[str, str], *options: str, status: int = 0) -> dict[str, Any]:
    """Run the command as whoever has sourced `.local/env` does."""
    done = subprocess.run(
        [str(VENV / "bin" / "sallyport"), "replay", "--json", *options],
        env={"PATH": "/usr/bin:/bin", **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def findings(variables: Mapping[str, str], rule: str, since: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [
            str(VENV / "bin" / "sallyport"),
            "findings",
            "--json",
            "--since",
            since,
            "--severity",
            "informational",
        ],
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [one for one in json.loads(done.stdout)["findings"] if one["rule"] == rule]


def items(world: World, table: str) -> Iterator[dict[str, Any]]:
    pages = (
        client(world.cloud, "dynamodb")
        .get_paginator("scan")
        .paginate(TableName=world.deployment.outputs[table], ConsistentRead=True)
    )
    for page in pages:
        yield from page["Items"]


def forget(world: World, table: str, *beginnings: str) -> int:
    """Delete what a table knows."""
    gone = [one["pk"] for one in items(world, table) if one["pk"]["S"].startswith(beginnings)]
    for key in gone:
        client(world.cloud, "dynamodb").delete_item(
            TableName=world.deployment.outputs[table], Key={"pk": key}
        )
    return len(gone)


def counted(audit: LiveAudit) -> int:
    """How many CloudTrail events the audit has taken, each once."""
    return sum(count for name, count in audit.taken().items() if name.startswith("event "))


@pytest.fixture
def audit(world: World) -> Iterator[LiveAudit]:
    audit = LiveAudit(world)
    # Two copies of an event at once: one of them comes again, and nobody waits six minutes for it here.
    with audit.impatient():
        yield audit


@pytest.fixture
def archive(world: World) -> Iterator[str]:
    """An archive of the records bus, which the template makes on AWS alone."""
    events, name = client(world.cloud, "events"), f"records-{uuid.uuid4().hex[:8]}"
    made = events.create_archive(
        ArchiveName=name,
        EventSourceArn=world.deployment.outputs["RecordsBusArn"],
        EventPattern=json.dumps({"source": ["sallyport"]}),
    )
    yield made["ArchiveArn"]
    events.delete_archive(ArchiveName=name)


def deny(world: World, audit: LiveAudit, token: str, times: int) -> None:
    """Be denied once, and have the record of it as often as if it had been more."""
    with pytest.raises(ClientError) as denied:
        demo_tokens._sts(world).assume_role_with_web_identity(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/sallyport/none",
            RoleSessionName="denied",
            WebIdentityToken=token,
        )
    table, dynamodb = world.deployment.outputs["RecordsTable"], client(world.cloud, "dynamodb")
    key = {"id": {"S": denied.value.response["ResponseMetadata"]["RequestId"]}}
    item = wait(
        lambda: dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item"), "no record"
    )
    assert item is not None
    record = json.loads(item["record"]["S"])
    audit.record(*(record | {"id": uuid.uuid4().hex} for _ in range(times - 1)))


def test_a_finding_that_was_lost_is_found_again_in_the_archive(
    world: World, audit: LiveAudit, variables: Mapping[str, str], archive: str
) -> None:
    if (left := WINDOW - time.time() % WINDOW) < 30:
        time.sleep(left + 1)
    began = datetime.now(UTC) - timedelta(seconds=5)
    forget(world, "AuditTable", "window#", "counted#")
    forget(world, "FindingsTable", "finding#", "event#")
    # Not an identity that other tests have denied: of each only ten a minute are recorded.
    token = demo_tokens.azure_token(world, demo_tokens.imds(world), client_id=WRITER.client_id)
    deny(world, audit, token, DENIALS)

    def found() -> dict[str, Any] | None:
        listed = findings(variables, BURST, "1h")
        return next((o for o in listed if o["dedupe"][0] == "subject" and o["count"] == DENIALS), None)

    before = wait(found, "the denials were not found")
    assert before is not None

    assert forget(world, "FindingsTable", "finding#", "event#")
    assert forget(world, "AuditTable", "record#", "window#", "counted#") > DENIALS
    assert findings(variables, BURST, "1h") == []
    names = {**variables, "SALLYPORT_RECORDS_ARCHIVE_ARN": archive}
    said = replay(names, "--from", began.isoformat())
    assert [(one["of"], one["state"]) for one in said["replays"]] == [("records", "COMPLETED")]
    after = wait(found, "the denials were not found again")
    assert after is not None
    same = ("id", "count", "first_event", "last_event", "severity")
    assert [after[name] for name in same] == [before[name] for name in same]

    time.sleep(1.1)  # a replay's name has its second
    replay(names, "--from", began.isoformat())
    audit.settle("AuditQueue")
    assert found() == after, "and what is replayed once more is known"


def test_what_lies_in_the_dead_letter_queues_is_shown_and_brought_back(
    audit: LiveAudit, variables: Mapping[str, str]
) -> None:
    replay(variables)
    audit.settle("EventsQueue", "AuditQueue")
    before = counted(audit)
    good, poison = audit.strangers_session(), f"poison {uuid.uuid4()}"
    put_off = {"kind": "event", "due": datetime.now(UTC).isoformat(), "body": json.dumps(good)}
    audit.send("EventsDeadLetterQueue", json.dumps(good))
    audit.send("EventsDeadLetterQueue", poison)
    audit.send("AuditDeadLetterQueue", json.dumps(put_off))

    shown = replay(variables, "--dry-run")
    there = {one["queue"]: one["there"] for one in shown["queues"]}
    assert there["events"] >= 2
    assert there["records"] >= 1
    assert counted(audit) == before
    said = replay(variables)
    assert said["moved"] == sum(there.values())
    wait(lambda: counted(audit) == before + 1, "what was brought back was not taken")

    def poison_is_back() -> bool:
        kept = replay(variables, "--dry-run")["queues"][0]["seen"]
        return any(one["reason"] == "not-json" for one in kept)

    wait(poison_is_back, "poison is kept again, with its reason")


def log_file(*details: dict[str, Any]) -> bytes:
    return gzip.compress(json.dumps({"Records": details}).encode())


def test_a_trail_s_log_files_are_read_and_what_they_show_is_found_and_told_once(
    world: World, audit: LiveAudit, variables: Mapping[str, str], tmp_path: Path
) -> None:
    when = datetime.now(UTC) - timedelta(days=3)
    good = [
        audit.strangers_session()["detail"] | {"eventTime": f"{when:%Y-%m-%dT%H:%M:%SZ}"} for _ in range(4)
    ]
    keys = {one["responseElements"]["credentials"]["accessKeyId"] for one in good}
    of_nobody = {
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "userIdentity": {"type": "AWSService", "invokedBy": "config.amazonaws.com"},
    }
    dull = [good[0] | of_nobody | {"eventID": str(uuid.uuid4())} for _ in range(7)]
    early = good[0] | {"eventID": str(uuid.uuid4()), "eventTime": "2026-01-01T00:00:00Z"}
    files = {
        "0": log_file(*good[:3], *dull, early),
        "1": log_file(*good[:3]),
        # The last event is cut, the one before it is whole.
        "2": json.dumps({"Records": [good[3], good[2]]}).encode()[:-40],
        "3": b"\x1f\x8bgarbage",
    }
    s3, bucket = client(world.cloud, "s3"), f"trail-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    folder = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/{when:%Y/%m/%d}"
    for name, data in files.items():
        s3.put_object(Bucket=bucket, Key=f"{folder}/{ACCOUNT}_CloudTrail_{name}.json.gz", Body=data)
    digest = folder.replace("CloudTrail/", "CloudTrail-Digest/")
    s3.put_object(Bucket=bucket, Key=f"{digest}/x.json.gz", Body=log_file(early))
    before = counted(audit)
    asked = ["--trail", f"s3://{bucket}", "--from", "7d"]
    assert replay(variables, *asked, "--dry-run", status=1)["sent"] == 7

    def found() -> list[dict[str, Any]]:
        return [one for one in findings(variables, UNEXPLAINED, "8d") if keys & {*one["dedupe"]}]

    with audit.inbox() as inbox:
        said = replay(variables, *asked, status=1)
        assert (said["files"], said["events"], said["sent"]) == (4, 15, 7)
        assert said["skipped"] == {"no-rule-wants-it": 7, "other-time": 1}
        assert said["broken_files"] == {"cut-off": 1, "not-gzip": 1}
        assert [one["name"].rpartition("_")[2] for one in said["incomplete"]] == ["2.json.gz", "3.json.gz"]
        wait(lambda: len(found()) == len(keys), "not every session was found")
        audit.settle("EventsQueue")
        assert counted(audit) == before + len(keys), "each once, though three came twice"
        assert {(one["severity"], one["count"]) for one in found()} == {("CRITICAL", 1)}
        assert {one["last_event"][:10] for one in found()} == {f"{when:%Y-%m-%d}"}

        # Once more, out of a folder with copies.
        for name, data in files.items():
            (tmp_path / f"{name}.json.gz").write_bytes(data)
        again = replay(variables, "--trail", str(tmp_path), "--from", "7d", status=1)
        assert (again["events"], again["sent"]) == (15, 7)
        audit.settle("EventsQueue")
        assert counted(audit) == before + len(keys)
        assert {one["count"] for one in found()} == {1}
        assert [len(inbox.about(one)) for one in found()] == [1] * len(keys), "told once"
