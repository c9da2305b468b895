"""The peers of the sweep benchmark behind one interface: ask for a unit point, tell what was measured.

Every peer searches the same unit cube as our strategies and minimises *log* cost, which only helps those whose models
or hypervolumes see its scale. Integer axes are integers to Optuna. A failed trial is told as a failure where the
peer knows such a thing (Optuna), else as the worst score so far (BoTorch). Packages: extra `bench`.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Protocol

import numpy as np
import optuna
from jaxtyping import Float

from neocarbs_jax.space import Integer, Pow2, SearchSpace


class Peer(Protocol):
    """A tuner that is asked and told."""

    def ask(self) -> Float[np.ndarray, " d"]:
        """The next unit point."""
        ...

    def tell(self, unit: Float[np.ndarray, " d"], score: float, cost: float) -> None:
        """Its measured score, NaN for a failure, and cost."""
        ...


class OptunaPeer:
    """An Optuna sampler with two objectives: maximise score, minimise log cost."""

    def __init__(self, sampler: optuna.samplers.BaseSampler, space: SearchSpace) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        self._levels = [num_levels(axis) for _, axis in space.axes]
        self._trial: optuna.Trial | None = None

    @property
    def num_trials(self) -> int:
        """Trials it knows of."""
        return len(self._study.get_trials(deepcopy=False))

    def ask(self) -> Float[np.ndarray, " d"]:
        self._trial = trial = self._study.ask()
        return np.array(
            [
                trial.suggest_float(f"u{i}", 0.0, 1.0)
                if levels is None
                else (trial.suggest_int(f"u{i}", 0, levels - 1) + 0.5) / levels
                for i, levels in enumerate(self._levels)
            ]
        )

    def tell(self, unit: Float[np.ndarray, " d"], score: float, cost: float) -> None:
        assert self._trial is not None
        if math.isnan(score):
            self._study.tell(self._trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(self._trial, [score, math.log(cost)])

    def enter(
        self, unit: Float[np.ndarray, "n d"], score: Float[np.ndarray, " n"], cost: Float[np.ndarray, " n"]
    ) -> None:
        """Add finished trials on continuous axes that somebody else suggested."""
        names = [f"u{i}" for i in range(len(self._levels))]
        distributions: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names
        }
        for point, *values in zip(unit, score, np.log(cost), strict=True):
            params = dict(zip(names, map(float, point), strict=True))
            self._study.add_trial(
                optuna.trial.create_trial(params=params, distributions=distributions, values=[float(v) for v in values])
            )


class BotorchPeer:
    """BoTorch qLogNEHVI (q = 1) on two GPs of score and negative log cost, Sobol start of 2 d points, at most 16."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        import torch

        self._torch, self._size = torch, space.size
        self._levels = [num_levels(axis) for _, axis in space.axes]
        self._sobol = torch.quasirandom.SobolEngine(space.size, scramble=True, seed=seed)
        torch.manual_seed(seed)
        self._unit: list[np.ndarray] = []
        self._targets: list[tuple[float, float]] = []

    def ask(self) -> Float[np.ndarray, " d"]:
        if len(self._unit) < min(2 * self._size, 16):
            unit = self._sobol.draw(1, dtype=self._torch.double)[0].numpy()
        else:
            unit = self._optimise()
        return np.array([_snap(float(u), n) for u, n in zip(unit, self._levels, strict=True)])

    def tell(self, unit: Float[np.ndarray, " d"], score: float, cost: float) -> None:
        self._unit.append(unit)
        self._targets.append((score, -math.log(cost)))

    def _optimise(self) -> Float[np.ndarray, " d"]:
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import ModelListGP, SingleTaskGP
        from botorch.optim import optimize_acqf
        from botorch.utils.multi_objective.hypervolume import infer_reference_point
        from botorch.utils.multi_objective.pareto import is_non_dominated
        from gpytorch.mlls import SumMarginalLogLikelihood

        torch = self._torch
        targets = np.array(self._targets)
        targets[:, 0] = np.where(np.isnan(targets[:, 0]), np.nanmin(targets[:, 0]), targets[:, 0])
        y = torch.from_numpy((targets - targets.mean(0)) / np.maximum(targets.std(0), 1e-12))
        x = torch.from_numpy(np.array(self._unit))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # BoTorch reports each restart that did not converge
            model = ModelListGP(*(SingleTaskGP(x, y[:, i : i + 1]) for i in range(2)))
            fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
            acquisition = qLogNoisyExpectedHypervolumeImprovement(
                model, infer_reference_point(y[is_non_dominated(y)]), x, prune_baseline=True
            )
            bounds = torch.stack([torch.zeros(self._size), torch.ones(self._size)]).double()
            best, _ = optimize_acqf(acquisition, bounds, q=1, num_restarts=4, raw_samples=128, options={"maxiter": 50})
        return best[0].detach().numpy()


def _snap(unit: float, levels: int | None) -> float:
    return unit if levels is None else (min(int(unit * levels), levels - 1) + 0.5) / levels


def num_levels(axis: object) -> int | None:
    """Number of levels of an integer axis; None where the axis is continuous."""
    if isinstance(axis, Integer):
        return (axis.high - axis.low) // axis.step + 1
    return axis.high.bit_length() - axis.low.bit_length() + 1 if isinstance(axis, Pow2) else None


def _optuna(make_sampler: Callable[..., optuna.samplers.BaseSampler], space: SearchSpace, seed: int) -> Peer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return OptunaPeer(make_sampler(seed=seed), space)


PEERS: dict[str, Callable[[SearchSpace, int], Peer]] = {
    "optuna_tpe": functools.partial(_optuna, functools.partial(optuna.samplers.TPESampler, multivariate=True)),
    "optuna_nsga2": functools.partial(_optuna, optuna.samplers.NSGAIISampler),
    "optuna_gp": functools.partial(_optuna, optuna.samplers.GPSampler),
    "botorch_qlognehvi": BotorchPeer,
}
