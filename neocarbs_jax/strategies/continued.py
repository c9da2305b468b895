"""Going on from an earlier trial, as a candidate beside new points."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from neocarbs_jax import candidates, continuations
from neocarbs_jax.beliefs import Beliefs, cost_bound
from neocarbs_jax.strategies.active import ActiveFront
from neocarbs_jax.strategies.base import Situation


def best_continuation(
    seen: Situation,
    front: ActiveFront,
    key: PRNGKeyArray,
    num: int,
    worth_fn: Callable[[Float[Array, "m d"], Beliefs], Float[Array, " m"]],
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """Return the best of some random continuations, and what it is worth; -inf where none is possible.

    A trial costs what it pays, and its turn: another trial would have been made in its place. So what a whole training
    is worth is multiplied by (c + m) / (p + m), c being its cost, p what is paid of it and m the mean cost of a trial.
    Where trials are cheap, turns are dear: new points teach more. Where they are expensive, what is saved decides.

    Args:
        seen: by the strategy.
        front: of the sweep, over the active range of cost.
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
    share = continuations.share(at.log_cost, saved)
    turn = jnp.exp(log_mean_cost(front) - at.log_cost)
    worth = worth_fn(unit, at) + jnp.log((1 + turn) / (share + turn))
    possible = (saved > 0) & (share >= continuations.LEAST_SHARE)
    possible &= candidates.is_new(unit, data.unit, data.success | data.pending | data.failed)
    if seen.space.constraints:
        possible &= seen.space.feasible(unit)
    if seen.log_max_cost is not None:  # on what is paid, as all limits are
        possible &= jnp.log(continuations.paid(jnp.exp(cost_bound(at, seen.delta)), saved)) <= seen.log_max_cost
    worth = jnp.where(possible & ~jnp.isnan(worth), worth, -jnp.inf)
    best = jnp.argmax(worth)
    return unit[best], worth[best]


def log_mean_cost(front: ActiveFront) -> Float[Array, ""]:
    """Return the logarithm of the mean cost of trials that are spread evenly over the active range of log cost."""
    start = front.edges[0]
    span = jnp.maximum(front.end - start, 1e-3)
    return front.end + jnp.log(-jnp.expm1(-span) / span)
