"""Trainings that go on from the checkpoint of an earlier one: which row a point extends, and what that spares it.

A row extends another one that equals it but for a smaller budget and has a checkpoint. Its place on the front is at the
cost of the whole training; what it pays is that cost less the cost of the parent until its checkpoint.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from neocarbs_jax.candidates import is_new
from neocarbs_jax.observations import Observations
from neocarbs_jax.space import SearchSpace

LEAST_SHARE = 0.3
"""Predicted share of the cost of a whole training that a continuation pays at least; a shorter one would teach little.
"""

LEAST_PAID = 0.3
"""Share of a predicted cost that is reckoned with at least: a cost that is predicted too low would leave nothing."""


class Parents(NamedTuple):
    """What points would go on from.

    Attributes:
        row: of the parent in the buffer; meaningless where there is none.
        saved: cost of the parent until its checkpoint, which the point need not pay; 0 where there is no parent.
    """

    row: Int[Array, " m"]
    saved: Float[Array, " m"]


def parents_of(data: Observations, column: int, unit: Float[Array, "m d"]) -> Parents:
    """Return of each point the row with the furthest checkpoint among those that it extends.

    Args:
        data: of the sweep.
        column: of the budget in unit points.
        unit: the points.
    """
    same = (unit[:, None, :] == data.unit[None, :, :]).at[:, :, column].set(True)
    longer = unit[:, None, column] > data.unit[None, :, column]
    extends = jnp.all(same, axis=-1) & longer & data.success[None, :]
    saved = jnp.where(extends, data.checkpoint[None, :], 0)
    return Parents(jnp.argmax(saved, axis=1).astype(jnp.int32), jnp.max(saved, axis=1))


def parent_of(
    data: Observations, column: int | None, unit: Float[Array, " d"]
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """Return which row a new point goes on from, by its turn, -1 for none, and what that row has paid of its cost.

    A replicate starts afresh: from the same checkpoint it would not be another draw of the noise.

    Args:
        data: of the sweep.
        column: of the budget in unit points; None where nothing goes on from anything.
        unit: the point.
    """
    if column is None:
        return jnp.int32(-1), jnp.zeros((), unit.dtype)
    [row], [saved] = parents_of(data, column, unit[None, :])
    [new] = is_new(unit[None, :], data.unit, data.success | data.failed | data.pending)
    saved = jnp.where(new, saved, 0)
    return jnp.where(saved > 0, data.turn[row], -1), saved


def draw(
    space: SearchSpace, data: Observations, column: int, likely: Bool[Array, " n"], key: PRNGKeyArray, num: int
) -> Float[Array, "m d"]:
    """Return random longer trainings of random rows with a checkpoint; the search centre where there is none.

    Half of them are of likely rows. Their budgets are uniform between that of the row and the largest. Points that
    break a constraint are among them.
    """
    row_key, budget_key = jax.random.split(key)
    inside = jnp.all((data.unit >= 0) & (data.unit <= 1), axis=1)  # what was told may lie beyond
    parents = data.success & (data.checkpoint > 0) & inside
    possible, both = jnp.any(parents), jnp.stack([parents, parents & likely]).astype(jnp.float32)
    weight = jnp.sum(both / jnp.maximum(jnp.sum(both, axis=1, keepdims=True), 1), axis=0)
    logits = jnp.where(possible, jnp.log(weight), 0)
    row = jax.random.categorical(row_key, logits, shape=(num,))
    base = jnp.where(possible, data.unit[row], jnp.asarray(space.center, data.unit.dtype)[None, :])
    part = jax.random.uniform(budget_key, (num,), jnp.float32).astype(base.dtype)
    longer = base.at[:, column].add(part * jnp.maximum(1 - base[:, column], 0))
    # Of the snapped point the budget alone: the others must stay those of the row to the last bit.
    return base.at[:, column].set(space.snap(longer)[:, column])


def share(log_cost: Float[Array, " m"], saved: Float[Array, " m"]) -> Float[Array, " m"]:
    """Return the share of its cost that a training pays itself, at least 0.

    Args:
        log_cost: predicted, of the whole training.
        saved: what it need not pay.
    """
    return jnp.maximum(1 - saved * jnp.exp(-log_cost), 0)


def paid(cost: Float[Array, "*m"], saved: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """Return what a training of a predicted cost pays itself, at least `LEAST_PAID` of it."""
    return jnp.maximum(cost - saved, jnp.where(saved > 0, LEAST_PAID, 1) * cost)
