"""A whole sweep as pure functions of arrays: jit them, vmap them, scan over them.

    config = Config(space, capacity=256, strategy=NeoCARBS())            # static under jit; "neocarbs" is the same
    state = init(config)
    state, suggestion = suggest(config, state, key)                      # .unit, .values, predictions, rating
    state, suggestion = suggest(config, state, key, remaining)           # of a budget: nothing that does not fit
    state = observe(config, state, suggestion, score, cost, failed=False)
    state = observe(config, state, suggestion, score, cost, checkpoint=paid)   # longer suggestions may go on from there
    state = observe_curve(config, state, suggestion, budgets, scores, costs)   # one training, several budgets
    state = forget(config, state, suggestion)                            # a pending suggestion that will never report
    state, suggestion = enqueue(config, state, unit)                     # a point chosen by the user, as if suggested
    state, suggestions = suggest_batch(config, state, key, q)            # leading axis q; each knows of the others
    state, info = step(config, state, key, objective)                    # objective(values, key) -> (score, cost)
    state, trace = run(config, objective, key, num_trials)
    config, state = grow(config, state, capacity)                        # outside jit
    state = restore(config, unit, score, cost, status)                   # rows in the order of their suggestion

`config`, `q`, `num_trials`, `capacity` and `objective` are static: jax.jit(suggest, static_argnums=0). Nothing
recompiles while observations accumulate. Surrogates are refitted when the number of rows passes a checkpoint.
Checkpoints depend on that number alone, and every fit starts from the same values, so that a restored sweep suggests
what it would have suggested.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from neocarbs_jax import beliefs, continuations, fitting
from neocarbs_jax import observations as buffers
from neocarbs_jax.config import Config
from neocarbs_jax.observations import Status
from neocarbs_jax.space import Options
from neocarbs_jax.space.feasibility import settle
from neocarbs_jax.state import State, StepInfo, Suggestion, grow, init, is_failure, restore
from neocarbs_jax.strategies import Situation

__all__ = [
    "Config", "State", "Status", "StepInfo", "Suggestion",
    "enqueue", "forget", "grow", "init", "is_failure", "observe", "observe_curve", "propose", "refit", "restore", "run",
    "step", "suggest", "suggest_batch",
]  # fmt: skip

Objective = Callable[[Mapping[str, Any], Array], tuple[Array, Array]]


def suggest(
    config: Config, state: State, key: PRNGKeyArray, remaining: Float[ArrayLike, ""] | None = None
) -> tuple[State, Suggestion]:
    """Return the next point to try, entered as pending: `refit`, then `propose`.

    Args:
        config: of the sweep.
        state: of the sweep.
        key: consumed.
        remaining: what the ended trials have left of a budget, in units of cost; None for no budget.
    """
    return propose(config, refit(config, state), key, remaining)


def refit(config: Config, state: State) -> State:
    """Return the state with surrogates refitted, where a checkpoint was passed since the last fit."""
    if not config.strategy.uses_surrogates:
        return state
    return state._replace(fit=fitting.refit(config.form, state.observations, state.fit))


def propose(
    config: Config, state: State, key: PRNGKeyArray, remaining: Float[ArrayLike, ""] | None = None
) -> tuple[State, Suggestion]:
    """Return the next point to try, entered as pending, without fitting the surrogates: call `refit` before.

    Args:
        config: of the sweep.
        state: of the sweep.
        key: consumed.
        remaining: as of `suggest`.
    """
    seen = _situation(config, state, remaining)
    unit = config.strategy.propose(seen, key)
    if config.space.constraints:  # a told point that broke them may have been chosen again
        unit = settle(config.space, unit)
    center = jnp.asarray(config.space.center, unit.dtype)
    return _enter(config, state, jnp.where(state.count == 0, config.space.snap(center), unit), seen)


def _situation(config: Config, state: State, remaining: Float[ArrayLike, ""] | None = None) -> Situation:
    data = state.observations
    known = beliefs.condition(config.form, data, state.fit) if config.strategy.uses_surrogates else None
    most = None if config.trial_cap is None else math.log(config.trial_cap)
    left = None
    if remaining is not None and known is not None:
        left = jnp.asarray(remaining, data.cost.dtype)
        expected = jnp.exp(known.at(data.unit).log_cost)  # of trials that run: they are paid for, too
        expected = continuations.paid(expected, data.inherited)
        left = jnp.log(jnp.maximum(left - jnp.sum(jnp.where(data.pending, expected, 0)), jnp.finfo(left.dtype).tiny))
        most = left if most is None else jnp.minimum(left, most)
    rules = config.delta, config.resample_every, config.continued_column
    return Situation(config.space, data, known, state.count, most, left, *rules)


def suggest_batch(
    config: Config, state: State, key: PRNGKeyArray, q: int, remaining: Float[ArrayLike, ""] | None = None
) -> tuple[State, Suggestion]:
    """Return `q` suggestions along a leading axis, each aware of those before it and of all running trials."""
    keys = jax.random.split(key, q)
    return jax.lax.scan(lambda carry, key: suggest(config, carry, key, remaining), state, keys)


def enqueue(config: Config, state: State, unit: Float[Array, " d"]) -> tuple[State, Suggestion]:
    """Enter a point of the caller's choice as a pending suggestion, snapped to the space.

    If it extends a row with a checkpoint, it goes on from there, as a suggestion does. Trials that are queued in a
    study never do.
    """
    return _enter(config, state, config.space.snap(unit), None)


def observe(
    config: Config,
    state: State,
    suggestion: Suggestion,
    score: Float[Array, ""] | float,
    cost: Float[Array, ""] | float,
    failed: Bool[Array, ""] | bool = False,
    checkpoint: Float[Array, ""] | float = 0.0,
) -> State:
    """Enter a measurement. A trial that failed is kept as a failure, and so is one whose numbers `is_failure` rejects.

    A suggestion whose row a full buffer has forgotten changes nothing.

    Args:
        config: of the sweep.
        state: of the sweep.
        suggestion: the trial.
        score: measured.
        cost: of the whole training; `suggestion.inherited` is the part of it that a parent has paid.
        failed: whether the trial failed, whatever its score.
        checkpoint: the part of the cost until a checkpoint from which longer trials may go on; 0 for none.
    """
    dtype = state.observations.score.dtype
    score, cost = jnp.asarray(score, dtype), jnp.asarray(cost, dtype)
    bad = jnp.asarray(failed) | is_failure(score, cost)
    observations = buffers.write(
        state.observations,
        suggestion.index,
        suggestion.unit.astype(dtype),
        jnp.where(bad, 0, config.signed(score)),
        jnp.where(jnp.isfinite(cost) & (cost > 0), cost, 1),
        jnp.where(bad, int(Status.FAILED), int(Status.SUCCESS)),
        jnp.where(bad, 0, jnp.asarray(checkpoint, dtype)),
    )
    return state._replace(observations=observations)


def observe_curve(
    config: Config,
    state: State,
    suggestion: Suggestion,
    budgets: Float[Array, " p"],
    scores: Float[Array, " p"],
    costs: Float[Array, " p"],
    checkpoint: Float[Array, ""] | float = 0.0,
) -> State:
    """Enter one training as observations at several budgets, for each shorter training that it was on its way.

    It counts as one suggestion, in the initial design and wherever else suggestions are counted.

    Args:
        config: of the sweep; `config.budget` names the axis that the budgets belong to.
        state: of the sweep.
        suggestion: the trial; the last point of the curve becomes its own observation.
        budgets: values of that axis, ascending; values outside it are left out, but for the last.
        scores: measured at each budget; points that are not finite are left out, a last one is a failure.
        costs: spent until each budget.
        checkpoint: as of `observe`.

    Raises:
        ValueError: when `config.budget` is None.
    """
    if config.budget is None:
        raise ValueError("`budget` must name an axis for `observe_curve`; got None.")
    axis = dict(config.space.axes)[config.budget]
    assert not isinstance(axis, Options)  # Config's rule
    column = config.space.slices[config.budget].start
    dtype = state.observations.score.dtype
    budgets, scores, costs = (jnp.asarray(a, dtype) for a in (budgets, scores, costs))
    inside = (budgets >= axis.low) & (budgets <= axis.high) & ~is_failure(scores, costs)
    run = buffers.run_of(state.observations, suggestion.index)

    def enter(state: State, point: tuple[Array, ...]) -> tuple[State, None]:
        budget, score, cost, valid = point
        unit = config.space.snap(suggestion.unit.at[column].set(axis.to_unit(budget)))
        done = jnp.asarray(int(Status.SUCCESS), jnp.int32)
        known = state.observations
        observations = buffers.enter(known, unit, config.signed(score), cost, done, valid, run, cost)
        return state._replace(observations=observations), None

    earlier = jax.tree.map(lambda a: a[:-1], (budgets, scores, costs, inside))
    state, _ = jax.lax.scan(enter, state, earlier)
    return observe(config, state, suggestion, scores[-1], costs[-1], checkpoint=checkpoint)


def forget(config: Config, state: State, suggestion: Suggestion) -> State:
    """Mark a pending suggestion as abandoned: nothing was learnt from it, and it shapes no later suggestion."""
    observations = state.observations
    status = jnp.where(observations.turn == suggestion.index, int(Status.ABANDONED), observations.status)
    return state._replace(observations=observations._replace(status=status))


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
    score, cost = jnp.asarray(score), jnp.asarray(cost)
    return state, StepInfo(suggestion, score, cost, is_failure(score, cost))


def run(config: Config, objective: Objective, key: PRNGKeyArray, num_trials: int) -> tuple[State, StepInfo]:
    """Run a whole sweep; the returned trace has a leading axis of trials."""
    keys = jax.random.split(key, num_trials)
    return jax.lax.scan(lambda state, key: step(config, state, key, objective), init(config), keys)


def _enter(config: Config, state: State, unit: Float[Array, " d"], seen: Situation | None) -> tuple[State, Suggestion]:
    """Enter a pending row and describe it."""
    before = state.observations
    dtype = before.unit.dtype
    unit = unit.astype(dtype)
    nan = jnp.full((), jnp.nan, dtype)
    expected, rating = (nan, nan, nan, nan), nan
    if seen is not None and seen.surrogates is not None:
        at = seen.surrogates.at(unit[None, :])
        score, *others = (a[0] for a in seen.surrogates.in_units(at))
        expected = (config.signed(score), *others)
        rating = config.strategy.rate(seen, at)
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    parent, saved = continuations.parent_of(before, config.continued_column, unit)
    run = jnp.where(parent < 0, before.num_entered, buffers.run_of(before, parent))
    observations = buffers.enter(
        before, unit, zero, one, jnp.asarray(int(Status.PENDING), jnp.int32), run=run, inherited=saved
    )
    values = {n: jnp.asarray(v) for n, v in config.space.from_unit(unit).items() if not isinstance(v, str)}
    suggestion = Suggestion(before.num_entered, unit, values, *expected, rating, parent, saved)  # pyright: ignore[reportCallIssue]  # four of them
    return state._replace(observations=observations, count=state.count + 1), suggestion
