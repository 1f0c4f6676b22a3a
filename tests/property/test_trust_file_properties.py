"""Whatever a trust file holds, it is compiled or refused with places and cures, and never more than that."""

import json
from datetime import UTC, datetime

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sallyport.errors import TrustFileError
from sallyport_cli.strict_yaml import MAX_PROBLEMS, LocatedProblem, parse
from sallyport_cli.trust_file import CheckedFile, Place, check

PLACE = Place(account="111122223333", region="eu-central-1")
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

VALID = """version: 1
trust_anchors:
  contoso:
    kind: oidc
    issuer: https://sts.windows.net/3d0af1a2-1111-2222-3333-444455556666/
    dialect: entra
    audiences: ["urn://dev-aws-account-team-a"]
profiles:
  team-a-reader:
    trust_anchor: contoso
    roles: ["arn:aws:iam::111122223333:role/sallyport/team-a-reader"]
    condition:
      StringEquals: {"token:oid": "b0c1d2e3-1111-2222-3333-444455556666"}
    session_tags: {TenantID: "${token:tid}", App: {value: "${token:appid}", optional: true}}
    source_identity: "contoso.${token:oid}"
    session_policy:
      Version: "2012-10-17"
      Statement: [{Effect: Allow, Action: "s3:*", Resource: "arn:aws:s3:::b/${token:tid}/*"}]
    duration: 1h
"""

# Pieces that YAML gives a meaning, and pieces of a trust file, in any order.
YAML_SIGNS = (
    "a",
    "1",
    "yes",
    "~",
    ": ",
    ":",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&a ",
    "*a",
    "<<: ",
    "!!",
    "!x ",
)
YAML_STYLES = (
    "'",
    '"',
    "|\n",
    ">-\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "#",
    "? ",
    "\\",
    "\t",
    "\r",
    "2026-11-20",
    "0x1f",
)
ODD_CHARACTERS = ("\u202e", "\x00", "\ufeff", "\u00e9", "\U0001f600")
TRUST_WORDS = (
    "version",
    "trust_anchors",
    "profiles",
    "roles",
    "condition",
    "StringEquals",
    "token:oid",
    "${token:oid}",
)
PIECES = st.lists(
    st.sampled_from((*YAML_SIGNS, *YAML_STYLES, *ODD_CHARACTERS, *TRUST_WORDS, "arn:aws:iam::1:role/x")),
    max_size=60,
).map("".join)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON_LIKE = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
# What our YAML can say, which is less than JSON: no null, no fractions, no huge numbers, no controls.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cf", "Cn", "Zl", "Zp")))
SAYABLE = st.recursive(
    st.booleans() | st.integers(-(10**14), 10**14) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


# The first example loads the validator, which takes longer than an example may.
UNHURRIED = settings(deadline=None)


def outcome(data: bytes) -> CheckedFile | tuple[LocatedProblem, ...]:
    """Compile, or return the problems; anything else that is raised fails the test."""
    try:
        return check(data, path="trust.yaml", place=PLACE, now=NOW)
    except TrustFileError as error:
        found = error.problems
    problems = tuple(problem for problem in found if isinstance(problem, LocatedProblem))
    assert 1 <= len(problems) <= MAX_PROBLEMS
    assert len(problems) == len(found)
    lines = data.decode("utf-8", "replace").count("\n") + 1
    for problem in problems:
        assert 1 <= problem.line <= lines + 1
        assert problem.column >= 1
        assert problem.text
        assert problem.cure
        assert (problem.text + problem.cure).isprintable()
    assert problems == tuple(sorted(problems))
    return problems


@UNHURRIED
@given(st.binary(max_size=400))
@example(b"\xff\xfe\x00")
@example(b"a: [" * 50)
@example(b"&a [*a, *a]")
def test_any_bytes_are_refused_with_a_place_and_a_cure(data: bytes) -> None:
    assert isinstance(outcome(data), tuple)


@UNHURRIED
@given(PIECES)
def test_any_yaml_is_compiled_or_refused(text: str) -> None:
    outcome(text.encode())


@UNHURRIED
@given(st.integers(0, len(VALID)), st.integers(0, 40), PIECES | st.text(max_size=20))
def test_a_valid_file_with_anything_put_into_it_is_compiled_or_refused(at: int, cut: int, piece: str) -> None:
    outcome((VALID[:at] + piece + VALID[at + cut :]).encode("utf-8", "surrogatepass"))


@settings(UNHURRIED, max_examples=50)
@given(st.sampled_from(["trust_anchors", "profiles", "version"]), JSON_LIKE)
def test_any_value_in_any_place_is_compiled_or_refused(key: str, value: object) -> None:
    document = {**yaml.safe_load(VALID), key: value}
    outcome(json.dumps(document).encode())


@UNHURRIED
@given(st.sampled_from(["contoso", "team-a-reader"]), st.text(max_size=12), JSON_LIKE)
def test_any_field_of_an_anchor_or_a_profile_is_compiled_or_refused(
    name: str, key: str, value: object
) -> None:
    document = yaml.safe_load(VALID)
    section = document["trust_anchors" if name == "contoso" else "profiles"][name]
    for field in (*section, key):
        changed = {**section, field: value}
        whole = {**document, "trust_anchors" if name == "contoso" else "profiles": {name: changed}}
        outcome(json.dumps(whole).encode())


@given(SAYABLE)
def test_what_is_written_is_what_is_read(value: object) -> None:
    parsed = parse(json.dumps(value, ensure_ascii=False).encode())
    assert not parsed.problems
    assert parsed.document == value


@given(SAYABLE)
def test_writing_it_as_a_block_changes_nothing(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=False, default_flow_style=False)
    parsed = parse(text.encode())
    if not parsed.problems:
        assert parsed.document == value


@given(TEXTS, TEXTS)
def test_a_value_that_is_not_quoted_is_never_anything_but_the_text_itself(key: str, value: str) -> None:
    parsed = parse(f"{json.dumps(key)}: {value}\n".encode())
    if not parsed.problems and isinstance(parsed.document, dict):
        read = parsed.document.get(key)
        if isinstance(read, str) and not value.lstrip().startswith(("'", '"', "|", ">")):
            assert read in value
        if isinstance(read, bool):
            assert value.strip(" ").partition(" #")[0].strip(" ") in {"true", "false"}


def test_the_valid_file_of_these_tests_is_valid() -> None:
    assert isinstance(outcome(VALID.encode()), CheckedFile)
