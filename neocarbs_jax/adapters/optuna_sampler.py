"""NeoCARBS as a sampler of Optuna, for studies with the directions ["maximize", "minimize"]: score, then cost.

study = optuna.create_study(sampler=NeoCARBSSampler(space), directions=["maximize", "minimize"])
study.optimize(objective, n_trials=100)      # objective suggests the axes of `space` and returns (score, cost)
"""

import dataclasses
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from neocarbs_jax import sweep
from neocarbs_jax.space import SearchSpace, to_optuna
from neocarbs_jax.study import ledger
from neocarbs_jax.study.proposal import MIN_CAPACITY, Memory, propose


class NeoCARBSSampler(optuna.samplers.BaseSampler):
    """Suggest the axes of a search space; what an objective suggests besides is drawn at random.

    Args:
        space: what is searched; names and bounds are those that the objective suggests.
        seed: of the suggestions.
        **options: fields of `sweep.Config` besides space and capacity.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0, **options: Any):
        self._config = sweep.Config(space, capacity=MIN_CAPACITY, **options)
        self._seed = seed
        self._memory = Memory()
        self._others = optuna.samplers.RandomSampler(seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return to_optuna(self._config.space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if study.directions != [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]:
            names = [direction.name.lower() for direction in study.directions]
            raise ValueError(f"`directions` must be ['maximize', 'minimize'], score then cost; got {names}.")
        earlier = [self._read(row) for row in study.get_trials(deepcopy=False) if self._counts(row, trial)]
        values = propose(self._config, earlier, self._seed, self._memory).values
        return {name: values[name] for name in search_space}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._others.sample_independent(study, trial, param_name, param_distribution)

    def _counts(self, row: FrozenTrial, trial: FrozenTrial) -> bool:
        return row.number < trial.number and set(self._config.space.names) <= set(row.params)

    def _read(self, row: FrozenTrial) -> ledger.Trial:
        """The row; here a failed or pruned trial is one whose configuration does not work."""
        entry = ledger.from_frozen(row)
        values = {name: entry.values[name] for name in self._config.space.names}
        ended_badly = row.state in (TrialState.FAIL, TrialState.PRUNED)
        return dataclasses.replace(entry, values=values, status="failed" if ended_badly else entry.status)
