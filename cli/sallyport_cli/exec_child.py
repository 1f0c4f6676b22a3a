"""A program as a child: signals go to it, and its end is ours."""

import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Final

_PASSED_ON: Final = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGWINCH", "SIGALRM")
_OF_KEYBOARDS: Final = ("SIGINT", "SIGQUIT")
"""A terminal sends these to every process in front of it: the child has them already."""

BY_SIGNAL: Final = 128


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program, and return its exit code, or 128 and the signal that ended it.

    Raises:
        OSError: it cannot be started.
    """
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if child is None:
            early.append(number)
        else:
            with suppress(ProcessLookupError):
                child.send_signal(number)

    def leave_it(_number: int, _frame: FrameType | None) -> None:
        """Do nothing, with a function: what is ignored here would stay ignored in the child."""

    of_keyboards = leave_it if _in_front_of_a_terminal() else pass_on
    handlers = dict.fromkeys(_PASSED_ON, pass_on) | dict.fromkeys(_OF_KEYBOARDS, of_keyboards)
    # What somebody had ignored for us, as nohup does, stays ignored for the child.
    known = [number for name in handlers if (number := getattr(signal, name, None)) is not None]
    before = {
        number: signal.signal(number, handlers[signal.Signals(number).name])
        for number in known
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        child = subprocess.Popen(command, env=dict(environment))  # noqa: S603 - what was asked for
        for number in early:
            child.send_signal(number)
        code = _end_of(child)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return BY_SIGNAL - code if code < 0 else code


def _end_of(child: subprocess.Popen[bytes]) -> int:
    """Wait for a program's end, and run handlers of signals meanwhile.

    A plain wait would sleep on where a signal comes just before it, or to another thread: the handler runs in
    this thread, and only once it wakes. So every signal, the child's end among them, is something to read.
    """
    if not hasattr(signal, "SIGCHLD"):  # pragma: no cover - Windows, where nobody sends signals
        return child.wait()
    woken, wakes = socket.socketpair()
    with woken, wakes:
        woken.setblocking(False)
        wakes.setblocking(False)
        fd_before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        before = signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            while (code := child.poll()) is None:
                select.select([woken], [], [])
                with suppress(BlockingIOError):
                    woken.recv(4_096)
        finally:
            signal.signal(signal.SIGCHLD, before)
            signal.set_wakeup_fd(fd_before)
    return code


def _in_front_of_a_terminal() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except (OSError, AttributeError):
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
