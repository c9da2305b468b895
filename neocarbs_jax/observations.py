"""What a sweep has seen: a buffer of fixed capacity whose empty rows are masked, so that shapes never change."""

import enum
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from neocarbs_jax import pareto
from neocarbs_jax.precision import matmul


class Status(enum.IntEnum):
    """What became of a row."""

    EMPTY = 0
    PENDING = 1
    SUCCESS = 2
    FAILED = 3
    ABANDONED = 4


class Observations(NamedTuple):
    """Measurements in the order in which their rows were entered.

    Attributes:
        unit: points of the unit cube.
        score: measured score, higher is better; 0 where not successful.
        cost: measured cost, positive; 1 where unknown.
        status: one `Status` per row.
        turn: number of the row among all that were ever entered; -1 of an empty one.
        run: number of the training that gave the row; rows of one training share its luck.
        checkpoint: cost of the training until its checkpoint, from which a longer one may go on; 0 where it has none.
        inherited: the part of the cost that another row has paid: the parent of one that goes on from a checkpoint, or
            the training that an earlier point of a curve belongs to; 0 where the row has paid all of it.
    """

    unit: Float[Array, "n d"]
    score: Float[Array, " n"]
    cost: Float[Array, " n"]
    status: Int[Array, " n"]
    turn: Int[Array, " n"]
    run: Int[Array, " n"]
    checkpoint: Float[Array, " n"]
    inherited: Float[Array, " n"]

    @property
    def capacity(self) -> int:
        return self.unit.shape[0]

    @property
    def success(self) -> Bool[Array, " n"]:
        return self.status == Status.SUCCESS

    @property
    def pending(self) -> Bool[Array, " n"]:
        return self.status == Status.PENDING

    @property
    def failed(self) -> Bool[Array, " n"]:
        return self.status == Status.FAILED

    @property
    def num_rows(self) -> Int[Array, ""]:
        """Number of rows that are not empty."""
        return jnp.sum(self.turn >= 0, dtype=jnp.int32)

    @property
    def num_entered(self) -> Int[Array, ""]:
        """Number of rows that were ever entered, forgotten ones included."""
        return jnp.max(self.turn) + 1


class Merged(NamedTuple):
    """Successful rows with replicates of one point averaged: each row holds the means of its group.

    Attributes:
        score: mean score over the successful rows at the same point.
        cost: geometric mean of their costs.
        num_replicates: how many they are; 0 for rows that were not successful.
        first: whether the row is the first of its group.
    """

    score: Float[Array, " n"]
    cost: Float[Array, " n"]
    num_replicates: Int[Array, " n"]
    first: Bool[Array, " n"]


def empty(capacity: int, num_axes: int) -> Observations:
    """A buffer without observations, in JAX's default precision."""
    return Observations(
        unit=jnp.zeros((capacity, num_axes)),
        score=jnp.zeros(capacity),
        cost=jnp.ones(capacity),
        status=jnp.full(capacity, int(Status.EMPTY), jnp.int32),
        turn=jnp.full(capacity, -1, jnp.int32),
        run=jnp.full(capacity, -1, jnp.int32),
        checkpoint=jnp.zeros(capacity),
        inherited=jnp.zeros(capacity),
    )


def enter(
    observations: Observations,
    unit: Float[Array, " d"],
    score: Float[Array, ""],
    cost: Float[Array, ""],
    status: Int[Array, ""],
    wanted: Bool[Array, ""] | bool = True,
    run: Int[Array, ""] | None = None,
    inherited: Float[Array, ""] | float = 0.0,
) -> Observations:
    """Append a row, if it is wanted; a full buffer forgets its oldest row that is neither pending nor on the front.

    Where every row is one or the other, the oldest on the front goes, and where all are pending, the oldest. The new
    row is a run of its own, unless another one is given.
    """
    capacity, occupied, turn = observations.capacity, observations.num_rows, observations.num_entered
    front = pareto.non_dominated(observations.score, jnp.log(observations.cost), observations.success)
    dearness = 2 * observations.pending.astype(jnp.int32) + front.astype(jnp.int32)
    forgotten = jnp.argmin(dearness).astype(jnp.int32)  # the first of those
    row = jnp.arange(capacity, dtype=jnp.int32)
    is_full = occupied >= capacity
    source = jnp.where(is_full & (row >= forgotten), jnp.minimum(row + 1, capacity - 1), row)
    at = jnp.where(is_full, capacity - 1, occupied)
    new = (unit, score, cost, status, turn, turn if run is None else run, 0, inherited)
    columns = [
        old[source].at[at].set(jnp.asarray(value, old.dtype)) for old, value in zip(observations, new, strict=True)
    ]
    return Observations(*(jnp.where(wanted, column, old) for column, old in zip(columns, observations, strict=True)))


def write(
    observations: Observations,
    turn: Int[Array, ""],
    unit: Float[Array, " d"],
    score: Float[Array, ""],
    cost: Float[Array, ""],
    status: Int[Array, ""],
    checkpoint: Float[Array, ""] | float = 0.0,
) -> Observations:
    """Overwrite the row of this turn; one that is not there, or not any more, changes nothing."""
    found = (observations.turn == turn) & (turn >= 0)
    index = jnp.where(jnp.any(found), jnp.argmax(found), observations.capacity)
    new = {"unit": unit, "score": score, "cost": cost, "status": status, "checkpoint": checkpoint}
    old = {name: getattr(observations, name) for name in new}
    written = {name: old[name].at[index].set(jnp.asarray(new[name], old[name].dtype), mode="drop") for name in new}
    return observations._replace(**written)


def run_of(observations: Observations, turn: Int[Array, ""]) -> Int[Array, ""]:
    """Return the run of the row of this turn; the turn itself where the row is forgotten."""
    found = observations.turn == turn
    return jnp.where(jnp.any(found), observations.run[jnp.argmax(found)], turn)


def grow(observations: Observations, capacity: int) -> Observations:
    """The same rows in a larger buffer."""
    more = empty(capacity - observations.capacity, observations.unit.shape[1])
    pairs = zip(observations, more, strict=True)
    return Observations(*(jnp.concatenate([old, new.astype(old.dtype)]) for old, new in pairs))


def merge(observations: Observations) -> Merged:
    """Average replicates: rows with bitwise equal unit points."""
    success = observations.success
    same = jnp.all(observations.unit[:, None, :] == observations.unit[None, :, :], axis=-1)
    same = same & success[:, None] & success[None, :]
    weight = same.astype(observations.unit.dtype)
    count = jnp.sum(same, axis=1, dtype=jnp.int32)
    share = weight / jnp.maximum(jnp.sum(weight, axis=1, keepdims=True), 1)
    earlier = jnp.sum(jnp.tril(same, -1), axis=1)
    return Merged(
        score=jnp.where(success, matmul(share, jnp.where(success, observations.score, 0)), 0),
        cost=jnp.where(success, jnp.exp(matmul(share, jnp.log(jnp.where(success, observations.cost, 1)))), 1),
        num_replicates=count,
        first=success & (earlier == 0),
    )
