"""Ctrl-C and SIGTERM: one line instead of a traceback, heard while XLA compiles and computes as well."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


POLL_SECONDS = 0.05


class Stopped(KeyboardInterrupt):
    """The user or the system asked the process to end.

    Attributes:
        signum: Number of the signal.
    """

    def __init__(self, signum: int):
        super().__init__(signum)
        self.signum = signum


class _Heard:
    """The signal that waits to be seen, and how many blocks want to see it before the process ends."""

    signum: int | None = None
    graceful = 0


def _handle(signum: int, frame: FrameType | None) -> None:
    del frame
    if _Heard.graceful and _Heard.signum is None:
        _Heard.signum = signum
        return
    leave(signum, "Stopped.")


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """In the block, end the process on Ctrl-C and SIGTERM, at once and with one line.

    No exception is raised for it: one that comes at any time may be lost, such as in an import.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def graceful() -> Iterator[None]:
    """In the block, let a first signal wait for `interruptible`, which raises `Stopped`; a second one ends all."""
    _Heard.graceful += 1
    try:
        yield
    finally:
        _Heard.graceful -= 1


def leave(signum: int, line: str) -> None:
    """Print a line and end the process at once, with the exit code that shells have for the signal.

    What other threads still compile or compute is left behind.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(RuntimeError, OSError, ValueError):  # the signal came while the stream was written
            stream.flush()
    with contextlib.suppress(OSError):
        os.write(1, f"{line}\n".encode())
    os._exit(128 + signum)


def interruptible(fn: Callable[..., Any], *args: Any) -> Any:
    """Call from another thread and wait, so that signals are heard while XLA compiles or computes.

    Raises:
        Stopped: A signal came, in a `graceful` block; the call goes on by itself.
    """
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(fn(*args))
        except BaseException as error:  # whatever it was, the caller hears of it
            future.set_exception(error)

    # No daemon: threads that it starts, such as those that compile, would be daemons too, and must not outlive Python.
    threading.Thread(target=run, daemon=False, name="p3o-work").start()
    while not wait([future], timeout=POLL_SECONDS).done:
        if _Heard.graceful and _Heard.signum is not None:
            raise Stopped(_Heard.signum)
    return future.result()
