"""SMAC and HEBO as peers of the sweep benchmark; the page of results says how they are installed.

Both are told score and log cost as two objectives to minimise, and of a failure as the worst score so far: HEBO leaves
out what is not finite, and would try it again.
"""

from __future__ import annotations

import importlib.util
import math
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.bench.tuner.peers import Peer, num_levels
from neocarbs_jax.space import SearchSpace

SOBOL_POINTS = 16  # of SMAC's initial design: its own rule is a quarter of the trials, here of 64
HEBO_BATCH = 4  # suggestions of HEBO per fit
HEBO_GENERATIONS = 50  # of its search for the best bounds; its own number is 200, 5 seconds of a core per suggestion


class Worst:
    """What is minimised, score and log cost of a trial, with the worst score so far in place of one that failed."""

    def __init__(self) -> None:
        self._score: float | None = None

    def objectives(self, score: float, cost: float) -> list[float]:
        """Return negative score and log cost; 0 for a failure before the first success."""
        if math.isnan(score):
            return [0.0 if self._score is None else self._score, math.log(cost)]
        self._score = -score if self._score is None else max(self._score, -score)
        return [-score, math.log(cost)]


class SmacPeer:
    """SMAC 2.4 with its defaults, but for ParEGO: random forests, log EI, one fit and one weighting in eight trials."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        import ConfigSpace
        from smac import HyperparameterOptimizationFacade, Scenario
        from smac.multi_objective.parego import ParEGO

        self._levels = [num_levels(axis) for _, axis in space.axes]
        axes = [
            ConfigSpace.Float(f"u{i}", (0.0, 1.0)) if levels is None else ConfigSpace.Integer(f"u{i}", (0, levels - 1))
            for i, levels in enumerate(self._levels)
        ]
        configs = ConfigSpace.ConfigurationSpace(seed=seed)
        configs.add(axes)
        self._folder = tempfile.TemporaryDirectory()
        facade = HyperparameterOptimizationFacade
        scenario = Scenario(
            configs,
            objectives=["score", "log_cost"],
            n_trials=10_000,
            deterministic=True,
            seed=seed,
            output_directory=self._folder.name,  # pyright: ignore[reportArgumentType]
        )
        self._smac = facade(
            scenario,
            _never_called,
            initial_design=facade.get_initial_design(scenario, n_configs=SOBOL_POINTS),
            multi_objective_algorithm=ParEGO(scenario),
            logging_level=False,
            overwrite=True,
        )
        self._worst = Worst()
        self._info: Any = None

    def ask(self) -> Float[np.ndarray, " d"]:
        self._info = self._smac.ask()
        values = [self._info.config[f"u{i}"] for i in range(len(self._levels))]
        return np.array([v if n is None else (v + 0.5) / n for v, n in zip(values, self._levels, strict=True)])

    def tell(self, unit: Float[np.ndarray, " d"], score: float, cost: float) -> None:
        from smac.runhistory.dataclasses import TrialValue
        from smac.runhistory.enumerations import StatusType

        status = StatusType.CRASHED if math.isnan(score) else StatusType.SUCCESS
        value = TrialValue(cost=self._worst.objectives(score, cost), time=cost, status=status)
        self._smac.tell(self._info, value, save=False)


def _never_called(config: object, seed: int = 0) -> float:
    raise AssertionError("SMAC is asked and told only.")


class HeboPeer:
    """HEBO 0.3 for several objectives: a GP of each, the front of their bounds by NSGA-II, 1 + d random trials."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.general import GeneralBO

        self._levels = [num_levels(axis) for _, axis in space.axes]
        axes = [
            {"name": f"u{i}", "type": "num", "lb": 0, "ub": 1}
            if levels is None
            else {"name": f"u{i}", "type": "int", "lb": 0, "ub": levels - 1}
            for i, levels in enumerate(self._levels)
        ]
        # It has no generator of its own.
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        self._hebo = GeneralBO(DesignSpace().parse(axes), num_obj=2, evo_iters=HEBO_GENERATIONS)
        self._worst = Worst()
        self._queue: list[Any] = []
        self._asked: Any = None

    def ask(self) -> Float[np.ndarray, " d"]:
        if not self._queue:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pandas and pymoo name what they will drop
                batch = self._hebo.suggest(n_suggestions=HEBO_BATCH)
            self._queue = [batch.iloc[i : i + 1] for i in range(HEBO_BATCH)]
        self._asked = self._queue.pop(0)
        values = self._asked.iloc[0]
        units = [values[f"u{i}"] if n is None else (values[f"u{i}"] + 0.5) / n for i, n in enumerate(self._levels)]
        return np.array(units, float)

    def tell(self, unit: Float[np.ndarray, " d"], score: float, cost: float) -> None:
        self._hebo.observe_new_data(self._asked, np.array([self._worst.objectives(score, cost)]))


PEERS: dict[str, Callable[[SearchSpace, int], Peer]] = {"smac_parego": SmacPeer, "hebo": HeboPeer}


def available() -> tuple[str, ...]:
    """Names of the peers that are installed here."""
    packages = {"smac_parego": "smac", "hebo": "hebo"}
    return tuple(name for name, package in packages.items() if importlib.util.find_spec(package))
