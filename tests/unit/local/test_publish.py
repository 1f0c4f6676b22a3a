"""An alias is moved where a deployment left it behind, and nowhere else."""

from typing import Any

import pytest

from local.publish import is_same

CONFIGURATION: dict[str, Any] = {
    "CodeSha256": "a",
    "Environment": {"Variables": {"SALLYPORT_RECORD_DAYS": "400"}},
    "Layers": [{"Arn": "arn:aws:lambda:eu-central-1:111122223333:layer:sallyport:1", "CodeSize": 1}],
    "MemorySize": 512,
    "Timeout": 29,
    "Role": "arn:aws:iam::111122223333:role/r",
    "TracingConfig": {"Mode": "Active"},
}


def test_what_tells_versions_apart_is_no_difference() -> None:
    layers = [{"Arn": CONFIGURATION["Layers"][0]["Arn"]}]
    live = {**CONFIGURATION, "Version": "3", "LastModified": "later", "Layers": layers}
    assert is_same(CONFIGURATION, live)


@pytest.mark.parametrize("field", sorted(CONFIGURATION))
def test_what_a_parameter_can_change_is_one(field: str) -> None:
    assert not is_same(CONFIGURATION, {**CONFIGURATION, field: [{"Arn": "another"}]})
    assert not is_same(CONFIGURATION, {name: CONFIGURATION[name] for name in CONFIGURATION if name != field})
