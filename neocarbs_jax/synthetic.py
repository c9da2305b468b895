"""Traceable benchmark objectives whose Pareto fronts are known in closed form.

Each `Task` maps the values of a search space to a score (higher is better) and a cost. `task(values, key)` is the
noisy objective that a tuner sees, `task.noiseless(values)` is what it is judged by, `task.front()` is the true front.
The fronts need no search: in every task all axes but the budget (and, in the `rl` family, three discrete axes of
throughput) have one optimum that is independent of the cost, so the best score at a cost is a maximum over at
most 336 closed forms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from neocarbs_jax import ppo_model
from neocarbs_jax.pareto import Front, tabulate_front
from neocarbs_jax.ppo_model import SPACE, STEPS_RANGE
from neocarbs_jax.space import Log, SearchSpace

Values = Mapping[str, Array]
Outcome = tuple[Float[Array, ""], Float[Array, ""]]


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """One benchmark objective; hashable by identity, hence static under jit.

    Attributes:
        name: What the tables call it.
        space: Its search space.
        noiseless_fn: values -> (score, cost); a NaN score is a failure.
        noisy_fn: (values, key) -> (score, cost) as a tuner observes them.
        front_fn: () -> the true front.
        floor: Score below which nothing counts in the hypervolume.
    """

    name: str
    space: SearchSpace
    noiseless_fn: Callable[[Values], Outcome]
    noisy_fn: Callable[[Values, PRNGKeyArray], Outcome]
    front_fn: Callable[[], Front]
    floor: float = 0.0

    def noiseless(self, values: Values) -> Outcome:
        """Score and cost without observation noise."""
        return self.noiseless_fn(as_floats(values))

    def __call__(self, values: Values, key: PRNGKeyArray) -> Outcome:
        """One noisy observation of score and cost; the key is consumed."""
        return self.noisy_fn(as_floats(values), key)

    def front(self) -> Front:
        """The true front of noiseless score against cost."""
        return self.front_fn()


def as_floats(values: Values) -> dict[str, Array]:
    """The values as floating point arrays, whatever kind of number an axis decodes to."""
    return {name: jnp.asarray(value, float) for name, value in values.items()}


STEPS_PER_COST = 5e7  # the tasks without a throughput model: cost = steps / 5e7, hence in [0.2, 200]


def _normal(key: PRNGKeyArray) -> Float[Array, ""]:
    return jax.random.normal(key, (), float)


def _quality(values: Values) -> Float[Array, ""]:
    """exp(-(log10 learning_rate + 3)^2): the one axis besides the budget that matters in the simple tasks."""
    return jnp.exp(-((jnp.log10(values["learning_rate"]) + 3.0) ** 2))


def _simple_task(
    name: str,
    curve_fn: Callable[[Array], Array],
    observed_cost_fn: Callable[[Array, PRNGKeyArray], Array] | None = None,
    expected_cost_fn: Callable[[Array], Array] = lambda cost: cost,
    quality_fn: Callable[[Values], Array] = _quality,
) -> Task:
    """A task whose score is quality * curve(cost); its front is max(curve, 0), where quality is 1."""

    def noiseless(values: Values) -> Outcome:
        cost = expected_cost_fn(values["total_steps"] / STEPS_PER_COST)
        return quality_fn(values) * curve_fn(cost), cost

    def noisy(values: Values, key: PRNGKeyArray) -> Outcome:
        if observed_cost_fn is None:
            return noiseless(values)
        cost = observed_cost_fn(values["total_steps"] / STEPS_PER_COST, key)
        return quality_fn(values) * curve_fn(cost), cost

    def front() -> Front:
        low, high = (expected_cost_fn(jnp.asarray(steps / STEPS_PER_COST)) for steps in STEPS_RANGE)
        return tabulate_front(lambda cost: jnp.maximum(curve_fn(cost), 0.0), low, high)

    return Task(name, SPACE, noiseless, noisy, front)


def _noised_log_cost(cost: Array, key: PRNGKeyArray) -> Array:
    return jnp.clip(cost * (1.0 + 0.2 * _normal(key)), 1.0, 200.0)


def _noised_percentile_cost(cost: Array, key: PRNGKeyArray) -> Array:
    return jnp.clip(cost * (1.0 - 0.2 * jnp.abs(_normal(key))), 1.0, 200.0)


def _rl_task(
    name: str,
    hardness: float,
    noise: float,
    noise_fn: Callable[[Values, float], Array] = lambda values, noise: jnp.asarray(noise),
    fails_fn: Callable[[Values], Bool[Array, ""]] | None = None,
) -> Task:
    """11 PPO-like hyperparameters with interactions; observed with noise that is largest at middling scores."""

    def noiseless(values: Values) -> Outcome:
        score, cost = ppo_model.outcome(values, hardness)
        return score if fails_fn is None else jnp.where(fails_fn(values), jnp.nan, score), cost

    def noisy(values: Values, key: PRNGKeyArray) -> Outcome:
        score, cost = noiseless(values)
        spread = jnp.sqrt(jnp.maximum(score * (1.05 - score), 0.0) + 0.02)
        return score + noise_fn(values, noise) * spread * _normal(key), cost

    return Task(name, SPACE, noiseless, noisy, lambda: ppo_model.front(hardness))


def _louder_above_gradient_norm(values: Values, noise: float) -> Array:
    return jnp.where(values["max_grad_norm"] > 2.5, 0.3, noise)


def _ridge() -> Task:
    """Two axes to look at: the best learning rate falls as the budget grows; the ridge itself is the front."""

    def noiseless(values: Values) -> Outcome:
        cost = values["total_steps"] / STEPS_PER_COST
        optimum = -2.0 - 0.5 * jnp.log10(values["total_steps"] / STEPS_RANGE[0])
        distance = (jnp.log10(values["learning_rate"]) - optimum) / 0.5
        return jnp.exp(-(distance**2) / 2) * -jnp.expm1(-cost / 20.0), cost

    def noisy(values: Values, key: PRNGKeyArray) -> Outcome:
        score, cost = noiseless(values)
        return score + 0.02 * _normal(key), cost

    space = SearchSpace(learning_rate=Log(1e-5, 1e-1), total_steps=Log(*STEPS_RANGE))
    low, high = (steps / STEPS_PER_COST for steps in STEPS_RANGE)
    return Task(
        "ridge",
        space,
        noiseless,
        noisy,
        lambda: tabulate_front(lambda cost: -jnp.expm1(-cost / 20.0), jnp.asarray(low), jnp.asarray(high)),
    )


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _simple_task(
            "time", lambda cost: jnp.log(cost / 0.2) / jnp.log(1000.0), quality_fn=lambda values: jnp.asarray(1.0)
        ),
        _simple_task("linear", lambda cost: cost / 200.0),
        _simple_task(
            "log", lambda cost: jnp.log10(jnp.maximum(cost, 1.0)), _noised_log_cost, lambda cost: jnp.clip(cost, 1, 200)
        ),
        _simple_task(
            "percentile",
            lambda cost: jax.nn.sigmoid(cost / 10.0),
            _noised_percentile_cost,
            lambda cost: jnp.clip(0.84 * cost, 1.0, 200.0),
        ),
        _simple_task("cutoff", lambda cost: jnp.minimum(2.0, jnp.log10(cost))),
        _rl_task("rl", 2e8, 0.02),
        _rl_task("rl_hard", 2e9, 0.05),
        _rl_task("diverging", 2e8, 0.02, fails_fn=lambda values: ppo_model.learning_rate_gap(values) > 1.3),
        _rl_task("heteroscedastic", 2e8, 0.02, _louder_above_gradient_norm),
        _ridge(),
    )
}


def make(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: If there is no such task.
    """
    if name not in TASKS:
        raise ValueError(f"`name` must be one of {', '.join(TASKS)}; got {name!r}.")
    return TASKS[name]


