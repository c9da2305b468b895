"""What the settings of a front are expected to score when they are run again.

A measured front is the best of noisy draws, and flatters. The posterior of the score pools replicates and neighbours:
given all observations, the points that it ranks highest are not better than it says, up to the surrogate's own errors.

    expected = expected_scores(config, state)                 # of every row; jit with `config` static
    expected.on_front                                         # the rows that none beats in expectation
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Bool, Float

from neocarbs_jax import beliefs, fitting, pareto
from neocarbs_jax.beliefs import Surrogates
from neocarbs_jax.config import Config
from neocarbs_jax.fitting import Target
from neocarbs_jax.precision import matmul
from neocarbs_jax.sweep import State

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_Z90 = 1.645
_DOUBT = 1.2
"""Factor on deviations, for hyperparameters that are taken as known: intervals hold what they promise on the tables."""


class Expected(NamedTuple):
    """What fresh runs of the settings of each row are expected to give; meaningless where not successful.

    Attributes:
        score: expected mean score of fresh runs, in the user's units.
        low: 5% quantile of that mean.
        high: 95% quantile of it.
        cost: expected median cost.
        on_front: rows that no other row equals or beats in expected score and cost.
    """

    score: Float[Array, " n"]
    low: Float[Array, " n"]
    high: Float[Array, " n"]
    cost: Float[Array, " n"]
    on_front: Bool[Array, " n"]


def expected_scores(config: Config, state: State) -> Expected:
    """Return what fresh runs of every observed row are expected to give.

    The mean of fresh runs at a point is m(f) = E_e[unwarp(f + e)], where f ~ N(mean, std^2) is the posterior of the
    noiseless warped score and e the noise of one run. Its expectation is returned, and its 5% and 95% quantiles, which
    are those of f, as m is monotone. No expectation lies beyond what was measured so far.

    Args:
        config: of the sweep.
        state: of the sweep.
    """
    fitted = fitting.refit(config.form, state.observations, state.fit)
    return expect(config, state._replace(fit=fitted))


def expect(config: Config, state: State) -> Expected:
    """Return the same, without fitting the surrogates: `State.fit` counts."""
    known = beliefs.condition(config.form, state.observations, state.fit)
    data, at = state.observations, known.at_observed()
    noise_std = jnp.sqrt(known.posteriors.noise[Target.SCORE])
    measured = jnp.where(data.success, data.score, jnp.nan)
    score = _mean_of_runs(known, at.score, jnp.hypot(at.score_std, noise_std))
    score = jnp.clip(score, jnp.nanmin(measured), jnp.nanmax(measured))
    half = _Z90 * _DOUBT * jnp.maximum(known.posteriors.forward_stretch[Target.SCORE], 1) * at.score_std
    low, high = (_mean_of_runs(known, at.score + side, noise_std) for side in (-half, half))
    low, high = jnp.minimum(low, score), jnp.maximum(high, score)
    on_front = pareto.non_dominated(score, at.log_cost, data.success)
    if config.direction == "minimize":
        score, low, high = -score, -high, -low
    return Expected(
        score=score,
        low=low,
        high=high,
        cost=jnp.exp(at.log_cost),
        on_front=on_front,
    )


def chance_of_front(config: Config, state: State, unit: Float[Array, " d"]) -> Float[Array, ""]:
    """Return the probability that a point's noiseless score reaches the front at its expected cost.

    The front is that of posterior means over what was observed, the point's own earlier budgets included. Fit before.

    Args:
        config: of the sweep.
        state: of the sweep; `State.fit` counts.
        unit: the point, such as a running trial's.
    """
    known = beliefs.condition(config.form, state.observations, state.fit)
    observed, at = known.at_observed(), known.at(unit[None, :])
    affordable = state.observations.success & (observed.log_cost <= at.log_cost[0])
    front = jnp.max(jnp.where(affordable, observed.score, -jnp.inf))
    return ndtr((at.score[0] - front) / at.score_std[0])


def _mean_of_runs(known: Surrogates, mean: Float[Array, " n"], std: Float[Array, "*n"]) -> Float[Array, " n"]:
    """Return E[unwarp(N(mean, std^2))] by Gauss-Hermite quadrature."""
    nodes, weights = (jnp.asarray(a, mean.dtype) for a in (_NODES, _WEIGHTS / _WEIGHTS.sum()))
    points = mean[:, None] + jnp.broadcast_to(std, mean.shape)[:, None] * nodes[None, :]
    return matmul(known.warp.inverse(points), weights)
