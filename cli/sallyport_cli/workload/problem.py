"""Why there are no credentials, and whether those that are still valid may stand in."""

from typing import Any, Literal

from sallyport_cli.failure import CommandError, Exit

Kind = Literal["unreachable", "throttled", "server", "denied", "local"]
"""``unreachable``: the endpoint, or where the identity comes from, does not answer. ``throttled``: it
is asked too often. ``server``: it failed (5xx). ``denied``: it said no. ``local``: something here is
wrong, such as a file or an option."""

TEMPORARY: frozenset[Kind] = frozenset({"unreachable", "throttled", "server"})
"""What says nothing about the identity's rights: the only kinds that valid credentials outlive."""


NOT_BY_ITSELF: frozenset[str] = frozenset({"pin-wrong", "pin-locked"})
"""Reasons for which nothing may try again unasked: a token counts wrong PINs, and locks itself."""


class ExchangeError(CommandError):
    """No credentials were had.

    Args:
        kind: why, in one word that decides about the cache.
        exchange_id: as the endpoint said it; empty if it said none.
    """

    def __init__(  # noqa: PLR0913 - an error has that many parts
        self,
        reason: str,
        detail: str,
        *,
        kind: Kind,
        cure: str = "",
        exchange_id: str = "",
        exit_code: Exit = Exit.REFUSED,
        more: dict[str, Any] | None = None,
    ) -> None:
        told = {"kind": kind} | ({"exchange_id": exchange_id} if exchange_id else {}) | (more or {})
        super().__init__(reason, detail, cure=cure, exit_code=exit_code, more=told)
        self.kind: Kind = kind
        self.exchange_id = exchange_id

    @property
    def is_temporary(self) -> bool:
        """Whether it says nothing about the identity's rights."""
        return self.kind in TEMPORARY

    @property
    def may_be_repeated(self) -> bool:
        """Whether trying again, without anybody having done anything, does no harm."""
        return self.reason not in NOT_BY_ITSELF
