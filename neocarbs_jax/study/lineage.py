"""Trials that go on from others: what each has paid itself, whose run it is, and which have a checkpoint.

What an objective measures is its own run. The study adds what the parent had paid until its checkpoint, so that costs
are those of whole trainings.
"""

import contextlib
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from neocarbs_jax.study.results import Result, is_cost, to_float
from neocarbs_jax.study.trials import Trial

CHECKPOINT = "checkpoint_cost"
"""Name under which an objective tells what its run had cost when it wrote the checkpoint."""

_DROPPED = "without_checkpoint:"


def check_checkpoint(checkpoint_cost: Any, cost: float) -> float:
    """Return the cost until a checkpoint as a number.

    Raises:
        ValueError: if it is not positive, or above the cost of the whole run.
    """
    value = to_float(CHECKPOINT, checkpoint_cost)
    if not (is_cost(value) and value <= cost):
        raise ValueError(f"`{CHECKPOINT}` must be positive and at most the cost, {cost:.6g}; got {checkpoint_cost!r}.")
    return value


def whole(result: Result, inherited: float) -> tuple[Result, list[str]]:
    """Return the result with costs of the whole training, and what could not be kept of it.

    Args:
        result: of a trial's own run.
        inherited: what its parent had paid.
    """
    attrs, complaints = dict(result.attrs), []
    checkpoint = attrs.pop(CHECKPOINT, None)
    if checkpoint is not None and result.flaw is None:
        try:
            attrs[CHECKPOINT] = check_checkpoint(checkpoint, result.cost) + inherited
        except (TypeError, ValueError) as error:
            complaints.append(f"Attribute {CHECKPOINT!r} is left out: {error}")
    if inherited and "curve" in attrs:
        with contextlib.suppress(TypeError, ValueError):  # what is no curve is no data
            attrs["curve"] = [(budget, score, cost + inherited) for budget, score, cost in attrs["curve"]]
    return Result(result.score, result.cost + inherited, attrs), complaints


def runs(trials: Sequence[Trial]) -> list[int]:
    """Return for each trial the position of the first of its line; that of the trial where it goes on from none."""
    position_of = {trial.number: position for position, trial in enumerate(trials)}
    first: list[int] = []
    for position, trial in enumerate(trials):
        parent = None if trial.parent is None else position_of.get(trial.parent)
        first.append(first[parent] if parent is not None and parent < position else position)
    return first


def checkpoints(trials: Sequence[Trial]) -> list[float]:
    """Return for each trial the cost until its checkpoint; 0 where it has none, or one that a later trial missed."""
    missed = {trial.lost_parent for trial in trials}
    return [
        trial.checkpoint_cost or 0.0 if trial.status == "completed" and trial.number not in missed else 0.0
        for trial in trials
    ]


def line_of(trials: Sequence[Trial]) -> list[str]:
    """Return the fields of a trial that tables show of its line: none where no trial goes on from another."""
    return ["parent", "paid"] if any(trial.parent is not None for trial in trials) else []


def dropped_attr(number: int) -> str:
    """Return the attribute of a study that says that a trial's checkpoint is gone; one for each, so that none races."""
    return f"{_DROPPED}{number}"


def without_dropped(trials: Sequence[Trial], attrs: Mapping[str, Any]) -> list[Trial]:
    """Return the trials, those whose checkpoint the study's attributes say is gone without it."""
    gone: Collection[int] = {int(name.removeprefix(_DROPPED)) for name in attrs if name.startswith(_DROPPED)}
    return [dataclasses.replace(t, checkpoint_cost=None) if t.number in gone else t for t in trials]
