"""The expected front of a study: which settings to take, and what they score when they are run again."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from neocarbs_jax import sweep
from neocarbs_jax.study import programs
from neocarbs_jax.study.proposal import one_at_a_time
from neocarbs_jax.study.rows import Memory, collect, fitted, with_room
from neocarbs_jax.study.trials import Trial

_FEWEST_COMPLETED = 8


@dataclasses.dataclass(frozen=True)
class ExpectedPoint:
    """Settings that no others beat in expected score at their cost or less.

    Attributes:
        trial: that tried them.
        values: the settings; those of the trial, but for a smaller budget where the point lies on its curve.
        cost: expected cost of a run.
        score: expected mean score of fresh runs.
        low: lower end of the 90% interval of that mean.
        high: upper end of it.
    """

    trial: Trial
    values: dict[str, Any]
    cost: float
    score: float
    low: float
    high: float


def expected_front(
    config: sweep.Config, trials: Sequence[Trial], memory: Memory, defaults: Mapping[str, Any]
) -> list[ExpectedPoint]:
    """Return the points that none beats in expectation, cheapest first; see `neocarbs_jax.expected`.

    Args:
        config: of the sweep.
        trials: of the sweep, interrupted ones left out.
        memory: of the sweep's surrogates.
        defaults: values of axes that ended trials lack.
    """
    if not any(trial.status == "completed" for trial in trials):
        return []
    with one_at_a_time():
        rows = collect(config, trials, memory, defaults)
        config = with_room(config, len(rows.score))
        state = fitted(config, rows, len(trials), memory)
        expected = jax.device_get(programs.expected(config)(state))
    points = []
    for row, position in enumerate(rows.trial):
        if expected.on_front[row]:
            trial, numbers = trials[position], (a[row].item() for a in expected[:4])
            score, low, high, cost = numbers
            points.append(ExpectedPoint(trial, rows.values(config, row, trial), cost, score, low, high))
    return sorted(points, key=lambda point: point.cost)


def chance_of_front(
    config: sweep.Config, trials: Sequence[Trial], trial: Trial, memory: Memory, defaults: Mapping[str, Any]
) -> float:
    """Return the probability that a running trial reaches the front at its expected cost; 1 while little is known.

    Args:
        config: of the sweep.
        trials: of the sweep, the running one among them, interrupted ones left out.
        trial: the running one.
        memory: of the sweep's surrogates.
        defaults: values of axes that ended trials lack.
    """
    place = memory.place(config.space, trial, defaults)
    if place is None or sum(other.status == "completed" for other in trials) < _FEWEST_COMPLETED:
        return 1.0
    with one_at_a_time():
        rows = collect(config, trials, memory, defaults)
        config = with_room(config, len(rows.score))
        state = fitted(config, rows, len(trials), memory)
        return float(programs.chance(config)(state, place))


def thin(points: Sequence[ExpectedPoint], most: int) -> list[ExpectedPoint]:
    """Return at most so many points of a front, the ends among them, at about even distances of the log cost."""
    if len(points) <= most:
        return list(points)
    if most == 1:
        return [points[-1]]
    position = [math.log(point.cost) for point in points]
    step = (position[-1] - position[0]) / (most - 1)
    wanted = [position[0] + step * index for index in range(most)]
    nearest = {min(range(len(points)), key=lambda index: abs(position[index] - want)) for want in wanted}
    return [points[index] for index in sorted(nearest)]
