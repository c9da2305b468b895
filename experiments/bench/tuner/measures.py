"""What a sweep was worth: hypervolume, spending, waste, calibration. Pure NumPy on the records of one sweep."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri

from neocarbs_jax.synthetic import Front, Task, hypervolume_fraction

CHECKPOINTS = (25, 50, 100, 150, 200)
LEVELS = (0.5, 0.9)
NUM_FIFTHS = 5
WASTE_AFTER = 25  # trials before the front is known are exploration, not waste


@dataclasses.dataclass(frozen=True)
class Job:
    """One sweep."""

    strategy: str
    task: str
    seed: int
    trials: int


@dataclasses.dataclass(frozen=True)
class Record:
    """One sweep of n trials; predictions are NaN where a strategy has none.

    Attributes:
        unit: Suggested points.
        score: Observed score, NaN for a failure.
        cost: Observed cost.
        predicted_score: Predictive mean of the observed score.
        predicted_score_std: Its standard deviation.
        predicted_cost: Predictive median of the observed cost.
        predicted_cost_std: Its standard deviation.
        seconds: Mean time of one suggestion, compilation excluded.
    """

    unit: Float[np.ndarray, "n d"]
    score: Float[np.ndarray, " n"]
    cost: Float[np.ndarray, " n"]
    predicted_score: Float[np.ndarray, " n"]
    predicted_score_std: Float[np.ndarray, " n"]
    predicted_cost: Float[np.ndarray, " n"]
    predicted_cost_std: Float[np.ndarray, " n"]
    seconds: float


@dataclasses.dataclass(frozen=True)
class Measures:
    """What one record shows; shares lie in [0, 1], NaN where undefined.

    Attributes:
        fraction: Share of the true hypervolume after each trial.
        cumulative_cost: Observed cost spent after each trial.
        spend: Share of all cost per fifth of the front's log-cost range, cheapest first.
        waste: Share of the cost after the first 25 trials that went to trials below half the front at their cost.
        coverage_score: Share of measured scores inside the central 50% and 90% intervals.
        coverage_cost: The same for costs.
        failures: Share of failed trials.
        seconds: Mean time of one suggestion.
    """

    fraction: Float[np.ndarray, " n"]
    cumulative_cost: Float[np.ndarray, " n"]
    spend: Float[np.ndarray, " 5"]
    waste: float
    coverage_score: tuple[float, ...]
    coverage_cost: tuple[float, ...]
    failures: float
    seconds: float

    def as_row(self) -> dict[str, Any]:
        """Plain numbers and lists, for JSON."""
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """The measures that `as_row` was called on; other entries of the row are left out."""
        values: dict[str, Any] = {field.name: row[field.name] for field in dataclasses.fields(cls)}
        for name in ("fraction", "cumulative_cost", "spend"):
            values[name] = np.asarray(values[name])
        return cls(**values)


def measure(task: Task, front: Front, record: Record) -> Measures:
    """Judge one record by the task's noiseless outcomes."""
    score, cost = (np.asarray(a) for a in noiseless(task, record.unit))
    fraction = hypervolume_fraction(jnp.asarray(score), jnp.asarray(cost), front, task.floor)
    edges = np.geomspace(float(front.cost[0]), float(front.cost[-1]), NUM_FIFTHS + 1)[1:-1]
    fifth = np.searchsorted(edges, cost)
    spend = np.bincount(fifth, weights=cost, minlength=NUM_FIFTHS) / cost.sum()
    attainable = np.interp(np.log(cost), np.log(front.cost), front.score) - task.floor
    wasted = ~(score - task.floor >= attainable / 2)
    late = np.arange(len(cost)) >= WASTE_AFTER
    # Cost is predicted by a median and the deviation of a log-normal, std = median sinh(log std).
    log_std = np.arcsinh(record.predicted_cost_std / record.predicted_cost)
    return Measures(
        fraction=np.asarray(fraction),
        cumulative_cost=np.cumsum(record.cost),
        spend=spend,
        waste=float(np.sum(cost * (wasted & late)) / np.sum(cost * late)) if late.any() else float("nan"),
        coverage_score=coverage(record.score, record.predicted_score, record.predicted_score_std),
        coverage_cost=coverage(np.log(record.cost), np.log(record.predicted_cost), log_std),
        failures=float(np.mean(np.isnan(record.score))),
        seconds=record.seconds,
    )


def noiseless(task: Task, unit: Float[np.ndarray, "n d"]) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(lambda u: task.noiseless(task.space.from_unit(u)))(jnp.asarray(unit, float))


def coverage(
    measured: Float[np.ndarray, " n"], mean: Float[np.ndarray, " n"], std: Float[np.ndarray, " n"]
) -> tuple[float, ...]:
    """Share of measurements inside the central normal intervals of `LEVELS`, where there is a prediction."""
    known: Bool[np.ndarray, " n"] = np.isfinite(measured) & np.isfinite(mean) & np.isfinite(std)
    known &= np.arange(len(measured)) >= WASTE_AFTER
    if not known.any():
        return tuple(float("nan") for _ in LEVELS)
    z = np.abs(measured - mean)[known] / std[known]
    return tuple(float(np.mean(z <= ndtri((1 + level) / 2))) for level in LEVELS)
