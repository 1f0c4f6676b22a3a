"""Whatever arrives, reading and judging it ends in an answer and never in an exception."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.audit.asff import to_asff
from sallyport.audit.evaluate import evaluate
from sallyport.audit.events import Unusable, read_event, read_record, read_trust_change
from sallyport.audit.finding import CannotTell, Finding, from_json, to_json
from sallyport.audit.ocsf import to_ocsf
from tests.support.audit_world import ACCOUNT, REGION, context
from tests.support.rule_samples import load
from tests.support.rule_samples.sample import READERS, paths

# Lone surrogates too: JSON can bring them.
TEXT = st.text(st.characters(codec=None), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
SAMPLES = [
    (sample.kind, sample.events[-1])
    for samples in load().values()
    for sample in (*samples.hits, *samples.near_misses)
]


def replaced(raw: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = json.loads(json.dumps(raw))
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SAMPLES), st.data(), JSON)
def test_any_value_in_any_place_ends_in_an_answer(
    sample: tuple[str, dict], data: st.DataObject, value: Any
) -> None:
    kind, raw = sample
    changed = replaced(raw, data.draw(st.sampled_from(paths(raw))), value)
    seen = READERS[kind](changed)
    if isinstance(seen, Unusable):
        assert seen.reason
        return
    for said in evaluate(seen, context()):
        assert isinstance(said, Finding | CannotTell)
        assert not (isinstance(said, CannotTell) and said.is_error), said
        if isinstance(said, Finding):
            assert to_json(from_json(to_json(said))) == to_json(said)
            json.dumps(to_asff(said, account=ACCOUNT, region=REGION)).encode()
            json.dumps(to_ocsf(said, version="1"), ensure_ascii=False).encode()


@settings(max_examples=100, deadline=None)
@given(JSON | st.dictionaries(st.sampled_from(["detail", "source", "detail-type", "id", "eventName"]), JSON))
def test_anything_at_all_is_read_or_unusable(value: Any) -> None:
    for reader in (read_event, read_record, read_trust_change):
        reader(value)
