"""Fronts of score (higher is better) against log cost (lower is better): dominance, staircase, hypervolume, gaps.

The functions of observations take masked arrays of fixed length, in which masked rows have no effect.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

AnyArray = Array | np.ndarray


class Front(NamedTuple):
    """Staircase of the best score at every cost, from the first to the last cost that matters."""

    cost: Float[Array, " k"]
    score: Float[Array, " k"]


def non_dominated(score: Float[AnyArray, " n"], log_cost: Float[AnyArray, " n"], mask: Bool[AnyArray, " n"]) -> Any:
    """Return which rows are on the front: those that no other row dominates. NumPy in, NumPy out.

    Row j dominates i when score_j >= score_i and log_cost_j <= log_cost_i, one of them strictly, or j comes first. Of
    equal rows, the first is therefore on the front.
    """
    xp: Any = score.__array_namespace__()
    score_j, score_i = score[None, :], score[:, None]
    cost_j, cost_i = log_cost[None, :], log_cost[:, None]
    order = xp.arange(score.shape[0])
    strict = (score_j > score_i) | (cost_j < cost_i) | (order[None, :] < order[:, None])
    dominates = (score_j >= score_i) & (cost_j <= cost_i) & strict & mask[None, :]
    return mask & ~xp.any(dominates, axis=1)


def staircase(
    score: Float[Array, " n"],
    log_cost: Float[Array, " n"],
    mask: Bool[Array, " n"],
    at: Float[Array, " k"],
    floor: Float[Array, ""],
) -> Float[Array, " k"]:
    """Attainment curve: the best score among rows of cost at most `at`; at least `floor`."""
    affordable = mask[None, :] & (log_cost[None, :] <= at[:, None])
    return jnp.maximum(jnp.max(jnp.where(affordable, score[None, :], floor), axis=1), floor)


def hypervolume(
    score: Float[Array, " n"],
    log_cost: Float[Array, " n"],
    mask: Bool[Array, " n"],
    reference_score: Float[Array, ""],
    reference_log_cost: Float[Array, ""],
) -> Float[Array, ""]:
    """Area between the staircase and `reference_score`, up to `reference_log_cost`, over log cost (nats x score).

    H = sum_i (reference_log_cost - c_(i)) (s_(i) - max_{j<i} s_(j))_+, rows sorted by cost.
    """
    mask = mask & (log_cost <= reference_log_cost)
    order = jnp.argsort(jnp.where(mask, log_cost, jnp.inf))
    gain = jnp.where(mask, jnp.maximum(score - reference_score, 0), 0)[order]
    attained = jnp.maximum.accumulate(gain)
    rise = jnp.diff(attained, prepend=jnp.zeros((1,), attained.dtype))
    width = jnp.where(mask, reference_log_cost - log_cost, 0)[order]
    return jnp.sum(rise * width)


def gaps(log_cost: Float[Array, " n"], front: Bool[Array, " n"]) -> Float[Array, " n"]:
    """Distance in log cost from each front point to its nearest neighbour on the front; infinite when alone."""
    distance = jnp.abs(log_cost[:, None] - log_cost[None, :])
    others = front[None, :] & ~jnp.eye(log_cost.shape[0], dtype=bool)
    return jnp.where(front, jnp.min(jnp.where(others, distance, jnp.inf), axis=1), 0)


def tabulate_front(
    attainment_fn: Callable[[Array], Array], low: Float[Array, ""], high: Float[Array, ""], num: int = 1024
) -> Front:
    """Return the front between two costs, sampled evenly in log cost.

    Args:
        attainment_fn: costs -> best score at each of them.
        low: the first cost.
        high: the last cost.
        num: number of samples.
    """
    cost = jnp.geomspace(low, high, num)
    return Front(cost, attainment_fn(cost))
