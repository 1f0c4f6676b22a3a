"""How a command ends when it does not succeed: one sentence, the next step, and an exit code."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from sallyport.errors import SallyportError


class Exit(IntEnum):
    """The exit codes, as every command's help states them."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    WIDENING = 3
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, "
    "3 the change would widen access and --allow-widening was not given."
)


class CommandError(SallyportError):
    """A command cannot do what it was asked; ``detail`` is the sentence, ``cure`` the next step.

    Args:
        more: what ``--json`` shows besides.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        cure: str = "",
        exit_code: Exit = Exit.REFUSED,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(reason, detail, cure=cure)
        self.exit_code = exit_code
        self.more = dict(more or {})
