"""What a trace says, in the words that terminal and page share. Nothing is escaped here."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from sallyport.audit.lineage.edges import EXCHANGE, Edge
from sallyport.audit.lineage.tree import End, Step, Trace

ENDS: Final = {
    End.OUTSIDE: "outside identity",
    End.SERVICE: "AWS service",
    End.LONG_TERM_KEY: "long-term key",
    End.CONSOLE: "console session",
    End.BROKEN: "BROKEN CHAIN",
    End.CYCLE: "CYCLE",
    End.CUT: "not shown",
}


def title(step: Step) -> str:
    """Return what names a session: how it was made, and the key that was issued."""
    call = "exchange" if step.edge.call == EXCHANGE else step.edge.call
    return f"{call} → {step.edge.child}"


def facts(step: Step) -> Iterable[tuple[str, str]]:
    """Yield what is known of a session, the most telling first; what nobody has said is left out."""
    edge = step.edge
    if edge.exchange_id is not None and edge.outcome not in {None, "granted"}:
        yield "outcome", f"{edge.outcome}: the credentials were not given out"
    if step.is_disputed:
        yield "disputed", "another event or record says that this key was issued otherwise"
    for name, value in (
        ("role", edge.role),
        ("session name", edge.session_name),
        ("source identity", edge.source_identity),
        ("tags", ", ".join(f"{key}={value}" for key, value in edge.tags)),
        ("at", when(edge.time)),
        ("from address", edge.address),
        ("by", _caller(edge)),
        ("accounts", " → ".join(edge.accounts)),
        ("Region", edge.region),
        ("exchange", edge.exchange_id),
        ("events", ", ".join(one for one in edge.event_ids if one != edge.exchange_id)),
    ):
        if value:
            yield name, value


def verdict(trace: Trace) -> str:
    """Return the trace in one sentence."""
    count = sum(1 for _ in trace.steps)
    if not count:
        return "nothing is known"
    sessions = f"{count} session{'s' * (count != 1)}"
    if trace.gaps:
        return f"{sessions}; the chain is broken or contradicts itself in {_places(len(trace.gaps))}"
    if trace.arrives:
        back = "goes back" if count == 1 else "every one of them goes back"
        return f"{sessions}; {back} to an outside identity"
    back = "does not go back" if count == 1 else "not every one of them goes back"
    return f"{sessions}; {back} to an outside identity"


def omission(trace: Trace) -> str | None:
    """Return the sentence on what is not shown."""
    return (
        f"{trace.omitted} more session(s) belong to this trace and are not shown" if trace.omitted else None
    )


def when(time: datetime) -> str:
    """Return a time in UTC, to the second."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _caller(edge: Edge) -> str | None:
    if edge.caller is None:
        return edge.parent and f"key {edge.parent}"
    return f"{edge.caller}, with key {edge.parent}" if edge.parent else edge.caller


def _places(count: int) -> str:
    return f"{count} place{'s' * (count != 1)}"
