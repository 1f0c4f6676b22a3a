"""Whatever user pools a trust file declares: problems with places, or a mapping that says exactly that."""

import json
import re
import shlex
import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.cognito.load import load_mapping, read_mapping
from sallyport.errors import TrustFileError
from sallyport.trust.changes import NARROWS, classify
from sallyport.trust.problems import Problem
from sallyport.trust.user_pools import tag_mapping
from sallyport_cli.tag_mapping import TagMapping
from tests.support.cognito_events import POOL, TENANT
from tests.support.trust_files import compiled

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
WORD = st.text("abcXYZ019_.@=+-", min_size=1, max_size=12)
# Everything that a shell, TOML, JSON or sam could take for something else.
ODD = st.text("ab \"'\\$`!{}=,;#%\u00e9\u2028\U0001f600", min_size=1, max_size=12)
NAME = WORD | ODD
SOURCE = st.one_of(
    st.fixed_dictionaries({"attribute": st.sampled_from([TENANT, "sub", "custom:x"]) | NAME}),
    st.fixed_dictionaries({"constant": NAME}),
    st.fixed_dictionaries({"groups": st.dictionaries(NAME, NAME, max_size=2)}),
    st.fixed_dictionaries({"group_prefix": NAME}),
    st.fixed_dictionaries({"metadata": NAME}),
    st.just({"provider": True}),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "isolates": st.booleans(),
        "optional": st.booleans(),
        "transitive": st.booleans(),
        "allowed": st.lists(NAME | st.just("*"), max_size=2),
    },
)
TAG = st.builds(lambda source, options: {**source, **options}, SOURCE, OPTIONS)
CLIENT = st.fixed_dictionaries(
    {
        "use": st.sampled_from(["users", "users", "machine"]),
        "tags": st.dictionaries(st.sampled_from(["TenantID", "tenantid", "Plan", "aws:x"]), TAG, max_size=2),
    },
    optional={
        "source_identity": NAME,
        "roles": st.lists(st.just("arn:aws:iam::111122223333:role/r") | NAME, max_size=2),
    },
)
SOMEWHAT_LIKELY = st.fixed_dictionaries(
    {
        "id": st.sampled_from([POOL, POOL + "2", "eu-central-1_"]),
        "clients": st.dictionaries(st.sampled_from(["abc123", "def456", "not an id"]), CLIENT, max_size=2),
    },
    optional={
        "default": CLIENT,
        "providers": st.dictionaries(
            NAME, st.dictionaries(st.just("TenantID"), NAME, max_size=1), max_size=2
        ),
    },
)
POOLS = st.dictionaries(st.sampled_from(["saas", "second"]), SOMEWHAT_LIKELY, max_size=2)

ALL_RIGHT = st.fixed_dictionaries(
    {
        "id": st.just(POOL),
        "clients": st.dictionaries(
            st.text("abc123", min_size=1, max_size=4),
            st.fixed_dictionaries(
                {
                    "use": st.just("users"),
                    "tags": st.fixed_dictionaries(
                        {},
                        optional={
                            "TenantID": st.just({"attribute": TENANT}),
                            "Plan": st.fixed_dictionaries(
                                {"groups": st.dictionaries(NAME, WORD, min_size=1, max_size=2)}
                            ).map(lambda source: {**source, "isolates": False}),
                        },
                    ),
                }
            ),
            max_size=3,
        ),
    }
)

# The first example loads the validator, which takes longer than an example may.
UNHURRIED = settings(deadline=None)


def items_or_problems(pools: Any) -> Any:
    try:
        return compiled({"version": 1, "user_pools": pools}).items
    except TrustFileError as error:
        found = [one for one in error.problems if isinstance(one, Problem)]
        assert found
        assert all(one.text and one.cure for one in found)
        assert all(one.path[:1] == ("user_pools",) for one in found)
        return None


@UNHURRIED
@given(POOLS | st.dictionaries(st.just("saas"), ALL_RIGHT, max_size=1))
def test_a_declaration_is_refused_or_becomes_a_mapping_that_says_the_same(pools: dict[str, Any]) -> None:
    items = items_or_problems(pools)
    if items is None:
        return
    text = tag_mapping(items)
    if not pools:
        assert text is None
        return
    assert text is not None
    declared = {
        one["id"]: {part: value for part, value in one.items() if part != "id"} for one in pools.values()
    }
    expected = {"format": 1, "pools": declared}
    assert json.loads(text) == expected
    # Only the order of tags is the text's own.
    assert load_mapping(text.encode()) == read_mapping(json.loads(json.dumps(expected, sort_keys=True)))


@UNHURRIED
@given(JSON | st.dictionaries(st.text(max_size=8), JSON, max_size=2))
def test_anything_at_all_is_refused_in_our_words(pools: Any) -> None:
    items = items_or_problems(pools)
    assert items is None or pools == {}


def sam_reads(argument: str) -> str:
    """How sam reads a quoted parameter (samcli/cli/types.py: a pattern, then three replacements)."""
    found = re.findall(r'(?: )([A-Za-z0-9]+)=("(?:\\.|[^"\\]+)*")', " " + argument)
    ((name, value),) = found
    assert name == "TagMapping"
    return str(value[1:-1].replace("\\ ", " ").replace('\\"', '"').replace("\\'", "'"))


@UNHURRIED
@given(ALL_RIGHT)
def test_the_commands_to_copy_carry_the_mapping_whole(declared: dict[str, Any]) -> None:
    items = items_or_problems({"saas": declared})
    if items is None:
        return
    mapping = TagMapping.of(items)
    told = list(mapping.directions("trust.yaml"))
    if not mapping.fits_variable:
        return
    (command,) = [line for line in told if "sam deploy" in line]
    assert sam_reads(shlex.split(command)[-1]) == mapping.text
    (toml,) = [line for line in told if "parameter_overrides" in line]
    assert [sam_reads(one) for one in tomllib.loads(toml)["parameter_overrides"]] == [mapping.text]


def isolating(pools: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    """Who gets an isolating value from where: pool, client, key, source."""
    return {
        (one["id"], client, key, json.dumps(tag, sort_keys=True))
        for one in pools.values()
        for client, rules in [*one["clients"].items(), ("*", one.get("default", {"tags": {}}))]
        for key, tag in rules["tags"].items()
    }


@UNHURRIED
@given(
    st.dictionaries(st.just("saas"), ALL_RIGHT, max_size=1),
    st.dictionaries(st.just("saas"), ALL_RIGHT, max_size=1),
)
def test_what_only_narrows_gives_nobody_a_new_source(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = items_or_problems(before), items_or_problems(after)
    if old is None or new is None:
        return
    if all(change.effect == NARROWS for change in classify(old, new)):
        assert isolating(after) <= isolating(before)
