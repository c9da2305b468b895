"""How the next point is chosen: each strategy is one pure function of what was seen and believed.

    propose(config, observations, model, count, key) -> unit point

`count` is the number of earlier suggestions. Strategies that do not look at the model are given None.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from neocarbs_jax import acquisition, baselines, candidates, front
from neocarbs_jax import model as models
from neocarbs_jax.config import Config
from neocarbs_jax.front import Believed, Front
from neocarbs_jax.model import Beliefs, Model
from neocarbs_jax.observations import Observations


class Strategy(NamedTuple):
    """A rule for the next point.

    Attributes:
        propose: the function above.
        uses_model: whether it needs the surrogates.
    """

    propose: Callable[..., Array]
    uses_model: bool


def gain(config: Config, current: Front, at: Beliefs) -> Float[Array, " m"]:
    """The chosen acquisition of each point, without target and constraints."""
    if config.acquisition == "ehvi":
        return acquisition.log_expected_hypervolume_improvement(
            at.score, at.score_std, at.log_cost, current.edges, current.score
        )
    kappa = config.kappa if config.acquisition == "conservative" else 0.0
    strip = jnp.clip(jnp.searchsorted(current.edges, at.log_cost) - 1, 0, current.score.shape[0] - 1)
    return at.score - kappa * at.score_std - current.score[strip]


def admissible(config: Config, at: Beliefs, value: Float[Array, " m"]) -> Float[Array, " m"]:
    """Acquisition values under the promise on cost: points that break it rank below all others, the least bad first."""
    if config.max_cost is None:
        return value
    excess = models.cost_bound(config, at) - jnp.log(jnp.asarray(config.max_cost, value.dtype))
    return jnp.where((excess <= 0) | (value == -jnp.inf), value, -1e6 * (1 + jnp.maximum(excess, 0)))


def _resample_point(
    believed: Believed, observations: Observations, current: Front
) -> tuple[Float[Array, " d"], Bool[Array, ""]]:
    """The front point whose uncertainty moves the front most: standard deviation x distance in log cost to the next."""
    later = believed.log_cost[None, :] > believed.log_cost[:, None]
    later = jnp.where(later & believed.on_front[None, :], believed.log_cost[None, :], current.edges[-1])
    width = jnp.maximum(jnp.min(later, axis=1) - believed.log_cost, 1e-3)
    effect = jnp.where(believed.on_front, believed.std * width, -jnp.inf)
    return observations.unit[jnp.argmax(effect)], jnp.any(believed.on_front)


def _caution(config: Config, observations: Observations, units: Float[Array, "m d"]) -> Float[Array, " m"]:
    """(caution / n) sum_j log(4 u_j (1 - u_j)), bounded below, after n successes: faces and corners can wait.

    There the surrogates know least, so that a young sweep would look nowhere else. A prior that fades with the number
    of observations, after Hvarfner et al. (2022), pi-BO.
    """
    strength = config.caution / jnp.maximum(jnp.sum(observations.success), 1).astype(units.dtype)
    return strength * jnp.sum(jnp.log(0.02 + 4 * units * (1 - units)), axis=-1)


def _candidates(
    config: Config, observations: Observations, believed: Believed, key: PRNGKeyArray
) -> Float[Array, "m d"]:
    """A quarter from the prior, the rest around the front."""
    prior_key, step_key = jax.random.split(key)
    num_prior = config.num_candidates // 4
    prior = candidates.from_prior(config.space, prior_key, num_prior)
    steps = candidates.perturb(
        config.space, step_key, observations.unit, believed.on_front, config.num_candidates - num_prior
    )
    return jnp.concatenate([prior, steps])


def propose_neocarbs(
    config: Config, observations: Observations, model: Model, count: Int[Array, ""], key: PRNGKeyArray
) -> Float[Array, " d"]:
    """Maximise log EHVI - (g - t)^2 / (2 (w R)^2) + log P(success) + caution, subject to P(cost > max_cost) < delta.

    g is the predicted log cost and t a target in the active range R: it spreads the *trials* evenly over log cost,
    while EHVI is largest in the front's gaps. The best of a set of candidates then climb by the gradient.
    """
    data = observations
    believed = front.believe(data, model)
    units = _candidates(config, data, believed, key)
    at = models.believe(model, units)
    most = jnp.inf if config.max_cost is None else jnp.log(jnp.asarray(config.max_cost, units.dtype))
    # With its deviation: the mean alone saturates where nothing was tried, and the range would never grow there.
    reachable = jnp.max(jnp.minimum(at.log_cost + at.log_cost_std, most))
    current = front.active_front(config, data, believed, reachable, jnp.min(at.log_cost))
    target, width = front.draw_target(config, current, reachable, count)
    seen = data.success | data.pending | data.failed

    def utility(units: Float[Array, "m d"], at: Beliefs) -> Float[Array, " m"]:
        value = gain(config, current, at) + at.log_success
        value += acquisition.target_weight(at.log_cost, target, config.target_width * width)
        return admissible(config, at, value + _caution(config, data, units))

    def evaluate(units: Float[Array, "m d"], at: Beliefs) -> Float[Array, " m"]:
        value = utility(units, at)
        new = candidates.is_new(units, data.unit, seen)
        return jnp.where(new & ~jnp.isnan(value), value, -jnp.inf)

    value, top = jax.lax.top_k(evaluate(units, at), min(config.num_refined, units.shape[0]))
    slope_fn = jax.grad(lambda unit: jnp.sum(utility(unit, models.believe(model, unit))))
    near = candidates.climb(config.space, slope_fn, units[top], config.refine_steps)
    near_value = evaluate(near, models.believe(model, near))
    best = jnp.where(jnp.max(near_value) > value[0], near[jnp.argmax(near_value)], units[top[0]])
    starting = (count < config.num_initial) | ~jnp.any(data.success)
    # The first admissible draw from the prior: nothing is known yet but the likely cost.
    order = -jnp.arange(units.shape[0], dtype=units.dtype)
    initial = units[jnp.argmax(admissible(config, at, order + 100 * at.log_success))]
    unit = jnp.where(starting, initial, best)
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
