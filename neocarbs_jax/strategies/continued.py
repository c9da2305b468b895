"""Going on from an earlier trial, as a candidate beside new points."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from neocarbs_jax import candidates, continuations
from neocarbs_jax.beliefs import Beliefs, cost_bound
from neocarbs_jax.strategies.base import Situation


def best_continuation(
    seen: Situation,
    key: PRNGKeyArray,
    num: int,
    worth_fn: Callable[[Float[Array, "m d"], Beliefs], Float[Array, " m"]],
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """Return the best of some random continuations, and what it is worth; -inf where none is possible.

    Candidates that compete for one target cost all cost about the same, so that what they are worth compares gains. A
    continuation has the gain of a whole training for a share of its cost: that share is divided out, and what is
    compared is the gain for what is paid. Limits on cost are on what is paid, too.

    Args:
        seen: by the strategy.
        key: of the proposal; other draws may use it as well.
        num: continuations that are drawn.
        worth_fn: (points, beliefs) -> the logarithm of what whole trainings are worth.
    """
    column = seen.continued_column
    assert column is not None
    data = seen.observations
    unit = continuations.draw(seen.space, data, column, jax.random.fold_in(key, 1), num)
    saved = continuations.parents_of(data, column, unit).saved
    at = seen.known.at(unit)
    worth = worth_fn(unit, at) - continuations.log_share(at.log_cost, saved)
    possible = (saved > 0) & candidates.is_new(unit, data.unit, data.success | data.pending | data.failed)
    if seen.space.constraints:
        possible &= seen.space.feasible(unit)
    if seen.log_max_cost is not None:
        possible &= jnp.log(continuations.paid(jnp.exp(cost_bound(at, seen.delta)), saved)) <= seen.log_max_cost
    worth = jnp.where(possible & (worth < jnp.inf), worth, -jnp.inf)
    best = jnp.argmax(worth)
    return unit[best], worth[best]
