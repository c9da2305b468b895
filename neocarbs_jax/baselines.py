"""The predecessors' rules, over our surrogates: what NeoCARBS is measured against.

Their acquisitions are theirs; kernel, fit and score warp are those of the configuration, so that a comparison tells the
rules apart and nothing else.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from neocarbs_jax import acquisition, candidates, front, pareto
from neocarbs_jax import model as models
from neocarbs_jax.config import Config
from neocarbs_jax.model import Model
from neocarbs_jax.observations import Observations, merge

_PROTEIN_RADIUS = 0.25
_CARBS_RADIUS = 0.15
_CARBS_RESAMPLE = 5
_GENETIC_RADIUS = 0.15


def _raw_front(observations: Observations) -> Bool[Array, " n"]:
    """Points on the front of measured scores, replicates averaged."""
    merged = merge(observations)
    return pareto.non_dominated(merged.score, jnp.log(merged.cost), merged.first)


def _parents(
    config: Config, observations: Observations, key: PRNGKeyArray, num: int
) -> tuple[Float[Array, "m d"], Bool[Array, " n"]]:
    """Random front points, or the search centre while there is none."""
    on_front = _raw_front(observations)
    logits = jnp.where(on_front | ~jnp.any(on_front), 0.0, -jnp.inf).astype(jnp.float32)
    index = jax.random.categorical(key, logits, shape=(num,))
    center = jnp.asarray(config.space.center, observations.unit.dtype)
    return jnp.where(jnp.any(on_front), observations.unit[index], center[None, :]), on_front


def propose_random(
    config: Config, observations: Observations, model: None, count: Int[Array, ""], key: PRNGKeyArray
) -> Float[Array, " d"]:
    """A draw from the prior."""
    return candidates.from_prior(config.space, key, 1)[0]


def propose_pareto_genetic(
    config: Config, observations: Observations, model: None, count: Int[Array, ""], key: PRNGKeyArray
) -> Float[Array, " d"]:
    """A Gaussian step from a random front point; every other time from the one farthest from its neighbours in cost."""
    parent_key, step_key = jax.random.split(key)
    parents, on_front = _parents(config, observations, parent_key, 1)
    gaps = pareto.gaps(jnp.log(observations.cost), on_front)
    lonely = observations.unit[jnp.argmax(jnp.where(jnp.isfinite(gaps), gaps, 0))]
    parent = jnp.where((count % 2 == 0) & (jnp.sum(on_front) > 1), lonely, parents[0])
    step = _GENETIC_RADIUS * jax.random.normal(step_key, parent.shape, jnp.float32)
    return config.space.snap(parent + step.astype(parent.dtype))


def propose_protein(
    config: Config, observations: Observations, model: Model, count: Int[Array, ""], key: PRNGKeyArray
) -> Float[Array, " d"]:
    """Maximise normalised mean score x (1 - |t - normalised log cost|) x 1[cost < max_cost], t ~ U[0, 1.25].

    Candidates are uniform within a quarter of the axis around front points.

    References:
        PufferLib 3.0, `Protein`.
    """
    parent_key, step_key, target_key = jax.random.split(key, 3)
    base, _ = _parents(config, observations, parent_key, config.num_candidates)
    step = jax.random.uniform(step_key, base.shape, jnp.float32, -_PROTEIN_RADIUS, _PROTEIN_RADIUS)
    units = config.space.snap(base + step.astype(base.dtype))
    at = models.believe(model, units)
    target = jax.random.uniform(target_key, (), jnp.float32, 0.0, 1.25).astype(base.dtype)
    success = observations.success
    worst, best = _range(model.warp.forward(observations.score), success)
    cheapest, dearest = _range(jnp.log(observations.cost), success)
    share = (at.log_cost - cheapest) / (dearest - cheapest)
    value = (at.score - worst) / (best - worst) * (1 - jnp.abs(target - share))
    if config.max_cost is not None:
        value = jnp.where(at.log_cost < jnp.log(jnp.asarray(config.max_cost, base.dtype)), value, -jnp.inf)
    return units[jnp.argmax(value)]


def propose_carbs(
    config: Config, observations: Observations, model: Model, count: Int[Array, ""], key: PRNGKeyArray
) -> Float[Array, " d"]:
    """Maximise EI over the front at the predicted cost x search density x P(success) x 1[cost < max_cost].

    Candidates are Gaussian steps from front points, and the search density is that of the step. A random log-uniform
    cost lifts the reference: only gains above the front at that cost count. Every fifth suggestion runs the
    least-sampled front point again.

    References:
        Fetterman et al. (2023), Tune As You Scale: Hyperparameter Optimization For Compute Efficient Training.
    """
    parent_key, step_key, floor_key = jax.random.split(key, 3)
    base, on_front = _parents(config, observations, parent_key, config.num_candidates)
    step = jax.random.normal(step_key, base.shape, jnp.float32).astype(base.dtype)
    units = config.space.snap(base + _CARBS_RADIUS * step)
    at = models.believe(model, units)
    success = observations.success
    cheapest, dearest = _range(jnp.log(observations.cost), success)
    floor_cost = cheapest + (dearest - cheapest) * jax.random.uniform(floor_key, (), jnp.float32).astype(base.dtype)
    believed = front.believe(observations, model)
    worst, _ = _range(believed.score, success)
    reference_cost = jnp.maximum(at.log_cost, floor_cost)
    reference = pareto.staircase(believed.score, believed.log_cost, success, reference_cost, worst)
    value = acquisition.log_expected_improvement(at.score, at.score_std, reference)
    value += -0.5 * jnp.mean(step**2, axis=1) + at.log_success
    if config.max_cost is not None:
        value = jnp.where(at.log_cost < jnp.log(jnp.asarray(config.max_cost, base.dtype)), value, -jnp.inf)
    replicates = jnp.where(on_front, merge(observations).num_replicates, jnp.iinfo(jnp.int32).max)
    again = (count % _CARBS_RESAMPLE == _CARBS_RESAMPLE - 1) & jnp.any(on_front)
    return jnp.where(again, observations.unit[jnp.argmin(replicates)], units[jnp.argmax(value)])


def _range(value: Float[Array, " n"], mask: Bool[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    low = jnp.min(jnp.where(mask, value, jnp.inf), initial=jnp.inf)
    high = jnp.max(jnp.where(mask, value, -jnp.inf), initial=-jnp.inf)
    low = jnp.where(jnp.any(mask), low, 0)
    return low, jnp.maximum(jnp.where(jnp.any(mask), high, 1), low + 1e-3)
