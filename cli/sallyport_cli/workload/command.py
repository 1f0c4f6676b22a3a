"""What every command that needs credentials says, and where."""

import sys
from collections.abc import Callable

from sallyport_cli.output import say


def tell(text: str) -> None:
    """Say something on standard error."""
    say(text, stream=sys.stderr)


def tracer(*, debug: bool) -> Callable[[str], None]:
    """Return whom to tell what happens: standard error under ``--debug``, else nobody."""
    return tell if debug else lambda _text: None
