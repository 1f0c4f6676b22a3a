"""What an apply says along the way: what should be mended, what was brought, what is in force, what waits."""

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TextIO

from sallyport_cli.anchor_warnings import AnchorWarning
from sallyport_cli.crl_table import Brought, Outcome
from sallyport_cli.output import say, shown
from sallyport_cli.trust_table import Items, Version


def say_warnings(warnings: Iterable[AnchorWarning], stream: TextIO | None = None) -> None:
    """Print what about anchors should be mended."""
    for one in warnings:
        say(
            f"warning: {one.what} (trust anchor {one.anchor}): {one.text}",
            style="yellow",
            hang=4,
            stream=stream,
        )
        say(f"    {one.cure}", hang=4, stream=stream)


def say_brought(brought: Iterable[Brought]) -> None:
    """Print which revocation lists were uploaded or left; of those that were there already nothing."""
    styles = {Outcome.UPLOADED: "green", Outcome.OLDER: "yellow", Outcome.UNCHANGED: ""}
    for one in brought:
        if one.outcome is not Outcome.UNCHANGED:
            say(shown(one.sentence), style=styles[one.outcome], hang=4)


def say_what_waits(items: Items, fresh: Sequence[str], new_lists: Collection[str]) -> None:
    """Print what comes with the next scheduled refresh, where nobody asked for one now."""
    kinds = {items[f"anchor#{one}"]["kind"] for one in fresh if f"anchor#{one}" in items}
    fetches = any(items.get(f"anchor#{one}", {}).get("crls") for one in fresh)
    if "oidc" in kinds:
        say(
            "Keys of new issuers come with the next scheduled refresh; until then their tokens are refused.",
            hang=0,
        )
    if new_lists or fetches:
        say(
            "Revocation lists come into force with the next scheduled refresh; until then those before are "
            "believed, and where there is none exchanges are refused.",
            hang=0,
        )
    if "oidc" in kinds or new_lists or fetches:
        say("To fetch them at once, give --refresh-keys FUNCTION (the stack's outputs name it).", hang=0)


def say_applied(version: Version | None, *, changed: bool, removed: int, warnings: list[str]) -> None:
    """Print which version is in force."""
    name = version.id if version is not None else ""
    if not changed:
        say(f"Nothing to change: version {name} says the same already.")
        return
    say(f"Version {name} is in force; exchanges see it within 10 seconds.", style="bold green")
    if removed:
        say(f"{removed} superseded version{'s' if removed > 1 else ''} removed.", style="dim")
    for warning in warnings:
        say(shown(warning), style="yellow", stream=sys.stderr)
