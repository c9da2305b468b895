"""What an objective may not do: run for ever, or return in a copy of the process that it forked."""

import functools
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

Function = Callable[[Any], Any]


class TrialTimeout(BaseException):
    """A trial took longer than its time limit. No `Exception`, as those that an objective catches are its own."""


def limited(objective: Function, seconds: float | None) -> Function:
    """Return the objective, ended by a `TrialTimeout` after so many seconds; None is for no limit.

    An alarm of the system interrupts it, between two instructions of Python: a single call of compiled code (a whole
    training in one `jax.jit`) ends first. Such an objective belongs into a process of its own.

    Raises:
        ValueError: where there is no such alarm: outside the main thread, and on Windows.
    """
    if seconds is None:
        return objective
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        raise ValueError(f"`time_limit` must be None outside the main thread of a POSIX system; got {seconds}.")

    @functools.wraps(objective)
    def run(trial: Any) -> Any:
        def ring(signum: int, frame: object) -> None:
            raise TrialTimeout(f"it took longer than {seconds:g} seconds")

        begin = time.monotonic()
        before = signal.signal(signal.SIGALRM, ring)
        left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)  # another alarm, of the user's or of a limit
        try:
            return objective(trial)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if left:
                signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - begin), 1e-3), interval)

    return run


def in_this_process_alone(objective: Function) -> Function:
    """Return the objective; a copy of this process that it forked ends where the objective does.

    Otherwise the copy would go on with the sweep, under the number of a trial that is not its own.
    """
    process = os.getpid()

    def run(trial: Any) -> Any:
        code = 1
        try:
            returned = objective(trial)
            code = 0
            return returned
        finally:
            if os.getpid() != process:
                os._exit(code)

    return run
