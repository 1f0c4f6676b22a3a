"""Patterns and queries let through what the rules look at, since they are made of the same selectors."""

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sallyport.audit.derive import MAX_PATTERN, athena, event_patterns, logs_insights
from sallyport.audit.rules import RULES
from sallyport.audit.rules.rule import Selector, Where
from tests.support.audit_world import ESTATE
from tests.support.event_patterns import matches
from tests.support.rule_samples import load
from tests.support.rule_samples.sample import event, role, user

PATTERNS = event_patterns(ESTATE.managed_roles)
SAMPLES = load()
HITS = [
    pytest.param(rule_id, raw, id=f"{rule_id}-{number}")
    for rule_id, samples in SAMPLES.items()
    if RULES[rule_id].on == "event"
    for number, sample in enumerate(samples.hits)
    for raw in sample.events[-1:]
]


@pytest.mark.parametrize(("rule_id", "raw"), HITS)
def test_what_a_rule_finds_gets_through_a_pattern_of_its_own(rule_id: str, raw: dict[str, Any]) -> None:
    own = event_patterns(ESTATE.managed_roles, {rule_id: RULES[rule_id]})
    assert any(matches(pattern, raw) for pattern in own.values())
    assert any(matches(pattern, raw) for pattern in PATTERNS.values())


def test_what_no_rule_looks_at_does_not() -> None:
    for raw in (
        event("s3", "ListBuckets", user()),
        event("ec2", "RunInstances", role()),
        event("sts", "AssumeRole", user()) | {"source": "my.app"},
        event("sts", "AssumeRole", user()) | {"detail-type": "My Event"},
    ):
        assert not [name for name, pattern in PATTERNS.items() if matches(pattern, raw)]


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_is_short_enough_and_believes_aws_alone(name: str) -> None:
    assert len(json.dumps(PATTERNS[name], separators=(",", ":"))) <= MAX_PATTERN
    (source,) = PATTERNS[name]["source"]
    assert source == {"prefix": "aws."} or source.startswith("aws.")


def test_the_patterns_have_names_that_a_template_can_use() -> None:
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{2,60}", name) for name in PATTERNS)
    assert {
        "calls-sts",
        "calls-iam",
        "calls-signin",
        "calls-rolesanywhere",
        "calls-own-parts",
    } <= PATTERNS.keys()


def flat(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in raw.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}".lower()] = (
                value if isinstance(value, str | int | None) else json.dumps(value)
            )
    return found


@pytest.mark.parametrize(("rule_id", "raw"), HITS)
def test_the_athena_query_finds_what_the_rule_finds(rule_id: str, raw: dict[str, Any]) -> None:
    query = athena(RULES[rule_id])
    if query is None:
        assert raw["source"].startswith("aws.rolesanywhere")
        return
    row = flat(raw["detail"])
    columns = sorted({*re.findall(r"[a-z]+(?:\.[a-z]+)+", query)} - {"cloudtrail.amazonaws.com"})
    plain = (
        "eventtime",
        "eventid",
        "awsregion",
        "recipientaccountid",
        "eventsource",
        "eventname",
        "errorcode",
    )
    names = [
        *plain,
        "sourceipaddress",
        "useragent",
        *(one for one in columns if one.startswith("useridentity")),
    ]
    database = sqlite3.connect(":memory:")
    quoted = ", ".join(f'"{name}"' for name in names)
    database.execute(f"CREATE TABLE cloudtrail_logs ({quoted})")
    database.execute(
        f"INSERT INTO cloudtrail_logs VALUES ({', '.join('?' * len(names))})",  # noqa: S608 - names from above
        [row.get(name) for name in names],
    )
    # A struct's field is a column of its own here.
    query = re.sub(r"useridentity(?:\.[a-z]+)+", lambda found: f'"{found[0]}"', query)
    managed = ["arn:aws:iam::%:role/sallyport/%"] * (query.count("?") - 2)
    times = ["2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"]
    assert database.execute(query, [*managed, *times]).fetchall()
    assert not database.execute(query, [*managed, times[1], "2028-01-01T00:00:00Z"]).fetchall()
    database.close()


@pytest.mark.parametrize("rule_id", [one for one in RULES if RULES[one].on == "event"])
def test_the_logs_insights_query_names_all_that_the_rule_selects(rule_id: str) -> None:
    query = logs_insights(RULES[rule_id])
    for selector in RULES[rule_id].selectors:
        if selector.source.startswith("aws."):
            continue
        assert query is not None
        assert f'"{selector.source}.amazonaws.com"' in query or not selector.source
        assert all(f'"{name}"' in query for name in selector.names)
        assert all(where.path in query for where in selector.where)


@pytest.mark.parametrize("bad", ["x' OR '1'='1", 'x"] or 1=1', "x\n| delete", "a%b", "${x}"])
def test_nothing_that_means_something_to_a_query_gets_into_one(bad: str) -> None:
    rule = RULES["assume-root-30"]
    for selector in (
        Selector("sts", (bad,)),
        Selector("sts", where=(Where("userIdentity.type", "equals", (bad,)),)),
        Selector("sts", where=(Where("userIdentity.type", "prefix", (bad,)),)),
    ):
        for make in (athena, logs_insights):
            with pytest.raises(ValueError, match="plain constant"):
                make(replace(rule, selectors=(selector,)))


def test_rules_on_records_have_no_query() -> None:
    assert athena(RULES["denial-burst-61"]) is None
    assert logs_insights(RULES["trust-change-unexplained-64"]) is None
