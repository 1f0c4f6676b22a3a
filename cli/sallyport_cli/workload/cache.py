"""A cache between processes: one exchange for all who want the same, and one more before it ends.

The rules, in the order in which they are looked at:

1. Credentials with more than 15 minutes left are handed out. Those of a session of 15 minutes never
   are: each call is an exchange, except for calls that wait for the same one.
2. Five minutes before that point the first caller renews them; others go on with what there is.
3. Without any, one caller asks and the others wait for its answer, whatever it is.
4. Where the endpoint or the identity's source cannot be reached, is too busy or fails, what is still
   valid stands in, and nobody tries again for half a minute. A denial deletes it.

Nothing that happens to the cache itself keeps anybody from asking the exchange.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sallyport_cli.output import shown
from sallyport_cli.workload import folder as folders
from sallyport_cli.workload.config import ConfigError, config_file, parse_profiles, read_config
from sallyport_cli.workload.entry import Entry, dump
from sallyport_cli.workload.memo import ENDING, keep_profiles
from sallyport_cli.workload.problem import ExchangeError
from sallyport_cli.workload.request import Wish
from sallyport_cli.workload.session import SessionCredentials

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no such locks, and so no cache
    fcntl = None  # type: ignore[assignment]  # Windows has none

LOCK_WAIT: Final = 45.0
"""Seconds to wait for somebody else's exchange. One answer takes 35 at the most; whoever holds the lock
for longer hangs, and must not hang others."""

LOCK_POLL: Final = 0.03
"""Seconds between two looks at the lock."""

PAUSE_MS: Final = 30_000
"""How long nobody tries again after a renewal that failed while credentials are still valid: an endpoint
that is away must not cost every call its timeouts."""

LEFT_OVER: Final = {folders.HALF_WRITTEN: 600, ENDING: 86_400, folders.SESSION: 86_400}
"""Seconds. A file that is half-written for so long is one that somebody was killed over. What profiles
said a day ago is either written again or not wanted any more, and every session has ended by then."""

Say = Callable[[str], None]
Clock = Callable[[], datetime]


class Cache:
    """Credentials of this user, in files.

    Args:
        folder: where; made when it is not there.
        say: is told, in a sentence, why nothing can be kept; goes to standard error.
        trace: is told what happens, for ``--debug``.
        lock_wait: seconds to wait for somebody else's exchange.
    """

    def __init__(
        self,
        folder: Path,
        *,
        say: Say = lambda _text: None,
        trace: Say = lambda _text: None,
        lock_wait: float = LOCK_WAIT,
    ) -> None:
        self._path = folder
        self._say = say
        self._trace = trace
        self._lock_wait = lock_wait

    def obtain(self, wish: Wish, clock: Clock = lambda: datetime.now(UTC)) -> SessionCredentials:
        """Return credentials, kept ones or new ones.

        Args:
            wish: who asks, and for what.
            clock: tells the time.

        Raises:
            ExchangeError: there are none; a denial deleted what there was.
        """
        begun = _ms(clock())
        key = wish.key()
        with self._open() as folder:
            if folder is not None:
                _remember_profiles(folder)
            if folder is None or not wish.can_be_kept:
                return wish.exchange(clock=clock, trace=self._trace)
            entry = folders.read_entry(folder, key)
            if entry is not None and entry.is_fresh(begun) and (found := _read(entry)):
                self._trace(f"from the cache, obtained {_at(entry.obtained)}")
                return found
            return self._renew(wish, key, folder, entry, begun, clock)

    def _renew(  # noqa: PLR0913, PLR0917
        self, wish: Wish, key: str, folder: int, entry: Entry | None, begun: int, clock: Clock
    ) -> SessionCredentials:
        is_early = entry is not None and entry.may_be_handed_out(begun)
        with self._lock(folder, key, 0 if is_early else self._lock_wait) as lock:
            if lock is None and entry is not None and is_early and (found := _read(entry)):
                self._trace("somebody else renews them")
                return found
            entry = folders.read_entry(folder, key)
            now = _ms(clock())
            found = None if entry is None else _read(entry)
            if entry is not None and found and (entry.is_fresh(now) or begun <= entry.obtained <= now):
                self._trace("somebody else has just obtained them")
                return found
            valid = found if entry is not None and entry.is_still_valid(now) else None
            failed = _read_failure(lock)
            if failed is not None and begun <= failed[0] <= now:
                self._trace("somebody else has just been answered")
                return self._stand_in(valid, failed[1])
            if failed is not None and valid and failed[1].is_temporary and 0 <= now - failed[0] < PAUSE_MS:
                return self._stand_in(valid, failed[1])
            return self._ask(wish, key, folder, lock, valid, clock)

    def _ask(  # noqa: PLR0913, PLR0917
        self,
        wish: Wish,
        key: str,
        folder: int,
        lock: int | None,
        valid: SessionCredentials | None,
        clock: Clock,
    ) -> SessionCredentials:
        try:
            # With something to fall back on, one try is enough.
            found = wish.exchange(clock=clock, trace=self._trace, attempts=1 if valid else None)
        except ExchangeError as error:
            _write_failure(lock, _ms(clock()), error)
            if error.kind == "denied":
                with contextlib.suppress(OSError):
                    os.unlink(folders.file_name(key), dir_fd=folder)
            return self._stand_in(valid, error)
        _forget_failure(lock)
        for one in wish.keys_afterwards():
            self._keep(one, folder, wish, found, _ms(clock()))
        return found

    def _stand_in(self, valid: SessionCredentials | None, error: ExchangeError) -> SessionCredentials:
        if valid is None or not error.is_temporary:
            raise error
        self._trace(f"{error.detail} Credentials that are still valid stand in until {valid.expiration}.")
        return valid

    def _keep(self, key: str, folder: int, wish: Wish, found: SessionCredentials, now: int) -> None:
        document = json.dumps(found.to_credential_process())
        entry = Entry(key, now, _ms(found.ends), json.dumps(wish.about()), document)
        self._sweep(folder)
        try:
            folders.write_file(folder, folders.file_name(key), dump(entry))
        except OSError as error:
            self._say(f"warning: the credentials cannot be kept in {shown(self._path)}: {error.strerror}")

    @staticmethod
    def _sweep(folder: int) -> None:
        """Take away what somebody was killed over."""
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                limit = LEFT_OVER.get(name[name.rfind(".") :])
                if limit is not None:
                    age = time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
                    if age > limit:
                        os.unlink(name, dir_fd=folder)

    @contextlib.contextmanager
    def _open(self) -> Iterator[int | None]:
        folder = None
        if fcntl is not None:
            try:
                folder = _make_folder(self._path)
            except OSError as error:
                self._say(
                    f"warning: credentials cannot be kept in {shown(self._path)}: {error.strerror}; "
                    "each call is an exchange"
                )
        try:
            yield folder
        finally:
            if folder is not None:
                os.close(folder)

    @contextlib.contextmanager
    def _lock(self, folder: int, key: str, wait: float) -> Iterator[int | None]:
        """Hold a key's lock; without it when it could not be had in time. Ends with its holder."""
        until = time.monotonic() + wait
        try:
            held = _try_lock(folder, folders.lock_name(key))
            if held is None and wait:
                self._trace("somebody else is asking; waiting")
            while held is None and time.monotonic() < until:
                time.sleep(LOCK_POLL)
                held = _try_lock(folder, folders.lock_name(key))
        except OSError as error:
            held = None
            self._trace(f"no lock: {error.strerror}")
        try:
            yield held
        finally:
            if held is not None:
                os.close(held)


