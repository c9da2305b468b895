"""Trials that are watched while they run: what they report, and whether they are worth going on with."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from neocarbs_jax import sweep
from neocarbs_jax.study import curves
from neocarbs_jax.study.expectation import chance_of_front
from neocarbs_jax.study.recorder import Recorder
from neocarbs_jax.study.rows import Memory
from neocarbs_jax.study.trials import Trial


class Watcher:
    """Keep what running trials of this process report.

    Args:
        config: of the sweep.
        recorder: that writes to the ledger.
        read_fn: returns all trials.
        memory: of the sweep's surrogates.
        defaults: values of axes that ended trials lack.
    """

    def __init__(
        self,
        config: sweep.Config,
        recorder: Recorder,
        read_fn: Callable[[], list[Trial]],
        memory: Memory,
        defaults: Mapping[str, Any],
    ):
        self._config, self._recorder, self._read_fn = config, recorder, read_fn
        self._memory, self._defaults = memory, defaults
        self._reported: dict[int, list[curves.Point]] = {}
        self._stopped: set[int] = set()

    def report(self, trial: Trial, score: float, cost: float, budget: float | None) -> None:
        """Add a point to the curve of a running trial; see `Trial.report`."""
        name = self._budget("report")
        own = trial.values[name]
        if trial.parent is not None:
            cost += self._recorder.read(trial.number).inherited
        if budget is None:
            share = cost / trial.predicted_cost if trial.predicted_cost else 1.0
            budget = own * min(share, 1.0)
        points = curves.check([*self._reported.get(trial.number, []), (budget, score, cost)])
        self._recorder.annotate(trial, {}, {"curve": points})
        self._reported[trial.number] = points

    def start_afresh(self, trial: Trial) -> None:
        """Note that the checkpoint of the trial's parent is not there; see `Trial.start_afresh`."""
        if trial.parent is None:
            raise ValueError(
                f"`trial` must be one that goes on from another; got trial {trial.number}, without parent."
            )
        self._recorder.disown(trial)

    def should_stop(self, trial: Trial, chance: float) -> bool:
        """Return whether a running trial is not worth going on with; see `Trial.should_stop`."""
        self._budget("should_stop")
        if not 0 < chance < 1:
            raise ValueError(f"`chance` must lie in (0, 1); got {chance}.")
        if not self._reported.get(trial.number):
            return False
        trials = [other for other in self._read_fn() if other.status not in ("interrupted", "queued")]
        reached = chance_of_front(self._config, trials, trial, self._memory, self._defaults)
        if reached < chance:
            self._stopped.add(trial.number)
        return reached < chance

    def settle(self, trial: Trial) -> Trial:
        """Return the trial as it is to be recorded: one that was stopped has the budget that it reached."""
        points = self._reported.pop(trial.number, None)
        if trial.number not in self._stopped or not points or self._config.budget is None:
            return trial
        self._stopped.discard(trial.number)
        axis = dict(self._config.space.axes)[self._config.budget]
        budget = points[-1][0] if isinstance(trial.values[self._config.budget], float) else math.floor(points[-1][0])
        if self._config.space.can_be(self._config.budget, budget):
            self._recorder.annotate(trial, {self._config.budget: axis.to_python(budget)}, {})
        return trial

    def _budget(self, method: str) -> str:
        if self._config.budget is None:
            raise ValueError(f"`budget` must name an axis for `{method}`: Study.create(..., budget=NAME); got None.")
        return self._config.budget