def hypervolume_fraction(
    score: Float[Array, " n"], cost: Float[Array, " n"], front: Front, floor: float = 0.0
) -> Float[Array, " n"]:
    """Share of the true front's hypervolume over log cost that the first 1, 2, ..., n trials reach.

    fraction_k = int max_{i <= k, c_i <= c} (s_i - floor)^+ d log c  /  int (front(c) - floor)^+ d log c,
    both between the front's first and last cost.

    Args:
        score: Noiseless scores in the order of the trials; NaN for a failure.
        cost: Noiseless costs, same units as the front's.
        front: The true front.
        floor: Scores below it count nothing.

    Returns:
        One fraction per prefix of the trials.
    """
    gain = jnp.nan_to_num(jnp.maximum(score - floor, 0.0))
    start, end = jnp.log(front.cost[0]), jnp.log(front.cost[-1])
    order = jnp.argsort(cost)
    edges = jnp.clip(jnp.log(cost[order]), start, end)
    widths = jnp.diff(edges, append=end[None])

    def area(num_trials: Array) -> Array:
        counted = jnp.where(order <= num_trials, gain[order], 0.0)
        return jnp.sum(widths * jax.lax.cummax(counted))

    height = jnp.maximum(front.score - floor, 0.0)
    total = jnp.sum(jnp.diff(jnp.log(front.cost)) * (height[1:] + height[:-1]) / 2)
    return jax.vmap(area)(jnp.arange(cost.shape[0])) / total
