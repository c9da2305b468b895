"""How the next point is chosen: each strategy is one pure function of what was seen and believed.

    propose(config, observations, model, count, key) -> unit point

`count` is the number of earlier suggestions. Strategies that do not look at the model are given None.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from neocarbs_jax import acquisition, candidates, pareto, surrogate
from neocarbs_jax import model as models
from neocarbs_jax.config import Config
from neocarbs_jax.model import Model
from neocarbs_jax.observations import Observations

_NUM_STRIPS = 48


class Strategy(NamedTuple):
    """A rule for the next point.

    Attributes:
        propose: the function above.
        uses_model: whether it needs the surrogates.
    """

    propose: Callable[[Config, Observations, Model | None, Array, Array], Array]
    uses_model: bool


class ActiveFront(NamedTuple):
    """The staircase front of posterior means over the active range of log cost, in standardised score.

    Attributes:
        edges: ascending log costs; the first is the cheapest observed cost, the last the end of the active range.
        score: value of the front in each strip.
        parents: which observations are on the front.
    """

    edges: Float[Array, " k+1"]
    score: Float[Array, " k"]
    parents: Float[Array, " n"]


def active_front(config: Config, observations: Observations, model: Model) -> ActiveFront:
    """The front of posterior means at the observed points, up to the knee plus `growth` nats of cost.

    The knee is the cheapest point within `knee` (of the range of means) of the best: a solved task does not run off to
    ever higher cost, and an unsolved one may grow. Means, not raw scores: a lucky seed does not stay on the front.
    """
    success = observations.success
    mean, _ = surrogate.predict(model.score, observations.unit)
    log_cost, _ = models.log_cost(model, observations.unit)
    high = jnp.max(jnp.where(success, mean, -jnp.inf))
    low = jnp.min(jnp.where(success, mean, jnp.inf))
    any_success = jnp.any(success)
    good = success & (mean >= high - config.knee * (high - low))
    start = jnp.where(any_success, jnp.min(jnp.where(success, log_cost, jnp.inf)), 0)
    knee = jnp.where(any_success, jnp.min(jnp.where(good, log_cost, jnp.inf)), 0)
    end = knee + config.growth
    edges = start + (end - start) * jnp.linspace(0, 1, _NUM_STRIPS + 1, dtype=mean.dtype)
    floor = jnp.where(any_success, low, 0)
    score = pareto.staircase(mean, log_cost, success, edges[:-1], floor)
    parents = pareto.non_dominated(mean, log_cost, success)
    return ActiveFront(edges, score, parents)


def propose_neocarbs(
    config: Config, observations: Observations, model: Model, count: Int[Array, ""], key: PRNGKeyArray
) -> Float[Array, " d"]:
    """Maximise log EHVI - (g - t)^2 / (2 (w R)^2), g the predicted log cost and t uniform over the active range R.

    The target cost t spreads the *trials* evenly over log cost; EHVI is largest in the front's gaps.
    """
    prior_key, step_key, target_key, initial_key = jax.random.split(key, 4)
    front = active_front(config, observations, model)
    num_prior = config.num_candidates // 4
    units = jnp.concatenate(
        [
            candidates.from_prior(config.space, prior_key, num_prior),
            candidates.perturb(
                config.space, step_key, observations.unit, front.parents, config.num_candidates - num_prior
            ),
        ]
    )
    mean, std = surrogate.predict(model.score, units)
    log_cost, _ = models.log_cost(model, units)
    start, end = front.edges[0], front.edges[-1]
    target = jax.random.uniform(target_key, (), mean.dtype, start, end)
    value = acquisition.log_expected_hypervolume_improvement(mean, std, log_cost, front.edges, front.score)
    value += acquisition.target_weight(log_cost, target, config.target_width * (end - start))
    seen = observations.success | observations.pending | observations.failed
    value = jnp.where(candidates.is_new(units, observations.unit, seen), value, -jnp.inf)
    best = units[jnp.argmax(jnp.where(jnp.isnan(value), -jnp.inf, value))]
    initial = candidates.from_prior(config.space, initial_key, 1)[0]
    return jnp.where((count < config.num_initial) | ~jnp.any(observations.success), initial, best)


def propose_random(
    config: Config, observations: Observations, model: None, count: Int[Array, ""], key: PRNGKeyArray
) -> Float[Array, " d"]:
    """A draw from the prior."""
    return candidates.from_prior(config.space, key, 1)[0]


STRATEGIES: dict[str, Strategy] = {
    "neocarbs": Strategy(propose_neocarbs, uses_model=True),
    "random": Strategy(propose_random, uses_model=False),
}
