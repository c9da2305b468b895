"""Whether a front keeps what it promises: its settings are run again, afresh."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from neocarbs_jax.study.expectation import ExpectedPoint, thin
from neocarbs_jax.study.results import read_result, with_trial
from neocarbs_jax.study.study import Objective, Study

MOST_POINTS = 8

FRESH = 1_000_000
"""Replicate of the first fresh run: beyond all that a study will make of the same values."""


@dataclasses.dataclass(frozen=True)
class Confirmed:
    """A point of the expected front, and fresh runs of its settings.

    Attributes:
        point: of the expected front.
        scores: of the fresh runs; NaN where one failed.
        costs: of the fresh runs; NaN where unknown.
    """

    point: ExpectedPoint
    scores: tuple[float, ...]
    costs: tuple[float, ...]

    @property
    def claimed(self) -> float | None:
        """What the trial itself scored."""
        return self.point.trial.score

    @property
    def mean(self) -> float:
        """Mean score of the fresh runs that did not fail; NaN without any."""
        return _mean([score for score in self.scores if math.isfinite(score)])

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; NaN for fewer than two runs."""
        sound = [score for score in self.scores if math.isfinite(score)]
        return statistics.stdev(sound) / math.sqrt(len(sound)) if len(sound) > 1 else math.nan

    @property
    def cost(self) -> float:
        """Mean cost of the fresh runs."""
        return _mean([cost for cost in self.costs if math.isfinite(cost)])

    @property
    def holds(self) -> bool:
        """Whether the mean lies in the interval that was expected of it, or within two standard errors of it."""
        margin = 2 * self.standard_error if math.isfinite(self.standard_error) else 0.0
        return self.point.low - margin <= self.mean <= self.point.high + margin

    def as_row(self) -> dict[str, Any]:
        """Return plain numbers and values, for JSON."""
        point = self.point
        return {
            "trial": point.trial.number,
            "claimed": self.claimed,
            "expected": point.score,
            "low": point.low,
            "high": point.high,
            "confirmed": self.mean,
            "standard_error": self.standard_error,
            "expected_cost": point.cost,
            "cost": self.cost,
            "scores": list(self.scores),
            "costs": list(self.costs),
            "values": point.values,
        }


def confirm(
    study: Study,
    objective: Objective,
    seeds: int = 5,
    most: int = MOST_POINTS,
    on_run: Callable[[ExpectedPoint, int, float], None] | None = None,
    on_point: Callable[[Confirmed], None] | None = None,
    earlier: Iterable[Mapping[str, Any]] = (),
) -> list[Confirmed]:
    """Run the settings of the expected front again, each `seeds` times; the runs are no trials of the study.

    Args:
        study: whose front is confirmed.
        objective: as of `Study.run`. One that draws at random must name `trial`, and draw anew for each
            `trial.replicate`: otherwise all runs are the same.
        seeds: fresh runs of each point.
        most: points that are run, spread over the costs.
        on_run: told of each run: its point, the number of the run, the score.
        on_point: told of each point after its last run.
        earlier: rows, as `Confirmed.as_row` gives them, of a confirmation that was cut short or had fewer seeds: the
            runs that they hold are not made again.

    Returns:
        The points, cheapest first.

    Raises:
        ValueError: if `seeds` or `most` is less than 1.
        TypeError: if the objective returns something else than a score and a cost.
    """
    for name, value in (("seeds", seeds), ("most", most)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1; got {value}.")
    run, known, found = with_trial(objective), list(earlier), []
    for point in thin(study.expected_front, most):
        scores, costs = _known_runs(point, known)
        for index in range(len(scores), seeds):
            fresh = dataclasses.replace(
                point.trial,
                values=point.values,
                status="running",
                replicate=FRESH + index,
                parent=None,
                inherited=0.0,
                lost_parent=None,
                checkpoint_cost=None,
            )
            try:
                result = read_result(run(fresh))
            except FloatingPointError:
                scores.append(math.nan)
                costs.append(math.nan)
            else:
                scores.append(result.score if result.flaw is None else math.nan)
                costs.append(result.cost)
            if on_run:
                on_run(point, index, scores[-1])
        found.append(Confirmed(point, tuple(scores[:seeds]), tuple(costs[:seeds])))
        if on_point:
            on_point(found[-1])
    return found


def _known_runs(point: ExpectedPoint, rows: Iterable[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    """Return scores and costs of the runs of a point that were made before."""
    for row in rows:
        if row.get("values") == point.values and len(row.get("costs", ())) == len(row["scores"]):
            scores, costs = ([math.nan if x is None else float(x) for x in row[name]] for name in ("scores", "costs"))
            return scores, costs
    return [], []


def _mean(values: list[float]) -> float:
    return statistics.fmean(values) if values else math.nan
