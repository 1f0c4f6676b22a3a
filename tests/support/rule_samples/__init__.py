"""For each rule: what it must find, what comes near and is nothing, and what says next to nothing."""

import importlib
import pkgutil

from tests.support.rule_samples.sample import Samples


def load() -> dict[str, Samples]:
    """Return the samples of every module here, by rule id."""
    found: dict[str, Samples] = {}
    for module in pkgutil.iter_modules(__path__):
        for rule_id, samples in getattr(
            importlib.import_module(f"{__name__}.{module.name}"), "SAMPLES", {}
        ).items():
            assert rule_id not in found, rule_id
            found[rule_id] = samples
    return found
