"""Where the acquisition looks: points of the prior, perturbations of the front, and uphill of the best of both."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from neocarbs_jax.space import SearchSpace
from neocarbs_jax.space.feasibility import settle

_SCALES = 0.02, 0.5
_SHARES = 0.2, 0.5, 1.0
_DRAWS, _FEWEST_DRAWS = 8, 512  # among which those that satisfy constraints are found
_FIRST_STEP, _STEP_BOUNDS = 0.02, (1e-4, 0.1)


def from_prior(space: SearchSpace, key: PRNGKeyArray, num: int) -> Float[Array, "m d"]:
    """Independent draws from the prior, snapped to the space's grid, that satisfy its constraints."""
    if space.constraints:
        return _feasible_from_prior(space, key, num)
    uniform = jax.random.uniform(key, (num, space.size), jnp.float32)
    return space.snap(space.from_prior(uniform.astype(jnp.zeros(()).dtype)))


def _feasible_from_prior(space: SearchSpace, key: PRNGKeyArray, num: int) -> Float[Array, "m d"]:
    """Return the first draws from the prior that satisfy the constraints; where they are too few, repaired ones."""
    uniform = jax.random.uniform(key, (max(_DRAWS * num, _FEWEST_DRAWS), space.size), jnp.float32)
    units = space.snap(space.from_prior(uniform.astype(jnp.zeros(()).dtype)))
    return settle(space, units[jnp.argsort(~space.feasible(units), stable=True)[:num]])


def perturb(
    space: SearchSpace,
    key: PRNGKeyArray,
    unit: Float[Array, "n d"],
    parents: Bool[Array, " n"],
    num: int,
) -> Float[Array, "m d"]:
    """Gaussian steps of log-uniform scale from random parents, along a random 20%, 50% or all of the axes.

    Without any parent, steps start at the search centre. Steps that break a constraint are shortened.
    """
    # One draw for all of it, cut into columns: every other one takes long to compile. Single precision is plenty.
    tiny = jnp.finfo(jnp.float32).tiny
    uniform = jax.random.uniform(key, (num, 2 * space.size + 3), jnp.float32, tiny)
    parent, scale, share, moved, step = jnp.split(uniform, (1, 2, 3, 3 + space.size), axis=1)
    # The k-th parent, k uniform.
    rank = jnp.floor(parent[:, 0] * jnp.sum(parents, dtype=jnp.float32))
    index = jnp.searchsorted(
        jnp.cumsum(parents, dtype=jnp.int32), rank.astype(jnp.int32), side="right", method="compare_all"
    )
    center = jnp.asarray(space.center, unit.dtype)
    base = jnp.where(jnp.any(parents), unit[index], center[None, :])
    low, high = (math.log(scale) for scale in _SCALES)
    share = jnp.asarray(_SHARES, jnp.float32)[(len(_SHARES) * share).astype(jnp.int32)]
    step = jnp.exp(low + (high - low) * scale) * jax.scipy.special.ndtri(step)
    return settle(space, _reflect(base + jnp.where(moved < share, step, 0).astype(unit.dtype)), base)


def climb(
    space: SearchSpace,
    slope_fn: Callable[[Float[Array, "m d"]], Float[Array, "m d"]],
    unit: Float[Array, "m d"],
    num_steps: int,
) -> Float[Array, "m d"]:
    """Return points uphill of every point, inside the cube: each coordinate moves by a step of its own, then snaps.

    Args:
        space: the search space.
        slope_fn: gradient of the value that is climbed, at each point; where it is not finite nothing moves.
        unit: where to start.
        num_steps: that are taken.
    """

    optimizer = optax.rprop(_FIRST_STEP, eta_plus=1.3, min_step_size=_STEP_BOUNDS[0], max_step_size=_STEP_BOUNDS[1])

    def step(carry: tuple[Array, optax.OptState], _: None) -> tuple[tuple[Array, optax.OptState], None]:
        unit, state = carry
        updates, state = optimizer.update(-jnp.nan_to_num(slope_fn(unit)), state)
        return (jnp.clip(unit + jnp.asarray(updates), 0, 1), state), None

    (reached, _), _ = jax.lax.scan(step, (unit, optimizer.init(unit)), None, length=num_steps)
    return settle(space, reached, unit)


def _reflect(unit: Float[Array, "m d"]) -> Float[Array, "m d"]:
    """Fold steps that leave the cube back into it: clipped, they would pile up on its faces, where little is known."""
    return 1 - jnp.abs(jnp.remainder(unit, 2) - 1)


def is_new(unit: Float[Array, "m d"], seen: Float[Array, "n d"], mask: Bool[Array, " n"]) -> Bool[Array, " m"]:
    """Whether each point differs from every unmasked seen point."""
    tolerance = 1e-6
    distance = jnp.max(jnp.abs(unit[:, None, :] - seen[None, :, :]), axis=-1)
    return ~jnp.any((distance < tolerance) & mask[None, :], axis=1)
