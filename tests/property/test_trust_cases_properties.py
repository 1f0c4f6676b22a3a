"""Whatever a table of cases says, it is understood in full or refused with its places, and nothing else."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import TrustFileError
from sallyport_cli.strict_yaml import LocatedProblem
from sallyport_cli.trust_cases import CaseFile, read_cases, run
from sallyport_cli.trust_source import of_file
from tests.support import tokens
from tests.support.world import READER, TRUST, compiled

GOOD: dict[str, Any] = {
    "version": 1,
    "at": tokens.NOW.isoformat(),
    "identities": {
        "app": {
            "trust_anchor": "contoso",
            "claims": {"ver": "1.0", "tid": tokens.TENANT, "oid": tokens.OBJECT_ID, "idtyp": "app"},
        }
    },
    "cases": [
        {"name": "one", "identity": "app", "role": READER, "expect": {"granted": {"duration": 3_600}}},
        {"name": "two", "identity": "app", "role": READER, "expect": {"denied": "no-profile"}},
    ],
}
SOURCE = of_file(compiled(TRUST).items, (), jwks=None, now=tokens.NOW)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.booleans() | st.integers(-(10**14), 10**14) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def read(data: bytes) -> CaseFile | None:
    try:
        return read_cases(data, Path("cases.yaml"))
    except TrustFileError as error:
        problems = error.problems
    assert problems
    assert all(isinstance(one, LocatedProblem) and one.line >= 1 for one in problems)
    return None


def places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        found += [(value, key), *places(value[key])]
    return found


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read(data)


@given(JSON)
def test_any_document_is_read_or_refused(document: Any) -> None:
    read(json.dumps(document, ensure_ascii=False).encode())


@given(st.data())
def test_a_table_with_anything_in_one_place_runs_or_is_refused(data: st.DataObject) -> None:
    document = deepcopy(GOOD)
    holder, key = data.draw(st.sampled_from(places(document)))
    holder[key] = data.draw(JSON)
    found = read(json.dumps(document, ensure_ascii=False).encode())
    for case in () if found is None else found.cases:
        result = run(case, SOURCE)
        assert result.passed is (not result.differences)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_a_claim_more_gives_nobody_anything_else(claims: dict[str, Any]) -> None:
    """Only claims that conditions name decide; a case that expects a refusal never passes by accident."""
    document = deepcopy(GOOD)
    document["identities"]["app"]["claims"] = {"oid": tokens.CLIENT_ID, **claims}
    found = read(json.dumps(document, ensure_ascii=False).encode())
    if found is not None and claims.get("oid") != tokens.OBJECT_ID:
        assert not run(found.cases[0], SOURCE).passed
