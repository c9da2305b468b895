"""A whole sweep as pure functions of arrays: jit them, vmap them, scan over them.

    config = Config(space, capacity=256, strategy="neocarbs")            # static under jit
    state = init(config)
    state, suggestion = suggest(config, state, key)                      # .unit, .values, predictions, rating
    state = observe(config, state, suggestion, score, cost, failed=False)
    state = forget(config, state, suggestion)                            # a pending suggestion that will never report
    state, suggestion = enqueue(config, state, unit)                     # a point chosen by the user, as if suggested
    state, suggestions = suggest_batch(config, state, key, q)            # leading axis q; each knows of the others
    state, info = step(config, state, key, objective)                    # objective(values, key) -> (score, cost)
    state, trace = run(config, objective, key, num_trials)
    config, state = grow(config, state, capacity)                        # outside jit
    state = restore(config, unit, score, cost, status)                   # rows in the order of their suggestion

`config`, `q`, `num_trials`, `capacity` and `objective` are static: jax.jit(suggest, static_argnums=0). Nothing
recompiles while observations accumulate. Surrogates are refitted when the number of suggestions passes a checkpoint,
which depends on that number alone, from a start that depends on nothing: a restored sweep suggests what it would have.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from neocarbs_jax import front, pareto
from neocarbs_jax import model as models
from neocarbs_jax import observations as buffers
from neocarbs_jax.config import Config
from neocarbs_jax.model import Fit
from neocarbs_jax.observations import Observations, Status
from neocarbs_jax.strategies import STRATEGIES

__all__ = [
    "Config", "State", "Status", "StepInfo", "Suggestion",
    "enqueue", "forget", "grow", "init", "observe", "restore", "run", "step", "suggest", "suggest_batch",
]  # fmt: skip

Objective = Callable[[Mapping[str, Any], Array], tuple[Array, Array]]


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
    """A point to try, and what the surrogates expect of it (NaN from strategies that have none).

    Attributes:
        index: its row in the buffer.
        unit: the point.
        values: name -> value, traced, without fixed strings; exact Python values: `space.from_unit(np.asarray(unit))`.
        predicted_score: predictive mean of the measured score, in its own units.
        predicted_score_std: standard deviation of that prediction, noise included.
        predicted_cost: predictive median of the measured cost, in its own units.
        predicted_cost_std: standard deviation of that prediction.
        rating: expected hypervolume gain of this trial, as a fraction of the front's present hypervolume.
        rating_per_cost: rating divided by the predicted cost.
    """

    index: Int[Array, "*q"]
    unit: Float[Array, "*q d"]
    values: dict[str, Any]
    predicted_score: Float[Array, "*q"]
    predicted_score_std: Float[Array, "*q"]
    predicted_cost: Float[Array, "*q"]
    predicted_cost_std: Float[Array, "*q"]
    rating: Float[Array, "*q"]
    rating_per_cost: Float[Array, "*q"]


class StepInfo(NamedTuple):
    """One trial: the suggestion, and what was measured."""

    suggestion: Suggestion
    score: Float[Array, "*t"]
    cost: Float[Array, "*t"]
    failed: Bool[Array, "*t"]


def init(config: Config) -> State:
    """A sweep that has seen nothing."""
    return State(
        buffers.empty(config.capacity, config.space.size), jnp.zeros((), jnp.int32), models.unfitted(config)
    )


def suggest(config: Config, state: State, key: PRNGKeyArray) -> tuple[State, Suggestion]:
    """The next point to try, entered as pending.

    Args:
        config: of the sweep.
        state: of the sweep.
        key: consumed.
    """
    strategy = STRATEGIES[config.strategy]
    model = None
    if strategy.uses_model:
        fit = models.refit(config, state.observations, state.fit, state.count)
        state = state._replace(fit=fit)
        model = models.build(config, state.observations, fit)
    unit = strategy.propose(config, state.observations, model, state.count, key)
    center = jnp.asarray(config.space.center, unit.dtype)
    unit = jnp.where(state.count == 0, config.space.snap(center), unit)
    return _enter(config, state, unit, model)


def suggest_batch(config: Config, state: State, key: PRNGKeyArray, q: int) -> tuple[State, Suggestion]:
    """`q` suggestions along a leading axis, each aware of those before it and of all running trials."""
    keys = jax.random.split(key, q)
    return jax.lax.scan(lambda carry, key: suggest(config, carry, key), state, keys)


def enqueue(config: Config, state: State, unit: Float[Array, " d"]) -> tuple[State, Suggestion]:
    """Enter a point that somebody else chose as pending, snapped to the space."""
    return _enter(config, state, config.space.snap(unit), None)


def observe(
    config: Config,
    state: State,
    suggestion: Suggestion,
    score: Float[Array, ""] | float,
    cost: Float[Array, ""] | float,
    failed: Bool[Array, ""] | bool = False,
) -> State:
    """Enter a measurement. A failed trial, or one whose score or cost is not finite, is data of its own kind."""
    dtype = state.observations.score.dtype
    score, cost = jnp.asarray(score, dtype), jnp.asarray(cost, dtype)
    bad = jnp.asarray(failed) | ~jnp.isfinite(score) | ~jnp.isfinite(cost)
    tiny = jnp.finfo(dtype).tiny
    observations = buffers.write(
        state.observations,
        suggestion.index,
        suggestion.unit.astype(dtype),
        jnp.where(bad, 0, score),
        jnp.where(jnp.isfinite(cost), jnp.maximum(cost, tiny), 1),
        jnp.where(bad, int(Status.FAILED), int(Status.SUCCESS)),
    )
    return state._replace(observations=observations)


def forget(config: Config, state: State, suggestion: Suggestion) -> State:
    """Mark a pending suggestion as abandoned: nothing was learnt from it, and it shapes no later suggestion."""
    status = state.observations.status.at[suggestion.index].set(int(Status.ABANDONED), mode="drop")
    return state._replace(observations=state.observations._replace(status=status))


def step(config: Config, state: State, key: PRNGKeyArray, objective: Objective) -> tuple[State, StepInfo]:
    """Suggest, evaluate and observe one trial.

    Args:
        config: of the sweep.
        state: of the sweep.
        key: consumed.
        objective: traceable, (values, key) -> (score, cost); a non-finite score is a failed trial.
    """
    suggest_key, objective_key = jax.random.split(key)
    state, suggestion = suggest(config, state, suggest_key)
    score, cost = objective(config.space.from_unit(suggestion.unit), objective_key)
    state = observe(config, state, suggestion, score, cost)
    failed = ~jnp.isfinite(score) | ~jnp.isfinite(cost)
    return state, StepInfo(suggestion, jnp.asarray(score), jnp.asarray(cost), failed)


def run(config: Config, objective: Objective, key: PRNGKeyArray, num_trials: int) -> tuple[State, StepInfo]:
    """A whole sweep; the returned trace has a leading axis of trials."""
    keys = jax.random.split(key, num_trials)
    return jax.lax.scan(lambda state, key: step(config, state, key, objective), init(config), keys)


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
    unit: Float[Array, "n d"],
    score: Float[Array, " n"],
    cost: Float[Array, " n"],
    status: Int[Array, " n"],
) -> State:
    """The state of a sweep that made these suggestions in this order.

    Args:
        config: of the sweep; its capacity holds all rows.
        unit: suggested points.
        score: measured scores; anything where not successful.
        cost: measured costs; anything where unknown.
        status: one `Status` each; a success whose score or cost is not finite counts as failed.

    Raises:
        ValueError: when the rows exceed the capacity.
    """
    num_rows = unit.shape[0]
    if num_rows > config.capacity:
        raise ValueError(f"`capacity` must hold all {num_rows} rows; got {config.capacity}.")
    state = init(config)
    dtype = state.observations.unit.dtype
    unit, score, cost = (jnp.asarray(a, dtype) for a in (unit, score, cost))
    status = jnp.asarray(status, jnp.int32)
    finite = jnp.isfinite(score) & jnp.isfinite(cost)
    status = jnp.where((status == Status.SUCCESS) & ~finite, int(Status.FAILED), status)
    known = status == Status.SUCCESS
    cost = jnp.where(jnp.isfinite(cost), jnp.maximum(cost, jnp.finfo(dtype).tiny), 1)
    rows = Observations(unit, jnp.where(known, score, 0), cost, status)
    observations = jax.tree.map(lambda a, b: a.at[:num_rows].set(b), state.observations, rows)
    state = State(observations, jnp.asarray(num_rows, jnp.int32), state.fit)
    if STRATEGIES[config.strategy].uses_model:
        state = state._replace(fit=_fit_at_checkpoint(config, state))
    return state


def _fit_at_checkpoint(config: Config, state: State) -> Fit:
    """The fit that the sweep made when it passed its last checkpoint, from the rows that it had then."""
    refit = jax.jit(models.refit, static_argnums=0)
    return refit(config, state.observations, state.fit, state.count)


def _free_row(state: State) -> Int[Array, ""]:
    """The next empty row; in a full buffer the oldest one that is neither pending nor on the raw front."""
    observations = state.observations
    front = pareto.non_dominated(observations.score, jnp.log(observations.cost), observations.success)
    replaceable = ~front & ~observations.pending
    oldest = jnp.argmax(replaceable).astype(jnp.int32)
    oldest = jnp.where(jnp.any(replaceable), oldest, jnp.argmin(observations.pending).astype(jnp.int32))
    return jnp.where(state.count < observations.capacity, state.count, oldest)


def _enter(
    config: Config, state: State, unit: Float[Array, " d"], model: models.Model | None
) -> tuple[State, Suggestion]:
    """Write a pending row and describe it."""
    index = _free_row(state)
    dtype = state.observations.unit.dtype
    unit = unit.astype(dtype)
    nan = jnp.full((), jnp.nan, dtype)
    expected = models.Prediction(nan, nan, nan, nan)
    rating = nan
    if model is not None:
        expected = jax.tree.map(lambda a: a[0], models.predict(model, unit[None, :]))
        rating = front.rate(config, state.observations, model, unit)
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    observations = buffers.write(
        state.observations, index, unit, zero, one, jnp.asarray(int(Status.PENDING), jnp.int32)
    )
    values = config.space.from_unit(unit)
    suggestion = Suggestion(
        index=index,
        unit=unit,
        values={n: jnp.asarray(v) for n, v in values.items() if not isinstance(v, str)},
        predicted_score=expected.score,
        predicted_score_std=expected.score_std,
        predicted_cost=expected.cost,
        predicted_cost_std=expected.cost_std,
        rating=rating,
        rating_per_cost=rating / expected.cost,
    )
    return state._replace(observations=observations, count=state.count + 1), suggestion
