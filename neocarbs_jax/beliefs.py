"""What a sweep believes: surrogates of score, log cost and success, conditioned on its observations.

How they are fitted is in `fitting`.
"""

import functools
import math
from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Bool, Float

from neocarbs_jax import gp
from neocarbs_jax.batching import anywhere
from neocarbs_jax.fitting import Fit, Form, Target, computed_targets, noise_correlation, success_labels
from neocarbs_jax.gp import warping
from neocarbs_jax.gp.warping import Standardizer, Warp
from neocarbs_jax.observations import Observations


class Beliefs(NamedTuple):
    """What the surrogates say of some points.

    Attributes:
        score: posterior mean of the warped, noiseless score.
        score_std: its standard deviation.
        measured_std: the same for a measurement: noise included, calibrated on what the latest trials gave.
        log_cost: posterior mean of the log cost.
        log_cost_std: of a measurement of it, calibrated on leave-one-out residuals.
        log_success: log probability of success; 0 before anything has failed.
    """

    score: Float[Array, " m"]
    score_std: Float[Array, " m"]
    measured_std: Float[Array, " m"]
    log_cost: Float[Array, " m"]
    log_cost_std: Float[Array, " m"]
    log_success: Float[Array, " m"]


class Surrogates(NamedTuple):
    """Posteriors over standardised targets, and the transforms back to the user's units.

    Attributes:
        posteriors: of each `Target`, along a leading axis; that of success is zeros while nothing has failed.
        warp: of scores.
        log_cost: standardises log costs.
        label: standardises success labels.
        any_failed: whether any trial has failed.
        failed_anywhere: the same, or in any sweep beside this one under `vmap`.
    """

    posteriors: gp.Posterior
    warp: Warp
    log_cost: Standardizer
    label: Standardizer
    any_failed: Bool[Array, ""]
    failed_anywhere: Bool[Array, ""]

    def at(self, unit: Float[Array, "m d"]) -> Beliefs:
        """Return the posterior of score, cost and success at each point.

        P(success) = Phi(f / s) for labels predicted as N(f, s^2).
        """

        def predict(task: tuple[Array, gp.Posterior]) -> tuple[Array, Array]:
            wanted, posterior = task
            zeros = jnp.zeros_like(unit[:, 0])
            return jax.lax.cond(wanted, lambda: posterior.predict(unit), lambda: (zeros, zeros))

        means, stds = jax.lax.map(predict, (computed_targets(self.failed_anywhere), self.posteriors))
        return self._beliefs(means, stds)

    def at_observed(self) -> Beliefs:
        """Return the same at the observed rows; rows that are not successful mean nothing."""
        return self._beliefs(self.posteriors.mean, self.posteriors.std)

    def _beliefs(self, means: Float[Array, "3 m"], stds: Float[Array, "3 m"]) -> Beliefs:
        known = self.posteriors
        measured = jnp.sqrt(stds**2 + known.noise[:, None])
        log_success = log_ndtr(
            self.label.inverse(means[Target.SUCCESS]) / (measured[Target.SUCCESS] * self.label.scale)
        )
        return Beliefs(
            score=means[Target.SCORE],
            score_std=stds[Target.SCORE],
            # The sweep seeks high scores where it knows least: only what came after tells, and only ever warns.
            measured_std=measured[Target.SCORE] * jnp.maximum(known.forward_stretch[Target.SCORE], 1),
            log_cost=self.log_cost.inverse(means[Target.COST]),
            log_cost_std=measured[Target.COST] * known.stretch[Target.COST] * self.log_cost.scale,
            log_success=jnp.where(self.any_failed, log_success, 0),
        )

    def plain(self, score: Float[Array, "*m"]) -> Float[Array, "*m"]:
        """Return standardised scores, unwarped: the user's, but for the units."""
        return self.warp.unwarp(score)

    def in_units(self, beliefs: Beliefs) -> tuple[Array, Array, Array, Array]:
        """Return predictive median and standard deviation of a measured score, and of a measured cost.

        They are in the user's units; costs are log-normal.
        """
        score, score_std = self.warp.moments(beliefs.score, beliefs.measured_std)
        cost = jnp.exp(beliefs.log_cost)
        return score, score_std, cost, cost * jnp.sinh(jnp.minimum(beliefs.log_cost_std, math.log(1e3)))


def cost_bound(beliefs: Beliefs, delta: float) -> Float[Array, " m"]:
    """Return the log cost that a trial exceeds with probability delta."""
    return beliefs.log_cost + beliefs.log_cost_std * NormalDist().inv_cdf(1 - delta)


def condition(form: Form, observations: Observations, fitted: Fit) -> Surrogates:
    """Condition the surrogates on every observation, pending points fantasised."""
    success, pending, unit = observations.success, observations.pending, observations.unit
    warps = warping.fit_warps(form.warps, observations.score, success, form.aggression)
    warp = jax.tree.map(lambda a: a[fitted.warp], warps)
    log_cost = jnp.log(observations.cost)
    cost_scale = warping.standardizer(log_cost, success)
    label, labelled, label_scale = success_labels(observations)
    any_failed, nothing = jnp.any(observations.failed), jnp.zeros_like(pending)
    failed_anywhere = anywhere(any_failed)

    correlation = noise_correlation(form, observations)
    condition_fn = functools.partial(gp.condition, form.kernel_fn, correlation=correlation)
    condition_fn = jax.jit(condition_fn)  # traced once for both uses

    def condition_one(task: tuple[Array, gp.Hyperparameters, Array, Array, Array]) -> gp.Posterior:
        wanted, h, *data = task
        shapes = jax.eval_shape(condition_fn, h, unit, *data)
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        return jax.lax.cond(wanted, lambda: condition_fn(h, unit, *data), lambda: zeros)

    targets = jnp.stack([warp.forward(observations.score), cost_scale.forward(log_cost), label])
    observed = jnp.stack([success, success, labelled])
    waiting = jnp.stack([pending, pending, nothing])
    tasks = computed_targets(failed_anywhere), fitted.hyperparameters, targets, observed, waiting
    posteriors = jax.lax.map(condition_one, tasks)
    return Surrogates(posteriors, warp, cost_scale, label_scale, any_failed, failed_anywhere)
