"""`sallyport trust history`: who did what, and when."""

import json
from typing import Any

from botocore.exceptions import ConnectionClosedError

from sallyport_cli.failure import Exit
from tests.support.fake_aws import CALLER, FakeAws, Run, Write

SHORTER = ("duration: 30m", "duration: 20m")


def applied(run: Run, file: Any) -> str:
    result = run("trust", "apply", file, "--yes", "--allow-widening", "--json")
    assert result.exit_code == Exit.OK, result.output
    return str(json.loads(result.stdout)["version"])


def told(run: Run, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("trust", "history", "--json", *options).stdout)["entries"]
    return found


def test_before_anything_was_done_it_says_so(run: Run) -> None:
    assert run("trust", "history").stdout == "Nothing was done yet.\n"


def test_applies_rollbacks_stops_and_their_ends_are_all_there(run: Run, write: Write) -> None:
    first = applied(run, write())
    second = applied(run, write(SHORTER))
    rolled = run("trust", "rollback", first, "--yes", "--allow-widening", "--json")
    third = json.loads(rolled.stdout)["version"]
    run("trust", "disable", "profile", "team-a-reader", "--reason", "INC-1234")
    run("trust", "enable", "profile", "team-a-reader", "--reason", "INC-1234 closed", "--yes")
    found = {(one["action"], one["target"]): one for one in told(run)}
    assert set(found) == {
        ("apply", first),
        ("apply", second),
        ("rollback", third),
        ("disable", "profile team-a-reader"),
        ("enable", "profile team-a-reader"),
    }
    assert all(one["by"] == CALLER and one["at"].endswith("Z") for one in found.values())
    assert [target for (_, target), one in found.items() if one["in_force"]] == [third]
    assert found["rollback", third]["detail"].startswith(f"content of {first}; ")
    assert found["disable", "profile team-a-reader"]["detail"] == "INC-1234"


def test_the_newest_come_first_and_the_rest_is_counted(run: Run, write: Write) -> None:
    versions = [applied(run, write(("duration: 30m", f"duration: {20 + number}m"))) for number in range(4)]
    assert [one["target"] for one in told(run, "--limit", "2")] == [versions[3], versions[2]]
    result = run("trust", "history", "--limit", "1")
    assert "3 older entries are not shown" in result.stdout


def test_an_apply_that_lost_or_was_broken_off_is_told_apart(run: Run, write: Write, aws: FakeAws) -> None:
    applied(run, write())
    table = aws.dynamodb

    def cut_off(name: str, _arguments: Any) -> None:
        if name == "BatchWriteItem":
            raise ConnectionClosedError(endpoint_url="http://127.0.0.1")

    table.before_call = cut_off
    assert run("trust", "apply", write(SHORTER), "--yes", "--allow-widening").exit_code == Exit.REFUSED
    table.before_call = lambda _name, _arguments: None
    assert [one["action"] for one in told(run)].count("apply-unfinished") == 1
    # A record whose version was never in force: written, and then another one was faster.
    key = "apply#000002-deadbeef"
    table.items[key, "-"] = {**table.items["current", "-"], "pk": {"S": key}, "base": {"S": "000001-other"}}
    assert {one["action"] for one in told(run)} == {"apply", "apply-unfinished", "apply-lost"}


def test_an_apply_whose_marker_was_left_behind_is_told_once(run: Run, write: Write, aws: FakeAws) -> None:
    version = applied(run, write())
    key = f"attempt#{version}"
    aws.dynamodb.items[key, "-"] = {"pk": {"S": key}, "version": {"S": "-"}, "by": {"S": CALLER}}
    assert [(one["action"], one["target"]) for one in told(run)] == [("apply", version)]


def test_an_index_that_lags_makes_no_version_look_lost(run: Run, write: Write, aws: FakeAws) -> None:
    versions = [applied(run, write(("duration: 30m", f"duration: {20 + number}m"))) for number in range(3)]
    aws.dynamodb.hidden, aws.dynamodb.lagging = 1, frozenset({f"apply#{versions[1]}"})
    found = {one["target"]: one["action"] for one in told(run)}
    assert found == dict.fromkeys(versions, "apply")


def test_what_somebody_wrote_as_a_reason_cannot_act_on_a_terminal(run: Run, write: Write) -> None:
    applied(run, write())
    reason = "\x1b[2J\u202eevil"
    run("trust", "disable", "profile", "team-a-reader", "--reason", reason)
    result = run("trust", "history")
    assert "\\x1b[2J\\u202eevil" in result.stdout
    assert all(character.isprintable() or character == "\n" for character in result.stdout)