def _make_folder(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    return folders.open_folder(str(path))


def _remember_profiles(folder: int) -> None:
    """Spare the next call what reading them takes."""
    with contextlib.suppress(OSError, ConfigError):
        path = config_file(os.environ)
        data = read_config(path)
        if data is not None:
            keep_profiles(folder, data, parse_profiles(data, path))


def _try_lock(folder: int, name: str) -> int | None:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    lock = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It may have been taken away between opening and locking it, and then locks nobody out.
        if os.fstat(lock).st_ino == os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _read(entry: Entry) -> SessionCredentials | None:
    try:
        document: Any = json.loads(entry.document)
        return SessionCredentials.from_credential_process(document)
    except (ValueError, AttributeError, RecursionError):
        return None


def _read_failure(lock: int | None) -> tuple[int, ExchangeError] | None:
    if lock is None:
        return None
    try:
        found: Any = json.loads(os.pread(lock, 8_192, 0))
        at = int(found.pop("at"))
        return at, ExchangeError(**found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _write_failure(lock: int | None, now: int, error: ExchangeError) -> None:
    if lock is None:
        return
    told = {
        "at": now,
        "reason": error.reason,
        "detail": error.detail,
        "cure": error.cure,
        "kind": error.kind,
        "exchange_id": error.exchange_id,
    }
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(told).encode(), 0)


def _forget_failure(lock: int | None) -> None:
    if lock is not None:
        with contextlib.suppress(OSError):
            os.ftruncate(lock, 0)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000)


def _at(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1_000, UTC):%Y-%m-%d %H:%M:%S}Z"
