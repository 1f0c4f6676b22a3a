"""A clean stop: whoever asks this process to end, by keyboard or by signal, lets every ``with`` finish."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))


class StoppedError(BaseException):
    """The process is asked to end. Not an ``Exception``: nothing but ``until_stopped`` may catch it."""


@contextmanager
def until_stopped() -> Iterator[None]:
    """End the block when a signal asks for it; a second one does not disturb the end."""
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            raise StoppedError

    before = {one: signal.signal(one, stop) for one in _SIGNALS}
    try:
        yield
    except StoppedError:
        pass
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def wait_for_signal() -> None:
    """Wait inside ``until_stopped`` for as long as it takes."""
    threading.Event().wait()
