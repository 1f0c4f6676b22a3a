"""A plan as a value: what it demands before it may be applied."""

from typing import Any

from sallyport.trust.changes import Change
from sallyport_cli.plan import Plan, lines


def plan(*changes: Change, is_in_force: bool = False) -> Plan:
    return Plan(
        account="111122223333",
        region="eu-central-1",
        table="trust",
        file="trust.yaml",
        sha256="0" * 64,
        base="000001-00000000",
        content_digest="1" * 64,
        changes=changes,
        is_in_force=is_in_force,
    )


def test_a_difference_that_no_change_explains_is_never_taken_for_a_narrowing_one() -> None:
    assert plan().needs_widening
    assert "only the stored form differs" in plan().summary()
    assert not plan(is_in_force=True).needs_widening


def test_one_change_that_is_not_narrowing_suffices() -> None:
    narrow = Change("profile", "p", "duration", 3600, 900, "narrows")
    unknown = Change("profile", "p", "session_name", "a", "b", "unknown")
    assert not plan(narrow).needs_widening
    assert plan(narrow, unknown).needs_widening


def test_what_a_value_says_cannot_act_on_the_terminal() -> None:
    change = Change("profile", "p", "description", "a\x1b[2J", "b\u202e", "neither")
    text = "\n".join(line.text for line in lines(plan(change)))
    assert not {"\x1b", "\u202e"} & set(text)
    assert r"- a\x1b[2J" in text


def test_what_comes_and_what_goes_is_marked_as_in_a_diff() -> None:
    gone = Change("anchor", "old", "", {"issuer": "https://a"}, None, "narrows")
    new = Change("anchor", "young", "", None, {"issuer": "https://b"}, "widens")
    text = [line.text for line in lines(plan(gone, new))]
    assert "- anchor old  [narrows]" in text
    assert "    - issuer: https://a" in text
    assert "+ anchor young  [widens]" in text
    assert "    + issuer: https://b" in text


def statement(sid: str, *resources: str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": "s3:GetObject", "Resource": list(resources)}


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


def test_a_changed_policy_is_a_diff_of_the_statements_that_changed() -> None:
    before = policy(statement("Same", "a"), statement("Reports", "b", "c"))
    after = policy(statement("Same", "a"), statement("Reports", "b", "d"), statement("New", "e"))
    text = [
        line.text for line in lines(plan(Change("profile", "p", "session_policy", before, after, "unknown")))
    ]
    at = text.index("      @ Statement 2 (Reports)")
    end = text.index("      @ Statement 3 (New)")
    changed = [line for line in text[at:end] if line[6:7] in "+-"]
    assert changed == ['      -     "c"', '      +     "d"']
    assert '          "Sid": "Reports"' in text[at:end]
    assert all(line[6:7] == "+" for line in text[end + 1 : text.index("", end)])
    assert not any("Same" in line for line in text)


def test_a_policy_that_is_dropped_is_shown_whole() -> None:
    gone = Change("profile", "p", "session_policy", policy(statement("S", "a")), None, "widens")
    text = [line.text for line in lines(plan(gone))]
    assert '      -   "Version": "2012-10-17"' in text
    assert '      -   "Sid": "S"' in text
    assert not any(line.startswith("      +") for line in text)


def test_a_changed_condition_is_a_diff_of_its_values() -> None:
    before, after = {"StringEquals": {"token:oid": ["a", "b"]}}, {"StringEquals": {"token:oid": ["a", "c"]}}
    text = [line.text for line in lines(plan(Change("profile", "p", "condition", before, after, "unknown")))]
    assert '      -       "b"' in text
    assert '      +       "c"' in text


def test_what_a_policy_says_cannot_act_on_the_terminal() -> None:
    change = Change("profile", "p", "session_policy", None, policy(statement("\u202e", "\x9b2J")), "narrows")
    text = "\n".join(line.text for line in lines(plan(change)))
    assert not {"\x9b", "\u202e"} & set(text)


def test_a_text_for_people_is_counted_apart_and_needs_no_permission() -> None:
    made = plan(Change("profile", "p", "description", "a", "b", "neither"))
    assert made.summary() == "0 widening, 0 unknown, 0 narrowing, 1 neither"
    assert not made.needs_widening
