"""What a trace looks like on a terminal: every line, every bar, and nothing that acts."""

from dataclasses import replace
from datetime import timedelta

from sallyport.audit.lineage.edges import Edge, Origin, OriginKind
from sallyport.audit.lineage.tree import MAX_SHOWN, tree
from sallyport_cli.trace_view import lines
from tests.support.audit_world import NOON

HOSTILE = "a\x1b]0;x\x07\u202eb"
SHOWN = r"a\x1b]0;x\x07\u202eb"


def session(number: int, parent: int | None = None, **said: str) -> Edge:
    origin = Origin(OriginKind.TOKEN, said.pop("who", "b0c1"), "entra") if parent is None else None
    return Edge(
        child=f"ASIA{number:016d}",
        time=NOON + timedelta(minutes=number),
        call="AssumeRole",
        parent=None if parent is None else f"ASIA{parent:016d}",
        origin=origin,
        source_identity="asked",
        **said,  # type: ignore[arg-type]  # fields of an edge, by name
    )


def drawn(*edges: Edge, start: str = "asked", width: int | None = None) -> list[str]:
    return [line.text for line in lines(tree(edges, start), width=width)]


def test_bars_lead_from_every_session_to_what_it_was_made_with() -> None:
    said = drawn(
        session(1), session(2, 1), session(3, 2), session(4, 1), session(5, who="other"), session(6, 5)
    )
    tree_alone = [line for line in said if "source identity" not in line and "by    " not in line]
    assert tree_alone == [
        "6 sessions; every one of them goes back to an outside identity",
        "",
        "outside identity: token b0c1, vouched for by entra",
        "└─ AssumeRole → ASIA0000000000000001  ◀ asked for",
        "   │ at               2026-11-20T12:01:00Z",
        "   ├─ AssumeRole → ASIA0000000000000002  ◀ asked for",
        "   │  │ at               2026-11-20T12:02:00Z",
        "   │  └─ AssumeRole → ASIA0000000000000003  ◀ asked for",
        "   │       at               2026-11-20T12:03:00Z",
        "   └─ AssumeRole → ASIA0000000000000004  ◀ asked for",
        "        at               2026-11-20T12:04:00Z",
        "",
        "outside identity: token other, vouched for by entra",
        "└─ AssumeRole → ASIA0000000000000005  ◀ asked for",
        "   │ at               2026-11-20T12:05:00Z",
        "   └─ AssumeRole → ASIA0000000000000006  ◀ asked for",
        "        at               2026-11-20T12:06:00Z",
    ]


def test_what_does_not_fit_goes_on_below_its_own_beginning_and_is_cut_between_words() -> None:
    said = drawn(session(1, who="one two three four"), session(2, 1, role="one two three " * 3), width=48)
    assert "outside identity: token one two three four," in said
    assert "│  vouched for by entra" in said
    assert "        role             one two three one two" in said
    assert "                         three one two three" in said


def test_a_word_is_not_left_out_however_narrow_the_place() -> None:
    said = drawn(session(1, role="界" * 3), width=24)
    assert "".join(line.strip().removeprefix("role").strip() for line in said).count("界") == 3


def test_one_column_less_than_a_wide_character_still_ends() -> None:
    assert sum(line.count("界") for line in drawn(session(1, role="界" * 9), width=23)) == 9


def test_nothing_that_somebody_wrote_acts_on_the_terminal() -> None:
    said = drawn(
        replace(session(1, who=HOSTILE, role=HOSTILE, session_name=HOSTILE, region=HOSTILE), call=HOSTILE),
        session(3, 2, caller=HOSTILE, caller_account=HOSTILE),
    )
    assert all(line.isprintable() for line in said)
    assert f"outside identity: token {SHOWN}, vouched for by entra" in said
    assert sum(line.endswith(f" {SHOWN}") for line in said) >= 3
    assert f"└─ {SHOWN} → ASIA0000000000000001  ◀ asked for" in said
    assert any(line.startswith("! ") and SHOWN in line for line in said)


def test_what_is_not_shown_is_counted() -> None:
    many = [session(1)] + [session(number, 1) for number in range(2, MAX_SHOWN + 4)]
    assert drawn(*many)[1] == "3 more session(s) belong to this trace and are not shown"
