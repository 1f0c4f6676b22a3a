"""Holds one session's credentials and replaces them ahead of their end, for however many readers.

One thread alone asks the exchange, so that many readers cause one exchange by construction.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sallyport_cli.failure import CommandError
from sallyport_cli.serve import schedule
from sallyport_cli.serve.http_head import Refusal
from sallyport_cli.workload.problem import ExchangeError
from sallyport_cli.workload.session import SessionCredentials

LONGEST_SLEEP: Final = 30.0
"""Seconds after which the clock is read again: a machine may have slept, or been set right."""

READER_PATIENCE: Final = 0.8
"""Seconds that a reader waits for credentials that are on their way: AWS's clients give up after one."""

Obtain = Callable[[], SessionCredentials]
Clock = Callable[[], datetime]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the last try failed: the sentence, and whether it was a refusal."""

    sentence: str
    denied: bool


class Holder:
    """Credentials that stay fresh.

    Args:
        obtain: asks the exchange; called by one thread at a time.
        clock: tells the time.
        tell: is told what failed, in sentences without secrets.
        note: is told of each new session; by default the one above.
        renewed: is given each new session, before readers get it.
    """

    def __init__(
        self,
        obtain: Obtain,
        *,
        clock: Clock = lambda: datetime.now(UTC),
        tell: Say = lambda _text: None,
        note: Say | None = None,
        renewed: Callable[[SessionCredentials], None] = lambda _credentials: None,
    ) -> None:
        self._obtain = obtain
        self._clock = clock
        self._tell = tell
        self._told = note or tell
        self._renewed = renewed
        self._changed = threading.Condition()
        self._credentials: SessionCredentials | None = None
        self._obtained = clock()
        self._problem: Problem | None = None
        self._failures = 0
        self._asking = False
        self._stopped = False

    def first(self) -> None:
        """Ask once and wait for the answer, whatever it is.

        Raises:
            CommandError: the answer is a refusal, or something here is wrong: waiting would not help.
        """
        try:
            self._ask()
        except CommandError as error:
            if not _is_temporary(error):
                raise
            self._tell(_problem(error).sentence)

    def start(self) -> None:
        """Keep the credentials fresh from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run_aside, name="refresh", daemon=True).start()

    def run(self) -> None:
        """Keep the credentials fresh until ``stop``.

        Raises:
            CommandError: trying again would do harm, such as lock a token for its wrong PIN.
        """
        while self._sleep_until_due():
            try:
                self._ask()
            except CommandError as error:
                if isinstance(error, ExchangeError) and not error.may_be_repeated:
                    raise
                self._tell(_problem(error).sentence)
            except Exception as error:  # noqa: BLE001 - readers must not be left alone
                self._tell(_unforeseen(error).sentence)

    def _run_aside(self) -> None:
        try:
            self.run()
        except CommandError as error:
            # What there is can be used until it ends.
            self._tell(f"{_problem(error).sentence} It is not tried again until the command is started anew.")

    def stop(self) -> None:
        """Let ``run`` and whoever waits come back."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def credentials(self, patience: float = READER_PATIENCE) -> SessionCredentials:
        """Return credentials that can be used.

        Args:
            patience: seconds to wait if they are being asked for right now.

        Raises:
            Refusal: there are none. Never are there empty or expired ones.
        """
        with self._changed:
            if self._usable() is None and (self._asking or not self._failures):
                # A machine that slept may have slept through the time of refreshing.
                self._changed.notify_all()
                self._changed.wait_for(self._is_settled, patience)
            found = self._usable()
            if found is not None:
                return found
            why = "They are being asked for." if self._problem is None else self._problem.sentence
        raise Refusal(503, "CredentialsUnavailable", f"There are no valid credentials. {why}")

    def _usable(self) -> SessionCredentials | None:
        found = self._credentials
        return found if found is not None and schedule.is_usable(found.ends, self._clock()) else None

    def _is_settled(self) -> bool:
        return self._stopped or self._usable() is not None or bool(self._failures and not self._asking)

    def _sleep_until_due(self) -> bool:
        """Wait until it is time to ask; tell whether to go on at all."""
        with self._changed:
            if self._failures and not self._stopped:
                denied = self._problem is not None and self._problem.denied
                chance = secrets.SystemRandom().random()
                self._changed.wait_for(
                    lambda: self._stopped, schedule.pause_after(self._failures, denied=denied, chance=chance)
                )
            while not self._stopped and (left := self._seconds_left()) > 0:
                self._changed.wait(min(left, LONGEST_SLEEP))
            return not self._stopped

    def _seconds_left(self) -> float:
        if self._credentials is None:
            return 0.0
        due = schedule.refresh_at(self._obtained, self._credentials.ends)
        return (due - self._clock()).total_seconds()

    def _ask(self) -> None:
        with self._changed:
            self._asking = True
        found: SessionCredentials | None = None
        problem: Problem | None = None
        now = self._clock()
        try:
            found = _checked(self._obtain(), now)
            self._renewed(found)
        except CommandError as error:
            problem = _problem(error)
            raise
        except Exception as error:
            problem = _unforeseen(error)
            raise
        finally:
            # An error that nobody foresaw must not leave readers waiting.
            self._note(found if problem is None else None, problem, now)

    def _note(self, found: SessionCredentials | None, problem: Problem | None, now: datetime) -> None:
        with self._changed:
            self._asking = False
            self._problem = problem
            if found is not None:
                self._credentials, self._obtained, self._failures = found, now, 0
            else:
                self._failures += 1
                if problem is not None and problem.denied:
                    # What was taken away must not be handed out until it ends by itself.
                    self._credentials = None
            self._changed.notify_all()
        if found is not None:
            self._told(f"credentials {found.access_key_id} until {found.expiration:%Y-%m-%dT%H:%M:%SZ}")


def _checked(found: SessionCredentials, now: datetime) -> SessionCredentials:
    texts = (found.access_key_id, found.secret_access_key.reveal(), found.session_token.reveal())
    if all(texts) and schedule.is_usable(found.ends, now):
        return found
    raise ExchangeError(
        "credentials-unusable",
        "The exchange answered with credentials that are incomplete or at their end.",
        kind="server",
        cure="Check this machine's clock.",
    )


def _problem(error: CommandError) -> Problem:
    denied = isinstance(error, ExchangeError) and error.kind == "denied"
    return Problem(" ".join(filter(None, (error.detail, error.cure))), denied)


def _unforeseen(error: Exception) -> Problem:
    # Its words could have a secret in them.
    return Problem(f"Something unexpected happened: {type(error).__name__}.", denied=False)


def _is_temporary(error: CommandError) -> bool:
    return isinstance(error, ExchangeError) and error.is_temporary
