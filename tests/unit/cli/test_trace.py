"""`sallyport trace`: from the sessions table, from files, from all records."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sallyport.audit.lineage import items as lineage_items
from sallyport.audit.lineage.tree import tree
from sallyport_cli import trace_source
from sallyport_cli.failure import Exit
from sallyport_cli.trace_view import lines
from tests.support.audit_world import MEMBER
from tests.support.fake_aws import FakeAws, Run
from tests.support.fake_sessions import FakeSessions
from tests.support.lineage_world import (
    CHAINED,
    FAR,
    ISSUED,
    READER,
    SOURCE_IDENTITY,
    abroad,
    chained,
    edges,
    everything,
    exchanged,
)
from tests.support.page_reader import read_page
from tests.support.rule_samples.sample import assume, minutes, record, role


@pytest.fixture
def table(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> FakeSessions:
    fake = FakeSessions()
    aws.others["dynamodb"] = fake
    monkeypatch.setenv("SALLYPORT_SESSIONS_TABLE", "sessions")
    return fake


@pytest.fixture(autouse=True)
def _no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SALLYPORT_SESSIONS_TABLE", raising=False)


def file_of(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


# --- the table -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [ISSUED, CHAINED, FAR, "chained", SOURCE_IDENTITY])
def test_a_trace_goes_back_to_the_outside_identity_and_forward(
    run: Run, table: FakeSessions, start: str
) -> None:
    table.put(*edges(*everything()))
    result = run("trace", start)
    assert result.exit_code == Exit.OK, result.output
    said = result.stdout
    assert said.startswith("3 sessions; every one of them goes back to an outside identity\n")
    assert "outside identity: token b0c1, vouched for by entra\n" in said
    assert said.index(ISSUED) < said.index(CHAINED) < said.index(FAR)
    assert f"111122223333 → {MEMBER}" in said
    assert "◀ asked for" in said


def test_a_broken_chain_is_named_and_no_failure(run: Run, table: FakeSessions) -> None:
    table.put(*edges(chained(), *abroad()))
    result = run("trace", FAR)
    assert result.exit_code == Exit.OK
    assert f"BROKEN CHAIN: key {ISSUED} was used" in result.stdout
    assert "nothing says who issued it" in result.stdout.splitlines()[1]


def test_json_says_whether_it_arrives(run: Run, table: FakeSessions) -> None:
    table.put(*edges(*everything()))
    told = json.loads(run("trace", FAR, "--json").stdout)
    assert told["arrives"] is True
    assert [row.get("session", {}).get("child") for row in told["rows"]] == [None, ISSUED, CHAINED, FAR]
    assert told["notes"] == []


def test_nothing_known_fails_in_words_and_in_json(run: Run, table: FakeSessions) -> None:
    result = run("trace", "ASIANOBODYS000000001")
    assert result.exit_code == Exit.REFUSED
    assert "Nothing is known" in result.stderr
    told = json.loads(run("trace", "ASIANOBODYS000000001", "--json").stdout)
    assert told["error"]["reason"] == "nothing-known"


def test_a_hostile_start_is_shown_harmless(run: Run, table: FakeSessions) -> None:
    assert "\x1b" not in run("trace", "\x1b]0;x\x07").stderr


def test_items_that_are_no_edges_are_left_out_and_counted(run: Run, table: FakeSessions) -> None:
    table.put(*edges(*everything()))
    table.items["x", "y"] = {"pk": {"S": FAR}, "sk": {"S": "y"}, "at": {"S": ""}, "edge": {"S": "{}"}}
    result = run("trace", FAR)
    assert result.exit_code == Exit.OK
    assert "Note: 1 item(s) of the sessions table cannot be read" in result.stdout


def test_a_trace_that_is_cut_says_so(run: Run, table: FakeSessions, monkeypatch: pytest.MonkeyPatch) -> None:
    table.put(*edges(*everything()))
    monkeypatch.setattr(lineage_items, "MAX_EDGES", 2)
    assert "more around" in run("trace", FAR).stdout


def test_no_more_is_read_of_one_question_than_was_asked_for() -> None:
    item = next(iter(FakeSessions().put(*edges(exchanged())).items.values()))
    pages = 0

    class Endless:
        def query(self, **_arguments: object) -> dict[str, Any]:
            nonlocal pages
            pages += 1
            assert pages < 100
            return {"Items": [item] * 1_000, "LastEvaluatedKey": {"pk": {"S": "x"}}}

        def scan(self, **_arguments: object) -> dict[str, Any]:
            raise NotImplementedError

    assert trace_source.of_table(Endless(), "sessions", ISSUED).edges


class Noting(FakeSessions):
    """Keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []

    def query(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        return super().query(**arguments)

    def scan(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        return super().scan(**arguments)


def test_the_table_itself_is_asked_for_its_latest_and_for_no_more_than_is_used() -> None:
    table = Noting()
    table.put(*edges(*everything()))
    trace_source.of_table(table, "sessions", FAR)
    assert {one.get("IndexName") for one in table.asked} >= {None, "by_parent"}
    for one in table.asked:
        # DynamoDB refuses a consistent read of an index, and answers one of the table late otherwise.
        assert ("IndexName" in one) != one.get("ConsistentRead", False)
        # One more than is used tells whether there is more.
        assert 0 < one["Limit"] <= lineage_items.MAX_EDGES + 1


def test_of_records_nothing_is_read_but_the_records() -> None:
    table = Noting()
    table.records = [{"record": {"S": json.dumps(record()["detail"])}}]
    assert trace_source.of_records(table, "records").edges
    (asked,) = table.asked
    assert asked["ProjectionExpression"] == "#record"
    assert asked["ExpressionAttributeNames"] == {"#record": "record"}


def test_a_table_that_is_not_there_is_said_in_a_sentence(run: Run, table: FakeSessions) -> None:
    table.failure = ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "Query")
    result = run("trace", FAR)
    assert result.exit_code == Exit.REFUSED
    assert "read the sessions table sessions" in result.stderr


@pytest.mark.parametrize("arguments", [("x",), ("x", "--scan-records"), ("", "--from-file", "x")])
def test_a_trace_needs_to_be_told_where_to_look(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.delenv("SALLYPORT_RECORDS_TABLE")
    assert run("trace", *arguments).exit_code == Exit.USAGE


# --- all records ---------------------------------------------------------------------------------------


def test_records_are_read_only_if_asked(run: Run, table: FakeSessions) -> None:
    table.records = [{"record": {"S": json.dumps(record()["detail"])}}, {"record": {"S": "{"}}, {}]
    assert run("trace", ISSUED).exit_code == Exit.REFUSED
    result = run("trace", ISSUED, "--scan-records")
    assert result.exit_code == Exit.OK, result.output
    assert "outside identity: token b0c1" in result.stdout
    assert "Note: of records, what cannot be read is left out: 2" in result.stdout


def test_records_fill_in_what_the_sessions_table_lacks(run: Run, table: FakeSessions) -> None:
    table.put(*edges(exchanged(), chained(), *abroad()))
    table.records = [{"record": {"S": json.dumps(record()["detail"])}}]
    assert json.loads(run("trace", FAR, "--json").stdout)["arrives"] is False
    assert json.loads(run("trace", FAR, "--json", "--scan-records").stdout)["arrives"] is True


def test_a_records_table_without_end_is_read_so_far_and_no_further(
    run: Run, table: FakeSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_source, "MAX_PAGES", 2)
    table.records = [{"record": {"S": json.dumps(record()["detail"])}}] * 10
    assert "too large" in run("trace", ISSUED, "--scan-records").stdout


# --- files ---------------------------------------------------------------------------------------------


def found_events() -> dict[str, Any]:
    """What `aws cloudtrail lookup-events` prints."""
    return {
        "Events": [
            {"EventId": one["detail"]["eventID"], "CloudTrailEvent": json.dumps(one["detail"])}
            for one in [exchanged(), chained(), *abroad()]
        ]
    }


def explained() -> dict[str, Any]:
    """What `sallyport explain --json` prints."""
    return {"source": "table", "record": record()["detail"], "correction": record()["detail"]}


def of_table() -> dict[str, Any]:
    return {"Items": list(FakeSessions().put(*edges(*everything())).items.values())}


@pytest.mark.parametrize(
    "contents",
    [
        everything(),
        found_events() | {"Records": [record()]},
        {"Records": [one["detail"] for one in [exchanged(), chained(), *abroad()]] + [record()["detail"]]},
        [explained(), *everything()[1:]],
        [{"record": {"S": json.dumps(record()["detail"])}, "id": {"S": "1"}}, *everything()[1:]],
        of_table(),
        "\n".join(json.dumps(one) for one in everything()) + "\n\n",
        "\ufeff" + json.dumps(everything()),
    ],
    ids=["envelopes", "lookup-events", "a-trails-file", "explain", "records-table", "sessions-table", "lines",
         "mark"],
)  # fmt: skip
def test_files_of_any_kind_make_a_trace_without_a_table(run: Run, tmp_path: Path, contents: Any) -> None:
    result = run("trace", FAR, "--from-file", file_of(tmp_path / "events.json", contents), "--json")
    assert result.exit_code == Exit.OK, result.output
    told = json.loads(result.stdout)
    assert told["arrives"] is True
    assert [row["session"]["child"] for row in told["rows"][1:]] == [ISSUED, CHAINED, FAR]
    assert told["notes"] == []


def test_files_are_read_together_and_packed_ones_as_well(run: Run, tmp_path: Path) -> None:
    packed = tmp_path / "a.json.gz"
    packed.write_bytes(gzip.compress(json.dumps([record(), exchanged()]).encode()))
    other = file_of(tmp_path / "b.json", [chained(), *abroad()])
    result = run("trace", FAR, "--from-file", packed, "--from-file", other)
    assert "3 sessions; every one" in result.stdout


def test_files_ask_nobody(run: Run, tmp_path: Path, table: FakeSessions) -> None:
    table.failure = AssertionError("nobody is asked")
    assert run("trace", FAR, "--from-file", file_of(tmp_path / "e", everything())).exit_code == Exit.OK


def test_files_take_the_place_of_the_sessions_table_beside_records_as_well(
    run: Run, tmp_path: Path, table: FakeSessions
) -> None:
    table.failure = AssertionError("the sessions table is not asked")
    table.records = [{"record": {"S": json.dumps(record()["detail"])}}]
    events = file_of(tmp_path / "e", [exchanged(), chained(), *abroad()])
    told = json.loads(run("trace", FAR, "--from-file", events, "--scan-records", "--json").stdout)
    assert told["arrives"] is True


def test_entries_that_say_nothing_are_counted_and_left_out(run: Run, tmp_path: Path) -> None:
    bad = [None, 1, "x", [], {}, {"detail": 1, "detail-type": "x"}, {"CloudTrailEvent": "{"}, {"edge": 1},
           {"record": None}, {"eventName": 1}, {"source": "sallyport", "detail-type": "x"},
           {"id": "0123456789abcdef", "time": "2026-11-20T12:00:00Z"}, {"Records": 1},
           {"CloudTrailEvent": "[" * 100_000}]  # fmt: skip
    result = run("trace", FAR, "--from-file", file_of(tmp_path / "e", bad + everything()))
    assert result.exit_code == Exit.OK, result.output
    assert f"what cannot be read is left out: {len(bad)}" in result.stdout


@pytest.mark.parametrize(
    "contents",
    [
        b"{",
        b"\xff\xfe{",
        b"\x1f\x8b\x08",
        b"\x1f\x8bnothing",
        gzip.compress(b"{}")[:10] + b"\xff" * 50,
        b"[" * 1_000_000,
        b"",
        b"{}\nno",
        b"{}\n" + b"[" * 1_000_000,
        b'{"Records": 1}',
    ],
    ids=[
        "cut",
        "no-text",
        "cut-pack",
        "no-pack",
        "bad-pack",
        "deep",
        "empty",
        "line",
        "deep-line",
        "no-list",
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    run: Run, tmp_path: Path, contents: bytes
) -> None:
    (tmp_path / "e").write_bytes(contents)
    result = run("trace", FAR, "--from-file", tmp_path / "e")
    assert result.exit_code == Exit.REFUSED
    assert "should not have happened" not in result.stderr


def test_a_file_that_is_not_there_is_refused(run: Run, tmp_path: Path) -> None:
    assert "Could not read" in run("trace", FAR, "--from-file", tmp_path / "none").stderr


@pytest.mark.parametrize("is_packed", [False, True])
def test_no_more_of_a_file_is_read_than_there_is_room_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_packed: bool
) -> None:
    monkeypatch.setattr(trace_source, "MAX_FILE", 1024 * 1024)
    data = b" " * 1024 * 1024 + b"[]"
    (tmp_path / "e").write_bytes(gzip.compress(data) if is_packed else data)
    assert "more than 1 MB" in run("trace", FAR, "--from-file", tmp_path / "e").stderr


def test_a_small_file_that_becomes_a_large_one_is_not_unpacked_whole(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_source, "MAX_FILE", 1024 * 1024)
    (tmp_path / "e").write_bytes(gzip.compress(bytes(64 * 1024 * 1024), compresslevel=1))
    tracemalloc.start()
    try:
        assert "more than 1 MB" in run("trace", FAR, "--from-file", tmp_path / "e").stderr
        assert tracemalloc.get_traced_memory()[1] < 32 * 1024 * 1024
    finally:
        tracemalloc.stop()


# --- the page and the terminal -------------------------------------------------------------------------


def test_the_page_is_written_beside_the_words(run: Run, tmp_path: Path) -> None:
    events, page = file_of(tmp_path / "e", everything()), tmp_path / "trace.html"
    result = run("trace", FAR, "--from-file", events, "--html", page)
    assert result.exit_code == Exit.OK
    assert str(page) in result.stdout
    assert read_page(page.read_text("utf-8")).inside("h1") == [f"Trace of {FAR}"]
    assert json.loads(run("trace", FAR, "--from-file", events, "--html", page, "--json").stdout)["arrives"]


def test_the_pages_name_is_shown_harmless(run: Run, tmp_path: Path) -> None:
    events, page = file_of(tmp_path / "e", everything()), tmp_path / "a\x1b]0;x\x07.html"
    result = run("trace", FAR, "--from-file", events, "--html", page)
    assert result.exit_code == Exit.OK
    assert "\x1b" not in result.stdout


def test_a_files_name_is_shown_harmless(run: Run, tmp_path: Path) -> None:
    events = file_of(tmp_path / "a\x1b]0;x\x07", [*everything(), 1])
    result = run("trace", FAR, "--from-file", events)
    assert "Note: of " in result.stdout
    assert "\x1b" not in result.stdout


def test_a_page_that_cannot_be_written_is_a_sentence(run: Run, tmp_path: Path) -> None:
    events = file_of(tmp_path / "e", everything())
    result = run("trace", FAR, "--from-file", events, "--html", tmp_path / "none" / "x.html")
    assert result.exit_code == Exit.REFUSED
    assert "Could not write the page" in result.stderr


def test_a_deep_chain_stays_within_eighty_columns_and_says_how_deep_it_is() -> None:
    def key(number: int) -> str:
        return f"ASIA{number:016d}"

    deep = edges(
        *(
            assume(role(key=key(n)), "arn:aws:iam::111122223333:role/" + "界" * 60, key=key(n + 1), number=n,
                   after=minutes(n))
            for n in range(40)
        )
    )  # fmt: skip
    said = [line.text for line in lines(tree(deep, key(1)), width=80)]
    for line in said:
        assert sum(2 if "一" <= character <= "鿿" else 1 for character in line) <= 80
    assert any("(level 40)" in line for line in said)


@pytest.mark.parametrize(("columns", "width"), [(20, 60), (60, 60), (100, 100), (300, 120)])
def test_on_a_terminal_lines_end_where_it_does_within_bounds(
    monkeypatch: pytest.MonkeyPatch, columns: int, width: int
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    long = role(READER, "x" * 300, ISSUED, source_identity=SOURCE_IDENTITY)
    said = [line.text for line in lines(tree(edges(assume(long, READER, key=CHAINED)), CHAINED))]
    assert max(map(len, said)) == width


def test_into_a_pipe_nothing_is_folded() -> None:
    whole = [line.text for line in lines(tree(edges(*everything()), FAR))]
    assert any(len(line) > 80 for line in whole)
