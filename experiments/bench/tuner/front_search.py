"""The front of a noiseless objective without a closed form: an evolutionary search, jitted, or a full enumeration."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from neocarbs_jax.pareto import Front, tabulate_front
from neocarbs_jax.space import SearchSpace
from neocarbs_jax.synthetic import Outcome, Values

NUM_BINS = 128
NUM_GENERATIONS = 60
NUM_OFFSPRING = 2048


def front_of_points(score: Float[Array, " n"], cost: Float[Array, " n"], floor: float) -> Front:
    """The staircase front of measured points; from the cheapest point to the best one."""
    order = jnp.argsort(cost)
    cost, best = cost[order], jax.lax.cummax(jnp.maximum(score[order], floor))

    def attainment(at_cost: Array) -> Array:
        last = jnp.searchsorted(cost, at_cost * (1 + 1e-6), side="right") - 1  # a point's own cost must find it
        return best[jnp.maximum(last, 0)] - floor

    front = tabulate_front(attainment, cost[0], cost[jnp.argmax(best)])
    return Front(front.cost, front.score + floor)


def search_front(noiseless_fn: Callable[[Values], Outcome], space: SearchSpace, floor: float, seed: int = 0) -> Front:
    """Evolve the best point in each of `NUM_BINS` bins of log cost for `NUM_GENERATIONS` generations.

    Args:
        noiseless_fn: values -> (score, cost), traceable.
        space: Its search space.
        floor: Score below which the front counts as flat.
        seed: Of the search.
    """
    score, cost = _evolve(noiseless_fn, space, jax.random.key(seed))
    return front_of_points(score, cost, floor)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _evolve(
    noiseless_fn: Callable[[Values], Outcome], space: SearchSpace, key: PRNGKeyArray
) -> tuple[Float[Array, " bins"], Float[Array, " bins"]]:
    start_key, key = jax.random.split(key)
    evaluate = jax.vmap(lambda unit: noiseless_fn(space.from_unit(unit)))
    unit = jax.random.uniform(start_key, (4 * NUM_OFFSPRING, space.size), float)
    score, cost = evaluate(unit)
    edges = jnp.linspace(jnp.log(cost.min()), jnp.log(cost.max()), NUM_BINS - 1)  # the outer bins are open
    elites = _best_per_bin(unit, score, cost, edges)

    def generation(elites: tuple[Array, Array, Array], key: PRNGKeyArray) -> tuple[tuple[Array, Array, Array], None]:
        unit, score, cost = elites
        children = _mutate(unit, score, cost, key)
        pairs = zip(elites, (children, *evaluate(children)), strict=True)
        unit, score, cost = (jnp.concatenate(pair) for pair in pairs)
        return _best_per_bin(unit, score, cost, edges), None

    (_, score, cost), _ = jax.lax.scan(generation, elites, jax.random.split(key, NUM_GENERATIONS))
    return score, cost


def _best_per_bin(
    unit: Float[Array, "n d"], score: Float[Array, " n"], cost: Float[Array, " n"], edges: Float[Array, " edges"]
) -> tuple[Float[Array, "bins d"], Float[Array, " bins"], Float[Array, " bins"]]:
    """The best point of each bin; the cheapest one fills the empty bins, where it changes nothing."""
    score = jnp.nan_to_num(score, nan=-jnp.inf)
    bins = jnp.searchsorted(edges, jnp.log(cost), side="right")
    top = jax.ops.segment_max(score, bins, NUM_BINS)
    best = jax.ops.segment_max(jnp.where(score == top[bins], jnp.arange(len(score)), -1), bins, NUM_BINS)
    best = jnp.where(best < 0, jnp.argmin(cost), best)
    best = best.at[0].set(jnp.argmin(cost))  # the front's first cost is the cheapest one
    return unit[best], score[best], cost[best]


def _mutate(
    unit: Float[Array, "bins d"], score: Float[Array, " bins"], cost: Float[Array, " bins"], key: PRNGKeyArray
) -> Float[Array, "offspring d"]:
    """Gaussian steps of log-uniform scale, on a random subset of axes, from the points of the front."""
    parent_key, scale_key, rate_key, axis_key, step_key = jax.random.split(key, 5)
    order = jnp.argsort(cost)
    on_front = score >= jax.lax.cummax(score[order])[jnp.argsort(order)]
    parents = jax.random.categorical(parent_key, jnp.where(on_front, 0.0, -jnp.inf), shape=(NUM_OFFSPRING,))
    shape = (NUM_OFFSPRING, unit.shape[1])
    scale = 10 ** jax.random.uniform(scale_key, (NUM_OFFSPRING, 1), float, -3.0, -0.3)
    rate = jax.random.choice(rate_key, jnp.asarray([0.2, 0.5, 1.0]), (NUM_OFFSPRING, 1))
    moved = jax.random.uniform(axis_key, shape, float) < rate
    step = jnp.where(moved, scale * jax.random.normal(step_key, shape, float), 0.0)
    return jnp.clip(unit[parents] + step, 0.0, 1.0)
