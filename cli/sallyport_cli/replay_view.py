"""What ``sallyport replay`` tells: tables of counts, in words or as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sallyport_cli.output import say, shown
from sallyport_cli.replay_archive import Replay
from sallyport_cli.replay_queues import Found
from sallyport_cli.replay_trail import Counts
from sallyport_cli.tables import say_table

SHOWN: Final = 20
"""Rows of one kind that are shown in words; JSON has them all."""


def queues_as_json(found: Sequence[Found]) -> dict[str, Any]:
    """Return what was done with dead-letter queues."""
    return {
        "moved": sum(one.moved.total() for one in found),
        "again": sum(one.again for one in found),
        "stays": sum(one.stays.total() for one in found),
        "queues": [
            {
                "queue": one.name,
                "there": one.there,
                "broken_off": one.is_broken_off,
                "again": one.again,
                **{
                    name: [
                        {"reason": reason, "detail": detail, "count": count}
                        for (reason, detail), count in counted.most_common()
                    ]
                    for name, counted in (("moved", one.moved), ("stays", one.stays), ("seen", one.seen))
                },
            }
            for one in found
        ],
    }


def say_queues(found: Sequence[Found], *, is_dry: bool) -> None:
    """Print what was done with dead-letter queues, or what lies there."""
    rows = []
    for one in found:
        for state, counted in (("waits", one.seen), ("brought back", one.moved), ("stays", one.stays)):
            for (reason, detail), count in counted.most_common(SHOWN):
                rows.append((one.name, str(count), state, reason, detail))
            if rest := sum(count for _, count in counted.most_common()[SHOWN:]):
                rows.append((one.name, str(rest), state, "…", "see --json"))
    if rows:
        say_table(("queue", "n", "", "why it was there", "what was said"), rows)
    for one in found:
        say(f"{one.name}: {_ended(one, is_dry=is_dry)}")
        if one.again:
            say(f"{one.name}: {one.again} failed again at once and wait in the dead-letter queue.")


def _ended(one: Found, *, is_dry: bool) -> str:
    """Return what became of a queue."""
    moved, looked = one.moved.total(), one.seen.total()
    if one.is_broken_off and not (moved or looked):
        # Nobody knows whether it is empty.
        return "the dead-letter queue could not be looked into."
    if is_dry:
        more = f"; {looked} of them were looked at" if looked < one.there else ""
        return f"{one.there} message(s) in the dead-letter queue{more}."
    if not one.there:
        return "the dead-letter queue is empty."
    return f"{moved} of {one.there} message(s) brought back."


def trail_as_json(counts: Counts, replay: str) -> dict[str, Any]:
    """Return what became of a trail's files and events."""
    return {
        "replay": replay,
        "complete": counts.complete,
        "files": counts.files,
        "broken_files": dict(counts.broken),
        "events": counts.events,
        "wanted": counts.by_name.total(),
        "sent": counts.sent,
        "skipped": dict(counts.skipped),
        "refused": dict(counts.refused),
        "by_name": dict(counts.by_name.most_common()),
        "incomplete": [{"name": name, "reason": reason} for name, reason in counts.named],
    }


def say_trail(counts: Counts, *, is_dry: bool) -> None:
    """Print what became of a trail's files and events."""
    rows: list[tuple[str, str, str]] = [
        (str(count), "would be sent" if is_dry else "wanted", name)
        for name, count in counts.by_name.most_common(SHOWN)
    ]
    if rest := sum(count for _, count in counts.by_name.most_common()[SHOWN:]):
        rows.append((str(rest), "would be sent" if is_dry else "wanted", "others, see --json"))
    rows += [(str(count), "skipped", reason) for reason, count in counts.skipped.most_common()]
    rows += [(str(count), "not sent", reason) for reason, count in counts.refused.most_common()]
    if rows:
        say_table(("events", "", "what"), rows)
    sent = "would be sent" if is_dry else "sent"
    say(
        f"{counts.files} file(s), {counts.events} event(s): {counts.sent} {sent}, "
        f"{counts.skipped.total()} skipped, {counts.refused.total()} not sent."
    )
    if not counts.files:
        say("No log file of that time was found there: does the place end where the trail puts AWSLogs?")
    if counts.broken:
        say(f"{counts.broken.total()} file(s) were not read to their end; what stands before that was used.")
    for name, reason in counts.named[:SHOWN]:
        # Whoever may write files to the trail's bucket or folder has named them.
        say(f"  {shown(name)}: {shown(reason)}")


def replays_as_json(replays: Mapping[str, Replay], state: str) -> dict[str, Any]:
    """Return which replays were started."""
    return {
        "replays": [
            {
                "of": what,
                "replay": one.name,
                "archive": one.archive,
                "bus": one.bus,
                "rules": list(one.rules),
                "from": one.first.isoformat(),
                "to": one.last.isoformat(),
                "state": state,
            }
            for what, one in replays.items()
        ]
    }


def say_replay(what: str, replay: Replay, *, is_dry: bool) -> None:
    """Print which replay begins."""
    span = f"{replay.first:%Y-%m-%dT%H:%MZ} to {replay.last:%Y-%m-%dT%H:%MZ}"
    say(f"{what}: {'would replay' if is_dry else f'the replay {replay.name} has begun,'} {span}.")
