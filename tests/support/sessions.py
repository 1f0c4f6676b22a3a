"""Sessions, and an exchange in miniature that hands them out, for whoever takes a callable."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sallyport.model import Secret
from sallyport_cli.workload.problem import ExchangeError, Kind
from sallyport_cli.workload.session import SessionCredentials

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def session(number: int = 1, until: datetime | None = None) -> SessionCredentials:
    """Return credentials that are recognised by their number."""
    return SessionCredentials(
        access_key_id=f"ASIAEXAMPLE{number:09}",
        secret_access_key=Secret(f"secret/{number}+x"),
        session_token=Secret(f"token/{number}=="),
        expiration=until or datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1),
        account="111122223333",
        exchange_id=f"exchange-{number}",
    )


def refused(kind: Kind = "unreachable") -> ExchangeError:
    """Return an error of this kind."""
    return ExchangeError(
        f"is-{kind}", f"The exchange is {kind}.", kind=kind, cure="Do something.", exchange_id="exchange-0"
    )


@dataclass
class Clock:
    """Tells a time that a test sets."""

    now: datetime = START

    def __call__(self) -> datetime:
        """Return it."""
        return self.now

    def passes(self, **parts: float) -> None:
        """Let time pass."""
        self.now += timedelta(**parts)


@dataclass
class Obtain:
    """Issues numbered sessions, or raises what it is told to.

    Args:
        lasting: how long each lasts.
        clock: tells the time.
        failing: raised instead, for as long as it is set.
        gate: waited for before each answer.
    """

    lasting: timedelta = timedelta(hours=1)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    failing: Exception | None = None
    gate: threading.Event | None = None
    calls: int = 0
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self) -> SessionCredentials:
        """Answer as an exchange would."""
        self.calls += 1
        self.asked.release()
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.failing is not None:
            raise self.failing
        return session(self.calls, (self.clock() + self.lasting).replace(microsecond=0))
