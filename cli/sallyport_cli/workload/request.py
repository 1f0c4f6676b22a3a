"""A wish for credentials: everything an exchange depends on, and the exchange itself."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sallyport_cli.failure import CommandError, Exit
from sallyport_cli.output import shown
from sallyport_cli.workload.config import ConfigError, Settings, settle
from sallyport_cli.workload.marks import UNREADABLE, key_of, marks
from sallyport_cli.workload.options import AZURE, COGNITO, TOKEN_FILE, X509
from sallyport_cli.workload.problem import ExchangeError, Kind

if TYPE_CHECKING:
    from sallyport_cli.workload.asking import Clock, Say
    from sallyport_cli.workload.session import SessionCredentials

__all__ = ["ExchangeError", "Kind", "Wish", "make_wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks, and for what.

    Args:
        settings: what was said, settled; no secret.
        marks: what tells this identity from all others with the same settings.
    """

    settings: Settings
    marks: Mapping[str, str]

    def key(self) -> str:
        """Return the SHA-256 of everything that the credentials depend on, in hexadecimal."""
        return key_of(self.settings, self.marks)

    def keys_afterwards(self) -> frozenset[str]:
        """Return the keys under which what was just issued may be kept.

        Where the files say somebody else now, nobody knows whom the exchange saw, and there are none. Only a
        refresh token is turned into another by its own use.
        """
        found = marks(self.settings, os.environ)
        if found == self.marks:
            return frozenset({self.key()})
        if self.settings.source == COGNITO and UNREADABLE not in found.values():
            return frozenset({self.key(), key_of(self.settings, found)})
        return frozenset()

    @property
    def can_be_kept(self) -> bool:
        """Whether it is known whose credentials they would be."""
        return UNREADABLE not in self.marks.values()

    def about(self) -> Mapping[str, str]:
        """Return what somebody who looks for kept credentials knows them by."""
        return {
            "source": self.settings.source,
            "endpoint": self.settings.get("endpoint") or "",
            "role-arn": self.settings.get("role-arn") or "",
        }

    def exchange(
        self,
        *,
        attempts: int | None = None,
        clock: "Clock | None" = None,
        trace: "Say | None" = None,
    ) -> "SessionCredentials":
        """Ask the exchange, whatever is kept.

        Args:
            attempts: how often at the most; three times by default.
            clock: tells the time.
            trace: is told what happens; never a secret.

        Raises:
            ExchangeError: there are no credentials; its ``kind`` says why.
        """
        from sallyport_cli.workload.asking import silence, the_time  # noqa: PLC0415 - only to ask

        clock, trace = clock or the_time, trace or silence
        try:
            if self.settings.source == X509:
                from sallyport_cli.workload.sources import x509  # noqa: PLC0415 - reads certificates

                return x509.issue(self.settings, attempts=attempts, clock=clock, trace=trace)
            from sallyport_cli.workload import token_session  # noqa: PLC0415 - only to ask

            return token_session.issue(
                self.settings, _source_of_tokens(self.settings.source), attempts, clock, trace
            )
        except ExchangeError:
            raise
        except CommandError as error:
            raise ExchangeError(
                error.reason,
                error.detail,
                cure=error.cure,
                kind="local",
                exit_code=error.exit_code,
                more=error.more,
            ) from None


def make_wish(
    source: str | None, flags: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> Wish:
    """Return what is asked for by options, variables and the profile, in this order.

    Args:
        source: where the identity comes from; ``None`` leaves it to the profile.
        flags: options by name without dashes in front; ``profile`` names the profile.
        environment: variables; the process's own by default.

    Raises:
        CommandError: it cannot be meant.
    """
    environment = os.environ if environment is None else environment
    try:
        settings = settle(source, flags, environment)
    except ConfigError as error:
        raise CommandError(
            error.reason, shown(error.sentence), cure=shown(error.cure), exit_code=Exit.USAGE
        ) from None
    _check(settings)
    return Wish(settings, marks(settings, environment))


NEEDED: Mapping[str, tuple[str, ...]] = {
    AZURE: ("endpoint", "role-arn", "audience"),
    X509: ("endpoint", "role-arn", "trust-anchor-arn", "profile-arn"),
    TOKEN_FILE: ("endpoint", "role-arn", "token-file"),
    COGNITO: ("endpoint", "role-arn", "token-endpoint", "client-id"),
}
"""What no exchange can do without."""


def _check(settings: Settings) -> None:
    missing = [name for name in NEEDED[settings.source] if settings.get(name) is None]
    if missing:
        raise CommandError(
            "setting-missing",
            f"{', '.join(f'--{name}' for name in missing)} {'is' if len(missing) == 1 else 'are'} missing.",
            cure="Give it, set its variable, or keep it in a profile: "
            f"sallyport credential-process {settings.source} --help, sallyport configure.",
            exit_code=Exit.USAGE,
        )


def _source_of_tokens(source: str) -> "TokenSource":
    if source == AZURE:
        from sallyport_cli.workload.sources import azure  # noqa: PLC0415 - Microsoft's library

        return azure.token
    if source == COGNITO:
        from sallyport_cli.workload.sources import cognito  # noqa: PLC0415 - only where asked

        return cognito.token
    from sallyport_cli.workload.sources import token_file  # noqa: PLC0415 - only where asked

    return token_file.token


if TYPE_CHECKING:
    from sallyport_cli.workload.token_session import TokenSource
