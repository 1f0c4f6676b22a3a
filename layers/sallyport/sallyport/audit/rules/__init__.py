"""All rules, by id. One module per theme; the samples of each stand in ``tests/support/rule_samples``."""

from typing import Final

from sallyport.audit.rules import (
    exchange,
    federation,
    keys,
    roles_anywhere,
    self_protection,
    sign_in,
    sts,
    trust_policies,
    trust_table,
)
from sallyport.audit.rules.rule import registry

RULES: Final = registry(
    sts.RULES,
    sign_in.RULES,
    keys.RULES,
    federation.RULES,
    trust_policies.RULES,
    roles_anywhere.RULES,
    self_protection.RULES,
    exchange.RULES,
    trust_table.RULES,
)
