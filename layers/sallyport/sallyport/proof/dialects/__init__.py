"""One module per family of issuers, and the one line each that makes it known."""

from collections.abc import Mapping
from types import MappingProxyType

from sallyport.model import Dialect
from sallyport.proof.dialects import cognito, entra, github, plain
from sallyport.proof.dialects.rules import Rules

RULES: Mapping[Dialect, Rules] = MappingProxyType(
    {
        Dialect.PLAIN: plain.RULES,
        Dialect.ENTRA: entra.RULES,
        Dialect.GITHUB: github.RULES,
        Dialect.COGNITO: cognito.RULES,
    }
)
