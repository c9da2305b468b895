"""NeoCARBS as a search algorithm of Ray Tune (extra `ray`); the study's storage outlives the Ray cluster.

study = Study.create(space, storage="sqlite:///runs/mine.db", name="mine")
searcher = ConcurrencyLimiter(NeoCARBSSearch(study, score="score", cost="time_total_s"), max_concurrent=8)
tune.Tuner(train_fn, tune_config=tune.TuneConfig(search_alg=searcher, num_samples=100)).fit()
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

try:
    from ray.tune.search import Searcher
except ImportError as error:
    raise ImportError("Ray Tune is an extra: pip install 'neocarbs-p3o[ray]'.") from error

from neocarbs_jax.space import nest
from neocarbs_jax.study import Study, Trial
from neocarbs_jax.study.results import to_float


class NeoCARBSSearch(Searcher):
    """Ask and tell a study.

    Each row carries the identifier of its Ray trial, so that a driver that died can be restored, and results of trials
    that it had started are taken. Nothing that a trial reports, or fails to report, ends the search.

    Args:
        study: where trials are kept; its space replaces Ray's `param_space`.
        score: name of the reported metric that is the score.
        mode: "max", or "min" for a metric that is to be small. Where the study has the other direction, its score is
            the negative of the metric.
        cost: name of the reported metric that a trial cost, such as Ray's own "time_total_s".
        budget: axis -> reported metric that says how much of it a trial got, such as {"epochs": "training_iteration"}.
            A trial that a scheduler stopped early is recorded with what it got in place of what it was asked for, and
            with the attribute `stopped_early`. Without it a score and a cost count as those of the whole trial.

    Raises:
        ValueError: if a name in `budget` is no axis of the study, or `mode` is none of the two.
    """

    def __init__(
        self,
        study: Study,
        *,
        score: str = "score",
        mode: str = "max",
        cost: str = "time_total_s",
        budget: Mapping[str, str] | None = None,
    ):
        if mode not in ("max", "min"):
            raise ValueError(f"`mode` must be max or min; got {mode!r}.")
        super().__init__(metric=score, mode=mode)
        for name in budget or {}:
            if name not in study.space.names:
                raise ValueError(
                    f"`budget` must name axes of the study ({', '.join(study.space.names)}); got {name!r}."
                )
        names = [*study.space.names, *dict(study.space.fixed)]
        for name in names:
            if any(other.startswith(f"{name}/") for other in names):
                raise ValueError(f"Names of the space must not be prefixes of others, for Ray; got {name!r}.")
        self._study, self._score, self._cost, self._budget = study, score, cost, dict(budget or {})
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Values of a new trial, names with slashes as nested dictionaries."""
        [trial] = self._study.ask()
        self._study.annotate(trial, ray_trial=trial_id)
        self._numbers[trial_id] = trial.number
        return nest(trial.values)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record the last result; a trial that raised, or did not report its metrics, is a failed one."""
        result = result or {}
        trial = self._find(trial_id)
        if trial is None or trial.status in ("completed", "failed"):
            return  # not of this study, or told before the driver died
        missing = [name for name in (self._score, self._cost) if name not in result]
        if error or missing:
            self._study.fail(trial, "it raised in Ray" if error else f"it did not report {' and '.join(missing)}")
            return
        try:
            self._tell(trial, result)
        except (TypeError, ValueError) as mistake:  # in what was reported: raised here it would end the whole search
            self._study.fail(trial, f"it reported what cannot be: {mistake}")

    def _tell(self, trial: Trial, result: Mapping[str, Any]) -> None:
        """Record a result, with the budget that the trial got where that is less than it was asked for."""
        got = {axis: to_float(metric, result[metric]) for axis, metric in self._budget.items() if metric in result}
        short = {axis: value for axis, value in got.items() if value < trial.values.get(axis, -math.inf)}
        short = {axis: int(value) if value.is_integer() else value for axis, value in short.items()}
        attrs: dict[str, Any] = {"training_iteration": result.get("training_iteration")}
        if short:
            attrs |= {"stopped_early": True}
            if trial.status == "running":
                self._study.annotate(trial, values=short)
            trial = dataclasses.replace(trial, values={**trial.values, **short})
        sign = 1.0 if (self._mode == "min") == (self._study.direction == "minimize") else -1.0
        score, cost = (to_float(name, result[name]) for name in (self._score, self._cost))
        self._study.tell(trial, sign * score, cost, **attrs)

    def _find(self, trial_id: str) -> Trial | None:
        """The trial of this identifier, whichever driver started it."""
        number = self._numbers.pop(trial_id, None)
        found = [t for t in self._study.trials if t.number == number or t.attrs.get("ray_trial") == trial_id]
        return found[-1] if found else None

    def save(self, checkpoint_path: str) -> None:
        """Which of Ray's trials is which row; all else is in the study."""
        Path(checkpoint_path).write_text(json.dumps(self._numbers), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Read what `save` wrote."""
        self._numbers = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
