"""NeoCARBS as a sampler of Optuna: for a score, and a cost that is another objective, an attribute or the duration.

study = optuna.create_study(sampler=NeoCARBSSampler(), directions=["maximize", "minimize"])
study.optimize(objective, n_trials=100)      # objective returns (score, cost)

study = optuna.create_study(sampler=NeoCARBSSampler(cost_attr="gpu_hours"), direction="minimize")
study.optimize(objective, n_trials=100)      # objective calls trial.set_user_attr("gpu_hours", ...)
"""

import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from neocarbs_jax import sweep
from neocarbs_jax.adapters.optuna_rows import POINT, SECONDS, Roles, groups, to_parameters, to_space, to_trial
from neocarbs_jax.space import Linear, SearchSpace, to_optuna
from neocarbs_jax.study.proposal import MIN_CAPACITY, propose
from neocarbs_jax.study.rows import Memory
from neocarbs_jax.study.storages import patiently
from neocarbs_jax.study.trials import Trial

_INFORMATIVE = (TrialState.COMPLETE, TrialState.PRUNED)


class NeoCARBSSampler(optuna.samplers.BaseSampler):
    """Suggest parameters by what earlier trials scored and cost.

    Without a space, parameters are those that earlier trials suggested; conditional ones are chosen in groups of their
    own. Trials from elsewhere (enqueued, added, of other bounds) count as far as their parameters have a place in the
    space. Infeasible trials (`trial.set_constraint`) teach where constraints hold.

    Args:
        space: what is searched; names and bounds are those that the objective suggests. None for what it suggests.
        seed: of the suggestions; None for another one each time.
        score: index or metric name of the objective that is the score; None where one objective is to be maximised and
            the other minimised, or there is one only.
        cost: index or metric name of the objective that is the cost; None likewise.
        cost_attr: user attribute that holds the cost of a trial, positive; None for the objective `cost`, or, in a
            study with one objective, the trial's duration.
        n_startup_trials: trials that are drawn at random before a space that was not given is known well enough.
        **options: fields of `sweep.Config` besides space and capacity.

    Raises:
        ValueError: if an option is out of range.
    """

    def __init__(
        self,
        space: SearchSpace | None = None,
        *,
        seed: int | None = 0,
        score: int | str | None = None,
        cost: int | str | None = None,
        cost_attr: str | None = None,
        n_startup_trials: int = 10,
        **options: Any,
    ):
        if space is not None and not isinstance(space, SearchSpace):
            raise ValueError(f"`space` must be a SearchSpace or None; got {space!r}.")
        if n_startup_trials < 1:
            raise ValueError(f"`n_startup_trials` must be at least 1; got {n_startup_trials}.")
        if "direction" in options:
            rule = "`direction` must be left out: Optuna's study says which way its objectives go"
            raise ValueError(f"{rule}; got {options['direction']!r}.")
        if options.get("continues"):
            rule = "`continues` must be left out: a trial of Optuna cannot say where it goes on from"
            raise ValueError(f"{rule}; got {options['continues']!r}.")
        sweep.Config(space or SearchSpace(any=Linear(0, 1)), capacity=MIN_CAPACITY, **options)  # says now what is wrong
        self._space, self._options = space, options
        self._seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        self._num_startup = n_startup_trials
        self._roles = Roles(score, cost, cost_attr)
        self._memories: dict[SearchSpace, Memory] = {}
        self._read: dict[tuple[SearchSpace, int], tuple[FrozenTrial, Trial]] = {}
        self._others = optuna.samplers.RandomSampler(seed)
        self._turn = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_turn"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _turn=threading.Lock())

    def reseed_rng(self) -> None:
        self._others.reseed_rng()

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if self._space is not None:
            return to_optuna(self._space)
        known = groups(study.get_trials(deepcopy=False, states=_INFORMATIVE))
        return {name: each for group in known for name, each in group.items() if not each.single()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        begin = time.perf_counter()
        roles = self._roles.of(study)
        with self._turn:  # so that each thread sees the point of the one before
            rows = [row for row in patiently(study.get_trials, deepcopy=False) if row.number < trial.number]
            parameters: dict[str, Any] = {}
            for space in self._spaces(search_space, rows):
                values = self._values(study, trial, roles, space, rows)
                parameters |= to_parameters(space, values, search_space)
            for name, value in ((POINT, parameters), (SECONDS, time.perf_counter() - begin)):
                patiently(study._storage.set_trial_system_attr, trial._trial_id, name, value)
        return parameters

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._others.sample_independent(study, trial, param_name, param_distribution)

    def _spaces(self, search_space: Mapping[str, BaseDistribution], rows: list[FrozenTrial]) -> list[SearchSpace]:
        """The spaces that are searched one by one."""
        if self._space is not None:
            return [self._space]
        known = groups([row for row in rows if row.state in _INFORMATIVE])
        parts = [{name: search_space[name] for name in group if name in search_space} for group in known]
        rest = {name: each for name, each in search_space.items() if not any(name in part for part in parts)}
        spaces = [to_space(part) for part in (*parts, rest)]
        return [space for space in spaces if space is not None]

    def _values(
        self, study: optuna.Study, trial: FrozenTrial, roles: Roles, space: SearchSpace, rows: list[FrozenTrial]
    ) -> dict[str, Any]:
        trials = [self._trial(study, row, roles, space) for row in rows]
        if self._space is not None:
            return self._propose(space, trials, self._seed)
        # Trials of other groups tell nothing; those that run keep their turn, so that no two of them are alike.
        trials = [each for each, row in zip(trials, rows, strict=True) if each.values or not row.state.is_finished()]
        mark = zlib.crc32("\n".join(space.names).encode())
        if sum(each.status in ("completed", "failed") for each in trials) < self._num_startup:
            rng = np.random.default_rng((self._seed, mark, trial.number))
            return space.from_unit(rng.random(space.size))
        return self._propose(space, trials, (self._seed + mark) % 2**31)

    def _trial(self, study: optuna.Study, row: FrozenTrial, roles: Roles, space: SearchSpace) -> Trial:
        """The row as a trial; one that has ended is read once."""
        known = self._read.get((space, row.number))
        if known is not None and known[0] is row:
            return known[1]
        trial = to_trial(study, row, roles, space)
        if row.state.is_finished():
            self._read[space, row.number] = row, trial
        return trial

    def _propose(self, space: SearchSpace, trials: list[Trial], seed: int) -> dict[str, Any]:
        config = sweep.Config(space, capacity=MIN_CAPACITY, **self._options)
        memory = self._memories.setdefault(space, Memory())
        return propose(config, trials, seed, memory).values
