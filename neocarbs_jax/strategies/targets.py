"""Near which cost the next trial is wanted: targets that spread trials over the active range and over a budget."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from neocarbs_jax.strategies.active import ActiveFront
from neocarbs_jax.strategies.base import Situation

_GOLDEN_RATIO = 0.6180339887498949
_OVERSHOOT = 0.15
_LAST_TRIALS = 3
_PATIENCE = 2.0  # nats


def within_budget(seen: Situation, front: ActiveFront, reachable: Float[Array, ""]) -> Float[Array, ""]:
    """Return the highest log cost that a target may have: with a budget, dear trials wait until half of it is spent.

    What cheap trials teach holds for the dear ones, and a budget pays for few of these. The limit rises with what is
    spent.
    """
    if seen.log_remaining is None:
        return reachable
    data = seen.observations
    own = jnp.maximum(data.cost - data.inherited, 0)  # of a failure whose cost is unknown 0
    spent = jnp.sum(jnp.where(data.success | data.failed, own, 0))
    early = jnp.maximum(1 - 2 * spent / (spent + jnp.exp(seen.log_remaining)), 0)
    is_limited = (early > 0) & jnp.isfinite(seen.log_remaining)
    return jnp.minimum(reachable, jnp.where(is_limited, front.end - _PATIENCE * early, jnp.inf))


def calm(seen: Situation, front: ActiveFront) -> Float[Array, ""] | float:
    """Return the weight of the target cost: 1 until the rest of the budget pays for three of the dearest trials.

    From then on the gain decides more and more: the last trials go where they pay most.
    """
    if seen.log_remaining is None:
        return 1.0
    return jnp.clip(jnp.exp(seen.log_remaining - front.end) / _LAST_TRIALS, 1e-3, 1)


def draw_target(
    front: ActiveFront, reachable: Float[Array, ""], count: Int[Array, ""], thrift: float
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return the target log cost of a suggestion, and the width of the active range that it comes from.

    Targets follow the golden-ratio sequence, the most even one. While the front may still grow, the top of the range is
    tried more often; once it is all that candidates can reach, the density of targets falls as cost^-thrift.
    """
    start = front.edges[0]
    dtype = start.dtype
    end = jnp.maximum(jnp.minimum(front.end, reachable), start + 1e-3)
    growing = front.end < reachable
    overshoot = jnp.where(growing, _OVERSHOOT, 0.0).astype(dtype)
    golden = jnp.remainder(count.astype(dtype) * _GOLDEN_RATIO, 1.0) * (1 + overshoot)
    fall = jnp.where(growing, 1e-3, thrift).astype(dtype) * (end - start)
    share = -jnp.log1p(jnp.minimum(golden, 1) * jnp.expm1(-fall)) / fall
    return start + (end - start) * share, end - start
