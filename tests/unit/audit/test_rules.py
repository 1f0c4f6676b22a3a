"""Every rule on its samples, and on what is left of them when a field is missing."""

import pytest

from sallyport.audit.finding import CannotTell, Finding
from sallyport.audit.rules import RULES
from tests.support.rule_samples import load
from tests.support.rule_samples.sample import Sample, paths

SAMPLES = load()


def cases(kind: str) -> list:
    return [
        pytest.param(rule_id, sample, id=f"{rule_id}-{kind}-{number}")
        for rule_id in RULES
        for number, sample in enumerate(getattr(SAMPLES[rule_id], kind) if rule_id in SAMPLES else ())
    ]


def found(sample: Sample, rule_id: str) -> list[Finding]:
    last = sample.run()[-1]
    assert not [one for one in last if isinstance(one, CannotTell) and one.is_error]
    return [one for one in last if isinstance(one, Finding) and one.rule_id == rule_id]


@pytest.mark.parametrize("rule_id", RULES)
def test_every_rule_has_a_hit_a_near_miss_and_a_null_heavy_sample(rule_id: str) -> None:
    samples = SAMPLES[rule_id]
    assert samples.hits
    assert samples.near_misses
    assert samples.null_heavy


def test_every_sample_belongs_to_a_rule() -> None:
    assert SAMPLES.keys() == RULES.keys()


@pytest.mark.parametrize(("rule_id", "sample"), cases("hits"))
def test_a_hit_is_found(rule_id: str, sample: Sample) -> None:
    assert found(sample, rule_id)


@pytest.mark.parametrize(("rule_id", "sample"), cases("near_misses"))
def test_a_near_miss_is_not(rule_id: str, sample: Sample) -> None:
    assert not found(sample, rule_id)


@pytest.mark.parametrize(("rule_id", "sample"), cases("null_heavy"))
def test_what_says_next_to_nothing_is_no_finding_and_no_error(rule_id: str, sample: Sample) -> None:
    assert not found(sample, rule_id)


@pytest.mark.parametrize(("rule_id", "sample"), [*cases("hits"), *cases("near_misses"), *cases("null_heavy")])
def test_no_missing_field_makes_a_rule_throw(rule_id: str, sample: Sample) -> None:
    for path in paths(sample.events[-1]):
        for said in sample.run(drop=path):
            assert not [one for one in said if isinstance(one, CannotTell) and one.is_error], path
