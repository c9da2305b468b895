"""A program as the objective of a study."""

import dataclasses
import json
import math
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neocarbs_jax.programs import process, template
from neocarbs_jax.programs.outcome import NoResult, Reading
from neocarbs_jax.study.confirm import FRESH
from neocarbs_jax.study.trials import Trial

WRONG_USE = (2, 126, 127)
"""Exit codes by which a program says that it was called wrongly, cannot be run, or is not there."""
STOPPED = (-signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGINT)
"""Exit codes of a program that somebody stopped."""
MOST_FAILURES = 3
"""Failures in a row, before any success, after which the program counts as broken."""
_LAST_LINES = 15
_LONGEST_REASON = 300


class BrokenProgram(RuntimeError):
    """The program cannot give results whatever the values: an error of the program, not of a configuration."""


@dataclasses.dataclass
class Program:
    """Run a command with the values of a trial; its score and cost are read from what it prints or writes.

    How it ends decides what becomes of the trial:

    * exit code 0, and a result: completed. A score of NaN or null: failed, which teaches the tuner where not to go.
    * any other exit code, a crash, a limit exceeded: failed. After three in a row before any success: broken.
    * exit code 2, 126 or 127 (wrong arguments, cannot be run, not found), or code 0 without a result: broken. The run
      ends with the end of the program's output, and the trial is taken back.
    * stopped by SIGTERM or SIGINT: interrupted, and the run ends.

    Attributes:
        command: Command line with placeholders, such as "python train.py --lr {lr}"; see `template`.
        folder: Where each trial has a folder of its own, with its output, errors and values.
        reading: How the result is read.
        time_limit: Seconds of a trial.
        memory_limit: Bytes of resident memory of a trial's processes together.
    """

    command: str
    folder: Path
    reading: Reading = dataclasses.field(default_factory=Reading)
    time_limit: float | None = None
    memory_limit: float | None = None

    def __post_init__(self) -> None:
        self._words = template.split(self.command)
        self._failures: int | None = 0  # None once a trial has succeeded
        for name in ("time_limit", "memory_limit"):
            limit = getattr(self, name)
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise ValueError(f"`{name}` must be positive and finite; got {limit}.")

    def check(self, names: list[str]) -> list[str]:
        """Return the names of the space that the command does not mention.

        Raises:
            ValueError: The command mentions others.
        """
        return template.check(self._words, names)

    def __call__(self, values: Mapping[str, Any], trial: Trial) -> tuple[float, float, dict[str, Any]]:
        """Run one trial.

        Raises:
            BrokenProgram: See above.
            KeyboardInterrupt: Somebody stopped the program.
        """
        # Absolute: a program may change its directory. A replicate that confirms a front shares the trial's number.
        folder = (self.folder / _folder_name(trial)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        about = {
            "trial": trial.number,
            "replicate": trial.replicate,
            "folder": str(folder),
            "values": json.dumps(dict(values), default=str),
        }
        (folder / "values.json").write_text(about["values"] + "\n", encoding="utf-8")
        output, errors = folder / "output.txt", folder / "errors.txt"
        words = template.fill(self._words, values, about)
        variables = template.environment(values, about)
        try:
            ended = process.run(words, variables, output, errors, self.time_limit, self.memory_limit)
        except OSError as error:
            raise BrokenProgram(f"{words[0]} cannot be started ({error.strerror}).") from error
        return self._judge(ended, output, errors, folder)

    def _judge(
        self, ended: process.Ended, output: Path, errors: Path, folder: Path
    ) -> tuple[float, float, dict[str, Any]]:
        if ended.limit is None and ended.code in STOPPED:
            raise KeyboardInterrupt
        if ended.limit is not None:
            given = {"time": self.time_limit, "memory": self.memory_limit}[ended.limit]
            self.count(f"exceeded its {ended.limit} limit", _tail(errors, output))
            return self._failed(f"it exceeded its {ended.limit} limit of {given:g}", ended, folder)
        if ended.code in WRONG_USE:
            raise BrokenProgram(f"The program ended with code {ended.code}.{_tail(errors, output)}")
        if ended.code != 0:
            how = f"was killed by signal {-ended.code}" if ended.code < 0 else f"ended with code {ended.code}"
            self.count(how, _tail(errors, output))
            last = _last_line(errors) or _last_line(output)
            return self._failed(f"it {how}" + (f": {last}" if last else ""), ended, folder)
        try:
            score, cost, attrs = self.reading.read(output, folder, ended.seconds)
        except NoResult as error:
            raise BrokenProgram(f"The program ended well, but {error}.{_tail(errors, output)}") from error
        self.count(None)
        return score, cost, attrs | {"seconds": ended.seconds, "folder": str(folder)}

    def count(self, failure: str | None, details: str = "") -> None:
        """Count a failure, or a success where `failure` is None; who runs trials elsewhere does it for them.

        Raises:
            BrokenProgram: It is the last of `MOST_FAILURES` failures in a row, before any success.
        """
        if failure is None:
            self._failures = None
        if self._failures is None:
            return
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            raise BrokenProgram(f"The program failed {self._failures} times in a row; the last {failure}.{details}")

    def _failed(self, reason: str, ended: process.Ended, folder: Path) -> tuple[float, float, dict[str, Any]]:
        return math.nan, ended.seconds, {"reason": reason[:_LONGEST_REASON], "folder": str(folder)}


def _folder_name(trial: Trial) -> str:
    return f"{trial.number:05d}" + (f"-fresh-{trial.replicate - FRESH}" if trial.replicate >= FRESH else "")


def _last_line(file: Path) -> str:
    lines = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _tail(errors: Path, output: Path) -> str:
    """Return the end of what a program said, to be read below a message."""
    for file in (errors, output):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        if lines:
            return f" {file} ends with:\n" + "\n".join(f"  {line}" for line in lines)
    return ""
