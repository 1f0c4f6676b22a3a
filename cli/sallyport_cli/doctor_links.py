"""The chain from this machine to credentials, link by link; each is looked at once all before it hold."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sallyport_cli.failure import CommandError

State = Literal["ok", "broken", "not looked at"]


@dataclass(frozen=True, slots=True)
class Link:
    """One link: how it is called, and what looks at it.

    ``look`` returns a sentence about what it found, without secrets, or raises ``CommandError`` with the
    cure.
    """

    name: str
    look: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at a link."""

    link: str
    state: State
    text: str = ""
    cure: str = ""


def examine(links: Sequence[Link]) -> Iterator[Finding]:
    """Look at links in order until one is broken; those behind it hang on it."""
    is_whole = True
    for link in links:
        if not is_whole:
            yield Finding(link.name, "not looked at")
            continue
        try:
            yield Finding(link.name, "ok", link.look())
        except CommandError as error:
            is_whole = False
            yield Finding(link.name, "broken", error.detail, error.cure)


def broken(reason: str, sentence: str, cure: str) -> CommandError:
    """Return the error for a link that is broken."""
    return CommandError(reason, sentence, cure=cure)
