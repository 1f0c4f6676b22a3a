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
    DENIED = 4
    INTERRUPTED = 130


EXIT_CODES = (
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, "
    "3 the change would widen access and --allow-widening was not given, "
    "4 a simulated exchange would give no credentials, 130 interrupted."
)


def epilog(*examples: str) -> str:
    """Return what stands below a command's help: examples, each on its line, and the exit codes."""
    # The form feed's small sister keeps the help formatter from joining the lines.
    return "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)]) + f"\n\n{EXIT_CODES}"


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
