"""Several workers on one machine: a process each, with processors and accelerators of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

MODULE = ("-m", "neocarbs_jax.cli")
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 30.0
"""What workers have to take their trials back after a signal."""


class Stopped(BaseException):
    """SIGTERM or SIGINT arrived."""

    def __init__(self, signum: int):
        super().__init__(signum)
        self.signum = signum


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` at SIGTERM and SIGINT, so that whatever runs ends and its trial is taken back."""

    def stop(signum: int, frame: FrameType | None) -> None:
        del frame
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # once is enough
        raise Stopped(signum)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def processors_of(slot: int, slots: int) -> list[int]:
    """Return the processors of a slot: those of this process, shared evenly; at least one."""
    usable = sorted(os.sched_getaffinity(0))
    share = max(len(usable) // slots, 1)
    start = (slot * share) % len(usable)
    return usable[start : start + share]


def run(arguments: Sequence[str], slots: int, *, pin: bool = False, devices: Sequence[str] = ()) -> int:
    """Run `neocarbs ARGUMENTS` in so many processes at once until all have ended; return the first bad exit code.

    Where one of them fails, the others are stopped. So they are at a signal, and take their trials back.

    Args:
        arguments: Of each process.
        slots: Number of processes.
        pin: Whether each keeps to processors of its own.
        devices: Accelerators, shared in turns: the slot's is its CUDA_VISIBLE_DEVICES.
    """
    workers: list[subprocess.Popen[bytes]] = []
    try:
        for slot in range(slots):
            workers.append(_start(arguments, slot, slots, pin, devices))
        while any(worker.poll() is None for worker in workers):
            if any(worker.returncode for worker in workers):
                break
            time.sleep(POLL_SECONDS)
    finally:
        _stop(workers)
    codes = [code for worker in workers if (code := worker.returncode) not in (0, -signal.SIGTERM, 143)]
    return codes[0] if codes else 0


def _start(
    arguments: Sequence[str], slot: int, slots: int, pin: bool, devices: Sequence[str]
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "NEOCARBS_SLOT": str(slot)}
    if devices:
        environment["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    words = [sys.executable, *MODULE, *arguments]
    worker = subprocess.Popen(words, env=environment, start_new_session=True)
    if pin:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(worker.pid, processors_of(slot, slots))
    return worker


def _stop(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for worker in workers:
        try:
            worker.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
