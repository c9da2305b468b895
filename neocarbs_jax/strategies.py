"""How the next point is chosen: each strategy is one pure function of what was seen and believed.

    propose(config, observations, model, count, key) -> unit point

`count` is the number of earlier suggestions. Strategies that do not look at the model are given None.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from neocarbs_jax import acquisition, baselines, candidates, front, surrogate
from neocarbs_jax import model as models
from neocarbs_jax.config import Config
from neocarbs_jax.front import Believed, Front
from neocarbs_jax.model import Model
from neocarbs_jax.observations import Observations

_NUM_REFINED_PARENTS = 8


class Strategy(NamedTuple):
    """A rule for the next point.

    Attributes:
        propose: the function above.
        uses_model: whether it needs the surrogates.
    """

    propose: Callable[..., Array]
    uses_model: bool


def _gain(config: Config, model: Model, current: Front, units: Float[Array, "m d"]) -> Float[Array, " m"]:
    """The chosen acquisition, without target and constraints."""
    mean, std = surrogate.predict(model.score, units)
    log_cost, _ = models.log_cost(model, units)
    if config.acquisition == "ehvi":
        return acquisition.log_expected_hypervolume_improvement(mean, std, log_cost, current.edges, current.score)
    kappa = config.kappa if config.acquisition == "conservative" else 0.0
    strip = jnp.clip(jnp.searchsorted(current.edges, log_cost) - 1, 0, current.score.shape[0] - 1)
    return mean - kappa * std - current.score[strip]


def admissible(config: Config, model: Model, units: Float[Array, "m d"], value: Float[Array, " m"]) -> Array:
    """Acquisition values under the promise on cost: points that break it rank below all others, the least bad first."""
    if config.max_cost is None:
        return value
    excess = models.cost_bound(config, model, units) - jnp.log(jnp.asarray(config.max_cost, value.dtype))
    return jnp.where((excess <= 0) | (value == -jnp.inf), value, -1e6 * (1 + jnp.maximum(excess, 0)))


def _first_points(
    config: Config, observations: Observations, model: Model, units: Float[Array, "m d"]
) -> Float[Array, " d"]:
    """The first admissible draw from the prior; nothing is known yet but the likely cost."""
    order = -jnp.arange(units.shape[0], dtype=units.dtype)
    log_success = models.log_probability_of_success(model, units)
    return units[jnp.argmax(admissible(config, model, units, order + 100 * log_success))]


def _resample_point(
    believed: Believed, observations: Observations, current: Front
) -> tuple[Float[Array, " d"], Bool[Array, ""]]:
    """The front point whose uncertainty moves the front most: standard deviation x distance in log cost to the next."""
    later = believed.log_cost[None, :] > believed.log_cost[:, None]
    later = jnp.where(later & believed.on_front[None, :], believed.log_cost[None, :], current.edges[-1])
    width = jnp.maximum(jnp.min(later, axis=1) - believed.log_cost, 1e-3)
    effect = jnp.where(believed.on_front, believed.std * width, -jnp.inf)
    return observations.unit[jnp.argmax(effect)], jnp.any(believed.on_front)


def propose_neocarbs(
    config: Config, observations: Observations, model: Model, count: Int[Array, ""], key: PRNGKeyArray
) -> Float[Array, " d"]:
    """Maximise log EHVI - (g - t)^2 / (2 (w R)^2) + log P(success), subject to P(cost > max_cost) < delta.

    g is the predicted log cost and t a target in the active range R: it spreads the *trials* evenly over log cost,
    while EHVI is largest in the front's gaps. The best of a first set of candidates are refined by a second, close set.
    """
    prior_key, step_key, refine_key = jax.random.split(key, 3)
    space, data = config.space, observations
    believed = front.believe(data, model)
    num_prior = config.num_candidates // 4
    prior = candidates.from_prior(space, prior_key, num_prior)
    steps = candidates.perturb(space, step_key, data.unit, believed.on_front, config.num_candidates - num_prior)
    units = jnp.concatenate([prior, steps])
    affordable = models.log_cost(model, units)[0]
    if config.max_cost is not None:
        affordable = jnp.minimum(affordable, jnp.log(jnp.asarray(config.max_cost, affordable.dtype)))
    reachable = jnp.max(affordable)
    current = front.active_front(config, data, believed, reachable)
    target, width = front.draw_target(config, current, reachable, count)
    seen = data.success | data.pending | data.failed

    def evaluate(units: Float[Array, "m d"]) -> Float[Array, " m"]:
        value = _gain(config, model, current, units)
        log_cost, _ = models.log_cost(model, units)
        value += acquisition.target_weight(log_cost, target, config.target_width * width)
        value += models.log_probability_of_success(model, units)
        new = candidates.is_new(units, data.unit, seen)
        return admissible(config, model, units, jnp.where(new & ~jnp.isnan(value), value, -jnp.inf))

    value, top = jax.lax.top_k(evaluate(units), _NUM_REFINED_PARENTS)
    near = candidates.perturb(
        space, refine_key, units[top], jnp.isfinite(value), config.num_refined, scales=(0.005, 0.1)
    )
    near_value = evaluate(near)
    best = jnp.where(jnp.max(near_value) > value[0], near[jnp.argmax(near_value)], units[top[0]])
    starting = (count < config.num_initial) | ~jnp.any(data.success)
    unit = jnp.where(starting, _first_points(config, data, model, units), best)
    if config.resample_every:
        again, possible = _resample_point(believed, data, current)
        unit = jnp.where(possible & ~starting & (count % config.resample_every == 0), again, unit)
    return unit


STRATEGIES: dict[str, Strategy] = {
    "neocarbs": Strategy(propose_neocarbs, uses_model=True),
    "protein": Strategy(baselines.propose_protein, uses_model=True),
    "carbs": Strategy(baselines.propose_carbs, uses_model=True),
    "pareto_genetic": Strategy(baselines.propose_pareto_genetic, uses_model=False),
    "random": Strategy(baselines.propose_random, uses_model=False),
}
