"""Ctrl-C and SIGTERM: one line instead of a traceback, heard while XLA compiles and computes as well."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """The user or the system asked the process to end.

    Attributes:
        exit_code: 130 after Ctrl-C, 143 after SIGTERM, as shells have it.
    """

    def __init__(self, signum: int):
        super().__init__(signum)
        self.exit_code = 128 + signum


class _Shield:
    """Whether signals wait, and which one does."""

    depth = 0
    waiting: int | None = None


def _handle(signum: int, frame: FrameType | None) -> None:
    del frame
    if _Shield.depth:
        _Shield.waiting = signum
        return
    raise Stopped(signum)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` in the block on Ctrl-C and SIGTERM; if nothing catches it, end the process with one line.

    The process ends at once: what other threads still compile or compute is left behind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    try:
        yield
    except KeyboardInterrupt as stop:
        leave(stop, "Stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Let signals wait until the block, such as one that writes a folder, is done."""
    _Shield.depth += 1
    try:
        yield
    finally:
        _Shield.depth -= 1
        if not _Shield.depth and _Shield.waiting is not None:
            signum, _Shield.waiting = _Shield.waiting, None
            raise Stopped(signum)


def leave(stop: KeyboardInterrupt, line: str) -> None:
    """Print a line and end the process at once, with the exit code of the signal."""
    _Shield.depth += 1  # a second signal changes nothing now
    print(line, flush=True)
    sys.stderr.flush()
    os._exit(stop.exit_code if isinstance(stop, Stopped) else 130)


def interruptible(fn: Callable[..., Any], *args: Any) -> Any:
    """Call from another thread and wait, so that signals are heard while XLA compiles or computes."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(fn(*args))
        except BaseException as error:  # whatever it was, the caller hears of it
            future.set_exception(error)

    # No daemon: threads that it starts, such as those that compile, would be daemons too, and must not outlive Python.
    threading.Thread(target=run, daemon=False, name="p3o-work").start()
    return future.result()
