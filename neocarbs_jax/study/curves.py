"""Learning curves as data: a training that anneals nothing until its end is also every shorter training.

A curve is a list of (budget, score, cost): what a training of that budget, with the other values of the trial, scores
and costs. A point at the trial's own budget says what it scored before its final decay. The gain of the decay, the
difference to the trial's score, is modelled over all trials and added to the points of smaller budgets.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from neocarbs_jax import sweep
from neocarbs_jax.space import Bounded
from neocarbs_jax.study.results import is_cost, to_float
from neocarbs_jax.study.trials import Trial

Point = tuple[float, float, float]

MOST_POINTS = 4
"""Earlier points of a curve that are entered: neighbours on a curve say almost the same."""

MOST_ROWS = 640
"""Rows that trials and points fill together; beyond it, each curve gives fewer points."""

_FEWEST_PAIRS = 6  # trials before the gain of the decay may depend on the score


def check(curve: Any) -> list[Point]:
    """Return a curve as a list of triples.

    Raises:
        ValueError: if it reads otherwise, budgets do not ascend, or a cost is not positive and finite.
    """
    rule = "`curve` must be a list of (budget, score, cost) with ascending budgets and positive costs"
    try:
        points = [tuple(to_float("curve", value) for value in point) for point in curve]
        budgets = [budget for budget, _, _ in points]
        costs = [cost for _, _, cost in points]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule}; got {curve!r}.") from error
    if not all(map(math.isfinite, budgets)) or not all(map(is_cost, costs)) or any(np.diff(budgets) <= 0):
        raise ValueError(f"{rule}; got {curve!r}.")
    return points  # pyright: ignore[reportReturnType]  # each was unpacked into three


def earlier_points(config: sweep.Config, trials: Sequence[Trial]) -> list[list[Point]]:
    """Return the points of each trial's curve that are entered, the gain of the final decay added to their scores.

    They lie within the bounds of the budget axis, at about even distances of its logarithm. Without `config.budget`
    there are none.
    """
    if config.budget is None:
        return [[] for _ in trials]
    axis: Any = dict(config.space.axes)[config.budget]
    found = [_read(trial) for trial in trials]
    gain_fn = _fit_gain(trials, found, config.budget)
    most = min(MOST_POINTS, max(MOST_ROWS // max(len(trials), 1) - 1, 1))
    return [
        [(b, s + gain_fn(s, trial), c) for b, s, c in _chosen(axis, trial.values.get(config.budget), points, most)]
        for trial, points in zip(trials, found, strict=True)
    ]


def at_budget(config: sweep.Config, unit: Float[np.ndarray, " d"], budget: float) -> Float[np.ndarray, " d"]:
    """Return the point with another value on the budget axis."""
    assert config.budget is not None
    axis: Any = dict(config.space.axes)[config.budget]
    moved = np.array(unit, float)
    moved[config.space.slices[config.budget].start] = axis.to_unit(np.asarray(budget, float))[()]
    return moved


def _read(trial: Trial) -> list[Point]:
    """Return the curve of a completed or running trial; one that somebody else wrote and that is none is empty."""
    if trial.status not in ("completed", "running") or "curve" not in trial.attrs:
        return []
    try:
        return [point for point in check(trial.attrs["curve"]) if math.isfinite(point[1])]
    except ValueError:
        return []


def _chosen(axis: Bounded, own: Any, points: Iterable[Point], most: int) -> list[Point]:
    """Return at most so many points below the trial's own budget, nearest to even distances of the logarithm."""
    if not isinstance(own, int | float):
        return []
    inside = [point for point in points if 0 < point[0] < own * (1 - 1e-6) and axis.low <= point[0] <= axis.high]
    if len(inside) <= most:
        return inside
    budgets = np.log([budget for budget, _, _ in inside])
    wanted = np.linspace(budgets[0], math.log(own), most + 2)[1:-1] if most > 1 else [(budgets[0] + math.log(own)) / 2]
    nearest = sorted({int(np.argmin(np.abs(budgets - want))) for want in wanted})
    return [inside[index] for index in nearest]


def _fit_gain(trials: Sequence[Trial], found: Sequence[Sequence[Point]], budget: str) -> Any:
    """Return (score before the decay, trial) -> what the decay adds, by the trials whose curve holds both scores.

    It is the median over the trials, plus a slope by Theil and Sen where there are enough of them.
    """
    pairs = []
    for trial, points in zip(trials, found, strict=True):
        own = trial.values.get(budget)
        if points and trial.score is not None and isinstance(own, int | float) and points[-1][0] >= own * (1 - 1e-6):
            pairs.append((points[-1][1], trial.score - points[-1][1]))
    if not pairs:
        return lambda score, trial: 0.0
    before, gain = np.array(pairs).T
    center, middle, slope = float(np.median(before)), float(np.median(gain)), 0.0
    if len(pairs) >= _FEWEST_PAIRS:
        first, second = np.triu_indices(len(pairs), 1)
        apart = before[first] != before[second]
        if apart.any():
            slopes = (gain[first] - gain[second])[apart] / (before[first] - before[second])[apart]
            slope = float(np.clip(np.median(slopes), -0.5, 0.5))
    return lambda score, trial: middle + slope * (score - center)
