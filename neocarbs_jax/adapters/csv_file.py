"""Trials from a CSV file, such as the trials.csv of a report: the warm start of a sweep."""

import csv
import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neocarbs_jax.space import Axis, Integer, Options, Pow2
from neocarbs_jax.study import Study
from neocarbs_jax.study.trials import PREDICTIONS

_OURS = ("trial", "status", "reason", "parent", "paid", *PREDICTIONS)
_FAILED = ("failed", "fail")
_SKIPPED = ("queued", "running", "interrupted", "waiting", "pruned")


@dataclasses.dataclass(frozen=True)
class Imported:
    """What came of a file.

    Attributes:
        added: number of trials that the study took.
        skipped: for each row that was left out, its line and why.
    """

    added: int
    skipped: tuple[str, ...]


def import_csv(study: Study, file: Path, *, score: str = "score", cost: str = "cost") -> Imported:
    """Add the rows of a CSV file to a study.

    A column of an axis' name holds its values, which may lie beyond the bounds; other columns become attributes. A row
    without a score, or whose column `status` says "failed", is a failed trial.

    Args:
        study: that takes them.
        file: with a header line.
        score: name of the column that holds the score.
        cost: name of the column that holds the cost.

    Raises:
        ValueError: if the file cannot be read, or lacks the column of an axis, of the score or of the cost.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            columns = reader.fieldnames or []
            wanted = [*study.space.names, score, cost]
            twice = sorted({name for name in columns if columns.count(name) > 1})
            if twice:
                raise ValueError(f"`file` must have columns of different names; got {', '.join(twice)} twice.")
            given = {*study.defaults, *study.space.conditions}
            missing = [name for name in wanted if name not in columns and name not in given]
            if missing:
                raise ValueError(f"`file` must have the columns {', '.join(wanted)}; {', '.join(missing)} is missing.")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"`file` must be a CSV file that can be read; got {str(file)!r} ({error}).") from error
    skipped = []
    for line, row in rows:
        try:
            _add(study, row, score, cost)
        except (TypeError, ValueError) as error:
            skipped.append(f"line {line}: {error}")
    return Imported(len(rows) - len(skipped), tuple(skipped))


def _add(study: Study, row: Mapping[str | None, Any], score: str, cost: str) -> None:
    status = str(row.get("status") or "").strip().lower()
    if status in _SKIPPED:
        raise ValueError(f"its status is {status}")
    axes = dict(study.space.axes)
    values = {name: _value(name, axes[name], row[name]) for name in axes if _is_given(axes[name], row.get(name))}
    others = {name: text for name, text in row.items() if name is not None and name not in (*axes, score, cost, *_OURS)}
    attrs = {name: text for name, text in others.items() if text not in (None, "")}
    measured = math.nan if status in _FAILED else _number(score, row[score])
    if math.isnan(measured):
        attrs["reason"] = row.get("reason") or "it has no score"
    study.add(values, measured, _number(cost, row[cost]), attrs=attrs)


def _number(name: str, text: str | None) -> float:
    if not text or not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"`{name}` must be a number; got {text!r}") from error


def _is_given(axis: Axis, text: str | None) -> bool:
    """Whether a cell holds a value; an empty one is None where that is an option."""
    return text is not None and (text != "" or (isinstance(axis, Options) and None in axis.options))


def _value(name: str, axis: Axis, text: str) -> Any:
    if isinstance(axis, Options):
        for option in axis.options:
            if text in (str(option), json.dumps(option)) or (option is None and text == ""):
                return option
        raise ValueError(f"`{name}` must be one of {axis.options}; got {text!r}")
    number = _number(name, text)
    return int(number) if isinstance(axis, Integer | Pow2) and number.is_integer() else number
