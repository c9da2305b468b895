"""What a sweep carries and gives: its state at the start, of another size, and made again from rows."""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from neocarbs_jax import fitting
from neocarbs_jax import observations as buffers
from neocarbs_jax.config import Config
from neocarbs_jax.fitting import Fit
from neocarbs_jax.observations import Observations, Status


class State(NamedTuple):
    """Everything a sweep carries.

    Attributes:
        observations: the buffer.
        count: number of suggestions made so far.
        fit: hyperparameters of the surrogates at the last checkpoint.
    """

    observations: Observations
    count: Int[Array, ""]
    fit: Fit


class Suggestion(NamedTuple):
    """A point to try, and what the surrogates expect of it (NaN without surrogates).

    Attributes:
        index: number of its row among all that were ever entered, `Observations.turn`.
        unit: the point.
        values: name -> value, traced, without fixed strings; the middle of an axis that is not active. Exact Python
            values: `space.from_unit(np.asarray(unit))`.
        predicted_score: predictive median of the measured score, in its own units.
        predicted_score_std: half the width of the central 68% of that prediction, noise included: the standard
            deviation of a normal one.
        predicted_cost: predictive median of the measured cost, in its own units.
        predicted_cost_std: half the width of the central 68% of that prediction.
        rating: expected hypervolume gain of this trial, as a fraction of the front's present hypervolume; 1 before the
            first success.
        parent: row, by its `index`, whose checkpoint the trial goes on from; -1 for none.
        inherited: the part of the cost that the parent has paid; 0 without one. `predicted_cost` is of the whole.
    """

    index: Int[Array, "*q"]
    unit: Float[Array, "*q d"]
    values: dict[str, Any]
    predicted_score: Float[Array, "*q"]
    predicted_score_std: Float[Array, "*q"]
    predicted_cost: Float[Array, "*q"]
    predicted_cost_std: Float[Array, "*q"]
    rating: Float[Array, "*q"]
    parent: Int[Array, "*q"]
    inherited: Float[Array, "*q"]


class StepInfo(NamedTuple):
    """One trial: the suggestion, and what was measured."""

    suggestion: Suggestion
    score: Float[Array, "*t"]
    cost: Float[Array, "*t"]
    failed: Bool[Array, "*t"]


def init(config: Config) -> State:
    """A sweep that has seen nothing."""
    fit = fitting.unfitted(config.form, config.space.size)
    return State(buffers.empty(config.capacity, config.space.size), jnp.zeros((), jnp.int32), fit)


def grow(config: Config, state: State, capacity: int) -> tuple[Config, State]:
    """The same sweep with a larger buffer.

    Raises:
        ValueError: when `capacity` is smaller than it is now.
    """
    if capacity < config.capacity:
        raise ValueError(f"`capacity` must be at least {config.capacity}, the present one; got {capacity}.")
    observations = buffers.grow(state.observations, capacity)
    return dataclasses.replace(config, capacity=capacity), state._replace(observations=observations)


def restore(
    config: Config,
    unit: Float[ArrayLike, "n d"],
    score: Float[ArrayLike, " n"],
    cost: Float[ArrayLike, " n"],
    status: Int[ArrayLike, " n"],
    fit: Fit | None = None,
    count: int | None = None,
    run: Int[ArrayLike, " n"] | None = None,
    checkpoint: Float[ArrayLike, " n"] | None = None,
    inherited: Float[ArrayLike, " n"] | None = None,
) -> State:
    """Return the state of a sweep that made these suggestions in this order; `suggest` or `refit` fits its surrogates.

    Args:
        config: of the sweep; its capacity holds all rows.
        unit: suggested points.
        score: measured scores; anything where not successful.
        cost: measured costs; anything where unknown.
        status: one `Status` each; a success that `is_failure` tells from one counts as failed.
        fit: `State.fit` of this sweep, in this precision, made when the first `fit.count` rows were what they are now;
            spares fitting again while no further checkpoint is passed.
        count: number of suggestions, where the rows hold earlier points of curves as well; by default one for each row.
        run: number of the training of each row, where one gave several; by default one for each row.
        checkpoint: cost of each row until its checkpoint, 0 where it has none; by default none has.
        inherited: the part of each cost that another row has paid, as of `Observations`; by default none.

    Raises:
        ValueError: when the rows exceed the capacity.
    """
    num_rows = np.shape(score)[0]
    if num_rows > config.capacity:
        raise ValueError(f"`capacity` must hold all {num_rows} rows; got {config.capacity}.")
    dtype = jnp.zeros(()).dtype
    with np.errstate(over="ignore"):  # what overflows is infinite, and a failure
        unit, score, cost = (np.asarray(a, dtype) for a in (unit, score, cost))
    status = np.asarray(status, np.int32)
    known = np.isfinite(cost) & (cost > 0)
    status = np.where((status == Status.SUCCESS) & ~(np.isfinite(score) & known), int(Status.FAILED), status)
    cost = np.where(known, cost, 1)
    score = np.where(status == Status.SUCCESS, config.signed(score), 0)
    state = init(config)
    # By NumPy, so that nothing compiles anew for another number of rows.
    buffer = [np.array(column) for column in state.observations]
    turn = np.arange(num_rows)
    kept, others = (np.zeros(num_rows, dtype) if a is None else np.asarray(a, dtype) for a in (checkpoint, inherited))
    rows = unit, score, cost, status, turn, turn if run is None else run, kept, others
    for column, row in zip(buffer, rows, strict=True):
        column[:num_rows] = row
    observations = Observations(*map(jnp.asarray, buffer))
    return State(
        observations, jnp.asarray(num_rows if count is None else count, jnp.int32), state.fit if fit is None else fit
    )


def is_failure(score: Float[Array, "*n"], cost: Float[Array, "*n"]) -> Bool[Array, "*n"]:
    """Return whether a measurement is none: its score not finite, its cost not finite or not positive."""
    return ~jnp.isfinite(score) | ~jnp.isfinite(cost) | (cost <= 0)
