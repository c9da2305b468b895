"""Running a point of the front again: which one, what that is worth, and how often it may be done."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from neocarbs_jax import candidates
from neocarbs_jax.beliefs import Beliefs
from neocarbs_jax.fitting import Target
from neocarbs_jax.observations import Observations, merge
from neocarbs_jax.strategies.active import ActiveFront
from neocarbs_jax.strategies.base import Situation

_YOUNG = 16  # successes before a replicate may be worth more than another point


def replicate_gain(
    seen: Situation, believed: Beliefs, on_front: Bool[Array, " n"], front: ActiveFront
) -> Float[Array, " n"]:
    """Return log E|dH| of running each front point once more: how far the area under the expected front would move.

    A measurement moves the posterior mean by N(0, v^2 / (v + noise)), v the variance there, and the area by that times
    the distance in log cost to the next front point. -inf off the front, and where a replicate is under way.
    """
    data = seen.observations
    noise = seen.known.posteriors.noise[Target.SCORE]
    variance = believed.score_std**2
    start = jnp.clip(believed.log_cost, front.edges[0], front.edges[-1])
    later = (believed.log_cost[None, :] > believed.log_cost[:, None]) & on_front[None, :]
    end = jnp.min(jnp.where(later, believed.log_cost[None, :], front.edges[-1]), axis=1)
    width = jnp.clip(end, front.edges[0], front.edges[-1]) - start
    waits = ~candidates.is_new(data.unit, data.unit, data.pending)
    gain = math.sqrt(2 / math.pi) * variance / jnp.sqrt(variance + noise) * width
    return jnp.where(on_front & ~waits & (gain > 0), jnp.log(jnp.where(gain > 0, gain, 1)), -jnp.inf)


def may_replicate(data: Observations, share: float) -> Bool[Array, ""]:
    """Return whether one more replicate stays within this share of the trials, the first few not counted."""
    num_replicates, num_successes = jnp.sum(data.success & ~merge(data).first), jnp.sum(data.success)
    return num_replicates.astype(float) < share * (num_successes - _YOUNG).astype(float)


def resample_point(
    seen: Situation, believed: Beliefs, on_front: Bool[Array, " n"], front: ActiveFront
) -> tuple[Float[Array, " d"], Bool[Array, ""]]:
    """Return the front point whose uncertainty moves the front most, and whether there is a front.

    Its effect is its standard deviation times the distance in log cost to the next front point.
    """
    later = believed.log_cost[None, :] > believed.log_cost[:, None]
    later = jnp.where(later & on_front[None, :], believed.log_cost[None, :], front.edges[-1])
    width = jnp.maximum(jnp.min(later, axis=1) - believed.log_cost, 1e-3)
    effect = jnp.where(on_front, believed.score_std * width, -jnp.inf)
    return seen.observations.unit[jnp.argmax(effect)], jnp.any(on_front)
