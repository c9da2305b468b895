"""Going on from an earlier trial, as a candidate beside new points."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from neocarbs_jax import candidates, continuations
from neocarbs_jax.beliefs import Beliefs, cost_bound
from neocarbs_jax.strategies.base import Situation


def best_continuation(
    seen: Situation,
    on_front: Bool[Array, " n"],
    key: PRNGKeyArray,
    num: int,
    worth_fn: Callable[[Float[Array, "m d"], Beliefs], Float[Array, " m"]],
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """Return the best of some random continuations, and what it is worth; -inf where none is possible.

    Candidates that compete for one target cost all cost about the same, so that what they are worth compares gains. A
    continuation has the gain of a whole training for a share of its cost. That share is divided out, so that what is
    compared is the gain for what is paid. Limits on cost are on what is paid, too.

    Args:
        seen: by the strategy.
        on_front: rows on the front of posterior means, which half of the draws go on from.
        key: of the proposal; other draws may use it as well.
        num: continuations that are drawn.
        worth_fn: (points, beliefs) -> the logarithm of what whole trainings are worth.
    """
    column = seen.continued_column
    assert column is not None
    data = seen.observations
    unit = continuations.draw(seen.space, data, column, on_front, jax.random.fold_in(key, 1), num)
    saved = continuations.parents_of(data, column, unit).saved
    at = seen.known.at(unit)
    share = continuations.share(at.log_cost, saved)
    worth = worth_fn(unit, at) - jnp.log(share)
    possible = (saved > 0) & (share >= continuations.LEAST_SHARE)
    possible &= candidates.is_new(unit, data.unit, data.success | data.pending | data.failed)
    if seen.space.constraints:
        possible &= seen.space.feasible(unit)
    if seen.log_max_cost is not None:
        possible &= jnp.log(continuations.paid(jnp.exp(cost_bound(at, seen.delta)), saved)) <= seen.log_max_cost
    worth = jnp.where(possible & ~jnp.isnan(worth), worth, -jnp.inf)
    best = jnp.argmax(worth)
    return unit[best], worth[best]
