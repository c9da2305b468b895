"""What a program measured: score and cost, from its last JSON line, from a file, or by regular expressions."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LAST_BYTES = 1_000_000


class NoResult(Exception):
    """The program ended well, and what it measured is not to be found."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """Where score and cost stand.

    By default a program ends its output with a line such as {"score": 0.93, "cost": 61.2}. Without a cost, the
    wall-clock seconds of the program are the cost. All other entries of the line are kept with the trial.

    Attributes:
        score: Key of the score in the JSON line or file.
        cost: Key of the cost.
        file: JSON file that the program writes instead, in the folder of the trial unless the path is absolute.
        score_regex: Regular expression whose last match in the output has the score as its first group.
        cost_regex: The same for the cost.
    """

    score: str = "score"
    cost: str = "cost"
    file: str | None = None
    score_regex: str | None = None
    cost_regex: str | None = None

    def __post_init__(self) -> None:
        for name in ("score_regex", "cost_regex"):
            if (text := getattr(self, name)) is not None:
                try:
                    groups = re.compile(text).groups
                except re.error as error:
                    raise ValueError(f"`{name}` must be a regular expression; got {text!r} ({error}).") from error
                if groups < 1:
                    raise ValueError(f"`{name}` must have a group, in parentheses, around the number; got {text!r}.")

    def read(self, output: Path, folder: Path, seconds: float) -> tuple[float, float, dict[str, Any]]:
        """Return score, cost and whatever else a program told.

        Args:
            output: What it printed.
            folder: Of the trial.
            seconds: That it took.

        Raises:
            NoResult: The score is not to be found, or something is no number.
        """
        text = _end_of(output)
        found = {} if self.score_regex is not None else self._entries(text, folder)
        if self.score_regex is not None:
            found[self.score] = _last_match("score_regex", self.score_regex, text)
        if self.cost_regex is not None:
            found[self.cost] = _last_match("cost_regex", self.cost_regex, text)
        score = _number(self.score, found.pop(self.score))
        cost = _number(self.cost, found.pop(self.cost)) if self.cost in found else seconds
        return score, cost, found

    def _entries(self, text: str, folder: Path) -> dict[str, Any]:
        if self.file is None:
            for line in reversed(text.splitlines()):
                entries = _json_object(line)
                if entries is not None and self.score in entries:
                    return entries
            raise NoResult(f'no line of its output is a JSON object with "{self.score}"')
        try:
            entries = _json_object((folder / self.file).read_text(encoding="utf-8"))
        except OSError as error:
            raise NoResult(f"it did not write {self.file} ({error.strerror})") from error
        if entries is None or self.score not in entries:
            raise NoResult(f'{self.file} is no JSON object with "{self.score}"')
        return entries


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return dict(found) if isinstance(found, Mapping) else None


def _last_match(name: str, pattern: str, text: str) -> str:
    matches = list(re.finditer(pattern, text))
    if not matches:
        raise NoResult(f"`{name}` matches nothing in its output")
    return matches[-1].group(1)


def _number(name: str, value: Any) -> float:
    if value is None:  # what could not be measured
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise NoResult(f"`{name}` is no number but {value!r}") from error


def _end_of(file: Path) -> str:
    with file.open("rb") as opened:
        opened.seek(0, 2)
        opened.seek(max(opened.tell() - _LAST_BYTES, 0))
        return opened.read().decode(errors="replace")
