"""A plan as a value: what it demands before it may be applied."""

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
    change = Change("profile", "p", "description", "a\x1b[2J", "b\u202e", "narrows")
    text = "\n".join(line for line, _ in lines(plan(change)))
    assert not {"\x1b", "\u202e"} & set(text)
    assert r"- a\x1b[2J" in text


def test_what_comes_and_what_goes_is_marked_as_in_a_diff() -> None:
    gone = Change("anchor", "old", "", {"issuer": "https://a"}, None, "narrows")
    new = Change("anchor", "young", "", None, {"issuer": "https://b"}, "widens")
    text = [line for line, _ in lines(plan(gone, new))]
    assert "- anchor old  [narrows]" in text
    assert "    - issuer: https://a" in text
    assert "+ anchor young  [widens]" in text
    assert "    + issuer: https://b" in text
