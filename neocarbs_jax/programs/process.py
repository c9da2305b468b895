"""One run of a program: in a process group of its own, within limits of time and memory, and gone when we are."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

POLL_SECONDS = 0.05
GRACE_SECONDS = 5.0
"""What a program has to end by itself after it was asked to."""

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Ended(NamedTuple):
    """How a run ended.

    Attributes:
        code: Exit code; minus the number of the signal that killed it.
        seconds: Wall-clock time.
        limit: Which limit ended it: "time", "memory" or None.
    """

    code: int
    seconds: float
    limit: str | None


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    errors: Path,
    time_limit: float | None = None,
    memory_limit: float | None = None,
) -> Ended:
    """Run a program to its end or to a limit. Whatever ends the wait, Ctrl-C too, ends the whole process group.

    Args:
        words: Program and arguments.
        environment: Variables beside those of this process.
        output: File of what it prints.
        errors: File of its error output.
        time_limit: Seconds.
        memory_limit: Bytes of resident memory of all its processes together. Linux only.

    Raises:
        OSError: It cannot be started.
    """
    start = time.monotonic()
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            words,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    try:
        limit = _wait(process, start, time_limit, memory_limit)
    finally:
        _end(process)
    return Ended(process.returncode, time.monotonic() - start, limit)


def _wait(
    process: subprocess.Popen[bytes], start: float, time_limit: float | None, memory_limit: float | None
) -> str | None:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
            return None
        if time_limit is not None and time.monotonic() - start > time_limit:
            return "time"
        if memory_limit is not None and resident_bytes(process.pid) > memory_limit:
            return "memory"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a process group: first by asking, then by force."""
    for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0 if process.returncode is not None else patience)
            if number == signal.SIGKILL or not _members(process.pid):
                return


def resident_bytes(group: int) -> int:
    """Return the memory that the processes of a group hold together; what they share counts for each."""
    total = 0
    for process in _members(group):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    return total


def _members(group: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(folder.name))
    return found
