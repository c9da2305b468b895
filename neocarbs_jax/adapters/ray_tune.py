"""NeoCARBS as a search algorithm of Ray Tune (extra `ray`); the study's storage outlives the Ray cluster.

study = Study.create(space, storage="sqlite:///runs/mine.db", name="mine")
searcher = ConcurrencyLimiter(NeoCARBSSearch(study, score="score", cost="time_total_s"), max_concurrent=8)
tune.Tuner(train_fn, tune_config=tune.TuneConfig(search_alg=searcher, num_samples=100)).fit()
"""

import json
from pathlib import Path
from typing import Any

try:
    from ray.tune.search import Searcher
except ImportError as error:
    raise ImportError("Ray Tune is an extra: pip install 'neocarbs-p3o[ray]'.") from error

from neocarbs_jax.space import nest
from neocarbs_jax.study import Study


class NeoCARBSSearch(Searcher):
    """Ask and tell a study.

    Args:
        study: where trials are kept; its space replaces Ray's `param_space`.
        score: name of the reported metric to maximise.
        cost: name of the reported metric that a trial cost, such as Ray's own "time_total_s".
    """

    def __init__(self, study: Study, *, score: str = "score", cost: str = "time_total_s"):
        super().__init__(metric=score, mode="max")
        self._study, self._score, self._cost = study, score, cost
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Values of a new trial, names with slashes as nested dictionaries."""
        [trial] = self._study.ask()
        self._numbers[trial_id] = trial.number
        return nest(trial.values)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record the last result; a trial that raised is a failed one."""
        trial = self._study.trials[self._numbers.pop(trial_id)]
        if error or result is None:
            self._study.fail(trial, "the trial raised in Ray")
        else:
            self._study.tell(trial, float(result[self._score]), float(result[self._cost]))

    def save(self, checkpoint_path: str) -> None:
        """Which of Ray's trials is which row; all else is in the study."""
        Path(checkpoint_path).write_text(json.dumps(self._numbers), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Read what `save` wrote."""
        self._numbers = json.loads(Path(checkpoint_path).read_text(encoding="utf-8"))
