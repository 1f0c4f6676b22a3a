"""Patterns let through what the rules look at, since they are made of the same selectors."""

import json
import re
from typing import Any

import pytest

from sallyport.audit.event_patterns import MAX_PATTERN, event_patterns
from sallyport.audit.rules import RULES
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
